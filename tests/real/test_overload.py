"""Twice as many questions as can be resolved, and half of the zones dead: load is shed, and what is left is served."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.measure import resident
from tests.attacks import Figure
from tests.lab.daemon import Daemon
from tests.lab.grove import RESOLVER_ONLY
from tests.lab.namespace import Side, localise
from tests.lab.nsd import nsd
from tests.lab.overload import Fared, Overload, world
from tests.lab.resolverd import resolverd

pytestmark = pytest.mark.attack("R-22")

TRIES = 4
"""Somebody else may have had the processor while capacity was measured, or after that: the best of so many counts."""
SECONDS = 2.5
CACHE = 64
"""MiB of the cache, and of memory that it may take, with 20 % more."""


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """resolverd alone in front of an internet of its own; on a core of its own where there are two."""
    if not request.config.getoption("--soak"):
        pytest.skip("needs a quiet machine: make soak")
    internet, side = world(), Side("mail")
    localise(side, internet.local_addresses())
    programs = [
        nsd(f"overload {program}", internet.addresses(program), {zone.name: internet.zone_text(zone) for zone in zones}, side)
        for program, zones in internet.carried.items() if not program.startswith("list ")
    ]
    made = resolverd(side, RESOLVER_ONLY.replace("[resolver]\n", "[resolver]\nipv6 = false\n"))
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as running:
        for each in programs:
            each.launch()
            running.callback(each.stop)
        for each in programs:
            each.wait()
        made.start()
        running.callback(made.stop)
        for thread in os.listdir(f"/proc/{made.pid}/task"):
            os.sched_setaffinity(int(thread), {cores[0]})
        os.sched_setaffinity(0, {cores[-1]})
        running.callback(os.sched_setaffinity, 0, set(cores))
        asyncio.run(Overload().offer({"cached": 400}, 1.0))
        yield made


def capacity(load: Overload) -> float:
    """Names a second that can be resolved, in the worst of some moments."""
    return min(asyncio.run(load.capacity("cold", SECONDS / 3)) for _ in range(3))


def told(fared: dict[str, Fared]) -> str:
    """For the report."""
    return "; ".join(
        f"{kind}: {each.share:.1%} of {each.asked} answered, {each.failed} failed, p50 {1000 * each.p50:.0f} ms, "
        f"p99 {1000 * each.p99:.0f} ms" for kind, each in fared.items()
    )


def test_at_twice_the_capacity_cached_answers_come_and_memory_stays(
    daemon: Daemon, figure: Figure, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resident(daemon.pid)
    for _ in range(TRIES):
        load = Overload()
        rate = capacity(load)
        fared = asyncio.run(load.offer({"cold": 2 * rate, "cached": 200}, SECONDS))
        with capsys.disabled():
            print(f"\n{rate:.0f} names a second; twice as many: {told(fared)}")
        if fared["cached"].share >= 0.95 and fared["cold"].share >= 0.3:
            break
    figure("at twice the capacity: cached answers", 100 * fared["cached"].share, "%", least=95)
    figure("at twice the capacity: others, of which half can be resolved", 100 * fared["cold"].share, "%", least=30)
    assert fared["cached"].p50 < fared["cold"].p50, "nothing cached stands in line"
    figure("at twice the capacity: memory taken", resident(daemon.pid) - before, "MiB", most=1.2 * CACHE)


def test_with_half_of_the_zones_dead_the_others_are_served_as_before(
    daemon: Daemon, figure: Figure, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(TRIES):
        load = Overload()
        rate = 0.8 * capacity(load)
        alone = asyncio.run(load.offer({"cold": rate / 2}, SECONDS))["cold"]
        # As long as nobody knows that they are dead, each of their names costs as much as two others.
        first = asyncio.run(load.offer({"cold": rate / 2, "dead": rate / 2}, SECONDS))
        beside = asyncio.run(load.offer({"cold": rate / 2, "dead": rate / 2}, SECONDS))
        with capsys.disabled():
            print(f"\n{rate:.0f} names a second: {told({'alone': alone, 'at first': first['cold'], **beside})}")
        if beside["cold"].share >= 0.95 and beside["cold"].p99 < 2 * alone.p99:
            break
    figure("half of the zones dead: answers of the others", 100 * beside["cold"].share, "%", least=95)
    figure("half of the zones dead: p99 of the others over that without the dead", beside["cold"].p99 / alone.p99, "×", most=2)
