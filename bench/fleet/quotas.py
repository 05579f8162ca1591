"""Questions to one list whose quota all hosts share, in four weathers."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from random import Random

from bench.fleet.server import Link, Server
from resolverd.dnsbl import leases
from resolverd.dnsbl.leases import Leases
from resolverd.dnsbl.quota import Allowance
from resolverd.metrics import Counters
from tests.unit.virtualtime import VirtualClock

QUOTA = Allowance(20_000, 86400.0)
LOOK_EVERY = 10.0, 60.0
"""Seconds between two looks of a host at its leases: each second in service, here the longer the more hosts there are."""

_TURNS = 3
"""In which the hosts look, not all at once."""


@dataclass(frozen=True)
class Weather:
    """How much is asked, as a share of the quota in each day, and what happens. Times in seconds."""

    name: str
    hours: int
    demand: float
    lives: float = 0.0
    """How long a host lives on average until kill -9; 0 for ever."""
    outages: tuple[tuple[float, float], ...] = ()
    """The server's: begin and end."""
    forgets_at: float = 0.0
    most_hosts: int = 1000
    """With more it takes too long."""


PLENTY = Weather("plenty", 3, 0.6)
RUSH = Weather("rush", 3, 12.0, 3600.0, ((1800.0, 2700.0),), 3600.0)
SHORT = Weather("short", 26, 2.0, most_hosts=100)
STORM = Weather(
    "storm", 26, 2.0, 4 * 3600.0, tuple((at * 3600.0, at * 3600.0 + 900.0) for at in (1.5, 4.0, 8.0, 20.0)), 6 * 3600.0,
    most_hosts=100,
)  # fmt: skip
WEATHERS = PLENTY, RUSH, SHORT, STORM


@dataclass
class Outcome:
    """What came of it."""

    hosts: int
    weather: str
    most: int = 0
    """The most packets of any 24 hours."""
    first_day: int = 0
    refused_early: int = 0
    """Questions refused while a fifth of the quota, or more, had not been sent, and the server was there."""
    refused_away: int = 0
    """The same while it was not, or had just come back empty."""
    asked_early: int = 0
    asked_away: int = 0
    operations: float = 0.0
    """Of the store, a second, over all the time."""
    busiest: float = 0.0
    """The same in the busiest ten minutes."""
    rounds: float = 0.0
    deaths: int = 0
    sent_by_hour: list[int] = field(default_factory=list)


class _Host:
    def __init__(self, fleet: _Fleet) -> None:
        self.leases = Leases(
            Link(fleet.server), fleet.clock, Counters(), hosts=lambda: len(fleet.hosts),  # type: ignore[arg-type]
            rng=Random(fleet.rng.random()),
        )  # fmt: skip
        self.quota = self.leases.quota("list", QUOTA)


class _Fleet:
    def __init__(self, hosts: int, weather: Weather) -> None:
        self.rng = Random(hosts)
        self.weather = weather
        self.clock = VirtualClock()
        self.server = Server(self.rng)
        self.hosts: list[_Host] = []
        self.hosts = [_Host(self) for _ in range(hosts)]
        self.outcome = Outcome(hosts, weather.name, sent_by_hour=[0] * weather.hours)
        self.window: deque[float] = deque()
        self.begun = self.calm_from = 0.0
        self.asking: set[asyncio.Task[None]] = set()

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        self.begun = loop.time()
        work = [asyncio.create_task(each) for each in (self._look(), self._weather(), self._busiest())]
        await self._ask()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        seconds = self.weather.hours * 3600.0
        self.outcome.operations = self.server.operations / seconds
        self.outcome.rounds = self.server.rounds / seconds
        return self.outcome

    async def _ask(self) -> None:
        """Questions, at random times, each to a random host's clients."""
        loop = asyncio.get_running_loop()
        pause = QUOTA.seconds / QUOTA.count / self.weather.demand
        while (now := loop.time()) < self.begun + self.weather.hours * 3600.0:
            host = self.hosts[self.rng.randrange(len(self.hosts))]
            if host.quota.at_hand(self.clock.wall()):
                self._spend(host)
            else:
                task = asyncio.create_task(self._wait(host))
                self.asking.add(task)
                task.add_done_callback(self.asking.discard)
            await asyncio.sleep(self.rng.expovariate(1 / pause))
        del now

    async def _wait(self, host: _Host) -> None:
        if host.quota.left(self.clock.wall()):
            await host.leases.wait(host.quota)
        else:
            host.quota.refused(self.clock.wall())
        self._spend(host)

    def _spend(self, host: _Host) -> None:
        now, outcome = asyncio.get_running_loop().time() - self.begun, self.outcome
        while self.window and now - self.window[0] >= QUOTA.seconds:
            self.window.popleft()
        is_early = len(self.window) < 0.8 * QUOTA.count
        is_away = not self.server.is_up or now < self.calm_from
        outcome.asked_early += is_early and not is_away
        outcome.asked_away += is_early and is_away
        if host.quota.spend(self.clock.wall()):
            self.window.append(now)
            outcome.most = max(outcome.most, len(self.window))
            outcome.first_day += now < QUOTA.seconds
            outcome.sent_by_hour[min(self.weather.hours - 1, int(now // 3600))] += 1
        elif is_early:
            outcome.refused_early += not is_away
            outcome.refused_away += is_away

    async def _look(self) -> None:
        """What `Leases.run` does, for all hosts in turn: a task and timer for each would be most of the work."""
        low, high = LOOK_EVERY
        every = min(high, max(low, len(self.hosts) / 10))
        while True:
            for turn in range(_TURNS):
                for host in self.hosts[turn::_TURNS]:
                    host.leases._look()
                await asyncio.sleep(every / _TURNS)

    async def _weather(self) -> None:
        weather, loop = self.weather, asyncio.get_running_loop()
        deaths = [(self.begun + self.rng.expovariate(1 / weather.lives), number) for number in range(len(self.hosts))
                  ] if weather.lives else []  # fmt: skip
        heapify(deaths)
        events = [(self.begun + at, what) for begin, end in weather.outages for at, what in ((begin, "away"), (end, "back"))]
        events += [(self.begun + weather.forgets_at, "forgets")] if weather.forgets_at else []
        events.sort()
        while deaths or events:
            at = min(each[0][0] for each in (deaths, events) if each)
            await asyncio.sleep(max(0.0, at - loop.time()))
            if events and events[0][0] == at:
                what = events.pop(0)[1]
                if what == "forgets":
                    await self.server.forget()
                self.server.is_up = what != "away"
                self.calm_from = loop.time() - self.begun + leases.RESTORE_WITHIN + 60
            else:
                number = deaths[0][1]
                heapreplace(deaths, (loop.time() + self.rng.expovariate(1 / weather.lives), number))
                self.hosts[number] = _Host(self)  # what it held is lost with it
                self.outcome.deaths += 1

    async def _busiest(self) -> None:
        while True:
            before = self.server.operations
            await asyncio.sleep(600)
            self.outcome.busiest = max(self.outcome.busiest, (self.server.operations - before) / 600)


async def day(hosts: int, weather: Weather) -> Outcome:
    """So many hosts in such a weather."""
    return await _Fleet(hosts, weather).run()
