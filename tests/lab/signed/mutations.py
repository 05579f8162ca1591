"""What may happen to an answer on its way: one record dropped, another's in its place, a TTL raised, a signature by a stranger.

A case is one zone, so that no case meets what another left in a cache: `NAME-NUMBER.spoilt`, where NAME is a template, and NUMBER
the mutation of the answer to the template's target question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.RRSIG import RRSIG

from tests.lab.signed.signer import Key, Nsec3, Signed, Signing, make_key

TLD = "spoilt"

_CONTENTS = """\
@ MX 10 www
@ MX 20 mail
www A 45.20.0.2
mail A 45.20.0.3
"""


class Template(NamedTuple):
    """A zone, what a client asks of it, and the question whose answer is spoilt."""

    cases: int
    """Zones made of it, one a mutation of its answer. (With NSEC3 the records depend on hashes; the last may have none.)"""
    asked: tuple[str, str]
    records: str = _CONTENTS
    nsec3: Nsec3 | None = None
    target: tuple[str, str] | None = None
    """Where it is not what the client asks."""
    child: str = ""
    """A zone below: "secure" or "plain", on the same servers; "secure away" or "plain away", on others, by a referral."""

    @property
    def spoilt(self) -> tuple[str, str]:
        return self.target or self.asked


HASHED = Nsec3(1, b"\xbe\xef")
OPT_OUT = Nsec3(opt_out=True)

_WILD = _CONTENTS + "*.wild A 45.20.0.4\n"
_ALIAS = _CONTENTS + "alias CNAME www\n"
_TREE = _CONTENTS + "tree DNAME forest\na.forest A 45.20.0.5\n"
_DEEP = _CONTENTS + "a.b.deep A 45.20.0.6\n"

TEMPLATES: dict[str, Template] = {
    "data": Template(27, ("www", "A")),
    "set": Template(28, ("@", "MX")),
    "keys": Template(15, ("www", "A"), target=("@", "DNSKEY")),
    "alias": Template(37, ("alias", "A"), _ALIAS),
    "dname": Template(41, ("a.tree", "A"), _TREE),
    "nxdomain": Template(36, ("nobody", "A")),
    "nxdomain-hashed": Template(60, ("nobody", "A"), nsec3=HASHED),
    "nodata": Template(26, ("www", "TXT")),
    "nodata-hashed": Template(36, ("www", "TXT"), nsec3=HASHED),
    "empty": Template(26, ("b.deep", "A"), _DEEP),
    "empty-hashed": Template(36, ("b.deep", "A"), _DEEP, HASHED),
    "wildcard": Template(37, ("any.wild", "A"), _WILD),
    "wildcard-hashed": Template(60, ("any.wild", "A"), _WILD, HASHED),
    "wildcard-nodata": Template(27, ("any.wild", "TXT"), _WILD),
    "wildcard-nodata-hashed": Template(60, ("any.wild", "TXT"), _WILD, HASHED),
    "ds": Template(17, ("www.child", "A"), target=("child", "DS"), child="secure"),
    "no-ds": Template(27, ("www.child", "A"), target=("child", "DS"), child="plain"),
    "no-ds-hashed": Template(36, ("www.child", "A"), nsec3=HASHED, target=("child", "DS"), child="plain"),
    "no-ds-opt-out": Template(60, ("www.child", "A"), nsec3=OPT_OUT, target=("child", "DS"), child="plain"),
    "referral": Template(22, ("www.child", "A"), target=("child", "NS"), child="secure away"),
    "referral-plain": Template(22, ("www.child", "A"), target=("child", "NS"), child="plain away"),
    "referral-hashed": Template(32, ("www.child", "A"), nsec3=HASHED, target=("child", "NS"), child="plain away"),
    "referral-opt-out": Template(32, ("www.child", "A"), nsec3=OPT_OUT, target=("child", "NS"), child="plain away"),
}

Change = Callable[[dns.message.Message], None]

_STRANGER = make_key("ECDSAP256SHA256")
_OTHERS = {
    dns.rdatatype.A: "45.66.6.6", dns.rdatatype.MX: "1 evil.example.", dns.rdatatype.CNAME: "evil.example.",
    dns.rdatatype.DNAME: "evil.example.", dns.rdatatype.NS: "ns.evil.example.",
    dns.rdatatype.DS: "1 13 2 " + "00" * 32,
    dns.rdatatype.SOA: "evil.example. evil.example. 1 2 3 4 86400",
}  # fmt: skip
"""What a liar would put in a record's place."""


def mutations(message: dns.message.Message, donor: dns.message.Message) -> list[tuple[str, Change]]:
    """Give everything that may happen to an answer, always in the same order; `donor` is another answer of the same zone."""
    return [(label, change) for label, change in _mutations(message, donor)]


def _mutations(message: dns.message.Message, donor: dns.message.Message) -> Iterator[tuple[str, Change]]:
    yield "nothing", lambda _: None
    for which in ("answer", "authority"):
        section = getattr(message, which)
        for index, rrset in enumerate(section):
            where = f"{which}: {rrset.name.labels[0].decode()[:12]} {_kind(rrset)}"
            yield f"{where} dropped", _drop(which, index)
            yield f"{where} with a TTL of a week", _ttl(which, index, 604800)
            if len(rrset) > 1:
                yield f"{where} without one record", _replace(which, index, lambda old: _of(old, list(old)[1:]))
            if rrset.rdtype == dns.rdatatype.RRSIG:
                yield f"{where} garbled", _replace(which, index, _each(_garble))
                yield f"{where} prolonged", _replace(which, index, _each(lambda s: s.replace(expiration=s.expiration + 86400)))
                yield f"{where} by a stranger", _resign(which, index)
                other = _signature(donor, rrset.covers, rrset.name)
                if other is not None:
                    yield f"{where} of another set", _replace(which, index, lambda old, sig=other: _of(old, [sig]))
            elif rrset.rdtype in _OTHERS:
                other_data = dns.rdata.from_text("IN", rrset.rdtype, _OTHERS[rrset.rdtype])
                yield f"{where} forged", _replace(which, index, lambda old, data=other_data: _of(old, [data]))
                yield f"{where} and a forged record", _replace(which, index, lambda old, data=other_data: _of(old, [*old, data]))
            elif rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3):
                for number, (set_, signatures) in enumerate(_denials(donor)):
                    if set_.name != rrset.name:
                        yield f"{where}, in its place genuine denial {number}", _swap(which, rrset, set_, signatures)
    yield "no signatures", _strip
    yield "no authority section", lambda m: m.authority.clear()
    yield "nothing at all", _empty
    yield "NXDOMAIN", lambda m: m.set_rcode(dns.rcode.NXDOMAIN)
    yield "NOERROR", lambda m: m.set_rcode(dns.rcode.NOERROR)
    yield "a forged address, unsigned", _forge_address


def _kind(rrset: dns.rrset.RRset) -> str:
    if rrset.rdtype == dns.rdatatype.RRSIG:
        return f"RRSIG {dns.rdatatype.to_text(rrset.covers)}"
    return dns.rdatatype.to_text(rrset.rdtype)


def _of(old: dns.rrset.RRset, records: list[dns.rdata.Rdata]) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(old.name, old.ttl, records)


def _drop(which: str, index: int) -> Change:
    def change(message: dns.message.Message) -> None:
        del getattr(message, which)[index]

    return change


def _ttl(which: str, index: int, ttl: int) -> Change:
    def change(message: dns.message.Message) -> None:
        getattr(message, which)[index].ttl = ttl

    return change


def _replace(which: str, index: int, make: Callable[[dns.rrset.RRset], dns.rrset.RRset]) -> Change:
    def change(message: dns.message.Message) -> None:
        section = getattr(message, which)
        section[index] = make(section[index])

    return change


def _each(change: Callable[[RRSIG], dns.rdata.Rdata]) -> Callable[[dns.rrset.RRset], dns.rrset.RRset]:
    return lambda old: _of(old, [change(record) for record in old])


def _garble(signature: RRSIG) -> dns.rdata.Rdata:
    octets = signature.signature
    return signature.replace(signature=octets[:-3] + bytes([octets[-3] ^ 64]) + octets[-2:])


def _resign(which: str, index: int) -> Change:
    """Sign the set anew with a key that nobody knows, under the name, tag and times of the one that did."""

    def change(message: dns.message.Message) -> None:
        section = getattr(message, which)
        old = section[index]
        covered = next((each for each in section if each.name == old.name and each.rdtype == old.covers), None)
        if covered is None:
            section[index] = _each(_garble)(old)
            return
        zone = Signed(old[0].signer, Signing(), [Key(_STRANGER.public, _STRANGER.private)], {(old.name, old.covers): covered})
        fields = {name: getattr(old[0], name) for name in ("labels", "original_ttl", "expiration", "inception", "key_tag")}
        section[index] = _of(old, [zone.sign((old.name, old.covers), **fields)])

    return change


def _signature(donor: dns.message.Message, covers: dns.rdatatype.RdataType, owner: dns.name.Name) -> dns.rdata.Rdata | None:
    """A good signature of another RRset, made to say that it covers this type."""
    for rrset in donor.authority:
        if rrset.rdtype == dns.rdatatype.RRSIG and (rrset.name, rrset.covers) != (owner, covers):
            made: dns.rdata.Rdata = rrset[0].replace(type_covered=covers)
            return made
    return None


def _denials(donor: dns.message.Message) -> list[tuple[dns.rrset.RRset, list[dns.rrset.RRset]]]:
    """The genuine denials of another name, each with its signatures."""
    return [
        (rrset, [each for each in donor.authority if each.name == rrset.name and each.covers == rrset.rdtype])
        for rrset in donor.authority
        if rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)
    ]


def _swap(which: str, old: dns.rrset.RRset, new: dns.rrset.RRset, signatures: list[dns.rrset.RRset]) -> Change:
    def change(message: dns.message.Message) -> None:
        section = getattr(message, which)
        section[:] = [each for each in section if each.name != old.name or old.rdtype not in (each.rdtype, each.covers)]
        if not any(each.name == new.name and each.rdtype == new.rdtype for each in section):
            section += [new, *signatures]

    return change


def _strip(message: dns.message.Message) -> None:
    for section in (message.answer, message.authority):
        section[:] = [each for each in section if each.rdtype != dns.rdatatype.RRSIG]


def _empty(message: dns.message.Message) -> None:
    message.answer.clear()
    message.authority.clear()


def _forge_address(message: dns.message.Message) -> None:
    message.authority.clear()
    message.set_rcode(dns.rcode.NOERROR)
    message.flags |= dns.flags.AA
    message.answer[:] = [dns.rrset.from_text(message.question[0].name, 3600, "IN", "A", "45.66.6.6")]


def mutate(wire: bytes, donor: bytes, number: int) -> bytes:
    """Spoil an answer in the way of that number; as it came where there is no such way."""
    message = dns.message.from_wire(wire)
    ways = mutations(message, dns.message.from_wire(donor))
    if number >= len(ways):
        return wire
    ways[number][1](message)
    # What is written is what is left, not what the server's own order was; the client's EDNS stays as it is.
    return bytes(message.to_wire(max_size=65535))


def number_of(name: dns.name.Name) -> tuple[str, int, dns.name.Name] | None:
    """Give the template, the number and the zone that a name belongs to; None where it is no case's."""
    labels = name.labels
    if len(labels) < 3 or labels[-2].lower() != TLD.encode():
        return None
    template, dash, number = labels[-3].decode().lower().rpartition("-")
    if not dash or template not in TEMPLATES or not number.isdigit():
        return None
    return template, int(number), dns.name.Name(labels[-3:])
