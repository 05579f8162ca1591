"""A zone held in memory, and what it says to a question (RFC 1034 §4.3.2, RFC 4592, RFC 6672)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import MAX_NAME, WILDCARD, Name, is_subdomain, lower, parent
from resolverd.wire.rrset import RRset


class LocalAnswer(NamedTuple):
    """What a zone says. `continue_at`: the name (lower case) at which the question goes on, None where it is answered.

    That is an alias's target, and `answer` holds the alias; or the name asked itself, where it lies in a delegated zone,
    and `answer` is the referral.
    """

    answer: Answer
    continue_at: Name | None = None


class AuthZone:
    """An authoritative zone. Raises ValueError where a record lies outside.

    One without SOA has negative answers that nobody may remember (RFC 2308 §5).
    """

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
        self._authority: tuple[RRset, ...] = () if soa is None else (_denying(soa),)

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))

    def answer(self, name: Name, rtype: int) -> Answer:
        """What the zone says of `name` (lower case, at or below the origin), aliases not followed."""
        return self.ask(name, rtype).answer

    def ask(self, name: Name, rtype: int, *, wildcards: bool = True) -> LocalAnswer:
        """The same, and where to go on. Without `wildcards`, only what has a name of its own is there."""
        encloser, redirect = self._descend(name, rtype)
        if redirect is not None:
            if redirect.rtype == codes.DNAME:
                return self._redirected(name, redirect)
            return LocalAnswer(self._referral(redirect), name)
        if encloser == name:
            types = self._names[name]
        else:
            # RFC 4592 §3.3.1: only the closest encloser's wildcard, or a wildcard would reach below names that exist.
            wild = self._names.get(WILDCARD + encloser) if wildcards else None
            if wild is None:
                return LocalAnswer(Answer(codes.NXDOMAIN, authority=self._authority, aa=True))
            types = wild
        found = types.get(rtype) or types.get(codes.CNAME)
        if found is None:
            return LocalAnswer(Answer(codes.NOERROR, authority=self._authority, aa=True))
        continue_at = lower(rdata.target(codes.CNAME, found.rdatas[0])) if found.rtype != rtype else None
        return LocalAnswer(Answer(codes.NOERROR, (replace(found, owner=name),), aa=True), continue_at)

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing below the apex, so that one denial serves every name there."""
        return len(self._names) == 1 and codes.DNAME not in self._names[self.origin]

    def holds(self, name: Name) -> bool:
        """Whether there are records under exactly this name (lower case)."""
        return bool(self._names.get(name))

    def at_apex(self, rtype: int) -> RRset | None:
        """The apex's records of a type."""
        return self._names[self.origin].get(rtype)

    def addresses(self, name: Name) -> list[RRset]:
        """The addresses of a name (lower case), glue included."""
        types = self._names.get(name, {})
        return [types[rtype] for rtype in (codes.A, codes.AAAA) if rtype in types]

    def delegations(self) -> Iterator[RRset]:
        """The NS records of every zone that this one delegates."""
        for name, types in self._names.items():
            if name != self.origin and codes.NS in types:
                yield types[codes.NS]

    def _descend(self, name: Name, rtype: int) -> tuple[Name, RRset | None]:
        """The closest name at or above `name` that exists; and the NS or DNAME on the way that takes the question over."""
        encloser = self.origin
        above = []
        while name != self.origin:
            above.append(name)
            name = parent(name)
        while True:
            types = self._names[encloser]
            # RFC 4035 §3.1.4.1: a DS lives above the cut. RFC 6672 §2.3: a DNAME does not redirect its own name.
            if encloser != self.origin and codes.NS in types and (above or rtype != codes.DS):
                return encloser, types[codes.NS]
            if codes.DNAME in types and above:
                return encloser, types[codes.DNAME]
            if not above or above[-1] not in self._names:
                return encloser, None
            encloser = above.pop()

    def _redirected(self, name: Name, dname: RRset) -> LocalAnswer:
        target = name[: len(name) - len(dname.owner)] + rdata.target(codes.DNAME, dname.rdatas[0])
        if len(target) > MAX_NAME:
            # RFC 6672 §2.2
            return LocalAnswer(Answer(codes.YXDOMAIN, (dname,), aa=True))
        alias = RRset(name, codes.CNAME, dname.ttl, (target,))
        return LocalAnswer(Answer(codes.NOERROR, (dname, alias), aa=True), lower(target))

    def _referral(self, ns: RRset) -> Answer:
        glue = [each for data in ns.rdatas for each in self.addresses(lower(rdata.target(codes.NS, data)))]
        return Answer(codes.NOERROR, authority=(ns,), additional=tuple(glue))


def _denying(soa: RRset) -> RRset:
    """The SOA as negative answers carry it (RFC 2308 §3)."""
    return replace(soa, ttl=min(soa.ttl, rdata.soa(soa.rdatas[0]).minimum))
