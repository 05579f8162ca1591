"""The parts of a shared store that need no server: frames, names, breaker, queue, times; and the whole of it as a dict."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_stores import be_patient, fresh_prefix, opened, within_reach

from resolverd import bounds
from resolverd.state.base import StoredValue
from resolverd.state.redis import breaker, frames, unwritten
from resolverd.state.redis.breaker import Breaker
from resolverd.state.redis.connection import packed
from resolverd.state.redis.frames import Foreign, Names, unframe
from resolverd.state.redis.unwritten import Unwritten, Write
from tests.redis_server import RedisServer

NOW = float(round(time.time()))
LATER = NOW + 1000

# -- frames and names

GOLDEN = b"\xf7\x010001700000000500value"


def test_golden_frame() -> None:
    assert frames.head(1_700_000_000.5, 1) + b"value" == GOLDEN
    assert unframe(GOLDEN) == StoredValue(b"value", 1_700_000_000.5)


@given(st.floats(allow_nan=False), st.binary(max_size=40))
def test_what_is_framed_comes_back(expires: float, value: bytes) -> None:
    held = unframe(frames.head(expires, frames.SCHEMA) + value)
    assert isinstance(held, StoredValue)
    assert held.value == value
    latest = frames.LATEST_MS / 1000
    assert held.expires == pytest.approx(min(max(expires, 0.0), latest), abs=0.0006)


@given(st.binary(max_size=60))
def test_any_octets_are_a_record_or_foreign(raw: bytes) -> None:
    found = unframe(raw)
    if isinstance(found, StoredValue) and int(raw[2:18]) <= frames.LATEST_MS:
        assert frames.head(found.expires, raw[1]) + found.value == raw


@given(st.binary(max_size=40), st.integers(0, 17), st.integers(1, 255))
def test_a_damaged_head_is_never_another_time(value: bytes, at: int, change: int) -> None:
    raw = bytearray(GOLDEN)
    raw[at] ^= change
    found = unframe(bytes(raw))
    assert isinstance(found, Foreign) or bytes(raw[2:18]).isdigit()


def test_a_newer_schema_is_read_by_who_knows_it() -> None:
    raw = frames.head(LATER, 2) + b"v"
    assert unframe(raw) is Foreign.SCHEMA
    assert unframe(raw, newest=2) == StoredValue(b"v", LATER)
    assert unframe(frames.head(LATER, 1) + b"v", newest=2) == StoredValue(b"v", LATER)


@given(st.text(max_size=8).filter(lambda table: "\0" not in table and table.isprintable()), st.binary(max_size=8))
def test_names_are_apart(table: str, key: bytes) -> None:
    names = Names("p", frozenset(("small",)))
    place = names.place(table, key)
    if table != "small":
        assert names.table_of(place.key) == table
        assert names.key_of(table, place.key) == key
        assert place.key.count(b":") >= 2
    else:
        assert names.table_of(place.key) == "small"


def test_what_is_no_name_of_ours() -> None:
    names = Names("p", frozenset(("small",)))
    for key in (b"p:t", b"p:small:k", b"p:since", b"p:sweeping", b"p:\xff:k"):
        assert names.table_of(key) is None
    with pytest.raises(ValueError, match="NUL"):
        names.place("a\0b", b"k")
    for number in range(2 * bounds.STORE_TABLES):
        names.place(f"t{number}", b"k")
    assert len(names._heads) == bounds.STORE_TABLES


def test_commands_as_they_are_sent() -> None:
    assert packed((b"SET", "ü", 12, b"")) == b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$2\r\n12\r\n$0\r\n\r\n"


# -- the breaker


def test_three_failures_in_a_row_open_it() -> None:
    circuit = Breaker(lambda: 1.0)
    assert circuit.is_open
    circuit.close(0.0)
    assert not circuit.failed(1.00, 1.02)
    assert not circuit.failed(1.00, 1.02), "many at once are one"
    assert not circuit.failed(1.01, 1.03), "nor does one count that was asked before"
    assert not circuit.failed(1.03, 1.05)
    circuit.answered()
    assert not circuit.failed(1.06, 1.08)
    assert not circuit.failed(1.08, 1.10)
    assert circuit.failed(1.10, 1.12)


def test_pauses_grow_and_are_spread() -> None:
    slow, quick = Breaker(lambda: 1.0), Breaker(lambda: 0.0)
    for circuit, share in ((slow, 1.0), (quick, 0.5)):
        circuit.close(0.0)
        circuit.open(100.0)
        assert circuit.wait(100.0) == 0, "the first try comes at once"
        waited = []
        for _ in range(7):
            circuit.tried(100.0)
            waited.append(circuit.wait(100.0))
        assert waited == pytest.approx([share * pause for pause in (0.5, 1, 2, 4, 8, 10, 10)])
        circuit.tried(100.0, 7.0)
        assert circuit.wait(100.0) == pytest.approx(share * 7)


def test_who_comes_and_goes_is_not_tried_all_the_time() -> None:
    circuit = Breaker(lambda: 1.0)
    now, waited = 100.0, []
    for _ in range(6):
        circuit.close(now)
        now += 1
        circuit.open(now)
        waited.append(circuit.wait(now))
        now += waited[-1]
    assert waited == [0.5, 1, 2, 4, 8, 10]
    circuit.close(now)
    circuit.open(now + 2 * breaker.LAST_PAUSE)
    assert circuit.wait(now + 2 * breaker.LAST_PAUSE) == 0


# -- the queue


def write(value: str, at: float = NOW) -> Write:
    return Write(value.encode(), LATER, at, frames.SCHEMA)


A, B, C = ("t", b"a"), ("t", b"b"), ("t", b"c")


def test_a_write_goes_its_way() -> None:
    queue = Unwritten(10)
    assert not queue.put(A, write("1"), late=False)
    assert queue.take(5) == {A: write("1")}
    assert not queue.put(A, write("2"), late=False), "another one meanwhile"
    queue.written(A, NOW)
    assert queue.find(A) == write("2")
    assert queue.take(5) == {A: write("2")}
    queue.failed(A)
    assert queue.find(A) == write("2")
    assert queue.put(A, write("3"), late=False), "behind one that is late it is late too"
    assert not queue.merged(A, write("2")), "it was not the last one"
    assert queue.merged(A, queue.late[A])
    assert not queue


def test_what_failed_gives_way_to_what_was_put_since() -> None:
    queue = Unwritten(10)
    queue.put(A, write("1"), late=False)
    queue.take(1)
    queue.put(A, write("2"), late=False)
    queue.failed(A)
    assert queue.late == {A: write("2")}
    assert not queue.waiting
    assert list(queue) == [A]


def test_an_outage_makes_all_late() -> None:
    queue = Unwritten(3)
    queue.put(A, write("1"), late=False)
    queue.put(B, write("1"), late=True)
    assert queue.all_late() == [A]
    assert set(queue.late) == {A, B}
    assert queue.has_room(C)
    queue.put(C, write("1"), late=True)
    assert queue.has_room(C)
    assert not queue.has_room(("t", b"d"))


def test_what_was_written_lately_is_written_again_for_another_server() -> None:
    queue = Unwritten(2)
    queue.remember(A, write("old", NOW), NOW)
    queue.remember(B, write("b", NOW + unwritten.RECENT), NOW + unwritten.RECENT)
    queue.remember(C, write("c", NOW + unwritten.RECENT), NOW + unwritten.RECENT + 1)
    queue.write_again(NOW + unwritten.RECENT + 1)
    assert set(queue.late) == {B, C}
    for number in range(bounds.STORE_SHARED_RECENT + 5):
        queue.remember(("t", b"%d" % number), write("v"), NOW)
    assert len(queue._recent) == bounds.STORE_SHARED_RECENT


def test_what_was_written_lately_is_bounded_in_octets() -> None:
    queue, large = Unwritten(100), write("x" * 65_536)
    count = bounds.STORE_SHARED_RECENT_OCTETS // 65_536
    for number in [*range(count + 3), 5, count]:
        queue.remember(("t", b"%d" % number), large, NOW)
    queue.write_again(NOW)
    assert len(queue.late) == min(count, queue.limit)
    for number in range(count + 3):
        queue.remember(("t", b"%d" % number), large, NOW)
    assert len(queue._recent) == count


# -- the whole, as a dict

STEP = st.sampled_from(["put", "delete", "get", "prefetch", "cas", "add", "flush", "scan"])
VALUE = st.sampled_from([b"1", b"22", b""])
STEPS = st.lists(st.tuples(STEP, st.integers(0, 1), st.sampled_from([b"a", b"b"]), VALUE), max_size=40)


@given(STEPS, st.booleans())
@settings(max_examples=40)
def test_two_hosts_behave_as_one_dict(
    redis_server: RedisServer, steps: list[tuple[str, int, bytes, bytes]], small: bool
) -> None:
    """Whatever two hosts do, one at a time, each sees what it did, and what the other one did before it last wrote everything."""

    async def run() -> None:
        model: dict[bytes, bytes] = {}
        prefix, tables = fresh_prefix(), frozenset(("t",) if small else ())
        stores = [opened(redis_server, prefix=prefix, small=tables) for _ in range(2)]
        for store in stores:
            await within_reach(store)
        for step, which, key, value in steps:
            store = stores[which]
            match step:
                case "put":
                    store.put("t", key, value, LATER)
                    model[key] = value
                case "delete":
                    store.delete("t", key)
                    model.pop(key, None)
                case "get":
                    assert await store.get("t", key, NOW) == model.get(key)
                case "prefetch":
                    await store.prefetch([("t", b"a"), ("t", b"b")])
                    assert await store.get("t", key, NOW) == model.get(key)
                case "cas":
                    assert await store.cas("t", key, model.get(key), value, NOW, LATER)
                    model[key] = value
                case "add":
                    there = model.get(key, b"0")
                    found = await store.add("t", key, 5, NOW, LATER)
                    assert found == 5 + (int(there) if there else 0)
                    model[key] = b"%d" % found
                case "scan":
                    assert {entry.key: entry.value async for entry in store.scan("t", NOW)} == model
            await store.flush()
            for each in stores:
                each._prefetched.clear()  # what another host writes within the moment may be missed
        for store in stores:
            await store.close()

    with pytest.MonkeyPatch.context() as patch:
        be_patient(patch)
        asyncio.run(run())
