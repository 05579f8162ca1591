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


class Suspension(NamedTuple):
    """Why and until when (monotonic seconds) a list is not asked. `state` as ListStatus has it: suspended or unreachable."""

    state: str
    until: float
    unknown: Unknown


class ListHealth:
    """The health of one list; `now` is monotonic seconds.

    Every question that is really sent is announced by `begin`, whose epoch comes back with its outcome: answers to
    questions sent before a suspension neither end it nor lengthen it.
    """

    def __init__(self) -> None:
        self._suspended: Suspension | None = None
        self._seconds = SUSPENSION
        self._failures = 0
        self._retry_at = float("-inf")
        self._epoch = 0
        self._last_passed = float("-inf")
        self._failing: tuple[float, float] | None = None

    def is_trusted(self, now: float) -> bool:
        """Whether it has denied lately what no list may list, so that a listing of it counts."""
        return now < self._last_passed + CANARY_TTL

    @property
    def last_passed(self) -> float:
        """When it was asked the last time that it denied what no list may list."""
        return self._last_passed

    def canary_passed(self, now: float) -> None:
        """It has denied its test point, of which it was asked at `now`."""
        self._last_passed = now

    def unreachable(self, now: float) -> bool:
        """Whether it has answered nothing for longer than `OUTAGE`, as far as it was asked."""
        return self._failing is not None and now - self._failing[0] > OUTAGE

    def suspension(self, now: float) -> Suspension | None:
        """The suspension in force, which is over (half-open) for one question at a time once its time has come."""
        if self._suspended is None or (now >= self._suspended.until and now >= self._retry_at):
            return None
        return self._suspended

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
        return self._suspended.state if self._suspended is not None and now < self._suspended.until else "ok"

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
        self._suspend(Suspension("unreachable", now + UNREACHABLE_FOR, Unknown(unknown.why, detail)))
        return True

    def suspend(self, epoch: int, unknown: Unknown, now: float) -> float:
        """An error code, or an answer that no list gives, came: seconds of suspension that begin now, 0 if none does."""
        if epoch != self._epoch:
            return 0
        seconds = self._seconds
        self._seconds = min(2 * seconds, MAX_SUSPENSION)
        self._failing = None
        self._last_passed = float("-inf")
        self._suspend(Suspension("suspended", now + seconds, unknown))
        return seconds

    def reset(self) -> None:
        """End every suspension: the admin, or the test points, say that it is over."""
        self._suspended = None
        self._failures = 0
        self._failing = None
        self._seconds = SUSPENSION
        self._epoch += 1

    def _suspend(self, suspension: Suspension) -> None:
        self._suspended = suspension
        self._epoch += 1
        self._retry_at = float("-inf")
