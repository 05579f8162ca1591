"""NSD, the authoritative server of the fake internet: one process for each program that the world names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import Side


def nsd(name: str, addresses: Sequence[str], zones: Mapping[str, str], side: Side) -> Daemon:
    """Make an NSD that serves `zones` (name: master file text) on `addresses`, port 53."""
    directory = fresh(f"nsd/{name}")
    config = directory / "nsd.conf"
    config.write_text(_config(directory, addresses, zones))
    probe = next(iter(zones), ".")           # without any zone it answers REFUSED
    return Daemon(name, ["nsd", "-d", "-c", str(config)], side,
                  lambda: all(answers_dns(side, address, probe) for address in addresses))


def _config(directory: Path, addresses: Sequence[str], zones: Mapping[str, str]) -> str:
    lines = [
        "server:",
        *(f"  ip-address: {address}" for address in addresses),
        "  server-count: 1",
        "  username: root",
        f"  zonesdir: {directory}",
        f"  pidfile: {directory}/nsd.pid",
        f"  xfrdfile: {directory}/xfrd.state",
        f"  zonelistfile: {directory}/zone.list",
        f"  xfrdir: {directory}",
        "  database: ''",
        "  rrl-ratelimit: 0          # one address asks everything here",
        "  tcp-count: 200",
        "remote-control:",
        "  control-enable: no",
    ]
    for number, (name, text) in enumerate(zones.items()):
        file = directory / f"{number}.zone"
        file.write_text(text)
        lines += ["zone:", f"  name: {name}", f"  zonefile: {file}"]
    return "\n".join([*lines, ""])
