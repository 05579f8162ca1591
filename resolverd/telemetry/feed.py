"""The live feed: what happens, to everybody who listens at the moment. Nothing is made where nobody does.

A listener that does not read costs itself: its queue is bounded, what does not fit is dropped and counted, and it is told how
much that was as soon as it reads on.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.mail.findings import Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.history import Wanted
from resolverd.policy.verdict_records import Summary, kept_attempt, summarised


class ListEvent(NamedTuple):
    """A list whose state has changed, from `before` (`ListStatus.state`)."""

    at: float
    list: str
    state: str
    before: str
    last_error: str


class AlertEvent(NamedTuple):
    """A trouble that has begun, or ended (`resolved`)."""

    at: float
    kind: str
    subject: str
    text: str
    resolved: bool


Event: TypeAlias = Summary | ListEvent | AlertEvent


class Filter(NamedTuple):
    """What somebody wants to see: verdicts, and state changes of one list, or of all where `list_id` is empty. Alerts always."""

    verdicts: Wanted
    list_id: str = ""

    def takes(self, event: Event) -> bool:
        """Whether this is wanted."""
        if isinstance(event, Summary):
            return self.verdicts.has(event)
        return not self.list_id or not isinstance(event, ListEvent) or event.list == self.list_id


class Listener:
    """Somebody who follows the feed."""

    def __init__(self, wanted: Filter):
        self._wanted = wanted
        self._queue: deque[Event] = deque()
        self._dropped = 0
        self._woken = asyncio.Event()
        self.ended = False
        """Whether nothing comes any more."""

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True
        self._woken.set()

    def give(self, event: Event) -> bool:
        """Let him have it, if he wants it; False if there was no room."""
        if not self._wanted.takes(event):
            return True
        fits = len(self._queue) < bounds.FEED_QUEUE
        if fits:
            self._queue.append(event)
        else:
            self._dropped += 1
        self._woken.set()
        return fits

    async def take(self) -> tuple[list[Event], int]:
        """What has come since, and how much was dropped behind that; waits for something."""
        await self._woken.wait()
        self._woken.clear()
        events, dropped = list(self._queue), self._dropped
        self._queue.clear()
        self._dropped = 0
        return events, dropped


class Feed:
    """Tells listeners what happens."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._listeners: set[Listener] = set()
        self._ended = False

    def end(self) -> None:
        """Nothing more happens: whoever listens is told so."""
        self._ended = True
        for listener in self._listeners:
            listener.end()

    @contextmanager
    def listening(self, wanted: Filter) -> Iterator[Listener | None]:
        """Listen for a while; None where too many do already, or nothing happens any more."""
        if self._ended or len(self._listeners) >= bounds.FEED_LISTENERS:
            yield None
            return
        listener = Listener(wanted)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def verdict(self, attempt: Attempt, verdict: Verdict) -> None:
        """A verdict was given."""
        if self._listeners:
            self.tell(summarised(verdict, kept_attempt(attempt), self._clock.wall()))

    def tell(self, event: Event) -> None:
        """Something has happened."""
        for listener in self._listeners:
            if not listener.give(event):
                self._counters.add("feed_dropped")
