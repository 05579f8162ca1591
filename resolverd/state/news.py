"""What is told of changes: by the shared store while it is within reach, by this host itself while it is not."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Final

from resolverd import bounds, logs
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import Change, Store, StoredValue, address
from resolverd.state.merging import Copied, SharedTable
from resolverd.state.shared import SharedStore
from resolverd.state.sharing import RETRY, Sharing
from resolverd.state.watchers import Watchers

WATCH_PATIENCE: Final = 1.0
"""Seconds to wait for news of a table to come in; the own copy serves until then."""

log = logging.getLogger(__name__)


class News:
    """The changes of all tables that somebody watches; the own store has a copy of each of them that is to be copied."""

    def __init__(
        self,
        shared: SharedStore,
        own: Store,
        sharing: Sharing,
        counters: Counters,
        table: Callable[[str], SharedTable],
        check_open: Callable[[], None],
    ) -> None:
        self._shared = shared
        self._own = own
        self._sharing = sharing
        self._counters = counters
        self._table = table
        self._check_open = check_open
        self._watchers = Watchers(check_open)
        self._channels: dict[str, _Channel] = {}
        self._forgotten: OrderedDict[bytes, float] = OrderedDict()
        """What was deleted here, and when: another host's older account does not bring it back."""

    def put(self, at: bytes) -> None:
        """A record is written here: what was deleted before is no more."""
        self._forgotten.pop(at, None)

    def deleted(self, at: bytes, now: float) -> None:
        """A record of a table that can be watched was deleted here."""
        # Whole seconds are what records have: one that was put in the second of its deletion may be the newer.
        self._forgotten[at] = now - 1
        if len(self._forgotten) > bounds.STORE_FORGOTTEN:
            self._forgotten.popitem(last=False)

    def tell(self, table: str, change: Change) -> None:
        """Tell who watches of a change that the shared store does not tell of."""
        self._watchers.tell(table, change)

    async def close(self) -> None:
        """Let everybody who watches find that the store is closed."""
        self._watchers.end()
        tasks = [channel.task for channel in self._channels.values() if channel.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """The table's changes from now on: the shared store's, and this host's own while that is out of reach."""
        self._check_open()
        channel = self._channels.get(table)
        if channel is None:
            channel = self._channels[table] = _Channel()
            channel.task = asyncio.get_running_loop().create_task(self._hear(table, channel))
        if self._shared.reachable:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_PATIENCE):
                    await channel.begun.wait()
        self._check_open()
        if channel.error is not None:
            raise channel.error
        async with contextlib.aclosing(self._watchers.watch(table)) as changes:  # type: ignore[type-var]
            async for change in changes:
                yield change

    async def _hear(self, table: str, channel: "_Channel") -> None:
        """Pass on what the shared store tells of a table, for ever; ends with the store."""
        kind = self._table(table)
        while True:
            try:
                async for change in self._shared.watch(table):
                    if change is None:
                        if not self._shared.reachable:
                            channel.begun.set()
                            await self._sharing.back.wait()
                        if kind.copied is Copied.ALL:
                            await self._copy_table(kind, table)
                        channel.copied = 0
                        self._watchers.missed(table)
                    elif (heard := self._heard(kind, table, change)) is not None:
                        self._watchers.tell(table, heard)
                        channel.copied += kind.copied is Copied.ALL
                        if channel.copied > bounds.STORE_RECORDS:
                            # Perhaps nothing of what was told is there: the copy is no larger than that and what is.
                            await self._copy_table(kind, table)
                            channel.copied = 0
                    channel.begun.set()
            except StoreError as error:
                if not channel.begun.is_set():  # it never can be
                    channel.error = error
                    channel.begun.set()
                    return
            except Exception as error:
                logs.bug(log, self._counters, "store", "watching %s", table, error=error)
                channel.begun.set()
            self._watchers.missed(table)
            await asyncio.sleep(RETRY)

    def _heard(self, kind: SharedTable, table: str, change: Change) -> Change | None:
        """The change as it counts here; None for what this host had deleted before."""
        key, value, expires = change
        held = None if value is None or not expires > 0 else StoredValue(value, expires)
        at = address(table, key)
        deleted_at = self._forgotten.get(at)
        if held is not None and deleted_at is not None and kind.merge(key, None, deleted_at, held) is None:
            self._sharing.note(at, deleted_at)
            return None
        if kind.copied is Copied.ALL and at not in self._sharing:
            self._copy(kind, table, key, held)
        return Change(key, *held) if held is not None else Change(key, None, 0)

    def _copy(self, kind: SharedTable, table: str, key: bytes, held: StoredValue | None) -> None:
        """Have in the own store what the shared one has; nothing where that is no record of the table."""
        self._sharing.copy(table, key, held if held is not None and kind.readable(key, held.value) else None)

    async def _copy_table(self, kind: SharedTable, table: str) -> None:
        """Have of a small table what the shared store has, no more and no less. Never raises: the next time it comes back."""
        now = self._sharing.now()
        try:
            await self._sharing.share_table(table, now)
            seen = set()
            async for entry in self._shared.scan(table, now):
                seen.add(entry.key)
                if address(table, entry.key) not in self._sharing:
                    self._copy(kind, table, entry.key, StoredValue(entry.value, entry.expires))
            async for entry in self._own.scan(table, now):
                if entry.key not in seen and address(table, entry.key) not in self._sharing and not self._sharing.lost:
                    self._own.delete(table, entry.key)
        except StoreError as error:
            log.debug("the copy of %s is not up to date: %s", table, error)


class _Channel:
    """One table's changes, as the shared store tells them."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.begun = asyncio.Event()
        self.copied = 0
        """Changes that were copied since the whole table was."""
        self.error: StoreError | None = None
