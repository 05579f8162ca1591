"""Whether a server is worth asking just now, and when to try it again. Pure: the caller has the time."""

from collections.abc import Callable
from typing import Final

FAILURES: Final = 3
"""Failures in a row after which it is left alone, late replies among them: a moment with many of them is one."""
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
        self._failed_at = float("-inf")
        self._pause = FIRST_PAUSE
        self._closed_at = float("-inf")
        self._next_try = float("-inf")
        self.is_open = True

    def answered(self) -> None:
        """It has answered in time."""
        self._failures = 0

    def failed(self, begun: float, now: float) -> bool:
        """What was asked at `begun` was not answered in time; whether that is enough."""
        if self.is_open or begun < self._failed_at:
            return False
        self._failures += 1
        self._failed_at = now
        return self._failures >= FAILURES

    def open(self, now: float) -> None:
        """It cannot be reached. The first try to reach it again may come at once, unless it comes and goes all the time."""
        if not self.is_open:
            self.is_open = True
            if now - self._closed_at < LAST_PAUSE:
                self.tried(now)
            else:
                self._pause = FIRST_PAUSE
                self._next_try = now

    def tried(self, now: float, pause: float | None = None) -> None:
        """It was tried in vain. `pause`: seconds, where it is known how long that will go on."""
        if pause is None:
            pause = self._pause
            self._pause = min(2 * pause, LAST_PAUSE)
        self._next_try = now + pause * (0.5 + self._random() / 2)

    def wait(self, now: float) -> float:
        """Seconds until it may be tried."""
        return max(0.0, self._next_try - now)

    def close(self, now: float) -> None:
        """It can be reached, and works."""
        self.is_open = False
        self._closed_at = now
        self._failures = 0
