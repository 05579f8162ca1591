"""Replies of a server, read from octets in whatever pieces they come, and what none may take of memory and time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.state.redis import replies
from resolverd.state.redis.connection import address_of
from resolverd.state.redis.replies import ProtocolError, Refusal, Reply, ReplyDecoder, Senseless, refusal

MIB = 1 << 20
PLAIN = st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20)
REPLY = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def written(reply: Reply) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))
        case _:
            return b"-%b\r\n" % str(reply).encode()


def read(pieces: Iterable[bytes]) -> list[Reply]:
    decoder = ReplyDecoder()
    return [reply for piece in pieces for reply in decoder.feed(piece)]


@given(st.lists(REPLY, max_size=4), st.lists(st.integers(0, 200), max_size=6))
def test_replies_come_in_any_pieces(wanted: list[Reply], cuts: list[int]) -> None:
    octets = b"".join(map(written, wanted))
    at = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    assert read(octets[first:last] for first, last in pairwise(at)) == wanted
    assert read(octets[number : number + 1] for number in range(len(octets))) == wanted


def test_all_kinds() -> None:
    text = b"+OK\r\n-WRONGTYPE a b\r\n-\r\n:-5\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*1\r\n+x\r\n:7\r\n"
    ok, wrong, empty, *rest, nested = read([text])
    assert ok == b"OK"
    assert isinstance(wrong, Refusal)
    assert (wrong.code, wrong.text) == ("WRONGTYPE", "a b")
    assert isinstance(empty, Refusal)
    assert rest == [-5, b"", None, None, []]
    assert nested == [[b"x"], 7]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_octets_are_replies_or_none(octets: bytes, size: int) -> None:
    def outcome(pieces: Iterable[bytes]) -> tuple[list[str], bool]:
        decoder, found = ReplyDecoder(), []
        try:
            for piece in pieces:
                found += map(repr, decoder.feed(piece))
        except ProtocolError:
            return [], False
        return found, True

    whole = outcome([octets])
    assert outcome(octets[at : at + size] for at in range(0, len(octets), size)) == whole


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "no reply of Valkey or Redis: b'HTTP"),
        (b"\x15\x03\x03", "no reply"),
        (b"_\r\n", "no reply"),
        (b"+" + b"x" * bounds.STORE_REPLY_LINE, "no reply"),
        (b"$%d\r\n" % (bounds.STORE_REPLY_STRING + 1), "too large"),
        (b"$2147483648\r\n", "too large"),
        (b"*%d\r\n" % (bounds.STORE_REPLY_ELEMENTS + 1), "too large"),
        (b"*2\r\n*%d\r\n" % (bounds.STORE_REPLY_ELEMENTS + 1), "too large"),
        (b"*1\r\n" * (bounds.STORE_REPLY_DEPTH + 1), "too large"),
        (b"*2\r\n:1\r\n-ERR no\r\n", "an error in a list"),
        (b"$5\r\nabc\r\nxyzw", "as long as it says"),
        (b"$+5\r\n", "no length"),
        (b"$ 5\r\n", "no length"),
        (b"$1_0\r\n", "no length"),
        (b"$-2\r\n", "no length"),
        (b"*-2\r\n", "no length"),
        (b"$" + b"1" * 21 + b"\r\n", "no length"),
        (b":\r\n", "no number"),
        (b":--1\r\n", "no number"),
        (b":" + b"1" * 21 + b"\r\n", "no number"),
    ],
)
def test_what_is_no_reply_or_too_large_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        read([octets])


def test_a_whole_reply_has_a_size() -> None:
    part = b"$%d\r\n%b\r\n" % (bounds.STORE_REPLY_STRING, b"x" * bounds.STORE_REPLY_STRING)
    most = bounds.STORE_REPLY_OCTETS // bounds.STORE_REPLY_STRING - 1
    assert len(read([b"*%d\r\n" % most, *[part] * most])) == 1
    with pytest.raises(ProtocolError, match="too large"):
        read([b"*%d\r\n" % (most + 5), *[part] * (most + 5)])
    line = b"+" + b"x" * (bounds.STORE_REPLY_LINE - 10) + b"\r\n"
    with pytest.raises(ProtocolError, match="too large"):
        read([b"*200000\r\n", *[line * 100] * 2000])
    assert len(read([b"*2\r\n" + part, part, *[part] * 100])) == 101, "each for itself"


TENTH = bounds.STORE_REPLY_ELEMENTS // 10
HEAPS = {
    "lists": (b"*%d\r\n" % TENTH, b"*0\r\n" * 10_000),
    "numbers": (b"*%d\r\n" % TENTH, b":9223372036854775807\r\n" * 3000),
    "short strings": (b"*%d\r\n" % TENTH, b"$9\r\n123456789\r\n" * 8000),
    "a string octet by octet": (b"$%d\r\n" % (bounds.STORE_REPLY_STRING // 10), b"x"),
    "a line octet by octet": (b"", b"+"),
    "long strings": (b"*1000\r\n", b"$50000\r\n" + b"x" * 50_000 + b"\r\n"),
}


@pytest.mark.attack("R-34")
@pytest.mark.parametrize("heap", HEAPS)
def test_a_reply_takes_no_more_memory_than_it_may(heap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the longest that there are, until they are complete or refused; at a tenth of the bounds."""
    for name in ("STORE_REPLY_ELEMENTS", "STORE_REPLY_OCTETS", "STORE_REPLY_STRING"):
        monkeypatch.setattr(bounds, name, getattr(bounds, name) // 10)
    first, piece = HEAPS[heap]
    decoder = ReplyDecoder()
    tracemalloc.start()
    try:
        decoder.feed(first)
        for _ in range(min(8 * MIB // len(piece), 60_000)):
            if decoder.feed(piece):
                break
    except ProtocolError:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 2 * bounds.STORE_REPLY_OCTETS + 100 * bounds.STORE_REPLY_ELEMENTS


@pytest.mark.attack("R-34")
def test_a_reply_in_ever_so_many_pieces_costs_what_its_octets_do() -> None:
    """What has come is not looked through again with each piece."""
    size = bounds.STORE_REPLY_STRING
    octets = b"$%d\r\n%b\r\n" % (size, b"x" * size)

    def seconds(pieces: list[bytes]) -> float:
        least = float("inf")
        for _ in range(3):
            begun = time.process_time()
            assert len(read(pieces)) == 1
            least = min(least, time.process_time() - begun)
        return least

    small = seconds([octets[at : at + 16] for at in range(0, len(octets), 16)])
    short = b"$%d\r\n%b\r\n" % (size // 4, b"x" * (size // 4))
    assert small < 8 * seconds([short[at : at + 16] for at in range(0, len(short), 16)])


def test_errors_are_fit_for_a_log() -> None:
    assert str(refusal("OOM command not allowed")) == "OOM command not allowed"
    assert refusal("value is not an integer").code == "ERR"
    assert refusal("\x1b[31mX").code == "ERR"
    assert refusal("ÄRGER x").code == "ERR"
    assert len(str(refusal("ERR " + "x\n" * 9000))) <= 304
    assert str(refusal("ERR a\r\x07b")).isprintable()


def test_a_reply_is_of_the_kind_that_is_due() -> None:
    assert replies.octets(b"x") == b"x"
    assert replies.number(5) == 5
    assert replies.list_of([1, 2], 2) == [1, 2]
    assert replies.strings([b"a"]) == [b"a"]
    wrong: list[tuple[object, ...]] = [
        (replies.octets, None), (replies.octets, 5), (replies.octets, Refusal("ERR", "x")), (replies.number, b"5"),
        (replies.number, None), (replies.list_of, None), (replies.list_of, [1], 2), (replies.strings, [b"a", 1]),
        (replies.strings, b"a"),
    ]  # fmt: skip
    for kind, *given_ in wrong:
        with pytest.raises(Senseless):
            kind(*given_)  # type: ignore[operator]


def test_addresses_that_servers_tell() -> None:
    assert address_of(b"192.0.2.1", b"6379") == ("192.0.2.1", 6379)
    assert address_of(b"2001:db8::1", 1) == ("2001:db8::1", 1)
    ports: list[Reply] = [b"x", b"", 0, 65536, b"99999999", None]
    hosts: list[Reply] = [b"\xff", b"a\n", None, b"x" * 256]
    for host, port in [*((b"h", port) for port in ports), *((host, 1) for host in hosts)]:
        with pytest.raises(Senseless):
            address_of(host, port)
