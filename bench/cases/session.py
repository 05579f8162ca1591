"""A new client's SMTP session through real Postfix, every DNS server 20 ms away: the tutorial's stack beside ours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.cases.policy import PRODUCTION
from bench.harness import OURS, Case, Figures, Turns, at_most
from bench.measure import cpu_seconds, processes
from bench.newcomers import Newcomer, newcomers, world_with
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.namespace import LabError
from tests.lab.postfix import Postfix
from tests.lab.smtp import Session

RTT = 0.020
WARM, MEASURED = 6, 12
"""Clients a turn. By the first ones registries, hosters and lists are known; what a client's own names cost is left."""
AGAIN = 5

TRIPS = "round trips beyond the session's own"
KNOWN = "round trips, client seen before"
HELPERS = "CPU ms of all helpers a client"
QUERIES = "queries a client"

TUTORIAL = "tutorial"


@contextmanager
def run() -> Iterator[Turns]:
    """Every turn starts a stack anew, with empty caches, so the same clients are new to it again."""
    clients = newcomers(WARM + MEASURED)
    with Lab(RTT, world_with(clients)) as lab:
        postfix = Postfix("bare", lab.mail)
        with lab.running(postfix):
            bare = statistics.median([_session(lab, client) for client in clients][WARM:])
        yield {OURS: partial(_turn, lab, "resolverd", clients, bare), TUTORIAL: partial(_turn, lab, TUTORIAL, clients, bare)}


def _session(lab: Lab, client: Newcomer) -> float:
    """Seconds from the connection to the word on the recipient."""
    began = time.perf_counter()
    with Session(client.address, lab.internet) as session:
        session.say(f"EHLO {client.name}")
        session.say(f"MAIL FROM:<info@{client.domain}>")
        reply = session.say(f"RCPT TO:<{RECIPIENT}>")
        took = time.perf_counter() - began
        session.say("QUIT")
    if reply.code >= 500:
        raise LabError(f"{client.name} was refused: {reply}")
    return took


def _turn(lab: Lab, stack: str, clients: Sequence[Newcomer], bare: float) -> Figures:
    with lab.stack(stack, config=PRODUCTION) as postfix:
        for client in clients[:WARM]:
            _session(lab, client)
        time.sleep(2)                                         # what a start goes on with by itself is done then
        before = _helpers(lab, postfix)
        with lab.tap() as tap:
            new = [_session(lab, client) for client in clients[WARM:]]
            queries = len(tap.queries())
        used = sum(after - before.get(pid, 0.0) for pid, after in _helpers(lab, postfix).items())
        known = [_session(lab, client) for client in clients[-AGAIN:]]
    return {
        TRIPS: (statistics.median(new) - bare) / RTT, KNOWN: (statistics.median(known) - bare) / RTT,
        HELPERS: used * 1000 / MEASURED, QUERIES: queries / MEASURED,
    }


def _helpers(lab: Lab, postfix: Postfix) -> dict[int, float]:
    """CPU seconds so far of what answers Postfix, by process: resolverd; or Unbound, Postgrey and each smtpd's policyd-spf."""
    spawned = [pid for pid in processes(postfix.daemon.pid) if _is_policyd_spf(pid)]
    servers = [each.pid for each in lab.daemons if each is not postfix.daemon and each.name != "wire"]
    return {pid: cpu_seconds(pid) for pid in (*servers, *spawned)}


def _is_policyd_spf(pid: int) -> bool:
    """Whether a process is one itself, and not the spawn(8) that has started it, whose time has its in it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2] == [b"/usr/bin/policyd-spf"]
    except OSError:
        return False


CASES = (
    Case("smtp-session", "A new client's SMTP session through real Postfix, the internet 20 ms away, beside the tutorial's stack",
         run, (at_most(3.5, TRIPS, None), at_most(1.0, HELPERS, TUTORIAL)), turns=3,
         peers=("postfix", "unbound", "postgrey", "postfix-policyd-spf-python"),
         note=f"Medians over {MEASURED} clients, each with a domain of its own; what a session takes where Postfix asks nobody "
              "is left out. Registries, hosters and lists are known. The tutorial: Postfix's own, Unbound, Postgrey, "
              "policyd-spf."),
)
