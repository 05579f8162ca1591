"""What one host of a fleet finds out, or is told: how long until all know it, and what that costs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Address
from random import Random

from bench.fleet.server import Link, Server
from resolverd.dnsbl.catalogue import load
from resolverd.dnsbl.config import configure
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.mail.lookups import ListLookup
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset
from tests.unit.virtualtime import VirtualClock

ASK_EVERY = 60.0
"""Seconds between two new clients of one host, on average."""
LIST = "spamhaus-zen"
_REFUSAL = Answer(codes.NOERROR, (RRset(b"\0", codes.A, 300, (bytes((127, 255, 255, 254)),)),))
"""The open resolver, or too many questions: what Spamhaus began, and others answer too."""
_DENIAL = Answer(codes.NXDOMAIN, authority=(RRset(b"\0", codes.SOA, 300, (b"\0\0" + bytes(12) + (300).to_bytes(4, "big") * 2,)),))


@dataclass
class News:
    """What came of it; times in seconds."""

    hosts: int
    suspended_after: float = 0.0
    """From the second host's finding that a list refuses to answer, until no host asks it any longer."""
    found_after: float = 0.0
    """From the list's first refusal of anybody until a second host has met one."""
    wasted: int = 0
    """Questions that the list refused, of all hosts."""
    alone: int = 0
    """The same of as many hosts that share nothing."""
    override_after: float = 0.0
    """From the change at one host until it is in force at all."""
    operations: int = 0
    """Of the store, for the suspension."""


class _Lists:
    """The internet as far as lists are concerned."""

    def __init__(self) -> None:
        self.refuses = False
        self.refused = 0

    def known(self, name: Name, rtype: int) -> Answer | None:
        return None

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, bypass_cache: bool = False, shared_budget: object = None
    ) -> Answer:
        await asyncio.sleep(0.02)
        self.refused += self.refuses
        return _REFUSAL if self.refuses else _DENIAL


class _Host:
    def __init__(self, link: Link, lists: _Lists, number: int, *, shares: bool) -> None:
        self.clock, counters, self.number = VirtualClock(), Counters(), number
        self.memory = ListMemory(lists, self.clock, counters, Random(number))  # type: ignore[arg-type]
        self.work = []
        if shares:
            health = self.memory.share(link, self.clock, counters, lambda: f"{number:016x}")  # type: ignore[arg-type]
            self.work.append(asyncio.create_task(health.run()))
        self.engine = Engine(_SPECS, lists, self.clock, counters, memory=self.memory)  # type: ignore[arg-type]
        self.overrides = OverrideStore(link, self.clock, counters, lambda fields: None)  # type: ignore[arg-type]
        self.work.append(asyncio.create_task(self.overrides.run()))

    async def ask(self, client: IPv4Address) -> None:
        await self.engine.ask(ListLookup(LIST, client), deadline=self.clock.monotonic() + 2)

    def is_suspended(self) -> bool:
        return self.memory.states[LIST].health.suspension(self.clock.monotonic()) is not None

    def has_found(self) -> bool:
        return self.memory.states[LIST].health.own_suspension is not None

    async def end(self) -> None:
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        await self.engine.aclose()


_CATALOGUE = load(files("resolverd.data").joinpath("catalogue.toml").read_text("utf-8"))
_SPECS = [spec for spec in configure(_CATALOGUE, "tutorial", {LIST: {"enabled": True}}, lambda key: key) if spec.id == LIST]


async def _refused(hosts: int, *, shares: bool) -> News:
    """A list begins to refuse everybody; hosts meet that one after another, as clients come."""
    rng, lists, loop = Random(hosts), _Lists(), asyncio.get_running_loop()
    server = Server(rng)
    fleet = [_Host(Link(server), lists, number, shares=shares) for number in range(hosts)]
    await asyncio.sleep(1)
    news, lists.refuses = News(hosts), True
    server.operations = 0
    asking: set[asyncio.Task[None]] = set()
    begun, is_known = loop.time(), asyncio.Event()
    found: list[float] = []

    async def ask(host: _Host) -> None:
        before = host.has_found()
        await host.ask(IPv4Address(0x01000000 + rng.randrange(1 << 24)))
        if host.has_found() and not before:
            found.append(loop.time())
            if shares and len(found) == min(2, hosts):
                is_known.set()

    while not is_known.is_set() and not all(host.is_suspended() for host in fleet):
        task = asyncio.create_task(ask(fleet[rng.randrange(hosts)]))
        asking.add(task)
        task.add_done_callback(asking.discard)
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.expovariate(hosts / ASK_EVERY)):
                await is_known.wait()
    while not all(host.is_suspended() for host in fleet):  # noqa: ASYNC110
        await asyncio.sleep(0.0001)
    last = loop.time()
    await asyncio.gather(*asking)
    second = found[min(1, len(found) - 1)]
    news.found_after, news.suspended_after = second - begun, max(0.0, last - second)
    news.wasted, news.operations = lists.refused, server.operations
    for host in fleet:
        await host.end()
    return news


async def _overridden(hosts: int) -> float:
    rng, lists = Random(hosts), _Lists()
    server = Server(rng)
    fleet = [_Host(Link(server), lists, number, shares=True) for number in range(hosts)]
    await asyncio.sleep(1)
    begun = asyncio.get_running_loop().time()
    await fleet[0].overrides.set(NewOverride(key_of("deny", "192.0.2.7"), 3600))
    while not all(len(host.overrides.index) for host in fleet):  # noqa: ASYNC110
        await asyncio.sleep(0.0001)
    took = asyncio.get_running_loop().time() - begun
    for host in fleet:
        await host.end()
    return took


async def spread(hosts: int) -> News:
    """News among so many hosts."""
    news = await _refused(hosts, shares=hosts > 1)
    news.alone = (await _refused(hosts, shares=False)).wasted
    news.override_after = await _overridden(hosts)
    return news
