"""What a generated internet grows with: hosts, zones and names from one seed, so that a tree can be grown again.

Every faulty server has an address of its own: what a resolver learns of one must not decide what it makes of another.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from tests.lab.faults import BEHIND
from tests.lab.model import CLOSED, SILENT, Host, World, Zone, host
from tests.lab.world import ROOT_SERVERS

BESIDE = "lame"
"""A server whose program does not carry the zone: a fault that a real NSD has by itself (REFUSED)."""

COMPANIES = ("east", "west", "north", "south")
"""Hosting companies: one healthy program and two hosts each, on both families."""

MIX = "AAAAAA66MTCXXXDDWW"
"""What is asked of ordinary zones, a letter a kind of answer."""

FEW = 5
"""Names of a zone of which nothing can be had; many cost time-outs."""

_TLDS = ("com", "net", "org", "info", "de", "shop")


class Named(NamedTuple):
    """A name of the tree and what to ask of it; `broken`: something is wrong in its zone."""

    kind: str
    name: str
    rdtype: str
    broken: bool


class Tree(NamedTuple):
    """A grown tree: the internet, the names in it, the faulty servers as (address, zone, fault), and the zones of which nothing
    can be had.
    """

    world: World
    names: tuple[Named, ...]
    faulty: tuple[tuple[str, str, str], ...]
    hopeless: frozenset[str]

    def shares(self) -> list[tuple[str, bool, int]]:
        """Each kind, whether it is broken, and how many names are of it; the most frequent first."""
        kinds = Counter((each.kind, each.broken) for each in self.names)
        return [(kind, broken, number) for (kind, broken), number in kinds.most_common()]


class Grower:
    """What grows: hosts, zones, names."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.hosts: list[Host] = [*ROOT_SERVERS]
        self.zones: list[Zone] = []
        self.names: list[Named] = []
        self.faulty: list[tuple[str, str, str]] = []
        self.hopeless: set[str] = set()
        self._taken: set[str] = set()
        self._number = 0
        self._registries()

    def _registries(self) -> None:
        root = tuple(each.name for each in ROOT_SERVERS)
        self.hosts += [host(f"{letter}.gtld-servers.net", f"45.1.0.{n}", "gtld") for n, letter in enumerate("abcd", 1)]
        self.hosts += [host(f"{letter}.in-addr-servers.arpa", f"45.3.0.{n}", "arpa") for n, letter in enumerate("ab", 1)]
        self.hosts.append(Host("behind.gtld-servers.net", (BEHIND,), "behind"))
        gtld = tuple(f"{letter}.gtld-servers.net" for letter in "abcd")
        arpa = ("a.in-addr-servers.arpa", "b.in-addr-servers.arpa")
        self.zones += [
            Zone(".", root, ttl=86400),
            Zone("root-servers.net", root[:4], ttl=86400),
            Zone("gtld-servers.net", gtld, ttl=86400),
            *(Zone(tld, gtld, ttl=86400) for tld in _TLDS),
            *(Zone(name, arpa, ttl=86400) for name in (
                "arpa", "in-addr.arpa", "in-addr-servers.arpa", "ip6.arpa", "45.in-addr.arpa", "0.0.a.2.ip6.arpa")),
        ]
        for number, company in enumerate(COMPANIES, 10):
            servers = self.company(company)
            self.hosts += [host(name, f"45.{number}.0.{n}", company) for n, name in enumerate(servers, 1)]
            self.zones.append(Zone(f"{company}-hosting.net", servers, records="www A 45.20.0.1\n"))
        # Where servers of zones below live that have no name within their zone.
        self.zones.append(Zone("name-servers.net", self.company("east")))

    @staticmethod
    def company(name: str) -> tuple[str, str]:
        """The name servers of a hosting company."""
        return f"ns1.{name}-hosting.net", f"ns2.{name}-hosting.net"

    def any_company(self) -> tuple[str, str]:
        """The name servers of some hosting company."""
        return self.company(self.rng.choice(COMPANIES))

    def label(self) -> str:
        """A label that no name of this tree has."""
        while True:
            syllables = (self.rng.choice("bdfgklmnprstvz") + self.rng.choice("aeiou") for _ in range(self.rng.randint(3, 5)))
            if (label := "".join(syllables)) not in self._taken:
                self._taken.add(label)
                return label

    def domain(self) -> str:
        """A fresh name to be registered."""
        return f"{self.label()}.{self.rng.choice(_TLDS)}"

    def server(self, fault: str, zone: str, inside: bool) -> str:
        """A server of its own for a zone, with a fault; its name is inside the zone or elsewhere."""
        self._number += 1
        high, low = divmod(self._number, 250)
        name = f"ns{self._number}.{zone if inside else 'name-servers.net'}"
        network, program = {"silent": ("45.66", SILENT), "closed": ("45.55", CLOSED)}.get(fault, ("45.100", f"fault {fault}"))
        address = f"{network}.{high}.{low + 1}"
        if fault == BESIDE:
            program = "empty"
        elif program.startswith("fault "):
            self.faulty.append((address, zone, fault))
        self.hosts.append(Host(name, (address,), program))
        return name

    def good(self, zone: str, company: str, inside: bool = True, families: str = "4") -> str:
        """A server of its own for a zone, healthy."""
        self._number += 1
        high, low = divmod(self._number, 250)
        name = f"ns{self._number}.{zone if inside else 'name-servers.net'}"
        self.hosts.append(host(name, f"45.{COMPANIES.index(company) + 110}.{high}.{low + 1}", company, families))
        return name

    def nowhere(self, name: str, program: str = SILENT) -> str:
        """A server's name without an address."""
        self.hosts.append(Host(name, (), program))
        return name

    def grow(self, zone: Zone, broken: bool, number: int, mix: str = MIX) -> None:
        """Add a zone with ordinary records, and ask `number` names of it; `mix` says what, a letter a kind of answer."""
        records = [zone.records, "@ A 45.20.0.2", "@ MX 10 mx", "mx A 45.20.0.3", "*.wild A 45.20.0.4"]
        for _ in range(number):
            owner, letter = self.label(), self.rng.choice(mix)
            kind, owner, rdtype, lines = self._record(letter, owner)
            records += lines
            self.ask(zone.kind if broken else kind, f"{owner}.{zone.name}", rdtype, broken)
        self.zones.append(replace(zone, records="\n".join(records) + "\n"))

    def _record(self, letter: str, owner: str) -> tuple[str, str, str, list[str]]:
        number = self.rng.randrange(1, 250)
        match letter:
            case "A":
                return "A", owner, "A", [f"{owner} A 45.20.1.{each}" for each in range(number, number + self.rng.randint(1, 4))]
            case "6":
                return "AAAA", owner, "AAAA", [f"{owner} AAAA 2a00:45:20::{number:x}"]
            case "M":
                return "MX", owner, "MX", [f"{owner} MX 10 mx", f"{owner} MX 20 {owner}", f"{owner} A 45.20.2.{number}"]
            case "T":
                return "TXT", owner, "TXT", [f'{owner} TXT "v=spf1 ip4:45.20.3.{number} -all"', f'{owner} TXT "{owner}"']
            case "C":
                return "CNAME", owner, "A", [f"{owner} CNAME mx"]
            case "X":
                missing = self.rng.choice((owner, f"a.{owner}", f"_dmarc.{owner}"))
                return "NXDOMAIN", missing, self.rng.choice(("A", "MX", "TXT")), []
            case "D":
                return "NODATA", owner, self.rng.choice(("MX", "AAAA", "TXT")), [f"{owner} A 45.20.4.{number}"]
            case "E":
                return "empty non-terminal", owner, "A", [f"deeper.{owner} A 45.20.5.{number}"]
            case "e":
                deep = f"very.much.deeper.{owner}"
                return "below an empty non-terminal", deep, "A", [f"{deep} A 45.20.6.{number}"]
            case "W":
                return "wildcard", f"{owner}.wild", self.rng.choice(("A", "A", "MX")), []
        raise ValueError(letter)

    def ask(self, kind: str, name: str, rdtype: str, broken: bool) -> None:
        """Have a name asked for."""
        self.names.append(Named(kind, name, rdtype, broken))

    def tree(self) -> Tree:
        """What has grown."""
        return Tree(World(self.hosts, self.zones), tuple(self.names), tuple(self.faulty), frozenset(self.hopeless))
