"""What a client waits while resolverd reads a changed list of a million entries (a look every 2 s included).

`python -m bench.rereading [FORMAT…]`. The list has one entry at first; somebody asks all the time for the last of the million.
"""

from __future__ import annotations

import shutil
import socket
import sys
import time
from statistics import median

import dns.message

from bench.cases.zones import ENTRIES, FORMATS, ZONE, ours, written
from bench.measure import in_the_lab, machine, table
from tests.lab.namespace import LAB, LabError, Side

PATIENCE = 120.0


def while_reading(form: str) -> tuple[float, float, float]:
    """Seconds until a changed file counts, and what a client waits meanwhile at most, and usually, in ms."""
    single, whole, _ = written(form)
    side = Side("mail")
    daemon = ours(side, form, single)
    daemon.start()
    try:
        target = LAB / "resolverd" / "zones" / f"{ZONE}.{form}"
        fuller = target.with_suffix(".tmp")
        shutil.copy(whole, fuller)
        last = whole.read_text().splitlines()[-1]
        fuller.rename(target)
        query = dns.message.make_query(f"{FORMATS[form].name(last)}.{ZONE}", "A", use_edns=0).to_wire()
        waits: list[float] = []
        begun = time.monotonic()
        with side.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", 53))
            while time.monotonic() - begun < PATIENCE:
                sent = time.monotonic()
                sock.send(query)
                reply = dns.message.from_wire(sock.recv(4096))
                waits.append(time.monotonic() - sent)
                if reply.answer:
                    return time.monotonic() - begun, 1000 * max(waits), 1000 * median(waits)
                time.sleep(0.002)
    finally:
        daemon.stop()
    raise LabError(f"{form}: the changed file does not count after {PATIENCE:.0f} s")


def run() -> None:
    """Measure the formats and print the table."""
    rows = []
    for form in sys.argv[1:] or FORMATS:
        took, longest, usual = while_reading(form)
        rows.append((form, f"{took:.1f}", f"{usual:.1f}", f"{longest:.1f}"))
    print(f"{ENTRIES:,} entries in random order, {machine()}")
    print(table(("", "in force after s", "usual wait ms", "longest wait ms"), rows))


if __name__ == "__main__":
    in_the_lab("bench.rereading", run)
