"""What is not known: names that cost one upstream exchange each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from bench.cases.internet import large_zone, questions, resolvers
from bench.dnsperf import dnsperf
from bench.harness import CPU, OURS, RATE, TURNS, Case, Figures, Turns, at_least, at_most, spending
from tests.lab.daemon import Daemon

NAMES = 4_000
"""Names a turn: other ones in every turn, so that the servers need not be started anew."""


@contextmanager
def run() -> Iterator[Turns]:
    """All servers know the zone's servers and none of its names."""

    def turn(numbers: Iterator[int], daemon: Daemon, address: str) -> Figures:
        start = next(numbers) * NAMES
        file = questions("cold", range(start, start + NAMES))
        with spending(daemon.pid) as spent:
            perf = dnsperf(address, file, "-n", "1", "-e")
        spent.seconds = perf.seconds
        return spent.figures(perf.answered)

    with resolvers(large_zone(NAMES * TURNS), (OURS, "pdns", "unbound")) as running:
        yield {name: partial(turn, count(), *where) for name, where in running.items()}


CASES = (
    Case("cold", "Names that nobody has asked for, one upstream exchange each, NSD behind", run, (
        at_least(1.0, RATE, "pdns"), at_most(1.2, CPU, "pdns"), at_least(0.5, RATE, "unbound"),
    ), peers=("pdns", "unbound", "nsd")),
)  # fmt: skip
