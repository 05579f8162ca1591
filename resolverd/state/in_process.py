"""What stores that one process has to itself have in common: `add` and `cas` over `get` and `put`, and `watch`."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

from resolverd import bounds
from resolverd.state.base import Change, Unread, count_of, encode_count


class InProcess:
    """The part of `base.Store` that needs no other process: between reading and writing nobody else has a turn.

    Who inherits it implements `get`, which must not give way once it knows the value, `put`, and tells `_changed` of changes.
    """

    def __init__(self) -> None:
        self._watchers: dict[str, list[_Watcher]] = {}

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

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Changes of the table from now on; None first, and where some were too many."""
        self._check_open()
        watcher = _Watcher()
        watchers = self._watchers.setdefault(table, [])
        watchers.append(watcher)
        try:
            while True:
                change = await watcher.next()
                self._check_open()
                yield change
        finally:
            watchers.remove(watcher)

    def _changed(self, table: str, key: bytes, value: bytes | None, expires: float = 0) -> None:
        """Tell who watches the table; `value` is None for a record that was deleted."""
        for watcher in self._watchers.get(table, ()):
            watcher.tell(Change(key, value, expires))

    def _missed(self, table: str) -> None:
        """Tell who watches the table that changes may have been missed."""
        for watcher in self._watchers.get(table, ()):
            watcher.miss()

    def _end_watching(self) -> None:
        """Let everybody who watches find that the store is closed."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake()

    def _check_open(self) -> None:
        raise NotImplementedError


class _Watcher:
    """What one reader has not taken yet: of each key the last change, of too many keys only that there were some."""

    def __init__(self) -> None:
        self._changes: OrderedDict[bytes, Change] = OrderedDict()
        self._missed = True
        self._woken = asyncio.Event()
        self._woken.set()

    def tell(self, change: Change) -> None:
        """Another change."""
        self._changes[change.key] = change
        self._changes.move_to_end(change.key)
        if len(self._changes) > bounds.STORE_CHANGES:
            self._changes.clear()
            self._missed = True
        self._woken.set()

    def miss(self) -> None:
        """Changes that nobody tells."""
        self._changes.clear()
        self._missed = True
        self._woken.set()

    def wake(self) -> None:
        """Let the reader look around."""
        self._woken.set()

    async def next(self) -> Change | None:
        """The oldest change that was not taken; None where some were missed, or on `wake`."""
        await self._woken.wait()
        change: Change | None = None
        if self._missed:
            self._missed = False
        elif self._changes:
            change = self._changes.popitem(last=False)[1]
        if not self._changes:
            self._woken.clear()
        return change
