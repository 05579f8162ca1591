"""Replay of mail logs: what they hold of an attempt, and that the rest is not known."""

import io

import pytest
from mailcases import CLIENT

from resolverd.mail.findings import Consequence
from resolverd.ops.maillog import Reader, cut
from resolverd.ops.replay.compare import Comparison
from resolverd.ops.replay.judge import judge
from resolverd.ops.replay.log import attempts
from resolverd.policy.check import CheckRules
from tests.unit.ops.test_replay import NOW, SPECS, coded, config, without

OFF = CheckRules(Consequence.OFF)
FEW = dict.fromkeys(("ptr", "fcrdns", "sender_domain", "spf"), OFF)
HEAD = "2026-11-30T06:25:3{}.000000+00:00 mx "
ENVELOPE = "from=<joe@example.com> to=<ann@example.org> proto=ESMTP helo=<mail.example.com>"
BLOCKED = (
    f"postfix/smtpd[7]: NOQUEUE: reject: RCPT from mail.example.com[{CLIENT}]: 554 5.7.1 Service unavailable; Client host "
    f"[{CLIENT}] blocked using zen.test; listed by zen; {ENVELOPE}"
)
OURS = (
    f"resolverd[9]: action={{}}, reason={{}}, client_name=mail.example.com, client_address={CLIENT}, sender=joe@example.com, "
    "recipient=ann@example.org, helo_name=mail.example.com, score=0, codes={}, id=ABCDEFGHJK, ms=3"
)
DELIVERED = (
    f"postfix/smtpd[7]: 4AB12: client=mail.example.com[{CLIENT}]",
    "postfix/qmgr[8]: 4AB12: from=<joe@example.com>, size=99, nrcpt=1 (queue active)",
    "postfix/local[8]: 4AB12: to=<ann@example.org>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (delivered)",
)


def log(*lines):
    octets = "\n".join(HEAD.format(min(at, 9)) + line for at, line in enumerate(lines)).encode() + b"\n"
    return list(attempts(Reader(NOW).read(cut(io.BytesIO(octets)))))


def judged(found, *arguments, **values):
    return [judge(each, config(*arguments, **values), NOW) for each in found]


def test_a_refusal_of_postfixs_own_names_the_list_and_whom_it_lists():
    (found,) = log(BLOCKED)
    assert found.listed == ((found.verdict.client, "zen.test"),)
    assert (found.verdict.action, found.verdict.reply.code, str(found.verdict.client)) == ("reject", 554, CLIENT)
    assert found.attempt[:5] == ("mail.example.com", "mail.example.com", "mail.example.com", "joe@example.com", "ann@example.org")
    # The allow list might have let it through: that stands in no log.
    (now,) = judged([found])
    assert now.unknown
    (now,) = judged([found], lists=without("allow"))
    assert ((now.said.action, now.said.code), now.unknown) == (("reject", 554), ())
    (now,) = judged([found], lists=without("allow"), rules={"dnsbl": CheckRules(Consequence.DEFER)})
    assert "list psbl" in now.unknown


def test_of_a_list_with_several_codes_the_weight_is_not_known():
    several = coded(SPECS[0], {"127.0.0.2": {"means": "spam", "weight": 7}, "127.0.0.3": {"means": "bulk", "weight": 1}})
    (found,) = log(BLOCKED)
    (now,) = judged([found], "scored", lists=[several], rules=FEW | {"helo": OFF})
    assert now.unknown == ("the code of zen.test",)
    (now,) = judged([found], lists=[several], rules=FEW | {"helo": OFF})
    assert ((now.said.action, now.said.code), now.unknown) == (("reject", 554), ())


def test_a_decision_of_ours_and_postfixs_line_on_it_are_one_attempt():
    ours = OURS.format("reject", f"Client host [{CLIENT}] blocked using zen.test", "dnsbl_listed")
    (found,) = log(ours, BLOCKED.replace("listed by zen;", "ref ABCDEFGHJK;"))
    assert (found.verdict.id, found.verdict.reply.code, len(found.listed)) == ("ABCDEFGHJK", 554, 1)
    # Without Postfix's line the code is not known, and none is as good as any other.
    (alone,) = log(ours)
    comparison = Comparison(config(lists=[], rules=FEW), config(lists=[], rules=FEW), (), NOW, oldest_first=True)
    comparison.add(alone)
    assert alone.verdict.reply is None


@pytest.mark.parametrize(
    ("line", "action", "state"),
    [
        (OURS.format("greylist", "new", ""), "greylist", "new"),
        (OURS.format("pass", "triplet found", ""), "accept", "known"),
        (OURS.format("pass", "triplet found, delay=400", ""), "accept", "passed"),
        (OURS.format("pass", "authenticated client", ""), "accept", None),
    ],
)
def test_what_greylisting_has_said_is_told(line, action, state):
    (found,) = log(line)
    greylist = found.verdict.greylist
    assert (found.verdict.action, greylist and greylist.state) == (action, state)
    if found.verdict.reason == "authenticated client":
        assert [each.unknown for each in judged([found])] == [()]


def test_delivered_mail_has_no_helo_in_the_log_and_what_we_have_decided_is_not_told_twice():
    (found,) = log(*DELIVERED)
    assert (found.verdict.action, found.attempt.sender, found.untold) == (
        "accept", "joe@example.com", ("the HELO name (not in the log)",),
    )  # fmt: skip
    (now,) = judged([found], lists=[], rules=FEW)
    assert now.unknown == ("greylisting", *found.untold)
    assert len(log(OURS.format("pass", "triplet found", ""), *DELIVERED)) == 1


def test_what_postfix_refuses_for_reasons_of_its_own_is_none_of_ours():
    other = BLOCKED.replace(f"Service unavailable; Client host [{CLIENT}] blocked using zen.test; listed by zen;",
                            "<ann@example.org>: Relay access denied;")  # fmt: skip
    assert "Relay" in other
    assert log(other) == []


def test_who_is_let_in_later_was_perhaps_refused_wrongly():
    same = config(lists=without("allow"))
    comparison = Comparison(same, same, (), NOW, oldest_first=True)
    for each in log(BLOCKED, *DELIVERED):
        comparison.add(each)
    summary = comparison.summary
    assert (summary.attempts, summary.changed, summary.then.refusals, summary.then.candidates) == (2, 0, 1, 1)
    assert summary.since < summary.until
    comparison = Comparison(same, same, (), NOW, oldest_first=True)
    for each in log(*DELIVERED, BLOCKED):
        comparison.add(each)
    assert comparison.summary.then.candidates == 0


def test_decisions_wait_for_postfixs_line_in_bounded_number(monkeypatch):
    monkeypatch.setattr("resolverd.bounds.REPLAY_WAITING", 1)
    ours = OURS.format("reject", "denied", "override_deny")
    others = [ours.replace("ann@", f"{name}@") for name in "abc"]
    assert [each.attempt.recipient[0] for each in log(*others)] == ["a", "b", "c"]


@pytest.mark.parametrize("junk", ["\x00\xff", "blocked using [", f"Client host [{'x' * 400}] blocked using zen.test"])
def test_strange_lines_do_not_fail(junk):
    for each in log(BLOCKED.replace("listed by zen", junk), BLOCKED.replace(f"[{CLIENT}] blocked", f"[{junk}] blocked"), junk):
        judged([each])
