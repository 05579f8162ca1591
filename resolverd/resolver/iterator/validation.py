"""What iteration wants of who validates (`resolver.validator`), and what it gives: responses with whose they are."""

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias

from resolverd.resolver.cache import Caches
from resolverd.resolver.iterator.budget import QueryBudget
from resolverd.resolver.iterator.response import Conclusion, Referral, Response
from resolverd.values import Value
from resolverd.wire.ask import Server
from resolverd.wire.names import Name

Path: TypeAlias = tuple[tuple[Name, int], ...]
"""The questions that led to this one, outermost first: their number is the depth, a repetition is a cycle."""


class Source(Value, frozen=True):
    """Whose response it is: a server of `zone`, known by a delegation that ends at `lease` (monotonic seconds)."""

    zone: Name
    server: Server
    lease: float


Sourced: TypeAlias = tuple[Response, Source | None]
"""A response and whose it is; None for what is only taken for want of anything better."""

Fetch: TypeAlias = Callable[[QueryBudget, Name, int, Path], Generator[Any, Any, Sourced]]
"""What a server says of a name and type, not validated and not remembered."""


class Bogus(Value, frozen=True):
    """What should be signed and is not, or not rightly: the EDE code of the fault (RFC 8914 §4), and words."""

    code: int
    text: str


class Validation(Protocol):
    """Validates responses (RFC 4035 §5)."""

    def validate(self, budget: QueryBudget, response: Conclusion, path: Path) -> Generator[Any, Any, Conclusion | Bogus]:
        """The response with the security of its parts, and their TTLs within what their signatures allow; or why it is bogus."""
        ...

    def synthesised(self, name: Name, rtype: int, now: float) -> Conclusion | None:
        """What is validated of other names and says what there is of this one (RFC 8198)."""
        ...

    def check_root(self, budget: QueryBudget) -> Generator[Any, Any, object]:
        """Look at the root's keys, whether the clock is believed or not (`QueryBudget.checks_clock`)."""
        ...

    def learn_referral(self, referral: Referral, now: float, lease: float) -> None:
        """A parent has said whether its child is signed."""
        ...


class Trusts(Protocol):
    """On whose word keys are believed, and what has come of it."""

    def validation(self, caches: Caches, fetch: Fetch, island: Callable[[Name], Name | None]) -> Validation:
        """What validates over these caches. `island`: the zone, configured, that a name is in."""
        ...

    def anew(self) -> "Trusts":
        """The same, with nothing learnt of any zone."""
        ...
