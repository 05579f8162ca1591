"""The check spf: what its results do, what it says of them in SMTP, and the header on mail that passes."""

import email
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import CLIENT6, SERVFAIL, TIMEOUT, World, asked, attempt, codes, dns, judge, judged, mx, txt
from virtualtime import virtual

from resolverd import bounds, config
from resolverd.failures import ConfigError
from resolverd.mail.findings import Action, Consequence, GreylistOutcome
from resolverd.policy.checks import PRESETS, build, rules_for
from resolverd.policy.checks.spf import Spf, SpfOptions
from resolverd.policy.verdict import VerdictRules, decide, drop_tempfails
from resolverd.spf import Identity, Result, SpfOutcome, SpfSubject, authentication_results, authorised, received_spf
from tests.unit.policy.test_service import GOOD, Internet, Setup

BASE = Path("/etc/resolverd")
JOE = "joe@example.com"
HELO = "mail.example.net"
TXT, HELO_TXT = "example.com TXT", "mail.example.net TXT"
FAULTY = "Message rejected (the SPF record of example.com is faulty)"
LATER = "450 4.7.24 Message deferred (the SPF record of example.com could not be looked up)"
REFUSED = "550 5.7.23 Message rejected (SPF fail - 192.0.2.7 is not allowed to send for example.com)"


def spf(preset="tutorial", *, rules=None, **options):
    return Spf(rules or PRESETS[preset]["spf"], SpfOptions(**options), "mx.example.org")


def world(records):
    return World({name: txt(reply) if isinstance(reply, str) else reply for name, reply in records.items()})


# what is there, the sender's finding, what it does in preset tutorial and in preset scored
RESULTS = [
    ({}, "spf_none", None, None),
    ({TXT: "v=spf1 ip4:192.0.2.7 -all"}, "spf_pass", None, None),
    ({TXT: "v=spf1 +all"}, "spf_worthless", None, None),
    ({TXT: "v=spf1 ip4:0.0.0.0/0 -all"}, "spf_worthless", None, None),
    ({TXT: "v=spf1 mx -all"}, "spf_fail", Consequence.REJECT, Consequence.SCORE),
    ({TXT: "v=spf1 -all"}, "spf_fail", Consequence.REJECT, Consequence.REJECT),
    ({TXT: "v=spf1 ~all"}, "spf_softfail", None, None),
    ({TXT: "v=spf1 ?all"}, "spf_neutral", None, None),
    ({TXT: "v=spf1 moo"}, "spf_permerror", None, None),
    ({TXT: SERVFAIL}, "spf_temperror", None, None),
    ({TXT: TIMEOUT}, "spf_temperror", None, None),
]


@pytest.mark.parametrize(("records", "code", "tutorial", "scored"), RESULTS)
def test_results(records, code, tutorial, scored):
    for preset, consequence in (("tutorial", tutorial), ("scored", scored)):
        (finding,) = judged(spf(preset), attempt(sender=JOE), world(records))
        assert (finding.code, finding.consequence) == (code, consequence)
        assert (str(finding.reply) if finding.reply else None) == (REFUSED if consequence else None)
        assert finding.score == (3 if consequence else 0)


@pytest.mark.parametrize("sender", ["", "joe", "joe@"])
def test_without_a_domain_there_is_nothing_to_check(sender):
    (finding,) = judged(spf(), attempt(sender=sender), world({}))
    assert finding.code == "spf_skipped"
    assert judged(spf(), attempt(sender=JOE, client_address=None), world({}))[0].code == "spf_skipped"


# -- the HELO identity


def test_the_null_sender_is_the_helo_names_postmaster():
    records = {HELO_TXT: "v=spf1 exists:%{l}.%{o}.%{d}.x -all exp=why.example.net", "why.example.net TXT": "sent by %{s}"}
    for helo in (True, False):
        subject = attempt(helo_name=HELO)
        (finding,) = judged(spf(helo=helo), subject, world(records))
        assert finding.code == "spf_fail"
        assert str(finding.reply) == (
            "550 5.7.23 Message rejected (SPF fail - 192.0.2.7 is not allowed to send as mail.example.net)"
            "; mail.example.net explains: sent by postmaster@mail.example.net"
        )
        assert "identity=helo" in finding.header.line(subject)


def test_the_helo_name_is_checked_as_well():
    records = {TXT: "v=spf1 +ip4:192.0.2.7", HELO_TXT: "v=spf1 a -all"}
    findings = judged(spf(), attempt(sender=JOE, helo_name=HELO), world(records))
    assert codes(findings) == ["spf_pass", "spf_helo_fail"]
    assert [bool(finding.header) for finding in findings] == [True, False]
    assert findings[1].consequence is Consequence.REJECT
    assert codes(judged(spf(helo=False), attempt(sender=JOE, helo_name=HELO), world(records))) == ["spf_pass"]


@pytest.mark.parametrize("helo", ["", "localhost", "[192.0.2.7]", "192.0.2.7", "no name", "mail.example.net"])
def test_a_helo_name_without_record_is_not_talked_of(helo):
    assert codes(judged(spf(), attempt(sender=JOE, helo_name=helo), world({}))) == ["spf_none"]


def test_both_identities_together_count_once():
    records = {TXT: "v=spf1 mx -all", "mail.example.com TXT": "v=spf1 mx -all"}
    findings = judged(spf("scored"), attempt(sender=JOE, helo_name="mail.example.com"), world(records))
    assert [(finding.code, finding.score) for finding in findings] == [("spf_fail", 3), ("spf_helo_fail", 0)]


def test_before_mail_from_the_helo_name_is_all_there_is():
    subject = attempt(helo_name=HELO, has_sender=False)
    findings = judged(spf(), subject, world({HELO_TXT: "v=spf1 -all"}))
    assert codes(findings) == ["spf_helo_fail"]
    assert "identity=helo" in findings[0].header.line(subject)


# -- options


@pytest.mark.parametrize(
    ("options", "records", "reply"),
    [
        ({"permerror": Consequence.REJECT}, {TXT: "v=spf1 moo"}, f"550 5.7.24 {FAULTY}"),
        ({"permerror": Consequence.DEFER}, {TXT: "v=spf1 moo"}, f"450 4.7.24 {FAULTY}"),
        ({"permerror": Consequence.WARN}, {TXT: "v=spf1 moo"}, None),
        ({"temperror": Consequence.DEFER}, {TXT: SERVFAIL}, LATER),
        ({"temperror": Consequence.WARN}, {TXT: SERVFAIL}, None),
        ({"temperror": Consequence.REJECT}, {TXT: SERVFAIL}, LATER),
        ({"never_sends": Consequence.WARN}, {TXT: "v=spf1 -all"}, None),
        ({"never_sends": Consequence.WARN}, {TXT: "v=spf1 a -all"}, REFUSED),
    ],
)
def test_consequences(options, records, reply):
    (finding,) = judged(spf(**options), attempt(sender=JOE), world(records))
    assert (str(finding.reply) if finding.reply else None) == reply


def test_a_tempfail_is_dropped_while_the_internet_is_out_of_reach():
    (finding,) = drop_tempfails(judged(spf(temperror="defer"), attempt(sender=JOE), world({TXT: TIMEOUT})))
    assert (finding.consequence, finding.reply) == (None, None)


@pytest.mark.parametrize(
    ("action", "code", "reply"), [("defer", None, "450 4.7.23"), ("reject", 554, "554 5.7.23"), ("reject", 450, "450 4.7.23")]
)
def test_action_and_code(action, code, reply):
    check = spf(rules=rules_for("tutorial", "spf", action=action, code=code))
    (finding,) = judged(check, attempt(sender=JOE), world({TXT: "v=spf1 -all"}))
    assert str(finding.reply).startswith(f"{reply} Message rejected (SPF fail")


def test_skipped_addresses_are_asked_nothing():
    check = spf(skip_addresses=(ip_network("192.0.2.0/24"),))
    assert asked(check, attempt(sender=JOE), world({})) == {}
    assert codes(judged(check, attempt(sender=JOE), world({}))) == ["spf_skipped"]


FORWARDER = {TXT: "v=spf1 mx -all", "forwards.example TXT": "v=spf1 ip4:192.0.2.7 -all"}


@pytest.mark.parametrize(
    ("records", "code"),
    [
        (FORWARDER, "spf_allowed"),
        (FORWARDER | {"other.example TXT": SERVFAIL}, "spf_allowed"),
        (FORWARDER | {"forwards.example TXT": "v=spf1 -all"}, "spf_fail"),
        (FORWARDER | {"forwards.example TXT": "v=spf1 +all"}, "spf_fail"),
        (FORWARDER | {"forwards.example TXT": "v=spf1 moo"}, "spf_fail"),
        (FORWARDER | {"forwards.example TXT": SERVFAIL}, "spf_temperror"),
        (FORWARDER | {TXT: "v=spf1 ~all"}, "spf_softfail"),
    ],
)
def test_forwarders_may_send_for_all(records, code):
    check = spf(domain_allow=("other.example", "forwards.example"))
    (finding,) = judged(check, attempt(sender=JOE), world(records))
    assert finding.code == code
    assert (finding.consequence is Consequence.REJECT) is (code == "spf_fail")


def test_forwarders_are_looked_up_only_at_a_fail():
    check = spf(domain_allow=("forwards.example",))
    assert list(asked(check, attempt(sender=JOE), world({TXT: "v=spf1 ?all"}))) == [dns(TXT)]


def test_a_fail_is_not_certain_while_a_forwarder_is_open():
    """The verdict is foreseen from what is known so far: it must not become milder later."""
    check = spf(domain_allow=("forwards.example",))
    replies = {question: world(FORWARDER).reply(question) for question in map(dns, (TXT, "example.com MX"))}
    assert codes(judge(check, attempt(sender=JOE), replies)) == ["spf_temperror"]


def test_a_name_that_lets_the_client_send():
    replies = {dns(TXT): txt("v=spf1 ip4:192.0.2.7 -all"), dns(HELO_TXT): txt("v=spf1 +all")}
    assert authorised(attempt(sender=JOE, helo_name=HELO), replies) == "example.com"
    assert authorised(attempt(sender="", helo_name=HELO), replies) == ""
    assert authorised(attempt(sender=JOE), {}) == ""
    assert authorised(attempt(sender=JOE, client_address=None), replies) == ""


def test_the_manuals_options_are_the_defaults():
    options = config.parse("", BASE).checks.options()["spf"]
    networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert options == SpfOptions(skip_addresses=networks)


def test_options_arrive():
    text = """
        [checks.spf]
        action = "defer"
        helo = false
        permerror = "reject"
        temperror = "defer"
        never_sends = "score"
        header = "none"
        skip_addresses = ["192.0.2.0/24"]
        domain_allow = ["Forwards.example."]
        """
    settings = config.parse(text, BASE)
    assert settings.checks.options()["spf"] == SpfOptions(
        helo=False,
        permerror=Consequence.REJECT,
        temperror=Consequence.DEFER,
        never_sends=Consequence.SCORE,
        header="none",
        skip_addresses=(ip_network("192.0.2.0/24"),),
        domain_allow=("forwards.example",),
    )
    assert config.parse(config.render(settings), BASE) == settings


@pytest.mark.parametrize("line", ["temperror = 'reject'", "header = 'both'", "domain_allow = ['a b']", "skip_addresses = ['x']"])
def test_faulty_options_are_refused(line):
    with pytest.raises(ConfigError, match=line.partition(" ")[0]):
        config.parse(f"[checks.spf]\n{line}", BASE)


def test_too_many_forwarders_are_refused():
    many = [f"{number}.example" for number in range(11)]
    with pytest.raises(ConfigError, match="domain_allow"):
        config.parse(f"[checks.spf]\ndomain_allow = {many}", BASE)


# -- what strangers write


styles = st.sampled_from(["received-spf", "authentication-results"])


@given(st.text(max_size=300), st.text(max_size=80), st.text(max_size=80), styles)
def test_nothing_from_outside_breaks_out_of_reply_or_header(explanation, local, helo, header):
    sender = f"{local}@example.com"
    records = {TXT: "v=spf1 -all exp=why.example.com", "why.example.com TXT": txt(explanation.encode().decode("latin-1"))}
    subject = attempt(sender=sender, helo_name=helo)
    finding = judged(spf(header=header), subject, world(records))[0]
    field = finding.header.line(subject)
    for text in (finding.reply.text, field):
        assert text.isascii()
        assert text.isprintable()
    assert len(field) <= bounds.HEADER_OCTETS
    name, _, value = field.partition(": ")
    assert email.message_from_string(f"{field}\n\n").items() == [(name, value)]


def test_words_of_the_domain_are_marked_as_its_own_and_made_harmless():
    records = {TXT: "v=spf1 -all exp=why.example.com", "why.example.com TXT": "go away; ref 123%_%%"}
    (finding,) = judged(spf(), attempt(sender=JOE), world(records))
    assert str(finding.reply) == f"{REFUSED}; example.com explains: go away; ref 123 %"


# -- headers

SUBJECT = SpfSubject(attempt().client_address, "example.com", JOE, HELO, "mx.example.org")
HEADERS = [
    (
        received_spf(Identity.MAILFROM, SUBJECT, SpfOutcome(Result.PASS, "example.com", "ip4:192.0.2.0/24")),
        "Received-SPF: pass (mx.example.org: domain of joe@example.com designates 192.0.2.7 as permitted sender)"
        ' client-ip=192.0.2.7; envelope-from="joe@example.com"; identity=mailfrom; receiver=mx.example.org;'
        ' helo=mail.example.net; mechanism="ip4:192.0.2.0/24";',
    ),
    (
        received_spf(Identity.HELO, SUBJECT, SpfOutcome(Result.PERMERROR, "example.com", problem='a "moo": no such mechanism')),
        "Received-SPF: permerror (mx.example.org: record of domain of mail.example.net is faulty)"
        " client-ip=192.0.2.7; identity=helo; receiver=mx.example.org;"
        r' helo=mail.example.net; problem="a \"moo\": no such mechanism";',
    ),
    (
        received_spf(
            Identity.MAILFROM,
            SUBJECT._replace(sender='a;b=c (x)\\"@example.com', address=attempt(client_address=CLIENT6).client_address),
            SpfOutcome(Result.NONE, "example.com"),
        ),
        r'Received-SPF: none (mx.example.org: domain of a;b=c \(x\)\\"@example.com has no record)'
        r' client-ip="2001:db8::7"; envelope-from="a;b=c (x)\\\"@example.com"; identity=mailfrom; receiver=mx.example.org;'
        " helo=mail.example.net;",
    ),
    (
        authentication_results(Identity.MAILFROM, SUBJECT, SpfOutcome(Result.SOFTFAIL, "example.com", "~all")),
        "Authentication-Results: mx.example.org; spf=softfail (mx.example.org: domain of joe@example.com does not quite designate"
        " 192.0.2.7 as permitted sender) smtp.mailfrom=example.com",
    ),
    (
        authentication_results(Identity.HELO, SUBJECT, SpfOutcome(Result.PASS, "example.com", "+all", worthless=True)),
        "Authentication-Results: mx.example.org; spf=pass (mx.example.org: domain of mail.example.net designates anybody, and"
        " 192.0.2.7 with them) smtp.helo=mail.example.net",
    ),
]


@pytest.mark.parametrize(("header", "text"), HEADERS)
def test_headers(header, text):
    assert header == text


def test_a_pair_that_does_not_fit_is_left_out_whole():
    subject = SUBJECT._replace(sender=f"{'(' * 300}@example.com", helo="h" * 250, receiver="r" * 250)
    header = received_spf(Identity.MAILFROM, subject, SpfOutcome(Result.PASS, "example.com", "m" * 99))
    assert len(header) <= bounds.HEADER_OCTETS
    assert header.endswith(";")
    assert "identity=mailfrom;" in header


# -- on delivered mail

PASSING = {**GOOD, TXT: txt("v=spf1 ip4:192.0.2.7 -all")}


def spf_setup(records=PASSING, greylist=None, preset="tutorial", **rules):
    checks = partial(build, PRESETS[preset], options={"spf": SpfOptions()}, hostname="mx.example.org")
    return Setup(Internet(records), greylist, checks=checks, **rules)


@virtual
async def test_received_spf_comes_first_and_once_a_message():
    setup = spf_setup(greylist=GreylistOutcome("passed", delayed=421))
    assert (await setup.verdict()).header.startswith("Received-SPF: pass (mx.example.org: ")
    assert (await setup.verdict(recipient="bob@example.org")).header.startswith("X-Greylist: ")
    assert (await setup.verdict(recipient="cyd@example.org")).header == ""
    assert (await setup.verdict(protocol_state="DATA", recipient="")).header == ""
    assert (await setup.verdict(instance="another")).header.startswith("Received-SPF: pass")


@virtual
async def test_with_one_recipient_the_second_header_comes_at_data():
    setup = spf_setup(greylist=GreylistOutcome("passed", delayed=421))
    assert (await setup.verdict()).header.startswith("Received-SPF: ")
    assert (await setup.verdict(protocol_state="DATA")).header.startswith("X-Greylist: ")


@virtual
async def test_mail_that_is_refused_or_greylisted_has_no_header():
    assert (await spf_setup({**GOOD, TXT: txt("v=spf1 -all")}).verdict()).header == ""
    assert (await spf_setup(greylist=GreylistOutcome("new")).verdict()).header == ""


@virtual
async def test_a_fail_refuses():
    fails = {TXT: txt("v=spf1 mx:x.test -all exp=why.x.test"), "why.x.test TXT": txt("see x.test")}
    verdict = await spf_setup({**GOOD, **fails}).verdict()
    assert str(verdict.reply) == f"{REFUSED}; example.com explains: see x.test; ref REF1"
    assert verdict.action is Action.REJECT


@virtual
async def test_preset_scored_refuses_only_for_domains_that_send_no_mail():
    fails = {**GOOD, TXT: txt("v=spf1 mx:x.test -all"), "mail.example.com TXT": txt("v=spf1 mx:x.test -all")}
    verdict = await spf_setup(fails, preset="scored").verdict()
    assert (verdict.action, verdict.score) == (Action.ACCEPT, 3)
    assert verdict.header.startswith("Received-SPF: fail")
    assert (await spf_setup({**fails, TXT: txt("v=spf1 -all")}, preset="scored").verdict()).action is Action.REJECT


@virtual
async def test_a_record_that_nobody_serves_costs_the_deadline_and_no_mail():
    internet = Internet(GOOD, silent=[TXT])
    setup = Setup(internet, checks=partial(build, PRESETS["tutorial"], options={"spf": SpfOptions()}))
    verdict = await setup.verdict()
    assert (verdict.action, verdict.partial, verdict.ms) == (Action.ACCEPT, True, 4000)
    assert verdict.header.startswith("Received-SPF: temperror")


@virtual
async def test_includes_take_one_round_trip_together():
    records = {TXT: txt("v=spf1 include:a.test include:b.test include:c.test mx -all"), "example.com MX": mx("mail.example.com")}
    records |= {f"{name}.test TXT": txt("v=spf1 ip4:198.51.100.1 -all") for name in "abc"}
    verdict = await spf_setup({**GOOD, **records}).verdict()
    assert "spf_pass" in codes(verdict.findings)
    assert verdict.ms == 200


@virtual
async def test_what_was_read_is_evidence():
    verdict = await spf_setup().verdict()
    finding = next(finding for finding in verdict.findings if finding.check == "spf")
    (piece,) = finding.evidence
    assert (piece.asked, piece.answered, *piece[2:]) == ("example.com TXT", '"v=spf1 ip4:192.0.2.7 -all"', None, 100)


@pytest.mark.parametrize("trouble", [TIMEOUT, SERVFAIL])
def test_what_is_not_known_refuses_nobody(trouble):
    findings = judged(spf(), attempt(sender=JOE, helo_name=HELO), world({TXT: trouble, HELO_TXT: trouble}))
    assert codes(findings) == ["spf_temperror", "spf_helo_temperror"]
    assert decide(attempt(), findings, VerdictRules()).action is Action.ACCEPT
