"""Whether a list is worth asking now: suspended after error codes, skipped after failures, tried again by one question."""

from typing import NamedTuple

from resolverd.failures import Unknown

SUSPENSION = 300.0
"""First suspension after an error code, doubled at each further one, as SpamAssassin's dns_block_time."""
MAX_SUSPENSION = 6 * 3600.0
"""Longest suspension."""
FAILURES = 3
"""Failures in a row after which a list is skipped."""
SKIPPED = 300.0
"""How long it is skipped."""
TRIAL = 30.0
"""How long the one question that may try again has for its answer; then another may."""
OUTAGE = 3600.0
"""How long an allow list that does not answer softens refusals: nobody may disarm us by attacking it (an hour)."""

PROOF = 600.0
"""How long a list that has denied its test point is believed when it lists."""


class Pause(NamedTuple):
    """Why and until when (monotonic seconds) a list is not asked. `state` as ListState has it: suspended or open."""

    state: str
    until: float
    unknown: Unknown


class Health:
    """The health of one list; `now` is monotonic seconds.

    Every question that is really sent is announced by `start`, whose ticket comes back with its outcome: answers to
    questions sent before a pause neither end it nor lengthen it.
    """

    def __init__(self) -> None:
        self._pause: Pause | None = None
        self._suspension = SUSPENSION
        self._failures = 0
        self._trial = float("-inf")
        self._epoch = 0
        self._proven = float("-inf")
        self._failing: tuple[float, float] | None = None

    def is_proven(self, now: float) -> bool:
        """Whether it has denied lately what no list may list, so that a listing of it counts."""
        return now < self._proven + PROOF

    @property
    def proven(self) -> float:
        """When it was asked the last time that it denied what no list may list."""
        return self._proven

    def proved(self, now: float) -> None:
        """It has denied its test point, of which it was asked at `now`."""
        self._proven = now

    def is_lost(self, now: float) -> bool:
        """Whether it has answered nothing for longer than `OUTAGE`, as far as it was asked."""
        return self._failing is not None and now - self._failing[0] > OUTAGE

    def pause(self, now: float) -> Pause | None:
        """The pause in force, which is over (half-open) for one question at a time once its time has come."""
        if self._pause is None or (now >= self._pause.until and now >= self._trial):
            return None
        return self._pause

    def state(self, now: float) -> str:
        """ok, suspended, or open (skipped after failures)."""
        return self._pause.state if self._pause is not None and now < self._pause.until else "ok"

    def start(self, now: float) -> int:
        """A question leaves: its ticket."""
        if self._pause is not None:
            self._trial = now + TRIAL
        return self._epoch

    def answered(self, ticket: int) -> None:
        """It was answered as a list answers: ends a pause if it was sent after it."""
        self._failing = None
        if ticket == self._epoch:
            self._failures = 0
            self._suspension = SUSPENSION
            self._pause = None

    def failed(self, ticket: int, unknown: Unknown, now: float) -> bool:
        """No usable answer came. Whether the list is skipped from now on."""
        # A failure long after the last one, with nothing asked in between, begins another outage.
        began, last = self._failing or (now, now)
        self._failing = (began if now - last <= OUTAGE else now, now)
        if ticket != self._epoch:
            return False
        self._failures += 1
        if self._failures < FAILURES and self._pause is None:
            return False
        detail = f"skipped for {SKIPPED:.0f} s after {self._failures} failures in a row"
        self._begin(Pause("open", now + SKIPPED, Unknown(unknown.why, detail)))
        return True

    def refused(self, ticket: int, unknown: Unknown, now: float) -> float:
        """An error code, or an answer that no list gives, came: seconds of suspension that begin now, 0 if none does."""
        if ticket != self._epoch:
            return 0
        seconds = self._suspension
        self._suspension = min(2 * seconds, MAX_SUSPENSION)
        self._failing = None
        self._proven = float("-inf")
        self._begin(Pause("suspended", now + seconds, unknown))
        return seconds

    def wake(self) -> None:
        """Forget every pause: the admin says that it is over."""
        self._pause = None
        self._failures = 0
        self._failing = None
        self._suspension = SUSPENSION
        self._epoch += 1

    def _begin(self, pause: Pause) -> None:
        self._pause = pause
        self._epoch += 1
        self._trial = float("-inf")
