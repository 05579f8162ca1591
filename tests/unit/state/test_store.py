"""Every store keeps one contract; the disk store writes behind and never makes a reader wait."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_stores import YEARS, be_patient, shared_store
from stores import LATER, NOW, database, filled, keys

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import base
from resolverd.state.base import UNREAD, Change, Condition, Entry, Store, StoredValue, address
from resolverd.state.disk import sqlite_file
from resolverd.state.disk import store as disk_store
from resolverd.state.disk.key_filter import KeyFilter
from resolverd.state.disk.opening import open_store
from resolverd.state.disk.pending import PendingStore
from resolverd.state.disk.reader import Reader
from resolverd.state.disk.sqlite_file import BytesOnly, SqliteFile
from resolverd.state.disk.store import DiskStore
from resolverd.state.disk.writer import Worker
from resolverd.state.fallback import FallbackStore
from resolverd.state.in_process import InProcess
from resolverd.state.memory import MemoryStore
from resolverd.state.redis.store import RedisStore
from tests.engines import Engine
from tests.redis_server import needed

SHARED = {f"{engine.value}{kind}": (engine, bool(kind)) for engine in Engine for kind in ("", ", small")}
"""The shared stores: on which server, and whether tables are small."""


@pytest.fixture(params=["memory", "disk", "pending", "pending no more", *SHARED])
async def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """Every store: in memory, in a file, in place of a file that cannot be written, and of one that can be again; shared, with
    a key a record, and with a hash a table."""
    if request.param in SHARED:
        be_patient(monkeypatch)
        engine, of_small = SHARED[request.param]
        needed(engine, "server", "cli")
        server = request.getfixturevalue("servers_of_engines")(engine)
        small = frozenset(("a", "ab", "b", "other", "s", "t", "t!", "tt")) if of_small else frozenset[str]()
        async with shared_store(server, small=small, extra_time=YEARS) as opened:
            assert await opened.connected(5)
            yield opened
        return
    if request.param == "memory":
        memory = MemoryStore()
        yield memory
        await memory.close()
        return
    state = tmp_path / "var"
    opened: Store = await open_store(state, Counters())
    if request.param.startswith("pending"):
        await opened.close()
        monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT", 0)
        lock = sqlite3.connect(database(state), isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        opened = await open_store(state, Counters())
        assert isinstance(opened, PendingStore)
        if request.param == "pending no more":
            lock.close()
            opened.sweep(NOW)
            assert opened._trying is not None
            await opened._trying
            assert opened._file is not None
        yield opened
        lock.close()
    else:
        yield opened
    await opened.close()


def watchable(store: Store) -> Store:
    """The store; skips the test where it cannot be watched."""
    if isinstance(store, RedisStore) and not store._small:
        pytest.skip("tables with a key a record are not watched")
    return store


class TestContract:
    async def test_what_was_put_comes_back_before_and_after_it_is_written(self, store: Store) -> None:
        store.put("t", b"k", b"v", LATER)
        assert await store.get("t", b"k", NOW) == b"v"
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"v"

    async def test_nothing_is_there_that_was_not_put(self, store: Store) -> None:
        assert await store.get("t", b"k", NOW) is None

    async def test_last_put_counts(self, store: Store) -> None:
        store.put("t", b"k", b"1", LATER)
        await store.flush()
        store.put("t", b"k", b"2", LATER)
        assert await store.get("t", b"k", NOW) == b"2"
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"2"

    @pytest.mark.parametrize("written", [True, False])
    async def test_deleted_is_gone(self, store: Store, written: bool) -> None:
        store.put("t", b"k", b"v", LATER)
        if written:
            await store.flush()
        store.delete("t", b"k")
        store.delete("t", b"other")
        assert await store.get("t", b"k", NOW) is None
        await store.flush()
        assert await store.get("t", b"k", NOW) is None

    async def test_put_after_delete(self, store: Store) -> None:
        store.delete("t", b"k")
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"v"

    async def test_a_record_counts_until_its_time_by_the_callers_clock(self, store: Store) -> None:
        for moment in (0.0, NOW, 1e12):
            store.put("t", b"k", b"v", moment)
            assert await store.get("t", b"k", moment - 0.001) == b"v"
            assert await store.get("t", b"k", moment) is None
        await store.flush()
        assert await store.get("t", b"k", 1e12 - 1) == b"v"
        assert await store.stored("t", b"k", 1e12 - 1) == StoredValue(b"v", 1e12)
        assert await store.stored("t", b"k", 1e12) is await store.stored("t", b"other", NOW) is None

    async def test_tables_are_apart(self, store: Store) -> None:
        store.put("a", b"k", b"1", LATER)
        store.put("ab", b"k", b"2", LATER)
        store.delete("b", b"k")
        assert await store.get("a", b"k", NOW) == b"1"
        assert await store.get("ab", b"k", NOW) == b"2"
        assert await store.get("b", b"k", NOW) is None
        assert await keys(store, "a") == [b"k"]
        with pytest.raises(ValueError, match="NUL"):
            store.put("a\0b", b"k", b"v", LATER)

    async def test_any_bytes_are_keys_and_values(self, store: Store) -> None:
        odd = [b"", b"\0", b"\xff" * 600, bytes(range(256)), b"k\0", b"%s'\";--"]
        for key in odd:
            store.put("t", key, key[::-1] * 100, LATER)
        await store.flush()
        assert [await store.get("t", key, NOW) for key in odd] == [key[::-1] * 100 for key in odd]
        assert await keys(store, "t") == sorted(odd)

    async def test_only_bytes_are_values(self, store: Store) -> None:
        with pytest.raises(TypeError):
            store.put("t", b"k", "text", LATER)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="number"):
            store.put("t", b"k", b"v", float("nan"))
        await store.flush()
        assert await store.get("t", b"k", NOW) is None

    async def test_scan_gives_a_table_in_order_without_the_expired(self, store: Store) -> None:
        for number in range(1200):
            store.put("t", b"%04d" % number, b"v%d" % number, LATER if number % 2 else NOW)
        store.put("other", b"k", b"v", LATER)
        store.put("s", b"k", b"v", LATER)
        entries = [entry async for entry in store.scan("t", NOW)]
        assert entries == [Entry(b"%04d" % number, b"v%d" % number, LATER) for number in range(1, 1200, 2)]
        assert await keys(store, "nothing") == []

    async def test_scan_begins_where_it_is_told(self, store: Store) -> None:
        for number in range(700):
            store.put("t", b"%03d" % number, b"v", LATER)
        for table in ("s", "t!", "tt"):
            store.put(table, b"350", b"v", LATER)
        store.put("t", b"350\0", b"v", LATER)
        found = [entry.key async for entry in store.scan("t", NOW, b"350")]
        assert found == [b"350", b"350\0", *(b"%03d" % number for number in range(351, 700))]
        assert [entry.key async for entry in store.scan("t", NOW, b"7")] == []

    async def test_tables_are_told(self, store: Store) -> None:
        assert await store.tables() == []
        for table, key in (("b", b"1"), ("a", b""), ("a", b"2"), ("ab", b"\0\xff"), ("b", b"2")):
            store.put(table, key, b"v", LATER)
        assert await store.tables() == ["a", "ab", "b"]

    async def test_sweeps_remove_the_expired_a_tenth_at_a_time_and_nothing_else(self, store: Store) -> None:
        if isinstance(store, PendingStore) and store._file is None:
            pytest.skip("a file that cannot be written cannot be swept")
        if isinstance(store, RedisStore) and not store._small:
            pytest.skip("the server removes what has expired, by its own clock")
        for number in range(200):
            store.put("t", b"%d" % number, b"v", NOW if number < 100 else LATER)
        await store.flush()
        left = 200
        for _ in range(60):
            store.sweep(NOW)
            await store.flush()
            if isinstance(store, RedisStore) and store._sweeping is not None:
                await store._sweeping
            now_left = len(await keys(store, "t", now=0))
            assert left - now_left <= left // 10 + 1
            left = now_left
        assert left == 100
        assert len(await keys(store, "t")) == 100

    @pytest.mark.parametrize("written", [True, False])
    async def test_counters_count(self, store: Store, written: bool) -> None:
        assert await store.add("t", b"k", 5, NOW, LATER) == 5
        if written:
            await store.flush()
        assert await store.add("t", b"k", -2, NOW, LATER + 1) == 3
        assert await store.add("other", b"k", 1, NOW, LATER) == 1
        assert await store.get("t", b"k", LATER) == b"3"
        assert await store.get("t", b"k", LATER + 1) is None
        assert await store.add("t", b"k", 7, LATER + 1, LATER + 2) == 7, "what has expired counts no more"

    async def test_what_is_no_number_counts_as_none(self, store: Store) -> None:
        for value in (b"", b"x", b"1.5", b" 1", b"+1", b"1\n", b"9" * 30):
            store.put("t", b"k", value, LATER)
            assert await store.add("t", b"k", 1, NOW, LATER) == 1

    async def test_counters_have_64_bits(self, store: Store) -> None:
        assert await store.add("t", b"k", 2**63 - 1, NOW, LATER) == 2**63 - 1
        with pytest.raises(StoreError, match="64 bits"):
            await store.add("t", b"k", 1, NOW, LATER)
        assert await store.get("t", b"k", NOW) == b"%d" % (2**63 - 1)

    @pytest.mark.parametrize("written", [True, False])
    async def test_no_count_of_many_adders_is_lost(self, store: Store, monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
        monkeypatch.setattr(bounds, "STORE_HOT", 1)  # so that they all wait for the disk
        store.put("t", b"k", b"1000", LATER)
        for number in range(3):
            store.put("t", b"%d" % number, b"v", LATER)
        if written:
            await store.flush()
        found = await asyncio.gather(*(store.add("t", b"k", 1, NOW, LATER) for _ in range(50)))
        assert sorted(found) == list(range(1001, 1051))
        assert await store.get("t", b"k", NOW) == b"1050"

    @pytest.mark.parametrize("written", [True, False])
    async def test_compare_and_swap(self, store: Store, written: bool) -> None:
        async def settle() -> None:
            if written:
                await store.flush()

        assert not await store.cas("t", b"k", b"1", b"2", NOW, LATER)
        assert await store.cas("t", b"k", None, b"1", NOW, LATER)
        await settle()
        assert not await store.cas("t", b"k", None, b"2", NOW, LATER)
        assert not await store.cas("t", b"k", b"2", b"3", NOW, LATER)
        assert await store.get("t", b"k", NOW) == b"1"
        assert await store.cas("t", b"k", b"1", b"", NOW, LATER + 1)
        await settle()
        assert await store.get("t", b"k", LATER) == b""
        assert not await store.cas("t", b"k", None, b"2", NOW, LATER), "what is empty is there"
        assert await store.cas("t", b"k", None, b"2", LATER + 1, LATER + 2), "what has expired is not"
        store.delete("t", b"k")
        await settle()
        assert await store.cas("t", b"k", None, b"4", LATER, LATER + 2)

    @pytest.mark.parametrize("before", [None, b"old"])
    async def test_of_many_that_swap_one_has_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, before: bytes | None
    ) -> None:
        monkeypatch.setattr(bounds, "STORE_HOT", 1)
        if before is not None:
            store.put("t", b"k", before, LATER)
        store.put("t", b"other", b"v", LATER)
        await store.flush()
        took = await asyncio.gather(*(store.cas("t", b"k", before, b"%d" % number, NOW, LATER) for number in range(50)))
        assert took.count(True) == 1
        assert await store.get("t", b"k", NOW) == b"%d" % took.index(True)

    async def test_who_watches_sees_changes_and_can_read_them(self, store: Store) -> None:
        watchable(store)
        changes = store.watch("t")
        assert await anext(changes) is None, "what was there before is to be scanned"
        store.put("t", b"1", b"v", LATER)
        store.put("other", b"1", b"v", LATER)
        store.delete("t", b"2")
        assert await store.cas("t", b"3", None, b"w", NOW, LATER)
        assert await store.add("t", b"4", 2, NOW, LATER)
        assert not await store.cas("t", b"5", b"x", b"w", NOW, LATER)
        found = []
        for _ in range(4):
            found.append(change := await anext(changes))
            assert change is not None
            assert await store.get("t", change.key, NOW) == change.value
        assert found == [
            Change(b"1", b"v", LATER), Change(b"2", None, 0), Change(b"3", b"w", LATER), Change(b"4", b"2", LATER),
        ]  # fmt: skip

    async def test_who_watches_is_woken(self, store: Store) -> None:
        watchable(store)
        changes = [store.watch("t") for _ in range(2)]
        assert [await anext(each) for each in changes] == [None, None]
        waiting = [asyncio.ensure_future(anext(each)) for each in changes]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        store.put("t", b"k", b"v", LATER)
        assert await asyncio.gather(*waiting) == [Change(b"k", b"v", LATER)] * 2

    async def test_a_slow_reader_is_told_to_scan(self, store: Store) -> None:
        watchable(store)
        changes = store.watch("t")
        assert await anext(changes) is None
        for number in range(2 * bounds.STORE_CHANGES):
            store.put("t", b"same", b"%d" % number, LATER)
        assert await anext(changes) == Change(b"same", b"%d" % (2 * bounds.STORE_CHANGES - 1), LATER), "the last is enough"
        for number in range(bounds.STORE_CHANGES + 1):
            store.put("t", b"%d" % number, b"v", LATER)
        assert await anext(changes) is None
        store.put("t", b"k", b"v", LATER)
        assert await anext(changes) == Change(b"k", b"v", LATER)

    async def test_who_watches_no_more_is_told_no_more(self, store: Store) -> None:
        watchable(store)

        async def watch() -> None:
            async for _ in store.watch("t"):
                pass

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        watchers = store._news._watchers if isinstance(store, FallbackStore) else None
        if watchers is None:
            assert isinstance(store, InProcess | RedisStore)
            watchers = store._changes if isinstance(store, RedisStore) else store._watchers
        assert not watchers.tables()

    async def test_the_end_of_the_store_is_told(self, store: Store) -> None:
        watchable(store)
        changes = store.watch("t")
        assert await anext(changes) is None
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await waiting
        with pytest.raises(StoreError, match="closed"):
            await anext(store.watch("t"))

    async def test_closed(self, store: Store) -> None:
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.get("t", b"k", NOW)
        with pytest.raises(StoreError, match="closed"):
            store.put("t", b"k", b"v", LATER)
        with pytest.raises(StoreError, match="closed"):
            store.delete("t", b"k")
        with pytest.raises(StoreError, match="closed"):
            store.sweep(NOW)
        with pytest.raises(StoreError, match="closed"):
            await store.flush()
        with pytest.raises(StoreError, match="closed"):
            await store.add("t", b"k", 1, NOW, LATER)
        with pytest.raises(StoreError, match="closed"):
            await store.cas("t", b"k", None, b"v", NOW, LATER)
        with pytest.raises(StoreError, match="closed"):
            await keys(store, "t")

    async def test_it_is_a_store(self, store: Store) -> None:
        from resolverd.state.base import Store as FlowStore

        seen_by_flow: FlowStore = store  # checked by mypy
        assert seen_by_flow is store


STEP = st.sampled_from(["put", "delete", "get", "flush", "sweep"])
STEPS = st.lists(st.tuples(STEP, st.binary(max_size=1), st.binary(max_size=3)), max_size=40)


@given(STEPS)
@settings(max_examples=25)
def test_disk_behaves_as_a_dict(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, bytes]]) -> None:
    state = tmp_path_factory.mktemp("var")

    async def run() -> None:
        model: dict[bytes, bytes] = {}
        store = await open_store(state, Counters())
        for step, key, value in steps:
            match step:
                case "put":
                    store.put("t", key, value, LATER)
                    model[key] = value
                case "delete":
                    store.delete("t", key)
                    model.pop(key, None)
                case "get":
                    assert await store.get("t", key, NOW) == model.get(key)
                case "flush":
                    await store.flush()
                case "sweep":
                    store.sweep(NOW)
        await store.close()
        store = await open_store(state, Counters())
        assert {entry.key: entry.value async for entry in store.scan("t", NOW)} == model
        await store.close()

    asyncio.run(run())


async def test_memory_has_a_bound() -> None:
    assert MemoryStore()._max_records == bounds.STORE_RECORDS
    store = MemoryStore(max_records=3)
    for key in (b"1", b"2", b"3"):
        store.put("t", key, b"v", LATER)
    with pytest.raises(StoreError, match="no room"):
        store.put("t", b"4", b"v", LATER)
    store.put("t", b"3", b"w", LATER)
    store.delete("t", b"1")
    store.put("t", b"4", b"v", LATER)
    assert await keys(store, "t") == [b"2", b"3", b"4"]


# Behind and in front of the disk


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "var"


async def test_records_outlive_the_process(state: Path) -> None:
    await filled(state)
    store = await open_store(state, Counters())
    assert await store.get("t", b"0", NOW) == b"value 0" * 20
    await store.close()


async def test_writes_are_gathered_and_written_behind(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    written = asyncio.Event()
    loop = asyncio.get_running_loop()
    write = SqliteFile.write

    def counting(self: SqliteFile, batch: dict[bytes, base.StoredValue | None]) -> None:
        batches.append(len(batch))
        write(self, batch)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(SqliteFile, "write", counting)
    store = await open_store(state, Counters())
    for number in range(100):
        store.put("t", b"%d" % number, b"v", LATER)
    await asyncio.wait_for(written.wait(), 5)  # nobody called flush
    await store.close()
    assert batches == [100]


async def test_reads_wait_for_no_write(state: Path) -> None:
    await filled(state, 1000)
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    started, go = threading.Event(), threading.Event()

    def long(rows: SqliteFile) -> None:
        with rows._cache.transact():
            rows._cache.set(address("t", b"7"), b"half way")
            started.set()
            go.wait(5)

    try:
        writing = store._worker.submit(long)
        await asyncio.to_thread(started.wait, 5)
        async with asyncio.timeout(2):
            assert await store.get("t", b"7", NOW) == b"value 7" * 20
            assert await store.get("t", b"none", NOW) is None
        assert not writing.done()
    finally:
        go.set()
    await writing
    await store.close()


async def test_where_the_reader_fails_the_worker_is_asked(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 10)
    monkeypatch.setattr("resolverd.state.disk.reader._QUERY", "SELECT nonsense")
    store = await open_store(state, Counters())
    assert await store.get("t", b"7", NOW) == b"value 7" * 20
    await store.close()


class Once:
    """In the place of a method: a bug at its first call."""

    def __init__(self, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = getattr(owner, name)
        self.calls = 0
        monkeypatch.setattr(owner, name, lambda *args, **more: self._call(*args, **more))

    def _call(self, *args: Any, **more: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise TypeError("planted")
        return self._real(*args, **more)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Reader, "_read"), (BytesOnly, "fetch"), (Reader, "_close"), (Worker, "_do"), (SqliteFile, "entries")],
)
async def test_a_bug_in_a_thread_of_the_store_costs_one_job_and_is_told(
    owner: type, name: str, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(state, 10)
    counters = Counters()
    store = await open_store(state, counters)
    planted = Once(owner, name, monkeypatch)
    if name == "_close":
        monkeypatch.setattr("resolverd.state.disk.reader._QUERY", "SELECT nonsense")
    async with asyncio.timeout(5):
        for number in range(3):
            with contextlib.suppress(StoreError):
                await store.get("t", b"%d" % number, NOW)
            with contextlib.suppress(StoreError):
                [each async for each in store.scan("t", NOW)]
        assert await store.get("t", b"7", NOW) == b"value 7" * 20
        assert len([each async for each in store.scan("t", NOW)]) == 10
        await store.close()
    assert planted.calls > 1
    assert counters.get("bugs", where="store") == 1
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_put_during_a_read_is_not_lost_behind_it(state: Path) -> None:
    await filled(state)
    store = await open_store(state, Counters())
    reading = asyncio.create_task(store.get("t", b"0", NOW))
    await asyncio.sleep(0)
    store.put("t", b"0", b"newer", LATER)
    assert await reading == b"newer"
    deleting = asyncio.create_task(store.get("t", b"0", NOW))
    store.delete("t", b"0")
    assert await deleting is None
    await store.close()


async def test_a_cancelled_read_harms_nobody(state: Path) -> None:
    await filled(state)
    store = await open_store(state, Counters())
    reading = asyncio.create_task(store.get("t", b"0", NOW))
    await asyncio.sleep(0)
    reading.cancel()
    assert await store.get("t", b"0", NOW) == b"value 0" * 20
    await store.close()


async def test_the_hot_table_has_a_bound(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_HOT", 5)
    store = await open_store(state, Counters())
    for number in range(20):
        store.put("t", b"%d" % number, b"v%d" % number, LATER)
    await store.flush()
    assert [await store.get("t", b"%d" % number, NOW) for number in range(20)] == [b"v%d" % number for number in range(20)]
    assert isinstance(store, DiskStore)
    assert len(store._hot) == 5
    await store.close()


async def test_no_thread_is_left(state: Path) -> None:
    before = set(threading.enumerate())
    await filled(state)
    assert not [thread for thread in threading.enumerate() if thread not in before]


# A disk that hangs


class Stuck:
    """A disk whose reads hang until `go`; `read` tells in which order they were done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.read: list[bytes] = []
        for kind, name in ((Reader, "_read"), (sqlite_file.RecordFile, "read")):
            monkeypatch.setattr(kind, name, self._hanging(getattr(kind, name)))

    def _hanging(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def hang(*given: Any) -> Any:
            self.read.append(given[-1])
            self.started.set()
            self.go.wait(10)
            return read(*given)

        return hang


@pytest.mark.parametrize("pending", [False, True])
async def test_behind_a_disk_that_hangs_stand_only_those_who_wait(
    state: Path, monkeypatch: pytest.MonkeyPatch, pending: bool
) -> None:
    await filled(state, 100)
    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT", 0)
    with closing(sqlite3.connect(database(state), isolation_level=None)) as lock:
        if pending:
            lock.execute("BEGIN IMMEDIATE")
        store = await open_store(state, Counters())
        assert isinstance(store, PendingStore) is pending
        jobs = store._worker._jobs if isinstance(store, PendingStore) else store._reader._jobs  # type: ignore[attr-defined]
        await learnt(store)
        stuck = Stuck(monkeypatch)

        async def get(number: int) -> bytes | None:
            return await store.get("t", b"%d" % number, NOW)

        first = asyncio.create_task(get(0))
        await asyncio.to_thread(stuck.started.wait, 5)
        crowd = [asyncio.create_task(get(1)) for _ in range(bounds.STORE_JOBS + 3000)]
        await asyncio.sleep(0)
        refused = [each for each in crowd if each.done()]
        assert len(refused) == 3000
        assert all("wait for the disk" in str(each.exception()) for each in refused)
        assert len(jobs) == bounds.STORE_JOBS
        for each in crowd:
            each.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        assert len(jobs) == 0, "whoever has given up takes no room"

        after = [asyncio.create_task(get(number)) for number in (30, 20, 10)]
        await asyncio.sleep(0)
        stuck.go.set()
        assert await asyncio.gather(first, *after) == [b"value %d" % number * 20 for number in (0, 30, 20, 10)]
        assert stuck.read == [address("t", b"%d" % number) for number in (0, 30, 20, 10)], "in order, and nothing for nobody"
    await store.close()


async def test_writes_are_never_refused_for_reads_that_wait(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state)
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    monkeypatch.setattr(bounds, "STORE_JOBS", 0)
    with pytest.raises(StoreError, match="wait for the disk"):
        await store.get("t", b"0", NOW)
    store.put("t", b"k", b"v", LATER)
    await store.flush()
    store.sweep(NOW)
    await store.close()


async def test_room_for_what_can_be_done_without(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such records neither crowd out others nor wait in memory for a file that cannot be written; `condition` says why."""
    memory = MemoryStore(max_records=4)
    assert memory.has_room()
    for number in range(2):
        memory.put("t", b"%d" % number, b"v", LATER)
    assert not memory.has_room()
    assert await memory.condition() == Condition("memory")
    assert (await MemoryStore(release=lambda: None).condition()).fault

    disk = await open_store(state, Counters(), max_unwritten=40)
    for number in range(4):
        assert disk.has_room()
        disk.put("t", b"%d" % number, b"v", LATER)
    assert not disk.has_room()
    await disk.flush()
    assert disk.has_room()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "write", full)
        disk.put("t", b"k", b"v", LATER)
        with pytest.raises(StoreError, match="full"):
            await disk.flush()
        assert not disk.has_room()
        assert "cannot be written" in (await disk.condition()).fault
    await disk.flush()
    assert disk.has_room()
    assert await disk.condition() == Condition("disk", "", database(state).stat().st_size)
    await disk.close()

    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT", 0)
    with closing(sqlite3.connect(database(state), isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        pending = await open_store(state, Counters())
        assert isinstance(pending, PendingStore)
        assert not pending.has_room()
        assert "cannot be written" in (await pending.condition()).fault
    pending.sweep(NOW)
    assert pending._trying is not None
    await pending._trying
    assert pending.has_room()
    assert (await pending.condition()).fault == ""
    await pending.close()


async def learnt(store: Store) -> None:
    """Wait until it is known what is not in the file."""
    while isinstance(store, DiskStore) and store._learning is not None:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_that_nothing_is_there_is_known_as_well(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 3)
    monkeypatch.setattr(KeyFilter, "may_hold", lambda self, key: True)
    store = await open_store(state, Counters())
    stuck = Stuck(monkeypatch)
    stuck.go.set()
    for _ in range(2):
        assert await store.get("t", b"none", NOW) is None
        store.delete("t", b"0")
        assert await store.get("t", b"0", NOW) is None
        await store.flush()
    assert stuck.read == [address("t", b"none")]
    assert await store.cas("t", b"none", None, b"v", NOW, LATER)
    assert await store.get("t", b"none", NOW) == b"v"
    assert len(stuck.read) == 1
    await store.close()


# -- what is surely not in the file -----------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=20)), st.sampled_from([1, 16, 1024]))
def test_a_filter_forgets_no_key(keys: list[bytes], octets: int) -> None:
    made = KeyFilter(octets)
    for number, key in enumerate(keys):
        made.add(key)
        assert all(made.may_hold(each) for each in keys[: number + 1])
    assert made.added <= len(set(keys))


def test_a_filter_is_seldom_wrong() -> None:
    made = KeyFilter(1 << 14)
    for number in range(5000):
        made.add(b"in %d" % number)
    assert sum(made.may_hold(b"out %d" % number) for number in range(10_000)) < 500


async def test_of_what_is_not_in_the_file_nobody_waits_for_the_disk(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_store, "FILTER_PAGE", 7)
    monkeypatch.setattr(disk_store, "FILTER_PAUSE", 0)
    await filled(state, 100)
    store = await open_store(state, Counters())
    assert store.known("t", b"none", NOW) is UNREAD, "the file has not been looked at"
    store.put("t", b"meanwhile", b"v", LATER)
    await learnt(store)
    monkeypatch.setattr(bounds, "STORE_HOT", 0)
    store.put("t", b"since", b"v", LATER)
    await store.flush()
    for key in (*(b"%d" % number for number in range(100)), b"meanwhile", b"since"):
        assert store.known("t", key, NOW) is UNREAD, key
        assert await store.get("t", key, NOW) is not None
    assert [store.known("t", b"none %d" % number, NOW) for number in range(50)].count(None) > 45
    await store.close()
    with pytest.raises(StoreError):
        store.known("t", b"none", NOW)


async def test_where_the_file_cannot_be_looked_at_it_is_tried_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 10)
    with monkeypatch.context() as failing:
        failing.setattr("resolverd.state.disk.reader._KEYS", "SELECT nonsense")
        store = await open_store(state, Counters())
        await learnt(store)
    assert store.known("t", b"none", NOW) is UNREAD
    assert await store.get("t", b"none", NOW) is None
    store.sweep(NOW)
    await learnt(store)
    assert store.known("t", b"another", NOW) is None
    await store.close()


async def test_the_filter_grows_with_the_file_up_to_its_bound(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_FILTER_LEAST", 16)
    monkeypatch.setattr(bounds, "STORE_FILTER", 256)
    monkeypatch.setattr(disk_store, "RECORD_OCTETS", 1 << 20)
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    await learnt(store)
    for number in range(1000):
        store.put("t", b"%d" % number, b"v", LATER)
    sizes = []
    for _ in range(4):
        store.sweep(NOW)
        await learnt(store)
        assert store._filter is not None
        sizes.append(len(store._filter))
        assert await store.get("t", b"7", NOW) == b"v"
    assert sizes == [64, 256, 256, 256]
    await store.close()


async def test_a_large_file_has_a_large_filter_from_the_start(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_store, "FILTER_PAGE", 7)
    monkeypatch.setattr(disk_store, "FILTER_PAUSE", 0)
    monkeypatch.setattr(bounds, "STORE_FILTER_LEAST", 16)
    await filled(state, 1000)
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    await learnt(store)
    assert store._filter is not None
    assert len(store._filter) >= 1024
    assert all(store._filter.may_hold(address("t", b"%d" % number)) for number in range(100))
    await store.close()


async def test_several_records_are_read_in_one_go(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(state, 3)
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    await learnt(store)
    stuck = Stuck(monkeypatch)
    wanted = [("t", b"0"), ("t", b"1"), ("t", b"2"), ("t", b"surely not there")]
    reading = asyncio.create_task(store.prefetch(wanted))
    await asyncio.to_thread(stuck.started.wait, 5)
    assert len(store._reader._jobs) == 0, "one job"
    store.put("t", b"1", b"newer", LATER)
    store.delete("t", b"2")
    stuck.go.set()
    await reading
    assert stuck.read == [address("t", b"%d" % number) for number in range(3)]
    assert [store.known(*each, NOW) for each in wanted] == [b"value 0" * 20, b"newer", None, None]
    await store.close()


async def test_what_is_large_is_not_kept_at_hand(state: Path) -> None:
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    small, large = b"v" * bounds.STORE_HOT_OCTETS, b"w" * (bounds.STORE_HOT_OCTETS + 1)
    store.put("t", b"k", small, LATER)
    await store.flush()
    assert len(store._hot) == 1
    store.put("t", b"k", large, LATER)
    await store.flush()
    assert await store.get("t", b"k", NOW) == large
    assert len(store._hot) == 0
    await store.close()


async def test_file_and_backlog_are_bounded(state: Path) -> None:
    store = await open_store(state, Counters())
    assert isinstance(store, DiskStore)
    assert store._max_unwritten == bounds.STORE_UNWRITTEN
    pages = await store._worker.submit(lambda file: file._sql("PRAGMA max_page_count", []))
    assert pages[0][0] * sqlite_file.PAGE == bounds.STORE_OCTETS
    await store.close()
