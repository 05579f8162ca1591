"""An event loop whose time is virtual: whenever nothing is ready it jumps to the next timer, so hours pass in microseconds.

The fixtures of such a test are ordinary ones (an async fixture would live on another loop)::

    from virtualtime import VirtualClock, virtual

    @virtual
    async def test_expiry():
        clock = VirtualClock()
        await asyncio.sleep(86400)      # returns at once
        assert clock.wall() == VirtualClock.WALL_START + 86400

Real sockets and threads still work, but time jumps on while they are at it: a test that waits for them sets no timers.
A test in which nothing is left that could ever happen fails with `Stuck` instead of hanging.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

START = 1000.0
"""Where the loop's time begins; not zero, so that "never" and "at the start" differ."""

PATIENCE = 5.0
"""Real seconds to wait for sockets or threads when no timer is set."""


class Stuck(RuntimeError):
    """Nothing is ready, no timer is set and nothing came from outside."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            ready = super().select(PATIENCE)
            if not ready:
                raise Stuck("nothing left to wait for")
            return ready
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time."""

    def __init__(self) -> None:
        self._virtual_now = START
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6  # a float step at large times must not exceed it, or timers never seem due

    def time(self) -> float:
        return self._virtual_now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for threads however long: from Python 3.12 on a timer is set, to which time would jump."""
        await super().shutdown_default_executor()

    def jump(self, seconds: float) -> None:
        """Move the time forward."""
        self._virtual_now += seconds


class InlineLoop(VirtualLoop):
    """Virtual time on which what is given to a thread is done at once: no timer fires meanwhile."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own with virtual time; whatever it leaves running is cancelled at its end."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class VirtualClock:
    """The two readings of `resolver.ports.Clock` on the running loop's time; `wall` starts at a fixed date."""

    WALL_START = 1_800_000_000.0

    def __init__(self) -> None:
        self._offset = self.WALL_START - START
        self._loop: asyncio.AbstractEventLoop | None = None

    def monotonic(self) -> float:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                raise
        return self._loop.time()  # a thread has that of the loop it works for

    def wall(self) -> float:
        return self.monotonic() + self._offset

    def set_wall(self, wall: float) -> None:
        """Let the wall clock jump; the monotonic one never does."""
        self._offset = wall - self.monotonic()
