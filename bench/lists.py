"""Queries that leave for lists, for 1000 connections: resolverd, fast and frugal, beside the tutorial's Postfix over Unbound.

`python -m bench.lists`. A log of 20 000 connections is generated, as many as the lists' free use allows in five hours (100 000
a day): Zipf over clients, the mix of a public mail server. resolverd plays it on virtual time, the whole service with a small
internet in place of the network; a real Unbound answers what Postfix would ask, in the order of the tutorial's main.cf, in
the lab, with time and the lists' TTLs both a sixtieth of what they are. Same three lists (zen, dbl, dnswl), same entries.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import dns.message
import dns.query
import msgspec

from bench.measure import in_the_lab, table
from resolverd.app.service import Service
from resolverd.config.settings import DnsblSettings, HttpSettings, ResolverSettings, Settings
from resolverd.mail.findings import Action
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes, render
from resolverd.wire.ask import Ask, Reply
from resolverd.wire.message import parse
from resolverd.wire.names import to_text
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.lists import LISTS, Entry
from tests.lab.unbound import unbound
from tests.networks import AsyncNetwork
from tests.unit.virtualtime import VirtualLoop

CONNECTIONS = 20_000
HOURS = 4.8
HURRY = 60
"""Unbound's time runs so much faster."""

ZEN, DBL, DNSWL = "zen.spamhaus.org", "dbl.spamhaus.org", "list.dnswl.org"
TTLS = {ZEN: 60, DBL: 60, DNSWL: 3600}


SERVERS = {ZEN: "45.90.0.1", DBL: "45.91.0.1", DNSWL: "45.94.0.1"}


class Client(NamedTuple):
    """A client: what it is called by the DNS ("" if by nothing), and by itself; `domains` it sends for."""

    address: str
    name: str
    helo: str
    domains: tuple[str, ...]
    spam: bool


class Connection(NamedTuple):
    """One connection: seconds from the start."""

    at: float
    client: Client
    sender: str


class Log(NamedTuple):
    """The connections in order, and what each list has: by zone, the subject and the code."""

    connections: list[Connection]
    entries: Mapping[str, dict[str, str]]


def generate(seed: int = 1, count: int = CONNECTIONS) -> Log:
    """The log of so many connections, as dense as that of all. 95 % are spam; of its clients two thirds are on zen, a third has
    no name, 15 % of its domains are on dbl; two fifths of the good clients are on dnswl."""
    rng = random.Random(seed)
    entries: dict[str, dict[str, str]] = {ZEN: {}, DBL: {}, DNSWL: {}}
    spam_domains = [f"offer{n}.com" for n in range(2000)]
    for domain in spam_domains:
        if rng.random() < 0.15:
            entries[DBL][domain] = "127.0.1.2"
    spammers, senders = [], []
    for n in range(6000):
        address = f"81.{n % 200}.{n // 200}.{rng.randrange(1, 255)}"
        name = "" if rng.random() < 0.35 else f"host{n}.provider{n % 300}.net"
        domains = tuple(rng.choices(spam_domains, k=3))
        spammers.append(Client(address, name, name or f"pc{n}.offer{n % 2000}.com", domains, True))
        if rng.random() < 0.66:
            entries[ZEN][address] = rng.choices(("127.0.0.4", "127.0.0.10", "127.0.0.3", "127.0.0.2"), (6, 2, 1, 1))[0]
    for n in range(600):
        address = f"91.{n % 200}.{n // 200}.{rng.randrange(1, 255)}"
        senders.append(Client(address, f"mx{n}.company{n}.org", f"mx{n}.company{n}.org", (f"company{n}.org",), False))
        if rng.random() < 0.4:
            entries[DNSWL][address] = "127.0.5.1"
    crowds = {True: (spammers, _zipf(len(spammers), 0.9)), False: (senders, _zipf(len(senders), 1.1))}
    connections = []
    for at in sorted(rng.uniform(0, HOURS * 3600 * count / CONNECTIONS) for _ in range(count)):
        crowd, weights = crowds[rng.random() < 0.95]
        client = rng.choices(crowd, cum_weights=weights)[0]
        connections.append(Connection(at, client, f"x@{rng.choice(client.domains)}"))
    return Log(connections, entries)


def _zipf(count: int, exponent: float) -> list[float]:
    return list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))


# -- resolverd


class Internet(AsyncNetwork):
    """A network in which the root answers for everybody but the three lists; counts what each list is asked."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.asked: Counter[str] = Counter()
        self.names = {ip_address(c.client.address).reverse_pointer: c.client.name for c in log.connections}
        self.hosts = {c.client.name: c.client.address for c in log.connections if c.client.name}

    async def exchange(self, ask: Ask) -> Reply:
        """The reply to one question, after 20 ms."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(0.02)
        query = dns.message.from_wire(render.question(0, 0, ask.qname, ask.qtype, ask.edns_size, ask.dnssec))
        name = to_text(ask.qname).removesuffix(".")
        zone = next((zone for zone in self.log.entries if name.endswith("." + zone)), "")
        if zone and str(ask.server.address) != SERVERS[zone]:
            data = _referral(query, zone).to_wire()
        else:
            data = self.answer(query, name, zone, ask.qtype).to_wire()
        return Reply(parse(data), None, loop.time(), loop.time() - begun, len(data))

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """Nothing gets lost here."""
        return False

    def answer(self, query: dns.message.Message, name: str, zone: str, rtype: int) -> dns.message.Message:
        """What a list says, or what the root says, which has everything else in it."""
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if zone:
            self.asked[zone] += 1
        data = self.look(name.removesuffix("." + zone), zone, rtype) if zone else self.record(name, rtype)
        if data is None:
            if zone or rtype == codes.PTR:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            ttl = TTLS.get(zone, 300)
            reply.authority.append(dns.rrset.from_text(f"{zone}.", ttl, "IN", "SOA", f"ns. admin. 1 600 300 86400 {ttl}"))
        else:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, TTLS.get(zone, 3600), "IN", rtype, data))
        return reply

    def look(self, prefix: str, zone: str, rtype: int) -> str | None:
        """What a list says of a subject."""
        subject = prefix if zone == DBL else ".".join(reversed(prefix.split(".")))
        if subject in ("127.0.0.2", "dbltest.com"):
            return {ZEN: "127.0.0.2", DBL: "127.0.1.2", DNSWL: "127.0.10.0"}[zone]
        if zone == DBL:
            subject = ".".join(subject.split(".")[-2:])
        return self.log.entries[zone].get(subject)

    def record(self, name: str, rtype: int) -> str | None:
        """What the rest of the internet says: names lead forth and back, every domain takes mail, nobody has SPF."""
        if name.endswith(".arpa"):
            found = self.names.get(name)
            return f"{found}." if found and rtype == codes.PTR else None
        if name == "" and rtype == codes.NS:
            return "a.root-servers.net."
        return {codes.A: self.hosts.get(name, "203.0.113.80"), codes.MX: f"10 {name}."}.get(rtype)


def _referral(query: dns.message.Message, zone: str) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.authority.append(dns.rrset.from_text(f"{zone}.", 86400, "IN", "NS", f"ns.{zone}."))
    reply.additional.append(dns.rrset.from_text(f"ns.{zone}.", 86400, "IN", "A", SERVERS[zone]))
    return reply


class LoopClock:
    """The loop's own time, for other threads too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def monotonic(self) -> float:
        """Seconds of the loop."""
        return self._loop.time()

    def wall(self) -> float:
        """The same, in our days."""
        return self._loop.time() + 1_800_000_000


def attempt_of(number: int, connection: Connection) -> Attempt:
    """What smtpd says of a connection."""
    client = connection.client
    return Attempt(
        client_address=IPv4Address(client.address), client_name=client.name or "unknown",
        reverse_client_name=client.name or "unknown", helo_name=client.helo, sender=connection.sender, has_sender=True,
        recipient="anna@our-company.org", instance=f"{number:x}",
    )  # fmt: skip


def play(log: Log, strategy: str) -> tuple[Counter[str], dict[str, int], Counter[str], list[int]]:
    """The log through the whole service: queries by list, those accounted for, actions, milliseconds of each verdict."""

    async def run() -> tuple[Counter[str], dict[str, int], Counter[str], list[int]]:
        internet = Internet(log)
        unsigned = ResolverSettings(trust_anchors=Path(os.devnull))  # as the internet is here
        settings = msgspec.structs.replace(
            Settings(), resolver=unsigned, dnsbl=DnsblSettings(strategy=strategy), http=HttpSettings()  # type: ignore[arg-type]
        )
        service = Service(settings, internet, MemoryStore(), LoopClock(), Counters())
        service.start()
        await asyncio.sleep(30)
        begun = asyncio.get_running_loop().time()
        actions: Counter[str] = Counter()
        times: list[int] = []

        async def one(number: int, connection: Connection) -> None:
            verdict = await service.runtime.policy.verdict_on(attempt_of(number, connection), record=True)
            what = "refused" if verdict.action is Action.REJECT else "not refused"
            actions[f"{'spam' if connection.client.spam else 'good'} {what}"] += 1
            times.append(verdict.ms)

        tasks = set()
        for number, connection in enumerate(log.connections):
            await asyncio.sleep(max(0.0, begun + connection.at - asyncio.get_running_loop().time()))
            task = asyncio.create_task(one(number, connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        await asyncio.sleep(10)
        accounted = {zone: service.runtime.engine.asked(name) for name, zone in _IDS.items()}
        await service.aclose()
        return internet.asked, accounted, actions, times

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


_IDS = {"spamhaus-zen": ZEN, "spamhaus-dbl": DBL, "dnswl": DNSWL}


# -- the tutorial


def ask(name: str, rdtype: str, sock: socket.socket) -> bool:
    """Whether a name has such records; asked as smtpd does, one after the other."""
    reply = dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.2", timeout=5, sock=sock)
    return bool(reply.answer)


def tutorial(connection: Connection, sock: socket.socket) -> bool:
    """Whether the tutorial's restrictions refuse; its order, and TXT after each listing (smtpd_check.c)."""
    client = connection.client
    if not client.name:
        return True                                        # reject_unknown_reverse_client_hostname comes before the lists
    for domain in dict.fromkeys((client.helo, client.name, connection.sender.partition("@")[2])):
        if ask(f"{domain}.{DBL}", "A", sock):
            return ask(f"{domain}.{DBL}", "TXT", sock)
    reverse = ".".join(reversed(client.address.split(".")))
    if ask(f"{reverse}.{DNSWL}", "A", sock):
        return False
    return ask(f"{reverse}.{ZEN}", "A", sock) and ask(f"{reverse}.{ZEN}", "TXT", sock)


def through_unbound(lab: Lab, log: Log, daemon: Daemon) -> Counter[str]:
    """The log as Postfix asks it; queries by list, as they left."""
    asked: Counter[str] = Counter()
    with lab.tap() as tap, lab.running(daemon), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        servers = {str(ip_address(address)): each.zone for each in LISTS for address in lab.lists[each.zone].addresses}
        begun = time.monotonic()
        for connection in log.connections:
            time.sleep(max(0.0, begun + connection.at / HURRY - time.monotonic()))
            tutorial(connection, sock)
            asked.update(servers[query.server] for query in tap.queries() if query.server in servers)
    return asked


def furnish(lab: Lab, log: Log) -> None:
    """Give the lab's lists the log's entries, and TTLs a sixtieth of what they are."""
    for zone, entries in log.entries.items():
        server = lab.lists[zone]
        own: list[Entry] = [(f".{subject}" if zone == DBL else subject, code, "listed") for subject, code in entries.items()]
        server.stop()
        server.details = replace(server.details, entries=(*own, *server.details.entries), ttl=max(1, TTLS[zone] // HURRY))
        server.heal()


def run() -> None:
    """Play the log in each way and print the table."""
    log = generate()
    rows = []
    for strategy in ("fast", "frugal"):
        asked, accounted, actions, times = play(log, strategy)
        assert asked == Counter(accounted), (asked, accounted)
        times.sort()
        rows.append((f"resolverd, {strategy}", asked, actions, times))
        print(f"{strategy}: {dict(actions)}", file=sys.stderr)
    results = {name: asked for name, asked, _, _ in rows}
    with Lab() as lab:
        furnish(lab, log)
        for name, more in (("tutorial over Unbound", ()), ("the same, no minimisation", ("  qname-minimisation: no",))):
            results[name] = through_unbound(lab, log, unbound("127.0.0.2", lab.mail, more=more))
    distinct = len({connection.client.address for connection in log.connections})
    print(f"{CONNECTIONS} connections of {distinct} clients in {HOURS} hours; queries to the lists' servers for 1000 connections")
    latency = {name: times for name, _, _, times in rows}
    lines = []
    for name, asked in results.items():
        each = [f"{asked[zone] * 1000 / CONNECTIONS:.0f}" for zone in (ZEN, DBL, DNSWL)]
        times = latency.get(name, [])
        spread = [f"{times[len(times) // 2]}", f"{times[len(times) * 99 // 100]}"] if times else ["", ""]
        lines.append((name, *each, f"{sum(asked.values()) * 1000 / CONNECTIONS:.0f}", *spread))
    print(table(("", "zen", "dbl", "dnswl", "together", "p50 ms", "p99 ms"), lines))


if __name__ == "__main__":
    in_the_lab("bench.lists", run)
