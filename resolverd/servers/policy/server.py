"""The Postfix policy service: TCP and UNIX sockets around `protocol`, one decision at a time on each connection."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final, Protocol, cast

from resolverd import bounds, logs
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers import unix_socket
from resolverd.servers.policy import protocol
from resolverd.servers.turns import Turns

_log = logging.getLogger(__name__)

_NO_VERDICT: Final = "no verdict on %s: mail passes"
_WORDS = {Action.ACCEPT: "pass", Action.REJECT: "reject", Action.DEFER: "defer", Action.GREYLIST: "greylist"}


class VerdictSource(Protocol):
    """The part of `ports.Backend` that this edge needs."""

    def try_verdict(self, attempt: Attempt, *, record: bool) -> Verdict | None:
        """The same where nothing has to be waited for; None, with nothing changed, where something has."""
        ...

    async def verdict_on(self, attempt: Attempt, *, record: bool) -> Verdict:
        """The verdict on an attempt, counted."""
        ...


class PolicyServer:
    """Listens for Postfix and answers; any failure of ours is answered ``DUNNO``, logged and counted."""

    def __init__(
        self,
        source: VerdictSource,
        counters: Counters,
        *,
        hard_stop: float = bounds.POLICY_HARD_STOP,
        turns: Turns | None = None,
    ):
        """`turns`: those of the daemon, which all its connections share."""
        self._source = source
        self.turns = turns or Turns()
        self.inbox = memoryview(bytearray(bounds.POLICY_READ))
        """Where what is read lies until `buffer_updated` has copied it, which an event loop calls at once."""
        self._counters = counters
        self._hard_stop = hard_stop
        self._servers: list[asyncio.AbstractServer] = []
        self._paths: list[Path] = []
        self.connections: set[_Connection] = set()
        self.heaps = asyncio.Semaphore(bounds.POLICY_HEAPS)
        """Held while a request is decided behind which its client has sent others already."""

    def decide_by(self, source: VerdictSource) -> None:
        """Have this one give the verdicts from now on."""
        self._source = source

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound TCP socket."""
        self._servers.append(await asyncio.get_running_loop().create_server(self._connection, sock=sock, backlog=512))

    async def listen_unix(self, path: Path, mode: int = 0o666) -> None:
        """Listen on a UNIX socket, in place of one that nobody serves any more. Raises OSError, if somebody does too."""
        sock = unix_socket.bind(path, mode)
        self._servers.append(await asyncio.get_running_loop().create_unix_server(self._connection, sock=sock, backlog=512))
        self._paths.append(path)

    async def close(self, grace: float = 1.0) -> None:
        """Stop listening; requests in flight have `grace` seconds, then they are answered DUNNO."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        working = [task for connection in self.connections if (task := connection.finish()) is not None]
        if working:
            _, late = await asyncio.wait(working, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        for connection in list(self.connections):
            connection.drop()
        self._servers.clear()
        self._paths.clear()

    def answer_at_once(self, attributes: Mapping[str, str]) -> str | None:
        """The action for one request where nothing has to be waited for, else None; never raises."""
        client: object = "a request"
        try:
            attempt = protocol.attempt_of(attributes)
            client = attempt.client_address
            if attempt.protocol_state not in protocol.STATES:
                return protocol.DUNNO
            verdict = self._source.try_verdict(attempt, record=True)
            return None if verdict is None else self._action(attempt, verdict)
        except Exception as error:
            logs.bug(_log, self._counters, "policy", _NO_VERDICT, client, error=error)
            return protocol.DUNNO

    async def answer(self, attributes: Mapping[str, str]) -> str:
        """The action for one request; never raises but for cancellation."""
        client: object = "a request"
        limit = asyncio.timeout(self._hard_stop)
        try:
            attempt = protocol.attempt_of(attributes)
            client = attempt.client_address
            if attempt.protocol_state not in protocol.STATES:
                return protocol.DUNNO
            async with limit:
                verdict = await self._source.verdict_on(attempt, record=True)
            return self._action(attempt, verdict)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                self._counters.add("policy_failures", why="timeout")
                _log.error("no verdict on %s within %g s: mail passes", client, self._hard_stop)
            else:
                logs.bug(_log, self._counters, "policy", _NO_VERDICT, client, error=error)
            return protocol.DUNNO

    def _action(self, attempt: Attempt, verdict: Verdict) -> str:
        """The action for a verdict, which is logged and counted."""
        action = protocol.render(verdict)
        if attempt.protocol_state == "RCPT":
            logs.decision_later(_log, partial(self._line, attempt, verdict))
            self._counters.add("policy_decisions", action=verdict.action.value)
        return action

    def _line(self, attempt: Attempt, verdict: Verdict) -> logs.Line:
        """What one decision's log line says."""
        try:
            fields = decision_fields(attempt, verdict)
            return fields, {"reason": nameless_reason(str(fields["reason"]), verdict)}
        except Exception as error:
            logs.bug(_log, self._counters, "policy", "the log line of verdict %s cannot be made", verdict.id, error=error)
            return {"id": verdict.id}, {}

    def _connection(self) -> "_Connection":
        return _Connection(self, self._counters)


class _Connection(asyncio.BufferedProtocol):
    """One connection: decides in order, one request a turn, and reads on when all is decided; ends by garbage and by silence.

    A task works where something has to be waited for: a verdict, or a client that does not read its replies.
    """

    def __init__(self, server: PolicyServer, counters: Counters):
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
        self._reader.feed(self._server.inbox[:nbytes], at_most=0)
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
            self._server.turns.ask(self._turn, heap, small=not heap)
        if self._worker is not None or (self._queued and self._reader.waiting > bounds.HEAP):
            self._read_on(not self._reader.started)

    def _turn(self) -> None:
        self._queued = False
        if self._transport.is_closing():
            return
        request = self._next_request()
        if request is None:
            self._none_left()
            if not self._last:
                self._await_more()
            return
        action = self._server.answer_at_once(request)
        if action is not None:
            self._reply(action)
            if self._writable.is_set():
                self._answered()
                return
            request = None
        self._worker = self._loop.create_task(self._work(request))
        self._read_on(not self._reader.started)

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

    def _next_request(self) -> dict[str, str] | None:
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

    async def _work(self, request: dict[str, str] | None) -> None:
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

    async def _waited_for(self, request: dict[str, str]) -> str:
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


_KINDS = (
    "nothing speaks against it", "authenticated client", "trusted network", "exempt recipient", "observed only", "greylisted",
    "score", "internal error", "nothing could be found out",
)  # fmt: skip
"""How reasons begin that are more than the text of a finding."""


def nameless_reason(reason: str, verdict: Verdict) -> str:
    """The reason without anybody's words, for a log that names nobody: how it begins, and the codes of what was found."""
    if verdict.greylist is not None and reason == verdict.greylist.reason:
        return reason
    kind = next((each for each in _KINDS if reason.startswith(each)), "")
    codes = "+".join(each.code for each in verdict.findings if each.consequence is not None or each.effect.suppresses)
    return ": ".join(filter(None, (kind, codes))) or verdict.action.value


def decision_fields(attempt: Attempt, verdict: Verdict) -> dict[str, str | int | float]:
    """What one decision's log line says; greylisting's reasons in Postgrey's words."""
    greylist = verdict.greylist
    reason = verdict.reason
    if greylist is not None and greylist.state != "skipped" and verdict.action in (Action.ACCEPT, Action.GREYLIST):
        reason = greylist.reason or reason
    fields: dict[str, str | int | float] = {
        "queue_id": attempt.queue_id,
        "action": _WORDS[verdict.action],
        "reason": reason,
    }
    if greylist is not None and greylist.delayed:
        fields["delay"] = greylist.delayed
    fields |= {
        "client_name": attempt.client_name,
        "client_address": str(attempt.client_address or ""),
        "sender": attempt.sender,
        "recipient": attempt.recipient,
        "helo_name": attempt.helo_name,
        "score": f"{verdict.score:g}",
        "codes": "+".join(finding.code for finding in verdict.findings if finding.consequence is not None),
        "id": verdict.id,
        "ms": verdict.ms,
    }
    if verdict.partial:
        fields["partial"] = "yes"
    return fields
