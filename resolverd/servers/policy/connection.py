"""One connection of the policy service: octets in, requests decided in order, one a turn, actions out."""

import asyncio
import logging
from contextlib import nullcontext
from typing import Protocol, cast

from resolverd import bounds, logs
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers.policy import protocol
from resolverd.servers.turns import Turns

_log = logging.getLogger(__name__)


class Shared(Protocol):
    """What the connections of a server have in common."""

    turns: Turns
    inbox: memoryview
    """Where what is read lies until `buffer_updated` has copied it, which an event loop calls at once."""
    connections: "set[Connection]"
    heaps: asyncio.Semaphore
    """Held while a request is decided behind which its client has sent others already."""

    def answer_at_once(self, attempt: Attempt) -> str | None:
        """The action for one attempt where nothing has to be waited for, else None; never raises."""
        ...

    async def answer(self, attempt: Attempt) -> str:
        """The action for one attempt that has to be waited for; never raises but for cancellation."""
        ...


class Connection(asyncio.BufferedProtocol):
    """Decides in order, one request a turn, and reads on when all is decided; ends by garbage and by silence.

    A task works where something has to be waited for: a verdict, or a client that does not read its replies.
    """

    def __init__(self, server: Shared, counters: Counters):
        self._server = server
        self._counters = counters
        self._reader = protocol.PolicyReader()
        self._worker: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._deadline = self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._queued = False
        self._last = False
        self._left = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it where there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if len(self._server.connections) >= bounds.POLICY_CONNECTIONS:
            self._counters.add("policy_refused_connections")
            self._transport.abort()
            return
        self._counters.add("policy_connections")
        self._server.connections.add(self)
        self._await_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, and what it still wanted."""
        self._server.connections.discard(self)
        self._writable.set()
        self._stop_timer()
        if self._worker is not None:
            self._worker.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what it sends."""
        return self._server.inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came; it is looked at in this connection's turn."""
        if self._last:
            return
        self._reader.add(self._server.inbox[:nbytes])
        self._go_on()

    def eof_received(self) -> bool:
        """The other side has said all; it still gets what it waits for."""
        self._last = self._left = True
        self._go_on()
        return True

    def pause_writing(self) -> None:
        """The other side does not read: stop deciding."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()

    def finish(self) -> asyncio.Task[None] | None:
        """Take no more requests; the task that still answers some, if any."""
        self._last = True
        self._go_on()
        return self._worker

    def drop(self) -> None:
        """End it now."""
        self._transport.close()

    def _go_on(self) -> None:
        """Look at what was sent, when it is this connection's turn; while much of it waits, read no more."""
        if not self._queued and self._worker is None:
            self._queued = True
            heap = self._reader.waiting > bounds.HEAP
            self._server.turns.ask(self._turn, heap)
        if self._worker is not None or (self._queued and self._reader.waiting > bounds.HEAP):
            self._read_on(not self._reader.started)

    def _turn(self) -> float:
        self._queued = False
        if self._transport.is_closing():
            return 0.0
        request = self._next_request()
        if request is None:
            self._none_left()
            if not self._last:
                self._await_more()
            return 0.0
        action = self._server.answer_at_once(request)
        if action is not None:
            self._reply(action)
            if self._writable.is_set():
                self._answered()
                return 0.0
            request = None
        self._worker = self._loop.create_task(self._work(request))
        self._read_on(not self._reader.started)
        return bounds.TURN_BEGUN

    def _answered(self) -> None:
        """A request was answered: on to the next one, in a turn of its own, or wait for it."""
        self._begun = False
        if self._reader.waiting:
            self._queued = True
            self._server.turns.ask(self._turn, heap=True)
            self._read_on(False)
        else:
            self._await_more()
            self._none_left()

    def _next_request(self) -> Attempt | None:
        while True:
            try:
                return self._reader.next()
            except Exception as error:
                text = "a request of policy client %s cannot be read: mail passes"
                logs.bug(_log, self._counters, "policy", text, self._peer(), error=error)
                self._reply(protocol.DUNNO)
                if not self._reader.skip():
                    self._last = True
                    return None

    async def _work(self, request: Attempt | None) -> None:
        """Answer a request and those behind it; without one, begin with waiting for the client to read what it has got."""
        try:
            while True:
                if request is not None:
                    self._reply(await self._waited_for(request))
                async with asyncio.timeout(bounds.POLICY_STARTED):
                    await self._writable.wait()
                if self._reader.waiting:
                    await self._server.turns.mine(heap=True)
                request = None if self._transport.is_closing() else self._next_request()
                self._read_on(not self._reader.started)  # to notice should it go away
                if request is None:
                    break
        except TimeoutError:
            _log.warning("policy client %s does not read its replies: closed", self._peer())
            self._transport.abort()
        except Exception as error:
            logs.bug(_log, self._counters, "policy", "policy client %s is given up", self._peer(), error=error)
            self._transport.abort()
        finally:
            self._worker = None
        self._begun = False
        self._await_more()
        self._none_left()

    async def _waited_for(self, request: Attempt) -> str:
        try:
            # Who has sent more doesn't wait for its answers, so they may wait for those of others.
            async with self._server.heaps if self._reader.waiting else nullcontext():
                return await self._server.answer(request)
        except asyncio.CancelledError:
            self._reply(protocol.DUNNO)
            raise

    def _none_left(self) -> None:
        """All that was asked is answered: read on, or close."""
        if self._reader.garbage:
            self._counters.add("policy_garbage")
            _log.warning("policy client %s sent %s: closed", self._peer(), self._reader.garbage)
            self._last = True
        elif self._left and self._reader.started:
            _log.info("policy client %s left in the middle of a request", self._peer())
        if self._last:
            self._stop_timer()
            self._transport.close()
        else:
            self._read_on(True)

    def _read_on(self, go_on: bool) -> None:
        transport = self._transport
        if not transport.is_closing() and not self._left and transport.is_reading() != go_on:
            if go_on:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _reply(self, action: str) -> None:
        if not self._transport.is_closing():
            self._transport.write(f"action={action}\n\n".encode())

    def _await_more(self) -> None:
        """Start the clock: short, and only once, while a request is incomplete, long between requests."""
        if self._begun and self._reader.started and self._timer is not None:
            return
        self._begun = self._reader.started
        self._deadline = self._loop.time() + (bounds.POLICY_STARTED if self._begun else bounds.POLICY_IDLE)
        # A timer that is due earlier finds the new deadline: between requests it is moved without being touched.
        if self._timer is None or self._deadline < self._due:
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        if not self._transport.is_closing():
            self._due = self._deadline
            self._timer = self._loop.call_at(self._due, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self._worker is not None or self._queued:
            return  # it waits for us; the clock starts again when it has its answer, or its turn
        if self._loop.time() < self._deadline:
            self._set_timer()
            return
        if self._reader.started:
            self._counters.add("policy_slow_requests")
            _log.warning("policy client %s did not finish its request: closed", self._peer())
        self._last = True
        self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _peer(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return f"{peer[0]} port {peer[1]}" if isinstance(peer, tuple) else "on the UNIX socket"
