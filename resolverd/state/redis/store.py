"""The contract of `state.base` over a server that several hosts share; `state.shared` says what comes to it."""

import asyncio
import logging
import secrets
import struct
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count, islice, zip_longest
from typing import Any, Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import (
    UNREAD,
    Change,
    Condition,
    Entry,
    StoredValue,
    Unread,
    count_of,
    encode_count,
    stored_value,
    sweep_allowance,
)
from resolverd.state.redis import frames, scripts
from resolverd.state.redis.connection import Arguments, Refusal, Reply, always, end
from resolverd.state.redis.frames import Foreign, Names, Place
from resolverd.state.redis.session import Session
from resolverd.state.redis.subscription import Subscription
from resolverd.state.redis.times import Times
from resolverd.state.redis.unwritten import Address, Unwritten, Write
from resolverd.state.shared import Merge
from resolverd.state.watchers import Watchers

EXTRA_TIME: Final = 600.0
"""Seconds for which the server keeps a record beyond its time: readers judge by their own clock, which may be behind."""
PREFETCH_AGE: Final = 0.05
"""Seconds for which what was read ahead is good."""
BATCH: Final = 500
"""Writes under way at a time."""
PAGE: Final = 256
"""Records read at a time while a table is gone through."""
RETRY: Final = 1.0
"""Seconds between tries to write where the server refuses."""
CLOSING: Final = 2.0
"""Seconds for what is not written yet when the store is closed."""
WAITS: Final = frozenset(("OOM", "MISCONF", "NOREPLICAS", "TRYAGAIN", "BUSY", "NOPERM"))
"""Refusals of writes that pass by themselves, or once an admin has acted: what is to be written waits."""
ELSEWHERE: Final = frozenset(("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS"))
"""Refusals that say that this server is of no use now."""
SWEEP_EVERY: Final = 50_000
"""Milliseconds for which one host alone removes what has expired."""
_FOREIGN: Final = {"WRONGTYPE": Foreign.TYPE, "OVERSIZED": Foreign.SIZE}
_TRIES: Final = 20
"""Of a swap that others are quicker at."""

log = logging.getLogger(__name__)


class RedisStore:
    """Records in a server that others use as well; `opening.open_redis` makes one. `small`: the tables that are one hash each.

    `schema`: which schema to write just now; `extra_time`: seconds, `EXTRA_TIME`.
    """

    def __init__(
        self,
        session: Session,
        names: Names,
        small: frozenset[str],
        merge: Merge,
        clock: Clock,
        counters: Counters,
        deadlines: Deadlines,
        subscription: Callable[[Callable[[str, bytes], None], Callable[[str], None]], Subscription],
        *,
        schema: Callable[[], int],
        max_unwritten: int,
        extra_time: float,
        url: str,
    ):
        self._session = session
        self._names = names
        self._small = small
        self._merge = merge
        self._clock = clock
        self._counters = counters
        self._deadlines = deadlines
        self._schema = schema
        self._extra_time = extra_time
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._unwritten = Unwritten(max_unwritten)
        self._prefetched: OrderedDict[Address, tuple[StoredValue | None, float]] = OrderedDict()
        self._reading: set[Address] = set()
        self._told_foreign: set[tuple[str, Foreign]] = set()
        self._times = Times()
        self._write_fault = ""
        self._closed = False
        self._wake = asyncio.Event()
        self._progress: asyncio.Future[None] = self._loop.create_future()
        self._watchers = Watchers(self._check_open)
        self._origin = secrets.token_bytes(8)
        self._number = count(1)
        self._echoes: dict[Address, int] = {}
        self._subscription = subscription(self._heard, self._missed)
        self._sweeping: asyncio.Task[None] | None = None
        self.on_late: list[Callable[[str, bytes], None]] = []
        self.on_written: list[Callable[[str, bytes], None]] = []
        session.on_reach.insert(0, self._reach)
        session.on_other_server.append(lambda: self._unwritten.write_again(self._now()))
        self._writer = self._loop.create_task(always(self._write_behind, "writing to the shared store", counters))
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
    def on_reach(self) -> list[Callable[[bool], None]]:
        """As in `shared.SharedStore`."""
        return self._session.on_reach

    @property
    def memory(self) -> str:
        """As in `shared.SharedStore`."""
        return self._session.memory

    @property
    def servers(self) -> int:
        """As in `shared.SharedStore`."""
        return self._session.servers

    async def connected(self, patience: float) -> bool:
        """As in `shared.SharedStore`."""
        self._check_open()
        return await self._session.connected(patience)

    # -- reading

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put, by any host."""
        held = await self.stored(table, key, now)
        return held.value if held is not None else None

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        self._check_open()
        held = self._at_hand((table, key))
        if isinstance(held, Unread):
            held = await self._read((table, key))
        return held if held is not None and now < held.expires else None

    def known(self, table: str, key: bytes, now: float) -> Unread:
        """Nothing: others write as well."""
        self._check_open()
        return UNREAD

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Read all of it in one round trip; for a moment `get` has it then."""
        self._check_open()
        asked = [at for at in dict.fromkeys(wanted) if self._at_hand(at) is UNREAD]
        self._reading.update(asked)
        try:
            found = await asyncio.gather(*(self._read(at) for at in asked), return_exceptions=True)
            until = self._clock.monotonic() + PREFETCH_AGE
            for at, held in zip(asked, found, strict=True):
                if not isinstance(held, BaseException) and at in self._reading:
                    self._prefetched[at] = held, until
                    self._prefetched.move_to_end(at)
        finally:
            self._reading.difference_update(asked)
        self._forget_prefetched()
        for held in found:
            if isinstance(held, BaseException):
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
            return StoredValue(write.value, write.expires) if write.value is not None else None
        if self._prefetched and (found := self._prefetched.get(at)) is not None and self._clock.monotonic() < found[1]:
            return found[0]
        return UNREAD

    async def _read(self, at: Address) -> StoredValue | None:
        """What stands there. Raises StoreError, behind a deadline too."""
        place = self._names.place(*at)
        link = self._session.require()
        future: asyncio.Future[Reply] = self._loop.create_future()
        begun = self._clock.monotonic()
        deadline = self._deadlines.add(begun + bounds.STORE_SHARED_READ, lambda now: self._too_late(future, begun))
        link.submit(place.key, _get(place), future)
        try:
            reply = await self._answer(future)
        finally:
            deadline.cancel()
        self._times.note(self._clock.monotonic() - begun)
        return self._record(at[0], reply)

    async def _answer(self, future: asyncio.Future[Reply]) -> Reply:
        """The reply; why it is foreign where it is not of our type. Raises StoreError."""
        try:
            reply = await future
        except Refusal as error:
            if (foreign := _FOREIGN.get(error.code)) is not None:
                return foreign
            raise self._refused(error) from None
        self._session.answered()
        return reply

    def _too_late(self, future: asyncio.Future[Reply], begun: float) -> None:
        if not future.done():
            self._counters.add("store_late")
            future.set_exception(StoreError("the shared store does not answer in time"))
            self._session.failed(begun, f"no replies within {bounds.STORE_SHARED_READ * 1000:.0f} ms")

    def _refused(self, error: Refusal) -> StoreError:
        """What a refusal means for whoever asked."""
        if error.code in ELSEWHERE:
            self._session.lost(str(error))
        return StoreError(f"the shared store refuses: {error}")

    def _record(self, table: str, reply: Reply) -> StoredValue | None:
        """What a reply says of a record; None where there is none, or nothing of ours."""
        if not reply:
            return None
        found = reply if isinstance(reply, Foreign) else frames.unframe(reply) if isinstance(reply, bytes) else Foreign.FORM
        if isinstance(found, StoredValue):
            return found
        self._counters.add("store_foreign_records", why=found.value)
        if (table, found) not in self._told_foreign and len(self._told_foreign) < bounds.STORE_TABLES:
            self._told_foreign.add((table, found))
            log.warning("the shared store has records in %s that cannot be used (%s): they count as absent", table, found.value)
        return None

    # -- writing

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Have it written, at once where the server is within reach."""
        held = stored_value(value, expires)
        if len(value) > bounds.STORE_SHARED_OCTETS:
            raise StoreError(f"a value of {len(value)} octets is too large for the shared store")
        self._change((table, key), Write(*held, self._now()))

    def delete(self, table: str, key: bytes) -> None:
        """Have it deleted."""
        self._change((table, key), Write(None, 0, self._now()))

    def has_room(self) -> bool:
        """Whether the server is within reach and takes what is written."""
        return self._session.reachable and not self._write_fault and len(self._unwritten) < self._unwritten.limit // 10

    def _change(self, at: Address, write: Write) -> None:
        self._check_open()
        self._names.place(*at)  # a table's name that is none
        if not self._unwritten.has_room(at):
            raise StoreError(f"{self._unwritten.limit} records wait to be written, no room for more")
        self._no_more_prefetched(at)
        late = self._unwritten.put(at, write, late=not self._session.reachable)
        self._tell(at, write)
        if late:
            for call in self.on_late:
                call(*at)
        else:
            self._wake.set()

    def _no_more_prefetched(self, at: Address) -> None:
        self._reading.discard(at)
        self._prefetched.pop(at, None)

    def _tell(self, at: Address, write: Write) -> None:
        """Tell who watches of a change made here; the server's own word of it is then no news."""
        if at[0] in self._small and self._watchers.has(at[0]):
            self._echoes[at] = next(self._number)
            self._watchers.tell(at[0], Change(at[1], write.value, write.expires if write.value is not None else 0))

    async def _write_behind(self) -> None:
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._session.reachable and (self._unwritten.waiting or (self._unwritten.late and not self._write_fault)):
                if self._unwritten.waiting:
                    await self._write_batch()
                else:
                    await self._merge_late()
                self._progressed()
            if self._write_fault and self._session.reachable:
                self._loop.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._write_fault = ""
        self._wake.set()

    def _progressed(self) -> None:
        progress, self._progress = self._progress, self._loop.create_future()
        progress.set_result(None)

    async def _write_batch(self) -> None:
        """Write what waits, as one batch."""
        batch = self._unwritten.take(BATCH)
        try:
            link = self._session.require()
            replies = [link.submit(*self._written_by(at, write)) for at, write in batch.items()]
        except StoreError:
            replies = []
        if replies:
            await asyncio.wait(replies)
        fault = ""
        for at, reply in zip_longest(batch, replies):
            error = reply.exception() if reply is not None else StoreError("out of reach")
            if error is None:
                self._unwritten.written(at, self._now())
                for call in self.on_written:
                    call(*at)
            elif isinstance(error, Refusal) and error.code not in WAITS and error.code not in ELSEWHERE:
                self._never(at, error)
            else:
                if isinstance(error, Refusal):
                    fault = str(error)
                    self._refused(error)
                self._unwritten.failed(at)
                for call in self.on_late:
                    call(*at)
        self._note_write_fault(fault)

    def _never(self, at: Address, error: Refusal) -> None:
        """What can never be written is given up."""
        self._unwritten.refused(at)
        self._echoes.pop(at, None)
        self._counters.add("store_write_failures")
        log.error("the shared store refuses a record of %s for good: %s", at[0], error)

    def _note_write_fault(self, fault: str) -> None:
        if fault and not self._write_fault:
            self._counters.add("store_write_failures")
            log.error("the shared store takes no writes, they wait for now: %s", fault)
        self._write_fault = fault

    def _written_by(self, at: Address, write: Write) -> tuple[bytes, Arguments]:
        """The command that writes a record, and its key."""
        place = self._names.place(*at)
        if place.field is None:
            if write.value is None:
                return place.key, (b"DEL", place.key)
            raw = frames.head(write.expires, self._schema()) + write.value
            return place.key, (b"SET", place.key, raw, b"PXAT", self._gone_at(write.expires))
        said = self._message(at)
        if write.value is None:
            return place.key, (b"EVAL", scripts.DELETE_FIELD, 1, place.key, place.field, place.channel, said)
        raw = frames.head(write.expires, self._schema()) + write.value
        return place.key, (b"EVAL", scripts.PUT_FIELD, 1, place.key, place.field, place.channel, said, raw)

    def _gone_at(self, expires: float) -> int:
        """When the server may forget a record, its milliseconds."""
        return max(1, frames.milliseconds(expires + self._extra_time))

    # -- merging what could not be written at once

    async def _merge_late(self) -> None:
        late = list(islice(self._unwritten.late.items(), PAGE))
        done = await asyncio.gather(*(self._merge_one(at, write) for at, write in late), return_exceptions=True)
        for error in done:
            if isinstance(error, Exception) and not isinstance(error, StoreError | Refusal):
                raise error
        faults = [error for error in done if isinstance(error, StoreError | Refusal)]
        self._note_write_fault(str(faults[0]) if faults and self._session.reachable else "")

    async def _merge_one(self, at: Address, write: Write) -> None:
        """Bring together what was put here and what stands there. Raises StoreError; Refusal where it has to wait."""
        table, key = at
        for _ in range(_TRIES):
            place, link, now = self._names.place(table, key), self._session.require(), self._now()
            held = self._record(table, await self._answer(link.submit(place.key, _get(place))))
            theirs = held if held is not None and now < held.expires else None
            result = self._merge(table, key, _ours(write), write.at, theirs)
            if result is not None and not now < result.expires:
                result = None
            if result == theirs:
                self._echoes.pop(at, None)  # nothing is written, so that nothing will be heard
            elif not await self._swapped_late(at, write, theirs, result, now):
                continue
            self._merged(at, write, result)
            return
        raise StoreError("others are quicker at this record all the time")

    async def _swapped_late(
        self, at: Address, write: Write, theirs: StoredValue | None, result: StoredValue | None, now: float
    ) -> bool:
        """Put what came of merging in the place of what stood there; whether that still did."""
        try:
            value, expires = result if result is not None else (None, 0.0)
            return await self._swap(at, theirs.value if theirs is not None else None, value, now, expires)
        except Refusal as error:
            if error.code in WAITS:
                raise
            if error.code in ELSEWHERE:
                raise self._refused(error) from None
            self._unwritten.merged(at, write)
            self._never(at, error)
            return True

    def _merged(self, at: Address, write: Write, result: StoredValue | None) -> None:
        if not self._unwritten.merged(at, write):
            return
        if at[0] in self._small and result != _ours(write):
            self._watchers.tell(at[0], Change(at[1], *result) if result is not None else Change(at[1], None, 0))
        for call in self.on_written:
            call(*at)

    # -- what is decided where the record is

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that stands there is the one expected."""
        self._check_open()
        stored_value(value, expires)
        if len(value) > bounds.STORE_SHARED_OCTETS:
            raise StoreError(f"a value of {len(value)} octets is too large for the shared store")
        at = table, key
        await self._settled(at)
        try:
            swapped = await self._swap(at, expected, value, now, expires)
        except Refusal as error:
            raise self._refused(error) from None
        if swapped:
            wall = self._now()
            self._unwritten.remember(at, Write(value, expires, wall), wall)
        return swapped

    async def _swap(self, at: Address, expected: bytes | None, value: bytes | None, now: float, expires: float) -> bool:
        """The same for one try; `value` None removes it. Raises StoreError, Refusal."""
        place = self._names.place(*at)
        raw = frames.head(expires, self._schema()) + value if value is not None else b""
        head = self._script(scripts.CAS if place.field is None else scripts.CAS_FIELD, place, at, now, expires)
        arguments = *head, b"0" if expected is None else b"1", expected or b"", raw
        self._no_more_prefetched(at)
        reply = await self._session.require().submit(place.key, arguments)
        self._no_more_prefetched(at)
        self._session.answered()
        return bool(reply == 1)

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then."""
        self._check_open()
        encode_count(amount)
        stored_value(b"", expires)
        at = table, key
        await self._settled(at)
        place = self._names.place(table, key)
        self._no_more_prefetched(at)
        try:
            if abs(amount) < scripts.EXACT:
                head = self._script(scripts.ADD if place.field is None else scripts.ADD_FIELD, place, at, now, expires)
                reply = await self._session.require().submit(
                    place.key, (*head, b"%d" % amount, frames.head(expires, self._schema()))
                )
                self._no_more_prefetched(at)
                if reply is not None:
                    self._session.answered()
                    return int(reply)
            return await self._add_exactly(at, amount, now, expires)
        except Refusal as error:
            raise self._refused(error) from None

    async def _add_exactly(self, at: Address, amount: int, now: float, expires: float) -> int:
        """The same for counts that a script's numbers have no room for."""
        for _ in range(_TRIES):
            held = await self._read(at)
            before = held.value if held is not None and now < held.expires else None
            found = count_of(before) + amount
            if await self._swap(at, before, encode_count(found), now, expires):
                return found
        raise StoreError("others are quicker at this counter all the time")

    def _script(self, script: bytes, place: Place, at: Address, now: float, expires: float) -> Arguments:
        """What calls a script, up to its own arguments."""
        return (
            b"EVAL", script, 1, place.key, frames.LARGEST, frames.SCHEMA, b"%.3f" % (now * 1000),
            self._gone_at(expires) if place.field is None else place.field,
            place.channel, self._message(at) if place.field is not None else b"",
        )  # fmt: skip

    async def _settled(self, at: Address) -> None:
        """Wait until what was put there before is written. Raises StoreError."""
        if not self._unwritten or self._unwritten.find(at) is None:
            return
        until = self._clock.monotonic() + bounds.STORE_SHARED_REPLY
        while self._unwritten.find(at) is not None:
            self._session.require()
            try:
                async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                    await asyncio.shield(self._progress)
            except TimeoutError:
                raise StoreError("what was put there before is not written yet") from None

    # -- watching

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Changes of the table by any host, told in the order in which the server has them."""
        self._check_open()
        if table not in self._small:
            raise StoreError(f"{table} is not watched")
        changes = self._watchers.watch(table)
        await self._subscription.add(self._names.channel(table), table)
        self._check_open()
        async for change in changes:
            yield change

    def _message(self, at: Address) -> bytes:
        """What stands before the frame in a message: whose change it is, and its key."""
        return self._origin + struct.pack(">QI", self._echoes.get(at, 0), len(at[1])) + at[1]

    def _heard(self, table: str, message: bytes) -> None:
        """A change that the server tells of."""
        if len(message) < 20:
            return
        number, length = struct.unpack_from(">QI", message, 8)
        if len(message) < 20 + length:
            return
        key, raw = message[20 : 20 + length], message[20 + length :]
        at = table, key
        self._no_more_prefetched(at)
        if (ours := self._echoes.get(at)) is not None:
            # Told already; what others did before it in the server's order is overwritten.
            if message[:8] == self._origin and number == ours:
                del self._echoes[at]
            return
        held = self._record(table, raw) if raw else None
        self._watchers.tell(table, Change(key, held.value, held.expires) if held is not None else Change(key, None, 0))

    def _missed(self, table: str) -> None:
        """Messages may have been lost."""
        for at in [at for at in self._echoes if at[0] == table]:
            del self._echoes[at]
        self._watchers.missed(table)

    # -- all of it

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key."""
        self._check_open()
        keys = sorted(key for key in await self._keys(table) if key >= start)
        for first in range(0, len(keys), PAGE):
            page = keys[first : first + PAGE]
            for key, held in zip(page, await self._page(table, page), strict=True):
                if held is not None and now < held.expires:
                    yield Entry(key, held.value, held.expires)

    async def _keys(self, table: str) -> set[bytes]:
        """The keys of a table's records, those put here and not written yet among them."""
        link = self._session.require()
        pending = (self._unwritten.waiting, self._unwritten.writing, self._unwritten.late)
        own = {key for held in pending for each, key in held if each == table}
        try:
            if table in self._small:
                name = self._names.hash_of(table)
                found = set(await link.slowly(name, (b"HKEYS", name)))
            else:
                pattern = self._names.pattern(table)
                keys = await link.everywhere(lambda cursor: (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", 1000))
                found = {self._names.key_of(table, key) for key in keys}
        except Refusal as error:
            if error.code != "WRONGTYPE":
                raise self._refused(error) from None
            found = set()
        return found | own

    async def _page(self, table: str, keys: list[bytes]) -> list[StoredValue | None]:
        """The records of some keys. Raises StoreError."""
        found: list[StoredValue | None] = []
        asked: list[tuple[int, Any]] = []
        link = self._session.require()
        for number, key in enumerate(keys):
            held = self._at_hand((table, key))
            found.append(None if isinstance(held, Unread) else held)
            if isinstance(held, Unread):
                place = self._names.place(table, key)
                asked.append((number, link.slowly(place.key, _get(place))))
        replies = await asyncio.gather(*(each for _, each in asked), return_exceptions=True)
        for (number, _), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Refusal):
                if reply.code not in _FOREIGN:
                    raise self._refused(reply)
                reply = _FOREIGN[reply.code]
            if isinstance(reply, BaseException):
                raise reply
            found[number] = self._record(table, reply)
        return found

    async def tables(self) -> list[str]:
        """The tables that have records, by looking at all of them."""
        self._check_open()
        pattern = self._names.pattern(None)
        pending = (self._unwritten.waiting, self._unwritten.writing, self._unwritten.late)
        own = {table for held in pending for (table, _), write in held.items() if write.value is not None}
        try:
            keys = await self._session.require().everywhere(
                lambda cursor: (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", 1000)
            )
        except Refusal as error:
            raise self._refused(error) from None
        return sorted(own | {table for key in keys if (table := self._names.table_of(key)) is not None})

    async def condition(self) -> Condition:
        """How it fares."""
        return Condition(
            "redis",
            self._session.fault or self._write_fault,
            self._session.octets,
            len(self._unwritten),
            self._times.percentile(0.5),
            self._times.percentile(0.99),
            self._session.server,
            self._url,
        )

    def sweep(self, now: float) -> None:
        """Begin to remove what has expired of the tables that are one hash each; the server removes the rest by itself."""
        self._check_open()
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self._loop.create_task(self._sweep(now))

    async def _sweep(self, now: float) -> None:
        try:
            await self._sweep_small(now)
        except (StoreError, Refusal) as error:
            log.debug("removing expired records: %s", error)

    async def _sweep_small(self, now: float) -> None:
        """One host a minute does it for all."""
        link = self._session.require()
        await link.submit(self._names.sweeping, (b"SET", self._names.sweeping, self._origin, b"NX", b"PX", SWEEP_EVERY))
        if await link.submit(self._names.sweeping, (b"GETRANGE", self._names.sweeping, b"0", b"31")) != self._origin:
            return
        expired: list[tuple[Place, bytes]] = []
        records = 0
        for table in sorted(self._small):
            name = self._names.hash_of(table)
            keys = await link.slowly(name, (b"HKEYS", name))
            records += len(keys)
            for first in range(0, len(keys), PAGE):
                places = [self._names.place(table, key) for key in keys[first : first + PAGE]]
                replies = await asyncio.gather(*(link.slowly(name, _get(place)) for place in places), return_exceptions=True)
                for place, raw in zip(places, replies, strict=True):
                    held = frames.unframe(raw) if isinstance(raw, bytes) else None
                    if isinstance(raw, bytes) and isinstance(held, StoredValue) and not now < held.expires:
                        expired.append((place, raw))
        gone = 0
        for place, raw in expired[: sweep_allowance(records)]:
            gone += await link.slowly(place.key, (b"EVAL", scripts.REMOVE_FIELD, 1, place.key, place.field or b"", raw))
        self._counters.add("store_expired", gone)

    async def flush(self) -> None:
        """Return when the server has acknowledged everything put so far."""
        self._check_open()
        await self._flush()

    async def _flush(self) -> None:
        while self._unwritten:
            self._session.require()
            if self._write_fault:
                raise StoreError(f"the shared store takes no writes: {self._write_fault}")
            await asyncio.shield(self._progress)

    async def close(self) -> None:
        """Write what is not written yet, where that can be done soon, and let go of the server."""
        if self._closed:
            return
        self._closed = True
        self._watchers.end()
        try:
            async with asyncio.timeout(CLOSING):
                await self._flush()
        except (StoreError, TimeoutError) as error:
            log.error("closing the shared store: %d records are not written: %s", len(self._unwritten), error or "no reply")
        await end(self._writer, *([self._sweeping] if self._sweeping is not None else []))
        await self._subscription.close()
        await self._session.close()
        self._progressed()

    def _reach(self, reachable: bool) -> None:
        self._prefetched.clear()
        if reachable:
            self._write_fault = ""
            self._wake.set()
        else:
            for at in self._unwritten.all_late():
                for call in self.on_late:
                    call(*at)
            self._progressed()

    def _now(self) -> float:
        """The fleet's wall clock."""
        return self._clock.wall() + self._session.offset

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


def _ours(write: Write) -> StoredValue | None:
    return StoredValue(write.value, write.expires) if write.value is not None else None


def _get(place: Place) -> Arguments:
    """The command that reads a record, no more of it than one of ours may have."""
    if place.field is None:
        return b"GETRANGE", place.key, b"0", b"%d" % frames.LARGEST
    return b"EVAL", scripts.GET_FIELD, 1, place.key, place.field, b"%d" % frames.LARGEST
