"""The results in words and pictures: a table for the terminal, bench/RESULTS.md, and its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench import plot
from bench.harness import OURS
from bench.measure import table
from bench.results import Judged, Result, judge

HEAD = """# Results

{about}

A ratio is ours over the peer's, of two turns side by side. Of each run counts the median of its turns, of the runs given here
the worst; "turns" is the least and the greatest ratio of any single turn. `python -m bench` measures, and `bench/__init__.py`
says how.

![The targets: the worst run's ratio over what is to be reached](results/targets.svg)

"""


def number(value: float) -> str:
    """Write a figure with three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 0.01 else f"{value:.{1 if abs(value) >= 10 else 2}f}"


def curves(figures: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Find the curves among figures: what is drawn, server by server, as points; see `bench.harness` for their names."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for server, each in figures.items():
        for name, values in each.items():
            what, at, place = name.partition(" @ ")
            if at:
                found.setdefault(what, {}).setdefault(server, []).append((float(place), median(values)))
    return found


def figure_rows(result: Result) -> tuple[list[str], list[list[str]]]:
    """Lay the figures of a result out: a row a figure, a column a server, medians of the turns."""
    names = list(dict.fromkeys(name for each in result.figures.values() for name in each))
    rows = [[name, *(number(median(each[name])) if name in each else "" for each in result.figures.values())] for name in names]
    return ["", *result.figures], rows


def told(result: Result) -> str:
    """Put one result into words, for the terminal."""
    if result.error is not None:
        return f"{result.case}: FAILED after {result.seconds:.0f} s: {result.error}\n"
    lines = [table(*figure_rows(result))]
    lines += [
        f"  {ratio.target.figure}: {number(ratio.median)}{_over(ratio.target.peer)} ({number(ratio.low)}–{number(ratio.high)}), "
        f"to be {ratio.target.sense} {number(ratio.target.bound)}: {'reached' if ratio.reached else 'MISSED'}"
        for ratio in result.ratios
    ]
    return "\n".join([*lines, ""])


def render(cases: Mapping[str, Sequence[Result]], target: Path) -> None:
    """Write a page about the runs of each case, and its plots beside it in results/."""
    folder = target.parent / "results"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    judged = {case: judge(list(runs)) for case, runs in cases.items()}
    bars = [(f"{case}: {each.target.figure}" + _over(each.target.peer), _share(each), each.reached)
            for case, targets in judged.items() for each in targets]
    (folder / "targets.svg").write_text(plot.bars(bars, "1 = the target; to the right of it is better"))
    about = "\n".join(f"- {line}" for line in dict.fromkeys(
        f"{runs[-1].machine}; commits {', '.join(dict.fromkeys(each.commit for each in runs))}; {runs[0].date[:10]}"
        for runs in cases.values()))
    parts = [HEAD.format(about=about), *_summary(cases, judged)]
    for case, runs in cases.items():
        parts += _section(case, runs[-1], len(runs), folder)
    target.write_text("\n".join(parts))


def _over(peer: str | None) -> str:
    return f" × {peer}" if peer else ""


def _share(each: Judged) -> float:
    """How much of a target is reached: 1 at the target, more beyond it."""
    return each.worst / each.target.bound if each.target.sense == "≥" else each.target.bound / each.worst


def _summary(cases: Mapping[str, Sequence[Result]], judged: Mapping[str, Sequence[Judged]]) -> list[str]:
    lines = ["| case | figure | to reach | median | worst | turns | runs | |", "|---|---|---|---|---|---|---|---|"]
    for case, runs in cases.items():
        failures = [each.error for each in runs if each.error is not None]
        lines += [f"| {case} | {_first_line(error)} | | | | | | **failed** |" for error in failures]
        for each in judged[case]:
            target = each.target
            wanted = f"{target.sense} {number(target.bound)}{_over(target.peer)}"
            found = f"{number(each.median)} | {number(each.worst)} | {number(each.low)}–{number(each.high)}"
            said = "reached" if each.reached else "**missed**"
            lines.append(f"| {case} | {target.figure} | {wanted} | {found} | {len(runs) - len(failures)} | {said} |")
    return [*lines, ""]


def _first_line(error: str) -> str:
    return error.partition("\n")[0].replace("|", "/")


def _section(case: str, result: Result, runs: int, folder: Path) -> list[str]:
    versions = ", ".join(f"{name} {value}" for name, value in result.versions.items())
    lines = [f"## {result.title}", "", f"`python -m bench {case}`; {versions}. {result.note}".rstrip(), ""]
    if result.error is not None:
        return [*lines, f"The newest of {runs} runs failed: {_first_line(result.error)}", ""]
    head, rows = figure_rows(result)
    plain = [row for row in rows if " @ " not in row[0]]
    if plain:
        lines += [f"Medians of the newest of {runs} runs:", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|",
                  *(f"| {' | '.join(row)} |" for row in plain), ""]
    for index, (what, servers) in enumerate(curves(result.figures).items()):
        file = folder / f"{case}-{index}.svg"
        file.write_text(plot.curves(what, servers, OURS))
        lines += [f"![{what}](results/{file.name})", ""]
    return lines
