"""dnsperf as the load of a turn."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.lab.namespace import LabError


class Perf(NamedTuple):
    """What dnsperf saw."""

    answered: int
    lost: int
    failed: int
    """Answered with neither NOERROR nor NXDOMAIN."""
    seconds: float


def dnsperf(address: str, questions: Path, *options: str, clients: int = 4, outstanding: int = 100) -> Perf:
    """Ask a server what a file says. Raises LabError where dnsperf fails, or more than one in a hundred goes unanswered."""
    done = subprocess.run(["dnsperf", "-s", address, "-d", str(questions), "-c", str(clients), "-T", "1", "-q",
                           str(outstanding), *options], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"dnsperf: {done.stderr}")
    perf = read(done.stdout)
    if (perf.lost + perf.failed) * 100 > perf.answered:
        raise LabError(f"{address} lost {perf.lost} and failed {perf.failed} of {perf.answered + perf.lost}:\n{done.stdout}")
    return perf


def read(output: str) -> Perf:
    """Read what dnsperf prints at its end. Raises LabError where something is missing."""
    answered = int(_figure(r"Queries completed:\s+(\d+)", output))
    right = sum(map(int, re.findall(r"(?:NOERROR|NXDOMAIN) (\d+)", output)))
    return Perf(answered, int(_figure(r"Queries lost:\s+(\d+)", output)), answered - right,
                float(_figure(r"Run time \(s\):\s+([\d.]+)", output)))


def _figure(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise LabError(f"dnsperf did not say {pattern!r}:\n{text}")
    return match[1]
