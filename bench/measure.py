"""What the benchmarks share: cores, CPU time and memory of programs, a table, the way into the lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tests.lab import namespace
from tests.lab.daemon import Daemon
from tests.lab.namespace import LabError

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
"""Where what is measured runs, and where all else does: the load and the servers behind. One core where there is but one."""

VERSIONS = {
    "resolverd": (sys.executable, "-m", "resolverd", "--version"),
    "unbound": ("unbound", "-V"),
    "pdns": ("pdns_recursor", "--version"),
    "nsd": ("nsd", "-v"),
    "postfix": ("postconf", "-h", "mail_version"),
    "rspamd": ("rspamd", "--version"),
}
"""How a peer is asked for its version; any other is a Debian package of its name."""

_TICK = os.sysconf("SC_CLK_TCK")
_CLOCK_OF_ALL_THREADS = 2
"""CPUCLOCK_SCHED of <linux/posix-timers.h>: with the process id, the clock that clock_getcpuclockid(3) gives."""


@contextmanager
def standing_on(core: int) -> Iterator[None]:
    """Run the calling thread, and whatever it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(*daemons: Daemon) -> Iterator[None]:
    """Have the programs that are measured run, on their core, with all threads and children that they will have."""
    try:
        for daemon in daemons:
            with standing_on(SERVER_CORE):
                daemon.start()
        yield
    finally:
        for daemon in reversed(daemons):
            daemon.stop()


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used so far: all its threads and children, those that have ended as well."""
    total = 0.0
    for each in processes(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += time.clock_gettime(~each << 3 | _CLOCK_OF_ALL_THREADS) + (int(fields[13]) + int(fields[14])) / _TICK
        except OSError:                       # ended between two looks: its parent's count has it now, or will
            continue
    return total


def processes(pid: int) -> list[int]:
    """Give a process and everything below it."""
    found = [pid]
    for each in found:                        # grows while it is walked
        try:
            for tasks in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (tasks / "children").read_text().split())
        except OSError:
            continue
    return found


def resident(pid: int) -> float:
    """Give the MiB of memory that a process and everything below it hold, shared pages once a process."""
    lines = (line for each in processes(pid) for line in Path(f"/proc/{each}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def machine() -> str:
    """Name the machine, so that a figure is never read without it."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} × {model}, Python {sys.version.split()[0]}"


def version(program: str) -> str:
    """Say which version of a peer is measured; "unknown" where nobody can tell."""
    command = VERSIONS.get(program, ("dpkg-query", "-W", "-f", "${Version}", program))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=namespace.ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\d+(?:\.\d+)+\S*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


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
