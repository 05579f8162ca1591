"""Our dealings with one list: what is left of its rate and quota, how it fares, and what came of the questions so far."""

from collections import deque

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.mail.health import Health
from resolverd.mail.listreply import Conduct, Told
from resolverd.mail.listspec import ListSpec, ListState
from resolverd.mail.questions import Listed
from resolverd.quota import Budget, Rate

_LATENCIES = 256
"""Answers over which latencies are told."""


class Desk:
    """One list's gate and books. Every method that needs them takes `now` (monotonic) and `wall` seconds.

    `enabled`: asked for verdicts; `barred`: switched off by the admin, so not even asked on behalf of a client that names it.
    """

    def __init__(self, spec: ListSpec, *, enabled: bool):
        self.spec = spec
        self.enabled = enabled
        self.barred = False
        self.health = Health()
        self.budget = Budget(spec.quota) if spec.quota else None
        self._rate = Rate(spec.rate) if spec.rate else None
        self._asked = self._listed = self._failed = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._last_error = ""

    def refusal(self, now: float, wall: float, *, probing: bool = False) -> Unknown | None:
        """Why the list is not to be asked at this moment; None if it may be. `probing` overrides a pause, never a quota."""
        if self.barred and not probing:
            return Unknown(Why.UNHEALTHY, "switched off")
        pause = self.health.pause(now)
        if pause is not None and not probing:
            return pause.unknown
        if self.budget is not None and not self.budget.left(wall):
            return Unknown(Why.QUOTA, f"its quota of {self.budget.count} questions is spent")
        return None

    def turn(self, now: float) -> float | None:
        """Seconds to wait for a turn within the rate; None if that is too long."""
        return 0.0 if self._rate is None else self._rate.take(now, bounds.LIST_RATE_WAIT)

    def sent(self, now: float, wall: float) -> int:
        """A question leaves: it is paid for. The ticket that comes back with its outcome."""
        if self.budget is not None:
            self.budget.spend(wall)
        self._asked += 1
        return self.health.start(now)

    def learn(self, ticket: int, told: Told, seconds: float, now: float) -> str:
        """Book an outcome. What to tell the admin: empty, or why the list is left alone from now on."""
        if isinstance(told.reply, Unknown):
            self._last_error = told.reply.detail or told.reply.why
        if told.conduct is Conduct.FAILING:
            self._failed += 1
            assert isinstance(told.reply, Unknown)
            if self.health.failed(ticket, told.reply, now):
                return f"does not answer ({self._last_error}): skipped for a while"
            return ""
        self._latencies.append(seconds * 1000)
        if told.conduct is Conduct.REFUSING:
            self._failed += 1
            assert isinstance(told.reply, Unknown)
            pause = self.health.refused(ticket, told.reply, now)
            return f"{self._last_error}: not asked for {pause:.0f} s" if pause else ""
        self._listed += isinstance(told.reply, Listed)
        if told.conduct is Conduct.SOUND:
            self.health.answered(ticket)
        return ""

    def state(self, now: float, wall: float) -> ListState:
        """How the list fares."""
        spec = self.spec
        left = self.budget.left(wall) if self.budget else None
        latencies = sorted(self._latencies)
        word = self.health.state(now)
        return ListState(
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
            p50=_quantile(latencies, 0.5),
            p99=_quantile(latencies, 0.99),
            last_error=self._last_error,
            terms=spec.terms,
            link=spec.link.replace("{subject}", ""),
        )


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None
