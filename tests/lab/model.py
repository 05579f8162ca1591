"""What an internet is made of: programs, the hosts they answer on, zones; and the zone files that follow from them.

A zone says which hosts serve it. From that follow its NS records, the delegation in its parent, the glue there (RFC
1034 §4.2.1: addresses of servers below a cut, siblings included), the address records of every host in the zone
that holds its name, and which program loads which zone. What is broken is said as data too: a host where nobody
answers, a zone that a server it names does not carry, a delegation that differs from the zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

SILENT = "(silent)"
"""The program of a host whose address swallows every packet."""

CLOSED = "(closed)"
"""The program of a host that is up, but has no name server: ICMP port unreachable."""


class Host(NamedTuple):
    """A name server's host: its name, its addresses, and the program that answers there."""

    name: str
    addresses: tuple[str, ...]
    program: str


def host(name: str, ipv4: str, program: str, families: str = "46") -> Host:
    """Make a host; its IPv6 address follows from its IPv4 address (45.1.2.3 is 2a00:45:1:2::3)."""
    first, second, third, last = ipv4.split(".")
    ipv6 = f"2a00:{first}:{second}:{third}::{last}"
    return Host(name, tuple({"4": ipv4, "6": ipv6}[family] for family in families), program)


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone: who serves it, what is in it, and what is wrong with it.

    `records` is master file text (RFC 1035 §5) relative to the zone. `kind` groups zones that show the same thing.
    """

    name: str
    servers: tuple[str, ...]
    records: str = ""
    kind: str = "plain"
    ttl: int = 3600
    negative_ttl: int = 900
    lame: tuple[str, ...] = ()
    """Hosts among `servers` whose program does not carry the zone."""
    delegated_to: tuple[str, ...] | None = None
    """What the parent says where it differs from `servers`."""
    glue: bool = True
    """Whether the parent has the addresses of servers below it."""
    glue_differs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Addresses in the parent that differ from the host's own."""
    loaded_elsewhere: bool = False
    """Served by a program that makes its own zone (rbldnsd)."""

    def absolute(self, owner: str) -> str:
        """Give the full name of an owner written relative to this zone, without the final dot."""
        if owner == "@":
            return self.name
        if owner.endswith("."):
            return owner[:-1] or "."
        return owner if self.name == "." else f"{owner}.{self.name}"


class World:
    """An internet: hosts and zones, and everything that follows from them. Names are lower case without final dot."""

    def __init__(self, hosts: Sequence[Host], zones: Sequence[Zone]) -> None:
        self.hosts = {each.name: each for each in hosts}
        self.zones = {each.name: each for each in zones}
        for zone in zones:
            for server in (*zone.servers, *(zone.delegated_to or ())):
                if server not in self.hosts:
                    raise ValueError(f"{zone.name} is served by {server}, which is no host")

    def addresses(self, program: str) -> list[str]:
        """Give the addresses a program answers on."""
        return [address for each in self.hosts.values() if each.program == program for address in each.addresses]

    def local_addresses(self) -> list[str]:
        """Give the addresses that somebody has, whether a name server runs there or not."""
        return [address for each in self.hosts.values() if each.program != SILENT for address in each.addresses]

    @cached_property
    def carried(self) -> dict[str, list[Zone]]:
        """The zones each program loads."""
        carried: dict[str, list[Zone]] = {}
        for zone in self.zones.values():
            programs = {self.hosts[server].program for server in zone.servers if server not in zone.lame}
            for program in sorted(programs - {SILENT, CLOSED}):
                carried.setdefault(program, []).append(zone)
        return carried

    def zone_of(self, name: str) -> Zone:
        """Give the zone that a name is in: the deepest that encloses it."""
        labels = name.split(".")
        for start in range(len(labels)):
            if zone := self.zones.get(".".join(labels[start:])):
                return zone
        return self.zones["."]

    def parent_of(self, zone: Zone) -> Zone:
        """Give the zone that delegates this one."""
        return self.zone_of(zone.name.partition(".")[2] or ".")

    @cached_property
    def children(self) -> dict[str, list[Zone]]:
        """The zones that each zone delegates, by its name."""
        children: dict[str, list[Zone]] = {}
        for zone in self.zones.values():
            if zone.name != ".":
                children.setdefault(self.parent_of(zone).name, []).append(zone)
        return children

    @cached_property
    def residents(self) -> dict[str, list[Host]]:
        """The hosts whose names are in each zone, by its name."""
        residents: dict[str, list[Host]] = {}
        for each in self.hosts.values():
            residents.setdefault(self.zone_of(each.name).name, []).append(each)
        return residents

    def zone_text(self, zone: Zone) -> str:
        """Write the zone's master file."""
        lines = [
            f"$ORIGIN {dotted(zone.name)}",
            f"$TTL {zone.ttl}",
            f"@ SOA {dotted(zone.servers[0])} hostmaster.{dotted(zone.name).lstrip('.')} 1 7200 900 1209600 {zone.negative_ttl}",
            *(f"@ NS {dotted(server)}" for server in zone.servers),
            *(line for each in self.residents.get(zone.name, ()) for line in _addresses(each)),
            zone.records,
        ]
        glue: dict[str, None] = {}
        for child in self.children.get(zone.name, ()):
            for server in child.delegated_to or child.servers:
                lines.append(f"{dotted(child.name)} NS {dotted(server)}")
                if child.glue and self.zone_of(server) is not zone and is_below(server, zone.name):
                    differing = child.glue_differs.get(server)
                    told = self.hosts[server] if differing is None else self.hosts[server]._replace(addresses=differing)
                    glue |= dict.fromkeys(_addresses(told))
        return "\n".join([*lines, *glue, ""])


def is_below(name: str, ancestor: str) -> bool:
    """Say whether a name is the ancestor or below it."""
    return ancestor == "." or name == ancestor or name.endswith(f".{ancestor}")


def dotted(name: str) -> str:
    """Write a name as master files want it: with its final dot."""
    return name if name.endswith(".") else f"{name}."


def _addresses(each: Host) -> list[str]:
    return [f"{dotted(each.name)} {'AAAA' if ':' in address else 'A'} {address}" for address in each.addresses]
