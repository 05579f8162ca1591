"""The disk store keeps its file to itself, to bytes, and goes on whatever condition it finds it in."""

import asyncio
import logging
import os
import pickle
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import LATER, NOW, aside, database, filled, keys, works

from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import StoredValue
from resolverd.state.disk import sqlite_file
from resolverd.state.disk.opening import StateInUse, open_store
from resolverd.state.disk.pending import PendingStore
from resolverd.state.disk.recovery import Recovery
from resolverd.state.disk.store import DiskStore
from resolverd.state.memory import MemoryStore


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "var"


async def test_nobody_else_may_read_the_files(state: Path) -> None:
    before = os.umask(0)
    try:
        store = await open_store(state, Counters())
        store.put("t", b"k", b"v", LATER)
        await store.flush()
    finally:
        os.umask(before)
    assert modes(state) == {
        "var": 0o700, "var/lock": 0o600, "var/store": 0o700,
        "var/store/cache.db": 0o600, "var/store/cache.db-wal": 0o600, "var/store/cache.db-shm": 0o600,
    }  # fmt: skip
    await store.close()


def modes(state: Path) -> dict[str, int]:
    return {str(path.relative_to(state.parent)): stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}


async def test_a_second_daemon_is_refused_and_the_first_goes_on(state: Path) -> None:
    first = await open_store(state, Counters())
    with pytest.raises(StateInUse, match=rf"{state} is in use by another resolverd \(process {os.getpid()}\)"):
        await open_store(state, Counters())
    await works(first)
    await works(await open_store(state, Counters()))


# Bytes only: CVE-2025-69872

PLANTED = b"t\0planted"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.file),)


def plant(
    state: Path, *, mode: int, value: object = None, filename: str | None = None, key: bytes = PLANTED, raw: int = 1
) -> None:
    connection = sqlite3.connect(database(state))
    connection.execute(
        "INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)", (key, raw, mode, filename, value)
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "case", ["pickled value", "pickled file", "pickled key", "binary file", "text file", "text", "short", "nan"]
)
async def test_planted_rows_are_refused(state: Path, tmp_path: Path, case: str) -> None:
    await filled(state)
    victim, crater = tmp_path / "victim", tmp_path / "crater"
    bomb = pickle.dumps(Bomb(crater))
    victim.write_bytes(bomb)
    match case:
        case "pickled value":
            plant(state, mode=4, value=bomb)
        case "pickled file":
            plant(state, mode=4, filename=str(victim))
        case "pickled key":
            plant(state, key=bomb, raw=0, mode=1, value=b"\0" * 20)
        case "binary file":
            plant(state, mode=2, filename=str(victim))
        case "text file":
            plant(state, mode=3, filename=str(victim))
        case "text":
            plant(state, mode=1, value="text")
        case "short":
            plant(state, mode=1, value=b"short")
        case "nan":
            plant(state, mode=1, value=b"\x7f\xf8" + b"\0" * 10)

    store = await open_store(state, Counters())
    assert await store.get("t", b"planted", NOW) is None
    assert await keys(store, "t") == [b"0"]
    for _ in range(3):
        store.sweep(LATER + 1)
    await store.flush()
    store.put("t", b"planted", b"ours", LATER)
    await store.flush()
    store.delete("t", b"planted")
    await store.flush()
    await works(store)
    assert not crater.exists()
    assert victim.read_bytes() == bomb
    assert aside(state) == []


def test_diskcache_has_no_way_to_anything_but_bytes(tmp_path: Path) -> None:
    disk = sqlite_file.BytesOnly(str(tmp_path))
    for value in ("text", 1, 1.0, None, ("tuple",), bytearray(b"x")):
        with pytest.raises(TypeError):
            disk.put(value)
        with pytest.raises(TypeError):
            disk.store(value, False)
    with pytest.raises(TypeError):
        disk.filename()
    assert disk.store(b"x" * 100_000, False) == (0, 1, None, b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


# Whatever condition the file is in


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def garbage(file: Path) -> None:
    file.write_bytes(b"not a database, nowhere near one" * 1000)


def bad_header(file: Path) -> None:
    file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])


def bad_pages(file: Path) -> None:
    """All but the first, where the schema is, and those that opening needs."""
    octets = file.read_bytes()
    file.write_bytes(octets[:65536] + b"\xa5" * (len(octets) - 65536))


def directory(file: Path) -> None:
    file.unlink()
    (file / "in the way").mkdir(parents=True)


def symlink(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))
    file.symlink_to("elsewhere.db")


def statements(*texts: str) -> Callable[[Path], None]:
    def run(file: Path) -> None:
        connection = sqlite3.connect(file)
        for text in texts:
            connection.execute(text)
        connection.commit()
        connection.close()

    run.__name__ = texts[0]
    return run


@pytest.mark.parametrize(
    "harm",
    [
        truncate,
        garbage,
        bad_header,
        bad_pages,
        directory,
        symlink,
        statements("PRAGMA application_id = 0"),
        statements("PRAGMA user_version = 99"),
        statements("DROP TABLE Cache", "CREATE TABLE Cache (something TEXT)"),
        statements("DROP TABLE Settings", "CREATE TABLE Settings (other)"),
        statements("INSERT INTO Settings VALUES ('disk_directory', '/')"),
        statements("INSERT INTO Settings VALUES ('sqlite_query_only', 1)"),
        statements("INSERT INTO Settings VALUES ('get', 'nothing')"),
    ],
    ids=lambda harm: harm.__name__,
)
async def test_an_unusable_file_is_set_aside(state: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture) -> None:
    await filled(state, 2000)
    harm(database(state))
    counters = Counters()
    store = await open_store(state, counters)
    assert isinstance(store, DiskStore)
    assert await keys(store, "t") == []
    await works(store)
    (kept,) = aside(state)
    assert kept.name.startswith("store.corrupt-2")
    assert (kept / "cache.db").exists()
    assert counters.get("store_set_aside") == 1
    (loud,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert str(kept) in loud.getMessage()


async def test_an_empty_file_is_a_new_one(state: Path) -> None:
    await filled(state)
    os.truncate(database(state), 0)
    await works(await open_store(state, Counters()))
    assert aside(state) == []


async def test_two_set_aside_in_one_second(state: Path) -> None:
    for count in (1, 2, 3):
        await filled(state)
        garbage(database(state))
        await works(await open_store(state, Counters()))
        assert len(aside(state)) == count


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store of 300 records."""
    state = tmp_path_factory.mktemp("sound") / "var"
    asyncio.run(filled(state, 300))
    return database(state).read_bytes()


@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.integers(1, 255)), min_size=1, max_size=20))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_never_stop_us(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture, sound: bytes, flips: list[tuple[int, int]]
) -> None:
    state = tmp_path_factory.mktemp("flip") / "var"

    async def run() -> None:
        octets = bytearray(sound)
        database(state).parent.mkdir(parents=True, mode=0o700)
        for position, mask in flips:
            octets[position % len(octets)] ^= mask
        database(state).write_bytes(octets)
        store = await open_store(state, Counters())
        try:
            for number in range(300):
                try:
                    await store.get("t", b"%d" % number, NOW)
                except StoreError:
                    pass
            store.put("t", b"new", b"v", LATER)
            assert await store.get("t", b"new", NOW) == b"v"
            with caplog.at_level(logging.ERROR, "resolverd.state.disk.recovery"):
                await Recovery(store, state, lambda: NOW, Counters()).run()
            assert "Traceback" not in caplog.text
            assert await store.get("t", b"new", NOW) == b"v"
        finally:
            await store.close()

    asyncio.run(run())


async def test_a_damaged_schema_is_set_aside_when_it_is_met(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite's message then quotes what is no text, which Python's module cannot make an error of."""
    await filled(state, 300)
    octets = bytearray(database(state).read_bytes())
    table = octets.index(b"UPDATE Settings", octets.index(b"TRIGGER Settings_count_insert")) + len("UPDATE S")
    octets[table] |= 0x80
    database(state).write_bytes(octets)
    store = await open_store(state, Counters())
    store.put("t", b"new", b"v", LATER)
    if not aside(state):
        with pytest.raises(StoreError):
            await store.flush()
    await store.flush()
    assert len(aside(state)) == 1
    assert await store.get("t", b"new", NOW) == b"v"
    assert "Traceback" not in caplog.text
    await store.close()


async def test_damage_found_while_running_is_set_aside_too(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 2000)
    bad_pages(database(state))
    monkeypatch.setattr(sqlite_file, "_quick_check", lambda connection: None)
    store = await open_store(state, Counters())
    assert aside(state) == []
    store.put("t", b"kept", b"v", LATER)
    with pytest.raises(StoreError, match="malformed"):
        await store.get("t", b"1234", NOW)
    assert await store.get("t", b"1234", NOW) is None
    assert await store.get("t", b"kept", NOW) == b"v"
    await works(store)
    assert len(aside(state)) == 1
    store = await open_store(state, Counters())
    assert await store.get("t", b"kept", NOW) == b"v"
    await store.close()


@pytest.mark.parametrize("state_path", ["file/var", "file", "/proc/self/var"])
async def test_a_directory_that_cannot_be_written_means_memory(
    tmp_path: Path, state_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    counters = Counters()
    store = await open_store(tmp_path / state_path, counters)
    assert isinstance(store, MemoryStore)
    await works(store)
    assert counters.get("store_in_memory") == 1
    assert "kept in memory" in caplog.text


async def test_somebody_elses_lock_means_reading_and_leaves_the_file(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT", 0)
    await filled(state)
    holder = sqlite3.connect(database(state), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store = await open_store(state, Counters())
    assert isinstance(store, PendingStore)
    with pytest.raises(StateInUse):
        await open_store(state, Counters())
    assert await store.get("t", b"0", NOW) is not None
    await works(store)
    holder.close()
    store = await open_store(state, Counters())
    assert await store.get("t", b"0", NOW) is not None
    await store.close()
    assert aside(state) == []


async def test_a_full_store_keeps_what_it_has_refuses_the_rest_and_recovers(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    store = await open_store(state, counters, max_bytes=256 << 10, max_unwritten=400)
    store.put("t", b"old", b"v" * 1000, LATER)
    await store.flush()
    refused = 0
    for number in range(1000):
        try:
            store.put("t", b"%d" % number, b"v" * 1000, LATER)
        except StoreError:
            refused += 1
    with pytest.raises(StoreError, match="full"):
        await store.flush()
    assert refused == 600
    assert await store.get("t", b"old", NOW) == b"v" * 1000
    assert await store.get("t", b"399", NOW) == b"v" * 1000
    assert counters.get("store_write_failures") >= 1
    assert caplog.text.count("cannot be written") == 1
    for number in range(399):
        store.delete("t", b"%d" % number)
    await store.flush()
    assert await store.get("t", b"399", NOW) == b"v" * 1000
    await works(store)
    assert "can be written again" in caplog.text
    assert aside(state) == []
    store = await open_store(state, Counters())
    assert await keys(store, "t") == [b"399", b"new", b"old"]
    await store.close()


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    file = sqlite_file.SqliteFile(tmp_path / "store", 1 << 20)

    def no_commit(action: int, argument: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if (action, argument) == (sqlite3.SQLITE_TRANSACTION, "COMMIT") else sqlite3.SQLITE_OK

    file._cache._con.set_authorizer(no_commit)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        file.write({b"k": StoredValue(b"v", LATER)})
    assert file.read(b"k") is None
    file.write({b"k": StoredValue(b"v", LATER)})
    assert file.read(b"k") == StoredValue(b"v", LATER)
    file.close()


FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from resolverd.failures import StoreError
from resolverd.state.disk.opening import open_store
from resolverd.metrics import Counters

state = Path(sys.argv[1])
ballast = state / "ballast"

def fill():
    with open(ballast, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size): pass
            except OSError: pass

async def main():
    store = await open_store(state, Counters())
    store.put("t", b"before", b"v", 2e9)
    await store.flush()
    fill()
    for number in range(200):
        store.put("t", b"%d" % number, b"v" * 1000, 2e9)
    try:
        await store.flush()
    except StoreError as error:
        print("flush:", error)
    print("full:", await store.get("t", b"before", 1e9), len(await store.get("t", b"199", 1e9)))
    ballast.unlink()
    await store.flush()
    print("room again:", len([entry async for entry in store.scan("t", 1e9)]))
    await store.close()

    fill()
    store = await open_store(state, Counters())
    store.put("t", b"new", b"v", 2e9)
    print("opened full:", type(store).__name__, await store.get("t", b"new", 1e9), await store.get("t", b"before", 1e9),
          len([entry async for entry in store.scan("t", 1e9)]), await store.tables())
    store.delete("t", b"before")
    store.put("t", b"7", b"changed", 2e9)
    print("changed:", await store.get("t", b"before", 1e9), await store.get("t", b"7", 1e9),
          len([entry async for entry in store.scan("t", 1e9)]))
    ballast.unlink()
    store.sweep(1e9)
    while store._trying: await asyncio.sleep(0.01)
    print("written:", len([entry async for entry in store.scan("t", 1e9)]))
    await store.close()
    store = await open_store(state, Counters())
    print("opened:", type(store).__name__, len([entry async for entry in store.scan("t", 1e9)]), await store.get("t", b"7", 1e9),
          await store.get("t", b"before", 1e9), list(state.glob("*.corrupt-*")))
    await store.close()

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs a mount namespace")
def test_a_full_disk_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    """While it is full records stay in memory, at the start as while running; they are written when there is room."""
    mount = tmp_path / "small"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=2m small "$1" && exec "$2" -c "$3" "$1"'
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", mount, sys.executable, FULL_DISK],
        capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert run.stdout.splitlines() == [
        "flush: database or disk is full",
        "full: b'v' 1000",
        "room again: 201",
        "opened full: PendingStore b'v' b'v' 202 ['t']",
        "changed: None b'changed' 201",
        "written: 201",
        "opened: DiskStore 201 b'changed' None []",
    ], run.stderr


READ_ONLY = """
import asyncio, os, subprocess, sys
from pathlib import Path
from resolverd.state.disk.opening import open_store
from resolverd.state.statedir import StateInUse
from resolverd.metrics import Counters

state = Path(sys.argv[1])

def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(state)], check=True)

async def before():
    store = await open_store(state, Counters())
    store.put("t", b"known", b"v", 2e9)
    await store.flush()
    if sys.argv[2] == "killed":  # what was written last lies in the WAL then
        os._exit(0)
    await store.close()

async def main():
    remount("ro")
    store = await open_store(state, Counters())
    try:
        await open_store(state, Counters())
    except StateInUse:
        print("in use")
    store.put("t", b"new", b"v", 2e9)
    store.sweep(1e9)
    print(type(store).__name__, [entry.key async for entry in store.scan("t", 1e9)], await store.get("t", b"known", 1e9))
    remount("rw")
    await store.close()
    store = await open_store(state, Counters())
    print(type(store).__name__, [entry.key async for entry in store.scan("t", 1e9)])
    await store.close()

if not os.fork():
    asyncio.run(before())
    os._exit(0)
os.wait()
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs a mount namespace")
@pytest.mark.parametrize("ended", ["closed", "killed"])
def test_a_read_only_disk_is_read_and_written_once_it_can_be(tmp_path: Path, ended: str) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=8m small "$1" && exec "$2" -c "$3" "$1" "$4"'
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", mount, sys.executable, READ_ONLY, ended],
        capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert run.stdout.splitlines() == [
        "in use",
        "PendingStore [b'known', b'new'] b'v'",
        "DiskStore [b'known', b'new']",
    ], run.stderr


CHILD = """
import asyncio, sys
from itertools import count
from pathlib import Path
from resolverd.state.disk.opening import open_store
from resolverd.metrics import Counters

async def main():
    store = await open_store(Path(sys.argv[1]), Counters())
    start = int(sys.argv[2])
    for number in count(start):
        store.put("t", b"%d" % number, b"value %d" % number, 2e9)
        if number % 10 == 0:
            await store.flush()
            print(number, flush=True)

asyncio.run(main())
"""


def test_killed_in_the_midst_of_writing(state: Path) -> None:
    """Each time the file is sound and has everything that was flushed."""
    flushed = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, state, str(flushed + 1)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout is not None
        for _ in range(20):
            flushed = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
        for line in child.stdout:
            flushed = int(line)
        child.stdout.close()
        connection = sqlite3.connect(database(state))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()

    async def found() -> dict[int, bytes]:
        store = await open_store(state, Counters())
        records = {int(entry.key): entry.value async for entry in store.scan("t", NOW)}
        await store.close()
        return records

    records = asyncio.run(found())
    assert records.keys() >= set(range(1, flushed + 1))
    assert all(value == b"value %d" % number for number, value in records.items())
    assert aside(state) == []


@pytest.mark.parametrize("at", [0, sqlite_file.SLICE, 3 * sqlite_file.SLICE - 1])
def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path, at: int) -> None:
    file = sqlite_file.SqliteFile(tmp_path / "store", 1 << 20)
    file.write({b"old": StoredValue(b"v", LATER)})
    batch: dict[bytes, StoredValue | None] = {b"%d" % number: StoredValue(b"v", LATER) for number in range(3 * sqlite_file.SLICE)}
    batch[b"old"] = None
    with pytest.raises(TypeError):
        file.write({**batch, b"%d" % at: StoredValue("text", LATER)})  # type: ignore[arg-type]
    assert [file.read(each) for each in (b"old", b"1", b"%d" % (len(batch) - 2))] == [StoredValue(b"v", LATER), None, None]
    file.write(batch)
    assert [file.read(each) for each in (b"old", b"1", b"%d" % (len(batch) - 2))] == [None, *[StoredValue(b"v", LATER)] * 2]
    file.close()
