"""DNS over TCP (RFC 7766, RFC 9210): questions pipelined and answered as they are ready; slow and greedy clients bounded."""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import cast

from resolverd import bounds
from resolverd.resolver.ports import Waiting
from resolverd.servers.accepting import Acceptor
from resolverd.servers.access import AccessDecision, ClientKey, address_octets, client_key, is_loopback
from resolverd.servers.dns.answering import Responder, Unanswered, key
from resolverd.servers.turns import Turns

log = logging.getLogger(__name__)

WRITTEN = bounds.TCP_READ + 2 + 65535
"""Octets that are written at once at most (`_Connection._send`), on top of what is unsent, before it counts as too much."""
BACKLOG = 256


class _Connection(asyncio.BufferedProtocol):
    """One connection. What it has sent is answered in turns (`turns`); while some of it waits, no more is read."""

    def __init__(self, edge: "TcpEdge", host: str):
        self._edge = edge
        self._buffer = bytearray()
        self._replies = bytearray()
        """What a turn has to send so far: in one piece, as its questions came in one."""
        self._waiting: dict[_Pipelined, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._queued = False
        self._halfway = False
        self._paused = False
        self.host = host
        self._address = address_octets(host)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.set_write_buffer_limits(high=self._edge.unsent)
        self._arm_timer(self._edge.idle)

    @property
    def busy(self) -> bool:
        """Whether an answer is in flight."""
        return bool(self._waiting) or self._queued

    def connection_lost(self, error: Exception | None) -> None:
        self._edge.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        for each in self._waiting:
            if each.waiting is not None:
                each.waiting.cancel()
        self._waiting.clear()

    def pause_writing(self) -> None:
        # It asks and does not read: nothing is lost to it that it has not given up already.
        self.abort()

    def eof_received(self) -> bool:
        # RFC 7766 §6.2.4: the client may close its half once it has asked all.
        self._closing = True
        return self.busy and not self._edge.encrypted

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._edge.inbox

    def buffer_updated(self, nbytes: int) -> None:
        self._buffer += self._edge.inbox[:nbytes]
        self._edge.active(self)
        self._ask_for_turn(heap=len(self._buffer) > bounds.HEAP)

    def _ask_for_turn(self, *, heap: bool = False) -> None:
        if not self._queued:
            self._queued = True
            self._edge.turns.ask(self._turn, heap)
            if self._queued:
                self._read_on(False)

    def _turn(self) -> None:
        self._queued = False
        halfway, self._halfway = self._halfway, False
        now = self._edge.responder.now()
        exempt = self.host in self._edge.responder.access.exempt
        for _ in range(bounds.TCP_TURN):
            if self._gone() or len(self._waiting) >= bounds.TCP_IN_FLIGHT or (packet := self._next_message()) is None:
                break
            halfway = False
            self._take(packet, now, exempt)
        self._flush()
        if self._gone():
            return
        if len(self._waiting) >= bounds.TCP_IN_FLIGHT:
            self._read_on(False)
            self._arm_timer(self._edge.idle)
        elif self._has_message():
            self._ask_for_turn(heap=True)
        elif self._closing and not self._waiting:
            self._close()
        else:
            self._read_on(True)
            if not self._buffer:
                self._arm_timer(self._edge.idle)
            else:
                self._halfway = True
                if not halfway:
                    # From the message's first octet on, however many it sends meanwhile.
                    self._arm_timer(bounds.TCP_MESSAGE)

    def _has_message(self) -> bool:
        buffer = self._buffer
        return len(buffer) >= 2 and not 12 <= (buffer[0] << 8 | buffer[1]) > len(buffer) - 2

    def _next_message(self) -> bytes | None:
        """The next message, if it is there; a length below that of a header ends the connection."""
        buffer = self._buffer
        if not self._has_message():
            return None
        length = buffer[0] << 8 | buffer[1]
        if length < 12:
            self.abort()
            return None
        packet = bytes(buffer[2 : 2 + length])
        del buffer[: 2 + length]
        return packet

    def _take(self, packet: bytes, now: float, exempt: bool) -> None:
        responder = self._edge.responder
        try:
            if not exempt and (decision := responder.access.judge(self.host, now)) is not AccessDecision.ALLOWED:
                self._send(responder.refuse(packet, decision))
                return
            body = responder.packets.get(key(packet, False), now)
            if body is not None:
                reply: bytes | Unanswered | None = packet[:2] + body
            else:
                reply = responder.try_cached(packet, False, self._address, self._edge.encrypted)
        except Exception as error:
            reply = responder.failed(packet, error)
        if isinstance(reply, Unanswered):
            entry = _Pipelined(self)
            asked = responder.ask(reply, is_loopback(self.host), entry.answered)
            if asked is None or isinstance(asked, bytes):
                self._send(asked)
            else:
                entry.waiting = asked
                self._waiting[entry] = None
        elif reply is None:
            self._flush()
            self.abort()
        else:
            self._send(reply)

    def answered(self, entry: "_Pipelined", reply: bytes | None) -> None:
        """Send what one of its questions has waited for."""
        del self._waiting[entry]
        self._send(reply)
        self._flush()
        if not self._gone():
            self._ask_for_turn(heap=self._has_message())

    def _send(self, reply: bytes | None) -> None:
        """Send a reply, with the turn's others; a heap of them isn't kept until the turn's end."""
        if reply is not None:
            self._replies += len(reply).to_bytes(2) + reply
            if len(self._replies) >= bounds.TCP_READ:
                self._flush()

    def _flush(self) -> None:
        if self._replies and not self._gone() and self.transport is not None:
            self.transport.write(bytes(self._replies))
        self._replies.clear()

    def _read_on(self, go_on: bool) -> None:
        if self.transport is not None and not self._closing and self._paused == go_on:
            self._paused = not go_on
            if go_on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _arm_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expired)

    def _expired(self) -> None:
        if self.busy and not self._halfway:
            self._arm_timer(self._edge.idle)
        else:
            self.abort()

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()
        else:
            self._edge.abandon(self)

    def _gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Pipelined:
    """A question of a connection that waits for its answer."""

    __slots__ = ("_connection", "waiting")

    def __init__(self, connection: _Connection):
        self._connection = connection
        self.waiting: Waiting | None = None

    def answered(self, reply: bytes | None) -> None:
        """Here it is."""
        self._connection.answered(self, reply)


class TcpEdge:
    """One listening TCP socket. `turns`: those of the daemon, which all its connections share."""

    unsent = bounds.TCP_WRITE_BUFFER - WRITTEN
    """Octets that a client may leave unread; with one more write it is disconnected, within the bound."""
    secure: Callable[[], ssl.SSLContext] | None = None
    encrypted = False
    """Whether nobody on the way can read it, as over TLS, where a client cannot close its half only."""

    def __init__(self, responder: Responder, turns: Turns | None = None):
        self.responder = responder
        self.turns = turns or Turns()
        self.inbox = memoryview(bytearray(bounds.TCP_READ))
        """Where what is read lies until `buffer_updated` has copied it, which an event loop calls at once."""
        self._connections: dict[_Connection, None] = {}
        self._hosts: Counter[ClientKey] = Counter()
        self._acceptor: Acceptor[_Connection] | None = None

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._acceptor = Acceptor(sock, self.admit, backlog=BACKLOG, secure=self.secure, failed=self.failed)

    async def aclose(self) -> None:
        """Stop listening and close every connection."""
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in list(self._connections):
            connection.abort()

    def abandon(self, connection: _Connection) -> None:
        """End a connection that has no transport yet."""
        if self._acceptor is not None:
            self._acceptor.abandon(connection)

    def failed(self, connection: _Connection, error: OSError | None) -> None:
        """It has not come about, and why, where that was an error."""
        self.leave(connection)

    @property
    def idle(self) -> float:
        """Seconds a connection may be idle: less when many are open (RFC 7766 §6.2.3)."""
        return bounds.TCP_IDLE if len(self._connections) <= bounds.TCP_CLIENTS // 2 else 2.0

    def admit(self, host: str) -> _Connection | None:
        """The protocol of a new connection, counted in; none for a stranger, nor for an address that has too many.

        Where there are too many in all, the longest idle goes.
        """
        too_many = self._hosts[client_key(host)] >= bounds.TCP_CLIENTS_PER_ADDRESS and not is_loopback(host)
        if too_many or not self.responder.access.admits(host):
            self.responder.counters.add("dns_tcp_refused")
            return None
        if len(self._connections) >= bounds.TCP_CLIENTS:
            idlest = next((each for each in self._connections if not each.busy), next(iter(self._connections)))
            idlest.abort()
            self.leave(idlest)
        connection = _Connection(self, host)
        self._connections[connection] = None
        self._hosts[client_key(host)] += 1
        return connection

    def active(self, connection: _Connection) -> None:
        """It has sent something: the last to be closed for want of room."""
        if connection in self._connections:
            del self._connections[connection]
            self._connections[connection] = None

    def leave(self, connection: _Connection) -> None:
        """Count a connection out."""
        if connection in self._connections:
            del self._connections[connection]
            client = client_key(connection.host)
            self._hosts[client] -= 1
            if not self._hosts[client]:
                del self._hosts[client]


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket on that address, not listening yet. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
