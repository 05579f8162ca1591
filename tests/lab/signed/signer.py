"""Zones signed here: keys, DS, NSEC and NSEC3 chains, signatures; every part can be made wrong on purpose.

Debian's signers make zones that are right. The lab needs zones that are wrong in one place and right in all others, signatures
included, so each signature is made here, over the octets that RFC 4034 §3.1.8.1 says, with whatever fields are wanted.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.NSEC3PARAM
import dns.rrset
import dns.zone
from dns.dnssecalgs.base import GenericPrivateKey
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG

HOUR, DAY = 3600, 86400

ZONE, KSK, REVOKED = 256, 257, 384 + 1
"""Flags of a DNSKEY: of one that signs data, of one that a DS names, of one that is revoked (RFC 5011 §2.1)."""

NSEC, NSEC3, RRSIGS = dns.rdatatype.NSEC, dns.rdatatype.NSEC3, dns.rdatatype.RRSIG

Site = tuple[dns.name.Name, dns.rdatatype.RdataType]
"""Where an RRset is in a zone."""


class Key(NamedTuple):
    """A key pair: what stands in the zone, and what signs."""

    public: DNSKEY
    private: GenericPrivateKey

    @property
    def tag(self) -> int:
        return dns.dnssec.key_id(self.public)


class Nsec3(NamedTuple):
    """How names are hashed, and whether insecure delegations are left out (RFC 5155 §6)."""

    iterations: int = 0
    salt: bytes = b""
    opt_out: bool = False


@dataclass(frozen=True, slots=True)
class Signing:
    """How a zone is signed; the defaults are what most zones do."""

    algorithm: str = "ECDSAP256SHA256"
    nsec3: Nsec3 | None = None
    keys: int = 2
    """1: one key for all; more: a KSK, a ZSK, and keys that sign nothing."""
    digests: tuple[str, ...] = ("SHA256",)
    inception: int = -HOUR
    expiration: int = 30 * DAY
    """Seconds from now, of every signature."""


@cache
def _rsa(algorithm: str, number: int, bits: int) -> GenericPrivateKey:
    """RSA keys take long to make, so zones share them."""
    del number
    made: GenericPrivateKey = dns.dnssec.get_algorithm_cls(algorithm).generate(bits)  # type: ignore[attr-defined]
    return made


def make_key(algorithm: str, flags: int = ZONE, number: int = 0, bits: int = 2048) -> Key:
    """Make a key; `number` tells RSA keys apart."""
    made = dns.dnssec.get_algorithm_cls(algorithm)
    private = _rsa(algorithm, number, bits) if algorithm.startswith("RSA") else made.generate()  # type: ignore[attr-defined]
    return Key(private.public_key().to_dnskey(flags), private)


@dataclass(slots=True)
class Signed:
    """A signed zone, to be spoilt and written: RRsets, and the signatures of each."""

    origin: dns.name.Name
    signing: Signing
    keys: list[Key]
    sets: dict[Site, dns.rrset.RRset] = field(default_factory=dict)
    signatures: dict[Site, list[RRSIG]] = field(default_factory=dict)

    @property
    def ksk(self) -> Key:
        return self.keys[0]

    @property
    def zsk(self) -> Key:
        return self.keys[min(1, len(self.keys) - 1)]

    def name(self, relative: str) -> dns.name.Name:
        """Give a name of this zone; "@" is the apex."""
        return dns.name.from_text(relative, self.origin)

    def site(self, relative: str, rdtype: str) -> Site:
        """Give the place of an RRset."""
        return self.name(relative), dns.rdatatype.from_text(rdtype)

    def sign(self, site: Site, key: Key | None = None, **odd: Any) -> RRSIG:
        """Make the signature of an RRset; `odd` are fields of it that shall be other than they should (signed as they are)."""
        owner, rdtype = site
        key = key or (self.ksk if rdtype == dns.rdatatype.DNSKEY else self.zsk)
        now = int(time.time())
        fields: dict[str, Any] = {
            "type_covered": rdtype,
            "algorithm": key.public.algorithm,
            "labels": len(owner.labels) - 1 - (owner.labels[0] == b"*"),
            "original_ttl": self.sets[site].ttl,
            "expiration": now + self.signing.expiration,
            "inception": now + self.signing.inception,
            "key_tag": key.tag,
            "signer": self.origin,
        } | odd
        blank = RRSIG(dns.rdataclass.IN, RRSIGS, **fields, signature=b"")
        return blank.replace(signature=key.private.sign(self._octets(self.sets[site], blank)))

    def sign_all(self, sites: Iterable[Site] | None = None) -> None:
        """Sign RRsets, all that a zone signs where none are named, anew."""
        for site in list(sites if sites is not None else self.signatures):
            self.signatures[site] = [self.sign(site)]

    def put(self, rrset: dns.rrset.RRset) -> Site:
        """Add or replace an RRset, unsigned."""
        site = rrset.name, rrset.rdtype
        self.sets[site] = rrset
        return site

    def drop(self, site: Site) -> None:
        """Take an RRset out, with its signatures."""
        self.sets.pop(site, None)
        self.signatures.pop(site, None)

    def of_type(self, rdtype: dns.rdatatype.RdataType) -> list[Site]:
        """Give the places of all RRsets of a type."""
        return [site for site in self.sets if site[1] == rdtype]

    def ds(self, digests: Sequence[str] | None = None) -> list[DS]:
        """Give what the parent should say of this zone."""
        digests = self.signing.digests if digests is None else digests
        everything = dns.dnssec.allow_all_policy
        return [dns.dnssec.make_ds(self.origin, self.ksk.public, digest, policy=everything) for digest in digests]

    def text(self) -> str:
        """Write the master file."""
        lines = [rrset.to_text() for rrset in self.sets.values()]
        for (owner, rdtype), signatures in self.signatures.items():
            ttl = self.sets[owner, rdtype].ttl if (owner, rdtype) in self.sets else 3600
            lines += [f"{owner} {ttl} IN RRSIG {signature}" for signature in signatures]
        return "\n".join([*lines, ""])

    @staticmethod
    def _octets(rrset: dns.rrset.RRset, blank: RRSIG) -> bytes:
        """What a signature is over (RFC 4034 §3.1.8.1)."""
        owner = rrset.name
        labels = len(owner.labels) - 1
        if blank.labels < labels:
            owner = dns.name.Name((b"*", *owner.labels[labels - blank.labels :]))
        head = owner.to_digestable() + struct.pack("!HHI", rrset.rdtype, rrset.rdclass, blank.original_ttl)
        data = sorted(rdata.to_digestable() for rdata in rrset)
        return (
            blank.to_wire(origin=blank.signer)[:18]
            + blank.signer.to_digestable()
            + b"".join(head + len(each).to_bytes(2) + each for each in data)
        )


def sign(text: str, origin: str, signing: Signing, children: dict[str, list[DS]], keys: Sequence[Key] | None = None) -> Signed:
    """Sign a zone's master file. `children`: the DS records of each signed zone below."""
    apex = dns.name.from_text(origin)
    zone = Signed(apex, signing, list(keys or _keys(signing)))
    # No check that every CNAME stands alone, nor of anything else: odd zones are wanted.
    for rrset in dns.zone.from_text(text, origin=apex, relativize=False, check_origin=False).iterate_rdatasets():
        zone.put(dns.rrset.from_rdata_list(rrset[0], rrset[1].ttl, list(rrset[1])))
    for name, records in children.items():
        if records:
            zone.put(dns.rrset.from_rdata_list(dns.name.from_text(name), 3600, records))
    zone.put(dns.rrset.from_rdata_list(apex, 3600, [key.public for key in zone.keys]))
    if signing.nsec3:
        zone.put(
            dns.rrset.from_rdata(
                apex,
                0,
                dns.rdtypes.ANY.NSEC3PARAM.NSEC3PARAM(
                    dns.rdataclass.IN, dns.rdatatype.NSEC3PARAM, 1, 0, signing.nsec3.iterations, signing.nsec3.salt
                ),
            )
        )
    chain(zone)
    zone.sign_all(_authoritative(zone))
    return zone


def chain(zone: Signed) -> None:
    """Make the zone's denials: NSEC records (RFC 4034 §4), or NSEC3 records (RFC 5155 §7.1)."""
    types: dict[dns.name.Name, set[int]] = {}
    cuts = _cuts(zone)
    for owner, rdtype in zone.sets:
        if not _below(owner, cuts) and (owner not in cuts or rdtype in (dns.rdatatype.NS, dns.rdatatype.DS)):
            types.setdefault(owner, set()).add(rdtype)
    soa = zone.sets[zone.origin, dns.rdatatype.SOA]
    ttl = min(soa.ttl, soa[0].minimum)
    if zone.signing.nsec3 is None:
        owners = sorted(types)
        for owner, after in zip(owners, [*owners[1:], owners[0]], strict=True):
            zone.put(dns.rrset.from_rdata(owner, ttl, nsec(after, {*types[owner], NSEC, RRSIGS})))
        return
    how = zone.signing.nsec3
    for owner in list(types):  # empty non-terminals have records of their own
        if how.opt_out and owner in cuts and dns.rdatatype.DS not in types[owner]:
            del types[owner]
    for owner in list(types):
        while owner != zone.origin:
            owner = owner.parent()
            types.setdefault(owner, set())
    hashes = sorted((dns.dnssec.nsec3_hash(owner, how.salt, how.iterations, 1).lower(), owner) for owner in types)
    for (mine, owner), (after, _) in zip(hashes, [*hashes[1:], hashes[0]], strict=True):
        signed = owner not in cuts or dns.rdatatype.DS in types[owner]
        bits = types[owner] | ({int(RRSIGS)} if types[owner] and signed else set())
        zone.put(dns.rrset.from_rdata(dns.name.from_text(mine, zone.origin), ttl, nsec3(how, after, bits)))


def nsec(after: dns.name.Name, types: Iterable[int]) -> dns.rdata.Rdata:
    """Make an NSEC record."""
    return dns.rdata.from_text("IN", "NSEC", f"{after} {_bitmap(types)}")


def nsec3(how: Nsec3, after: str, types: Iterable[int]) -> dns.rdata.Rdata:
    """Make an NSEC3 record."""
    salt = how.salt.hex() or "-"
    return dns.rdata.from_text("IN", "NSEC3", f"1 {int(how.opt_out)} {how.iterations} {salt} {after} {_bitmap(types)}")


def _bitmap(types: Iterable[int]) -> str:
    return " ".join(dns.rdatatype.to_text(dns.rdatatype.RdataType.make(each)) for each in sorted(types))


def _keys(signing: Signing) -> list[Key]:
    if signing.keys == 1:
        return [make_key(signing.algorithm, KSK)]
    return [make_key(signing.algorithm, KSK), *(make_key(signing.algorithm, ZONE, number) for number in range(1, signing.keys))]


def _cuts(zone: Signed) -> set[dns.name.Name]:
    return {owner for owner, rdtype in zone.sets if rdtype == dns.rdatatype.NS and owner != zone.origin}


def _below(owner: dns.name.Name, cuts: set[dns.name.Name]) -> bool:
    """Say whether a name is below a cut: nothing there is the zone's."""
    return any(dns.name.Name(owner.labels[start:]) in cuts for start in range(1, len(owner.labels)))


def _authoritative(zone: Signed) -> list[Site]:
    """The RRsets that a zone signs: not the delegations' NS, and nothing below them (RFC 4035 §2.2)."""
    cuts = _cuts(zone)
    return [
        (owner, rdtype)
        for owner, rdtype in zone.sets
        if not _below(owner, cuts) and (owner not in cuts or rdtype in (dns.rdatatype.DS, NSEC))
    ]
