"""The combined zone and guarded lists as DNS, on virtual time, over the real engine."""

import asyncio
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import pytest
from scriptedlists import CATALOGUE, REFUSED, SERVFAIL, TIMEOUT, ScriptedResolver, a, denial, specs, txt
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.health import CANARY_TTL
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.policy.client_names import ClientNames
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.rbldnsd import FORMATS
from resolverd.resolver.local.table import LocalZones
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset, Security
from resolverd.zones.answer import Answerer
from resolverd.zones.guard import GuardTable, unused
from resolverd.zones.lists import ListZones, ZoneRules
from resolverd.zones.override_lookup import OverrideLookup

ORIGIN = "rbl.internal"
LISTED = ["127.0.0.2", "127.0.1.1"]


class Own:
    def __init__(self, table):
        self.table = table


class World:
    def __init__(self, preset="tutorial", rules=None, **tables):
        lists = specs(preset, **tables)
        self.clock = VirtualClock()
        self.resolver = ScriptedResolver()
        self.script, self.asked = self.resolver.script, self.resolver.asked
        self.engine = Engine(lists, self.resolver, self.clock, Counters(), others=unused(CATALOGUE, lists))
        self.resolver.meter = self.engine.meter
        self.book = OverrideStore(MemoryStore(), self.clock, Counters())
        self.zones = ListZones(
            from_text(ORIGIN), self.engine, rules or ZoneRules(), self.clock,
            guard=GuardTable(CATALOGUE, lists),
            overrides=OverrideLookup(self.book, ClientNames(self.resolver, self.clock), self.clock),
        )  # fmt: skip

    async def answer(self, name, rtype=codes.A, **kwargs):
        name = from_text(name)
        assert self.zones.owns(name)
        known, sent = self.zones.known(name, rtype), len(self.asked)
        answer = await self.zones.answer(name, rtype, **kwargs)
        assert known is None or (known, sent) == (answer, len(self.asked)), "what needs no waiting is what waiting brings"
        return answer

    async def a(self, name, **kwargs):
        """The addresses of a positive answer, or the RCODE's name."""
        answer = await self.answer(name, **kwargs)
        assert not answer.keep
        assert answer.security is Security.UNKNOWN
        if answer.answer:
            (rrset,) = answer.answer
            assert rrset.owner == from_text(name)
            return [str(IPv4Address(each)) for each in rrset.rdatas]
        if answer.rcode in (codes.NOERROR, codes.NXDOMAIN):
            assert [rrset.rtype for rrset in answer.authority] == [codes.SOA]
        return "NODATA" if answer.rcode == codes.NOERROR else codes.rcode_text(answer.rcode)

    async def txt(self, name, **kwargs):
        answer = await self.answer(name, codes.TXT, **kwargs)
        if not answer.answer:
            return codes.rcode_text(answer.rcode)
        (rrset,) = answer.answer
        return [[part.decode() for part in rdata.strings(each)] for each in rrset.rdatas]


@asynccontextmanager
async def world(preset="tutorial", **kwargs):
    made = World(preset, **kwargs)
    yield made
    await made.engine.aclose()


@virtual
async def test_bl():
    async with world() as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2", "127.0.0.4", ttl=120)
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        ((text,),) = await w.txt("4.3.2.1.bl.rbl.internal")
        assert text.startswith("listed by zen.spamhaus.org (SBL: ")
        assert text.endswith(", see https://www.spamhaus.org/query/ip/1.2.3.4")
        assert len(w.asked) == 2, "the TXT is of the same evaluation"
        answer = await w.answer("4.3.2.1.bl.rbl.internal")
        assert (answer.aa, answer.answer[0].ttl) == (True, 120)


@virtual
async def test_unlisted():
    async with world() as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = denial(ttl=200, minimum=150)
        w.script["4.3.2.1.list.dnswl.org"] = denial(ttl=2000, minimum=2000)
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        assert await w.txt("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        (soa,) = (await w.answer("4.3.2.1.bl.rbl.internal")).authority
        assert soa.ttl == 150


@virtual
async def test_an_allow_list_saves():
    async with world() as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
        w.script["4.3.2.1.list.dnswl.org"] = a("127.0.5.2")
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        assert await w.a("4.3.2.1.wl.rbl.internal") == ["127.0.5.2"]
        assert await w.a("4.3.2.1.score.rbl.internal") == ["127.0.2.6", "127.0.1.1"]


@virtual
async def test_an_allow_list_over_quota_saves_nobody():
    async with world() as w:
        w.script["zen.spamhaus.org"] = a("127.0.0.2")
        w.script["list.dnswl.org"] = a("127.0.10.3")
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        assert await w.a("4.3.2.1.wl.rbl.internal") == "NXDOMAIN"


TROUBLE = [
    a("192.0.2.1"),
    a("127.255.255.254"),
    a("127.0.0.99"),
    SERVFAIL,
    TIMEOUT,
    REFUSED,
    (9.0, a("127.0.0.2")),
    RuntimeError(),
]


@pytest.mark.parametrize(
    "trouble", TROUBLE, ids=["parked", "error code", "unknown code", "servfail", "unreachable", "refused", "silent", "bug"]
)
def test_a_list_in_trouble_never_lists(trouble):
    @virtual
    async def run():
        async with world() as w:
            w.script["zen.spamhaus.org"] = w.script["dbl.spamhaus.org"] = trouble
            start = w.clock.monotonic()
            for n in range(10):
                assert await w.a(f"{n}.3.2.1.bl.rbl.internal") == "NXDOMAIN"
                assert await w.a(f"{n}.3.2.1.score.rbl.internal") == "NXDOMAIN"
                assert await w.a(f"{n}.3.2.1.zen.spamhaus.org") == "NXDOMAIN"
                assert await w.a(f"host{n}.com.dbl.rbl.internal") == "NXDOMAIN"
                assert await w.a(f"host{n}.com.dbl.spamhaus.org") == "NXDOMAIN"
                assert w.clock.monotonic() - start <= 10, "five answers in at most 2 s each"
                start = w.clock.monotonic()

    run()


@virtual
async def test_partial_answers_come_in_time_and_are_kept_briefly():
    async with world("scored") as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2", ttl=3000)
        w.script["4.3.2.1.bl.spamcop.net"] = (9.0, a("127.0.0.2"))
        start = w.clock.monotonic()
        answer = await w.answer("4.3.2.1.score.rbl.internal")
        assert w.clock.monotonic() - start <= 2.0
        assert answer.answer[0].ttl <= 60
        assert [str(IPv4Address(each)) for each in answer.answer[0].rdatas] == ["127.0.2.6", "127.0.1.1"]


@virtual
async def test_a_text_is_of_the_same_evaluation_as_its_address():
    async with world("scored") as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
        w.script["4.3.2.1.bl.spamcop.net"] = (2.5, a("127.0.0.2"))
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        await asyncio.sleep(1)
        ((text,),) = await w.txt("4.3.2.1.bl.rbl.internal")
        assert "zen.spamhaus.org" in text
        await asyncio.sleep(6)
        assert await w.a("4.3.2.1.bl.rbl.internal") == [*LISTED, "127.0.1.4"], "the late reply was kept"


@virtual
async def test_scored_needs_its_points():
    async with world("scored", rules=ZoneRules(listed_at=6)) as w:
        w.script["4.3.2.1.bl.spamcop.net"] = a("127.0.0.2")
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        assert await w.a("4.3.2.1.score.rbl.internal") == ["127.0.2.3", "127.0.1.4"]
        await asyncio.sleep(61)
        w.script["5.3.2.1.bl.spamcop.net"] = w.script["5.3.2.1.psbl.surriel.com"] = a("127.0.0.2")
        assert await w.a("5.3.2.1.bl.rbl.internal") == ["127.0.0.2", "127.0.1.4", "127.0.1.5"]
        ((first, second),) = await w.txt("5.3.2.1.bl.rbl.internal")
        assert first.startswith("listed by bl.spamcop.net")
        assert second.startswith(" / listed by psbl.surriel.com")


ABUSED = ["127.0.1.102", "127.0.1.103", "127.0.1.104", "127.0.1.105", "127.0.1.106"]


@virtual
async def test_a_listing_of_no_points_is_no_listing():
    """An abused but legitimate domain, under ``listed_at = "any"``; and a list that the admin gives no points."""
    async with world(spamcop={"enabled": True, "weight": 0}) as w:
        for at, code in enumerate(ABUSED):
            w.script[f"host{at}.com.dbl.spamhaus.org"] = a(code)
            assert await w.a(f"host{at}.com.dbl.rbl.internal") == "NXDOMAIN"
            assert await w.txt(f"host{at}.com.dbl.rbl.internal") == "NXDOMAIN"
        w.script["4.3.2.1.bl.spamcop.net"] = a("127.0.0.2")
        for tree in ("bl", "score"):
            assert await w.a(f"4.3.2.1.{tree}.rbl.internal") == "NXDOMAIN"


@virtual
async def test_a_listing_of_no_points_does_not_stand_beside_one_that_counts():
    async with world(spamcop={"enabled": True, "weight": 0}) as w:
        w.script["4.3.2.1.bl.spamcop.net"] = w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        assert await w.a("4.3.2.1.score.rbl.internal") == ["127.0.2.6", "127.0.1.1"]


@virtual
async def test_what_the_admin_does_not_count_is_not_handed_on_in_the_lists_own_zone():
    async with world(spamhaus_dbl={"codes": {"127.0.1.[2..99]": "listed"}}) as w:
        w.script["abused.com.dbl.spamhaus.org"] = a("127.0.1.102")
        w.script["spam.com.dbl.spamhaus.org"] = a("127.0.1.2")
        assert await w.a("abused.com.dbl.spamhaus.org") == "NXDOMAIN"
        assert await w.a("spam.com.dbl.spamhaus.org") == ["127.0.1.2"]
        assert await w.a("dbltest.com.dbl.spamhaus.org") == "NXDOMAIN"


@virtual
async def test_dbl():
    async with world() as w:
        w.script["www.example.com.dbl.spamhaus.org"] = a("127.0.1.2")
        assert await w.a("www.example.com.dbl.rbl.internal") == ["127.0.0.2", "127.0.1.2"]
        assert await w.a("example.com.dbl.rbl.internal") == "NXDOMAIN"
        assert await w.a("com.dbl.rbl.internal") == "NODATA"
        assert await w.a("x.nosuchtld.dbl.rbl.internal") == "NXDOMAIN"
        assert w.asked == ["www.example.com.dbl.spamhaus.org", "example.com.dbl.spamhaus.org"]


@virtual
async def test_ipv6_and_mapped_addresses():
    async with world() as w:
        nibbles = "1." + "0." * 23 + "8.b.d.0.1.0.0.2"
        w.script[f"{nibbles}.zen.spamhaus.org"] = a("127.0.0.3")
        assert await w.a(f"{nibbles}.bl.rbl.internal") == LISTED
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.3")
        assert await w.a("4.0.3.0.2.0.1.0.f.f.f.f." + "0." * 20 + "bl.rbl.internal") == LISTED


@virtual
async def test_only_the_lists_that_matter_are_asked():
    async with world() as w:
        await w.a("4.3.2.1.wl.rbl.internal")
        assert w.asked == ["4.3.2.1.list.dnswl.org"]
        await w.a("4.3.2.1.score.rbl.internal")
        assert w.asked[1:] == ["4.3.2.1.zen.spamhaus.org"]
        await w.a("4.3.2.1.bl.rbl.internal")
        assert len(w.asked) == 2


FIXED = [
    ("rbl.internal", codes.SOA, "NOERROR"),
    ("rbl.internal", codes.NS, "NOERROR"),
    ("rbl.internal", codes.A, "NODATA"),
    ("bl.rbl.internal", codes.A, "NODATA"),
    ("2.1.bl.rbl.internal", codes.A, "NODATA"),
    ("nosuch.rbl.internal", codes.A, "NXDOMAIN"),
    ("4.3.2.1.bl.rbl.internal", codes.AAAA, "NODATA"),
    ("4.3.2.1.bl.rbl.internal", codes.MX, "NODATA"),
    ("2.0.0.127.bl.rbl.internal", codes.A, "NOERROR"),
    ("2.0.0.127.bl.rbl.internal", codes.TXT, "NOERROR"),
    ("1.0.0.127.bl.rbl.internal", codes.A, "NXDOMAIN"),
    ("2.0.0.127.score.rbl.internal", codes.A, "NOERROR"),
    ("2.0.0.127.wl.rbl.internal", codes.A, "NOERROR"),
    ("2.0.0.0.0.0.f.7.f.f.f.f." + "0." * 20 + "bl.rbl.internal", codes.A, "NOERROR"),
    ("1.0.0.0.0.0.f.7.f.f.f.f." + "0." * 20 + "bl.rbl.internal", codes.A, "NXDOMAIN"),
    ("test.dbl.rbl.internal", codes.A, "NOERROR"),
    ("invalid.dbl.rbl.internal", codes.A, "NXDOMAIN"),
    ("1.0.0.10.bl.rbl.internal", codes.A, "NXDOMAIN"),
    ("1.1.168.192.bl.rbl.internal", codes.A, "NXDOMAIN"),
    ("4.3.2.1.noptr.rbl.internal", codes.A, "NXDOMAIN"),
    ("4.3.2.1.why.rbl.internal", codes.TXT, "NXDOMAIN"),
    ("_status.rbl.internal", codes.A, "NODATA"),
    ("x._status.rbl.internal", codes.TXT, "NXDOMAIN"),
]


@pytest.mark.parametrize(("name", "rtype", "outcome"), FIXED)
def test_what_needs_no_list(name, rtype, outcome):
    @virtual
    async def run():
        async with world() as w:
            answer = await w.answer(name, rtype)
            said = "NODATA" if answer.rcode == codes.NOERROR and not answer.answer else codes.rcode_text(answer.rcode)
            assert said == outcome
            assert bool(answer.authority) == (outcome != "NOERROR")
            assert (answer.aa, answer.keep) == (True, False)
            assert w.asked == []

    run()


@virtual
async def test_status():
    async with world() as w:
        texts = [text for (text,) in await w.txt("_status.rbl.internal")]
        assert [text.partition(":")[0] for text in texts] == ["spamhaus-zen", "spamhaus-dbl", "dnswl"]
        assert texts[0] == "spamhaus-zen: ok, 0 asked, 0 listed, 0 failed, 300000 of 300000 left"
        w.script["zen.spamhaus.org"] = a("127.255.255.254")
        await w.a("4.3.2.1.bl.rbl.internal")
        ((first,), *_) = await w.txt("_status.rbl.internal")
        assert first.startswith("spamhaus-zen: suspended, 1 asked, 0 listed, 1 failed")


@virtual
async def test_overrides_hold_at_once():
    async with world() as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        await w.book.set(NewOverride(key_of("allow", "1.2.3.4")))
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        assert await w.a("4.3.2.1.wl.rbl.internal") == ["127.0.20.3"]
        await w.book.set(NewOverride(key_of("deny", "1.2.3.5")))
        assert await w.a("5.3.2.1.bl.rbl.internal") == ["127.0.0.2"]
        assert "own rules" in (await w.txt("5.3.2.1.bl.rbl.internal"))[0][0]


def ptr(name, ttl=300):
    return Answer(codes.NOERROR, (RRset(b"\0", codes.PTR, ttl, (from_text(name),)),))


ZONES = ("bl.rbl.internal", "wl.rbl.internal", "score.rbl.internal", "zen.spamhaus.org", "list.dnswl.org")
NX, OWN, THEIRS = "NXDOMAIN", "127.0.20.3", "127.0.5.0"
SCORE = ["127.0.2.6", "127.0.1.1"]
DENIED = [LISTED, NX, ["127.0.2.254", "127.0.1.1"], ["127.0.0.2"], NX]
ALLOWED = [NX, [OWN, THEIRS], SCORE, NX, [THEIRS]]
UNTOUCHED = [LISTED, [THEIRS], SCORE, ["127.0.0.4"], [THEIRS]]


@pytest.mark.parametrize(
    ("action", "subject", "said"),
    [
        ("allow", "1.2.3.7", ALLOWED),
        ("allow", "1.2.3.0/24", ALLOWED),
        ("allow", "mail.example.com", ALLOWED),
        ("allow", "example.com", ALLOWED),
        ("allow", "other.example.com", UNTOUCHED),
        ("allow", "bob@example.com", UNTOUCHED),
        ("deny", "1.2.3.7", DENIED),
        ("deny", "1.0.0.0/8", DENIED),
        ("deny", "example.com", DENIED),
        ("deny", "com", DENIED),
        ("deny", "example.net", UNTOUCHED),
    ],
)
@virtual
async def test_overrides_reach_every_zone(action, subject, said):
    async with world() as w:
        w.script["7.3.2.1.in-addr.arpa PTR"] = ptr("mail.example.com")
        w.script["mail.example.com"] = a("1.2.3.7")
        w.script["7.3.2.1.zen.spamhaus.org"] = a("127.0.0.4")
        w.script["7.3.2.1.list.dnswl.org"] = a(THEIRS)
        assert [await w.a(f"7.3.2.1.{zone}") for zone in ZONES] == UNTOUCHED
        await w.book.set(NewOverride(key_of(action, subject)))
        assert [await w.a(f"7.3.2.1.{zone}") for zone in ZONES] == said
        await w.book.forget([key_of(action, subject)])
        assert [await w.a(f"7.3.2.1.{zone}") for zone in ZONES] == UNTOUCHED


@pytest.mark.parametrize("subject", ["1.2.3.7", "mail.example.com"])
@virtual
async def test_no_list_is_asked_where_our_own_word_decides(subject):
    async with world() as w:
        w.script["7.3.2.1.in-addr.arpa PTR"] = ptr("mail.example.com")
        w.script["mail.example.com"] = a("1.2.3.7")
        await w.book.set(NewOverride(key_of("allow", subject)))
        assert await w.a("7.3.2.1.bl.rbl.internal") == "NXDOMAIN"
        assert await w.a("mail.example.com.dbl.rbl.internal") == "NXDOMAIN"
        await w.book.forget([key_of("allow", subject)])
        await w.book.set(NewOverride(key_of("deny", subject)))
        assert await w.a("7.3.2.1.wl.rbl.internal") == "NXDOMAIN"
        asked = {zone for zone in ("zen.spamhaus.org", "dbl.spamhaus.org", "list.dnswl.org") for name in w.asked if zone in name}
        assert asked == ({"dbl.spamhaus.org"} if subject == "1.2.3.7" else set()), "the domain itself is not allowed there"


@virtual
async def test_lists_are_asked_beside_a_name_that_is_long_in_coming():
    async with world() as w:
        w.script["7.3.2.1.in-addr.arpa PTR"] = (60.0, ptr("mail.example.com"))
        w.script["7.3.2.1.zen.spamhaus.org"] = a("127.0.0.4")
        await w.book.set(NewOverride(key_of("allow", "partner.example")))
        start = w.clock.monotonic()
        assert await w.a("7.3.2.1.bl.rbl.internal") == LISTED
        assert w.clock.monotonic() - start <= 2


@virtual
async def test_a_name_that_does_not_lead_back_allows_nobody():
    async with world() as w:
        w.script["7.3.2.1.in-addr.arpa PTR"] = ptr("mail.example.com")
        w.script["mail.example.com"] = a("1.2.3.8")
        w.script["7.3.2.1.zen.spamhaus.org"] = a("127.0.0.4")
        await w.book.set(NewOverride(key_of("allow", "example.com")))
        assert await w.a("7.3.2.1.bl.rbl.internal") == LISTED


@virtual
async def test_a_name_that_could_not_be_looked_up_is_asked_again_soon():
    async with world() as w:
        w.script["7.3.2.1.in-addr.arpa PTR"] = SERVFAIL
        w.script["7.3.2.1.zen.spamhaus.org"] = a("127.0.0.4", ttl=900)
        await w.book.set(NewOverride(key_of("allow", "example.com")))
        (rrset,) = (await w.answer("7.3.2.1.bl.rbl.internal")).answer
        assert rrset.ttl == 60


@pytest.mark.parametrize(
    ("action", "subject", "scope", "said"),
    [
        ("deny", "example.com", "", [["127.0.0.2"], ["127.0.0.2", "127.0.1.2"]]),
        ("deny", "www.example.com", "", [NX, ["127.0.0.2", "127.0.1.2"]]),
        ("allow", "example.net", "", [NX, NX]),
        ("allow", "example.net", "lists", [NX, NX]),
        ("allow", "example.net", "spf", [NX, ["127.0.0.2", "127.0.1.2"]]),
    ],
)
@virtual
async def test_overridden_domains(action, subject, scope, said):
    async with world() as w:
        w.script["mail.example.net.dbl.spamhaus.org"] = w.script["example.net.dbl.spamhaus.org"] = a("127.0.1.2")
        await w.book.set(NewOverride(key_of(action, subject, scope)))
        assert [await w.a("mail.example.com.dbl.rbl.internal"), await w.a("mail.example.net.dbl.rbl.internal")] == said


@virtual
async def test_an_override_ends_when_it_ends_and_answers_no_longer_than_that():
    async with world() as w:
        await w.book.set(NewOverride(key_of("deny", "1.2.3.4"), duration=20))
        (rrset,) = (await w.answer("4.3.2.1.bl.rbl.internal")).answer
        assert rrset.ttl == 20
        await asyncio.sleep(20)
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"


@virtual
async def test_what_is_for_one_recipient_alone_is_no_matter_of_zones():
    async with world() as w:
        await w.book.set(NewOverride(key_of("deny", "1.2.3.4", "", "anna@example.org")))
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"


@virtual
async def test_why_somebody_is_denied_is_not_told():
    async with world() as w:
        await w.book.set(NewOverride(key_of("deny", "1.2.3.4"), reason="the boss hates them"))
        assert await w.txt("4.3.2.1.bl.rbl.internal") == await w.txt("4.3.2.1.zen.spamhaus.org")
        assert await w.txt("4.3.2.1.bl.rbl.internal") == [["denied by this server's own rules"]]


@virtual
async def test_guard_hands_through_the_lists_own_answer():
    async with world() as w:
        name = "4.3.2.1.zen.spamhaus.org"
        w.script[name] = a("127.0.0.10", "127.0.0.4", ttl=120)
        w.script[f"{name} TXT"] = txt("https://www.spamhaus.org/query/ip/1.2.3.4")
        assert await w.a(name) == ["127.0.0.10", "127.0.0.4"]
        assert await w.txt(name) == [["https://www.spamhaus.org/query/ip/1.2.3.4"]]
        answer = await w.answer(name)
        assert (answer.aa, answer.keep, answer.answer[0].ttl) == (False, False, 120)
        assert (await w.answer(name, codes.AAAA)).rcode == codes.NOERROR
        assert await w.a("4.3.2.1.bl.rbl.internal") == LISTED
        assert w.asked.count(name) == 1, "guard and zone ask as one"


GUARDED = [
    ("4.3.2.1.bl.spamcop.net", a("127.0.0.2"), ["127.0.0.2"]),
    ("4.3.2.1.bl.spamcop.net", denial(), "NXDOMAIN"),
    ("4.3.2.1.bl.spamcop.net", a("127.0.0.3"), "NXDOMAIN"),
    ("4.3.2.1.hostkarma.junkemailfilter.com", a("127.0.0.1"), ["127.0.0.1"]),
    ("4.3.2.1.list.dnswl.org", a("127.0.5.1"), ["127.0.5.1"]),
    ("4.3.2.1.list.dnswl.org", a("127.0.10.3"), "NXDOMAIN"),
    ("4.3.2.1.list.dnswl.org", REFUSED, "NXDOMAIN"),
    ("4.3.2.1.list.dnswl.org", a("192.0.2.1"), "NXDOMAIN"),
    ("4.3.2.1.list.dnswl.org", SERVFAIL, "SERVFAIL"),
    ("4.3.2.1.list.dnswl.org", TIMEOUT, "SERVFAIL"),
    ("4.3.2.1.list.dnswl.org", (9.0, denial()), "SERVFAIL"),
    ("4.3.2.1.wl.mailspike.net", SERVFAIL, "SERVFAIL"),
    ("2.0.0.127.list.dnswl.org", a("127.0.10.0"), ["127.0.10.0"]),
    ("2.0.0.127.zen.spamhaus.org", a("127.0.0.2", "127.0.0.4", "127.0.0.10"), ["127.0.0.2", "127.0.0.4", "127.0.0.10"]),
    ("1.0.0.127.zen.spamhaus.org", denial(), "NXDOMAIN"),
    ("www.example.com.multi.uribl.com", a("127.0.0.1"), "NXDOMAIN"),
]


@pytest.mark.parametrize(("name", "answer", "said"), GUARDED)
def test_guarded(name, answer, said):
    @virtual
    async def run():
        async with world() as w:
            w.script[name] = answer
            if "uribl" in name:
                w.script["example.com.multi.uribl.com"] = answer
            start = w.clock.monotonic()
            assert await w.a(name) == said
            assert w.clock.monotonic() - start <= 2.0
            assert len(w.asked) == 1

    run()


NEVER_ASKED = [
    "4.3.2.1.dnsbl.sorbs.net",
    "4.3.2.1.swl.spamhaus.org",
    "4.3.2.1.dbl.spamhaus.org",
    "1.0.0.10.zen.spamhaus.org",
    "3.0.0.127.zen.spamhaus.org",
    "localhost.localdomain.dbl.spamhaus.org",
    "2.0.0.127.dbl.spamhaus.org",
]


@pytest.mark.parametrize("name", NEVER_ASKED)
def test_guarded_and_never_asked(name):
    @virtual
    async def run():
        async with world() as w:
            w.script[name] = a("127.0.0.2")
            assert await w.a(name) == "NXDOMAIN"
            assert w.asked == []

    run()


@virtual
async def test_guard_over_quota():
    async with world(spamhaus_zen={"quota": "1/1d"}, dnswl={"quota": "1/1d"}) as w:
        for n in range(3):
            assert await w.a(f"{n}.3.2.1.zen.spamhaus.org") == "NXDOMAIN"
            assert await w.a(f"{n}.3.2.1.list.dnswl.org") == "NXDOMAIN"
        assert len(w.asked) == 2


@virtual
async def test_an_allow_list_long_out_of_reach_stays_servfail():
    async with world() as w:
        w.script["list.dnswl.org"] = SERVFAIL
        for n in range(10):
            assert await w.a(f"{n}.3.2.1.list.dnswl.org") == "SERVFAIL"
        assert len(w.asked) == 3


@virtual
async def test_a_list_switched_off_is_off_for_clients_that_name_it_too():
    async with world() as w:
        w.script["zen.spamhaus.org"] = a("127.0.0.2")
        assert await w.a("4.3.2.1.zen.spamhaus.org") == ["127.0.0.2"]
        w.engine.disable("spamhaus-zen")
        assert await w.a("4.3.2.1.zen.spamhaus.org") == "NXDOMAIN"
        await asyncio.sleep(10)
        assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"


@virtual
async def test_keyed_forms_are_for_this_machine():
    async with world() as w:
        name = "4.3.2.1.somekey.zen.dq.spamhaus.net"
        w.script[name] = a("127.0.0.2")
        assert await w.a(name) == "REFUSED"
        assert w.asked == []
        assert await w.a(name, loopback=True) == ["127.0.0.2"]
        w.script["otherkey.zen.dq.spamhaus.net"] = a("127.255.255.250")
        assert await w.a("4.3.2.1.otherkey.zen.dq.spamhaus.net", loopback=True) == "NXDOMAIN"
        assert w.engine.status("spamhaus-zen").state == "ok", "a client's bad key is not ours"


@virtual
async def test_a_memory_of_standings_is_bounded():
    async with world(spamhaus_zen={"enabled": False}, dnswl={"enabled": False}, spamhaus_dbl={"enabled": False}) as w:
        for n in range(5000):
            await w.a(f"{n % 256}.{n // 256}.2.1.bl.rbl.internal")
        assert len(w.zones._reputations) == bounds.LIST_REPUTATIONS


def test_names_that_are_not_ours():
    w = World()
    for name in ("example.com", "internal", "xrbl.internal", "zen.spamhaus.org", "www.spamhaus.org", "."):
        assert not w.zones.owns(from_text(name))


@virtual
async def test_lists_of_ones_own_that_are_asked_as_lists_are_not_answered_past_the_engine():
    async with world(mine={"zone": "mine.example", "kinds": ["ip4"], "action": "block"}) as w:
        data = FORMATS["ip4set"]([b"1.2.3.4\n"], 0, 0)
        origins = ["mine.example", "sub.mine.example", "internal", "bl.rbl.internal", "zen.spamhaus.org", "other.example"]
        w.resolver.local_zones = Own(LocalZones(LocalZone(from_text(each), None, [data]) for each in origins))
        answerer = Answerer(w.zones, w.resolver)
        questions = [b"id\1\0\0\1\0\0\0\0\0\0" + from_text(f"4.3.2.1.{each}") + b"\0\1\0\1" for each in origins]
        assert [each for each, question in zip(origins, questions, strict=True) if answerer.reply(question)] == ["other.example"]


@virtual
async def test_what_is_known_needs_no_waiting():
    async with world() as w:
        w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
        names = [*(f"{name}.{zone}.{ORIGIN}" for name in ("4.3.2.1", "5.3.2.1") for zone in ("bl", "wl", "score"))]
        lists = ["4.3.2.1.zen.spamhaus.org", "5.3.2.1.zen.spamhaus.org"]
        assert [name for name in names + lists if w.zones.known(from_text(name), codes.A)] == []
        answers = {name: await w.answer(name) for name in names + lists}
        assert {name: w.zones.known(from_text(name), codes.A) for name in answers} == answers
        await w.book.set(NewOverride(key_of("deny", "1.2.3.5")))
        assert answers[lists[1]].rcode == codes.NXDOMAIN
        assert w.zones.known(from_text(lists[1]), codes.A).answer[0].rdatas == (bytes([127, 0, 0, 2]),)
        await w.book.set(NewOverride(key_of("allow", "1.2.3.4")))
        w.engine.frugal = True
        for name in names:
            assert w.zones.known(from_text(name), codes.A) == await w.answer(name)
        w.engine.disable("spamhaus-zen")
        assert [name for name in names + lists[:1] if w.zones.known(from_text(name), codes.A)] == []


@pytest.mark.parametrize("name", [ORIGIN, f"bl.{ORIGIN}", f"nowhere.{ORIGIN}", f"_status.{ORIGIN}", "4.3.2.1.dnsbl.sorbs.net"])
@virtual
async def test_where_no_list_has_a_say_nobody_waits(name):
    async with world() as w:
        for rtype in (codes.A, codes.TXT, codes.SOA):
            assert w.zones.known(from_text(name), rtype) == await w.answer(name, rtype)


@virtual
async def test_an_old_listing_is_reverified_before_it_is_known_again():
    async with world() as w:
        name = "4.3.2.1.zen.spamhaus.org"
        w.script[name] = a("127.0.0.2", ttl=7 * 86400)
        assert await w.a(name) == ["127.0.0.2"]
        assert w.zones.known(from_text(name), codes.A) is not None
        await asyncio.sleep(CANARY_TTL)
        assert w.zones.known(from_text(name), codes.A) is None
        w.script[name] = denial()
        assert await w.a(name) == "NXDOMAIN"
