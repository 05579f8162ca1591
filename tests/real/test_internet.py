"""resolverd, Unbound and PowerDNS Recursor on an internet in bad shape, in one run: nobody resolves more of it than resolverd.

The short form of `python -m bench.internet`, with one packet in five lost.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = 200


def test_nobody_resolves_more_where_packets_get_lost() -> None:
    argv = [sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "bench.internet", str(NAMES), "0.2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[0] in ("resolverd", "unbound", "pdns")]
    failed = {name: int(number) for name, number, *_ in rows}
    queries = {name: float(number) for name, *_, number in rows}
    assert failed["resolverd"] <= min(failed.values()), done.stdout
    assert failed["resolverd"] <= NAMES // 100, done.stdout
    assert queries["resolverd"] <= 1.5 * max(queries.values()), done.stdout
