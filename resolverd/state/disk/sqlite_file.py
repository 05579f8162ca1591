"""The file of the disk store: a diskcache that holds bytes and nothing else.

diskcache gives the schema, the pragmas and the transactions. It would also unpickle what a row tells it to unpickle, open
and delete the files a row names (CVE-2025-69872, unfixed in 5.6.3), and take its own settings from the file; whoever can
write the file would run code in the daemon. `BytesOnly` leaves it no way to do so, and `_examine` looks at a file before
diskcache does.

Everything here blocks, and belongs to one thread with the one connection that writes: SQLite before 3.51.3 can corrupt a WAL
which two connections write.
"""

import logging
import os
import sqlite3
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA, MODE_RAW

from resolverd.state.base import SWEEP_RECORDS, Entry, StoredValue, prefix, sweep_allowance, table_of
from resolverd.state.disk.sqlite_errors import ForeignFile, sqlite_code
from resolverd.state.disk.upgrade import can_upgrade, upgrade

DIRECTORY = "store"
"""Where the file lies, in the state directory; the whole of it is set aside when it is damaged."""
FILE = DBNAME
"""Its name there."""
APPLICATION_ID = 0x52534C56
"""``PRAGMA application_id`` of our files ("RSLV"), so that a foreign database is known for one."""
SCHEMA_VERSION = 1
"""``PRAGMA user_version``: how records lie in the file, not what is in them; `upgrade` leads here from earlier ones.

1: expiry (big-endian double), then the value.
"""

LOCK_TIMEOUT = 2
"""Seconds to wait for somebody else's lock on the file (an administrator's sqlite3)."""
CHECK_TIMEOUT = 0.5
"""Seconds of ``PRAGMA quick_check``, for which the start waits; what it didn't get to is found damaged when it is read."""
PAGE = 4096
"""Octets."""
_PAGES_AT_HAND = 1024
"""Pages that SQLite keeps in memory, 4 MiB: records are written and read at random among 300 000 in no less time with four times
as many, for the system keeps the file's pages as well."""
SLICE = 50
"""Records written, or looked at by a sweep, in one go: about a millisecond. What has expired of them goes in one transaction."""
YIELD = 0.001
"""Seconds between two of these: a thread that goes on and on lets the event loop have the interpreter only every 5 ms."""

_SETTINGS: dict[str, Any] = {
    **DEFAULT_SETTINGS,
    "eviction_policy": "none",
    "cull_limit": 0,
    "sqlite_auto_vacuum": 0,  # the room of what expires is taken by what comes next
    "sqlite_cache_size": _PAGES_AT_HAND,
    "sqlite_mmap_size": 0,  # a mapped file that shrinks or cannot be read kills the process by SIGBUS
    "sqlite_max_page_count": 0,  # given at opening
}
_EXPIRES = struct.Struct(">d")
_PUT = f"""
    INSERT INTO Cache (key, raw, mode, value) VALUES (?, 1, {MODE_RAW:d}, ?) ON CONFLICT (key, raw) DO UPDATE
    SET store_time = NULL, expire_time = NULL, access_time = NULL, access_count = 0, tag = NULL, size = 0,
        mode = excluded.mode, filename = NULL, value = excluded.value"""
QUERY = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_DELETE = "DELETE FROM Cache WHERE key = ? AND raw = 1"

log = logging.getLogger(__name__)


class BytesOnly(diskcache.Disk):  # type: ignore[misc]
    """Bytes in, bytes out, all of them in the database: no pickle is read or written, no file is opened, named or removed.

    Rows that want anything else are refused: they read as None, which is no record. `refused` counts them.
    """

    refused = 0

    def put(self, key: object) -> tuple[memoryview, bool]:
        """A key on its way in."""
        return sqlite3.Binary(_octets(key)), True

    def get(self, key: object, raw: object) -> bytes | None:
        """A key on its way out."""
        if raw and isinstance(key, bytes):
            return key
        self._refuse()
        return None

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, memoryview]:
        """A value on its way in, of any length."""
        return 0, MODE_RAW, None, sqlite3.Binary(_octets(value))

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes | None:
        """A value on its way out."""
        if mode == MODE_RAW and filename is None and isinstance(value, bytes) and not read:
            return value
        self._refuse()
        return None

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """Never asked for: values don't go to files."""
        raise TypeError("values are not kept in files")

    def remove(self, file_path: object) -> None:
        """A row that named a file is replaced or deleted: the file is none of ours."""
        self._refuse()

    def _refuse(self) -> None:
        self.refused += 1
        if self.refused == 1:
            log.error("refused a row that is not plain bytes: somebody else has written to the store's file")


def _octets(value: object) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"stores keep bytes, not {type(value).__name__}")
    return value


class RecordFile:
    """What reads the records in a file by address (`base.address`), over the connection `_sql` of who inherits it."""

    _disk: BytesOnly

    def _sql(self, query: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

    def read(self, address: bytes) -> StoredValue | None:
        """What stands at the address, expired or not; None also for a row that is no record of ours."""
        for mode, filename, value in self._sql(QUERY, [sqlite3.Binary(address)]):
            return decode(self._disk.fetch(mode, filename, value, read=False))
        return None

    def entries(self, table: str, start: bytes, count: int) -> list[Entry]:
        """Up to `count` records of a table from the key `start` on, in order, expired ones included; none at its end."""
        head = prefix(table)
        found: list[Entry] = []
        first, end = head + start, head[:-1] + b"\1"
        while len(found) < count and (addresses := self._addresses(first, end, count)):
            found += [Entry(at[len(head) :], *held) for at in addresses if (held := self.read(at)) is not None]
            first = addresses[-1] + b"\0"
        return found[:count]

    def tables(self) -> list[str]:
        """The tables that have records, expired ones included."""
        found: list[str] = []
        first = b""
        while addresses := self._addresses(first, None, 1):
            found.append(table_of(addresses[0]))
            first = addresses[0].partition(b"\0")[0] + b"\1"
        return found

    def _addresses(self, first: bytes, end: bytes | None, count: int) -> list[bytes]:
        """Addresses from `first` on and before `end`, in order: what diskcache can only tell from the file's beginning."""
        query = "SELECT key FROM Cache WHERE raw = 1 AND typeof(key) = 'blob' AND key >= ?"
        query, bounds = (query, [first]) if end is None else (f"{query} AND key < ?", [first, end])
        rows = self._sql(f"{query} ORDER BY key LIMIT {count:d}", [sqlite3.Binary(each) for each in bounds])
        return [key for (key,) in rows]


class SqliteFile(RecordFile):
    """The records in the file of one directory. One thread's own; nobody else may have it open.

    Raises whatever SQLite, diskcache and the system raise; `is_damage` and `is_environment` tell what that means.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Open the file, or make a new one. Raises ForeignFile too."""
        file = directory / FILE
        _make_private(file)
        _examine(file)
        settings = {**_SETTINGS, "sqlite_max_page_count": max_bytes // PAGE}
        self._file = file
        self._cache = diskcache.Cache(directory, timeout=LOCK_TIMEOUT, disk=BytesOnly, **settings)
        self._disk = self._cache.disk
        self._round: Iterator[bytes | None] | None = None

    def _sql(self, query: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._cache._sql(query, given).fetchall()
        return found

    def octets(self) -> int:
        """The size of the file."""
        octets: int = self._file.stat().st_size
        return octets

    def write(self, batch: Mapping[bytes, StoredValue | None]) -> None:
        """Put, or delete where None, all of the batch or nothing of it; the interpreter is everybody's in between."""
        changes = list(batch.items())
        try:
            self._cache._con.execute("BEGIN IMMEDIATE")
            for start in range(0, len(changes), SLICE):
                if start:
                    time.sleep(YIELD)
                self._write(changes[start : start + SLICE])
            self._cache._con.execute("COMMIT")
        except BaseException:
            # Closing it rolls back what has not been; a new connection is opened at need.
            self._cache.close()
            self._round = None
            raise

    def _write(self, changes: Sequence[tuple[bytes, StoredValue | None]]) -> None:
        # As `Cache.set` and `Cache.delete` would do it, one statement in place of two and a third of the time.
        put = [(_octets(at), _EXPIRES.pack(held.expires) + held.value) for at, held in changes if held is not None]
        gone = [(at,) for at, held in changes if held is None]
        self._cache._con.executemany(_PUT, put)
        self._cache._con.executemany(_DELETE, gone)

    def sweep(self, now: float) -> int:
        """Look at the next `SWEEP_RECORDS` records and remove those that have expired; how many those were."""
        allowance = sweep_allowance(len(self._cache))
        removed = 0
        self._round = self._round or iter(self._cache)
        for start in range(0, SWEEP_RECORDS, SLICE):
            if start:
                time.sleep(YIELD)
            addresses = list(islice(self._round, SLICE))
            expired = [at for at in addresses if at is not None and self._is_expired(at, now)][: allowance - removed]
            if expired:
                self.write(dict.fromkeys(expired))
                removed += len(expired)
            if len(addresses) < SLICE:
                self._round = None
                break
            if removed == allowance:
                break
        return removed

    def _is_expired(self, address: bytes, now: float) -> bool:
        held = self.read(address)
        return held is not None and not now < held.expires

    def close(self) -> None:
        """Write the WAL back and close the file."""
        self._cache.close()


class ReadOnlyFile(RecordFile):
    """The records in a file that cannot be written. Raises FileNotFoundError, ForeignFile, sqlite3.Error."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._file.stat()
        self._disk = BytesOnly(str(directory))
        self._connection: sqlite3.Connection | None = _opened_to_read(self._file)

    def _sql(self, query: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = _opened_to_read(self._file)
        return self._connection.execute(query, given).fetchall()

    def close(self) -> None:
        """Close the file; the next look opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _opened_to_read(file: Path) -> sqlite3.Connection:
    """A connection that only reads. Where SQLite cannot even make the index of a WAL, there is none, or it is passed over."""
    for how in ("mode=ro", "mode=ro&immutable=1"):
        where = f"{file.absolute().as_uri()}?{how}"
        connection = sqlite3.connect(where, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None)
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(QUERY, (b"",)).fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if how != "mode=ro":
                raise
        except BaseException:
            connection.close()
            raise
        else:
            if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
                return connection
            connection.close()
            raise ForeignFile(f"application {application:#x}, schema version {version}")
    raise AssertionError


def decode(octets: bytes | None) -> StoredValue | None:
    """The record in a row's value; None for a row that is no record of ours."""
    if octets is None or len(octets) < _EXPIRES.size:
        return None
    expires: float = _EXPIRES.unpack_from(octets)[0]
    return None if isnan(expires) else StoredValue(octets[_EXPIRES.size :], expires)


def _make_private(file: Path) -> None:
    """Directory 0700, file 0600 before there is anything in it; SQLite gives its WAL the same permissions."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.parent.chmod(0o700)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    file.chmod(0o600)


def _examine(file: Path) -> None:
    """Mark a new file as ours; check that an old one is, and sound. Raises ForeignFile, sqlite3.Error."""
    connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")  # somebody's lock is met here, where it costs seconds and not a minute
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not tables:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise ForeignFile("a database of another program")
        elif version != SCHEMA_VERSION and not can_upgrade(version, SCHEMA_VERSION):
            raise ForeignFile(f"schema version {version}, this resolverd knows {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        if "Settings" in tables:
            # diskcache runs these as pragmas and sets them as attributes of itself.
            foreign = {key for (key,) in connection.execute("SELECT key FROM Settings")} - _SETTINGS.keys() - METADATA.keys()
            if foreign:
                raise ForeignFile("settings that are not ours")
        _quick_check(connection)
        if tables and version != SCHEMA_VERSION:
            upgrade(connection, file, version, SCHEMA_VERSION)
        if "Cache" in tables:
            # A schema that is damaged, its columns or triggers, is sound to `quick_check`, and would fail with every record.
            for statement in (QUERY, _PUT, _DELETE):
                connection.execute(f"EXPLAIN {statement}", (None,) * statement.count("?")).fetchall()
    finally:
        connection.close()


def _quick_check(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + CHECK_TIMEOUT
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if sqlite_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
    else:
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
