"""The Postfix policy service: TCP and UNIX sockets, and the action for each request; `connection` is what clients speak to."""

import asyncio
import contextlib
import logging
import socket
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Protocol

from resolverd import bounds, logs
from resolverd.mail.findings import Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers.accepting import Acceptor
from resolverd.servers.policy import log_line, protocol
from resolverd.servers.policy.connection import Connection
from resolverd.servers.turns import Turns

_log = logging.getLogger(__name__)


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
        references: bool = True,
    ):
        """`turns`: those of the daemon, which all its connections share. `references`: replies end in the verdict's id."""
        self._source = source
        self._references = references
        self.turns = turns or Turns()
        self.inbox = memoryview(bytearray(bounds.POLICY_READ))
        self._counters = counters
        self._decisions = cache(lambda action: counters.count("policy_decisions", action=action))
        self._seconds = counters.histogram("policy_reply_seconds")
        self._hard_stop = hard_stop
        self._acceptors: list[Acceptor[Connection]] = []
        self._paths: list[Path] = []
        self.connections: set[Connection] = set()
        self.heaps = asyncio.Semaphore(bounds.POLICY_HEAPS)

    def decide_by(self, source: VerdictSource, *, references: bool = True) -> None:
        """Have this one give the verdicts from now on."""
        self._source = source
        self._references = references

    async def serve(self, sock: socket.socket, path: Path | None = None) -> None:
        """Listen on a bound socket, TCP or UNIX; what stands at `path` is removed in the end."""
        self._acceptors.append(Acceptor(sock, self._connection, backlog=512))
        if path is not None:
            self._paths.append(path)

    async def close(self, grace: float = 1.0) -> None:
        """Stop listening; requests in flight have `grace` seconds, then they are answered DUNNO."""
        for acceptor in self._acceptors:
            acceptor.close()
        for path in self._paths:
            with contextlib.suppress(OSError):  # it was made by root, who this process is no more
                path.unlink()
        working = [task for connection in self.connections if (task := connection.finish()) is not None]
        if working:
            _, late = await asyncio.wait(working, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        for connection in list(self.connections):
            connection.drop()
        self._acceptors.clear()
        self._paths.clear()

    def answer_at_once(self, attempt: Attempt) -> str | None:
        """The action for one attempt where nothing has to be waited for, else None; never raises."""
        if attempt.protocol_state not in protocol.STATES:
            return protocol.DUNNO
        try:
            begun = perf_counter()
            verdict = self._source.try_verdict(attempt, record=True)
            if verdict is None:
                return None
            action = self._action(attempt, verdict)
            self._seconds.observe(perf_counter() - begun)
            return action
        except Exception as error:
            return self._without_verdict(attempt, error)

    async def answer(self, attempt: Attempt) -> str:
        """The action for one attempt that has to be waited for; never raises but for cancellation."""
        limit = asyncio.timeout(self._hard_stop)
        begun = perf_counter()
        try:
            async with limit:
                verdict = await self._source.verdict_on(attempt, record=True)
            return self._action(attempt, verdict)
        except Exception as error:
            if not isinstance(error, TimeoutError) or not limit.expired():
                return self._without_verdict(attempt, error)
            self._counters.add("policy_failures", why="timeout")
            _log.error("no verdict on %s within %g s: mail passes", attempt.client_address, self._hard_stop)
            return protocol.DUNNO
        finally:
            self._seconds.observe(perf_counter() - begun)

    def _without_verdict(self, attempt: Attempt, error: Exception) -> str:
        logs.bug(_log, self._counters, "policy", "no verdict on %s: mail passes", attempt.client_address, error=error)
        return protocol.DUNNO

    def _action(self, attempt: Attempt, verdict: Verdict) -> str:
        """The action for a verdict, which is logged and counted."""
        action = protocol.render(verdict, reference=self._references)
        if attempt.protocol_state == "RCPT":
            logs.decision_later(_log, partial(self._line, attempt, verdict))
            self._decisions(verdict.action)[0] += 1
        return action

    def _line(self, attempt: Attempt, verdict: Verdict, nameless: bool) -> logs.Fields:
        """What one decision's log line says."""
        try:
            return log_line.fields(attempt, verdict, nameless=nameless)
        except Exception as error:
            logs.bug(_log, self._counters, "policy", "the log line of verdict %s cannot be made", verdict.id, error=error)
            return {"id": verdict.id}

    def _connection(self, host: str) -> Connection:
        return Connection(self, self._counters)
