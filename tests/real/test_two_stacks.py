"""The same attempts at delivery to the tutorial's real stack and to ours: who is told what, with which code and reason.

The tutorial's is Postfix with all its restrictions, Unbound, policyd-spf and Postgrey; ours is Postfix with the two policy
lines of the README. Postfix files enhanced codes by the restriction that they come from (what is said of a sender in one on
recipients becomes a code on recipients), so what is compared is the reply code and the reason.
"""

from __future__ import annotations

import io
import ipaddress
import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from email.message import Message
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from resolverd.ops.maillog import Decision, Reader, Record, Rejection, cut
from resolverd.ops.maillog.stamps import seconds_of
from resolverd.ops.report import Report
from tests.lab.cases import (
    ALLOW_LIST_DOWN,
    BLOCKED,
    CASES,
    DBL,
    DOWN,
    EVERY,
    LATER,
    MAX_DIFFERENCES,
    NOBODY,
    OK,
    ZEN,
    Case,
    reason,
)
from tests.lab.lab import Lab
from tests.lab.namespace import LAB
from tests.lab.postfix import MAILBOXES, Postfix
from tests.lab.resolverd import CONFIG
from tests.lab.smtp import Session

AT_ONCE = 6

# Mail to postmaster is never refused by default. The tutorial knows no such thing, and like is compared with like.
# The allow files are those that Debian's Postgrey reads.
OURS = f"""{CONFIG}
[checks]
exempt_recipients = []
[checks.overrides]
client_access = ["{LAB}/postfix-policy/etc/rbl_override"]
helo_access = ["{LAB}/postfix-policy/etc/helo_access"]
""".replace('delay = "1s"', """delay = "1s"
allow_clients = ["/etc/postgrey/whitelist_clients"]
allow_recipients = ["/etc/postgrey/whitelist_recipients"]""")


class Outcome(NamedTuple):
    """What became of all cases on a stack, by title: what was said at the first try and, where that was "later", at the next;
    and the messages that came to be delivered."""

    first: dict[str, tuple[str, ...]]
    again: dict[str, tuple[str, ...]]
    delivered: dict[str, list[Message]]
    postfix: Postfix


@pytest.fixture(scope="module")
def tutorial(lab: Lab) -> Outcome:
    """Every case on the tutorial's stack."""
    return _play(lab, "tutorial")


@pytest.fixture(scope="module")
def ours(lab: Lab) -> Outcome:
    """Every case on ours."""
    return _play(lab, "resolverd")


def _play(lab: Lab, stack: str) -> Outcome:
    zen, allow = lab.lists["zen.spamhaus.org"], lab.lists["list.dnswl.org"]
    first: dict[str, tuple[str, ...]] = {}
    with lab.stack(stack, config=OURS) as postfix, ThreadPoolExecutor(AT_ONCE) as pool:
        # What a dead server costs is not measured here: the C library would wait ten seconds for each.
        (LAB / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        attempt = partial(_attempt, lab)

        def play(cases: Sequence[Case]) -> None:
            first.update({case.title: replies for case, replies in zip(cases, pool.map(attempt, cases), strict=True)})

        try:
            play(CASES)
            allow.stop()
            play(ALLOW_LIST_DOWN)
            allow.heal()
            zen.answer_all("127.255.255.254")
            play(BLOCKED)
            zen.stop()
            play(DOWN)
            time.sleep(1.2)  # the delay of greylisting, which real programs measure by a real clock
            later = [case for case in EVERY if LATER in first[case.title]]
            again = {case.title: replies for case, replies in zip(later, pool.map(attempt, later), strict=True)}
        finally:
            allow.heal()
            zen.heal()
        accepted = {title: sum(reply == OK for reply in replies) for title, replies in {**first, **again}.items()}
        return Outcome(first, again, _delivered(postfix, {title: n for title, n in accepted.items() if n}), postfix)


def _attempt(lab: Lab, case: Case) -> tuple[str, ...]:
    """Try to deliver; what each recipient is told."""
    with Session(case.client, lab.internet) as session:
        assert session.say(f"EHLO {case.helo}").code == 250
        assert session.say(f"MAIL FROM:<{case.sender}>").code == 250
        replies = [session.say(f"RCPT TO:<{recipient}>") for recipient in case.to]
        if any(reply.code == 250 for reply in replies):
            assert session.say("DATA").code == 354
            assert session.say(f"Subject: {case.title}\r\n\r\nHello.\r\n.").code == 250
        session.say("QUIT")
    return tuple(reason(*reply, case.words) for reply in replies)


def _delivered(postfix: Postfix, expected: dict[str, int]) -> dict[str, list[Message]]:
    """The delivered messages by case, when so many copies of each are there."""
    by_case: dict[str, list[Message]] = {}
    for _ in range(100):
        messages = [message for name in MAILBOXES for message in postfix.delivered(name, 0)]
        if len(messages) >= sum(expected.values()):
            break
        time.sleep(0.1)
    for message in messages:
        by_case.setdefault(message["Subject"], []).append(message)
    return by_case


def test_there_are_enough_cases() -> None:
    assert len(EVERY) >= 60
    assert len({case.title for case in EVERY}) == len(EVERY)


def test_who_is_greylisted_has_a_triplet_to_himself() -> None:
    """Postgrey answers "defer if permit", before the lists: whoever is refused later has waited, too, and with his
    triplet the one who comes back finds the waiting done, and gets no header, or not, as the seconds fall."""
    triplets = Counter(triplet for case in EVERY for triplet in _triplets(case))
    greylisted = [case for case in EVERY if LATER in case.says]
    assert {case.title for case in greylisted if any(triplets[each] > 1 for each in _triplets(case))} <= _REFUSED_BEFORE


_REFUSED_BEFORE = {"in rbl_override, listed"}
"""Who shares his with a client refused for its HELO name, before Postgrey is asked."""


def _triplets(case: Case) -> list[tuple[str, str, str]]:
    length = 64 if ":" in case.client else 24
    network = str(ipaddress.ip_network((case.client, length), strict=False))
    return [(network, case.sender, recipient) for recipient in case.to]


def test_there_are_few_differences_and_each_is_argued() -> None:
    differing = [case for case in EVERY if case.theirs]
    assert len(differing) <= MAX_DIFFERENCES
    assert all(case.why for case in differing)
    for case in differing:
        for ours, theirs in zip(case.says, case.theirs, strict=True):
            refuses_a_listed_one = "blocked using" in ours
            spares_a_good_one = ours in (LATER, OK)
            assert ours in (theirs, NOBODY) or refuses_a_listed_one or spares_a_good_one


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.title)
def test_the_tutorials_stack(tutorial: Outcome, case: Case) -> None:
    _check(tutorial, case, case.theirs or case.says)


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.title)
def test_ours(ours: Outcome, case: Case) -> None:
    _check(ours, case, case.says)


def _check(outcome: Outcome, case: Case, says: tuple[str, ...]) -> None:
    assert outcome.first[case.title] == says
    if LATER in says:
        assert outcome.again[case.title] == tuple(OK if each == LATER else each for each in case.says)


@pytest.mark.parametrize("case", [case for case in EVERY if LATER in case.says or OK in case.says], ids=lambda case: case.title)
@pytest.mark.parametrize("stack", ["tutorial", "ours"])
def test_headers_of_what_is_delivered(request: pytest.FixtureRequest, stack: str, case: Case) -> None:
    says = case.theirs or case.says if stack == "tutorial" else case.says
    if LATER not in says and OK not in says:
        return
    messages = request.getfixturevalue(stack).delivered[case.title]
    assert len(messages) == sum(each in (LATER, OK) for each in case.says)
    for message in messages:
        (spf,) = message.get_all("Received-SPF", [])
        assert spf.partition(" ")[0].lower() == case.spf
        # Postgrey knows the last ten messages by name; one that others overtake gets its header for each recipient.
        headers = message.get_all("X-Greylist", [])
        greylist = headers if stack == "ours" else sorted(set(headers))
        assert len(greylist) == (LATER in says)
        if greylist and stack == "ours":
            assert re.fullmatch(r"delayed \d+ seconds by resolverd-\S+ at mx\.our-company\.org; .+", greylist[0])


def test_pflogsumm_groups_our_refusals_by_list(ours: Outcome) -> None:
    """It cuts a reason at a colon, so the addresses of IPv6 are groups of their own; with the link behind it, nothing else is."""
    log = ours.postfix.directory / "mail.log"
    report = subprocess.run(["pflogsumm", "--problems-first", str(log)], text=True, capture_output=True, check=True).stdout
    groups = {match[1]: int(match[2]) for match in re.finditer(r"Recipient address rejected: (.+) \(total: (\d+)\)", report)}
    refused = [reply for case in EVERY if ":" not in case.client for reply in ours.first[case.title]]
    assert groups["Service unavailable (blocked using zen.spamhaus.org)"] >= refused.count(ZEN) > 5
    assert groups["Helo command rejected (need fully-qualified hostname)"] > 2
    assert groups["Greylisted"] >= refused.count(LATER)
    domains = [count for group, count in groups.items() if group.endswith("blocked using dbl.spamhaus.org)")]
    assert sum(domains) >= refused.count(DBL)
    assert "; ref" not in report


def pflogsumm(log: Path, *flags: str) -> str:
    return subprocess.run(["pflogsumm", *flags, str(log)], text=True, capture_output=True, check=True).stdout


def as_iso(text: str) -> str:
    """The log with time stamps of RFC 3339, as rsyslog writes them by default today."""
    year = date.today().year
    return re.sub(
        r"^(\w{3}) +(\d+) ([\d:]+) ",
        lambda match: f"{datetime.strptime(f'{year} {match[1]} {match[2]}', '%Y %b %d'):%Y-%m-%d}T{match[3]}.123456+00:00 ",
        text,
        flags=re.MULTILINE,
    )


def hostile(text: str) -> str:
    """The log with lines in between that no Postfix writes, or that it writes of somebody who would like others to be counted."""
    head = text[:16] + "mx postfix/smtpd[9]: "
    forged = "postfix/smtpd[1]: NOQUEUE: reject: RCPT from b[198.51.100.9]: 554 5.7.1 blocked using forged.example"
    odd = [
        f"{head}NOQUEUE: reject: RCPT from a.example.net[192.0.2.200]: 554 5.7.1 <a@b.net>: Sender address rejected: no; "
        f"from=<a@b.net> to=<r@our-company.org> proto=ESMTP helo=<x; {forged}>",
        f"{head}NOQUEUE: reject: RCPT from a.example.net[192.0.2.200]: 504 5.5.2 <{forged}>: Helo command rejected: no; "
        f"from=<a@b.net> to=<r@our-company.org> proto=ESMTP helo=<{forged}>",
        "x" * 1_000_000, f"{head}connect from {'y' * 1_000_000}[192.0.2.200]", "\x1b[2J\x00\x07", "\udcff\udcfe", "", f"{head}",
        f"{head}NOQUEUE", text[:16] + "mx sshd[1]: " + forged, f"{head}disconnect from a.example.net[192.0.2.200]",
    ]  # fmt: skip
    lines = text.splitlines()
    middle = len(lines) // 2
    return "\n".join([*lines[:middle], *odd, *lines[middle:], f"{head}NOQUEUE: rej"])


TOTALS = {
    "received": "received", "delivered": "delivered", "forwarded": "forwarded", "deferred": "deferred", "bounced": "bounced",
    "rejected": "rejected", "reject warnings": "reject_warnings", "held": "held", "discarded": "discarded",
    "bytes received": "octets_received", "bytes delivered": "octets_delivered", "senders": "senders",
    "sending hosts/domains": "sending_domains", "recipients": "recipients", "recipient hosts/domains": "recipient_domains",
}  # fmt: skip


@pytest.mark.parametrize("stamps", ["classic", "iso", "hostile"])
@pytest.mark.parametrize("stack", ["ours", "tutorial"])
def test_our_report_has_the_figures_of_pflogsumm(request: pytest.FixtureRequest, tmp_path: Path, stack: str, stamps: str) -> None:
    text = (request.getfixturevalue(stack).postfix.directory / "mail.log").read_text()
    octets = {"classic": str, "iso": as_iso, "hostile": hostile}[stamps](text).encode(errors="surrogateescape")
    (log := tmp_path / "mail.log").write_bytes(octets)
    theirs = pflogsumm(log)
    report = Report()
    for record in Reader(seconds_of(datetime.now())).read(cut(io.BytesIO(octets))):
        report.take(record)
    document = report.document(rows=1000)

    grand = theirs.partition("Per-Hour")[0]
    totals = {match[2]: int(match[1]) for match in re.finditer(r"^ +(\d+) +([a-z/ ]+?)(?: +\(.*)?$", grand, re.MULTILINE)}
    assert totals == {label: document["totals"][key] for label, key in TOTALS.items()}
    assert totals["received"] > 30 < totals["rejected"]

    hours = re.findall(r"^ +(\d\d)00-\d{4} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) *$", theirs, re.MULTILINE)
    assert [[int(figure) for figure in row] for row in hours] == [list(row.values()) for row in document["hours"]]

    for heading, key in (("Senders by message count", "senders"), ("Recipients by message count", "recipients")):
        section = theirs.partition(f"{heading}\n")[2].partition("\n\n")[0]
        rows = re.findall(r"^ +(\d+)   (?:from=)?(\S+)$", section, re.MULTILINE)
        named = {name: int(count) for count, name in rows}
        assert named == {row["name"]: row["messages"] for row in document[key]}

    if stack == "tutorial":  # of ours pflogsumm takes an IPv6 client for a reason of its own
        named_lists: Counter[str] = Counter()
        for name, count in re.findall(r"blocked using (\S+) \(total: (\d+)\)", theirs):
            named_lists[name] += int(count)
        forged = named_lists.pop("forged.example>", 0)  # what somebody said in his HELO pflogsumm takes for a list
        assert bool(forged) == (stamps == "hostile")
        assert {row["list"]: row["refusals"] for row in document["lists"]} == named_lists
        assert len(named_lists) > 1


def test_our_own_lines_are_read(ours: Outcome) -> None:
    """Each refusal of ours that Postfix logs has its line, with the same reference; Postfix refuses some by itself."""
    def records(log: Path) -> list[Record]:
        with log.open("rb") as stream:
            return list(Reader(seconds_of(datetime.now())).read(cut(stream)))

    decisions = {each.id: each for each in records(LAB / "log" / "resolverd.log") if isinstance(each, Decision)}
    refused = [each for each in records(ours.postfix.directory / "mail.log") if isinstance(each, Rejection) and each.reference]
    assert len(refused) > 30
    for each in refused:
        own = decisions[each.reference]
        assert own.action == "greylist" if each.greylisted else own.action in ("reject", "defer")
        assert (own.client_address, own.recipient) == (each.client_address, each.recipient)
    assert [each for each in decisions.values() if each.action == "pass"]


def test_without_the_reference_repeated_refusals_are_one_for_pflogsumm(ours: Outcome, tmp_path: Path) -> None:
    """With --verbose-msg-detail it takes everything behind the client for the reason: HELO, sender, and our reference."""
    text = (ours.postfix.directory / "mail.log").read_text()
    one = next(line for line in text.splitlines() if "Greylisted, please try again later; ref " in line)
    again = [re.sub(r"; ref \w+", f"; ref {number:010d}", one) for number in range(3)]
    for lines, total in ((again, 1), ([re.sub(r"; ref \w+", "", line) for line in again], 3)):
        (log := tmp_path / "mail.log").write_text("".join(f"{line}\n" for line in lines))
        assert f"(total: {total})" in pflogsumm(log, "--verbose-msg-detail")
        assert "Greylisted (total: 3)" in pflogsumm(log)
