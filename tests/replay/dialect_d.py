"""Dialect D: step by step, each question a synchronous exchange; an unscripted query fails the scenario.

Ours on top of it: `list-zone: ZONE` (a DNS list) and `forward-zone: ZONE` (what `forward-addr` is for, beside `stub-addr`) in
the header, and `MATCH TCP` in a question that comes over TCP.
"""

import asyncio
import itertools
from ipaddress import ip_network
from pathlib import Path

import dns.flags
import dns.message

from resolverd.wire import message, render
from resolverd.wire.ask import Ask, Failed, Reply
from resolverd.wire.names import from_text
from tests.networks import AsyncNetwork

from . import match, rpl
from .stack import Stack, question, root_hints, settings

_LOCALHOST = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Header:
    """A header's ``key: value`` lines."""

    def __init__(self, lines: list[str]):
        self.values: dict[str, list[str]] = {}
        for line in lines:
            line = line.split("#")[0]
            key, _, value = line.partition(":")
            value = value.split(";")[0] if key.strip() != "features" else value
            self.values.setdefault(key.strip(), []).append(value.strip().strip('"'))

    def one(self, key: str, default: str = "") -> str:
        return self.values.get(key, [default])[-1]

    def on(self, key: str, default: bool) -> bool:
        return self.one(key, "yes" if default else "no") in ("yes", "on")

    @property
    def features(self) -> dict[str, str]:
        pairs = (each.split("=") for line in self.values.get("features", []) for each in line.split(";") if "=" in each)
        return {key.strip(): value.strip() for key, value in pairs}

    @property
    def minimisations(self) -> list[bool]:
        return [self.on("query-minimization", True)] if "query-minimization" in self.values else [True, False]


class Network(AsyncNetwork):
    def __init__(self, scenario: rpl.Scenario, clock: object):
        self.scenario = scenario
        self.step = 0
        self.unscripted: list[str] = []
        self.asked: list[str] = []
        self._mentioned = {address for each in scenario.ranges for address in each.addresses}

    async def exchange(self, ask: Ask) -> Reply:
        loop = asyncio.get_running_loop()
        server = str(ask.server.address)
        packet = render.question(0, 0x100 if ask.recursion else 0, ask.qname, ask.qtype, ask.edns_size, ask.dnssec)
        query = dns.message.from_wire(packet)
        self.asked.append(f"step {self.step}: {server} {query.question[0].to_text()} {ask.transport.value}")
        entry = self._find(server, query)
        if entry is None and server not in self._mentioned and self._mentioned:
            # Packets to servers that are mentioned nowhere vanish.
            await asyncio.sleep(ask.timeout)
            return Reply(None, Failed.TIMEOUT, loop.time(), ask.timeout)
        if entry is None:
            self.unscripted.append(self.asked[-1])
            data = _answer(rpl.Entry(reply=["QR", "SERVFAIL"], adjust=["copy_id", "copy_query"]), query)
        elif "do_not_answer" in entry.adjust:
            await asyncio.sleep(ask.timeout)
            return Reply(None, Failed.TIMEOUT, loop.time(), ask.timeout)
        else:
            entry.used = True
            if "copy_id" not in entry.adjust and entry.raw is None:
                return Reply(None, Failed.SPOOFED, loop.time(), 0.0)
            data = entry.raw if entry.raw is not None else _answer(entry, query)
        try:
            return Reply(message.parse(data), None, loop.time(), 0.001, len(data))
        except message.Malformed:
            return Reply(None, Failed.MALFORMED, loop.time(), 0.001, len(data))

    def _find(self, server: str, query: dns.message.Message) -> rpl.Entry | None:
        for each in self.scenario.ranges:
            if each.first <= self.step <= each.last and (not each.addresses or server in each.addresses):
                return next((entry for entry in each.entries if match.query_matches(entry, query)), None)
        for step in self.scenario.steps:
            unused = step.kind == "REPLY" and step.number >= self.step and step.entry and not step.entry.used
            if unused and step.entry and match.query_matches(step.entry, query):
                return step.entry
        return None


def _answer(entry: rpl.Entry, query: dns.message.Message) -> bytes:
    out = entry.message()
    out.id = query.id
    if "copy_query" in entry.adjust or out.question:
        asked = query.question
        # The letter case of the question is copied with the ID.
        out.question = asked if "copy_query" in entry.adjust or out.question[0].name == asked[0].name else out.question
    if query.edns >= 0:
        out.use_edns(0, query.ednsflags, 4096)
        out.set_rcode(dns.rcode.Rcode(entry.rcode))
    else:
        out.use_edns(-1)
    return out.to_wire(max_size=65535)


async def play(scenario: rpl.Scenario, folder: Path, clock: object, minimise: bool, seed: int = 1) -> tuple[list[str], Network]:
    """Play it; what went wrong, and the network with its log."""
    header = Header(scenario.header)
    changes: dict[str, dict[str, object]] = {
        "resolver": {
            "qname_minimisation": minimise,
            "qname_minimisation_type": "NS",
            "edns_size": 4096,
            "harden_glue": header.on("harden-glue", True),
            "ipv4": header.on("do-ip4", True) and not header.on("force-ipv6", False),
            "ipv6": header.on("do-ip6", True),
            "do_not_query": _LOCALHOST if header.on("do-not-query-localhost", True) else (),
        },
        "cache": {},
    }
    for key in ("min_ttl", "max_ttl"):
        if key in header.features:
            changes["cache"][key] = float(header.features[key])
    hints = root_hints(folder, header.one("stub-name", "k.root-servers.net"), [header.one("stub-addr", "193.0.14.129")])
    if forward := header.one("forward-addr"):
        changes["resolver"]["forward"] = _forward(forward, header.one("forward-zone", "."))
    network = Network(scenario, clock)
    lists = frozenset(from_text(zone) for zone in header.values.get("list-zone", []))
    stack = Stack(settings(hints, **changes), network, clock, seed, list_zones=lists)  # type: ignore[arg-type]
    faults: list[str] = []
    reply: dns.message.Message | None = None
    idents = itertools.count(1)
    try:
        for step in scenario.steps:
            network.step = step.number
            if step.kind == "QUERY":
                assert step.entry is not None
                if step.entry.raw is not None:
                    await stack.ask(step.entry.raw)
                    continue
                try:
                    packet = question(step.entry, next(idents), 4096, True)
                    data = await asyncio.wait_for(stack.ask(packet, udp="TCP" not in step.entry.match), 5)
                    reply = dns.message.from_wire(data) if data else None
                except TimeoutError:
                    reply = None
                    faults.append(f"step {step.number}: no answer within 5 s")
            elif step.kind == "CHECK_ANSWER":
                assert step.entry is not None
                if reply is not None:
                    faults += [f"step {step.number}: {fault}" for fault in match.strictly(step.entry, reply)]
            elif step.kind == "TIME_PASSES":
                await asyncio.sleep(float(step.words[1]))
            elif step.kind not in ("REPLY", "CHECK_OUT_QUERY"):
                raise ValueError(f"step {step.kind}")
        entries = [entry for each in scenario.ranges for entry in each.entries]
        faults += [f"never asked: {entry.question}" for entry in entries if entry.mandatory and not entry.used]
        faults += [f"unscripted query: {query}" for query in network.unscripted]
    finally:
        await stack.aclose()
    return faults, network


def _forward(address: str, zone: str) -> tuple[object, ...]:
    from ipaddress import ip_address

    from resolverd.config.settings import Forward
    from resolverd.wire.ask import Server

    return (Forward(zone=zone, servers=(Server(ip_address(address)),)),)
