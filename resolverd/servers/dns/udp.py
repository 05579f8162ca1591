"""DNS over UDP: the hit path.

A readable socket is drained in one go; a known question costs a slice, a look into a dict and a send. No task, no codec and
no log call stand in that way. What is not known becomes a task, at most `bounds.MAX_PENDING` of them.
"""

import asyncio
import logging
import socket
from collections import Counter
from ipaddress import ip_address
from typing import Any

from resolverd import bounds
from resolverd.servers.access import AccessDecision, ClientKey, client_key, is_loopback
from resolverd.servers.dns.answering import Responder
from resolverd.wire.peek import Query

log = logging.getLogger(__name__)

_PACKET = 4096
_RECEIVE_BUFFER = 4 << 20
_IP_PKTINFO = 8


class UdpEdge:
    """One bound UDP socket."""

    def __init__(self, sock: socket.socket, responder: Responder):
        self._sock = sock
        self._responder = responder
        self._pending: set[asyncio.Task[None]] = set()
        self._clients: Counter[ClientKey] = Counter()
        self._wildcard = ip_address(sock.getsockname()[0]).is_unspecified
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._drain_wildcard if self._wildcard else self._drain)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    async def aclose(self) -> None:
        """Stop listening; queries in flight are dropped."""
        self._loop.remove_reader(self._sock.fileno())
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._sock.close()

    def _drain(self) -> None:
        sock, responder = self._sock, self._responder
        receive, get, judge = sock.recvfrom, responder.packets.get, responder.access.judge
        now = responder.now()
        hits = 0
        for _ in range(bounds.UDP_BATCH):
            try:
                packet, client = receive(_PACKET)
            except OSError as error:
                _tell(error)
                break
            try:
                admission = judge(client[0], now)
                if admission is not AccessDecision.ALLOWED:
                    reply = responder.refuse(packet, admission)
                elif (body := get(packet[2:], now)) is not None:
                    hits += 1
                    reply = packet[:2] + body
                else:
                    reply = self._take(packet, client)
            except Exception as error:
                reply = responder.failed(packet, error)
            if reply is not None:
                try:
                    sock.sendto(reply, client)
                except OSError as error:
                    _tell(error)
        if hits:
            responder.counters.add("dns_packet_hits", hits)

    def _take(self, packet: bytes, client: Any, source: Any = None) -> bytes | None:
        """The reply to what is not among the prepared ones, where it needs no waiting."""
        reply = self._responder.try_cached(packet, True)
        if not isinstance(reply, Query):
            return reply
        if len(self._pending) >= bounds.MAX_PENDING or self._clients[client_key(client[0])] >= _waiting_at_most(client[0]):
            self._responder.counters.add("dns_dropped")
        else:
            self._clients[client_key(client[0])] += 1
            task = self._loop.create_task(self._wait(packet, reply, client, source))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        return None

    async def _wait(self, packet: bytes, query: Query, client: Any, source: Any) -> None:
        try:
            reply = await self._responder.answer(packet, query, True, is_loopback(client[0]))
        finally:
            key = client_key(client[0])
            self._clients[key] -= 1
            if not self._clients[key]:
                del self._clients[key]
        self._send(reply, client, source)

    def _send(self, reply: bytes | None, client: Any, source: Any = None) -> None:
        if reply is None:
            return
        try:
            if source is None:
                self._sock.sendto(reply, client)
            else:
                self._sock.sendmsg([reply], source, 0, client)
        except OSError as error:
            _tell(error)

    def _drain_wildcard(self) -> None:
        """As `_drain`, for a socket on all addresses: the reply must come from the address that was asked."""
        responder = self._responder
        now = responder.now()
        for _ in range(bounds.UDP_BATCH):
            try:
                packet, source, _, client = self._sock.recvmsg(_PACKET, 128)
            except OSError as error:
                _tell(error)
                break
            try:
                admission = responder.access.judge(client[0], now)
                if admission is not AccessDecision.ALLOWED:
                    reply = responder.refuse(packet, admission)
                elif (body := responder.packets.get(packet[2:], now)) is not None:
                    reply = packet[:2] + body
                else:
                    reply = self._take(packet, client, source)
            except Exception as error:
                reply = responder.failed(packet, error)
            self._send(reply, client, source)


def _tell(error: OSError) -> None:
    """Nothing more to read, an ICMP error for an earlier reply, or a full send buffer: the client will ask again."""
    if not isinstance(error, (BlockingIOError, InterruptedError)):
        log.debug("udp: %s", error)


def _waiting_at_most(host: str) -> int:
    return bounds.MAX_PENDING_LOOPBACK if is_loopback(host) else bounds.MAX_PENDING_PER_CLIENT


def bind(host: str, port: int) -> socket.socket:
    """A UDP socket on that address. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if ip_address(host).is_unspecified:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock

