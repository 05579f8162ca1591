"""See `bench.fleet`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet import page
from bench.fleet.news import News, spread
from bench.fleet.quotas import WEATHERS, Outcome, Weather, day
from tests.lab.namespace import ROOT
from tests.unit.virtualtime import VirtualLoop

HOSTS = 1, 3, 10, 100, 1000


def quota(hosts: int, weather: Weather) -> Outcome:
    """One run, in a process of its own."""
    logging.disable(logging.CRITICAL)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(day(hosts, weather))


def news(hosts: int) -> News:
    """The same for news."""
    logging.disable(logging.CRITICAL)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(spread(hosts))


def main(argv: list[str]) -> int:
    """Run all, and write the page; 1 where a quota was exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--hosts", default=",".join(map(str, HOSTS)), metavar="N,…")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "fleet-simulation.md", metavar="FILE")
    options = parser.parse_args(argv)
    counts = [int(each) for each in options.hosts.split(",")]
    with ProcessPoolExecutor(options.processes) as pool:
        runs = {(hosts, weather.name): pool.submit(quota, hosts, weather) for hosts in reversed(counts) for weather in WEATHERS
                if hosts <= weather.most_hosts}  # fmt: skip
        told = [pool.submit(news, hosts) for hosts in counts]
        outcomes = []
        for hosts in counts:
            for weather in (each for each in WEATHERS if hosts <= each.most_hosts):
                outcome = runs[hosts, weather.name].result()
                outcomes.append(outcome)
                print(outcome, flush=True)
        page.write(outcomes, [each.result() for each in told], options.page, datetime.now(UTC).strftime("%-d %B %Y"))
    return int(any(each.most > page.QUOTA.count for each in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
