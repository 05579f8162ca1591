"""The SQLite files of the state directory, changed anywhere: what is read of them is a record, nothing, or a known error."""

import sqlite3
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from resolverd.state.base import address, stored_value
from resolverd.state.disk.cache_file import NAME, CacheFolder
from resolverd.state.disk.sqlite_errors import is_damage, is_environment
from resolverd.state.disk.sqlite_file import FILE, SqliteFile
from resolverd.state.rows import Changes
from tests.fuzz.target import target

_SIZE = 1 << 22
_SCRATCH = tempfile.TemporaryDirectory(prefix="fuzz-")
_FAULTS = (sqlite3.Error, OSError, ValueError)
"""What `persistence` expects of a cache's file."""


@cache
def _sound() -> tuple[bytes, bytes]:
    """A cache's file and a store's."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        caches = CacheFolder(Path(folder), _SIZE)
        rows = [(b"r%03d" % number, b"value" * (number % 40)) for number in range(120)]
        opened = caches.open()
        opened.write(Changes(False, (), rows, b"fingerprint", caches.moment(1_800_000_000.0)))
        opened.close()
        store = SqliteFile(Path(folder, "store"), _SIZE)
        store.write({address("t", b"%03d" % number): stored_value(b"value" * (number % 40), 2e9) for number in range(120)})
        store.close()
        return Path(folder, NAME).read_bytes(), Path(folder, "store", FILE).read_bytes()


def _damage() -> Iterable[bytes]:
    """Which file; then changes of four octets: where in it (three) and what is put there."""
    for which in (b"\0", b"\1"):
        yield which
        for page in range(10):
            for at in (0, 3, 5, 8, 60, 100, 4000, 4090):
                yield which + (page * 4096 + at).to_bytes(3) + b"\x0d"


@target(_damage, 0.5, 61)
def database(data: bytes) -> None:
    """A file of which some octets are others than were written."""
    if not data:
        return
    octets = bytearray(_sound()[data[0] % 2])
    for at in range(1, len(data) - 3, 4):
        octets[int.from_bytes(data[at : at + 3]) % len(octets)] = data[at + 3]
    with tempfile.TemporaryDirectory(dir=_SCRATCH.name) as folder:
        (_read_caches if data[0] % 2 == 0 else _read_store)(Path(folder), bytes(octets))


def _read_caches(folder: Path, octets: bytes) -> None:
    (folder / NAME).write_bytes(octets)
    caches = CacheFolder(folder, _SIZE)
    try:
        opened = caches.open()
    except Exception as error:
        if not caches.is_useless(error) and not is_environment(error):
            raise
        return
    try:
        opened.about()
        for row in opened.newest(None, 200):
            assert row.value is None or row.value == b"value" * (len(row.value) // 5)
        opened.beginning(b"r", b"", 50)
        opened.read(b"r007")
        opened.write(Changes(False, (b"r00",), [(b"r1", b"new")], b"other", caches.moment(5.0)))
    except _FAULTS:
        pass
    finally:
        opened.close()


def _read_store(folder: Path, octets: bytes) -> None:
    (folder / "store").mkdir()
    (folder / "store" / FILE).write_bytes(octets)
    try:
        store = SqliteFile(folder / "store", _SIZE)
    except Exception:  # whatever it is, the file is set aside
        return
    try:
        store.octets()
        store.tables()
        store.entries("t", b"", 50)
        store.read(address("t", b"007"))
        store.write({address("t", b"new"): stored_value(b"x", 2e9)})
        assert store.read(address("t", b"new")) == stored_value(b"x", 2e9)
        store.sweep(3e9)
    except Exception as error:
        if not is_damage(error) and not is_environment(error):
            raise
    finally:
        store.close()
