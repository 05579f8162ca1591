"""Listings are re-verified for those whom nothing else speaks against: a list gone bad refuses no good client."""

import asyncio
from functools import partial
from ipaddress import ip_address
from itertools import count

from mailcases import attempt
from scriptedlists import SERVFAIL, ScriptedResolver, a, specs
from virtualtime import VirtualClock, virtual

from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.mail.findings import Action
from resolverd.mail.lookups import Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.service import PolicyService
from resolverd.policy.verdict import VerdictRules
from resolverd.policy.verdicts import VerdictStore
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset
from tests.unit.dnsbl.test_health import elsewhere
from tests.unit.policy.test_service import Greylist

CODES = ("127.0.0.4", "127.0.0.10", "127.0.0.4", "127.0.0.3", "127.0.0.2")
GOOD, BAD = ip_address("192.0.2.1"), ip_address("198.51.100.7")
HOST = "mail.example.com"


class Resolver(ScriptedResolver):
    """Lists answer at once, reverse names after 0.1 s."""

    def known(self, name, rtype):
        return None

    async def resolve(self, name, rtype, **options):
        await asyncio.sleep(0.1 if rtype == codes.PTR else 0)
        return await super().resolve(name, rtype, **options)


class World:
    """The policy service over the real engine, with zen alone: what it lists is decided at once, and no name is waited for."""

    def __init__(self, store=None, host="0" * 16):
        """`store`: one that it shares with others, as the host of this id."""
        self.resolver = Resolver()
        script = self.resolver.script
        script["1.2.0.192.in-addr.arpa PTR"] = Answer(
            codes.NOERROR, (RRset(b"\0", codes.PTR, 300, (from_text(HOST),)),)
        )
        script[HOST] = script["example.com"] = a(str(GOOD))
        self.counters = Counters()
        self.clock = VirtualClock()
        alone = {"dnswl": {"enabled": False}, "spamhaus_dbl": {"enabled": False}, "surbl": {"enabled": False}}
        memory = ListMemory(self.resolver, self.clock, self.counters)
        if store is not None:
            memory.share(store, self.clock, self.counters, lambda: host)
        self.engine = Engine(specs("tutorial", **alone), self.resolver, self.clock, self.counters, memory=memory)
        ids = count(1)
        checks = partial(build, PRESETS["tutorial"], options={"spf": SpfOptions(header="none")})
        self.policy = PolicyService(
            checks, self.engine, self.resolver, Greylist(), self.clock, VerdictRules(), self.counters,
            lambda: f"REF{next(ids)}", VerdictStore(MemoryStore(), self.clock, self.counters), hostname="mx.example.org",
        )  # fmt: skip

    async def verdict(self, client, number, name="unknown"):
        about = {"client_address": client, "client_name": name, "reverse_client_name": name}
        mail = {"helo_name": HOST, "sender": "joe@example.com", "recipient": "ann@example.org", "instance": f"{number}.1"}
        return await self.policy.verdict_on(attempt(**about, **mail), record=True)

    def lists(self, client, code):
        reverse = ".".join(reversed(str(client).split(".")))
        self.resolver.script[f"{reverse}.zen.spamhaus.org"] = a(code)

    @property
    def looks(self):
        return self.counters.get("list_reverifications", list="spamhaus-zen")


@virtual
async def test_spam_without_a_name_takes_no_reverification_from_the_good_client_of_a_list_gone_bad():
    w = World()
    for n in range(90):
        w.lists(client := elsewhere(n), CODES[n % 5])
        assert (await w.verdict(client, n)).action is Action.REJECT
    assert w.looks < 40
    w.resolver.wild = True
    w.resolver.script["zen.spamhaus.org"] = a("127.0.0.2")
    verdict = await w.verdict(GOOD, 1000, HOST)
    assert verdict.action is not Action.REJECT
    assert w.engine.status("spamhaus-zen").state == "suspended"
    await w.engine.aclose()


@virtual
async def test_spam_with_names_leaves_reverifications_for_the_known_good_client_of_a_list_gone_bad():
    w = World()
    w.engine.add_known_good(GOOD, [])
    for n in range(62):
        w.lists(client := elsewhere(n), CODES[n % 5])
        reverse = ".".join(reversed(str(client).split(".")))
        name = f"m{n}.example.net"
        w.resolver.script[f"{reverse}.in-addr.arpa PTR"] = Answer(
            codes.NOERROR, (RRset(b"\0", codes.PTR, 300, (from_text(name),)),)
        )
        w.resolver.script[name] = a(str(client))
        await asyncio.sleep(1)
        assert (await w.verdict(client, n, name)).action is Action.REJECT
    assert w.looks <= 41
    w.resolver.wild = True
    w.resolver.script["zen.spamhaus.org"] = a("127.0.0.2")
    assert (await w.verdict(GOOD, 1000, HOST)).action is not Action.REJECT
    assert w.engine.status("spamhaus-zen").state == "suspended"
    await w.engine.aclose()


@virtual
async def test_names_are_waited_for_only_when_few_reverifications_are_left():
    w = World()
    waited = []
    for n in range(60):
        w.lists(client := elsewhere(n), CODES[n % 5])
        await asyncio.sleep(1)
        began = w.clock.monotonic()
        await w.verdict(client, n)
        waited.append(round(w.clock.monotonic() - began, 3))
    assert waited[:20] == [0] * 20
    assert waited[-20:] == [0.1] * 20
    await w.engine.aclose()


@virtual
async def test_names_that_cannot_be_found_out_speak_against_nobody():
    w = World()
    for n in range(50):
        w.lists(client := elsewhere(n), CODES[n % 5])
        await asyncio.sleep(1)
        await w.verdict(client, n)
    spent = w.looks
    for n in range(100, 110):
        w.lists(client := elsewhere(n), CODES[n % 5])
        w.resolver.script[f"1.{n}.0.203.in-addr.arpa PTR"] = SERVFAIL
        await asyncio.sleep(1)
        await w.verdict(client, n)
    assert w.looks == spent + 10
    await w.engine.aclose()


@virtual
async def test_what_one_host_has_seen_refuses_nobody_at_another_and_counts_where_both_see_it():
    store = MemoryStore()
    liar, other = World(store, "1" * 16), World(store, "2" * 16)
    liar.lists(GOOD, "127.0.0.2")
    liar.lists(BAD, "127.0.0.4")
    other.lists(BAD, "127.0.0.4")
    for client in (BAD, GOOD):  # it refuses nobody, and has looked at the test point for the first one only
        lookup = ListLookup("spamhaus-zen", client)
        assert isinstance(await liar.engine.ask(lookup, deadline=liar.clock.monotonic() + 2), Listed)
        await asyncio.sleep(1)
    assert (await other.verdict(GOOD, 3, HOST)).action is not Action.REJECT
    assert (await other.verdict(BAD, 4, HOST)).action is Action.REJECT
    for world in (liar, other):
        await world.engine.aclose()
