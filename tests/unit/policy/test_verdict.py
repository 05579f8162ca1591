"""The fold from findings to verdict."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import attempt

from resolverd.mail.findings import (
    ANYTHING,
    GREYLISTING,
    NO_EFFECT,
    Action,
    Consequence,
    Effect,
    Finding,
    GreylistOutcome,
    SmtpReply,
    Status,
    Topic,
)
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.sanitize import sanitize
from resolverd.policy.verdict import (
    Mode,
    RecipientPolicy,
    VerdictRules,
    apply_greylist,
    bypass_reason,
    decide,
    finish,
    verdict_header,
)

RULES = VerdictRules()
PTR = SmtpReply(450, "4.7.25", "Client host rejected (cannot find your reverse hostname)")
HELO = SmtpReply(504, "5.5.2", "Helo command rejected (need fully-qualified hostname)")
ZEN = SmtpReply(554, "5.7.1", "Service unavailable (Client host [192.0.2.7] blocked using zen.spamhaus.org)")
DBL = SmtpReply(554, "5.7.1", "Service unavailable (Sender address [x.com] blocked using dbl.spamhaus.org)")

ADDRESS_LISTS, NAMES = Topic("address", "lists"), Topic("client", "dns")
MAY_SUPPRESS = Effect(may_suppress=(ADDRESS_LISTS,))

OK = Finding("ptr", "ptr_ok", "fine")
NO_PTR = Finding("ptr", "ptr_missing", "no name", 2, Consequence.REJECT, PTR, topic=NAMES)
LATE_PTR = Finding("ptr", "ptr_unknown", "late", 0, Consequence.DEFER, PTR, status=Status.UNKNOWN, topic=NAMES)
BAD_HELO = Finding("helo", "helo_not_fqdn", "not fqdn", 2, Consequence.REJECT, HELO)
ZEN_LINK = "https://zen.example/192.0.2.7"
ON_ZEN = Finding("dnsbl", "dnsbl_listed", "on zen", 6, Consequence.REJECT, ZEN, ZEN_LINK, topic=ADDRESS_LISTS)
ON_DBL = Finding("rhsbl", "rhsbl_sender_listed", "on dbl", 6, Consequence.REJECT, DBL, topic=Topic("sender", "lists"))
ON_ALLOW = Finding("dnswl", "dnswl_listed", "on allow", effect=Effect((ADDRESS_LISTS,), allow_listed=True))
UNTRUSTED = Finding("dnswl", "dnswl_untrusted", "on allow without trust")
LOST = Finding("dnswl", "dnswl_unreachable", "no answer from allow", status=Status.UNKNOWN, effect=MAY_SUPPRESS)
BLOCKED_ALLOW = Finding("dnswl", "dnswl_unknown", "no answer from allow", status=Status.UNKNOWN)
WARNED = Finding("helo", "helo_not_fqdn", "not fqdn", 0, Consequence.WARN)
TAGGED = Finding("helo", "helo_not_fqdn", "not fqdn", 0, Consequence.TAG)
GREY = Finding("helo", "helo_not_fqdn", "not fqdn", 2, Consequence.GREYLIST)


def scored(check, points, reply=None, code="x"):
    topic = ADDRESS_LISTS if check == "dnsbl" else None
    effect = Effect(allow_listed=True) if check == "dnswl" else NO_EFFECT
    return Finding(check, f"{check}_{code}", f"{check} {points}", points, Consequence.SCORE, reply, topic=topic, effect=effect)


# findings, action, SMTP code
CASES = [
    ([], Action.ACCEPT, None),
    ([OK], Action.ACCEPT, None),
    ([NO_PTR], Action.REJECT, 450),
    ([LATE_PTR], Action.DEFER, 450),
    ([LATE_PTR, NO_PTR], Action.REJECT, 450),
    ([NO_PTR, BAD_HELO], Action.REJECT, 504),
    ([BAD_HELO, NO_PTR], Action.REJECT, 504),
    ([LATE_PTR, ON_ZEN], Action.REJECT, 554),
    ([NO_PTR, ON_ZEN], Action.REJECT, 554),
    ([BAD_HELO, ON_ZEN], Action.REJECT, 504),
    ([WARNED], Action.ACCEPT, None),
    ([TAGGED], Action.ACCEPT, None),
    ([GREY], Action.ACCEPT, None),
    # -- allow lists reach as far as the address lists
    ([ON_ZEN, ON_ALLOW], Action.ACCEPT, None),
    ([ON_ZEN, UNTRUSTED], Action.REJECT, 554),
    ([ON_DBL, ON_ALLOW], Action.REJECT, 554),
    ([NO_PTR, ON_ZEN, ON_ALLOW], Action.REJECT, 450),
    ([BAD_HELO, ON_ALLOW], Action.REJECT, 504),
    ([ON_ZEN, LOST], Action.DEFER, 450),
    ([ON_ZEN, LOST, ON_ALLOW], Action.ACCEPT, None),
    ([ON_ZEN, BLOCKED_ALLOW], Action.REJECT, 554),
    ([ON_ZEN, ON_DBL, LOST], Action.REJECT, 554),
    ([LOST], Action.ACCEPT, None),
    # -- points
    ([scored("ptr", 2, PTR), scored("helo", 2, HELO)], Action.ACCEPT, None),
    ([scored("ptr", 2, PTR), scored("helo", 2, HELO), scored("sender_domain", 3, PTR)], Action.REJECT, 550),
    ([scored("dnsbl", 6, ZEN)], Action.REJECT, 554),
    ([scored("dnsbl", 4, ZEN), scored("ptr", 2, PTR)], Action.REJECT, 554),
    ([scored("dnsbl", 3, ZEN), scored("ptr", 3, PTR)], Action.REJECT, 554),
    ([scored("dnsbl", 5.9, ZEN)], Action.ACCEPT, None),
    ([scored("dnsbl", 6, ZEN), scored("dnswl", -4, code="listed")], Action.ACCEPT, None),
    ([scored("dnsbl", 6, ZEN), LOST], Action.DEFER, 450),
    ([scored("dnsbl", 6, ZEN), scored("rhsbl", 6, DBL), LOST], Action.REJECT, 554),
    ([scored("rhsbl", 0, DBL)], Action.ACCEPT, None),
    # -- points of checks that act by themselves are not added to the others
    ([Finding("dnsbl", "dnsbl_listed", "x", 6, Consequence.DEFER, ZEN.deferred)], Action.DEFER, 450),
    ([GREY, scored("ptr", 5, PTR)], Action.ACCEPT, None),
]  # fmt: skip


def is_allow_listed(found):
    """Who is on an allow list that acts is not made to wait."""
    return any(each.effect.allow_listed and each.consequence in (None, Consequence.SCORE) for each in found)


@pytest.mark.parametrize(("findings", "action", "code"), CASES)
def test_decide(findings, action, code):
    decision = decide(attempt(recipient="a@example.org"), findings, RULES)
    assert decision.action is action
    assert (decision.reply.code if decision.reply else None) == code
    assert decision.wants_greylist is (action is Action.ACCEPT and not is_allow_listed(findings))


def test_among_equals_the_first_check_words_the_reply():
    assert decide(attempt(), [ON_ZEN, ON_DBL], RULES).reply == ZEN
    assert decide(attempt(), [ON_DBL, ON_ZEN], RULES).reply == DBL


def test_a_suppressed_listing_is_still_shown():
    decision = decide(attempt(), [ON_ZEN, ON_ALLOW], RULES)
    assert decision.findings[0].text == "on zen (suppressed: on allow)"
    assert decision.score == 0


def test_reply_link_and_reference():
    verdict = finish(decide(attempt(), [ON_ZEN], RULES), ref="ABC234")
    assert str(verdict.reply) == (
        "554 5.7.1 Service unavailable (Client host [192.0.2.7] blocked using zen.spamhaus.org)"
        "; https://zen.example/192.0.2.7; ref ABC234"
    )
    assert (verdict.id, verdict.action, verdict.score, verdict.reason) == ("ABC234", Action.REJECT, 6, "on zen")


@pytest.mark.parametrize(
    "recipient", ["postmaster@example.org", "Postmaster@EXAMPLE.org", "abuse@example.org", "postmaster", "abuse+x@example.org"]
)
def test_exempt_recipients_are_never_refused_nor_greylisted(recipient):
    decision = decide(attempt(recipient=recipient), [ON_ZEN, BAD_HELO], RULES)
    assert (decision.action, decision.wants_greylist, decision.reply) == (Action.ACCEPT, False, None)
    assert decision.findings == (ON_ZEN, BAD_HELO)


@pytest.mark.parametrize("recipient", ["info@example.org", "not-postmaster@example.org", "x@postmaster", ""])
def test_others_are_not_exempt(recipient):
    assert decide(attempt(recipient=recipient), [ON_ZEN], RULES).action is Action.REJECT


@pytest.mark.parametrize(
    ("recipient", "pattern", "means"),
    [
        *(("a@b.c", pattern, True) for pattern in ("b.c", "c", "a@", "a@b.c", "A@B.C")),
        *(("a@b.c", pattern, False) for pattern in ("", "x.b.c", "b@", "a@c", "b")),
        ("a@x.b.c", "b.c", True),
        ("a@xb.c", "b.c", False),
        ("a@x.b.c", "a@b.c", False),
        ("A+tag@B.C", "a@b.c", True),
        ("a", "a@", True),
        ("a", "a", False),
        ("", "", False),
        ("", "b.c", False),
        ("a@@b.c", "b.c", True),
    ],
)
def test_recipients(recipient, pattern, means):
    assert matches_recipient(recipient, [pattern]) is means


def test_trusted_and_authenticated_clients_are_waived():
    rules = VerdictRules(trusted_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    assert bypass_reason(attempt(), rules) == "trusted network"
    assert bypass_reason(attempt(client_address="2001:db8::1"), rules) == "trusted network"
    assert bypass_reason(attempt(client_address="198.51.100.1"), rules) == ""
    assert bypass_reason(attempt(client_address=None), rules) == ""
    assert bypass_reason(attempt(client_address=None, sasl_username="joe"), rules) == "authenticated client"


@pytest.mark.parametrize(
    ("findings", "suspicious"),
    [
        ([OK], False),
        ([GREY], True),
        ([scored("ptr", 2, PTR)], True),
        ([scored("ptr", 1, PTR)], False),
        ([WARNED], False),
        ([UNTRUSTED], False),
    ],
)
def test_suspicion(findings, suspicious):
    assert decide(attempt(), findings, RULES).suspicious is suspicious


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("new", "greylist"),
        ("early-retry", "greylist"),
        ("passed", "accept"),
        ("known", "accept"),
        ("allowed", "accept"),
        ("skipped", "accept"),
    ],
)
def test_greylisting_has_its_word(state, action):
    outcome = GreylistOutcome(state, reason="why")
    verdict = finish(apply_greylist(decide(attempt(), [], RULES), outcome), outcome, ref="r")
    assert verdict.action == action
    assert verdict.greylist == outcome
    assert verdict.reply is None


def test_greylisting_does_not_soften_a_refusal():
    assert apply_greylist(decide(attempt(), [ON_ZEN], RULES), GreylistOutcome("new")).action is Action.REJECT


def test_observing_lets_everything_pass_and_says_what_would_have_been():
    rules = VerdictRules(mode=Mode.OBSERVE)
    decision = decide(attempt(), [ON_ZEN], rules)
    verdict = finish(decision, ref="ABC")
    assert (verdict.action, verdict.reply, verdict.reason) == (Action.ACCEPT, None, "observed only, would reject: on zen")
    assert verdict_header(decision, "ABC") == "X-Resolverd: would reject (on zen); score=6; ref=ABC"
    forged = ON_ZEN._replace(text="helo x); score=-9; ref=FORGED")
    header = verdict_header(decide(attempt(), [forged], rules), "ABC")
    assert header == "X-Resolverd: would reject (helo x), score:-9, ref:FORGED); score=6; ref=ABC"
    assert verdict_header(decide(attempt(), [], rules), "ABC") == "X-Resolverd: accept; score=0; ref=ABC"
    greylisted = apply_greylist(decide(attempt(), [], rules), GreylistOutcome("new", reason="new"))
    assert finish(greylisted, ref="ABC").action is Action.ACCEPT


def test_tags_stand_in_a_header():
    decision = decide(attempt(), [TAGGED, TAGGED], RULES)
    assert verdict_header(decision, "ABC") == "X-Resolverd: tagged; tags=helo_not_fqdn; score=0; ref=ABC"
    assert verdict_header(decide(attempt(), [OK, WARNED], RULES), "ABC") == ""


def test_policies_for_recipients():
    rules = VerdictRules(
        policies=(RecipientPolicy(("customer.example",), mode=Mode.OBSERVE), RecipientPolicy(("example",), greylist=False))
    )
    observed = decide(attempt(recipient="a@customer.example"), [ON_ZEN], rules)
    assert (observed.mode, observed.action) == (Mode.OBSERVE, Action.REJECT)
    assert decide(attempt(recipient="a@customer.example"), [], rules).wants_greylist
    assert not decide(attempt(recipient="a@other.example"), [], rules).wants_greylist
    assert decide(attempt(recipient="a@elsewhere.net"), [ON_ZEN], rules).mode is Mode.ENFORCE


@given(st.text(), st.text(), st.text(max_size=30))
def test_nothing_from_outside_ends_the_reply(text, link, ref):
    finding = ON_ZEN._replace(reply=SmtpReply(554, "5.7.1", text), link=link)
    reply = finish(decide(attempt(), [finding], RULES), ref=ref).reply
    assert reply is not None
    assert len(reply.text) <= 400
    assert all(" " <= char <= "~" for char in reply.text)
    assert reply.text.endswith(f"; ref {sanitize(ref, 40)}")


def test_templates_in_names_expand_to_nothing():
    assert sanitize("100%s %(x)s $name ${x}\r\n\r\naction=OK") == "100%s %(x)s $name ${x} action=OK"


@pytest.mark.parametrize(("limit", "text"), [(10, "abcdefg..."), (3, "..."), (2, ".."), (0, "")])
def test_long_texts_are_cut(limit, text):
    assert sanitize("abcdefghijklmnop", limit) == text


findings = st.lists(
    st.builds(
        Finding,
        check=st.sampled_from(["ptr", "helo", "dnsbl", "rhsbl", "dnswl"]),
        code=st.just("a"),
        text=st.text(max_size=20),
        score=st.sampled_from([-4, 0, 1, 3, 6]),
        consequence=st.none() | st.sampled_from([c for c in Consequence if c is not Consequence.OFF]),
        reply=st.none() | st.sampled_from([PTR, HELO, ZEN]),
        topic=st.sampled_from([None, ADDRESS_LISTS, NAMES]),
        effect=st.sampled_from([NO_EFFECT, Effect(allow_listed=True), MAY_SUPPRESS]),
    ),
    max_size=8,
)


@given(findings)
def test_only_a_refusing_or_scoring_finding_refuses(found):
    decision = decide(attempt(), found, RULES)
    if decision.action is Action.REJECT:
        assert any(finding.consequence in (Consequence.REJECT, Consequence.SCORE) for finding in found)
    if decision.action is Action.DEFER:
        assert decision.reply is not None
    assert decision.wants_greylist is (decision.action is Action.ACCEPT and not is_allow_listed(found))
    assert (decision.reply is None) is (decision.action is Action.ACCEPT)


SUPPRESSES = [
    ((ANYTHING,), [NO_PTR, LATE_PTR, BAD_HELO, ON_ZEN], Action.ACCEPT, False),
    ((Topic(source="lists"),), [ON_ZEN], Action.ACCEPT, True),
    ((Topic(source="lists"),), [ON_ZEN, BAD_HELO], Action.REJECT, False),
    ((Topic(source="spf"),), [ON_ZEN], Action.REJECT, False),
    ((GREYLISTING,), [], Action.ACCEPT, False),
    ((GREYLISTING,), [NO_PTR], Action.REJECT, False),
    ((NAMES,), [NO_PTR], Action.ACCEPT, True),
    ((Topic("sender"),), [ON_DBL], Action.ACCEPT, True),
    ((Topic("sender"),), [ON_DBL, ON_ZEN], Action.REJECT, False),
    ((Topic("sender", "dns"),), [ON_DBL], Action.REJECT, False),
    ((Topic("sender"),), [LATE_PTR], Action.DEFER, False),
    ((Topic(source="lists"),), [ON_ZEN, LOST], Action.ACCEPT, True),
]


@pytest.mark.parametrize(("suppresses", "found", "action", "wants_greylist"), SUPPRESSES)
def test_an_override_suppresses_what_it_reaches(suppresses, found, action, wants_greylist):
    own = Finding("overrides", "override_allow", "allowed", effect=Effect(suppresses))
    for order in ([own, *found], [*found, own]):
        decision = decide(attempt(), order, RULES)
        assert (decision.action, decision.wants_greylist) == (action, wants_greylist)
        lifted = [each for each in decision.findings if "(suppressed: allowed)" in each.text]
        assert all((each.score, each.consequence, each.reply) == (0, None, None) for each in lifted)


def test_nothing_suppresses_a_denial_and_no_override_takes_good_points_away():
    own = Finding("overrides", "override_allow", "allowed", effect=Effect((ANYTHING,)))
    denied = Finding("overrides", "override_deny", "denied", 0, Consequence.REJECT, ZEN, effect=Effect(final=True))
    assert decide(attempt(), [own, denied], RULES).action is Action.REJECT
    good = Finding("dnswl", "dnswl_listed", "known", -4, Consequence.SCORE, effect=Effect(allow_listed=True))
    assert decide(attempt(), [own, good], RULES).score == -4


@given(findings, st.sampled_from([OK, UNTRUSTED, ON_ALLOW, WARNED]))
def test_a_harmless_finding_makes_nothing_worse(found, neutral):
    order = [Action.ACCEPT, Action.GREYLIST, Action.DEFER, Action.REJECT]
    before, after = decide(attempt(), found, RULES), decide(attempt(), [*found, neutral], RULES)
    assert order.index(after.action) <= order.index(before.action)
