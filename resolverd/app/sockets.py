"""Binding, with errors that an admin can act on: which port, who holds it where that can be seen, which line to change."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

from resolverd.failures import ConfigFault

_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def bind(
    make: Callable[[str, int], socket.socket], host: str, port: int, key: str, faults: list[ConfigFault], warnings: list[str]
) -> socket.socket | None:
    """A bound socket, or None with a fault noted; a missing address family is only a warning.

    `key` is the configuration's key path of the address.
    """
    try:
        return make(host, port)
    except OSError as error:
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if error.errno in _NO_FAMILY and ":" in host:
            warnings.append(f"{shown} is left out: this machine has no IPv6 there ({os.strerror(error.errno)})")
        elif error.errno == errno.EADDRINUSE:
            holder = port_holder(port)
            who = f" by {holder}" if holder else ""
            faults.append(ConfigFault(key, f"{shown} is in use{who}; stop that, or change this line of the configuration"))
        elif error.errno == errno.EACCES:
            faults.append(ConfigFault(key, f"{shown} needs root or CAP_NET_BIND_SERVICE (ports below 1024 do)"))
        else:
            faults.append(ConfigFault(key, f"{shown}: {error.strerror or error}"))
        return None


def port_holder(port: int) -> str:
    """The process that has this port, as ``name (pid N)``; empty where that cannot be seen."""
    inodes = _inodes(port)
    if not inodes:
        return ""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            for descriptor in (entry / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
        except OSError:
            continue
    return ""


def _inodes(port: int) -> set[str]:
    """The sockets bound to a port, in the words of /proc/PID/fd."""
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listening = fields[3] in ("0A", "07")
            if listening and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
