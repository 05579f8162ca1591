"""Whose turn it is: what clients send in heaps is worked off a little at a time, one connection a turn of the event loop.

Of what is small, and is no part of a heap, `SMALL` are done in one turn of the loop: each turn asks the system for news, which
costs as much as a part of the work itself.

Without that, one connection with a megabyte of questions, or a hundred with a few each, would keep all others waiting until
they are done. Between two turns everybody else is served: UDP, timers, replies of servers, new connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

SMALL = 4
"""Small pieces of work in one turn of the loop: some 2 ms."""
_HEAPS_EVERY = 16
"""One turn in so many is a heap's whatever else waits, so that even then it comes to its end."""


class Turns:
    """Gives out turns in the order in which they were asked for. Belongs to one event loop.

    Heaps come behind everything else, but for one turn in `_HEAPS_EVERY`: who asks and waits for the answer is not kept waiting
    by hundreds who don't.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], object], bool]] = deque()
        self._heaps: deque[Callable[[], object]] = deque()
        self._taken = False
        self._room = 0
        self._given = 0
        self._accepted = False

    def accepted(self) -> None:
        """A connection was accepted. The event loop takes one a turn, and somebody who waits for an answer may stand behind
        hundreds that send heaps: the next turn is no heap's, but for the one in `_HEAPS_EVERY`."""
        self._accepted = True

    def ask(self, work: Callable[[], object], heap: bool = False, small: bool = False) -> None:
        """Have `work` done when its turn comes: now, if nobody else has had this turn of the loop, or what has had it is `small`
        like this and was not much. `heap`: part of one."""
        if not self._taken:
            self._take(small)
            work()
        elif heap:
            self._heaps.append(work)
        elif small and self._room and not self._waiting:
            self._room -= 1
            work()
        else:
            self._waiting.append((work, small))

    async def mine(self, heap: bool = False) -> None:
        """Return when it is the caller's turn."""
        if not self._taken:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ask(partial(_give, turn), heap)
        await turn

    def _take(self, small: bool = False) -> None:
        self._taken = True
        self._room = SMALL - 1 if small else 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._taken = False
        self._given += 1
        accepted, self._accepted = self._accepted, False
        if self._heaps and accepted and not self._waiting and self._given % _HEAPS_EVERY:
            self._take(small=True)
        elif self._heaps and (not self._waiting or self._given % _HEAPS_EVERY == 0):
            self._take()
            self._heaps.popleft()()
        elif self._waiting:
            work, small = self._waiting.popleft()
            self._take(small)
            work()
            while self._room and self._waiting and self._waiting[0][1]:
                self._room -= 1
                self._waiting.popleft()[0]()


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # whoever waited may have been cancelled
        turn.set_result(None)
