"""Trust anchors: the zones that are trusted without a parent's word (RFC 4033 §5), as DS or DNSKEY records from a file.

A key is kept as its digest: that is all it takes to recognise it, and both kinds are used as a DS RRset is (RFC 4035 §5.2).
"""

from collections.abc import Iterable
from importlib import resources
from typing import Self

from resolverd.resolver.local import master_file
from resolverd.resolver.validator.algorithms import SHA256, ds_digest
from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.dnssec import Ds, dnskey, ds, key_tag
from resolverd.wire.names import ROOT, Name, lower, to_text


class TrustAnchor(Value, frozen=True):
    """The keys by which a zone, in lower case, is trusted."""

    zone: Name
    ds: tuple[Ds, ...]


class TrustAnchors:
    """All of them, found by the names that they vouch for."""

    def __init__(self, anchors: Iterable[TrustAnchor] = ()):
        self._anchors = {anchor.zone: anchor for anchor in anchors}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Those in the text of a master file (RFC 1035 §5) of DS and DNSKEY records. Raises ValueError, saying what and where."""
        found: dict[Name, list[Ds]] = {}
        for rrset in master_file.parse(text, ROOT, default_ttl=0):
            zone = lower(rrset.owner)
            if rrset.rtype == codes.DS:
                found.setdefault(zone, []).extend(map(ds, rrset.rdatas))
            elif rrset.rtype == codes.DNSKEY:
                found.setdefault(zone, []).extend(_digest(zone, rdata) for rdata in rrset.rdatas)
            else:
                raise ValueError(f"{to_text(zone)} {codes.type_text(rrset.rtype)}: neither DS nor DNSKEY")
        if not found:
            raise ValueError("no DS or DNSKEY record in it")
        return cls(TrustAnchor(zone, tuple(records)) for zone, records in found.items())

    @property
    def zones(self) -> tuple[Name, ...]:
        """The zones that have one."""
        return tuple(self._anchors)

    def closest(self, name: Name) -> TrustAnchor | None:
        """The anchor of the closest zone at or above `name`, which is in lower case; None where there is none."""
        while True:
            if anchor := self._anchors.get(name):
                return anchor
            if not name[0]:
                return None
            name = name[1 + name[0] :]


def shipped() -> TrustAnchors:
    """The root's keys as they come with the package (IANA, https://data.iana.org/root-anchors/)."""
    return TrustAnchors.parse(resources.files("resolverd.data").joinpath("root.key").read_text("ascii"))


def _digest(zone: Name, rdata: bytes) -> Ds:
    key, tag = dnskey(rdata), key_tag(rdata)
    if not key.is_zone_key or key.is_revoked:
        raise ValueError(f"{to_text(zone)} DNSKEY {tag}: revoked, or no zone's key")
    return Ds(tag, key.algorithm, SHA256, ds_digest(zone, rdata, SHA256))
