"""What is known of lists beyond a configuration, and what of it goes with the key that has shaped it."""

import asyncio
from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, TIMEOUT, ScriptedResolver, a, denial, specs
from virtualtime import VirtualClock, virtual

from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.failures import Unknown, Why
from resolverd.generation import Generation
from resolverd.mail.lookups import Clear, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.wire.names import from_text
from resolverd.zones.guard import unused

CLIENT = ip_address("192.0.2.1")
ZEN = "1.2.0.192.zen.spamhaus.org"
ZONE = frozenset({from_text("zen.spamhaus.org")})


class World:
    def __init__(self, **tables):
        self.clock, self.resolver, self.counters, self.names = VirtualClock(), ScriptedResolver(), Counters(), Generation()
        self.script = self.resolver.script
        self.memory = ListMemory(self.resolver, self.clock, self.counters, names=self.names)
        self.reload(**tables)

    def reload(self, **tables):
        """Go on by another configuration."""
        lists = specs("tutorial", **tables)
        others = unused(CATALOGUE, lists)
        self.engine = Engine(lists, self.resolver, self.clock, self.counters, others=others, memory=self.memory)
        self.resolver.meter = self.engine.meter

    async def ask(self, name="spamhaus-zen", subject=CLIENT):
        return await self.engine.ask(ListLookup(name, subject), deadline=self.clock.monotonic() + 2)

    async def suspend(self):
        self.script[ZEN] = a("127.255.255.254")
        assert isinstance(await self.ask(), Unknown)

    def state(self, name="spamhaus-zen"):
        return self.engine.status(name).state


@virtual
async def test_replies_suspensions_counts_and_known_good_clients_survive():
    w = World(spamcop={"enabled": True})
    w.script[ZEN] = a("127.0.0.2")
    assert isinstance(await w.ask(), Listed)
    w.engine.add_known_good(CLIENT, ["spamcop"])
    before, asked = w.engine.status("spamhaus-zen"), list(w.resolver.asked)
    w.reload(spamcop={"enabled": True, "weight": 7})
    assert w.engine.status("spamhaus-zen") == before
    assert isinstance(await w.ask(), Listed)
    assert w.resolver.asked == asked
    w.script["1.2.0.192.bl.spamcop.net"] = a("127.0.0.2")
    await w.ask("spamcop")
    assert w.counters.get("list_anomalies", list="spamcop") == 1, "it did not list him the last time"
    await w.engine.aclose()


@virtual
async def test_a_suspension_survives_but_for_another_key():
    w = World()
    await w.suspend()
    w.reload(spamhaus_zen={"weight": 7})
    assert w.state() == "suspended"
    w.reload(spamhaus_zen={"key": "abcdefghijklmnopqrstuvwxyz"})
    assert w.state() == "ok"
    await w.engine.aclose()


@virtual
async def test_the_admins_switch_stays_until_the_configuration_says_otherwise():
    w = World()
    w.engine.disable("spamhaus-zen")
    w.engine.enable("surbl")
    for _ in range(2):
        w.reload(spamcop={"weight": 7})
        assert w.state() == "disabled"
        assert w.state("surbl") == "ok"
    w.reload(spamhaus_zen={"key": "abcdefghijklmnopqrstuvwxyz"})
    assert w.state() == "disabled"
    w.reload(spamhaus_zen={"enabled": False})
    w.reload(spamhaus_zen={"enabled": True})
    assert w.state() == "ok"
    await w.engine.aclose()


@virtual
async def test_what_was_spent_stays_spent_whatever_becomes_of_the_quota():
    w = World(spamhaus_zen={"quota": "100/1d"})
    for n in range(10):
        await w.ask(subject=ip_address(f"198.51.100.{n}"))
    left = w.engine.status("spamhaus-zen").quota_left
    assert left < 100
    w.reload(spamhaus_zen={"quota": "100/1d", "weight": 7})
    assert w.engine.status("spamhaus-zen").quota_left == left
    w.reload(spamhaus_zen={"quota": "50/1d"})
    assert w.engine.status("spamhaus-zen").quota_left == left - 50
    w.reload(spamhaus_zen={"quota": "100/1d", "key": "abcdefghijklmnopqrstuvwxyz"})
    assert w.engine.status("spamhaus-zen").quota_left == left
    await w.engine.aclose()


@virtual
async def test_a_rate_survives_and_changes_with_its_key():
    w = World(spamhaus_zen={"rate": "1/1h"})
    assert isinstance(await w.ask(), Clear)
    w.reload(spamhaus_zen={"rate": "1/1h", "weight": 7})
    assert (await w.ask(subject=ip_address("198.51.100.7"))).why is Why.QUOTA
    w.reload(spamhaus_zen={"rate": "100/1s"})
    assert isinstance(await w.ask(subject=ip_address("198.51.100.8")), Clear)
    await w.engine.aclose()


@virtual
async def test_replies_are_read_by_the_codes_of_the_configuration_in_force():
    codes = {"127.0.0.2": "one"}
    own = {"zone": "list.example", "kinds": ["ip4"], "number": 200, "weight": 1.0}
    w = World(own={**own, "codes": codes})
    w.script["1.2.0.192.list.example"] = a("127.0.0.2")
    assert (await w.ask("own")).codes == ("one",)
    w.reload(own={**own, "codes": {"127.0.0.2": "two"}})
    assert (await w.ask("own")).codes == ("two",)
    asked = len(w.resolver.asked)
    w.reload(own={**own, "codes": {"127.0.0.2": "two"}, "quota": "100/1d"})
    assert (await w.ask("own")).codes == ("two",)
    assert len(w.resolver.asked) == asked
    w.reload()
    assert w.engine.status("own") is None
    await w.engine.aclose()


CHANGES = {
    "zone": lambda w: w.engine.forget(ZONE),
    "flush": lambda w: w.engine.flush(None, None),
    "flush_name": lambda w: w.engine.flush(from_text(ZEN), None),
    "reload": lambda w: w.reload(spamhaus_zen={"weight": 7}),
    "enable": lambda w: w.engine.enable("spamhaus-zen"),
}


@pytest.mark.parametrize("change", CHANGES)
@virtual
async def test_a_reply_of_before_is_given_to_who_waits_and_not_kept(change):
    w = World()
    w.script[ZEN] = (0.5, a("127.0.0.2"))
    asking = asyncio.create_task(w.ask())
    await asyncio.sleep(0.1)
    begun = w.engine.generation
    CHANGES[change](w)
    assert w.engine.generation != begun
    assert isinstance(await asking, Listed)
    w.script[ZEN] = denial()
    assert isinstance(await w.ask(), Clear)
    await w.engine.aclose()


@virtual
async def test_who_asks_after_a_change_waits_for_no_query_of_before():
    w = World()
    w.script[ZEN] = (0.5, a("127.0.0.2"))
    asking = asyncio.create_task(w.ask())
    await asyncio.sleep(0.1)
    w.engine.forget(ZONE)
    w.script[ZEN] = denial()
    assert isinstance(await w.ask(), Clear)
    assert isinstance(await asking, Listed)
    assert isinstance(await w.ask(), Clear)
    await w.engine.aclose()


@virtual
async def test_the_generation_follows_a_lists_health():
    w = World(spamcop={"enabled": True})
    seen = [w.engine.generation]

    def changed():
        seen.append(w.engine.generation)
        return seen[-1] != seen[-2]

    await w.ask(subject=ip_address("198.51.100.1"))
    assert not changed(), "an answer changes nothing"
    await w.suspend()
    assert changed()
    await asyncio.sleep(400)
    w.script[ZEN] = denial()
    assert isinstance(await w.ask(), Clear)
    assert changed(), "it has recovered"
    w.engine.disable("spamhaus-zen")
    assert changed()
    w.engine.enable("spamhaus-zen")
    assert changed()
    w.script["bl.spamcop.net"] = TIMEOUT
    for n in range(3):
        await w.ask("spamcop", ip_address(f"198.51.100.{n}"))
    assert changed(), "it is skipped"
    w.engine.recover()
    assert changed()
    w.names.bump()
    assert changed(), "lists are asked through names"
    await w.engine.aclose()
