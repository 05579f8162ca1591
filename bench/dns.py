"""Cached answers a second and CPU time a query: resolverd beside Unbound with one thread, both warm, asked by dnsperf.

`python -m bench.dns [SECONDS]`. The two take turns of a few seconds each, so that whatever else the machine does hits
both; the figures are sums over all turns.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import NamedTuple

from bench.measure import cpu_seconds, in_the_lab, machine, table
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, LabError
from tests.lab.questions import UNRESOLVABLE, ask_all, questions
from tests.lab.resolverd import resolverd
from tests.lab.unbound import unbound
from tests.lab.world import WORLD

TURNS = 3

NOT_CACHED_FOR_LONG = UNRESOLVABLE | {"TTL", "list", "truncated"}
"""Kinds of question that would measure the network, TCP or a list rather than the cache."""


class Turn(NamedTuple):
    """One run of dnsperf against one server."""

    queries: int
    lost: int
    seconds: float
    cpu: float


def turn(daemon: Daemon, address: str, questions_file: str, seconds: float) -> Turn:
    """Load one server for a while."""
    before = cpu_seconds(daemon.pid)
    done = subprocess.run(["dnsperf", "-s", address, "-d", questions_file, "-l", f"{seconds:g}", "-c", "4", "-T", "1",
                           "-q", "200", "-e"], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"dnsperf: {done.stderr}")
    return Turn(
        int(_figure(r"Queries completed:\s+(\d+)", done.stdout)),
        int(_figure(r"Queries lost:\s+(\d+)", done.stdout)),
        float(_figure(r"Run time \(s\):\s+([\d.]+)", done.stdout)),
        cpu_seconds(daemon.pid) - before,
    )


def _figure(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise LabError(f"dnsperf did not say {pattern!r}:\n{text}")
    return match[1]


def run() -> None:
    """Measure both and print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    asked = [each for each in questions(WORLD)
             if each.kind not in NOT_CACHED_FOR_LONG and "refer" not in each.kind
             and "\\" not in each.name and not each.rdtype.startswith("TYPE")]       # dnsperf reads neither
    file = LAB / "questions"
    file.write_text("".join(f"{each.name} {each.rdtype}\n" for each in asked))
    with Lab() as lab:
        servers = {"resolverd": (resolverd(lab.mail), "127.0.0.1"), "unbound": (unbound("127.0.0.2", lab.mail), "127.0.0.2")}
        with lab.running(*(daemon for daemon, _ in servers.values())):
            for daemon, address in servers.values():
                asyncio.run(ask_all(WORLD, address, asked))
                turn(daemon, address, str(file), 1)
            turns: dict[str, list[Turn]] = {name: [] for name in servers}
            for _ in range(TURNS):
                for name, (daemon, address) in servers.items():
                    turns[name].append(turn(daemon, address, str(file), seconds))
    total = {name: Turn(*map(sum, zip(*each, strict=True))) for name, each in turns.items()}
    rate = {name: each.queries / each.seconds for name, each in total.items()}
    cpu = {name: each.cpu / each.queries * 1e6 for name, each in total.items()}
    print(f"{len(asked)} names, all cached; {TURNS} turns of {seconds:g} s each, dnsperf on the same {machine()}")
    print(table(
        ("", "queries/s", "CPU µs/query", "lost"),
        [
            *((name, f"{rate[name]:,.0f}", f"{cpu[name]:.2f}", str(total[name].lost)) for name in servers),
            ("resolverd / unbound", f"{rate['resolverd'] / rate['unbound']:.2f}",
             f"{cpu['resolverd'] / cpu['unbound']:.2f}", ""),
        ],
    ))


if __name__ == "__main__":
    in_the_lab("bench.dns", run)
