"""The live feed: what happens, to everybody who listens at the moment. Nothing is made where nobody does.

A listener that does not read costs itself: its queue is bounded, what does not fit is dropped and counted, and it is told how
much that was as soon as it reads on.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.mail.findings import Verdict
from resolverd.mail.patterns import IPNetwork
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters

VERDICT: Final = "verdict"
LIST: Final = "list"
ALERT: Final = "alert"


class VerdictEvent(NamedTuple):
    """A verdict on a delivery attempt as it was given, at a wall second; `client_name` as the mail server has it."""

    id: str
    at: float
    action: str
    reason: str
    client_address: str
    client_name: str
    helo_name: str
    sender: str
    recipient: str
    codes: tuple[str, ...]
    lists: tuple[str, ...]
    score: float


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


Event = VerdictEvent | ListEvent | AlertEvent


class Filter(NamedTuple):
    """What somebody wants to see of verdicts; an empty part stands for any. Of lists and alerts everybody sees all.

    `client`: an address or a network. `sender`: an address, or a domain with all its senders.
    """

    action: str = ""
    client: IPNetwork | None = None
    sender: str = ""
    code: str = ""
    list: str = ""

    def takes(self, event: Event) -> bool:
        """Whether this is wanted."""
        if not isinstance(event, VerdictEvent):
            return not self.list or not isinstance(event, ListEvent) or event.list == self.list
        if self.action and event.action != self.action:
            return False
        if self.code and self.code not in event.codes:
            return False
        if self.list and self.list not in event.lists:
            return False
        if self.sender and not _is_of(event.sender.lower(), self.sender.lower()):
            return False
        return self.client is None or (bool(event.client_address) and ip_address(event.client_address) in self.client)


def network(text: str) -> IPNetwork:
    """An address, or a network. Raises ValueError."""
    return ip_network(text, strict=False)


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
            self.tell(verdict_event(attempt, verdict, self._clock.wall()))

    def tell(self, event: Event) -> None:
        """Something has happened."""
        for listener in self._listeners:
            if not listener.give(event):
                self._counters.add("feed_dropped")


def verdict_event(attempt: Attempt, verdict: Verdict, at: float) -> VerdictEvent:
    """What there is to tell of a verdict given at a wall second."""
    return VerdictEvent(
        verdict.id,
        at,
        verdict.action.value,
        verdict.reason,
        str(attempt.client_address or ""),
        attempt.client_name,
        attempt.helo_name,
        attempt.sender,
        attempt.recipient,
        verdict.codes,
        tuple(listing.list_id for listing in verdict.listings),
        verdict.score,
    )


def _is_of(sender: str, wanted: str) -> bool:
    """Whether it is this address, or one of this domain or below it."""
    if "@" in wanted.removeprefix("@"):
        return sender == wanted
    domain = sender.rpartition("@")[2]
    wanted = wanted.removeprefix("@")
    return domain == wanted or domain.endswith(f".{wanted}")
