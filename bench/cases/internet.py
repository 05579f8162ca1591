"""An internet with one large zone, and the resolvers that are asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bench.dnsperf import dnsperf
from bench.measure import serving
from tests.lab.daemon import Daemon
from tests.lab.grove import RESOLVERS, Grove
from tests.lab.grower import Grower, Tree
from tests.lab.model import Zone
from tests.lab.namespace import LAB

ZONE = "many-names.com"


def large_zone(names: int) -> Tree:
    """Grow an internet with `names` names in one zone, each with an A and an AAAA record; a company's servers serve it."""
    grower = Grower(1)
    lines = (f"n{number} A {IPv4Address((45 << 24) + number)}\nn{number} AAAA {IPv6Address((0x2a000045 << 96) + number)}"
             for number in range(names))
    # NSD's answers name the servers and their addresses as well, as most of the internet's servers do.
    grower.zones.append(Zone(ZONE, grower.company("east"), records="\n".join(lines)))
    return grower.tree()


def questions(name: str, numbers: range, types: Sequence[str] = ("A",)) -> Path:
    """Write a file of questions for dnsperf."""
    file = LAB / name
    file.write_text("".join(f"n{number}.{ZONE} {rdtype}\n" for number in numbers for rdtype in types))
    return file


@contextmanager
def resolvers(tree: Tree, names: Sequence[str]) -> Iterator[dict[str, tuple[Daemon, str]]]:
    """Have resolvers run beside one another: each one's program and address. All know the way to the zone."""
    with Grove(tree) as grove:
        daemons = {name: grove.resolver(name) for name in names}
        with serving(*daemons.values()):
            known = LAB / "known"
            known.write_text(f"{ZONE} SOA\nwww.{ZONE} A\n")
            for name in names:
                dnsperf(RESOLVERS[name], known, "-n", "1")
            yield {name: (daemon, RESOLVERS[name]) for name, daemon in daemons.items()}
