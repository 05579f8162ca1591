"""The contract of `state.base` over a server that several hosts share; `state.shared` says what comes to it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import (
    UNREAD,
    Change,
    Condition,
    Entry,
    StoredValue,
    Unread,
    encode_count,
    stored_value,
    sweep_allowance,
)
from resolverd.state.redis import scripts
from resolverd.state.redis.changes import Changes
from resolverd.state.redis.frames import Names, Place
from resolverd.state.redis.lowest import LowestKeys
from resolverd.state.redis.records import Records
from resolverd.state.redis.replies import Refusal, list_of, number, strings
from resolverd.state.redis.session import Session
from resolverd.state.redis.subscription import Subscription
from resolverd.state.redis.tasks import end
from resolverd.state.redis.unwritten import Address, Write
from resolverd.state.redis.writing import Writer

PREFETCH_AGE: Final = 0.05
"""Seconds for which what was read ahead is good."""
PAGE: Final = 256
"""Records read at a time while a table is gone through."""
FIRST_HELD: Final = 2000
"""Keys of a table held at first while it is gone through, as most want no more; for more than those all are looked at again."""
KEYS: Final = 1000
"""Keys that the server looks at in one step of a search for some."""
CLOSING: Final = 2.0
"""Seconds for what is not written yet when the store is closed."""
SWEEP_EVERY: Final = 50_000
"""Milliseconds for which one host alone removes what has expired."""

log = logging.getLogger(__name__)


class RedisStore:
    """Records in a server that others use as well; `opening.open_redis` makes one. `small`: the tables that are one hash each."""

    def __init__(
        self,
        session: Session,
        names: Names,
        records: Records,
        changes: Changes,
        writer: Writer,
        subscription: Subscription,
        small: frozenset[str],
        clock: Clock,
        counters: Counters,
        url: str,
    ):
        self._session = session
        self._names = names
        self._records = records
        self._changes = changes
        self._writer = writer
        self._subscription = subscription
        self._small = small
        self._clock = clock
        self._counters = counters
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._unwritten = writer.unwritten
        self._prefetched: OrderedDict[Address, tuple[StoredValue | None, float]] = OrderedDict()
        self._reading: set[Address] = set()
        self._swaps = counters.count("store_operations", op="swap", outcome="done")
        self._adds = counters.count("store_operations", op="add", outcome="done")
        self._sweeping: asyncio.Task[None] | None = None
        self._listing = asyncio.Lock()
        self._closed = False
        self.on_reach = session.on_reach
        self.on_late = writer.on_late
        self.on_written = writer.on_written
        session.on_reach.append(lambda reachable: self._prefetched.clear())
        session.start()

    # -- reach

    @property
    def reachable(self) -> bool:
        """As in `shared.SharedStore`."""
        return self._session.reachable

    @property
    def offset(self) -> float:
        """As in `shared.SharedStore`."""
        return self._session.offset

    @property
    def memory(self) -> str:
        """As in `shared.SharedStore`."""
        return self._session.memory

    @property
    def servers(self) -> int:
        """As in `shared.SharedStore`."""
        return self._session.servers

    async def recall(self) -> None:
        """As in `shared.SharedStore`."""
        try:
            await self._session.recall()
        except Refusal as error:
            raise self._records.refused(error) from None

    async def connected(self, patience: float) -> bool:
        """As in `shared.SharedStore`."""
        return await self._session.connected(patience)

    # -- reading

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put, by any host."""
        held = await self.stored(table, key, now)
        return held.value if held is not None else None

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        self.check_open()
        held = self._at_hand((table, key))
        if isinstance(held, Unread):
            held = await self._records.read((table, key))
        return held if held is not None and now < held.expires else None

    def known(self, table: str, key: bytes, now: float) -> Unread:
        """Nothing: others write as well."""
        self.check_open()
        return UNREAD

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Read all of it in one round trip; for a moment `get` has it then."""
        self.check_open()
        asked = [at for at in dict.fromkeys(wanted) if self._at_hand(at) is UNREAD]
        self._reading.update(asked)
        try:
            found = await self._records.read_all(asked)
            until = self._clock.monotonic() + PREFETCH_AGE
            for at, held in zip(asked, found, strict=True):
                if not isinstance(held, StoreError) and at in self._reading:
                    self._prefetched[at] = held, until
                    self._prefetched.move_to_end(at)
        finally:
            self._reading.difference_update(asked)
        self._forget_prefetched()
        for held in found:
            if isinstance(held, StoreError):
                raise held

    def _forget_prefetched(self) -> None:
        now = self._clock.monotonic()
        while self._prefetched and (
            len(self._prefetched) > bounds.STORE_SHARED_PREFETCHED or next(iter(self._prefetched.values()))[1] < now
        ):
            self._prefetched.popitem(last=False)

    def _at_hand(self, at: Address) -> StoredValue | Unread | None:
        """What is known of a record without asking: what was put here and is not written yet, or was read a moment ago."""
        if self._unwritten and (write := self._unwritten.find(at)) is not None:
            return write.stored()
        if self._prefetched and (found := self._prefetched.get(at)) is not None and self._clock.monotonic() < found[1]:
            return found[0]
        return UNREAD

    def _no_more_prefetched(self, at: Address) -> None:
        self._reading.discard(at)
        self._prefetched.pop(at, None)

    # -- writing

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Have it written, at once where the server is within reach."""
        self._check_record(key, value, expires)
        self._change((table, key), self._records.to_write(value, expires))

    def delete(self, table: str, key: bytes) -> None:
        """Have it deleted."""
        self._change((table, key), self._records.to_write(None, 0))

    def has_room(self) -> bool:
        """Whether the server is within reach and takes what is written."""
        return self._session.reachable and not self._writer.fault and len(self._unwritten) < self._unwritten.limit // 10

    def _change(self, at: Address, write: Write) -> None:
        self.check_open()
        self._names.place(*at)  # a table's name that is none
        self._writer.put(at, write)
        self._no_more_prefetched(at)
        if at[0] in self._small:
            self._changes.tell(at, write)

    # -- what is decided where the record is

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that stands there is the one expected."""
        self.check_open()
        self._check_record(key, value, expires)
        at, write = (table, key), self._records.to_write(value, expires)
        await self._writer.settled(at)
        self._no_more_prefetched(at)
        try:
            swapped = await self._records.swap(at, expected, write, now)
        except Refusal as error:
            raise self._records.refused(error) from None
        finally:
            self._no_more_prefetched(at)
        self._swaps[0] += 1
        if swapped:
            wall = self._records.now()
            self._unwritten.remember(at, write._replace(at=wall), wall)
        return swapped

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then."""
        self.check_open()
        self._check_record(key, encode_count(amount), expires)
        at = table, key
        await self._writer.settled(at)
        self._no_more_prefetched(at)
        try:
            count = await self._records.add(at, amount, now, expires)
        except Refusal as error:
            raise self._records.refused(error) from None
        finally:
            self._no_more_prefetched(at)
        self._adds[0] += 1
        return count

    @staticmethod
    def _check_record(key: bytes, value: bytes, expires: float) -> None:
        stored_value(value, expires)
        if len(key) > bounds.STORE_SHARED_KEY:
            raise StoreError(f"a key of {len(key)} octets is too long for the shared store")
        if len(value) > bounds.STORE_SHARED_OCTETS:
            raise StoreError(f"a value of {len(value)} octets is too large for the shared store")

    # -- watching

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Changes of the table by any host."""
        self.check_open()
        if table not in self._small:
            raise StoreError(f"{table} is not watched")
        changes = self._changes.watch(table)
        await self._subscription.add(self._names.channel(table), table)
        async for change in changes:
            yield change

    def heard(self, table: str, message: bytes) -> None:
        """The server tells of a change."""
        if (at := self._changes.heard(table, message)) is not None:
            self._no_more_prefetched(at)

    # -- all of it

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key. The server gives its keys in none: of many some are held at a time, ever more."""
        following: bytes | None = start
        count = FIRST_HELD
        while following is not None:
            self.check_open()
            keys, following = await self._keys(table, following, count)
            async for entry in self._entries(table, keys, now):
                yield entry
            count = min(4 * count, bounds.STORE_SHARED_KEYS)

    async def _entries(self, table: str, keys: list[bytes], now: float) -> AsyncIterator[Entry]:
        for first in range(0, len(keys), PAGE):
            page = keys[first : first + PAGE]
            held = {key: self._at_hand((table, key)) for key in page}
            asked = [key for key in page if held[key] is UNREAD]
            read = await self._read_page(table, asked)
            held.update({key: found for key, (_, _, found) in zip(asked, read, strict=True)})
            for key in page:
                found = held[key]
                if isinstance(found, StoredValue) and now < found.expires:
                    yield Entry(key, found.value, found.expires)

    async def _read_page(self, table: str, keys: list[bytes]) -> list[tuple[Place, bytes, StoredValue | None]]:
        """Records of a table. Whoever fills those that are watched has them gone through by all who watch them, again and again:
        they are read one page at a time, and for half of the time."""
        if table not in self._small:
            return await self._records.read_slowly(table, keys)
        async with self._listing:
            begun = self._clock.monotonic()
            read = await self._records.read_slowly(table, keys)
            if len(keys) == PAGE:
                await asyncio.sleep(self._clock.monotonic() - begun)
            return read

    async def _keys(self, table: str, start: bytes, count: int) -> tuple[list[bytes], bytes | None]:
        """The keys of the first so many of a table's records from a key on, those put here and not written yet among them; and
        the key of the next one."""
        link = self._session.require()
        found = LowestKeys(start, count)
        found.take(key for each, key in self._unwritten if each == table)
        try:
            if table in self._small:
                await self._fields(table, found.take)
            else:
                pattern, key_of = self._names.pattern(table), self._names.key_of
                await link.everywhere(
                    lambda cursor: (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", KEYS),
                    lambda page: found.take(key for each in page if len(key := key_of(table, each)) <= bounds.STORE_SHARED_KEY),
                )
        except Refusal as error:
            if error.code != "WRONGTYPE":
                raise self._records.refused(error) from None
        return found.lowest()

    async def _fields(self, table: str, take: Callable[[list[bytes]], None]) -> None:
        """Have `take` called with some of the keys in a small table at a time, until it had all. Raises StoreError, Refusal."""
        name = self._names.hash_of(table)
        async with self._listing:  # the server says all of them in one reply
            link = self._session.require()
            count = number(await link.slowly(name, (b"HLEN", name)))
            if count > bounds.STORE_RECORDS:
                raise StoreError(f"{table} has {count} records in the shared store: too many to be ours")
            fields = list_of(await link.slowly(name, (b"HKEYS", name)))
            for first in range(0, len(fields), KEYS):
                take([key for key in strings(fields[first : first + KEYS]) if len(key) <= bounds.STORE_SHARED_KEY])
                await asyncio.sleep(0)

    async def tables(self) -> list[str]:
        """The tables that have records, by looking at all of them."""
        self.check_open()
        pattern = self._names.pattern(None)
        found = {at[0] for at in self._unwritten if (write := self._unwritten.find(at)) is not None and write.value is not None}

        def take(page: list[bytes]) -> None:
            found.update(table for key in page if (table := self._names.table_of(key)) is not None)
            if len(found) > bounds.STORE_TABLES:
                raise StoreError("there are too many tables in the shared store to be ours")

        try:
            await self._session.require().everywhere(lambda cursor: (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", KEYS), take)
        except Refusal as error:
            raise self._records.refused(error) from None
        return sorted(found)

    async def condition(self) -> Condition:
        """How it fares."""
        latencies = self._records.latencies
        return Condition(
            "redis",
            self._session.fault or (f"it takes no writes: {self._writer.fault}" if self._writer.fault else ""),
            self._session.octets,
            len(self._unwritten),
            latencies.quantile(0.5),
            latencies.quantile(0.99),
            self._session.server,
            self._url,
        )

    def sweep(self, now: float) -> None:
        """Begin to remove what has expired of the tables that are one hash each; the server removes the rest by itself."""
        self.check_open()
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self._loop.create_task(self._sweep(now))

    async def _sweep(self, now: float) -> None:
        try:
            if await self._has_to_sweep():
                self._counters.add("store_expired", await self._remove_expired(now))
        except (StoreError, Refusal) as error:
            log.debug("removing expired records: %s", error)

    async def _has_to_sweep(self) -> bool:
        """One host at a time does it for all."""
        key, link = self._names.sweeping, self._session.require()
        await link.submit(key, (b"SET", key, self._changes.origin, b"NX", b"PX", SWEEP_EVERY))
        return bool(await link.submit(key, (b"GETRANGE", key, b"0", b"31")) == self._changes.origin)

    async def _remove_expired(self, now: float) -> int:
        link = self._session.require()
        expired: list[tuple[Place, bytes]] = []
        records = 0
        for table in sorted(self._small):
            keys: list[bytes] = []
            await self._fields(table, keys.extend)
            records += len(keys)
            for first in range(0, len(keys), PAGE):
                for place, raw, held in await self._read_page(table, keys[first : first + PAGE]):
                    if held is not None and not now < held.expires:
                        expired.append((place, raw))
        gone = 0
        for place, raw in expired[: sweep_allowance(records)]:
            removed = await link.slowly(place.key, (b"EVAL", scripts.REMOVE_FIELD, 1, place.key, place.field or b"", raw))
            gone += number(removed)
        return gone

    async def flush(self) -> None:
        """Return when the server has acknowledged everything put so far."""
        self.check_open()
        await self._writer.flush()

    async def close(self) -> None:
        """Write what is not written yet, where that can be done soon, and let go of the server."""
        if self._closed:
            return
        self._closed = True
        self._changes.end()
        try:
            async with asyncio.timeout(CLOSING):
                await self._writer.flush()
        except (StoreError, TimeoutError) as error:
            log.error("closing the shared store: %d records are not written: %s", len(self._unwritten), error or "no reply")
        await self._writer.close()
        await self._subscription.close()
        if self._sweeping is not None:
            await end(self._sweeping)
        await self._session.close()

    def check_open(self) -> None:
        """Raises StoreError once it is closed."""
        if self._closed:
            raise StoreError("the store is closed")
