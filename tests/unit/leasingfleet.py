"""Hosts that share quotas over one store, on virtual time; links to the store that are slow, lose things, and are cut.

What is tested is `dnsbl.leases`; the store behind the links is `state.memory`, asked by nobody else.
"""

import asyncio
from contextlib import suppress
from random import Random

from virtualtime import VirtualClock

from resolverd.dnsbl.leases import Leases
from resolverd.dnsbl.quota import Allowance
from resolverd.dnsbl.quota_slots import TABLE
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore

LIST = "spamhaus-zen"


class Server:
    """The store behind all links. `restarts` counts how often it was another one."""

    def __init__(self):
        self.store = MemoryStore()
        self.restarts = 0
        self.operations = 0

    async def forgets(self):
        """It is started anew with nothing in memory."""
        for entry in [entry async for entry in self.store.scan(TABLE, 0)]:
            self.store.delete(TABLE, entry.key)
        self.restarts += 1

    async def counts(self):
        """What the counters say, by slot number."""
        return {int(entry.key.rpartition(b" ")[2]): int(entry.value) async for entry in self.store.scan(TABLE, 0)}


class Link:
    """A host's way to the store. `faults`: the share of operations that are lost, half of them on the way back, or that hang.

    `delay`: the longest, each way. `dies_after`: so many operations more, and then none is ever answered.
    """

    def __init__(self, server, rng, delay=0.0):
        self.server = server
        self.rng = rng
        self.delay = delay
        self.faults = 0.0
        self.is_cut = False
        self.dies_after = -1
        self.operations = 0

    def __getattr__(self, name):
        async def operation(*args):
            return await self._carry(getattr(self.server.store, name), args)

        return operation

    async def _carry(self, operation, args):
        if self.is_cut:
            raise StoreError("out of reach")
        self.operations += 1
        self.server.operations += 1
        if self.dies_after == 0 and self.rng.random() < 0.5:
            await asyncio.Event().wait()
        if self.delay:
            await asyncio.sleep(self.rng.uniform(0, self.delay))
        fault = self.rng.random()
        if fault < self.faults / 2:
            raise StoreError("lost on the way there")
        found = await operation(*args)
        if self.dies_after == 0:
            await asyncio.Event().wait()
        self.dies_after -= 1
        if fault < self.faults:
            raise StoreError("lost on the way back")
        if self.delay:
            await asyncio.sleep(self.rng.uniform(0, self.delay * (20 if self.rng.random() < self.faults / 4 else 1)))
        return found


class LeasingHost:
    """A host with its share of one list's quota. `sent`: where the fleet writes down the true time of each packet."""

    def __init__(self, fleet, skew=0.0, delay=0.0):
        self.fleet = fleet
        self.clock = VirtualClock()
        self.clock.set_wall(self.clock.wall() + skew)
        self.link = Link(fleet.server, fleet.rng, delay)
        self.counters = Counters()
        self.leases = Leases(
            self.link,
            self.clock,
            self.counters,
            hosts=lambda: len(fleet.hosts) if fleet.counted else 1,
            servers=lambda: fleet.server.restarts,
            rng=Random(fleet.rng.random()),
        )
        self.quota = self.leases.quota(LIST, fleet.allowance)
        self.running = asyncio.create_task(self.leases.run())
        self.questions = set()

    async def ask(self):
        """The true time at which a question left; None if it was not allowed to."""
        await self.leases.wait(self.quota)
        if not self.quota.spend(self.clock.wall()):
            self.fleet.refused.append(asyncio.get_running_loop().time())
            return None
        sent = asyncio.get_running_loop().time()
        self.fleet.sent.append(sent)
        return sent

    def begins(self, count):
        """So many questions at once."""
        for _ in range(count):
            task = asyncio.create_task(self.ask())
            self.questions.add(task)
            task.add_done_callback(self.questions.discard)

    async def dies(self):
        """Like kill -9."""
        self.running.cancel()
        tasks = [self.running, *self.questions, *(each.task for each in self.leases._lessees.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ends(self):
        """In order."""
        self.running.cancel()
        for task in list(self.questions):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        with suppress(TimeoutError):  # a link that hangs is the test's
            await asyncio.wait_for(self.leases.end(), 60)


class Fleet:
    """Hosts, and what they sent. `counted`: whether they know how many they are."""

    def __init__(self, allowance="20/1h", seed=0, counted=True):
        self.counted = counted
        count, _, period = allowance.partition("/")
        self.allowance = Allowance(int(count), {"m": 60.0, "h": 3600.0, "d": 86400.0}[period[-1]] * int(period[:-1] or 1))
        self.rng = Random(seed)
        self.server = Server()
        self.hosts = []
        self.sent = []
        self.refused = []

    def add(self, **kwargs):
        """One host more."""
        host = LeasingHost(self, **kwargs)
        self.hosts.append(host)
        return host

    async def end(self):
        """End all hosts in order."""
        for host in self.hosts:
            await host.ends()

    def most_in_a_period(self):
        """The most packets of any stretch as long as the quota's period."""
        return most_within(self.sent, self.allowance.seconds)


def most_within(times, seconds):
    """The most of any stretch of so many seconds."""
    times = sorted(times)
    first = most = 0
    for number, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, number - first + 1)
    return most
