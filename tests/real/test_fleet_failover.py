"""Three mail servers that find their store through sentinels; the third one's clock is five minutes ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bench.fleet_kills import Step, faults, play, table
from tests.lab import outages
from tests.lab.fleet import Fleet, MailHost, shared
from tests.lab.lab import Lab
from tests.lab.namespace import Side
from tests.lab.redis import Sentinels
from tests.lab.traffic import Traffic

DELAY = 3


@pytest.fixture(scope="module")
def sentinels(lab: Lab) -> Sentinels:
    return Sentinels(Side("store"))


@pytest.fixture(scope="module")
def fleet(lab: Lab, sentinels: Sentinels) -> Iterator[Fleet]:
    def ahead(host: MailHost) -> None:
        if host.name == "mx3":
            host.set_clock(300)

    with Fleet(lab, shared(sentinels.url, delay=DELAY), *sentinels.daemons, each=ahead) as running:
        sentinels.wait_linked()
        running.wait_for_store()
        yield running


@pytest.mark.parametrize(("first", "then"), [(0, 2), (2, 0)])
def test_a_clock_that_is_wrong_shortens_no_wait_and_lengthens_none(fleet: Fleet, first: int, then: int) -> None:
    fleet.lets_pass_who_has_waited(first, then, first, DELAY)


def test_a_failover_is_not_noticed_by_good_mail(fleet: Fleet, sentinels: Sentinels) -> None:
    steps = [Step(1.5, outages.master_killed(sentinels), 2)]
    traffic = Traffic(fleet.hosts, DELAY, seed=3)
    run = asyncio.run(play(fleet, sentinels.servers[1], steps, traffic=traffic, calm=3, zones=()))
    print(table(run, ()))
    assert not (wrong := faults(run)), wrong
    assert run.judged.mails > 20
    assert run.judged.deferrals > 5, "greylisting goes on"
