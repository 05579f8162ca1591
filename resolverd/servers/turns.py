"""Whose turn it is: what clients send in heaps is worked off a little at a time, one connection a turn of the event loop.

Without that, one connection with a megabyte of questions, or a hundred with a few each, would keep all others waiting until
they are done. Between two turns everybody else is served: UDP, timers, replies of servers, new connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

_HEAPS_EVERY = 16
"""One turn in so many is a heap's whatever else waits, so that even then it comes to its end."""


class Turns:
    """Gives out turns in the order in which they were asked for. Belongs to one event loop.

    Heaps come behind everything else, but for one turn in `_HEAPS_EVERY`: who asks and waits for the answer is not kept waiting
    by hundreds who don't.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._heaps: deque[Callable[[], object]] = deque()
        self._taken = False
        self._given = 0

    def ask(self, work: Callable[[], object], heap: bool = False) -> None:
        """Have `work` done when its turn comes: now, if nobody else has had this turn of the loop. `heap`: part of one."""
        if self._taken:
            (self._heaps if heap else self._waiting).append(work)
        else:
            self._take()
            work()

    async def mine(self, heap: bool = False) -> None:
        """Return when it is the caller's turn."""
        if not self._taken:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ask(partial(_give, turn), heap)
        await turn

    def _take(self) -> None:
        self._taken = True
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._taken = False
        self._given += 1
        of_heaps = not self._waiting or self._given % _HEAPS_EVERY == 0
        queue = self._heaps if self._heaps and of_heaps else self._waiting
        if queue:
            self._take()
            queue.popleft()()


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # whoever waited may have been cancelled
        turn.set_result(None)
