"""The resolver under test, on a fake network and clock: the daemon's own parts behind the DNS edge's desk."""

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec

from resolverd.app.resolver import Resolution
from resolverd.clock import Clock
from resolverd.config.settings import Settings
from resolverd.metrics import Counters
from resolverd.resolver.mesh import Timeouts
from resolverd.resolver.ports import Network
from resolverd.resolver.validator.clock_check import ClockCheck, Window
from resolverd.resolver.validator.sentinel import Sentinel
from resolverd.servers.access import AccessControl
from resolverd.servers.dns.answering import Responder, Unanswered, key
from resolverd.wire import render
from resolverd.wire.ask import Ask
from resolverd.wire.names import Name
from resolverd.zones.answer import Answerer

from .rpl import Entry, Scenario, record

_SIGNATURE = 46
CLIENT = bytes((127, 0, 0, 1))
"""Who asks."""
LOCALHOST = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Stack:
    """Takes questions as packets and gives replies as packets, as the sockets would."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        clock: Clock,
        seed: int,
        timeouts: Timeouts | None = None,
        list_zones: frozenset[Name] = frozenset(),
        clock_check: ClockCheck | None = None,
    ):
        self.counters = Counters()
        self.parts: Resolution = Resolution(
            settings,
            network,
            clock,
            self.counters,
            list_zones,
            rng=random.Random(seed),
            timeouts=timeouts,
            clock_check=clock_check,
        )
        answerer = Answerer(None, self.parts.resolve, Sentinel(self.parts.root_key_tags) if settings.resolver.sentinel else None)
        access = AccessControl([ip_network("0.0.0.0/0")])
        self.responder = Responder(answerer, self.parts.packets, access, clock, Counters(), self.parts.packet_share)

    async def ask(self, packet: bytes, udp: bool = True) -> bytes | None:
        body = self.responder.packets.get(key(packet, udp), self.responder.now())
        if body is not None:
            return packet[:2] + body
        reply = self.responder.try_cached(packet, udp, CLIENT)
        return await asked(self.responder, reply) if isinstance(reply, Unanswered) else reply

    async def aclose(self) -> None:
        await self.parts.mesh.aclose()


async def asked(responder: Responder, question: Unanswered) -> bytes | None:
    """The reply to a question that has to be waited for, to a client on this machine."""
    future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    reply = responder.ask(question, True, lambda reply: future.done() or future.set_result(reply))
    if reply is None or isinstance(reply, bytes):
        return reply
    try:
        return await future
    finally:
        reply.cancel()


def settings(hints: Path, **changes: dict[str, Any]) -> Settings:
    """Settings with no query of the resolver's own making, all zones resolved, no trust anchor, and `changes` by section."""
    quiet = {
        "min_rsa_bits": 512,
        "priming": False,
        "key_tag_signalling": False,
        "prefetch_server_addresses": False,
        "builtin_zones": False,
        "trust_anchors": Path(os.devnull),
    }
    sections = {"resolver": {**quiet, "root_hints": hints, **changes.pop("resolver", {})}, **changes}
    base = Settings()
    parts = {name: msgspec.structs.replace(getattr(base, name), **values) for name, values in sections.items()}
    return msgspec.structs.replace(base, **parts)


def root_hints(folder: Path, name: str, addresses: list[str]) -> Path:
    """A hints file that knows one root server."""
    path = folder / "root.hints"
    lines = [f". 3600000 NS {name.rstrip('.')}."]
    lines += [f"{name.rstrip('.')}. 3600000 {'A' if ip_address(each).version == 4 else 'AAAA'} {each}" for each in addresses]
    path.write_text("\n".join(lines) + "\n")
    return path


def trust_anchors(folder: Path, lines: Sequence[str]) -> dict[str, Any]:
    """Settings for validation from these anchors, each a DS or DNSKEY record as a header gives it; without any there is none."""
    if not lines:
        return {"dnssec": False}
    path = folder / "trust.anchors"
    path.write_text("".join(f"{record(line).text}\n" for line in lines))
    return {"dnssec": True, "trust_anchors": path}


class GivenClock(ClockCheck):
    """A header says what time it is: signatures that have ended, or not begun, are at fault then, and the clock is not."""

    def judge(self, windows: Sequence[Window], wall: float, now: float) -> str | None:
        return None


def moment(text: str) -> float:
    """Unix seconds from ``YYYYMMDDhhmmss`` (UTC) or from seconds since 1970."""
    if len(text) < 14:
        return float(text)
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def any_valid_moment(scenario: Scenario) -> float:
    """A time at which every signature of a scenario is valid, for those that want validity not to be looked at."""
    windows = [record.data[8:16] for record in scenario.records if record.rtype == _SIGNATURE]
    first = max(int.from_bytes(window[4:]) for window in windows)
    last = min(int.from_bytes(window[:4]) for window in windows)
    if first > last:
        raise ValueError(f"{scenario.path.name}: its signatures are never all valid")
    return (first + last) / 2


def outgoing(ask: Ask) -> bytes:
    """The packet that would leave for it, ID 0."""
    return render.question(0, 0x100 if ask.recursion else 0, ask.qname, ask.qtype, ask.edns_size, ask.dnssec)


def question(entry: Entry, ident: int, size: int, edns: bool) -> bytes:
    """An entry's question as a packet."""
    message = entry.message()
    message.ident = ident
    if edns:
        message.edns, message.edns_size, message.do, message.options = 0, size, entry.do, entry.options or b""
    return message.to_wire()
