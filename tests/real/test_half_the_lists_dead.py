"""The policy service while half of the lists hang: who comes first waits for them, the others do not."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

from bench.policy_load import Sender, request
from tests.lab.lab import Lab
from tests.lab.resolverd import CONFIG, resolverd

SIX = CONFIG + "".join(f"[lists.{name}]\nenabled = true\n" for name in ("spamcop", "psbl", "mailspike"))
REQUESTS = 1000


def _wait(number: int) -> float:
    """Seconds for the verdict on a client that no list has been asked about, up to the two hundredth."""
    client = Sender(f"203.0.113.{number % 200 + 30}", "mail.honest-mail.com", "gardening-club.org")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", 10023), 10) as sock:
        sock.sendall(request(client, number))
        assert sock.recv(4096).startswith(b"action=")
    return time.monotonic() - began


def test_no_more_than_one_in_a_hundred_waits(lab: Lab) -> None:
    dead = [lab.lists[zone] for zone in ("zen.spamhaus.org", "psbl.surriel.com", "list.dnswl.org")]
    with lab.running(resolverd(lab.mail, SIX)), ThreadPoolExecutor(2) as pool:
        try:
            for each in dead:
                each.silence()
            took = sorted(pool.map(_wait, range(REQUESTS)))
        finally:
            for each in dead:
                each.heal()
    assert took[-1] < 8  # the hard stop, which Postfix is told to outwait
    assert took[REQUESTS * 99 // 100] <= 1
