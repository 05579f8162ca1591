"""PowerDNS Recursor: the third opinion where resolverd and Unbound are compared."""

from __future__ import annotations

from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import Side
from tests.lab.world import ROOT_HINTS


def pdns(address: str, side: Side, source: str = "0.0.0.0, ::") -> Daemon:
    """Make a PowerDNS Recursor on `address`, port 53: one thread, no validation, IPv6 too; else as its defaults are."""
    directory = fresh(f"pdns-{address}")
    (directory / "recursor.conf").write_text("\n".join([
        f"local-address={address}",
        f"query-local-address={source}",
        f"hint-file={ROOT_HINTS}",
        f"socket-dir={directory}",
        f"lua-config-file={directory}/none.lua",
        "dnssec=off",
        "threads=1",
        "pdns-distributes-queries=no",
        "security-poll-suffix=",
        "loglevel=4",
        "quiet=yes",
        "daemon=no",
        "disable-syslog=yes",
        "write-pid=no",
        "",
    ]))
    (directory / "none.lua").write_text("")
    return Daemon(f"pdns {address}", ["pdns_recursor", f"--config-dir={directory}"], side,
                  lambda: answers_dns(side, address, "localhost", "A"))
