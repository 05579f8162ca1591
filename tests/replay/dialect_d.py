"""Dialect D: step by step, each question a synchronous exchange; an unscripted query fails the scenario.

Ours on top of it: `list-zone: ZONE` (a DNS list) and `forward-zone: ZONE` (what `forward-addr` is for, beside `stub-addr`) in
the header, and `MATCH TCP` in a question that comes over TCP.
"""

import asyncio
import itertools
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from resolverd.config.settings import Forward
from resolverd.wire import message
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.names import from_text
from tests.networks import AsyncNetwork

from . import match, rpl, wire
from .stack import LOCALHOST, GivenClock, Stack, moment, outgoing, question, root_hints, settings, trust_anchors

_KEYS = frozenset({
    "stub-addr", "stub-name", "forward-addr", "forward-zone", "list-zone", "trust-anchor", "domain-insecure", "val-override-date",
    "val-override-timestamp", "query-minimization", "harden-glue", "do-not-query-localhost", "do-ip4", "do-ip6", "force-ipv6",
    "features", "feature-list",
})  # fmt: skip


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
        return self.one(key, "yes" if default else "no") in ("yes", "on", "true")

    @property
    def features(self) -> dict[str, str]:
        pairs = (each.split("=") for line in self.values.get("features", []) for each in line.split(";") if "=" in each)
        return {key.strip(): value.strip() for key, value in pairs}

    @property
    def minimisations(self) -> list[bool]:
        return [self.on("query-minimization", True)] if "query-minimization" in self.values else [True, False]


class Network(AsyncNetwork):
    def __init__(self, scenario: rpl.Scenario):
        self.scenario = scenario
        self.step = 0
        self.unscripted: list[str] = []
        self.asked: list[str] = []
        self._mentioned = {address for each in scenario.ranges for address in each.addresses}

    async def exchange(self, ask: Ask) -> Reply:
        loop = asyncio.get_running_loop()
        server = str(ask.server.address)
        query = wire.read(outgoing(ask))
        self.asked.append(f"step {self.step}: {server} {' '.join(map(str, query.question or ()))} {ask.transport.value}")
        entry = self._find(server, query, ask.transport is Transport.UDP)
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

    def _find(self, server: str, query: wire.Message, udp: bool) -> rpl.Entry | None:
        for each in self.scenario.ranges:
            if each.first <= self.step <= each.last and (not each.addresses or server in each.addresses):
                return next((entry for entry in each.entries if match.query_matches(entry, query, udp)), None)
        for step in self.scenario.steps:
            unused = step.kind == "REPLY" and step.number >= self.step and step.entry and not step.entry.used
            if unused and step.entry and match.query_matches(step.entry, query, udp):
                return step.entry
        return None


def _answer(entry: rpl.Entry, query: wire.Message) -> bytes:
    out = entry.message()
    out.ident = query.ident
    if "copy_query" in entry.adjust or (out.question and query.question and out.question[0] == query.question[0]):
        # The letter case of the question is copied with the ID.
        out.question = query.question
    out.edns, out.do, out.options = query.edns, query.do, entry.options or b""
    return out.to_wire()


def _configure(header: Header, folder: Path, minimise: bool) -> dict[str, dict[str, Any]]:
    """A header's meaning, as settings by section."""
    resolver: dict[str, Any] = {
        "qname_minimisation": minimise,
        "qname_minimisation_type": "NS",
        "edns_size": 4096,
        "harden_glue": header.on("harden-glue", True),
        "ipv4": header.on("do-ip4", True) and not header.on("force-ipv6", False),
        "ipv6": header.on("do-ip6", True),
        "do_not_query": LOCALHOST if header.on("do-not-query-localhost", True) else (),
        **trust_anchors(folder, header.values.get("trust-anchor", [])),
        "negative_trust_anchors": tuple(header.values.get("domain-insecure", [])),
    }
    if forward := header.one("forward-addr"):
        resolver["forward"] = (Forward(zone=header.one("forward-zone", "."), servers=(Server(ip_address(forward)),)),)
    cache = {key: float(header.features[key]) for key in ("min_ttl", "max_ttl") if key in header.features}
    return {"resolver": resolver, "cache": cache}


async def play(scenario: rpl.Scenario, folder: Path, clock: Any, minimise: bool, seed: int = 1) -> tuple[list[str], Network]:
    """Play it; what went wrong, and the network with its log."""
    header = Header(scenario.header)
    if date := header.one("val-override-date", header.one("val-override-timestamp")):
        clock.set_wall(moment(date))
    hints = root_hints(folder, header.one("stub-name", "k.root-servers.net"), [header.one("stub-addr", "193.0.14.129")])
    network = Network(scenario)
    lists = frozenset(from_text(zone) for zone in header.values.get("list-zone", []))
    stack = Stack(
        settings(hints, **_configure(header, folder, minimise)), network, clock, seed, list_zones=lists, clock_check=GivenClock()
    )
    faults = [f"header: {key} is unknown" for key in header.values if key not in _KEYS]
    reply: wire.Message | None = None
    idents = itertools.count(1)
    try:
        for step in scenario.steps:
            network.step = step.number
            if step.kind == "QUERY":
                assert step.entry is not None
                if step.entry.raw is not None:
                    await stack.ask(step.entry.raw)
                    continue
                reply = None
                try:
                    packet = question(step.entry, next(idents), 4096, True)
                    data = await asyncio.wait_for(stack.ask(packet, udp="TCP" not in step.entry.match), 5)
                    reply = wire.read(data) if data is not None else None
                except (TimeoutError, wire.Malformed) as error:
                    faults.append(f"step {step.number}: {str(error) or 'no answer within 5 s'}")
            elif step.kind == "CHECK_ANSWER":
                assert step.entry is not None
                found = match.strictly(step.entry, reply) if reply is not None else ["there is no answer"]
                faults += [f"step {step.number}: {fault}" for fault in found]
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
