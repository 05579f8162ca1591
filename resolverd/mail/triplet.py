"""The triplet that greylisting remembers: where mail comes from, who sends it, who shall have it.

The rules are Postgrey 1.37's, octet for octet, so that its database can be taken over and its users meet no surprise:
the client counts by its network, and what changes with every message of one sender (VERP, BATV) is levelled.
"""

import re
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from resolverd.wire.names import Address

MAX_KEY = 512
"""Octets of a key. Postfix passes on addresses of up to 2 kB: a flood of long ones must not fill the disk."""

_TAG = re.compile(rb"[0-9a-z]{10}")
_NUMBER = re.compile(rb"\b\d+\b")


def network(address: Address, ipv4_prefix: int = 24, ipv6_prefix: int = 64) -> str:
    """The first address of the client's network: hosts of one sending pool often share it."""
    if isinstance(address, IPv6Address):
        # int(): without a scope (fe80::1%eth0), which a network doesn't have.
        return str(IPv6Network((int(address), ipv6_prefix), strict=False).network_address)
    return str(IPv4Network((address, ipv4_prefix), strict=False).network_address)


def level_sender(sender: bytes) -> bytes:
    """The sender without what differs from message to message; the null sender and names without ``@`` stay as they are.

    ``prvs=TAG=local`` (BATV, draft-levine-smtp-batv, and the reversed form that is seen too) loses its tag,
    ``local+extension`` its extension (VERP), and a number that stands alone becomes ``#``.
    """
    local, at, domain = sender.partition(b"@")
    if not at:
        return sender
    if local.startswith(b"prvs="):
        local = _without_tag(local)
    local = local.partition(b"+")[0]
    return _NUMBER.sub(b"#", local) + b"@" + domain


def _without_tag(local: bytes) -> bytes:
    fields = local.rstrip(b"=").split(b"=")
    if len(fields) != 3:
        return local
    _, first, second = fields
    reversed_form = _TAG.match(second) and not _TAG.match(first)
    return first if reversed_form else second


def triplet(origin: str, sender: str, recipient: str) -> bytes:
    """The key of a triplet: ``origin/sender/recipient`` in lower case, the sender levelled.

    `origin` is what `network` gives, or another name for where the mail comes from. Keys beyond `MAX_KEY` octets end in a
    digest instead.
    """
    key = b"/".join((_octets(origin), level_sender(_octets(sender)), _octets(recipient))).lower()
    if len(key) <= MAX_KEY:
        return key
    return _octets(origin).lower() + b"/#" + blake2b(key, digest_size=32).hexdigest().encode()


def _octets(text: str) -> bytes:
    # Whatever bytes a client made the edge decode, lone surrogates included, must have a key.
    return text.encode("utf-8", "surrogatepass")
