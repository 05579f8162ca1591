"""What a shared store says: replies are the same in whatever pieces they come, and what is none is refused."""

from collections.abc import Iterable

from resolverd import bounds
from resolverd.state.redis.replies import ProtocolError, Refusal, Reply, ReplyDecoder
from tests.fuzz.target import target


def _seeds() -> Iterable[bytes]:
    yield b"+OK\r\n:-5\r\n$3\r\nabc\r\n$-1\r\n*-1\r\n*0\r\n-ERR no\r\n"
    yield b"*3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$2\r\nxy\r\n"
    yield b"*2\r\n*3\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$1\r\nx\r\n*0\r\n"
    yield b"HTTP/1.1 400 Bad Request\r\n\r\n"


def _read(pieces: Iterable[bytes]) -> tuple[list[Reply], bool]:
    """The replies before the first that is none, and whether there was one."""
    decoder, found = ReplyDecoder(), list[Reply]()
    for piece in pieces:
        try:
            found += decoder.feed(piece)
        except ProtocolError:
            return found, True
    return found, False


def _written(reply: Reply) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case Refusal():
            return f"-{reply}\r\n".encode()
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(_written, reply))


def _shown(replies: list[Reply]) -> list[str]:
    return [str(each) if isinstance(each, Refusal) else repr(each) for each in replies]


@target(_seeds, lambda octets: 0.002 + octets * 2e-6)
def store_reply(data: bytes) -> None:
    size = 1 + data[0] % 64 if data else 1
    octet_by_octet, refused = _read(data[at : at + 1] for at in range(len(data)))
    pieces, also = _read(data[at : at + size] for at in range(0, len(data), size))
    assert refused == also
    assert _shown(pieces) == _shown(octet_by_octet)[: len(pieces)], "what came before a refusal may not have been handed on"
    assert refused or len(pieces) == len(octet_by_octet)
    for reply in octet_by_octet:
        if isinstance(reply, bytes) and len(reply) > bounds.STORE_REPLY_LINE:
            continue
        (again,), _ = _read([_written(reply)])
        assert _shown([again]) == _shown([reply])
