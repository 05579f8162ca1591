"""The thread that reads single records, for decisions that wait for them: over a connection of its own, which only reads.

A batch of writes, and still more a checkpoint, which carries the WAL back into the file, keeps the worker busy for tens of
milliseconds; readers don't wait for writers in SQLite's WAL mode. Whatever fails here, the worker is asked instead: it knows
damage from circumstances, and what to do about either.

Only the worker's connection writes or makes checkpoints. Two that do can corrupt a WAL in SQLite before 3.51.3.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar

from resolverd.metrics import Counters
from resolverd.state.base import StoredValue
from resolverd.state.disk.jobs import Jobs
from resolverd.state.disk.sqlite_file import LOCK_TIMEOUT, BytesOnly, decode
from resolverd.state.disk.sqlite_file import QUERY as _QUERY
from resolverd.state.disk.writer import complete, fail

T = TypeVar("T")

_KEYS: Final = "SELECT key FROM Cache WHERE raw = 1 AND typeof(key) = 'blob' AND key >= ? ORDER BY key LIMIT ?"


class Reader:
    """Reads records from the file. `generation` changes when another file has taken its place."""

    def __init__(self, file: Path, generation: Callable[[], int], counters: Counters) -> None:
        self._counters = counters
        self._file = file
        self._generation = generation
        self._loop = asyncio.get_running_loop()
        self._jobs: Jobs[Callable[[sqlite3.Connection], Any]] = Jobs()
        self._connection: sqlite3.Connection | None = None
        self._opened = -1
        self._disk = BytesOnly(str(file.parent))
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._work, name="store reader", daemon=True)
        self._thread.start()

    def read(self, addresses: Sequence[bytes]) -> asyncio.Future[dict[bytes, StoredValue | None]]:
        """What stands at the addresses, expired or not; StoreError where that is not known here.

        Raises StoreError at once where too many reads wait already.
        """
        return self._submit(lambda connection: {each: self._read(connection, each) for each in addresses})

    def keys(self, first: bytes, count: int) -> asyncio.Future[list[bytes]]:
        """Up to so many addresses from the first on, in order; none at the end. As `read` otherwise."""
        return self._submit(lambda connection: [key for (key,) in connection.execute(_KEYS, (first, count))])

    def _submit(self, read: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(read, done)
        return done

    async def stop(self) -> None:
        """Finish the reads that are waited for, close the connection and end the thread."""
        self._jobs.end()
        await self._ended
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            read, done = job
            try:
                complete(self._loop, done, self._read_or_close(read), None)
            except Exception as error:
                fail(self._loop, done, error, self._counters)
        try:
            self._close()
        finally:
            complete(self._loop, self._ended, None, None)

    def _read_or_close(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return read(self._open())
        except Exception:
            self._close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._opened != self._generation():
            self._close()
            self._opened = self._generation()
            # mode=ro: it neither writes nor makes checkpoints, not even as the last one that closes the file.
            where = f"{self._file.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(where, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None)
        return self._connection

    def _read(self, connection: sqlite3.Connection, address: bytes) -> StoredValue | None:
        row = connection.execute(_QUERY, (address,)).fetchone()
        if row is None:
            return None
        mode, filename, value = row
        return decode(self._disk.fetch(mode, filename, value, read=False))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
