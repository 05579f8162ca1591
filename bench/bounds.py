"""What the costliest work that strangers make costs beside ordinary work, and how soon the daemon ends: `python -m bench.bounds`.

Ratios of CPU time, so that the machine hardly matters; tests hold the same work by counting steps (`tests.work`). The end is
a share of the 2 seconds that it may take, in real time.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from bench.measure import machine, table
from resolverd.greylist.allow_files import read_clients
from resolverd.greylist.expressions import Expression
from resolverd.mail.lookups import DnsLookup, DnsReply, Records
from resolverd.resolver.iterator import scrub
from resolverd.spf import SpfSubject, check_host, follow
from resolverd.spf.record import parse as parse_spf
from resolverd.wire import codes, message, rdata
from resolverd.wire.alabels import in_ascii
from resolverd.wire.names import ROOT, from_text, lower
from tests import work
from tests.first_verdict import first_and_others
from tests.running import REQUEST, Running

TIMES = 5
"""How often each is measured; what counts is the best."""


def cost(of: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """CPU seconds of a call, the best of some; `before` each it is got ready."""
    best = float("inf")
    for _ in range(TIMES):
        before()
        begun = time.process_time()
        of()
        best = min(best, time.process_time() - begun)
    return best


def read(octets: bytes) -> Callable[[], object]:
    """Reading a message, whatever it is."""
    def reading() -> None:
        with contextlib.suppress(message.Malformed):
            message.parse(octets)

    return reading


def delegated(servers: int) -> Callable[[], object]:
    """Reading a referral with its glue."""
    octets = work.delegation(servers)

    def reading() -> None:
        reply = message.parse(octets)
        ns = scrub.referral(reply, from_text("evil"), ROOT)
        assert ns is not None
        assert len(scrub.glue(reply, tuple(rdata.target(codes.NS, each) for each in ns.rdatas), ROOT)) == servers

    return reading


def evaluated(records: dict[str, str]) -> Callable[[], object]:
    """An SPF evaluation by these TXT records, which begins anew with each answer."""
    known = {lower(from_text(each.split()[0])): text.encode() for each, text in records.items()}
    subject = SpfSubject(ip_address("192.0.2.7"), "example.com", "joe@example.com", "mail.example.com")

    def evaluating() -> None:
        replies: dict[DnsLookup, DnsReply] = {}
        while (progress := follow(check_host(subject), replies)).outcome is None:
            (lookup, *_) = progress.wanted
            text = known[lookup.name]
            strings = (text[at : at + 255] for at in range(0, len(text), 255))
            replies[lookup] = Records((rdata.text(*strings),), 300)

    return evaluating


def often(of: Callable[[], object]) -> Callable[[], object]:
    """A call that is too short to be measured alone, a hundred times."""
    def calling() -> None:
        for _ in range(100):
            of()

    return calling


def searched(pattern: str, text: str) -> float:
    """CPU seconds of a search by an expression that has met nothing yet, the best of some."""
    fresh = iter([Expression(pattern) for _ in range(TIMES)])
    return cost(lambda: next(fresh).search(text))


def ratios() -> Iterator[tuple[str, str, float]]:
    """What costs, beside what, and how many times as much."""
    honest = read(work.sound_names(4500))
    yield "message: pointer staircase of 8000", "4500 sound names", cost(read(work.staircase(8000))) / cost(honest)
    yield "message: 4500 faulty names", "4500 sound names", cost(read(work.faulty_names(4500))) / cost(honest)

    yield "delegation to 1500 servers", "to 750", cost(delegated(1500)) / cost(delegated(750))

    longest, ordinary = (evaluated(each("example.com")) for each in (work.longest_spf, work.ordinary_spf))
    yield "SPF: the longest records", "20 addresses", cost(longest, parse_spf.forget) / cost(ordinary, parse_spf.forget)

    for pattern, text in work.BUSY:
        whole, half = searched(pattern, text), searched(pattern, text[: len(text) // 2])
        yield f"expression: {pattern[:24]}", "half the text", whole / half

    large, small = (read_clients(work.allow_file(size))[0] for size in (20_000, 20))
    client = ip_address("192.0.2.1")
    looks = [cost(often(partial(each.holds, client, "mx.example.net"))) for each in (large, small)]
    yield "allow file: 20 000 clients", "20 clients", looks[0] / looks[1]

    names = [cost(often(partial(in_ascii, name))) for name in (*work.LONG_NAMES, work.ORDINARY_NAME)]
    yield "A-labels: the costliest name", "an ordinary one", max(names[:-1]) / names[-1]


def first_verdict(folder: Path) -> float:
    """The first verdict after a start, as a factor of those after it."""
    runs = [first_and_others("seconds", folder) for _ in range(TIMES)]
    return min(first / statistics.median(others) for first, others in runs)


def end(folder: Path, *, zone: bool) -> float:
    """The share of two seconds that the daemon takes to end, amid requests or amid the reading of a large zone."""
    if zone:
        (folder / "zones").mkdir()
        hosts = "".join(f"h{number} A 192.0.2.1\n" for number in range(200_000))
        (folder / "zones" / "large.test.zone").write_text(f"$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n{hosts}")
    running = Running(folder)
    with socket.create_connection(("127.0.0.1", running.ports["policy"]), 5) as client:
        client.sendall(REQUEST)
        with socket.create_connection(("127.0.0.1", running.ports["DNS"]), 5):
            begun = time.monotonic()
            if running.end():
                raise SystemExit(f"the daemon ended badly:\n{running.log.read_text()}")
            return (time.monotonic() - begun) / 2


def main() -> None:
    """Measure and print the table."""
    rows = [(what, beside, f"{ratio:.2f}") for what, beside, ratio in ratios()]
    with tempfile.TemporaryDirectory() as folder:
        rows.append(("first verdict after a start", "later ones", f"{first_verdict(Path(folder)):.2f}"))
    for what, zone in (("end amid requests", False), ("end while a zone is read", True)):
        with tempfile.TemporaryDirectory() as folder:
            rows.append((what, "2 s", f"{end(Path(folder), zone=zone):.2f}"))
    print(f"times as much, best of {TIMES}, {machine()}")
    print(table(("", "beside", ""), rows))


if __name__ == "__main__":
    main()
