"""All mail through a lying way out: somebody answers every name, whatever server is asked; beside real Unbound."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab.daemon import Daemon
from tests.lab.liar import KINDS, captive, liar
from tests.lab.namespace import LAB, Side
from tests.lab.postfix import Postfix
from tests.lab.resolverd import CONFIG, HTTP, resolverd
from tests.lab.smtp import deliver
from tests.lab.unbound import unbound

QUESTIONS = ("www.example.com A", "example.com MX", "7.2.0.192.in-addr.arpa PTR", "no-such-name.net A")
UNBOUND = "127.0.0.2"
CHECKS = "".join(f'[checks.{name}]\naction = "reject"\n' for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl"))


@pytest.fixture(scope="module")
def sides() -> tuple[Side, Side]:
    return captive()


@pytest.fixture(scope="module")
def side(sides: tuple[Side, Side]) -> Side:
    return sides[0]


def readiness() -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{HTTP}/readyz", timeout=5) as reply:
            return reply.status, ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["detail"]
    except OSError:
        return 0, ""


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest, sides: tuple[Side, Side]) -> Iterator[Daemon]:
    """resolverd and Unbound, with a liar on their way out."""
    side, beyond = sides
    config = CONFIG.replace("[greylist]", "[greylist]\nenabled = false").replace(', "[::1]:53"', "") + CHECKS
    daemon = resolverd(side, config)

    def stands() -> bool:
        with side.entered():
            return readiness()[0] == 503

    daemon.ready = stands
    theirs = unbound(UNBOUND, side, more=["do-ip6: no"])
    theirs.ready = lambda: "start of service" in theirs.log_tail()
    with ExitStack() as stack:
        for each in (liar(request.param, beyond), daemon, theirs):
            each.start()
            stack.callback(each.stop)
        yield daemon


def dig(side: Side, server: str, question: str) -> str:
    command = ["dig", f"@{server}", "+time=9", "+tries=1", "+noall", "+comments", *question.split()]
    told = subprocess.run(side.command(command), capture_output=True, text=True, check=True).stdout
    return told.partition("status: ")[2].partition(",")[0]


def test_mail_passes_and_nobody_is_believed(side: Side, service: Daemon) -> None:
    for question in QUESTIONS:
        assert (dig(side, "127.0.0.1", question), dig(side, UNBOUND, question)) == ("SERVFAIL", "SERVFAIL"), question
    postfix = Postfix("policy", side)
    postfix.start()
    try:
        for number in range(3):
            delivery = deliver(f"192.0.2.{number + 7}", side, "mail.example.com", "user@example.com", "anna@our-company.org")
            assert delivery.accepted, str(delivery)
        assert len(postfix.delivered("anna@our-company.org", 3)) == 3
    finally:
        postfix.stop()
    with side.entered():
        status, reason = readiness()
    assert status == 503
    assert "somebody else answers in place of the root servers" in reason
    log = service.log_path.read_text()
    assert "somebody else answers in place of the root servers" in log
    assert "is port 53 intercepted on the way?" in log
    command = [sys.executable, "-m", "resolverd", "cache", "trace", "www.example.com", "-c", str(LAB / "resolverd/config.toml")]
    trace = subprocess.run(side.command(command), capture_output=True, text=True)
    assert " after 0 questions" not in trace.stdout
    assert "SERVFAIL" in trace.stdout, trace.stdout + trace.stderr
