"""What whoever stands in the way makes of a signed zone, by replaying, moving or changing what it has signed, is bogus."""

from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from scriptednet import Handler, Message, Said, rcode
from signednet import SignedNet, SignedZone, ad, ask
from virtualtime import virtual

from resolverd.wire.ask import Ask

NSEC, DNSKEY, DS, RRSIG = dns.rdatatype.NSEC, dns.rdatatype.DNSKEY, dns.rdatatype.DS, dns.rdatatype.RRSIG
TEXT = "www A 193.0.0.1\nwww MX 10 www\nx A 193.0.0.3\n*.wild A 193.0.0.2\nwww.wild A 193.0.0.1\nwww.wild MX 10 www"

Attack = Callable[[SignedZone, Message, Message], None]
"""Changes what the zone says to a question: the zone, the question, its answer."""


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def empty(out: Message) -> None:
    out.answer, out.authority = [], []


def expansion_without_proof(zone: SignedZone, query: Message, out: Message) -> None:
    out.authority = []


def expansion_over_a_name_that_exists(zone: SignedZone, query: Message, out: Message) -> None:
    empty(out)
    zone._show(out.answer, dns.rrset.from_text("www.wild.example.", 300, "IN", "A", "193.0.0.2"), name("*.wild.example."))
    zone._show(out.authority, zone._covering(name("a.wild.example.")))


def expansion_with_a_proof_of_another_name(zone: SignedZone, query: Message, out: Message) -> None:
    out.authority = []
    zone._show(out.authority, zone._nsec(name("www.example.")))


def denial_without_proof(zone: SignedZone, query: Message, out: Message) -> None:
    empty(out)
    zone._show(out.authority, dns.rrset.from_text("example.", 300, "IN", "SOA", "ns.example. admin.example. 1 2 3 4 300"))


def denial_by_a_changed_proof(zone: SignedZone, query: Message, out: Message) -> None:
    empty(out)
    zone._show(out.authority, zone._nsec(name("www.example.")))
    out.authority[0] = dns.rrset.from_text("www.example.", 300, "IN", "NSEC", "x.example. MX RRSIG NSEC")


def denial_by_the_proof_of_a_wildcard(zone: SignedZone, query: Message, out: Message) -> None:
    empty(out)
    of_wildcard = zone._nsec(name("*.wild.example."))
    moved = dns.rrset.from_text("www.wild.example.", 300, "IN", "NSEC", of_wildcard[0].to_text())
    zone._show(out.authority, moved, name("*.wild.example."))


def denial_of_a_name_that_exists(zone: SignedZone, query: Message, out: Message) -> None:
    empty(out)
    out.set_rcode(dns.rcode.NXDOMAIN)
    zone._show(out.authority, zone._covering(name("wwv.example.")))
    zone._show(out.authority, zone._nsec(name("example.")))


def keys_of_somebody_else(zone: SignedZone, query: Message, out: Message) -> None:
    other = SignedZone("example", TEXT, number=7)(query, None)  # type: ignore[arg-type]
    out.answer, out.authority = other.answer, other.authority


def a_key_beside_the_zones(zone: SignedZone, query: Message, out: Message) -> None:
    other = SignedZone("example", TEXT, number=7)
    if query.question[0].rdtype != DNSKEY:
        keys_of_somebody_else(zone, query, out)
        return
    empty(out)
    both = dns.rrset.from_rdata_list(name("example."), 3600, [zone._public, other._public])
    other._show(out.answer, both)


ATTACKS: dict[Attack, tuple[str, str]] = {
    expansion_without_proof: ("a.wild.example", "A"),
    expansion_over_a_name_that_exists: ("www.wild.example", "A"),
    expansion_with_a_proof_of_another_name: ("a.wild.example", "A"),
    denial_without_proof: ("www.example", "A"),
    denial_by_a_changed_proof: ("www.example", "A"),
    denial_by_the_proof_of_a_wildcard: ("www.wild.example", "MX"),
    denial_of_a_name_that_exists: ("www.example", "A"),
    keys_of_somebody_else: ("www.example", "A"),
    a_key_beside_the_zones: ("www.example", "A"),
}


def attacked(zone: SignedZone, attack: Attack, question: str) -> Handler:
    """A server of the zone whose answers to one question, and about its keys, are changed on their way."""

    def server(query: Message, ask: Ask) -> Said:
        out = zone(query, ask)
        about_keys = query.question[0].rdtype == DNSKEY and attack in (keys_of_somebody_else, a_key_beside_the_zones)
        if query.question[0].name == name(question + ".") or about_keys:
            attack(zone, query, out)
        return out

    return server


@pytest.mark.attack("R-14")
@virtual
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_what_is_replayed_or_changed_is_bogus(attack: Attack, tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, TEXT)
    question, rtype = ATTACKS[attack]
    assert ad(await ask(net.resolver(), question, rtype)), "nobody is in the way yet"
    net.serve("192.5.6.30", attacked(zone, attack, question))
    resolver = net.resolver()
    assert rcode(await ask(resolver, question, rtype)) == "SERVFAIL"
    assert rcode(await ask(resolver, question, rtype, cd=True)) != "SERVFAIL"
    assert rcode(await ask(resolver, question, rtype)) == "SERVFAIL"


@pytest.mark.attack("R-14")
@virtual
@pytest.mark.parametrize("proof", ["plain.", "other.", None])
async def test_no_delegation_loses_its_ds(proof: str | None, tmp_path: Path) -> None:
    """The root's proofs of other delegations, without DS and with it, say nothing of this one."""
    net = SignedNet(tmp_path)
    net.signed("example", {"ns.example": "192.5.6.30"}, TEXT)
    net.signed("other", {"ns.other": "192.5.6.31"})
    net.zone("plain", {"ns.plain": "192.5.6.32"}, "www A 193.0.0.1")
    root = net.root
    assert isinstance(root, SignedZone)

    def server(query: Message, ask: Ask) -> Said:
        out = root(query, ask)
        asked = query.question[0]
        if asked.name.is_subdomain(name("example.")) and asked.rdtype != DNSKEY:
            is_ds = asked.rdtype == DS
            out.answer = []
            out.authority = [each for each in out.authority if each.rdtype not in (DS, NSEC, RRSIG) and not is_ds]
            if proof is not None:
                root._show(out.authority, root._nsec(name(proof)))
        return out

    net.serve("198.41.0.4", server)
    resolver = net.resolver()
    assert not ad(await ask(resolver, "www.plain"))
    assert rcode(await ask(resolver, "www.example")) == "SERVFAIL"
