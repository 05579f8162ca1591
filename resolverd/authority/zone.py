"""A zone held in memory, and what it says to a question (RFC 1034 §4.3.2, without delegations)."""

from collections.abc import Iterable

from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name, is_subdomain, lower, parent
from resolverd.wire.rrset import RRset


class Zone:
    """An authoritative zone. Raises ValueError where the SOA is missing or a record lies outside."""

    def __init__(self, origin: Name, rrsets: Iterable[RRset]):
        self.origin = lower(origin)
        self._names: dict[Name, dict[int, RRset]] = {self.origin: {}}
        for rrset in rrsets:
            name = lower(rrset.owner)
            if not is_subdomain(name, self.origin):
                raise ValueError("record outside its zone")
            self._names.setdefault(name, {})[rrset.rtype] = rrset
            while name != self.origin:
                # Names between a record and the origin exist, if only as empty non-terminals (RFC 8020 §2).
                name = parent(name)
                self._names.setdefault(name, {})
        soa = self._names[self.origin].get(codes.SOA)
        if soa is None:
            raise ValueError("zone without SOA")
        self._authority = (soa,)

    def answer(self, name: Name, rtype: int) -> Answer:
        """What the zone says of `name` (lower case, at or below the origin)."""
        types = self._names.get(name)
        if types is None:
            return Answer(codes.NXDOMAIN, authority=self._authority, aa=True)
        found = types.get(rtype) or types.get(codes.CNAME)
        if found is None:
            return Answer(codes.NOERROR, authority=self._authority, aa=True)
        return Answer(codes.NOERROR, (found,), aa=True)
