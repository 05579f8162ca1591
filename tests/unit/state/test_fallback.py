"""A shared store with the host's own behind it: the contract, and what becomes of records while the shared one comes and goes."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ClassVar, ParamSpec

import pytest
from shared_stores import opened
from sharedstore import Link, Server
from stores import LATER, NOW, keys
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state import sharing, unshared
from resolverd.state.base import Change, Entry, Store, StoredValue, address
from resolverd.state.fallback import FallbackStore, open_fallback
from resolverd.state.memory import MemoryStore
from resolverd.state.merging import Copied, SharedTable, joined, of_one_writer, written_once
from tests.redis_server import RedisServer
from tests.unit.state import test_store

P = ParamSpec("P")


class Fixed:
    """A clock at the time of the stores' tests."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW


class Letters(str):
    """A record for these tests: a set of letters, in order; two accounts make one with the letters of both."""

    def __or__(self, other: str) -> Letters:
        return Letters("".join(sorted({*self, *other})))


LETTERS = joined(lambda key, octets: Letters(octets.decode()), lambda each: each.encode(), lambda each: 0.0)
WATCHED = joined(lambda key, octets: Letters(octets.decode()), lambda each: each.encode(), lambda each: NOW - 5)
TABLES = {
    "letters": SharedTable(LETTERS, Copied.ALL, goes_on=True),
    "watched": SharedTable(WATCHED, Copied.ALL, small=True, readable=lambda key, octets: octets != b"rubbish"),
    "pages": SharedTable(written_once, Copied.OWN),
    "counts": SharedTable(of_one_writer, Copied.NOTHING),
    "beats": SharedTable(of_one_writer, Copied.NOTHING, small=True),
}
OTHERS = SharedTable(of_one_writer, Copied.NOTHING)


def merge(table: str, key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    return TABLES[table].merge(key, ours, at, theirs)


class Kept(MemoryStore):
    """A host's own store, which outlives the process that closes it."""

    async def close(self) -> None:
        pass


class Host:
    """A process of a host of the fleet."""

    all: ClassVar[list[Host]] = []

    def __init__(self, server: Server, own: MemoryStore | None = None, clock: Clock | None = None) -> None:
        self.own = own or Kept()
        self.clock = clock or Fixed()
        self.link = Link(server, merge, wall=self.clock.wall)
        self.counters = Counters()
        self.all.append(self)
        self.store = FallbackStore(self.link, self.own, self.clock, self.counters, lambda name: TABLES.get(name, OTHERS))

    async def begin(self) -> Host:
        await self.store.begin()
        return self

    async def get(self, table: str, key: bytes = b"k") -> bytes | None:
        return await self.store.get(table, key, NOW)

    async def cas(self, expected: bytes | None, value: bytes, table: str = "letters", key: bytes = b"k") -> bool:
        return await self.store.cas(table, key, expected, value, NOW, LATER)

    def put(self, table: str, value: bytes, key: bytes = b"k", expires: float = LATER) -> None:
        self.store.put(table, key, value, expires)

    def lose(self) -> None:
        """The shared store is out of reach, and this host knows it."""
        self.link.cut()
        self.link.notice()


async def fleet(count: int, server: Server | None = None) -> tuple[Server, list[Host]]:
    server = server or Server()
    hosts = [await Host(server).begin() for _ in range(count)]
    await settle()
    return server, hosts


def scenario(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test on virtual time, at whose end all hosts are closed."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await test(*args, **kwargs)
        finally:
            while Host.all:
                await Host.all.pop().store.close()

    return virtual(run)


async def settle() -> None:
    """Let everything be merged; time is virtual."""
    await asyncio.sleep(30)


# -- the contract


def contract_table(name: str) -> SharedTable:
    return SharedTable(of_one_writer, Copied.ALL, small=True, goes_on=True)


class TestWithinReach(test_store.TestContract):
    """The whole contract, one host alone with the shared store."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        link = Link(Server(), lambda table, key, ours, at, theirs: ours, wall=Fixed().wall)
        store = await open_fallback(link, MemoryStore(), Fixed(), Counters(), contract_table)
        yield store
        await store.close()


class TestOverRedis(test_store.TestContract):
    """The same with a real server."""

    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[Store]:
        small = frozenset(("a", "ab", "b", "other", "s", "t", "t!", "tt"))
        shared = opened(redis_server, small=small, merge=lambda table, key, ours, at, theirs: ours)
        assert await shared.connected(5)
        store = await open_fallback(shared, MemoryStore(), Fixed(), Counters(), contract_table)
        yield store
        await store.close()

    test_sweeps_remove_the_expired_a_tenth_at_a_time_and_nothing_else = None  # type: ignore[assignment]
    """It hands sweeping on, and nobody can wait for the server's."""


class TestOutOfReach(test_store.TestContract):
    """What of the contract is kept with the own store alone."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        link = Link(Server(), lambda table, key, ours, at, theirs: ours, wall=Fixed().wall)
        link.cut()
        link.notice()
        store = await open_fallback(link, MemoryStore(), Fixed(), Counters(), contract_table)
        yield store
        await store.close()

    async def test_nothing_is_there_that_was_not_put(self, store: Store) -> None:
        with pytest.raises(StoreError, match="out of reach"):  # who knows?
            await store.get("t", b"k", NOW)

    async def test_a_record_counts_until_its_time_by_the_callers_clock(self, store: Store) -> None:
        for moment in (0.0, NOW, 1e12):
            store.put("t", b"k", b"v", moment)
            assert await store.get("t", b"k", moment - 0.001) == b"v"
            with pytest.raises(StoreError, match="out of reach"):
                await store.get("t", b"k", moment)

    async def test_tables_are_apart(self, store: Store) -> None:
        store.put("a", b"k", b"1", LATER)
        store.put("ab", b"k", b"2", LATER)
        store.delete("b", b"k")
        assert await store.get("a", b"k", NOW) == b"1"
        assert await store.get("b", b"k", NOW) is None, "this host has deleted it"
        assert await keys(store, "a") == [b"k"]

    async def test_only_bytes_are_values(self, store: Store) -> None:
        with pytest.raises(TypeError):
            store.put("t", b"k", "text", LATER)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="number"):
            store.put("t", b"k", b"v", float("nan"))
        assert await keys(store, "t") == []

    @pytest.mark.parametrize("written", [True, False])
    async def test_compare_and_swap(self, store: Store, written: bool) -> None:
        with pytest.raises(StoreError, match="out of reach"):
            await store.cas("t", b"k", None, b"1", NOW, LATER)
        store.put("t", b"k", b"1", LATER)
        if written:
            await store.flush()
        assert not await store.cas("t", b"k", None, b"2", NOW, LATER)
        assert not await store.cas("t", b"k", b"2", b"3", NOW, LATER)
        assert await store.cas("t", b"k", b"1", b"2", NOW, LATER)
        assert await store.get("t", b"k", NOW) == b"2"

    @pytest.mark.parametrize("before", [b"old"])
    async def test_of_many_that_swap_one_has_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, before: bytes | None
    ) -> None:
        await super().test_of_many_that_swap_one_has_it(store, monkeypatch, before)

    async def test_who_watches_sees_changes_and_can_read_them(self, store: Store) -> None:
        changes = store.watch("t")
        assert await anext(changes) is None
        store.put("t", b"1", b"v", LATER)
        store.delete("t", b"2")
        assert await store.cas("t", b"1", b"v", b"w", NOW, LATER)
        assert [await anext(changes), await anext(changes)] == [Change(b"2", None, 0), Change(b"1", b"w", LATER)]

    test_counters_count = test_what_is_no_number_counts_as_none = test_counters_have_64_bits = None  # type: ignore[assignment]
    test_no_count_of_many_adders_is_lost = None  # type: ignore[assignment]
    """Nobody adds alone (below)."""
    test_sweeps_remove_the_expired_a_tenth_at_a_time_and_nothing_else = None  # type: ignore[assignment]
    """The own store does, which has notes beside."""


# -- out of reach


@scenario
async def test_reads_go_on_with_what_the_host_knows_and_nothing_else() -> None:
    _, (a, b) = await fleet(2)
    a.put("letters", b"a", b"1")
    b.put("letters", b"b", b"2")
    assert await a.get("letters", b"2") == b"b"
    for host in (a, b):
        host.lose()
    assert [await a.get("letters", key) for key in (b"1", b"2")] == [b"a", b"b"], "written here; read here once"
    assert await b.get("letters", b"2") == b"b"
    with pytest.raises(StoreError, match="out of reach"):
        await b.get("letters", b"1")
    assert (a.counters.get("store_fallback_reads", table="letters"), b.counters.get("store_unknown_reads", table="letters")) == (
        2,
        1,
    )


@scenario
async def test_a_server_that_says_nothing_costs_its_deadline_three_times() -> None:
    _, (a,) = await fleet(1)
    a.put("letters", b"a")
    a.link.stall()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(10):
        assert await a.get("letters") == b"a"
    assert loop.time() - begun == pytest.approx(3 * 0.02)


@pytest.mark.parametrize("table", ["pages", "counts"])
@scenario
async def test_what_is_not_copied_is_not_known(table: str) -> None:
    _, (a, b) = await fleet(2)
    a.put(table, b"x")
    assert await b.get(table) == b"x"
    b.lose()
    with pytest.raises(StoreError):
        await b.get(table)


@scenario
async def test_what_cannot_wait_is_refused() -> None:
    _, (a,) = await fleet(1)
    a.lose()
    for attempt in (lambda: a.put("counts", b"1"), lambda: a.store.delete("beats", b"k")):
        with pytest.raises(StoreError, match="out of reach"):
            attempt()
    for table in ("counts", "letters"):
        with pytest.raises(StoreError, match="out of reach"):
            await a.store.add(table, b"k", 1, NOW, LATER)
    assert a.store.waiting == 0


@pytest.mark.parametrize("befalls", ["cut", "stall", "lose_replies"])
@scenario
async def test_a_swap_goes_on_alone_with_what_is_known_only(befalls: str) -> None:
    server, (a, b) = await fleet(2)
    assert await a.cas(None, b"a")
    getattr(a.link, befalls)()
    assert await a.cas(b"a", b"ab")
    assert not await a.cas(b"a", b"ac"), "it is another one by now"
    with pytest.raises(StoreError):
        await a.cas(None, b"a", key=b"new")
    with pytest.raises(StoreError):
        await a.cas(b"x", b"y", key=b"never seen")
    with pytest.raises(StoreError):
        await a.cas(None, b"x", table="watched")
    assert await b.cas(await b.get("letters"), b"abz" if befalls == "lose_replies" else b"az")
    a.link.mend()
    await settle()
    assert await server.get("letters", b"k", NOW) == b"abz"
    assert await a.get("letters") == b"abz"
    assert a.store.waiting == 0


# -- and back


@scenario
async def test_what_was_written_meanwhile_is_merged() -> None:
    server, (a, b) = await fleet(2)
    a.put("letters", b"a", b"1")
    a.put("letters", b"a", b"2")
    assert await b.get("letters", b"2") == b"a"
    for host in (a, b):
        host.lose()
    a.put("letters", b"ab", b"1")
    b.put("letters", b"x", b"2")
    a.put("pages", b"page")
    a.put("watched", b"w")
    a.store.delete("letters", b"2")
    for host in (a, b):
        host.link.mend()
    await settle()
    assert await server.get("letters", b"1", NOW) == b"ab"
    assert await server.get("letters", b"2", NOW) in (b"x", None), "deleted in the same moment"
    assert await b.get("pages") == b"page"
    assert await b.get("watched") == b"w"
    assert (a.store.waiting, b.store.waiting) == (0, 0)
    assert await keys(a.own, unshared.TABLE) == []


@scenario
async def test_who_reads_has_it_merged_first() -> None:
    _, (a, b) = await fleet(2)
    a.put("letters", b"a")
    for number in range(1000):
        a.put("letters", b"x", b"%d" % number)
    a.lose()
    for number in range(1000):
        a.put("letters", b"y", b"%d" % number)
    a.put("letters", b"ab")
    assert await b.cas(b"a", b"az")
    a.link.mend()
    assert a.store.waiting == 1001
    assert await a.get("letters") == b"abz"
    assert await b.get("letters") == b"abz"
    assert await a.cas(b"abz", b"abcz")
    assert a.store.waiting > 0


@scenario
async def test_a_writing_whose_reply_was_lost_is_merged_not_repeated() -> None:
    server, (a, b) = await fleet(2)
    a.link.stall()
    a.put("letters", b"a")
    a.link.notice()
    assert await b.cas(None, b"b")
    a.link.mend()
    await settle()
    assert await server.get("letters", b"k", NOW) == b"ab"


@scenario
async def test_what_is_to_be_shared_outlives_a_restart() -> None:
    server, (a,) = await fleet(1)
    a.put("letters", b"a", b"1")
    a.put("letters", b"a", b"2")
    a.lose()
    a.put("letters", b"b", b"1")
    a.store.delete("letters", b"2")
    await a.store.close()
    again = Host(server, a.own)
    again.lose()
    await again.begin()
    assert await again.get("letters", b"1") == b"b", "an override stays in force though nobody else is there"
    assert await again.get("letters", b"2") is None
    again.link.mend()
    await settle()
    assert await server.get("letters", b"1", NOW) == b"ab"
    assert await server.get("letters", b"2", NOW) is None


@pytest.mark.parametrize("flushed", [True, False])
@scenario
async def test_what_was_handed_over_and_never_acknowledged_is_noted_in_the_end(flushed: bool) -> None:
    server, (a,) = await fleet(1)
    a.link.stall()
    a.put("letters", b"a")
    assert a.store.waiting == 0
    if flushed:
        await a.store.flush()
        assert a.store.waiting == 1, "it is kept here, so that this is no lie"
    await a.store.close()
    again = await Host(server, a.own).begin()
    await settle()
    assert await server.get("letters", b"k", NOW) == b"a"
    assert again.store.waiting == 0


@scenario
async def test_what_is_not_acknowledged_is_noted_as_soon_as_the_server_is_lost() -> None:
    _, (a,) = await fleet(1)
    a.link.on_late.clear()
    a.link.stall()
    a.put("letters", b"a", b"1")
    a.store.delete("letters", b"2")
    a.link.notice()
    assert a.store.waiting == 2
    assert await a.get("letters", b"1") == b"a"
    assert await a.get("letters", b"2") is None


@scenario
async def test_what_another_server_may_not_have_is_told_to_it() -> None:
    """The shared store says of what it had acknowledged that it is late: a replica took over without it."""
    server, (a,) = await fleet(1)
    a.put("letters", b"a", b"1")
    a.store.delete("letters", b"2")
    await settle()
    server.delete("letters", b"1")
    server.put("letters", b"2", b"b", LATER)
    for tell in a.link.on_late:
        tell("letters", b"1")
        tell("letters", b"2")
    await settle()
    assert await keys(server, "letters") == [b"1"]


@scenario
async def test_who_scans_a_small_table_has_it_merged_first() -> None:
    _, (a, b) = await fleet(2)
    b.put("watched", b"b", b"1")
    a.lose()
    a.put("watched", b"a", b"2")
    b.store.delete("watched", b"1")
    a.link.mend()
    assert await keys(a.store, "watched") == [b"2"]


@scenario
async def test_a_scan_goes_on_with_the_copies_where_the_server_was_lost() -> None:
    _, (a,) = await fleet(1)
    for number in range(10):
        a.put("letters", b"a", b"%d" % number)
    found = []
    async for entry in a.store.scan("letters", NOW):
        found.append(entry.key)
        if len(found) == 5:
            a.lose()
    assert found == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize("reached", [True, False])
@scenario
async def test_flush_says_that_it_is_kept(reached: bool) -> None:
    _, (a,) = await fleet(1)
    if not reached:
        a.lose()
    a.put("watched", b"w")
    await a.store.flush()
    assert a.store.waiting == (0 if reached else 1)


@scenario
async def test_more_than_can_be_noted_is_merged_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_UNSHARED", 20)
    server, (a, b) = await fleet(2)
    a.put("watched", b"w", b"gone")
    assert await b.get("watched", b"gone") == b"w"
    a.lose()
    for number in range(100):
        a.put("letters", b"a", b"%03d" % number)
    a.put("watched", b"w", b"new")
    assert len(keys_of(a.own, unshared.TABLE)) <= 20
    await a.store.close()
    b.store.delete("watched", b"gone")
    again = await Host(server, a.own).begin()
    await settle()
    assert len(await keys(server, "letters")) == 100
    assert await keys(server, "watched") == [b"new"], "what others have deleted meanwhile does not come back with it"
    assert again.store.waiting == 0
    await again.store.close()
    asked = server.asked
    await Host(server, a.own).begin()
    await settle()
    assert server.asked == asked, "it is done once"


def keys_of(store: MemoryStore, table: str) -> list[bytes]:
    return [at for at in store._records if at.startswith(table.encode() + b"\0")]


# -- a store without its memory


@scenario
async def test_a_store_that_has_lost_its_memory_is_told_again() -> None:
    clock = VirtualClock()
    server = Server()
    a, b = [await Host(server, clock=clock).begin() for _ in range(2)]
    now = clock.wall()
    for host, letter in ((a, b"a"), (b, b"b")):
        for number in range(300):
            host.store.put("letters", b"%d" % number, letter, now + 10**6)
        host.store.put("pages", letter, letter, now + 10**6)
        host.store.put("watched", letter, letter, now + 10**6)
        host.store.put("counts", letter, letter, now + 10**6)
    await settle()
    server.forget()
    assert await a.store.get("letters", b"7", clock.wall()) in (b"a", b"ab")
    with pytest.raises(StoreError, match="lost its memory"):
        await a.store.get("letters", b"never seen here", clock.wall())
    assert await a.store.get("pages", b"never", clock.wall()) is None, "nobody waits for those"
    await settle()
    assert {await server.get("letters", b"%d" % number, clock.wall()) for number in range(300)} == {b"ab"}
    assert await keys(server, "pages", clock.wall()) == await keys(server, "watched", clock.wall()) == [b"a", b"b"]
    assert await keys(server, "counts", clock.wall()) == []
    await asyncio.sleep(sharing.FORGOTTEN)
    assert await a.store.get("letters", b"never seen here", clock.wall()) is None
    assert a.counters.get("store_memory_lost") == 1


@scenario
async def test_a_loss_during_an_outage_and_a_restart_is_found() -> None:
    server, (a,) = await fleet(1)
    a.put("letters", b"a")
    await settle()
    a.lose()
    await a.store.close()
    server.forget()
    again = await Host(server, a.own).begin()
    assert await again.get("letters") == b"a"
    assert again.counters.get("store_memory_lost") == 1


@scenario
async def test_a_loss_that_nobody_tells_of_is_found_by_what_is_missing() -> None:
    server, (a, b) = await fleet(2)
    for number in range(100):
        a.put("letters", b"a", b"%d" % number)
    await settle()
    b.store.delete("letters", b"7")
    assert await a.get("letters", b"7") is None, "one may be deleted by others"
    a.lose()
    with pytest.raises(StoreError):
        await a.get("letters", b"7")
    a.link.mend()
    server.flush_all()
    assert await a.get("letters", b"8") == b"a", "its own copy"
    await settle()
    assert len(await keys(server, "letters")) == 99
    assert a.counters.get("store_memory_lost") == 1


@scenario
async def test_a_restart_after_a_loss_does_not_make_it_certain_that_nobody_knows() -> None:
    clock, server = VirtualClock(), Server()
    a = await Host(server, clock=clock).begin()
    await settle()
    server.forget()
    await settle()
    await a.store.close()
    again = await Host(server, a.own, clock).begin()
    with pytest.raises(StoreError, match="lost its memory"):
        await again.store.get("letters", b"k", clock.wall())
    await asyncio.sleep(sharing.FORGOTTEN)
    assert await again.store.get("letters", b"k", clock.wall()) is None


@scenario
async def test_a_host_that_joins_brings_what_it_knows_and_lets_nobody_pass_for_it() -> None:
    own = Kept()
    own.put("letters", b"k", b"a", LATER)
    server, (b,) = await fleet(1)
    b.put("letters", b"b")
    a = await Host(server, own).begin()
    assert await a.get("letters", b"unknown") is None
    await settle()
    assert await b.get("letters") == b"ab"
    assert a.counters.get("store_memory_lost") == 0


# -- watching


async def next_of(changes: AsyncIterator[Change | None]) -> Change | None:
    async with asyncio.timeout(5):
        return await anext(changes)


@scenario
async def test_changes_of_others_are_told_and_copied() -> None:
    _, (a, b) = await fleet(2)
    changes = a.store.watch("watched")
    assert await next_of(changes) is None
    b.put("watched", b"1")
    assert await next_of(changes) == Change(b"k", b"1", LATER)
    b.put("watched", b"2", b"other")
    assert await next_of(changes) == Change(b"other", b"2", LATER)
    b.store.delete("watched", b"k")
    assert await next_of(changes) == Change(b"k", None, 0)
    a.lose()
    assert await keys(a.store, "watched") == [b"other"]
    b.put("watched", b"3")
    b.store.delete("watched", b"other")
    a.put("watched", b"4", b"mine")
    assert await next_of(changes) == Change(b"mine", b"4", LATER), "one's own, though nobody else hears of it yet"
    a.link.mend()
    assert await next_of(changes) is None, "what was missed is to be scanned"
    assert await keys(a.store, "watched") == [b"k", b"mine"]
    a.lose()
    assert await keys(a.store, "watched") == [b"k", b"mine"]


@pytest.mark.attack("R-35")
@scenario
async def test_what_is_no_record_of_its_table_is_not_copied() -> None:
    server, (a,) = await fleet(1)
    server.put("watched", b"before", b"rubbish", LATER)
    changes = a.store.watch("watched")
    assert await next_of(changes) is None
    server.put("watched", b"k", b"1", LATER)
    assert await next_of(changes) == Change(b"k", b"1", LATER)
    server.put("watched", b"later", b"rubbish", LATER)
    assert await next_of(changes) == Change(b"later", b"rubbish", LATER), "who watches knows best"
    assert keys_of(a.own, "watched") == [address("watched", b"k")]
    server.put("watched", b"k", b"rubbish", LATER)
    await next_of(changes)
    assert keys_of(a.own, "watched") == []


@pytest.mark.attack("R-35")
@scenario
async def test_changes_told_of_what_is_not_there_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_RECORDS", 10)
    _, (a,) = await fleet(1)
    changes = a.store.watch("watched")
    assert await next_of(changes) is None
    for number in range(100):
        a.link.hear("watched", b"%03d" % number, b"1", LATER)
        await next_of(changes)
        assert len(keys_of(a.own, "watched")) <= 11
    assert len(keys_of(a.own, "watched")) < 11


@scenario
async def test_who_begins_during_an_outage_has_the_copies() -> None:
    server, (a, b) = await fleet(2)
    a.put("watched", b"1")
    await settle()
    await a.store.close()
    again = Host(server, a.own)
    again.lose()
    await again.begin()
    changes = again.store.watch("watched")
    assert await next_of(changes) is None
    assert await keys(again.store, "watched") == [b"k"]
    b.store.delete("watched", b"k")
    again.link.mend()
    assert await next_of(changes) is None
    assert await keys(again.store, "watched") == []
    assert keys_of(again.own, "watched") == []


@scenario
async def test_what_was_deleted_here_is_not_brought_back_by_one_who_was_away() -> None:
    server, (a, b) = await fleet(2)
    changes = a.store.watch("watched")
    assert await next_of(changes) is None
    b.put("watched", b"1")
    assert await next_of(changes) == Change(b"k", b"1", LATER)
    b.lose()
    b.put("watched", b"12")
    a.store.delete("watched", b"k")
    assert await next_of(changes) == Change(b"k", None, 0)
    b.link.mend()
    await settle()
    assert await keys(server, "watched") == await keys(a.store, "watched") == await keys(b.store, "watched") == []
    a.put("watched", b"3")
    await settle()
    assert await b.get("watched") == b"3", "but may be put anew"


@scenario
async def test_what_is_remembered_of_deletions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_FORGOTTEN", 10)
    _, (a,) = await fleet(1)
    for number in range(30):
        a.store.delete("watched", b"%d" % number)
        a.store.delete("letters", b"%d" % number)
    assert len(a.store._news._forgotten) == 10
    assert all(at.startswith(b"watched\0") for at in a.store._news._forgotten)


@scenario
async def test_a_table_that_cannot_be_watched_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (a,) = await fleet(1)

    async def refuse(table: str) -> AsyncIterator[Change | None]:
        raise StoreError(f"{table} is not watched")
        yield None

    monkeypatch.setattr(a.link, "watch", refuse)
    with pytest.raises(StoreError, match="letters is not watched"):
        await anext(a.store.watch("letters"))


# -- the own store fails


class Full(Kept):
    """An own store that takes nothing."""

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        raise StoreError("disk full")

    def known(self, table: str, key: bytes, now: float) -> Any:
        return None


@scenario
async def test_an_own_store_that_takes_nothing_costs_the_copies_only() -> None:
    a = await Host(Server(), Full()).begin()
    a.put("letters", b"a")
    assert await a.get("letters") == b"a"
    assert await a.cas(b"a", b"ab")
    assert a.counters.get("store_copies_lost") >= 2
    a.lose()
    for attempt in (lambda: a.put("letters", b"b"), lambda: a.put("watched", b"b")):
        with pytest.raises(StoreError, match="disk full"):
            attempt()


@scenario
async def test_what_cannot_be_merged_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*args: object) -> StoredValue | None:
        raise KeyError("planted")

    server, (a,) = await fleet(1)
    monkeypatch.setitem(TABLES, "pages", TABLES["pages"]._replace(merge=bug))
    a.lose()
    a.put("pages", b"page")
    a.put("letters", b"a")
    server.put("pages", b"k", b"other", LATER)
    a.link._late.clear()
    a.link.mend()
    await settle()
    assert await server.get("letters", b"k", NOW) == b"a"
    assert a.store.waiting == 0
    assert a.counters.get("bugs", where="store") == 1


@pytest.mark.parametrize(("offset", "known"), [(300.25, 300.25), (-3600.0, -3600.0), (3601.0, 0.0), (float("nan"), 0.0)])
@scenario
async def test_the_offset_is_known_over_a_restart(offset: float, known: float) -> None:
    server, (a,) = await fleet(1)
    a.link.offset = offset
    a.lose()
    a.link.mend()
    await a.store.close()
    again = Host(server, a.own)
    monkey: Callable[[], str] = lambda: ""  # noqa: E731
    again.link.__class__ = type("Unknown", (Link,), {"memory": property(lambda self: monkey())})
    again.lose()
    await again.begin()
    assert again.store.offset == known


@scenario
async def test_telling_goes_on_where_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    server, (a,) = await fleet(1)
    for number in range(1000):
        a.put("letters", b"a", b"%04d" % number)
    await settle()
    server.forget()
    asked = server.asked
    for _ in range(50):
        await asyncio.sleep(0.1)
        a.lose()
        await asyncio.sleep(3)
        a.link.mend()
    await settle()
    assert len(await keys(server, "letters")) == 1000
    assert server.asked - asked < 1100 + 50 * sharing.BATCH, "one question a record, and what was under way is asked again"
    assert a.counters.get("store_memory_lost") == 1, "it is the same loss"
    assert a.store.waiting == 0


@scenario
async def test_mail_has_the_server_for_as_long_as_telling_has(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(), VirtualClock()
    a = await Host(server, clock=clock).begin()
    for number in range(200):
        a.put("letters", b"a", b"%04d" % number, clock.wall() + 1000)
    await settle()
    swap = a.link.cas

    async def slow(*args: Any) -> bool:
        await asyncio.sleep(0.2)
        return await swap(*args)

    monkeypatch.setattr(a.link, "cas", slow)
    server.forget()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not a.store.shared:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert loop.time() - begun == pytest.approx(200 / sharing.BATCH * 0.4, rel=0.02)


@scenario
async def test_an_own_store_that_cannot_be_read_at_the_start_keeps_nobody_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server, (a,) = await fleet(1)
    a.put("letters", b"a")
    await settle()
    a.lose()
    a.put("letters", b"ab")
    await a.store.close()
    again = Host(server, a.own)
    with monkeypatch.context() as patch:
        patch.setattr(again.own, "scan", lambda *args: refusing())
        await again.begin()
    await settle()
    assert await server.get("letters", b"k", NOW) == b"ab", "all copies are merged, as nobody knows which have to be"
    assert again.store.shared


async def refusing() -> AsyncIterator[Entry]:
    """A scan that fails."""
    raise StoreError("damaged")
    yield Entry(b"", b"", 0)
