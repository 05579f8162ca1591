"""What goes on without being asked: priming the root, and knowing whether names can be resolved at all."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from resolverd import bounds
from resolverd.resolver.mesh import Mesh

log = logging.getLogger(__name__)

_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 10.0
_SHORTEST_LIFE: Final = 60.0
_LOOK_AGAIN: Final = 1.0
"""Seconds between two looks whether the internet is back."""
_GLANCE: Final = 0.25
"""Seconds between two glances at what has come to nothing."""
_CALM: Final = 5.0
"""Seconds for which a look that has found it there is believed, whatever fails meanwhile."""
_SILENT = (
    "none of %s answered: no names can be resolved, so mail passes unchecked but for greylisting;"
    " is there a way to the internet for port 53, UDP and TCP?"
)
_INTERCEPTED = (
    "somebody else answers in place of %s, and not as they would: nothing that is said now is believed, so mail passes"
    " unchecked but for greylisting; is port 53 intercepted on the way? If the network has a resolver of its own, name it as"
    " forwarder"
)


class Readiness(NamedTuple):
    """Whether names can be resolved, and if not, why."""

    ready: bool
    reason: str


def _nothing() -> None:
    """Nobody wants to know."""


class Priming:
    """Keeps the root's servers known (RFC 9609): at start, and again before what is known of them expires.

    And knows whether the internet is out of reach: when much fails in a row, servers are asked that must answer if it is not.
    What fails is a stranger's choice, those servers are not.
    """

    def __init__(self, mesh: Mesh, priming: bool, *, forwards: bool):
        """`forwards`: forwarders are asked, not the root's servers. Without `priming` they are believed in."""
        self._mesh = mesh
        self._configured: tuple[object, ...] = ()
        self._look_now = asyncio.Event()
        self._unprimed = False
        mesh.root_check.on_interception = self._look_now.set
        self.on_return: Callable[[], None] = _nothing
        """Called when the internet can be reached again."""
        self.configure(priming, forwards=forwards)

    def configure(self, priming: bool, *, forwards: bool, whom: object = None) -> bool:
        """Go on by another configuration; whether others are to be asked than so far, so that both tasks have to begin anew.

        `whom`: something that differs where they do.
        """
        if self._configured == (priming, forwards, whom):
            return False
        self._configured = (priming, forwards, whom)
        self._forwards = forwards
        self._asked = "the forwarders" if forwards else "the root servers"
        self._priming = priming
        self._mesh.root_check.reset()
        self._primed = Readiness(not priming, f"{self._asked} have not answered yet" if priming else "")
        return True

    @property
    def readiness(self) -> Readiness:
        """Whether the root or the forwarders answer, as far as is known."""
        if self._mesh.root_check.intercepted:
            return Readiness(False, f"somebody else answers in place of {self._asked}")
        if self._mesh.offline:
            return Readiness(False, f"neither {self._asked} answer nor who else has answered of late")
        return self._primed

    async def prime(self) -> NoReturn:
        """Keep the root's servers known, for ever; ends by cancellation."""
        if not self._priming:
            await asyncio.Event().wait()
        retry = _FIRST_RETRY
        reported = ""
        while True:
            self._look_now.clear()
            lifetime = await self._mesh.own.prime()
            if lifetime is not None:
                if not self._primed.ready or reported:
                    log.info("%s answer: names can be resolved", self._asked)
                self._primed = Readiness(True, "")
                retry, reported = _FIRST_RETRY, ""
                await self._pause(_SHORTEST_LIFE if self._forwards else max(lifetime * 0.9, _SHORTEST_LIFE))
                continue
            trouble = _INTERCEPTED if self._mesh.root_check.intercepted else _SILENT
            if trouble != reported:
                log.warning(trouble, self._asked)
                reported = trouble
            self._primed = Readiness(False, f"{self._asked} do not answer")
            self._unprimed = True
            await self._pause(retry)
            retry = min(retry * 2, _LONGEST_RETRY)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until there is reason to look at once: somebody else answers, or the internet is back."""
        with contextlib.suppress(TimeoutError):
            # not wait_for, whose 3.11 loses a cancellation that comes together with what is waited for
            async with asyncio.timeout(seconds):
                await self._look_now.wait()

    async def watch(self) -> NoReturn:
        """Know whether the internet is out of reach, for ever; ends by cancellation."""
        if self._mesh.offline:  # as it was when an earlier run ended; whether it still is will be seen
            self._mesh.go_online()
        first, second = bounds.REACH_PATIENCE
        mesh = self._mesh
        while True:
            await asyncio.sleep(_GLANCE)
            if not mesh.is_doubtful and not self._unprimed:
                continue
            self._unprimed = False
            if await mesh.own.reaches_anybody(first) or await mesh.own.reaches_anybody(second):
                mesh.reassure()
                await asyncio.sleep(_CALM)
                continue
            mesh.go_offline()
            if self._primed.ready:
                log.warning("the internet is out of reach, so mail passes unchecked but for greylisting")
            back = False
            while not back:
                await asyncio.sleep(_LOOK_AGAIN)
                back = await mesh.own.reaches_anybody(second)
            mesh.go_online()
            if self._primed.ready:
                log.warning("the internet can be reached again")
            self._look_now.set()
            self.on_return()
