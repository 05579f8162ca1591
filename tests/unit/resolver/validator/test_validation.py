"""From a client's question to its validated answer, over signed zones on fake servers, on virtual time."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import dns.rdatatype
import pytest
from scriptednet import Handler, Message, Net, Said, addresses, errors, rcode
from signednet import SignedNet, SignedZone, ad, ask
from signing import DAY
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Stub
from resolverd.resolver.validator.keys import InsecureZone, KeyCache, SecureZone
from resolverd.resolver.validator.signatures import ZoneKey
from resolverd.wire.ask import Ask, Failed, Server
from resolverd.wire.dnssec import Dnskey
from resolverd.wire.names import from_text
from resolverd.zones.answer import Answerer


def stripped(zone: SignedZone, rtype: str = "RRSIG") -> Handler:
    """A server of the zone that leaves those records out."""

    def server(query: Message, ask: Ask) -> Said:
        out = zone(query, ask)
        if query.question[0].rdtype != dns.rdatatype.DNSKEY:
            for section in (out.answer, out.authority):
                section[:] = [each for each in section if each.rdtype != dns.rdatatype.from_text(rtype)]
        return out

    return server


def forged(zone: SignedZone) -> Handler:
    """A server of the zone that answers with another address and the signature of the right one."""

    def server(query: Message, ask: Ask) -> Said:
        out = zone(query, ask)
        out.answer = [
            dns.rrset.from_text(each.name, each.ttl, "IN", "A", "10.6.6.6") if each.rdtype == dns.rdatatype.A else each
            for each in out.answer
        ]
        return out

    return server


def asked(net: Net, rtype: str) -> list[str]:
    return [name for name, each in net.names() if each == rtype]


@virtual
async def test_a_signed_name_is_secure(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    example = net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1\n*.wild A 193.0.0.2\nalias CNAME www.example.")
    net.signed("sub.example", {"ns.sub.example": "192.5.6.31"}, "www A 193.0.0.3", parent=example)
    resolver = net.resolver()
    for name, wanted in (("www.example", "193.0.0.1"), ("a.wild.example", "193.0.0.2"), ("alias.example", "193.0.0.1"),
                         ("www.sub.example", "193.0.0.3")):  # fmt: skip
        reply = await ask(resolver, name)
        assert (rcode(reply), addresses(reply), ad(reply)) == ("NOERROR", [wanted], True), name
        assert any(each.rdtype == dns.rdatatype.RRSIG for each in reply.answer)
        again = await ask(resolver, name)
        assert ad(again)
        assert again.answer == reply.answer
        plain = await ask(resolver, name, do=False)
        assert not ad(plain)
        assert not [each for each in (*plain.answer, *plain.authority) if each.rdtype in (46, 47)]
    assert any(each.rdtype == dns.rdatatype.NSEC for each in (await ask(resolver, "a.wild.example")).authority)
    assert sorted(asked(net, "DNSKEY")) == [".", "example.", "sub.example."], "each zone's keys once"
    assert not asked(net, "DS"), "the referrals have said it"


@virtual
async def test_denials_are_secure(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1\n*.wild A 193.0.0.2\na.ent A 193.0.0.1")
    resolver = net.resolver()
    for name, rtype, wanted in (("no.example", "A", "NXDOMAIN"), ("www.example", "MX", "NOERROR"), ("nothing", "A", "NXDOMAIN"),
                                ("ent.example", "A", "NOERROR"), ("x.wild.example", "MX", "NOERROR")):  # fmt: skip
        reply = await ask(resolver, name, rtype)
        assert (rcode(reply), ad(reply)) == (wanted, True), name
        assert {each.rdtype for each in reply.authority} >= {dns.rdatatype.SOA, dns.rdatatype.NSEC, dns.rdatatype.RRSIG}


@virtual
async def test_below_an_unsigned_delegation_nothing_is_asked_twice(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.zone("plain", {"ns.plain": "192.5.6.30"}, "\n".join(f"{number}.list A 127.0.0.2" for number in range(50)))
    resolver = net.resolver(list_zones=["list.plain"])
    for number in range(50):
        reply = await ask(resolver, f"{number}.list.plain")
        assert (rcode(reply), ad(reply)) == ("NOERROR", False)
    assert asked(net, "DNSKEY") == ["."]
    assert not asked(net, "DS")


@virtual
@pytest.mark.parametrize("bad", [stripped, forged])
async def test_a_bogus_answer_is_asked_for_elsewhere(bad: Callable[[SignedZone], Handler], tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    servers = {"ns1.example": "192.5.6.30", "ns2.example": "192.5.6.31"}
    zone = net.signed("example", servers, "\n".join(f"www{number} A 193.0.0.1" for number in range(8)))
    net.serve("192.5.6.30", bad(zone))
    resolver = net.resolver()
    for number in range(8):
        reply = await ask(resolver, f"www{number}.example")
        assert (rcode(reply), addresses(reply), ad(reply)) == ("NOERROR", ["193.0.0.1"], True)


@virtual
@pytest.mark.parametrize(("bad", "code"), [(stripped, 10), (forged, 6)])
async def test_what_all_servers_say_wrongly_is_bogus(
    bad: Callable[[SignedZone], Handler], code: int, tmp_path: Path
) -> None:
    net = SignedNet(tmp_path)
    servers = {f"ns{number}.example": f"192.5.6.{number}" for number in range(8)}
    zone = net.signed("example", servers, "www A 193.0.0.1")
    for address in servers.values():
        net.serve(address, bad(zone))
    resolver = net.resolver()
    reply = await ask(resolver, "www.example")
    assert (rcode(reply), errors(reply)) == ("SERVFAIL", [code])
    assert "www.example" in next(option.text for option in reply.options if option.otype == 15)
    assert net.names().count(("www.example.", "A")) == bounds.MAX_BOGUS_ANSWERS
    data = await ask(resolver, "www.example", cd=True)
    assert (rcode(data), ad(data)) == ("NOERROR", False)
    again = await ask(resolver, "www.example")
    assert rcode(again) == "SERVFAIL", "what came for a client with CD is no answer for others"


@virtual
async def test_what_came_for_a_client_with_cd_is_validated_where_it_lies(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")
    resolver = net.resolver()
    assert addresses(await ask(resolver, "www.example", cd=True)) == ["193.0.0.1"]
    assert not asked(net, "DNSKEY")
    reply = await ask(resolver, "www.example")
    assert ad(reply)
    assert addresses(reply) == ["193.0.0.1"]
    assert net.names().count(("www.example.", "A")) == 1


@virtual
async def test_a_broken_chain_is_not_looked_at_again_for_a_while(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    names = "\n".join(f"www{each} A 193.0.0.1" for each in range(9))
    net.signed("example", {"ns.example": "192.5.6.30"}, names, begins=-30 * DAY, ends=-2 * DAY)
    resolver = net.resolver()
    assert errors(await ask(resolver, "www0.example")) == [7]
    fetched = len(asked(net, "DNSKEY"))
    assert rcode(await ask(resolver, "www1.example")) == "SERVFAIL"
    assert len(asked(net, "DNSKEY")) == fetched
    await asyncio.sleep(bounds.BOGUS_TTL)
    assert rcode(await ask(resolver, "www2.example")) == "SERVFAIL"
    assert len(asked(net, "DNSKEY")) > fetched


@virtual
async def test_nothing_outlives_its_signature(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("example", {"ns.example": "192.5.6.30"}, "www 3600 A 193.0.0.1", ends=100)
    reply = await ask(net.resolver(), "www.example")
    assert ad(reply)
    assert reply.answer[0].ttl <= 100


@pytest.mark.attack("R-14")
@virtual
async def test_bogus_is_not_replaced_by_stale_data(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, "www 60 A 193.0.0.1")
    resolver = net.resolver(serve_stale=86400.0)
    assert ad(await ask(resolver, "www.example"))
    net.serve("192.5.6.30", forged(zone))
    await asyncio.sleep(100)
    assert rcode(await ask(resolver, "www.example")) == "SERVFAIL"
    net.servers.pop("192.5.6.30")
    await asyncio.sleep(100)
    reply = await ask(resolver, "www.example")
    assert (rcode(reply), addresses(reply)) == ("NOERROR", ["193.0.0.1"]), "silence is another matter (RFC 8767)"


@virtual
async def test_a_stub_zone_that_its_parent_does_not_know_is_as_unsigned(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.zone("corp", {"ns.corp": "192.5.6.40"}, "www A 193.0.0.9", parent=SignedZone("."))
    resolver = net.resolver(stub=(Stub("corp", (Server(ip_address("192.5.6.40")),)),))
    reply = await ask(resolver, "www.corp")
    assert (rcode(reply), addresses(reply), ad(reply)) == ("NOERROR", ["193.0.0.9"], False)


@virtual
async def test_without_a_server_that_gives_the_keys_nothing_is_definite(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")

    def keyless(query: Message, ask: Ask) -> Said:
        out = zone(query, ask)
        if query.question[0].rdtype == dns.rdatatype.DNSKEY:
            out.set_rcode(dns.rcode.SERVFAIL)
            out.answer = []
        return out

    net.serve("192.5.6.30", keyless)
    reply = await ask(net.resolver(), "www.example")
    assert (rcode(reply), errors(reply)) == ("SERVFAIL", [9])


@virtual
async def test_proofs_beyond_the_bound_are_not_looked_at(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")

    def flood(query: Message, ask: Ask) -> Said:
        out = zone(query, ask)
        if query.question[0].rdtype == dns.rdatatype.MX:
            proofs, out.authority = out.authority, []
            for number in range(2 * bounds.MAX_PROOFS):
                zone._show(out.authority, dns.rrset.from_text(f"x{number}.example.", 300, "IN", "NSEC", "y.example. A"))
            out.authority += proofs
        return out

    net.serve("192.5.6.30", flood)
    resolver = net.resolver()
    assert ad(await ask(resolver, "www.example"))
    assert rcode(await ask(resolver, "www.example", "MX")) == "SERVFAIL"


def test_the_key_cache_is_bounded() -> None:
    keys, public = KeyCache(), bytes(500)
    dnskeys = tuple(ZoneKey(number, Dnskey(257, 3, 8, public[:-2] + number.to_bytes(2))) for number in range(30))
    count = 0
    for number in range(2000):
        keys.put(SecureZone(from_text(f"z{number}.example"), dnskeys, 100.0))
        keys.put(InsecureZone(from_text(f"i{number}.example"), "no DS", 100.0))
        assert keys.size <= bounds.KEY_CACHE_OCTETS
        count = max(count, len(keys))
    assert 100 < len(keys) <= count < 4000
    assert keys.closest(from_text("www.z0.example"), 0.0) is None
    last = from_text("www.z1999.example")
    assert keys.closest(last, 0.0) is not None
    assert keys.closest(last, 100.0) is None
    keys.forget(from_text("example"))
    assert (len(keys), keys.size) == (0, 0)


@virtual
async def test_stale_data_serves_where_the_keys_cannot_be_had(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, "www 7200 A 193.0.0.1")

    def without_keys(query: Message, ask: Ask) -> Said:
        return Failed.TIMEOUT if query.question[0].rdtype == dns.rdatatype.DNSKEY else zone(query, ask)

    resolver = net.resolver(serve_stale=86400.0)
    assert ad(await ask(resolver, "www.example"))
    net.serve("192.5.6.30", without_keys)
    await asyncio.sleep(7300)
    reply = await ask(resolver, "www.example")
    assert (rcode(reply), addresses(reply), errors(reply)) == ("NOERROR", ["193.0.0.1"], [3])


@virtual
@pytest.mark.parametrize("signed", [True, False])
async def test_the_servers_of_a_zone_are_shown_where_they_are_wanted_and_known(signed: bool, tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    make = net.signed if signed else net.zone
    make("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")
    resolver = net.resolver()
    resolver.stack.responder.answerer = Answerer(None, resolver.parts.resolve, minimal=False)
    first = await ask(resolver, "www.example")
    assert not [each for each in first.authority if each.rdtype == dns.rdatatype.NS]
    await ask(resolver, "example", "NS", cd=True)
    resolver.parts.packets.flush()
    unjudged = await ask(resolver, "www.example")
    shown = any(each.rdtype == dns.rdatatype.NS for each in unjudged.authority)
    assert shown is not signed, "AD would not be true of it"
    await ask(resolver, "example", "NS")
    await ask(resolver, "ns.example", "A")
    resolver.parts.packets.flush()
    reply = await ask(resolver, "www.example")
    assert ad(reply) is signed
    assert [each for each in reply.authority if each.rdtype == dns.rdatatype.NS]
    assert [each for each in reply.additional if each.rdtype == dns.rdatatype.A]
