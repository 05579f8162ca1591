"""From a subject to the name that a list is asked, and back (RFC 5782 §2.1, §2.4, §3.1)."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from resolverd.dnsbl.spec import HASH, ListSpec
from resolverd.mail.domains import canonical, registrable
from resolverd.wire.names import Address, BadName, Name, address_of_reversed, from_text, labels, prepend, reversed_address

_NEVER_PUBLIC = [
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/9", "ff00::/8",
    )
]  # fmt: skip
"""Unspecified, private, CGN, loopback, link-local (with the former site-local), ULA, multicast, reserved (RFC 6890)."""

_PRIVATE_4 = tuple(network for network in _NEVER_PUBLIC if isinstance(network, IPv4Network))
_PRIVATE_6 = tuple(network for network in _NEVER_PUBLIC if isinstance(network, IPv6Network))

_TEST_DOMAINS = ("test", "invalid")


def unmapped(address: Address) -> Address:
    """The IPv4 address within ``::ffff:a.b.c.d``, any other address as it is (RFC 4291 §2.5.5.2)."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(1024)  # every list of addresses asks
def is_public(address: Address) -> bool:
    """Whether a public list can know anything of the address."""
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _PRIVATE_4)
    return not any(address in network for network in _PRIVATE_6)


def list_name(spec: ListSpec, subject: Address | str) -> Name | None:
    """The name to ask of a list about a subject; None if the list is not to be asked: wrong kind, not public, no domain.

    A domain is asked as its registered domain where the list wants that. For lists of hashes the subject is the name's
    part before the zone.
    """
    if isinstance(subject, str):
        if HASH in spec.kinds:
            return _below(spec, subject)
        domain = canonical(subject)
        if domain is None or not spec.takes(domain):
            return None
        held = registrable(domain)
        if held is None:
            return None
        return _below(spec, held if spec.registered_domain else domain)
    subject = unmapped(subject)
    if not spec.takes(subject) or not is_public(subject):
        return None
    return prepend(reversed_address(subject), spec.zone)


def canary_name(spec: ListSpec, subject: Address | str) -> Name:
    """The name of a canary, asked as it stands: RFC 5782 §5 has IPv4-mapped loopback addresses there. Raises BadName."""
    return prepend(from_text(subject) if isinstance(subject, str) else reversed_address(subject), spec.zone)


def _below(spec: ListSpec, text: str) -> Name | None:
    try:
        return prepend(from_text(text), spec.zone)
    except BadName:
        return None


def host_name(parts: list[bytes]) -> str | None:
    """The host name that labels write, None if they write none."""
    if any(b"." in part for part in parts):
        return None
    return canonical(b".".join(parts).decode("latin-1"))


def subject_of(prefix: Name) -> Address | str | None:
    """What the labels before a list's zone ask about: an address, a domain in lower case, or None if neither.

    A single label is no domain, except the test points (RFC 5782 §5), so that name servers within a list's own zone resolve.
    """
    address = address_of_reversed(prefix)
    if address is not None:
        return address
    domain = host_name(labels(prefix))
    if domain is None or ("." not in domain and domain not in _TEST_DOMAINS):
        return None
    return domain
