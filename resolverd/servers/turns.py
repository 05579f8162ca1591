"""Whose turn it is: what clients send in heaps is worked off a little at a time, some processor time in each turn of the loop.

Without that, one connection with a megabyte of questions, or a hundred with a few each, would keep all others waiting until
they are done. Between two turns everybody else is served: UDP, timers, replies of servers, new connections. It goes by time and
not by pieces, as turns are long where others have much to do: who has little to ask would starve behind them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import thread_time

from resolverd import bounds

_HEAPS_EVERY = 16
"""One piece in so many is a heap's whatever else waits, so that even then it comes to its end."""


Work = Callable[[], float | None]
"""A piece of it. Returns the seconds that what it has begun, and what goes on by itself now, is about to cost; None: nothing."""


class Turns:
    """Gives out turns in the order in which they were asked for. Belongs to one event loop.

    Heaps come behind everything else, but for one piece in `_HEAPS_EVERY`: who asks and waits for the answer is not kept waiting
    by hundreds who don't. All heaps together have half as much of a turn as everybody else has had, or one piece: where
    nobody has much to do, turns stay short.
    """

    def __init__(self, spent: Callable[[], float] = thread_time) -> None:
        """`spent`: the seconds of processor time that the event loop's thread has had."""
        self._spent = spent
        self._waiting: deque[Work] = deque()
        self._heaps: deque[Work] = deque()
        self._taken = False
        """Whether this turn of the loop has had a piece of work, so that `_next` will be called in the next one."""
        self._left = 0.0
        """Seconds of this turn of the loop that are left; none while a piece is worked on, which may ask for more."""
        self._pieces = 0
        self._ended: float | None = None
        """When the last turn ended; None where that was not the one before."""

    def ask(self, work: Work, heap: bool = False) -> None:
        """Have `work` done when its turn comes: now, if nobody else has had this turn of the loop, or they left some of it.

        `heap`: it is part of one.
        """
        if not self._taken:
            self._take()
            self._left = bounds.TURN - (work() or 0.0)
        elif self._left > 0 and not heap and not self._waiting:
            left, self._left = self._left, 0.0
            before = self._spent()
            later = work() or 0.0
            self._left = left - (self._spent() - before) - later
        else:
            (self._heaps if heap else self._waiting).append(work)

    async def mine(self, heap: bool = False) -> None:
        """Return when it is the caller's turn, which has the whole of it."""
        if not self._taken:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._heaps if heap else self._waiting).append(partial(_give, turn))
        await turn

    def _take(self) -> None:
        self._taken = True
        self._left = 0.0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._taken = False
        before = self._spent()
        others = 0.0 if self._ended is None else min(bounds.TURN, (before - self._ended) / 2)
        self._ended = None
        if not self._waiting and not self._heaps:
            return
        self._take()
        left = bounds.TURN
        while left > 0:
            self._pieces += 1
            heap = bool(self._heaps) and others >= 0 and (not self._waiting or self._pieces % _HEAPS_EVERY == 0)
            if not heap and not self._waiting:
                break
            later = (self._heaps if heap else self._waiting).popleft()() or 0.0
            now = self._spent()
            took, before = now - before + later, now
            left -= took
            if heap:
                others -= took
        self._left, self._ended = left, before


def _give(turn: asyncio.Future[None]) -> float:
    if turn.done():  # whoever waited may have been cancelled
        return 0.0
    turn.set_result(None)
    return bounds.TURN
