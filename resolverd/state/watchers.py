"""Who watches a store's tables, and what they have not taken yet."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from resolverd import bounds
from resolverd.state.base import Change


class Watchers:
    """The readers of a store's changes, by table."""

    def __init__(self, check_open: Callable[[], None]):
        """`check_open` raises StoreError once the store is closed."""
        self._check_open = check_open
        self._tables: dict[str, list[_Watcher]] = {}

    def tables(self) -> list[str]:
        """The tables that somebody watches."""
        return [table for table, watchers in self._tables.items() if watchers]

    def has(self, table: str) -> bool:
        """Whether somebody watches that table."""
        return bool(self._tables.get(table))

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Changes of the table from now on; None first, and where some were too many."""
        self._check_open()
        watcher = _Watcher()
        watchers = self._tables.setdefault(table, [])
        watchers.append(watcher)
        try:
            while True:
                change = await watcher.next()
                self._check_open()
                yield change
        finally:
            watchers.remove(watcher)

    def tell(self, table: str, change: Change) -> None:
        """Tell who watches the table."""
        for watcher in self._tables.get(table, ()):
            watcher.tell(change)

    def missed(self, table: str) -> None:
        """Have the table scanned by who watches it."""
        for watcher in self._tables.get(table, ()):
            watcher.miss()

    def end(self) -> None:
        """Let everybody who watches find that the store is closed."""
        for watchers in self._tables.values():
            for watcher in watchers:
                watcher.wake()


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
            self.miss()
        self._woken.set()

    def miss(self) -> None:
        """Some changes were not seen: what is there is to be scanned, so that nothing told before it matters."""
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
