"""Connections to servers over TCP and TLS, kept open between questions and shared by several at once (RFC 7766 §6.2).

A connection that the server closes takes nobody's question with it: whoever was waiting asks once more over a fresh one. A
server that does not answer more than one question on a connection is asked over one connection a question.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

from resolverd import bounds
from resolverd.net.tcp import Matches, PipelinedQuery, TcpConnection, Usage
from resolverd.tls import client_context
from resolverd.wire.ask import Server, Transport

_Key: TypeAlias = tuple[Server, Transport]

Connect: TypeAlias = Callable[[Server], socket.socket]
"""Makes a TCP socket to a server's family, bound as configured, not connected."""


class _Unshared:
    """A server that is asked one question a connection, `until` then; only so many at once."""

    __slots__ = ("slots", "until")

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(bounds.UPSTREAM_SOLE)
        self.until = 0.0


class TcpPool:
    """Open connections by server and transport; the longest unused goes when there are too many."""

    def __init__(self, make_socket: Connect):
        self._make_socket = make_socket
        self._newest: dict[_Key, TcpConnection] = {}
        self._all: dict[TcpConnection, None] = {}
        self._connecting: dict[_Key, asyncio.Task[TcpConnection]] = {}
        self._unshared: OrderedDict[_Key, _Unshared] = OrderedDict()

    async def ask(self, server: Server, transport: Transport, packet: bytes, matches: Matches, usage: Usage) -> bytes:
        """The answer to a question whose ID (its first two octets) is chosen here.

        Raises OSError, ssl.SSLError, and Malformed where the server sends nonsense instead.
        """
        key = server, transport
        unshared = self._unshared.get(key)
        if unshared is not None and asyncio.get_running_loop().time() < unshared.until:
            return await self._ask_unshared(key, packet, matches, usage)
        connection = self._newest.get(key)
        if connection is None or not connection.usable:
            connection = await self._connection(key)
        query = connection.ask(packet, matches, usage)
        try:
            return await self._reply(key, connection, query, packet)
        except ConnectionError:
            # The server may close an idle connection at the very moment when it is used again.
            if not connection.is_shared:
                raise
        finally:
            connection.release(query)
        if connection.cut_short(query):
            self._stop_sharing(key)
            return await self._ask_unshared(key, packet, matches, usage)
        connection = await self._connection(key)
        query = connection.ask(packet, matches, usage)
        try:
            return await query.reply
        finally:
            connection.release(query)

    async def aclose(self) -> None:
        """Close every connection."""
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._newest.clear()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading all the authorities' certificates takes 20 ms, and few have use for them.
        return client_context()

    async def _reply(self, key: _Key, connection: TcpConnection, query: PipelinedQuery, packet: bytes) -> bytes:
        """The answer; where nothing comes over a connection that has been used before, over one of its own, if sooner."""
        if query.first:
            return await query.reply
        loop = asyncio.get_running_loop()
        # Whoever is asked over TLS may have to ask others.
        more = bounds.FORWARDER_TIMEOUT if key[1] is Transport.TLS else 0.0
        while (left := max(connection.stalled_at, query.at + more) - loop.time()) > 0:
            await asyncio.wait((query.reply,), timeout=min(left, bounds.MIN_UPSTREAM_STALL))
            if query.reply.done():
                return query.reply.result()
        unshared = asyncio.ensure_future(self._ask_unshared(key, packet, query.matches, query.usage))
        try:
            await asyncio.wait((query.reply, unshared), return_when=asyncio.FIRST_COMPLETED)
            if query.reply.done() or unshared.exception() is not None:
                return await query.reply
            self._stop_sharing(key)
            return unshared.result()
        finally:
            unshared.cancel()

    async def _ask_unshared(self, key: _Key, packet: bytes, matches: Matches, usage: Usage) -> bytes:
        """The answer over a connection of its own, which ends with it."""
        async with self._entry(key).slots:
            connection = await self._connect(*key)
            try:
                return await connection.ask(packet, matches, usage).reply
            finally:
                connection.close()

    def _stop_sharing(self, key: _Key) -> None:
        self._entry(key).until = asyncio.get_running_loop().time() + bounds.FORGET_SERVER

    def _entry(self, key: _Key) -> _Unshared:
        unshared = self._unshared.setdefault(key, _Unshared())
        self._unshared.move_to_end(key)
        while len(self._unshared) > bounds.MAX_SOLE_SERVERS:
            self._unshared.popitem(last=False)
        return unshared

    async def _connection(self, key: _Key) -> TcpConnection:
        while True:
            # Whoever needs it at the same time waits for the same handshake, and for the next where too many did.
            connection = await asyncio.shield(self._connecting.get(key) or self._start(key))
            if connection.usable or connection.closed:
                return connection

    def _start(self, key: _Key) -> "asyncio.Task[TcpConnection]":
        async def connect() -> TcpConnection:
            connection = await self._connect(*key)
            self._newest = {each: known for each, known in self._newest.items() if not known.closed}
            self._newest[key] = connection
            return connection

        def connected(task: "asyncio.Task[TcpConnection]") -> None:
            del self._connecting[key]
            if not task.cancelled():
                task.exception()  # those who waited may have gone

        task = self._connecting[key] = asyncio.create_task(connect())
        task.add_done_callback(connected)
        return task

    async def _connect(self, server: Server, transport: Transport) -> TcpConnection:
        loop = asyncio.get_running_loop()
        sock = self._make_socket(server)
        try:
            async with asyncio.timeout(bounds.UPSTREAM_CONNECT):
                await loop.sock_connect(sock, (str(server.address), server.port))
                tls, name = (self._tls, server.tls_name) if transport is Transport.TLS else (None, None)
                _, connection = await loop.create_connection(TcpConnection, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        self._all = {each: None for each in self._all if not each.closed}
        while len(self._all) >= bounds.UPSTREAM_STREAMS:
            victim = min(self._all, key=lambda each: each.in_flight)
            del self._all[victim]
            victim.close()
        self._all[connection] = None
        return connection
