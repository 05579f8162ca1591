"""The internet that the mail servers of a fleet meet: the lab's own, with them in it, and mail servers that write to them.

Each sending organisation has hosts in networks of their own, as large providers have, with names that lead there and back.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from tests.lab.model import World, Zone
from tests.lab.postfix import DOMAIN
from tests.lab.world import TULIP, WORLD

ORGANISATIONS = 24
HOSTS_EACH = 6


class Address(NamedTuple):
    """Where one of our mail servers listens."""

    name: str
    ipv4: str
    ipv6: str


ADDRESSES = tuple(Address(f"mx{at}.{DOMAIN}", f"203.0.113.{30 + at}", f"2001:db8:25::{30 + at}") for at in (1, 2, 3))


class Client(NamedTuple):
    """A host that sends mail for an organisation."""

    organisation: str
    name: str
    address: str


def organisation(number: int) -> tuple[Client, ...]:
    """The hosts of a sending organisation; nothing speaks against any of them."""
    domain = f"sender-{number}.net"
    return tuple(
        Client(domain, f"out{host}.{domain}", f"2001:db8:77{number:02x}:{host}::1") for host in range(1, HOSTS_EACH + 1)
    )


SENDERS = tuple(client for number in range(ORGANISATIONS) for client in organisation(number))

_REVERSE = "8.b.d.0.1.0.0.2.ip6.arpa"


def listed(number: int) -> str:
    """The address of a client that zen lists, one of as many as anybody wants; it has no name."""
    return str(ip_address(f"2001:db8:66:{number >> 16:x}::{number & 0xFFFF:x}"))


def _ours() -> str:
    return "".join(f"@ MX 10 {each.name}.\n{each.name}. A {each.ipv4}\n{each.name}. AAAA {each.ipv6}\n" for each in ADDRESSES)


def _zone(number: int) -> Zone:
    hosts = organisation(number)
    addresses = "".join(f"{host.name}. AAAA {host.address}\n" for host in hosts)
    records = f'{addresses}@ MX 10 {hosts[0].name}.\n@ TXT "v=spf1 ip6:2001:db8:77{number:02x}::/48 -all"\n'
    return Zone(hosts[0].organisation, TULIP, records, kind="mail")


def _changed(zone: Zone) -> Zone:
    if zone.name == DOMAIN:
        return replace(zone, records=zone.records + _ours())
    if zone.name == _REVERSE:
        pointers = "".join(f"{ip_address(host.address).reverse_pointer}. PTR {host.name}.\n" for host in SENDERS)
        return replace(zone, records=zone.records + pointers)
    return zone


FLEET_WORLD = World(
    list(WORLD.hosts.values()), [*map(_changed, WORLD.zones.values()), *(_zone(number) for number in range(ORGANISATIONS))]
)
"""The lab's internet with three mail servers of ours."""
