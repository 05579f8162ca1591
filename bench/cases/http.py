"""Verdicts over HTTP beside rspamd: clients that both know, ten lists, one worker, connections kept alive."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cases.policy import PRODUCTION
from bench.harness import OURS, RATE, Case, Figures, Turns, at_least, spending
from bench.measure import serving
from bench.policy_load import CONNECTIONS, MEDIAN, SENDERS, TAIL, letters
from tests.lab import rspamd
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, LabError, use_nameserver
from tests.lab.resolverd import HTTP, get, resolverd
from tests.lab.unbound import unbound

SECONDS = 3
DISTINCT = 1000
"""Requests that differ, in turns: mail of six clients, each time from another mailbox."""

PEERS = Path(__file__).parents[1] / "peers"

TEN_LISTS = f"{PRODUCTION}\n" + "".join(
    f"[lists.{name}]\nenabled = true\n" for name in ("spamcop", "psbl", "mailspike", "barracuda", "uribl", "surbl")
) + '[lists.own]\nzone = "rbl.small-list.net"\nkinds = ["ip4", "ip6"]\nnumber = 110\n'  # fmt: skip
"""Besides zen, dbl and dnswl, which are asked by default."""

MESSAGE = (
    "Received: from {name} ({name} [{address}])\r\n\tby mx.our-company.org (Postfix) with ESMTPS id 4XyzAb1cDe\r\n"
    "\tfor <anna@our-company.org>; Mon, 01 Jun 2026 10:00:00 +0000 (UTC)\r\n"
    "From: The Office <{sender}>\r\nTo: Anna <anna@our-company.org>\r\nSubject: Thursday's meeting\r\n"
    "Date: Mon, 01 Jun 2026 09:59:58 +0000\r\nMessage-ID: <{number}@{domain}>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=us-ascii\r\n\r\nDear Anna,\r\n\r\nshall we meet on Thursday at ten, as last week?\r\n"
    "\r\nKind regards\r\n"
)
"""What rspamd is given to look at; it scans messages only."""


class Request(NamedTuple):
    """One HTTP request, ready to be sent again and again."""

    path: str
    headers: Mapping[str, str]
    body: str


def verdicts() -> Iterator[Request]:
    """What resolverd is asked."""
    for number in range(DISTINCT):
        client = SENDERS[number % len(SENDERS)]
        attributes = {
            "client_address": client.address, "client_name": client.name, "reverse_client_name": client.name,
            "helo_name": client.name, "sender": f"{letters(number)}@{client.domain}", "recipient": "anna@our-company.org",
            "instance": f"{number:x}.a",
        }  # fmt: skip
        yield Request("/v1/verdict", {"Content-Type": "application/json"}, json.dumps(attributes))


def messages() -> Iterator[Request]:
    """The same for rspamd."""
    for number in range(DISTINCT):
        client = SENDERS[number % len(SENDERS)]
        sender = f"{letters(number)}@{client.domain}"
        headers = {"IP": client.address, "Helo": client.name, "Hostname": client.name, "From": sender,
                   "Rcpt": "anna@our-company.org", "Queue-Id": f"{number:X}"}
        yield Request("/checkv2", headers, MESSAGE.format(**client._asdict(), sender=sender, number=number))


def script(name: str, requests: Iterator[Request]) -> Path:
    """A script for wrk that sends these in turns, made before the clock runs."""
    file = LAB / f"{name}.lua"
    lines = ["local requests = {}", "local next = 0", "function init(args)"]
    for each in requests:
        headers = ", ".join(f"[{_lua(key)}] = {_lua(value)}" for key, value in each.headers.items())
        lines.append(f"  requests[#requests + 1] = wrk.format('POST', {_lua(each.path)}, {{{headers}}}, {_lua(each.body)})")
    lines += ["end", "function request()", "  next = next % #requests + 1", "  return requests[next]", "end", ""]
    file.write_text("\n".join(lines))
    return file


def _lua(text: str) -> str:
    return '"' + "".join(f"\\{ord(each):03}" if not each.isprintable() or each in '"\\' else each for each in text) + '"'


class Wrk(NamedTuple):
    """What wrk saw: requests, those that failed, milliseconds."""

    requests: int
    failed: int
    median: float
    tail: float


def wrk(url: str, lua: Path, seconds: int = SECONDS) -> Wrk:
    """Load a server. Raises LabError where a request fails."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", str(lua), url]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError("wrk is not installed: tests/install-peers") from error
    seen = read(done.stdout)
    if done.returncode or seen.failed:
        raise LabError(f"wrk: {done.stdout}{done.stderr}")
    return seen


def read(output: str) -> Wrk:
    """Read what wrk prints. Raises LabError where something is missing."""
    requests = re.search(r"(\d+) requests in", output)
    quantiles = {share: float(value) * _MS[unit] for share, value, unit in re.findall(r"(\d+)% +([\d.]+)(us|ms|s|m)\b", output)}
    if requests is None or not {"50", "99"} <= quantiles.keys():
        raise LabError(f"wrk did not say what came of it:\n{output}")
    failed = sum(map(int, re.findall(r"(?:responses:|connect|read|write|timeout) (\d+)", output)))
    return Wrk(int(requests[1]), failed, quantiles["50"], quantiles["99"])


_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@contextmanager
def run() -> Iterator[Turns]:
    """Both warm; behind rspamd stands an Unbound, as its makers want it: that one's time is not counted."""
    use_nameserver("127.0.0.2")
    with Lab() as lab, lab.running(unbound("127.0.0.2", lab.mail)):
        theirs = rspamd.rspamd(lab.mail, PEERS / "rspamd", 'type = "console";\nlevel = "warning";\n')
        ours = resolverd(lab.mail, TEN_LISTS)
        with serving(theirs, ours):
            given = {OURS: (ours, HTTP, script(OURS, verdicts())), "rspamd": (theirs, rspamd.URL, script("rspamd", messages()))}
            for _, url, lua in given.values():
                wrk(url, lua, 2)
            if (asked := sum(state["asked"] > 0 for state in get("/v1/lists")["lists"])) != 10:
                raise LabError(f"{asked} lists were asked, not ten")

            def turn(daemon: Daemon, url: str, lua: Path) -> Figures:
                with spending(daemon.pid) as spent:
                    seen = wrk(url, lua)
                return {**spent.figures(seen.requests), MEDIAN: seen.median, TAIL: seen.tail}

            yield {name: (lambda each=each: turn(*each)) for name, each in given.items()}


CASES = (
    Case("http-verdict", "HTTP verdicts, cached, beside rspamd's /checkv2 with the same ten lists and one worker", run,
         (at_least(3.0, RATE, "rspamd"),), peers=("rspamd", "wrk", "unbound"),
         note="wrk, ten connections kept alive, mail of six known clients. rspamd has all off that resolverd has no counterpart "
              "for (bench/peers/rspamd), and the time of the Unbound behind it is not counted."),
)
