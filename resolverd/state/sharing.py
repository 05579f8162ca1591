"""What a host owes the store that it shares, and telling it: after an outage, a restart, a loss of memory, and behind mail."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from resolverd import logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import unshared
from resolverd.state.base import UNREAD, Store, StoredValue, address, key_of, prefix, table_of
from resolverd.state.merging import Copied, SharedTable
from resolverd.state.shared import MAX_OFFSET, SharedStore
from resolverd.state.unshared import FOREVER, Note, Unshared

TABLE: Final = "shared-store"
"""Of the own store: what is known of the shared one."""
_MEMORY: Final = b"memory"
_OFFSET: Final = b"offset"
_LOST_AT: Final = b"lost at"
_ALL_UNSHARED: Final = b"all unshared"
BATCH: Final = 20
"""Records merged side by side after an outage: two round trips for all of them."""
PAUSE: Final = 0.02
"""Seconds between two batches, and no less than the last one took: a thousand records a second at the most, so that the server
has time for mail though all hosts have come back at once."""
RETRY: Final = 1.0
"""Seconds until merging goes on where it failed and the store is within reach still."""
MERGE_TRIES: Final = 10
"""How often a record is merged anew as somebody else has changed it meanwhile; each time, somebody has got on."""
FORGOTTEN: Final = 300.0
"""Seconds after a loss of memory in which what is not found is not known, longer where this host is not done with telling what it
has by then: the other hosts still bring back what they have."""

log = logging.getLogger(__name__)


def write_alone(own: Store) -> None:
    """Have a store that is to be written to by itself bring in all that it has when it shares the next time.

    What it keeps then is not noted as unshared, and may be said of a server that it has met already.
    """
    try:
        own.delete(TABLE, _MEMORY)
    except StoreError as error:
        log.error("the store does not take that it is no more shared: %s", error)


class Sharing:
    """Of one shared store and the host's own. `table` tells what is to be known of a table, `clock` is the machine's."""

    def __init__(
        self, shared: SharedStore, own: Store, clock: Clock, counters: Counters, table: Callable[[str], SharedTable]
    ) -> None:
        self._shared = shared
        self._own = own
        self._clock = clock
        self._counters = counters
        self._table = table
        self._unshared = Unshared(own, lambda name: table(name).small)
        self._pending: dict[bytes, float | None] = {}
        """What was handed to the shared store and is not acknowledged; the wall second of a deletion."""
        self._memory = ""
        self._offset = 0.0
        self._all_unshared = False
        """Whether more was written than was noted: all tables but the small ones are merged."""
        self._overflows = 0
        self.lost = False
        """Whether the shared store has another memory than the one that all of this host's copies were merged into."""
        self._found = ""
        """Which one."""
        self._told: dict[str, bytes] = {}
        """How far each table has been told to it: the key to go on from."""
        self._lost_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.back = asyncio.Event()
        """Set while the shared store is within reach."""
        self._closed = False

    async def begin(self) -> None:
        """Take up what an earlier process has left to be shared. Never raises: where that cannot be read, all is merged."""
        try:
            await self._take_up(self._clock.wall())
        except StoreError as error:
            log.error("the own store does not say what the shared one is still to be told: %s", error)
            self._all_unshared = True
        self._shared.on_reach.append(self._reached)
        self._shared.on_late.append(self._late)
        self._shared.on_written.append(self._written)
        if self._shared.reachable:
            self._reached(True)

    async def _take_up(self, now: float) -> None:
        self._memory = (await self._own.get(TABLE, _MEMORY, now) or b"").decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            offset = float(await self._own.get(TABLE, _OFFSET, now) or b"0")
            self._offset = offset if abs(offset) <= MAX_OFFSET else 0.0
            if (lost := await self._own.get(TABLE, _LOST_AT, now)) is not None:
                self._lost_at = self._clock.monotonic() - max(0.0, now - float(lost))
        self._all_unshared = await self._own.get(TABLE, _ALL_UNSHARED, now) is not None
        await self._unshared.load(now)

    @property
    def offset(self) -> float:
        """Seconds by which the shared store's clock is ahead of this machine's, as last known, over a restart as well."""
        return self._shared.offset if self._shared.memory else self._offset

    @property
    def waiting(self) -> int:
        """Records that the shared store is still to have."""
        return len(self._unshared)

    def __contains__(self, at: object) -> bool:
        """Whether what stands at an address is still to be shared."""
        return at in self._unshared

    def noted(self, at: bytes) -> Note | None:
        """What is noted of an address that is still to be shared."""
        return self._unshared.get(at)

    def addresses(self) -> list[bytes]:
        """All that are."""
        return list(self._unshared)

    async def close(self) -> None:
        """Tell nothing more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def now(self) -> float:
        """The wall second, by the shared store's clock."""
        return self._clock.wall() + self.offset

    def may_be_forgotten(self) -> bool:
        """Whether the hosts may still be telling a shared store that has lost its memory; this one is as good as any."""
        return self._lost_at is not None and (self.lost or self._clock.monotonic() - self._lost_at < FORGOTTEN)

    def restores(self, kind: SharedTable) -> bool:
        """Whether all copies of such a table are to be merged."""
        return self.lost or (self._all_unshared and not kind.small)

    def owes(self) -> bool:
        """Whether there is anything left to be told."""
        return bool(self._unshared) or self.lost or self._all_unshared

    async def copied_tables(self) -> list[str]:
        """Those of which the own store may have copies."""
        names = set(await self._own.tables()) - {TABLE, unshared.TABLE}
        return sorted(name for name in names if self._table(name).copied is not Copied.NOTHING)

    def copy(self, table: str, key: bytes, held: StoredValue | None) -> None:
        """Have in the own store what the shared one has; without, where it does not take it."""
        try:
            known = self._own.known(table, key, self.now())
            if held is None:
                if known is not None:
                    self._own.delete(table, key)
            elif known is UNREAD or known != held.value:
                self._own.put(table, key, *held)
        except StoreError as error:
            self._counters.add("store_copies_lost")
            log.debug("no copy is kept: %s", error)

    def hand_over(self, at: bytes, deleted_at: float | None, write: Callable[[], None]) -> bool:
        """Give a writing to the shared store; False where it has to be noted instead."""
        if not self._shared.reachable or at in self._unshared:
            return False
        before = self._pending.get(at, UNREAD)
        self._pending[at] = deleted_at
        try:
            write()
        except StoreError:
            if before is UNREAD:
                del self._pending[at]
            else:
                self._pending[at] = before
            return False
        return True

    def note(self, at: bytes, deleted_at: float | None = None) -> None:
        """A record is still to be shared. Raises StoreError."""
        self._unshared.note(at, deleted_at)
        if self._unshared.overflown:
            self._unshared.overflown = False
            self._all_unshared = True
            self._overflows += 1
            self._told.clear()
            self._own.put(TABLE, _ALL_UNSHARED, b"1", FOREVER)
        self._share_soon()

    def note_pending(self) -> None:
        """What is not acknowledged may never be."""
        pending, self._pending = self._pending, {}
        for at, deleted_at in pending.items():
            if at not in self._unshared:
                try:
                    self.note(at, deleted_at)
                except StoreError as error:
                    log.error("the own store does not take what the shared one has not taken: %s", error)
                    return

    def _late(self, table: str, key: bytes) -> None:
        """A writing that the shared store could not do at first."""
        if self._table(table).copied is Copied.NOTHING or self._closed:
            return
        at, now = address(table, key), self.now()
        if at in self._unshared:
            return
        with contextlib.suppress(StoreError):
            gone = self._own.known(table, key, now) is None
            self.note(at, self._pending.pop(at, now if gone else None))

    def _written(self, table: str, key: bytes) -> None:
        self._pending.pop(address(table, key), None)

    def _reached(self, reachable: bool) -> None:
        if self._closed:
            return
        if not reachable:
            self.back.clear()
            self.note_pending()
            return
        self.back.set()
        if not self._shared.memory:
            return
        self._offset = self._shared.offset
        with contextlib.suppress(StoreError):
            self._own.put(TABLE, _OFFSET, b"%r" % self._offset, FOREVER)
        self.lost = self._shared.memory != self._memory
        if self.lost and self._shared.memory != self._found:
            self._found = self._shared.memory
            self._told.clear()
            if self._memory:
                self._lost_at, wall = self._clock.monotonic(), self._clock.wall()
                with contextlib.suppress(StoreError):
                    self._own.put(TABLE, _LOST_AT, b"%r" % wall, wall + FORGOTTEN)
                self._counters.add("store_memory_lost")
                log.warning("the shared store has lost its memory: it gets what this host has copies of")
        self._share_soon()

    def _share_soon(self) -> None:
        if self._task is None and self._shared.reachable and not self._closed and self.owes():
            self._task = asyncio.get_running_loop().create_task(self._share_all())

    async def _share_all(self) -> None:
        """Bring to the shared store what it does not have, while it is within reach."""
        try:
            while self._shared.reachable and self.owes():
                try:
                    while due := self._unshared.first(BATCH):
                        await self._share_gently(due)
                    if self.lost or self._all_unshared:
                        await self._restore()
                except StoreError as error:
                    log.debug("merging into the shared store: %s", error)
                    await asyncio.sleep(RETRY)
                except Exception as error:
                    logs.bug(log, self._counters, "store", "merging into the shared store", error=error)
                    await asyncio.sleep(RETRY)
        finally:
            self._task = None

    async def _restore(self) -> None:
        """Bring to the shared store all that this host has copies of, what is watched first. Raises StoreError."""
        memory = self._shared.memory
        overflows = self._overflows
        for table in sorted(await self.copied_tables(), key=lambda each: not self._table(each).small):
            if self.restores(self._table(table)):
                await self._restore_table(table)
        if self._shared.memory != memory:
            return
        self._memory, self.lost = memory, False
        self._own.put(TABLE, _MEMORY, memory.encode(), FOREVER)
        if self._overflows == overflows:
            self._all_unshared = False
            self._own.delete(TABLE, _ALL_UNSHARED)

    async def _restore_table(self, table: str) -> None:
        due: list[bytes] = []
        async for entry in self._own.scan(table, self.now(), self._told.get(table, b"")):
            due.append(address(table, entry.key))
            if len(due) == BATCH:
                await self._share_gently(due, new=True)
                self._told[table] = entry.key + b"\0"
                due.clear()
        await self._share_gently(due, new=True)

    async def _share_gently(self, due: list[bytes], *, new: bool = False) -> None:
        """The same as `_share_batch`, and then leave the server to the others for as long. Raises StoreError."""
        begun = self._clock.monotonic()
        await self._share_batch(due, new=new)
        await asyncio.sleep(max(PAUSE, self._clock.monotonic() - begun))

    async def share_table(self, table: str, now: float) -> None:
        """Have what this host has to say of a small table said. Raises StoreError."""
        head = prefix(table)
        due = [at for at in self._unshared if at.startswith(head)]
        if self.lost:
            due += [address(table, entry.key) async for entry in self._own.scan(table, now)]
        for start in range(0, len(due), BATCH):
            await self._share_batch(due[start : start + BATCH])

    async def _share_batch(self, due: list[bytes], *, new: bool = False) -> None:
        """Merge these side by side; they are `new` to the shared store, presumably. Raises StoreError, after all were tried."""
        failed: StoreError | None = None
        results = await asyncio.gather(*(self.share(at, new=new) for at in due), return_exceptions=True)
        for at, result in zip(due, results, strict=True):
            if isinstance(result, StoreError):
                failed = result
            elif isinstance(result, Exception):
                logs.bug(log, self._counters, "store", "a record of %s cannot be merged", table_of(at), error=result)
                self._unshared.settle(at, self._unshared.get(at))
            elif result is not None:
                raise result
        if failed is not None:
            raise failed

    async def share(self, at: bytes, *, new: bool = False) -> None:
        """Merge what this host has to say of a record with what the shared store has: nothing, where it is `new` to that.

        Raises StoreError.
        """
        table, key = table_of(at), key_of(at)
        kind = self._table(table)
        for _ in range(MERGE_TRIES):
            now, note = self.now(), self._unshared.get(at)
            ours = await self._own.stored(table, key, now)
            theirs = merged = None if new and ours is not None else await self._shared.stored(table, key, now)
            new = False
            if ours is not None:
                merged = kind.merge(key, ours, now, theirs)
            elif note is not None and note.deleted_at is not None:
                merged = kind.merge(key, None, note.deleted_at, theirs)
            if merged != theirs:
                expected = None if theirs is None else theirs.value
                value, expires = merged if merged is not None else (b"", 0.0)
                if not await self._shared.cas(table, key, expected, value, now, expires):
                    continue
                self._counters.add("store_merged", table=table)
            if self._unshared.get(at) is not note:
                continue  # written anew meanwhile
            if kind.copied is Copied.ALL and self._own.known(table, key, now) in (UNREAD, None if ours is None else ours.value):
                self.copy(table, key, merged)
            self._unshared.settle(at, note)
            return
        raise StoreError(f"others were at the same record {MERGE_TRIES} times")
