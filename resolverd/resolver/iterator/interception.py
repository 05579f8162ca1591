"""Is it the root that answers, or somebody on the way who answers in everybody's place?

Hotels, providers and captive networks send all questions for port 53 to a resolver of their own, whatever server they are
meant for. It denies every name, or gives its own address for all of them. One such answer looks like any other; but it has
no answer to the one question whose kind of answer is known: who the root's servers are (RFC 9609 §3.3).
"""

from collections.abc import Callable
from enum import Enum

from resolverd import bounds


class Root(Enum):
    """Who answers in the root's name, or in that of the forwarders for everything."""

    ITSELF = "itself"
    NOBODY = "nobody"
    SOMEBODY_ELSE = "somebody else"


class RootCheck:
    """What asking for the root's servers has shown. `on_contradiction` is called when somebody else is found to answer."""

    __slots__ = ("_until", "on_contradiction", "shown", "strange")

    def __init__(self) -> None:
        self._until = float("-inf")
        self.shown = Root.NOBODY
        """What was seen last, however long ago."""
        self.strange = False
        """Whether any server has answered otherwise since the root itself last did; others may be silent beside it."""
        self.on_contradiction: Callable[[], None] = lambda: None

    @property
    def contradicted(self) -> bool:
        """Somebody answers, but not as the root's servers or the forwarders would: nothing that is said now is knowledge."""
        return self.shown is Root.SOMEBODY_ELSE

    def remembered(self, now: float) -> Root | None:
        """What was seen lately; None if it is to be looked at."""
        return self.shown if now < self._until else None

    def look(self, genuine: bool, now: float) -> None:
        """All have been asked. Silence ends no contradiction: it may be the stranger who is silent."""
        shown = Root.ITSELF if genuine else Root.SOMEBODY_ELSE if self.strange else Root.NOBODY
        self.strange = False
        self._until = now + (bounds.ROOT_CHECK_TTL if shown is Root.ITSELF else bounds.FAILURE_TTL)
        before = self.contradicted
        if not (before and shown is Root.NOBODY):
            self.shown = shown
        if self.contradicted and not before:
            self.on_contradiction()
