"""Hosts of a fleet over a real server, with their own files behind it: killed, stalled, emptied, and back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from shared_stores import fresh_prefix, opened, until

from resolverd import bounds
from resolverd.app.shared_tables import SMALL, merge, shared_table
from resolverd.failures import StoreError
from resolverd.fleet.clock import FleetClock
from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.service import TRIPLETS, Greylister
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.overrides.rules import DENY, OverrideKey
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.state.disk.opening import open_store
from resolverd.state.fallback import open_fallback
from resolverd.values import replace
from tests.redis_server import RedisServer

MAIL = Attempt(ip_address("198.51.100.7"), client_name="mx.example.com", sender="bob@example.com", recipient="carol@example.org")
DELAY = 300
PATIENCE = 20.0
DENIED = OverrideKey(DENY, "192.0.2.7")


class Wall:
    """The machine's clock, that a test sets ahead, and that may be wrong by `skew` seconds."""

    ahead = 0.0

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time() + self.skew


class Host:
    """One host: its own file, its way to the server, its greylisting and its overrides."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str, skew: float) -> None:
        self.folder, self.server, self.prefix, self.skew = folder, server, prefix, skew
        self.ahead = 0.0
        self.machine = Wall(skew)

    async def start(self, patience: float = PATIENCE) -> Host:
        self.counters = Counters()
        own = await open_store(self.folder, self.counters)
        self.shared = opened(
            self.server, prefix=self.prefix, clock=self.machine, small=SMALL, merge=merge, counters=self.counters
        )
        self.store = await open_fallback(self.shared, own, self.machine, self.counters, shared_table)
        common = FleetClock(self.machine, lambda: self.store.offset + self.ahead)
        self.greylister = Greylister(self.store, common, GreylistRules(), self.counters)
        self.overrides = OverrideStore(self.store, common, self.counters)
        self.watching = asyncio.create_task(self.overrides.run())
        await self.shared.connected(patience)
        return self

    async def stop(self) -> None:
        self.watching.cancel()
        await asyncio.gather(self.watching, return_exceptions=True)
        await self.store.close()

    async def state(self, mail: Attempt = MAIL) -> str:
        return (await self.greylister.consider(mail, record=True, suspicious=True)).state

    async def waits(self, mail: Attempt) -> bool:
        """Whether it would be told to come back; asked again where the store is late, as it may be on a busy machine."""
        while True:
            outcome = await self.greylister.consider(mail, record=False, suspicious=True)
            if outcome.state != "skipped":
                return outcome.missing > 0

    async def lost(self) -> None:
        """Ask until it knows that the server is gone."""

        async def knows() -> bool:
            with contextlib.suppress(StoreError):
                await self.shared.get("list-quotas", b"k", 0)
            return not self.shared.reachable

        await until(knows)

    async def back(self) -> None:
        """Wait until it has the server again, and has told it everything."""
        assert await self.shared.connected(PATIENCE)
        await until(lambda: self.store.shared)


class Fleet:
    """Hosts that share a server; their clocks go ahead together."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder, self.server, self.prefix = folder, server, fresh_prefix()
        self.hosts: list[Host] = []

    async def host(self, skew: float = 0.0) -> Host:
        host = Host(self.folder / f"host{len(self.hosts)}", self.server, self.prefix, skew)
        self.hosts.append(host)
        return await host.start()

    def later(self, seconds: float) -> None:
        for host in self.hosts:
            host.ahead += seconds


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setattr(bounds, "STORE_SHARED_READ", 0.2)  # a busy machine is not the server's fault
    with RedisServer(tmp_path) as server:
        fleet = Fleet(tmp_path, server)
        yield fleet
        for host in fleet.hosts:
            await host.stop()


async def test_a_retry_at_another_host_counts_whatever_the_clocks_say(fleet: Fleet) -> None:
    a, b, c = [await fleet.host(skew) for skew in (-300, 0, 300)]
    assert [round(host.store.offset) for host in (a, b, c)] == [300, 0, -300]
    assert await a.state() == "new"
    fleet.later(DELAY - 2)
    assert [await host.state() for host in (b, c)] == ["early-retry", "early-retry"]
    fleet.later(3)
    assert sorted(await asyncio.gather(*(host.state() for host in (a, b, c)))) == ["known", "known", "passed"]


async def test_a_server_that_dies_and_comes_back_empty_makes_nobody_wait(fleet: Fleet) -> None:
    a, b = await fleet.host(), await fleet.host()
    mails = [replace(MAIL, recipient=f"r{number}@example.org") for number in range(200)]
    assert {await a.state(mail) for mail in mails} == {"new"}
    fleet.server.kill()
    for host in (a, b):
        await host.lost()
    assert await b.state() == "skipped"
    fleet.later(DELAY + 1)
    assert {await a.state(mail) for mail in mails[:100]} == {"passed"}
    assert {await b.state(mail) for mail in mails} == {"skipped"}
    fleet.server.start()
    for host in (a, b):
        await host.back()
    assert {await b.state(mail) for mail in mails[:100]} == {"known"}
    assert {await b.state(mail) for mail in mails[100:]} == {"passed"}
    assert a.counters.get("store_memory_lost") == b.counters.get("store_memory_lost") == 1


async def test_a_server_that_is_emptied_by_a_command_makes_nobody_wait(fleet: Fleet) -> None:
    a, b = await fleet.host(), await fleet.host()
    mails = [replace(MAIL, recipient=f"r{number}@example.org") for number in range(50)]
    assert {await a.state(mail) for mail in mails} == {"new"}
    fleet.server.cli("FLUSHALL")
    fleet.later(DELAY + 1)
    assert await a.state(mails[7]) == "passed", "by its own copy, as it has found that nothing is there"
    await a.back()
    assert a.counters.get("store_memory_lost") == 1
    assert {await b.state(mail) for mail in mails} <= {"passed", "known"}


async def test_a_stalled_server_costs_a_moment_and_is_told_afterwards(fleet: Fleet) -> None:
    a, b = await fleet.host(), await fleet.host()
    assert await a.state() == "new"
    fleet.server.stop()
    fleet.later(DELAY + 1)
    assert await a.state() == "passed"
    assert await b.state() == "skipped"
    await a.lost()
    fleet.server.cont()
    await a.back()
    await b.back()
    assert await b.state() == "known"


async def test_a_restart_in_an_outage_loses_nothing(fleet: Fleet) -> None:
    a, b = await fleet.host(), await fleet.host()
    assert await a.state() == "new"
    await a.overrides.set(NewOverride(DENIED))
    await until(lambda: b.overrides.index.get(DENIED) is not None)
    fleet.server.stop()
    await a.lost()
    await a.overrides.forget([DENIED])
    await a.overrides.set(NewOverride(OverrideKey(DENY, "192.0.2.8")))
    fleet.later(DELAY + 1)
    assert await a.state() == "passed"
    for host in (a, b):
        await host.stop()
        await host.start(0)
        await until(lambda host=host: host.overrides.loaded)  # type: ignore[misc]
    assert {each.key.subject for each in a.overrides.index} == {"192.0.2.8"}
    assert {each.key.subject for each in b.overrides.index} == {"192.0.2.7"}, "in force though nobody else can be asked"
    assert await a.state() == "known"
    fleet.server.cont()
    await a.back()
    await b.back()
    await until(lambda: {each.key.subject for each in b.overrides.index} == {"192.0.2.8"})
    assert await b.state() == "known"


async def test_connections_that_are_cut_all_the_time_cost_nobody_a_wait(fleet: Fleet) -> None:
    hosts = [await fleet.host() for _ in range(3)]
    mails = [replace(MAIL, recipient=f"r{number}@example.org") for number in range(60)]
    first: dict[Attempt, str] = {}

    async def cut() -> None:
        while True:
            await asyncio.to_thread(fleet.server.cli, "CLIENT", "KILL", "TYPE", "normal", check=False)
            await asyncio.sleep(0.03)

    async def try_all(host: Host, wanted: Callable[[Attempt, str], bool]) -> None:
        for mail in mails:
            state = await host.state(mail)
            assert wanted(mail, state), (mail.recipient, state)
            await asyncio.sleep(0.003)

    cutting = asyncio.create_task(cut())
    try:
        await try_all(hosts[0], lambda mail, state: first.setdefault(mail, state) in ("new", "skipped"))
        fleet.later(DELAY + 1)
        deferred = {mail for mail, state in first.items() if state == "new"}
        for host in hosts:
            await try_all(host, lambda mail, state: mail not in deferred or state in ("passed", "known", "skipped"))
    finally:
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting
    for host in hosts:
        await host.back()
    waits = [[await host.waits(mail) for mail in mails] for host in hosts]
    assert waits[0] == waits[1] == waits[2]
    assert not any(waits[0][number] for number, mail in enumerate(mails) if mail in deferred)
    assert len([entry async for entry in hosts[0].store.scan(TRIPLETS, time.time() - 10)]) <= len(mails)
