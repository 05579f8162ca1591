"""Who is told of what, and when: troubles, the book of them, and their words."""

from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser

import pytest

from resolverd.dnsbl.spec import ListStatus
from resolverd.telemetry import wording
from resolverd.telemetry.alerts import EVERY, PATIENCE, AlertBook, Notice
from resolverd.telemetry.troubles import CLOCK, INTERNET, KINDS, LIST, QUOTA, STORE, TITLES, WATCH, Condition, Trouble, troubles

WELL = Condition((), "", "", "", 0, 0)
OK = ListStatus("psbl", "psbl.surriel.com", "block", ("ip4",), True, "ok")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (WELL, []),
        (WELL._replace(lists=(OK,)), []),
        (WELL._replace(lists=(OK._replace(state="suspended", last_error="refused"),)), [(LIST, "psbl")]),
        (WELL._replace(lists=(OK._replace(state="unreachable"),)), [(LIST, "psbl")]),
        (WELL._replace(lists=(OK._replace(state="unreachable", enabled=False),)), []),
        (WELL._replace(lists=(OK._replace(quota=100, quota_left=21),)), []),
        (WELL._replace(lists=(OK._replace(quota=100, quota_left=20, forecast=3600),)), [(QUOTA, "psbl")]),
        (WELL._replace(lists=(OK._replace(state="spent", quota=100, quota_left=0, forecast=0),)), [(QUOTA, "psbl")]),
        (WELL._replace(lists=(OK._replace(watched=("192.0.2.1",), link="https://psbl.example/"),)), [(WATCH, "192.0.2.1 psbl")]),
        (WELL._replace(not_ready="nobody answers"), [(INTERNET, "")]),
        (WELL._replace(clock_fault="1970"), [(CLOCK, "")]),
        (WELL._replace(store_fault="is full", set_aside=1), [(STORE, "fault"), (STORE, "set aside")]),
        (WELL._replace(shared_fault="is out of reach"), [(STORE, "shared")]),
    ],
)
def test_what_is_a_trouble(condition, expected):
    found = list(troubles(condition))
    assert [(each.kind, each.subject) for each in found] == expected
    assert all(each.text.isprintable() for each in found)


def list_trouble(name):
    return Trouble(LIST, name, f"list {name} is suspended")


class Told:
    """A book, asked every five seconds."""

    def __init__(self):
        self.book = AlertBook()
        self.now = 1000.0

    def after(self, seconds, *there):
        """What is told within so many seconds in which these troubles are there."""
        said = []
        for _ in range(round(seconds / 5)):
            self.now += 5
            _, notices = self.book.update(there, self.now)
            said += notices
        return said


def test_a_flicker_is_told_to_nobody():
    t = Told()
    for _ in range(20):
        assert t.after(PATIENCE - 5, list_trouble("psbl")) == []
        assert t.after(5) == []
    assert t.book.open == []


def test_what_lasts_is_told_once_and_that_it_is_over():
    t, psbl = Told(), list_trouble("psbl")
    assert t.after(PATIENCE + 5, psbl) == [Notice(LIST, (psbl,), ended=False)]
    assert t.after(5 * EVERY, psbl) == []
    assert t.book.open == [psbl]
    assert t.after(PATIENCE - 5) == []
    assert t.after(20) == [Notice(LIST, (psbl,), ended=True)]
    assert t.after(5 * EVERY) == []


def test_a_kind_is_told_once_an_hour_and_what_was_held_back_is_counted():
    t = Told()
    first, second, third = (list_trouble(name) for name in ("psbl", "zen", "dbl"))
    assert t.after(PATIENCE + 5, first) == [Notice(LIST, (first,), ended=False)]
    for _ in range(3):
        assert t.after(2 * PATIENCE, first, second) == []
        assert t.after(2 * PATIENCE, first) == []
    said = t.after(EVERY, first, third)
    assert said == [Notice(LIST, (first, third), ended=False, held=3)]
    assert t.after(EVERY) == [Notice(LIST, (first, third), ended=True)]


def test_what_comes_again_within_the_hour_waits_for_its_end():
    t, psbl = Told(), list_trouble("psbl")
    assert len(t.after(PATIENCE + 5, psbl)) == 1
    assert [each.ended for each in t.after(2 * PATIENCE)] == [True]
    assert t.after(EVERY / 2, psbl) == []
    assert t.after(EVERY / 2, psbl) == [Notice(LIST, (psbl,), ended=False)]


def test_what_does_not_come_and_go_is_told_at_once_and_kinds_do_not_wait_for_each_other():
    t = Told()
    clock, own = Trouble(CLOCK, "", "1970"), Trouble(WATCH, "192.0.2.1 psbl", "listed")
    assert t.after(5, clock) == [Notice(CLOCK, (clock,), ended=False)]
    assert t.after(5, clock, own) == [Notice(WATCH, (own,), ended=False)]


def test_a_server_that_several_share_may_be_away_for_a_moment():
    t = Told()
    shared = next(troubles(WELL._replace(shared_fault="is out of reach")))
    assert t.after(PATIENCE - 5, shared) == []
    assert t.after(5) == []
    assert t.after(PATIENCE + 5, shared) == [Notice(STORE, (shared,), ended=False)]


def test_changes_are_not_held_back():
    book, psbl, zen = AlertBook(), list_trouble("psbl"), list_trouble("zen")
    book.update([psbl], 0)
    assert book.update([psbl, zen], PATIENCE)[0] == [(psbl, False)]
    assert book.update([psbl, zen], 2 * PATIENCE)[0] == [(zen, False)]
    book.update([], 3 * PATIENCE)
    assert book.update([], 4 * PATIENCE)[0] == [(psbl, True), (zen, True)]


def test_every_kind_has_its_words():
    assert TITLES.keys() == set(KINDS)


HOSTILE = Trouble(LIST, "psbl", "list psbl is suspended: \r\nBcc: everybody@example.com\x1b[2J " + "x" * 5000)
AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def test_a_mail_is_one_whatever_a_list_says():
    notice = Notice(LIST, (HOSTILE,), ended=False, held=2)
    message = wording.mail(notice, ("a@example.com", "b@example.com"), "mx.example.com", AT)
    read = BytesParser(policy=policy.default).parsebytes(message.as_bytes())
    assert read["To"] == "a@example.com, b@example.com"
    assert read["Bcc"] is None
    assert read["Subject"] == "[resolverd mx.example.com] a list is suspended or lost"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Date"].datetime == AT
    body = read.get_content()
    assert "2 more of the kind came and went" in body
    assert "\x1b" not in body
    assert len(body) < 1000
    ended = wording.mail(Notice(LIST, (HOSTILE,), ended=True), ("root",), "mx.example.com", AT)
    assert ended["Subject"] == "[resolverd mx.example.com] over: a list is suspended or lost"


def test_the_document_of_a_webhook():
    said = wording.document(Notice(CLOCK, (Trouble(CLOCK, "", "it is 1970"),), ended=True, held=1), "mx.example.com", AT)
    assert {key: said[key] for key in ("service", "host", "at", "kind", "state", "title", "held_back", "troubles")} == {
        "service": "resolverd", "host": "mx.example.com", "at": "2026-11-30T12:00:00+00:00", "kind": "clock", "state": "ended",
        "title": "over: the clock is wrong", "held_back": 1, "troubles": [{"subject": "", "text": "it is 1970"}],
    }  # fmt: skip
    assert "it is 1970" in said["text"]
