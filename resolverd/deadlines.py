"""One timer of the event loop's for a whole queue of what must not take longer than so many seconds.

Nearly every deadline is cancelled long before it comes: setting one costs an entry in a heap, cancelling one costs nothing, and
what was cancelled is thrown out when it is most of the heap.
"""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any, Final, TypeAlias

_TURNS: Final = 4
"""Turns of the loop from a packet in a socket to the end of what waits for it."""
_BATCH: Final = 32
"""Deadlines that expire in one turn: hundreds may at one moment, and others want their turn as well."""
_FEW: Final = 1024
"""So many entries are not worth being looked through."""
_SHORTEST: Final = 0.001
"""Seconds for the loop's timer at least: those of some loops come up to a millisecond early."""

Call: TypeAlias = Callable[[float], object]
"""What is called when time is over, with the time (monotonic seconds)."""


class Deadline(list[Any]):
    """A moment (monotonic seconds), a number by which those of one moment keep their order, and what is called then, or None.

    It is a list, so that a heap compares it without calling anybody.
    """

    __slots__ = ()

    @property
    def at(self) -> float:
        """When it is over."""
        moment: float = self[0]
        return moment

    def cancel(self) -> None:
        """Call nothing."""
        self[2] = None


class Deadlines:
    """Deadlines, in order. After a busy moment what has come meanwhile is worked off before anything counts as late."""

    def __init__(self, clock: Callable[[], float]):
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._heap: list[Deadline] = []
        self._number = count().__next__
        self._enough = _FEW
        self._timer: asyncio.Handle | None = None
        self._armed = inf
        """When the loop calls; what is due earlier has to arm it anew."""

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, call: Call) -> Deadline:
        """Have that called at `at`, or as soon as may be where it has passed, but never from here."""
        deadline = Deadline((at, self._number(), call))
        if len(self._heap) >= self._enough:
            self._clear_out()
        heapq.heappush(self._heap, deadline)
        if at < self._armed:
            self._arm(at)
        return deadline

    def close(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._armed = inf

    def _clear_out(self) -> None:
        self._heap = [deadline for deadline in self._heap if deadline[2] is not None]
        heapq.heapify(self._heap)
        self._enough = max(2 * len(self._heap), _FEW)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = at
        delay = at - self._clock()
        loop = asyncio.get_running_loop()
        if delay > 0:
            self._timer = loop.call_later(max(delay, _SHORTEST), self._time_over, _TURNS)
        else:
            self._timer = loop.call_soon(self._time_over, _TURNS)

    def _time_over(self, turns: int) -> None:
        """The loop comes to its timers first: what can be read is read, and what follows from it done, before they count."""
        if turns:
            self._timer = asyncio.get_running_loop().call_soon(self._time_over, turns - 1)
            return
        self._timer = None
        now, added_meanwhile, expired = self._clock(), self._number(), 0
        try:
            while self._heap and expired < _BATCH:
                at, number, call = deadline = self._heap[0]
                if number > added_meanwhile or (at > now and call is not None):
                    break
                heapq.heappop(self._heap)
                if call is not None:
                    expired += 1
                    deadline.cancel()
                    call(now)
        finally:
            self._armed = inf
            if self._heap:
                self._arm(self._heap[0][0])
