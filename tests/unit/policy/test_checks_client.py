"""ptr and fcrdns against smtpd's reject_unknown_reverse_client_hostname and reject_unknown_client_hostname."""

import pytest
from mailcases import (
    CLIENT6,
    NODATA,
    NX,
    REFUSED,
    REVERSE,
    REVERSE6,
    SERVFAIL,
    TIMEOUT,
    World,
    a,
    asked,
    asks,
    attempt,
    dns,
    judged,
    ptr,
)

from resolverd.mail.findings import Consequence
from resolverd.mail.lookups import Records
from resolverd.policy.check import CheckRules
from resolverd.policy.checks.fcrdns import Fcrdns
from resolverd.policy.checks.ptr import Ptr

PTR, A, AAAA = f"{REVERSE} PTR", "mail.example.com A", "mail.example.com AAAA"
NAMED = {PTR: ptr("Mail.Example.COM")}

# told by the mail server, world, code of ptr, code of fcrdns
CASES = [
    # -- looked up here
    ({}, {**NAMED, A: a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({}, {**NAMED, A: a("192.0.2.8", "192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({}, {**NAMED, A: a("192.0.2.8")}, "ptr_ok", "fcrdns_mismatch"),
    ({}, {**NAMED, A: NX}, "ptr_ok", "fcrdns_mismatch"),
    ({}, {**NAMED, A: NODATA, AAAA: a(CLIENT6)}, "ptr_ok", "fcrdns_mismatch"),
    ({}, {**NAMED, A: TIMEOUT}, "ptr_ok", "fcrdns_unknown"),
    ({}, {**NAMED, A: SERVFAIL}, "ptr_ok", "fcrdns_unknown"),
    ({}, {**NAMED, A: REFUSED}, "ptr_ok", "fcrdns_unknown"),
    ({}, {PTR: NX}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: NODATA}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: TIMEOUT}, "ptr_unknown", "fcrdns_unknown"),
    ({}, {PTR: SERVFAIL}, "ptr_unknown", "fcrdns_unknown"),
    ({}, {PTR: REFUSED}, "ptr_unknown", "fcrdns_unknown"),
    ({}, {PTR: ptr("192.0.2.7")}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: ptr("bad!name.example.com")}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: ptr("-.example.com")}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: ptr(".")}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: Records((b"\x07trunc",), 300)}, "ptr_missing", "fcrdns_missing"),
    ({}, {PTR: ptr("a_b.example.com"), "a_b.example.com A": a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({}, {PTR: ptr("localhost"), "localhost A": a("127.0.0.1")}, "ptr_ok", "fcrdns_mismatch"),
    # -- several names: any may confirm, and doubt about one is doubt about all
    ({}, {PTR: ptr("x.example", "mail.example.com"), A: a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({}, {PTR: ptr("x.example", "mail.example.com"), "x.example A": TIMEOUT, A: a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({}, {PTR: ptr("x.example", "mail.example.com"), "x.example A": TIMEOUT, A: a("192.0.2.9")}, "ptr_ok", "fcrdns_unknown"),
    ({}, {PTR: ptr("x.example", "bad!name"), "x.example A": a("192.0.2.9")}, "ptr_ok", "fcrdns_mismatch"),
    # -- told by the mail server; ``unknown`` proves nothing and is looked up
    ({"client_name": "mail.example.com"}, {PTR: TIMEOUT}, "ptr_ok", "fcrdns_ok"),
    ({"client_name": "mail.example.com", "reverse_client_name": "mail.example.com"}, {PTR: NX}, "ptr_ok", "fcrdns_ok"),
    ({"client_name": "unknown", "reverse_client_name": "unknown"}, {**NAMED, A: a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({"client_name": "UNKNOWN"}, {PTR: NX}, "ptr_missing", "fcrdns_missing"),
    ({"client_name": "unknown", "reverse_client_name": "mail.example.com"}, {A: a("192.0.2.7")}, "ptr_ok", "fcrdns_ok"),
    ({"client_name": "unknown", "reverse_client_name": "mail.example.com"}, {A: a("192.0.2.1")}, "ptr_ok", "fcrdns_mismatch"),
    ({"client_name": "unknown", "reverse_client_name": "mail.example.com"}, {A: TIMEOUT}, "ptr_ok", "fcrdns_unknown"),
    # -- IPv6
    ({"client_address": CLIENT6}, {f"{REVERSE6} PTR": ptr("mail.example.com"), AAAA: a(CLIENT6)}, "ptr_ok", "fcrdns_ok"),
    ({"client_address": CLIENT6}, {f"{REVERSE6} PTR": ptr("mail.example.com"), AAAA: NODATA}, "ptr_ok", "fcrdns_mismatch"),
    ({"client_address": CLIENT6}, {}, "ptr_missing", "fcrdns_missing"),
    # -- no client at all
    ({"client_address": None}, {}, "ptr_skipped", "fcrdns_skipped"),
]  # fmt: skip

HARMLESS = {"ptr_ok", "ptr_skipped", "fcrdns_ok", "fcrdns_skipped"}
REPLIES = {
    "ptr": "450 4.7.25 Client host rejected (cannot find your reverse hostname)",
    "fcrdns": "450 4.7.25 Client host rejected (cannot find your hostname)",
}
LATER = {
    "ptr": "450 4.7.25 Message deferred (your reverse hostname could not be looked up)",
    "fcrdns": "450 4.7.25 Message deferred (your hostname could not be looked up)",
}


@pytest.mark.parametrize(("told", "world", "ptr_code", "fcrdns_code"), CASES)
def test_client_name(told, world, ptr_code, fcrdns_code):
    for check, code in ((Ptr(CheckRules(score=2)), ptr_code), (Fcrdns(CheckRules(score=2)), fcrdns_code)):
        (finding,) = judged(check, attempt(**told), World(world))
        assert finding.code == code
        if code in HARMLESS:
            assert (finding.consequence, finding.reply, finding.score) == (None, None, 0)
        elif code.endswith("_unknown"):
            assert (finding.consequence, finding.score) == (Consequence.DEFER, 0)
            assert str(finding.reply) == LATER[check.name]
        else:
            assert (finding.consequence, finding.score) == (Consequence.REJECT, 2)
            assert str(finding.reply) == REPLIES[check.name]


def test_names_told_by_the_mail_server_cost_no_question():
    told = attempt(client_name="mail.example.com", reverse_client_name="mail.example.com")
    assert not asked(Ptr(CheckRules()), told, World())
    assert not asked(Fcrdns(CheckRules()), told, World())


def test_only_a_bounded_number_of_names_is_looked_at():
    names = [f"h{i}.example" for i in range(5000)]
    questions = asked(Fcrdns(CheckRules()), attempt(), World({PTR: ptr(*names)}))
    assert len(questions) == 1 + 10


def test_nothing_more_is_wanted_once_a_name_has_led_back():
    check = Fcrdns(CheckRules())
    replies = {dns(PTR): ptr("a.example", "b.example"), dns("b.example A"): a("192.0.2.7")}
    assert set(asks(check, attempt(), replies)) <= set(replies)


def test_evidence_says_what_was_asked_and_what_came_back():
    world = World({PTR: Records(ptr("mail.example.com").rdatas, 300, age=12, ms=7), A: a("192.0.2.9")})
    (finding,) = judged(Fcrdns(CheckRules()), attempt(), world)
    first, second = finding.evidence
    assert (first.asked, first.answered, first.age, first.ms) == (f"{REVERSE} PTR", "mail.example.com", 12, 7)
    assert (second.asked, second.answered) == ("mail.example.com A", "192.0.2.9")
    assert finding.ms == 7
