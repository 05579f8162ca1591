"""The budget of one client question, shared by every sub-question and never reset by a restart (CVE-2026-50045)."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

from resolverd import bounds
from resolverd.resolver.iterator.delegation import Cut
from resolverd.resolver.iterator.ports import Meter, Purse
from resolverd.wire.ask import Ask, Reply
from resolverd.wire.names import Address, Name


class Exhausted(Exception):
    """The budget is spent: this question cannot be answered within the bounds."""


class Refresh(Enum):
    """What of a question's own data is to be fetched although it is remembered."""

    NOTHING = "nothing"
    EXPIRING = "what is about to expire"
    ALL = "all"


class Told(Protocol):
    """What came of an exchange, as `classify` has it."""

    def described(self) -> str:
        """In words."""
        ...


class Step(NamedTuple):
    """One exchange of a resolution: which zone's server was asked what, and what came of it.

    Every exchange is a step and hardly one is ever shown, so that it is put into words only then.
    """

    zone: Name
    ask: Ask
    reply: Reply
    told: Told | str

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        return self.told if isinstance(self.told, str) else self.told.described()


class Work:
    """What one client question has used up, and the time as last told."""

    __slots__ = (
        "_lookups", "_meter", "_moves", "_purses", "_told", "arrives", "asking", "broke", "bytes", "cuts", "deadline", "found",
        "now", "queries", "refresh", "steps",
    )  # fmt: skip

    def __init__(
        self,
        now: float,
        refresh: Refresh = Refresh.NOTHING,
        meter: Meter | None = None,
        purse: Purse | None = None,
        *,
        told: bool = False,
    ):
        """`told`: somebody wants to read the steps."""
        self._meter = meter
        self._purses = None if purse is None else [purse]
        self.broke = False
        """Whether it came to an end because nobody paid for it any more: that says nothing of the name."""
        self._told = told
        self.arrives: Callable[[Cut], object] | None = None
        """Told which cut's servers are about to be asked for the question itself."""
        self._lookups = 0
        self._moves = 0
        self.refresh = refresh
        self.now = now
        self.deadline = now + bounds.RECURSION_TIME
        self.queries = 0
        self.bytes = 0
        self.steps: list[Step] = []
        self.asking: list[Cut] = []
        """The cuts whose servers are being asked at the moment."""
        self.found: dict[Name, list[Address] | None] = {}
        """What this question has found out of servers, by name: addresses, None for none. Each is looked up once."""
        self.cuts: dict[Name, Cut] = {}
        """The cuts that it has found and that do not last: it may go on with them to its end."""

    def wants_anew(self, *, expiring: bool) -> bool:
        """Whether data of the question itself is to be fetched although it is remembered."""
        return self.refresh is Refresh.ALL or (self.refresh is Refresh.EXPIRING and expiring)

    def spend(self) -> None:
        """One more query is about to leave. Raises Exhausted."""
        if self.queries >= bounds.MAX_QUERIES:
            raise Exhausted(f"{self.queries} queries sent")
        if self.now >= self.deadline:
            raise Exhausted(f"{bounds.RECURSION_TIME:g} s passed")
        self.queries += 1

    def share(self, purse: Purse | None) -> None:
        """Somebody else waits for the same answer, and pays for it as well; without a purse, nobody need pay any more."""
        if purse is None:
            self._purses = None
        elif self._purses is not None and purse not in self._purses:
            self._purses.append(purse)

    def look_up(self) -> None:
        """A server's address is about to be looked up. Raises Exhausted."""
        if self._lookups >= bounds.MAX_LOOKUPS:
            raise Exhausted(f"{self._lookups} addresses of name servers looked up")
        self._lookups += 1

    def move(self) -> None:
        """It goes on to another zone, or to another name. Raises Exhausted."""
        if self._moves >= bounds.MAX_STEPS:
            raise Exhausted(f"{self._moves} steps from zone to zone")
        self._moves += 1

    def pay(self, qname: Name, zone: Name) -> None:
        """The query that is about to leave is for servers of `zone` (`ports.Meter`, `ports.Purse`). Raises Exhausted where it
        must not leave."""
        if self._purses is not None and not any(purse.pays(zone) for purse in self._purses):
            self.broke = True
            raise Exhausted("as many queries were sent as a mail may cost")
        if self._meter is not None and not self._meter.charge(qname, zone):
            raise Exhausted("the quota of its operator is spent")

    def settle(self, qname: Name, zone: Name, copies: int) -> None:
        """So many more left than was paid for: a connection that broke has taken a query twice; negative where none did."""
        self.queries += max(copies, 0)
        if self._meter is not None and copies:
            self._meter.adjust(qname, zone, copies)

    def referred(self, qname: Name, zone: Name) -> None:
        """It led to a referral."""
        if self._meter is not None:
            self._meter.referred(qname, zone)

    def received(self, reply: Reply) -> None:
        """A reply came (or did not). Raises Exhausted when too many octets have come."""
        self.now = max(self.now, reply.now)
        self.bytes += reply.size
        if self.bytes > bounds.MAX_UPSTREAM_BYTES:
            raise Exhausted(f"{self.bytes} octets received")

    def note(self, zone: Name, ask: Ask, reply: Reply, told: Told | str) -> None:
        """Remember a step, where somebody wants to read them: a thousand questions' replies are much memory."""
        if self._told:
            self.steps.append(Step(zone, ask, reply, told))
