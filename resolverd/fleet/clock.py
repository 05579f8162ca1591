"""The wall clock that the hosts of a fleet have in common: that of the store they share.

What one host writes, others read: first tries, ends of overrides, slots of quotas. With clocks five minutes apart a retry would
come before its first try, or wait twice. Nobody has to set a clock for that: each host knows how far its own is from the store's,
and a store that is too far away (`state.shared.MAX_OFFSET`) is not used at all.
"""

from collections.abc import Callable

from resolverd.clock import Clock


class FleetClock:
    """The machine's clock with a wall clock that is `offset()` seconds ahead: the store's, as far as it is known."""

    def __init__(self, clock: Clock, offset: Callable[[], float]) -> None:
        self._clock = clock
        self._offset = offset

    def monotonic(self) -> float:
        """As the machine's."""
        return self._clock.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, as the shared store believes."""
        return self._clock.wall() + self._offset()
