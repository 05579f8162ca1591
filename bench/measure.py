"""What the benchmarks share: CPU time of a program, a table, the way into the lab."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tests.lab import namespace
from tests.lab.namespace import LabError

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process with all its threads has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def machine() -> str:
    """Name the machine, so that a figure is never read without it."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} × {model}, Python {sys.version.split()[0]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table: the first column left, the others right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )


def in_the_lab(module: str, run: Callable[[], None]) -> NoReturn:
    """Run a benchmark inside the lab's namespaces, going there first where we are not yet."""
    try:
        if not namespace.inside():
            sys.exit(namespace.enter([sys.executable, "-m", module, *sys.argv[1:]]))
        run()
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
