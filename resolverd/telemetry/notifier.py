"""Sees what is wrong, tells the live feed, and has notices delivered, by mail and to a webhook.

Each way has a queue and a task of its own: neither waits for the other, and nobody for either.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.telemetry.alerts import AlertBook, Notice
from resolverd.telemetry.feed import AlertEvent, Feed, ListEvent
from resolverd.telemetry.sendmail import NotDelivered
from resolverd.telemetry.troubles import KINDS, Condition, troubles

_log = logging.getLogger(__name__)

EVERY: Final = 5.0
"""Seconds between two looks."""
RETRIES: Final = (5.0, 30.0, 120.0, 600.0)
"""Seconds until each further try to deliver a notice."""


class Way:
    """A way to deliver notices. `send` does, or raises NotDelivered; it gives False where the configuration has no such way."""

    def __init__(self, name: str, send: Callable[[Notice], Awaitable[bool]], counters: Counters):
        self.name = name
        self._send = send
        self._counters = counters
        self._queue: deque[Notice] = deque(maxlen=bounds.NOTICES_WAITING)
        self._woken = asyncio.Event()

    def put(self, notice: Notice) -> None:
        """Have it delivered; the oldest that waits is given up for it where too many do."""
        if len(self._queue) == bounds.NOTICES_WAITING:
            self._lost(self._queue[0], "too many wait")
        self._queue.append(notice)
        self._woken.set()

    async def run(self) -> None:
        """Deliver one after the other, for ever; ends by cancellation."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._queue:
                await self._deliver(self._queue[0])

    async def _deliver(self, notice: Notice) -> None:
        error: Exception = NotDelivered()
        for pause in (0.0, *RETRIES):
            await asyncio.sleep(pause)
            try:
                if await self._send(notice):
                    self._counters.add("notifications", way=self.name, outcome="sent")
                self._done(notice)
                return
            except NotDelivered as failure:
                error = failure
                _log.warning("a notice (%s) is not delivered by %s as yet: %s", notice.kind, self.name, failure)
        self._done(notice)
        self._lost(notice, str(error))

    def _done(self, notice: Notice) -> None:
        if self._queue and self._queue[0] is notice:
            self._queue.popleft()

    def _lost(self, notice: Notice, why: str) -> None:
        self._counters.add("notifications", way=self.name, outcome="failed")
        texts = "; ".join(trouble.text for trouble in notice.troubles)
        _log.error("a notice is given up, %s could not deliver it (%s): %s", self.name, why, texts)


class Notifier:
    """Looks every few seconds; `condition` says how the daemon fares.

    `own`: what of a notice this host is to tell, where others see the same; None for nothing.
    """

    def __init__(
        self,
        condition: Callable[[], Awaitable[Condition]],
        ways: tuple[Way, ...],
        feed: Feed,
        clock: Clock,
        own: Callable[[Notice], Awaitable[Notice | None]] | None = None,
    ):
        self.ways = ways
        self._own = own
        self._condition = condition
        self._feed = feed
        self._clock = clock
        self._book = AlertBook()
        self._states: dict[str, str] = {}

    def kinds(self) -> dict[str, bool]:
        """Whether there is trouble at the moment, by kind."""
        there = {trouble.kind for trouble in self._book.open}
        return {kind: kind in there for kind in KINDS}

    async def run(self) -> None:
        """Look for ever; ends by cancellation."""
        while True:
            await self.tell(await self._condition())
            await asyncio.sleep(EVERY)

    async def tell(self, condition: Condition) -> None:
        """See what has changed, and have it told."""
        for notice in self._look(condition):
            told = notice if self._own is None else await self._own(notice)
            if told is not None:
                for way in self.ways:
                    way.put(told)

    def _look(self, condition: Condition) -> list[Notice]:
        """See what has changed, and tell the live feed; what is due to be told to people."""
        at = self._clock.wall()
        for status in condition.lists:
            before = self._states.get(status.id, status.state)
            self._states[status.id] = status.state
            if before != status.state:
                self._feed.tell(ListEvent(at, status.id, status.state, before, status.last_error))
        changes, notices = self._book.update(troubles(condition), self._clock.monotonic())
        for change in changes:
            trouble = change.trouble
            self._feed.tell(AlertEvent(at, trouble.kind, trouble.subject, trouble.text, change.ended))
        return notices
