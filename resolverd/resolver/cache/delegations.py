"""Zone cuts as their parents gave them.

A delegation lives exactly as long as its parent's NS records say, and no longer than the delegation through which it was
learnt; neither the child's own NS records nor glue seen later prolong it. So a domain that its parent has withdrawn is gone
when its TTL is, whatever anybody asks meanwhile (ghost domains: CVE-2012-1033, CVE-2026-40622, CVE-2026-42955).
"""

from collections import OrderedDict

from resolverd import bounds
from resolverd.resolver.cache import weight
from resolverd.resolver.cache.discarded import Discarded
from resolverd.resolver.cache.zone_table import ZoneTable
from resolverd.values import Value, replace
from resolverd.wire.names import Address, Name, ancestors

_ENTRY = 400
"""Octets that a delegation costs beside its names and addresses."""


class Delegation(Value, frozen=True):
    """A zone's servers: names and the glue that came with them. Learnt and expiring at monotonic seconds."""

    zone: Name
    servers: tuple[Name, ...]
    glue: tuple[tuple[Name, tuple[Address, ...]], ...]
    expires: float
    learnt: float = 0.0

    def addresses(self, server: Name) -> tuple[Address, ...]:
        """The glue of one server."""
        for name, addresses in self.glue:
            if name == server:
                return addresses
        return ()


class DelegationCache(ZoneTable[Delegation]):
    """Delegations by zone (lower case), bounded by octets: least recently used out."""

    def __init__(self, size: int):
        super().__init__(size, _weight)
        self.discarded = Discarded()

    def enclosing(self, name: Name, now: float) -> list[Delegation]:
        """All live delegations at or above `name`, the deepest first."""
        if self.backing is not None and self.backing.read is not None:
            self._recall(name)
        found = (self._zones.get(zone) for zone in ancestors(name))
        return [each for each in found if each is not None and now < each.expires]

    def put(self, delegation: Delegation, now: float) -> Delegation:
        """Learn a delegation from its parent's referral; what is then known of the zone.

        A live one keeps its expiry: a newer referral may change the servers, never lengthen the lease.
        """
        if self.backing is not None:
            if self.backing.read is not None:
                self._recall(delegation.zone)
            self.backing.note(delegation.zone)
        old = self._zones.get(delegation.zone)
        if old is not None and now < old.expires < delegation.expires:
            delegation = replace(delegation, expires=old.expires)
        self._keep(delegation)
        return delegation

    def forget(self, zone: Name) -> None:
        """Forget a zone's delegation, if there is one."""
        self._drop(zone)

    def forget_below(self, zone: Name) -> int:
        """Forget the delegations at and below a zone; how many."""
        below = self._below(zone)
        for each in below:
            self._size -= _weight(self._zones.pop(each))
        if self.backing is not None:
            self.backing.clear_below(zone)
        return len(below)

    def peek(self, zone: Name) -> Delegation | None:
        """What is held of a zone, as it is to be kept on disk; nobody has asked for it."""
        return self._zones.get(zone)

    def zones(self) -> list[Name]:
        """The zones held, in no order."""
        return list(dict.__iter__(self._zones))

    def adopt(self, delegation: Delegation) -> bool:
        """Take up what disk has of a zone, as used less lately than all others; False where there is no room left."""
        if self._size + _weight(delegation) > self._limit:
            return False
        zone = delegation.zone
        if zone not in self._zones and not (self.backing is not None and self.backing.is_behind(zone)):
            self._zones[zone] = delegation
            self._zones.move_to_end(zone, last=False)
            self._size += _weight(delegation)
        return True

    def succeed(self, size: int) -> "DelegationCache":
        """Another cache, with what this one holds; this one is empty from then on, for whoever still writes to it."""
        other = DelegationCache(size)
        other._size, other._zones, other.backing, other.discarded = self._size, self._zones, self.backing, self.discarded
        other._trim()
        self._size, self._zones, self.backing, self.discarded = 0, OrderedDict(), None, Discarded()
        self._limit = min(self._limit, bounds.SUPERSEDED_CACHE)
        return other

    def clear(self) -> None:
        """Forget everything."""
        self.discarded.add(list(dict.values(self._zones)))
        self._zones.clear()  # another in its place would be looked through by the garbage collector (`app.process.tune`)
        self._size = 0
        if self.backing is not None:
            self.backing.clear()


def _weight(delegation: Delegation) -> int:
    glue = weight.glue(delegation.glue) if delegation.glue else 0
    return _ENTRY + weight.octets(delegation.zone) + weight.strings(delegation.servers) + glue
