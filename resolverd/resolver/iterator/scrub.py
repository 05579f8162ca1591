"""What of a message may be believed.

A server speaks only for names at or below the zone it was asked as (its bailiwick). Of an answer, the records that lead
from the question to the data are kept and nothing volunteered beside them: no NS of its own apex, no addresses of names
that nobody asked for (CVE-2025-40778, CVE-2025-11411). Glue counts for the name servers of the referral it came with, only.
"""

from typing import TypeAlias

from resolverd import bounds
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.message import Message
from resolverd.wire.names import MAX_NAME, Address, Name, address, is_subdomain, lower
from resolverd.wire.rrset import RRset

Glue: TypeAlias = tuple[tuple[Name, tuple[Address, ...]], ...]
"""Name servers' addresses as a referral brought them."""

_PROOFS = (codes.NSEC, codes.NSEC3)


def chain(message: Message, qname: Name, qtype: int, zone: Name, whole: bool) -> tuple[list[RRset], Name]:
    """The RRsets of the answer section that lead from `qname` (lower case) onwards, in order, and the name they lead to.

    An alias ends it, unless the `whole` chain is wanted (of a forwarder, whose answer is one): only the first alias of an
    answer is surely the zone's own, the rest may be its server's cache (RFC 2181 §5.4.1). CNAMEs made from a DNAME are made
    anew from it (RFC 6672 §3.1). A DNAME whose target would be too long ends the chain as well.
    """
    if not message.answer:
        return [], qname
    found = {(rrset.owner, rrset.rtype): rrset for rrset in message.answer}
    out: list[RRset] = []
    name = qname
    seen = {name}
    for _ in range(bounds.MAX_CNAMES + 1):
        if not is_subdomain(name, zone):
            break
        data = found.get((name, qtype))
        if data is not None and qtype != codes.CNAME:
            out.append(data)
            break
        dnames = [rrset for rrset in message.answer if rrset.rtype == codes.DNAME]
        step = _alias(name, qtype, found, dnames, zone)
        if not step and data is not None:
            step = [data]
        out += step
        # Where an alias is asked for, one made from a DNAME is the data, and is not followed.
        if not step or step[-1].rtype == codes.DNAME or qtype == codes.CNAME:
            break
        name = lower(rdata.target(codes.CNAME, step[-1].rdatas[0]))
        if name in seen or not whole:
            break
        seen.add(name)
    return out, name


def _alias(name: Name, qtype: int, found: dict[tuple[Name, int], RRset], dnames: list[RRset], zone: Name) -> list[RRset]:
    for dname in dnames:
        owner = dname.owner
        # The DNAME's owner itself is not redirected (RFC 6672 §2.3), and one from outside the zone is out of bailiwick.
        if name != owner and is_subdomain(name, owner) and is_subdomain(owner, zone) and len(dname.rdatas) == 1:
            target = name[: len(name) - len(owner)] + rdata.target(codes.DNAME, dname.rdatas[0])
            if len(target) > MAX_NAME:
                return [dname]
            return [dname, RRset(name, codes.CNAME, dname.ttl, (target,))]
    cname = found.get((name, codes.CNAME))
    if cname is None or qtype == codes.CNAME:
        return []
    # Two CNAMEs at one name are an error of the zone (RFC 2181 §10.1); the first is as good as any.
    return [replace(cname, rdatas=cname.rdatas[:1])]


def denial(message: Message, name: Name, zone: Name) -> tuple[RRset | None, tuple[RRset, ...]]:
    """The SOA of a denial of `name` and the proofs beside it; no SOA where none in bailiwick stands above the name."""
    soa = None
    proofs = []
    for rrset in message.authority:
        owner = rrset.owner
        if not is_subdomain(owner, zone):
            continue
        if rrset.rtype == codes.SOA and is_subdomain(name, owner) and len(rrset.rdatas) == 1:
            # RFC 2308 §5: a denial holds for the smaller of the SOA's own TTL and its MINIMUM field.
            soa = replace(rrset, ttl=min(rrset.ttl, rdata.soa(rrset.rdatas[0]).minimum & 0x7FFFFFFF))
        elif rrset.rtype in _PROOFS:
            proofs.append(rrset)
    return soa, tuple(proofs)


def referral(message: Message, name: Name, zone: Name) -> RRset | None:
    """The NS RRset of a zone strictly below `zone` at or above `name`, or None."""
    for rrset in message.authority:
        if rrset.rtype == codes.NS:
            owner = rrset.owner
            if owner != zone and is_subdomain(owner, zone) and is_subdomain(name, owner):
                return rrset
    return None


def glue(message: Message, servers: tuple[Name, ...], zone: Name) -> Glue:
    """Addresses in the additional section for these name servers, where their names are within `zone` (the delegating one)."""
    out: dict[Name, dict[Address, None]] = {}
    named = frozenset(servers)  # a crafted referral may name thousands
    for rrset in message.additional:
        owner = rrset.owner
        if rrset.rtype in (codes.A, codes.AAAA) and owner in named and is_subdomain(owner, zone):
            addresses = out.setdefault(owner, {})
            for data in rrset.rdatas:
                addresses[address(data)] = None
    return tuple((name, tuple(addresses)[: bounds.MAX_ADDRESSES_PER_NS]) for name, addresses in out.items())
