"""A shared store with the host's own behind it: while the shared one is out of reach, mail goes on by what this host knows.

- What is written goes to both, and what is read of the shared store is copied, as each table says (`merging.Copied`).
- A read that the shared store does not answer in time is answered by the own copy. What that does not have is not known, which is
  a StoreError: another host may have it. Greylisting then lets mail pass instead of making it wait twice.
- A `cas` goes on with the own copy where the table says so and what was expected stands there. A record that would be new is
  no use to the others, nor known to be new, and an `add` may be somebody else's share: StoreError.
- What the shared store has not acknowledged is noted (`unshared`), and merged with what is there as soon as it is back; before
  that, whoever reads such a record has it merged first. A scan of a table that is not small may miss it until then.
- A store that comes back without its memory gets all that its hosts have copies of, merged. Until they all have had time for
  that (`FORGOTTEN`), what is in neither store is not known.

A deletion is `cas`, to a record that ends at 0: nothing that came between is deleted with it.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import unshared
from resolverd.state.base import (
    UNREAD,
    Change,
    Condition,
    Entry,
    Store,
    StoredValue,
    Unread,
    address,
    encode_count,
    prefix,
    stored_value,
    table_of,
)
from resolverd.state.merging import Copied, SharedTable
from resolverd.state.shared import SharedStore
from resolverd.state.unshared import FOREVER, Unshared
from resolverd.state.watchers import Watchers

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
WATCH_PATIENCE: Final = 1.0
"""Seconds to wait for news of a table to come in; the own copy serves until then."""
FORGOTTEN: Final = 300.0
"""Seconds after a loss of memory in which what is not found is not known, longer where this host is not done with telling what it
has by then: the other hosts still bring back what they have."""

log = logging.getLogger(__name__)


async def open_fallback(
    shared: SharedStore, own: Store, clock: Clock, counters: Counters, table: Callable[[str], SharedTable]
) -> "FallbackStore":
    """A store of both. Waits for the own one only. Raises StoreError where that fails."""
    store = FallbackStore(shared, own, clock, counters, table)
    await store.begin()
    return store


class FallbackStore:
    """`base` has the contract; `open_fallback` makes one. Closing and sweeping it closes and sweeps both.

    `clock` is the machine's, `table` tells what is to be known of a table.
    """

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
        self._forgotten: OrderedDict[bytes, float] = OrderedDict()
        """What was deleted here of watched tables, and when: another host's older account does not bring it back."""
        self._memory = ""
        self._offset = 0.0
        self._all_unshared = False
        """Whether more was written than was noted: all tables but the small ones are merged."""
        self._overflows = 0
        self._lost = False
        """Whether the shared store has another memory than the one that all of this host's copies were merged into."""
        self._found = ""
        """Which one."""
        self._told: dict[str, bytes] = {}
        """How far each table has been told to it: the key to go on from."""
        self._lost_at: float | None = None
        self._sharing: asyncio.Task[None] | None = None
        self._watchers = Watchers(self._check_open)
        self._news: dict[str, _News] = {}
        self._back = asyncio.Event()
        self._closed = False

    async def begin(self) -> None:
        """Take up what an earlier process has left to be shared. Raises StoreError."""
        now = self._clock.wall()
        self._memory = (await self._own.get(TABLE, _MEMORY, now) or b"").decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            self._offset = float(await self._own.get(TABLE, _OFFSET, now) or b"0")
            if (lost := await self._own.get(TABLE, _LOST_AT, now)) is not None:
                self._lost_at = self._clock.monotonic() - max(0.0, now - float(lost))
        self._all_unshared = await self._own.get(TABLE, _ALL_UNSHARED, now) is not None
        await self._unshared.load(now)
        self._shared.on_reach.append(self._reached)
        self._shared.on_late.append(self._late)
        self._shared.on_written.append(self._written)
        if self._shared.reachable:
            self._reached(True)

    @property
    def offset(self) -> float:
        """Seconds by which the shared store's clock is ahead of this machine's, as last known, over a restart as well."""
        return self._shared.offset if self._shared.memory else self._offset

    @property
    def reachable(self) -> bool:
        """Whether the shared store is within reach."""
        return self._shared.reachable

    @property
    def waiting(self) -> int:
        """Records that the shared store is still to have."""
        return len(self._unshared)

    # -- reading

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired."""
        held = await self.stored(table, key, now)
        return None if held is None else held.value

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        self._check_open()
        kind = self._table(table)
        if kind.copied is Copied.NOTHING:
            return await self._shared.stored(table, key, now)
        try:
            self._check_reach()
            return await self._stored(kind, table, key, now)
        except StoreError as error:
            self._check_open()
            return await self._copied(table, key, now, error)

    async def _stored(self, kind: SharedTable, table: str, key: bytes, now: float) -> StoredValue | None:
        """What the shared store has, with what this host still has to say of it. Raises StoreError."""
        at = address(table, key)
        if at in self._unshared or (self._restores(kind) and await self._own.stored(table, key, now) is not None):
            await self._share(at)
        held = await self._shared.stored(table, key, now)
        if held is None and kind.goes_on and not self._lost and await self._own.stored(table, key, now) is not None:
            await self._shared.recall()  # others have deleted it; or somebody all of it
            self._check_reach()
        if held is None and kind.goes_on and self._may_be_forgotten():
            raise StoreError("the shared store has lost its memory, and has not been told again yet")
        if kind.copied is Copied.ALL:
            self._copy(table, key, held)
        return held

    async def _copied(self, table: str, key: bytes, now: float, error: StoreError) -> StoredValue | None:
        """What the own copy has. Raises the error where it has none: another host may."""
        note = self._unshared.get(address(table, key))
        if note is not None and note.deleted_at is not None:
            return None
        held = await self._own.stored(table, key, now)
        if held is None:
            self._counters.add("store_unknown_reads", table=table)
            raise error
        self._counters.add("store_fallback_reads", table=table)
        return held

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """Nothing is known for certain: others write as well."""
        self._check_open()
        return UNREAD

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Read what is soon to be asked for, in one go."""
        self._check_open()
        with contextlib.suppress(StoreError):
            self._check_reach()
            await self._shared.prefetch(wanted)
            return
        await self._own.prefetch(wanted)

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key; the copies from there on where the shared store is lost meanwhile."""
        self._check_open()
        kind = self._table(table)
        if kind.copied is Copied.NOTHING:
            async for entry in self._shared.scan(table, now, start):
                yield entry
            return
        try:
            self._check_reach()
            if kind.small:
                await self._share_table(table, now)
            async for entry in self._shared.scan(table, now, start):
                start = entry.key + b"\0"
                yield entry
            return
        except StoreError:
            self._check_open()
        self._counters.add("store_fallback_reads", table=table)
        async for entry in self._own.scan(table, now, start):
            yield entry

    async def tables(self) -> list[str]:
        """The tables that have records, of those that are shared."""
        self._check_open()
        try:
            self._check_reach()
            return sorted({*await self._shared.tables(), *map(table_of, self._unshared)})
        except StoreError:
            self._check_open()
        return await self._copied_tables()

    async def _copied_tables(self) -> list[str]:
        """Those of which the own store may have copies."""
        names = set(await self._own.tables()) - {TABLE, unshared.TABLE}
        return sorted(name for name in names if self._table(name).copied is not Copied.NOTHING)

    # -- writing

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`, in both stores."""
        self._check_open()
        held, at = stored_value(value, expires), address(table, key)
        self._forgotten.pop(at, None)
        if self._table(table).copied is Copied.NOTHING:
            self._check_reach()
            self._shared.put(table, key, value, expires)
            return
        if self._hand_over(at, None, lambda: self._shared.put(table, key, value, expires)):
            self._copy(table, key, held)
            return
        self._own.put(table, key, value, expires)
        self._note(at)
        self._watchers.tell(table, Change(key, value, expires))

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record, in both stores."""
        self._check_open()
        kind, at, now = self._table(table), address(table, key), self._now()
        if kind.copied is Copied.NOTHING:
            self._check_reach()
            self._shared.delete(table, key)
            return
        if kind.small:
            # Whole seconds are what records have: one that was put in the second of its deletion may be the newer.
            self._forgotten[at] = now - 1
            if len(self._forgotten) > bounds.STORE_FORGOTTEN:
                self._forgotten.popitem(last=False)
        if self._hand_over(at, now, lambda: self._shared.delete(table, key)):
            self._copy(table, key, None)
            return
        self._own.delete(table, key)
        self._note(at, now)
        self._watchers.tell(table, Change(key, None, 0))

    def _hand_over(self, at: bytes, deleted_at: float | None, write: Callable[[], None]) -> bool:
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

    def has_room(self) -> bool:
        """Whether the store has that takes it now."""
        return self._shared.has_room() if self._shared.reachable else self._own.has_room()

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then; the shared store alone can."""
        self._check_open()
        self._check_reach()
        if (at := address(table, key)) in self._unshared:
            await self._share(at)
        count = await self._shared.add(table, key, amount, now, expires)
        if self._table(table).copied is Copied.ALL:
            self._copy(table, key, StoredValue(encode_count(count), expires))
        return count

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that is there is the one expected; whether it was."""
        self._check_open()
        kind, at = self._table(table), address(table, key)
        if kind.copied is Copied.NOTHING:
            return await self._shared.cas(table, key, expected, value, now, expires)
        try:
            self._check_reach()
            if at in self._unshared:
                await self._share(at)
            took = await self._shared.cas(table, key, expected, value, now, expires)
        except StoreError as error:
            self._check_open()
            return await self._cas_alone(kind, at, expected, StoredValue(value, expires), now, error)
        if took and kind.copied is Copied.ALL:
            self._copy(table, key, StoredValue(value, expires))
        return took

    async def _cas_alone(
        self, kind: SharedTable, at: bytes, expected: bytes | None, new: StoredValue, now: float, error: StoreError
    ) -> bool:
        """The same with the own copy, to be merged later. Raises the error where that cannot be told."""
        table, key = table_of(at), _key_of(at)
        if not kind.goes_on:
            raise error
        if expected is not None and await self._own.cas(table, key, expected, new.value, now, new.expires):
            self._note(at)
            self._watchers.tell(table, Change(key, *new))
            return True
        if await self._own.get(table, key, now) in (None, expected):
            raise error
        return False

    async def flush(self) -> None:
        """Return when everything put so far is kept: by the shared store, or noted in the own one."""
        self._check_open()
        with contextlib.suppress(StoreError):
            self._check_reach()
            await self._shared.flush()
            if not self._unshared:
                return
        self._check_open()
        self._note_pending()
        await self._own.flush()

    # -- watching

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """The table's changes from now on: the shared store's, and this host's own while that is out of reach."""
        self._check_open()
        news = self._news.get(table)
        if news is None:
            news = self._news[table] = _News()
            news.task = asyncio.get_running_loop().create_task(self._hear(table, news))
        if self._shared.reachable:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_PATIENCE):
                    await news.begun.wait()
        self._check_open()
        if news.error is not None:
            raise news.error
        async with contextlib.aclosing(self._watchers.watch(table)) as changes:  # type: ignore[type-var]
            async for change in changes:
                yield change

    async def _hear(self, table: str, news: "_News") -> None:
        """Pass on what the shared store tells of a table, for ever; ends with the store."""
        kind = self._table(table)
        while True:
            try:
                async for change in self._shared.watch(table):
                    if change is None:
                        if not self._shared.reachable:
                            news.begun.set()
                            await self._back.wait()
                        if kind.copied is Copied.ALL:
                            await self._copy_table(table)
                        self._watchers.missed(table)
                    elif (heard := self._heard(kind, table, change)) is not None:
                        self._watchers.tell(table, heard)
                    news.begun.set()
            except StoreError as error:
                if not news.begun.is_set():  # it never can be
                    news.error = error
                    news.begun.set()
                    return
            except Exception as error:
                logs.bug(log, self._counters, "store", "watching %s", table, error=error)
                news.begun.set()
            self._watchers.missed(table)
            await asyncio.sleep(RETRY)

    def _heard(self, kind: SharedTable, table: str, change: Change) -> Change | None:
        """The change as it counts here; None for what this host had deleted before."""
        key, value, expires = change
        held = None if value is None or not expires > 0 else StoredValue(value, expires)
        at = address(table, key)
        deleted_at = self._forgotten.get(at)
        if held is not None and deleted_at is not None and kind.merge(key, None, deleted_at, held) is None:
            self._note(at, deleted_at)
            return None
        if kind.copied is Copied.ALL and at not in self._unshared:
            self._copy(table, key, held)
        return Change(key, *held) if held is not None else Change(key, None, 0)

    async def _copy_table(self, table: str) -> None:
        """Have of a small table what the shared store has, no more and no less. Never raises: the next time it comes back."""
        now = self._now()
        try:
            await self._share_table(table, now)
            seen = set()
            async for entry in self._shared.scan(table, now):
                seen.add(entry.key)
                if address(table, entry.key) not in self._unshared:
                    self._copy(table, entry.key, StoredValue(entry.value, entry.expires))
            async for entry in self._own.scan(table, now):
                if entry.key not in seen and address(table, entry.key) not in self._unshared and not self._lost:
                    self._own.delete(table, entry.key)
        except StoreError as error:
            log.debug("the copy of %s is not up to date: %s", table, error)

    # -- the shared store comes and goes

    def _reached(self, reachable: bool) -> None:
        if self._closed:
            return
        if not reachable:
            self._back.clear()
            self._note_pending()
            return
        self._back.set()
        if not self._shared.memory:
            return
        self._offset = self._shared.offset
        with contextlib.suppress(StoreError):
            self._own.put(TABLE, _OFFSET, b"%r" % self._offset, FOREVER)
        self._lost = self._shared.memory != self._memory
        if self._lost and self._shared.memory != self._found:
            self._found = self._shared.memory
            self._told.clear()
            if self._memory:
                self._lost_at, wall = self._clock.monotonic(), self._clock.wall()
                with contextlib.suppress(StoreError):
                    self._own.put(TABLE, _LOST_AT, b"%r" % wall, wall + FORGOTTEN)
                self._counters.add("store_memory_lost")
                log.warning("the shared store has lost its memory: it gets what this host has copies of")
        self._share_soon()

    def _late(self, table: str, key: bytes) -> None:
        """A writing that the shared store could not do at first."""
        if self._table(table).copied is Copied.NOTHING or self._closed:
            return
        at, now = address(table, key), self._now()
        if at in self._unshared:
            return
        with contextlib.suppress(StoreError):
            gone = self._own.known(table, key, now) is None
            self._note(at, self._pending.pop(at, now if gone else None))

    def _written(self, table: str, key: bytes) -> None:
        self._pending.pop(address(table, key), None)

    def _note_pending(self) -> None:
        """What is not acknowledged may never be."""
        pending, self._pending = self._pending, {}
        for at, deleted_at in pending.items():
            if at not in self._unshared:
                try:
                    self._note(at, deleted_at)
                except StoreError as error:
                    log.error("the own store does not take what the shared one has not taken: %s", error)
                    return

    def _note(self, at: bytes, deleted_at: float | None = None) -> None:
        """A record is still to be shared. Raises StoreError."""
        self._unshared.note(at, deleted_at)
        if self._unshared.overflown:
            self._unshared.overflown = False
            self._all_unshared = True
            self._overflows += 1
            self._told.clear()
            self._own.put(TABLE, _ALL_UNSHARED, b"1", FOREVER)
        self._share_soon()

    def _restores(self, kind: SharedTable) -> bool:
        """Whether all copies of such a table are to be merged."""
        return self._lost or (self._all_unshared and not kind.small)

    def _share_soon(self) -> None:
        if self._sharing is None and self._shared.reachable and not self._closed and self._owes():
            self._sharing = asyncio.get_running_loop().create_task(self._share_all())

    def _owes(self) -> bool:
        return bool(self._unshared) or self._lost or self._all_unshared

    async def _share_all(self) -> None:
        """Bring to the shared store what it does not have, while it is within reach."""
        try:
            while self._shared.reachable and self._owes():
                try:
                    while due := self._unshared.first(BATCH):
                        await self._share_gently(due)
                    if self._lost or self._all_unshared:
                        await self._restore()
                except StoreError as error:
                    log.debug("merging into the shared store: %s", error)
                    await asyncio.sleep(RETRY)
                except Exception as error:
                    logs.bug(log, self._counters, "store", "merging into the shared store", error=error)
                    await asyncio.sleep(RETRY)
        finally:
            self._sharing = None

    async def _restore(self) -> None:
        """Bring to the shared store all that this host has copies of, what is watched first. Raises StoreError."""
        memory = self._shared.memory
        overflows = self._overflows
        for table in sorted(await self._copied_tables(), key=lambda each: not self._table(each).small):
            if self._restores(self._table(table)):
                await self._restore_table(table)
        if self._shared.memory != memory:
            return
        self._memory, self._lost = memory, False
        self._own.put(TABLE, _MEMORY, memory.encode(), FOREVER)
        if self._overflows == overflows:
            self._all_unshared = False
            self._own.delete(TABLE, _ALL_UNSHARED)

    async def _restore_table(self, table: str) -> None:
        due: list[bytes] = []
        async for entry in self._own.scan(table, self._now(), self._told.get(table, b"")):
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

    async def _share_table(self, table: str, now: float) -> None:
        """Have what this host has to say of a small table said. Raises StoreError."""
        head = prefix(table)
        due = [at for at in self._unshared if at.startswith(head)]
        if self._lost:
            due += [address(table, entry.key) async for entry in self._own.scan(table, now)]
        for start in range(0, len(due), BATCH):
            await self._share_batch(due[start : start + BATCH])

    async def _share_batch(self, due: list[bytes], *, new: bool = False) -> None:
        """Merge these side by side; they are `new` to the shared store, presumably. Raises StoreError, after all were tried."""
        failed: StoreError | None = None
        results = await asyncio.gather(*(self._share(at, new=new) for at in due), return_exceptions=True)
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

    async def _share(self, at: bytes, *, new: bool = False) -> None:
        """Merge what this host has to say of a record with what the shared store has: nothing, where it is `new` to that.

        Raises StoreError.
        """
        table, key = table_of(at), _key_of(at)
        kind = self._table(table)
        for _ in range(MERGE_TRIES):
            now, note = self._now(), self._unshared.get(at)
            ours = await self._own.stored(table, key, now)
            theirs = merged = None if new else await self._shared.stored(table, key, now)
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
                self._copy(table, key, merged)
            self._unshared.settle(at, note)
            return
        raise StoreError(f"others were at the same record {MERGE_TRIES} times")

    # -- the rest

    def _copy(self, table: str, key: bytes, held: StoredValue | None) -> None:
        """Have in the own store what the shared one has; without, where it does not take it."""
        try:
            known = self._own.known(table, key, self._now())
            if held is None:
                if known is not None:
                    self._own.delete(table, key)
            elif known is UNREAD or known != held.value:
                self._own.put(table, key, *held)
        except StoreError as error:
            self._counters.add("store_copies_lost")
            log.debug("no copy is kept: %s", error)

    def _may_be_forgotten(self) -> bool:
        """Whether the hosts may still be telling a shared store that has lost its memory; this one is as good as any."""
        return self._lost_at is not None and (self._lost or self._clock.monotonic() - self._lost_at < FORGOTTEN)

    def _now(self) -> float:
        """The wall second, by the shared store's clock."""
        return self._clock.wall() + self.offset

    async def condition(self) -> Condition:
        """The shared store's, with what it is to have of this host when it is back."""
        condition = await self._shared.condition()
        return condition._replace(waiting=condition.waiting + self.waiting)

    def sweep(self, now: float) -> None:
        """Remove some of what has expired, in both."""
        self._check_open()
        self._own.sweep(now)
        with contextlib.suppress(StoreError):
            self._shared.sweep(now)

    async def close(self) -> None:
        """Close both. What the shared store has not taken by then is noted in the own one."""
        if self._closed:
            return
        self._closed = True
        self._watchers.end()
        tasks = [self._sharing, *(news.task for news in self._news.values())]
        running = [task for task in tasks if task is not None and not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._shared.close()
        self._note_pending()
        await self._own.close()

    def _check_reach(self) -> None:
        if not self._shared.reachable:
            raise StoreError("the shared store is out of reach")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


class _News:
    """One table's changes, as the shared store tells them."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.begun = asyncio.Event()
        self.error: StoreError | None = None


def _key_of(at: bytes) -> bytes:
    return at.partition(b"\0")[2]
