"""What holds for every check, whatever anybody sends and whatever comes back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mailcases import CLIENT, CLIENT6, LISTS, REVERSE, UNKNOWNS, asks, attempt, clear, judge, listed

from resolverd.mail import domains
from resolverd.mail.findings import Consequence
from resolverd.mail.lookups import SKIPPED, Absent, ListLookup, Records
from resolverd.policy.check import judged
from resolverd.policy.checks import DECLARATIONS, PRESETS, build, rules_for
from resolverd.policy.checks.rhsbl import ROLES, RhsblOptions
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import VerdictRules, decide
from resolverd.wire import codes
from resolverd.wire.names import from_text, to_text
from resolverd.wire.rdata import text

PLAIN = ("", "unknown", "localhost", "mail.example.com", "example.com")
NAMES = (*PLAIN, "[192.0.2.7]", "[bad", "bad name", "a.co.uk.", "\u00fc.de", "x" * 300)
PRESET_CHECKS = {preset: build(rules, LISTS) for preset, rules in PRESETS.items()}

names = st.sampled_from(NAMES) | st.text(max_size=40)
attempts = st.builds(
    attempt,
    client_address=st.sampled_from([CLIENT, CLIENT6, "10.0.0.1", "::1", None]),
    client_name=names,
    reverse_client_name=names,
    helo_name=names,
    sender=names | names.map(lambda name: f"joe@{name}"),
    has_sender=st.booleans(),
    recipient=names | names.map(lambda name: f"joe@{name}"),
)
rdatas = st.binary(max_size=40) | st.sampled_from(
    [from_text("mail.example.com"), b"\0\0\0", b"\0\x0a" + from_text("mx.example.com"), text(b"v=spf1 a include:b.example -all")]
)
unknowns = st.sampled_from(UNKNOWNS)
dns_replies = (
    st.builds(Records, st.lists(rdatas, max_size=20).map(tuple), st.integers(0, 86400))
    | st.builds(Absent, st.booleans())
    | unknowns
)
list_replies = (
    st.builds(listed, st.sampled_from([spec.id for spec in LISTS]), st.floats(-9, 9), trust=st.integers(0, 3))
    | st.builds(clear, st.just("zen"))
    | unknowns
)
any_reply = dns_replies | list_replies | st.just(SKIPPED)
domains.warm()  # or the first example is charged with it


def _run(checks, subject, draw, replies_of):
    """Ask and answer in any order; every question is put to `draw` once."""
    replies = {}
    for _ in range(100):
        wanted = dict.fromkeys(question for check in checks for question in asks(check, subject, replies))
        still = [question for question in wanted if question not in replies]
        if not still:
            return replies
        replies[draw(st.sampled_from(still))] = draw(replies_of(still[0]))
    raise AssertionError("the checks never stop asking")


@pytest.mark.parametrize("preset", PRESETS)
@given(subject=attempts, data=st.data())
def test_asking_ends_and_judging_is_total(preset, subject, data):
    """Even replies of the wrong kind altogether make no check fail, nor ask without end."""
    checks = PRESET_CHECKS[preset]
    replies = _run(checks, subject, data.draw, lambda question: any_reply)
    for check in checks:
        findings = judge(check, subject, replies)
        assert findings
        for finding in findings:
            assert finding.check == check.name
            assert finding.code.startswith(f"{check.name}_")
            assert finding.text.isprintable()
            assert finding.text.isascii()
            assert finding.topic is None or finding.topic in check.topics
            assert finding.consequence is None or finding.topic is not None or finding.effect.allow_listed or finding.score <= 0
            assert all(piece.asked.isascii() and piece.answered.isascii() for piece in finding.evidence)


SENDERS = [
    attempt(helo_name="mail.example.com", sender="joe@example.com", recipient="ann@example.org", **told)
    for told in ({"reverse_client_name": "mail.example.com"}, {"client_name": "", "reverse_client_name": ""})
]
CURIOUS = (
    *build({name: each for name, each in PRESETS["tutorial"].items() if name not in ("rhsbl", "spf")}, LISTS),
    *build(
        {name: rules_for("scored", name) for name in ("rhsbl", "spf")},
        LISTS,
        options={"rhsbl": RhsblOptions(tuple(ROLES)), "spf": SpfOptions(domain_allow=("forwarder.example",))},
    ),
)


def bare(finding):
    return finding._replace(evidence=(), ms=0)


@settings(max_examples=30)
@given(data=st.data())
def test_checks_that_go_on_ask_and_find_what_they_would_if_all_was_there_at_once(data):
    """In whatever order replies come; also while it is only supposed what lists might say."""
    lists = [ListLookup("zen", CLIENT), ListLookup("allow", CLIENT), ListLookup("dbl", "example.com")]
    known = data.draw(st.dictionaries(st.sampled_from(lists), list_replies))
    going = [CheckRuns(subject, CURIOUS, known) for subject in SENDERS]
    for _ in range(8):
        supposed = data.draw(st.dictionaries(st.sampled_from(lists), list_replies, max_size=3))
        still = {}
        for runs in going:
            subject, plain = runs.attempt, dict(runs.replies)
            for said in (supposed, {}, supposed):
                found = runs.findings(said)
                whole = [each for check in CURIOUS for each in judged(check, subject, {**plain, **said})]
                assert [bare(each) for each in found] == [bare(each) for each in whole]
                for one, other in zip(found, whole, strict=True):
                    assert set(one.evidence) <= set(other.evidence), "what came when the check was certain already is none"
            asked = {question: None for check in CURIOUS for question in asks(check, subject, plain)}
            wanted = set(runs.wanted()) - plain.keys()
            assert wanted == asked.keys() - plain.keys()
            assert wanted & set(runs.of_sender()) == wanted & set(CheckRuns(subject, CURIOUS, plain).of_sender())
            still |= {question: None for question in asked if question not in plain}
        if still:
            asked = data.draw(st.sampled_from(list(still)))
            hearsay = st.builds(Records, st.lists(rdatas, max_size=3).map(tuple), st.just(60), definite=st.just(False))
            reply = data.draw(list_replies if isinstance(asked, ListLookup) else dns_replies | st.just(SKIPPED) | hearsay)
            for runs in going:
                if asked not in runs.replies:
                    runs.add({asked: reply})


@pytest.mark.parametrize("preset", PRESETS)
@given(subject=attempts, known=st.dictionaries(st.integers(0, 30), any_reply, max_size=6))
def test_judging_works_with_any_part_of_the_replies(preset, subject, known):
    """Time may be up at any moment."""
    for check in PRESET_CHECKS[preset]:
        questions = list(asks(check, subject, {}))
        replies = {questions[i]: reply for i, reply in known.items() if i < len(questions)}
        assert judge(check, subject, replies)


@pytest.mark.parametrize("preset", PRESETS)
@given(subject=attempts, data=st.data())
def test_what_is_not_known_never_refuses_for_good(preset, subject, data):
    """If nothing at all is known, only what is wrong as written can be refused, and that is the HELO's or sender's own doing."""
    checks = PRESET_CHECKS[preset]
    replies = _run(checks, subject, data.draw, lambda question: unknowns)
    findings = [finding for check in checks for finding in judge(check, subject, replies)]
    for finding in findings:
        if finding.evidence:
            assert finding.consequence in (None, Consequence.DEFER, Consequence.GREYLIST)
            assert finding.score == 0
            assert finding.reply is None or not finding.reply.permanent
    decision = decide(subject, [finding for finding in findings if finding.evidence], VerdictRules())
    assert decision.reply is None or decision.reply.code < 500


@pytest.mark.parametrize("preset", PRESETS)
@given(subject=attempts, data=st.data())
def test_every_question_can_be_asked(preset, subject, data):
    """Names on the wire, addresses for address lists, domains in lower case without final dot for the others."""
    by_id = {spec.id: spec for spec in LISTS}
    replies = _run(
        PRESET_CHECKS[preset], subject, data.draw, lambda q: list_replies if isinstance(q, ListLookup) else dns_replies
    )
    for question in replies:
        if not isinstance(question, ListLookup):
            assert from_text(to_text(question.name)) == question.name
        elif isinstance(question.subject, str):
            assert question.subject == question.subject.lower().removesuffix(".")
            assert by_id[question.list_id].takes(question.subject)
        else:
            assert by_id[question.list_id].takes(question.subject)


def test_the_checks_stand_in_their_order_and_have_rules_in_every_preset():
    order = [name for name, check in DECLARATIONS.items() if check.presets is not None]
    for preset, checks in PRESET_CHECKS.items():
        assert [check.name for check in checks] == order
        assert set(PRESETS[preset]) == set(order)


def test_a_check_that_is_off_is_not_built():
    rules = dict(PRESETS["tutorial"]) | {"ptr": rules_for("tutorial", "ptr", action="off")}
    assert "ptr" not in [check.name for check in build(rules, LISTS)]
    assert build({}, LISTS) == ()


def test_configured_keys_win_over_the_preset_key_by_key():
    assert rules_for("scored", "ptr") == PRESETS["scored"]["ptr"]
    assert rules_for("scored", "ptr", score=5).score == 5
    assert rules_for("scored", "ptr", score=5).consequence is Consequence.SCORE
    assert rules_for("tutorial", "helo", action="warn", code=550) == (rules_for("tutorial", "helo", code=550, action="warn"))
    for action, consequence in (("reject", None), ("score", Consequence.SCORE)):
        (check,) = build({"dnswl": rules_for("tutorial", "dnswl", action=action)}, LISTS)
        assert check.rules.consequence is consequence
    with pytest.raises(ValueError, match="refuse"):
        rules_for("tutorial", "helo", action="refuse")


def test_a_client_without_any_name_asks_for_its_name_only_once():
    wanted = [q for check in PRESET_CHECKS["tutorial"] for q in asks(check, attempt(), {}) if not isinstance(q, ListLookup)]
    assert {to_text(question.name) for question in wanted} == {f"{REVERSE}."}
    assert {question.rtype for question in wanted} == {codes.PTR}
