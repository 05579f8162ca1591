"""What the caches alone say to a question: name by name for iteration, as a whole for answers without any query."""

from collections.abc import Sequence
from functools import partial

from resolverd import bounds
from resolverd.resolver.cache.entries import Hit
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator.response import Cname, Conclusion, DnameTooLong, Negative, Positive
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import MAX_NAME, Name, ancestors, lower
from resolverd.wire.rrset import RRset, Security, each_once


def find(rrsets: RRsetCache, name: Name, rtype: int, now: float, stale_ttl: int | None = None) -> Conclusion | None:
    """The data of `name` (lower case), an alias, a denial, or None for nothing known; with `stale_ttl`, stale data too."""
    if not rrsets.may_know(name):
        return None
    get = rrsets.get if stale_ttl is None else partial(rrsets.stale, ttl=stale_ttl)
    hit = get(name, rtype, now)
    if hit is not None:
        if hit.rrset is not None:
            chain, proof = _with_dname(hit.rrset, hit) if rtype == codes.CNAME else ((hit.rrset,), hit.authority)
            return Positive(chain, proof, hit=hit, trust=hit.trust)
        return negative_of(hit, name, rtype)
    if rtype != codes.CNAME:
        hit = get(name, codes.CNAME, now)
        if hit is not None and hit.rrset is not None:
            chain, proof = _with_dname(hit.rrset, hit)
            return Cname(chain, lower(rdata.target(codes.CNAME, hit.rrset.rdatas[0])), proof, hit=hit, trust=hit.trust)
    for owner in ancestors(name)[1:-1] if rrsets.has_dnames else ():
        hit = get(owner, codes.DNAME, now)
        if hit is not None and hit.rrset is not None and hit.rrset.security is Security.SECURE:
            # RFC 6672 §3.4: a cached DNAME redirects every name below it. Only a validated one: a forged DNAME would
            # take a whole tree away, where a forged CNAME takes one name.
            target = name[: len(name) - len(owner)] + rdata.target(codes.DNAME, hit.rrset.rdatas[0])
            if len(target) > MAX_NAME:
                return DnameTooLong((hit.rrset,), hit=hit, trust=hit.trust)
            chain = (hit.rrset, RRset(name, codes.CNAME, hit.rrset.ttl, (target,), security=Security.SECURE))
            if rtype == codes.CNAME:
                return Positive(chain, (), hit=hit, trust=hit.trust)
            return Cname(chain, lower(target), (), hit=hit, trust=hit.trust)
    return None


def _with_dname(cname: RRset, hit: Hit) -> tuple[tuple[RRset, ...], tuple[RRset, ...]]:
    """An alias that was made from a DNAME has it beside it, and in front of it in the answer; and what else is beside it."""
    if not hit.authority:
        return (cname,), ()
    dname = tuple(rrset for rrset in hit.authority if rrset.rtype == codes.DNAME)
    return (*dname, cname), tuple(rrset for rrset in hit.authority if rrset.rtype != codes.DNAME)


def negative_of(hit: Hit, name: Name, rtype: int) -> Negative:
    """A remembered denial as an outcome."""
    soa = next((rrset for rrset in hit.authority if rrset.rtype == codes.SOA), None)
    proofs = tuple(rrset for rrset in hit.authority if rrset.rtype != codes.SOA)
    return Negative((), name, rtype, hit.denies_name, soa, proofs, hit.security, hit=hit, trust=hit.trust)


def security_of(response: Conclusion) -> Security:
    """What DNSSEC says of an outcome: the least that it says of any part (RFC 4035 §3.2.3)."""
    parts = [each.security for each in response.chain]
    if isinstance(response, Negative):
        parts.append(response.security)
    return min(parts)


def assemble(aliases: Sequence[Cname], end: Positive | Negative | DnameTooLong) -> Answer:
    """The answer at the end of a chain (RFC 6604: its RCODE is the last name's), which is as `definite` as its weakest part."""
    age = int(end.hit.age) if end.hit is not None else 0
    if not aliases and isinstance(end, Positive) and len(end.chain) == 1:
        security = end.chain[0].security
        return Answer(codes.NOERROR, end.chain, end.authority, security=security, age=age, definite=end.definite)
    definite = all(part.definite for part in (*aliases, end))
    security = min(security_of(part) for part in (*aliases, end))
    rcode, authority = codes.NOERROR, [rrset for alias in aliases for rrset in alias.authority]
    if isinstance(end, Positive):
        authority += end.authority
    elif isinstance(end, Negative):
        rcode = codes.NXDOMAIN if end.nxdomain else rcode
        authority = [*([end.soa] if end.soa is not None else ()), *authority, *end.proofs]
    else:
        rcode = codes.YXDOMAIN
    # One DNAME may be crossed more than once.
    answer = each_once((*chain_of(aliases), *end.chain))
    return Answer(rcode, answer, each_once(authority), security=security, age=age, definite=definite)


def chain_of(aliases: Sequence[Cname]) -> list[RRset]:
    """The RRsets of a chain's aliases, in order."""
    return [rrset for alias in aliases for rrset in alias.chain]


def is_expiring(known: Conclusion | None) -> bool:
    """Whether little of its life is left, so that it is worth being asked for again while it still serves."""
    return known is not None and known.hit is not None and 0 < known.hit.fraction <= bounds.PREFETCH_SHARE


def answer(
    rrsets: RRsetCache, name: Name, rtype: int, now: float, stale_ttl: int | None = None, *, validated: bool = False
) -> Answer | None:
    """The whole answer from the caches, or None if any part of it is missing, or (`validated`) not validated yet."""
    aliases: list[Cname] = []
    name = lower(name)
    expiring = False
    for _ in range(bounds.MAX_CNAMES + 1):
        known = find(rrsets, name, rtype, now, stale_ttl)
        if known is None:
            return None
        expiring |= is_expiring(known)
        if validated and security_of(known) is Security.UNKNOWN:
            return None
        if not isinstance(known, Cname):
            return replace(assemble(aliases, known), expiring=expiring)
        aliases.append(known)
        name = known.target
    return None
