"""A local zone: what a master file and any number of lists say together, as rbldnsd combines the datasets of a zone."""

from collections.abc import Sequence

from resolverd.resolver.local.rbldnsd import Dataset
from resolverd.resolver.local.rbldnsd.dataset import Listing
from resolverd.resolver.local.rbldnsd.key import LookupKey, lookup_key
from resolverd.resolver.local.zone import AuthZone, LocalAnswer
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.names import WILDCARD, Name, lower
from resolverd.wire.rrset import RRset

_NO_SUCH_RECORD = Answer(codes.REFUSED, errors=(ExtendedError(codes.EDE_OTHER, "the zone's files do not name one"),), keep=False)


class LocalZone:
    """The zone at `origin`. `fault`: why it cannot be served just now; it then answers SERVFAIL, and mail passes."""

    def __init__(self, origin: Name, records: Sequence[RRset] | None = None, lists: Sequence[Dataset] = (), fault: str = ""):
        """`records`: those of its master file, if there is one; SOA and NS are otherwise those of the first list that has them.

        Raises ValueError for a record outside the zone.
        """
        self.origin = lower(origin)
        self.fault = fault
        self.lists = tuple(lists)
        self._has_master = records is not None
        self.zone = AuthZone(self.origin, records if records is not None else self._apex())
        self._has_ip4 = any(each.is_ip4 for each in self.lists)
        self.denial = self.zone.ask(WILDCARD + self.origin, codes.A) if self.zone.is_bare else None
        """What the master file says of every name below the apex; None where it has something to say there."""

    def __len__(self) -> int:
        """Records and entries."""
        return len(self.zone) + sum(each.size for each in self.lists)

    def ask(self, name: Name, rtype: int) -> LocalAnswer:
        """What it says of `name` (lower case, at or below the origin)."""
        if self.fault:
            return LocalAnswer(servfail(codes.EDE_NOT_READY, self.fault))
        if not self.lists:
            return self.zone.ask(name, rtype)
        if name == self.origin:
            if rtype in (codes.SOA, codes.NS) and not self._has_master and self.zone.at_apex(rtype) is None:
                # What rbldnsd says as well: a denial would be taken for knowledge of the zone.
                return LocalAnswer(_NO_SUCH_RECORD)
            return self.zone.ask(name, rtype)
        asked = lookup_key(name, self.origin, has_ip4=self._has_ip4)
        listings = [(each, listing) for each in self.lists if (listing := each.find(asked)) is not None]
        said = self.denial or self.zone.ask(name, rtype, wildcards=not listings)
        if said.continue_at is not None:
            return said
        if listings:
            return LocalAnswer(_joined(said.answer, _records(name, rtype, listings)))
        if said.answer.rcode == codes.NXDOMAIN and self._is_above(asked):
            # RFC 8020 §2. rbldnsd denies such a name, which takes everything below it away from resolvers that minimise.
            return LocalAnswer(replace(said.answer, rcode=codes.NOERROR))
        return said

    def _is_above(self, asked: LookupKey) -> bool:
        return any(each.is_above(asked) for each in self.lists)

    def _apex(self) -> list[RRset]:
        heads = [each.head for each in self.lists]
        soa = next((head.soa for head in heads if head.soa is not None), None)
        ns = next((head.ns for head in heads if head.ns is not None), None)
        out = []
        if soa is not None:
            out.append(RRset(self.origin, codes.SOA, soa[0], (soa[1].pack(),)))
        if ns is not None:
            out.append(RRset(self.origin, codes.NS, ns[0], ns[1]))
        return out


def _records(name: Name, rtype: int, listings: list[tuple[Dataset, Listing]]) -> RRset | None:
    """The listings' records of that type, each once, with the smallest TTL of those that have one."""
    found: dict[bytes, None] = {}
    ttls = []
    for each, listing in listings:
        if rtype == codes.A:
            datas = each.addresses(listing)
        elif rtype == codes.TXT:
            datas = [rdata.text(text) for text in each.texts(listing)]
        else:
            continue
        if datas:
            found.update(dict.fromkeys(datas))
            ttls.append(each.head.ttl)
    return RRset(name, rtype, min(ttls), tuple(found)) if found else None


def _joined(answer: Answer, listed: RRset | None) -> Answer:
    """The master file's answer with the lists' records; a name that is listed exists, whatever the master file has."""
    if listed is None:
        return replace(answer, rcode=codes.NOERROR)
    if not answer.answer:
        return Answer(codes.NOERROR, (listed,), aa=True)
    before = answer.answer[0]
    rdatas = tuple(dict.fromkeys((*before.rdatas, *listed.rdatas)))
    return Answer(codes.NOERROR, (RRset(before.owner, before.rtype, min(before.ttl, listed.ttl), rdatas),), aa=True)
