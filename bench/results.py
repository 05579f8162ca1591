"""The results: one JSON line a case and run, added to a file; several runs of a case put together.

==========  ===================================================================================================
`case`       its name; `title`, `note`: what a reader is told of it
`date`       when it was run, UTC; `commit`: of what; `seconds`: how long it took
`machine`    cores, processor, Python; `load`: the load average before it, since others' work makes figures worse
`versions`   of resolverd and the peers
`figures`    server → figure → what each turn gave
`ratios`     a target each: figure, peer (null: our figure alone), sense and bound; median, low and high of the
             ratios of the pairs of turns; whether the median reached it
`error`      why there are no figures; null where there are
==========  ===================================================================================================
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench.harness import Ratio, Target


class Result(msgspec.Struct, frozen=True):
    """One case of one run."""

    case: str
    title: str
    note: str
    date: str
    commit: str
    seconds: float
    machine: str
    load: float
    versions: dict[str, str]
    figures: dict[str, dict[str, list[float]]] = {}
    ratios: list[Ratio] = []
    error: str | None = None


class Judged(NamedTuple):
    """A target over several runs: the median of the runs' medians, the worst of them, which counts, and the spread of turns."""

    target: Target
    median: float
    worst: float
    low: float
    high: float
    reached: bool


def append(file: Path, result: Result) -> None:
    """Add a result to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(result) + b"\n")


def read(file: Path) -> list[Result]:
    """Read a file of results. Raises msgspec.DecodeError."""
    return [msgspec.json.decode(line, type=Result) for line in file.read_bytes().splitlines() if line.strip()]


def latest(results: list[Result], runs: int) -> dict[str, list[Result]]:
    """Give the latest so many results of each case, the newest last; cases in the order of their first result."""
    by_case: dict[str, list[Result]] = {}
    for result in results:
        by_case.setdefault(result.case, []).append(result)
    return {case: each[-runs:] for case, each in by_case.items()}


def judge(runs: list[Result]) -> list[Judged]:
    """Put the runs of a case together, target by target as the newest run with figures has them; failed runs say nothing."""
    measured = [each for each in runs if each.error is None]
    judged = []
    for newest in measured[-1].ratios if measured else []:
        same = [ratio for each in measured for ratio in each.ratios if ratio.target == newest.target]
        worst = newest.target.worst([ratio.median for ratio in same])
        judged.append(Judged(newest.target, median(ratio.median for ratio in same), worst, min(ratio.low for ratio in same),
                             max(ratio.high for ratio in same), newest.target.reached(worst)))
    return judged
