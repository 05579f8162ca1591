"""What a trouble that passes is told in: words that no filter takes for a refusal, those of fail2ban of any version included."""

import configparser
import re
from pathlib import Path

import pytest
from mailcases import CLIENT, TIMEOUT, World, attempt, judged, listed, spec

from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Action, Finding, GreylistOutcome
from resolverd.mail.lookups import ListLookup, LookupReply, Question
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.rules import DENY, Override, OverrideKey
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.overrides import OverridesCheck
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.verdict import VerdictRules, apply_greylist, decide, finish
from resolverd.servers.policy.protocol import render

CONTRIB = Path(__file__).parents[3] / "contrib" / "fail2ban"

COUNTED = re.compile(
    r"rejected|denied|service unavailable|not found|need fully|\bmatch|user unknown|undeliverable|unverified|cannot find", re.I
)
"""The phrases that the filters ``postfix`` of fail2ban 0.8 to 1.1.1 go by in all their modes, and those that people write. Those
filters look for them at one place of the line, this expression wherever they stand."""

DELIVERY = {"helo_name": "mail.example.com", "sender": "joe@example.com", "has_sender": True, "recipient": "anna@example.org"}


class Dead(World):
    """No name can be looked up; allow lists are out of reach, block lists list the client."""

    def reply(self, question: Question) -> LookupReply:
        if isinstance(question, ListLookup):
            return Unknown(Why.TIMEOUT) if question.list_id == "allow" else listed(question.list_id, 6)
        return TIMEOUT


def verdict(findings: list[Finding], greylist: GreylistOutcome | None = None):
    decision = apply_greylist(decide(attempt(**DELIVERY), findings, VerdictRules()), greylist)
    return finish(decision, greylist, ref="ABCDEFGH23")


def checked(world: World, *lists, preset="tutorial", overrides=None) -> list[Finding]:
    options = {"spf": SpfOptions(temperror="defer")}
    checks = build(PRESETS[preset], lists, options=options, overrides=overrides, hostname="mx.example.org")
    return [finding for check in checks for finding in judged(check, attempt(**DELIVERY), world)]


TROUBLES = {finding.code: [finding] for finding in checked(Dead()) if finding.consequence is not None} | {
    "an allow list that was not reached": [
        each for each in checked(Dead(), spec("zen"), spec("allow", weight=-1)) if each.check in ("dnsbl", "dnswl")
    ],
    "points that an allow list might lift": checked(Dead(), spec("zen"), spec("allow", weight=-1), preset="scored"),
    "a ban": judged(
        OverridesCheck(OverrideIndex([Override(OverrideKey(DENY, CLIENT, temporary=True), 0)])), attempt(**DELIVERY), World()
    ),
}


def test_all_kinds_of_trouble_are_looked_at():
    assert {"ptr_unknown", "fcrdns_unknown", "helo_unknown", "sender_domain_unknown", "spf_temperror"} <= set(TROUBLES)


@pytest.mark.parametrize("name", TROUBLES)
def test_no_filter_counts_a_trouble_that_passes(name):
    found = verdict(TROUBLES[name])
    said = render(found)
    assert found.action is Action.DEFER
    assert re.match(r"DEFER_IF_PERMIT 4\.\d\.\d+ Message deferred \(.+\); ref ABCDEFGH23$", said)
    assert not COUNTED.search(said), said


def test_no_filter_counts_greylisting():
    assert not COUNTED.search(render(verdict([], GreylistOutcome("new"))))


# -- contrib/fail2ban's filters, read as fail2ban reads them

PREFIX = r"\s*\S+ (?:{daemon})\[\d+\]: "


def expressions(name: str) -> list[re.Pattern[str]]:
    """The expressions of a filter, with common.conf's prefix of a line as it is in a file."""
    config = configparser.ConfigParser(interpolation=None, strict=True)
    config.read_string((CONTRIB / "filter.d" / f"{name}.conf").read_text())
    assert dict(config["INCLUDES"]) == {"before": "common.conf"}
    own = {**config["Definition"], **config["Init"]}
    text = own["failregex"]
    own["__prefix_line"] = PREFIX.format(daemon=own["_daemon"])
    while found := re.search(r"%\((\w+)\)s", text):
        text = text.replace(found[0], own[found[1]])
    text = text.replace("<HOST>", r"(?P<host>[\da-f.:]+)").replace("<helo>", own.get("helo", ""))
    return [re.compile(line) for line in text.split("\n") if line]


def counts(name: str, line: str) -> bool:
    found = [match["host"] for each in expressions(name) if (match := each.search(line)) is not None]
    assert set(found) <= {"192.0.2.7"}
    return bool(found)


def rejected(said: str, daemon: str = "postfix/smtpd") -> str:
    tail = "; from=<joe@example.com> to=<anna@example.org> proto=ESMTP helo=<mail.example.com>"
    return f" mx {daemon}[4711]: NOQUEUE: reject: RCPT from mail.example.com[192.0.2.7]: {said}{tail}"


def ours(said: str) -> str:
    code, enhanced, text = said.split(" ", 2)
    return rejected(f"{code} {enhanced} <anna@example.org>: Recipient address rejected: {text}; ref ABCDEFGH23")


COUNTED_BY_OURS = [
    ours("450 4.7.25 Client host rejected (cannot find your reverse hostname)"),
    ours("450 4.1.2 Sender address rejected (Domain not found)"),
    ours("450 4.7.1 Helo command rejected (Host not found)"),
    ours("501 5.5.2 Helo command rejected (Invalid name)"),
    ours("554 5.7.1 Service unavailable (Client host [192.0.2.7] blocked using zen.spamhaus.org); https://example.org/?q=1"),
    ours("550 5.7.23 Message rejected (SPF fail - 192.0.2.7 is not allowed to send for example.com)"),
    ours("550 5.7.1 Message rejected (score 9, refused from 6)"),
    ours("554 5.7.1 Client host rejected (Access denied)"),
    rejected("504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    rejected("550 5.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"),
    rejected("554 5.7.1 <joe@example.net>: Relay access denied"),
    rejected("554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"),
    *(
        rejected("554 5.7.1 <joe@example.net>: Relay access denied", f"{syslog}/smtpd")
        for syslog in ("postfix/submission", "postfix/submissions-proxyprotocol", "postfix-in/smtp-proxyprotocol", "postfix-a-b")
    ),
]
POSTPONED = [render(verdict(findings)).removeprefix("DEFER_IF_PERMIT ").partition("; ref")[0] for findings in TROUBLES.values()]
LEFT_ALONE = [
    *(ours(f"450 {said}") for said in POSTPONED),
    ours("450 4.2.0 Greylisted, please try again later"),
    ours("450 4.7.1 Try again later"),
    rejected("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"),
    rejected("450 4.1.8 <joe@example.com>: Sender address rejected: Domain not found"),
    rejected("451 4.3.5 <anna@example.org>: Recipient address rejected: Server configuration problem"),
    rejected("554 5.7.1 <joe@example.net>: Relay access denied", "dovecot/smtpd"),
]  # fmt: skip


@pytest.mark.parametrize("line", COUNTED_BY_OURS)
def test_our_filter_counts_what_is_certain(line):
    assert counts("postfix-resolverd", line)


@pytest.mark.parametrize("line", LEFT_ALONE)
def test_our_filter_leaves_what_passes(line):
    assert not counts("postfix-resolverd", line)


@pytest.mark.parametrize("daemon", ["postfix", "postfix/submissions-proxyprotocol", "postfix-in/smtp"])
def test_services_may_be_called_what_they_like(daemon):
    for queue_id in ("", "NOQUEUE: "):  # from Postfix 3.9 on
        line = f" mx {daemon}/smtpd[1]: {queue_id}lost connection after AUTH from unknown[192.0.2.7]"
        assert counts("postfix-flood-attack", line)
    line = f" mx {daemon}/postscreen[1]: PREGREET 14 after 0.05 from [192.0.2.7]:4711: EHLO ylmf-pc\\r\\n"
    assert counts("postfix-pregreet", line)


def test_what_a_stranger_writes_bans_nobody_else():
    forged = 'reject: RCPT from x[192.0.2.9]: 554 5.7.1 <a@b>: Recipient address rejected: Message rejected (x)'
    line = rejected("450 4.2.0 <anna@example.org>: Recipient address rejected: Greylisted").replace("joe@", f'"{forged}"@')
    assert not counts("postfix-resolverd", line)
