"""Whether a list is worth asking now: suspended after error codes, skipped after failures, tried again by one question."""

from typing import NamedTuple

from resolverd.failures import Unknown

SUSPENSION = 300.0
"""First suspension after an error code, doubled at each further one, as SpamAssassin's dns_block_time."""
MAX_SUSPENSION = 6 * 3600.0
"""Longest suspension."""
FAILURES = 3
"""Failures in a row after which a list is skipped."""
UNREACHABLE_FOR = 300.0
"""How long it is skipped."""
RETRY_TIME = 30.0
"""How long the one question that may try again has for its answer; then another may."""
OUTAGE = 3600.0
"""How long an allow list that does not answer softens refusals: nobody may disarm us by attacking it (an hour)."""

CANARY_TTL = 600.0
"""How long a list that has denied its test point is believed when it lists."""
OWN_CANARY_TTL = 3600.0
"""How long it is believed on the word of other hosts, what it says being asked from here: what lies between it and them need
not be what lies between it and this host."""


class Suspension(NamedTuple):
    """Why, since and until when (monotonic seconds) a list is not asked. `state` as ListStatus has it: suspended or
    unreachable."""

    state: str
    until: float
    unknown: Unknown
    since: float = float("-inf")


class ListHealth:
    """The health of one list; `now` is monotonic seconds.

    Every question that is really sent is announced by `begin`, whose epoch comes back with its outcome: answers to
    questions sent before a suspension neither end it nor lengthen it.

    What the other hosts of a fleet have found out is set from outside (`shared_health`): `agreed`, a suspension on which enough
    of them agree; `others_passed`, when one of them had its test point denied; `doubted`, when one last found it to list the
    world; monotonic seconds.
    """

    def __init__(self) -> None:
        self._suspended: Suspension | None = None
        self._seconds = SUSPENSION
        self._failures = 0
        self._retry_at = float("-inf")
        self._epoch = 0
        self._last_passed = float("-inf")
        self._failing: tuple[float, float] | None = None
        self._last_listed = float("-inf")
        self.agreed: Suspension | None = None
        self.others_passed = float("-inf")
        self.doubted = float("-inf")

    def is_trusted(self, now: float, *, shared: bool = False) -> bool:
        """Whether it has denied lately what no list may list, so that a listing of it counts.

        `shared`: one that came from another host, for which any host's test point will do.
        """
        passed = max(self._last_passed, self.others_passed)
        if not now < passed + CANARY_TTL:
            return False
        if shared:
            return passed > self.doubted
        return now < self._last_passed + OWN_CANARY_TTL and self._last_passed > self.doubted

    @property
    def last_passed(self) -> float:
        """When it was asked the last time that it denied what no list may list."""
        return self._last_passed

    @property
    def last_listed(self) -> float:
        """When it was seen the last time to list anybody at all, its test point included."""
        return self._last_listed

    def is_vouched_for(self, now: float, seconds: float) -> bool:
        """Whether within so many seconds it has denied its test point, to whatever host, and listed somebody here."""
        return now < max(self._last_passed, self.others_passed) + seconds and now < self._last_listed + seconds

    def listed(self, now: float) -> None:
        """It has listed somebody: what answers for it here knows its data."""
        self._last_listed = now

    def canary_passed(self, now: float) -> None:
        """It has denied its test point, of which it was asked at `now`."""
        self._last_passed = now

    def unreachable(self, now: float) -> bool:
        """Whether it has answered nothing for longer than `OUTAGE`, as far as it was asked."""
        return self._failing is not None and now - self._failing[0] > OUTAGE

    def suspension(self, now: float) -> Suspension | None:
        """The suspension in force, which is over (half-open) for one question at a time once its time has come."""
        own = self._suspended
        if own is not None and (now < own.until or now < self._retry_at):
            return own
        return self.agreed if self.agreed is not None and now < self.agreed.until else None

    @property
    def own_suspension(self) -> Suspension | None:
        """That of this host, in force or half-open; None where it has none, whatever others have."""
        return self._suspended

    def retry(self, now: float) -> None:
        """Another host has found that its suspension is over: one question at a time may find that out here, too."""
        if self._suspended is not None and now < self._suspended.until:
            self._suspended = self._suspended._replace(until=now)

    @property
    def is_suspended(self) -> bool:
        """Whether it has not answered as a list answers since it was suspended or skipped."""
        return self._suspended is not None

    @property
    def epoch(self) -> int:
        """What `begin` gives: another one after every suspension and reset."""
        return self._epoch

    def state(self, now: float) -> str:
        """ok, suspended, or unreachable (skipped after failures)."""
        if self._suspended is not None and now < self._suspended.until:
            return self._suspended.state
        return self.agreed.state if self.agreed is not None and now < self.agreed.until else "ok"

    def begin(self, now: float) -> int:
        """A question leaves: its epoch."""
        if self._suspended is not None:
            self._retry_at = now + RETRY_TIME
        return self._epoch

    def answered(self, epoch: int) -> None:
        """It was answered as a list answers: ends a suspension if it was sent after it."""
        self._failing = None
        if epoch == self._epoch:
            self._failures = 0
            self._seconds = SUSPENSION
            self._suspended = None

    def failed(self, epoch: int, unknown: Unknown, now: float) -> bool:
        """No usable answer came. Whether the list is skipped from now on."""
        # A failure long after the last one, with nothing asked in between, begins another outage.
        began, last = self._failing or (now, now)
        self._failing = (began if now - last <= OUTAGE else now, now)
        if epoch != self._epoch:
            return False
        self._failures += 1
        if self._failures < FAILURES and self._suspended is None:
            return False
        detail = f"skipped for {UNREACHABLE_FOR:.0f} s after {self._failures} failures in a row"
        self._suspend(Suspension("unreachable", now + UNREACHABLE_FOR, Unknown(unknown.why, detail), now))
        return True

    def suspend(self, epoch: int, unknown: Unknown, now: float) -> float:
        """An error code, or an answer that no list gives, came: seconds of suspension that begin now, 0 if none does."""
        if epoch != self._epoch:
            return 0
        seconds = self._seconds
        self._seconds = min(2 * seconds, MAX_SUSPENSION)
        self._failing = None
        self._last_passed = float("-inf")
        self._suspend(Suspension("suspended", now + seconds, unknown, now))
        return seconds

    def reset(self) -> None:
        """End every suspension: the admin, or the test points, say that it is over."""
        self._suspended = self.agreed = None
        self._failures = 0
        self._failing = None
        self._seconds = SUSPENSION
        self._epoch += 1

    def _suspend(self, suspension: Suspension) -> None:
        self._suspended = suspension
        self._epoch += 1
        self._retry_at = float("-inf")
