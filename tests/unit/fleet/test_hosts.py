"""Hosts that share a store, in one process: each with its own view of who lives."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.fleet import hosts as module
from resolverd.fleet.host_record import Host, encode
from resolverd.fleet.hosts import HEARTBEAT, MISSED, TABLE, Hosts, host_id
from resolverd.fleet.schema import Schemas
from resolverd.metrics import Counters
from resolverd.state.base import Entry
from resolverd.state.memory import MemoryStore

ONE = Schemas(1, 1)
ALIVE = MISSED * HEARTBEAT


class Cut(MemoryStore):
    """A store that can be out of reach."""

    cut = stalled = False

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        if self.cut:
            raise StoreError("out of reach")
        if self.stalled:
            await asyncio.sleep(1e6)
        async for entry in super().scan(table, now, start):
            yield entry

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        if self.cut:
            raise StoreError("out of reach")
        super().put(table, key, value, expires)


class Skewed(VirtualClock):
    """A machine whose wall clock is wrong."""

    skew = 0.0

    def wall(self) -> float:
        return super().wall() + self.skew


class Fleet:
    """Some hosts over one store."""

    def __init__(self) -> None:
        self.store = Cut()
        self.clock = VirtualClock()
        self.counters = Counters()
        self.tasks: dict[Hosts, asyncio.Task[None]] = {}

    async def start(
        self, name: str, schemas: Schemas = ONE, *, own: MemoryStore | None = None, clock: VirtualClock | None = None
    ) -> Hosts:
        own, clock = own or MemoryStore(), clock or self.clock
        id = await host_id(own, clock.wall())
        hosts = Hosts(self.store, own, clock, self.counters, id, name, version=f"1.{schemas.newest}", schemas=schemas)
        self.tasks[hosts] = asyncio.create_task(hosts.run())
        await asyncio.sleep(0)
        return hosts

    async def __aenter__(self) -> "Fleet":
        return self

    async def __aexit__(self, *error: object) -> None:
        for hosts in self.tasks:
            await self.kill(hosts)

    async def kill(self, hosts: Hosts) -> None:
        self.tasks[hosts].cancel()
        await asyncio.wait([self.tasks[hosts]])


def names(hosts: Hosts) -> list[str]:
    return [each.name for each in hosts.alive()]


@virtual
async def test_all_know_of_all_and_of_the_end_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_FOR", 1000.0)
    async with Fleet() as fleet:
        one, two, three = [await fleet.start(name) for name in ("mx1", "mx2", "mx3")]
        await asyncio.sleep(1)
        assert [names(each) for each in (one, two, three)] == [
            ["mx1", "mx2", "mx3"],
            ["mx2", "mx1", "mx3"],
            ["mx3", "mx1", "mx2"],
        ]
        await fleet.kill(three)
        await asyncio.sleep(ALIVE - HEARTBEAT - 1)
        assert one.count() == 3, "one that says nothing for a moment is not dead"
        await asyncio.sleep(2 * HEARTBEAT)
        assert (names(one), names(two)) == (["mx1", "mx2"], ["mx2", "mx1"])
        assert [(view.host.name, view.alive) for view in one.views()] == [("mx1", True), ("mx2", True), ("mx3", False)]
        assert one.views()[2].silent >= ALIVE
        assert one.name_of(three.id) == "mx3"
        await asyncio.sleep(1000)
        assert [view.host.name for view in one.views()] == ["mx1", "mx2"]
        assert one.name_of(three.id) == three.id


@virtual
async def test_a_host_that_ends_properly_is_gone_at_once() -> None:
    async with Fleet() as fleet:
        one, two = await fleet.start("mx1"), await fleet.start("mx2")
        await asyncio.sleep(HEARTBEAT + 1)
        await fleet.kill(two)
        two.leave()
        await asyncio.sleep(0.1)
        assert [view.host.name for view in one.views()] == ["mx1"]


@virtual
async def test_a_store_that_forgets_makes_nobody_dead() -> None:
    async with Fleet() as fleet:
        one, two = await fleet.start("mx1"), await fleet.start("mx2")
        await asyncio.sleep(100)
        fleet.store._records.clear()
        for _ in range(100):
            await asyncio.sleep(1)
            assert (one.count(), two.count()) == (2, 2)
        await fleet.kill(two)
        fleet.store._records.clear()
        await asyncio.sleep(2 * ALIVE)
        assert [view.host.name for view in one.views()] == ["mx1"]


@virtual
async def test_an_outage_of_the_store_makes_nobody_dead() -> None:
    async with Fleet() as fleet:
        one, two = await fleet.start("mx1"), await fleet.start("mx2")
        await asyncio.sleep(HEARTBEAT + 1)
        for outage in (5.0, 50.0, 5000.0):
            fleet.store.cut = True
            await asyncio.sleep(outage)
            assert (one.count(), two.count()) == (2, 2)
            fleet.store.cut = False
            for _ in range(int(3 * HEARTBEAT)):
                await asyncio.sleep(1)
                assert (one.count(), two.count()) == (2, 2)
        fleet.store.stalled = True
        await asyncio.sleep(1000)
        assert (one.count(), two.count()) == (2, 2)
        fleet.store.stalled = False
        # What died during an outage is found dead afterwards.
        fleet.store.cut = True
        await fleet.kill(two)
        await asyncio.sleep(1000)
        fleet.store.cut = False
        await asyncio.sleep(ALIVE + HEARTBEAT)
        assert one.count() == 1


@virtual
@pytest.mark.parametrize("skew", [-300.0, 300.0, 1e8, -1e8])
async def test_clocks_that_differ_make_nobody_dead(skew: float) -> None:
    async with Fleet() as fleet:
        wrong = Skewed()
        wrong.skew = skew
        one, two = await fleet.start("mx1"), await fleet.start("mx2", clock=wrong)
        await asyncio.sleep(3 * HEARTBEAT + 1)
        if skew > -1e8:  # records of a clock that is years behind have expired for all others
            assert names(one) == ["mx1", "mx2"]
        if skew < 1e8:
            assert names(two) == ["mx2", "mx1"]


@virtual
async def test_a_restart_is_the_same_host_and_nobody_is_told_apart_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with Fleet() as fleet:
        state = MemoryStore()
        one, two = await fleet.start("mx1"), await fleet.start("mx2", own=state)
        await asyncio.sleep(HEARTBEAT + 1)
        await fleet.kill(two)
        again = await fleet.start("mx2", own=state)
        await asyncio.sleep(2 * HEARTBEAT)
        assert (again.id, names(one)) == (two.id, ["mx1", "mx2"])
        assert not caplog.records
        await fleet.start("mx1")
        await asyncio.sleep(3 * HEARTBEAT)
        assert names(one) == ["mx1", "mx1", "mx2"]
        said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
        assert said == ["two hosts of the fleet are called mx1"] * 2, "once each"


@virtual
async def test_copies_of_a_state_directory_take_identities_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    async with Fleet() as fleet:
        state, copy = MemoryStore(), MemoryStore()
        one = await fleet.start("mx1", own=state)
        copy.put("host", b"id", one.id.encode(), fleet.clock.wall() + 1e9)
        two = await fleet.start("mx2", own=copy)
        assert one.id == two.id
        third = await fleet.start("mx3")
        await asyncio.sleep(4 * HEARTBEAT)
        assert one.id != two.id
        assert "its state directory is a copy" in caplog.text
        assert names(third) == ["mx3", "mx1", "mx2"]
        assert {await host_id(state, 0.0), await host_id(copy, 0.0)} == {one.id, two.id}, "they keep them"


@virtual
async def test_upgrades_host_by_host_write_what_all_can_read() -> None:
    async with Fleet() as fleet:
        states = {name: MemoryStore() for name in ("mx1", "mx2", "mx3")}
        hosts = {name: await fleet.start(name, own=state) for name, state in states.items()}
        await asyncio.sleep(2 * HEARTBEAT)
        for number, (name, state) in enumerate(states.items(), 1):
            await fleet.kill(hosts[name])
            if name != "mx2":  # which is killed
                hosts[name].leave()
            hosts[name] = await fleet.start(name, Schemas(1, 2), own=state)
            for _ in range(int(2 * HEARTBEAT)):
                await asyncio.sleep(1)
                readable = min(host.alive()[0].schemas.newest for host in hosts.values())
                assert all(host.schema() <= readable for host in hosts.values())
            await asyncio.sleep(ALIVE)
            assert [host.schema() for host in hosts.values()] == [2 if number == 3 else 1] * 3
        # And back again: a release that only reads the old form makes all write that.
        await fleet.kill(hosts["mx3"])
        hosts["mx3"] = await fleet.start("mx3", Schemas(1, 1), own=states["mx3"])
        await asyncio.sleep(2 * HEARTBEAT)
        assert [host.schema() for host in hosts.values()] == [1, 1, 1]


@virtual
async def test_releases_too_far_apart_are_named(caplog: pytest.LogCaptureFixture) -> None:
    async with Fleet() as fleet:
        one, two = await fleet.start("mx1", Schemas(1, 1)), await fleet.start("mx2", Schemas(2, 3))
        await asyncio.sleep(4 * HEARTBEAT)
        assert (one.schema(), two.schema()) == (1, 2)
        assert sorted(caplog.messages) == [
            "mx1 runs resolverd 1.1, which has no form of records in common with 1.3 here: they read nothing of each other; "
            "upgrade one of them",
            "mx2 runs resolverd 1.3, which has no form of records in common with 1.1 here: they read nothing of each other; "
            "upgrade one of them",
        ]


@virtual
async def test_whoever_listens_is_told_of_changes_only() -> None:
    async with Fleet() as fleet:
        one = await fleet.start("mx1")
        told: list[int] = []
        one.on_change.append(lambda: told.append(one.count()))
        await asyncio.sleep(10 * HEARTBEAT)
        two = await fleet.start("mx2")
        await asyncio.sleep(10 * HEARTBEAT)
        await fleet.kill(two)
        await asyncio.sleep(10 * HEARTBEAT)
        assert told in ([2, 1], [1, 2, 1])


@virtual
async def test_records_of_strangers_are_bounded_and_counted() -> None:
    async with Fleet() as fleet:
        now = fleet.clock.wall()
        planted = Host("0" * 16, "x", "1", "r", now, now, Schemas(1, 1), 1, HEARTBEAT)
        for number in range(bounds.HOSTS + 500):
            fleet.store.put(TABLE, b"%016x" % number, encode(planted), now + 1000)
        fleet.store.put(TABLE, b"", b"\xff", now + 1000)
        one = await fleet.start("mx1")
        await asyncio.sleep(1)
        assert one.count() <= bounds.HOSTS + 1
        assert fleet.counters.get("host_damaged_records") == 1
        await asyncio.sleep(ALIVE + HEARTBEAT)
        assert one.count() == 1, "what never changes is no host"


@virtual
async def test_a_host_without_a_store_of_its_own_has_an_identity_for_this_run() -> None:
    own = MemoryStore()
    await own.close()
    assert len(await host_id(own, 0.0)) == 16
    own = MemoryStore()
    own.put("host", b"id", b"../../etc", 1e12)
    drawn = await host_id(own, 0.0)
    assert drawn == await host_id(own, 0.0) != "../../etc"


@virtual
async def test_once_the_store_is_back_they_say_so_at_once() -> None:
    async with Fleet() as fleet:
        one, _ = await fleet.start("mx1"), await fleet.start("mx2")
        await asyncio.sleep(1)
        seen = one.views()[1].host.seen
        fleet.store._missed(TABLE)
        await asyncio.sleep(1)
        assert one.views()[1].host.seen > seen


@virtual
async def test_in_a_large_fleet_each_says_less_often_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROWD", 10)
    async with Fleet() as fleet:
        count = 3 * 10
        hosts = [await fleet.start(f"mx{number}") for number in range(count)]
        await asyncio.sleep(ALIVE)
        written = 0
        put = fleet.store.put

        def counted(*given: object) -> None:
            nonlocal written
            written += 1
            put(*given)  # type: ignore[arg-type]

        fleet.store.put = counted  # type: ignore[method-assign]
        await asyncio.sleep(3 * HEARTBEAT * 10)
        assert written <= count * 11, "three times as seldom"
        assert {each.count() for each in hosts} == {count}
        for each in hosts[:5]:
            await fleet.kill(each)
        await asyncio.sleep(3 * ALIVE + 1)
        assert {each.count() for each in hosts[5:]} == {count - 5}
