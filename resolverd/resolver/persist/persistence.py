"""When the caches are written to disk and read from there.

They are read when the daemon starts: the lists' replies before anybody is answered, names behind that, those written last
first, as far as there is room. Meanwhile, a name that is asked for and not there yet is looked up on disk, so that the first
answer waits for nothing. What changes is written in batches by a thread: every half minute, sooner where much changes, and at
the end. Nothing here keeps the event loop for more than a millisecond or two.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.persist.tables import Change, ServerTable, Table, Times
from resolverd.state.rows import Changes, Moment, Row, RowFile, RowFolder

T = TypeVar("T")

log = logging.getLogger(__name__)

EVERY: Final = 30.0
"""Seconds between two writes: what a crash can lose."""
LOOK_EVERY: Final = 2.0
"""Seconds between two looks at how much there is to be written."""
ENOUGH: Final = 2000
"""Changes that are worth a write at once, so that the last one is done within a fraction of a second."""
SERVERS_EVERY: Final = 300.0
"""Seconds between two writes of what is known of servers, which changes with every answer."""
TOLERANCE: Final = 5.0
"""Seconds by which the wall clock may go another way than time has, before what stands on disk is not believed any more."""
_BATCH = 2000
"""Rows written in one transaction."""
_PAGE = 500
"""Rows read at once."""
_TURN, _TURN_OCTETS = 100, 32 * 1024
"""Rows, and octets of them, taken up in one go: about a millisecond."""
_PAUSE = 0.001
"""Seconds between two turns of reading: half of the time is everybody else's."""
_SWEPT, _MOST_SWEEPS = 1000, 1000
"""Names of a flush that are gone through in one turn, and turns between two looks."""

_FAULTS = (sqlite3.Error, OSError, ValueError)
"""What the file may raise; none is a bug. A damaged one also has text that is none."""


class Persistence:
    """Keeps the caches of `tables` in the file of `folder`.

    `first`: the kind of rows that are read before anybody is answered. `fingerprint`: of what they are made under; a file of
    another one is foreign. `forget`: forgets all that was read, and everything learnt since.
    """

    def __init__(
        self,
        folder: RowFolder,
        tables: Sequence[Table],
        servers: ServerTable,
        first: bytes,
        clock: Clock,
        counters: Counters,
        fingerprint: Callable[[], bytes],
        forget: Callable[[], object],
        sweep: Callable[[int], bool],
    ):
        self._folder = folder
        self._tables = {table.kind: table for table in (*tables, servers)}
        self._servers = servers
        self._first = first
        self._clock = clock
        self._counters = counters
        self._fingerprint = fingerprint
        self._forget = forget
        self._sweep = sweep
        self._file: RowFile | None = None
        self._thread = ThreadPoolExecutor(1, "cache file")
        self._lock = asyncio.Lock()
        self._offset = 0.0
        self._unread = True
        self._adopted = 0
        self._failing = False
        self._broken: BaseException | None = None
        self._servers_at = clock.monotonic()

    @property
    def is_reading(self) -> bool:
        """Whether there may be more on disk than has been read."""
        return self._file is not None and self._unread

    async def open(self) -> None:
        """Open the file, and take up what is read first. Never raises for what is wrong with it."""
        times = self._times()
        self._offset = times.offset
        try:
            self._file = await self._in_thread(self._opened, self._fingerprint(), self._moment())
        except _FAULTS as error:
            self._fail(error)
        fresh = self._file is None or self._file.is_new
        self._unread = not fresh
        for table in self._tables.values():
            table.begin(None if fresh else self._read, self._times)
        if not fresh:
            await self._guarded(self._read_first)

    def _opened(self, fingerprint: bytes, moment: Moment) -> RowFile:
        """The file, another where that is of no use. In the thread."""
        folder = self._folder
        try:
            file = folder.open()
            try:
                useless = _why_useless(file, fingerprint, moment)
            except BaseException:
                file.close()
                raise
            if not useless:
                return file
            file.close()
        except Exception as error:
            if not folder.is_useless(error):
                raise
            useless = f"it cannot be read: {error}"
        log.warning("the cache on disk is not used and begins anew: %s", useless)
        self._counters.add("cache_file_discarded")
        folder.delete()
        return folder.open()

    async def run(self) -> NoReturn:
        """Read what there is, then write what changes, for ever; ends by cancellation."""
        if self.is_reading:
            await self._guarded(self._read_all)
            self._end_reading()
        last = self._clock.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._sweep(_SWEPT):
                await self._sweep_all()
            now = self._clock.monotonic()
            if self._broken is not None or now - last >= EVERY or self._pending() >= ENOUGH:
                last = now
                await self.write()

    async def _sweep_all(self) -> None:
        for _ in range(_MOST_SWEEPS):
            await asyncio.sleep(_PAUSE)
            if not self._sweep(_SWEPT):
                break

    async def write(self) -> None:
        """Write what has changed. Never raises for what is wrong with the file."""
        async with self._lock:
            await self._guarded(self._write)

    async def aclose(self, patience: float) -> None:
        """Write what has changed and close the file, in so many seconds at most; what takes longer is given up."""
        try:
            async with asyncio.timeout(patience):
                self._servers_at = float("-inf")
                await self.write()
                if self._file is not None:
                    await self._guarded(lambda: self._in_thread(self._close))
        except TimeoutError:
            log.warning("not all of the cache could be written in %g s", patience)
        self._thread.shutdown(wait=False, cancel_futures=True)

    # -- reading --------------------------------------------------------------------------------------------------------

    def _read(self, key: bytes) -> bytes | None:
        """The value of a key; None where that cannot be had. On the event loop: it takes some 20 microseconds."""
        if self._file is None or self._broken is not None:
            return None
        try:
            return self._file.read(key)
        except _FAULTS as error:
            if self._folder.is_useless(error):
                self._broken = error
            return None

    async def _read_first(self) -> None:
        file = self._file
        assert file is not None
        after = self._first
        while rows := await self._in_thread(file.beginning, self._first, after, _PAGE):
            if not await self._adopt(rows, 0) or rows[-1].key <= after:
                break
            after = rows[-1].key

    async def _read_all(self) -> None:
        file = self._file
        assert file is not None
        before: int | None = None
        full: set[bytes] = {self._first}
        while len(full) < len(self._tables) and self._unread:
            # What is written meanwhile would be newer than a row that waits to be taken up.
            async with self._lock:
                rows = await self._in_thread(file.newest, before, _PAGE)
                if not rows or (before is not None and rows[-1].number >= before):
                    break
                before = rows[-1].number
                await self._adopt(rows, _PAUSE, full)
        log.info("%d names are known from before", self._adopted)

    async def _adopt(self, rows: Sequence[Row], pause: float, full: set[bytes] | None = None) -> bool:
        """Take up rows, in turns; tables that have no room any more are added to `full`. Whether there is room."""
        full = set() if full is None else full
        left, times = 0, self._times()
        for _, key, value in rows:
            table = self._tables.get(key[:1])
            if table is None or value is None or key[:1] in full or not self._unread:
                continue
            if left <= 0:
                await asyncio.sleep(pause)
                self._check_clock()
                left, times = _TURN_OCTETS, self._times()
            left -= max(len(value), _TURN_OCTETS // _TURN)
            try:
                if not table.adopt(key, value, times):
                    full.add(key[:1])
            except ValueError:
                continue  # its key is none
            self._adopted += key[:1] not in (self._first, self._servers.kind)
        return not full

    def _end_reading(self) -> None:
        self._unread = False
        for table in self._tables.values():
            table.end_reading()

    # -- writing --------------------------------------------------------------------------------------------------------

    def _pending(self) -> int:
        return sum(table.pending for table in self._tables.values())

    async def _write(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._file is None:
            self._file = await self._in_thread(self._opened, self._fingerprint(), self._moment())
        self._check_clock()
        now = self._clock.monotonic()
        if now - self._servers_at >= SERVERS_EVERY:
            self._servers_at = now
            self._servers.snapshot(now)
        first = True
        while first or self._pending():
            first = False
            await self._write_batch(self._file)
        if self._failing:
            self._failing = False
            log.info("the cache is kept on disk again")

    async def _write_batch(self, file: RowFile) -> None:
        tables = self._tables.values()
        clear = any(table.must_clear for table in tables)
        if clear:
            self._end_reading()
        prefixes = [prefix for table in tables for prefix in table.prefixes()]
        rows: list[Change] = []
        written = False
        # What the rows are made under is what it is now: whatever changes that meanwhile has them all deleted.
        fingerprint = self._fingerprint()
        try:
            for table in tables:
                while len(rows) < _BATCH and (some := table.take(table.turn, self._times())):
                    rows += some
                    await asyncio.sleep(0)
            await self._in_thread(file.write, Changes(clear, prefixes, rows, fingerprint, self._moment()))
            written = True
        except _FAULTS:
            if clear or prefixes or any(value is None for _, value in rows):
                # What was flushed must not come back, and a full disk has room for that.
                await self._in_thread(self._discard)
            raise
        finally:
            for table in tables:
                table.settle(written=written, cleared=clear)

    def _discard(self) -> None:
        """Have no file any more. In the thread."""
        self._close()
        self._folder.delete()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do it; whatever is wrong with the file costs no more than the file."""
        try:
            await work()
        except _FAULTS as error:
            self._fail(error)
            if self._folder.is_useless(error):
                self._broken = None
                self._end_reading()
                self._counters.add("cache_file_discarded")
                try:
                    await self._in_thread(self._discard)
                except _FAULTS as other:
                    log.debug("the cache on disk cannot be deleted: %s", other)

    def _fail(self, error: BaseException) -> None:
        """Told once, until it is kept again."""
        if not self._failing:
            log.warning("the cache is kept in memory alone: %s", error)
        self._failing = True

    # -- the time -------------------------------------------------------------------------------------------------------

    def _times(self) -> Times:
        return Times(self._clock.monotonic(), self._clock.wall())

    def _moment(self) -> Moment:
        return self._folder.moment(self._clock.wall())

    def _check_clock(self) -> None:
        """A clock that was set makes the ends of what was read doubtful, and of what was written before."""
        offset = self._clock.wall() - self._clock.monotonic()
        stepped, self._offset = abs(offset - self._offset) > TOLERANCE, offset
        if stepped:
            log.warning("the clock has been set: what was kept on disk is forgotten")
            self._forget()
            self._end_reading()

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def _why_useless(file: RowFile, fingerprint: bytes, now: Moment) -> str:
    """Why what stands in a file is not to be used; empty where it is."""
    if file.is_new:
        return ""
    made_under, written = file.about()
    if made_under != fingerprint:
        return "it was made under another configuration"
    return "" if written is not None and now.follows(written, TOLERANCE) else "the clock has been set since"
