"""Names of an internet in bad shape: how many are not answered, how long the others take, and how many queries it costs.

`python -m bench.internet [NAMES [LOSS…]]`. resolverd beside Unbound and PowerDNS Recursor on `tests.lab.internet`: one server in
three dead, 10 to 300 ms away, some answers one or two seconds late, and 0, 5 and 20 % of the packets lost. All of a table in one
run; the three take turns, each with a fresh process, empty caches and the same names.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from bench.measure import in_the_lab, machine, table
from tests.lab import namespace
from tests.lab.daemon import Daemon
from tests.lab.grove import RESOLVER_ONLY, RESOLVERS
from tests.lab.internet import COUNTS, LOCAL, SOURCES, internet, names
from tests.lab.namespace import Side
from tests.lab.pdns import pdns
from tests.lab.resolverd import resolverd
from tests.lab.unbound import unbound

PATIENCE = 5.0
"""Seconds after which a client gives up: libc's first."""

AT_ONCE = 20


class Fared(NamedTuple):
    """How a resolver fared: names that it failed, seconds that the others took (median and 99th percentile), queries."""

    failed: int
    median: float
    p99: float
    queries: int


def play(side: Side, name: str, asked: list[str]) -> Fared:
    """Ask a fresh resolver every name once."""
    daemon = _resolver(side, name)
    daemon.start()
    try:
        time.sleep(0.5)
        before = _counted(name)
        took = asyncio.run(_ask_all(RESOLVERS[name], asked))
        time.sleep(0.5)
        queries = _counted(name) - before
    finally:
        daemon.stop()
    answered = sorted(seconds for seconds in took if seconds is not None)
    return Fared(len(asked) - len(answered), statistics.median(answered), answered[int(0.99 * len(answered))], queries)


def fare(loss: float, asked: list[str]) -> dict[str, Fared]:
    """Let each of the three ask for the same names, one after another."""
    side = Side("mail")
    servers = internet(side, loss)
    servers.start()
    try:
        return {name: play(side, name, asked) for name in RESOLVERS}
    finally:
        servers.stop()


def _resolver(side: Side, name: str) -> Daemon:
    if name == "resolverd":
        source = f'[resolver]\noutgoing_addresses = ["{SOURCES[name]}"]\nipv6 = false\n'
        return resolverd(side, RESOLVER_ONLY.replace("[resolver]\n", source))
    if name == "unbound":
        return unbound(RESOLVERS[name], side, more=(f"  outgoing-interface: {SOURCES[name]}", "  do-ip6: no"))
    return pdns(RESOLVERS[name], side, source=SOURCES[name])


def _counted(name: str) -> int:
    time.sleep(0.3)
    counts: dict[str, int] = json.loads(COUNTS.read_text())
    return counts[name]


async def _ask_all(address: str, asked: list[str]) -> list[float | None]:
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> float | None:
        async with places:
            began = time.perf_counter()
            try:
                reply = await dns.asyncquery.udp(dns.message.make_query(name, "A"), address, timeout=PATIENCE)
            except dns.exception.Timeout:
                return None
            good = reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)
            return time.perf_counter() - began if good else None

    return list(await asyncio.gather(*map(ask, asked)))


def run() -> None:
    """Measure and print a table for each rate of loss."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rates = [float(each) for each in sys.argv[2:]] or [0.0, 0.05, 0.2]
    namespace.localise(Side("mail"), LOCAL)
    print(f"{size} names, {AT_ONCE} at once; one server in three dead, 10 to 300 ms away; {machine()}")
    for number, loss in enumerate(rates):
        fared = fare(loss, names(size, number))
        print(table((f"{loss:.0%} lost", "failed", "median ms", "p99 ms", "queries/name"), [
            (name, str(each.failed), f"{each.median * 1000:.0f}", f"{each.p99 * 1000:.0f}", f"{each.queries / size:.2f}")
            for name, each in fared.items()
        ]), flush=True)


if __name__ == "__main__":
    in_the_lab("bench.internet", run)
