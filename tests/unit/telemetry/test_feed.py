"""The live feed: filters, bounds, and listeners that do not read."""

import asyncio
from ipaddress import ip_address

import pytest

from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.mail.findings import Action, Listing, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.telemetry.feed import AlertEvent, Feed, Filter, ListEvent, network, verdict_event

CLIENT = ip_address("192.0.2.9")
ATTEMPT = Attempt(CLIENT, "mx.example.com", helo_name="mx.example.com", sender="Joe@Mail.Example.com", recipient="ann@x.example")
VERDICT = Verdict("REF0000001", Action.REJECT, 6, "listed", client=CLIENT, listings=(Listing("psbl", True, True),))
EVENT = verdict_event(ATTEMPT, VERDICT, 1.5)
LIST = ListEvent(1.0, "psbl", "suspended", "ok", "refused")
ALERT = AlertEvent(1.0, "internet", "", "gone", False)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ({}, True), ({"action": "reject"}, True), ({"action": "accept"}, False), ({"list": "psbl"}, True),
        ({"list": "zen"}, False),
        ({"code": "ptr_missing"}, False), ({"sender": "joe@mail.example.COM"}, True), ({"sender": "example.com"}, True),
        ({"sender": "ample.com"}, False), ({"sender": "@mail.example.com"}, True), ({"sender": "x@mail.example.com"}, False),
        ({"client": network("192.0.2.9")}, True), ({"client": network("192.0.2.0/24")}, True),
        ({"client": network("2001:db8::/32")}, False),
    ],
)  # fmt: skip
def test_verdicts_are_filtered(wanted, taken):
    assert Filter(**wanted).takes(EVENT) is taken


def test_lists_and_alerts_are_not_filtered_but_by_the_list():
    assert Filter(action="accept", sender="x.example").takes(LIST)
    assert Filter(list="psbl").takes(LIST)
    assert not Filter(list="zen").takes(LIST)
    assert Filter(list="zen", action="accept").takes(ALERT)


async def test_a_listener_has_what_he_wants_and_who_does_not_read_is_told_what_he_lost():
    counters = Counters()
    feed = Feed(SystemClock(), counters)
    with feed.listening(Filter()) as all_of_it, feed.listening(Filter(action="accept")) as accepted:
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
    held = [feed.listening(Filter()) for _ in range(bounds.FEED_LISTENERS)]
    listeners = [each.__enter__() for each in held]
    with feed.listening(Filter()) as more:
        assert more is None
    held.pop().__exit__(None, None, None)
    with feed.listening(Filter()) as more:
        assert more is not None
    feed.end()
    async with asyncio.timeout(1):
        assert await listeners[0].take() == ([], 0)
    assert listeners[0].ended
    with feed.listening(Filter()) as more:
        assert more is None
