"""Answers made from others, from a client's question on: nobody is asked for them; where that would be wrong, somebody is."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.rdatatype
import pytest
from scriptednet import Late, ScriptedResolver, addresses, errors, rcode
from signednet import SignedNet, ad, ask
from virtualtime import virtual

from resolverd.config.settings import Forward, Stub
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.ask import Server
from resolverd.wire.names import from_text

RECORDS = "a A 193.0.0.1\nm A 193.0.0.2\nz A 193.0.0.3\n*.wild A 193.0.0.4\n*.alias CNAME a.example."


def example(tmp_path: Path, **changes: Any) -> tuple[SignedNet, ScriptedResolver]:
    net = SignedNet(tmp_path)
    net.signed("example", {"ns.example": "192.5.6.30"}, RECORDS)
    return net, net.resolver(**changes)


async def cost(net: SignedNet, resolver: ScriptedResolver, name: str, rtype: str = "A", **how: bool) -> tuple[str, int]:
    """The RCODE and how many questions it cost."""
    before = len(net.asked)
    reply = await ask(resolver, name, rtype, **how)
    await resolver.settle()
    return rcode(reply), len(net.asked) - before


@virtual
async def test_one_denial_answers_for_all_between_its_ends(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    assert await cost(net, resolver, "nobody.example") != ("NXDOMAIN", 0)
    for name in ("nothing.example", "n.example", "x.y.nix.example", "NIL.example"):
        assert await cost(net, resolver, name) == ("NXDOMAIN", 0), name
        assert await cost(net, resolver, name, "MX", do=False) == ("NXDOMAIN", 0), name
    reply = await ask(resolver, "none.example")
    assert ad(reply)
    assert errors(reply) == [codes.EDE_SYNTHESIZED]
    assert errors(await ask(resolver, "nobody.example")) == [], "what a server has said itself"
    assert {each.rdtype for each in reply.authority} == {dns.rdatatype.SOA, dns.rdatatype.NSEC, dns.rdatatype.RRSIG}
    # From m on, the records say what m has.
    assert await cost(net, resolver, "m.example", "MX") == ("NOERROR", 0)
    assert addresses(await ask(resolver, "m.example")) == ["193.0.0.2"]
    # What nothing is known of is asked for.
    assert await cost(net, resolver, "b.example") == ("NXDOMAIN", 1)


@virtual
async def test_water_torture_costs_a_question_a_gap(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    for number in range(300):
        assert (await cost(net, resolver, f"{number * 7919:x}.example"))[0] == "NXDOMAIN"
    assert len(net.names("192.5.6.30")) < 15


@virtual
async def test_a_wildcard_answers_for_what_does_not_exist(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    await ask(resolver, "nobody.example")
    for first, then, wanted in (("x.wild", "y.wild", "193.0.0.4"), ("x.alias", "y.z.alias", "193.0.0.1")):
        reply = await ask(resolver, f"{first}.example")
        assert addresses(reply) == [wanted]
        before = len(net.asked)
        again = await ask(resolver, f"{then}.example")
        assert (addresses(again), ad(again), len(net.asked)) == ([wanted], True, before)
        assert again.answer[0].name.to_text() == f"{then}.example."
        assert any(each.rdtype == dns.rdatatype.NSEC for each in again.authority)
        plain = await ask(resolver, f"q.{first}.example", do=False)
        assert (addresses(plain), len(net.asked)) == ([wanted], before)
        assert not [each for each in (*plain.answer, *plain.authority) if each.rdtype in (46, 47)]
    assert await cost(net, resolver, "w.wild.example", "MX") == ("NOERROR", 0)


@virtual
async def test_it_ends_with_the_denials_ttl(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    reply = await ask(resolver, "nobody.example")
    (soa,) = (each for each in reply.authority if each.rdtype == dns.rdatatype.SOA)
    await asyncio.sleep(soa.ttl - 1)
    assert await cost(net, resolver, "nothing.example") == ("NXDOMAIN", 0)
    await asyncio.sleep(2)
    assert (await cost(net, resolver, "n.example"))[1] > 0


@virtual
@pytest.mark.parametrize(
    "changes",
    [
        {"aggressive_nsec": False},
        {"list_zones": ["example"]},
        {"negative_trust_anchors": ("example",)},
        {"dnssec": False},
    ],
    ids=lambda each: next(iter(each)),
)
async def test_where_it_is_not_done(changes: dict[str, Any], tmp_path: Path) -> None:
    net, resolver = example(tmp_path, **changes)
    await ask(resolver, "nobody.example")
    assert await cost(net, resolver, "nothing.example") == ("NXDOMAIN", 1)


@virtual
async def test_who_validates_for_himself_is_told_what_servers_say(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    await ask(resolver, "nobody.example")
    assert await cost(net, resolver, "nothing.example", cd=True) == ("NXDOMAIN", 1)


@virtual
async def test_what_is_flushed_is_asked_for(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    for name, rest in (("other.example", "nothing.example"), (None, "n.example")):
        await ask(resolver, "nobody.example")
        resolver.parts.flush(None if name is None else from_text(name))
        assert (await cost(net, resolver, rest))[1] > 0


@virtual
async def test_what_was_asked_before_a_flush_says_nothing_after_it(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    await ask(resolver, "www.wild.example")
    zone = net.servers["192.5.6.30"]
    net.serve("192.5.6.30", lambda query, asked: Late(0.3, zone(query, asked)))
    waiting = asyncio.ensure_future(ask(resolver, "nobody.example"))
    await asyncio.sleep(0.1)
    resolver.parts.flush(from_text("nothing.example"))
    assert rcode(await waiting) == "NXDOMAIN"
    await resolver.settle()
    assert (await cost(net, resolver, "nothing.example"))[1] > 0


@virtual
async def test_it_is_switched_while_running(tmp_path: Path) -> None:
    net, resolver = example(tmp_path)
    parts = resolver.parts
    await ask(resolver, "nobody.example")
    built = parts._settings
    for aggressive, name, asked in ((True, "n.example", 0), (False, "nil.example", 1), (True, "nix.example", 0)):
        changed = replace(built, resolver=replace(built.resolver, aggressive_nsec=aggressive))
        parts.configure(changed, frozenset(), frozenset(), parts._hints, parts.trust.anchors)  # type: ignore[union-attr]
        assert await cost(net, resolver, name) == ("NXDOMAIN", asked)


@virtual
async def test_unsigned_zones_are_asked(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.zone("plain", {"ns.plain": "192.5.6.30"}, "a A 193.0.0.1")
    resolver = net.resolver()
    await ask(resolver, "nobody.plain")
    assert await cost(net, resolver, "nothing.plain") == ("NXDOMAIN", 1)


@virtual
@pytest.mark.parametrize("how", [Forward, Stub])
async def test_zones_with_servers_of_their_own_may_be_unknown_to_the_internet(how: Callable[..., Any], tmp_path: Path) -> None:
    servers = (Server(ip_address("192.5.6.99")),)
    net, resolver = example(tmp_path, **{how.__name__.lower(): (how(zone="corp.example", servers=servers),)})
    # Nothing is between alias and m on the internet.
    assert (await cost(net, resolver, "doe.example"))[0] == "NXDOMAIN"
    assert await cost(net, resolver, "box.example") == ("NXDOMAIN", 0)
    net.zone("corp.example", {"ns.corp.example": "192.5.6.99"}, "www A 10.0.0.1", parent=None)
    assert addresses(await ask(resolver, "www.corp.example")) == ["10.0.0.1"]
