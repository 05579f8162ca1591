"""``resolverd store move`` between a directory and a real server."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from commandline import run

from resolverd.dnsbl.quota_store import TABLE as QUOTAS
from resolverd.greylist.decide import Triplet, decode_triplet, encode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.metrics import Counters
from resolverd.overrides.store import TABLE as OVERRIDES
from resolverd.state.disk.opening import open_store
from resolverd.state.statedir import StateLock
from resolverd.telemetry.recorder import TABLE as SERIES
from tests.redis_server import RedisServer, running

PASSWORD = "sentinel0password"
NOW = int(time.time())
LATER = NOW + 86400
TRIPLET = b"192.0.2.0/a@example.com/b@example.org"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path, requirepass=PASSWORD) as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, server: RedisServer) -> str:
    """A configuration that names the server, and how to be let in."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    file = tmp_path / "config.toml"
    file.write_text(f'[store]\nurl = "{server.url}"\npassword = {{file = "password"}}\n')
    return str(file)


def fill(directory: Path, **records: bytes) -> str:
    """A store in a directory with these records of the tables, each under the same key; its URL."""

    async def filled() -> None:
        store = await open_store(directory, Counters())
        for table, value in records.items():
            store.put(table.replace("_", "-"), TRIPLET, value, LATER)
        await store.close()

    asyncio.run(filled())
    return f"disk:{directory}"


def read(directory: Path, table: str) -> dict[bytes, bytes]:
    async def found() -> dict[bytes, bytes]:
        store = await open_store(directory, Counters())
        try:
            return {each.key: each.value async for each in store.scan(table, NOW)}
        finally:
            await store.close()

    return asyncio.run(found())


def tables(result: Result) -> dict[str, list[int]]:
    """Of each table that had records: new, merged, there already, read back."""
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[0] == ["table", "new", "merged", "there already", "read back"]
    return {line[0]: [*map(int, line[1:])] for line in lines[1:]}


def triplet(last: int, *, passed: bool) -> bytes:
    return encode_triplet(Triplet(NOW - 1000, last, passed))


def test_two_hosts_move_in_and_one_moves_out(tmp_path: Path, server: RedisServer, config: str) -> None:
    first = fill(tmp_path / "mx1", greylist=triplet(NOW - 100, passed=True), list_quotas=b"100", series=b"own")
    second = fill(tmp_path / "mx2", greylist=triplet(NOW - 50, passed=False), list_quotas=b"11")
    assert tables(run("store", "move", first, server.url, "-c", config)) == {TRIPLETS: [1, 0, 0, 1], QUOTAS: [1, 0, 0, 1]}
    assert tables(run("store", "move", second, server.url, "-c", config)) == {TRIPLETS: [0, 1, 0, 1], QUOTAS: [1, 0, 0, 1]}
    assert tables(run("store", "move", first, server.url, "-c", config)) == {TRIPLETS: [0, 0, 1, 1], QUOTAS: [0, 0, 1, 1]}
    assert SERIES not in server.cli("KEYS", "*")
    assert tables(run("store", "move", server.url, f"disk:{tmp_path}/new", "-c", config)) == {
        TRIPLETS: [1, 0, 0, 1], QUOTAS: [1, 0, 0, 1],
    }  # fmt: skip
    found = read(tmp_path / "new", TRIPLETS)
    assert decode_triplet(found[TRIPLET]) == Triplet(NOW - 1000, NOW - 50, True)
    assert read(tmp_path / "new", QUOTAS) == {TRIPLET: b"111"}
    assert read(tmp_path / "mx1", TRIPLETS) == {TRIPLET: triplet(NOW - 100, passed=True)}, "it stays as it was"


def test_between_directories_and_as_json(tmp_path: Path) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    result = run("store", "move", source, f"disk:{tmp_path}/new", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["complete"] is True
    assert found["tables"][TRIPLETS] == {"new": 1, "changed": 0, "there": 0, "found": 1}
    assert found["tables"][OVERRIDES]["found"] == 0


def test_a_password_of_its_own(tmp_path: Path, server: RedisServer) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    (tmp_path / "mine").write_text(PASSWORD)
    result = run("store", "move", source, server.url, "--password-file", str(tmp_path / "mine"), "--prefix", "mine")
    assert tables(result) == {TRIPLETS: [1, 0, 0, 1]}
    assert f"mine:{TRIPLETS}:{TRIPLET.decode()}" in server.cli("KEYS", "*").splitlines()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["disk:nowhere", "{url}"], 1, "there is no store in"),
        (["disk:old", "disk:old"], 2, "same store"),
        (["memory:", "disk:old"], 2, "in memory"),
        (["disk:old", "redis://u:sentinel0password@h"], 2, "password = {file = …}"),
        (["disk:old", "ftp://h"], 2, "names no store"),
        (["disk:old", "unix:/nowhere/sock"], 1, "cannot be had"),
        (["disk:old", "{url}"], 1, "Authentication required"),
        (["disk:old", "{url}", "--prefix", ""], 2, "begins no keys"),
        (["disk:old", "{url}", "--prefix", "a*"], 2, "begins no keys"),
        (["disk:old", "{url}", "--password-file", "wrong"], 1, "password"),
        (["disk:old", "{url}", "--password-file", "missing"], 1, "cannot read"),
    ],
)
def test_what_cannot_be_moved(
    words: list[str], status: int, told: str, tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resolverd.cli.store_sides.PATIENCE", 0.5)
    (tmp_path / "wrong").write_text(f"{PASSWORD[::-1]}\n")
    fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    result = run("store", "move", *(word.format(url=server.url) if word.startswith("{") else word for word in words))
    assert result.exit_code == status, result.output
    assert told in result.output
    assert PASSWORD not in result.output
    assert PASSWORD[::-1] not in result.output
    assert result.output.count("\n") <= 4


def test_a_server_by_two_names_is_not_moved_into_itself(tmp_path: Path) -> None:
    """Its counters would be doubled each time."""
    with running(tmp_path, tcp=True) as server:
        source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False), list_quotas=b"100")
        assert run("store", "move", source, server.url).exit_code == 0
        before = server.cli("DUMP", f"resolverd:{QUOTAS}:{TRIPLET.decode()}")
        result = run("store", "move", server.url, server.tcp)
        assert result.exit_code == 1, result.output
        assert "both are the same server" in result.stderr
        assert server.cli("DUMP", f"resolverd:{QUOTAS}:{TRIPLET.decode()}") == before
        assert tables(run("store", "move", server.tcp, f"{server.url}?db=1"))[QUOTAS] == [1, 0, 0, 1], "another database"


def test_a_directory_by_two_names_is_the_same_store(tmp_path: Path) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    (tmp_path / "other").symlink_to(tmp_path / "old")
    result = run("store", "move", source, f"disk:{tmp_path}/other")
    assert result.exit_code == 2
    assert "same store" in result.stderr


def test_a_server_that_cannot_be_had_leaves_no_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a file that looks like that of an empty store."""
    monkeypatch.setattr("resolverd.cli.store_sides.PATIENCE", 0.2)
    (tmp_path / "config.toml").write_text('[store]\nurl = "unix:/nowhere/sock"\n')
    result = run("store", "dump", "-c", str(tmp_path / "config.toml"))
    assert result.exit_code == 1
    assert result.stdout == ""


def test_without_the_library_it_is_said_once(tmp_path: Path) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "redis.py").write_text('raise ModuleNotFoundError("No module named redis", name="redis")\n')
    words = [sys.executable, "-m", "resolverd", "store", "move", source, "redis://192.0.2.1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "hidden")}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("pip install 'resolverd[redis]'") == 1


def test_a_directory_that_a_daemon_works_on_is_left_alone(tmp_path: Path, server: RedisServer, config: str) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=False))
    lock = StateLock(tmp_path / "old")
    for words in ((source, server.url), (server.url, source)):
        result = run("store", "move", *words, "-c", config)
        assert result.exit_code == 1
        assert "a daemon works on" in result.stderr
    lock.release()
    assert run("store", "move", source, server.url, "-c", config).exit_code == 0


def test_what_the_hosts_share_is_dumped_and_loaded_without_a_daemon(tmp_path: Path, server: RedisServer, config: str) -> None:
    source = fill(tmp_path / "old", greylist=triplet(NOW, passed=True), list_quotas=b"5")
    assert run("store", "move", source, server.url, "-c", config).exit_code == 0
    dumped = run("store", "dump", "-c", config)
    assert dumped.exit_code == 0
    assert {json.loads(line).get("table") for line in dumped.stdout.splitlines()} >= {TRIPLETS, QUOTAS}
    (tmp_path / "dump").write_text(dumped.stdout)
    server.cli("FLUSHALL")
    loaded = run("store", "load", str(tmp_path / "dump"), "-c", config)
    assert loaded.exit_code == 0, loaded.output
    assert TRIPLETS in server.cli("KEYS", "*")
