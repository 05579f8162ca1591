"""A round trip between the mail server and the internet: a userspace wire between two network namespaces.

Each end is a TUN device. One process reads packets at either end and writes them at the other half a round trip
later, first in, first out; nothing is lost, reordered or limited in rate. (A kernel without netem, veth or even dummy
interfaces has TUN.)

Run as a program by `between`: `python -m tests.lab.wire NETNS SECONDS`.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from tests.lab.daemon import Daemon
from tests.lab.namespace import MAIL_SERVER, Side

DEVICE = "wire0"

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000


def between(mail: Side, internet: Side, rtt: float) -> Daemon:
    """Make the wire between two sides, with a round trip of `rtt` seconds."""
    argv = [sys.executable, "-m", "tests.lab.wire", str(internet.netns), str(rtt / 2)]
    wire = Daemon("wire", argv, mail, lambda: "both ends are up" in wire.log_tail())
    return wire


def attach(side: Side) -> int:
    """Make and raise a TUN device on a side, route the other side's addresses into it, and give its descriptor."""
    with side.entered():
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN_NO_PI))
        commands = ["link set wire0 up"]
        if side.netns is None:
            commands += [f"route add default dev wire0 src {address}" for address in MAIL_SERVER]
        else:
            # Into the local table, where the mail clients' networks are: the longer prefix wins only within a table.
            commands += [f"route add unicast {address} dev wire0 table local" for address in MAIL_SERVER]
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
    return device


def carry(ends: tuple[int, int], delay: float) -> None:
    """Copy packets between two devices for ever, each `delay` seconds late."""
    under_way: deque[tuple[float, int, bytes]] = deque()
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select(ends, (), (), wait)
        now = time.monotonic()
        for end in readable:
            try:
                under_way.append((now + delay, other[end], os.read(end, 65536)))
            except BlockingIOError:
                pass
        while under_way and under_way[0][0] <= now:
            _, end, packet = under_way.popleft()
            os.write(end, packet)


def main() -> None:
    """Join the lab's own network namespace and the one of our first argument, our second argument's seconds apart."""
    ends = attach(Side("mail")), attach(Side("internet", Path(sys.argv[1])))
    print("both ends are up", flush=True)
    carry(ends, float(sys.argv[2]))


if __name__ == "__main__":
    main()
