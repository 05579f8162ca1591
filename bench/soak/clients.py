"""The load: clients that ask at their own rate, whether or not they have been answered, and tell how long each answer took."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ipaddress import IPv6Address
from typing import Any, cast

import dns.message
import dns.rcode

from bench.policy_load import Sender, request

HOST = "127.0.0.1"
DNS, POLICY, HTTP = 53, 10023, 8053
PATIENCE = 5.0
"""Seconds after which a question counts as not answered."""

RATES = {"cached": 200.0, "cold": 40.0, "lists": 5.0, "TCP": 10.0, "policy": 10.0, "HTTP": 1.0}
"""Questions a second of each kind of client."""

_HOT = [f"h{number}.wild.wildcards.net" for number in range(500)]
_SENDERS = ("honest-mail.com", "gardening-club.org", "friendly-news.com", "casino-deals.net", "soft-spoken.org", "null-mx.com")
_KEPT = 20
"""Connections to the policy service that stay while nobody has anything to ask."""
_TICK = 0.01


class Meter:
    """What clients have met since it was last read."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {kind: [] for kind in RATES}
        self.failed: dict[str, int] = dict.fromkeys(RATES, 0)

    def read(self) -> dict[str, dict[str, float]]:
        """By kind: how many were answered, how many not, and the milliseconds they took; it begins anew."""
        told = {}
        for kind, took in self.took.items():
            took.sort()
            told[kind] = {
                "answered": len(took),
                "failed": self.failed[kind],
                **{name: round(1000 * took[int(share * (len(took) - 1))], 2) for name, share in
                   (("p50", 0.5), ("p99", 0.99), ("max", 1.0)) if took},
            }
        self.__init__()  # type: ignore[misc]
        return told


class Datagrams(asyncio.DatagramProtocol):
    """One socket to the resolver; answers are told apart by their IDs."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        future = self._waiting.get(int.from_bytes(data[:2]))
        if future is not None and not future.done():
            future.set_result(data)

    async def ask(self, question: bytes) -> bytes:
        """The reply. Raises TimeoutError."""
        self._next = (self._next + 1) & 0xFFFF
        number, future = self._next, asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.transport.sendto(number.to_bytes(2) + question[2:])
            async with asyncio.timeout(PATIENCE):
                return await future
        finally:
            self._waiting.pop(number, None)


@asynccontextmanager
async def datagrams() -> AsyncIterator[Datagrams]:
    """A socket for a while."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=(HOST, DNS))
    try:
        yield protocol
    finally:
        transport.close()


def question(name: str, rdtype: str = "A") -> bytes:
    """A question's octets."""
    return dns.message.make_query(name, rdtype, use_edns=0, payload=1232, id=0).to_wire()


def is_answer(reply: bytes) -> bool:
    """Whether a reply is a definite one."""
    return reply[3] & 15 in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def _fresh(rng: random.Random) -> str:
    return f"c{rng.getrandbits(48):x}.wild.wildcards.net"


def _client(rng: random.Random) -> IPv6Address:
    return IPv6Address((0x20010DB8 << 96) + rng.getrandbits(64))


class Clients:
    """All kinds of them, while `run` lasts."""

    def __init__(self, meter: Meter, seed: int = 1):
        self._meter = meter
        self._rng = random.Random(seed)
        self._asked: set[asyncio.Task[None]] = set()
        self._policy: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        """Connections that nobody uses at the moment."""
        self._number = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        async with datagrams() as udp:
            hot = [question(name) for name in _HOT]
            kinds: dict[str, Callable[[], Coroutine[Any, Any, bool]]] = {
                "cached": lambda: self._udp(udp, self._rng.choice(hot)),
                "cold": lambda: self._udp(udp, question(_fresh(self._rng))),
                "lists": lambda: self._udp(udp, question(self._listed_name())),
                "TCP": lambda: self._tcp(question(self._rng.choice(_HOT))),
                "policy": self._verdict,
                "HTTP": self._http,
            }
            for each in hot:
                await udp.ask(each)
            try:
                await asyncio.gather(*(self._at_rate(kind, ask) for kind, ask in kinds.items()))
            finally:
                for task in self._asked:
                    task.cancel()
                await asyncio.gather(*self._asked, return_exceptions=True)
                for _, writer in self._policy:
                    writer.close()

    async def _at_rate(self, kind: str, ask: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await asyncio.sleep(_TICK)
            while due <= loop.time():
                task = loop.create_task(self._timed(kind, ask))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)
                due += 1 / RATES[kind]

    async def _timed(self, kind: str, ask: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            good = await ask()
        except (OSError, EOFError):           # TimeoutError is one
            good = False
        if good:
            self._meter.took[kind].append(loop.time() - began)
        else:
            self._meter.failed[kind] += 1

    async def _udp(self, udp: Datagrams, asked: bytes) -> bool:
        return is_answer(await udp.ask(asked))

    def _listed_name(self) -> str:
        nibbles = ".".join(reversed(_client(self._rng).exploded.replace(":", "")))
        return f"{nibbles}.bl.rbl.internal"

    async def _tcp(self, asked: bytes) -> bool:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, DNS)
            try:
                writer.write(struct.pack("!H", len(asked)) + asked)
                return is_answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
            finally:
                writer.close()

    async def _verdict(self) -> bool:
        """Over a connection that stays, as Postfix has them."""
        self._number += 1
        domain = self._rng.choice(_SENDERS)
        client = f"192.0.2.{self._rng.randrange(256)}" if self._rng.random() < 0.7 else str(_client(self._rng))
        async with asyncio.timeout(10):
            reader, writer = await self._connection()
            try:
                writer.write(request(Sender(client, f"mail.{domain}", domain), self._number))
                action = await reader.readuntil(b"\n\n")
            except BaseException:
                writer.close()
                raise
        if len(self._policy) < _KEPT:
            self._policy.append((reader, writer))
        else:
            writer.close()
        return action.startswith(b"action=")

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._policy:
            return self._policy.pop()
        return await asyncio.open_connection(HOST, POLICY)

    async def _http(self) -> bool:
        path = f"/v1/verdict?client_address={_client(self._rng)}&sender=a@honest-mail.com"
        return (await get(path)).startswith(b"HTTP/1.1 200")


async def get(path: str, patience: float = 10.0) -> bytes:
    """A reply over HTTP with its head. Raises OSError."""
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(HOST, HTTP)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return await reader.read()
        finally:
            writer.close()
