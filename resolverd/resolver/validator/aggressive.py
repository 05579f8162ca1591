"""Answers made from what is known: validated NSEC and NSEC3 records deny more names than they were asked for (RFC 8198).

Kept by zone (`aggressive_zone`).
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from resolverd import bounds
from resolverd.resolver.validator.aggressive_zone import AggressiveZone, Synthesised
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Name, ancestors, is_subdomain, parent
from resolverd.wire.rrset import RRset

_NOT_SYNTHESISED: Final = frozenset({codes.ANY, codes.RRSIG, codes.NSEC, codes.NSEC3})
"""Types that are asked for in order to see what a server says."""


class AggressiveCache:
    """Validated denials and wildcards by zone; bounded in octets, least recently used zones out."""

    def __init__(self, size: int = bounds.AGGRESSIVE_OCTETS):
        self._limit = size
        self._size = 0
        self._zones: OrderedDict[Name, AggressiveZone] = OrderedDict()

    @property
    def size(self) -> int:
        """Octets held, estimated."""
        return self._size

    def learn(self, zone: Name, proofs: Iterable[RRset], soa: RRset | None, now: float) -> None:
        """Remember what proves a denial: RRsets verified as the zone's own, none of them expanded from a wildcard.

        TTLs are those that their signatures allow. Without `soa` it counts where the zone's is known. `now`: monotonic seconds.
        """
        known = self._zones.get(zone)
        if known is None:
            if soa is None:
                return
            known = AggressiveZone(zone)
        else:
            self._size -= known.size
        if soa is not None:
            known.learn_soa(soa, now)
        for rrset in proofs:
            known.learn(rrset, now)
        self._keep(zone, known)

    def learn_wildcard(self, zone: Name, encloser: Name, rrset: RRset, now: float) -> None:
        """Remember an RRset verified as expanded from the wildcard below `encloser`, if anything is known of its zone."""
        known = self._zones.get(zone)
        if known is not None:
            self._size -= known.size
            known.learn_wildcard(encloser, rrset, now)
            self._keep(zone, known)

    def _keep(self, zone: Name, known: AggressiveZone) -> None:
        """Within the bounds; its size is not counted yet."""
        known.shrink(min(bounds.AGGRESSIVE_ZONE_OCTETS, self._limit))
        if known.is_empty:
            self._zones.pop(zone, None)
            return
        self._zones[zone] = known
        self._zones.move_to_end(zone)
        self._size += known.size
        while self._size > self._limit:
            self._size -= self._zones.popitem(last=False)[1].size

    def find(self, name: Name, rtype: int, now: float, top: Name = ROOT) -> Synthesised | None:
        """A denial of that type or of the whole name (lower case), or a wildcard's answer, if what is known proves it.

        `now`: monotonic seconds. `top`: only a zone at or below it may answer: who is asked below a forward zone may know names
        that the internet doesn't.
        """
        if not self._zones or rtype in _NOT_SYNTHESISED:
            return None
        # A DS is its parent's to deny (RFC 4035 §3.1.4.1).
        for above in ancestors(parent(name) if rtype == codes.DS else name):
            zone = self._zones.get(above)
            if zone is not None:
                self._zones.move_to_end(above)
                return zone.find(name, rtype, now) if is_subdomain(above, top) else None
            if above == top:
                break
        return None

    def flush(self, name: Name) -> None:
        """Forget the zone of a name, and all below the name."""
        nearest = next((above for above in ancestors(name) if above in self._zones), None)
        for zone in [each for each in self._zones if each == nearest or is_subdomain(each, name)]:
            self._size -= self._zones.pop(zone).size

    def succeed(self) -> "AggressiveCache":
        """Another cache, with what this one holds; this one is empty from then on, for whoever still writes to it."""
        other = AggressiveCache(self._limit)
        other._size, other._zones = self._size, self._zones
        self._size, self._zones = 0, OrderedDict()
        self._limit = min(self._limit, bounds.SUPERSEDED_CACHE)
        return other

    def clear(self) -> None:
        """Forget everything."""
        self._zones.clear()
        self._size = 0
