"""Domains in other letters, as the DNS has them (IDNA 2008), and what becomes of them on the way through a verdict."""

import json
import logging
import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import CLIENT, World, asked, attempt, dns, judged, txt

from resolverd import logs
from resolverd.greylist.allow_files import read_recipients
from resolverd.mail.domains import canonical
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.sanitize import sanitize
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.rules import Override, key_of
from resolverd.policy import checks
from resolverd.policy.check import CheckRules
from resolverd.policy.checks import PRESETS
from resolverd.policy.checks.overrides import OverridesCheck
from resolverd.policy.checks.sender_domain import SenderDomain
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.verdict import Mode, VerdictRules, decide, verdict_header
from resolverd.servers.policy import log_line
from resolverd.wire.alabels import MAX_TEXT, TooLong, a_labels, in_ascii
from resolverd.wire.names import BadName, from_text
from tests.work import LONG_NAMES, ORDINARY_NAME, steps_of

A_LABELS = [
    ("example.com", "example.com"),
    ("b\u00fccher.example", "xn--bcher-kva.example"),
    ("B\u00dcCHER.Example.", "xn--bcher-kva.example."),
    ("stra\u00dfe.example", "xn--strae-oqa.example"),
    ("fa\u00df.de", "xn--fa-hia.de"),
    ("m\u00fcnchen\u3002org", "xn--mnchen-3ya.org"),
    ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
    ("xn--bcher-kva.\u00fc.example", "xn--bcher-kva.xn--tda.example"),
    ("\u2603.net", "xn--n3h.net"),
    ("i\u2764.ws", "xn--i-7iq.ws"),
]


@pytest.mark.parametrize(("text", "expected"), A_LABELS)
def test_a_labels_of_idna_2008(text: str, expected: str) -> None:
    assert a_labels(text) == in_ascii(text) == expected
    assert canonical(text) == expected.removesuffix(".").lower()
    assert from_text(text).lower() == from_text(expected).lower()


def test_sharp_s_is_a_letter_of_its_own() -> None:
    assert canonical("stra\u00dfe.example") != canonical("strasse.example")


MALFORMED = [
    "a\u200db.example", "\u0301a.example", "1\u05d0.com", "\ud800.de", "-\u00fc.de",
    "ab--\u00fc.de", "\u00fc b.de", "\u00fc\n.de",
]  # fmt: skip
LONG = ["\u00fc" * 60 + ".example", "\u00fc" * 300, "\u4e00\u4e8c" * 28 + ".example"]


@pytest.mark.parametrize("text", MALFORMED + LONG)
def test_what_has_no_a_labels_is_no_name_and_no_crash(text: str) -> None:
    with pytest.raises(UnicodeError) as raised:
        a_labels(text)
    assert isinstance(raised.value, TooLong) is (text in LONG)
    assert in_ascii(text) == text
    assert canonical(text) is None
    with pytest.raises(BadName):
        from_text(text)


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_never_held_against_a_sender(text: str) -> None:
    subject = attempt(sender=f"joe@{text}", helo_name="mail.example.com", recipient="a@example.org")
    (finding,) = judged(SenderDomain(CheckRules()), subject, World())
    assert (finding.code, finding.consequence) == ("sender_domain_skipped", None)
    for check in checks.build(PRESETS["tutorial"], ()):
        for finding in judged(check, subject, World()):
            assert finding.code.startswith(("ptr", "fcrdns", "helo")) or finding.consequence is None


@given(st.text(max_size=80))
def test_whatever_strangers_write_gives_ascii_or_unicodeerror(text: str) -> None:
    try:
        found = a_labels(text)
    except UnicodeError:
        return
    assert found.isascii()
    assert text.isascii() or not re.search(r"xn--[^.]*[\x00-\x20][^.]*", found)


@pytest.mark.parametrize("text", LONG_NAMES)
def test_long_text_costs_nothing(text: str) -> None:
    """The work grows with the square of what is let in, so it is bounded before: what is no name costs less than one."""
    in_ascii(ORDINARY_NAME)
    assert steps_of(lambda: in_ascii(text)) < (1 if len(text) > MAX_TEXT else 50) * steps_of(lambda: in_ascii(ORDINARY_NAME))
    if len(text) > MAX_TEXT:
        with pytest.raises(TooLong):
            a_labels(text)


# -- whom rules mean

ANNA = "Anna+news@M\u00fcnchen.org"


def test_rules_for_a_recipient_mean_it_however_its_domain_is_written() -> None:
    for pattern in ("anna@xn--mnchen-3ya.org", "xn--mnchen-3ya.org", "anna@"):
        assert matches_recipient(ANNA, [pattern])
    assert not matches_recipient(ANNA, ["anna@munchen.org", "mnchen.org"])
    for line in ("m\u00fcnchen.org", "xn--mnchen-3ya.org", "anna@M\u00fcnchen.org", "anna@"):
        found, faults = read_recipients(line)
        assert (found.holds(ANNA), faults) == (True, [])
    rules = VerdictRules(exempt_recipients=("anna@xn--mnchen-3ya.org",))
    assert decide(attempt(recipient=ANNA), [], rules).reason == "exempt recipient anna+news@xn--mnchen-3ya.org"
    index = OverrideIndex([Override(key_of("deny", CLIENT, recipient="anna+news@m\u00fcnchen.org"), 0)])
    (finding,) = judged(OverridesCheck(index), attempt(recipient=ANNA), World())
    assert finding.code == "override_deny"


# -- what is told of a SMTPUTF8 sender

JOSE = "jos\u00e9@m\u00fcnchen.org"


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("received-spf", 'envelope-from="jos?@xn--mnchen-3ya.org";'),
        ("authentication-results", "smtp.mailfrom=xn--mnchen-3ya.org"),
    ],
)
def test_headers_have_a_labels(style: str, expected: str) -> None:
    (check,) = checks.build({"spf": CheckRules()}, (), options={"spf": SpfOptions(header=style)}, hostname="mx.example.org")
    world = World({"xn--mnchen-3ya.org TXT": txt("v=spf1 ip4:192.0.2.7 -all")})
    subject = attempt(sender=JOSE, helo_name="mail.example.com")
    assert dns("xn--mnchen-3ya.org TXT") in asked(check, subject, world)
    header = next(finding.header.line(subject) for finding in judged(check, subject, world) if finding.header is not None)
    assert header.isascii()
    assert expected in header
    assert "m?nchen" not in header


def test_a_verdict_names_the_domain_in_a_labels() -> None:
    subject = attempt(sender=JOSE)
    decision = decide(subject, judged(SenderDomain(CheckRules()), subject, World()), VerdictRules(mode=Mode.OBSERVE))
    assert "xn--mnchen-3ya.org" in verdict_header(decision, "REF")
    assert decision.reply is not None
    assert sanitize(decision.reply.text) == decision.reply.text


@pytest.mark.parametrize("form", ["postgrey", "logfmt", "json"])
def test_logs_have_the_sender_as_it_came(form: str) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.LineFormatter(form, "resolverd"))
    logger = logging.Logger("resolverd.test_alabels", logging.INFO)  # noqa: LOG001 (its own, out of the tree)
    logger.addHandler(handler)
    logs.decision(logger, log_line.fields(attempt(sender=JOSE), Verdict("REF", Action.ACCEPT, 0, "")))
    line = stream.getvalue()
    assert JOSE in line if form != "json" else json.loads(line)["sender"] == JOSE
    assert CLIENT in line
