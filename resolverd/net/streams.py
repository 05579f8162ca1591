"""Connections to servers over TCP and TLS, kept open between questions and shared by several at once (RFC 7766 §6.2).

A connection that the server closes takes nobody's question with it: whoever was waiting asks once more over a fresh one.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable
from typing import TypeAlias

from resolverd import bounds
from resolverd.wire.ask import Server, Transport

Matches: TypeAlias = Callable[[bytes], bool]
"""Whether a message answers the question; it is told apart from others on the connection by its ID."""

Connect: TypeAlias = Callable[[Server], socket.socket]
"""Makes a TCP socket to a server's family, bound as configured, not connected."""


class Streams:
    """Open connections by server and transport; the longest unused goes when there are too many."""

    def __init__(self, make_socket: Connect):
        self._make_socket = make_socket
        self._tls = ssl.create_default_context()
        self._open: dict[tuple[Server, Transport], _Stream] = {}

    async def ask(self, server: Server, transport: Transport, packet: bytes, matches: Matches) -> bytes:
        """The answer to a question whose ID (its first two octets) is chosen here. Raises OSError and ssl.SSLError."""
        for last in (False, True):
            stream = self._open.get((server, transport))
            if stream is None or stream.closed or stream.full:
                stream = await self._connect(server, transport)
                last = True
            try:
                return await stream.ask(packet, matches)
            except ConnectionError:
                # The server may close an idle connection at the very moment when it is used again.
                if last:
                    raise
        raise ConnectionError

    async def aclose(self) -> None:
        """Close every connection."""
        for stream in self._open.values():
            stream.close()
        self._open.clear()

    async def _connect(self, server: Server, transport: Transport) -> "_Stream":
        loop = asyncio.get_running_loop()
        sock = self._make_socket(server)
        try:
            await loop.sock_connect(sock, (str(server.address), server.port))
            tls, name = (self._tls, server.tls_name) if transport is Transport.TLS else (None, None)
            _, stream = await loop.create_connection(_Stream, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        self._open = {key: each for key, each in self._open.items() if not each.closed}
        while len(self._open) >= bounds.UPSTREAM_STREAMS:
            self._open.pop(next(iter(self._open))).close()
        self._open[server, transport] = stream
        return stream


class _Stream(asyncio.Protocol):
    """One connection: messages with their length in front, questions waiting by ID."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: dict[bytes, tuple[Matches, asyncio.Future[bytes]]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> bool:
        """Nothing can be asked here any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def full(self) -> bool:
        """As many questions are under way as one connection shall have."""
        return len(self._waiting) >= bounds.UPSTREAM_PIPELINE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a WriteTransport in all but name under uvloop

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("closed by the server"))
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 2:
            end = 2 + (buffer[0] << 8 | buffer[1])
            if len(buffer) < end:
                return
            message = bytes(buffer[2:end])
            del buffer[:end]
            waiting = self._waiting.get(message[:2])
            if waiting is not None and not waiting[1].done() and waiting[0](message):
                waiting[1].set_result(message)

    async def ask(self, packet: bytes, matches: Matches) -> bytes:
        """Send the question under an ID of its own on this connection, and wait for its answer. Raises ConnectionError."""
        if self._transport is None:
            raise ConnectionResetError("closed by the server")
        ident = secrets.token_bytes(2)
        while ident in self._waiting:
            ident = secrets.token_bytes(2)
        if self._idle is not None:
            self._idle.cancel()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = matches, future
        try:
            self._transport.write(len(packet).to_bytes(2) + ident + packet[2:])
            return await future
        finally:
            self._waiting.pop(ident, None)
            if not self._waiting:
                self._idle = asyncio.get_running_loop().call_later(bounds.UPSTREAM_IDLE, self.close)

    def close(self) -> None:
        """End the connection."""
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()
