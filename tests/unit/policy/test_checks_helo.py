"""helo against smtpd's reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname."""

import pytest
from mailcases import NODATA, NX, REFUSED, SERVFAIL, TIMEOUT, World, a, asked, asks, attempt, dns, judged, mx

from resolverd.mail.findings import Consequence
from resolverd.policy.check import CheckRules
from resolverd.policy.checks.helo import Helo

INVALID = "501 5.5.2 Helo command rejected (Invalid name)"
LITERAL = "501 5.5.2 Helo command rejected (invalid ip address)"
FQDN = "504 5.5.2 Helo command rejected (need fully-qualified hostname)"
NOT_FOUND = "450 4.7.1 Helo command rejected (Host not found)"
LATER = "450 4.7.1 Message deferred (the HELO name could not be looked up)"

HOST = "mail.example.com"
HA, HAAAA, HMX = f"{HOST} A", f"{HOST} AAAA", f"{HOST} MX"

CASES = [
    ("", {}, "helo_skipped", None),
    # -- syntax
    ("bad name.example", {}, "helo_invalid", INVALID),
    ("-host.example", {}, "helo_invalid", INVALID),
    ("host-.example", {}, "helo_invalid", INVALID),
    ("host..example", {}, "helo_invalid", INVALID),
    (".", {}, "helo_invalid", INVALID),
    ("host.example..", {}, "helo_invalid", INVALID),
    ("h\u00f6st.example", {}, "helo_invalid", INVALID),
    ("host!.example", {}, "helo_invalid", INVALID),
    ("1.2.3", {}, "helo_invalid", INVALID),
    ("12345", {}, "helo_invalid", INVALID),
    ("0.1.2.3", {}, "helo_invalid", INVALID),
    ("IPv6:2001:db8::1", {}, "helo_invalid", INVALID),
    ("x" * 64 + ".example", {}, "helo_invalid", INVALID),
    ("a." * 127 + "bc", {}, "helo_invalid", INVALID),
    # -- fully qualified
    ("localhost", {}, "helo_not_fqdn", FQDN),
    ("ylmf-pc", {}, "helo_not_fqdn", FQDN),
    ("WIN-ABCDEF", {}, "helo_not_fqdn", FQDN),
    ("localhost.", {}, "helo_not_fqdn", FQDN),
    ("192.0.2.7", {}, "helo_not_fqdn", FQDN),
    ("2001:db8::7", {}, "helo_not_fqdn", FQDN),
    # -- literals
    ("[192.0.2.7]", {}, "helo_literal", None),
    ("[IPv6:2001:db8::7]", {}, "helo_literal", None),
    ("[ipv6:::1]", {}, "helo_literal", None),
    ("[2001:db8::7]", {}, "helo_invalid", LITERAL),
    ("[192.0.2.256]", {}, "helo_invalid", LITERAL),
    ("[192.0.2.7", {}, "helo_invalid", LITERAL),
    ("[]", {}, "helo_invalid", LITERAL),
    ("[mail.example.com]", {}, "helo_invalid", LITERAL),
    # -- existence: any of A, AAAA, MX
    (HOST, {HA: a("192.0.2.7")}, "helo_ok", None),
    ("MAIL.Example.com", {HA: a("192.0.2.7")}, "helo_ok", None),
    (HOST, {HA: NODATA, HAAAA: a("2001:db8::7")}, "helo_ok", None),
    (HOST, {HA: NODATA, HAAAA: NODATA, HMX: mx("mx.example.com")}, "helo_ok", None),
    (HOST, {HA: NODATA, HAAAA: NODATA, HMX: mx(".")}, "helo_ok", None),
    (HOST, {HA: TIMEOUT, HAAAA: a("2001:db8::7")}, "helo_ok", None),
    (HOST, {HA: SERVFAIL, HAAAA: NODATA, HMX: mx("mx.example.com")}, "helo_ok", None),
    ("a_b.example.com", {"a_b.example.com A": a("192.0.2.7")}, "helo_ok", None),
    ("1-2.3-4", {"1-2.3-4 A": a("192.0.2.7")}, "helo_ok", None),
    (HOST, {HA: NX, HAAAA: NX, HMX: NX}, "helo_not_found", NOT_FOUND),
    (HOST, {HA: NODATA, HAAAA: NODATA, HMX: NODATA}, "helo_not_found", NOT_FOUND),
    ("ip-172-30-0-149.ec2.internal", {}, "helo_not_found", NOT_FOUND),
    ("mail.example.com.", {HA: a("192.0.2.7")}, "helo_not_found", NOT_FOUND),
    # -- doubt
    (HOST, {HA: TIMEOUT, HAAAA: NODATA, HMX: NODATA}, "helo_unknown", LATER),
    (HOST, {HA: NODATA, HAAAA: SERVFAIL, HMX: NODATA}, "helo_unknown", LATER),
    (HOST, {HA: NODATA, HAAAA: NODATA, HMX: TIMEOUT}, "helo_unknown", LATER),
    (HOST, {HA: REFUSED, HAAAA: REFUSED, HMX: REFUSED}, "helo_unknown", LATER),
]  # fmt: skip


@pytest.mark.parametrize(("helo", "world", "code", "reply"), CASES)
def test_helo(helo, world, code, reply):
    (finding,) = judged(Helo(CheckRules()), attempt(helo_name=helo), World(world))
    assert finding.code == code
    assert (str(finding.reply) if finding.reply else None) == reply
    expected = None if reply is None else Consequence.DEFER if code == "helo_unknown" else Consequence.REJECT
    assert finding.consequence == expected


def test_a_name_with_an_address_is_not_asked_for_mail_servers():
    replies = asked(Helo(CheckRules()), attempt(helo_name=HOST), World({HA: a("192.0.2.7")}))
    assert dns(HMX) not in replies


def test_once_an_address_is_there_the_other_family_is_not_waited_for():
    assert not asks(Helo(CheckRules()), attempt(helo_name=HOST), {dns(HAAAA): a("2001:db8::7")})


def test_the_code_can_be_configured_for_definite_findings_only():
    rules = CheckRules(code=550)
    (gone,) = judged(Helo(rules), attempt(helo_name=HOST), World())
    (late,) = judged(Helo(rules), attempt(helo_name=HOST), World({HA: TIMEOUT}))
    assert str(gone.reply) == "550 5.7.1 Helo command rejected (Host not found)"
    assert str(late.reply) == LATER


@pytest.mark.parametrize("action", ["tag", "warn"])
def test_tagging_and_warning_weigh_nothing_and_refuse_nothing(action):
    (finding,) = judged(Helo(CheckRules(Consequence(action), score=2)), attempt(helo_name="x"), World())
    assert (finding.score, finding.reply, finding.consequence) == (0, None, Consequence(action))


def test_deferring_makes_every_code_temporary():
    (finding,) = judged(Helo(CheckRules(Consequence.DEFER)), attempt(helo_name="x"), World())
    assert str(finding.reply) == "450 4.5.2 Helo command rejected (need fully-qualified hostname)"


@pytest.mark.parametrize("code", [200, 399, 600])
def test_a_code_that_is_no_refusal_is_not_taken(code):
    with pytest.raises(ValueError, match=str(code)):
        CheckRules(code=code)
