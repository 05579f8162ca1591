"""Binding, with errors that an admin can act on: which port, who holds it where that can be seen, which line to change."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
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
            holder = port_holder(host, port)
            who = f" by {holder}" if holder else ""
            faults.append(ConfigFault(key, f"{shown} is in use{who}; stop that, or change this line of the configuration"))
        elif error.errno == errno.EACCES:
            faults.append(ConfigFault(key, f"{shown} needs root or CAP_NET_BIND_SERVICE (ports below 1024 do)"))
        else:
            faults.append(ConfigFault(key, f"{shown}: {error.strerror or error}"))
        return None


def port_holder(host: str, port: int) -> str:
    """The process that has this address and port, as ``name (pid N)``; empty where that cannot be seen."""
    inodes = _inodes(host, port)
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


def _inodes(host: str, port: int) -> set[str]:
    """The sockets bound to an address, or to all of its family, in the words of /proc/PID/fd."""
    # The kernel prints addresses as 32-bit words in the machine's byte order.
    packed = ip_address(host).packed
    words = "".join(packed[at : at + 4][:: -1 if sys.byteorder == "little" else 1].hex() for at in range(0, len(packed), 4))
    wanted = {f"{address.upper()}:{port:04X}" for address in (words, "0" * len(words))}
    found: set[str] = set()
    for table in ("tcp", "udp") if ":" not in host else ("tcp6", "udp6"):
        try:
            rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        except OSError:
            continue
        # 0A is a listening TCP socket, 07 any UDP socket.
        found.update(f"socket:[{row[9]}]" for row in rows if row[1] in wanted and row[3] in ("0A", "07"))
    return found
