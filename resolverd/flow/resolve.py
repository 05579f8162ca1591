"""Answers to names for everybody in the house: what is built in, what is remembered, what recursion finds.

Built-in zones come before memory and recursion, for such names must not leave the machine (RFC 6303 §2). The lists' own
zones are not here: the engine that asks lists asks through this, and would go round in circles.
"""

from resolverd.authority.builtin import BuiltinZones
from resolverd.flow.recurse import Recurse
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name, lower


class Resolve:
    """The `ports.Resolver` that checks, lists and clients share."""

    def __init__(self, builtin: BuiltinZones | None, recurse: Recurse):
        self._builtin = builtin
        self._recurse = recurse

    def known(self, name: Name, rtype: int) -> Answer | None:
        """The answer, where it needs no query."""
        if self._builtin is not None and (answer := self._builtin.answer(lower(name), rtype)) is not None:
            return answer
        return self._recurse.known(name, rtype)

    def stale(self, name: Name, rtype: int) -> Answer | None:
        """What was known until lately, for those who want no recursion."""
        return self._recurse.stale(lower(name), rtype)

    async def resolve(self, name: Name, rtype: int, *, deadline: float | None = None, fresh: bool = False) -> Answer:
        """The answer by `deadline` (monotonic seconds), as `Recurse.resolve` has it."""
        if self._builtin is not None and (answer := self._builtin.answer(lower(name), rtype)) is not None:
            return answer
        return await self._recurse.resolve(name, rtype, deadline=deadline, fresh=fresh)
