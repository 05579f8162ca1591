"""A process of its own: what the first verdict after a start costs, in seconds of CPU, and then what others cost.

Names below ``test`` are answered by what is built in, so that nothing waits for a network (RFC 6761 §6.2).
"""

import asyncio
import sys
import time
from ipaddress import ip_address
from pathlib import Path

from resolverd import config
from resolverd.cli import in_process
from resolverd.mail.request import Attempt


def mail(n: int) -> Attempt:
    """Always another client, HELO name and sender."""
    return Attempt(
        client_address=ip_address(f"203.0.113.{n}"), client_name=f"host{n}.here.test", reverse_client_name=f"host{n}.here.test",
        helo_name=f"host{n}.here.test", sender=f"joe@host{n}.here.test", recipient="anna@example.org", has_sender=True,
    )  # fmt: skip


async def main(folder: Path) -> None:
    """Print the costs, one a line."""
    async with in_process.opened(config.load(folder / "config.toml")) as service:
        for n in range(1, 12):
            before = time.process_time()
            await service.runtime.policy.verdict_on(mail(n), record=True)
            print(time.process_time() - before)


asyncio.run(main(Path(sys.argv[1])))
