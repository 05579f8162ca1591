"""Dialect U: questions are handed over and answered when traffic flows; time passes only where a step says so.

One pending query stands for a whole exchange with one server address (retransmission, EDNS fall-back and TCP are below the
cut in the program these files were written for). It waits until a range, a REPLY, a TIMEOUT or an ERROR deals with it.
"""

import asyncio
from pathlib import Path
from typing import Any

from resolverd.wire import message
from resolverd.wire.ask import Ask, Failed, Reply, Transport
from tests.networks import AsyncNetwork

from . import match, rpl, wire
from .stack import GivenClock, Stack, any_valid_moment, moment, outgoing, question, root_hints, settings
from .unbound_conf import Header

_SETTLE = 60
"""Turns of the loop after which nothing moves any more."""


class Pending:
    def __init__(self, ask: Ask, reply: "asyncio.Future[Reply]"):
        self.ask = ask
        self.reply = reply
        self.query = wire.read(outgoing(ask))

    def __str__(self) -> str:
        return f"{self.ask.server} {' '.join(map(str, self.query.question or ()))} {self.ask.transport.value}"

    def fulfils(self, entry: rpl.Entry) -> bool:
        return match.query_matches(entry, self.query, self.ask.transport is Transport.UDP)


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


def _wire(entry: rpl.Entry, query: wire.Message) -> bytes:
    if entry.raw is not None:
        return query.ident.to_bytes(2) + entry.raw[2:] if "copy_id" in entry.adjust else entry.raw
    out = entry.message()
    if "copy_id" in entry.adjust:
        out.ident = query.ident
    if "copy_query" in entry.adjust or not out.question:
        out.question = query.question
    if entry.do or entry.options is not None:
        out.edns, out.do, out.options = 0, entry.do, entry.options or b""
    return out.to_wire()


class Player:
    def __init__(self, scenario: rpl.Scenario, stack: Stack, network: Network, primes: bool):
        self.scenario = scenario
        self.stack = stack
        self.network = network
        self.at = 0
        self.faults: list[str] = []
        self.answers: list[wire.Message] = []
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
            if step.kind == "CHECK_OUT_QUERY" and (pending := self._out_query(step)):
                self.at += 1
                if step.entry is not None and "copy_id" in step.entry.adjust:
                    # What is checked is its own answer as well.
                    self.network.answer(pending, step.entry)
            elif step.kind == "CHECK_ANSWER" and self.answers:
                self._check(step)
                self.at += 1
            elif self._from_range():
                continue
            else:
                # What a failed step should have brought is missing afterwards; all that follows is looked at nevertheless.
                await self._perform(step)
                self.at += 1
        await self._settle()
        while self._from_range():
            await self._settle()
        self.faults += [f"query still pending: {each}" for each in self.network.pending if not each.reply.cancelled()]
        self.faults += [f"answer never checked: {each.question}" for each in self.answers]

    async def _settle(self) -> None:
        for _ in range(_SETTLE):
            await asyncio.sleep(0)
        self.network.pending = [each for each in self.network.pending if not each.reply.cancelled()]

    def _out_query(self, step: rpl.Step) -> Pending | None:
        assert step.entry is not None
        address = step.words[1] if step.words and step.words[0] == "ADDRESS" else ""
        for each in reversed(self.network.pending):
            if each.fulfils(step.entry) and address in ("", str(each.ask.server.address)):
                return each
        return None

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
                entry = next(filter(pending.fulfils, each.entries), None)
                if entry is not None:
                    self.network.answer(pending, entry)
                    return True
        return False

    async def _perform(self, step: rpl.Step) -> None:
        if step.kind == "QUERY":
            assert step.entry is not None
            self.open.append(asyncio.create_task(self._ask(step)))
        elif step.kind == "TIME_PASSES":
            if step.words[0] != "ELAPSE":
                raise ValueError(f"TIME_PASSES {step.words[0]}")
            await asyncio.sleep(float(step.words[1]))
        elif step.kind in ("REPLY", "TIMEOUT", "ERROR"):
            if not self.network.pending:
                self.faults.append(f"step {step.number}: {step.kind}, but no query is pending")
            elif step.kind == "REPLY":
                assert step.entry is not None
                self.network.answer(self.network.pending[-1], step.entry)
            else:
                await self._fail(self.network.pending[-1], Failed.TIMEOUT if step.kind == "TIMEOUT" else Failed.UNREACHABLE)
        elif step.kind in ("CHECK_OUT_QUERY", "CHECK_ANSWER"):
            pending = "; ".join(map(str, self.network.pending)) or "nothing"
            self.faults.append(f"step {step.number}: {step.kind} cannot come any more; pending: {pending}")
        elif step.kind not in ("NOTHING", "TRAFFIC"):
            raise ValueError(f"step {step.kind}")

    async def _fail(self, asked: Pending, kind: Failed) -> None:
        """Retransmissions included: every repetition of this question to this server fails as well."""
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

    async def _ask(self, step: rpl.Step) -> None:
        entry = step.entry
        assert entry is not None
        if self.primes:
            # The root is primed when it is first needed; in the daemon that is at start.
            self.primes = False
            await self.stack.parts.mesh.own.prime()
        packet = entry.raw if entry.raw is not None else question(entry, 0, 1232, entry.do or entry.options is not None)
        data = await self.stack.ask(packet, "TCP" not in entry.match)
        if data is None:
            return
        try:
            self.answers.append(wire.read(data))
        except wire.Malformed as error:
            self.faults.append(f"step {step.number}: the answer is malformed: {error}")


async def play(scenario: rpl.Scenario, folder: Path, clock: Any, seed: int = 1) -> tuple[list[str], Network]:
    """Play it; what went wrong, and the network with its log."""
    header = Header(scenario.header)
    if date := header.one("val-override-date"):
        clock.set_wall(any_valid_moment(scenario) if date == "-1" else moment(date))
    hints = root_hints(folder, "k.root-servers.net", header.roots or ["193.0.14.129"])
    network = Network()
    stack = Stack(settings(hints, **header.settings(folder)), network, clock, seed, header.timeouts, clock_check=GivenClock())
    player = Player(scenario, stack, network, bool(header.roots))
    player.faults += [f"header: {option} is unknown" for option in header.unknown]
    try:
        await player.play()
    finally:
        for task in player.open:
            task.cancel()
        await stack.aclose()
    return player.faults, network
