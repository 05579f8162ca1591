"""What would have changed a verdict, told beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import attempt

from resolverd.mail.findings import NO_EFFECT, Action, Consequence, Effect, Finding, GreylistOutcome, SmtpReply, Topic
from resolverd.policy.verdict import VerdictRules, decide
from resolverd.policy.what_if import what_ifs

RULES = VerdictRules(greylist=False)
TOPICS = {"dnsbl": Topic("address", "lists"), "rhsbl": Topic("sender", "lists"), "helo": Topic("helo", "dns")}
ALLOW_LISTED = Effect(allow_listed=True)


def what_if(subject, findings, rules, decision, greylist=None, *, skipped=False):
    return what_ifs(subject, findings, rules, decision, skipped=skipped).beside(greylist)


def refusing(check, code, reply):
    return Finding(check, code, code, consequence=Consequence.REJECT, reply=SmtpReply(*reply, code), topic=TOPICS.get(check))


def scoring(check, code, score, effect=NO_EFFECT):
    reply = SmtpReply(554, "5.7.1", code)
    return Finding(check, code, code, score, Consequence.SCORE, reply, topic=TOPICS.get(check), effect=effect)


ZEN = refusing("dnsbl", "dnsbl_listed", (554, "5.7.1"))
DBL = refusing("rhsbl", "rhsbl_sender_listed", (554, "5.7.1"))
PTR = refusing("ptr", "ptr_missing", (450, "4.7.25"))
HELO = refusing("helo", "helo_not_fqdn", (504, "5.5.2"))
DNSWL = Finding("dnswl", "dnswl_listed", "on an allow list", effect=Effect((TOPICS["dnsbl"],), allow_listed=True))
LOST = Finding("dnswl", "dnswl_unreachable", "no answer", effect=Effect(may_suppress=(TOPICS["dnsbl"],)))
MAP = Finding("access", "access_helo_ok", "in helo_access", effect=Effect((TOPICS["helo"],)))
FINE = Finding("spf", "spf_pass", "may send")


@pytest.mark.parametrize(
    ("findings", "action", "says"),
    [
        ([FINE], Action.ACCEPT, []),
        ([FINE, ZEN], Action.REJECT, ["without dnsbl_listed: accept"]),
        ([ZEN, DBL], Action.REJECT, ["without dnsbl_listed and rhsbl_sender_listed: accept"]),
        ([ZEN, ZEN], Action.REJECT, ["without dnsbl_listed: accept"]),
        ([PTR, ZEN], Action.REJECT, ["without dnsbl_listed: reject with 450"]),  # for now instead of for good
        ([PTR], Action.REJECT, ["without ptr_missing: accept"]),
        ([DNSWL, ZEN], Action.ACCEPT, ["without dnswl_listed: reject with 554"]),
        ([DNSWL, ZEN, HELO], Action.REJECT, ["without helo_not_fqdn: accept"]),
        ([MAP, HELO], Action.ACCEPT, ["without access_helo_ok: reject with 504"]),
        ([LOST, ZEN], Action.DEFER, ["without dnswl_unreachable: reject with 554", "without dnsbl_listed: accept"]),
        ([scoring("ptr", "ptr_missing", 2), scoring("helo", "helo_not_found", 2)], Action.ACCEPT,
         ["with 2 points more: reject"]),
        ([scoring("dnsbl", "dnsbl_listed", 6), scoring("ptr", "ptr_missing", 2)], Action.REJECT,
         ["without dnsbl_listed: accept"]),
        ([scoring("dnsbl", "dnsbl_listed", 5), scoring("dnswl", "dnswl_listed", -2, ALLOW_LISTED),
          scoring("ptr", "ptr_missing", 2)], Action.ACCEPT,
         ["without dnswl_listed: reject with 554", "with 1 points more: reject"]),
        ([scoring("dnsbl", "dnsbl_listed", 9), scoring("rhsbl", "rhsbl_sender_listed", 9)], Action.REJECT,
         ["without dnsbl_listed and rhsbl_sender_listed: accept"]),
    ],
)  # fmt: skip
def test_what_would_have_changed_it(findings, action, says):
    subject = attempt(recipient="a@example.org")
    decision = decide(subject, findings, RULES)
    assert decision.action is action
    assert [each.text for each in what_if(subject, findings, RULES, decision)] == says


def test_greylisting_and_exempt_recipients():
    subject = attempt(recipient="a@example.org")
    greylist = GreylistOutcome("early-retry", missing=173, reason="early-retry (173s missing)")
    decision = decide(subject, [FINE], VerdictRules())
    (found,) = what_if(subject, [FINE], VerdictRules(), decision, greylist)
    assert found.text == "at another try after 173 s: accept"
    listed = decide(subject, [ZEN], VerdictRules())
    assert what_if(subject, [ZEN], VerdictRules(), listed)[0].text == "without dnsbl_listed: accept, if greylisting lets it"
    skipped = what_if(subject, [ZEN], RULES, listed, skipped=True)
    assert skipped[0].text == "without dnsbl_listed: accept, as far as was asked"
    postmaster = attempt(recipient="postmaster@example.org")
    (found,) = what_if(postmaster, [ZEN], RULES, decide(postmaster, [ZEN], RULES))
    assert found == ((), Action.REJECT, "to a recipient who is not exempt: reject")


@given(st.lists(st.sampled_from([ZEN, DBL, PTR, HELO, DNSWL, LOST, MAP, FINE]), max_size=6, unique=True))
def test_what_is_said_is_so(findings):
    """Every refusal has a way out that holds when it is tried."""
    subject = attempt(recipient="a@example.org")
    decision = decide(subject, findings, RULES)
    found = what_if(subject, findings, RULES, decision)
    assert found or decision.action is Action.ACCEPT
    for each in found:
        left = [finding for finding in findings if finding.code not in each.without]
        assert decide(subject, left, RULES).action is each.action
