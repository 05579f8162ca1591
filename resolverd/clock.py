"""The time: two readings, never mixed."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, never mixed: monotonic for TTLs and timers, wall for what is stored."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, never backwards."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as the machine believes."""
        ...


class SystemClock:
    """The machine's."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
