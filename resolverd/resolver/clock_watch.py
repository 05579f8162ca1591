"""Looks whether the wall clock can be believed, raises the alarm while it cannot, and has forgotten what came of it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.validator.trust import TrustState

log = logging.getLogger(__name__)

_GLANCE: Final = 0.25
"""Seconds between two readings of the clock."""
_LOOK_AGAIN: Final = 60.0
"""Seconds between two looks at the root's keys while the clock cannot be believed."""


class ClockWatch:
    """`forget`: has everything forgotten that names are answered from."""

    def __init__(
        self,
        mesh: Mesh,
        clock: Clock,
        counters: Counters,
        trust: Callable[[], TrustState | None],
        forget: Callable[[], object],
    ):
        self._mesh = mesh
        self._clock = clock
        self._counters = counters
        self._trust = trust
        self._forget = forget
        self._fault: str | None = None
        self._jumped = False
        self._next_look = 0.0

    async def run(self) -> NoReturn:
        """Look for ever; ends by cancellation."""
        while True:
            trust = self._trust()
            if trust is not None:
                self._tell(trust)
                await self._look(trust)
                self._tell(trust)
            await asyncio.sleep(_GLANCE)

    async def _look(self, trust: TrustState) -> None:
        """See what the root's keys say of the clock, where there is reason to."""
        wall, now = self._clock.wall(), self._clock.monotonic()
        jumped = trust.clock.has_jumped(wall, now)
        if not jumped and trust.clock.fault(wall) is None:
            self._jumped = False
            return
        if jumped == self._jumped and now < self._next_look:
            return
        self._next_look = now + _LOOK_AGAIN
        if jumped and not self._jumped:
            # What was found bogus, or good, was so at another time.
            trust.forget()
            self._mesh.forget_failures()
        self._jumped = jumped
        await self._mesh.own.check_root()

    def _tell(self, trust: TrustState) -> None:
        fault = trust.clock.fault(self._clock.wall())
        if (fault is None) != (self._fault is None):
            self._forget()
            if fault is not None:
                self._counters.add("clock_faults")
                log.error("DNSSEC is not validated until the clock is right: %s", fault)
            else:
                log.warning("the clock is right again: DNSSEC is validated")
        self._fault = fault
