"""Quotas that hosts share over a real server, one that dies and comes back empty."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from shared_stores import be_patient, fresh_prefix, shared_store, until

from resolverd.app.shared_tables import SMALL
from resolverd.clock import SystemClock
from resolverd.dnsbl import leases
from resolverd.dnsbl.leases import Leases
from resolverd.dnsbl.quota import Allowance
from resolverd.dnsbl.quota_slots import TABLE
from resolverd.metrics import Counters
from resolverd.state.base import count_of
from resolverd.state.redis.store import RedisStore
from tests.redis_server import RedisServer

QUOTA = Allowance(90, 86400.0)
HOSTS = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


class Host:
    """A host with a connection of its own, and its share of one list's quota."""

    def __init__(self, store: RedisStore):
        self.store = store
        self.counters = Counters()
        self.leases = Leases(store, SystemClock(), self.counters, hosts=lambda: HOSTS)
        self.quota = self.leases.quota("spamhaus-zen", QUOTA)
        self.running = asyncio.gather(self.leases.run(), self.leases.follow())
        self.sent = 0

    async def ask(self) -> None:
        await self.leases.wait(self.quota)
        self.sent += self.quota.spend(SystemClock.wall())

    async def die(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


async def counted(host: Host) -> int:
    now = SystemClock.wall()
    return sum([count_of(entry.value) async for entry in host.store.scan(TABLE, now)])


async def until_asked(hosts: list[Host], total: int) -> None:
    """Ask until so many were sent, one a host at a time."""
    async with asyncio.timeout(30):
        while sum(host.sent for host in hosts) < total:
            await asyncio.gather(*(host.ask() for host in hosts))
            await asyncio.sleep(0.02)


async def test_the_fleet_sends_its_quota_and_no_more_though_the_server_forgets_all(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr(leases, "RESTORE_WITHIN", 2.0)
    monkeypatch.setattr(leases, "EVERY", 0.1)
    prefix = fresh_prefix()
    async with AsyncExitStack() as stack:
        hosts = []
        for _ in range(HOSTS):
            store = await stack.enter_async_context(shared_store(server, prefix=prefix, small=SMALL))
            assert await store.connected(10)
            hosts.append(Host(store))
        await until_asked(hosts, 45)
        known = await counted(hosts[0])
        assert sum(host.sent for host in hosts) <= known <= QUOTA.count
        server.kill()
        for host in hosts:
            before, at_hand = host.sent, host.quota.at_hand(SystemClock.wall())
            for _ in range(at_hand + 3):
                await host.ask()
            assert host.sent == before + at_hand, "what is held is spent, and no more"
        server.restart()
        for host in hosts:
            assert await host.store.connected(20)
            assert host.store.servers == 1
        await until_asked(hosts, QUOTA.count - 5)
        for _ in range(5):
            await asyncio.gather(*(host.ask() for host in hosts for _ in range(10)))
        assert QUOTA.count - 5 <= sum(host.sent for host in hosts) <= QUOTA.count
        assert await counted(hosts[0]) >= sum(host.sent for host in hosts)
        for host in hosts:
            await host.die()
            await host.leases.end()


@pytest.mark.parametrize("loses", ["restart", "FLUSHALL"])
async def test_a_host_that_did_not_ask_restores_what_a_dead_one_had_leased(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, loses: str
) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr(leases, "RESTORE_WITHIN", 1.0)
    monkeypatch.setattr(leases, "EVERY", 0.1)
    prefix = fresh_prefix()
    async with AsyncExitStack() as stack:
        dead, idle = [
            Host(await stack.enter_async_context(shared_store(server, prefix=prefix, small=SMALL))) for _ in range(2)
        ]
        for host in (dead, idle):
            assert await host.store.connected(10)
        await until_asked([dead], 60)
        spent = await counted(dead)
        await until(lambda: idle.quota.free(SystemClock.wall()) == QUOTA.count - spent)
        await dead.die()
        await dead.store.close()
        if loses == "restart":
            server.kill()
            server.restart()
        else:
            server.cli("FLUSHALL")
        async with asyncio.timeout(30):
            while not idle.store.servers or not await idle.store.connected(1) or await counted(idle) < spent:
                await idle.ask()
                await asyncio.sleep(0.05)
        for _ in range(5):
            await asyncio.gather(*(idle.ask() for _ in range(10)))
            await asyncio.sleep(0.3)
        assert 60 < dead.sent + idle.sent <= QUOTA.count
        await idle.die()
        await idle.leases.end()


async def test_what_is_held_goes_back_when_a_host_ends(server: RedisServer) -> None:
    async with shared_store(server, prefix=fresh_prefix(), small=SMALL) as store:
        assert await store.connected(10)
        host = Host(store)
        for _ in range(3):
            await host.ask()
        assert await counted(host) > 3
        await host.die()
        await host.leases.end()
        assert await counted(host) == host.sent == 3
