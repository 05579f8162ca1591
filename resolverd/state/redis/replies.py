"""Replies as they stand on the wire, in version 2 of the Redis serialization protocol (RESP). Pure.

Whoever answers may be another program on that port, or a server that somebody else has in hand. So no length is believed that is
out of bounds (`bounds.STORE_REPLY_…`), and what is no reply is a ProtocolError at its first line. Whoever reads a reply says of
what kind it has to be (`octets`, `number`, `list_of`): another one is Senseless.
"""

from typing import Final, TypeAlias

from resolverd import bounds
from resolverd.failures import StoreError

_KINDS: Final = b"$*:+-"
_STRING, _LIST, _NUMBER, _SIMPLE, _ERROR = _KINDS
_SHOWN: Final = 40
"""Octets of what is no reply that are told."""
_TEXT: Final = 300
"""Characters of an error that are kept."""
_DIGITS: Final = 20
"""Of a 64-bit integer, its sign included."""


_DENIED_IN_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")
"""What stands in an error, without a code of its own, where a script does what its user may not: since Redis 7.2, and before."""


class ProtocolError(ValueError):
    """What came is no reply, or larger than any that is asked for."""


class Senseless(StoreError):
    """A reply is not of the kind that its command has: whoever answers does not know what was asked."""


class Refusal(Exception):
    """An error that the server answered with. `code`: its first word (``WRONGTYPE``, ``OOM``); `text`: the rest."""

    def __init__(self, code: str, text: str):
        super().__init__(f"{code} {text}".strip())
        self.code = code
        self.text = text


Reply: TypeAlias = bytes | int | Refusal | list["Reply"] | None
"""Octets, a number, an error, a list of all but errors, or nothing."""


def refusal(text: str) -> Refusal:
    """The error of a line of the server's, fit for a log."""
    text = printable(text, _TEXT)
    code, _, rest = text.partition(" ")
    if any(words in rest for words in _DENIED_IN_SCRIPT):
        return Refusal("NOPERM", rest)
    return Refusal(code, rest) if code.isascii() and code.isupper() else Refusal("ERR", text)


def printable(text: str, most: int) -> str:
    """The beginning of a text, as it can stand in a log and on a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text[:most])


def octets(reply: Reply) -> bytes:
    """A reply that has to be octets. Raises Senseless."""
    if not isinstance(reply, bytes):
        raise _senseless(reply, "octets")
    return reply


def number(reply: Reply) -> int:
    """A reply that has to be a number. Raises Senseless."""
    if not isinstance(reply, int):
        raise _senseless(reply, "a number")
    return reply


def list_of(reply: Reply, length: int | None = None) -> list[Reply]:
    """A reply that has to be a list, of so many elements. Raises Senseless."""
    if not isinstance(reply, list) or (length is not None and len(reply) != length):
        raise _senseless(reply, "a list")
    return reply


def strings(reply: Reply) -> list[bytes]:
    """A reply that has to be a list of octets. Raises Senseless."""
    return [octets(each) for each in list_of(reply)]


def _senseless(reply: Reply, wanted: str) -> Senseless:
    return Senseless(f"the server answers with {type(reply).__name__} where {wanted} is due")


class ReplyDecoder:
    """Makes replies of octets, in whatever pieces they come. What it holds of one that is not complete has its bounds."""

    def __init__(self) -> None:
        self._rest = bytearray()
        """What has come and is not complete."""
        self._needed = 1
        """Octets that it has to have before anything more can be made of it."""
        self._open: list[tuple[list[Reply], int]] = []
        """Lists that lack elements, from the outermost on, and how long they are to be."""
        self._elements = 0
        """Of the reply that is being read, those that are announced included."""
        self._octets = 0

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete with these octets. Raises ProtocolError, behind which there is no going on."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        replies: list[Reply] = []
        self._rest += data[self._decode(data, replies) :]
        return replies

    def _decode(self, data: bytes, replies: list[Reply]) -> int:
        """Read what is complete; how many octets that was."""
        at, end, lists, longest = 0, len(data), self._open, bounds.STORE_REPLY_LINE
        value: Reply
        while at < end:
            kind = data[at]
            line_end = data.find(b"\r\n", at, at + longest)
            if line_end < 0 or kind not in _KINDS:
                if kind not in _KINDS or end - at >= longest:
                    raise ProtocolError(f"this is no reply of Valkey or Redis: {data[at : at + _SHOWN]!r}")
                self._needed = end - at + 1
                return at
            following = line_end + 2
            if kind == _STRING:
                if (size := _length(data[at + 1 : line_end])) < 0:
                    value = None
                else:
                    if size > bounds.STORE_REPLY_STRING or self._octets + size > bounds.STORE_REPLY_OCTETS:
                        raise ProtocolError(f"a reply is too large: {size} octets and more")
                    begin, following = following, following + size + 2
                    if following > end:
                        self._needed = following - at
                        return at
                    if data[following - 2 : following] != b"\r\n":
                        raise ProtocolError("a string in a reply is not as long as it says")
                    value = data[begin : following - 2]
            elif kind == _LIST:
                size = _length(data[at + 1 : line_end])
                if self._elements + size > bounds.STORE_REPLY_ELEMENTS or len(lists) >= bounds.STORE_REPLY_DEPTH:
                    raise ProtocolError(f"a reply is too large: a list of {size} within {len(lists)} others")
                if size > 0:
                    lists.append(([], size))
                    at = following
                    continue
                value = [] if not size else None
            elif kind == _NUMBER:
                value = _integer(data[at + 1 : line_end])
            elif kind == _SIMPLE:
                value = data[at + 1 : line_end]
            else:
                if lists:
                    raise ProtocolError("a reply has an error in a list")
                value = refusal(data[at + 1 : line_end].decode("utf-8", "replace"))
            self._elements += 1
            self._octets += following - at
            at = following
            while lists:
                elements, size = lists[-1]
                elements.append(value)
                if len(elements) < size:
                    break
                value = elements
                lists.pop()
            else:
                replies.append(value)
                self._elements = self._octets = 0
            if self._octets > bounds.STORE_REPLY_OCTETS or self._elements > bounds.STORE_REPLY_ELEMENTS:
                raise ProtocolError("a reply is too large")
        self._needed = 1
        return at


def _length(line: bytes) -> int:
    """Of a string or a list; -1 where there is none. Raises ProtocolError."""
    if line == b"-1":
        return -1
    if not line.isdigit() or len(line) > _DIGITS:
        raise ProtocolError(f"a reply has no length: {line[:_SHOWN]!r}")
    return int(line)


def _integer(line: bytes) -> int:
    """Raises ProtocolError."""
    if not line.removeprefix(b"-").isdigit() or len(line) > _DIGITS:
        raise ProtocolError(f"a reply has no number: {line[:_SHOWN]!r}")
    return int(line)
