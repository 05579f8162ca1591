"""Every store keeps one contract; the disk store writes behind and never makes a reader wait."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import LATER, NOW, filled, keys

from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import base
from resolverd.state.base import Entry, Store, address
from resolverd.state.disk.sqlite_file import SqliteFile
from resolverd.state.disk.store import DiskStore, open_store
from resolverd.state.memory import MemoryStore


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else await open_store(tmp_path / "var", Counters())
    yield opened
    await opened.close()


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
        for number in range(200):
            store.put("t", b"%d" % number, b"v", NOW if number < 100 else LATER)
        await store.flush()
        left = 200
        for _ in range(60):
            store.sweep(NOW)
            await store.flush()
            now_left = len(await keys(store, "t", now=0))
            assert left - now_left <= left // 10 + 1
            left = now_left
        assert left == 100
        assert len(await keys(store, "t")) == 100

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
            await keys(store, "t")

    async def test_it_is_a_store(self, store: Store) -> None:
        from resolverd.state.base import Store as FlowStore

        seen_by_flow: FlowStore = store  # checked by mypy
        assert seen_by_flow is store


STEP = st.sampled_from(["put", "delete", "get", "flush", "sweep"])
STEPS = st.lists(st.tuples(STEP, st.binary(max_size=1), st.binary(max_size=3)), max_size=40)


@given(STEPS)
@settings(max_examples=25, deadline=None)
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
    monkeypatch.setattr("resolverd.state.disk.store.HOT_RECORDS", 5)
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
