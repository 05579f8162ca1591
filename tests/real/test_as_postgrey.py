"""Greylisting beside real Postgrey: the same attempts at the same times get the same answers."""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from resolverd.greylist.decide import DAY, HOUR, Client, GreylistRules, Triplet, decide
from resolverd.greylist.triplet import network, triplet

pytestmark = pytest.mark.skipif(shutil.which("postgrey") is None, reason="needs postgrey")

RULES = GreylistRules(auto_allow_after=3)


class Try(NamedTuple):
    at: int
    client: str
    sender: str
    recipient: str


class Postgrey:
    """A Postgrey of our own on a socket of its own; it takes the time from `policy_test_time`."""

    def __init__(self, directory: Path) -> None:
        path = directory / "socket"
        (directory / "db").mkdir()
        self.process = subprocess.Popen(
            ["postgrey", f"--unix={path}", f"--dbdir={directory / 'db'}", "--user=root", "--group=root",
             f"--auto-whitelist-clients={RULES.auto_allow_after}",
             "--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise
                time.sleep(0.02)
        self.stream = self.socket.makefile("rwb")

    def ask(self, attempt: Try) -> str:
        attributes = {
            "request": "smtpd_access_policy", "client_address": attempt.client, "client_name": "mx.example.com",
            "sender": attempt.sender, "recipient": attempt.recipient, "policy_test_time": attempt.at,
        }  # fmt: skip
        self.stream.write("".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n")
        self.stream.flush()
        action = self.stream.readline().decode().strip()
        assert self.stream.readline() == b"\n"
        if action.startswith("action=DEFER_IF_PERMIT Greylisted"):
            return "wait"
        if delayed := re.match(r"action=PREPEND X-Greylist: delayed (\d+) seconds", action):
            return f"delayed {delayed[1]}"
        assert action == "action=DUNNO"
        return "pass"

    def close(self) -> None:
        self.socket.close()
        self.process.kill()  # it would wait for its clients, and its database is thrown away
        self.process.wait()


class Ours:
    """The decisions alone, over two dicts; nothing expires, as in Postgrey between its nightly cleanings."""

    def __init__(self) -> None:
        self.triplets: dict[bytes, Triplet] = {}
        self.clients: dict[str, Client] = {}

    def ask(self, attempt: Try) -> str:
        key = triplet(network(ip_address(attempt.client)), attempt.sender, attempt.recipient)
        seen, client = self.triplets.get(key), self.clients.get(attempt.client)
        decision = decide(attempt.at, seen, client, RULES)
        if decision.triplet is not None:
            self.triplets[key] = decision.triplet
        if decision.client is not None:
            self.clients[attempt.client] = decision.client
        outcome = decision.outcome
        if outcome.missing:
            return "wait"
        return f"delayed {outcome.delayed}" if outcome.state == "passed" else "pass"


@pytest.fixture(scope="module")
def postgrey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgrey]:
    if os.geteuid() != 0:
        pytest.skip("postgrey wants root to take its user")
    server = Postgrey(tmp_path_factory.mktemp("postgrey"))
    with contextlib.closing(server):
        yield server


SENDERS = (
    "", "bob", "bob@example.com", "BOB@Example.com", "bob+tag@example.com", "bob+other@example.com",
    "bounce-123-xy@example.com", "bounce-77-xy@example.com", "b123@example.com", "b_77@example.com", "b_78@example.com",
    "prvs=0123456789=bob@example.com", "prvs=bob=0123456789@example.com", "prvs=abc=def@example.com", "prvs=x=y==@example.com",
    "prvs==z@example.com", "prvs=one@example.com", "a/b@example.com", "1@2.example", "a@b@example.com", "jos\u00e91@example.com",
)  # fmt: skip
CLIENTS = ("192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
STEPS = (0, 0, 1, 1, 60, 173, 299, 300, 301, HOUR - 1, HOUR, 2 * HOUR, DAY, 2 * DAY - 300, 2 * DAY, 2 * DAY + 1)


@pytest.mark.parametrize("seed", range(20))
def test_same_answers(postgrey: Postgrey, seed: int) -> None:
    """Random stories of a few senders, clients and recipients."""
    chance = random.Random(seed)
    # Clients of this story only: what others earned elsewhere would count here.
    clients = [f"10.{seed}.{host}" for host in ("1.1", "1.2", "2.1")]
    clients += [f"2001:db8:{seed:x}:{host}" for host in (":1", ":2", "1::1")]
    senders = chance.sample(SENDERS, 4)
    ours = Ours()
    at = int(time.time()) - 30 * DAY
    for _ in range(200):
        at += chance.choice(STEPS)
        attempt = Try(at, chance.choice(clients), chance.choice(senders), chance.choice(["c@example.org", "D@example.org"]))
        assert ours.ask(attempt) == postgrey.ask(attempt), attempt


def test_same_senders_are_one(postgrey: Postgrey) -> None:
    """Each sender with each other: the delay that is told shows whether the first try was the other's."""
    ours = Ours()
    start = int(time.time())
    for number, (first, second) in enumerate(product(SENDERS, repeat=2)):
        for seconds, sender, expected in ((0, first, "wait"), (60, second, "wait"), (360, second, None)):
            attempt = Try(start + seconds, f"2001:db8:ffff:{number:x}::1", sender, "c@example.org")
            answer = postgrey.ask(attempt)
            assert ours.ask(attempt) == answer, (first, second)
            assert expected in (None, answer)
