"""Whom a word in a file or on the command line means: addresses and networks, host names, recipients, as people write them.

Postgrey, SQLgrey, Postfix and others have ways of their own: ``192.0.2``, ``192.0.2.*``, ``[2001:db8::]/32``, ``*.example.com``.
Where it is plain who is meant, it is understood; else the word is named as faulty, as a word that silently means nobody, or
others than it says, is worse than none. Every function raises ValueError with words that complete "WORD …".
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network, summarize_address_range
from typing import Final, NamedTuple, TypeAlias

from resolverd.mail.domains import canonical, mailbox

IPNetwork: TypeAlias = IPv4Network | IPv6Network

_BEGINNING = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,2})(\.|(?:\.\*){1,3})?", re.ASCII)
_RANGE = re.compile(r"([\d.]+|[\da-fA-F:.]*:[\da-fA-F:.]*)\s*-\s*([\da-fA-F:.]+)", re.ASCII)
_BRACKETS = re.compile(r"\[([^\[\]]*)\](/\d{1,3})?", re.ASCII)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/[\d.]+)?|[^/]*:[^/]*:[^/]*(?:/.*)?", re.ASCII)
_MOST_NETWORKS: Final = 64
"""That a range may come to; the worst one of IPv4 comes to 62."""

ROLES: Final = frozenset(
    ("postmaster", "abuse", "hostmaster", "webmaster", "security", "noc", "info", "support", "sales", "marketing", "news",
     "usenet", "uucp", "www", "ftp", "root", "mailer-daemon")
)  # fmt: skip
"""Names that stand for a mailbox wherever they stand alone (RFC 2142), and the two that every mail server has besides."""


class LineFault(NamedTuple):
    """A line that is not used: its number, and what is wrong with it."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def networks(word: str) -> tuple[IPNetwork, ...] | None:
    """The networks that a word means, an address being one of full length; None for what looks like no address at all.

    Bits behind a prefix are passed over; IPv4 within IPv6 is IPv4, as clients are (RFC 4291 §2.5.5.2).
    """
    text = word.strip()
    if (bracketed := _BRACKETS.fullmatch(text)) is not None:
        text = bracketed[1] + (bracketed[2] or "")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    if (beginning := _BEGINNING.fullmatch(text)) is not None:
        return (_by_octets(beginning[1].split("."), beginning[2] or ""),)
    if (span := _RANGE.fullmatch(text)) is not None and (found := _range(span[1], span[2])) is not None:
        return found
    if not _ADDRESS.fullmatch(text):
        return None
    if "%" in text:
        raise ValueError("is no network: an address with a zone index is nobody's outside this machine")
    try:
        return (_unmapped(ip_network(text, strict=False)),)
    except ValueError:
        raise ValueError("is no network") from None


def host(word: str) -> str:
    """The host name that a word means, all names below it included: ``x``, ``.x`` and SQLgrey's ``*.x`` are one."""
    name = _domain(word)
    if name is None or networks(name) is not None:  # without the dot in front it would mean addresses
        raise ValueError("is no host name")
    return name


def recipient(word: str) -> str:
    """The recipients that a word means: ``name@`` (in any domain), ``name@domain``, ``@domain`` (all there), or ``domain``
    (all there and below). A role that stands alone is a name in any domain."""
    text = word.strip().lower().removeprefix("<").removesuffix(">")
    local, at, domain = text.rpartition("@")
    if not at:
        return _all_of(text)
    if any(char.isspace() for char in local):
        raise ValueError("is no recipient")
    if domain.startswith(("*.", ".")) and local in ("", "*"):
        return _all_of(domain)
    if local == "*":
        local = ""
    if "*" in local:
        raise ValueError("has a wildcard within a name, which is not understood")
    if domain in ("", "*"):
        if not local:
            raise ValueError("is everybody, or nobody: it has neither name nor domain")
        return f"{local}@"
    if domain.startswith("["):
        return f"{local}@{domain}"
    found = canonical(domain)
    if found is None:
        raise ValueError("is no recipient")
    return f"{local}@{found}"


def matches_recipient(recipient: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means the recipient; letter case and ``+extension`` do not matter, nor how a domain
    is written (IDNA).

    ``name@`` is this name at any domain, the bare name included (RFC 5321 §4.5.1 has ``<postmaster>``);
    ``name@domain`` one address; ``@domain`` all addresses there; ``domain`` all there and below.
    """
    local, _, domain = mailbox(recipient).rpartition("@") if "@" in recipient else (recipient.lower(), "", "")
    names = {local, local.partition("+")[0]}
    return any(_means(pattern.lower(), names, domain) for pattern in patterns if pattern)


def _means(pattern: str, names: set[str], domain: str) -> bool:
    name, at, where = pattern.rpartition("@")
    if at:
        return where in ("", domain) and (name in names or not name)
    return domain == where or domain.endswith(f".{where}")


def _all_of(text: str) -> str:
    if text in ROLES:
        return f"{text}@"
    name = _domain(text)
    if name is None:
        raise ValueError("is no recipient")
    if "." not in name:
        raise ValueError(f"is no recipient: {name}@ is that name in any domain, @{name} everybody in that domain")
    return name


def _domain(word: str) -> str | None:
    text = word.strip().lower()
    if text == "*":
        raise ValueError("is everybody")
    text = text.removeprefix("*").removeprefix(".") if text.startswith("*.") else text.removeprefix(".")
    if "*" in text:
        raise ValueError("has a wildcard, which is not understood there: a name means all names below it, /.../ is an expression")
    return canonical(text)


def _by_octets(octets: list[str], end: str) -> IPv4Network:
    if len(octets) == 1 and not end:
        raise ValueError("is no network: say 10.* or 10.0.0.0/8")
    if len(octets) + end.count("*") > 4:
        raise ValueError("is no network")
    try:
        return IPv4Network(f"{'.'.join([*octets, '0', '0', '0'][:4])}/{8 * len(octets)}")
    except ValueError:
        raise ValueError("is no network") from None


def _range(first: str, last: str) -> tuple[IPNetwork, ...] | None:
    try:
        begin = ip_address(first)
    except ValueError:
        return None
    if last.isdigit() and isinstance(begin, IPv4Address):
        last = f"{first.rpartition('.')[0]}.{last}"
    try:
        end = ip_address(last)
        found = tuple(_unmapped(each) for each in summarize_address_range(begin, end))
    except (ValueError, TypeError):
        raise ValueError("is no range of addresses") from None
    if len(found) > _MOST_NETWORKS:
        raise ValueError("is a range of too many networks; write them one by one")
    return found


def _unmapped(network: IPNetwork) -> IPNetwork:
    """Within ``::ffff:0:0/96`` the IPv4 network; no client has an address there. The whole of it stays what it is: who names
    that means these addresses, not everybody."""
    inner = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return IPv4Network((inner, network.prefixlen - 96)) if inner is not None and network.prefixlen > 96 else network
