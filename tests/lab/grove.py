"""A generated tree, running: NSD for what is healthy, the faulty servers with an NSD behind them, and resolvers asked of it all.

`python -m tests.lab.grove FILE` asks resolverd, Unbound and PowerDNS Recursor every name of the tree, with empty caches and
then again, and writes what they said into FILE. It has namespaces to itself: a tree has a root of its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.lab import namespace, wire
from tests.lab.daemon import Daemon
from tests.lab.faults import BEHIND, faulty
from tests.lab.grower import Named, Tree
from tests.lab.namespace import LabError, Side, localise
from tests.lab.nsd import nsd
from tests.lab.pdns import pdns
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.tree import tree
from tests.lab.unbound import unbound

RESOLVERS = {"resolverd": "127.0.0.1", "unbound": "127.0.0.2", "pdns": "127.0.0.3"}
"""The three and where they listen."""

ROUNDS = ("cold", "warm")

RESOLVER_ONLY = CONFIG.replace("[resolver]\n", "[resolver]\ndnssec = false\n") + "\n[dnsbl]\nenabled = false\n"
"""resolverd as a resolver only, without validation as the other two: nothing of its own makes it ask the tree."""

PATIENCE = 10.0
"""Seconds after which a question counts as not answered. Asked again every five, as libc does: Unbound drops an answer that
took it long, but remembers it."""

LINES = 128
"""Zones asked at once. The names of one zone come one after another: what a resolver knows of a server by then does not
depend on chance. Where nothing is to be had but time-outs, all come at once behind the first."""

Outcome = list[Any]
"""What a resolver made of a name, for comparing: its RCODE and the set of its answer's records; one for every failure."""

FAILURE: Outcome = ["SERVFAIL", []]


class Grove:
    """A tree's servers, started; a context manager."""

    def __init__(self, grown: Tree, rtt: float = 0.0) -> None:
        """Make the servers, `rtt` seconds of round trip away from the resolvers."""
        if not namespace.inside():
            raise LabError("not inside a lab's namespaces: python -m tests.lab enter -- COMMAND")
        self.mail = self.internet = Side("mail")
        self.way_out = wire.DEVICE if rtt else "lo"
        self.daemons: list[Daemon] = []
        if rtt:
            self.internet = namespace.split()
            self.daemons.append(wire.between(self.mail, self.internet, rtt))
            self.daemons[0].start()
        world = grown.world
        localise(self.internet, world.local_addresses())
        programs: dict[str, dict[str, str]] = {"empty": {}, "behind": {}}
        for program, zones in world.carried.items():
            if program.startswith("list "):
                continue                      # rbldnsd's (`rbldnsd.ListServer`)
            name = "behind" if program.startswith("fault ") else program
            programs.setdefault(name, {}).update({zone.name: world.zone_text(zone) for zone in zones})
        self.daemons += [
            nsd(program, world.addresses(program), zones, self.internet)
            for program, zones in programs.items() if world.addresses(program)
        ]
        if grown.faulty:
            self.daemons.append(faulty(grown.faulty, self.internet))

    def __enter__(self) -> Self:
        try:
            for daemon in self.daemons:
                if not daemon.running():
                    daemon.launch()
            for daemon in self.daemons:
                daemon.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every server."""
        for daemon in reversed(self.daemons):
            daemon.stop()

    def check(self) -> None:
        """Raise LabError where a faulty server has a fault that it should not have: a bug of ours."""
        for daemon in self.daemons:
            if daemon.name == "faults" and "Traceback" in daemon.log_path.read_text():
                raise LabError(f"the faulty servers fail:\n{daemon.log_tail()}")

    def resolver(self, name: str) -> Daemon:
        """Make one of the three resolvers, with nothing in its cache."""
        if name == "resolverd":
            return resolverd(self.mail, RESOLVER_ONLY)
        return {"unbound": unbound, "pdns": pdns}[name](RESOLVERS[name], self.mail)


class _Client(asyncio.DatagramProtocol):
    """Asks one resolver over one socket; answers are told apart by their IDs."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def datagram_received(self, data: bytes, _: object) -> None:
        future = self.waiting.get(data[:2])
        if future is not None and not future.done():
            future.set_result(data)

    async def ask(self, ident: bytes, wire_: bytes) -> bytes | None:
        """The answer, or None after all patience."""
        future = self.waiting[ident] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(int(PATIENCE / 5)):
                self.transport.sendto(ident + wire_[2:])
                try:
                    return await asyncio.wait_for(asyncio.shield(future), 5.0)
                except TimeoutError:
                    continue
            return None
        finally:
            del self.waiting[ident]


async def ask(
    address: str, names: Sequence[Named], hopeless: frozenset[str]
) -> list[tuple[dns.message.Message | None, float]]:
    """Ask a resolver all names, over TCP too where UDP is too small; what it said (None: nothing) and how long it took."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_datagram_endpoint(_Client, remote_addr=(address, 53))
    answers: dict[int, tuple[dns.message.Message | None, float]] = {}
    zones: dict[str, list[int]] = {}
    for number, each in enumerate(names):
        zones.setdefault(_zone(each.name), []).append(number)
    turns = asyncio.Semaphore(LINES)

    async def one(number: int) -> None:
        query = dns.message.make_query(names[number].name, names[number].rdtype, use_edns=0, payload=1232)
        began = loop.time()
        wire_ = await client.ask(number.to_bytes(2), query.to_wire())
        try:
            message = dns.message.from_wire(wire_) if wire_ is not None else None
            if message is not None and message.flags & dns.flags.TC:
                message = await dns.asyncquery.tcp(query, address, timeout=PATIENCE)
        except (dns.exception.DNSException, OSError, EOFError):
            message = None
        answers[number] = message, loop.time() - began

    async def line(zone: str, numbers: list[int]) -> None:
        async with turns:
            if zone in hopeless:
                await one(numbers[0])
                await asyncio.gather(*map(one, numbers[1:]))
                return
            for number in numbers:
                await one(number)

    # Those that take long first, so that the others run beside them.
    ordered = sorted(zones.items(), key=lambda zone: (not names[zone[1][0]].broken, len(zone[1])))
    await asyncio.gather(*(line(*each) for each in ordered))
    client.transport.close()
    return [answers[number] for number in range(len(names))]


def outcome(message: dns.message.Message | None) -> Outcome:
    """Put what was said in a form that can be compared."""
    if message is None or message.rcode() == dns.rcode.SERVFAIL:
        return FAILURE
    records = sorted(
        {f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}".lower() for rrset in message.answer for rdata in rrset}
    )
    return [dns.rcode.to_text(message.rcode()), records]


def said_error(message: dns.message.Message | None) -> str:
    """What a failure says of itself (RFC 8914)."""
    options = [] if message is None else message.options
    return "; ".join(each.text for each in options if isinstance(each, dns.edns.EDEOption) and each.text)


async def _all_three(temperature: str, grown: Tree) -> dict[str, list[tuple[Outcome, str]]]:
    async def one(name: str) -> list[tuple[Outcome, str]]:
        began = time.monotonic()
        answers = await ask(RESOLVERS[name], grown.names, grown.hopeless)
        print(f"{temperature} {name}: {len(answers)} names in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        return [(outcome(message), said_error(message)) for message, _ in answers]

    return dict(zip(RESOLVERS, await asyncio.gather(*map(one, RESOLVERS)), strict=True))


def _truth(grown: Tree) -> list[Outcome | None]:
    """What the zones of faulty servers say of each name when nobody spoils it; None for names of other zones."""
    zones = {zone for _, zone, _ in grown.faulty}
    known = {number: each for number, each in enumerate(grown.names) if _zone(each.name) in zones}
    answers = dict(zip(known, asyncio.run(ask(BEHIND, list(known.values()), frozenset())), strict=True))
    return [outcome(answers[number][0]) if number in answers else None for number in range(len(grown.names))]


def _zone(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def main() -> int:
    """Grow, ask, write; give the exit status."""
    if not namespace.inside():
        return namespace.enter([sys.executable, "-m", "tests.lab.grove", *sys.argv[1:]])
    grown = tree()
    result: dict[str, Any] = {}
    with Grove(grown) as grove, ExitStack() as running:
        for name in RESOLVERS:
            daemon = grove.resolver(name)
            daemon.start()
            running.callback(daemon.stop)
        for temperature in ROUNDS:
            result[temperature] = asyncio.run(_all_three(temperature, grown))
        result["truth"] = _truth(grown)
        grove.check()
    Path(sys.argv[1]).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
