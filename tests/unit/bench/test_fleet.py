"""The simulated fleet: what it says of a quota and of news, and the page that is made of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.fleet import page, quotas
from bench.fleet.news import spread
from bench.fleet.quotas import PLENTY, RUSH, Outcome, Weather, day
from resolverd.dnsbl.quota import Allowance
from tests.unit.virtualtime import VirtualLoop


def simulated(hosts: int, weather: Weather) -> Outcome:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(day(hosts, weather))


def test_a_fleet_uses_its_quota_and_the_page_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "QUOTA", Allowance(500, 86400.0))
    monkeypatch.setattr(page, "QUOTA", Allowance(500, 86400.0))
    plenty, rush = simulated(2, PLENTY), simulated(3, RUSH)
    assert plenty.refused_early == plenty.refused_away == plenty.deaths == 0
    assert sum(plenty.sent_by_hour) == plenty.most > 0
    assert 250 < rush.most <= 500
    assert rush.deaths > 0
    assert 0 < rush.operations <= rush.busiest
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        news = [runner.run(spread(hosts)) for hosts in (1, 4)]
    assert news[1].wasted < news[1].alone
    assert 0 < news[1].suspended_after < 0.1
    file = tmp_path / "fleet-simulation.md"
    page.write([plenty, rush], news, file, "today")
    text = file.read_text()
    assert f"| 3 | rush, {rush.deaths} killed | {rush.most} |" in text
    for plot in ("operations", "quota", "storm"):
        assert f"(fleet-{plot}.svg)" in text
        assert file.with_name(f"fleet-{plot}.svg").read_text().startswith("<svg")
