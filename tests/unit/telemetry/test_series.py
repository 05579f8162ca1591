"""Time series: counts by time, gaps, restarts, clocks that jump; and what is kept of them."""

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtualtime import virtual

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from resolverd.telemetry import recorder
from resolverd.telemetry.counted import totals
from resolverd.telemetry.recorder import TABLE, SeriesRecorder, decode, encode
from resolverd.telemetry.series import SPANS, TICK, Kept, Ring, Series

WALL = 1_700_000_000.0


class Clock:
    """The loop's time; the wall clock stands where it is put."""

    def __init__(self):
        self.offset = WALL

    def monotonic(self):
        return asyncio.get_running_loop().time()

    def wall(self):
        return self.offset + self.monotonic()


def values(ring, name):
    return ring.columns([name])[name]


def test_a_slot_holds_what_was_counted_in_it_and_what_was_before_the_start_is_not_known():
    ring = Ring(3, 4)
    for count in (1, 2, 3, 4):
        ring.tick({"a": count})
    assert values(ring, "a") == [None, None, 6, 4]
    assert values(ring, "b") == [None, None, 0, 0]
    assert (ring.step, ring.covered, ring.total("a"), ring.ran) == (30, 10, 10, 40)
    assert ring.begins(WALL) == WALL - 10 - 3 * 30


def test_the_oldest_slots_go():
    ring = Ring(1, 3)
    for count in range(10):
        ring.tick({"a": count})
    assert values(ring, "a") == [7, 8, 9]


def test_ticks_that_were_missed_are_slots_in_which_nothing_was_counted():
    ring = Ring(1, 5)
    ring.tick({"a": 1})
    ring.tick({"a": 2}, 3)
    assert values(ring, "a") == [None, 1, 0, 0, 2]
    ring.tick({"a": 3}, 10**12)
    assert values(ring, "a") == [0, 0, 0, 0, 3]


def test_a_gap_is_none_and_a_slot_in_which_it_ends_is_not():
    ring = Ring(2, 6)
    ring.tick({"a": 1}, 1)
    ring.gap(4)
    ring.tick({"a": 2})
    assert values(ring, "a") == [None, None, None, 1, None, 2]


def test_an_adjustment_never_makes_less_than_nothing():
    ring = Ring(1, 2)
    ring.tick({"a": -3})
    assert values(ring, "a")[-1] == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=20))
def test_as_many_slots_as_ticks_have_gone_by(steps):
    ring, ticks, first = Ring(3, 8), 0, None
    for ran, count in steps:
        if ran:
            ring.tick({"a": 1}, count)
        else:
            ring.gap(count)
        ticks += count
        first = first if first is not None else (ticks - count if count else None)
    assert len(values(ring, "a")) == 8
    assert 0 < ring.covered <= 30


def test_all_spans_are_fed_with_differences():
    series = Series(0.0)
    series.tick({"a": 5, "b": 1}, 10.0)
    series.tick({"a": 7, "b": 1}, 20.0)
    assert {span: (ring.step, ring.size, ring.total("a")) for span, ring in series.rings.items()} == {
        "1h": (10, 360, 7), "24h": (300, 288, 7), "7d": (3600, 168, 7),
    }  # fmt: skip
    assert values(series.rings["1h"], "a")[-2:] == [5, 2]
    assert all(size * ticks * TICK == {"1h": 3600, "24h": 86400, "7d": 7 * 86400}[span] for span, (ticks, size) in SPANS.items())


def test_names_are_bounded(monkeypatch):
    monkeypatch.setattr(bounds, "SERIES_NAMES", 10)
    series = Series(0.0)
    series.tick({f"n{number}": 1 for number in range(50)}, 10.0)
    assert len(series.rings["1h"].names()) == 10


def test_a_restart_within_a_slot_goes_on_in_it_and_longer_ones_leave_a_gap():
    def after(seconds):
        ring, again = Ring(6, 4), Ring(6, 4)
        ring.tick({"a": 2}, 2)
        assert again.restore(ring.kept(WALL), WALL + seconds)
        again.tick({"a": 3})
        return values(again, "a")

    assert after(20) == [None, None, None, 5]
    assert after(60) == [None, None, 2, 3]
    assert after(120) == [None, 2, None, 3]
    assert after(10**9) == [None, None, None, 3]
    assert after(float("inf")) == [None, None, None, 3]
    assert after(float("nan")) == [None, None, None, 5]
    assert after(-(10**9)) == [None, None, None, 5], "the clock was set back: nobody knows for how long it was down"


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"\1", b"\2" + encode(Kept(1.0, 1, ()))[1:], b"\1" + zlib.compress(b"\xc0"),
        b"\1" + zlib.compress(recorder._encode((1.0, 1, [{"a": "1"}]))),
        b"\1" + zlib.compress(bytes(bounds.SERIES_OCTETS + 1)),
    ],
)  # fmt: skip
def test_what_is_no_ring(octets):
    assert decode(octets) is None


def test_what_is_stored_is_read_as_it_was():
    kept = Kept(WALL, 3, (None, {}, {"a": 1, "b": -2}, {"b": 300_000}))
    assert decode(encode(kept)) == kept
    assert not Ring(2, 4).restore(kept, WALL)
    assert not Ring(3, 3).restore(kept, WALL)


def counted(recording, span="1h", name="policy.requests"):
    return [value for value in values(recording.series.rings[span], name) if value is not None]


@virtual
async def test_counters_are_read_every_ten_seconds_and_a_jump_of_the_clock_moves_nothing():
    clock, counters = Clock(), Counters()
    recording = SeriesRecorder(MemoryStore(), clock, counters)
    task = asyncio.create_task(recording.run())
    await asyncio.sleep(TICK / 2)
    for jump in (0, 10**7, -(10**8)):
        clock.offset += jump
        counters.add("policy_decisions", 4, action="accept")
        await asyncio.sleep(TICK)
    assert counted(recording) == [4, 4, 4]
    begins = recording.series.begins("1h", clock.monotonic(), clock.wall())
    assert begins == clock.wall() - TICK / 2 - 3600
    await asyncio.sleep(TICK / 4)
    assert recording.series.begins("1h", clock.monotonic(), clock.wall()) == begins, "whenever it is asked for"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@virtual
async def test_day_and_week_survive_a_restart_and_a_crash_loses_five_minutes():
    clock, store = Clock(), MemoryStore()
    first, counters = None, Counters()
    for crash, lost in ((False, 0), (True, 1)):
        first = SeriesRecorder(store, clock, counters := Counters())
        task = asyncio.create_task(first.run())
        await asyncio.sleep(1)
        before = first.series.rings["7d"].total("policy.requests")
        counters.add("policy_decisions", 5, action="accept")
        await asyncio.sleep(330)
        counters.add("policy_decisions", 1, action="accept")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not crash:
            first.write()
        again = SeriesRecorder(store, clock, Counters())
        await again._load()
        for span in ("24h", "7d"):
            assert again.series.rings[span].total("policy.requests") == before + 6 - lost
        assert counted(again) == [], "the last hour is not kept"


@virtual
async def test_a_damaged_record_is_counted_and_left():
    counters, store = Counters(), MemoryStore()
    store.put(TABLE, b"24h", b"\1damaged", 2e9)
    recording = SeriesRecorder(store, Clock(), counters)
    await recording._load()
    assert counters.get("series_damaged_records") == 1


def test_series_are_named_after_what_was_counted():
    counters = Counters()
    counters.add("verdicts", 3, action="reject")
    counters.add("verdict_causes", 2, code="ptr_missing")
    counters.add("dns_packet_hits", 7)
    counters.add("dns_answers", 4, rcode="NOERROR")
    counters.add("dns_answers", 2, rcode="SERVFAIL")
    counters.add("dns_cache_misses", 3)
    counters.add("list_queries", 5, list="psbl")
    counters.add("list_replies", 6, list="psbl", reply="clear")
    counters.add("list_replies", 2, list="psbl", reply="listed")
    counters.add("list_replies", 1, list="psbl", reply="timeout")
    counters.add("list_unique_hits", 1, list="psbl")
    counters.add("greylist", 1, state="early-retry")
    assert totals(counters.snapshot()) == {
        "verdicts.reject": 3, "verdicts.by_code.ptr_missing": 2, "dns.questions": 13, "dns.hit": 10, "dns.servfail": 2,
        "lists.psbl.asked": 5, "lists.psbl.listed": 2, "lists.psbl.failed": 1, "lists.psbl.unique_hits": 1, "greylist.waiting": 1,
    }  # fmt: skip
