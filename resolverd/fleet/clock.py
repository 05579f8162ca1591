"""The wall clock that the hosts of a fleet have in common: that of the store they share.

What one host writes, others read: first tries, ends of overrides, slots of quotas. With clocks five minutes apart a retry would
come before its first try, or wait twice. Nobody has to set a clock for that: each host knows how far its own is from the store's.
"""

import logging
from collections.abc import Callable
from typing import Final

from resolverd.clock import Clock

MAX_OFFSET: Final = 3600.0
"""Seconds; a store further away is wrong itself, and nobody follows it."""

log = logging.getLogger(__name__)


class FleetClock:
    """The machine's clock with a wall clock that is `offset()` seconds ahead: the store's, as far as it is known."""

    def __init__(self, clock: Clock, offset: Callable[[], float]) -> None:
        self._clock = clock
        self._offset = offset
        self._complained = False

    def monotonic(self) -> float:
        """As the machine's."""
        return self._clock.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, as the shared store believes; as the machine does where the two are more than an hour apart."""
        offset, wall = self._offset(), self._clock.wall()
        if abs(offset) <= MAX_OFFSET:
            self._complained = False
            return wall + offset
        if not self._complained:
            self._complained = True
            log.warning("the shared store's clock is %+.0f s from this machine's: one is wrong, it is not followed", offset)
        return wall
