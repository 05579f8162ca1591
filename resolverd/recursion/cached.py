"""What memory alone says to a question: step by step for iteration, as a whole for answers without any query."""

from resolverd import bounds
from resolverd.recursion.classify import Alias, Data, Denial, Overflow
from resolverd.recursion.ports import Records
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.known import Hit
from resolverd.wire.names import MAX_NAME, Name, ancestors, lower
from resolverd.wire.rrset import RRset


def step(
    records: Records, name: Name, rtype: int, now: float, stale_ttl: int | None = None
) -> Data | Alias | Denial | Overflow | None:
    """The data of `name` (lower case), an alias, a denial, or None for nothing known; with `stale_ttl`, stale data too."""

    def get(owner: Name, kind: int) -> Hit | None:
        return records.get(owner, kind, now) if stale_ttl is None else records.stale(owner, kind, now, stale_ttl)

    hit = get(name, rtype)
    if hit is not None:
        if hit.rrset is not None:
            return Data((hit.rrset,), hit.authority, int(hit.age))
        return denial_of(hit, name, rtype)
    if rtype != codes.CNAME:
        hit = get(name, codes.CNAME)
        if hit is not None and hit.rrset is not None:
            return Alias((hit.rrset,), lower(rdata.target(codes.CNAME, hit.rrset.rdatas[0])), int(hit.age))
    for owner in ancestors(name)[1:-1]:
        hit = get(owner, codes.DNAME)
        if hit is not None and hit.rrset is not None:
            # RFC 6672 §3.4: a cached DNAME redirects every name below it.
            target = name[: len(name) - len(owner)] + rdata.target(codes.DNAME, hit.rrset.rdatas[0])
            if len(target) > MAX_NAME:
                return Overflow((hit.rrset,))
            return Alias((hit.rrset, RRset(name, codes.CNAME, hit.rrset.ttl, (target,))), lower(target), int(hit.age))
    return None


def denial_of(hit: Hit, name: Name, rtype: int) -> Denial:
    """A remembered denial as an outcome."""
    soa = next((rrset for rrset in hit.authority if rrset.rtype == codes.SOA), None)
    proofs = tuple(rrset for rrset in hit.authority if rrset.rtype != codes.SOA)
    return Denial((), name, rtype, hit.denies_name, soa, proofs, int(hit.age))


def finish(chain: list[RRset], end: Data | Denial | Overflow) -> Answer:
    """The answer at the end of a chain (RFC 6604: its RCODE is the last name's)."""
    if isinstance(end, Data):
        return Answer(codes.NOERROR, (*chain, *end.chain), end.authority, age=end.age)
    if isinstance(end, Overflow):
        return Answer(codes.YXDOMAIN, (*chain, *end.chain))
    authority = (end.soa, *end.proofs) if end.soa is not None else end.proofs
    return Answer(codes.NXDOMAIN if end.nxdomain else codes.NOERROR, (*chain, *end.chain), authority, age=end.age)


def answer(records: Records, name: Name, rtype: int, now: float, stale_ttl: int | None = None) -> Answer | None:
    """The whole answer from memory, or None if any part of it is missing."""
    chain: list[RRset] = []
    name = lower(name)
    for _ in range(bounds.MAX_CNAMES + 1):
        known = step(records, name, rtype, now, stale_ttl)
        if known is None:
            return None
        if not isinstance(known, Alias):
            return finish(chain, known)
        chain += known.chain
        name = known.target
    return None
