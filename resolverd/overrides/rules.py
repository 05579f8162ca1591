"""Overrides: what the admin allows and denies, for how long, for whom, and why. Pure: values, and how people write them.

What is named: an address, a network, a domain (itself and everything below), or a sender's address. A domain is a client's
where the client's name leads back to its address (RFC 8601 §2.7.3), never by what the client says of itself; what the
client says of itself can be held against it.
"""

import re
from enum import StrEnum
from ipaddress import ip_address, ip_network
from math import inf
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.dnsbl.names import unmapped
from resolverd.mail import patterns
from resolverd.mail.domains import canonical, is_suffix
from resolverd.mail.patterns import IPNetwork

ALLOW: Final = "allow"
DENY: Final = "deny"
ACTIONS: Final = (ALLOW, DENY)

EVERYTHING: Final = "all"
LISTS: Final = "lists"
GREYLIST: Final = "greylist"
SPF: Final = "spf"
SCOPES: Final = (EVERYTHING, LISTS, GREYLIST, SPF)
"""What an allowance reaches. A denial refuses, whatever else; it has no other scope than all."""

MAX_SUBJECT: Final = 320
"""Characters of a sender's or recipient's address (RFC 5321 §4.5.3.1: 64, ``@``, 255)."""

_WIDEST: Final = {4: 8, 6: 19}
"""Prefixes of the largest networks that are somebody's: a whole /8, what a registry gives the largest providers."""
_BRACKETS: Final = str.maketrans("", "", "[]")
_ADDRESS_CHARS = re.compile(r"[^\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+")


class Kind(StrEnum):
    """What an override names, the most specific first."""

    SENDER = "sender"
    ADDRESS = "address"
    DOMAIN = "domain"
    NETWORK = "network"


class BadOverride(ValueError):
    """What cannot be overridden so; the message says why, and what to write instead."""


class OverrideKey(NamedTuple):
    """What tells overrides apart: those with the same are one, of which the later counts. All in canonical text.

    `temporary`: of a denial, that it puts off (450) while it lasts, and refuses nobody for good.
    """

    action: str
    subject: str
    scope: str = EVERYTHING
    recipient: str = ""
    temporary: bool = False


class Override(NamedTuple):
    """One override. `recipient`: for mail to this address or domain only, empty for all. Times in wall seconds.

    `until` is 0 for one without end. `from_id`: the verdict that was the occasion. `hits`: how often it has counted for an
    attempt or in an answer of the zones, last at `last` (0: never).
    """

    key: OverrideKey
    since: int
    until: int = 0
    owner: str = ""
    reason: str = ""
    from_id: str = ""
    hits: int = 0
    last: int = 0

    @property
    def kind(self) -> Kind:
        """What it names."""
        return kind_of(self.key.subject)

    def __or__(self, other: "Override") -> "Override":
        """Of two that two hosts have of one key, the later, with the higher count of hits and the last one."""
        later = max(self, other, key=Override._order)
        return later._replace(hits=max(self.hits, other.hits), last=max(self.last, other.last))

    def _order(self) -> tuple[int, float, str, str, str]:
        """By this one of two is the later; what comes behind the time decides for all hosts alike."""
        return self.since, self.until or inf, self.owner, self.reason, self.from_id

    def in_force(self, now: float) -> bool:
        """Whether it is in force at `now` (wall seconds)."""
        return not self.until or now < self.until


def subject_of(text: str) -> str:
    """A subject in canonical text: an address, a network, a domain, or a sender's address. Raises BadOverride.

    How others write these is understood where it is plain (`patterns`): ``192.0.2.*``, ``*.example.com``, ``[2001:db8::1]``.
    """
    text = text.strip().removeprefix("<").removesuffix(">")
    if "@" in text:
        return _mailbox(text)
    try:
        found = patterns.networks(text)
        return patterns.host(text) if found is None else _network(text, found)
    except BadOverride:
        raise
    except ValueError as error:
        raise BadOverride(f"{text[:100]!r} {error}; expected an IP address, a network, a domain or a sender's address") from None


def recipient_of(text: str) -> str:
    """A recipient's address, or a domain for everybody in it; empty for all. Raises BadOverride."""
    text = text.strip().removeprefix("<").removesuffix(">")
    if not text or "@" in text:
        return _mailbox(text) if text else ""
    domain = canonical(text.removeprefix("*").removeprefix("."))
    if domain is None or domain in patterns.ROLES:
        raise BadOverride(f"{text[:100]!r} is neither a recipient's address nor a domain")
    return domain


def too_wide(subject: str) -> str:
    """Why a canonical subject reaches so many that it is rather a slip, if it does."""
    kind = kind_of(subject)
    if kind is Kind.DOMAIN and is_suffix(subject):
        return f"{subject} is a public suffix: everybody's domains are below it"
    if kind is Kind.NETWORK:
        network = ip_network(subject)
        if network.prefixlen < _WIDEST[network.version]:
            return f"{subject} is wider than /{_WIDEST[network.version]}"
    return ""


def key_of(action: str, subject: str, scope: str = "", recipient: str = "", *, temporary: bool = False) -> OverrideKey:
    """The key of an override as somebody wrote it. Raises BadOverride."""
    if action not in ACTIONS:
        raise BadOverride(f"{action[:40]!r} is neither allow nor deny")
    scope = scope or EVERYTHING
    if scope not in SCOPES:
        raise BadOverride(f"{scope[:40]!r} is no scope; there are {', '.join(SCOPES)}")
    if action == DENY and scope != EVERYTHING:
        raise BadOverride("a denial refuses altogether: it has no scope")
    if temporary and action != DENY:
        raise BadOverride("only a denial is temporary or not; an allowance ends when it says (for)")
    return OverrideKey(action, subject_of(subject), scope, recipient_of(recipient), temporary)


def note_of(name: str, text: str) -> str:
    """A reason, an owner or a reference as it may be kept. Raises BadOverride."""
    text = text.strip()
    if len(text) > bounds.NOTE or not text.isprintable():
        raise BadOverride(f"{name}: expected at most {bounds.NOTE} printable characters")
    return text


def kind_of(subject: str) -> Kind:
    """What a canonical subject names."""
    if "@" in subject:
        return Kind.SENDER
    if "/" in subject:
        return Kind.NETWORK
    return Kind.ADDRESS if ":" in subject or subject.replace(".", "").isdigit() else Kind.DOMAIN


def _mailbox(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not local or local == "*":
        raise BadOverride(f"{text[:100]!r}: for all addresses of a domain, write the domain alone")
    host = canonical(domain)
    if host is None or not _ADDRESS_CHARS.fullmatch(local) or len(local) + len(host) >= MAX_SUBJECT:
        raise BadOverride(f"{text[:100]!r} is no mail address")
    return f"{local.lower()}@{host}"


def _network(text: str, found: tuple[IPNetwork, ...]) -> str:
    if len(found) > 1:
        raise BadOverride(f"{text[:100]!r} is several networks, each an override of its own: {', '.join(map(str, found[:8]))}")
    network = found[0]
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    if _has_host_bits(text, network):
        raise BadOverride(f"{text[:100]!r} has bits behind its prefix: write {network}, or the address alone")
    if not network.prefixlen:
        raise BadOverride(f"{text[:100]} is everybody")
    return str(network)


def _has_host_bits(text: str, network: IPNetwork) -> bool:
    bare = text.translate(_BRACKETS).partition("/")[0]
    try:
        return network.network_address not in (ip_address(bare), unmapped(ip_address(bare)))
    except ValueError:  # its beginning alone was written
        return False
