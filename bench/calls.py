"""Files and calls that a cached answer, a miss and a policy request pass through, as the running daemon counts them.

`python -m bench.calls [CHECKOUT…]`. Each checkout's own daemon serves in the lab, with a profiler in it that counts calls of
Python functions below ``resolverd/``, and each time that a generator goes on. A miss is a name whose zone's servers are known:
one query to one server. The policy request is one whose every answer is cached, from a client that greylisting knows. A new
client is one that nobody has asked about, as smtpd gives its names; one without names is the same where it gives none.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import dns.message
import dns.query

from bench.measure import in_the_lab, machine, table
from bench.newcomers import newcomers, world_with
from bench.policy_load import Sender, new_triplets
from bench.policy_load import request as request_of
from tests.lab.daemon import Daemon, fresh, until
from tests.lab.lab import Lab
from tests.lab.namespace import ROOT, LabError, Side, use_nameserver
from tests.lab.resolverd import CONFIG, ready

TIMES = 20
"""How often each is counted; what is told is the median."""
_WARM = 6
"""New clients before those that are counted: registries and hosters are known then."""

_COUNTING = """
import collections, json, os, runpy, signal, sys, threading
calls = collections.Counter()
inside = os.path.join(sys.argv.pop(1), "resolverd") + os.sep
def count(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith(inside):
        calls[frame.f_code.co_filename] += 1
def tell(number, frame):
    counted = dict(calls)
    with open("calls.new", "w") as file:
        json.dump(counted, file)
    os.replace("calls.new", "calls")
    calls.clear()
signal.signal(signal.SIGUSR2, tell)
threading.setprofile(count)
sys.setprofile(count)
sys.argv[0] = "resolverd"
runpy.run_module("resolverd", run_name="__main__")
"""


_NAMES = re.compile(rb"(?<=client_name)=.*\n")


class Passed(NamedTuple):
    """Files and calls passed through."""

    files: int
    calls: int


class Counted:
    """A daemon of a checkout that counts."""

    def __init__(self, checkout: Path, side: Side):
        self._directory = fresh("counted")
        (self._directory / "config.toml").write_text(CONFIG)
        argv = [sys.executable, "-c", f"import os; os.chdir({str(self._directory)!r})\n{_COUNTING}", str(checkout),
                "serve", "-c", str(self._directory / "config.toml")]
        self.daemon = Daemon("counted", argv, side, partial(ready, side), {"PYTHONPATH": str(checkout)})

    def taken(self) -> dict[str, int]:
        """What has been counted since the last time."""
        file = self._directory / "calls"
        file.unlink(missing_ok=True)
        os.kill(self.daemon.pid, signal.SIGUSR2)
        if not any(file.exists() for _ in until(5)):
            raise LabError(f"the daemon tells nothing:\n{self.daemon.log_tail()}")
        counted: dict[str, int] = json.loads(file.read_text())
        return counted

    def passed(self, work: list[object]) -> Passed:
        """The median of the works' counts; what goes on by itself is kept apart by taking the fewest of the files."""
        found = []
        for each in work:
            self.taken()
            assert callable(each)
            each()
            time.sleep(0.05)  # what is done behind the answer belongs to it
            counted = self.taken()
            found.append(Passed(len(counted), sum(counted.values())))
        found.sort(key=lambda one: one.calls)
        return found[len(found) // 2]


def count(lab: Lab, checkout: Path) -> dict[str, Passed]:
    """Count in one checkout."""
    counted = Counted(checkout, lab.mail)
    with lab.running(counted.daemon):

        def ask(name: str) -> None:
            dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", timeout=5)

        def request(packet: bytes) -> None:
            with socket.create_connection(("127.0.0.1", 10023)) as connection:
                connection.sendall(packet)
                if not connection.recv(4096).endswith(b"\n\n"):
                    raise LabError("no reply to a policy request")

        ask("mail.honest-mail.com.")
        out = {"cached hit": counted.passed([lambda: ask("mail.honest-mail.com.")] * TIMES)}
        # Names that the zone denies: each costs one query, as one that exists does.
        misses = [lambda number=number: ask(f"none-{number}.honest-mail.com.") for number in range(TIMES)]
        out["miss"] = counted.passed(misses)
        packet = next(new_triplets())
        request(packet)
        time.sleep(1.5)  # the delay of greylisting
        request(packet)
        out["policy request"] = counted.passed([lambda: request(packet)] * TIMES)
        new = [request_of(Sender(*client), number) for number, client in enumerate(newcomers(2 * (_WARM + TIMES)))]
        named, unnamed = new[::2], [_NAMES.sub(b"=unknown\n", packet) for packet in new[1::2]]
        for what, packets in (("new client", named), ("new client without names", unnamed)):
            for each in packets[:_WARM]:
                request(each)
            out[what] = counted.passed([lambda packet=packet: request(packet) for packet in packets[_WARM:]])
    return out


def run() -> None:
    """Count in each checkout named, or in this one, and print the table."""
    checkouts = [Path(each).resolve() for each in sys.argv[1:]] or [ROOT]
    use_nameserver("127.0.0.1")
    with Lab(world=world_with(newcomers(2 * (_WARM + TIMES)))) as lab:
        counts = {checkout: count(lab, checkout) for checkout in checkouts}
    print(f"files/calls below resolverd/, median of {TIMES}, {machine()}")
    rows = [(what, *(f"{counts[each][what].files}/{counts[each][what].calls}" for each in checkouts))
            for what in next(iter(counts.values()))]
    print(table(("", *map(str, checkouts)), rows))


if __name__ == "__main__":
    in_the_lab("bench.calls", run)
