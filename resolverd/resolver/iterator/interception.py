"""Is it the root that answers, or somebody on the way who answers in everybody's place?

Hotels, providers and captive networks send all questions for port 53 to a resolver of their own, whatever server they are
meant for. It denies every name, or gives its own address for all of them. One such answer looks like any other; but it has
no answer to the one question whose kind of answer is known: who the root's servers are (RFC 9609 §3.3).
"""

from collections.abc import Callable
from enum import Enum

from resolverd import bounds


class RootStatus(Enum):
    """Who answers in the root's name, or in that of the forwarders for everything."""

    GENUINE = "itself"
    SILENT = "nobody"
    INTERCEPTED = "somebody else"


class RootCheck:
    """What asking for the root's servers has shown. `on_interception` is called when somebody else is found to answer."""

    __slots__ = ("_until", "odd_answer", "on_interception", "status")

    def __init__(self) -> None:
        self._until = float("-inf")
        self.status = RootStatus.SILENT
        """What was seen last, however long ago."""
        self.odd_answer = False
        """Whether any server has answered otherwise since the root itself last did; others may be silent beside it."""
        self.on_interception: Callable[[], None] = lambda: None

    def reset(self) -> None:
        """Others are asked from now on: nothing has been seen of them."""
        self._until = float("-inf")
        self.status = RootStatus.SILENT
        self.odd_answer = False

    @property
    def intercepted(self) -> bool:
        """Somebody answers, but not as the root's servers or the forwarders would: nothing that is said now is knowledge."""
        return self.status is RootStatus.INTERCEPTED

    def cached(self, now: float) -> RootStatus | None:
        """What was seen lately; None if it is to be looked at."""
        return self.status if now < self._until else None

    def record(self, genuine: bool, now: float) -> None:
        """All have been asked. Silence ends no interception: it may be the interceptor who is silent."""
        status = RootStatus.GENUINE if genuine else RootStatus.INTERCEPTED if self.odd_answer else RootStatus.SILENT
        self.odd_answer = False
        self._until = now + (bounds.ROOT_CHECK_TTL if status is RootStatus.GENUINE else bounds.FAILURE_TTL)
        before = self.intercepted
        if not (before and status is RootStatus.SILENT):
            self.status = status
        if self.intercepted and not before:
            self.on_interception()
