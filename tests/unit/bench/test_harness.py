"""Turns, ratios, what counts of several runs, what CPU time is of whom, and that what is rendered can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import plot, results
from bench.dnsperf import read
from bench.harness import CPU, OURS, RATE, Case, Ratio, Spent, Turns, at_least, at_most, play, ratios, spending
from bench.measure import cpu_seconds, processes
from bench.render import curves, number, render, told
from tests.lab.namespace import LabError

TARGETS = (at_least(1.0, RATE, "peer"), at_most(1.2, CPU, "peer"), at_most(3.5, "round trips", None))
FIGURES = {
    OURS: {RATE: [90.0, 120.0, 100.0], CPU: [12.0, 10.0, 11.0], "round trips": [3.0, 4.0, 3.2]},
    "peer": {RATE: [100.0, 100.0, 100.0], CPU: [10.0, 10.0, 10.0]},
}


def result(case: str, rate: float, error: str | None = None) -> results.Result:
    """A result of one turn with this rate beside a peer's 100."""
    figures = {} if error else {
        OURS: {RATE: [rate], "µs @ 10": [5.0], "µs @ 1000": [7.0]}, "peer": {RATE: [100.0], "µs @ 10": [3.0], "µs @ 1000": [9.0]},
    }  # fmt: skip
    found = [] if error else ratios((at_least(1.0, RATE, "peer"),), figures)
    title, date = f"The case <{case}>", "2026-01-02T03:04:05Z"
    return results.Result(case, title, "", date, "abc", 1.5, "2 × CPU", 0.5, {"peer": "1.2"}, figures, found, error)


def test_every_turn_of_ours_is_compared_with_the_peers_beside_it() -> None:
    rate, cpu, trips = ratios(TARGETS, FIGURES)
    assert (rate.median, rate.low, rate.high, rate.reached) == (1.0, 0.9, 1.2, True)
    assert (cpu.median, cpu.low, cpu.high, cpu.reached) == (1.1, 1.0, 1.2, True)
    assert (trips.median, trips.reached) == (3.2, True)


def test_servers_take_turns() -> None:
    order = []

    @contextmanager
    def run() -> Iterator[Turns]:
        order.append("start")
        yield {name: lambda name=name: order.append(name) or {RATE: float(len(order))} for name in (OURS, "peer")}  # type: ignore
        order.append("stop")

    figures = play(Case("case", "A case", run, (), turns=2))
    assert order == ["start", OURS, "peer", OURS, "peer", "stop"]
    assert figures == {OURS: {RATE: [2.0, 4.0]}, "peer": {RATE: [3.0, 5.0]}}


def test_the_worst_of_the_runs_counts() -> None:
    (judged,) = results.judge([result("case", rate) for rate in (110.0, 95.0, 130.0)])
    assert (judged.median, judged.worst, judged.reached) == (1.1, 0.95, False)
    small = at_most(1.0, CPU, "peer")
    assert small.worst([0.5, 0.9, 0.7]) == 0.9


def test_a_failed_run_says_nothing_of_the_ratio() -> None:
    (judged,) = results.judge([result("case", 120.0), result("case", 0.0, "it broke")])
    assert (judged.worst, judged.reached) == (1.2, True)
    assert results.judge([result("case", 0.0, "it broke")]) == []


def test_of_a_file_the_latest_runs_of_each_case_are_read(tmp_path: Path) -> None:
    file = tmp_path / "results" / "some.jsonl"
    for rate in (100.0, 101.0, 102.0):
        results.append(file, result("one", rate))
        results.append(file, result("two", rate * 2))
    latest = results.latest(results.read(file), 2)
    assert list(latest) == ["one", "two"]
    assert [each.figures[OURS][RATE] for each in latest["one"]] == [[101.0], [102.0]]
    assert latest["one"][-1] == result("one", 102.0)


def test_the_page_tells_misses_failures_and_curves(tmp_path: Path) -> None:
    runs = {"slow": [result("slow", 50.0), result("slow", 200.0)], "broken": [result("broken", 0.0, "it | broke\nhere")]}
    render(runs, tmp_path / "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| slow | requests/s | ≥ 1.00 × peer | 1.25 | 0.50 | 0.50–2.00 | 2 | **missed** |" in page
    assert "it / broke" in page
    assert "results/slow-0.svg" in page
    pictures = {file.name: ElementTree.parse(file).getroot() for file in (tmp_path / "results").glob("*.svg")}
    assert set(pictures) == {"targets.svg", "slow-0.svg"}
    drawn = ["".join(text.itertext()) for text in pictures["slow-0.svg"].iter("{http://www.w3.org/2000/svg}text")]
    assert {OURS, "peer", "10", "1,000"} <= set(drawn)


def test_a_result_in_words() -> None:
    assert "0.50 × peer (0.50–0.50), to be ≥ 1.00: MISSED" in told(result("case", 50.0))
    assert told(result("case", 0.0, "it broke")) == "case: FAILED after 2 s: it broke\n"


def test_figures_at_a_number_are_curves() -> None:
    figures = {OURS: {"µs @ 0": [1.0, 3.0, 2.0], "µs @ 100": [4.0], RATE: [9.0]}}
    assert curves(figures) == {"µs": {OURS: [(0.0, 2.0), (100.0, 4.0)]}}
    assert "µs" in plot.curves("µs", curves(figures)["µs"], OURS)       # a place of zero has no logarithm


@pytest.mark.parametrize(("value", "text"), [
    (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.05, "0.05"), (0.00123, "0.00123"), (0.0, "0"),
])  # fmt: skip
def test_numbers_have_as_many_digits_as_they_are_worth(value: float, text: str) -> None:
    assert number(value) == text


def test_cost_is_spread_over_requests() -> None:
    assert Spent(seconds=2.0, cpu=0.5).figures(1000) == {RATE: 500.0, CPU: 500.0, "share of its core": 0.25}


BURN = "import time\nwhile time.process_time() < {0}: pass"


def test_cpu_time_is_that_of_all_threads_and_children() -> None:
    """A thread, a child that has ended, and one that still runs: each burns a tenth of a second."""
    program = f"""
import subprocess, sys, threading, time
def burn():
    while time.thread_time() < 0.1: pass
thread = threading.Thread(target=burn); thread.start(); thread.join()
subprocess.run([sys.executable, "-Ic", {BURN.format(0.1)!r}])
child = subprocess.Popen([sys.executable, "-Ic", {(BURN + chr(10) + "print(flush=True); input()").format(0.1)!r}],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-Ic", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(processes(process.pid)) == 2
        assert cpu_seconds(process.pid) >= 0.29
        process.communicate(b"\n")


def test_what_we_burn_is_what_spending_says() -> None:
    with spending(os.getpid()) as spent:
        before = time.process_time()
        while time.process_time() < before + 0.05:
            pass
    assert spent.cpu >= 0.05
    assert spent.seconds >= 0.05


DNSPERF = """
Statistics:

  Queries sent:         2000
  Queries completed:    1990 (99.50%)
  Queries lost:         10 (0.50%)

  Response codes:       NOERROR 1500 (75.38%), SERVFAIL 90 (4.52%), NXDOMAIN 400 (20.10%)
  Run time (s):         1.500000
"""


def test_dnsperf_is_read() -> None:
    assert read(DNSPERF) == (1990, 10, 90, 1.5)
    with pytest.raises(LabError, match="Run time"):
        read(DNSPERF.replace("Run time", "Time"))


def test_a_target_names_what_is_there() -> None:
    with pytest.raises(KeyError):
        ratios((at_least(1.0, RATE, "nobody"),), FIGURES)
    assert isinstance(ratios(TARGETS, FIGURES)[0], Ratio)
