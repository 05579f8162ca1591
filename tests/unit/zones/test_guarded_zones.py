"""The zones that people's main.cf files hold, asked as smtpd asks them: errors list nobody, keys pay for themselves."""

import asyncio
from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, SERVFAIL, a
from scriptednet import Net, ScriptedResolver, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Forward
from resolverd.wire import codes
from resolverd.wire.ask import Server
from resolverd.wire.names import from_text, is_subdomain, to_text
from tests.unit.zones.test_list_zones import world

# Every zone that a main.cf may hold: asked as smtpd asks it, about an address and about a name.
ZONES = sorted(
    {zone for entry in CATALOGUE.entries.values() for zone in (entry.zone,) if zone}
    | {zone for part in CATALOGUE.parts.values() for zone in part.zones}
    | {from_text(f"somekey.{to_text(entry.key_zone)}") for entry in CATALOGUE.entries.values() if entry.key_zone}
    | {zone for dead in CATALOGUE.dead.values() for zone in dead.zones}
)
ERRORS = ["127.255.255.252", "127.255.255.254", "127.255.255.255", "192.0.2.1"]
UNKNOWN = "127.99.99.99"
OPERATORS_ERRORS = {"uribl.com": "127.0.0.1", "surbl.org": "127.0.0.1", "dnswl.org": "127.0.10.3"}


@pytest.mark.parametrize("zone", ZONES, ids=to_text)
def test_no_zone_of_a_main_cf_lists_anybody_by_an_error_code(zone):
    more = [] if is_subdomain(zone, from_text("surbl.org")) else [UNKNOWN]  # SURBL means nothing by the octets between
    more += [code for domain, code in OPERATORS_ERRORS.items() if is_subdomain(zone, from_text(domain))]

    @virtual
    async def run():
        async with world() as w:
            for at, code in enumerate([*ERRORS, *more]):
                w.script[to_text(zone).removesuffix(".")] = a(code)
                for prefix in (f"4.3.2.{at}", f"host{at}.com", f"www.host{at}.co.uk"):
                    said = await w.a(f"{prefix}.{to_text(zone)}", loopback=True)
                    assert said == "NXDOMAIN", (prefix, code)
                await asyncio.sleep(7 * 3600)

    run()


MAIN_CF = [
    ("4.3.2.1.sbl.spamhaus.org", a("127.0.0.2"), ["127.0.0.2"]),
    ("4.3.2.1.xbl.spamhaus.org", a("127.0.0.4"), ["127.0.0.4"]),
    ("4.3.2.1.pbl.spamhaus.org", a("127.0.0.11"), ["127.0.0.11"]),
    ("4.3.2.1.sbl-xbl.spamhaus.org", a("127.0.0.2", "127.0.0.4"), ["127.0.0.2", "127.0.0.4"]),
    ("2.0.0.127.sbl.spamhaus.org", a("127.0.0.2"), ["127.0.0.2"]),
    ("example.com.black.uribl.com", a("127.0.0.2"), ["127.0.0.2"]),
    ("example.com.white.uribl.com", SERVFAIL, "SERVFAIL"),
    ("4.3.2.1.ips.whitelisted.org", a("127.0.0.2"), ["127.0.0.2"]),
    ("4.3.2.1.ips.whitelisted.org", SERVFAIL, "SERVFAIL"),
]


@pytest.mark.parametrize(("name", "answer", "said"), MAIN_CF, ids=[f"{name} {said}" for name, _, said in MAIN_CF])
def test_parts_of_lists_are_handed_through(name, answer, said):
    @virtual
    async def run():
        async with world() as w:
            w.script[name] = answer
            assert await w.a(name) == said

    run()


@virtual
async def test_a_part_shares_the_quota_of_its_list_and_has_a_health_of_its_own():
    async with world(spamhaus_zen={"quota": "4/1d"}) as w:
        w.script["sbl.spamhaus.org"] = a("127.255.255.254")
        assert await w.a("4.3.2.1.sbl.spamhaus.org") == "NXDOMAIN"
        w.script["4.3.2.2.zen.spamhaus.org"] = w.script["4.3.2.3.xbl.spamhaus.org"] = a("127.0.0.4")
        assert await w.a("4.3.2.2.zen.spamhaus.org") == ["127.0.0.4"]
        assert w.engine.status("spamhaus-zen").quota_left == 1, "a question, a question and its canary"
        assert await w.a("4.3.2.3.xbl.spamhaus.org") == "NXDOMAIN"
        w.engine.disable("spamhaus-zen")
        assert await w.a("4.3.2.2.xbl.spamhaus.org") == "NXDOMAIN"


@virtual
async def test_what_is_no_question_is_screened():
    async with world() as w:
        for rtype, screened in ((codes.A, True), (codes.TXT, False)):
            answer = a("127.255.255.254")
            said = w.zones.filtered(from_text("localhost.dbl.spamhaus.org"), rtype, answer)
            assert (not said.answer) == screened
            assert (said.rcode, said.keep) == (codes.NOERROR, not screened)
        for name in ("www.example.org", "www.spamhaus.org"):
            assert w.zones.filtered(from_text(name), codes.A, answer) is answer


# -- keys


@virtual
async def test_a_mistyped_key_costs_nobody_else_anything():
    async with world(spamhaus_zen={"enabled": True, "key": "ourkey"}) as w:
        w.script["wrong.zen.dq.spamhaus.net"] = a("127.255.255.252")
        w.script["silent.zen.dq.spamhaus.net"] = SERVFAIL
        w.script["right.zen.dq.spamhaus.net"] = w.script["ourkey.zen.dq.spamhaus.net"] = a("127.0.0.2")
        for n in range(5):
            assert await w.a(f"{n}.3.2.1.wrong.zen.dq.spamhaus.net", loopback=True) == "NXDOMAIN"
            assert await w.a(f"{n}.3.2.1.silent.zen.dq.spamhaus.net", loopback=True) == "NXDOMAIN"
        assert sum("wrong" in name for name in w.asked) == 1, "it is suspended itself"
        for key in ("right", "ourkey"):
            assert await w.a(f"4.3.2.1.{key}.zen.dq.spamhaus.net", loopback=True) == ["127.0.0.2"]
        assert w.engine.status("spamhaus-zen").state == "ok"


@virtual
async def test_made_up_keys_push_out_each_other_and_not_what_works():
    async with world() as w:
        w.script["right.zen.dq.spamhaus.net"] = a("127.0.0.2")
        assert await w.a("4.3.2.1.right.zen.dq.spamhaus.net", loopback=True) == ["127.0.0.2"]
        right = from_text("right.zen.dq.spamhaus.net")
        state = w.engine.meter.list_of(right)
        for n in range(bounds.FOREIGN_LISTS + 50):
            w.script[f"made-up-{n}.zen.dq.spamhaus.net"] = SERVFAIL
            await w.a(f"4.3.2.1.made-up-{n}.zen.dq.spamhaus.net", loopback=True)
        assert w.engine.meter.list_of(right) is state
        assert w.engine.meter.list_of(from_text("made-up-0.zen.dq.spamhaus.net")) is None


@pytest.mark.parametrize("key", ["\\200\\255", "some_key", "\\000", "-", "x y"])
def test_what_can_be_no_key_is_asked_of_nobody(key):
    @virtual
    async def run():
        async with world() as w:
            for rtype in (codes.A, codes.TXT):
                answer = await w.answer(f"4.3.2.1.{key}.zen.dq.spamhaus.net", rtype, loopback=True)
                assert answer.rcode == codes.NXDOMAIN
            assert w.asked == []

    run()


# -- a list that contradicts itself

CONTRADICTIONS = {
    "an address": "4.3.2.1.list.example. 60 A 127.0.0.2",
    "an alias to one": "4.3.2.1.list.example. 60 CNAME x.list.example.\nx.list.example. 60 A 127.0.0.2",
    "an alias": "4.3.2.1.list.example. 60 CNAME x.list.example.",
}


@pytest.mark.parametrize("answer", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
@pytest.mark.parametrize("forwarded", [False, True])
@virtual
async def test_a_list_that_denies_a_name_and_has_an_address_of_it_lists_nobody(answer, forwarded, tmp_path):
    net = Net()
    example = net.zone("example", {"ns.example": "192.5.6.30"})
    for zone, address in (("list.example", "192.5.6.31"), ("host.example", "192.5.6.32")):
        net.zone(zone, {f"ns.{zone}": address}, "", example)
        lines = answer.replace("list.example", zone)
        net.serve(address, lambda query, ask, lines=lines: reply_to(query, lines, rcode="NXDOMAIN"))
        net.serve("192.5.6.40", lambda query, ask: reply_to(query, answer, rcode="NXDOMAIN"))
    more = {"forward": (Forward("list.example", (Server(ip_address("192.5.6.40")),)),)} if forwarded else {}
    resolver = ScriptedResolver(net, tmp_path, list_zones=("list.example",), **more)
    reply = await resolver.ask("4.3.2.1.list.example")
    assert (rcode(reply), addresses(reply)) == ("NXDOMAIN", [])
    if "A 127" in answer and not forwarded:
        assert addresses(await resolver.ask("4.3.2.1.host.example")) == ["127.0.0.2"], "of a host, what speaks for it counts"
