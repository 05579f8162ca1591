"""The catalogue of attacks: what each is, what is asked of us, and which tests measure it.

A test says with ``@pytest.mark.attack("R-16")`` which rows it measures, and what it has measured with the fixture `figure`, which
fails the test where the figure is out of its bound::

    @pytest.mark.attack("R-16")
    def test_servers_that_never_answer(figure: Figure) -> None:
        ...
        figure("upstream queries", len(net.asked), most=bounds.MAX_QUERIES)
        figure("CPU of a question", 1000 * cpu, "ms", most=20)

``pytest -m attack --attacks FILE`` writes the table of rows, demands and figures into FILE; ``make attacks`` does it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import pytest


class Row(NamedTuple):
    """An attack, and what is asked of whoever suffers it."""

    threat: str
    demand: str


ROWS: Final = {
    "R-01": Row("compression pointers in loops, forward, to themselves", "rejected, with no error but the codec's own"),
    "R-02": Row("one name of 8 185 pointers", "rejected beyond 128 pointers, within 0.2 ms"),
    "R-03": Row("thousands of names through one staircase of pointers", "≤ 5 ms for UDP, ≤ 50 ms for 64 KiB over TCP"),
    "R-04": Row("replies dear to compress, names beyond 255 octets", "≤ 50 ms, look-ups counted whether found or not"),
    "R-05": Row("the event loop held up", "no stall > 100 ms while under any of these attacks"),
    "R-06": Row("forged replies: guesses, birthdays, Kaminsky", "≥ 60 000 ports, one wrong ID → TCP, nothing in flight twice"),
    "R-07": Row("side channels through ICMP (SAD DNS)", "every socket connected, one question each"),
    "R-08": Row("client subnet as a second ID (RebirthDay)", "never forwarded"),
    "R-09": Row("forged replies against random letter case", "wrong letters are not believed, TCP decides"),
    "R-10": Row("forged cookies, BADCOOKIE", "a wrong client cookie is dropped, BADCOOKIE asked once more, then TCP"),
    "R-11": Row("records outside a server's zone", "none believed, glue for NS only"),
    "R-12": Row("a forwarder that speaks for other zones (MaginotDNS)", "none believed outside its zone"),
    "R-13": Row("ghost domains", "gone with the parent's TTL, whatever is asked"),
    "R-14": Row("wildcards and stale data in place of names", "rejected"),
    "R-15": Row("1 500 name servers that do not exist (NXNSAttack)", "≤ 64 upstream queries"),
    "R-16": Row("1 500 name servers that do not answer (NRDelegation)", "≤ 20 ms of CPU, ≤ 64 queries, p99 of others < 2 ×"),
    "R-17": Row("chains of aliases and delegations (CAMP)", "≤ 64 upstream queries, ≤ 200 kB"),
    "R-18": Row("cyclic delegations (TsuNAME)", "≤ 64 queries, then SERVFAIL for which nobody is asked for 5 s"),
    "R-19": Row("servers that make us repeat ourselves", "≤ 3 sends to a server and transport"),
    "R-20": Row("zones that flood the cache (CacheFlush)", "entries are bounded, hit ratio of hot ones falls < 5 %"),
    "R-21": Row("replies held back and let loose at once (DNSBomb)", "≤ 200 replies to one client in 100 ms"),
    "R-22": Row("random names below a dead zone (water torture)", "≤ 200 in flight for it; others ≥ 95 % answered, p99 < 2 ×"),
    "R-23": Row("repetitions that keep a slot (CVE-2026-42534)", "the slot is free 200 ms after the first"),
    "R-24": Row("fragments (CVE-2025-59024)", "1232 octets announced, what is longer in one piece or over TCP"),
    "R-25": Row("bad packets ahead of the good one (TuDoor)", "answered all the same; ≤ 10 bad ones, then TCP"),
    "R-26": Row("EDNS taken away by a forged error (CVE-2026-52690)", "two confirmations, for one server, ≤ 900 s"),
    "R-27": Row("other classes, meta types, opcodes, counts", "refused as RFCs say, nothing changes"),
    "R-28": Row("slow TCP, heaps of it, clients that do not read", "closed 2 s after the first octet; ≤ 256 KiB unsent"),
    "R-29": Row("amplification", "nothing for strangers, ANY ≤ 2 × the question"),
    "R-30": Row("zones dear to validate (KeyTrap, NSEC3)", "≤ 50 ms of CPU a question, bounded verifications and hashes"),
    "R-31": Row("memory of the caches (CVE-2023-2828)", "≤ what is configured + 20 %"),
    "R-32": Row("a parent's denial that hides local names", "local, list and forward zones stay"),
    "R-33": Row("packets cached for other questions", "flags, class, type, DO, CD and letter case tell them apart"),
    "R-34": Row("a shared store that is none, or hostile", "≤ 64 MiB, nobody waits for 100 ms of its CPU, mail goes on"),
    "R-35": Row("whoever writes to the shared store floods it", "the same, and ≤ half a processor"),
    "R-36": Row("clusters and sentinels that point to others", "nobody is connected to all the time, nothing goes in circles"),
    "R-37": Row("a shared store whose clock or memory is another all the time", "nobody waits for ever, nothing is lost"),
}
"""By the numbers under which tests name them."""


class Figure(Protocol):
    """Record what was measured, and fail where it is out of its bound; `row` where a test has more than one."""

    def __call__(
        self, what: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None, row: str = ""
    ) -> None: ...


@pytest.fixture
def figure(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Figure:
    """See `Figure`."""
    rows = rows_of(request.node)

    def record(
        what: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None, row: str = ""
    ) -> None:
        asked = " ".join(f"{sign} {_number(bound)}" for sign, bound in (("≤", most), ("≥", least)) if bound is not None)
        record_property("attack figure", [[row] if row else rows, what, asked, float(value), unit])
        told = f"{_number(value)} {unit}".strip()
        assert most is None or value <= most, f"{what}: {told}, to be {asked}"
        assert least is None or value >= least, f"{what}: {told}, to be {asked}"

    return record


def rows_of(item: pytest.Item) -> list[str]:
    """The rows that a test says it measures. Raises UsageError where one is none."""
    rows = [row for mark in item.iter_markers("attack") for row in mark.args]
    if unknown := [row for row in rows if row not in ROWS]:
        raise pytest.UsageError(f"{item.nodeid}: no attack is {' or '.join(unknown)}")
    return rows


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run every attack at length")
    parser.addoption("--attacks", type=Path, metavar="FILE", help="write a table of the attacks and their figures")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "attack(row, …): what the test measures of the catalogue of attacks (tests/attacks.py)")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(config.getoption("--attacks")), "attack-table")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if rows := rows_of(item):
        item.user_properties.append(("attack", rows))


class Table:
    """Gathers what tests of attacks have measured, from all processes that run them."""

    def __init__(self, file: Path | None):
        self._file = file
        self._tests: dict[str, dict[str, bool]] = {}
        self._figures: dict[str, dict[tuple[str, str, str], list[float]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.when != "call" and report.passed):
            return
        test = report.nodeid.partition("[")[0]
        for name, value in report.user_properties:
            if name == "attack":
                for row in value:  # type: ignore[attr-defined]
                    told = self._tests.setdefault(row, {})
                    told[test] = told.get(test, True) and report.passed
            elif name == "attack figure":
                rows, what, asked, measured, unit = value  # type: ignore[misc]
                for row in rows:
                    self._figures.setdefault(row, {}).setdefault((what, asked, unit), []).append(measured)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._file is not None:
            self._file.write_text("\n".join(self.lines()) + "\n")
            terminalreporter.write_line(f"{self._file}: {len(self._tests)} of {len(ROWS)} attacks")

    def lines(self) -> Iterator[str]:
        """The table as a page."""
        yield "# Attacks"
        yield ""
        yield f"Written by `make attacks`, {datetime.now(UTC):%Y-%m-%d}. What each test does stands in its text; where it was run"
        yield "several times, the figures are the least and the greatest. Without a bound it is a remark, not a demand."
        yield ""
        yield "| | attack | asked | measured | |"
        yield "|---|---|---|---|---|"
        for name, row in ROWS.items():
            tests = self._tests.get(name, {})
            said = "not run" if not tests else "reached" if all(tests.values()) else "**missed**"
            figures = "; ".join(
                f"{what} {_span(values)} {unit}".strip() + (f" ({asked})" if asked else "")
                for (what, asked, unit), values in self._figures.get(name, {}).items()
            )
            count = f"{len(tests)} test{'s' * (len(tests) != 1)}"
            yield f"| {name} | {row.threat} | {row.demand} | {figures or count} | {said} |"
        yield ""
        for name in ROWS:
            by_file: dict[str, list[str]] = {}
            for test in self._tests.get(name, {}):
                file, _, function = test.partition("::")
                by_file.setdefault(file, []).append(function)
            if by_file:
                yield f"- {name}: " + "; ".join(f"{file}: {', '.join(tests)}" for file, tests in sorted(by_file.items()))


def _number(value: float) -> str:
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _span(values: list[float]) -> str:
    least, most = _number(min(values)), _number(max(values))
    return least if least == most else f"{least} … {most}"
