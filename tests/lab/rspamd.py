"""rspamd as Debian has it, with contrib/rspamd laid into its configuration: a scanner that takes messages over HTTP."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.lab.daemon import Daemon, fresh
from tests.lab.namespace import ROOT, Side

URL = "http://127.0.0.1:11333"


LOGGING = 'type = "console";\nlevel = "info";\ndebug_modules = ["monitored", "rbl"];\n'


def rspamd(side: Side, local: Path = ROOT / "contrib" / "rspamd", logging: str = LOGGING) -> Daemon:
    """Make an rspamd with one worker that asks the nameserver of resolv.conf; `local` is laid over Debian's configuration."""
    directory = fresh("rspamd")
    shutil.chown(directory, "_rspamd", "_rspamd")
    shutil.copytree(local, directory / "etc")
    parts = directory / "etc" / "local.d"
    parts.mkdir(exist_ok=True)
    (parts / "logging.inc").write_text(logging)
    (parts / "worker-normal.inc").write_text('bind_socket = "127.0.0.1:11333";\ncount = 1;\n')
    for other in ("controller", "proxy", "fuzzy"):
        (parts / f"worker-{other}.inc").write_text("enabled = false;\ncount = 0;\n")
    names = {"LOCAL_CONFDIR": directory / "etc", "DBDIR": directory, "RUNDIR": directory, "LOGDIR": directory}
    argv = ["rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", *(f"--var={name}={value}" for name, value in names.items())]
    return Daemon("rspamd", argv, side, ready)


def ready() -> bool:
    """Say whether the scanner takes messages."""
    try:
        with urllib.request.urlopen(f"{URL}/ping", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def symbols(address: str, helo: str, sender: str, text: str = "Hello.\r\n") -> dict[str, float]:
    """Give the symbols that a message of this client gets, with their scores."""
    message = f"From: <{sender}>\r\nTo: <anna@our-company.org>\r\nSubject: hello\r\n\r\n{text}"
    headers = {"IP": address, "Helo": helo, "From": sender, "Rcpt": "anna@our-company.org"}
    request = urllib.request.Request(f"{URL}/checkv2", data=message.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        found: dict[str, Any] = json.load(reply)["symbols"]
    return {name: symbol["score"] for name, symbol in found.items()}
