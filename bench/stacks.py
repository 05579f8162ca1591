"""How long a client waits for its answer: the tutorial's stack beside resolverd's, the internet 20 ms away.

`python -m bench.stacks [TIMES]`. Measured is one SMTP session from the connection to the reply to RCPT, for clients that nobody
has asked about before (new; the first also pays for the way from the root), and for the same ones again (known, the median of
so many). The session's own round trips, five, are in it.
"""

from __future__ import annotations

import statistics
import sys
import time

from bench.measure import in_the_lab, machine, table
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.smtp import Session

RTT = 0.020
STACKS = ("tutorial", "resolverd")
# All have a reverse name: without one the tutorial's Postfix refuses before it asks any list.
KINDS = (
    ("honest", "192.0.2.10", "mail.honest-mail.com", "{n}@honest-mail.com"),
    ("no SPF", "192.0.2.20", "mx.gardening-club.org", "{n}@gardening-club.org"),
    ("news", "198.51.100.10", "out.friendly-news.com", "{n}@friendly-news.com"),
    ("listed", "192.0.2.66", "mail.spam-factory.net", "{n}@spam-factory.net"),
    ("allowed", "198.51.100.50", "mx.trusted-bank.com", "{n}@trusted-bank.com"),
    ("IPv6", "2001:db8:10::10", "mail.honest-mail.com", "six{n}@honest-mail.com"),
)


def wait(lab: Lab, address: str, helo: str, sender: str) -> float:
    """Seconds from the connection to the word on the recipient."""
    began = time.perf_counter()
    with Session(address, lab.internet) as session:
        session.say(f"EHLO {helo}")
        session.say(f"MAIL FROM:<{sender}>")
        session.say(f"RCPT TO:<{RECIPIENT}>")
        took = time.perf_counter() - began
        session.say("QUIT")
    return took


def run() -> None:
    """Measure both stacks and print the table."""
    again = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = []
    took: dict[tuple[str, str], list[float]] = {}
    with Lab(rtt=RTT) as lab:
        for stack in STACKS:
            with lab.stack(stack):
                for kind, address, helo, sender in KINDS:
                    took[stack, kind] = [wait(lab, address, helo, sender.format(n=f"n{number}")) for number in range(1 + again)]
    for kind, *_ in KINDS:
        new = {stack: took[stack, kind][0] * 1000 for stack in STACKS}
        known = {stack: statistics.median(took[stack, kind][1:]) * 1000 for stack in STACKS}
        rows.append((kind, *(f"{each[stack]:.0f}" for each in (new, known) for stack in STACKS)))
    print(f"ms from the connection to the word on the recipient, {RTT * 1000:.0f} ms of round trip, {machine()}")
    print(table(("client", "new: tutorial", "new: resolverd", "known: tutorial", "known: resolverd"), rows))


if __name__ == "__main__":
    in_the_lab("bench.stacks", run)
