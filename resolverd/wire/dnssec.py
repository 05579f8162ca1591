"""The records of DNSSEC as values: DNSKEY, DS, RRSIG (RFC 4034 §2, §3, §5), NSEC (§4) and NSEC3 (RFC 5155 §3).

Every parser raises ValueError for rdata that cannot be what it is said to be. Names in the values are in lower case, so that
they compare with owners; the rdata itself keeps the case that it came in, which counts where it is signed (`canonical`).
"""

import hashlib
from base64 import b32hexdecode, b32hexencode
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import Final, TypeAlias

from resolverd.values import Value
from resolverd.wire.names import Name, label_count, lower, suffix
from resolverd.wire.rdata import name_at

TypeBitmap: TypeAlias = bytes
"""The types that an NSEC or NSEC3 record says are there, as it says it (RFC 4034 §4.1.2); see `has_type`."""

RSAMD5: Final = 1
ZONE_KEY: Final = 0x0100
"""DNSKEY flag: a key of the zone (RFC 4034 §2.1.1)."""
REVOKE: Final = 0x0080
"""DNSKEY flag: revoked by its owner (RFC 5011 §2.1)."""
SEP: Final = 0x0001
"""DNSKEY flag: meant as secure entry point (RFC 4034 §2.1.1)."""
DNSSEC_PROTOCOL: Final = 3
"""What the protocol field of a DNSKEY has to be (RFC 4034 §2.1.2)."""
OPT_OUT: Final = 0x01
"""NSEC3 flag: unsigned delegations may lie between its hashes (RFC 5155 §3.1.2.1)."""

_DNSKEY = Struct("!HBB")
_DS = Struct("!HBB")
_RRSIG = Struct("!HBBIIIH")
_NSEC3 = Struct("!BBH")
_HASH_LABEL = 32
"""Characters of a SHA-1 hash as a label."""


class Dnskey(Value, frozen=True):
    """A public key (RFC 4034 §2.1); `public` in the form of its algorithm."""

    flags: int
    protocol: int
    algorithm: int
    public: bytes

    @property
    def is_zone_key(self) -> bool:
        """Whether it may sign a zone's data: flag and protocol say so (RFC 4034 §2.1)."""
        return bool(self.flags & ZONE_KEY) and self.protocol == DNSSEC_PROTOCOL

    @property
    def is_sep(self) -> bool:
        """Whether it is meant to be what a DS or a trust anchor names; says nothing about what it may sign."""
        return bool(self.flags & SEP)

    @property
    def is_revoked(self) -> bool:
        """Whether its owner has revoked it (RFC 5011 §2.1)."""
        return bool(self.flags & REVOKE)


def dnskey(rdata: bytes) -> Dnskey:
    """A DNSKEY's fields. Raises ValueError for impossible rdata."""
    if len(rdata) <= _DNSKEY.size:
        raise ValueError(f"DNSKEY of {len(rdata)} octets")
    flags, protocol, algorithm = _DNSKEY.unpack_from(rdata)
    return Dnskey(flags, protocol, algorithm, rdata[_DNSKEY.size :])


def key_tag(rdata: bytes) -> int:
    """The tag of the key in a DNSKEY's rdata (RFC 4034 appendix B): a hint which key it is, never more; keys may share one."""
    if rdata[3] == RSAMD5:
        # RFC 4034 §B.1: of the modulus, which comes last, the octets before the last one
        return int.from_bytes(rdata[-3:-1]) if len(rdata) >= 7 else 0
    # The sum of all 16-bit words, its carries added once (RFC 4034 appendix B), not as in the checksum of IP.
    total = (sum(rdata[::2]) << 8) + sum(rdata[1::2])
    return (total + (total >> 16 & 0xFFFF)) & 0xFFFF


class Ds(Value, frozen=True):
    """A delegation's digest of a key of the child (RFC 4034 §5.1)."""

    key_tag: int
    algorithm: int
    digest_type: int
    digest: bytes


def ds(rdata: bytes) -> Ds:
    """A DS's fields. Raises ValueError for impossible rdata."""
    if len(rdata) <= _DS.size:
        raise ValueError(f"DS of {len(rdata)} octets")
    tag, algorithm, digest_type = _DS.unpack_from(rdata)
    return Ds(tag, algorithm, digest_type, rdata[_DS.size :])


class Rrsig(Value, frozen=True):
    """A signature over an RRset (RFC 4034 §3.1). `expiration` and `inception` are serial numbers of seconds (RFC 1982)."""

    covered: int
    algorithm: int
    labels: int
    original_ttl: int
    expiration: int
    inception: int
    key_tag: int
    signer: Name
    signature: bytes

    def head(self) -> bytes:
        """The rdata without the signature, the signer in lower case: what is signed of it (RFC 4034 §3.1.8.1)."""
        numbers = _RRSIG.pack(
            self.covered, self.algorithm, self.labels, self.original_ttl, self.expiration, self.inception, self.key_tag
        )
        return numbers + self.signer


def rrsig(rdata: bytes) -> Rrsig:
    """An RRSIG's fields. Raises ValueError for impossible rdata."""
    if len(rdata) <= _RRSIG.size:
        raise ValueError(f"RRSIG of {len(rdata)} octets")
    covered, algorithm, count, ttl, expiration, inception, tag = _RRSIG.unpack_from(rdata)
    signer = name_at(rdata, _RRSIG.size)
    signature = rdata[_RRSIG.size + len(signer) :]
    return Rrsig(covered, algorithm, count, ttl, expiration, inception, tag, lower(signer), signature)


def expanded_from(owner: Name, labels: int) -> Name | None:
    """The name whose child ``*`` was expanded to `owner`, by the labels field of a signature over it; None if none was.

    A name that begins with ``*`` itself has one label more than the field counts (RFC 4034 §3.1.3), and is no expansion.
    """
    if labels >= label_count(owner):
        return None
    encloser = suffix(owner, labels)
    return None if owner == b"\x01*" + encloser else encloser


class Nsec(Value, frozen=True):
    """What lies behind its owner in canonical order, and which types are at the owner (RFC 4034 §4.1)."""

    next_name: Name
    types: TypeBitmap


def nsec(rdata: bytes) -> Nsec:
    """An NSEC's fields, the bitmap checked. Raises ValueError for impossible rdata."""
    next_name = name_at(rdata, 0)
    return Nsec(lower(next_name), _checked(rdata[len(next_name) :]))


class Nsec3(Value, frozen=True):
    """The same by hashes of names (RFC 5155 §3.1); `next_hash` is binary."""

    algorithm: int
    flags: int
    iterations: int
    salt: bytes
    next_hash: bytes
    types: TypeBitmap

    @property
    def is_opt_out(self) -> bool:
        """Whether unsigned delegations may lie between its owner and the next hash (RFC 5155 §3.1.2.1)."""
        return bool(self.flags & OPT_OUT)


def nsec3(rdata: bytes) -> Nsec3:
    """An NSEC3's fields, the bitmap checked. Raises ValueError for impossible rdata."""
    try:
        algorithm, flags, iterations = _NSEC3.unpack_from(rdata)
        salt_end = _NSEC3.size + 1 + rdata[_NSEC3.size]
        hash_end = salt_end + 1 + rdata[salt_end]
    except (IndexError, StructError):
        raise ValueError("short NSEC3") from None
    salt, next_hash = rdata[_NSEC3.size + 1 : salt_end], rdata[salt_end + 1 : hash_end]
    if not next_hash or hash_end > len(rdata):
        raise ValueError("NSEC3 without a next hash")
    return Nsec3(algorithm, flags, iterations, salt, next_hash, _checked(rdata[hash_end:]))


def _windows(bitmap: TypeBitmap) -> Iterator[tuple[int, bytes]]:
    # RFC 4034 §4.1.2: blocks in ascending order, 1 to 32 octets each
    at, last = 0, -1
    while at < len(bitmap):
        head = bitmap[at : at + 2]
        if len(head) < 2 or head[0] <= last or not 1 <= head[1] <= 32 or at + 2 + head[1] > len(bitmap):
            raise ValueError("malformed type bitmap")
        yield head[0], bitmap[at + 2 : at + 2 + head[1]]
        last = head[0]
        at += 2 + head[1]


def _checked(bitmap: TypeBitmap) -> TypeBitmap:
    for _ in _windows(bitmap):
        pass
    return bitmap


def has_type(types: TypeBitmap, rtype: int) -> bool:
    """Whether the bitmap says that this type is there. Raises ValueError for a malformed one, which no parser lets through."""
    for window, bits in _windows(types):
        if window == rtype >> 8:
            octet = (rtype & 0xFF) >> 3
            return octet < len(bits) and bool(bits[octet] & 0x80 >> (rtype & 7))
    return False


def nsec3_hash(name: Name, salt: bytes, iterations: int) -> bytes:
    """The SHA-1 hash of a name (RFC 5155 §5), whose letters may be in any case; `iterations` are additional ones."""
    digest = hashlib.sha1(lower(name) + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt, usedforsecurity=False).digest()
    return digest


def hash_label(digest: bytes) -> bytes:
    """A SHA-1 hash as the label of an NSEC3's owner, in lower case (RFC 5155 §3.3)."""
    return b32hexencode(digest).lower()


def label_hash(label: bytes) -> bytes:
    """The SHA-1 hash in the label of an NSEC3's owner, in any case. Raises ValueError for a label that is none."""
    if len(label) != _HASH_LABEL:
        raise ValueError(f"hash of {len(label)} characters")
    return b32hexdecode(label, casefold=True)
