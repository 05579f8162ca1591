"""The machine's two clocks."""

import time


class SystemClock:
    """Monotonic for TTLs and timers, wall for what is stored."""

    @staticmethod
    def monotonic() -> float:
        """Seconds since some fixed moment, never backwards."""
        return time.monotonic()

    @staticmethod
    def wall() -> float:
        """Seconds since 1970, as the machine believes."""
        return time.time()
