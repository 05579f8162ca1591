"""The Protocols through which a resolver is asked, and through which it meets the network."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from resolverd.resolver.iterator.budget import SharedBudget
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Ask, Reply
from resolverd.wire.names import Name

Done: TypeAlias = Callable[[Answer | Exception], object]
"""Called once with an answer, or with a fault of ours."""


class Waiting(Protocol):
    """A question whose answer is still to come."""

    def cancel(self) -> None:
        """Nobody waits for it any more: nothing is called back."""
        ...


class Resolver(Protocol):
    """Answers a DNS question from caches and recursion (`resolver.mesh`)."""

    def known(self, name: Name, rtype: int) -> Answer | None:
        """The answer, where nobody has to be asked for it."""
        ...

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, bypass_cache: bool = False, shared_budget: SharedBudget | None = None
    ) -> Answer:
        """The answer, SERVFAIL as a value included; by `deadline` (monotonic seconds). Never raises for peers' faults.

        With `bypass_cache`, what is remembered of the name is not used: a server has to say it now. `shared_budget` pays for the
        queries.
        """
        ...


class OutboundQuery(Protocol):
    """A question that is in flight to a server."""

    def again(self, *, cookie: bool = True) -> bool:
        """Send it once more, the same packet from the same port but for its cookie; whether it left."""
        ...

    def cancel(self) -> None:
        """Nobody waits for the reply any more: all that it holds is free at once, and nothing is called back."""
        ...


class Network(Protocol):
    """Carries one Ask to one server (`net.outside`)."""

    def start(self, ask: Ask, done: Callable[[Reply | Exception], object]) -> OutboundQuery:
        """Send the question. `done` is called once, later and never from here: with the reply, or why there is none, after
        `ask.timeout` at most; with an exception for a bug of ours only, never for faults of others."""
        ...
