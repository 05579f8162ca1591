"""An internet with firms besides, each with a mail server that nobody has asked about: the new clients of the benchmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tests.lab.model import World, Zone
from tests.lab.world import HEATHER, TULIP, WORLD

_REVERSE = {"192.0.2": ("2.0.192.in-addr.arpa", 100), "198.51.100": ("100.51.198.in-addr.arpa", 100)}
"""By network: its reverse zone, and the first address that nobody else has."""

_SPF = ("ip4:{address}", "mx", "a:mail.{domain}")
"""What firms' SPF records allow, in turns: about what the internet's first mechanisms are."""


class Newcomer(NamedTuple):
    """A firm's mail server: its address, its name (which leads back), the domain that it sends for."""

    address: str
    name: str
    domain: str


def newcomers(count: int) -> list[Newcomer]:
    """So many of them, 150 at the most; each has a domain of its own, below com and org in turns."""
    places = [f"{network}.{start + number}" for network, (_, start) in _REVERSE.items() for number in range(75)]
    domains = [f"firm{number}.{('com', 'org')[number % 2]}" for number in range(len(places))]
    return [Newcomer(place, f"mail.{domain}", domain) for place, domain in zip(places, domains, strict=True)][:count]


def world_with(clients: list[Newcomer]) -> World:
    """The lab's internet with them in it."""
    zones = []
    for number, each in enumerate(clients):
        spf = _SPF[number % len(_SPF)].format(address=each.address, domain=each.domain)
        records = f'@ MX 10 mail\n@ TXT "v=spf1 {spf} -all"\nmail A {each.address}\n'
        zones.append(Zone(each.domain, (TULIP, HEATHER)[number // 2 % 2], records=records))
    more = dict(WORLD.zones)
    for network, (name, _) in _REVERSE.items():
        pointers = "".join(f"{each.address.rpartition('.')[2]} PTR {each.name}.\n" for each in clients
                           if each.address.startswith(f"{network}."))
        more[name] = replace(more[name], records=more[name].records + pointers)
    return World(list(WORLD.hosts.values()), [*more.values(), *zones])

