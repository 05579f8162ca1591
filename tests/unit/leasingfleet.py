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
from resolverd.state.base import address
from resolverd.state.memory import MemoryStore

LIST = "spamhaus-zen"


class Server:
    """The store behind all links. `memories` counts how often it has forgotten everything."""

    def __init__(self):
        self.store = MemoryStore()
        self.memories = 0
        self.operations = 0
        self.links = []

    async def forgets(self, *, silently=False):
        """It is started anew with nothing in memory; `silently`: it is emptied, no connection breaks, and nobody is told."""
        if not silently:
            for link in self.links:
                link.breaks()
        for entry in [entry async for entry in self.store.scan(TABLE, 0)]:
            self.store._records.pop(address(TABLE, entry.key))
        self.memories += 1
        if not silently:
            for link in self.links:
                link.servers += 1

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
        self.dies_after = -1
        self.operations = 0
        self.servers = 0
        self.memory = server.memories
        self.messages = None
        self.mended = asyncio.Event()
        self.is_cut = False
        server.links.append(self)

    def __getattr__(self, name):
        async def operation(*args):
            return await self._carry(getattr(self.server.store, name), args)

        return operation

    async def scan(self, table, now):
        """All that is there, in one reply."""

        async def entries():
            return [entry async for entry in self.server.store.scan(table, now)]

        for entry in await self._carry(entries, ()):
            yield entry

    async def recall(self):
        """Whether it is as it was."""

        async def memory():
            return self.server.memories

        self._remember(await self._carry(memory, ()))

    def _remember(self, memory):
        if memory != self.memory:
            self.memory = memory
            self.servers += 1

    async def look(self):
        """Once a minute the server is looked at, whether anybody asks or not."""
        while True:
            await asyncio.sleep(60)
            if not self.is_cut:
                self._remember(self.server.memories)

    async def watch(self, table):
        """What changes there, in its order; what is on the way when the link breaks is lost."""
        while True:
            self.messages = messages = asyncio.Queue()
            passing = asyncio.create_task(self._pass_on(table, messages))
            try:
                while self.messages is messages:
                    change, there_at = await messages.get()
                    await asyncio.sleep(there_at - asyncio.get_running_loop().time())
                    if self.messages is messages:
                        yield change
            finally:
                passing.cancel()
            await self.mended.wait()

    async def _pass_on(self, table, messages):
        there_at = 0.0
        async for change in self.server.store.watch(table):
            there_at = max(there_at, asyncio.get_running_loop().time() + self.rng.uniform(0, self.delay))
            messages.put_nowait((change, there_at))

    def breaks(self):
        """What is on the way is lost."""
        if self.messages is not None:
            self.messages.put_nowait((None, 0.0))
            self.messages = None

    @property
    def is_cut(self):
        return not self.mended.is_set()

    @is_cut.setter
    def is_cut(self, cut):
        if cut:
            self.mended.clear()
            self.breaks()
        else:
            self.mended.set()

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
            rng=Random(fleet.rng.random()),
        )
        self.quota = self.leases.quota(LIST, fleet.allowance)
        self.running = asyncio.gather(self.leases.run(), self.leases.follow(), self.link.look())
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
        self.link.breaks()
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
