"""The resolver under test, on a fake network and clock: the daemon's own parts behind the DNS edge's desk."""

import asyncio
import random
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import dns.message
import msgspec

from resolverd.app.resolver import Resolution
from resolverd.clock import Clock
from resolverd.config.settings import Settings
from resolverd.metrics import Counters
from resolverd.resolver.mesh import Timeouts
from resolverd.resolver.ports import Network
from resolverd.servers.access import AccessControl
from resolverd.servers.dns.answering import Responder, key
from resolverd.wire.names import Name
from resolverd.wire.peek import Query
from resolverd.zones.answer import Answerer


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
    ):
        self.counters = Counters()
        self.parts: Resolution = Resolution(
            settings, network, clock, self.counters, list_zones, rng=random.Random(seed), timeouts=timeouts
        )
        answerer = Answerer(None, self.parts.resolve)
        access = AccessControl([ip_network("0.0.0.0/0")])
        self.responder = Responder(answerer, self.parts.packets, access, clock, Counters(), self.parts.packet_share)

    async def ask(self, packet: bytes, udp: bool = True) -> bytes | None:
        body = self.responder.packets.get(key(packet, udp), self.responder.now())
        if body is not None:
            return packet[:2] + body
        reply = self.responder.try_cached(packet, udp)
        return await asked(self.responder, packet, reply, udp) if isinstance(reply, Query) else reply

    async def aclose(self) -> None:
        await self.parts.mesh.aclose()


async def asked(responder: Responder, packet: bytes, query: Query, udp: bool = True) -> bytes | None:
    """The reply to a question that has to be waited for, to a client on this machine."""
    future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    reply = responder.ask(packet, query, udp, True, lambda reply: future.done() or future.set_result(reply))
    if reply is None or isinstance(reply, bytes):
        return reply
    try:
        return await future
    finally:
        reply.cancel()


def settings(hints: Path, **changes: dict[str, Any]) -> Settings:
    """Settings with no query of the resolver's own making, all zones resolved, and `changes` by section."""
    quiet = {"priming": False, "key_tag_signalling": False, "prefetch_server_addresses": False, "builtin_zones": False}
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


def question(entry: Any, ident: int, size: int, edns: bool) -> bytes:
    """An entry's question as a packet."""
    message: dns.message.Message = entry.message()
    message.id = ident
    if edns:
        message.use_edns(0, 0x8000 if entry.do else 0, size)
    return message.to_wire()
