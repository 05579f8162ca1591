"""Queries that leave for three lists: resolverd, strategy frugal, beside Postfix's restrictions over Unbound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

from bench.harness import OURS, Case, Figures, Turns, at_most
from bench.lists import Log, furnish, generate, play, through_unbound
from tests.lab.lab import Lab
from tests.lab.unbound import unbound

CONNECTIONS = 1000
QUERIES = "queries for 1 000 connections"
TUTORIAL = "tutorial"


@contextmanager
def run() -> Iterator[Turns]:
    """Every turn has a log of its own, the same for all."""
    log = cache(partial(generate, count=CONNECTIONS))
    with Lab() as lab:

        def tutorial(log: Log) -> Counter[str]:
            furnish(lab, log)
            return through_unbound(lab, log, unbound("127.0.0.2", lab.mail))

        yield {
            OURS: _turns(lambda number: play(log(number), "frugal")[0]),
            TUTORIAL: _turns(lambda number: tutorial(log(number))),
        }


def _turns(asked: Callable[[int], Counter[str]]) -> Callable[[], Figures]:
    numbers = iter(range(1, 1000))

    def turn() -> Figures:
        by_list = asked(next(numbers))
        return {QUERIES: sum(by_list.values()) * 1000 / CONNECTIONS}

    return turn


CASES = (
    Case("lists-queries", "Queries to three lists for 1 000 connections, strategy frugal, beside the tutorial's stack", run,
         (at_most(0.7, QUERIES, TUTORIAL),), turns=1, peers=("unbound",),
         note="A public mail server's mix, 95 % of it spam; zen, dbl and dnswl. resolverd on virtual time, its probes of lists "
              "counted; Unbound asked as smtpd would, time and TTLs a sixtieth. `python -m bench.lists` plays 20 000."),
)
