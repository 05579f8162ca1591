"""What can be read of a damaged store comes back, and nothing else does."""

import asyncio
import os
import random
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import LATER, NOW, aside, database, keys, works

from resolverd.app.service import Service
from resolverd.clock import SystemClock
from resolverd.config.endpoints import StoreUrl
from resolverd.config.settings import Settings, StoreSettings
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.state.base import Store
from resolverd.state.disk.opening import open_store
from resolverd.state.disk.recovery import MAX_ATTEMPTS, STATUS_FILE, Recovered, Recovery
from resolverd.state.disk.sqlite_file import PAGE
from resolverd.wire.ask import Ask, Failed, Reply
from tests.networks import AsyncNetwork

COUNT = 800


def value(number: int) -> bytes:
    return b"value %d" % number * 4


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with so many records."""
    state = tmp_path_factory.mktemp("sound") / "var"

    async def fill() -> None:
        store = await open_store(state, Counters())
        numbers = list(range(COUNT))
        random.Random(1).shuffle(numbers)
        for number in numbers:
            store.put("t", b"%05d" % number, value(number), LATER)
        await store.close()

    asyncio.run(fill())
    return database(state)


@pytest.fixture
def state(tmp_path: Path, sound: Path) -> Path:
    """A state directory with a copy of that."""
    (tmp_path / "var" / "store").mkdir(parents=True, mode=0o700)
    database(tmp_path / "var").write_bytes(sound.read_bytes())
    return tmp_path / "var"


def table_pages(file: Path) -> list[int]:
    """The pages on which rows lie, from the kind of each: 13 is a leaf of a table."""
    octets = file.read_bytes()
    return [at for at in range(6 * PAGE, len(octets), PAGE) if octets[at] == 13]


def spoil(file: Path, *pages: int, octet: bytes = b"\xa5") -> None:
    with file.open("r+b") as out:
        for at in pages:
            out.seek(at)
            out.write(octet * PAGE)


async def opened(state: Path, *, damaged: bool = True) -> Store:
    store = await open_store(state, Counters())
    assert bool(aside(state)) is damaged
    return store


async def recovered(store: Store, state: Path, now: float = NOW) -> list[Recovered]:
    found = await Recovery(store, state, lambda: now, Counters()).run()
    assert not (state / "salvaging").exists()
    return found


async def sound_ones(store: Store) -> int:
    """How many records are there, each as it was put."""
    found = {entry.key: entry.value async for entry in store.scan("t", NOW)}
    assert all(found[key] == value(int(key)) for key in found)
    return len(found)


@pytest.mark.parametrize("octet", [b"\0", b"\x0d"])
@pytest.mark.parametrize("where", ["first", "middle", "last", "some"])
async def test_one_bad_page_costs_what_lies_on_it(
    state: Path, where: str, octet: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    pages = table_pages(database(state))
    bad = {"first": pages[:1], "middle": pages[10:11], "last": pages[-1:], "some": [pages[5], pages[6], pages[12]]}[where]
    spoil(database(state), *bad, octet=octet)
    store = await opened(state)
    assert await keys(store, "t") == []
    (result,) = await recovered(store, state)
    left = await sound_ones(store)
    assert result == Recovered(left, 0, 0, COUNT)
    assert left >= COUNT - len(bad) * (COUNT // len(pages) + 10)
    (kept,) = aside(state)
    assert f"{left} records of {COUNT} were recovered from the damaged store set aside as {kept}" in caplog.text
    await works(store)
    assert await recovered(await opened(state), state) == [], "once is enough"


@pytest.mark.parametrize(("instead", "of", "least"), [(2, 10, COUNT - 140), (2, -1, COUNT - 140), (-1, 2, 100), (10, 2, 100)])
async def test_a_page_in_the_wrong_place_leads_nowhere_for_ever(state: Path, instead: int, of: int, least: int) -> None:
    """A disk that writes a page elsewhere: rows come that have been there, or those before them are passed over."""
    pages, octets = table_pages(database(state)), bytearray(database(state).read_bytes())
    octets[pages[of] : pages[of] + PAGE] = octets[pages[instead] : pages[instead] + PAGE]
    database(state).write_bytes(octets)
    with database(state).open("r+b") as out:
        out.write(bytes(16))
    store = await opened(state)
    (result,) = await recovered(store, state)
    assert least <= result.saved == await sound_ones(store) < COUNT
    await works(store)


def first_page(file: Path) -> None:
    spoil(file, 0)


def no_header(file: Path) -> None:
    file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])


def other_schema(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END")
    connection.execute("INSERT INTO Settings VALUES ('disk_directory', '/')")
    connection.execute("DROP INDEX Cache_expire_time")
    connection.execute("CREATE INDEX Cache_expire_time ON Cache (abs(expire_time))")
    connection.commit()
    connection.close()
    with file.open("r+b") as out:  # schema format 77: SQLite refuses the file
        out.seek(47)
        out.write(b"\x4d")


def indexes(file: Path) -> None:
    octets = file.read_bytes()
    spoil(file, 4 * PAGE, *(at for at in range(6 * PAGE, len(octets), PAGE) if octets[at] in (2, 10)))


@pytest.mark.parametrize("harm", [first_page, no_header, other_schema, indexes], ids=lambda harm: harm.__name__)
async def test_damage_that_no_row_lies_on_costs_no_record(state: Path, harm: Callable[[Path], None]) -> None:
    harm(database(state))
    store = await opened(state)
    (result,) = await recovered(store, state)
    assert result.saved == await sound_ones(store) == COUNT
    await works(store)


async def test_what_is_cut_off_is_gone_and_the_rest_is_saved(state: Path) -> None:
    os.truncate(database(state), database(state).stat().st_size // 2)
    store = await opened(state)
    (result,) = await recovered(store, state)
    assert result.saved == await sound_ones(store)
    assert COUNT // 4 < result.saved < COUNT
    await works(store)


async def test_records_in_the_wal_are_saved_too(state: Path) -> None:
    """A process that was killed leaves a WAL, and its last records are only there."""
    connection = sqlite3.connect(database(state))
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE Cache SET value = ? WHERE key = ?", (struct.pack(">d", LATER) + b"in the WAL", b"t\x0000007"))
    connection.commit()
    wal = database(state).with_name("cache.db-wal").read_bytes()
    connection.close()
    spoil(database(state), 0)
    database(state).with_name("cache.db-wal").write_bytes(wal)
    # Its own good copy of the first page may heal the file: it is set aside by hand then.
    (state / "store").rename(state / "store.corrupt-20260101T000000Z")
    store = await opened(state)
    await recovered(store, state)
    assert await store.get("t", b"00007", NOW) == b"in the WAL"
    await works(store)


async def test_what_is_there_again_and_what_has_expired_stays_as_it_is(state: Path) -> None:
    spoil(database(state), 0)
    store = await opened(state)
    store.put("t", b"00001", b"lives longer", LATER + 1)
    store.put("t", b"00002", b"lives less long", LATER - 1)
    (result,) = await recovered(store, state)
    assert result == Recovered(COUNT - 1, 1, 0, COUNT)
    assert await store.get("t", b"00001", NOW) == b"lives longer"
    assert await store.get("t", b"00002", NOW) == value(2)
    await works(store)


async def test_expired_records_are_not_put_back(state: Path) -> None:
    spoil(database(state), 0)
    store = await opened(state)
    assert await recovered(store, state, now=LATER) == [Recovered(0, 0, COUNT, COUNT)]
    await works(store)


SOUND = struct.pack(">d", LATER) + b"v"


PLANTED = (
    (b"t\0planted 0", 1, 4, None, b"\x80\x05."),
    (b"t\0planted 1", 1, 4, "/etc/passwd", None),
    (b"t\0planted 2", 1, 2, "/etc/passwd", SOUND),
    (b"t\0planted 3", 0, 1, None, SOUND),
    (b"t\0planted 4", 1, 1, None, "text"),
    (b"t\0planted 5", 1, 1, None, b"short"),
    (b"t\0planted 6", 1, 1, None, struct.pack(">d", float("nan")) + b"v"),
    (b"t\0long" + bytes(70_000), 1, 1, None, SOUND),
    (b"t\0planted 8", 1, 1, None, SOUND * 9000),
    ("t\0planted", 1, 1, None, SOUND),
    (b"no table", 1, 1, None, SOUND),
    (b"\0planted", 1, 1, None, SOUND),
    (b"\xff\0planted", 1, 1, None, SOUND),
    (b"a\nb\0planted", 1, 1, None, SOUND),
    (17, 1, 1, None, SOUND),
)


async def test_rows_that_are_no_records_are_left(state: Path) -> None:
    connection = sqlite3.connect(database(state))
    connection.executemany("INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)", PLANTED)
    connection.execute("UPDATE Cache SET filename = CAST(x'ff00ff' AS TEXT) WHERE key = ?", (b"t\x0000001",))
    connection.commit()
    connection.close()
    spoil(database(state), 0)
    store = await opened(state)
    (result,) = await recovered(store, state)
    assert result.saved == COUNT - 1 == await sound_ones(store)
    assert await store.tables() == ["t"]
    await works(store)


@pytest.mark.parametrize("text", ["PRAGMA application_id = 0", "PRAGMA user_version = 99"])
async def test_what_is_another_programs_is_left_alone(state: Path, text: str) -> None:
    connection = sqlite3.connect(database(state))
    connection.execute(text)
    connection.close()
    store = await opened(state)
    assert await recovered(store, state) == []
    assert await keys(store, "t") == []
    assert (aside(state)[0] / STATUS_FILE).read_text() == "done: it is another program's, or of another version\n"
    await works(store)


async def test_a_link_or_a_pipe_is_not_followed(state: Path) -> None:
    database(state).rename(state / "elsewhere.db")
    for number, make in enumerate((lambda file: file.symlink_to("../elsewhere.db"), os.mkfifo, Path.mkdir)):
        directory = state / f"store.corrupt-{number}"
        directory.mkdir()
        make(directory / "cache.db")
    (state / "store.corrupt-3").mkdir()
    (state / "store.corrupt-4").write_text("no directory")
    store = await opened(state)
    assert await recovered(store, state) == []
    assert await keys(store, "t") == []
    await works(store)


async def test_one_that_kills_the_process_is_not_tried_for_ever(state: Path) -> None:
    spoil(database(state), 0)
    store = await opened(state)
    (kept,) = aside(state)
    for attempts in (MAX_ATTEMPTS, MAX_ATTEMPTS - 1):
        (kept / STATUS_FILE).write_text("begun\n" * attempts)
        found = await recovered(store, state)
        assert bool(found) is (attempts < MAX_ATTEMPTS)
    await works(store)


async def test_an_end_in_the_midst_of_it_leaves_the_rest_for_the_next_start(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(database(state), 0)
    store = await opened(state)
    flush_it, flushed = store.flush, asyncio.Event()

    async def flush() -> None:
        await flush_it()
        flushed.set()

    monkeypatch.setattr(store, "flush", flush)
    task = asyncio.create_task(Recovery(store, state, lambda: NOW, Counters()).run())
    await flushed.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    monkeypatch.undo()
    assert len(await keys(store, "t")) < COUNT
    assert not (state / "salvaging").exists()
    await store.close()
    store = await opened(state)
    (result,) = await recovered(store, state)
    assert result.saved + result.kept == COUNT == await sound_ones(store)
    await works(store)


async def test_no_room_for_a_copy_says_so(state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    spoil(database(state), 0)
    store = await opened(state)
    monkeypatch.setattr("resolverd.state.disk.recovery.ROOM", 1 << 60)
    assert await recovered(store, state) == []
    assert "the disk has no room" in caplog.text
    monkeypatch.undo()
    await works(store)


class Nowhere(AsyncNetwork):
    """A network in which nobody answers."""

    async def exchange(self, ask: Ask) -> Reply:
        await asyncio.sleep(ask.timeout)
        return Reply(None, Failed.TIMEOUT, 0.0, ask.timeout)


async def test_overrides_that_are_saved_are_in_force_again(tmp_path: Path) -> None:
    state = tmp_path / "var"
    store = await open_store(state, Counters())
    book = OverrideStore(store, SystemClock(), Counters())
    await book.set(NewOverride(key_of("deny", "192.0.2.7")))
    await store.close()
    spoil(database(state), 0)
    settings = Settings(store=StoreSettings(url=StoreUrl("disk", state)))
    service = Service(settings, Nowhere(), await open_store(state, Counters()), SystemClock(), Counters())
    await service.prepare()
    assert not service.capabilities().overrides.views()
    service.start()
    try:
        for _ in range(500):
            if service.capabilities().overrides.views():
                break
            await asyncio.sleep(0.01)
        assert service.capabilities().overrides.views()
    finally:
        await service.aclose()
