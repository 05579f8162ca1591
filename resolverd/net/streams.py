"""Connections to servers over TCP and TLS, kept open between questions and shared by several at once (RFC 7766 §6.2).

A connection that the server closes takes nobody's question with it: whoever was waiting asks once more over a fresh one.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

from resolverd import bounds
from resolverd.wire.ask import Server, Transport

Matches: TypeAlias = Callable[[bytes], bool]
"""Whether a message answers the question; it is told apart from others on the connection by its ID."""

_Key: TypeAlias = tuple[Server, Transport]

Connect: TypeAlias = Callable[[Server], socket.socket]
"""Makes a TCP socket to a server's family, bound as configured, not connected."""


class Streams:
    """Open connections by server and transport; the longest unused goes when there are too many."""

    def __init__(self, make_socket: Connect):
        self._make_socket = make_socket
        self._newest: dict[_Key, _Stream] = {}
        self._all: dict[_Stream, None] = {}
        self._connecting: dict[_Key, asyncio.Task[_Stream]] = {}

    async def ask(
        self, server: Server, transport: Transport, packet: bytes, matches: Matches, leaves: Callable[[], None]
    ) -> bytes:
        """The answer to a question whose ID (its first two octets) is chosen here; `leaves` is told each time it is sent.

        Raises OSError and ssl.SSLError.
        """
        key = server, transport
        for last in (False, True):
            stream = self._newest.get(key)
            if stream is None or not stream.usable:
                stream = await self._fresh(key)
                last = True
            try:
                return await stream.ask(packet, matches, leaves)
            except ConnectionError:
                # The server may close an idle connection at the very moment when it is used again.
                if last:
                    raise
        raise ConnectionError

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading all the authorities' certificates takes 20 ms, and few have use for them.
        return ssl.create_default_context()

    async def aclose(self) -> None:
        """Close every connection."""
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in self._all:
            stream.close()
        self._all.clear()
        self._newest.clear()

    async def _fresh(self, key: _Key) -> "_Stream":
        while True:
            # Whoever needs it at the same time waits for the same handshake, and for the next where too many did.
            stream = await asyncio.shield(self._connecting.get(key) or self._start(key))
            if stream.usable or stream.closed:
                return stream

    def _start(self, key: _Key) -> "asyncio.Task[_Stream]":
        def connected(task: "asyncio.Task[_Stream]") -> None:
            del self._connecting[key]
            if not task.cancelled():
                task.exception()  # those who waited may have gone

        task = self._connecting[key] = asyncio.create_task(self._connect(*key))
        task.add_done_callback(connected)
        return task

    async def _connect(self, server: Server, transport: Transport) -> "_Stream":
        loop = asyncio.get_running_loop()
        sock = self._make_socket(server)
        try:
            async with asyncio.timeout(bounds.UPSTREAM_CONNECT):
                await loop.sock_connect(sock, (str(server.address), server.port))
                tls, name = (self._tls, server.tls_name) if transport is Transport.TLS else (None, None)
                _, stream = await loop.create_connection(_Stream, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        self._all = {each: None for each in self._all if not each.closed}
        while len(self._all) >= bounds.UPSTREAM_STREAMS:
            victim = min(self._all, key=lambda each: each.questions)
            del self._all[victim]
            victim.close()
        self._all[stream] = None
        self._newest = {each: known for each, known in self._newest.items() if not known.closed}
        self._newest[server, transport] = stream
        return stream


class _Stream(asyncio.Protocol):
    """One connection: messages with their length in front, questions waiting by ID."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: dict[bytes, tuple[Matches, asyncio.Future[bytes]]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._heard = 0
        self._deaf = False

    @property
    def closed(self) -> bool:
        """Nothing can be asked here any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def questions(self) -> int:
        """Questions under way."""
        return len(self._waiting)

    @property
    def usable(self) -> bool:
        """Whether one more question may be asked here."""
        return not self.closed and not self._deaf and self.questions < bounds.UPSTREAM_PIPELINE

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
            self._heard += 1
            waiting = self._waiting.get(message[:2])
            if waiting is not None and not waiting[1].done() and waiting[0](message):
                waiting[1].set_result(message)

    async def ask(self, packet: bytes, matches: Matches, leaves: Callable[[], None]) -> bytes:
        """Send the question under an ID of its own on this connection, and wait for its answer. Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("closed by the server")
        ident = secrets.token_bytes(2)
        while ident in self._waiting:
            ident = secrets.token_bytes(2)
        if self._idle is not None:
            self._idle.cancel()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = matches, future
        heard = self._heard
        try:
            self._transport.write(len(packet).to_bytes(2) + ident + packet[2:])
            leaves()
            return await future
        except asyncio.CancelledError:
            # Not a message in all the time there was: a dead connection, or one stuck within a message, is not used again.
            self._deaf |= self._heard == heard
            raise
        finally:
            self._waiting.pop(ident, None)
            if not self._waiting and self._deaf:
                self.close()
            elif not self._waiting:
                self._idle = asyncio.get_running_loop().call_later(bounds.UPSTREAM_IDLE, self.close)

    def close(self) -> None:
        """End the connection."""
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()
