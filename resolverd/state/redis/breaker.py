"""Whether a server is worth asking just now, and when to try it again. Pure: the caller has the time."""

from collections.abc import Callable
from typing import Final

FAILURES: Final = 3
"""Failures in a row, late replies among them, after which it is left alone."""
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 10.0
"""Seconds between tries to reach it: first, and at the most."""


class Breaker:
    """Closed while the server answers. Open, nothing is asked; whoever reaches the server again closes it.

    `random`: a number in [0, 1), so that the hosts of a fleet do not come back all at once.
    """

    def __init__(self, random: Callable[[], float]):
        self._random = random
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._opened_at: float | None = 0.0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked."""
        return self._opened_at is not None

    def answered(self) -> None:
        """It has answered in time."""
        self._failures = 0

    def failed(self, now: float) -> bool:
        """It has not; whether that is enough."""
        self._failures += 1
        if self._failures >= FAILURES and not self.is_open:
            self.trip(now)
            return True
        return False

    def trip(self, now: float) -> None:
        """It cannot be reached. The first try to reach it again may come at once."""
        if not self.is_open:
            self._opened_at = self._next_try = now

    def tried(self, now: float, slowly: bool = False) -> None:
        """It was tried in vain; `slowly`: it will not change by itself (a wrong password)."""
        pause = LAST_PAUSE if slowly else self._pause
        self._pause = min(2 * pause, LAST_PAUSE)
        self._next_try = now + pause * (0.5 + self._random() / 2)

    def wait(self, now: float) -> float:
        """Seconds until it may be tried."""
        return max(0.0, self._next_try - now)

    def close(self, now: float) -> None:
        """It can be reached, and works."""
        # Who comes and goes all the time is not tried at once each time.
        if self._opened_at is not None and now - self._opened_at < LAST_PAUSE and self._pause > FIRST_PAUSE:
            self._pause = max(FIRST_PAUSE, self._pause / 2)
        else:
            self._pause = FIRST_PAUSE
        self._opened_at = None
        self._failures = 0
