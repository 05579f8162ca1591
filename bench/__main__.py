"""`python -m bench`: run cases, one after another, each in namespaces of its own, and render what came of them.

::

    python -m bench [CASE…]          run these, or all that do not take long; results are added to bench/results/results.jsonl
    python -m bench --list           the cases
    python -m bench --render         write bench/RESULTS.md and its plots from the latest three results of each case
    python -m bench --results FILE   another file, with any of these
    python -m bench --turns N        other than a case's own number of turns: a look, not a result

No figure fails a run, and a case that fails is said to have failed: the others go on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import harness, results
from bench.cases import CASES
from bench.measure import CLIENT_CORE, machine, standing_on, version
from bench.render import render, told
from tests.lab import namespace
from tests.lab.namespace import ROOT, LabError

BENCH = ROOT / "bench"
RUNS = 3
"""Runs of a case that are put together; the worst counts."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all but the long ones where none is named")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--render", action="store_true", help="render what the file of results has")
    parser.add_argument("--results", type=Path, default=BENCH / "results" / "results.jsonl", metavar="FILE")
    parser.add_argument("--turns", type=int, default=0, metavar="N")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"no case is named {' or '.join(unknown)}; --list names them")
    return options


def main(argv: list[str]) -> int:
    """Do as asked; give the exit status."""
    options = arguments(argv)
    if options.list:
        print("\n".join(f"{case.name:24}{case.title}{' (long)' * case.long}" for case in CASES.values()))
    elif options.render:
        render(results.latest(results.read(options.results), RUNS), BENCH / "RESULTS.md")
    elif namespace.inside():
        (name,) = options.cases
        results.append(options.results, measured(CASES[name], options.turns))
    else:
        for name in options.cases or [case.name for case in CASES.values() if not case.long]:
            run(CASES[name], options.results.resolve(), options.turns)
    return 0


def run(case: harness.Case, file: Path, turns: int) -> None:
    """Run a case in a process and namespaces of its own, and print what came of it."""
    print(f"{case.name}: {case.title} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        handed = Path(directory) / "result"
        command = [sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "bench", case.name,
                   "--results", str(handed), "--turns", str(turns)]
        try:
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=case.limit, cwd=ROOT)
            said = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        except subprocess.TimeoutExpired:
            said = f"not done after {case.limit:.0f} s"
        result = results.read(handed)[0] if handed.exists() else _result(case, time.monotonic() - began, error=said)
    results.append(file, result)
    print(told(result), flush=True)


def measured(case: harness.Case, turns: int) -> results.Result:
    """Run a case here, inside the lab; whatever goes wrong in it is its result."""
    began = time.monotonic()
    if turns:
        case = replace(case, turns=turns)
    try:
        with standing_on(CLIENT_CORE):
            figures = harness.play(case)
        return _result(case, time.monotonic() - began, figures, harness.ratios(case.targets, figures))
    except (LabError, OSError, ArithmeticError, LookupError, ValueError) as error:
        return _result(case, time.monotonic() - began, error=f"{type(error).__name__}: {error}")


def _result(case: harness.Case, seconds: float, figures: dict[str, dict[str, list[float]]] | None = None,
            ratios: list[harness.Ratio] | None = None, error: str | None = None) -> results.Result:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    return results.Result(
        case.name, case.title, case.note, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", commit, round(seconds, 1), machine(),
        os.getloadavg()[1], {name: version(name) for name in dict.fromkeys(("resolverd", *case.peers))},
        figures or {}, ratios or [], error,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
