"""A store in a file that never makes the event loop wait: write-behind, a hot table, and threads behind both.

A read sees a bounded table of what was used last, then what is not yet written, then a filter which knows what is surely not in
the file, and only then asks the reading thread. Writes are
collected for `FLUSH_INTERVAL` seconds and go to the file in one transaction. If the process dies, that is what is lost. If the
machine dies, what the system had not yet written of the WAL goes too; the file stays consistent (WAL, synchronous NORMAL).

While the file cannot be written, records stay in memory and are tried again; there is a bound to that, beyond which new
records are refused.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from itertools import islice

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import base
from resolverd.state.base import UNREAD, Condition, Entry, StoredValue, Unread, address
from resolverd.state.disk.key_filter import KeyFilter
from resolverd.state.disk.reader import Reader
from resolverd.state.disk.sqlite_file import SqliteFile
from resolverd.state.disk.writer import Worker
from resolverd.state.in_process import InProcess
from resolverd.state.statedir import StateLock

FLUSH_INTERVAL = 0.25
"""Seconds for which writes are collected: the loss of a crash, well below the second that is promised."""
BATCH = 5000
"""Records in one transaction at the most."""
RETRY = 1.0
"""Seconds until a failed batch is tried again."""
RETRY_BATCH = 100
"""Records in a batch after one that failed: a full disk that has some room again takes some, at little cost if it has none."""
SCAN_PAGE = 200
RECORD_OCTETS = 190
"""What a triplet takes of the file."""
FILTER_PAGE = 500
"""Keys read in one go for the filter."""
FILTER_PAUSE = 0.05
"""Seconds between two of these: of a million keys all are known after two minutes, and mail hardly notices."""

log = logging.getLogger(__name__)


class DiskStore(InProcess):
    """Records in a file; `base` has the contract, `opening` opens one. Belongs to the event loop it was made on."""

    def __init__(
        self, worker: Worker[SqliteFile], reader: Reader, lock: StateLock, counters: Counters, max_unwritten: int, octets: int
    ) -> None:
        """`octets`: of the file, by which its filter is made."""
        super().__init__()
        self._worker = worker
        self._reader = reader
        self._lock = lock
        self._counters = counters
        self._max_unwritten = max_unwritten
        self._loop = asyncio.get_running_loop()
        self._unwritten: dict[bytes, StoredValue | None] = {}
        self._writing: dict[bytes, StoredValue | None] = {}
        self._batch: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._hot: OrderedDict[bytes, StoredValue | None] = OrderedDict()
        self._sweep: asyncio.Future[int] | None = None
        self._filter: KeyFilter | None = None
        self._learning: KeyFilter | None = None
        self._failing = False
        self._closed = False
        self._learn(1 << (4 * octets // RECORD_OCTETS).bit_length())

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired."""
        held = await self.stored(table, key, now)
        return None if held is None else held.value

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        at = address(table, key)
        held = self._known(at)
        if held is UNREAD:
            held = (await self._read((at,)))[at]
        return held if held is not None and now < held.expires else None

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Have what is not known read in one go: each wait for the thread costs more than a further record."""
        unread = [at for each in wanted if self._known(at := address(*each)) is UNREAD]
        if unread:
            await self._read(unread)

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """As `get`, of what is in memory, or surely nowhere."""
        held = self._known(address(table, key))
        if held is UNREAD:
            return UNREAD
        return held.value if held is not None and now < held.expires else None

    def _known(self, at: bytes) -> StoredValue | Unread | None:
        """What stands there, where that is known without asking a thread."""
        if self._closed:
            raise StoreError("the store is closed")
        held = self._hot.get(at, UNREAD)
        if held is not UNREAD:
            self._hot.move_to_end(at)
            return held
        if at in self._unwritten:
            return self._unwritten[at]
        if at in self._writing:
            return self._writing[at]
        return UNREAD if self._filter is None or self._filter.may_hold(at) else None

    async def _read(self, addresses: Sequence[bytes]) -> dict[bytes, StoredValue | None]:
        """What stands there, read and kept at hand."""
        reading = self._reader.read(addresses)
        try:
            found = await reading
        except StoreError:
            found = await self._worker.submit(lambda file: {at: file.read(at) for at in addresses})
        for at, read in found.items():
            # What was put or deleted meanwhile is newer than what the thread saw.
            if (held := self._known(at)) is UNREAD:
                self._keep_hot(at, read)
            else:
                found[at] = held
        return found

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`."""
        at, held = address(table, key), base.stored_value(value, expires)
        self._change(at, held)
        if self._filter is not None:
            self._filter.add(at)
        if self._learning is not None:
            self._learning.add(at)
        if self._watchers.has(table):
            self._changed(table, key, value, expires)

    def has_room(self) -> bool:
        """Whether the file can be written and nearly all that was put has been."""
        return not self._failing and len(self._unwritten) + len(self._writing) < self._max_unwritten // 10

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record."""
        at = address(table, key)
        self._change(at, None)
        self._changed(table, key, None)

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key."""
        await self.flush()
        page: list[Entry] = []
        while page := await self._page(table, page[-1].key + b"\0" if page else start):
            for entry in page:
                if now < entry.expires:
                    yield entry

    def _page(self, table: str, start: bytes) -> asyncio.Future[list[Entry]]:
        return self._worker.submit(lambda file: file.entries(table, start, SCAN_PAGE))

    async def condition(self) -> Condition:
        """A fault while the file cannot be written."""
        try:
            octets = await self._worker.submit(lambda file: file.octets())
        except StoreError:
            octets = None
        return Condition("disk", "cannot be written: what is new is kept in memory for now" if self._failing else "", octets)

    async def tables(self) -> list[str]:
        """The tables that have records."""
        await self.flush()
        return await self._worker.submit(lambda file: file.tables())

    def sweep(self, now: float) -> None:
        """Begin to remove some of what has expired, unless the last sweep is still at it."""
        self._check_open()
        if self._filter is None or self._filter.added > len(self._filter) // 2:
            self._learn(4 * len(self._filter) if self._filter is not None else 0)
        if self._sweep is None:
            self._sweep = self._worker.submit(lambda file: file.sweep(now), bounded=False)
            self._sweep.add_done_callback(self._swept)

    async def flush(self) -> None:
        """Return when everything put so far is in the file. Raises StoreError if it cannot be written."""
        self._check_open()
        await self._flush()

    async def close(self) -> None:
        """Flush, end the thread, close the file, let others work on the directory."""
        if self._closed:
            return
        self._closed = True
        self._end_watching()
        try:
            await self._flush()
        except StoreError as error:
            log.error("closing the store: %d records could not be written: %s", len(self._unwritten), error)
        if self._timer is not None:
            self._timer.cancel()
        await self._reader.stop()
        await self._worker.stop()
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _keep_hot(self, at: bytes, held: StoredValue | None) -> None:
        """Keep at hand what stands there, or that nothing does: who reads it is soon to write it."""
        if held is not None and len(held.value) > bounds.STORE_HOT_OCTETS:
            self._hot.pop(at, None)
            return
        self._hot[at] = held
        self._hot.move_to_end(at)
        if len(self._hot) > bounds.STORE_HOT:
            self._hot.popitem(last=False)

    def _change(self, at: bytes, held: StoredValue | None) -> None:
        self._check_open()
        if len(self._unwritten) + len(self._writing) >= self._max_unwritten and at not in self._unwritten:
            raise StoreError(f"{self._max_unwritten} records wait to be written, no room for more")
        self._unwritten[at] = held
        self._keep_hot(at, held)
        if self._timer is None and self._batch is None:
            self._write_in(FLUSH_INTERVAL)

    def _write_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._write)

    def _write(self) -> asyncio.Future[None]:
        """Hand what is unwritten to the thread as one batch; the batch in flight, where there is one already."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch is None:
            batch = self._writing = self._take(RETRY_BATCH if self._failing else BATCH)
            self._batch = self._worker.submit(lambda file: file.write(batch), bounded=False)
            self._batch.add_done_callback(self._written)
        return self._batch

    def _take(self, count: int) -> dict[bytes, StoredValue | None]:
        """The oldest of what is unwritten, no longer among it."""
        if len(self._unwritten) <= count:
            taken, self._unwritten = self._unwritten, {}
            return taken
        return {at: self._unwritten.pop(at) for at in list(islice(self._unwritten, count))}

    def _written(self, batch: asyncio.Future[None]) -> None:
        error = batch.exception()
        if error is not None:
            self._unwritten = self._writing | self._unwritten
            self._counters.add("store_write_failures")
            if not self._failing:
                log.error("the store cannot be written, records stay in memory for now: %s", error)
        elif self._failing:
            log.warning("the store can be written again")
        self._failing = error is not None
        self._writing = {}
        self._batch = None
        if self._unwritten and not self._closed:
            self._write_in(RETRY if self._failing else FLUSH_INTERVAL)

    async def _flush(self) -> None:
        if self._batch is not None:
            # Its failure counts if the next batch, which has its records too, fails as well.
            await asyncio.wait([self._batch])
        while self._unwritten or self._writing:
            await asyncio.shield(self._write())

    def _swept(self, sweep: asyncio.Future[int]) -> None:
        self._sweep = None
        if (error := sweep.exception()) is not None:
            log.warning("removing expired records: %s", error)
        else:
            self._counters.add("store_expired", sweep.result())

    def _learn(self, octets: int) -> None:
        """Begin a filter of all keys of the file, and of what is put meanwhile, unless there is one being made or no larger."""
        octets = min(max(octets, bounds.STORE_FILTER_LEAST), bounds.STORE_FILTER)
        if self._learning is None and (self._filter is None or octets > len(self._filter)):
            self._learning = KeyFilter(octets)
            self._learning.add(*self._writing, *self._unwritten)
            self._learn_from(b"", self._learning)

    def _learn_from(self, first: bytes, made: KeyFilter) -> None:
        """Have the keys from `first` on read, a page at a time, and added."""

        def learn(page: asyncio.Future[list[bytes]]) -> None:
            if self._closed or page.exception() is not None:
                self._learning = None  # `sweep` begins again
                return
            keys = page.result()
            made.add(*keys)
            if keys:
                self._loop.call_later(FILTER_PAUSE, self._learn_from, keys[-1] + b"\0", made)
            else:
                self._filter, self._learning = made, None

        if self._closed:
            return
        try:
            self._reader.keys(first, FILTER_PAGE).add_done_callback(learn)
        except StoreError:  # too many wait for the disk
            self._learning = None
