"""Hosts of a fleet that ask lists, on virtual time: each has an engine, resolver and clock of its own, all one store."""

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address

from scriptedlists import CATALOGUE, ScriptedResolver, a, specs
from virtualtime import VirtualClock

from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.failures import StoreError
from resolverd.mail.lookups import ListLookup
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from resolverd.zones.guard import unused

CLIENT = ip_address("192.0.2.1")
ZEN = "1.2.0.192.zen.spamhaus.org"
CANARY = "1.0.0.127.zen.spamhaus.org"
POINT = "2.0.0.127.zen.spamhaus.org"
POINTS = {
    POINT: a("127.0.0.2", "127.0.0.4", "127.0.0.10"),
    "dbltest.com.dbl.spamhaus.org": a("127.0.1.2"),
    "2.0.0.127.list.dnswl.org": a("127.0.10.0"),
}


class Trouble(MemoryStore):
    """A store that takes `delay` seconds for a read, which fail while it is `dead`, as puts do."""

    def __init__(self):
        super().__init__()
        self.delay, self.dead, self.reads = 0.0, False, 0

    async def get(self, table, key, now):
        self.reads += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.dead:
            raise StoreError("out of reach")
        return await super().get(table, key, now)

    def put(self, table, key, value, expires):
        if self.dead:
            raise StoreError("out of reach")
        super().put(table, key, value, expires)


class Host:
    """One of them; `ahead`: seconds by which its wall clock is."""

    def __init__(self, store, number, lists, ahead=0.0):
        self.id = f"{number:016x}"
        self.store, self.resolver, self.counters = store, ScriptedResolver(), Counters()
        self.clock = VirtualClock()
        self.clock.set_wall(self.clock.wall() + ahead)
        self.script, self.asked, self.probes = self.resolver.script, self.resolver.asked, self.resolver.probes
        self.script.update(POINTS)
        self.memory = ListMemory(self.resolver, self.clock, self.counters)
        self.health = self.memory.share(store, self.clock, self.counters, lambda: self.id)
        self.configure(lists)
        self.watching = asyncio.create_task(self.health.run())

    def configure(self, lists):
        others = unused(CATALOGUE, lists)
        self.engine = Engine(lists, self.resolver, self.clock, self.counters, others=others, memory=self.memory)
        self.resolver.meter = self.engine.meter

    async def ask(self, name="spamhaus-zen", subject=CLIENT, patience=2.0):
        return await self.engine.ask(ListLookup(name, subject), deadline=self.clock.monotonic() + patience)

    async def refuses(self, name="spamhaus-zen", subject=CLIENT, patience=2.0):
        """What comes of a listing that is about to refuse somebody: None if it stands."""
        lookup = ListLookup(name, subject)
        found = await self.engine.reverify([lookup], client=subject, deadline=self.clock.monotonic() + patience)
        return found.get(lookup)

    def state(self, name="spamhaus-zen"):
        return self.memory.states[name]

    def count(self, what, **labels):
        return sum(
            value for name, found, value in self.counters.snapshot() if name == what and labels.items() <= found.items()
        )

    @property
    def sent(self):
        """Questions that left for lists."""
        return self.count("list_queries")

    async def probe(self):
        """Look at all test points, as at the start."""
        for spec in self.engine.specs:
            await self.engine.probe(spec.id, deadline=self.clock.monotonic() + 4)

    async def aclose(self):
        self.watching.cancel()
        await asyncio.gather(self.watching, return_exceptions=True)
        await self.engine.aclose()


@asynccontextmanager
async def fleet(count=2, *, store=None, ahead=(), known=True, **tables):
    """So many hosts that ask the same lists; `known`: they have looked at the test points."""
    store = store or MemoryStore()
    ahead = [*ahead, *[0.0] * count]
    hosts = [Host(store, number + 1, specs(**tables), ahead[number]) for number in range(count)]
    await asyncio.sleep(0)
    if known:
        for host in hosts:
            await host.probe()
    await asyncio.sleep(0.01)
    for host in hosts:
        host.asked.clear()
        host.probes.clear()
    yield hosts
    for host in hosts:
        await host.aclose()
    await store.close()
