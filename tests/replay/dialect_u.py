"""Dialect U: questions are handed over and answered when traffic flows; time passes only where a step says so.

One pending query stands for a whole exchange with one server address (retransmission, EDNS fall-back and TCP are below the
cut in the program these files were written for). It waits until a range, a REPLY, a TIMEOUT or an ERROR deals with it.
"""

import asyncio
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode

from resolverd.config.settings import Forward, Stub
from resolverd.resolver.mesh import Timeouts
from resolverd.wire import message, render
from resolverd.wire.ask import Ask, Failed, Reply, Server
from tests.networks import AsyncNetwork

from . import match, rpl
from .stack import Stack, question, root_hints, settings

_CACHE_OPTIONS = {"cache-min-ttl": "min_ttl", "cache-max-ttl": "max_ttl", "cache-max-negative-ttl": "negative_max_ttl"}
_SETTLE = 60
"""Turns of the loop after which nothing moves any more."""


class Pending:
    def __init__(self, ask: Ask, reply: "asyncio.Future[Reply]"):
        self.ask = ask
        self.reply = reply
        packet = render.question(0, 0x100 if ask.recursion else 0, ask.qname, ask.qtype, ask.edns_size, ask.dnssec)
        self.query = dns.message.from_wire(packet)

    def __str__(self) -> str:
        return f"{self.ask.server} {self.query.question[0].to_text()} {self.ask.transport.value}"


class Network(AsyncNetwork):
    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.asked: list[str] = []

    async def exchange(self, ask: Ask) -> Reply:
        pending = Pending(ask, asyncio.get_running_loop().create_future())
        self.pending.append(pending)
        self.asked.append(str(pending))
        return await pending.reply

    def answer(self, pending: Pending, entry: rpl.Entry) -> None:
        self.pending.remove(pending)
        now = asyncio.get_running_loop().time()
        try:
            data = _wire(entry, pending.query)
            reply = Reply(message.parse(data), None, now, 0.0, len(data))
        except message.Malformed:
            reply = Reply(None, Failed.MALFORMED, now, 0.0)
        if not pending.reply.done():
            pending.reply.set_result(reply)

    def fail(self, pending: Pending, failed: Failed) -> None:
        self.pending.remove(pending)
        if not pending.reply.done():
            pending.reply.set_result(Reply(None, failed, asyncio.get_running_loop().time(), 0.0))


def _wire(entry: rpl.Entry, query: dns.message.Message) -> bytes:
    out = entry.message()
    if "copy_id" in entry.adjust:
        out.id = query.id
    if "copy_query" in entry.adjust or not out.question:
        out.question = query.question
    if entry.do:
        out.use_edns(0, 0x8000, 4096)
        out.set_rcode(dns.rcode.Rcode(entry.rcode))
    return out.to_wire(max_size=65535)


class Player:
    def __init__(self, scenario: rpl.Scenario, stack: Stack, network: Network, primes: bool):
        self.scenario = scenario
        self.stack = stack
        self.network = network
        self.at = 0
        self.faults: list[str] = []
        self.answers: list[dns.message.Message] = []
        self.open: list[asyncio.Task[None]] = []
        self.primes = primes

    @property
    def step(self) -> rpl.Step:
        return self.scenario.steps[self.at]

    async def play(self) -> None:
        steps = self.scenario.steps
        while self.at < len(steps):
            await self._settle()
            step = self.step
            if step.kind == "CHECK_OUT_QUERY" and self._out_query(step):
                self.at += 1
            elif step.kind == "CHECK_ANSWER" and self.answers:
                self._check(step)
                self.at += 1
            elif self._from_range():
                continue
            else:
                await self._perform(step)
                if self.faults:
                    return
                self.at += 1
        await self._settle()
        while self._from_range():
            await self._settle()
        self.faults += [f"query still pending: {each}" for each in self.network.pending if not each.reply.cancelled()]
        self.faults += [f"answer never checked: {each.question[0]}" for each in self.answers]

    async def _settle(self) -> None:
        for _ in range(_SETTLE):
            await asyncio.sleep(0)
        self.network.pending = [each for each in self.network.pending if not each.reply.cancelled()]

    def _out_query(self, step: rpl.Step) -> bool:
        assert step.entry is not None
        address = step.words[1] if step.words and step.words[0] == "ADDRESS" else ""
        return any(
            match.query_matches(step.entry, each.query) and address in ("", str(each.ask.server.address))
            for each in self.network.pending
        )

    def _check(self, step: rpl.Step) -> None:
        assert step.entry is not None
        tried = []
        for answer in self.answers:
            faults = match.essentially(step.entry, answer)
            if not faults:
                self.answers.remove(answer)
                return
            tried.append(faults)
        self.answers.pop(0)
        self.faults += [f"step {step.number}: {fault}" for fault in tried[0]]

    def _from_range(self) -> bool:
        number = self.step.number if self.at < len(self.scenario.steps) else self.scenario.steps[-1].number
        for pending in reversed(self.network.pending):
            for each in self.scenario.ranges:
                if not each.first <= number <= each.last:
                    continue
                if each.addresses and str(pending.ask.server.address) not in each.addresses:
                    continue
                entry = next((entry for entry in each.entries if match.query_matches(entry, pending.query)), None)
                if entry is not None:
                    self.network.answer(pending, entry)
                    return True
        return False

    async def _perform(self, step: rpl.Step) -> None:
        if step.kind == "QUERY":
            assert step.entry is not None
            udp = "TCP" not in step.entry.match
            packet = question(step.entry, 0, 1232, step.entry.do)
            self.open.append(asyncio.create_task(self._ask(packet, udp)))
        elif step.kind == "TIME_PASSES":
            assert step.words[0] == "ELAPSE"
            await asyncio.sleep(float(step.words[1]))
        elif step.kind == "REPLY":
            assert step.entry is not None
            self.network.answer(self.network.pending[-1], step.entry)
        elif step.kind in ("TIMEOUT", "ERROR"):
            kind = Failed.TIMEOUT if step.kind == "TIMEOUT" else Failed.UNREACHABLE
            # Retransmissions included: every repetition of this question to this server fails as well.
            if not self.network.pending:
                self.faults.append(f"step {step.number}: no query is pending")
                return
            asked = self.network.pending[-1]
            self.network.fail(asked, kind)
            for _ in range(10):
                await self._settle()
                again = [
                    each for each in self.network.pending
                    if (each.ask.server, each.ask.qname, each.ask.qtype) == (asked.ask.server, asked.ask.qname, asked.ask.qtype)
                ]  # fmt: skip
                if not again or len(self.network.pending) > len(again):
                    break
                self.network.fail(again[0], kind)
        elif step.kind in ("CHECK_OUT_QUERY", "CHECK_ANSWER"):
            pending = "; ".join(map(str, self.network.pending)) or "nothing"
            self.faults.append(f"step {step.number}: {step.kind} cannot come any more; pending: {pending}")
        elif step.kind not in ("NOTHING", "TRAFFIC"):
            raise ValueError(f"step {step.kind}")

    async def _ask(self, packet: bytes, udp: bool) -> None:
        if self.primes:
            # The root is primed when it is first needed; in the daemon that is at start.
            self.primes = False
            await self.stack.parts.mesh.prime()
        data = await self.stack.ask(packet, udp)
        if data is not None:
            self.answers.append(dns.message.from_wire(data))


class Header:
    """The clauses of an ``unbound.conf``."""

    def __init__(self, lines: list[str]):
        self.server: dict[str, list[str]] = {}
        self.zones: list[tuple[str, dict[str, list[str]]]] = []
        into = self.server
        for line in lines:
            line = line.split("#")[0]
            for key, value in _options(line):
                if key in ("server", "stub-zone", "forward-zone"):
                    into = self.server
                    if key != "server":
                        into = {}
                        self.zones.append((key, into))
                    continue
                into.setdefault(key, []).append(value)

    def one(self, key: str, default: str = "") -> str:
        return self.server.get(key, [default])[-1]

    def on(self, key: str, default: bool) -> bool:
        return self.one(key, "yes" if default else "no") == "yes"


def _options(line: str) -> list[tuple[str, str]]:
    """``key: value`` pairs; a clause's key has no value, and several pairs may share a line."""
    out: list[tuple[str, str]] = []
    for word in re.findall(r'"[^"]*"|[^\s"]+', line):
        if re.fullmatch(r"[a-z][a-z0-9-]*:", word):
            out.append((word[:-1], ""))
        elif out:
            key, value = out.pop()
            out.append((key, f"{value} {word}".strip().strip('"')))
    return out


async def play(scenario: rpl.Scenario, folder: Path, clock: Any, seed: int = 1) -> tuple[list[str], Network]:
    """Play it; what went wrong, and the network with its log."""
    header = Header(scenario.header)
    roots = [value for kind, zone in header.zones if kind == "stub-zone" and zone["name"] == ["."] for value in zone["stub-addr"]]
    stubs = tuple(
        Stub(zone["name"][0].rstrip("."), tuple(Server(ip_address(each)) for each in zone["stub-addr"]))
        for kind, zone in header.zones if kind == "stub-zone" and zone["name"] != ["."]
    )  # fmt: skip
    forwards = tuple(
        Forward(zone["name"][0].rstrip(".") or ".", tuple(Server(ip_address(each)) for each in zone["forward-addr"]))
        for kind, zone in header.zones if kind == "forward-zone"
    )  # fmt: skip
    resolver: dict[str, Any] = {
        "qname_minimisation": header.on("qname-minimisation", True),
        "qname_minimisation_type": "A",
        "ipv6": header.on("do-ip6", True),
        "case_randomisation": header.on("use-caps-for-id", False),
        "stub": stubs,
        "forward": forwards,
        "priming": True,
        "prefetch_server_addresses": header.one("target-fetch-policy", "0 0 0 0 0") != "0 0 0 0 0",
    }
    cache: dict[str, Any] = {
        "prefetch": header.on("prefetch", False),
        "serve_stale": float(header.one("serve-expired-ttl", "86400")) if header.on("serve-expired", False) else 0.0,
    }
    for option, key in _CACHE_OPTIONS.items():
        if option in header.server:
            cache[key] = float(header.one(option))
    hints = root_hints(folder, "k.root-servers.net", roots or ["193.0.14.129"])
    network = Network()
    wait = float(header.one("serve-expired-client-timeout", "1800")) / 1000
    timeouts = Timeouts(1e6, wait, int(header.one("serve-expired-reply-ttl", "30")))
    stack = Stack(settings(hints, resolver=resolver, cache=cache), network, clock, seed, timeouts)
    player = Player(scenario, stack, network, bool(roots))
    try:
        await player.play()
    finally:
        for task in player.open:
            task.cancel()
        await stack.aclose()
    return player.faults, network
