"""What goes on without being asked: priming the root, and knowing whether names can be resolved at all."""

import asyncio
import logging
from typing import NamedTuple

from resolverd.flow.recurse import Recurse

log = logging.getLogger(__name__)

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0
_CUT_OFF = 30
"""Unanswered questions in a row, to whomever, that say that we are cut off: single dead servers make shorter runs."""


class Readiness(NamedTuple):
    """Whether names can be resolved, and if not, why."""

    ready: bool
    reason: str


class Upkeep:
    """Keeps the root's servers known (RFC 9609): at start, and again before what is known of them expires."""

    def __init__(self, recurse: Recurse, asked: str, priming: bool):
        """`asked`: who is asked, for people: "the root servers", "the forwarders". Without `priming` they are believed in."""
        self._recurse = recurse
        self._asked = asked
        self._priming = priming
        self._primed = Readiness(not priming, f"{asked} have not answered yet" if priming else "")

    @property
    def readiness(self) -> Readiness:
        """Whether the root or the forwarders answer, as far as is known."""
        if self._primed.ready and self._recurse.unanswered >= _CUT_OFF:
            return Readiness(False, f"the last {self._recurse.unanswered} questions to name servers got no answer")
        return self._primed

    async def run(self) -> None:
        """Prime for ever; ends by cancellation."""
        retry = _FIRST_RETRY
        while self._priming:
            lifetime = await self._recurse.prime()
            if lifetime is not None:
                if not self._primed.ready:
                    log.info("%s answer: names can be resolved", self._asked)
                self._primed = Readiness(True, "")
                retry = _FIRST_RETRY
                await asyncio.sleep(max(lifetime * 0.9, _LONGEST_RETRY))
            else:
                if self._primed.ready or retry == _FIRST_RETRY:
                    log.warning(
                        "none of %s answered: no names can be resolved, so mail passes unchecked;"
                        " is there a way to the internet for port 53, UDP and TCP?",
                        self._asked,
                    )
                self._primed = Readiness(False, f"{self._asked} do not answer")
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY)
