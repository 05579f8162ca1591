"""What a shared store does when its server dies, hangs, refuses, or is another one; on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from shared_stores import PATIENCE, be_patient, fault, larger_wins, opened, out_of_reach, shared_store, within_reach
from stores import keys

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import Entry, StoredValue
from resolverd.state.redis import frames, session, subscription, writing
from resolverd.state.redis.connection import Peer, connect
from resolverd.state.redis.store import RedisStore
from resolverd.state.redis.tasks import end
from resolverd.state.shared import SharedStore
from tests.engines import Engine
from tests.redis_server import RedisServer

NOW = float(round(time.time()))
LATER = NOW + 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be hurt."""
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def each_server(tmp_path: Path, store_engine: Engine) -> Iterator[RedisServer]:
    """The same, of each engine: for what it says, or does, in its own way."""
    with RedisServer(tmp_path, engine=store_engine) as running:
        yield running


SERVICE = {name: getattr(bounds, name) for name in ("STORE_SHARED_READ", "STORE_SHARED_REPLY")}
"""What patience a store has in service."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture
def stop(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the server hang; from then on reads have as much time as in service, and so has whatever else is asked."""
    monkeypatch.setattr(bounds, "STORE_SHARED_REPLY", SERVICE["STORE_SHARED_REPLY"])

    def stop() -> None:
        monkeypatch.setattr(bounds, "STORE_SHARED_READ", SERVICE["STORE_SHARED_READ"])
        server.stop()

    return stop


def test_it_is_a_shared_store() -> None:
    def seen(store: RedisStore) -> SharedStore:  # checked by mypy
        return store

    assert seen


async def test_a_value_has_a_bound(server: RedisServer) -> None:
    async with shared_store(server) as store:
        await within_reach(store)
        with pytest.raises(StoreError, match="too large"):
            store.put("t", b"k", b"x" * (bounds.STORE_SHARED_OCTETS + 1), LATER)
        with pytest.raises(StoreError, match="too large"):
            await store.cas("t", b"k", None, b"x" * (bounds.STORE_SHARED_OCTETS + 1), NOW, LATER)
        assert await store.get("t", b"k", NOW) is None
        store.put("t", b"k", b"x" * bounds.STORE_SHARED_OCTETS, LATER)
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"x" * bounds.STORE_SHARED_OCTETS


# -- out of reach


async def test_nobody_waits_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    store = opened(f"unix:{tmp_path}/nobody")
    for _ in range(3):
        with pytest.raises(StoreError, match="out of reach"):
            await store.get("t", b"k", NOW)
        with pytest.raises(StoreError, match="out of reach"):
            await store.cas("t", b"k", None, b"v", NOW, LATER)
        with pytest.raises(StoreError, match="out of reach"):
            await store.add("t", b"k", 1, NOW, LATER)
        with pytest.raises(StoreError, match="out of reach"):
            await store.prefetch([("t", b"k")])
    with pytest.raises(StoreError, match="out of reach"):
        await keys(store, "t")
    store.put("t", b"k", b"v", LATER)
    store.delete("t", b"gone")
    assert await store.get("t", b"k", NOW) == b"v", "what was put here is known"
    assert await store.get("t", b"gone", NOW) is None
    assert not store.has_room()
    with pytest.raises(StoreError):
        await store.flush()
    condition = await store.condition()
    assert (condition.kind, condition.waiting, condition.url) == ("redis", 2, f"redis+unix://{tmp_path}/nobody")
    await fault(store, "No such file or directory")
    await store.close()


async def test_a_server_that_hangs_makes_nobody_wait_for_long(server: RedisServer, stop: Callable[[], None]) -> None:
    counters = Counters()
    async with shared_store(server, counters=counters) as store:
        await within_reach(store)
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        stop()
        for late in range(1, 4):
            assert store.reachable
            with pytest.raises(StoreError, match="in time"):
                await asyncio.gather(*(store.get("t", b"k", NOW) for _ in range(5)))
            assert counters.get("store_operations", op="read", outcome="late") == 5 * late, "many at once are one failure"
        assert not store.reachable
        with pytest.raises(StoreError, match="out of reach"):
            await store.get("t", b"k", NOW)
        assert bounds.STORE_SHARED_READ == 0.02
        server.cont()
        await within_reach(store)
        assert await store.get("t", b"k", NOW) == b"v"


async def test_a_server_that_throws_records_away_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"maxmemory": "100mb", "maxmemory-policy": "volatile-lru"}
    with RedisServer(tmp_path, options=options) as server:
        async with shared_store(server) as store:
            await within_reach(store)
            assert "set maxmemory-policy noeviction (it is volatile-lru)" in caplog.text
            caplog.clear()
    with RedisServer(tmp_path, name="roomy", options={"maxmemory-policy": "volatile-lru"}) as server:
        async with shared_store(server) as store:
            await within_reach(store)
            assert "maxmemory-policy" not in caplog.text, "it has no limit"


def sockets() -> set[str]:
    return {link for each in os.scandir("/proc/self/fd") if (link := os.readlink(each)).startswith("socket:")}


async def test_a_connection_is_closed_though_the_server_hangs_and_has_not_read_all_of_it(server: RedisServer) -> None:
    before = sockets()
    connection = await connect(Peer(path=str(server.path)), None)
    server.stop()
    sending = asyncio.create_task(connection.send(("SET", b"k", bytes(1 << 23))))
    await asyncio.wait([sending], timeout=0.05)
    assert not sending.done()
    await end(sending)
    await connection.close()
    await asyncio.sleep(0)  # its transport says so first
    await asyncio.sleep(0)
    assert sockets() <= before


async def test_what_is_swapped_is_waited_for_a_quarter_of_a_second(server: RedisServer, stop: Callable[[], None]) -> None:
    async with shared_store(server) as store:
        await within_reach(store)
        stop()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StoreError, match=r"no reply within 0\.25 s"):
            await store.cas("t", b"k", None, b"v", NOW, LATER)
        assert asyncio.get_running_loop().time() - begun >= bounds.STORE_SHARED_REPLY - 0.002
        assert not store.reachable
        server.cont()


@pytest.mark.parametrize(("password", "told"), [(None, "no reply within 0.1 s"), ("geheim", "no connection in time")])
async def test_a_server_that_hangs_from_the_first(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, password: str | None, told: str
) -> None:
    for name in ("STORE_SHARED_CONNECT", "STORE_SHARED_REPLY"):
        monkeypatch.setattr(bounds, name, 0.1)
    if password is not None:
        server.cli("CONFIG", "SET", "requirepass", password)
    server.stop()
    async with shared_store(server, password=lambda: password) as store:
        await fault(store, told)
        server.cont()
        for name in ("STORE_SHARED_CONNECT", "STORE_SHARED_REPLY"):
            monkeypatch.setattr(bounds, name, PATIENCE)
        await within_reach(store)


async def test_a_search_is_waited_for_longer_but_not_for_ever(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_SHARED_PATIENCE", 0.2)
    async with shared_store(server) as store:
        await within_reach(store)
        assert await keys(store, "t") == []
        server.stop()
        with pytest.raises(StoreError, match=r"no reply within 0\.2 s"):
            await keys(store, "t")
        assert store.reachable, "others do not wait for that"
        server.cont()
        assert await keys(store, "t") == []


async def test_what_is_read_ahead_has_a_bound(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_SHARED_PREFETCHED", 5)
    async with shared_store(server) as store:
        await within_reach(store)
        await store.prefetch([("t", b"%d" % number) for number in range(20)])
        assert len(store._prefetched) <= 5


async def test_what_waits_for_the_server_has_a_bound(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_JOBS", 5)
    async with shared_store(server) as store:
        await within_reach(store)
        found = await asyncio.gather(*(store.get("t", b"%d" % number, NOW) for number in range(20)), return_exceptions=True)
        assert [each for each in found if each is not None]
        assert all(each is None or "too many wait" in str(each) for each in found)
        assert await store.get("t", b"k", NOW) is None
        assert store.reachable


async def test_a_loop_that_stalls_is_not_the_servers_lateness(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared_store(server) as store:
        await within_reach(store)
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        for name, seconds in SERVICE.items():
            monkeypatch.setattr(bounds, name, seconds)
        for _ in range(5):
            reading = [asyncio.ensure_future(store.get("t", b"k", NOW)) for _ in range(20)]
            for _ in range(3):
                await asyncio.sleep(0)  # it is on its way
            time.sleep(0.5)  # noqa: ASYNC251
            assert await asyncio.gather(*reading) == [b"v"] * 20
        assert store.reachable


async def test_what_is_put_during_an_outage_is_merged_behind_it(server: RedisServer, stop: Callable[[], None]) -> None:
    late: list[bytes] = []
    written: list[bytes] = []
    async with shared_store(server, prefix="p") as store, shared_store(server, prefix="p") as other:
        await within_reach(store)
        await within_reach(other)
        store.on_late.append(lambda table, key: late.append(key))
        store.on_written.append(lambda table, key: written.append(key))
        store.put("t", b"0", b"0", LATER)
        await store.flush()
        assert (late, written) == ([], [b"0"])
        stop()
        store.put("t", b"in flight", b"1", LATER)
        await out_of_reach(store)
        for key, value in ((b"larger", b"9"), (b"smaller", b"1"), (b"new", b"5"), (b"new", b"6")):
            store.put("t", key, value, LATER)
        store.delete("t", b"0")
        assert await store.get("t", b"smaller", NOW) == b"1"
        server.cont()
        await within_reach(other)
        other.put("t", b"larger", b"5", LATER)
        other.put("t", b"smaller", b"5", LATER)
        with contextlib.suppress(StoreError):
            await other.flush()
        await within_reach(other)
        await other.flush()
        await within_reach(store)
        await store.flush()
        found = {entry.key: entry.value async for entry in other.scan("t", NOW)}
        assert found == {b"in flight": b"1", b"larger": b"9", b"smaller": b"5", b"new": b"6"}
        assert set(late) == set(written) == {b"0", b"in flight", b"larger", b"smaller", b"new"}


async def test_a_killed_server_comes_back_empty(each_server: RedisServer) -> None:
    server = each_server
    async with shared_store(server) as store:
        await within_reach(store)
        memory = store.memory
        assert memory
        store.put("t", b"before", b"1", LATER)
        assert await store.cas("t", b"swapped", None, b"2", NOW, LATER)
        await store.flush()
        server.kill()
        await out_of_reach(store)
        store.put("t", b"meanwhile", b"3", LATER)
        assert store.memory == memory
        server.start()
        await within_reach(store)
        assert store.memory != memory
        await store.flush()
        found = {entry.key: entry.value async for entry in store.scan("t", NOW)}
        assert found == {b"before": b"1", b"swapped": b"2", b"meanwhile": b"3"}, "what was written lately is written again"


async def test_a_restart_that_keeps_everything_is_no_loss_of_memory(tmp_path: Path, store_engine: Engine) -> None:
    with RedisServer(tmp_path, engine=store_engine, options={"appendonly": "yes", "appendfsync": "always"}) as server:
        async with shared_store(server) as store:
            await within_reach(store)
            memory = store.memory
            store.put("t", b"k", b"1", LATER)
            await store.flush()
            server.kill()
            await out_of_reach(store)
            server.start()
            await within_reach(store)
            assert store.memory == memory
            assert await store.get("t", b"k", NOW) == b"1"


async def test_cut_connections_are_made_again(server: RedisServer) -> None:
    async with shared_store(server, small=frozenset(("t",))) as store:
        await within_reach(store)
        changes = store.watch("t")
        assert await anext(changes) is None
        for number in range(3):
            server.cli("CLIENT", "KILL", "TYPE", "normal")
            await out_of_reach(store)
            store.put("t", b"%d" % number, b"v", LATER)
            await within_reach(store)
            await store.flush()
            assert await store.get("t", b"%d" % number, NOW) == b"v"


async def test_a_queue_has_a_bound(tmp_path: Path) -> None:
    store = opened(f"unix:{tmp_path}/nobody", max_unwritten=3)
    for key in (b"1", b"2", b"3"):
        store.put("t", key, b"v", LATER)
    with pytest.raises(StoreError, match="no room"):
        store.put("t", b"4", b"v", LATER)
    store.put("t", b"3", b"w", LATER)
    assert await store.get("t", b"3", NOW) == b"w"
    await store.close()


# -- schemas


@pytest.mark.parametrize("small", [False, True])
async def test_a_record_is_written_by_the_schema_of_when_it_was_put(server: RedisServer, small: bool) -> None:
    """Who put it had asked for that before encoding it; the hosts may agree on another one while it waits."""
    schema = 1
    tables = frozenset(("t",) if small else ())

    def written(key: str) -> tuple[int, str]:
        read = "redis.call('HGET', 'p:t', ARGV[1])" if small else "redis.call('GET', 'p:t:' .. ARGV[1])"
        found = server.cli("EVAL", f"local raw = {read} return {{string.byte(raw, 2), string.sub(raw, 19)}}", "0", key).split()
        return int(found[0]), found[1]

    async with shared_store(server, prefix="p", small=tables, schema=lambda: schema, newest=2) as store:
        await within_reach(store)
        store.put("t", b"first", b"1", LATER)
        schema = 2
        await store.flush()
        assert written("first") == (1, "1")
        schema = 1
        store.put("t", b"put", b"1", LATER)
        swapping = asyncio.ensure_future(store.cas("t", b"put", b"1", b"2", NOW, LATER))
        await asyncio.sleep(0)
        schema = 2
        store.put("t", b"next", b"1", LATER)
        assert await swapping
        await store.flush()
        assert [written("put"), written("next")] == [(1, "2"), (2, "1")]
        # What comes late is merged: as it was encoded, or anew.
        schema = 1
        server.stop()
        store._session.lost("the test has stopped it")
        store.put("t", b"late", b"1", LATER)
        schema = 2
        server.cont()
        await within_reach(store)
        await store.flush()
        assert written("late") == (1, "1")
        store.put("t", b"put", b"3", LATER)
        await store.flush()
        assert written("put") == (2, "3")


# -- refusals


async def test_a_server_that_loads_is_waited_for(tmp_path: Path, store_engine: Engine) -> None:
    options = {"appendonly": "no", "key-load-delay": 2000, "loading-process-events-interval-bytes": 1024, "save": "3600 1"}
    with RedisServer(tmp_path, engine=store_engine, options=options) as server:
        server.cli("DEBUG", "POPULATE", "2000", "other")
        async with shared_store(server) as store:
            await within_reach(store)
            store.put("t", b"k", b"v", LATER)
            await store.flush()
            server.cli("SAVE")
            server.kill()
            await out_of_reach(store)
            server.start()
            assert "LOADING" in server.cli("PING", check=False)
            with pytest.raises(StoreError):
                await store.get("t", b"k", NOW)
            await fault(store, "it is still reading its records from its disk (LOADING")
            server.cli("CONFIG", "SET", "key-load-delay", "0")
            await within_reach(store)
            assert await store.get("t", b"k", NOW) == b"v"


async def test_a_server_that_is_a_replica_is_left_alone(each_server: RedisServer) -> None:
    server = each_server
    async with shared_store(server) as store:
        await within_reach(store)
        server.cli("REPLICAOF", "127.0.0.1", "1")
        store.put("t", b"k", b"v", LATER)
        await out_of_reach(store)
        await fault(store, "it is a replica")
        with pytest.raises(StoreError, match="it is a replica"):
            await store.cas("t", b"other", None, b"v", NOW, LATER)
        assert await store.get("t", b"k", NOW) == b"v"
        server.cli("REPLICAOF", "NO", "ONE")
        await within_reach(store)
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"v"


class Trouble(NamedTuple):
    """What keeps a server from taking writes: its error's first word, how it is told of, how it begins and how it ends."""

    code: str
    words: str
    begin: Callable[[RedisServer], None]
    end: Callable[[RedisServer], None]


def setting(name: str, value: str) -> Callable[[RedisServer], None]:
    return lambda server: server.cli("CONFIG", "SET", name, value) and None


def no_snapshot(server: RedisServer) -> None:
    """Nothing can be written where its snapshot would stand."""
    server.cli("CONFIG", "SET", "save", "3600 1")
    (server.folder / "dump.rdb").mkdir()
    server.cli("BGSAVE")
    server.wait_for("rdb_last_bgsave_status:err", "INFO", "persistence")


def snapshot(server: RedisServer) -> None:
    (server.folder / "dump.rdb").rmdir()
    server.cli("BGSAVE")
    server.wait_for("rdb_last_bgsave_status:ok", "INFO", "persistence")


def full_disk(server: RedisServer) -> None:
    """The file behind which it appends may grow no more, as on a disk that is full."""
    server.cli("CONFIG", "SET", "appendonly", "yes")
    server.wait_for("aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0", "INFO", "persistence")
    server.limit_files(max(file.stat().st_size for file in (server.folder / "appendonlydir").iterdir()))
    server.wait_for("MISCONF", "SET", "other", "v" * 1000)


def room_again(server: RedisServer) -> None:
    server.limit_files(None)
    server.wait_for("aof_last_write_status:ok", "INFO", "persistence")


TROUBLES = {
    "memory": Trouble("OOM", "its memory is full", setting("maxmemory", "1"), setting("maxmemory", "0")),
    "replicas": Trouble(
        "NOREPLICAS", "too few of its replicas", setting("min-replicas-to-write", "1"), setting("min-replicas-to-write", "0")
    ),
    "snapshot": Trouble("MISCONF", "it cannot save to its disk", no_snapshot, snapshot),
    "full disk": Trouble("MISCONF", "it cannot save to its disk", full_disk, room_again),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_a_server_that_takes_no_writes_is_read_and_what_is_new_waits(
    each_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Trouble
) -> None:
    server, code = each_server, trouble.code
    monkeypatch.setattr(writing, "RETRY", 0.05)
    async with shared_store(server, small=frozenset(("small",))) as store:
        await within_reach(store)
        for table in ("t", "small"):
            store.put(table, b"k", b"1", LATER)
            store.put(table, b"there", b"v", LATER)
        await store.flush()
        trouble.begin(server)
        for table in ("t", "small"):
            store.put(table, b"k", b"2", LATER)
            with pytest.raises(StoreError, match=code):
                await store.flush()
            with pytest.raises(StoreError, match=code):
                await store.cas(table, b"other", None, b"v", NOW, LATER)
            with pytest.raises(StoreError, match=code):
                await store.add(table, b"count", 1, NOW, LATER)
        assert store.reachable
        assert not store.has_room()
        said = (await store.condition()).fault
        assert trouble.words in said
        assert code in said
        for table in ("t", "small"):
            assert await store.get(table, b"k", NOW) == b"2"
            assert await store.get(table, b"there", NOW) == b"v"
            assert await store.get(table, b"absent", NOW) is None
            assert await keys(store, table, NOW) == [b"k", b"there"]
        server.cli("CLIENT", "KILL", "TYPE", "normal")
        await out_of_reach(store)
        await within_reach(store)
        assert await store.get("t", b"absent", NOW) is None, "whoever connects anew reads as well"
        trouble.end(server)
        await fault(store, "")
        await store.flush()
        async with shared_store(server, prefix=store._names._prefix[:-1].decode(), small=frozenset(("small",))) as other:
            await within_reach(other)
            for table in ("t", "small"):
                assert await other.get(table, b"k", NOW) == b"2"
    begins, ends = (message for message in caplog.messages if message.startswith("the shared store takes"))
    assert trouble.words in begins, "told once, however often it was tried"
    assert ends == "the shared store takes writes again"


async def test_who_watches_hears_on_while_nothing_is_saved(each_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot save refuses PING, even to who listens."""
    monkeypatch.setattr(subscription, "_PING_EVERY", 0.5)
    async with shared_store(each_server, prefix="p", small=frozenset(("t",))) as store:
        await within_reach(store)
        changes = store.watch("t")
        assert await anext(changes) is None
        await asyncio.to_thread(no_snapshot, each_server)
        await asyncio.to_thread(each_server.wait_for, "errorstat_MISCONF:count=2", "INFO", "errorstats")
        await asyncio.to_thread(snapshot, each_server)
        assert await store.cas("t", b"k", None, b"v", NOW, LATER)
        async with asyncio.timeout(PATIENCE):
            assert await anext(changes) == (b"k", b"v", LATER), "and was not told to look at all of it again"


async def test_a_password_that_changes_is_read_anew(
    tmp_path: Path, store_engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "LAST_PAUSE", 0.1)
    passwords = ["wrong-1"]
    with RedisServer(tmp_path, engine=store_engine, options={"requirepass": "geheim-1"}) as server:
        async with shared_store(server, password=lambda: passwords[-1]) as store:
            await fault(store, "it does not take the password of [store] (WRONGPASS")
            passwords.append("geheim-1")
            await within_reach(store)
            server.cli("CONFIG", "SET", "requirepass", "geheim-2")
            server.password = "geheim-2"
            passwords.append("geheim-2")
            server.cli("CLIENT", "KILL", "TYPE", "normal")
            await out_of_reach(store)
            await within_reach(store)
            store.put("t", b"k", b"v", LATER)
            await store.flush()
    assert "geheim" not in caplog.text
    assert "wrong-1" not in caplog.text


async def test_a_server_that_wants_a_password_says_so(tmp_path: Path, store_engine: Engine) -> None:
    with RedisServer(tmp_path, engine=store_engine, options={"requirepass": "geheim"}) as server:
        async with shared_store(server) as store:
            await fault(store, "it does not take the password of [store] (NOAUTH Authentication required)")


async def test_a_password_that_cannot_be_read(server: RedisServer, tmp_path: Path) -> None:
    async with shared_store(server, password=(tmp_path / "nothing").read_text) as store:
        await fault(store, "password of [store] cannot be read")


# -- what others write


HOSTILE: dict[str, bytes] = {
    "text": b"hello",
    "nothing": b"",
    "cut off": frames.head(LATER, 1)[:-1],
    "no time": b"\xf7\x01" + b"x" * 16 + b"v",
    "negative": b"\xf7\x01-000001700000999v",
    "schema 0": frames.head(LATER, 0) + b"v",
    "newer": frames.head(LATER, frames.SCHEMA + 1) + b"v",
    "oversized": frames.head(LATER, 1) + b"v" * (bounds.STORE_SHARED_OCTETS + 1),
    "wide digits": b"\xf7\x01" + "１".encode() * 5 + b"1v",
}


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("kind", [*HOSTILE, "list"])
async def test_what_is_not_ours_counts_as_absent(
    server: RedisServer, kind: str, small: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "list" and small:
        pytest.skip("a field of a hash has one type")
    counters = Counters()
    async with shared_store(server, prefix="p", small=frozenset(("t",) if small else ()), counters=counters) as store:
        await within_reach(store)

        def plant() -> None:
            if kind == "list":
                server.cli("DEL", "p:t:k")
                server.cli("RPUSH", "p:t:k", "v")
            else:
                server.cli(*(("HSET", "p:t", "k") if small else ("SET", "p:t:k")), stdin=HOSTILE[kind])

        plant()
        assert await store.get("t", b"k", NOW) is None
        assert await store.get("t", b"k", NOW) is None
        assert await keys(store, "t") == []
        if kind != "nothing":
            assert any(name == "store_foreign_records" for name, _, _ in counters.snapshot())
            assert len([line for line in caplog.messages if "cannot be used" in line]) == 1, "it is named once"
        assert not await store.cas("t", b"k", b"hello", b"v", NOW, LATER)
        assert await store.cas("t", b"k", None, b"v", NOW, LATER)
        assert await store.get("t", b"k", NOW) == b"v"
        plant()
        assert await store.add("t", b"k", 3, NOW, LATER) == 3
        plant()
        store.put("t", b"k", b"w", LATER)
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"w"


async def test_a_table_whose_hash_is_something_else(server: RedisServer) -> None:
    async with shared_store(server, prefix="p", small=frozenset(("t",))) as store:
        await within_reach(store)
        server.cli("SET", "p:t", "v")
        assert await store.get("t", b"k", NOW) is None
        assert await keys(store, "t") == []
        with pytest.raises(StoreError):
            await store.cas("t", b"k", None, b"v", NOW, LATER)
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        assert store.reachable


async def test_a_small_table_that_somebody_has_made_large(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_RECORDS", 10)
    async with shared_store(server, prefix="p", small=frozenset(("t",))) as store:
        await within_reach(store)
        server.cli("HSET", "p:t", *(str(number) for number in range(22)))
        with pytest.raises(StoreError, match="too many"):
            await keys(store, "t")


async def test_many_records_of_a_watched_table_are_read_at_once_but_not_too_many_octets(server: RedisServer) -> None:
    async with shared_store(server, prefix="p", small=frozenset(("t",))) as store:
        await within_reach(store)
        sizes = {b"%03d" % number: (bounds.STORE_SHARED_OCTETS if number % 10 == 0 else number) for number in range(300)}
        for key, size in sizes.items():
            store.put("t", key, b"x" * size, LATER)
        await store.flush()
        server.cli("HSET", "p:t", "999", stdin=b"\xf7" + b"x" * (2 * bounds.STORE_SHARED_OCTETS))
        server.cli("HSET", "p:t", "998", "text")
        calls = int(re.findall(r"cmdstat_eval:calls=(\d+)", server.cli("INFO", "commandstats"))[0])
        assert {entry.key: len(entry.value) async for entry in store.scan("t", NOW)} == sizes
        after = int(re.findall(r"cmdstat_eval:calls=(\d+)", server.cli("INFO", "commandstats"))[0])
        assert 2 <= after - calls <= 12, "30 of the largest, four in a reply"


async def test_hostile_messages_are_no_changes(server: RedisServer) -> None:
    async with shared_store(server, prefix="p", small=frozenset(("t",))) as store:
        await within_reach(store)
        changes = store.watch("t")
        assert await anext(changes) is None
        for message in (b"", b"x", b"x" * 20, b"\0" * 16 + b"\xff" * 4, b"\xff" * 100):
            server.cli("PUBLISH", "p:changes:t", stdin=message)
        assert await store.cas("t", b"k", None, b"v", NOW, LATER)
        assert await anext(changes) == (b"k", b"v", LATER)


async def test_keys_with_patterns_in_them_are_those_of_nobody_else(server: RedisServer) -> None:
    names = ["t*", "t", "t?", "t[a-z]", "t\\", "t:x", "t%3A", "%", "ü"]
    async with shared_store(server, prefix="a*b") as store, shared_store(server, prefix="a?b") as other:
        await within_reach(store)
        await within_reach(other)
        for name in names:
            store.put(name, b"*", name.encode(), LATER)
            store.put(name, b":", name.encode(), LATER)
        other.put("t", b"k", b"v", LATER)
        await store.flush()
        await other.flush()
        for name in names:
            assert [entry async for entry in store.scan(name, NOW)] == [
                Entry(key, name.encode(), LATER) for key in (b"*", b":")
            ]
        assert await store.tables() == sorted(names)
        assert await other.tables() == ["t"]


async def test_the_server_forgets_what_has_expired_for_a_while(server: RedisServer) -> None:
    async with shared_store(server, prefix="p") as store:
        await within_reach(store)
        expires = time.time() + 100
        store.put("t", b"k", b"v", expires)
        assert await store.add("t", b"n", 1, expires - 1, expires) == 1
        assert await store.cas("t", b"c", None, b"1", expires - 1, expires)
        await store.flush()
        for key in ("p:t:k", "p:t:n", "p:t:c"):
            assert server.cli("PEXPIRETIME", key) == f"{round((expires + 600) * 1000)}"
        assert await store.cas("t", b"c", b"1", b"", expires - 1, 0.0)
        assert server.cli("EXISTS", "p:t:c") == "0", "what has ended long ago is gone at once"


def test_larger_wins() -> None:
    one, two = StoredValue(b"1", LATER), StoredValue(b"2", LATER)
    assert larger_wins("t", b"k", one, NOW, two) == larger_wins("t", b"k", two, NOW, one) == two
