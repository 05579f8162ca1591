"""The mail servers of a domain and their addresses, looked up for somebody who wants to know (RFC 5321 §5.1)."""

import asyncio
from typing import NamedTuple

from resolverd import bounds
from resolverd.resolver.ports import Resolver
from resolverd.wire import codes, names, rdata
from resolverd.wire.names import ROOT, Address, Name


class MailServer(NamedTuple):
    """A mail server: its name, its preference (None where the domain has no MX records), its addresses."""

    name: str
    preference: int | None
    addresses: tuple[Address, ...]


class MailServers(NamedTuple):
    """Those of a domain, the preferred ones first. `note`: why there are none, or not all."""

    servers: tuple[MailServer, ...]
    note: str = ""


async def mail_servers(resolver: Resolver, domain: str, deadline: float) -> MailServers:
    """The mail servers of a domain with their addresses, as many as bounds allow, by `deadline` (monotonic seconds)."""
    name = names.from_text(domain)
    answer = await resolver.resolve(name, codes.MX, deadline=deadline)
    if answer.is_failure:
        return MailServers((), f"its mail servers could not be found out ({codes.rcode_text(answer.rcode)})")
    if answer.rcode == codes.NXDOMAIN:
        return MailServers((), "there is no such domain")
    found: list[tuple[int | None, Name]] = []
    rrset = answer.final(codes.MX)
    for data in () if rrset is None else rrset.rdatas:
        try:
            found.append((int.from_bytes(data[:2], "big"), rdata.target(codes.MX, data)))
        except ValueError:
            continue
    if [exchange for _, exchange in found] == [ROOT]:
        return MailServers((), "it takes no mail (null MX)")
    if rrset is None:
        found = [(None, name)]
    found.sort(key=lambda each: each[0] or 0)
    chosen = found[: bounds.LOOKUP_SERVERS]
    addresses = await asyncio.gather(*(_addresses(resolver, exchange, deadline) for _, exchange in chosen))
    left, servers = bounds.LOOKUP_ADDRESSES, []
    for (preference, exchange), its in zip(chosen, addresses, strict=True):
        servers.append(MailServer(names.to_text(exchange).removesuffix("."), preference, its[:left]))
        left -= len(its[:left])
    unseen = len(found) - len(chosen), sum(map(len, addresses)) - sum(len(each.addresses) for each in servers)
    more = (f"{count} more {what}" for count, what in zip(unseen, ("servers", "addresses"), strict=True) if count)
    return MailServers(tuple(servers), " and ".join(more))


async def _addresses(resolver: Resolver, name: Name, deadline: float) -> tuple[Address, ...]:
    answers = await asyncio.gather(*(resolver.resolve(name, rtype, deadline=deadline) for rtype in (codes.A, codes.AAAA)))
    rrsets = [answer.final(rtype) for answer, rtype in zip(answers, (codes.A, codes.AAAA), strict=True)]
    found = {names.address(data) for rrset in rrsets if rrset is not None for data in rrset.rdatas}
    return tuple(sorted(found, key=lambda address: (address.version, int(address))))
