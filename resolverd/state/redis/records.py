"""Single records, read and changed where they are: what is sent for them, what replies mean, and how long that takes."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadline, Deadlines
from resolverd.failures import StoreError
from resolverd.latencies import Latencies
from resolverd.metrics import Counters
from resolverd.state.base import StoredValue, count_of, encode_count
from resolverd.state.redis import frames, scripts
from resolverd.state.redis.connection import Arguments
from resolverd.state.redis.frames import Foreign, Names, Place
from resolverd.state.redis.refusals import ELSEWHERE, explained
from resolverd.state.redis.replies import Refusal, Reply, Senseless, list_of, number, octets
from resolverd.state.redis.session import Session
from resolverd.state.redis.unwritten import Address, Write

_FOREIGN: Final = {"WRONGTYPE": Foreign.TYPE, "OVERSIZED": Foreign.SIZE}
_READS: Final = 1000
"""Reads over which latencies are taken."""
_TRIES: Final = 20
"""Of a swap that others are quicker at."""
_AT_A_TIME: Final = 1 << 20
"""Octets of records that are read in one reply."""
_DIGITS: Final = 20
"""Of a counter, its sign included."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Records:
    """The records of the server. Whatever is asked of it while it is out of reach raises StoreError.

    `schema`: which schema to write just now; `newest`: the newest that is read; `extra_time`: seconds for which the server keeps
    a record beyond its time; `message`: what is to stand in front of a frame when a change of a small table is told.
    """

    def __init__(
        self,
        session: Session,
        names: Names,
        clock: Clock,
        counters: Counters,
        deadlines: Deadlines,
        *,
        schema: Callable[[], int],
        newest: int,
        extra_time: float,
        message: Callable[[Address], bytes],
        patience: float = 0.0,
    ):
        self._session = session
        self._names = names
        self._clock = clock
        self._counters = counters
        self._deadlines = deadlines
        self._schema = schema
        self._newest = newest
        self._extra_time = extra_time
        self._message = message
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._told_foreign: set[tuple[str, Foreign]] = set()
        self._reads = {outcome: counters.count("store_operations", op="read", outcome=outcome) for outcome in ("done", "late")}
        self._seconds = counters.histogram("store_read_seconds")
        self.latencies = Latencies(_READS)

    def now(self) -> float:
        """The fleet's wall clock."""
        return self._clock.wall() + self._session.offset

    # -- reading

    async def read(self, at: Address) -> StoredValue | None:
        """What stands there, expired or not. Raises StoreError, where the reply does not come in time as well."""
        return await self._told(self._ask(at))

    async def read_all(self, wanted: Iterable[Address]) -> list[StoredValue | StoreError | None]:
        """The same of several, in one round trip; the StoreError in place of each that it was raised for."""
        asked: list[_Asked] = []
        found: list[StoredValue | StoreError | None] = []
        try:
            asked.extend(map(self._ask, wanted))
            for each in asked:
                try:
                    found.append(await self._told(each))
                except StoreError as error:
                    found.append(error)
        finally:
            for each in asked[len(found) :]:
                each.let_go()
        return found

    def _ask(self, at: Address) -> "_Asked":
        """Begin to read. Raises StoreError."""
        place = self._names.place(*at)
        link = self._session.require()
        future: asyncio.Future[Reply] = self._loop.create_future()
        begun = self._clock.monotonic()
        patience = max(bounds.STORE_SHARED_READ, self._patience)
        deadline = self._deadlines.add(begun + patience, lambda now: self._too_late(future, begun, patience))
        asked = _Asked(at[0], future, begun, deadline)
        try:
            link.submit(place.key, _get(place), future)
        except StoreError:
            asked.let_go()
            raise
        return asked

    async def _told(self, asked: "_Asked") -> StoredValue | None:
        """What was read. Raises StoreError."""
        try:
            reply = await self._answer(asked.future)
        finally:
            asked.deadline.cancel()
        seconds = self._clock.monotonic() - asked.begun
        self.latencies.note(seconds)
        self._seconds.observe(seconds)
        self._reads["done"][0] += 1
        return self.decode(asked.table, reply)

    async def read_patiently(self, at: Address) -> StoredValue | None:
        """The same for whoever can wait as long as any command may take."""
        place = self._names.place(*at)
        return self.decode(at[0], await self._answer(self._session.require().submit(place.key, _get(place))))

    async def read_slowly(self, table: str, keys: Sequence[bytes]) -> list[tuple[Place, bytes, StoredValue | None]]:
        """Many records of a table, where nothing else has to wait for it: place, frame and what is in it."""
        places = [self._names.place(table, key) for key in keys]
        if not places:
            return []
        read = await (self._keys(places) if places[0].field is None else self._fields(places[0].key, keys))
        return [
            (place, raw if isinstance(raw, bytes) else b"", self.decode(table, raw))
            for place, raw in zip(places, read, strict=True)
        ]

    async def _keys(self, places: list[Place]) -> list[bytes | Foreign | None]:
        """Records that have a key each. Raises StoreError."""
        link = self._session.require()
        replies = await asyncio.gather(*(link.slowly(each.key, _get(each)) for each in places), return_exceptions=True)
        found: list[bytes | Foreign | None] = []
        for reply in replies:
            if isinstance(reply, Refusal):
                if reply.code not in _FOREIGN:
                    raise self.refused(reply)
                found.append(_FOREIGN[reply.code])
            elif isinstance(reply, BaseException):
                raise reply
            else:
                found.append(self._octets(reply))
        return found

    async def _fields(self, name: bytes, fields: Sequence[bytes]) -> list[bytes | Foreign | None]:
        """Records of one hash, as many at a time as are no more than some octets. Raises StoreError."""
        found: list[bytes | Foreign | None] = []
        while len(found) < len(fields):
            rest = fields[len(found) :]
            command: Arguments = b"EVAL", scripts.GET_FIELDS, 1, name, frames.LARGEST, _AT_A_TIME, *rest
            try:
                some = self._sensible(list_of, await self._session.require().slowly(name, command))
            except Refusal as error:
                if error.code != "WRONGTYPE":
                    raise self.refused(error) from None
                return [*found, *(Foreign.TYPE for _ in rest)]
            if not 0 < len(some) <= len(rest):
                raise Senseless("the server does not know how many records it was asked for")
            found += (Foreign.SIZE if isinstance(each, int) else self._octets(each) for each in some)
        return found

    async def _answer(self, future: asyncio.Future[Reply]) -> bytes | Foreign | None:
        """The octets read; why they are foreign where they are not of our type. Raises StoreError."""
        try:
            reply = await future
        except Refusal as error:
            if (foreign := _FOREIGN.get(error.code)) is not None:
                return foreign
            raise self.refused(error) from None
        self._session.answered()
        return self._octets(reply)

    def _octets(self, reply: Reply) -> bytes | None:
        """What a command that reads a record has as reply. Raises Senseless."""
        return None if reply is None else self._sensible(octets, reply)

    def _sensible(self, kind: Callable[[Reply], T], reply: Reply) -> T:
        """A reply of that kind. Raises Senseless: such a server is of no use."""
        try:
            return kind(reply)
        except Senseless as error:
            self._session.lost(str(error))
            raise

    def _too_late(self, future: asyncio.Future[Reply], begun: float, patience: float) -> None:
        if not future.done():
            self._reads["late"][0] += 1
            future.set_exception(StoreError("the shared store does not answer in time"))
            self._session.failed(begun, f"no replies within {patience * 1000:.0f} ms")

    def decode(self, table: str, raw: bytes | Foreign | None) -> StoredValue | None:
        """What a reply, or a message, says of a record; None where there is none, or nothing of ours."""
        if not raw:
            return None
        if isinstance(raw, bytes):
            found = frames.unframe(raw, self._newest)
            if isinstance(found, StoredValue):
                return found
        else:
            found = raw
        self._counters.add("store_foreign_records", why=found.value)
        if (table, found) not in self._told_foreign and len(self._told_foreign) < bounds.STORE_TABLES:
            self._told_foreign.add((table, found))
            log.warning("the shared store has records in %s that cannot be used (%s): they count as absent", table, found.value)
        return None

    def refused(self, error: Refusal) -> StoreError:
        """What a refusal means for whoever asked, and for the connection."""
        if error.code in ELSEWHERE:
            self._session.lost(explained(error))
        return StoreError(f"the shared store refuses: {explained(error)}")

    # -- changing

    def to_write(self, value: bytes | None, expires: float) -> Write:
        """A value that was encoded just now, by the schema that is written at the moment; None to delete."""
        return Write(value, expires, self.now(), self._schema())

    def write(self, at: Address, write: Write) -> asyncio.Future[Reply]:
        """Have a record written or deleted, whatever stands there: the acknowledgement, or Refusal. Raises StoreError."""
        place = self._names.place(*at)
        raw = _frame(write.value, write.expires, write.schema)
        if place.field is not None:
            script = scripts.PUT_FIELD if raw else scripts.DELETE_FIELD
            arguments: Arguments = (b"EVAL", script, 1, place.key, place.field, place.channel, self._message(at), raw)
        elif raw:
            arguments = b"SET", place.key, raw, b"PXAT", self._gone_at(write.expires)
        else:
            arguments = b"DEL", place.key
        return self._session.require().submit(place.key, arguments)

    async def swap(self, at: Address, expected: bytes | None, write: Write, now: float) -> bool:
        """Write this where the value expected stands; whether it did. Raises StoreError, Refusal."""
        place = self._names.place(*at)
        script = scripts.CAS if place.field is None else scripts.CAS_FIELD
        what = b"0" if expected is None else b"1", expected or b"", _frame(write.value, write.expires, write.schema)
        return self._sensible(number, await self._run(script, place, at, now, write.expires, *what)) == 1

    async def add(self, at: Address, amount: int, now: float, expires: float) -> int:
        """Add to a counter, and return what it is then. Raises StoreError, Refusal."""
        if abs(amount) < scripts.EXACT:
            place = self._names.place(*at)
            script = scripts.ADD if place.field is None else scripts.ADD_FIELD
            reply = await self._run(script, place, at, now, expires, b"%d" % amount, _frame(b"", expires, self._schema()))
            if reply is not None:
                return self._sensible(_count, reply)
        for _ in range(_TRIES):
            held = await self.read_patiently(at)
            before = held.value if held is not None and now < held.expires else None
            found = count_of(before) + amount
            if await self.swap(at, before, self.to_write(encode_count(found), expires), now):
                return found
        raise StoreError("others are quicker at this counter all the time")

    async def _run(self, script: bytes, place: Place, at: Address, now: float, expires: float, *more: bytes) -> Reply:
        hashed = place.field is not None
        reply = await self._session.require().submit(
            place.key,
            (
                b"EVAL", script, 1, place.key, frames.LARGEST, self._newest, b"%.3f" % (now * 1000),
                place.field if place.field is not None else self._gone_at(expires),
                place.channel, self._message(at) if hashed else b"", *more,
            ),
        )  # fmt: skip
        self._session.answered()
        return reply

    def _gone_at(self, expires: float) -> int:
        """When the server may forget a record, its milliseconds."""
        return max(1, frames.milliseconds(expires + self._extra_time))


def _frame(value: bytes | None, expires: float, schema: int) -> bytes:
    """Empty where there is to be none."""
    return frames.head(expires, schema) + value if value is not None else b""


def _count(reply: Reply) -> int:
    """What a counter is. Raises Senseless."""
    text = octets(reply)
    if not text.removeprefix(b"-").isdigit() or len(text) > _DIGITS:
        raise Senseless("the server cannot count")
    return int(text)


class _Asked(NamedTuple):
    """A reading that has begun, at a monotonic second, of a record of some table."""

    table: str
    future: asyncio.Future[Reply]
    begun: float
    deadline: Deadline

    def let_go(self) -> None:
        """Wait for it no more."""
        self.deadline.cancel()
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # else the loop complains that nobody has looked at it


def _get(place: Place) -> Arguments:
    """The command that reads a record, no more of it than one of ours may have."""
    if place.field is None:
        return b"GETRANGE", place.key, b"0", b"%d" % frames.LARGEST
    return b"EVAL", scripts.GET_FIELD, 1, place.key, place.field, b"%d" % frames.LARGEST
