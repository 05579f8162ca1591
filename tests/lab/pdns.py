"""PowerDNS Recursor: the third opinion where resolverd and Unbound are compared."""

from __future__ import annotations

from tests.lab.daemon import Daemon, answers_dns, fresh
from tests.lab.namespace import Side
from tests.lab.world import ROOT_HINTS


def pdns(address: str, side: Side, source: str = "0.0.0.0, ::") -> Daemon:
    """Make a PowerDNS Recursor on `address`, port 53; else as its defaults are.

    ``threads``, ``pdns-distributes-queries``: one thread that receives and answers, as resolverd has one. ``dnssec=off``: the
    internet here is not signed, and nobody beside it validates. ``query-local-address``: IPv6 too; the default is IPv4 alone.
    ``hint-file``: this internet's root. ``security-poll-suffix=``: nobody of the project's is there to be asked. ``loglevel``,
    ``quiet``: no line a question. ``lua-config-file``: an empty one, lest Debian's own be read, which sets trust anchors. The
    rest says where it runs: its address and directory, in the foreground, its log on stderr.
    """
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
