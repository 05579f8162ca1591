"""What is not known and has to be validated: names of a signed zone, an upstream exchange and a signature each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address
from itertools import count

from bench.dnsperf import dnsperf
from bench.harness import CPU, OURS, TURNS, Case, Figures, Turns, at_most, spending
from bench.measure import serving
from tests.lab.daemon import Daemon
from tests.lab.namespace import LAB
from tests.lab.signed import running
from tests.lab.signed.flaws import SECURE, Flaw
from tests.lab.signed.world import SCAFFOLD, Internet, internet

ZONE = "many-names.net"

NAMES = 1_500
"""Names a turn: other ones in every turn, so that the servers need not be started anew."""


def _large_zone() -> Internet:
    net = Internet({name: made for name, made in internet().zones.items() if name in SCAFFOLD})
    records = "\n".join(f"n{number} A {IPv4Address((45 << 24) + number)}" for number in range(NAMES * TURNS))
    net.grow(ZONE, Flaw((SECURE, SECURE)), records)
    return net


@contextmanager
def run() -> Iterator[Turns]:
    """Both know the zone's servers and keys, and none of its names. (ECDSAP256SHA256, as most zones have it.)"""

    def turn(numbers: Iterator[int], daemon: Daemon, address: str) -> Figures:
        start = next(numbers) * NAMES
        file = LAB / "validated"
        file.write_text("".join(f"n{number}.{ZONE} A\n" for number in range(start, start + NAMES)))
        with spending(daemon.pid) as spent:
            perf = dnsperf(address, file, "-n", "1", "-e", "-D")
        spent.seconds = perf.seconds
        return spent.figures(perf.answered)

    with running.SignedLab(_large_zone()) as lab:
        where = {OURS: (running.ours(lab.side), running.OURS), "unbound": (running.theirs(lab.side), running.THEIRS)}
        with serving(*(daemon for daemon, _ in where.values())):
            known = LAB / "known"
            known.write_text(f"{ZONE} SOA\n{ZONE} DNSKEY\n")
            for _, address in where.values():
                dnsperf(address, known, "-n", "1")
            yield {name: partial(turn, count(), *each) for name, each in where.items()}


CASES = (
    Case("cold-validated", "Names of a signed zone that nobody has asked for, NSD behind", run, (
        at_most(3.0, CPU, "unbound"),
    ), peers=("unbound", "nsd")),
)  # fmt: skip
