"""Taking what one store keeps into another: ``resolverd store move``.

Each record goes by the rule of its kind (`shared_tables`): nothing that is there already is lost, and whoever moves again, after
a break or from a second host, adds what is missing and changes nothing else. Counters have no such rule: beside them stands
how much was added to each from where (`TABLE`), and only the rest is added. In the end all is read back and compared. What is
moved from stays as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

from resolverd.clients import history
from resolverd.dnsbl import quota_slots
from resolverd.failures import StoreError
from resolverd.greylist import service as greylist
from resolverd.overrides import store as overrides
from resolverd.resolver import negative_anchors
from resolverd.state.base import Entry, Store, StoredValue, count_of, encode_count
from resolverd.state.shared import Merge

T = TypeVar("T")

TABLES: Final = (
    greylist.TRIPLETS, greylist.CLIENTS, greylist.SENDERS, history.TABLE, overrides.TABLE, negative_anchors.TABLE,
    quota_slots.TABLE,
)  # fmt: skip
"""What is worth moving. All else is a host's own, verdicts too, which it shows to the others; or it is learnt anew in minutes."""
COUNTERS: Final = frozenset({quota_slots.TABLE})
TABLE: Final = "moved"
"""Of each counter how much was added from where: ``SOURCE NUL TABLE NUL KEY``, a decimal number."""
BATCH: Final = 32
"""Records that are read, merged and written side by side: no more than what a server answers well within its time."""
PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds after which it is tried again what a store would not do."""
_TRIES: Final = 20
"""Of a record that others write to meanwhile."""
_TICK: Final = 0.002
"""Seconds by which an end may differ once it has been stored: some stores keep milliseconds."""


class Moved(NamedTuple):
    """Of one table: records that were `new` there, those that `changed` one that was, those of which all was `there` already,
    and those that were found in the end."""

    new: int = 0
    changed: int = 0
    there: int = 0
    found: int = 0

    @property
    def records(self) -> int:
        """How many were moved, or had been."""
        return self.new + self.changed + self.there


class Mover:
    """Moves from one store into another, as of the wall second `now`.

    `merge` has the rule of each kind, `counters` are the tables that have none; `origin` names the store that is moved from, the
    same name each time. All raise StoreError.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        merge: Merge,
        counters: Collection[str],
        origin: str,
        now: float,
        pauses: Sequence[float] = PAUSES,
    ):
        self._source = source
        self._target = target
        self._merge = merge
        self._counters = counters
        self._origin = origin
        self._now = now
        self._pauses = pauses

    async def count(self, tables: Collection[str]) -> int:
        """How many records there are to move."""
        return sum([1 async for _ in self._all(tables)])

    async def move(self, tables: Collection[str], tell: Callable[[int], None] = lambda _: None) -> dict[str, Moved]:
        """Move these tables, and read them back; `tell` is called with how many more records are done, each of them twice."""
        return {table: await self._move(table, tell) for table in tables}

    async def _move(self, table: str, tell: Callable[[int], None]) -> Moved:
        put = self._add if table in self._counters else self._put
        moved = Moved()
        async for batch in self._batches(table):
            for was in await self._each(partial(put, table), batch):
                moved = moved._replace(**{was: getattr(moved, was) + 1})
            tell(len(batch))
        await self._patiently(self._target.flush)
        found = 0
        async for batch in self._batches(table):
            found += sum(await self._each(partial(self._is_there, table), batch))
            tell(len(batch))
        return moved._replace(found=found)

    async def _each(self, work: Callable[[Entry], Awaitable[T]], batch: Sequence[Entry]) -> list[T]:
        """What comes of each, all side by side."""
        return await asyncio.gather(*(self._patiently(partial(work, entry)) for entry in batch))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        for pause in self._pauses:
            try:
                return await work()
            except StoreError:
                await asyncio.sleep(pause)
        return await work()

    async def _put(self, table: str, entry: Entry) -> str:
        """Merge a record with what is there; which of `Moved` it is."""
        ours = StoredValue(entry.value, entry.expires)
        for _ in range(_TRIES):
            theirs = await self._target.stored(table, entry.key, self._now)
            merged = self._merge(table, entry.key, ours, self._now, theirs)
            if merged is None or (theirs is not None and _same(merged, theirs)):
                return "there"
            expected = None if theirs is None else theirs.value
            if await self._target.cas(table, entry.key, expected, merged.value, self._now, merged.expires):
                return "new" if theirs is None else "changed"
        raise StoreError(f"a record of table {table} changes all the time; move again")

    async def _add(self, table: str, entry: Entry) -> str:
        """Add what has not been added yet of a counter. A break in the middle adds twice, as of two counts the higher is safe."""
        mark = self._mark(table, entry.key)
        count, added = count_of(entry.value), count_of(await self._target.get(TABLE, mark, self._now))
        if count <= added:
            return "there"
        await self._target.add(table, entry.key, count - added, self._now, entry.expires)
        self._target.put(TABLE, mark, encode_count(count), entry.expires)
        return "changed" if added else "new"

    async def _is_there(self, table: str, entry: Entry) -> bool:
        if table in self._counters:
            mark, there = self._mark(table, entry.key), await self._target.get(table, entry.key, self._now)
            moved = count_of(await self._target.get(TABLE, mark, self._now))
            return count_of(there) >= count_of(entry.value) == moved
        theirs = await self._target.stored(table, entry.key, self._now)
        merged = self._merge(table, entry.key, StoredValue(entry.value, entry.expires), self._now, theirs)
        return merged is None or (theirs is not None and _same(merged, theirs))

    def _mark(self, table: str, key: bytes) -> bytes:
        return b"\0".join((self._origin.encode(), table.encode(), key))

    async def _all(self, tables: Collection[str]) -> AsyncIterator[Entry]:
        for table in tables:
            async for entry in self._source.scan(table, self._now):
                yield entry

    async def _batches(self, table: str) -> AsyncIterator[list[Entry]]:
        batch: list[Entry] = []
        async for entry in self._source.scan(table, self._now):
            batch.append(entry)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _same(one: StoredValue, other: StoredValue) -> bool:
    return one.value == other.value and abs(one.expires - other.expires) <= _TICK
