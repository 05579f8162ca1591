"""What a case is, and how it is run: the servers take turns, and every turn of ours is compared with the peer's beside it.

A case says what is measured and what is to be reached; its `run` starts the servers and gives, for each, the function that
loads it for one turn and returns its figures::

    @contextmanager
    def run() -> Iterator[Turns]:
        with Lab() as lab:                                    # the servers behind: on the client's core
            ours, theirs = resolverd(lab.mail), unbound("127.0.0.2", lab.mail)
            with serving(ours, theirs):                       # what is measured: on a core of its own
                yield {
                    OURS: lambda: load(ours, "127.0.0.1"),
                    "unbound": lambda: load(theirs, "127.0.0.2"),
                }

    CASE = Case("cached-udp", "Cached answers over UDP", run, (
        at_most(1.0, CPU, "unbound"),                         # our figure ≤ 1.0 × theirs
        at_least(1.0, RATE, "unbound"),
    ))

The first server is ours. A turn takes a few seconds; with `TURNS` of them noise that lasts longer than one hits both alike, and
the ratio of a pair of turns is worth more than either figure. `bench.measure.serving` puts what is measured on one core, and
whatever else a case starts runs on the other. `spending` measures wall and CPU time of a server's processes::

    with spending(ours.pid) as spent:
        requests = ...
    return spent.figures(requests)                            # RATE, CPU and BUSY of a turn

A figure is named with its unit. One named `WHAT @ NUMBER` is a point of a curve of WHAT, which is drawn over its numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Literal

import msgspec

from bench.measure import cpu_seconds

OURS = "resolverd"
TURNS = 5

RATE = "requests/s"
CPU = "CPU µs a request"
BUSY = "share of its core"
"""CPU time of the server over wall time. Far below 1 the load, and not the server, set the rate."""

Figures = Mapping[str, float]
Turns = Mapping[str, Callable[[], Figures]]


class Target(msgspec.Struct, frozen=True):
    """What is to be reached: our figure over the peer's, or our figure alone where there is no peer."""

    figure: str
    peer: str | None
    sense: Literal["≤", "≥"]
    bound: float

    def reached(self, ratio: float) -> bool:
        """Say whether a ratio is good enough."""
        return ratio <= self.bound if self.sense == "≤" else ratio >= self.bound

    def worst(self, ratios: list[float]) -> float:
        """Give the ratio that is farthest from what is wanted."""
        return max(ratios) if self.sense == "≤" else min(ratios)


def at_most(bound: float, figure: str, peer: str | None) -> Target:
    """A target for what should be small."""
    return Target(figure, peer, "≤", bound)


def at_least(bound: float, figure: str, peer: str | None) -> Target:
    """A target for what should be large."""
    return Target(figure, peer, "≥", bound)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison."""

    name: str
    title: str
    run: Callable[[], AbstractContextManager[Turns]]
    targets: tuple[Target, ...]
    turns: int = TURNS
    limit: float = 180.0
    """Seconds after which the case is ended and counts as failed."""
    long: bool = False
    """Takes minutes: runs only where it is named."""
    peers: tuple[str, ...] = ()
    """Programs whose versions belong to the result, beside resolverd's."""
    note: str = ""
    """What a reader must know to read the figures right."""


class Ratio(msgspec.Struct, frozen=True):
    """What the turns made of a target: the median of the ratios, the least and the greatest."""

    target: Target
    median: float
    low: float
    high: float
    reached: bool


@dataclass(slots=True)
class Spent:
    """What something cost; filled in when it is over."""

    seconds: float = 0.0
    cpu: float = 0.0

    def figures(self, requests: int) -> dict[str, float]:
        """Spread the cost over so many requests."""
        return {RATE: requests / self.seconds, CPU: self.cpu / requests * 1e6, BUSY: self.cpu / self.seconds}


@contextmanager
def spending(*pids: int) -> Iterator[Spent]:
    """Measure wall time, and the CPU time of processes with all their threads and children."""
    spent = Spent()
    cpu, began = sum(map(cpu_seconds, pids)), time.perf_counter()
    yield spent
    spent.seconds = time.perf_counter() - began
    spent.cpu = sum(map(cpu_seconds, pids)) - cpu


def play(case: Case) -> dict[str, dict[str, list[float]]]:
    """Run a case: for each server and figure, what each turn gave."""
    with case.run() as turns:
        figures: dict[str, dict[str, list[float]]] = {server: {} for server in turns}
        for _ in range(case.turns):
            for server, turn in turns.items():
                for figure, value in turn().items():
                    figures[server].setdefault(figure, []).append(value)
    return figures


def ratios(targets: tuple[Target, ...], figures: Mapping[str, Mapping[str, list[float]]]) -> list[Ratio]:
    """Judge the targets by what the turns gave. Raises KeyError where a target names a server or figure that is not there."""
    found = []
    for target in targets:
        ours = figures[OURS][target.figure]
        theirs = [1.0] * len(ours) if target.peer is None else figures[target.peer][target.figure]
        each = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        middle = median(each)
        found.append(Ratio(target, middle, min(each), max(each), target.reached(middle)))
    return found
