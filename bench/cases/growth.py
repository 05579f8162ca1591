"""A cache that grows: CPU time and latency of an answer, and the memory that it takes, beside Unbound's own growth."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from bench.cases.internet import ZONE, large_zone
from bench.dnsperf import dnsperf
from bench.harness import OURS, Case, Figures, Turns, at_most, spending
from bench.measure import resident, serving
from tests.lab.daemon import Daemon, answers_dns
from tests.lab.grove import Grove
from tests.lab.namespace import LAB, Side
from tests.lab.resolverd import resolverd
from tests.lab.unbound import unbound

SECONDS = 1.0
ASKED = 50_000
"""Names that are asked for in a turn at the most, all over the cache."""

CPU_A_HIT, LATENCY, OCTETS = "CPU µs an answer", "latency µs", "octets an answer"
CPU_GROWTH, LATENCY_GROWTH = "growth of CPU", "growth of latency"

CONFIG = """
[dns]
listen = ["{address}:53"]
[resolver]
dnssec = false                 # the internet here is not signed, and nobody else validates
[cache]
size = "2GiB"                  # nothing has to go, in any of the caches
[store]
url = "disk:state"
[policy]
listen = ["{address}:10023"]
[http]
listen = "{address}:8053"
[dnsbl]
enabled = false
"""


def ours(address: str, side: Side) -> Daemon:
    """Make a resolverd with a large cache."""
    made = resolverd(side, CONFIG.format(address=address), name=f"{OURS} {address}")
    made.ready = lambda: answers_dns(side, address, "localhost", "A")
    return made


def theirs(address: str, side: Side) -> Daemon:
    """Make an Unbound with a large cache."""
    return unbound(address, side, cache="1g")


SERVERS: dict[str, tuple[Callable[[str, Side], Daemon], str]] = {OURS: (ours, "127.0.1."), "unbound": (theirs, "127.0.2.")}


def growing(sizes: Sequence[int]) -> Callable[[], AbstractContextManager[Turns]]:
    """Give a case's `run`: of each server one for each size of its cache."""

    @contextmanager
    def run() -> Iterator[Turns]:
        files = {size: _sample(size) for size in sizes}
        with Grove(large_zone(sizes[-1])) as grove:
            running = {(server, size): (make(f"{network}{place}", grove.mail), f"{network}{place}")
                       for server, (make, network) in SERVERS.items() for place, size in enumerate(sizes, 1)}
            with serving(*(daemon for daemon, _ in running.values())):
                memory = {(server, size): _filled(*where, size) for (server, size), where in running.items()}

                def turn(server: str) -> Figures:
                    figures: dict[str, float] = {}
                    for size in sizes:
                        asked = _asked(*running[server, size], files[size])
                        figures |= {f"{what} @ {size}": each for what, each in asked.items()}
                    first, last = sizes[0], sizes[-1]
                    return {
                        **figures,
                        CPU_GROWTH: figures[f"{CPU_A_HIT} @ {last}"] / figures[f"{CPU_A_HIT} @ {first}"],
                        LATENCY_GROWTH: figures[f"{LATENCY} @ {last}"] / figures[f"{LATENCY} @ {first}"],
                        OCTETS: (memory[server, last] - memory[server, first]) / (last - first) * 2**20,
                    }

                yield {server: partial(turn, server) for server in SERVERS}

    return run


def _sample(size: int) -> Path:
    """Questions all over a cache of this size."""
    numbers = random.Random(size).sample(range(size), min(size, ASKED))
    return _written(f"sample-{size}", numbers)


def _written(name: str, numbers: Sequence[int]) -> Path:
    file = LAB / name
    file.write_text("".join(f"n{number}.{ZONE} A\n" for number in numbers))
    return file


def _filled(daemon: Daemon, address: str, size: int) -> float:
    """Have a server resolve so many names, each twice, so that all that is kept for an answer is there; its MiB then."""
    dnsperf(address, _written("known", [0]), "-n", "1")
    everything = _written("everything", range(size))
    for _ in range(2):
        dnsperf(address, everything, "-n", "1")
    return resident(daemon.pid)


def _asked(daemon: Daemon, address: str, file: Path) -> dict[str, float]:
    """CPU time where there is always somebody who waits, and latency for somebody who asks alone."""
    with spending(daemon.pid) as spent:
        busy = dnsperf(address, file, "-l", f"{SECONDS:g}")
    alone = dnsperf(address, file, "-l", f"{SECONDS / 2:g}", clients=1, outstanding=1)
    return {CPU_A_HIT: spent.cpu / busy.answered * 1e6, LATENCY: alone.seconds / alone.answered * 1e6}


TARGETS = (at_most(1.0, CPU_GROWTH, "unbound"), at_most(1.0, LATENCY_GROWTH, "unbound"), at_most(2.0, OCTETS, "unbound"))

CASES = (
    Case("cache-growth", "A cache of 10 000 and of 50 000 answers", growing((10_000, 50_000)), TARGETS, peers=("unbound",),
         limit=400),
    Case("cache-growth-large", "A cache of 10⁴, 10⁵ and 10⁶ answers", growing((10_000, 100_000, 1_000_000)), TARGETS,
         peers=("unbound",), limit=3600, long=True),
)  # fmt: skip
