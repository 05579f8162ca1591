"""A file of an earlier version is saved and brought up to date, or stays as it was."""

import sqlite3
import stat
from pathlib import Path

import pytest
from stores import LATER, NOW, aside, database, filled

from resolverd.metrics import Counters
from resolverd.state.disk import sqlite_file, upgrade
from resolverd.state.disk.opening import open_store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "var"


def version(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def steps(monkeypatch: pytest.MonkeyPatch, wanted: int, found: dict[int, upgrade.Step]) -> None:
    """A resolverd of a later day: it wants this version and has these steps."""
    monkeypatch.setattr(sqlite_file, "SCHEMA_VERSION", wanted)
    for function in (upgrade.can_upgrade, upgrade.upgrade):
        monkeypatch.setattr(function, "__defaults__", (found,))


def all_later(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE Later (note TEXT)")
    connection.execute("INSERT INTO Later VALUES ('made by a step')")


def broken(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM Cache")
    raise sqlite3.OperationalError("a step that fails")


async def test_an_old_file_is_saved_and_brought_up_to_date(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(state, 100)
    order: list[int] = []
    steps(monkeypatch, 3, {1: lambda c: (order.append(1), all_later(c))[1], 2: lambda _: order.append(2)})
    store = await open_store(state, Counters())
    assert await store.get("t", b"99", NOW) == b"value 99" * 20
    await store.close()
    assert order == [1, 2]
    assert version(database(state)) == 3
    saved = database(state).with_name("cache.db.version-1")
    assert version(saved) == 1
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "version 1 to 3" in caplog.text
    assert not aside(state)
    # the copy is a whole store
    monkeypatch.undo()
    saved.rename(database(state))
    again = await open_store(state, Counters())
    assert await again.get("t", b"0", NOW) == b"value 0" * 20
    await again.close()


async def test_a_second_copy_replaces_none(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state)
    database(state).with_name("cache.db.version-1").write_bytes(b"of an earlier day")
    database(state).with_name("cache.db.saving").write_bytes(b"of a machine that died")
    steps(monkeypatch, 2, {1: all_later})
    await (await open_store(state, Counters())).close()
    assert database(state).with_name("cache.db.version-1").read_bytes() == b"of an earlier day"
    assert version(database(state).with_name("cache.db.version-1-2")) == 1
    assert not database(state).with_name("cache.db.saving").exists()


async def test_a_step_that_fails_loses_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 5)
    steps(monkeypatch, 2, {1: broken})
    store = await open_store(state, Counters())
    store.put("t", b"new", b"v", LATER)
    await store.close()
    (old,) = aside(state)
    assert version(old / "cache.db") == 1
    monkeypatch.undo()
    (state / "store").rename(state / "thrown away")
    old.rename(state / "store")
    again = await open_store(state, Counters())
    assert await again.get("t", b"4", NOW) == b"value 4" * 20
    await again.close()


@pytest.mark.parametrize(("wanted", "found"), [(3, {1: all_later}), (3, {2: all_later})])
async def test_without_a_step_from_each_version_the_file_is_set_aside(
    state: Path, monkeypatch: pytest.MonkeyPatch, wanted: int, found: dict[int, upgrade.Step]
) -> None:
    await filled(state)
    steps(monkeypatch, wanted, found)
    await (await open_store(state, Counters())).close()
    assert version(aside(state)[0] / "cache.db") == 1
    assert version(database(state)) == wanted
