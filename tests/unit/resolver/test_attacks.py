"""Known attacks on resolvers, each against the whole stack on a scripted net: what it may cost, and that nobody is misled.

Spoofing (ports, IDs, letters, cookies, sockets, malformed replies) is in `test_exchange` and `test_cookies`, the clients' side
in `test_dns_edge`, crafted messages in `test_message`, single limits in `test_limits`.
"""

import asyncio
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scriptednet import ROOT_SERVER, Net, ScriptedResolver, Zone, addresses, rcode, reply_to
from virtualtime import VirtualLoop, virtual

from resolverd import bounds
from resolverd.config.settings import Forward, Settings
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.resolver.mesh import Timeouts
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, Server, Transport
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset, Trust
from tests.attacks import Figure
from tests.work import counted

EVIL, VICTIM = "45.0.0.1", "45.0.0.2"
Message = dns.message.Message


def qname(query: Message) -> str:
    return query.question[0].name.to_text().lower()


def evil(net: Net, handler: object, zone: str = "evil") -> None:
    net.root.add(f"{zone}. NS ns.{zone}.\nns.{zone}. A {EVIL}")
    net.serve(EVIL, handler)  # type: ignore[arg-type]


def silent(query: Message, ask: Ask) -> Failed:
    return Failed.TIMEOUT


def lame(query: Message, ask: Ask) -> Message:
    return reply_to(query, rcode="REFUSED", aa=False)


async def costs(resolver: ScriptedResolver, name: str, rtype: str = "A") -> tuple[str, int]:
    """The RCODE, and how many questions to servers it took, work behind the client's back included."""
    before = len(resolver.net.asked)
    reply = await resolver.ask(name, rtype)
    await resolver.settle()
    return rcode(reply), len(resolver.net.asked) - before


# -- amplification -----------------------------------------------------------------------------------------------------------

MANY = 1500


def many_servers(query: Message, tail: str, glue: bool = False, many: int = MANY) -> Message:
    name = qname(query)
    ns = "\n".join(f"{name} NS n{number}.{name if glue else ''}{tail}." for number in range(many))
    more = (f"n{number}.{name}{tail}. A 45.{number // 250 + 10}.0.{number % 250}" for number in range(many))
    return reply_to(query, authority=ns, additional="\n".join(more) if glue else "", aa=False)


@pytest.mark.attack("R-15", "R-16")
@pytest.mark.parametrize("what", ["exist not", "are dead", "are dead, with glue"])
@virtual
async def test_delegations_to_a_thousand_servers(what: str, tmp_path: Path, figure: Figure) -> None:
    # NXNSAttack (names that exist not), NRDelegation (servers that do not answer).
    net = Net()
    victim = net.zone("victim", {"ns.victim": VICTIM})
    if what == "are dead":
        victim.add("* A 45.66.0.1")
    evil(net, lambda query, ask: many_servers(query, "evil" if "glue" in what else "victim", glue="glue" in what))
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    code, asked = await costs(resolver, "a.evil")
    assert code == "SERVFAIL"
    row = "R-15" if what == "exist not" else "R-16"
    figure("upstream queries", asked, most=bounds.MAX_QUERIES, row=row)
    figure("of them to the victim", len(net.names(VICTIM)), most=2 * bounds.MAX_NS_LOOKUPS, row=row)
    # A fresh name is bounded by itself.
    assert (await costs(resolver, "b.evil"))[1] <= bounds.MAX_QUERIES


@pytest.mark.attack("R-16")
@virtual
async def test_a_delegation_to_a_thousand_servers_costs_what_its_octets_do(tmp_path: Path, figure: Figure) -> None:
    query = dns.message.make_query("a.evil", "A", use_edns=0, id=0)
    costs = []
    for many in (MANY // 2, MANY):
        octets = many_servers(query, "evil", glue=True, many=many).to_wire(max_size=65535)
        net = Net()
        evil(net, lambda query, ask, octets=octets: octets)
        resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
        with counted() as steps:
            await resolver.ask("a.evil")
        costs.append(steps.done)
        await resolver.settle()
    tries = []
    for number in range(3):
        begun = time.process_time()
        await resolver.ask(f"b{number}.evil")
        await resolver.settle()
        tries.append(time.process_time() - begun)
    figure("work for twice as many servers", costs[1] / costs[0], "×", most=2.2)
    figure("CPU of a question to 1 500 silent servers, the best of three", 1000 * min(tries), "ms", most=20)


@pytest.mark.attack("R-17")
@virtual
async def test_chains_of_aliases_and_delegations_multiplied(tmp_path: Path, figure: Figure) -> None:
    # CAMP: each alias leads to a delegation, whose servers' names are aliases into delegations of their own.
    net = Net()

    def handler(query: Message, ask: Ask) -> Message:
        first, _, rest = qname(query).partition(".")
        if rest == "evil." and first.startswith("d"):
            return cut(query, qname(query), first)
        if rest == "evil2.":
            return reply_to(query, f"{qname(query)} CNAME x.d{first[1:]}.evil.")
        zone = ".".join(qname(query).split(".")[-3:])
        return cut(query, zone, zone.split(".")[0])

    def cut(query: Message, zone: str, tag: str) -> Message:
        return reply_to(query, authority="\n".join(f"{zone} NS c{tag}{each}.evil2." for each in range(13)), aa=False)

    evil(net, handler)
    net.root.add(f"evil2. NS ns.evil2.\nns.evil2. A {EVIL}")
    for minimise in (True, False):
        net.asked.clear()
        resolver = ScriptedResolver(net, tmp_path, qname_minimisation=minimise)
        code, asked = await costs(resolver, "x.d0.evil")
        assert code == "SERVFAIL"
        figure("upstream queries", asked, most=bounds.MAX_QUERIES)


def cycle_of_two(net: Net) -> None:
    net.root.add("one. NS ns.two.\ntwo. NS ns.one.")


def cycle_of_three(net: Net) -> None:
    net.root.add("one. NS ns.two.\ntwo. NS ns.three.\nthree. NS ns.one.")


def cycle_through_aliases(net: Net) -> None:
    net.zone("helper", {"ns.helper": VICTIM}, "a CNAME ns.one.\nb CNAME ns.two.")
    net.root.add("one. NS b.helper.\ntwo. NS a.helper.")


def own_name_without_glue(net: Net) -> None:
    net.root.add("one. NS ns.one.\none. NS ns.sub.one.")


def glue_that_points_back(net: Net) -> None:
    net.root.add(f"one. NS ns.one.\nns.one. A {EVIL}")
    net.serve(EVIL, lambda query, ask: reply_to(query, authority="one. NS ns.one.", additional=f"ns.one. A {EVIL}", aa=False))


def upwards(net: Net) -> None:
    net.root.add(f"one. NS ns.one.\nns.one. A {EVIL}")
    net.serve(EVIL, lambda query, ask: reply_to(query, authority=". NS k.root-servers.net.", aa=False))


def alias_to_itself(net: Net) -> None:
    net.root.add(f"one. NS ns.one.\nns.one. A {EVIL}")
    net.serve(EVIL, lambda query, ask: reply_to(query, f"{qname(query)} CNAME {qname(query)}"))


def aliases_in_a_circle(net: Net) -> None:
    net.zone("one", {"ns.one": EVIL}, "www CNAME a.one.\na CNAME b.one.\nb CNAME www.one.")


def dname_into_itself(net: Net) -> None:
    net.root.add(f"one. NS ns.one.\nns.one. A {EVIL}")
    net.serve(EVIL, lambda query, ask: reply_to(query, "one. DNAME x.one." if qname(query) != "one." else ""))


CIRCLES = [
    cycle_of_two, cycle_of_three, cycle_through_aliases, own_name_without_glue, glue_that_points_back, upwards, alias_to_itself,
    aliases_in_a_circle, dname_into_itself,
]  # fmt: skip


@pytest.mark.attack("R-18")
@pytest.mark.parametrize("circle", CIRCLES)
@pytest.mark.parametrize("minimise", [True, False])
@virtual
async def test_circles_end_and_are_remembered(circle: object, minimise: bool, tmp_path: Path, figure: Figure) -> None:
    # TsuNAME and its kin.
    net = Net()
    circle(net)  # type: ignore[operator]
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=minimise)
    code, asked = await costs(resolver, "www.one")
    # An answer that is nothing but its own zone's NS is taken for an empty one.
    assert code == "NOERROR" if circle is glue_that_points_back else code in ("SERVFAIL", "YXDOMAIN")
    figure("upstream queries", asked, most=bounds.MAX_QUERIES // 2)
    again = 0
    for _ in range(10):
        await asyncio.sleep(bounds.FAILURE_TTL / 12)
        same, asked = await costs(resolver, "www.one")
        assert same == code
        again += asked
    figure("for ten repetitions within 5 s", again, most=0)


@pytest.mark.attack("R-22")
@virtual
async def test_water_torture_drowns_one_zone_only(tmp_path: Path, figure: Figure) -> None:
    net = Net(rtt=0.02)
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    net.zone("dead.com", {"ns.dead.com": EVIL}, "warm A 193.0.0.9", parent=com)
    net.zone("good.com", {"ns.good.com": "45.1.0.2"}, "* A 193.0.0.1", parent=com)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("warm.dead.com")
    net.serve(EVIL, silent)
    loop = asyncio.get_running_loop()
    waiting, times, failed, most = [], [], 0, 0

    async def good(number: int) -> None:
        nonlocal failed
        begun = loop.time()
        failed += addresses(await resolver.ask(f"g{number}.good.com")) != ["193.0.0.1"]
        times.append(loop.time() - begun)

    for number in range(2500):  # 500 a second, for five seconds
        waiting.append(asyncio.create_task(resolver.ask(f"x{number}.dead.com")))
        if number % 10 == 0:
            waiting.append(asyncio.create_task(good(number)))  # type: ignore[arg-type]
        await asyncio.sleep(0.002)
        most = max(most, resolver.parts.mesh.in_flight)
    await asyncio.gather(*waiting)
    figure("in flight, the good ones included", most, most=bounds.MAX_RECURSIONS_PER_ZONE + 60)
    figure("answers of another zone", 100 - 100 * failed / len(times), "%", least=95)
    figure("p99 of another zone", sorted(times)[int(len(times) * 0.99)] / net.rtt, "round trips", most=2)
    await resolver.settle()


# -- poison ------------------------------------------------------------------------------------------------------------------

VICTIMS = ["victim", "www.victim", "ns.victim", "com", "ns.evil2", ".", "k.root-servers.net", "evilvictim", "x.www.victim"]
DATA = {
    "A": "6.6.6.6",
    "NS": "ns.evil.",
    "CNAME": "www.evil.",
    "DNAME": "evil.",
    "SOA": "a. b. 1 1 1 1 9999",
    "DS": "1 8 2 00",
    "TXT": '"x"',
}
POISON = st.lists(
    st.tuples(st.sampled_from(["answer", "authority", "additional"]), st.sampled_from(VICTIMS), st.sampled_from(list(DATA))),
    min_size=1,
    max_size=8,
)
GENUINE = st.sampled_from(
    ["answer", "alias", "alias with data", "referral", "nodata", "nxdomain", "nothing", "YXDOMAIN", "REFUSED"]
)


@pytest.mark.attack("R-11")
@settings(max_examples=150)
@given(poison=POISON, kind=GENUINE, aa=st.booleans(), rtype=st.sampled_from(["A", "NS", "TXT", "CNAME", "DNAME"]))
def test_no_server_speaks_for_names_outside_its_zone(
    poison: list[tuple[str, str, str]], kind: str, aa: bool, rtype: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()

    def handler(query: Message, ask: Ask) -> Message:
        name = qname(query)
        sections = {"answer": "", "authority": "", "additional": ""}
        code = "NOERROR"
        if kind == "answer":
            sections["answer"] = f"{name} {query.question[0].rdtype.name} {DATA[query.question[0].rdtype.name]}"
        elif kind == "alias":
            sections["answer"] = f"{name} CNAME www.victim."
        elif kind == "alias with data":
            sections["answer"] = f"{name} CNAME www.victim.\nwww.victim. A 6.6.6.6"
        elif kind == "referral":
            sections["authority"] = f"sub.{name} NS ns.victim.\n{name} NS ns.victim."
            sections["additional"] = "ns.victim. A 45.0.0.1"
        elif kind in ("nodata", "nxdomain"):
            sections["authority"] = "evil. SOA a. b. 1 1 1 1 300"
            code = "NXDOMAIN" if kind == "nxdomain" else code
        elif kind in ("YXDOMAIN", "REFUSED"):
            code = kind
        for section, owner, what in poison:
            sections[section] += f"\n{owner} {what} {DATA[what]}"
        return reply_to(query, **sections, rcode=code, aa=aa)

    async def run() -> None:
        net = Net()
        net.zone("victim", {"ns.victim": VICTIM}, "www A 193.0.0.1\n@ A 193.0.0.2")
        net.zone("com", {"ns.com": "45.0.0.3"}, "www A 193.0.0.3")
        evil(net, handler)
        resolver = ScriptedResolver(net, folder)
        for asked in ("www.evil", "evil", "a.b.evil"):
            await resolver.ask(asked, rtype)
        now = resolver.clock.monotonic()
        for name in VICTIMS:
            for known in resolver.parts.rrsets.types(from_text(name), now):
                hit = resolver.parts.rrsets.get(from_text(name), known, now, Trust.GLUE)
                # What is known of a victim came from the victim, on the way along an alias.
                assert hit is None or hit.rrset is None or b"\6\6\6\6" not in b"".join(hit.rrset.rdatas)
                assert hit is None or hit.rrset is None or b"evil" not in b"".join(hit.rrset.rdatas)
        for zone in ("victim", "com"):
            delegation = resolver.parts.delegations.closest(from_text(f"www.{zone}"), now)
            if delegation is not None:
                assert delegation.zone in (from_text(zone), b"\0")
                assert EVIL not in str(delegation.glue)
        assert addresses(await resolver.ask("www.victim")) == ["193.0.0.1"]
        assert addresses(await resolver.ask("victim")) == ["193.0.0.2"]
        assert addresses(await resolver.ask("www.com")) == ["193.0.0.3"]
        assert all(name.endswith((".evil.", "evil.")) or rtype == "NS" for name, _ in net.names(EVIL))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@pytest.mark.attack("R-11")
@virtual
async def test_what_a_positive_answer_volunteers_is_not_kept(tmp_path: Path) -> None:
    net = Net()

    def handler(query: Message, ask: Ask) -> Message:
        return reply_to(
            query,
            "www.evil. A 193.0.0.1\nother.evil. A 6.6.6.6",
            authority="evil. NS ns2.evil.\nsub.evil. NS ns2.evil.",
            additional="ns2.evil. A 6.6.6.6\nns.evil. A 6.6.6.6",
        )

    evil(net, handler)
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("www.evil")) == ["193.0.0.1"]
    now = resolver.clock.monotonic()
    for name in ("other.evil", "ns2.evil", "ns.evil", "evil", "sub.evil"):
        assert resolver.parts.rrsets.types(from_text(name), now) == []
    delegation = resolver.parts.delegations.closest(from_text("x.sub.evil"), now)
    assert delegation is not None
    assert (delegation.zone, delegation.servers) == (from_text("evil"), (from_text("ns.evil"),))


LOCAL = ["127.0.0.1", "0.0.0.0", "10.0.0.1", "192.168.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "100.64.0.1"]
LOCAL6 = ["::1", "::", "::ffff:127.0.0.1", "fe80::1", "fc00::1", "64:ff9b::a00:1"]


@virtual
async def test_addresses_that_are_nobody_on_the_internet_are_never_asked(tmp_path: Path) -> None:
    net = Net()
    net.root.add("evil. NS ns.evil.\nevil. NS ns.host.")
    net.root.add("\n".join(f"ns.evil. A {address}" for address in LOCAL))
    net.root.add("\n".join(f"ns.evil. AAAA {address}" for address in LOCAL6))
    net.zone("host", {"ns.host": "45.0.0.3"}, "\n".join(f"ns A {address}" for address in LOCAL))
    for address in (*LOCAL, *LOCAL6):
        net.serve(address, Zone("evil", "www A 193.0.0.1"))
    resolver = ScriptedResolver(net, tmp_path, ipv6=True)
    assert rcode(await resolver.ask("www.evil")) == "SERVFAIL"
    await resolver.settle()
    asked = {ask.server.address for ask in net.asked}
    assert not [each for each in asked if any(each in net_ for net_ in Settings().resolver.do_not_query)]


@pytest.mark.attack("R-12")
@virtual
async def test_a_forwarder_speaks_for_its_zone_only(tmp_path: Path) -> None:
    # MaginotDNS: one cache for forwarders and iteration.
    net = Net()
    net.zone("victim", {"ns.victim": VICTIM}, "www A 193.0.0.1")

    def forwarder(query: Message, ask: Ask) -> Message:
        assert ask.recursion
        if qname(query) == "alias.corp.":
            chain = "alias.corp. CNAME www.victim.\nwww.victim. A 6.6.6.6"
            return reply_to(query, chain, authority="victim. NS ns.evil.", aa=False)
        return reply_to(
            query,
            f"{qname(query)} A 10.0.0.1",
            authority="victim. NS ns.evil.\n. NS ns.evil.",
            additional=f"ns.evil. A {EVIL}\nns.victim. A {EVIL}",
            aa=False,
        )

    net.serve("10.53.0.1", forwarder)
    forward = (Forward(zone="corp", servers=(Server(ip_address("10.53.0.1")),)),)
    resolver = ScriptedResolver(net, tmp_path, forward=forward)
    assert addresses(await resolver.ask("www.corp")) == ["10.0.0.1"]
    assert addresses(await resolver.ask("alias.corp")) == ["193.0.0.1"]
    assert addresses(await resolver.ask("www.victim")) == ["193.0.0.1"]
    assert EVIL not in {str(ask.server.address) for ask in net.asked}


@pytest.mark.attack("R-32")
@virtual
async def test_names_of_ours_are_not_hidden_by_a_denial_above(tmp_path: Path) -> None:
    net = Net()
    net.serve("10.53.0.1", lambda query, ask: reply_to(query, f"{qname(query)} A 10.0.0.1", aa=False))
    forward = (Forward(zone="corp.internal", servers=(Server(ip_address("10.53.0.1")),)),)
    resolver = ScriptedResolver(net, tmp_path, forward=forward, builtin_zones=True)
    assert rcode(await resolver.ask("internal")) == "NXDOMAIN"
    assert rcode(await resolver.ask("xcorp.internal")) == "NXDOMAIN"
    assert addresses(await resolver.ask("corp.internal")) == ["10.0.0.1"]
    assert addresses(await resolver.ask("www.corp.internal")) == ["10.0.0.1"]
    asked = len(net.asked)
    for name in ("x.localhost", "1.0.0.10.in-addr.arpa", "x.onion", "x.home.arpa"):
        await resolver.ask(name)
    assert len(net.asked) == asked, "names that are answered here do not leave the resolver"


# -- ghosts ------------------------------------------------------------------------------------------------------------------

TTL = 3600


@pytest.mark.attack("R-13")
@pytest.mark.parametrize(
    "refresh",
    ["www.evil A", "evil NS", "ns.evil A", "new{}.evil A", "sub{}.evil A", "x.sub.evil A", "evil SOA", "evil DS", "ns{}.evil NS"],
)
@virtual
async def test_a_withdrawn_domain_is_gone_with_its_delegation(refresh: str, tmp_path: Path) -> None:
    # Ghost domains: whatever is asked of the child, its parent's word ends when it ends.
    net = Net()
    net.root.add(f"evil. {TTL} NS ns.evil.\nns.evil. {TTL} A {EVIL}")

    def handler(query: Message, ask: Ask) -> Message:
        name, rtype = qname(query), query.question[0].rdtype.name
        authority = "evil. 86400 NS ns.evil.\nevil. 86400 NS ns2.evil."
        additional = f"ns.evil. 86400 A {EVIL}\nns2.evil. 86400 A {EVIL}"
        if "sub" in name and not name.startswith("x."):
            return reply_to(query, authority=f"{name} 86400 NS ns.evil.", additional=additional, aa=False)
        data = {
            "A": f"{name} 60 A {EVIL if name.startswith('ns') else '6.6.6.6'}",
            "NS": "evil. 86400 NS ns.evil.\nevil. 86400 NS ns3.evil.",
        }
        return reply_to(query, data.get(rtype, ""), authority, additional)

    net.serve(EVIL, handler)
    resolver = ScriptedResolver(net, tmp_path, serve_stale=0.0)
    name, rtype = refresh.split()
    assert addresses(await resolver.ask("www.evil")) == ["6.6.6.6"]
    gone = asyncio.get_running_loop().time() + TTL
    net.root.remove("evil.")
    number = 0
    while asyncio.get_running_loop().time() < gone + 600:
        number += 1
        await resolver.ask(name.format(number), rtype)
        await resolver.ask("www.evil")
        await asyncio.sleep(250)
    assert rcode(await resolver.ask(f"fresh{number}.evil")) == "NXDOMAIN"
    await asyncio.sleep(86400)
    before = len(net.names(EVIL))
    assert rcode(await resolver.ask("www.evil")) == "NXDOMAIN"
    assert len(net.names(EVIL)) == before


@pytest.mark.attack("R-13")
@virtual
async def test_a_withdrawn_domain_takes_its_sub_domains_along(tmp_path: Path) -> None:
    net = Net()
    net.root.add(f"evil. {TTL} NS ns.evil.\nns.evil. {TTL} A {EVIL}")

    def handler(query: Message, ask: Ask) -> Message:
        name = qname(query)
        depth = sum(f"d{each}." in name for each in range(9))
        zone = ".".join(name.split(".")[-(depth + 2) :])
        if ask.server.port and name != zone and depth < 8:
            return reply_to(query, f"{name} 60 A 6.6.6.6")
        return reply_to(query, authority=f"{name} 86400 NS ns.evil.", additional=f"ns.evil. 86400 A {EVIL}", aa=False)

    net.serve(EVIL, handler)
    resolver = ScriptedResolver(net, tmp_path, serve_stale=0.0, qname_minimisation=False)
    gone = asyncio.get_running_loop().time() + TTL
    zone, number = "evil", 0
    while asyncio.get_running_loop().time() < gone:
        zone = f"d{number}.{zone}" if number < 8 else zone
        await resolver.ask(zone)
        await resolver.ask(f"www.{zone}")
        number += 1
        if number == 2:
            net.root.remove("evil.")
        await asyncio.sleep(400)
    assert resolver.parts.delegations.closest(from_text(f"www.{zone}"), gone + 1) is None
    assert rcode(await resolver.ask(f"fresh.{zone}")) == "NXDOMAIN"


# -- downgrades --------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-26")
@virtual
async def test_one_forged_formerr_does_not_take_edns_away(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1")
    forge = 0

    def handler(query: Message, ask: Ask) -> Message:
        nonlocal forge
        if forge and query.edns >= 0:
            forge -= 1
            out = reply_to(query, rcode="FORMERR", aa=False)
            out.use_edns(-1)
            return out
        return zone(query, ask)

    net.serve("45.1.0.1", handler)
    resolver = ScriptedResolver(net, tmp_path)

    async def with_edns(name: str) -> list[bool]:
        before = len(net.asked)
        assert addresses(await resolver.ask(name)) == ["193.0.0.1"]
        return [ask.edns_size > 0 for ask in net.asked[before:] if str(ask.server.address) == "45.1.0.1"]

    assert await with_edns("a.shop") == [True]
    forge = 1
    assert await with_edns("b.shop") == [True, False]
    assert await with_edns("c.shop") == [True]
    forge = 1
    assert await with_edns("d.shop") == [True, False], "what was doubted once was cleared up in between"
    assert await with_edns("e.shop") == [True]
    forge = 2
    assert await with_edns("f.shop") == [True, False]
    assert await with_edns("g.shop") == [True, False]
    assert await with_edns("h.shop") == [False], "twice in a row is a second opinion"
    await asyncio.sleep(bounds.FORGET_SERVER)
    assert await with_edns("i.shop") == [True]


@pytest.mark.attack("R-09")
@virtual
async def test_letters_are_given_up_only_after_tcp_has_confirmed(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1")
    net.serve("45.1.0.1", lambda query, ask: Failed.CASE_MISMATCH if ask.random_case else zone(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("a.shop")) == ["193.0.0.1"]
    assert [ask.transport for ask in net.asked[1:]] == [Transport.UDP, Transport.TCP]
    assert addresses(await resolver.ask("b.shop")) == ["193.0.0.1"]
    assert (net.asked[-1].transport, net.asked[-1].random_case) == (Transport.UDP, False)


@pytest.mark.attack("R-06")
@virtual
async def test_one_wrong_id_moves_the_question_to_tcp(tmp_path: Path, figure: Figure) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
    net.serve("45.1.0.1", lambda query, ask: Failed.SPOOFED if ask.transport is Transport.UDP else zone(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]
    assert [ask.transport for ask in net.asked[1:]] == [Transport.UDP, Transport.TCP]
    figure("wrong IDs until TCP", sum(ask.transport is Transport.UDP for ask in net.asked[1:]), most=1)
    able = resolver.parts.infra.capabilities
    assert able.may_use(net.asked[-1].server.address, Feature.CASE, resolver.clock.monotonic())


# -- memory ------------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-20")
def test_a_flood_of_entries_leaves_the_hot_ones(figure: Figure) -> None:
    # CacheFlush: thousands of records through one alias or delegation after the other.
    cache = RRsetCache(2_000_000)
    hot = [from_text(f"hot{number}.shop") for number in range(100)]
    for name in hot:
        cache.put(RRset(name, codes.A, 3600, (b"\1\1\1\1",)), Trust.AUTHORITATIVE, 0.0, name)
    misses = 0
    for number in range(30_000):
        name = from_text(f"a{number}.evil")
        cache.put(RRset(name, codes.CNAME, 86400, (from_text(f"a{number + 1}.evil"),)), Trust.AUTHORITATIVE, 0.0, name)
        misses += cache.get(hot[number % 100], codes.A, 1.0) is None
        assert cache.size <= 2_000_000
    figure("hit ratio lost by hot names", 100 * misses / 30_000, "%", most=5)


@pytest.mark.attack("R-20")
def test_large_entries_are_charged_for() -> None:
    cache = RRsetCache(1_000_000)
    for number in range(200):
        name = from_text(f"big{number}.evil")
        large = RRset(name, codes.TXT, 86400, tuple(bytes([each]) * 250 for each in range(100)))
        cache.put(large, Trust.AUTHORITATIVE, 0.0, name)
        soa = RRset(name, codes.SOA, 300, (b"x" * 8000,))
        cache.put_negative(from_text(f"no{number}.evil"), codes.A, 300, (soa,), Trust.AUTHORITATIVE, 0.0, nxdomain=True)
        assert cache.size <= 1_000_000
    assert len(cache) < 80


@pytest.mark.attack("R-20")
@virtual
async def test_a_zone_of_thousands_of_aliases_or_servers_costs_little(tmp_path: Path, figure: Figure) -> None:
    net = Net()

    def handler(query: Message, ask: Ask) -> Message:
        if query.question[0].rdtype == dns.rdatatype.NS:
            return reply_to(query, "\n".join(f"{qname(query)} NS n{number}.evil." for number in range(2000)))
        chain = "\n".join(f"c{number}.evil. CNAME c{number + 1}.evil." for number in range(1500))
        return reply_to(query, f"{qname(query)} CNAME c0.evil.\n{chain}")

    evil(net, handler)
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    code, asked = await costs(resolver, "www.evil")
    assert code == "SERVFAIL"
    assert asked <= bounds.MAX_CNAMES + 2
    figure("RRsets kept of 1 500 aliases", len(resolver.parts.rrsets), most=bounds.MAX_CNAMES + 2)
    size = resolver.parts.rrsets.size
    reply = await resolver.ask("evil", "NS")
    assert len(reply.answer[0]) == 2000
    assert resolver.parts.rrsets.size == size


# -- slow servers ------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-21")
@virtual
async def test_a_server_slow_on_purpose_lets_no_late_burst_loose(tmp_path: Path) -> None:
    # DNSBomb: no client is answered later than its patience, whatever comes in then.
    net = Net(rtt=4.9)
    evil(net, lambda query, ask: reply_to(query, f"{qname(query)} A 6.6.6.6"))
    resolver = ScriptedResolver(net, tmp_path, timeouts=Timeouts(client=4.0))
    loop = asyncio.get_running_loop()
    ends: list[float] = []

    async def client(number: int) -> None:
        await asyncio.sleep(number * 0.01)
        begun = loop.time()
        await resolver.ask(f"x{number}.evil")
        ends.append(loop.time() - begun)

    await asyncio.gather(*(client(number) for number in range(300)))
    assert max(ends) <= 4.001
    await resolver.settle()


def test_the_default_never_asks_private_addresses() -> None:
    networks = Settings().resolver.do_not_query
    for address in ("127.0.0.0/8", "0.0.0.0/8", "10.0.0.0/8", "::1/128", "::ffff:0:0/96", "::/128"):
        wanted = ip_network(address)
        assert any(wanted.subnet_of(each) for each in networks if each.version == wanted.version), address  # type: ignore[arg-type]


@virtual
async def test_the_root_is_asked_for_what_it_knows_only(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.1"}, "*.a.b A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    for number in range(50):
        await resolver.ask(f"w{number}.a.b.shop")
    assert net.names(ROOT_SERVER) == [("shop.", "A")]
