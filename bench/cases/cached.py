"""What is remembered: 10 000 names, two types each, all cached, over UDP, with DO, and over TCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from bench.cases.internet import large_zone, questions, resolvers
from bench.dnsperf import dnsperf
from bench.harness import CPU, OURS, RATE, Case, Figures, Turns, at_least, at_most, spending
from tests.lab.daemon import Daemon

NAMES = 10_000
SECONDS = 2.0


def cached(*options: str, peers: tuple[str, ...]) -> Callable[[], AbstractContextManager[Turns]]:
    """Give a case's `run`: all servers warm, asked with these options of dnsperf."""

    @contextmanager
    def run() -> Iterator[Turns]:
        file = questions("cached", range(NAMES), ("A", "AAAA"))

        def turn(daemon: Daemon, address: str) -> Figures:
            with spending(daemon.pid) as spent:
                perf = dnsperf(address, file, "-l", f"{SECONDS:g}", *options)
            spent.seconds = perf.seconds
            return spent.figures(perf.answered)

        with resolvers(large_zone(NAMES), (OURS, *peers)) as running:
            for _, address in running.values():
                dnsperf(address, file, "-n", "1", *options)
            yield {name: partial(turn, *where) for name, where in running.items()}

    return run


CASES = (
    Case("cached-udp", "Cached answers over UDP, 10 000 names × 2 types", cached(peers=("unbound", "pdns")), (
        at_most(1.0, CPU, "unbound"), at_least(1.0, RATE, "unbound"),
        at_most(1.0, CPU, "pdns"), at_least(1.0, RATE, "pdns"),
    ), peers=("unbound", "pdns")),
    Case("cached-do", "Cached answers over UDP with EDNS and DO", cached("-D", peers=("unbound",)), (
        at_most(1.0, CPU, "unbound"), at_least(1.0, RATE, "unbound"),
    ), peers=("unbound",)),
    Case("cached-tcp", "Cached answers over TCP, pipelined", cached("-m", "tcp", peers=("unbound",)), (
        at_least(0.5, RATE, "unbound"),
    ), peers=("unbound",)),
)
