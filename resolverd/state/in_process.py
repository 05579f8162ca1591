"""What stores that one process has to itself have in common: `add` and `cas` over `get` and `put`, and `watch`."""

from collections.abc import AsyncIterator, Sequence

from resolverd.state.base import Change, Unread, count_of, encode_count
from resolverd.state.watchers import Watchers


class InProcess:
    """The part of `base.Store` that needs no other process: between reading and writing nobody else has a turn.

    Who inherits it implements `get`, which must not give way once it knows the value, `put`, and tells `_changed` of changes.
    """

    def __init__(self) -> None:
        self._watchers = Watchers(self._check_open)

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """As in `base.Store`."""
        raise NotImplementedError

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """As in `base.Store`."""
        raise NotImplementedError

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """As in `base.Store`; nothing, where reading costs no more than asking."""

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """As in `base.Store`."""
        raise NotImplementedError

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then."""
        count = count_of(await self.get(table, key, now)) + amount
        self.put(table, key, encode_count(count), expires)
        return count

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that is there is the one expected; whether it was."""
        if await self.get(table, key, now) != expected:
            return False
        self.put(table, key, value, expires)
        return True

    def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Changes of the table from now on; None first, and where some were too many."""
        return self._watchers.watch(table)

    def _changed(self, table: str, key: bytes, value: bytes | None, expires: float = 0) -> None:
        """Tell who watches the table; `value` is None for a record that was deleted."""
        self._watchers.tell(table, Change(key, value, expires))

    def _missed(self, table: str) -> None:
        """Tell who watches the table that changes may have been missed."""
        self._watchers.missed(table)

    def _end_watching(self) -> None:
        """Let everybody who watches find that the store is closed."""
        self._watchers.end()

    def _check_open(self) -> None:
        raise NotImplementedError
