"""The Protocols through which a resolver is asked, and through which it meets the network."""

from typing import Protocol

from resolverd.resolver.iterator.budget import SharedBudget
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Ask, Reply
from resolverd.wire.names import Name


class Resolver(Protocol):
    """Answers a DNS question from caches and recursion (`resolver.mesh`)."""

    def known(self, name: Name, rtype: int) -> Answer | None:
        """The answer, where nobody has to be asked for it."""
        ...

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, fresh: bool = False, shared_budget: SharedBudget | None = None
    ) -> Answer:
        """The answer, SERVFAIL as a value included; by `deadline` (monotonic seconds). Never raises for peers' faults.

        With `fresh`, what is remembered of the name is not used: somebody else has to say it now. `shared_budget` pays for the
        queries.
        """
        ...


class Network(Protocol):
    """Carries one Ask to one server (`net.udp`)."""

    async def exchange(self, ask: Ask) -> Reply:
        """The reply, or why there is none, after `ask.timeout` at most. Never raises for faults of others."""
        ...

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """Send the question of an exchange that is under way once more, the same packet but for its cookie; whether it left."""
        ...
