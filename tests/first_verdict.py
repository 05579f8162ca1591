"""A process of its own: what the first verdict after a start costs, and then what ten others cost, one a line.

`python -m tests.first_verdict steps|seconds FOLDER`: in steps (`tests.work`) or seconds of CPU; the folder is for its files.
Names below ``test`` are answered by what is built in, so that nothing waits for a network (RFC 6761 §6.2).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

from resolverd import config
from resolverd.cli import in_process
from resolverd.mail.request import Attempt
from tests.work import counted

CONFIG = """
[store]
url = "memory:"
[lists]
spamhaus-zen = {enabled = false}
spamhaus-dbl = {enabled = false}
dnswl = {enabled = false}
mine = {zone = "rbl.test", kinds = ["ip4", "domain"]}
"""


def first_and_others(unit: str, folder: Path) -> tuple[float, list[float]]:
    """The costs in a process of its own."""
    run = subprocess.run([sys.executable, "-m", "tests.first_verdict", unit, str(folder)], cwd=Path(__file__).parents[1],
                         capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    first, *others = map(float, run.stdout.split())
    return first, others


def _mail(n: int) -> Attempt:
    """Always another client, HELO name and sender."""
    return Attempt(
        client_address=ip_address(f"203.0.113.{n}"), client_name=f"host{n}.here.test", reverse_client_name=f"host{n}.here.test",
        helo_name=f"host{n}.here.test", sender=f"joe@host{n}.here.test", recipient="anna@example.org", has_sender=True,
    )  # fmt: skip


async def _main(unit: str, folder: Path) -> list[float]:
    (folder / "config.toml").write_text(CONFIG)
    costs = []
    async with in_process.opened(config.load(folder / "config.toml")) as service:
        for n in range(1, 12):
            verdict = service.runtime.policy.verdict_on(_mail(n), record=True)
            if unit == "steps":
                with counted() as steps:
                    await verdict
                costs.append(float(steps.done))
            else:
                before = time.process_time()
                await verdict
                costs.append(time.process_time() - before)
    return costs


if __name__ == "__main__":
    print(*asyncio.run(_main(sys.argv[1], Path(sys.argv[2]))), sep="\n")
