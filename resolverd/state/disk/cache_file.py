"""The file in which caches are kept over a restart: rows of octets by key, in one SQLite file, each with a checksum.

Nothing in it is worth being mended. A file that is damaged, foreign or of another version is deleted, and another is begun; a row
that is damaged is none. It is written by one thread, in batches, and read by another connection on the event loop, which no
writing keeps waiting (WAL). It is not mapped into memory: a file that shrinks would kill the process (SIGBUS).
"""

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Final

from resolverd import bounds
from resolverd.state.disk.sqlite_errors import ForeignFile, is_environment
from resolverd.state.disk.sqlite_file import PAGE
from resolverd.state.rows import Changes, Moment, Row

NAME: Final = "cache.sqlite"
"""Its name in the state directory."""
APPLICATION_ID: Final = 0x52534C43
"""What its header says it is: ``RSLC``."""
VERSION: Final = 1
"""What its header says of its form."""

_SLICE = 50
"""Rows written in one go, about half a millisecond; in between the interpreter is everybody's."""
_YIELD = 0.0005
"""Seconds in between."""
_LOCK_TIMEOUT = 0.5
"""Seconds; nobody but ourselves should have it open."""
_CRC = 4
_KEY = itemgetter(0)
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class CacheFile:
    """The `RowFile`. `read` belongs to the event loop, everything else to one thread."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open it, or begin another; raises ForeignFile too. `max_bytes`: its size; beyond, the rows written first go.

        `is_new`: it was begun just now.
        """
        self._path = path
        self.is_new = False
        self._most = max(max_bytes // PAGE, 64)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        path.chmod(0o600)
        self._writer = self._connected()
        try:
            self._examine()
            self._reader: sqlite3.Connection = self._connected()
            self._reader.execute("PRAGMA query_only = 1")
        except BaseException:
            self._writer.close()
            raise

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        for pragma in ("trusted_schema = 0", "cell_size_check = 1", "mmap_size = 0", "temp_store = 2"):
            connection.execute(f"PRAGMA {pragma}")
        connection.text_factory = bytes
        return connection

    def _examine(self) -> None:
        one = self._writer
        one.execute("PRAGMA journal_mode = WAL")
        # The last batches may be lost with the power, and nothing else.
        one.execute("PRAGMA synchronous = NORMAL")
        one.execute("PRAGMA journal_size_limit = 4194304")
        ((application,),) = one.execute("PRAGMA application_id").fetchall()
        ((version,),) = one.execute("PRAGMA user_version").fetchall()
        tables = {name for (name,) in one.execute("SELECT name FROM sqlite_master")}
        if not tables and not application:
            one.execute("BEGIN IMMEDIATE")
            one.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            one.execute(f"PRAGMA user_version = {VERSION}")
            one.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)")
            one.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID")
            one.execute("COMMIT")
            self.is_new = True
        elif application != APPLICATION_ID:
            raise ForeignFile("a database of another program")
        elif version != VERSION:
            raise ForeignFile(f"version {version}, this resolverd knows {VERSION}")
        elif not {b"rows", b"about"} <= tables:
            raise ForeignFile("its tables are others")

    @property
    def size(self) -> int:
        """Octets of it on disk."""
        return sum(each.stat().st_size for each in _parts(self._path) if each.exists())

    def about(self) -> tuple[bytes, Moment | None]:
        """The fingerprint under which it was written last, and when; None where that cannot be told."""
        found = dict(self._writer.execute("SELECT name, value FROM about").fetchall())
        fingerprint, wall, boot, uptime = (found.get(each) for each in (b"fingerprint", b"wall", b"boot", b"uptime"))
        if not isinstance(wall, float) or not isinstance(uptime, float) or not isinstance(boot, bytes):
            return b"", None
        return fingerprint if isinstance(fingerprint, bytes) else b"", Moment(wall, boot.decode("ascii", "replace"), uptime)

    def read(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        for (value,) in self._reader.execute("SELECT value FROM rows WHERE key = ?", (key,)):
            return _checked(key, value)
        return None

    def newest(self, before: int | None, count: int) -> list[Row]:
        """Rows, those written last first, with numbers below `before`."""
        limit = 1 << 62 if before is None else before
        found = self._writer.execute(
            "SELECT number, key, value FROM rows WHERE number < ? ORDER BY number DESC LIMIT ?", (limit, count)
        )
        return [Row(number, key, _checked(key, value)) for number, key, value in found.fetchall() if isinstance(key, bytes)]

    def beginning(self, prefix: bytes, after: bytes, count: int) -> list[Row]:
        """Rows whose keys begin so, by key, behind `after`."""
        found = self._writer.execute(
            "SELECT number, key, value FROM rows WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
            (max(prefix, after), prefix + b"\xff", count),
        )
        return [Row(number, key, _checked(key, value)) for number, key, value in found.fetchall() if isinstance(key, bytes)]

    def write(self, changes: Changes) -> None:
        """Write all of it, or nothing."""
        one = self._writer
        one.execute("BEGIN IMMEDIATE")
        try:
            if changes.clear:
                one.execute("DELETE FROM rows")
            for prefix in changes.prefixes:
                one.execute("DELETE FROM rows WHERE key >= ? AND key < ?", (prefix, prefix + b"\xff"))
            # Neighbours share a page.
            rows = sorted(changes.rows, key=_KEY)
            for start in range(0, len(rows), _SLICE):
                if start:
                    time.sleep(_YIELD)
                self._put(rows[start : start + _SLICE])
            moment = changes.moment
            about = (
                ("fingerprint", changes.fingerprint),
                ("wall", moment.wall),
                ("boot", moment.boot.encode()),
                ("uptime", moment.uptime),
            )
            one.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about)
            self._shrink()
            one.execute("COMMIT")
        except BaseException:
            if one.in_transaction:
                one.execute("ROLLBACK")
            raise

    def _put(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        put, gone = [], []
        for key, value in rows:
            if value is None or len(value) > bounds.CACHE_ROW:
                gone.append((key,))
            else:
                put.append((key, zlib.crc32(value, zlib.crc32(key)).to_bytes(_CRC, "big") + value))
        # A row that is put again is a new one, and the last.
        self._writer.executemany("INSERT OR REPLACE INTO rows (key, value) VALUES (?, ?)", put)
        self._writer.executemany("DELETE FROM rows WHERE key = ?", gone)

    def _shrink(self) -> None:
        """Let the rows go that were written first, as far as there is no room."""
        for _ in range(1000):
            ((pages,),) = self._writer.execute("PRAGMA page_count").fetchall()
            ((free,),) = self._writer.execute("PRAGMA freelist_count").fetchall()
            if pages - free <= self._most:
                return
            self._writer.execute("DELETE FROM rows WHERE number IN (SELECT number FROM rows ORDER BY number LIMIT 1000)")
            time.sleep(_YIELD)

    def close(self) -> None:
        """Close it; what is in the WAL goes into the file."""
        self._reader.close()
        self._writer.close()


def _checked(key: object, value: object) -> bytes | None:
    if not isinstance(key, bytes) or not isinstance(value, bytes) or len(value) < _CRC:
        return None
    octets = value[_CRC:]
    return octets if zlib.crc32(octets, zlib.crc32(key)) == int.from_bytes(value[:_CRC], "big") else None


def _parts(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal")]


class CacheFolder:
    """The `RowFolder`: the file in a state directory. `max_bytes` as `CacheFile` has it."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._path = directory / NAME
        self._max_bytes = max_bytes

    def open(self) -> CacheFile:
        """Open the file, or begin another where there is none. Raises ForeignFile too."""
        return CacheFile(self._path, self._max_bytes)

    def delete(self) -> None:
        """Delete the file with what belongs to it, where there is one."""
        for each in _parts(self._path):
            each.unlink(missing_ok=True)

    def is_useless(self, error: BaseException) -> bool:
        """Whether an error is the file's own fault, so that it is to be deleted, and not the machine's."""
        return isinstance(error, ForeignFile | sqlite3.Error | ValueError) and not is_environment(error)

    def moment(self, wall: float) -> Moment:
        """This moment, at which the wall clock says `wall`."""
        try:
            boot = _BOOT.read_text("ascii").strip()
        except (OSError, ValueError):
            boot = ""
        return Moment(wall, boot, time.clock_gettime(time.CLOCK_BOOTTIME))
