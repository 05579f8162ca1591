"""The budget of one client question, shared by every sub-question and never reset by a restart (CVE-2026-50045)."""

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any, Protocol

from resolverd import bounds
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.resolver.iterator.response import Response
from resolverd.resolver.iterator.work import Work
from resolverd.values import Value
from resolverd.wire.ask import Ask, Join, Reply, Server
from resolverd.wire.names import Address, Name
from resolverd.wire.rrset import Security


class SharedBudget(Protocol):
    """Pays for what is asked on behalf of somebody whose questions are bounded together."""

    def take(self, zone: Name) -> bool:
        """A query for servers of `zone` (lower case) is about to leave; False if there is nothing left for it."""


class QueryMeter(Protocol):
    """Counts the queries that leave for zones whose operators have set a limit.

    `zone` is the zone whose servers are asked; a forwarder asks them for us, so there it is the name itself.
    """

    def charge(self, qname: Name, zone: Name) -> bool:
        """A query for `qname` is about to leave; False if it must not."""

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        """So many copies of it left beyond the one that was counted; negative if none did after all."""

    def referred(self, qname: Name, zone: Name) -> None:
        """It was answered with a referral: servers of a zone above only showed the way."""


class Exhausted(Exception):
    """The budget is spent: this question cannot be answered within the bounds."""


class Refresh(Enum):
    """What of a question's own data is to be fetched although it is remembered."""

    NOTHING = "nothing"
    EXPIRING = "what is about to expire"
    ALL = "all"


class TraceStep(Value, frozen=True):
    """One exchange of a resolution: which zone's server was asked what, and what came of it.

    Every exchange is a step and hardly one is ever shown, so that it is put into words only then.
    """

    zone: Name
    ask: Ask
    reply: Reply
    result: Response | str

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        return self.result if isinstance(self.result, str) else self.result.describe()


class TrustLink(Value, frozen=True):
    """What has been found out of a zone's part in the chain of trust, and why; its DS and keys in words, as far as seen."""

    zone: Name
    security: Security
    text: str = ""
    ds: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class QueryBudget:
    """What one client question has used up, and the time of the last reply."""

    __slots__ = (
        "_lookups", "_meter", "_shared_budgets", "_steps_taken", "_traced", "asked_last", "begun", "bytes", "checks_clock",
        "deadline", "delegation_points", "distrusted", "links", "now", "on_delegation", "queries", "querying", "refresh",
        "server_addresses", "shared_exhausted", "steps", "validate", "wall", "work",
    )  # fmt: skip

    def __init__(
        self,
        now: float,
        refresh: Refresh = Refresh.NOTHING,
        meter: QueryMeter | None = None,
        shared_budget: SharedBudget | None = None,
        *,
        wall: float = 0.0,
        validate: bool = False,
        traced: bool = False,
    ):
        """`wall`: Unix seconds, for the times in signatures. `validate`: what its client gets has to be validated (he has not set
        CD). `traced`: somebody wants to read the steps."""
        self._meter = meter
        self._shared_budgets = None if shared_budget is None else [shared_budget]
        self.shared_exhausted = False
        """Whether it came to an end because its shared budgets were spent: that says nothing of the name."""
        self._traced = traced
        self.on_delegation: Callable[[DelegationPoint], object] | None = None
        """Called with the delegation point whose servers are about to be asked for the question itself."""
        self.asked_last: DelegationPoint | None = None
        """The delegation point whose servers were asked for the question itself, last."""
        self._lookups = 0
        self._steps_taken = 0
        self.refresh = refresh
        self.begun = now
        """When it began, which is when the wall clock was read (monotonic seconds)."""
        self.now = now
        self.deadline = now + bounds.RECURSION_TIME
        self.queries = 0
        self.bytes = 0
        self.steps: list[TraceStep] = []
        self.links: list[TrustLink] = []
        """The chains of trust that were followed, where somebody wants to read them."""
        self.querying: list[DelegationPoint] = []
        """Those whose servers are being asked at the moment."""
        self.wall = wall
        self.checks_clock = False
        """Whether it is to find out whether the wall clock can be believed, so that it is not asked beforehand."""
        self.validate = validate
        self.work = Work()
        """What validation has cost so far, and may cost."""
        self.distrusted: dict[Name, set[Server]] = {}
        """Servers that have given bogus answers, by zone: they are not asked again for it."""
        self.server_addresses: dict[Name, list[Address] | None] = {}
        """What this question has found out of servers, by name: addresses, None for none. Each is looked up once."""
        self.delegation_points: dict[Name, DelegationPoint] = {}
        """Those that it has found and that expire before its deadline: it may go on with them to its end."""

    def distrust(self, zone: Name, server: Server) -> None:
        """A server of the zone has given a bogus answer."""
        self.distrusted.setdefault(zone, set()).add(server)

    def bypass_cache(self, *, expiring: bool) -> bool:
        """Whether data of the question itself is to be fetched although it is remembered."""
        return self.refresh is Refresh.ALL or (self.refresh is Refresh.EXPIRING and expiring)

    def share(self, shared_budget: SharedBudget | None) -> None:
        """Somebody else waits for the same answer, and shares its cost; without a budget of their own, the cost is unlimited."""
        if shared_budget is None:
            self._shared_budgets = None
        elif self._shared_budgets is not None and shared_budget not in self._shared_budgets:
            self._shared_budgets.append(shared_budget)

    def charge_lookup(self) -> None:
        """A server's address is about to be looked up. Raises Exhausted."""
        if self._lookups >= bounds.MAX_LOOKUPS:
            raise Exhausted(f"{self._lookups} addresses of name servers looked up")
        self._lookups += 1

    def charge_step(self) -> None:
        """It goes on to another zone, or to another name. Raises Exhausted."""
        if self._steps_taken >= bounds.MAX_STEPS:
            raise Exhausted(f"{self._steps_taken} steps from zone to zone")
        self._steps_taken += 1

    def charge(self, qname: Name, zone: Name) -> None:
        """One more query is about to leave, for servers of `zone` (`QueryMeter`, `SharedBudget`). Raises Exhausted where it must
        not."""
        if self.queries >= bounds.MAX_QUERIES:
            raise Exhausted(f"{self.queries} queries sent")
        if self.now >= self.deadline:
            raise Exhausted(f"{bounds.RECURSION_TIME:g} s passed")
        self.queries += 1
        if self._shared_budgets is not None and not any(shared.take(zone) for shared in self._shared_budgets):
            self.shared_exhausted = True
            raise Exhausted("as many queries were sent as a mail may cost")
        if self._meter is not None and not self._meter.charge(qname, zone):
            raise Exhausted("the quota of its operator is spent")

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        """So many more left than were charged: a connection that broke has taken a query twice; negative where none did."""
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

    @property
    def traced(self) -> bool:
        """Whether somebody wants to read the steps."""
        return self._traced

    def trace_link(self, link: TrustLink) -> None:
        """Remember what was found of a zone, each time that it is something new."""
        if self._traced and link not in self.links:
            self.links.append(link)

    def trace(self, zone: Name, ask: Ask, reply: Reply, result: Response | str) -> None:
        """Remember a step, where somebody wants to read them: a thousand questions' replies are much memory."""
        if self._traced:
            self.steps.append(TraceStep(zone, ask, reply, result))


def exchange(budget: QueryBudget, ask: Ask, zone: Name) -> Generator[Any, Any, Reply]:
    """The reply to a question that has been charged as one for servers of `zone`; each packet that leaves is charged once."""
    reply: Reply | None = yield ask
    charged = 1
    if reply is None:
        # Whoever waits for somebody else's packet is not charged for it: it may be lost, and all wait to the end.
        budget.adjust(ask.qname, zone, -charged)
        charged = 0
        reply = yield Join(ask)
    if reply.sent != charged:
        budget.adjust(ask.qname, zone, reply.sent - charged)
    return reply
