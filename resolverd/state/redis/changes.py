"""Who watches, and what they are told: what is written here at once, what others write when the server tells of it.

Whoever follows what is told has in the end what stands there: the server tells of changes in the order in which it made them. A
change made here is told before that, so that until the server tells of it too, others' changes before it are overwritten already.
"""

import secrets
import struct
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Final

from resolverd.state.base import Change, StoredValue
from resolverd.state.redis.unwritten import Address, Write
from resolverd.state.watchers import Watchers

_HEAD: Final = struct.Struct(">8sQI")
"""Of a message: whose change it is, its number, and the length of the key; key and frame stand behind it."""


class Changes:
    """Changes of the small tables. `decode`: what a frame of a table has in it."""

    def __init__(self, check_open: Callable[[], None], decode: Callable[[str, bytes], StoredValue | None]):
        self._watchers = Watchers(check_open)
        self._decode = decode
        self._number = count(1)
        self._awaited: dict[Address, int] = {}
        """Changes told here of which the server has not told yet."""
        self.origin = secrets.token_bytes(8)
        """Whose changes these are."""
        self.tables = self._watchers.tables
        self.end = self._watchers.end

    def watch(self, table: str) -> AsyncIterator[Change | None]:
        """As in `base.Store`."""
        return self._watchers.watch(table)

    def tell(self, at: Address, write: Write) -> None:
        """Tell who watches of a change made here."""
        if self._watchers.has(at[0]):
            self._awaited[at] = next(self._number)
            self._watchers.tell(at[0], _change(at[1], write.stored()))

    def tell_merged(self, at: Address, write: Write, result: StoredValue | None, written: bool) -> None:
        """What became of a change made here, when it was merged; `written`: the server was told of it."""
        if not written:
            self.no_echo(at)
        if result != write.stored():
            self._watchers.tell(at[0], _change(at[1], result))

    def no_echo(self, at: Address) -> None:
        """The server will not tell of what was made here."""
        self._awaited.pop(at, None)

    def message(self, at: Address) -> bytes:
        """What stands in front of the frame in the message that tells of a change made here."""
        return _HEAD.pack(self.origin, self._awaited.get(at, 0), len(at[1])) + at[1]

    def heard(self, table: str, message: bytes) -> Address | None:
        """The server tells of a change: of what; None for what is no such message."""
        if len(message) < _HEAD.size:
            return None
        origin, number, length = _HEAD.unpack_from(message)
        if len(message) < _HEAD.size + length:
            return None
        key, raw = message[_HEAD.size : _HEAD.size + length], message[_HEAD.size + length :]
        at = table, key
        if (awaited := self._awaited.get(at)) is None:
            self._watchers.tell(table, _change(key, self._decode(table, raw)))
        elif origin == self.origin and number == awaited:
            del self._awaited[at]
        return at

    def missed(self, table: str) -> None:
        """Messages may have been lost."""
        for at in [at for at in self._awaited if at[0] == table]:
            del self._awaited[at]
        self._watchers.missed(table)


def _change(key: bytes, held: StoredValue | None) -> Change:
    return Change(key, None, 0) if held is None else Change(key, *held)
