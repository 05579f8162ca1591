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
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from resolverd import bounds
from resolverd.net import cookies
from resolverd.net.cookies import Cookies
from resolverd.net.receiver import Receiver
from resolverd.net.tcp_pool import TcpPool
from resolverd.wire import codes, render
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.message import Malformed, Message, parse
from resolverd.wire.names import Address, Name, lower

_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_RECEIVE_FRAGMENT_SIZE = {4: (socket.IPPROTO_IP, 25), 6: (socket.IPPROTO_IPV6, 77)}
"""The socket option with which the kernel tells of a datagram that came in fragments."""
_PORT_TRIES = 8
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {4: str(IPv4Address(0)), 6: str(IPv6Address(0))}
_CASE = bytes(0x20 if chr(octet).isascii() and chr(octet).isalpha() else 0 for octet in range(256))
"""For each octet, the bit in which upper and lower case differ. The octets that give labels' lengths have none."""
_ERRORS = (codes.FORMERR, codes.SERVFAIL, codes.NOTIMP, codes.REFUSED)
_OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""Errors that are ours, not the server's."""


class Upstream:
    """Carries Asks. `sources` are the addresses to send from, one per family at random; empty: the system chooses."""

    def __init__(self, sources: tuple[Address, ...] = ()):
        self._sources = {version: [each for each in sources if each.version == version] for version in (4, 6)}
        self._tcp = TcpPool(lambda to: self._socket(to, socket.SOCK_STREAM, self._source(to.address.version)))
        self._cookies = Cookies()
        self._open: dict[tuple[object, ...], Callable[[bool], bool]] = {}

    async def exchange(self, ask: Ask) -> Reply:
        """The reply, or why there is none, after `ask.timeout` seconds at most. Never raises for faults of others."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        message, failed = None, None
        usage = _Usage()
        try:
            message = await self._ask(ask, begun + ask.timeout, usage)
        except TimeoutError:
            failed = Failed.TIMEOUT
        except _Spoofed as error:
            failed = error.failed
        except (Malformed, ssl.SSLError):
            failed = Failed.MALFORMED
        except OSError as error:
            failed = Failed.LOCAL if error.errno in _OURS else Failed.UNREACHABLE
        now = loop.time()
        # What was thrown away counts as well: it has cost as much (CVE-2026-24027).
        repeated = now - usage.again if usage.again else None
        return Reply(message, failed, now, now - (usage.asked or begun), usage.octets, usage.sent, usage.cookie, repeated)

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """Send the packet of a UDP exchange that is under way once more, from the same port; False if it did not leave."""
        send = self._open.get(ask.question)
        return send is not None and send(cookie)

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        await self._tcp.aclose()

    async def _ask(self, ask: Ask, deadline: float, usage: "_Usage") -> Message:
        address = ask.server.address
        source = self._source(address.version)
        udp = ask.transport is Transport.UDP
        qname = _random_case(ask.qname) if ask.random_case and udp else ask.qname
        with_cookie = ask.cookie and ask.edns_size > 0
        cookie = ((cookies.OPTION, self._cookies.option(address, source)),) if with_cookie else ()
        flags = codes.RD if ask.recursion else 0
        ident = secrets.randbits(16)
        packet = render.question(ident, flags, qname, ask.qtype, ask.edns_size, ask.dnssec, cookie)
        if udp:
            # Whoever guesses has to guess the same of it.
            plain = partial(render.question, ident, flags, qname, ask.qtype, ask.edns_size, ask.dnssec)
            message = await self._udp(ask, source, packet, plain, qname, deadline, usage)
        else:
            matches = partial(_answers, packet=packet, qname=qname, any_case=True)
            async with asyncio.timeout_at(deadline):
                data = await self._tcp.ask(ask.server, ask.transport, packet, matches, usage)
            message = parse(data)
        if with_cookie:
            status = self._cookies.check(address, source, message)
            usage.cookie = status is cookies.CookieStatus.OURS
            if status is cookies.CookieStatus.SUSPECT:
                if udp:
                    raise _Spoofed(Failed.COOKIE)
                # A handshake is proof enough; a server that has given up cookies is believed it.
                self._cookies.forget(address)
        return message

    async def _udp(
        self,
        ask: Ask,
        source: Address | None,
        packet: bytes,
        plain: Callable[[], bytes],
        qname: Name,
        deadline: float,
        usage: "_Usage",
    ) -> Message:
        sock = self._socket(ask.server, socket.SOCK_DGRAM, source)
        key = ask.question
        try:
            address = ask.server.address
            sock.connect((socket.inet_ntop(_FAMILY[address.version], address.packed), ask.server.port))
            sock.send(packet)
            usage.on_sent(asyncio.get_running_loop().time())
            self._open[key] = partial(_send_again, sock, packet, plain, usage)
            damaged: Message | None = None
            tells = _tells_of_fragments(sock, address.version)
            with Receiver(sock, deadline) as receiver:
                # A malformed packet first must not kill the question (TuDoor): the right one may still come.
                for _ in range(bounds.MAX_BAD_REPLIES):
                    try:
                        data = await receiver.packet()
                    except TimeoutError:
                        if damaged is None:
                            raise
                        return damaged
                    usage.octets += len(data)
                    if len(data) >= 12 and data[:2] != packet[:2]:
                        raise _Spoofed
                    if not _answers(data, packet, qname):
                        if _answers(data, packet, qname, any_case=True):
                            raise _Spoofed(Failed.CASE_MISMATCH)
                        continue
                    in_one_piece = tells and not receiver.in_fragments
                    if ask.edns_size and len(data) > max(ask.edns_size, bounds.MIN_UDP_SIZE) and not in_one_piece:
                        # More than we asked for, and forged on the way perhaps: only the first fragment has our ID, port and
                        # letters in it (CVE-2025-59024). What has come in one piece has all of them.
                        raise _Spoofed
                    if qname != ask.qname and data[4:6] == b"\x00\x01":
                        # Names in the reply point at the question; nobody else shall see its random letters.
                        data = data[:12] + ask.qname + data[12 + len(qname) :]
                    try:
                        message = parse(data)
                    except Malformed:
                        continue
                    if message.tc or message.whole >= 2:
                        return message
                    damaged = damaged or message
                    receiver.hurry(bounds.BETTER_REPLY)
            # Nothing but unreadable packets: whoever sends them cannot do so over TCP.
            raise _Spoofed
        finally:
            self._open.pop(key, None)
            sock.close()

    def _source(self, version: int) -> Address | None:
        sources = self._sources[version]
        return secrets.choice(sources) if sources else None

    @staticmethod
    def _socket(server: Server, kind: socket.SocketKind, source: Address | None) -> socket.socket:
        version = server.address.version
        sock = socket.socket(_FAMILY[version], kind)
        try:
            sock.setblocking(False)
            if kind is socket.SOCK_DGRAM:
                if version == 4:
                    # Our own questions are never fragmented.
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
                _bind_random(sock, str(source) if source else _ANY[version])
            elif source is not None:
                sock.bind((str(source), 0))
        except BaseException:
            sock.close()
            raise
        return sock


class _Usage:
    """What one exchange has cost: questions sent, octets received; when the question left that was answered, first and last, and
    whether its answer had our `cookie`."""

    __slots__ = ("again", "asked", "cookie", "octets", "sent")

    def __init__(self) -> None:
        self.cookie = False
        self.octets = 0
        self.sent = 0
        self.asked = self.again = 0.0

    def on_sent(self, now: float = 0.0) -> None:
        self.sent += 1
        self.asked = now
        self.again = 0.0

    def on_received(self, octets: int) -> None:
        self.octets += octets


class _Spoofed(Exception):
    def __init__(self, failed: Failed = Failed.SPOOFED):
        self.failed = failed


def _send_again(sock: socket.socket, packet: bytes, plain: Callable[[], bytes], usage: _Usage, cookie: bool) -> bool:
    try:
        sock.send(packet if cookie else plain())
    except OSError:
        return False  # what ICMP says meanwhile is heard by who waits for the answer
    usage.again = asyncio.get_running_loop().time()
    return True


def _tells_of_fragments(sock: socket.socket, version: int) -> bool:
    """Whether the socket tells of datagrams that have come in fragments."""
    try:
        sock.setsockopt(*_RECEIVE_FRAGMENT_SIZE[version], 1)
    except OSError:  # Linux before 4.10
        return False
    return True


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
    turned = int.from_bytes(name.translate(_CASE)) & secrets.randbits(8 * len(name))
    return (int.from_bytes(name) ^ turned).to_bytes(len(name))


def _answers(data: bytes, packet: bytes, qname: Name, any_case: bool = False) -> bool:
    """Whether `data` is a reply to `packet`: QR, opcode, and the question as it was sent.

    An error may leave the question out; NXDOMAIN is no error, and without letters to compare it would be cheap to forge. TC
    needs no question either: all that it says is that TCP has to be asked, and there it gains nobody anything to have said so.
    """
    if len(data) < 12 or not data[2] & 0x80 or data[2] & 0x78:
        return False
    behind = 12 + len(qname)
    if data[2] & 0x02 and (data[4:6] == b"\x00\x00" or len(data) < behind + 4):
        return True
    if data[4:6] == b"\x00\x00":
        return data[3] & 15 in _ERRORS
    echoed = data[12:behind]
    same = echoed == qname or (any_case and lower(echoed) == lower(qname))
    return data[4:6] == b"\x00\x01" and same and data[behind : behind + 4] == packet[behind : behind + 4]
