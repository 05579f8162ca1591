"""A list's reply as the hosts of a fleet share it: one line of ASCII, which whoever reaches the store can have written.

It has the addresses that the list answered, never what was made of them: each host reads them as its own configuration has
it, and only hosts whose configurations read a list's answers alike share them at all (`key_of`).
"""

import re
from hashlib import blake2b
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.dnsbl.spec import ListSpec
from resolverd.wire.names import Name, lower

_READING: Final = 8
_NONE: Final = b"-"
_RECORD: Final = re.compile(rb"1 ([0-9]{1,15}) ([0-9]{1,15}) ([0-9a-f]{16}(?:,[0-9a-f]{16})?) ([-+]) (-|[0-9.]+(?:,[0-9.]+)*)")


class SharedReply(NamedTuple):
    """When it came and when it ends (wall seconds), the list's A rdatas (none: it lists nobody), and the hosts (by id) that have
    asked for themselves, the latest first, two at the most. `verified`: the latest has had the list deny its test point since."""

    since: float
    until: float
    addresses: tuple[bytes, ...]
    hosts: tuple[str, ...]
    verified: bool = False


def reading_of(spec: ListSpec) -> str:
    """A digest of what shapes the addresses that are kept of a list's answers; its key has no part in that."""
    shape = spec.shown, spec.keyed, sorted(spec.kinds), spec.purpose, spec.registered_domain, spec.codes
    return blake2b(repr(shape).encode(), digest_size=_READING).hexdigest()


def key_of(spec: ListSpec, reading: str, name: Name) -> bytes:
    """Under which the reply stands: ``LIST READING `` and what comes before the list's zone in the name, in lower case."""
    return f"{spec.id} {reading} ".encode() + lower(name)[: len(name) - len(spec.zone)]


def encode(reply: SharedReply) -> bytes:
    """``1 SINCE UNTIL HOST[,HOST] VERIFIED ADDRESS[,ADDRESS…]``: times in milliseconds, ``+`` or ``-``, ``-`` for no address."""
    addresses = b",".join(str(IPv4Address(each)).encode() for each in reply.addresses) or _NONE
    times, hosts = (round(reply.since * 1000), round(reply.until * 1000)), ",".join(reply.hosts).encode()
    return b"1 %d %d %s %s %s" % (*times, hosts, b"+" if reply.verified else b"-", addresses)


def decode(octets: bytes) -> SharedReply | None:
    """The reply of a record; None for octets that are none."""
    found = _RECORD.fullmatch(octets) if len(octets) <= bounds.LIST_SHARED_OCTETS else None
    if found is None:
        return None
    since, until, hosts, verified, texts = found.groups()
    try:
        addresses = () if texts == _NONE else tuple(IPv4Address(each.decode()).packed for each in texts.split(b","))
    except ValueError:
        return None
    if len(addresses) > bounds.LIST_SHARED_ADDRESSES:
        return None
    names = tuple(dict.fromkeys(hosts.decode().split(",")))
    return SharedReply(int(since) / 1000, int(until) / 1000, addresses, names, verified == b"+")
