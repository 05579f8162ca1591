"""RRsets signed by dnspython, the other implementation that ours is held against."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from resolverd.values import Value, replace
from resolverd.wire import codes
from resolverd.wire.dnssec import key_tag
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset

NOW = 1_800_000_000
"""Unix seconds at which the tests take place."""
DAY = 86400


class Key(Value, frozen=True, gc=True):
    """A zone's key, private part included."""

    private: Any
    rdata: bytes

    @property
    def tag(self) -> int:
        return key_tag(self.rdata)

    @property
    def algorithm(self) -> int:
        return self.rdata[3]


@lru_cache(maxsize=64)
def key(algorithm: int, number: int = 0, flags: int = 257, bits: int = 1024, exponent: int = 65537) -> Key:
    """The `number`-th key of an algorithm, the same one in the whole run (making RSA keys is slow)."""
    private: Any
    if algorithm == 13:
        private = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == 14:
        private = ec.generate_private_key(ec.SECP384R1())
    elif algorithm == 15:
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm == 16:
        private = ed448.Ed448PrivateKey.generate()
    else:
        private = rsa.generate_private_key(exponent, bits)
    return of_private(private, algorithm, flags)


def of_private(private: Any, algorithm: int, flags: int = 257) -> Key:
    public = dns.dnssec.make_dnskey(private.public_key(), algorithm, flags)
    return Key(private, public.to_wire())


def rrset(owner: Name, rtype: int, *rdatas: bytes, ttl: int = 3600) -> RRset:
    return RRset(owner, rtype, ttl, rdatas)


def dnskeys(zone: Name, *keys: Key, ttl: int = 3600) -> RRset:
    return RRset(zone, codes.DNSKEY, ttl, tuple(each.rdata for each in keys))


def to_dnspython(rrset: RRset) -> tuple[dns.name.Name, dns.rdataset.Rdataset]:
    rdataset = dns.rdataset.Rdataset(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rrset.rtype), ttl=rrset.ttl)
    for rdata in rrset.rdatas:
        rdataset.add(dns.rdata.from_wire(dns.rdataclass.IN, rrset.rtype, rdata, 0, len(rdata)))
    return dns.name.from_wire(rrset.owner, 0)[0], rdataset


def signature(
    rrset: RRset, zone: Name, signer: Key, begins: int = NOW - DAY, ends: int = NOW + 10 * DAY, rdata: bytes = b""
) -> bytes:
    """The RRSIG's rdata; `rdata` stands in the zone instead of the signer's own."""
    public = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, rdata or signer.rdata, 0, len(rdata or signer.rdata))
    made = dns.dnssec.sign(
        to_dnspython(rrset), signer.private, dns.name.from_wire(zone, 0)[0], public,  # type: ignore[arg-type]
        inception=datetime.fromtimestamp(begins, UTC), expiration=datetime.fromtimestamp(ends, UTC),
        policy=dns.dnssec.allow_all_policy,
    )  # fmt: skip
    wire = made.to_wire()
    assert wire is not None
    return wire


def signed(rrset: RRset, zone: Name, *signers: Key, begins: int = NOW - DAY, ends: int = NOW + 10 * DAY) -> RRset:
    """The RRset with a signature of each key."""
    return replace(rrset, sigs=tuple(signature(rrset, zone, each, begins, ends) for each in signers))


def expanded(signed: RRset, owner: Name) -> RRset:
    """What a wildcard's RRset becomes for a name that it stands for."""
    return replace(signed, owner=owner)
