"""A fake authority on loopback sockets: real packets over UDP, TCP and TLS, answered as a test wants them.

async with Authority(udp=lambda packet: [answer(packet)]) as authority:
    reply = await exchange.exchange(authority.ask("www.example"))
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Any, TypeAlias

from resolverd.wire import codes
from resolverd.wire.ask import Ask, Server, Transport
from resolverd.wire.names import Name, from_text, lower

HOST = "127.0.0.1"

Udp: TypeAlias = Callable[[bytes], list[bytes]]
"""From a question's octets to the datagrams sent back, in order."""
Tcp: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one connection to its end."""

OPT = b"\x00\x00\x29"


def question_of(packet: bytes) -> bytes:
    """The question section's octets."""
    at = 12
    while packet[at]:
        at += 1 + packet[at]
    return packet[12 : at + 5]


def qname_of(packet: bytes) -> Name:
    """The name asked for, as sent."""
    return question_of(packet)[:-4]


def cookie_of(packet: bytes) -> bytes:
    """The COOKIE option's data in a question (it is the only option, and OPT stands last), empty where there is none."""
    opt = packet[12 + len(question_of(packet)) :]
    return opt[15:] if opt.startswith(OPT) and len(opt) > 11 else b""


def answer(
    packet: bytes,
    *,
    ident: bytes | None = None,
    question: bytes | None = None,
    flags: int = codes.QR | codes.AA,
    rcode: int = codes.NOERROR,
    address: str = "193.0.0.1",
    cookie: bytes | None = None,
    size: int = 0,
) -> bytes:
    """A reply with one address, everything as it should be unless said otherwise; `size` octets long with an opaque record."""
    asked = question_of(packet) if question is None else question
    data = b"\xc0\x0c" + bytes.fromhex("0001000100000e100004") + IPv4Address(address).packed
    records = [] if rcode & 15 or flags & codes.TC else [data]
    opt = b""
    if packet[11]:
        option = b"" if cookie is None else b"\x00\x0a" + len(cookie).to_bytes(2) + cookie
        opt = OPT + b"\x04\xd0" + (rcode >> 4 << 24).to_bytes(4) + len(option).to_bytes(2) + option
    length = 12 + len(asked) + sum(map(len, records)) + len(opt)
    if size:
        body = size - length - 12
        records.append(b"\xc0\x0c" + (65280).to_bytes(2) + bytes.fromhex("000100000e10") + body.to_bytes(2) + b"x" * body)
    head = (packet[:2] if ident is None else ident) + (flags | rcode & 15).to_bytes(2)
    return head + bytes([0, bool(asked), 0, len(records), 0, 0, 0, bool(opt)]) + asked + b"".join(records) + opt


def lower_case(packet: bytes) -> bytes:
    """A reply that has changed the letters of the question."""
    asked = question_of(packet)
    return answer(packet, question=lower(asked[:-4]) + asked[-4:])


async def read_question(reader: asyncio.StreamReader) -> bytes:
    """The next question of a connection. Raises IncompleteReadError at its end."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


def framed(data: bytes) -> bytes:
    """With its length in front."""
    return len(data).to_bytes(2) + data


def replying(reply: Callable[[bytes], bytes]) -> Tcp:
    """A connection that is answered question by question."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(framed(reply(await read_question(reader))))

    return serve


class Authority:
    """UDP and TCP (over TLS with `tls`) on one loopback port; `seen` are the UDP questions, `sources` whom they came from,
    `connections` how many TCP connections there were."""

    def __init__(self, udp: Udp | None = None, tcp: Tcp | None = None, tls: ssl.SSLContext | None = None):
        self._udp = udp or (lambda packet: [answer(packet)])
        self._tcp = tcp or replying(answer)
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: list[bytes] = []
        self.sources: list[tuple[str, int]] = []
        self.connections = 0

    async def __aenter__(self) -> "Authority":
        self._sock, listening = pair()
        self.port = self._sock.getsockname()[1]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._drain)
        self._server = await asyncio.start_server(self._connected, sock=listening, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drain(self) -> None:
        try:
            while True:
                packet, client = self._sock.recvfrom(65535)
                self.seen.append(packet)
                self.sources.append(client[:2])
                for reply in self._udp(packet):
                    self._sock.sendto(reply, client)
        except BlockingIOError:
            pass

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._tcp(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    def ask(
        self,
        name: str = "www.example",
        *,
        transport: Transport = Transport.UDP,
        timeout: float = 2.0,
        tls_name: str = "",
        **more: Any,
    ) -> Ask:
        """A question to this authority."""
        return Ask(Server(IPv4Address(HOST), self.port, tls_name), from_text(name), codes.A, transport, timeout, **more)


def pair() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port, chosen by the system."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        udp.bind((HOST, 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise OSError("no port free for both UDP and TCP")
