"""A store in place of a file that cannot be written, the disk being full or read-only: what stands there counts all the same.

What is in the file is read, what is new is kept in memory, and all of it is written as soon as the file can be. Denied stays
denied, and who has passed is not greylisted again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state import base
from resolverd.state.base import UNREAD, Condition, Entry, Store, StoredValue, Unread, address, prefix
from resolverd.state.disk.sqlite_file import ReadOnlyFile
from resolverd.state.disk.writer import Worker
from resolverd.state.in_process import InProcess

BATCH = 5000
"""Records handed to the file at once when it can be written again, before others have their turn."""
_PAGE = 200

log = logging.getLogger(__name__)


class PendingStore(InProcess):
    """The records of a file that is only read, and what was put and deleted since; `base` has the contract.

    `reopen` gives the store of the file once that can be written, None until then; it is asked at every `sweep`. `release` is
    called by `close`, unless `reopen` has given a store, which does that then.
    """

    def __init__(
        self,
        worker: Worker[ReadOnlyFile],
        reopen: Callable[[], Awaitable[Store | None]],
        release: Callable[[], None],
        max_records: int = bounds.STORE_RECORDS,
    ) -> None:
        super().__init__()
        self._worker = worker
        self._reopen = reopen
        self._release = release
        self._max_records = max_records
        self._waiting: dict[bytes, StoredValue | None] = {}
        self._file: Store | None = None
        self._trying: asyncio.Task[None] | None = None
        self._closed = False

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired."""
        held = await self.stored(table, key, now)
        return None if held is None else held.value

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        self._check_open()
        at = address(table, key)
        if at not in self._waiting:
            if self._file is not None:
                return await self._file.stored(table, key, now)
            read = await self._worker.submit(lambda file: file.read(at))
            if at not in self._waiting and self._file is not None:
                return await self._file.stored(table, key, now)
            held = self._waiting.get(at, read)
        else:
            held = self._waiting[at]
        return held if held is not None and now < held.expires else None

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """As `get`, of what is in memory."""
        self._check_open()
        held = self._waiting.get(address(table, key), UNREAD)
        if held is UNREAD:
            return UNREAD if self._file is None else self._file.known(table, key, now)
        return held.value if held is not None and now < held.expires else None

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Read what is soon to be asked for, once the file can be written; what is only read is not remembered."""
        if self._file is not None:
            await self._file.prefetch(wanted)

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`."""
        self._change(table, key, base.stored_value(value, expires))

    def has_room(self) -> bool:
        """Only once the file can be written."""
        return self._file is not None and self._file.has_room()

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record."""
        self._change(table, key, None)

    def _change(self, table: str, key: bytes, held: StoredValue | None) -> None:
        self._check_open()
        at = address(table, key)
        if self._file is not None:
            self._hand_over(self._file, at, held)
            self._waiting.pop(at, None)
        elif len(self._waiting) >= self._max_records and at not in self._waiting:
            raise StoreError(f"{self._max_records} records in memory, no room for more")
        else:
            self._waiting[at] = held
        value, expires = held if held is not None else (None, 0.0)
        self._changed(table, key, value, expires)

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key: those of the file and those since, merged."""
        self._check_open()
        if self._file is not None and not self._waiting:
            async for entry in self._file.scan(table, now, start):
                yield entry
            return
        head = prefix(table)
        changed = sorted(at[len(head) :] for at in self._waiting if at.startswith(head) and at[len(head) :] >= start)
        page: list[Entry] = []
        while page := await self._page(table, page[-1].key + b"\0" if page else start):
            for entry in page:
                while changed and changed[0] < entry.key:
                    if (own := self._own(head, changed.pop(0), now)) is not None:
                        yield own
                if head + entry.key not in self._waiting and now < entry.expires:
                    yield entry
        for key in changed:
            if (own := self._own(head, key, now)) is not None:
                yield own

    def _page(self, table: str, start: bytes) -> asyncio.Future[list[Entry]]:
        return self._worker.submit(lambda file: file.entries(table, start, _PAGE))

    def _own(self, head: bytes, key: bytes, now: float) -> Entry | None:
        held = self._waiting.get(head + key)
        return Entry(key, *held) if held is not None and now < held.expires else None

    async def condition(self) -> Condition:
        """A fault until the file can be written."""
        if self._file is not None:
            return await self._file.condition()
        return Condition("disk", "cannot be written: it is read, and what is new is kept in memory for now")

    async def tables(self) -> list[str]:
        """The tables that have records."""
        self._check_open()
        if self._file is not None:
            return await self._file.tables()
        found = await self._worker.submit(lambda file: file.tables())
        return sorted({*found, *(base.table_of(at) for at, held in self._waiting.items() if held is not None)})

    def sweep(self, now: float) -> None:
        """Remove some of what has expired, and see whether the file can be written by now."""
        self._check_open()
        if self._file is not None:
            self._file.sweep(now)
        elif self._trying is None:
            self._trying = asyncio.get_running_loop().create_task(self._try())

    async def flush(self) -> None:
        """Write what has been put so far, if the file can be written by now; else nothing: it is as durable as it gets."""
        self._check_open()
        if self._file is not None:
            await self._file.flush()

    async def close(self) -> None:
        """Give up the file; what could not be written is lost."""
        if self._closed:
            return
        if self._trying is not None:
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._file is None:
            await self._try()
        self._closed = True
        self._end_watching()
        await self._worker.stop()
        if self._file is not None:
            await self._file.close()
            return
        if self._waiting:
            log.error("closing the store: %d records could not be written", len(self._waiting))
        self._release()

    async def _try(self) -> None:
        """See whether the file can be written, and hand over what is in memory if so."""
        try:
            # Of all connections of a process to a file, SQLite lets none write the WAL's index if one cannot.
            await self._worker.submit(lambda file: file.close())
            self._file = await self._reopen()
            if self._file is None:
                return
            log.warning("the store can be written again")
            while self._waiting:
                for at in list(self._waiting)[:BATCH]:
                    self._hand_over(self._file, at, self._waiting[at])
                    del self._waiting[at]
                await self._file.flush()
        except StoreError as error:
            log.error("what was kept in memory waits to be written still: %s", error)
        finally:
            self._trying = None

    @staticmethod
    def _hand_over(file: Store, at: bytes, held: StoredValue | None) -> None:
        table, key = base.table_of(at), base.key_of(at)
        if held is None:
            file.delete(table, key)
        else:
            file.put(table, key, *held)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
