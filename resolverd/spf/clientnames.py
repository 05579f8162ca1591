"""The client's names, as ``ptr`` and the macro ``p`` want them (RFC 7208 §5.5, §7.3): those that lead back to its address."""

from collections.abc import Generator, Iterable
from typing import TypeAlias, TypeVar

from resolverd import bounds
from resolverd.failures import Unknown
from resolverd.mail.lookups import DnsLookup, DnsReply, Records
from resolverd.spf.macros import name_of
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Address, Name, from_labels, is_subdomain, labels, lower, reverse_name
from resolverd.wire.rdata import target

_T = TypeVar("_T")
SpfEvaluation: TypeAlias = Generator[tuple[DnsLookup, ...], DnsReply, _T]
"""Yields questions, is sent the reply to the first, returns what it was after."""

UNKNOWN = "unknown"
"""What ``p`` stands for where there is no such name."""


def reverse_names(address: Address) -> SpfEvaluation[tuple[Name, ...] | None]:
    """The client's first names (§4.6.4), lower-case; None if they cannot be had just now."""
    reply = yield (DnsLookup(reverse_name(address), codes.PTR),)
    if isinstance(reply, Unknown):
        return None
    rdatas = reply.rdatas if isinstance(reply, Records) else ()
    hosts = (target_of(codes.PTR, rdata) for rdata in rdatas[: bounds.MAX_SPF_NAMES])
    return tuple(dict.fromkeys(host for host in hosts if host is not None))


def validated(address: Address, hosts: Iterable[Name], *, first: bool = False) -> SpfEvaluation[list[Name]]:
    """Those of the names that lead back to the client, or the `first` of them. Trouble with one passes over it."""
    rtype = codes.A if address.version == 4 else codes.AAAA
    lookups = [DnsLookup(host, rtype) for host in hosts if host != ROOT]
    found = []
    for at, lookup in enumerate(lookups):
        reply = yield tuple(lookups[at:])
        if isinstance(reply, Records) and address.packed in reply.rdatas:
            found.append(lookup.name)
            if first:
                break
    return found


def best(address: Address, domain: str) -> SpfEvaluation[str]:
    """What ``p`` stands for: the domain itself if it is one of the names, else a name below it, else any."""
    hosts = yield from reverse_names(address)
    own = name_of(domain)
    names = yield from validated(address, hosts or ())
    names.sort(key=lambda name: (name != own, own is None or not is_subdomain(name, own)))
    return ".".join(label.decode("latin-1") for label in labels(names[0])) if names else UNKNOWN


def target_of(rtype: int, rdata: bytes) -> Name | None:
    """The name that a PTR or MX record points at, lower-case; None for impossible data."""
    try:
        return lower(from_labels(labels(target(rtype, rdata))))
    except ValueError:
        return None
