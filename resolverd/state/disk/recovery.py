"""What can still be read of a store that was set aside as damaged is put back, while the daemon is up and works.

A copy of the file is given the first page of a fresh one, header and schema, so that nothing that stands there is believed,
and its rows are read one after the other; what lies on a page that cannot be read is stepped over. The rows are foreign
input: bytes that have the form of our records, or nothing. Of two records for the same the one that lives longer stays.

What was set aside stays as it is, but for `STATUS_FILE` in it. A process that died at it tries again at its next start, thrice
in all.
"""

import asyncio
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

from diskcache.core import MODE_RAW

from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import Entry, Store
from resolverd.state.disk.sqlite_errors import ForeignFile, reason
from resolverd.state.disk.sqlite_file import (
    APPLICATION_ID,
    DIRECTORY,
    FILE,
    PAGE,
    SCHEMA_VERSION,
    SqliteFile,
    decode,
)
from resolverd.state.statedir import ASIDE

STATUS_FILE: Final = "salvage"
"""The file in what was set aside that tells what came of it; the name is the format's, earlier versions have left it."""
MAX_ATTEMPTS: Final = 3
"""How often one that the process did not live through is tried."""
SLICE: Final = 100
"""Records read in one go, and then put back."""
ROOM: Final = 64 << 20
"""Octets of disk that stay free, beyond the copy and the records."""
MAX_GAPS: Final = 10_000
"""Places that cannot be read and are stepped over; a file made on purpose could have any number."""
MAX_OCTETS: Final = 64 * 1024
"""Of a key or a value."""
_FARTHEST: Final = 1 << 40
"""Row numbers are looked for so far behind one that cannot be read."""
_LAST: Final = (1 << 63) - 1
_COPY: Final = "salvaging"
_EXPECTED: Final = (StoreError, ForeignFile, OSError, sqlite3.Error, ValueError)

_QUERY: Final = "SELECT rowid, key, raw, mode, filename, value FROM Cache WHERE rowid >= ? ORDER BY rowid LIMIT ?"

log = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """What came of one: records put back, there already and as good, expired; and how many it had, None if that is lost."""

    saved: int
    kept: int
    expired: int
    had: int | None


class Recovery:
    """Puts back what can be read of what is set aside in a state directory; `wall` tells the second. One at a time, and no other
    process there."""

    def __init__(self, store: Store, state: Path, wall: Callable[[], float], counters: Counters) -> None:
        self._store = store
        self._state = state
        self._wall = wall
        self._counters = counters
        self._seen: set[Path] = set()

    async def run(self) -> list[Recovered]:
        """Put back what can be read of what has been set aside and not been tried yet. Never raises but for being cancelled."""
        loop = asyncio.get_running_loop()
        found = []
        with ThreadPoolExecutor(1, "store recovery") as thread, _set_at_the_end(Event()) as stop:
            for directory in await loop.run_in_executor(thread, self._pending):
                try:
                    found.append(await self._recover(directory, thread, stop))
                except Exception as error:  # whatever is in a damaged file, the daemon goes on
                    text = "nothing more can be recovered of the store set aside as %s: %s"
                    log.error(text, directory, reason(error), exc_info=not isinstance(error, _EXPECTED))
                    await loop.run_in_executor(thread, _set_status, directory, f"done: {reason(error)}\n")
        return found

    def _pending(self) -> list[Path]:
        due = []
        for directory in sorted(self._state.glob(f"{DIRECTORY}{ASIDE}*")):
            if directory in self._seen:
                continue
            self._seen.add(directory)
            attempts = _attempts(directory)
            if attempts is not None and attempts < MAX_ATTEMPTS:
                _set_status(directory, "begun\n" * (attempts + 1))
                due.append(directory)
        return due

    async def _recover(self, directory: Path, thread: ThreadPoolExecutor, stop: Event) -> Recovered:
        loop = asyncio.get_running_loop()
        damaged = await loop.run_in_executor(thread, DamagedFile, directory, self._state / _COPY, stop)
        saved = kept = expired = 0
        try:
            while found := await loop.run_in_executor(thread, damaged.next):
                for table, entry in found:
                    if not self._wall() < entry.expires:
                        expired += 1
                    # None lives longer: at the old one's end, the new one still counts.
                    elif await self._store.get(table, entry.key, entry.expires) is not None:
                        kept += 1
                    else:
                        self._store.put(table, entry.key, entry.value, entry.expires)
                        saved += 1
                await self._store.flush()
        finally:
            await asyncio.shield(loop.run_in_executor(thread, damaged.close))
            self._counters.add("store_recovered", saved)
        log.warning(
            "%d records of %s were recovered from the damaged store set aside as %s; %d more had expired, %d were there again",
            saved, "an unknown number" if damaged.had is None else damaged.had, directory, expired, kept,
        )  # fmt: skip
        result = Recovered(saved, kept, expired, damaged.had)
        await loop.run_in_executor(thread, _set_status, directory, f"done: {saved} records recovered\n")
        return result


class DamagedFile:
    """The records that can be read in a directory that was set aside, by way of a copy in `work`, which is made anew.

    Raises ForeignFile for what is another program's or another version's, OSError, sqlite3.Error, ValueError. Once `stop` is
    set it comes to its end soon, whatever it is at.
    """

    def __init__(self, directory: Path, work: Path, stop: Event) -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        self._work = work
        self._stop = stop
        try:
            copy = work / FILE
            _copy(directory, copy, stop)
            _replace_first_page(copy, work / "fresh")
            self._connection = sqlite3.connect(copy, isolation_level=None, check_same_thread=False)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        for pragma in ("writable_schema = ON", "trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4 * MAX_OCTETS)  # a length gone wrong takes no memory
        self._connection.text_factory = lambda octets: octets.decode("latin-1")  # what is no UTF-8 is no reason to stop
        self.had = self._count()
        self._entries = self._read()

    def next(self) -> list[tuple[str, Entry]]:
        """Some more records with their tables; none at the end."""
        return list(islice(self._entries, SLICE))

    def close(self) -> None:
        """Throw the copy away."""
        self._connection.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def _count(self) -> int | None:
        try:
            row = self._connection.execute("SELECT value FROM Settings WHERE key = 'count'").fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row is not None and type(row[0]) is int else None

    def _read(self) -> Iterator[tuple[str, Entry]]:
        at: int | None = 0
        count = -1  # all that follow
        gaps = 0
        while at is not None and not self._stop.is_set():
            before = at
            try:
                for rowid, *row in self._rows(at, count):
                    at = rowid + 1
                    if self._stop.is_set():
                        return
                    if (found := _record(*row)) is not None:
                        yield found
                if count < 0 or at == before:
                    return
            except sqlite3.Error:
                if count < 0:
                    count = 1  # the module has read one row ahead, and lost one with the error
                elif (gaps := gaps + 1) <= MAX_GAPS:
                    at, count = self._behind(at), -1
                else:
                    return

    def _rows(self, at: int, count: int) -> Iterator[tuple[Any, ...]]:
        """Rows from the number `at` on, in order. Raises sqlite3.Error, also where a damaged tree leads back to earlier ones."""
        for row in self._connection.execute(_QUERY, (min(at, _LAST), count)):
            if row[0] < at:
                raise sqlite3.DatabaseError("rows out of order")
            at = row[0] + 1
            yield row

    def _behind(self, at: int) -> int | None:
        """The row number behind `at`, which cannot be read, from which on rows can be read again; None for never."""
        step, bad = 8, at
        while not self._can_read(good := at + step):
            bad = good
            step += max(8, step // 4)
            if step > _FARTHEST:
                return None
        while good - bad > 1:
            middle = (bad + good) // 2
            if self._can_read(middle):
                good = middle
            else:
                bad = middle
        return good

    def _can_read(self, at: int) -> bool:
        try:
            next(self._rows(at, 1), None)
        except sqlite3.Error:
            return False
        return True


def _record(key: object, raw: object, mode: object, filename: object, value: object) -> tuple[str, Entry] | None:
    """The record of a row, and its table; None for a row that is no record of ours."""
    if raw != 1 or mode != MODE_RAW or filename is not None or not isinstance(key, bytes) or not isinstance(value, bytes):
        return None
    name, found, key = key.partition(b"\0")
    try:
        table = name.decode()
    except UnicodeDecodeError:
        return None
    if not found or not 0 < len(table) <= 64 or not table.isprintable() or len(key) > MAX_OCTETS or len(value) > MAX_OCTETS:
        return None
    held = decode(value)
    return None if held is None else (table, Entry(key, *held))


@contextmanager
def _set_at_the_end(event: Event) -> Iterator[Event]:
    try:
        yield event
    finally:
        event.set()


def _copy(directory: Path, copy: Path, stop: Event) -> None:
    """Copy the file and its WAL, where there is room for that."""
    for suffix in ("", "-wal"):
        source = directory / f"{FILE}{suffix}"
        if suffix and not os.path.lexists(source):
            continue
        with os.fdopen(os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if shutil.disk_usage(copy.parent).free < 2 * size + ROOM:
                raise ValueError(f"the disk has no room for another {2 * size:d} octets")
            if not suffix:
                _check_ours(file.read(100))
                file.seek(0)
            descriptor = os.open(f"{copy}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                while not stop.is_set() and (octets := file.read(1 << 20)):
                    out.write(octets)


def _check_ours(header: bytes) -> None:
    """Raises ForeignFile where a sound header says that the file is another program's, or of another version."""
    if header.startswith(b"SQLite format 3\0") and len(header) == 100:
        version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise ForeignFile("it is another program's, or of another version")


def _replace_first_page(copy: Path, fresh: Path) -> None:
    """Give the file the first page of a fresh one, with its own size: all its other pages lie where a fresh one's would."""
    SqliteFile(fresh, ROOM).close()
    with copy.open("r+b") as file:
        pages = os.fstat(file.fileno()).st_size // PAGE
        page = bytearray((fresh / FILE).read_bytes()[:PAGE])
        page[28:32] = pages.to_bytes(4, "big")
        file.write(page)


def _attempts(directory: Path) -> int | None:
    """How often it was tried; None once it is done."""
    try:
        text = (directory / STATUS_FILE).read_text("ascii", "replace")
    except OSError:
        return 0
    return None if text.startswith("done") else text.count("begun")


def _set_status(directory: Path, text: str) -> None:
    try:
        (directory / STATUS_FILE).write_text(text, "ascii", "replace")
    except OSError:
        pass  # it is tried again at the next start
