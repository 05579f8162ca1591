"""A shared store with the host's own behind it: while the shared one is out of reach, mail goes on by what this host knows.

- What is written goes to both, and what is read of the shared store is copied, as each table says (`merging.Copied`).
- A read that the shared store does not answer in time is answered by the own copy. What that does not have is not known, which is
  a StoreError: another host may have it. Greylisting then lets mail pass instead of making it wait twice.
- A `cas` goes on with the own copy where the table says so and what was expected stands there. A record that would be new is
  no use to the others, nor known to be new, and an `add` may be somebody else's share: StoreError.
- What the shared store has not acknowledged is noted (`unshared`), and merged with what is there as soon as it is back; before
  that, whoever reads such a record has it merged first. A scan of a table that is not small may miss it until then.
- A store that comes back without its memory gets all that its hosts have copies of, merged. Until they all have had time for
  that (`sharing.FORGOTTEN`), what is in neither store is not known.

A deletion is `cas`, to a record that ends at 0: nothing that came between is deleted with it.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
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
    key_of,
    stored_value,
    table_of,
)
from resolverd.state.merging import Copied, SharedTable
from resolverd.state.news import News
from resolverd.state.shared import SharedStore
from resolverd.state.sharing import Sharing

log = logging.getLogger(__name__)


async def open_fallback(
    shared: SharedStore, own: Store, clock: Clock, counters: Counters, table: Callable[[str], SharedTable]
) -> "FallbackStore":
    """A store of both. Waits for the own one only. Never raises for either."""
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
        self._counters = counters
        self._table = table
        self._closed = False
        self._sharing = Sharing(shared, own, clock, counters, table)
        self._news = News(shared, own, self._sharing, counters, table, self._check_open)

    async def begin(self) -> None:
        """Take up what an earlier process has left to be shared. Never raises."""
        await self._sharing.begin()

    def watch(self, table: str) -> AsyncIterator[Change | None]:
        """The table's changes from now on: the shared store's, and this host's own while that is out of reach."""
        return self._news.watch(table)

    @property
    def offset(self) -> float:
        """Seconds by which the shared store's clock is ahead of this machine's, as last known, over a restart as well."""
        return self._sharing.offset

    @property
    def reachable(self) -> bool:
        """Whether the shared store is within reach."""
        return self._shared.reachable

    @property
    def waiting(self) -> int:
        """Records that the shared store is still to have."""
        return self._sharing.waiting

    @property
    def shared(self) -> bool:
        """Whether the shared store has all that this host has to tell."""
        return not self._sharing.owes()

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
        if at in self._sharing or (self._sharing.restores(kind) and await self._own.stored(table, key, now) is not None):
            await self._sharing.share(at)
        held = await self._shared.stored(table, key, now)
        if held is None and kind.goes_on and not self._sharing.lost and await self._own.stored(table, key, now) is not None:
            await self._shared.recall()  # others have deleted it; or somebody all of it
            self._check_reach()
        if held is None and kind.goes_on and self._sharing.may_be_forgotten():
            raise StoreError("the shared store has lost its memory, and has not been told again yet")
        if kind.copied is Copied.ALL:
            self._sharing.copy(table, key, held)
        return held

    async def _copied(self, table: str, key: bytes, now: float, error: StoreError) -> StoredValue | None:
        """What the own copy has. Raises the error where it has none: another host may."""
        note = self._sharing.noted(address(table, key))
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
                await self._sharing.share_table(table, now)
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
            return sorted({*await self._shared.tables(), *map(table_of, self._sharing.addresses())})
        except StoreError:
            self._check_open()
        return await self._sharing.copied_tables()

    # -- writing

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`, in both stores."""
        self._check_open()
        held, at = stored_value(value, expires), address(table, key)
        self._news.put(at)
        if self._table(table).copied is Copied.NOTHING:
            self._check_reach()
            self._shared.put(table, key, value, expires)
            return
        if self._sharing.hand_over(at, None, lambda: self._shared.put(table, key, value, expires)):
            self._sharing.copy(table, key, held)
            return
        self._own.put(table, key, value, expires)
        self._sharing.note(at)
        self._news.tell(table, Change(key, value, expires))

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record, in both stores."""
        self._check_open()
        kind, at, now = self._table(table), address(table, key), self._sharing.now()
        if kind.copied is Copied.NOTHING:
            self._check_reach()
            self._shared.delete(table, key)
            return
        if kind.small:
            self._news.deleted(at, now)
        if self._sharing.hand_over(at, now, lambda: self._shared.delete(table, key)):
            self._sharing.copy(table, key, None)
            return
        self._own.delete(table, key)
        self._sharing.note(at, now)
        self._news.tell(table, Change(key, None, 0))

    def has_room(self) -> bool:
        """Whether the store has that takes it now."""
        return self._shared.has_room() if self._shared.reachable else self._own.has_room()

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then; the shared store alone can."""
        self._check_open()
        self._check_reach()
        if (at := address(table, key)) in self._sharing:
            await self._sharing.share(at)
        count = await self._shared.add(table, key, amount, now, expires)
        if self._table(table).copied is Copied.ALL:
            self._sharing.copy(table, key, StoredValue(encode_count(count), expires))
        return count

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that is there is the one expected; whether it was."""
        self._check_open()
        kind, at = self._table(table), address(table, key)
        if kind.copied is Copied.NOTHING:
            return await self._shared.cas(table, key, expected, value, now, expires)
        try:
            self._check_reach()
            if at in self._sharing:
                await self._sharing.share(at)
            took = await self._shared.cas(table, key, expected, value, now, expires)
        except StoreError as error:
            self._check_open()
            return await self._cas_alone(kind, at, expected, StoredValue(value, expires), now, error)
        if took and kind.copied is Copied.ALL:
            self._sharing.copy(table, key, StoredValue(value, expires))
        return took

    async def _cas_alone(
        self, kind: SharedTable, at: bytes, expected: bytes | None, new: StoredValue, now: float, error: StoreError
    ) -> bool:
        """The same with the own copy, to be merged later. Raises the error where that cannot be told."""
        table, key = table_of(at), key_of(at)
        if not kind.goes_on:
            raise error
        if expected is not None and await self._own.cas(table, key, expected, new.value, now, new.expires):
            self._sharing.note(at)
            self._news.tell(table, Change(key, *new))
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
            if not self._sharing.waiting:
                return
        self._check_open()
        self._sharing.note_pending()
        await self._own.flush()

    # -- the rest

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
        await self._news.close()
        await self._sharing.close()
        await self._shared.close()
        self._sharing.note_pending()
        await self._own.close()

    def _check_reach(self) -> None:
        if not self._shared.reachable:
            raise StoreError("the shared store is out of reach")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
