"""The state of one list: what is left of its rate and quota, its health, and what came of the questions so far."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.anomaly import Anomaly
from resolverd.dnsbl.health import UNREACHABLE_FOR, ListHealth
from resolverd.dnsbl.quota import Allowance, Budget, Rate
from resolverd.dnsbl.response import Behaviour, ListResponse
from resolverd.dnsbl.spec import ListSpec, ListStatus
from resolverd.failures import Unknown, Why
from resolverd.latencies import Latencies
from resolverd.mail.lookups import Listed
from resolverd.metrics import Counters
from resolverd.wire.names import Address, Name, ancestors, is_subdomain, label_count

_LATENCIES = 256
"""Answers over which latencies are taken."""
_WARN_AT = 0.8
"""Share of a quota that is spent when the admin is warned."""
_RESERVE = 0.1
"""Share of a quota that is kept for clients on which nothing else has decided."""
_REVERIFICATIONS = Allowance(60, 7200)
"""Listings that are re-verified before they refuse somebody whom nothing else speaks against, beyond what must be: 720 a
day, less than one percent of the quotas that are usual."""
_OF_A_NETWORK = Allowance(bounds.LIST_REVERIFICATIONS_PER_NETWORK, _REVERIFICATIONS.seconds)
_FOR_KNOWN_GOOD = 1 / 3
"""Share of them that is kept for clients with a good history."""
_REGISTRY = 1
"""Labels of a zone whose servers are nobody's of lists: the root and the top level domains."""

_log = logging.getLogger(__name__)


class Reverifications:
    """How often one list's listings are re-verified: a rate of which no client network has more than its part, and of which the
    rest is for clients with a good history. `now` is monotonic seconds.
    """

    def __init__(self) -> None:
        self._rate = Rate(_REVERIFICATIONS)
        self._networks: OrderedDict[Hashable, Rate] = OrderedDict()

    def share(self, now: float) -> float:
        """Which share is left, from 0 to 1."""
        return self._rate.share(now)

    def take(self, subject: Address | str, now: float, *, known_good: bool) -> bool:
        """Take one for a client, or for a domain where no client is known; False, with nothing taken, if none is left for it.

        A client that is `known_good` has the reserve, whoever else its network has in it.
        """
        if known_good:
            return self._rate.take(now) is not None
        if self._rate.share(now) <= _FOR_KNOWN_GOOD:
            return False
        key = subject if isinstance(subject, str) else (subject.version, int(subject) >> (8 if subject.version == 4 else 80))
        network = self._networks.pop(key, None) or Rate(_OF_A_NETWORK)
        self._networks[key] = network
        if len(self._networks) > bounds.LIST_REVERIFICATION_NETWORKS:
            self._networks.popitem(last=False)
        return network.take(now) is not None and self._rate.take(now) is not None


Quotas: TypeAlias = Callable[[ListSpec, Budget | None, float], Budget | None]
"""Makes a list's quota as it is configured; what was spent of the one that it had until now is spent (wall seconds)."""


def own_quota(spec: ListSpec, before: Budget | None, wall: float) -> Budget | None:
    """The quota of a host that shares it with nobody."""
    if spec.quota is None:
        return None
    budget = Budget(spec.quota)
    if before is not None:
        budget.restore(before.state(), wall)
    return budget


class ListState:
    """Whether one list may be asked, and its counts. Every method that needs them takes `now` (monotonic) and `wall` seconds.

    `enabled`: asked for verdicts; `admin_off`: switched off by the admin, so not even asked on behalf of a client that names it.
    `watched`: own addresses that it lists. `budget`: of a list that shares its quota with another one.
    """

    def __init__(self, spec: ListSpec, *, enabled: bool, budget: Budget | None = None, quotas: Quotas = own_quota):
        self.spec = spec
        self.enabled = self._configured = enabled
        self.admin_off = False
        self.health = ListHealth()
        self.budget = quotas(spec, None, 0.0) if budget is None else budget
        self._quotas = quotas
        self.anomaly = Anomaly()
        self.reverifications = Reverifications()
        self.watched: tuple[str, ...] = ()
        self._rate = Rate(spec.rate) if spec.rate else None
        self._warned = False
        self._asked = self._listed = self._failed = self._sound = 0
        self._latencies = Latencies(_LATENCIES)
        self._last_error = ""

    def configured(self, spec: ListSpec, *, enabled: bool, wall: float) -> "ListState":
        """The state of the list as another configuration has it: this one, or in another zone a new one.

        What was spent of its quota stays spent, and the admin's switch stays until the configuration itself says otherwise.
        """
        old = self.spec
        if spec.zone != old.zone:
            other = ListState(spec, enabled=enabled, budget=self._quotas(spec, self.budget, wall), quotas=self._quotas)
            if enabled == self._configured:
                other.enabled, other.admin_off = self.enabled, self.admin_off
            return other
        self.spec = spec
        if enabled != self._configured:
            self.enabled, self.admin_off, self._configured = enabled, False, enabled
        if spec.rate != old.rate:
            self._rate = Rate(spec.rate) if spec.rate else None
        if spec.quota != old.quota:
            self.budget = self._quotas(spec, self.budget, wall)
        return self

    @property
    def asked(self) -> int:
        """Questions that left for its servers since the start."""
        return self._asked

    @property
    def is_known(self) -> bool:
        """Whether it has ever answered as a list answers."""
        return self._sound > 0

    def on_reserve(self, wall: float) -> bool:
        """Whether of its quota only the reserve is left."""
        return self.budget is not None and self.budget.left(wall) <= self.budget.count * _RESERVE

    def unavailable(
        self, now: float, wall: float, *, bypass_suspension: bool = False, background: bool = False
    ) -> Unknown | None:
        """Why the list is not to be asked at this moment; None if it may be.

        `bypass_suspension` overrides a suspension, never a quota. `background`: no verdict waits for it, so it has no part in the
        reserve.
        """
        if self.admin_off and not bypass_suspension:
            return Unknown(Why.UNHEALTHY, "switched off")
        suspension = self.health.suspension(now)
        if suspension is not None and not bypass_suspension:
            return suspension.unknown
        if self.budget is not None and not self.budget.left(wall):
            self.budget.refused(wall)
            return Unknown(Why.QUOTA, _spent(self.budget))
        if background and self.on_reserve(wall):
            return Unknown(Why.QUOTA, "what is left of its quota is kept for verdicts")
        return None

    def unaffordable(self, wall: float) -> Unknown | None:
        """Why no query could leave for it at this moment; None if one could."""
        if self.budget is None or self.budget.at_hand(wall):
            return None
        text = "nothing of its quota is to be had from the shared store" if self.budget.left(wall) else _spent(self.budget)
        return Unknown(Why.QUOTA, text)

    def acquire(self, now: float) -> float | None:
        """Seconds to wait for a turn within the rate; None if that is too long."""
        return 0.0 if self._rate is None else self._rate.take(now, bounds.LIST_RATE_WAIT)

    def begin(self, now: float) -> int:
        """A question begins: the epoch that comes back with its outcome."""
        return self.health.begin(now)

    def charge(self, wall: float) -> bool:
        """A query leaves for its servers, the first try or a further one; False if its quota does not allow that."""
        if self.budget is not None and not self.budget.spend(wall):
            return False
        self._asked += 1
        return True

    def adjust(self, copies: int, wall: float) -> None:
        """So many queries more left than were charged, or fewer."""
        self._asked += copies
        if self.budget is not None:
            self.budget.book(copies, wall)

    def warning(self, wall: float) -> str:
        """What to tell the admin of the quota: empty, or once that most of it is spent."""
        if self.budget is None:
            return ""
        spent = 1 - self.budget.left(wall) / self.budget.count
        if spent < _WARN_AT - _RESERVE:
            self._warned = False
        if spent < _WARN_AT or self._warned:
            return ""
        self._warned = True
        ahead = self.budget.forecast(wall)
        when = "it lasts at this pace" if ahead is None else f"the rest lasts about {_duration(ahead)} at this pace"
        return f"{spent:.0%} of its quota of {self.budget.count} questions is spent; {when}"

    def set_error(self, text: str) -> None:
        """Set an error that no outcome of a question shows."""
        self._last_error = text

    def record(self, epoch: int, response: ListResponse, seconds: float, now: float) -> str:
        """Record an outcome. What to tell the admin: empty, or why the list is not asked from now on."""
        if isinstance(response.reply, Unknown):
            self._last_error = response.reply.detail or response.reply.why
        if response.behaviour is Behaviour.FAILING:
            self._failed += 1
            assert isinstance(response.reply, Unknown)
            if self.health.failed(epoch, response.reply, now):
                return f"does not answer ({self._last_error}): unreachable, skipped for {UNREACHABLE_FOR:.0f} s"
            return ""
        self._latencies.note(seconds)
        if response.behaviour is Behaviour.REFUSING:
            self._failed += 1
            assert isinstance(response.reply, Unknown)
            seconds = self.health.suspend(epoch, response.reply, now)
            return f"{self._last_error}: suspended for {seconds:.0f} s" if seconds else ""
        self._listed += isinstance(response.reply, Listed)
        if response.behaviour is Behaviour.SOUND:
            self._sound += 1
            self.health.answered(epoch)
        return ""

    def status(self, now: float, wall: float) -> ListStatus:
        """How the list fares."""
        spec = self.spec
        left = self.budget.left(wall) if self.budget else None
        ahead = self.budget.forecast(wall) if self.budget else None
        word = self.health.state(now)
        return ListStatus(
            id=spec.id,
            shown=spec.shown,
            purpose=spec.purpose,
            kinds=tuple(sorted(spec.kinds)),
            enabled=self.enabled,
            state="disabled" if not self.enabled else word if word != "ok" else "spent" if left == 0 else "ok",
            quota=self.budget.count if self.budget else None,
            quota_left=left,
            asked=self._asked,
            listed=self._listed,
            failed=self._failed,
            p50=_tenths(self._latencies.quantile(0.5)),
            p99=_tenths(self._latencies.quantile(0.99)),
            last_error=self._last_error,
            terms=spec.terms,
            link=spec.link.replace("{subject}", ""),
            forecast=None if ahead is None else int(ahead),
            watched=self.watched,
        )


class QuotaMeter:
    """The `resolver.iterator.budget.QueryMeter` of the lists.

    What counts are queries for names below a list's zone that reach its operator: servers of that zone, of one below it,
    or of one above that turns out to answer itself, as it does for a zone that is no cut of its own. A referral is free,
    and so is the way down through the registries.
    """

    def __init__(self, states: Iterable[ListState], clock: Clock, counters: Counters):
        self._states = {state.spec.zone: state for state in states}
        self._clock = clock
        self._counters = counters

    def add(self, zone: Name, state: ListState) -> None:
        """Another zone whose queries are charged to one list."""
        self._states.setdefault(zone, state)

    def remove(self, zone: Name) -> None:
        """Such a zone is no more."""
        self._states.pop(zone, None)

    def charge(self, qname: Name, zone: Name) -> bool:
        """A query is about to leave; False if a list's quota does not allow it."""
        state = self._charged_list(qname, zone)
        if state is None:
            return True
        wall = self._clock.wall()
        if not state.charge(wall):
            return False
        self._counters.add("list_queries", list=state.spec.id)
        if text := state.warning(wall):
            _log.warning("list %s: %s", state.spec.id, text)
        return True

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        """So many copies of the query left beyond the one that was counted; negative if none did."""
        state = self._charged_list(qname, zone)
        if state is not None:
            state.adjust(copies, self._clock.wall())
            self._counters.add("list_queries", copies, list=state.spec.id)

    def referred(self, qname: Name, zone: Name) -> None:
        """The query was answered by a referral: free, if it came from above the list's zone."""
        state = self._charged_list(qname, zone)
        if state is not None and not is_subdomain(zone, state.spec.zone):
            self.adjust(qname, zone, -1)

    def _charged_list(self, qname: Name, zone: Name) -> ListState | None:
        return None if label_count(zone) <= _REGISTRY else self.list_of(qname)

    def list_of(self, qname: Name) -> ListState | None:
        """The list to which questions to the operator about this name (lower case) are charged, if there is one."""
        return next((state for above in ancestors(qname) if (state := self._states.get(above)) is not None), None)


def _spent(budget: Budget) -> str:
    return f"its quota of {budget.count} questions is spent"


def _tenths(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"
