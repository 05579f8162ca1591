"""Postgrey: the greylisting of the tutorial's stack."""

from __future__ import annotations

import shutil
import socket

from tests.lab.daemon import Daemon, fresh
from tests.lab.namespace import Side

PORT = 10023


def postgrey(side: Side, *, delay: int = 1, port: int = PORT) -> Daemon:
    """Make a Postgrey on 127.0.0.1 with an empty database and a delay in seconds."""
    database = fresh(f"postgrey-{port}")
    shutil.chown(database, "postgrey", "postgrey")
    argv = ["postgrey", f"--inet=127.0.0.1:{port}", f"--delay={delay}", f"--dbdir={database}"]
    return Daemon(f"postgrey {port}", argv, side, lambda: accepts(side, port))


def accepts(side: Side, port: int, address: str = "127.0.0.1") -> bool:
    """Say whether somebody takes TCP connections at an address and port."""
    with side.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(0.2)
        return sock.connect_ex((address, port)) == 0
