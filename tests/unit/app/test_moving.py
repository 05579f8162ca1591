"""Moving a store into another: nothing lost on either side, whatever breaks, however often it is done."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import LATER, NOW

from resolverd.app.moving import BATCH, Moved, Mover
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import StoredValue, count_of
from resolverd.state.disk.opening import open_store
from resolverd.state.disk.store import DiskStore
from resolverd.state.memory import MemoryStore

TABLES = ("a", "b", "counts")


def larger(_table: str, _key: bytes, ours: StoredValue | None, _at: float, theirs: StoredValue | None) -> StoredValue | None:
    """A rule for tests: the larger value, the later end."""
    if ours is None or theirs is None:
        return ours or theirs
    return StoredValue(max(ours.value, theirs.value), max(ours.expires, theirs.expires))


def mover(source: MemoryStore, target: MemoryStore | DiskStore, origin: str = "here", tries: int = 1) -> Mover:
    return Mover(source, target, larger, {"counts"}, origin, NOW, [0.0] * (tries - 1))


def filled(count: int, **values: int) -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        store.put("a", b"%06d" % number, b"%d" % number, LATER)
    for name, value in values.items():
        store.put("counts", name.encode(), b"%d" % value, LATER)
    return store


class Breaking(MemoryStore):
    """A store that fails after so many changes, once; or that forgets each such one."""

    def __init__(self, after: int, *, forgets: bool = False) -> None:
        super().__init__()
        self.left = after
        self.forgets = forgets

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        self.left -= 1
        if self.left == 0:
            if self.forgets:
                return
            raise StoreError("gone")
        super().put(table, key, value, expires)


async def everything(store: MemoryStore | DiskStore, *tables: str) -> dict[tuple[str, bytes], bytes]:
    return {(table, each.key): each.value for table in tables for each in [found async for found in store.scan(table, NOW)]}


async def test_all_of_it_goes_and_is_read_back(tmp_path: Path) -> None:
    source, told = filled(2 * BATCH + 3, x=5), []
    source.put("b", b"gone", b"v", NOW)
    target = await open_store(tmp_path, Counters())
    assert isinstance(target, DiskStore)
    target.put("a", b"000001", b"9", LATER + 1)
    target.put("a", b"000002", b"0", LATER - 1)
    moving = mover(source, target)
    count = 2 * BATCH + 3
    assert await moving.count(TABLES) == count + 1
    assert await moving.move(TABLES, told.append) == {
        "a": Moved(new=count - 2, changed=1, there=1, found=count), "b": Moved(), "counts": Moved(new=1, found=1),
    }  # fmt: skip
    assert sum(told) == 2 * (count + 1)
    found = await everything(target, *TABLES)
    assert found == await everything(source, *TABLES) | {("a", b"000001"): b"9"}
    assert (await target.stored("a", b"000002", NOW)) == StoredValue(b"2", LATER)
    await target.close()


async def test_once_more_changes_nothing() -> None:
    source, target = filled(10, x=5), MemoryStore()
    await mover(source, target).move(TABLES)
    before = await everything(target, *TABLES)
    assert await mover(source, target).move(TABLES) == {
        "a": Moved(there=10, found=10), "b": Moved(), "counts": Moved(there=1, found=1),
    }  # fmt: skip
    assert await everything(target, *TABLES) == before


async def test_counters_of_two_hosts_add_up_however_often_they_are_moved() -> None:
    first, second, target = filled(0, x=5), filled(0, x=7, y=1), MemoryStore()
    target.put("counts", b"x", b"100", LATER)
    for _ in range(2):
        await mover(first, target, "first").move(TABLES)
        await mover(second, target, "second").move(TABLES)
    first.put("counts", b"x", b"8", LATER)
    assert (await mover(first, target, "first").move(TABLES))["counts"] == Moved(changed=1, found=1)
    assert await target.get("counts", b"x", NOW) == b"115"
    assert await target.get("counts", b"y", NOW) == b"1"


@given(st.integers(1, 30))
async def test_a_break_anywhere_loses_nothing(after: int) -> None:
    source, target = filled(8, x=5, y=6), Breaking(after)
    moved = None
    for _ in range(2):
        try:
            moved = await mover(source, target).move(TABLES)
            break
        except StoreError:
            continue
    assert moved is not None
    assert {table: each.found for table, each in moved.items()} == {"a": 8, "b": 0, "counts": 2}
    assert (await everything(target, "a")) == await everything(source, "a")
    # What broke between a counter and its mark is added once more: of two counts the higher one is safe.
    assert 5 <= count_of(await target.get("counts", b"x", NOW)) <= 10
    assert 6 <= count_of(await target.get("counts", b"y", NOW)) <= 12


async def test_a_store_that_fails_for_a_moment_is_asked_again() -> None:
    source, target = filled(8), Breaking(4)
    assert (await mover(source, target, tries=2).move(["a"]))["a"] == Moved(new=8, found=8)


@pytest.mark.parametrize("after", [1, 5, 9])
async def test_what_is_not_there_in_the_end_is_not_found(after: int) -> None:
    source, target = filled(8, x=5), Breaking(after, forgets=True)
    moved = await mover(source, target).move(TABLES)
    assert sum(each.records for each in moved.values()) == 9
    assert sum(each.found for each in moved.values()) == 8


async def test_a_record_that_changes_under_ones_hands_is_merged_anew() -> None:
    class Busy(MemoryStore):
        """Somebody else writes between reading and writing."""

        async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
            found = await super().stored(table, key, now)
            if found is None or len(found.value) < 3:
                self.put(table, key, b"9" * (len(found.value) + 1 if found else 1), LATER)
            return found

    source, target = filled(1), Busy()
    assert (await mover(source, target).move(["a"]))["a"] == Moved(there=1, found=1)
    assert await target.get("a", b"000000", NOW) == b"999"
