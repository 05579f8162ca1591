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
from resolverd.net.tcp import Matches, Question, Stream, Tally
from resolverd.wire.ask import Server, Transport

_Key: TypeAlias = tuple[Server, Transport]

Connect: TypeAlias = Callable[[Server], socket.socket]
"""Makes a TCP socket to a server's family, bound as configured, not connected."""


class _Sole:
    """A server that is asked one question a connection, `until` then; only so many at once."""

    __slots__ = ("places", "until")

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(bounds.UPSTREAM_SOLE)
        self.until = 0.0


class Streams:
    """Open connections by server and transport; the longest unused goes when there are too many."""

    def __init__(self, make_socket: Connect):
        self._make_socket = make_socket
        self._newest: dict[_Key, Stream] = {}
        self._all: dict[Stream, None] = {}
        self._connecting: dict[_Key, asyncio.Task[Stream]] = {}
        self._sole: OrderedDict[_Key, _Sole] = OrderedDict()

    async def ask(self, server: Server, transport: Transport, packet: bytes, matches: Matches, tally: Tally) -> bytes:
        """The answer to a question whose ID (its first two octets) is chosen here.

        Raises OSError, ssl.SSLError, and Malformed where the server sends nonsense instead.
        """
        key = server, transport
        sole = self._sole.get(key)
        if sole is not None and asyncio.get_running_loop().time() < sole.until:
            return await self._alone(key, packet, matches, tally)
        stream = self._newest.get(key)
        if stream is None or not stream.usable:
            stream = await self._fresh(key)
        question = stream.ask(packet, matches, tally)
        try:
            return await self._reply(key, stream, question, packet)
        except ConnectionError:
            # The server may close an idle connection at the very moment when it is used again.
            if not stream.is_shared:
                raise
        finally:
            stream.leave(question)
        if stream.left_standing(question):
            self._ask_alone(key)
            return await self._alone(key, packet, matches, tally)
        stream = await self._fresh(key)
        question = stream.ask(packet, matches, tally)
        try:
            return await question.reply
        finally:
            stream.leave(question)

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

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading all the authorities' certificates takes 20 ms, and few have use for them.
        return ssl.create_default_context()

    async def _reply(self, key: _Key, stream: Stream, question: Question, packet: bytes) -> bytes:
        """The answer; where nothing comes over a connection that has been used before, over one of its own, if sooner."""
        if question.first:
            return await question.reply
        loop = asyncio.get_running_loop()
        # Whoever is asked over TLS may have to ask others.
        more = bounds.FORWARDER_TIMEOUT if key[1] is Transport.TLS else 0.0
        while (left := max(stream.stalled_at, question.at + more) - loop.time()) > 0:
            await asyncio.wait((question.reply,), timeout=min(left, bounds.MIN_UPSTREAM_STALL))
            if question.reply.done():
                return question.reply.result()
        alone = asyncio.ensure_future(self._alone(key, packet, question.matches, question.tally))
        try:
            await asyncio.wait((question.reply, alone), return_when=asyncio.FIRST_COMPLETED)
            if question.reply.done() or alone.exception() is not None:
                return await question.reply
            self._ask_alone(key)
            return alone.result()
        finally:
            alone.cancel()

    async def _alone(self, key: _Key, packet: bytes, matches: Matches, tally: Tally) -> bytes:
        """The answer over a connection of its own, which ends with it."""
        async with self._entry(key).places:
            stream = await self._connect(*key)
            try:
                return await stream.ask(packet, matches, tally).reply
            finally:
                stream.close()

    def _ask_alone(self, key: _Key) -> None:
        self._entry(key).until = asyncio.get_running_loop().time() + bounds.FORGET_SERVER

    def _entry(self, key: _Key) -> _Sole:
        sole = self._sole.setdefault(key, _Sole())
        self._sole.move_to_end(key)
        while len(self._sole) > bounds.MAX_SOLE_SERVERS:
            self._sole.popitem(last=False)
        return sole

    async def _fresh(self, key: _Key) -> Stream:
        while True:
            # Whoever needs it at the same time waits for the same handshake, and for the next where too many did.
            stream = await asyncio.shield(self._connecting.get(key) or self._start(key))
            if stream.usable or stream.closed:
                return stream

    def _start(self, key: _Key) -> "asyncio.Task[Stream]":
        async def connect() -> Stream:
            stream = await self._connect(*key)
            self._newest = {each: known for each, known in self._newest.items() if not known.closed}
            self._newest[key] = stream
            return stream

        def connected(task: "asyncio.Task[Stream]") -> None:
            del self._connecting[key]
            if not task.cancelled():
                task.exception()  # those who waited may have gone

        task = self._connecting[key] = asyncio.create_task(connect())
        task.add_done_callback(connected)
        return task

    async def _connect(self, server: Server, transport: Transport) -> Stream:
        loop = asyncio.get_running_loop()
        sock = self._make_socket(server)
        try:
            async with asyncio.timeout(bounds.UPSTREAM_CONNECT):
                await loop.sock_connect(sock, (str(server.address), server.port))
                tls, name = (self._tls, server.tls_name) if transport is Transport.TLS else (None, None)
                _, stream = await loop.create_connection(Stream, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        self._all = {each: None for each in self._all if not each.closed}
        while len(self._all) >= bounds.UPSTREAM_STREAMS:
            victim = min(self._all, key=lambda each: each.questions)
            del self._all[victim]
            victim.close()
        self._all[stream] = None
        return stream
