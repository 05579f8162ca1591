"""resolverd, as in production: `serve` with a configuration file, on the ports that a mail server's machine gives it."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from tests.lab.daemon import Daemon, fresh
from tests.lab.namespace import ROOT, Side
from tests.lab.unbound import REVERSE_ZONES

HTTP = "http://127.0.0.1:8053"

CONFIG = f"""
[dns]
listen = ["127.0.0.1:53", "[::1]:53"]

[resolver]
trust_anchors = "/dev/null"       # the internet here is not signed
builtin_except = {json.dumps(REVERSE_ZONES)}

[store]
url = "disk:state"

[greylist]
delay = "1s"

[policy]
listen = ["127.0.0.1:10023"]

[http]
listen = "127.0.0.1:8053"
"""
"""What the lab changes against the defaults: the ports of production, a delay that a test can wait for, and the reverse
zones of the documentation networks, where the lab's mail clients live."""


def resolverd(side: Side, config: str = CONFIG, *, name: str = "resolverd") -> Daemon:
    """Make a resolverd with `config` (TOML); its state is kept in a directory of its name."""
    directory = fresh(name)
    file = directory / "config.toml"
    file.write_text(config)
    return Daemon(name, [sys.executable, "-m", "resolverd", "serve", "-c", str(file)], side, lambda: ready(side),
                  {"PYTHONPATH": str(ROOT)})


def ready(side: Side) -> bool:
    """Say whether the daemon calls itself ready: it listens, and the root answers it."""
    try:
        with side.entered(), urllib.request.urlopen(f"{HTTP}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def get(path: str) -> Any:
    """Ask the running daemon over HTTP and give the JSON of its answer."""
    with urllib.request.urlopen(HTTP + path, timeout=10) as reply:
        return json.load(reply)

