"""What goes on without being asked: priming the root, and knowing whether names can be resolved at all."""

import asyncio
import contextlib
import logging
from typing import NamedTuple

from resolverd.flow.recurse import Recurse

log = logging.getLogger(__name__)

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 10.0
_SHORTEST_LIFE = 60.0
_SILENT = (
    "none of %s answered: no names can be resolved, so mail passes unchecked;"
    " is there a way to the internet for port 53, UDP and TCP?"
)
_INTERCEPTED = (
    "somebody else answers in place of %s, and not as they would: nothing that is said now is believed, so mail passes"
    " unchecked; is port 53 intercepted on the way? If the network has a resolver of its own, name it as forwarder"
)
_CUT_OFF = 30
"""Unanswered questions in a row, to whomever, that say that we are cut off: single dead servers make shorter runs."""


class Readiness(NamedTuple):
    """Whether names can be resolved, and if not, why."""

    ready: bool
    reason: str


class Upkeep:
    """Keeps the root's servers known (RFC 9609): at start, and again before what is known of them expires."""

    def __init__(self, recurse: Recurse, priming: bool, *, forwards: bool):
        """`forwards`: forwarders are asked, not the root's servers. Without `priming` they are believed in."""
        asked = "the forwarders" if forwards else "the root servers"
        self._forwards = forwards
        self._recurse = recurse
        self._asked = asked
        self._priming = priming
        self._primed = Readiness(not priming, f"{asked} have not answered yet" if priming else "")
        self._doubt = asyncio.Event()
        recurse.root_check.on_contradiction = self._doubt.set

    @property
    def readiness(self) -> Readiness:
        """Whether the root or the forwarders answer, as far as is known."""
        if self._recurse.root_check.contradicted:
            return Readiness(False, f"somebody else answers in place of {self._asked}")
        if self._primed.ready and self._recurse.unanswered >= _CUT_OFF:
            return Readiness(False, f"the last {self._recurse.unanswered} questions to name servers got no answer")
        return self._primed

    async def run(self) -> None:
        """Prime for ever; ends by cancellation."""
        retry = _FIRST_RETRY
        told = ""
        while self._priming:
            self._doubt.clear()
            lifetime = await self._recurse.prime()
            if lifetime is not None:
                if not self._primed.ready or told:
                    log.info("%s answer: names can be resolved", self._asked)
                self._primed = Readiness(True, "")
                retry, told = _FIRST_RETRY, ""
                await self._pause(_SHORTEST_LIFE if self._forwards else max(lifetime * 0.9, _SHORTEST_LIFE))
                continue
            trouble = _INTERCEPTED if self._recurse.root_check.contradicted else _SILENT
            if trouble != told:
                log.warning(trouble, self._asked)
                told = trouble
            self._primed = Readiness(False, f"{self._asked} do not answer")
            await asyncio.sleep(retry)
            retry = min(retry * 2, _LONGEST_RETRY)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until somebody else is found to answer in place of those asked."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._doubt.wait(), seconds)
