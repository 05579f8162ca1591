"""One question to one server, and back: the only place that opens sockets towards the internet.

Every UDP question has its own connected socket on a fresh random port, a random ID and random letter case; whatever does
not match all of that is not taken (RFC 5452 §9, and ICMP side channels need an unconnected socket). Randomness comes from
the operating system's CSPRNG: a predictable generator gives the ports away (CVE-2025-40780).
"""

import asyncio
import errno
import secrets
import socket
import ssl
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from resolverd import bounds
from resolverd.net import cookies
from resolverd.net.cookies import Cookies
from resolverd.net.streams import Streams
from resolverd.wire import codes, render
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.message import Malformed, Message, parse
from resolverd.wire.names import Address, Name, lower

_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_PORT_TRIES = 8
_OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""Errors that are ours, not the server's."""


class Exchange:
    """Carries Asks. `sources` are the addresses to send from, one per family at random; empty: the system chooses."""

    def __init__(self, sources: tuple[Address, ...] = ()):
        self._sources = {version: [each for each in sources if each.version == version] for version in (4, 6)}
        self._streams = Streams(lambda server: self._socket(server, socket.SOCK_STREAM))
        self._cookies = Cookies()

    async def exchange(self, ask: Ask) -> Reply:
        """The reply, or why there is none, after `ask.timeout` seconds at most. Never raises for faults of others."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        message, failed, size = None, None, 0
        try:
            async with asyncio.timeout(ask.timeout):
                message, size = await self._ask(ask)
        except TimeoutError:
            failed = Failed.TIMEOUT
        except _Spoofed as error:
            failed = error.failed
        except (Malformed, ssl.SSLError):
            failed = Failed.MALFORMED
        except OSError as error:
            failed = Failed.LOCAL if error.errno in _OURS else Failed.UNREACHABLE
        now = loop.time()
        return Reply(message, failed, now, now - begun, size)

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        await self._streams.aclose()

    async def _ask(self, ask: Ask) -> tuple[Message, int]:
        address = ask.server.address
        for _ in range(2):
            qname = _random_case(ask.qname) if ask.random_case and ask.transport is Transport.UDP else ask.qname
            cookie = ((cookies.OPTION, self._cookies.option(address)),) if ask.edns_size else ()
            flags = codes.RD if ask.recursion else 0
            packet = render.question(secrets.randbits(16), flags, qname, ask.qtype, ask.edns_size, ask.dnssec, cookie)
            if ask.transport is not Transport.UDP:
                matches = partial(_answers, packet=packet, qname=qname, any_case=True)
                data = await self._streams.ask(ask.server, ask.transport, packet, matches)
                message = parse(data)
                if self._cookies.check(address, message) is cookies.Seen.FORGED:
                    # A handshake is proof enough; a server that has given up cookies is believed it.
                    self._cookies.forget(address)
                return message, len(data)
            data = await self._udp(ask, packet, qname)
            if qname != ask.qname and data[4:6] == b"\x00\x01":
                # Names in the reply point at the question; nobody else shall see its random letters.
                data = data[:12] + ask.qname + data[12 + len(qname) :]
            message = parse(data)
            seen = self._cookies.check(address, message)
            if seen is cookies.Seen.GOOD:
                return message, len(data)
            if seen is cookies.Seen.FORGED:
                break
        # Forged, or BADCOOKIE twice: TCP needs no cookie (RFC 7873 §5.3).
        raise _Spoofed

    async def _udp(self, ask: Ask, packet: bytes, qname: Name) -> bytes:
        sock = self._socket(ask.server, socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        try:
            sock.connect((str(ask.server.address), ask.server.port))
            sock.send(packet)
            bad = 0
            while True:
                data = await loop.sock_recv(sock, 65535)
                if len(data) >= 12 and data[:2] != packet[:2]:
                    raise _Spoofed
                if not _answers(data, packet, qname):
                    if _answers(data, packet, qname, any_case=True):
                        raise _Spoofed(Failed.LETTERS)
                    # A malformed packet first must not kill the question (TuDoor): the right one may still come.
                    bad += 1
                    if bad >= bounds.MAX_BAD_REPLIES:
                        raise Malformed("nothing but unreadable packets")
                    continue
                if ask.edns_size and len(data) > max(ask.edns_size, bounds.MIN_UDP_SIZE):
                    # More than we asked for, so perhaps fragmented and forged on the way (CVE-2025-59024).
                    raise _Spoofed
                return data
        finally:
            sock.close()

    def _socket(self, server: Server, kind: socket.SocketKind) -> socket.socket:
        version = server.address.version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            sources = self._sources[version]
            source = secrets.choice(sources) if sources else (IPv4Address(0) if version == 4 else IPv6Address(0))
            if kind is socket.SOCK_DGRAM:
                if version == 4:
                    # Our own questions are never fragmented.
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
                _bind_random(sock, str(source))
            elif sources:
                sock.bind((str(source), 0))
        except BaseException:
            sock.close()
            raise
        return sock


class _Spoofed(Exception):
    def __init__(self, failed: Failed = Failed.SPOOFED):
        self.failed = failed


def _bind_random(sock: socket.socket, source: str) -> None:
    # The kernel's own choice comes from about 28,000 ports; this is from 64,511.
    for _ in range(_PORT_TRIES):
        try:
            sock.bind((source, 1024 + secrets.randbelow(65536 - 1024)))
            return
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    sock.bind((source, 0))


def _random_case(name: Name) -> Name:
    bits = secrets.randbits(8 * len(name))
    out = bytearray(name)
    for at, octet in enumerate(name):
        if bits >> at & 1 and (97 <= octet <= 122 or 65 <= octet <= 90):
            out[at] ^= 0x20
    return bytes(out)


def _answers(data: bytes, packet: bytes, qname: Name, any_case: bool = False) -> bool:
    """Whether `data` is a reply to `packet`: QR, opcode, and the question as it was sent (an error may leave it out)."""
    if len(data) < 12 or not data[2] & 0x80 or data[2] & 0x78:
        return False
    if data[4:6] == b"\x00\x00":
        return data[3] & 15 != codes.NOERROR
    behind = 12 + len(qname)
    echoed = data[12:behind]
    same = echoed == qname or (any_case and lower(echoed) == lower(qname))
    return data[4:6] == b"\x00\x01" and same and data[behind : behind + 4] == packet[behind : behind + 4]
