"""DNS over UDP: the hit path.

What has come is read, looked up and answered in batches (`datagrams`); a known question costs a slice, a look into a dict and a
copy. No codec and no log call stand in that way. Who has to wait is a client that the answer calls back, at most
`bounds.MAX_PENDING` of them. What is not known stands in line where more of it comes than can be begun (`backlog`).
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from time import thread_time
from typing import Any

from resolverd import bounds
from resolverd.resolver.ports import Waiting
from resolverd.servers.access import AccessDecision, ClientKey, client_key, is_loopback
from resolverd.servers.dns.answering import Responder, Unanswered
from resolverd.servers.dns.backlog import Backlog
from resolverd.servers.dns.datagrams import IP_PKTINFO, Batch, SocketBatch, send
from resolverd.wire.peek import Query

log = logging.getLogger(__name__)

_RECEIVE_BUFFER = 4 << 20


class _Client:
    """A client that waits: whom to reply to, and from which address."""

    __slots__ = ("_edge", "address", "key", "source", "waiting")

    def __init__(self, edge: "UdpEdge", address: Any, source: Any, key: ClientKey):
        self._edge = edge
        self.address = address
        self.source = source
        self.key = key
        self.waiting: Waiting | None = None

    def answered(self, reply: bytes | None) -> None:
        """Here it is."""
        self._edge.answered(self, reply)


class UdpEdge:
    """One bound UDP socket."""

    def __init__(self, sock: socket.socket, responder: Responder, spent: Callable[[], float] = thread_time):
        """`spent`: the seconds of processor time that the event loop's thread has had."""
        self._sock = sock
        self._spent = spent
        self._responder = responder
        self._pending: dict[_Client, None] = {}
        self._clients: Counter[ClientKey] = Counter()
        self._backlog: Backlog[tuple[bytes, Any, bytes, Any]] = Backlog()
        """Packets with their client, its address in octets, and the address that was asked."""
        self._in_line = False
        """Whether any may be there, for whom `_work_off` will be called."""
        self._batch = open_batch(sock, ip_address(sock.getsockname()[0]).is_unspecified)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    async def aclose(self) -> None:
        """Stop listening; queries in flight are dropped."""
        self._loop.remove_reader(self._sock.fileno())
        for client in self._pending:
            if client.waiting is not None:
                client.waiting.cancel()
        self._pending.clear()
        self._backlog.clear()
        self._sock.close()

    def _read(self) -> None:
        """Answer what has come. What is more than a batch comes in the next turn of the loop, behind everybody else's.

        But where what is not known stands in line, what is must not be lost in the socket's buffer behind more of it.
        """
        batch = self._batch
        end = None
        while True:
            replies = self._replies()
            batch.send(replies)
            if len(replies) < bounds.UDP_BATCH or not self._in_line:
                return
            now = self._spent()
            if end is None:
                end = now + bounds.UDP_TURN
            elif now >= end:
                return

    def _replies(self) -> list[bytes | bytearray | None]:
        """Those to the next batch."""
        responder, batch = self._responder, self._batch
        get, exempt, now = responder.packets.get, responder.access.exempt, responder.now()
        replies: list[bytes | bytearray | None] = []
        hits = 0
        end = None
        for slot, address, question in batch.receive():
            try:
                if address not in exempt and (decision := responder.access.judge(address, now)) is not AccessDecision.ALLOWED:
                    reply = self._turn_away(slot, address, decision)
                elif (body := get(question, now)) is not None:
                    hits += 1
                    replies.append(body)
                    continue
                elif not self._in_line:
                    packet = batch.packet(slot)
                    found = responder.try_cached(packet, True, address)
                    # Who asks is read out only where it may have to wait: that costs as much as the answer to many a question.
                    if isinstance(found, Unanswered):
                        found = self._ask(found, batch.client(slot), batch.source(slot))
                    reply = found
                    spent = self._spent()
                    if end is None:
                        end = spent + bounds.UDP_TURN
                    elif spent >= end:
                        self._in_line = True
                        self._loop.call_soon(self._work_off)
                else:
                    self._backlog.put((batch.packet(slot), batch.client(slot), bytes(address), batch.source(slot)), now)
                    reply = None
            except Exception as error:
                reply = responder.failed(batch.packet(slot), error)
            replies.append(None if reply is None else reply[2:])
        if hits:
            responder.counters.add("dns_packet_hits", hits)
        return replies

    def _work_off(self) -> None:
        """Begin some of what stands in line, and come back for the others."""
        responder, backlog = self._responder, self._backlog
        now, end = responder.now(), self._spent() + bounds.UDP_TURN
        while (item := backlog.take(now)) is not None:
            packet, client, address, source = item
            try:
                reply = responder.try_cached(packet, True, address)
                if isinstance(reply, Unanswered):
                    reply = self._ask(reply, client, source)
            except Exception as error:
                reply = responder.failed(packet, error)
            if reply is not None:
                send(self._sock, reply, client, source)
            if self._spent() >= end:
                break
        self._in_line = len(backlog) > 0
        if self._in_line:
            self._loop.call_soon(self._work_off)
        if backlog.dropped:
            responder.counters.add("dns_dropped", backlog.dropped)
            backlog.dropped = 0

    def _turn_away(self, slot: int, address: bytes, decision: AccessDecision) -> bytes | None:
        """What who may not ask now is told; a cookie may show that he may after all."""
        responder, batch = self._responder, self._batch
        packet = batch.packet(slot)
        if decision is not AccessDecision.LIMITED:
            return responder.refuse(packet, decision)
        found = responder.limited(packet, address)
        if not isinstance(found, Query):
            return found
        reply = responder.try_cached(packet, True, address)
        return self._ask(reply, batch.client(slot), batch.source(slot)) if isinstance(reply, Unanswered) else reply

    def _ask(self, question: Unanswered, client: Any, source: Any) -> bytes | None:
        """The reply to what has to be asked for, where it needs no waiting after all."""
        responder = self._responder
        host = client[0]
        key, local = client_key(host), is_loopback(host)
        most = bounds.MAX_PENDING_LOOPBACK if local else bounds.MAX_PENDING_PER_CLIENT
        if len(self._pending) >= bounds.MAX_PENDING or self._clients[key] >= most:
            responder.counters.add("dns_dropped")
            return None
        entry = _Client(self, client, source, key)
        reply = responder.ask(question, local, entry.answered)
        if reply is None or isinstance(reply, bytes):
            return reply
        entry.waiting = reply
        self._pending[entry] = None
        self._clients[key] += 1
        return None

    def answered(self, client: "_Client", reply: bytes | None) -> None:
        """Send a client what it has waited for."""
        del self._pending[client]
        key = client.key
        self._clients[key] -= 1
        if not self._clients[key]:
            del self._clients[key]
        if reply is not None:
            send(self._sock, reply, client.address, client.source)


def open_batch(sock: socket.socket, wildcard: bool) -> Batch:
    """The kind of batch that this system has; `wildcard`: the socket is bound to all addresses."""
    try:
        from resolverd.servers.dns.mmsg import MmsgBatch  # may not be there: ctypes

        return MmsgBatch(sock, wildcard)
    except (ImportError, AttributeError, OSError, MemoryError) as error:
        log.debug("no recvmmsg: %s", error)
        return SocketBatch(sock, wildcard)


def bind(host: str, port: int) -> socket.socket:
    """A UDP socket on that address. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        prepare(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def prepare(sock: socket.socket) -> None:
    """Set what a bound socket needs: room, and on one for all addresses, where each question came to. Raises OSError."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    if ip_address(sock.getsockname()[0]).is_unspecified:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
