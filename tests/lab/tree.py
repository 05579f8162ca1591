"""A generated internet of 10 000 names, more than a third of them in zones where something is broken.

Each name has a kind: what is asked for where all is well, what is broken where it is not.

    grower        hosts, zones, names
    faults        what a server can be wrong in
    delegations   what a delegation, and an alias, can be wrong in
    oddities      what looks odd and is sound
    grove         the tree running, and resolvers asked of it
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab import delegations, oddities
from tests.lab.faults import FAULTS
from tests.lab.grower import BESIDE, COMPANIES, FEW, MIX, Grower, Tree
from tests.lab.model import Zone

SIZE = 10_000
"""Names in a tree."""

SERVER_FAULTS = ("silent", "closed", BESIDE, *FAULTS)
"""What can be wrong with a server."""


def healthy(size: int, networks: int = 0, seed: int = 1) -> Tree:
    """A tree in which nothing is broken: networks with reverse zones, and `size` names in ordinary zones of about 20 each."""
    grower = Grower(seed)
    for _ in range(networks):
        oddities.network(grower)
    for number in _portions(size, 20):
        _ordinary(grower, number)
    return grower.tree()


def tree(seed: int = 2026) -> Tree:
    """The tree of all kinds: faulty servers, faulty delegations, odd but sound zones; ordinary ones fill it up to SIZE."""
    grower = Grower(seed)
    # Spoilt answers must not spoil these two, of which faulty servers speak unasked.
    for name in ("bystander.com", "somebody-else.com"):
        grower.zones.append(Zone(name, grower.company("west"), "@ A 45.20.0.9\nwww A 45.20.0.9\n"))
        grower.ask("bystander", f"www.{name}", "A", False)
    for fault in SERVER_FAULTS:
        for everywhere in (False, True):
            _faulty_servers(grower, fault, everywhere)
    delegations.grow(grower)
    oddities.grow(grower)
    for number in _portions(SIZE - len(grower.names), 20):
        _ordinary(grower, number)
    return grower.tree()


def _portions(size: int, about: int) -> Iterator[int]:
    while size > 0:
        yield min(size, about)
        size -= about


def _ordinary(grower: Grower, number: int) -> None:
    name = grower.domain()
    company = grower.rng.choice(COMPANIES)
    servers = grower.company(company)
    if grower.rng.random() < 0.3:
        servers = (grower.good(name, company, families="46"), servers[0])
    grower.grow(Zone(name, servers), False, number)


_MIXES: dict[str, str] = {
    "empty names denied": "AAeeEE",
    "SOA of the parent": "AXXDD",
    "SOA of another zone": "AXXDD",
    "SOA of the root": "AXXDD",
    "denial without SOA": "AXXDD",
    "two aliases": "ACC",
    "NXDOMAIN with an answer": "AAC6M",
    "answer of another type": "A6T",
    "AAAA: NXDOMAIN": "AAM",
    "AAAA: SERVFAIL": "AAM",
    "AAAA: NOTIMP": "AAM",
    "AAAA: dropped": "AAM",
}
"""What to ask where a fault shows with some answers only. (`Grower.grow` has the letters.)"""

_HOPELESS = frozenset({
    "silent", "closed", BESIDE, "SERVFAIL", "REFUSED", "NOTAUTH", "FORMERR to everything", "NOTIMP to everything",
    "upward referral", "referral to itself", "sideways referral", "referral without end", "answer for another zone",
    "truncated, TCP closed", "truncated, TCP silent", "truncated over TCP too", "EDNS: dropped", "wrong ID", "garbage",
    "short packet", "echo", "no question section",
})
"""Faults that leave nothing true to be had of a zone whose servers all have them: one name there is like the next."""


def _faulty_servers(grower: Grower, fault: str, everywhere: bool) -> None:
    """Zones of which one server, or every server, has the fault."""
    for inside in (True, False):
        zone = grower.domain()
        first = grower.server(fault, zone, inside)
        other = grower.server(fault, zone, inside) if everywhere else grower.rng.choice(grower.any_company())
        kind = f"{fault} ({'all servers' if everywhere else 'one server'})"
        servers = (first, other) if grower.rng.random() < 0.5 else (other, first)
        lame = tuple(each for each in servers if fault == BESIDE and each in (first, *((other,) * everywhere)))
        if hopeless := everywhere and fault in _HOPELESS:
            grower.hopeless.add(zone)
        number = FEW if hopeless else 17
        grower.grow(Zone(zone, servers, records=_large(), kind=kind, lame=lame), True, number, _MIXES.get(fault, MIX))
        if "TCP" in fault or "truncated" in fault:
            grower.ask(kind, f"large.{zone}", "A", True)


def _large() -> str:
    return "\n".join(f"large A 45.21.0.{each}" for each in range(1, 91)) + "\n"
