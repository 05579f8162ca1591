"""The network outside: one question to one server, and back. What is sent, how, and whether to believe the answer.

Randomness comes from the operating system's CSPRNG: a predictable generator gives the ports away (CVE-2025-40780).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TypeAlias

from resolverd import bounds
from resolverd.deadlines import Deadlines
from resolverd.net import udp
from resolverd.net.cookies import Cookies, CookieStatus
from resolverd.net.tcp_pool import TcpPool
from resolverd.wire import codes, render
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.message import Malformed, Message, parse
from resolverd.wire.names import Address, Name, lower

_CASE = bytes(0x20 if chr(octet).isascii() and chr(octet).isalpha() else 0 for octet in range(256))
"""For each octet, the bit in which upper and lower case differ. The octets that give labels' lengths have none."""
_ERRORS = (codes.FORMERR, codes.SERVFAIL, codes.NOTIMP, codes.REFUSED)

Done: TypeAlias = Callable[[Reply | Exception], object]
"""Called once with the reply, or with a fault of ours."""


class OutsideNetwork:
    """Carries Asks. `sources` are the addresses to send from, one per family at random; empty: the system chooses."""

    def __init__(self, sources: tuple[Address, ...] = ()):
        self._sources = {version: [each for each in sources if each.version == version] for version in (4, 6)}
        self.has_sources = bool(sources)
        self.cookies = Cookies()
        self.receiver = udp.Receiver()
        self.deadlines = Deadlines(monotonic)
        self.rng = udp.BufferedRandom()
        self.tcp = TcpPool(self._tcp_socket)

    def start(self, ask: Ask, done: Done) -> "UdpQuery | TcpQuery":
        """Send a question, and call back with the reply, or with why there is none, after `ask.timeout` seconds at most."""
        return (UdpQuery if ask.transport is Transport.UDP else TcpQuery)(self, ask, done)

    def source(self, version: int) -> Address | None:
        """The address to send from."""
        sources = self._sources[version]
        return self.rng.choice(sources) if sources else None

    async def aclose(self) -> None:
        """Close the connections that are kept, and listen no more."""
        self.receiver.close()
        self.deadlines.close()
        await self.tcp.aclose()

    def _tcp_socket(self, to: Server) -> socket.socket:
        return udp.tcp_socket(to.address, self.source(to.address.version))


class _Query:
    """A question that has left: its packet, what it has cost, and what becomes of an answer."""

    __slots__ = (
        "_ask", "_begun", "_cookie", "_done", "_ident", "_network", "_octets", "_packet", "_qname", "_repeated", "_sent",
        "_sent_at", "_source",
    )  # fmt: skip

    def __init__(self, network: OutsideNetwork, ask: Ask, done: Done, qname: Name):
        self._network = network
        self._ask = ask
        self._done: Done | None = done
        self._begun = monotonic()
        self._qname = qname
        self._octets = self._sent = 0
        self._sent_at = self._repeated = 0.0
        address = ask.server.address
        self._source = source = network.source(address.version) if network.has_sources else None
        self._cookie = ask.cookie and ask.edns_size > 0
        self._ident = int.from_bytes(network.rng.octets(2))
        self._packet = self._rendered(network.cookies.option(address, source) if self._cookie else b"")

    def on_sent(self) -> None:
        """It leaves, perhaps once more over another connection."""
        self._sent += 1
        self._sent_at = self._repeated = 0.0

    def on_received(self, octets: int) -> None:
        """So much has come for it, whatever it holds: what is thrown away has cost as much (CVE-2026-24027)."""
        self._octets += octets

    def _rendered(self, cookie: bytes = b"") -> bytes:
        ask = self._ask
        flags = codes.RD if ask.recursion else 0
        return render.question(self._ident, flags, self._qname, ask.qtype, ask.edns_size, ask.dnssec, cookie)

    def _reply(self, message: Message | None, failed: Failed | None, now: float, cookie: CookieStatus | None = None) -> Reply:
        repeated = now - self._repeated if self._repeated else None
        rtt = now - (self._sent_at or self._begun)
        ask = self._ask
        plain = ask.random_case and self._qname == ask.qname
        return Reply(message, failed, now, rtt, self._octets, self._sent, cookie is CookieStatus.OURS, repeated, plain)


class UdpQuery(_Query):
    """A question over UDP, on a connected socket of its own: fresh random port, ID and letter case.

    Whatever does not match all of that is not taken (RFC 5452 §9, and ICMP side channels need an unconnected socket).
    """

    __slots__ = ("_bad", "_damaged", "_deadline", "_sock")

    def __init__(self, network: OutsideNetwork, ask: Ask, done: Done):
        super().__init__(network, ask, done, _random_case(ask.qname, network.rng) if ask.random_case else ask.qname)
        self._bad = 0
        self._damaged: Message | None = None
        self._sock: udp.UdpSocket | None = None
        try:
            self._sock = sock = udp.UdpSocket(ask.server, self._source, network.rng)
            sock.send(self._packet)
        except OSError as error:
            failed = _failure(error)
            self._deadline = network.deadlines.add(self._begun, lambda now: self._end(self._reply(None, failed, now)))
            return
        self._sent = 1
        self._deadline = network.deadlines.add(self._begun + ask.timeout, self._time_over)
        network.receiver.add(sock.fileno, self._readable)

    def again(self, *, cookie: bool = True) -> bool:
        """Send the same packet from the same port; False if it did not leave."""
        if self._sock is None:
            return False
        try:
            # Whoever guesses has to guess the same of it without the cookie.
            self._sock.send(self._packet if cookie else self._rendered())
        except OSError:
            return False  # what ICMP says meanwhile is read where the answer is waited for
        self._repeated = monotonic()
        return True

    def cancel(self) -> None:
        """Nobody waits for the reply any more."""
        self._done = None
        self._close()

    def _close(self) -> None:
        self._deadline.cancel()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._network.receiver.remove(sock.fileno)
            sock.close()

    def _end(self, reply: Reply | Exception) -> None:
        done, self._done = self._done, None
        self._close()
        if done is not None:
            done(reply)

    def _readable(self, now: float) -> bool:
        """Take one packet; whether there was one."""
        sock = self._sock
        if sock is None:
            return False
        try:
            packet = sock.receive()
        except OSError as error:
            self._end(self._reply(None, _failure(error), now))
            return True
        if packet is None:
            return False
        reply: Reply | Exception | None
        try:
            reply = self._take(*packet, now)
        except Exception as error:
            reply = error
        if reply is not None:
            self._end(reply)
        return True

    def _take(self, data: bytes, whole: bool, now: float) -> Reply | None:
        """What a packet makes of the question, None if it is waited for further: the right one may still come (TuDoor)."""
        ask, qname, packet = self._ask, self._qname, self._packet
        self._octets += len(data)
        self._bad += 1
        if len(data) >= 12 and data[:2] != packet[:2]:
            return self._reply(None, Failed.SPOOFED, now)
        if not _answers(data, packet, qname):
            if _answers(data, packet, qname, any_case=True):
                return self._reply(None, Failed.CASE_MISMATCH, now)
            return self._unless_too_many(now)
        if ask.edns_size and len(data) > max(ask.edns_size, bounds.MIN_UDP_SIZE) and not whole:
            # More than we asked for, and forged on the way perhaps: only the first fragment has our ID, port and letters in it
            # (CVE-2025-59024). What has come in one piece has all of them.
            return self._reply(None, Failed.SPOOFED, now)
        if qname != ask.qname and data[4:6] == b"\x00\x01":
            # Names in the reply point at the question; nobody else shall see its random letters.
            data = data[:12] + ask.qname + data[12 + len(qname) :]
        try:
            message = parse(data)
        except Malformed:
            return self._unless_too_many(now)
        if not message.tc and message.whole < 2:
            self._damaged = self._damaged or message
            self._end_by(now + bounds.BETTER_REPLY)
            return self._unless_too_many(now)
        return self._believed(message, now)

    def _unless_too_many(self, now: float) -> Reply | None:
        # Who sends nothing but unreadable packets cannot do so over TCP.
        return self._reply(None, Failed.SPOOFED, now) if self._bad >= bounds.MAX_BAD_REPLIES else None

    def _believed(self, message: Message, now: float) -> Reply:
        status = self._network.cookies.check(self._ask.server.address, self._source, message) if self._cookie else None
        if status is CookieStatus.SUSPECT:
            return self._reply(None, Failed.COOKIE, now)
        return self._reply(message, None, now, status)

    def _end_by(self, sooner: float) -> None:
        """Wait no longer than that."""
        if sooner < self._deadline.at:
            self._deadline.cancel()
            self._deadline = self._network.deadlines.add(sooner, self._time_over)

    def _time_over(self, now: float) -> None:
        # After a busy moment of ours what has come meanwhile is no silence.
        while self._readable(now):
            pass
        if self._sock is None:
            return
        damaged = self._damaged
        self._end(self._reply(None, Failed.TIMEOUT, now) if damaged is None else self._believed(damaged, now))


class TcpQuery(_Query):
    """A question over TCP or TLS, on a connection that others may share. It needs no random letters."""

    __slots__ = ("_task",)

    def __init__(self, network: OutsideNetwork, ask: Ask, done: Done):
        super().__init__(network, ask, done, ask.qname)
        self._task = asyncio.get_running_loop().create_task(self._exchange())
        self._task.add_done_callback(self._ended)

    def again(self, *, cookie: bool = True) -> bool:
        """A connection repeats by itself what gets lost."""
        return False

    def cancel(self) -> None:
        """Nobody waits for the reply any more."""
        self._done = None
        self._task.cancel()

    def _ended(self, task: "asyncio.Task[Reply]") -> None:
        done, self._done = self._done, None
        if done is None or task.cancelled():
            return
        error = task.exception()
        if error is None:
            done(task.result())
        elif isinstance(error, Exception):
            done(error)

    async def _exchange(self) -> Reply:
        ask = self._ask
        matches = partial(_answers, packet=self._packet, qname=self._qname, any_case=True)
        try:
            async with asyncio.timeout(ask.timeout):
                message = parse(await self._network.tcp.ask(ask.server, ask.transport, self._packet, matches, self))
        except TimeoutError:
            return self._reply(None, Failed.TIMEOUT, monotonic())
        except (Malformed, ssl.SSLError):
            return self._reply(None, Failed.MALFORMED, monotonic())
        except OSError as error:
            return self._reply(None, _failure(error), monotonic())
        status = self._network.cookies.check(ask.server.address, self._source, message) if self._cookie else None
        if status is CookieStatus.SUSPECT:
            # A handshake is proof enough; a server that has given up cookies is believed it.
            self._network.cookies.forget(ask.server.address)
        return self._reply(message, None, monotonic(), status)


def _failure(error: OSError) -> Failed:
    return Failed.LOCAL if error.errno in udp.LOCAL_ERRORS else Failed.UNREACHABLE


def _random_case(name: Name, rng: udp.BufferedRandom) -> Name:
    length = len(name)
    turned = int.from_bytes(name.translate(_CASE)) & int.from_bytes(rng.octets(length))
    return (int.from_bytes(name) ^ turned).to_bytes(length)


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
