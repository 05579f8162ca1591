"""The report: what it makes of a log, in each of its forms, and that no log makes it grow."""

import json
import re
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from resolverd import bounds
from resolverd.ops import report
from resolverd.ops.maillog import Reader
from resolverd.ops.maillog.stamps import seconds_of
from resolverd.ops.report.abuse import Jail
from resolverd.ops.report.comebacks import Waits
from resolverd.ops.report.refusals import Refusals
from resolverd.ops.report.top import Top

NOW = seconds_of(datetime(2026, 11, 30, 12))
EVIL = "<script>alert(1)</script>"


def line(clock: str, text: str, service: str = "smtpd", day: int = 29) -> str:
    return f"Nov {day} {clock} mx postfix/{service}[7]: {text}"


def refused(clock: str, reply: str, sender: str, client: str = "a.e.net[192.0.2.1]") -> str:
    return line(clock, f"NOQUEUE: reject: RCPT from {client}: {reply}; from=<{sender}> to=<r@o.org> proto=ESMTP helo=<h>")


def delivered(clock: str, queue_id: str, sender: str, client: str = "a.e.net[192.0.2.1]") -> list[str]:
    return [
        line(clock, f"{queue_id}: client={client}"),
        line(clock, f"{queue_id}: from=<{sender}>, size=1000, nrcpt=1 (queue active)", "qmgr"),
        line(clock, f"{queue_id}: to=<r@o.org>, relay=virtual, delay=0.5, dsn=2.0.0, status=sent (ok)", "virtual"),
        line(clock, f"{queue_id}: removed", "qmgr"),
    ]


GREYLISTED = "450 4.2.0 <r@o.org>: Recipient address rejected: Greylisted, please try again later; ref "
LISTED = "554 5.7.1 <r@o.org>: Recipient address rejected: Service unavailable (Client host [192.0.2.1] blocked using zen.x)"
LISTED += "; ref "
LOG = [
    refused("01:00:00", GREYLISTED + "A", "late@e.net"),
    refused("01:01:00", GREYLISTED + "B", "late@e.net"),
    *delivered("01:05:00", "4abcDEF01", "late@e.net", client="pool2.e.net[192.0.2.77]"),
    refused("02:00:00", GREYLISTED + "C", "never@e.net"),
    refused("23:00:00", GREYLISTED + "D", "soon@e.net"),
    refused("03:00:00", LISTED + "E", "wrongly@e.net"),
    refused("03:00:10", LISTED + "F", "wrongly@e.net"),
    refused("03:00:20", LISTED + "G", "spam@e.net", "unknown[192.0.2.9]"),
    *delivered("09:00:00", "4abcDEF02", "wrongly@e.net"),
    *(line(f"04:00:0{at}", "lost connection after AUTH from unknown[198.51.100.1]") for at in range(8)),
    line("04:00:09", "warning: unknown[198.51.100.1]: SASL LOGIN authentication failed: x"),
    line("05:00:00", "PREGREET 14 after 0.02 from [198.51.100.2]:4: EHLO ylmf-pc", "postscreen"),
    line("06:00:00", "warning: problem talking to server 127.0.0.1:10023: Connection refused"),
    line("07:00:00", f"warning: {EVIL}"),
]


def made(*lines: str, rows: int = 20, **flags: bool) -> dict[str, Any]:
    counting = report.Report(**flags)
    for record in Reader(NOW).read(each.encode() for each in lines or LOG):
        counting.take(record)
    return counting.document(rows=rows, why_no_lists="no daemon answers")


def test_refusals_are_grouped_by_reason_and_list() -> None:
    document = made()
    (listed,) = (row for row in document["rejects"] if row["reason"] == "blocked using zen.x")
    assert listed == {
        "stage": "RCPT", "reason": "blocked using zen.x", "count": 3, "others": 0,
        "of": [{"name": "e.net", "count": 2}, {"name": "192.0.2.9", "count": 1}],
    }  # fmt: skip
    assert document["lists"] == [{"list": "zen.x", "refusals": 3, "clients": 2}]
    assert document["networks"] == [{"name": "192.0.2.0/24", "count": 3}]
    assert document["organisations"] == [{"name": "e.net", "count": 2}]


@pytest.mark.parametrize("verbose", [False, True])
def test_no_reference_splits_a_group(verbose: bool) -> None:
    reasons = made(verbose=verbose, add_from=True)["rejects"]
    assert not [row for row in reasons if "ref " in row["reason"]]
    (listed,) = (row for row in reasons if "zen.x" in row["reason"])
    assert listed["count"] == 3
    assert listed["of"][0] == {"name": "e.net  (wrongly@e.net)", "count": 2}


def test_who_came_back_and_who_was_refused_wrongly() -> None:
    document = made()
    assert document["greylisting"] == {
        "attempts": 4, "mails": 3, "came_back": 1, "waiting": 1, "did_not_come_back": 1, "wait_median": 300, "wait_p90": 300,
    }  # fmt: skip
    assert document["false_positive_candidates"] == [
        {"sender": "wrongly@e.net", "recipient": "r@o.org", "client": "192.0.2.1", "refused": "blocked using zen.x",
         "then": "delivered", "count": 1},
    ]  # fmt: skip


def test_who_was_let_through_by_an_override_was_refused_wrongly() -> None:
    fields = "client_name=a.e.net, client_address=192.0.2.1, sender=s@e.net, recipient=r@o.org"
    own = "Nov 29 02:00:00 mx resolverd[7]: action=pass, reason="
    lines = [refused("01:00:00", LISTED + "A", "s@e.net"), f"{own}nothing speaks against it, {fields}"]
    assert made(*lines)["false_positive_candidates"] == []
    (candidate,) = made(*lines, f"{own}allowed: a partner, {fields}")["false_positive_candidates"]
    assert (candidate["sender"], candidate["then"]) == ("s@e.net", "allowed: a partner")


def test_a_bounce_is_told_by_who_brings_it() -> None:
    lines = [
        refused("01:00:00", LISTED + "A", ""),
        *delivered("02:00:00", "4abcDEF01", "", client="other.e.net[192.0.2.2]"),
    ]
    assert made(*lines)["false_positive_candidates"] == []


def test_what_fail2ban_would_do() -> None:
    document = made()
    flood, refusals, pregreet = document["fail2ban"]
    assert (flood["found"], flood["bans"], flood["kept_off"], flood["clients"]) == (
        5, 1, 3, [{"name": "198.51.100.1", "count": 1}],
    )  # fmt: skip
    assert (refusals["found"], refusals["bans"]) == (3, 0)
    assert (pregreet["found"], pregreet["bans"]) == (1, 1)
    assert document["logins"] == {"failed": 1, "left": 8, "clients": [{"client": "198.51.100.1", "failed": 1, "left": 8}]}
    assert document["policy_troubles"] == 1


def test_a_jail_counts_within_its_time() -> None:
    jail = Jail("j", 3, 100)
    for at in (0, 500, 1000, 1050, 1060, 1151):
        jail.take(at, "192.0.2.1")
    assert (jail.found, jail.bans, jail.kept_off) == (5, 1, 1)


@pytest.mark.parametrize(("share", "wait"), [(0.0, 10), (0.5, 50), (0.9, 90), (1.0, 100)])
def test_percentiles(share: float, wait: int) -> None:
    waits = Waits()
    for each in range(10, 101, 10):
        waits.add(each)
    assert waits.percentile(share) == wait
    assert Waits().percentile(share) is None


def test_the_most_frequent_stay_when_there_are_too_many() -> None:
    top: Top[str] = Top(10)
    for at in range(1000):
        top.add("often", amount=2)
        top.add(f"once {at}")
    assert len(top) <= 20
    assert top.most(1) == [("often", 1000)]
    assert top.sum("often") == 2000
    assert top.cut
    assert top.missed == 1


def test_memory_is_bounded() -> None:
    """Senders, clients and mails that wait without end; days as well."""
    document_of = report.Report()
    many = max(2 * bounds.REPORT_ROWS, bounds.REPORT_PENDING) + 10
    clients = (f"unknown[10.{at >> 16}.{at >> 8 & 255}.{at & 255}]" for at in range(many))
    lines = (refused("01:00:00", GREYLISTED + "A", f"s{at}@e.example", client) for at, client in enumerate(clients))
    for record in Reader(NOW).read(each.encode() for each in lines):
        document_of.take(record)
    assert len(document_of.comebacks._pending) == bounds.REPORT_PENDING
    for day in range(bounds.REPORT_DAYS + 2):
        stamp = date.fromordinal(735_000 + day).isoformat()
        text = f"{stamp}T01:00:00+00:00 mx postfix/smtpd[7]: 4abcDEF01: client=a[192.0.2.1]".encode()
        for record in Reader(NOW).read([text]):
            document_of.take(record)
    document = document_of.document(rows=10)
    assert len(document["days"]) == bounds.REPORT_DAYS
    assert {"days", "greylisting"} <= set(document["cut"])
    refusals = Refusals(add_from=True)
    for at in range(2 * bounds.REPORT_ROWS + 10):
        refusals.networks.add(f"10.{at}")
    assert len(refusals.networks) <= 2 * bounds.REPORT_ROWS


def test_text_is_of_80_columns_and_in_pflogsumms_order() -> None:
    text = report.text(made(verbose=True), title="Postfix log summaries for 2026-11-29")
    assert max(map(len, text.splitlines())) <= 80
    headings = ["Grand Totals", "Per-Hour Traffic Summary", "Senders by message count", "message reject detail", "Lists"]
    assert [each for each in re.findall(r"^(.+)\n-+$", text, re.MULTILINE) if each in headings] == headings
    first = report.text(made(), problems_first=True)
    assert first.index("message reject detail") < first.index("Per-Hour Traffic Summary")
    assert "message hold detail: none" in first
    assert "message hold detail" not in report.text(made(), quiet=True)
    assert "unique hits and cost unknown: no daemon answers" in first


def test_hours_of_several_days_are_their_average() -> None:
    lines = [line("01:00:00", f"4abcDEF0{at}: client=a[192.0.2.1]", day=28 + at % 2) for at in range(5)]
    text = report.text(made(*lines))
    assert "Per-Hour Traffic Daily Average\n" in text
    assert re.search(r"^ +0100-0200 +3 ", text, re.MULTILINE)
    assert re.search(r"^ +2026-11-29 +2 ", text, re.MULTILINE)


def test_lists_with_what_the_daemon_knows_of_them() -> None:
    counting = report.Report()
    for record in Reader(NOW).read(each.encode() for each in LOG):
        counting.take(record)
    known = {"queries": 7, "hits": 5, "unique": 2, "decisive": 1, "quota": 1000, "quota_left": 900, "state": "ok"}
    lists = [
        {"id": "zen", "shown": "zen.x", "enabled": True, **known},
        {"id": "idle", "shown": "idle.x", "enabled": True, **known, "quota": None, "quota_left": None},
        {"id": "off", "shown": "off.x", "enabled": False, **known},
    ]
    document = counting.document(rows=20, lists=lists)
    assert [(row["list"], row["refusals"], row["unique"], row["quota_left"]) for row in document["lists"]] == [
        ("zen.x", 3, 2, 900), ("idle.x", 0, 2, None),
    ]  # fmt: skip
    text = report.text(document)
    assert re.search(r"^ +3 +2 +2 +1 +7 +900/1000 +zen\.x$", text, re.MULTILINE)
    assert re.search(r"^ +0 +0 +2 +1 +7 +- +idle\.x$", text, re.MULTILINE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.outside += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "srcset", "action")]


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    page = report.page(made(), title="of a day")
    parser = _Page()
    parser.feed(page)
    assert not parser.outside
    assert not parser.tags & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in page
    assert "svg" in parser.tags
    assert "&lt;script&gt;" in page


def test_the_document_is_json_with_stable_keys() -> None:
    document = json.loads(json.dumps(made()))
    assert set(document) == {
        "period", "totals", "days", "hours", "recipient_domains", "sending_domains", "senders", "recipients", "rejects",
        "reject_warnings", "held", "discarded", "deferrals", "bounces", "lists", "lists_unknown", "greylisting",
        "false_positive_candidates", "networks", "organisations", "logins", "pregreets", "fail2ban", "troubles",
        "policy_troubles", "decisions", "cut",
    }  # fmt: skip
    assert document["period"] == {"first": "2026-11-29T01:00:00", "last": "2026-11-29T23:00:00"}


def test_an_empty_log() -> None:
    document = made("")
    assert "0  received" in report.text(document)
    assert "<h1>" in report.page(document, title="of nothing")
