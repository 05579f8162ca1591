"""Unbound: the resolver of the tutorial's stack, and the one that resolverd's answers are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import Side
from tests.lab.world import ROOT_HINTS

REVERSE_ZONES = (
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
)
"""Reverse zones of the documentation networks: resolvers answer them by themselves (RFC 6303), but clients live here."""


def unbound(address: str, side: Side, *, threads: int = 1, cache: str = "64m", anchors: Path | None = None,
            more: Sequence[str] = ()) -> Daemon:
    """Make an Unbound on `address`, port 53; everything else as its defaults are but for `more` lines.

    ``module-config: iterator``, without validation where there is no file of trust `anchors`: most internets here are not signed.
    ``num-threads``: one, as resolverd has one; each of its caches as large as all of resolverd's together.
    ``root-hints``: this internet's. ``local-zone … nodefault``: clients live in the
    documentation networks. The rest says where it runs: its address and directory, in the foreground as root, its log on stderr,
    no control socket.
    """
    directory = fresh(f"unbound-{address}")
    config = directory / "unbound.conf"
    config.write_text("\n".join([
        "server:",
        f"  interface: {address}",
        "  access-control: 127.0.0.0/8 allow",
        f"  directory: {directory}",
        f"  pidfile: {directory}/unbound.pid",
        f"  root-hints: {ROOT_HINTS}",
        *(("  module-config: iterator",) if anchors is None else
          ('  module-config: "validator iterator"', f"  trust-anchor-file: {anchors}")),
        f"  num-threads: {threads}",
        f"  msg-cache-size: {cache}",
        f"  rrset-cache-size: {cache}",
        "  username: ''",
        "  chroot: ''",
        "  use-syslog: no",
        "  logfile: ''",
        "  do-daemonize: no",
        *(f"  local-zone: {zone}. nodefault" for zone in REVERSE_ZONES),
        *more,
        "remote-control:",
        "  control-enable: no",
        "",
    ]))
    return Daemon(f"unbound {address}", ["unbound", "-d", "-c", str(config)], side,
                  lambda: answers_dns(side, address, "localhost", "A"))
