"""Quotas as budgets: every query that leaves is paid for, retries too; the warning, the forecast, the reserve, and the books."""

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptedlists import CATALOGUE, a, spec, specs
from scriptednet import Net, ScriptedResolver, reply_to
from virtualtime import VirtualClock, virtual

from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_state import ListState, QuotaMeter
from resolverd.dnsbl.quota import Allowance, Budget
from resolverd.dnsbl.quota_slots import TABLE
from resolverd.dnsbl.quota_store import EVERY, OLD_TABLE, READ_EVERY, QuotaStore
from resolverd.failures import StoreError, Unknown, Why
from resolverd.mail.lookups import SKIPPED, Clear, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from resolverd.wire.ask import Failed
from resolverd.wire.names import from_text
from resolverd.zones.guard import unused
from tests.unit.dnsbl.test_engine import CLIENT, World, client, world

DAY = 86400.0
START = 1_800_000_000.0


# -- who pays for what


@pytest.mark.parametrize(
    ("qname", "zone", "pays"),
    [
        ("1.2.0.192.zen.spamhaus.org", "zen.spamhaus.org", True),
        ("1.2.0.192.zen.spamhaus.org", "192.zen.spamhaus.org", True),
        ("1.2.0.192.zen.spamhaus.org", "spamhaus.org", True),
        ("1.2.0.192.zen.spamhaus.org", "org", False),
        ("1.2.0.192.zen.spamhaus.org", ".", False),
        ("www.spamhaus.org", "spamhaus.org", False),
        ("a.gns.spamhaus.org", "spamhaus.org", False),
        ("1.2.0.192.bl.spamcop.net", "bl.spamcop.net", False),
        # a forwarder asks for us: then the name itself stands in place of the zone
        ("1.2.0.192.zen.spamhaus.org", "1.2.0.192.zen.spamhaus.org", True),
    ],
)
def test_who_pays(qname, zone, pays):
    @virtual
    async def run():
        state = ListState(spec("spamhaus-zen"), enabled=True)
        meter = QuotaMeter([state], VirtualClock(), Counters())
        assert meter.charge(from_text(qname), from_text(zone))
        assert state.asked == pays

    run()


@virtual
async def test_a_referral_from_above_is_free_and_one_from_the_list_itself_is_not():
    state = ListState(spec("spamhaus-zen"), enabled=True)
    meter = QuotaMeter([state], VirtualClock(), Counters())
    name = from_text("1.2.0.192.zen.spamhaus.org")
    for zone, asked in [("spamhaus.org", 0), ("zen.spamhaus.org", 1)]:
        meter.charge(name, from_text(zone))
        meter.referred(name, from_text(zone))
        assert state.asked == asked
        assert state.budget.left(START) == 300_000 - asked
    meter.adjust(name, from_text("zen.spamhaus.org"), 2)
    meter.adjust(name, from_text("zen.spamhaus.org"), -1)
    assert state.asked == 2


# -- over the real recursion: sent = accounted, whatever is lost


class Books:
    """The recursion of a small internet with zen in it, whose server loses packets; and the engine with its books before it."""

    def __init__(self, tmp_path, lose=lambda number: False, **tables):
        net = Net()
        org = net.zone("org", {"ns.org": "192.5.6.30"})
        operator = net.zone("spamhaus.org", {"ns.spamhaus.org": "192.5.6.31"}, parent=org)
        net.zone("zen.spamhaus.org", {"a.zen-ns.spamhaus.org": "192.5.6.32"}, parent=operator)
        net.serve("192.5.6.32", self.serve)
        self.received = 0
        self.lose = lose
        lists = specs(**tables)
        resolver = ScriptedResolver(net, tmp_path, list_zones=("zen.spamhaus.org",))
        self.counters = Counters()
        self.engine = Engine(lists, resolver.parts.resolve, resolver.clock, self.counters, others=unused(CATALOGUE, lists))
        resolver.parts.mesh.recursions.meter = self.engine.meter

    def serve(self, query, ask):
        self.received += 1
        if self.lose(self.received):
            return Failed.TIMEOUT
        soa = "zen.spamhaus.org 300 SOA ns.spamhaus.org. hostmaster.spamhaus.org. 1 600 300 86400 300"
        return reply_to(query, authority=soa, rcode="NXDOMAIN")


def sent_and_accounted(tmp_path, lose, count=40, **tables):
    books = {}

    @virtual
    async def run():
        made = Books(tmp_path, lose, **tables)
        loop = asyncio.get_running_loop()
        for n in range(count):
            await made.engine.ask(ListLookup("spamhaus-zen", client(n)), deadline=loop.time() + 4)
            await asyncio.sleep(6)
        await asyncio.sleep(30)
        books["sent"] = made.received
        books["state"] = made.engine.status("spamhaus-zen")
        books["counted"] = made.counters.get("list_queries", list="spamhaus-zen")
        await made.engine.aclose()

    run()
    return books


@pytest.mark.parametrize("lose", [lambda n: False, lambda n: n % 3 == 0, lambda n: n % 7 < 3], ids=["none", "a third", "in rows"])
def test_sent_is_accounted_under_loss(tmp_path, lose):
    books = sent_and_accounted(tmp_path, lose)
    assert books["sent"] >= 40
    assert books["sent"] == books["state"].asked == books["counted"] == 300_000 - books["state"].quota_left


def test_not_one_query_beyond_the_quota_even_in_the_middle_of_retries(tmp_path):
    books = sent_and_accounted(tmp_path, lambda n: n % 3 == 0, spamhaus_zen={"quota": "20/1d"})
    assert books["sent"] == 20
    assert books["state"].state == "spent"
    assert books["state"].quota_left == 0


def test_a_quota_that_ends_in_a_question_is_no_failure_of_the_list(tmp_path):
    books = sent_and_accounted(tmp_path, lambda n: True, count=3, spamhaus_zen={"quota": "1/1d"})
    assert books["sent"] == 1
    assert books["state"].failed == 0


# -- the warning and the forecast


def test_most_of_a_quota_spent_is_told_once(caplog):
    @virtual
    async def run():
        async with world(spamhaus_zen={"quota": "100/1d"}) as w:
            for n in range(100):
                await w.ask("spamhaus-zen", client(n))
                await asyncio.sleep(10)

    with caplog.at_level(logging.WARNING):
        run()
    response = [message for message in caplog.messages if "of its quota" in message]
    assert len(response) == 1
    assert response[0].startswith("list spamhaus-zen: 80% of its quota of 100 questions is spent; the rest lasts about")


@pytest.mark.parametrize(
    ("per_hour", "hours", "low", "high"),
    [
        (100, 6, 3.5, 4.5),  # 600 of 1000 in six hours: four hours more
        (30, 12, None, None),  # 720 a day is less than the quota
        (1000, 1, 0, 0),
    ],
)
def test_forecast(per_hour, hours, low, high):
    budget = Budget(Allowance(1000, DAY))
    for minute in range(hours * 60):
        for _ in range(per_hour // 60 + (minute % 60 < per_hour % 60)):
            budget.spend(START + minute * 60)
    ahead = budget.forecast(START + hours * 3600 - 1)
    if low is None:
        assert ahead is None
    else:
        assert low * 3600 <= ahead <= high * 3600


@given(st.lists(st.tuples(st.floats(0, 7200), st.integers(1, 50)), max_size=60), st.floats(0, DAY))
def test_a_forecast_is_a_time_to_come_or_none(steps, after):
    budget = Budget(Allowance(500, DAY))
    now = START
    for wait, count in steps:
        now += wait
        for _ in range(count):
            budget.spend(now)
    ahead = budget.forecast(now + after)
    assert (ahead == 0) == (budget.left(now + after) == 0)
    assert ahead is None or 0 <= ahead <= 26 / 24 * DAY


# -- the reserve


@virtual
async def test_the_reserve_is_for_clients_on_which_nothing_else_has_decided():
    async with world(spamhaus_zen={"quota": "20/1d"}, psbl={"enabled": True}) as w:
        for n in range(18):
            await w.ask("spamhaus-zen", client(n))
        zen, psbl, dnswl = (ListLookup(name, CLIENT) for name in ("spamhaus-zen", "psbl", "dnswl"))
        assert w.engine.stage(zen) > w.engine.stage(psbl) == w.engine.stage(dnswl) == 0
        replies = await w.ask_all(client(50), background=True)
        assert replies["spamhaus-zen"] == Unknown(Why.QUOTA, "what is left of its quota is kept for verdicts")
        assert isinstance(replies["psbl"], Clear)
        w.script["psbl.surriel.com"] = a("127.0.0.2")
        replies = await w.ask_all(client(51), enough=lambda replies, open_: any(isinstance(r, Listed) for r in replies.values()))
        assert replies["spamhaus-zen"] is SKIPPED
        assert isinstance(await w.ask("spamhaus-zen", client(52)), Clear)
        assert w.sent("spamhaus-zen") == 19


# -- quotas in the store


@virtual
async def test_quotas_are_kept_across_restarts():
    store = MemoryStore()
    clock = VirtualClock()
    first = World(specs(spamhaus_zen={"quota": "10/1d"}))
    running = asyncio.create_task(QuotaStore(store, clock, lambda: first.engine).run())
    await asyncio.sleep(0)
    for n in range(4):
        await first.ask("spamhaus-zen", client(n))
    await asyncio.sleep(EVERY + 0.1)
    running.cancel()

    again = World(specs(spamhaus_zen={"quota": "10/1d"}))
    await again.ask("spamhaus-zen", client(100))
    running = asyncio.create_task(QuotaStore(store, clock, lambda: again.engine).run())
    await asyncio.sleep(0.1)
    assert again.engine.status("spamhaus-zen").quota_left == 5, "what was spent before the store was read counts too"
    await asyncio.sleep(EVERY + 0.1)
    running.cancel()
    third = World(specs(spamhaus_zen={"quota": "10/12h"}))
    running = asyncio.create_task(QuotaStore(store, clock, lambda: third.engine).run())
    await asyncio.sleep(0.1)
    assert third.engine.status("spamhaus-zen").quota_left == 5, "and whatever the period is now"
    await asyncio.sleep(2 * READ_EVERY)
    assert third.engine.status("spamhaus-zen").quota_left == 5
    running.cancel()
    for each in (first, again, third):
        await each.engine.aclose()


@pytest.mark.parametrize("octets", [b"", b"{", b"[1]", b'[["x", 1]]', b"null", b"\xff", json.dumps([[1, "y"]]).encode()])
def test_damaged_records_are_none(octets):
    @virtual
    async def run():
        w = World(specs(spamhaus_zen={"quota": "10/1d"}))
        store = MemoryStore()
        store.put(TABLE, b"spamhaus-zen", octets, 4e9)
        store.put(OLD_TABLE, b"spamhaus-zen", octets, 4e9)
        store.put(TABLE, b"spamhaus-zen 3600.0 %d" % (w.clock.wall() // 3600), octets, 4e9)
        running = asyncio.create_task(QuotaStore(store, w.clock, lambda: w.engine).run())
        await asyncio.sleep(0.1)
        assert w.engine.status("spamhaus-zen").quota_left == 10
        assert not running.done()
        running.cancel()

    run()


@virtual
async def test_a_store_that_fails_stops_nothing():
    class Broken(MemoryStore):
        async def get(self, table, key, now):
            raise StoreError("full")

        def put(self, table, key, value, expires):
            raise StoreError("full")

    w = World(specs(spamhaus_zen={"quota": "10/1d"}))
    running = asyncio.create_task(QuotaStore(Broken(), w.clock, lambda: w.engine).run())
    await w.ask("spamhaus-zen")
    await asyncio.sleep(10)
    assert not running.done()
    running.cancel()
    await w.engine.aclose()


class Host:
    """A host with its list engine, and its share of a store."""

    def __init__(self, store, quota="100/1d", clock=None):
        self.world = World(specs(spamhaus_zen={"quota": quota}))
        self.engine = self.world.engine
        self.kept = QuotaStore(store, clock or self.world.clock, lambda: self.engine)
        self.running = asyncio.create_task(self.kept.run())
        self._asked = 0

    async def asks(self, count):
        for _ in range(count):
            self._asked += 1
            await self.world.ask("spamhaus-zen", client(self._asked))

    @property
    def left(self):
        return self.engine.status("spamhaus-zen").quota_left

    async def dies(self):
        self.running.cancel()
        await self.world.engine.aclose()


async def stored_counts(store):
    return {entry.key: int(entry.value) async for entry in store.scan(TABLE, 0)}


@virtual
async def test_hosts_of_one_store_share_their_quotas():
    store = MemoryStore()
    hosts = [Host(store) for _ in range(3)]
    await hosts[0].asks(5)
    await hosts[1].asks(7)
    await asyncio.sleep(2 * EVERY)
    await hosts[0].asks(1)
    await asyncio.sleep(2 * EVERY)
    assert hosts[0].left == 100 - 13, "whoever spends of it learns what others have"
    await asyncio.sleep(READ_EVERY + 1)
    assert [host.left for host in hosts] == [100 - 13] * 3
    await asyncio.sleep(3600)
    await hosts[2].asks(2)
    await asyncio.sleep(READ_EVERY + 1)
    assert [host.left for host in hosts] == [100 - 15] * 3
    assert sorted((await stored_counts(store)).values()) == [2, 13]
    late = Host(store)
    await asyncio.sleep(EVERY)
    assert late.left == 100 - 15
    for host in [*hosts, late]:
        await host.dies()


@virtual
async def test_what_the_first_version_has_kept_is_taken_up_once():
    store = MemoryStore()
    for _ in range(3):
        host = Host(store)
        if not await stored_counts(store):
            now = host.world.clock.wall()
            spent = [[now // 3600 * 3600 - 7200, 4], [now // 3600 * 3600, 6]]
            store.put(OLD_TABLE, b"spamhaus-zen", json.dumps(spent).encode(), 4e9)
        await asyncio.sleep(EVERY + 0.1)
        assert host.left == 90
        assert await store.get(OLD_TABLE, b"spamhaus-zen", 0) is None
        await host.dies()


@virtual
async def test_what_could_not_be_added_is_added_once_the_store_works_again(caplog):
    class Failing(MemoryStore):
        fails = False

        def put(self, table, key, value, expires):
            if self.fails:
                raise StoreError("full")
            super().put(table, key, value, expires)

    store = Failing()
    host = Host(store)
    await host.asks(2)
    await asyncio.sleep(2 * EVERY)
    store.fails = True
    await host.asks(3)
    await asyncio.sleep(READ_EVERY * 2)
    assert sum((await stored_counts(store)).values()) == 2
    assert len([each for each in caplog.records if "is not stored" in each.message]) == 1, "it is told once"
    store.fails = False
    await asyncio.sleep(2 * EVERY)
    assert sum((await stored_counts(store)).values()) == 5
    assert host.left == 95
    await host.dies()


@virtual
async def test_a_reload_with_another_period_neither_loses_nor_doubles():
    store = MemoryStore()
    host = Host(store)
    await host.asks(5)
    await asyncio.sleep(2 * EVERY)
    for quota in ("100/2d", "100/1d", "100/6h"):
        changed = World(specs(spamhaus_zen={"quota": quota}))
        changed.engine.restore(host.engine.budgets())
        host.engine = changed.engine
        await asyncio.sleep(2 * EVERY)
        assert host.left == 95
        assert list((await stored_counts(store)).values()) == [5]
        again = Host(store, quota)
        await asyncio.sleep(EVERY)
        assert again.left == 95
        await again.dies()
        await changed.engine.aclose()
    await host.dies()


@virtual
async def test_a_list_that_is_not_asked_for_a_while_has_its_quota_as_before():
    store = MemoryStore()
    host = Host(store)
    await host.asks(5)
    await asyncio.sleep(2 * EVERY)
    before = host.engine
    host.engine = World(()).engine
    await asyncio.sleep(2 * EVERY)
    assert "spamhaus-zen" not in host.engine.budgets()
    host.engine = World(specs(spamhaus_zen={"quota": "100/1d"})).engine
    await asyncio.sleep(2 * EVERY)
    assert host.left == 95
    assert list((await stored_counts(store)).values()) == [5]
    host.engine = before
    await host.dies()


@virtual
async def test_a_clock_set_back_gives_nothing_back():
    store = MemoryStore()
    host = Host(store)
    await host.asks(5)
    await asyncio.sleep(2 * EVERY)
    await host.dies()
    clock = VirtualClock()
    clock.set_wall(clock.wall() - 30 * DAY)
    for _ in range(2):
        again = Host(store, clock=clock)
        again.world.clock.set_wall(clock.wall())
        await asyncio.sleep(2 * EVERY)
        assert again.left == 95
        assert list((await stored_counts(store)).values()) == [5]
        await again.dies()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=30), st.sampled_from([3600.0, 43200.0, DAY, 7 * DAY]))
def test_restoring_never_gives_anything_back(spent, period):
    budget = Budget(Allowance(1000, DAY))
    for hour, count in sorted(spent):
        for _ in range(count):
            budget.spend(START + hour * 3600)
    now = START + 30 * 3600
    again = Budget(Allowance(1000, DAY))
    again.restore(json.loads(json.dumps(budget.state())), now)
    assert again.left(now) == budget.left(now)
    other = Budget(Allowance(1000, period))
    other.restore(budget.state(), now)
    recent = sum(count for hour, count in spent if now - (START + hour * 3600) < min(period, DAY) * 0.9)
    assert 1000 - other.left(now) >= recent
