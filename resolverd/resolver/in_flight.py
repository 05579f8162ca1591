"""Questions in flight, and who waits for their answers: a client is an entry in his question's list, called back at its end."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from resolverd.deadlines import Deadline, Deadlines
from resolverd.resolver.admission import Slot
from resolverd.resolver.driver import Run
from resolverd.resolver.iterator.budget import QueryBudget
from resolverd.resolver.ports import Done, Waiting
from resolverd.wire import codes
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.names import Name

TOO_LATE: Final = ExtendedError(codes.EDE_NO_REACHABLE_AUTHORITY, "no server answered in time")


class Answering(Protocol):
    """What clients want of the mesh."""

    deadlines: Deadlines

    def best(self, query: "InFlight", answer: Answer) -> Answer:
        """The answer to a question that has been in flight, or stale data where it is a failure."""
        ...

    def stale_instead(self, query: "InFlight") -> Answer | None:
        """Stale data for who has no answer, or none that is of use."""
        ...

    def give_up(self, query: "InFlight", now: float) -> None:
        """A client had no answer in time."""
        ...


class InFlight:
    """A question that is being recursed for, and who waits for its answer.

    `gave_up`: a client has waited for it in vain. `superseded`: what it was asked of has changed since, so that nothing of it is
    kept. `answer` is there from its end.
    """

    __slots__ = ("answer", "budget", "clients", "deadline", "gave_up", "name", "rtype", "run", "since", "slot", "superseded")

    def __init__(self, name: Name, rtype: int, budget: QueryBudget, slot: Slot):
        self.name = name
        self.rtype = rtype
        self.slot = slot
        self.budget = budget
        self.since = budget.now
        self.clients: dict[Client, None] = {}
        self.gave_up = False
        self.superseded = False
        self.answer: Answer | None = None
        self.deadline: Deadline | None = None
        self.run: Run | None = None


class Client:
    """Who waits for the answer to a question in flight: a while for a fresh one, and to the end of his time for any at all."""

    __slots__ = ("_deadline", "_done", "_end", "_mesh", "_query")

    def __init__(self, mesh: Answering, query: InFlight, done: Done, patience: float, end: float):
        """Until `patience` nothing but the answer will do (RFC 8767 §5); at `end` it is over (both monotonic seconds)."""
        self._mesh = mesh
        self._query = query
        self._done: Done | None = done
        self._end = end
        self._deadline = mesh.deadlines.add(patience, self._patience_over)
        query.clients[self] = None

    def cancel(self) -> None:
        """He waits no longer."""
        self._done = None
        self._deadline.cancel()
        self._query.clients.pop(self, None)

    def answered(self, answer: Answer) -> None:
        """The question has ended."""
        self._deadline.cancel()
        done, self._done = self._done, None
        if done is not None:
            done(self._mesh.best(self._query, answer) if answer.is_failure else answer)

    def _call_back(self, answer: Answer) -> None:
        del self._query.clients[self]
        done, self._done = self._done, None
        if done is not None:
            done(answer)

    def _patience_over(self, now: float) -> None:
        stale = self._mesh.stale_instead(self._query)
        if stale is not None:
            self._call_back(stale)
        elif now < self._end:
            self._deadline = self._mesh.deadlines.add(self._end, self._time_over)
        else:
            self._time_over(now)

    def _time_over(self, now: float) -> None:
        self._mesh.give_up(self._query, now)
        self._call_back(Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False))


class UncachedClient:
    """Who waits for an answer past all that is remembered, by a recursion of his own."""

    __slots__ = ("_deadline", "_done", "_run")

    def __init__(self, mesh: Answering, run: Run, done: Done, end: float):
        self._run = run
        self._done = done
        self._deadline = mesh.deadlines.add(end, self._time_over)
        run.done = self._ended

    def cancel(self) -> None:
        """He waits no longer."""
        self._deadline.cancel()
        self._run.cancel()

    def _time_over(self, now: float) -> None:
        self._run.cancel()
        self._done(Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False))

    def _ended(self, run: Run) -> None:
        self._deadline.cancel()
        self._done(run.result if run.error is None else run.error)


async def awaited(ask: Callable[[Done], Answer | Waiting]) -> Answer:
    """The answer to a question that is asked by a call with `done` as its argument, for who awaits it. Raises a fault of ours."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    begun = ask(partial(_settle, future))
    if isinstance(begun, Answer):
        return begun
    try:
        return await future
    finally:
        begun.cancel()


def _settle(future: "asyncio.Future[Answer]", answer: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Answer):
        future.set_result(answer)
    else:
        future.set_exception(answer)
