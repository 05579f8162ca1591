"""Fixtures over the lab. This folder runs inside its namespaces: `python -m tests.lab enter -- pytest tests/real`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from functools import partial

import pytest

from tests.lab import namespace
from tests.lab.fleet_world import FLEET_WORLD
from tests.lab.lab import Lab

WAY_IN = "python -m tests.lab enter -- python -m pytest tests/real"

Show = Callable[[str], None]

_LAB = pytest.StashKey[Lab]()
_SHOWN = "shown"


@pytest.fixture(scope="session", autouse=True)
def _inside() -> None:
    """Leave the folder out where there is no lab; a build server must have one."""
    if not namespace.inside():
        reason = f"not in the lab: {WAY_IN}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(_inside: None, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The fake internet, running for the whole session. A test that breaks a list heals it."""
    with Lab(world=FLEET_WORLD) as running:
        request.config.stash[_LAB] = running
        yield running


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Show:
    """Has a text stand behind the run's results, in whatever process the test runs."""
    return partial(record_property, _SHOWN)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests had to show."""
    for report in (each for reports in terminalreporter.stats.values() for each in reports):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            for text in (text for name, text in report.user_properties if name == _SHOWN):
                terminalreporter.write_line(f"{report.nodeid}\n{text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of each program's log beside a failure."""
    report = yield
    if report.failed and (running := item.config.stash.get(_LAB, None)):
        report.sections += [(f"log of {daemon.name}", daemon.log_tail()) for daemon in running.daemons]
    return report
