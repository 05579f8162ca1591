"""Every limit of recursion, twice: a hostile net fills it and gets no further, and a legitimate zone with broken servers
still resolves under it. What is spent is one sum for the whole question, whatever it restarts.
"""

import ast
import asyncio
import re
import struct
from ipaddress import IPv4Address
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.zonefile
import pytest
from scriptednet import ROOT_SERVER, Net, ScriptedResolver, Zone, addresses, errors, rcode, reply_to
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.dnsbl.anomaly import Anomaly
from resolverd.greylist.expressions import Expression
from resolverd.mail.domains import registrable
from resolverd.mail.findings import Action, SmtpReply, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.cache import Transaction, TransactionCache
from resolverd.policy.headers import Header, HeaderQueue
from resolverd.policy.lookup_budget import LookupBudgets, ZoneRates
from resolverd.policy.lookups import LookupResults
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import Delegation, DelegationCache
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget
from resolverd.resolver.iterator.delegation import DelegationPoints
from resolverd.resolver.iterator.forwards import Hints, Upstreams
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.options import Options
from resolverd.resolver.iterator.outages import Outages
from resolverd.resolver.mesh import Timeouts
from resolverd.servers.policy.protocol import PolicyReader
from resolverd.servers.policy.protocol import render as policy_render
from resolverd.servers.policy.server import PolicyServer
from resolverd.spf.record import Fault, Parsed, Record
from resolverd.spf.record import parse as spf_record
from resolverd.wire import codes, message, render
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.ask import Ask, Failed, Server, Transport
from resolverd.wire.names import ROOT, from_text
from resolverd.wire.peek import Query, peek
from resolverd.wire.rrset import RRset
from tests.attacks import Figure

BY_BEHAVIOUR = {
    "attack/test_heaps.py": "UDP_BATCH HEAP TCP_READ TCP_TURN POLICY_READ POLICY_HEAPS HTTP_PIPELINE HTTP_READ",
    "unit/servers/test_http.py": "HTTP_STREAM_WINDOW HTTP_LINE HTTP_HEAD HTTP_HEADERS",
    "unit/servers/test_http_parameters.py": "HTTP_PARAMETER",
    "unit/spf/test_spf_suite.py": "MAX_SPF_VOIDS",
    "unit/spf/test_spf.py": "MAX_SPF_NAMES MAX_SPF_EXPLANATION",
    "unit/policy/test_checks_spf.py": "MAX_SPF_ALLOWED",
    "unit/dnsbl/test_engine.py": "LIST_TIME LIST_RATE_WAIT",
}
"""Files with tests that meet bounds by what they do."""
EVIL = "45.0.0.1"


def silent(query: dns.message.Message, ask: Ask) -> Failed:
    return Failed.TIMEOUT


def lame(query: dns.message.Message, ask: Ask) -> dns.message.Message:
    return reply_to(query, rcode="REFUSED", aa=False)


def qname(query: dns.message.Message) -> str:
    return query.question[0].name.to_text().lower()


def evil(net: Net, handler: object, zone: str = "evil") -> None:
    """A zone whose only server says what `handler` says."""
    net.root.add(f"{zone}. NS ns.{zone}.\nns.{zone}. A {EVIL}")
    net.serve(EVIL, handler)  # type: ignore[arg-type]


def test_every_limit_has_a_test() -> None:
    text = Path(bounds.__file__).read_text()
    folders = Path(__file__).parent, Path(__file__).parents[1] / "attack"
    tests = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    parts = re.split(r"^# -- (.+?) -+$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    names = [name for body in sections.values() for name in re.findall(r"^(\w+): Final", body, flags=re.MULTILINE)]
    assert len(names) > 100
    untested = {name for name in names if f"bounds.{name}" not in tests and f'(bounds, "{name}"' not in tests}
    listed = set(" ".join(BY_BEHAVIOUR.values()).split())
    assert untested <= listed <= set(names), "name it in a test, or where a test meets it by what it does"
    assert not [path for path in BY_BEHAVIOUR if not (Path(__file__).parents[1] / path).exists()]


NO_BOUNDS = frozenset((
    "KEPT_FOR", "LINK_LIMIT", "LONGEST", "LONGEST_DELAY", "MAX_AGE", "MAX_ATTEMPTS", "MAX_COUNTED", "MAX_DOMAIN", "MAX_GAPS",
    "MAX_HOLD_OFF", "MAX_HOSTNAME", "MAX_KEY", "MAX_LABEL", "MAX_LOOKED_AT", "MAX_NAME", "MAX_NAMES", "MAX_OCTETS", "MAX_OFFSET",
    "MAX_SHOWN", "MAX_SUBJECT", "MAX_SUSPENSION", "MAX_TEXT", "MAX_TRIES", "MAX_TTL", "MAX_VALUE", "MAX_ZONE",
    "REPLY_LIMIT", "UNPROVEN_KEPT_FOR", "_KEPT_FOR", "_LARGEST", "_LONGEST", "_LONGEST_RETRY", "_LONGEST_SOCKET_PATH",
    "_MAX_CACHED", "_MAX_INTERNED", "_MAX_LABEL", "_MAX_OCTETS", "_MAX_REPORTED", "_MAX_SERVERS", "_MAX_STRING",
    "_MAX_TEXT", "_MAX_TOLD", "_MOST_NETWORKS",
))  # fmt: skip
"""Sizes of protocols and formats, what the admin's own files may have, and what he is shown: no tables that strangers fill."""


def is_number(node: ast.expr | None) -> bool:
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def test_bounds_stand_in_bounds() -> None:
    found = set()
    for path in Path(bounds.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body if path != Path(bounds.__file__) else []:
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_number(node.value):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                found |= {target.id} if isinstance(target, ast.Name) else set()
    named = {name for name in found if re.search("MAX|MOST|LIMIT|REMEMBERED|KEPT|LARGEST|LONGEST", name)}
    assert len(named) > 20
    assert not named - NO_BOUNDS, "a bound on what strangers can grow belongs into bounds.py"


# -- queries ---------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-17")
@virtual
async def test_queries_of_one_question_are_counted_together(tmp_path: Path, figure: Figure) -> None:
    # NXNSAttack within a chain of aliases: each link has a delegation of its own to servers that are nowhere.
    net = Net()
    net.zone("victim", {"ns.victim": "45.0.0.2"})

    def handler(query: dns.message.Message, ask: Ask) -> dns.message.Message:
        number = int(qname(query).split(".")[1])
        if number % 2:
            cut = "\n".join(f"{number}.evil. NS n{number}-{each}.victim." for each in range(bounds.MAX_NS))
            return reply_to(query, authority=cut, aa=False)
        return reply_to(query, f"{qname(query)} CNAME www.{number + 1}.evil.")

    evil(net, handler)
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    reply = await resolver.ask("www.0.evil")
    assert rcode(reply) == "SERVFAIL"
    assert len(net.asked) <= bounds.MAX_QUERIES
    await resolver.settle()
    asked = len(net.asked)
    figure("upstream queries", asked, most=bounds.MAX_QUERIES)
    assert rcode(await resolver.ask("www.0.evil")) == "SERVFAIL"
    assert len(net.asked) == asked, "the failure was not remembered"


@pytest.mark.attack("R-17")
@virtual
async def test_the_budget_of_queries_is_exact(tmp_path: Path) -> None:
    # Every name leads one cut deeper and each of its servers is found only by asking: this would never end.
    net = Net()

    def handler(query: dns.message.Message, ask: Ask) -> dns.message.Message:
        name = qname(query)
        if name.startswith("ns"):
            return reply_to(query, f"{name} 0 A {EVIL}") if query.question[0].rdtype == 1 else reply_to(query)
        labels = name.rstrip(".").split(".")
        depth = next((each for each in range(2, len(labels)) if ".".join(labels[-each:]) not in seen), len(labels))
        zone = ".".join(labels[-depth:])
        seen.add(zone)
        return reply_to(query, authority=f"{zone}. 0 NS ns{len(seen)}.elsewhere.", aa=False)

    seen: set[str] = set()
    evil(net, handler)
    net.root.add(f"elsewhere. NS ns.elsewhere.\nns.elsewhere. A {EVIL}")
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False, ipv6=True)
    reply = await resolver.ask(".".join("a" * 60) + ".evil")
    assert rcode(reply) == "SERVFAIL"
    await resolver.settle()
    assert len(net.asked) == bounds.MAX_QUERIES or len(seen) >= min(bounds.MAX_REFERRALS - 1, bounds.MAX_LOOKUPS)
    assert len(net.asked) <= bounds.MAX_QUERIES


def test_a_query_budget_is_one_sum_and_ends() -> None:
    budget = QueryBudget(100.0)
    for _ in range(bounds.MAX_QUERIES):
        budget.charge(ROOT, ROOT)
    with pytest.raises(Exhausted):
        budget.charge(ROOT, ROOT)
    late = QueryBudget(100.0)
    late.now = 100.0 + bounds.RECURSION_TIME
    with pytest.raises(Exhausted):
        late.charge(ROOT, ROOT)
    for charge, limit in ((budget.charge_lookup, bounds.MAX_LOOKUPS), (budget.charge_step, bounds.MAX_STEPS)):
        for _ in range(limit):
            charge()
        with pytest.raises(Exhausted):
            charge()


@virtual
async def test_many_broken_servers_and_one_that_works(tmp_path: Path) -> None:
    for broken in (lame, silent):
        for seed in range(8):
            net = Net()
            net.zone("shop", {f"ns{number}.shop": f"45.1.0.{number}" for number in range(4)}, "www A 193.0.0.1")
            for number in range(3):
                net.serve(f"45.1.0.{number}", broken)
            resolver = ScriptedResolver(net, tmp_path, seed=seed)
            assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_thirteen_servers_of_which_twelve_are_lame(tmp_path: Path) -> None:
    for seed in range(8):
        net = Net()
        net.zone("shop", {f"ns{number}.shop": f"45.1.0.{number}" for number in range(13)}, "www A 193.0.0.1")
        for number in range(12):
            net.serve(f"45.1.0.{number}", lame)
        assert addresses(await ScriptedResolver(net, tmp_path, seed=seed).ask("www.shop")) == ["193.0.0.1"]


# -- octets ----------------------------------------------------------------------------------------------------------------


def bulk(owner: str, octets: int) -> str:
    return "\n".join(f'{owner} TXT "{number:05d}{"x" * 245}"' for number in range(octets // 262))


@pytest.mark.attack("R-17")
@virtual
async def test_octets_received_are_bounded(tmp_path: Path, figure: Figure) -> None:
    net = Net()

    def handler(query: dns.message.Message, ask: Ask) -> dns.message.Message:
        name = qname(query)
        if name.count(".") < 3:
            return reply_to(query, authority="evil. 60 SOA a. b. 1 1 1 1 1")
        number = int(name.split(".")[1])
        return reply_to(query, f"{name} CNAME www.{number + 1}.evil.", additional=bulk(name, 50_000))

    evil(net, handler)
    resolver = ScriptedResolver(net, tmp_path)
    reply = await resolver.ask("www.0.evil", "TXT")
    assert rcode(reply) == "SERVFAIL"
    await resolver.settle()
    figure("kB received, one message beyond the bound", net.octets / 1000, most=(bounds.MAX_UPSTREAM_BYTES + 65_535) / 1000)
    assert net.octets > bounds.MAX_UPSTREAM_BYTES


@virtual
async def test_one_large_answer_passes(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"}, bulk("www.shop.", 60_000))
    net.serve("45.1.0.1", lame)
    reply = await ScriptedResolver(net, tmp_path).ask("www.shop", "TXT")
    assert len(reply.answer[0]) == 60_000 // 262


# -- referrals, aliases, depth ---------------------------------------------------------------------------------------------


@virtual
async def test_referrals_end(tmp_path: Path) -> None:
    net = Net()
    cuts = 0

    def handler(query: dns.message.Message, ask: Ask) -> dns.message.Message:
        nonlocal cuts
        cuts += 1
        labels = qname(query).rstrip(".").split(".")
        zone = ".".join(labels[-(cuts + 1) :])
        return reply_to(query, authority=f"{zone}. NS ns.{zone}.", additional=f"ns.{zone}. A {EVIL}", aa=False)

    evil(net, handler)
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    reply = await resolver.ask(".".join("a" * 60) + ".evil")
    assert rcode(reply) == "SERVFAIL"
    assert cuts == bounds.MAX_REFERRALS - 1  # the first was the root's


@virtual
async def test_a_deep_tree_with_broken_servers_resolves(tmp_path: Path) -> None:
    net = Net()
    parent, name = net.root, ""
    for depth in range(8):
        name = f"d{depth}.{name}".rstrip(".")
        servers = {f"ns1.{name}": f"45.1.{depth}.1", f"ns2.{name}": f"45.1.{depth}.2"}
        parent = net.zone(name, servers, parent=parent)
        net.serve(f"45.1.{depth}.1", lame)
    parent.add("www A 193.0.0.1")
    for minimise in (True, False):
        resolver = ScriptedResolver(net, tmp_path, qname_minimisation=minimise)
        assert addresses(await resolver.ask(f"www.{name}")) == ["193.0.0.1"]


@pytest.mark.parametrize(("links", "ends"), [(bounds.MAX_CNAMES, True), (bounds.MAX_CNAMES + 1, False), (60, False)])
@virtual
async def test_aliases_end(links: int, ends: bool, tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"})
    net.serve("45.1.0.1", lame)
    for number in range(links):
        zone.add(f"w{number} CNAME w{number + 1}.shop.")
    zone.add(f"w{links} A 193.0.0.1")
    reply = await ScriptedResolver(net, tmp_path).ask("w0.shop")
    assert (addresses(reply) == ["193.0.0.1"]) is ends
    assert rcode(reply) == ("NOERROR" if ends else "SERVFAIL")


@pytest.mark.parametrize(("levels", "ends"), [(1, True), (bounds.MAX_DEPTH, True), (bounds.MAX_DEPTH + 1, False)])
@virtual
async def test_look_ups_within_each_other_end(levels: int, ends: bool, tmp_path: Path) -> None:
    net = Net()
    for level in range(levels + 1):
        # Zone 0 is served by a name in zone 1, and so on; only the last has glue.
        server = f"45.2.0.{level}"
        last = f"z{level}. NS own.z{level}.\nown.z{level}. A {server}"
        net.root.add(f"z{level}. NS ns.z{level + 1}." if level < levels else last)
        net.serve(server, Zone(f"z{level}", f"www A 193.0.0.1\nns A 45.2.0.{level - 1}" if level else "www A 193.0.0.1"))
    reply = await ScriptedResolver(net, tmp_path).ask("www.z0")
    assert addresses(reply) == (["193.0.0.1"] if ends else [])
    assert rcode(reply) == ("NOERROR" if ends else "SERVFAIL")


# -- servers of a delegation -----------------------------------------------------------------------------------------------


@virtual
async def test_servers_and_addresses_kept_of_a_delegation(tmp_path: Path) -> None:
    net = Net()
    names = [f"ns{number}.evil" for number in range(40)]
    net.root.add("\n".join(f"evil. NS {name}." for name in names))
    net.root.add("\n".join(f"{name}. A 45.{at}.0.{number}" for at, name in enumerate(names) for number in range(1, 30)))
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.evil")
    delegation = resolver.parts.delegations.closest(from_text("evil"), resolver.clock.monotonic())
    assert delegation is not None
    assert len(delegation.servers) == bounds.MAX_NS
    assert {name for name, _ in delegation.glue} <= set(delegation.servers)
    assert max(len(found) for _, found in delegation.glue) == bounds.MAX_ADDRESSES_PER_NS
    await resolver.settle()
    assert len(net.asked) <= bounds.MAX_QUERIES


@virtual
async def test_addresses_of_a_looked_up_server_are_bounded(tmp_path: Path) -> None:
    net = Net()
    net.root.add("evil. NS ns.host.")
    net.zone("host", {"ns1.host": "45.1.0.1"}, "\n".join(f"ns A 45.3.0.{number}" for number in range(1, 60)))
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.evil")
    await resolver.settle()
    tried = {str(ask.server.address) for ask in net.asked if str(ask.server.address).startswith("45.3.")}
    assert len(tried) == bounds.MAX_ADDRESSES_PER_NS


@virtual
async def test_twenty_servers_with_many_addresses_resolve(tmp_path: Path) -> None:
    net = Net()
    zone = Zone("shop", "www A 193.0.0.1")
    for number in range(20):
        net.root.add(f"shop. NS ns{number}.shop.")
        for at in range(8):
            net.root.add(f"ns{number}.shop. A 45.{number}.0.{at}")
            net.serve(f"45.{number}.0.{at}", zone if at == 3 else lame)
    for seed in range(5):
        assert addresses(await ScriptedResolver(net, tmp_path, seed=seed).ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_a_refusal_is_confirmed_by_so_many_servers_and_no_more(tmp_path: Path) -> None:
    net = Net()
    for number in range(bounds.MAX_NS):
        net.root.add(f"shop. NS ns{number}.shop.\nns{number}.shop. A 45.7.0.{number}")
        net.serve(f"45.7.0.{number}", lame)
    assert rcode(await ScriptedResolver(net, tmp_path).ask("www.shop")) == "SERVFAIL"
    asked = [each for each in net.asked if str(each.server.address) != ROOT_SERVER]
    assert len(asked) == bounds.MAX_NS + bounds.CONFIRMED_USELESS


def without_glue(net: Net, bad: int, good: int) -> None:
    net.zone("host", {"ns.host": "45.1.0.1"}, "\n".join(f"g{number} A 45.4.0.{number}" for number in range(good)))
    net.root.add("\n".join(f"shop. NS n{number}.host." for number in range(bad)))
    net.root.add("\n".join(f"shop. NS g{number}.host." for number in range(good)))
    zone = Zone("shop", "www A 193.0.0.1")
    for number in range(good):
        net.serve(f"45.4.0.{number}", zone)


def looked_up(net: Net) -> set[str]:
    return {name for name, rtype in net.names("45.1.0.1") if name != "host."}


@virtual
async def test_server_names_that_find_nothing_are_bounded(tmp_path: Path) -> None:
    net = Net()
    without_glue(net, bad=13, good=0)
    resolver = ScriptedResolver(net, tmp_path)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    await resolver.settle()
    assert len(looked_up(net)) == bounds.MAX_NS_FAILURES


@virtual
async def test_server_names_looked_up_are_bounded(tmp_path: Path) -> None:
    net = Net()
    without_glue(net, bad=0, good=13)
    for number in range(13):
        net.serve(f"45.4.0.{number}", lame)
    resolver = ScriptedResolver(net, tmp_path)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    await resolver.settle()
    assert len(looked_up(net)) == bounds.MAX_NS_LOOKUPS


@virtual
async def test_a_zone_most_of_whose_servers_do_not_exist_resolves(tmp_path: Path) -> None:
    for seed in range(10):
        net = Net()
        without_glue(net, bad=bounds.MAX_NS_FAILURES - 1, good=1)
        assert addresses(await ScriptedResolver(net, tmp_path, seed=seed).ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_a_zone_most_of_whose_servers_are_dead_resolves(tmp_path: Path) -> None:
    for seed in range(10):
        net = Net()
        without_glue(net, bad=0, good=3)
        net.serve("45.4.0.0", silent)
        net.serve("45.4.0.1", silent)
        assert addresses(await ScriptedResolver(net, tmp_path, seed=seed).ask("www.shop")) == ["193.0.0.1"]


# -- minimised names -------------------------------------------------------------------------------------------------------


@virtual
async def test_steps_of_minimisation_end(tmp_path: Path) -> None:
    net = Net()
    deep = ".".join("a" * 50) + ".shop"
    net.zone("shop", {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"}, f"{deep}. A 193.0.0.1")
    net.serve("45.1.0.1", lame)
    assert addresses(await ScriptedResolver(net, tmp_path, seed=3).ask(deep)) == ["193.0.0.1"]
    names = [name for name, _ in net.names("45.1.0.2")]
    # RFC 9156 §2.3: the root's step counts too, and the last one is the real question.
    assert len(names) + 1 == bounds.MAX_MINIMISE
    assert [name.count(".") for name in names][: bounds.MINIMISE_ONE_LABEL - 1] == [2, 3, 4]
    assert names[-1] == f"{deep}."


# -- time ------------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_recursion_ends_in_time(tmp_path: Path) -> None:
    net = Net()
    net.root.add("\n".join(f"shop. NS ns{number}.shop.\nns{number}.shop. A 45.1.0.{number}" for number in range(13)))
    resolver = ScriptedResolver(net, tmp_path)
    begun = resolver.clock.monotonic()
    reply = await resolver.ask("www.shop")
    assert rcode(reply) == "SERVFAIL"
    assert resolver.clock.monotonic() - begun <= Timeouts().client + 0.01
    await resolver.settle()
    assert resolver.clock.monotonic() - begun <= bounds.RECURSION_TIME + 0.2


@virtual
async def test_slow_servers_are_waited_for_behind_the_client(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
    tries = 0

    def slow(query: dns.message.Message, ask: Ask) -> dns.message.Message | Failed:
        nonlocal tries
        tries += 1
        return zone(query, ask) if tries > 2 else Failed.TIMEOUT

    net.serve("45.1.0.1", slow)
    resolver = ScriptedResolver(net, tmp_path, timeouts=Timeouts(client=0.5))
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    await resolver.settle()
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]


# -- servers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-19")
@virtual
async def test_sends_to_one_server_are_bounded(tmp_path: Path, figure: Figure) -> None:
    answers = {
        "silent": silent,
        "refuses": lame,
        "unreachable": lambda query, ask: Failed.UNREACHABLE,
        "malformed": lambda query, ask: Failed.MALFORMED,
        "spoofed, TCP silent": lambda query, ask: Failed.SPOOFED if ask.transport is Transport.UDP else Failed.TIMEOUT,
        "letters, TCP silent": lambda query, ask: Failed.CASE_MISMATCH if ask.transport is Transport.UDP else Failed.TIMEOUT,
        "no EDNS, then silent": lambda query, ask: reply_to(query, rcode="FORMERR") if query.edns >= 0 else Failed.TIMEOUT,
        "FORMERR": lambda query, ask: reply_to(query, rcode="FORMERR"),
        "truncated, TCP silent": lambda query, ask: truncated(query) if ask.transport is Transport.UDP else Failed.TIMEOUT,
        "truncated always": lambda query, ask: truncated(query),
        "BADVERS": lambda query, ask: reply_to(query, rcode="BADVERS") if query.edns >= 0 else Failed.TIMEOUT,
    }
    for handler in answers.values():
        net = Net()
        evil(net, handler)
        resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
        assert rcode(await resolver.ask("www.evil")) == "SERVFAIL"
        await resolver.settle()
        for transport in (Transport.UDP, Transport.TCP):
            sends = [ask for ask in net.asked if str(ask.server.address) == EVIL and ask.transport is transport]
            figure("sends to one server and transport", len(sends), most=bounds.SENDS_PER_SERVER)


def truncated(query: dns.message.Message) -> dns.message.Message:
    out = reply_to(query)
    out.flags |= dns.flags.TC
    return out


@virtual
async def test_one_lost_packet_costs_a_repetition_only(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
    lost = iter([True, True, False])
    net.serve("45.1.0.1", lambda query, ask: Failed.TIMEOUT if next(lost) else zone(query, ask))
    assert addresses(await ScriptedResolver(net, tmp_path).ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_large_rrsets_are_kept_within_octets(tmp_path: Path) -> None:
    # Shared hosts have hundreds of PTR records: fetched anew for each client they would cost more than kept.
    net = Net()
    most = bounds.MAX_KEPT_RRSET // 60
    many = "\n".join(f"many A 193.0.{number // 256}.{number % 256}" for number in range(most + 200))
    some = "\n".join(f"some A 193.0.{number // 256}.{number % 256}" for number in range(most - 200))
    net.zone("shop", {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"}, f"{many}\n{some}")
    net.serve("45.1.0.1", lame)
    resolver = ScriptedResolver(net, tmp_path)
    assert len(addresses(await resolver.ask("many.shop"))) == most + 200
    assert len(addresses(await resolver.ask("some.shop"))) == most - 200
    now = resolver.clock.monotonic()
    assert resolver.parts.rrsets.get(from_text("many.shop"), codes.A, now) is None
    assert resolver.parts.rrsets.get(from_text("some.shop"), codes.A, now) is not None


# -- messages --------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-03")
def test_names_of_one_message_are_read_within_one_budget() -> None:
    labels = 100
    paid = bounds.MESSAGE_NAME_BUDGET // (labels + 1)
    rest = struct.pack("!HHIH", codes.A, 1, 0, 4) + b"\1\2\3\4"
    for count, whole in ((paid, True), (paid + 1, False)):
        owners = (bytes((2, number, number)) + b"\x01a" * (labels - 1) + b"\0" for number in range(count))
        packet = struct.pack("!6H", 1, 0x8000, 0, count, 0, 0) + b"".join(owner + rest for owner in owners)
        if whole:
            assert len(message.parse(packet).answer) == count
        else:
            with pytest.raises(message.Malformed):
                message.parse(packet)


def test_edns_options_of_one_record_are_bounded() -> None:
    data = b"".join(struct.pack("!HH", number, 0) for number in range(1000))
    assert len(message.options(data, 0, len(data))) == bounds.MAX_EDNS_OPTIONS


def test_signatures_of_one_rrset_are_bounded() -> None:
    text = "\n".join(
        f"www.evil. 60 RRSIG A 13 2 60 20300101000000 20200101000000 {tag} evil. {'A' * 86}==" for tag in range(100)
    )
    reply = dns.message.make_response(dns.message.make_query("www.evil", "A", use_edns=0, payload=65535))
    text = f"www.evil. 60 A 193.0.0.1\n{text}"
    reply.answer = dns.zonefile.read_rrsets(text, rdclass=None, origin=dns.name.root, relativize=False)
    (rrset,) = message.parse(reply.to_wire(max_size=65535)).answer
    assert (len(rrset.rdatas), len(rrset.sigs)) == (1, bounds.MAX_SIGNATURES)


@pytest.mark.attack("R-04")
def test_a_reply_looks_for_compression_of_so_many_names_only() -> None:
    """What comes behind them is written out in full."""

    def size(count: int) -> int:
        query = peek(dns.message.make_query("www.example.", "A").to_wire())
        assert isinstance(query, Query)
        data = [from_text(f"t{number}.a-long-name-that-is-worth-being-pointed-at.other") for number in range(count)]
        answer = Answer(0, tuple(RRset(query.qname, codes.CNAME, 60, (each,)) for each in data))
        return len(render.render(query, answer, 65535).data)

    few, many = bounds.MAX_COMPRESSION_NAMES // 4, bounds.MAX_COMPRESSION_NAMES * 4
    assert (size(few + 10) - size(few)) / 10 < 30 < (size(many + 10) - size(many)) / 10


@virtual
async def test_long_replies_are_not_kept_as_packets(tmp_path: Path) -> None:
    net = Net()
    numbers = [("long", each) for each in range(20)] + [("short", each) for each in range(10)]
    texts = "\n".join(f'{name} TXT "{number:03}{"x" * 200}"' for name, number in numbers)
    net.zone("shop", {"ns.shop": "45.1.0.1"}, texts)
    resolver = ScriptedResolver(net, tmp_path)
    for name, kept in (("long.shop", 0), ("short.shop", 1)):
        reply = await resolver.stack.ask(dns.message.make_query(name, "TXT").to_wire(), udp=False)
        assert reply is not None
        assert (len(reply) <= bounds.MAX_KEPT_REPLY) is bool(kept)
        assert len(resolver.parts.packets) == kept


# -- policy clients --------------------------------------------------------------------------------------------------------


def test_a_policy_request_is_bounded_in_octets() -> None:
    lines = [b"a%d=%s" % (number, b"x" * 1000) for number in range(bounds.POLICY_REQUEST // 1000 + 1)]
    assert len(lines) < bounds.POLICY_ATTRIBUTES
    whole = b"\n".join([b"request=smtpd_access_policy", *lines, b"", b""])
    reader = PolicyReader()
    assert reader.feed(whole) == []
    assert reader.garbage == f"a request of more than {bounds.POLICY_REQUEST} octets"


def test_what_postfix_is_told_is_bounded() -> None:
    refused = Verdict("R", Action.REJECT, 9, "", reply=SmtpReply(554, "5.7.1", "x" * 5000))
    assert len(policy_render(refused)) <= bounds.POLICY_REPLY + len("554 5.7.1 ")
    assert bounds.POLICY_REPLY + len("554 5.7.1 \r\n") <= 512, "RFC 5321 §4.5.3.1.5"
    tagged = Verdict("R", Action.ACCEPT, 0, "", header=f"X-Resolverd: {'x' * 5000}")
    assert len(policy_render(tagged)) <= bounds.POLICY_HEADER + len("PREPEND ")
    assert bounds.POLICY_HEADER <= 998, "RFC 5322 §2.1.1"


@virtual
async def test_a_verdict_that_does_not_come_is_not_waited_for() -> None:
    class Silent:
        def try_verdict(self, attempt: object, *, record: bool) -> None:
            return None

        async def verdict_on(self, attempt: object, *, record: bool) -> Verdict:
            await asyncio.Event().wait()
            raise AssertionError

    begun = asyncio.get_running_loop().time()
    assert await PolicyServer(Silent(), Counters()).answer(Attempt()) == "DUNNO"
    assert asyncio.get_running_loop().time() - begun == bounds.POLICY_HARD_STOP


def test_what_is_remembered_of_mails_is_bounded() -> None:
    headers, transactions = HeaderQueue(), TransactionCache()
    known = Transaction(LookupResults({}, frozenset()), [], False, LookupBudgets.full(ZoneRates(VirtualClock())))
    for number in range(bounds.MAIL_HEADERS + 100):
        headers.put(str(number), Header.RECEIVED_SPF, "Received-SPF: none", 0.0)
        transactions.put(Attempt(None, instance=str(number)), known, 0.0, transactions.generation.number)
        registrable(f"m{number}.example.com")
    assert (len(headers), len(transactions)) == (bounds.MAIL_HEADERS, bounds.MAIL_TRANSACTIONS)
    assert registrable.cache_info().currsize == bounds.MAIL_NAMES


def test_what_a_list_is_judged_by_is_bounded() -> None:
    anomaly = Anomaly()
    for number in range(20_000):
        anomaly.observe(number, f"127.0.{number >> 8}.{number & 255}", 0.0)
    assert len(anomaly._subjects) == bounds.LIST_SUBJECTS
    assert len(anomaly._history) < 5000
    for number in range(20_000):
        anomaly.observe(-number, f"127.0.{number % 100}.0", 0.0)
    assert len(anomaly._history) <= 4000 / 2 + bounds.LIST_ANSWERS


# -- SPF and expressions ---------------------------------------------------------------------------------------------------


def test_domains_in_spf_records_are_bounded() -> None:
    few = (bounds.MAX_SPF_DOMAIN_SPEC - len("example")) // len("%{i}.")
    assert isinstance(spf_record(f"v=spf1 a:{'%{i}.' * few}example -all".encode()), Record)
    assert isinstance(spf_record(f"v=spf1 a:{'%{i}.' * (few + 1)}example -all".encode()), Fault)


@pytest.mark.parametrize(("version", "bits", "prefix"), [(4, 32, bounds.SPF_WIDE_IPV4), (6, 128, bounds.SPF_WIDE_IPV6)])
def test_a_record_as_wide_as_that_lets_anybody_pass(version: int, bits: int, prefix: int) -> None:
    network = "ip4:64.0.0.0" if version == 4 else "ip6:2000::"
    for length, anybody in ((prefix, True), (prefix + 1, False)):
        record = spf_record(f"v=spf1 {network}/{length} -all".encode())
        assert isinstance(record, Record)
        assert record.lets_anybody(version) is anybody


def test_parsed_records_are_bounded() -> None:
    parsed = Parsed()
    for number in range(2 * bounds.SPF_PARSED // 1000):
        parsed(b"v=spf1 exp=e%d.example " % number + b"a " * 490)
    assert bounds.SPF_PARSED // 2 < parsed.held <= bounds.SPF_PARSED


def test_expressions_are_bounded() -> None:
    assert Expression("a" * (bounds.EXPRESSION_STATES // 2)).search("a" * bounds.EXPRESSION_STATES)
    with pytest.raises(ValueError, match="too large"):
        Expression("a" * bounds.EXPRESSION_STATES)
    Expression("(" * bounds.EXPRESSION_DEPTH + "a" + ")" * bounds.EXPRESSION_DEPTH)
    with pytest.raises(ValueError, match="groups in groups"):
        Expression("(" * (bounds.EXPRESSION_DEPTH + 1) + "a" + ")" * (bounds.EXPRESSION_DEPTH + 1))


# -- tables ----------------------------------------------------------------------------------------------------------------


def test_tables_are_bounded() -> None:
    servers, delegations, failures = InfraCache(), DelegationCache(10**6), FailureCache(10**6)
    outages = Outages(servers)
    for number in range(bounds.MAX_SERVERS + 100):
        name = from_text(f"z{number}.evil")
        address = IPv4Address(0x2D000000 + number)
        servers.timed_out(Server(address), 0.0)
        outages.suspect(name, [Server(address)], 0.0)
        delegations.put(Delegation(name, (), (), 100.0), 0.0)
        failures.put(name, codes.A, ExtendedError(22), 0.0)
    assert len(servers) == bounds.MAX_SERVERS
    assert len(outages) == bounds.MAX_OUTAGES
    assert 1000 < len(delegations) < 3000
    assert 1000 < len(failures._failures) < 3000
    assert failures.get(name, codes.A, 1.0) is not None, "the newest is the one that is kept"


def test_a_flood_pushes_nothing_out_that_is_asked_for_all_the_time() -> None:
    servers, failures = InfraCache(10**6), FailureCache(10**5)
    outages = Outages(servers)
    delegations = DelegationCache(10**7)
    points = DelegationPoints(Caches(RRsetCache(10**5), delegations), Hints(()), Upstreams(), Options())
    ours, here = from_text("ours.shop"), IPv4Address("45.1.0.1")
    servers.timed_out(Server(here), 0.0)
    outages.add_without_servers(ours, 0.0)
    failures.put(ours, codes.A, ExtendedError(22), 0.0)
    delegations.put(Delegation(ours, (ours,), ((ours, (here,)),), 100.0), 0.0)
    dp = points.nearest(ours, 0.0, False)
    (server,) = points.usable([here])
    for number in range(3 * bounds.CACHED_SERVERS):
        name, address = from_text(f"z{number}.evil"), IPv4Address(0x2D100000 + number)
        servers.timed_out(Server(address), 0.0)
        outages.suspect(name, [Server(address)], 0.0)
        failures.put(name, codes.A, ExtendedError(22), 0.0)
        delegations.put(Delegation(name, (), (), 100.0), 0.0)
        points.nearest(name, 0.0, False)
        points.usable([address])
        if number % 100 == 0:
            assert outages.is_down(ours, (), 1.0), number
            assert failures.get(ours, codes.A, 1.0) is not None, number
            assert points.nearest(ours, 0.0, False) is dp, number
            assert points.usable([here])[0] is server, number
    assert len(outages) == bounds.MAX_OUTAGES
    assert len(points._kept) == bounds.CACHED_DELEGATION_POINTS
    assert len(points._servers) == bounds.CACHED_SERVERS


@virtual
async def test_failures_cost_nothing_for_a_while_and_longer_each_time(tmp_path: Path) -> None:
    net = Net()
    net.root.add("shop. NS ns.shop.\nns.shop. A 45.1.0.1")
    net.serve("45.1.0.1", lame)
    resolver = ScriptedResolver(net, tmp_path)
    pause = bounds.FAILURE_TTL
    for _ in range(8):
        assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
        asked = len(net.asked)
        await asyncio.sleep(pause - 0.5)
        reply = await resolver.ask("www.shop")
        assert (rcode(reply), len(net.asked)) == ("SERVFAIL", asked)
        assert codes.EDE_CACHED_ERROR in errors(reply)
        await asyncio.sleep(1)
        await resolver.ask("www.shop")
        assert len(net.asked) > asked
        pause = min(2 * pause, bounds.MAX_FAILURE_TTL)
    # Back to life: it resolves at the next try, and the pause is forgotten.
    net.serve("45.1.0.1", Zone("shop", "www 1 A 193.0.0.1"))
    await asyncio.sleep(pause)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_delegations_live_a_day_at_most(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"}, "www 10 A 193.0.0.1", ttl=10_000_000)
    net.serve("45.1.0.1", lame)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    await asyncio.sleep(bounds.MAX_DELEGATION_TTL - 1)
    assert resolver.parts.delegations.closest(from_text("shop"), resolver.clock.monotonic()) is not None
    await asyncio.sleep(2)
    assert resolver.parts.delegations.closest(from_text("shop"), resolver.clock.monotonic()) is None
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.1"]


@virtual
async def test_the_parent_of_a_failing_zone_is_not_asked_every_time(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
    net.serve("45.1.0.1", lame)
    resolver = ScriptedResolver(net, tmp_path)

    async def questions_to_the_root(name: str) -> int:
        before = len(net.names(ROOT_SERVER))
        await resolver.ask(name)
        return len(net.names(ROOT_SERVER)) - before

    assert await questions_to_the_root("a.shop") == 1
    assert await questions_to_the_root("b.shop") == 0
    await asyncio.sleep(bounds.DELEGATION_FRESH + 1)
    assert await questions_to_the_root("c.shop") == 1
    # Servers that have moved are found that way, without anybody waiting for the delegation's end.
    net.root.remove("shop.")
    net.root.add("shop. NS new.shop.\nnew.shop. A 45.1.0.2")
    net.serve("45.1.0.2", Zone("shop", "d A 193.0.0.1"))
    await asyncio.sleep(bounds.DELEGATION_FRESH + 1)
    assert addresses(await resolver.ask("d.shop")) == ["193.0.0.1"]


@virtual
async def test_denials_without_soa_are_kept_for_a_moment(tmp_path: Path) -> None:
    net = Net()
    evil(net, lambda query, ask: reply_to(query, rcode="NXDOMAIN"))
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=False)
    assert rcode(await resolver.ask("www.evil")) == "NXDOMAIN"
    asked = len(net.asked)
    await asyncio.sleep(bounds.NO_SOA_TTL - 1)
    await resolver.ask("www.evil")
    assert len(net.asked) == asked
    await asyncio.sleep(2)
    await resolver.ask("www.evil")
    assert len(net.asked) == asked + 1
