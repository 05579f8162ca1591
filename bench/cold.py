"""Names that nobody has asked for yet: names a second, CPU time and queries a name, and the round trips of one client's names.

`python -m bench.cold [NAMES]`. resolverd beside Unbound and PowerDNS Recursor with one thread each, on a generated internet in
which nothing is broken: every turn with a fresh process, all in one run, the three taking turns. Then, with a round trip of
20 ms to the internet, how many of them a reverse name costs, and after it the addresses of that name, asked side by side.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import dns.asyncquery
import dns.message
import dns.rcode

from bench.measure import cpu_seconds, in_the_lab, machine, table
from tests.lab.grove import RESOLVERS, Grove
from tests.lab.grower import Named
from tests.lab.namespace import LAB, LabError
from tests.lab.tap import Tap
from tests.lab.tree import healthy

TURNS = 3

COUNTED = 1000
"""Names for which the queries are counted, in a turn of their own: the count costs time."""

RTT = 0.020

NETWORKS = 8
"""Networks whose reverse names are asked, each with a reverse zone and a zone of its own."""


class Turn(NamedTuple):
    """One run of dnsperf through a file, against an empty cache."""

    names: int
    failed: int
    seconds: float
    cpu: float


class Trip(NamedTuple):
    """What one reverse name and its addresses cost: round trips of each, queries of both."""

    pointer: float
    addresses: float
    queries: int


def turn(grove: Grove, name: str, names: Sequence[Named]) -> Turn:
    """Ask a fresh resolver every name once."""
    file = LAB / "names"
    file.write_text("".join(f"{each.name} {each.rdtype}\n" for each in names))
    daemon = grove.resolver(name)
    daemon.start()
    try:
        before = cpu_seconds(daemon.pid)
        done = subprocess.run(["dnsperf", "-s", RESOLVERS[name], "-d", str(file), "-n", "1", "-c", "4", "-T", "1", "-q", "100",
                               "-e"], capture_output=True, text=True)
        cpu = cpu_seconds(daemon.pid) - before
    finally:
        daemon.stop()
    if done.returncode:
        raise LabError(f"dnsperf: {done.stderr}")
    answered = sum(map(int, re.findall(r"(?:NOERROR|NXDOMAIN) (\d+)", done.stdout)))
    seconds = re.search(r"Run time \(s\):\s+([\d.]+)", done.stdout)
    if not seconds:
        raise LabError(f"dnsperf did not say how long it took:\n{done.stdout}")
    return Turn(len(names), len(names) - answered, float(seconds[1]), cpu)


def queries(grove: Grove, name: str, names: Sequence[Named]) -> float:
    """Count what a fresh resolver sends, a name."""
    daemon = grove.resolver(name)
    daemon.start()
    try:
        with Tap(grove.mail, grove.way_out) as tap:
            for start in range(0, len(names), 100):
                asyncio.run(_resolve(RESOLVERS[name], [(each.name, each.rdtype) for each in names[start : start + 100]]))
            return len(tap.queries()) / len(names)
    finally:
        daemon.stop()


def trips(grove: Grove, name: str, networks: Sequence[tuple[str, str]]) -> list[Trip]:
    """Ask a fresh resolver for one reverse name of each network, one after another, and for its addresses."""
    daemon = grove.resolver(name)
    daemon.start()
    found = []
    try:
        time.sleep(10 * RTT)                  # what it asks by itself at its start is nobody's cost
        with Tap(grove.mail, grove.way_out) as tap:
            tap.queries()
            for reverse, host in networks:
                pointer = asyncio.run(_resolve(RESOLVERS[name], [(reverse, "PTR")]))
                addresses = asyncio.run(_resolve(RESOLVERS[name], [(host, "A"), (host, "AAAA")]))
                time.sleep(5 * RTT)           # what goes on behind the answer belongs to this name
                found.append(Trip(pointer / RTT, addresses / RTT, len(tap.queries())))
    finally:
        daemon.stop()
    return found


async def _resolve(address: str, questions: Sequence[tuple[str, str]]) -> float:
    """Ask side by side; the seconds until all are answered. Raises LabError where one is not."""
    began = time.perf_counter()
    replies = await asyncio.gather(*(
        dns.asyncquery.udp(dns.message.make_query(*question), address, timeout=10) for question in questions))
    seconds = time.perf_counter() - began
    for reply in replies:
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise LabError(f"{address} failed:\n{reply}")
    return seconds


def rates() -> None:
    """Measure names a second and print the table."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    grown = healthy(size)
    turns: dict[str, list[Turn]] = {name: [] for name in RESOLVERS}
    with Grove(grown) as grove:
        for _ in range(TURNS):
            for name in RESOLVERS:
                turns[name].append(turn(grove, name, grown.names))
        sent = {name: queries(grove, name, grown.names[:COUNTED]) for name in RESOLVERS}
    total = {name: Turn(*map(sum, zip(*each, strict=True))) for name, each in turns.items()}
    rate = {name: each.names / each.seconds for name, each in total.items()}
    cpu = {name: each.cpu / each.names * 1e6 for name, each in total.items()}
    print(f"{size} names in {len(grown.world.zones)} zones, none known; {TURNS} turns each with a fresh process, servers and "
          f"dnsperf on the same {machine()}")
    print(table(("", "names/s", "CPU µs/name", "queries/name", "failed"), [
        *((name, f"{rate[name]:,.0f}", f"{cpu[name]:.0f}", f"{sent[name]:.2f}", str(total[name].failed)) for name in RESOLVERS),
        *((f"resolverd / {name}", f"{rate['resolverd'] / rate[name]:.2f}", f"{cpu['resolverd'] / cpu[name]:.2f}",
           f"{sent['resolverd'] / sent[name]:.2f}", "") for name in RESOLVERS if name != "resolverd"),
    ]), flush=True)


def round_trips() -> None:
    """Measure round trips and print the table. In namespaces of its own, since it splits them in two."""
    grown = healthy(0, NETWORKS)
    pointers = {zone.name: zone.records for zone in grown.world.zones.values() if zone.name.endswith(".200.45.in-addr.arpa")}
    networks = [(f"1.{zone}", records.split("\n")[0].split()[2].rstrip(".")) for zone, records in pointers.items()]
    first: dict[str, list[Trip]] = {name: [] for name in RESOLVERS}
    later: dict[str, list[Trip]] = {name: [] for name in RESOLVERS}
    with Grove(grown, rtt=RTT) as grove:
        for _ in range(TURNS):
            for name in RESOLVERS:
                nothing_known, *registries_known = trips(grove, name, networks)
                first[name].append(nothing_known)
                later[name] += registries_known
    print(f"\nA reverse name, then A and AAAA of its name; {RTT * 1000:.0f} ms to the internet; medians, in round trips")
    rows = []
    for title, measured in (("nothing known", first), ("registries known", later)):
        for name in RESOLVERS:
            middle = Trip(*(statistics.median(column) for column in zip(*measured[name], strict=True)))
            rows.append((f"{title}: {name}", f"{middle.pointer:.1f}", f"{middle.addresses:.1f}",
                         f"{middle.pointer + middle.addresses:.1f}", f"{middle.queries:.0f}"))
    print(table(("", "PTR", "A, AAAA", "together", "queries"), rows), flush=True)


def run() -> None:
    """Measure everything."""
    if sys.argv[-1] == "round-trips":
        round_trips()
        return
    rates()
    done = subprocess.run([sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "bench.cold", "round-trips"])
    if done.returncode:
        raise LabError("the round trips could not be measured")


if __name__ == "__main__":
    in_the_lab("bench.cold", run)
