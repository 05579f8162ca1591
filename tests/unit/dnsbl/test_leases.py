"""Quotas that hosts share: the fleet exceeds none, whatever is lost and whoever dies, and nobody starves while some is left."""

import asyncio
from random import Random

import pytest
from leasingfleet import LIST, Fleet
from scriptedlists import ScriptedResolver, specs
from virtualtime import virtual

from resolverd import bounds
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.dnsbl.quota import parse_allowance
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, ListLookup
from resolverd.metrics import Counters
from tests.unit.dnsbl.test_engine import client

# -- never more than the quota

def scenario(seed):
    """What happens to a fleet."""
    rng = Random(seed)
    return {
        "seed": seed,
        "allowance": rng.choice(["20/1h", "3/1h", "300/1h", "40/10m", "60/1m"]),
        "delay": rng.choice([0.0, 0.003, 0.02, 0.4]),
        "faults": rng.choice([0.0, 0.05, 0.3]),
        "skew": rng.choice([0.0, 1.0]),
        "counted": rng.random() < 0.5,
        "chaos": [each for each in ("die", "die at", "end", "cut", "refund", "forget", "flush") if rng.random() < 0.3],
    }


async def demand(fleet, host, share):
    """About so much of the quota is asked for in each period, in bursts."""
    pause = fleet.allowance.seconds / fleet.allowance.count / share
    while True:
        burst = host.link.rng.choice([1, 1, 1, 2, 5, 20])
        await asyncio.sleep(host.link.rng.expovariate(1 / pause / burst))
        host.begins(burst)


class Chaos:
    """A fleet in which everything happens, for a few periods."""

    def __init__(self, seed, allowance, delay, faults, skew, counted, chaos):
        self.fleet = Fleet(allowance, seed, counted)
        self.rng = self.fleet.rng
        self.delay, self.faults, self.chaos = delay, faults, sorted(chaos)
        self.skew = skew * self.fleet.allowance.seconds / 24 / 12
        self.demands = {}
        self.telling = {}
        self.none_starts_until = 0

    def add(self):
        host = self.fleet.add(skew=self.rng.uniform(-self.skew, self.skew), delay=self.delay)
        host.link.faults = self.rng.choice([0.0, self.faults])
        self.demands[host] = asyncio.create_task(demand(self.fleet, host, self.rng.choice([0.3, 1.0, 3.0])))

    async def lose(self, host, how):
        self.demands.pop(host).cancel()
        self.fleet.hosts.remove(host)
        await how()

    async def run(self, periods=2.2):
        loop = asyncio.get_running_loop()
        end = loop.time() + periods * self.fleet.allowance.seconds
        for _ in range(3):
            self.add()
        while loop.time() < end:
            await asyncio.sleep(self.rng.expovariate(20 / self.fleet.allowance.seconds))
            if len(self.fleet.hosts) < 4 and self.rng.random() < 0.5 and loop.time() >= self.none_starts_until:
                self.add()
            if self.fleet.hosts and self.chaos:
                await self.happens(self.rng.choice(self.fleet.hosts), self.rng.choice(self.chaos))
        for host in list(self.fleet.hosts):
            await self.lose(host, host.ends)

    async def happens(self, host, what):
        if what in ("die", "die at", "end", "cut") and self.telling.get(host, 0) > asyncio.get_running_loop().time():
            return
        if what == "die":
            await self.lose(host, host.dies)
        elif what == "die at":
            host.link.dies_after = self.rng.randrange(12)
        elif what == "end":
            await self.lose(host, host.ends)
        elif what == "cut":
            host.link.is_cut = not host.link.is_cut
        elif what == "refund" and (sent := await host.ask()):
            host.quota.book(-1, host.clock.wall())
            self.fleet.sent.remove(sent)
        elif what in ("forget", "flush") and (knows := await self.who_knows()):
            # Who alone knows what is forgotten lives on, and reaches the store, until he has noticed and told it.
            self.telling[knows[0]] = asyncio.get_running_loop().time() + 120
            if what == "flush":  # a host that starts before somebody has noticed cannot know that anything is missing
                self.none_starts_until = asyncio.get_running_loop().time() + 65
            await self.fleet.server.forgets(silently=what == "flush")

    async def who_knows(self):
        """The hosts that could tell the store all that it might forget."""
        counts = (await self.fleet.server.counts()).items()
        reach = [host for host in self.fleet.hosts if not host.link.is_cut and host.link.dies_after < 0]
        return [host for host in reach if counts <= host.quota.known(host.clock.wall()).items()]


@pytest.mark.parametrize("seed", [*range(10), 13, 23, 29])
def test_no_period_exceeds_the_quota(seed):
    chaos = Chaos(**scenario(seed))
    virtual(chaos.run)()
    assert chaos.fleet.most_in_a_period() <= chaos.fleet.allowance.count


# -- nobody starves


@virtual
async def test_the_last_of_a_quota_is_used_and_what_left_the_period_comes_back():
    fleet = Fleet("100/1h")
    hosts = [fleet.add(delay=0.001) for _ in range(3)]
    for _ in range(60):
        for host in hosts:
            host.begins(1)
        await asyncio.sleep(1)
    assert len(fleet.sent) == 100
    assert [host.quota.left(host.clock.wall()) for host in hosts] == [0, 0, 0]
    assert len(fleet.refused) == 80
    await asyncio.sleep(26 / 24 * 3600)
    for _ in range(40):
        for host in hosts:
            host.begins(1)
        await asyncio.sleep(1)
    assert len(fleet.sent) == 200
    await fleet.end()


@virtual
async def test_with_quota_left_nobody_is_refused():
    fleet = Fleet("100000/1d", counted=True)
    hosts = [fleet.add(delay=0.003) for _ in range(5)]
    for minute in range(30):
        for host in hosts:
            host.begins(fleet.rng.choice([0, 1, 7, 60]) * (minute % 7 > 0))
        await asyncio.sleep(60)
    assert not fleet.refused
    await fleet.end()


@virtual
async def test_an_outage_is_lived_through_on_what_is_held():
    fleet = Fleet("100000/1d")
    host, other = fleet.add(), fleet.add()
    for _ in range(3600):
        host.begins(1)
        await asyncio.sleep(1)
    host.link.is_cut = True
    for _ in range(int(bounds.LIST_LEASE_TIME * 0.5)):
        host.begins(1)
        await asyncio.sleep(1)
    assert not fleet.refused
    for _ in range(3600 * 2):
        host.begins(1)
        await asyncio.sleep(1)
    assert fleet.refused
    host.link.is_cut = False
    await asyncio.sleep(31)
    before = len(fleet.refused)
    for _ in range(100):
        host.begins(1)
        await asyncio.sleep(1)
    assert len(fleet.refused) == before
    assert other.quota.at_hand(other.clock.wall()) == 0
    await fleet.end()


# -- what goes back


@virtual
async def test_all_that_is_held_goes_back_in_the_end():
    fleet = Fleet("1000/1d")
    for asked in (1, 5, 40):
        fleet.add().begins(asked)
    await asyncio.sleep(2)
    assert sum((await fleet.server.counts()).values()) > 46
    await fleet.end()
    assert sum((await fleet.server.counts()).values()) == 46 == len(fleet.sent)


@virtual
async def test_a_host_that_dies_leaves_no_more_than_it_held_and_that_until_it_leaves_the_period():
    fleet = Fleet("1000/1d")
    host = fleet.add()
    host.begins(10)
    await asyncio.sleep(2)
    held = host.quota.at_hand(host.clock.wall())
    await host.dies()
    assert sum((await fleet.server.counts()).values()) == 10 + held
    await asyncio.sleep(27 * 3600)
    other = fleet.add()
    other.begins(1)
    await asyncio.sleep(1)
    assert other.quota.left(other.clock.wall()) == 999
    await fleet.end()


@virtual
async def test_what_is_spent_is_settled_where_it_was_spent():
    fleet = Fleet("1000/1d")
    host = fleet.add()
    hour = int(host.clock.wall() // 3600)
    host.begins(30)
    await asyncio.sleep(10)
    assert set(await fleet.server.counts()) == {hour + 1}
    await asyncio.sleep(2 * 3600)
    assert {number: count for number, count in (await fleet.server.counts()).items() if count} == {hour: 30}
    await fleet.end()


@virtual
async def test_an_idle_list_costs_nothing():
    fleet = Fleet("1000/1d")
    hosts = [fleet.add(), fleet.add()]
    await asyncio.sleep(1)
    begun = fleet.server.operations
    await asyncio.sleep(3600)
    assert fleet.server.operations == begun == len(hosts), "all counters are read once"
    hosts[0].begins(3)
    await asyncio.sleep(3 * 3600)
    before = fleet.server.operations
    await asyncio.sleep(2 * 3600)
    assert fleet.server.operations == before
    assert hosts[0].quota.at_hand(hosts[0].clock.wall()) == 0
    await fleet.end()


# -- a store that forgets


@virtual
async def test_a_store_that_has_forgotten_all_is_told_before_anything_is_leased():
    fleet = Fleet("100/1h")
    hosts = [fleet.add() for _ in range(3)]
    for number, host in enumerate(hosts):
        host.begins(10 * (number + 1))
    await asyncio.sleep(2.5)
    assert len(fleet.sent) == 60
    before = await fleet.server.counts()
    await fleet.server.forgets()
    for host in hosts:
        host.begins(20)  # before anybody knows of it
    await asyncio.sleep(2)
    after = await fleet.server.counts()
    assert after.keys() == before.keys()
    assert all(after[number] >= count for number, count in before.items())
    for _ in range(120):
        for host in hosts:
            host.begins(1)
        await asyncio.sleep(1)
    assert 95 <= len(fleet.sent) <= 100, "what was given back just before is counted again"
    await fleet.end()


@virtual
async def test_what_a_host_has_leased_counts_though_the_store_forgets_it_and_the_host_is_dead():
    fleet = Fleet("100/1h")
    dead, idle = fleet.add(), fleet.add()
    dead.begins(60)
    await asyncio.sleep(2)
    before = await fleet.server.counts()
    await dead.dies()
    await fleet.server.forgets()
    await asyncio.sleep(2)
    assert await fleet.server.counts() == before, "who has only heard of it restores it"
    await asyncio.sleep(20)
    for _ in range(60):
        idle.begins(1)
        await asyncio.sleep(1)
    assert 60 < len(fleet.sent) <= 100
    await fleet.end()


@virtual
async def test_nothing_is_leased_of_a_store_that_was_emptied_behind_everybodys_back():
    fleet = Fleet("100/1h")
    hosts = [fleet.add() for _ in range(2)]
    hosts[0].begins(90)
    await asyncio.sleep(2)
    before = await fleet.server.counts()
    await fleet.server.forgets(silently=True)
    for _ in range(10):
        for host in hosts:
            host.begins(2)
        await asyncio.sleep(1)
    after = await fleet.server.counts()
    assert all(after[number] >= count for number, count in before.items())
    await asyncio.sleep(60)
    for host in hosts:
        host.begins(20)
        await asyncio.sleep(1)
    assert len(fleet.sent) <= 100
    await fleet.end()


@virtual
async def test_what_goes_back_is_known_to_a_host_that_does_not_ask():
    fleet = Fleet("1000/1d")
    host, idle = fleet.add(), fleet.add()
    host.begins(30)
    await asyncio.sleep(2)
    assert idle.quota.left(idle.clock.wall()) == 1000 - sum((await fleet.server.counts()).values()) < 970
    await host.ends()
    fleet.hosts.remove(host)
    await asyncio.sleep(120)
    assert idle.quota.left(idle.clock.wall()) == 970
    await fleet.end()


@virtual
async def test_what_could_not_be_told_at_once_is_told_later():
    fleet = Fleet("100/1h")
    host = fleet.add()
    host.begins(30)
    await asyncio.sleep(2.5)
    before = await fleet.server.counts()
    host.link.faults = 1.0
    await fleet.server.forgets()
    await asyncio.sleep(2)
    assert await fleet.server.counts() == {}
    host.link.faults = 0.0
    await asyncio.sleep(5)
    assert await fleet.server.counts() == before
    await fleet.end()


# -- reloads


@pytest.mark.parametrize(("after", "left"), [("200/1d", 190), ("5/1d", 0), ("100/2d", 90), ("100/12h", 90)])
def test_a_quota_that_is_changed_keeps_what_was_spent(after, left):
    @virtual
    async def run():
        fleet = Fleet("100/1d")
        host = fleet.add()
        host.begins(10)
        await asyncio.sleep(2)
        fleet.allowance = parse_allowance(after)
        quota = host.quota = host.leases.quota(LIST, fleet.allowance, host.quota)
        await asyncio.sleep(2)
        assert sum((await fleet.server.counts()).values()) == 10, "what was held of the old one is back"
        await host.ask()
        await asyncio.sleep(2)
        assert quota.left(host.clock.wall()) == max(0, left - 1)
        await fleet.end()

    run()


@virtual
async def test_a_list_that_is_no_more_gives_back_what_was_held_of_it():
    fleet = Fleet("100/1d")
    host = fleet.add()
    host.begins(10)
    await asyncio.sleep(2)
    host.leases.keep([])
    await asyncio.sleep(2)
    assert sum((await fleet.server.counts()).values()) == 10
    assert await host.ask() is None
    await fleet.end()


# -- behind the engine


class EngineHost:
    """A host whose list engine leases its quota."""

    def __init__(self, fleet, quota="40/1d"):
        self.host = fleet.add()
        memory = ListMemory(resolver := ScriptedResolver(), self.host.clock, Counters(), leases=self.host.leases)
        self.engine = Engine(specs(spamhaus_zen={"quota": quota}), resolver, self.host.clock, Counters(), memory=memory)
        resolver.meter = self.engine.meter
        self.resolver = resolver
        self.asked = 0

    async def asks(self, count):
        """What became of so many questions at once."""
        subjects = [client(self.asked + number) for number in range(count)]
        self.asked += count
        deadline = self.host.clock.monotonic() + 2
        asked = (self.engine.ask(ListLookup("spamhaus-zen", subject), deadline=deadline) for subject in subjects)
        return await asyncio.gather(*asked)


@virtual
async def test_lists_are_asked_on_leases():
    fleet = Fleet()
    hosts = [EngineHost(fleet) for _ in range(2)]
    replies = [await host.asks(20) for host in hosts]
    assert all(isinstance(reply, Clear) for each in replies for reply in each[:10])
    for _ in range(20):
        for host in hosts:
            last = await host.asks(2)
        await asyncio.sleep(5)
    assert sum(len(host.resolver.asked) for host in hosts) == 40
    assert last[-1] == Unknown(Why.QUOTA, "its quota of 40 questions is spent")
    assert [host.engine.status("spamhaus-zen").quota_left for host in hosts] == [0, 0]
    for host in hosts:
        assert host.engine.status("spamhaus-zen").state == "spent"
        await host.engine.aclose()
    await fleet.end()


@virtual
async def test_without_a_lease_a_list_is_not_asked_and_not_blamed():
    fleet = Fleet()
    asking = EngineHost(fleet, "4000/1d")
    asking.host.link.is_cut = True
    for _ in range(5):
        for reply in await asking.asks(3):
            assert reply == Unknown(Why.QUOTA, "nothing of its quota is to be had from the shared store")
    await asking.engine.probe("spamhaus-zen", deadline=asking.host.clock.monotonic() + 2)
    status = asking.engine.status("spamhaus-zen")
    assert (status.state, status.failed) == ("ok", 0)
    assert not asking.resolver.asked
    asking.host.link.is_cut = False
    await asyncio.sleep(40)
    assert all(isinstance(reply, Clear) for reply in await asking.asks(3))
    await asking.engine.aclose()
    await fleet.end()


@virtual
async def test_a_link_that_stalls_holds_nobody_up():
    fleet = Fleet()
    asking = EngineHost(fleet)
    asking.host.link.dies_after = 0
    begun = asking.host.clock.monotonic()
    await asking.asks(10)
    assert asking.host.clock.monotonic() - begun <= 2 * bounds.LIST_LEASE_WAIT
    await asking.engine.aclose()
    await asking.host.dies()
