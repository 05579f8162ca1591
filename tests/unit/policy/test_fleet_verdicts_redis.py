"""Verdicts of several hosts over a real server, which is killed, stalled, and written to by strangers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from shared_stores import fresh_prefix, opened

from resolverd.app.shared_tables import SMALL, merge
from resolverd.clock import SystemClock
from resolverd.failures import StoreError
from resolverd.fleet.hosts import Hosts
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.fleet_verdicts import FleetVerdicts
from resolverd.policy.published_verdicts import HEADS, PAGES, VerdictPublisher
from resolverd.policy.verdict_records import summary
from resolverd.policy.verdicts import VerdictStore
from resolverd.state.memory import MemoryStore
from tests.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Host:
    """One of them, on a connection of its own."""

    def __init__(self, server: RedisServer, prefix: str, number: int) -> None:
        clock = SystemClock()
        self.counters = Counters()
        self.shared = opened(server, prefix=prefix, small=SMALL, merge=merge, counters=self.counters)
        self.hosts = Hosts(self.shared, MemoryStore(), clock, Counters(), f"{number:016x}", f"mx{number}")
        self.kept = VerdictStore(MemoryStore(), clock, Counters())
        self.publisher = VerdictPublisher(self.kept, self.shared, clock, lambda: self.hosts.id, lambda: self.shared.memory)
        self.all = FleetVerdicts(self.kept, self.shared, self.hosts, clock)

    async def give(self, *refs: str) -> None:
        for ref in refs:
            verdict = Verdict(ref, Action.ACCEPT, 0, "r", client=ip_address("192.0.2.7"))
            self.kept.put(verdict, Attempt(sender="a@example.org", recipient="b@example.com"))
        self.kept.write()

    async def history(self) -> list[str]:
        found = [summary(each.octets) async for some in self.all.back("", 0, float("inf")) for each in some]
        return [each.id for each in found if each is not None]


@pytest.fixture
async def hosts(server: RedisServer) -> AsyncIterator[tuple[Host, Host]]:
    prefix = fresh_prefix()
    made = Host(server, prefix, 1), Host(server, prefix, 2)
    for host in made:
        assert await host.shared.connected(5)
    yield made
    for host in made:
        await host.shared.close()


async def eventually(host: Host, *refs: str) -> None:
    """Until its history has these."""
    found: list[str] = []
    for _ in range(200):
        try:
            found = await host.history()
        except StoreError:
            found = []
        if found == list(refs):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def test_what_is_published_is_read_after_a_loss_as_well(hosts: tuple[Host, Host], server: RedisServer) -> None:
    one, two = hosts
    for number in range(30):
        await one.give(f"A{number}")
        await one.publisher.publish()
    expected = [f"A{number}" for number in reversed(range(30))]
    await one.shared.flush()
    await eventually(two, *expected)
    found = await two.all.find("A7")
    assert found is not None
    assert found.verdict.id == "A7"
    server.restart()
    for _ in range(200):
        try:
            await one.publisher.publish()
            break
        except StoreError:
            await asyncio.sleep(0.05)
    await one.shared.flush()
    await eventually(two, *expected)


async def test_while_it_is_stalled_each_has_its_own(hosts: tuple[Host, Host], server: RedisServer) -> None:
    one, two = hosts
    await one.give("A")
    await one.publisher.publish()
    await one.shared.flush()
    await eventually(two, "A")
    await two.give("B")
    server.stop()
    try:
        async with asyncio.timeout(20):
            with pytest.raises(StoreError):  # not "there is none"
                await two.all.find("A")
            assert await two.history() == ["B"]
            found = await two.all.find("B")
            assert found is not None
    finally:
        server.cont()
    await eventually(two, "B", "A")


@pytest.mark.parametrize("planted", ["wrong type", "foreign", "huge", "others"])
async def test_what_strangers_write_costs_that_only(hosts: tuple[Host, Host], server: RedisServer, planted: str) -> None:
    one, two = hosts
    await one.give("A")
    await one.publisher.publish()
    await one.shared.flush()
    await eventually(two, "A")
    prefix = two.shared._names.hash_of(HEADS).decode().removesuffix(f":{HEADS}")
    if planted == "wrong type":
        server.cli("DEL", f"{prefix}:{HEADS}")
        server.cli("RPUSH", f"{prefix}:{HEADS}", "x", "y")
    elif planted == "foreign":
        server.cli("HSET", f"{prefix}:{HEADS}", "0" * 15 + "1", "nothing of ours")
    elif planted == "huge":
        huge = "return redis.call('HSET', KEYS[1], ARGV[1], string.rep('x', 600000))"
        server.cli("EVAL", huge, "1", f"{prefix}:{HEADS}", "0" * 15 + "1")
    else:
        server.cli("EVAL", "for i = 1, 500 do redis.call('HSET', KEYS[1], i, 'x') end return 1", "1", f"{prefix}:{HEADS}")
        server.cli("SET", f"{prefix}:{PAGES}:x", "y")
    assert await two.history() == (["A"] if planted == "others" else [])
    await two.give("B")
    assert (await two.history())[0] == "B"
