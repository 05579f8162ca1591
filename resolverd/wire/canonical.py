"""Canonical form and order of names and RRsets: what is signed, and what NSEC records go by (RFC 4034 §6, RFC 6840 §5.1)."""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from resolverd.wire import codes
from resolverd.wire.dnssec import Rrsig, expanded_from
from resolverd.wire.names import Name, label_count, labels, lower
from resolverd.wire.rdata import LAYOUTS, NAME, STRING, name_at
from resolverd.wire.rrset import RRset

_RECORD: Final = Struct("!HHI")
_LENGTH: Final = Struct("!H")


def name_key(name: Name) -> tuple[bytes, ...]:
    """What names in any case sort by into canonical order: labels from the right, as octets in lower case (RFC 4034 §6.1)."""
    return tuple(reversed(labels(lower(name))))


def canonical_rdata(rtype: int, rdata: bytes) -> bytes:
    """The rdata, with its names in lower case if that is the form of its type. Raises ValueError for impossible rdata.

    Those types are the ones whose names may arrive compressed: RFC 4034 §6.2 lists HINFO and NSEC as well, which RFC 6840 §5.1
    takes back, and RRSIG, which nothing signs; nobody has published the A6 of that list since RFC 6563.
    """
    layout = LAYOUTS.get(rtype)
    if layout is None:
        return rdata
    out = bytearray(rdata)
    at = 0
    for field in layout:
        if field == NAME:
            name = name_at(rdata, at)
            out[at : at + len(name)] = lower(name)
            at += len(name)
        elif field == STRING:
            at += 1 + rdata[at] if at < len(rdata) else 1
        else:
            at += field
    return bytes(out)


def canonical_rdatas(rtype: int, rdatas: Iterable[bytes]) -> list[bytes]:
    """Canonical rdatas in canonical order, each once (RFC 4034 §6.3). Raises ValueError for impossible rdata."""
    if rtype in LAYOUTS:
        rdatas = [canonical_rdata(rtype, rdata) for rdata in rdatas]
    return sorted(set(rdatas))


def signed_data(rrset: RRset, sig: Rrsig) -> bytes:
    """The octets of which `sig` is the signature if it is one of this RRset (RFC 4034 §3.1.8.1, RFC 4035 §5.3.2).

    A name that a wildcard was expanded to goes back to the wildcard's. Raises ValueError if the signature counts more labels
    than the owner has, or for impossible rdata.
    """
    owner = lower(rrset.owner)
    if sig.labels > label_count(owner):
        raise ValueError("signature of a longer name")
    encloser = expanded_from(owner, sig.labels)
    if encloser is not None:
        owner = b"\x01*" + encloser
    head = owner + _RECORD.pack(rrset.rtype, codes.IN, sig.original_ttl)
    parts = [sig.head()]
    for rdata in canonical_rdatas(rrset.rtype, rrset.rdatas):
        parts += (head, _LENGTH.pack(len(rdata)), rdata)
    return b"".join(parts)
