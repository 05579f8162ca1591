"""What systemd and the daemon say to each other: readiness, signs of life, and sockets that it bound (sd_notify(3),
sd_watchdog_enabled(3), sd_listen_fds(3)). Everywhere else none of it is there, and nothing happens.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, NamedTuple

_FIRST: Final = 3
"""The descriptor of the first socket that is passed (SD_LISTEN_FDS_START)."""


class Passed(NamedTuple):
    """A socket that was bound before we were started, and its unit's ``FileDescriptorName=``."""

    sock: socket.socket
    name: str


def notify(*states: str) -> None:
    """Tell systemd, where it asked to be notified."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.send("\n".join(states).encode())


def notify_reloading() -> None:
    """That the configuration is being read again, until ``READY=1``; ``Type=notify-reload`` wants the moment with it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between two signs that the loop turns: half of what is allowed (``WatchdogSec=``). None: nobody waits for them."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000 if microseconds.isdigit() and int(microseconds) else None


async def feed_watchdog(interval: float) -> None:
    """Give these signs for ever."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


def take_sockets(environment: MutableMapping[str, str]) -> list[Passed]:
    """The sockets of socket units, if they were passed to this process; taken out of the environment, so once only."""
    process, count, names = (environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if process != str(os.getpid()) or not count.isdigit():
        return []
    named = names.split(":")
    found = []
    for at in range(int(count)):
        os.set_inheritable(_FIRST + at, False)
        sock = socket.socket(fileno=_FIRST + at)
        sock.setblocking(False)
        found.append(Passed(sock, named[at] if at < len(named) else ""))
    return found
