"""One connection to a server over TCP or TLS: messages with their length in front, questions distinguished by their IDs.

Whoever sends what was not asked for is not read for long, however large or small its messages are: a read is worked off to its
end, and meanwhile nobody else has his turn.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol, TypeAlias

from resolverd import bounds
from resolverd.wire.message import Malformed

_HEADER = 12

Matches: TypeAlias = Callable[[bytes], bool]
"""Whether a message answers the question; its ID distinguishes it from others on the connection."""


class Usage(Protocol):
    """Counts what a question costs."""

    def on_sent(self) -> None:
        """It leaves once more."""
        ...

    def on_received(self, octets: int) -> None:
        """So much has come for it, whatever it holds."""
        ...


class PipelinedQuery:
    """A question in flight on a connection; `reply` is its answer, or raises ConnectionError or Malformed."""

    __slots__ = ("answered_before", "at", "first", "ident", "matches", "reply", "usage")

    def __init__(self, ident: bytes, matches: Matches, usage: Usage, answered_before: int, *, first: bool):
        self.ident = ident
        self.matches = matches
        self.usage = usage
        self.answered_before = answered_before
        self.first = first
        loop = asyncio.get_running_loop()
        self.at = loop.time()
        self.reply: asyncio.Future[bytes] = loop.create_future()


class TcpConnection(asyncio.Protocol):
    """A connection; it closes itself when nobody has asked anything for a while."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: dict[bytes, PipelinedQuery] = {}
        self._given_up: set[bytes] = set()
        self._transport: asyncio.WriteTransport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._asked = 0
        self._answered = 0
        self._unmatched = 0
        self._cut_off = 0
        self._nonsense: Malformed | None = None
        self._unresponsive = False
        self._slowest: float | None = None
        self._received_at = 0.0

    @property
    def closed(self) -> bool:
        """Nothing can be asked here any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def in_flight(self) -> int:
        """Questions in flight."""
        return len(self._waiting)

    @property
    def usable(self) -> bool:
        """Whether one more question may be asked here."""
        return not self.closed and not self._unresponsive and self.in_flight < bounds.UPSTREAM_PIPELINE

    @property
    def is_shared(self) -> bool:
        """Whether more than one question has been asked here."""
        return self._asked > 1

    @property
    def stalled_at(self) -> float:
        """When a question is to be asked elsewhere as well, if nothing more is heard till then (the loop's time)."""
        quick = bounds.UPSTREAM_STALL if self._slowest is None else 4 * self._slowest
        return self._received_at + min(max(quick, bounds.MIN_UPSTREAM_STALL), bounds.UPSTREAM_STALL)

    def cut_short(self, query: PipelinedQuery) -> bool:
        """Whether the server closed it although it had more questions to answer: behind an answer, or in spite of several."""
        return self._cut_off > 1 or self._answered > query.answered_before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it: it may be asked."""
        self._transport = transport  # type: ignore[assignment]  # a WriteTransport in all but name under uvloop

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio calls it: nobody gets an answer any more."""
        self._transport = None
        self._cut_off = len(self._waiting)
        for query in self._waiting.values():
            if not query.reply.done():
                query.reply.set_exception(self._nonsense or ConnectionResetError("closed by the server"))
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it: some octets, wherever messages begin and end."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 2 and self._nonsense is None:
            length = buffer[0] << 8 | buffer[1]
            if length < _HEADER:
                self._stop("a message shorter than its header")
            elif len(buffer) < 2 + length:
                return
            else:
                message = bytes(buffer[2 : 2 + length])
                del buffer[: 2 + length]
                self._take(message)

    def _take(self, message: bytes) -> None:
        now = asyncio.get_running_loop().time()
        query = self._waiting.get(message[:2])
        if query is not None and not query.reply.done() and query.matches(message):
            self._answered += 1
            self._slowest = max(self._slowest or 0.0, now - query.at)
            query.usage.on_received(len(message))
            query.reply.set_result(message)
        elif message[:2] in self._given_up:
            self._given_up.discard(message[:2])
        else:
            self._unmatched += 1
            for each in self._waiting.values():
                each.usage.on_received(len(message))
            if self._unmatched > bounds.MAX_BAD_REPLIES:
                self._stop("too much that was not asked for")
            return
        self._received_at = now

    def _stop(self, why: str) -> None:
        self._nonsense = Malformed(why)
        for query in self._waiting.values():
            query.usage.on_received(len(self._buffer))
        self._buffer.clear()
        self.close()

    def ask(self, packet: bytes, matches: Matches, usage: Usage) -> PipelinedQuery:
        """Send the question under an ID of its own on this connection. Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("closed by the server")
        ident = secrets.token_bytes(2)
        while ident in self._waiting or ident in self._given_up:
            ident = secrets.token_bytes(2)
        if self._idle is not None:
            self._idle.cancel()
        query = PipelinedQuery(ident, matches, usage, self._answered, first=not self._asked)
        if not self._waiting:
            self._received_at = query.at
        self._waiting[ident] = query
        self._asked += 1
        self._transport.write(len(packet).to_bytes(2) + ident + packet[2:])
        usage.on_sent()
        return query

    def release(self, query: PipelinedQuery) -> None:
        """Nobody waits for the answer any more, whether it has come or not."""
        waited = self._waiting.pop(query.ident, None) is not None
        if waited and not query.reply.done():
            query.reply.cancel()
            # Its answer may still come. But not a message in all the time there was: a dead connection, or one stuck within a
            # message, is not used again.
            self._given_up.add(query.ident)
            self._unresponsive |= self._answered == query.answered_before or len(self._given_up) > bounds.UPSTREAM_PIPELINE
        if self._waiting:
            return
        if self._unresponsive:
            self.close()
        elif not self.closed:
            self._idle = asyncio.get_running_loop().call_later(bounds.UPSTREAM_IDLE, self.close)

    def close(self) -> None:
        """End the connection."""
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()
