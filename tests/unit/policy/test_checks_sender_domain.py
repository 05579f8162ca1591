"""sender_domain against smtpd's reject_unknown_sender_domain."""

import pytest
from mailcases import NODATA, NX, REFUSED, SERVFAIL, TIMEOUT, World, a, asked, attempt, dns, judged, mx

from resolverd.mail.findings import Consequence
from resolverd.mail.lookups import Records
from resolverd.policy.check import CheckRules
from resolverd.policy.checks.sender_domain import SenderDomain

NOT_FOUND = "450 4.1.8 Sender address rejected (Domain not found)"
LATER = "450 4.1.8 Message deferred (the sender's domain could not be looked up)"
MALFORMED = "450 4.1.8 Sender address rejected (Malformed DNS server reply)"
NULL_MX = "550 5.7.27 Sender address rejected (domain does not accept mail, null MX)"

MX, A, AAAA = "example.com MX", "example.com A", "example.com AAAA"
JOE = "joe@example.com"

CASES = [
    # -- nothing to look up
    ("", {}, "skipped", None),
    ("joe", {}, "skipped", None),
    ("joe@", {}, "skipped", None),
    ("joe@[192.0.2.1]", {}, "skipped", None),
    ("joe@[IPv6:2001:db8::1]", {}, "skipped", None),
    # -- any of MX, A, AAAA
    (JOE, {MX: mx("mx.example.com")}, "ok", None),
    ("Joe@EXAMPLE.com", {MX: mx("mx.example.com")}, "ok", None),
    ("joe@example.com.", {MX: mx("mx.example.com")}, "ok", None),
    ("a@b@example.com", {MX: mx("mx.example.com")}, "ok", None),
    ("joe@b\u00fccher.example", {"xn--bcher-kva.example MX": mx("mx.example.com")}, "ok", None),
    (JOE, {MX: NODATA, A: a("192.0.2.1")}, "ok", None),
    (JOE, {MX: NODATA, A: NODATA, AAAA: a("2001:db8::1")}, "ok", None),
    (JOE, {MX: SERVFAIL, A: a("192.0.2.1")}, "ok", None),
    (JOE, {MX: NODATA, A: TIMEOUT, AAAA: a("2001:db8::1")}, "ok", None),
    (JOE, {MX: mx("bad!name", "mx.example.com")}, "ok", None),
    (JOE, {MX: mx("192.0.2.1")}, "ok", None),
    # -- nothing there
    (JOE, {MX: NX, A: NX, AAAA: NX}, "not_found", NOT_FOUND),
    (JOE, {MX: NODATA, A: NODATA, AAAA: NODATA}, "not_found", NOT_FOUND),
    ("joe@localhost", {}, "not_found", NOT_FOUND),
    ("joe@no such domain", {}, "not_found", NOT_FOUND),
    ("joe@192.0.2.1", {}, "not_found", NOT_FOUND),
    ("joe@" + "x" * 64 + ".example", {}, "not_found", NOT_FOUND),
    ("joe@" + "\u00fc" * 70 + ".example", {}, "not_found", NOT_FOUND),
    # -- RFC 7505
    (JOE, {MX: mx(".")}, "null_mx", NULL_MX),
    (JOE, {MX: mx("."), A: a("192.0.2.1")}, "null_mx", NULL_MX),
    (JOE, {MX: mx("mx.example.com", ".")}, "null_mx", NULL_MX),
    # -- records that help nobody
    (JOE, {MX: mx("bad!name"), A: a("192.0.2.1")}, "malformed", MALFORMED),
    (JOE, {MX: Records((b"\0\x0a\x07trunc",), 60)}, "malformed", MALFORMED),
    (JOE, {MX: Records((b"\0",), 60)}, "malformed", MALFORMED),
    # -- doubt
    (JOE, {MX: TIMEOUT}, "unknown", LATER),
    (JOE, {MX: TIMEOUT, A: TIMEOUT, AAAA: TIMEOUT}, "unknown", LATER),
    (JOE, {MX: NODATA, A: SERVFAIL, AAAA: NODATA}, "unknown", LATER),
    (JOE, {MX: NODATA, A: NODATA, AAAA: REFUSED}, "unknown", LATER),
]  # fmt: skip


@pytest.mark.parametrize(("sender", "world", "code", "reply"), CASES)
def test_sender_domain(sender, world, code, reply):
    (finding,) = judged(SenderDomain(CheckRules()), attempt(sender=sender), World(world))
    assert finding.code == f"sender_domain_{code}"
    assert (str(finding.reply) if finding.reply else None) == reply
    assert finding.consequence == (None if reply is None else Consequence.DEFER if code == "unknown" else Consequence.REJECT)


def test_before_mail_from_there_is_nothing_to_judge():
    (finding,) = judged(SenderDomain(CheckRules()), attempt(sender=JOE, has_sender=False), World())
    assert finding.code == "sender_domain_skipped"


def test_a_domain_with_mail_servers_is_not_asked_for_addresses():
    assert list(asked(SenderDomain(CheckRules()), attempt(sender=JOE), World({MX: mx("mx.example.com")}))) == [dns(MX)]
