"""The live feed: filters, bounds, and listeners that do not read."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.history import Mailbox, Wanted
from resolverd.policy.verdict_records import kept_attempt, summarised
from resolverd.telemetry.feed import AlertEvent, Feed, Filter, ListEvent

CLIENT = ip_address("192.0.2.9")
ATTEMPT = Attempt(CLIENT, "mx.example.com", helo_name="mx.example.com", sender="joe@example.com", recipient="ann@example.org")
VERDICT = Verdict("REF0000001", Action.REJECT, 6, "listed", client=CLIENT)
EVENT = summarised(VERDICT, kept_attempt(ATTEMPT), 1.5)
LIST = ListEvent(1.0, "psbl", "suspended", "ok", "refused")
ALERT = AlertEvent(1.0, "internet", "", "gone", False)
ALL = Wanted(0.0, float("inf"))
NONE = ALL._replace(action=Action.ACCEPT)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (ALL, True), (NONE, False), (ALL._replace(action=Action.REJECT), True), (ALL._replace(code="ptr_missing"), False),
        (ALL._replace(sender=Mailbox.of("example.com", None)), True), (ALL._replace(client=ip_network("192.0.3.0/24")), False),
    ],
)  # fmt: skip
def test_verdicts_are_filtered_as_the_history_is(wanted, taken):
    assert Filter(wanted).takes(EVENT) is taken


def test_lists_and_alerts_are_not_filtered_but_by_the_list():
    assert Filter(NONE).takes(LIST)
    assert Filter(ALL, "psbl").takes(LIST)
    assert not Filter(ALL, "spamhaus-zen").takes(LIST)
    assert Filter(NONE, "spamhaus-zen").takes(ALERT)


async def test_a_listener_has_what_he_wants_and_who_does_not_read_is_told_what_he_lost():
    counters = Counters()
    feed = Feed(SystemClock(), counters)
    with feed.listening(Filter(ALL)) as all_of_it, feed.listening(Filter(NONE)) as accepted:
        for _ in range(bounds.FEED_QUEUE + 3):
            feed.verdict(ATTEMPT, VERDICT)
        feed.tell(LIST)
        events, dropped = await all_of_it.take()
        assert (len(events), dropped) == (bounds.FEED_QUEUE, 4)
        assert events[0]._replace(at=0) == EVENT._replace(at=0)
        assert await accepted.take() == ([LIST], 0)
        feed.tell(ALERT)
        assert await all_of_it.take() == ([ALERT], 0), "he reads on"
    assert counters.get("feed_dropped") == 4
    feed.verdict(ATTEMPT, VERDICT)
    assert len(all_of_it._queue) == 0, "who has left is told nothing"


async def test_nothing_is_made_where_nobody_listens():
    feed = Feed(SystemClock(), Counters())
    feed.verdict(None, None)


async def test_listeners_are_bounded_and_let_go_at_the_end():
    feed = Feed(SystemClock(), Counters())
    held = [feed.listening(Filter(ALL)) for _ in range(bounds.FEED_LISTENERS)]
    listeners = [each.__enter__() for each in held]
    with feed.listening(Filter(ALL)) as more:
        assert more is None
    held.pop().__exit__(None, None, None)
    with feed.listening(Filter(ALL)) as more:
        assert more is not None
    feed.end()
    async with asyncio.timeout(1):
        assert await listeners[0].take() == ([], 0)
    assert listeners[0].ended
    with feed.listening(Filter(ALL)) as more:
        assert more is None
