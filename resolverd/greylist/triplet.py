"""The triplet that greylisting remembers: where mail comes from, who sends it, who shall have it.

The rules are Postgrey 1.37's, octet for octet, so that its database can be taken over and its users meet no surprise:
the client counts by its network, and what changes with every message of one sender (VERP, BATV) is levelled. SRS, which
Postgrey leaves alone, is levelled too: a forwarder's mail would be new every day.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address

from resolverd import bounds
from resolverd.wire.names import Address

MAX_KEY = 512
"""Octets of a key. Postfix passes on addresses of up to 2 kB: a flood of long ones must not fill the disk."""

_TAG = re.compile(rb"[0-9a-z]{10}")
_SRS0 = re.compile(rb"srs0[=+-][^=]*=[^=]*=(?P<sender>.+=.+)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(rb"srs1[=+-][^=]*=(?P<forwarder>[^=]+)=[=+-][^=]*=[^=]*=(?P<sender>.+=.+)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(rb"\b\d+\b")


def network(address: Address, ipv4_prefix: int = 24, ipv6_prefix: int = 64) -> str:
    """The first address of the client's network: hosts of one sending pool often share it."""
    if isinstance(address, IPv6Address):
        # int(): without a scope (fe80::1%eth0), which a network doesn't have.
        return _ipv6_text(int(address) >> 128 - ipv6_prefix << 128 - ipv6_prefix)
    return _ipv4_text(int(address) >> 32 - ipv4_prefix << 32 - ipv4_prefix)


def client_text(address: Address) -> str:
    """The client's address as text."""
    if isinstance(address, IPv6Address):
        return str(address) if address.scope_id else _ipv6_text(int(address))
    return _ipv4_text(int(address))


def _ipv4_text(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@lru_cache(bounds.MAIL_NAMES)
def _ipv6_text(number: int) -> str:
    return str(IPv6Address(number))


def normalize_sender(sender: bytes) -> bytes:
    """The sender without what differs from message to message; the null sender and names without ``@`` stay as they are.

    ``prvs=TAG=local`` (BATV, draft-levine-smtp-batv, and the reversed form that is seen too) loses its tag,
    ``local+extension`` its extension (VERP), and a number that stands alone becomes ``#``. ``SRS0=HASH=DAY=domain=local``
    and ``SRS1=HASH=forwarder==HASH=DAY=domain=local`` (Sender Rewriting Scheme) lose hashes and day.
    """
    local, at, domain = sender.partition(b"@")
    if not at:
        return sender
    if local[:3].lower() == b"srs":
        local = _without_hash(local)
    if local.startswith(b"prvs="):
        local = _without_tag(local)
    local = local.partition(b"+")[0]
    return _NUMBER.sub(b"#", local) + b"@" + domain


def _without_hash(local: bytes) -> bytes:
    if found := _SRS0.fullmatch(local):
        return b"srs0=" + found["sender"]
    if found := _SRS1.fullmatch(local):
        return b"srs1=" + found["forwarder"] + b"=" + found["sender"]
    return local


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
    return triplets((origin,), sender, recipient)[0]


def triplets(origins: Iterable[str], sender: str, recipient: str) -> tuple[bytes, ...]:
    """The keys of `triplet` for several origins."""
    mail = (b"/%b/%b" % (normalize_sender(_octets(sender)), _octets(recipient))).lower()
    return tuple([_key(_octets(origin).lower(), mail) for origin in origins])


def _key(origin: bytes, mail: bytes) -> bytes:
    key = origin + mail
    return key if len(key) <= MAX_KEY else origin + b"/#" + blake2b(key, digest_size=32).hexdigest().encode()


def parts(key: bytes) -> tuple[str, str | None, str | None]:
    """Origin, sender and recipient of a triplet's key, for people; a ``/`` in an address is taken for the sender's.

    A key that ends in a digest has neither sender nor recipient.
    """
    origin, _, rest = key.decode("utf-8", "replace").partition("/")
    sender, slash, recipient = rest.rpartition("/")
    return (origin, sender, recipient) if slash else (origin, None, None)


def _octets(text: str) -> bytes:
    # Whatever bytes a client made the edge decode, lone surrogates included, must have a key.
    return text.encode("utf-8", "surrogatepass")
