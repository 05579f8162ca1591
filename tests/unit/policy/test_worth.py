"""What a list has done to a verdict: alone or with others, decisive or not."""

import pytest
from mailcases import attempt

from resolverd.mail.findings import Action, Consequence, Effect, Finding, SmtpReply, Topic
from resolverd.policy.checks.dnswl import ADDRESS_LISTS
from resolverd.policy.verdict import VerdictRules, decide
from resolverd.policy.worth import listings

ADDRESS = Topic("address", "lists")


def listed(name, consequence=Consequence.REJECT, score=0.0):
    reply = SmtpReply(554, "5.7.1", "Service unavailable (blocked)")
    return Finding("dnsbl", "dnsbl_listed", name, score, consequence, reply, topic=ADDRESS, list_id=name)


def points(name, score):
    return listed(name, Consequence.SCORE, score)


def trusted(name="dnswl"):
    effect = Effect(ADDRESS_LISTS, allow_listed=True)
    return Finding("dnswl", "dnswl_listed", name, effect=effect, list_id=name)


def worth(*findings, **rules):
    decision = decide(attempt(), findings, VerdictRules(**rules))
    found = listings(attempt(), findings, VerdictRules(**rules), decision)
    return decision.action, {each.list_id: (each.unique, each.decisive) for each in found}


PTR = Finding("ptr", "ptr_missing", "no name", consequence=Consequence.REJECT, reply=SmtpReply(550, "5.7.25", "no name"))


@pytest.mark.parametrize(
    ("findings", "action", "told"),
    [
        ([], Action.ACCEPT, {}),
        ([PTR], Action.REJECT, {}),
        ([listed("zen")], Action.REJECT, {"zen": (True, True)}),
        ([listed("zen"), listed("psbl")], Action.REJECT, {"zen": (False, False), "psbl": (False, False)}),
        ([listed("zen"), PTR], Action.REJECT, {"zen": (True, False)}),
        ([listed("zen")._replace(consequence=None, reply=None)], Action.ACCEPT, {"zen": (True, False)}),
        # Two listings by one list are the list's.
        ([listed("dbl"), listed("dbl")], Action.REJECT, {"dbl": (True, True)}),
        # Points: the second list is too much of it, the first one is not.
        ([points("zen", 6), points("psbl", 1)], Action.REJECT, {"zen": (False, True), "psbl": (False, False)}),
        ([points("a", 3), points("b", 3)], Action.REJECT, {"a": (False, True), "b": (False, True)}),
        # Enough to be greylisted as suspicious.
        ([points("psbl", 3)], Action.ACCEPT, {"psbl": (True, True)}),
        ([points("psbl", 1)], Action.ACCEPT, {"psbl": (True, False)}),
        # An allow list is decisive where the mail would fare worse without it, a block list that it suppresses is not.
        ([listed("zen"), trusted()], Action.ACCEPT, {"zen": (True, False), "dnswl": (True, True)}),
        ([listed("zen"), PTR, trusted()], Action.REJECT, {"zen": (True, False), "dnswl": (True, False)}),
    ],
)
def test_what_a_list_has_done(findings, action, told):
    assert worth(*findings) == (action, told)


def test_the_cause_is_the_finding_that_refuses():
    def cause(*findings):
        return decide(attempt(), findings, VerdictRules()).cause

    assert cause() == ""
    assert cause(trusted()) == ""
    assert cause(listed("zen"), PTR) == "dnsbl_listed"
    assert cause(PTR) == "ptr_missing"
    assert cause(points("psbl", 2), points("zen", 6)._replace(code="heaviest")) == "heaviest"
