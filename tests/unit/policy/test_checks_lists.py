"""dnsbl, rhsbl and dnswl against smtpd's reject_rbl_client, reject_rhsbl_* and permit_dnswl_client."""

import pytest
from mailcases import CLIENT6, LISTS, REVERSE, UNKNOWNS, World, asked, attempt, clear, codes, judged, listed, ptr

from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Consequence
from resolverd.mail.lookups import ListLookup
from resolverd.policy.check import CheckRules
from resolverd.policy.checks.dnsbl import Dnsbl
from resolverd.policy.checks.dnswl import Dnswl
from resolverd.policy.checks.rhsbl import Rhsbl

C = "192.0.2.7"
TROUBLE = Unknown(Why.BLOCKED, "answered its error code")

DNSBL = [
    (C, {}, ["dnsbl_clear"]),
    (C, {("zen", C): listed("zen", 6)}, ["dnsbl_listed", "dnsbl_clear"]),
    (C, {("zen", C): listed("zen", 6), ("psbl", C): listed("psbl")}, ["dnsbl_listed", "dnsbl_listed"]),
    (C, {("zen", C): listed("zen", 6), ("psbl", C): TROUBLE}, ["dnsbl_listed", "dnsbl_unknown"]),
    (C, {("zen", C): TROUBLE, ("psbl", C): TROUBLE}, ["dnsbl_unknown"]),
    (C, {("zen", C): TROUBLE}, ["dnsbl_unknown"]),
    (CLIENT6, {("zen", CLIENT6): listed("zen")}, ["dnsbl_listed", "dnsbl_clear"]),
    (CLIENT6, {("psbl", CLIENT6): listed("psbl")}, ["dnsbl_clear"]),
    (CLIENT6, {("six", CLIENT6): listed("six", 2)}, ["dnsbl_listed", "dnsbl_clear"]),
    (None, {}, ["dnsbl_skipped"]),
    ("10.1.2.3", {("zen", "10.1.2.3"): listed("zen")}, ["dnsbl_skipped"]),
    ("127.0.0.2", {("zen", "127.0.0.2"): listed("zen")}, ["dnsbl_skipped"]),
    ("100.64.1.1", {}, ["dnsbl_skipped"]),
    ("fd00::1", {}, ["dnsbl_skipped"]),
    ("fe80::1", {}, ["dnsbl_skipped"]),
]


@pytest.mark.parametrize(("client", "lists", "expected"), DNSBL)
def test_dnsbl(client, lists, expected):
    assert codes(judged(Dnsbl(CheckRules(), LISTS), attempt(client_address=client), World(lists=lists))) == expected


def test_a_listing_names_address_and_list_and_has_the_lists_weight():
    link = "https://check.example/192.0.2.7"
    world = World(lists={("zen", C): listed("zen", 6, link=link), ("psbl", C): listed("psbl", 3)})
    zen, psbl = judged(Dnsbl(CheckRules(), LISTS), attempt(), world)
    assert str(zen.reply) == "554 5.7.1 Service unavailable (Client host [192.0.2.7] blocked using zen.test)"
    assert str(psbl.reply) == "554 5.7.1 Service unavailable (Client host [192.0.2.7] blocked using psbl.test)"
    assert (zen.score, psbl.score) == (6, 3)
    assert (zen.link, zen.consequence) == (link, Consequence.REJECT)
    assert zen.evidence[0][:2] == ("192.0.2.7 in zen.test", "listed by zen.test, as 127.0.0.2")


def test_the_heaviest_list_comes_first():
    world = World(lists={("zen", C): listed("zen", 1), ("psbl", C): listed("psbl", 5)})
    assert [finding.score for finding in judged(Dnsbl(CheckRules(), LISTS), attempt(), world)] == [5, 1]


@pytest.mark.parametrize("action", ["reject", "defer", "greylist", "score", "tag", "warn"])
@pytest.mark.parametrize("score", [None, 9])
def test_a_listing_of_no_points_does_nothing(action, score):
    rules = CheckRules(Consequence(action), score)
    world = World(lists={("zen", C): listed("zen", 0), ("dbl", "x.com"): listed("dbl", 0), ("psbl", C): listed("psbl", 3)})
    client = attempt(helo_name="x.com", sender="a@x.com")
    for check, code in ((Dnsbl(rules, LISTS), "dnsbl_uncounted"), (Rhsbl(rules, LISTS), "rhsbl_helo_uncounted")):
        (finding,) = [each for each in judged(check, client, world) if each.code == code]
        assert (finding.score, finding.consequence, finding.reply) == (0, None, None)
        assert finding.text.endswith("0 points, so it does not count")
    assert codes(judged(Dnsbl(rules, LISTS), client, world))[0] == "dnsbl_listed", "the other list counts"


def test_only_block_lists_of_the_clients_family_are_asked():
    def lists(client):
        return {question.list_id for question in asked(Dnsbl(CheckRules(), LISTS), attempt(client_address=client), World())}

    assert lists(C) == {"zen", "psbl"}
    assert lists(CLIENT6) == {"zen", "six"}


# helo, sender, reverse name, lists, codes
RHSBL = [
    ("", "", "", {}, ["rhsbl_skipped"]),
    ("mail.example.com", "", "", {}, ["rhsbl_clear"]),
    ("mail.example.com", "", "", {("dbl", "mail.example.com"): listed("dbl")}, ["rhsbl_helo_listed", "rhsbl_clear"]),
    ("MAIL.Example.com.", "", "", {("dbl", "mail.example.com"): listed("dbl")}, ["rhsbl_helo_listed", "rhsbl_clear"]),
    ("", "a@spam.com", "", {("dbl", "spam.com"): listed("dbl")}, ["rhsbl_sender_listed", "rhsbl_clear"]),
    ("", "", "host.spam.com", {("dbl", "host.spam.com"): listed("dbl")}, ["rhsbl_reverse_client_listed", "rhsbl_clear"]),
    ("a.com", "x@b.com", "c.com", {("dbl", name): listed("dbl") for name in ("a.com", "b.com", "c.com")},
     ["rhsbl_helo_listed", "rhsbl_sender_listed", "rhsbl_reverse_client_listed", "rhsbl_clear"]),
    ("a.com", "x@a.com", "", {("dbl", "a.com"): listed("dbl")}, ["rhsbl_helo_listed", "rhsbl_clear"]),
    ("a.com", "", "", {("dbl", "a.com"): listed("dbl"), ("surbl", "a.com"): listed("surbl")},
     ["rhsbl_helo_listed", "rhsbl_helo_listed"]),
    ("a.com", "", "", {("dbl", "a.com"): TROUBLE}, ["rhsbl_unknown"]),
    ("a.com", "", "", {("dbl", "a.com"): TROUBLE, ("surbl", "a.com"): listed("surbl")}, ["rhsbl_helo_listed", "rhsbl_unknown"]),
    ("", "x@b\u00fccher.de", "", {("dbl", "xn--bcher-kva.de"): listed("dbl")}, ["rhsbl_sender_listed", "rhsbl_clear"]),
    # -- what smtpd passes over
    ("[192.0.2.7]", "", "", {}, ["rhsbl_skipped"]),
    ("192.0.2.7", "", "", {("dbl", "192.0.2.7"): listed("dbl")}, ["rhsbl_skipped"]),
    ("bad name.com", "", "", {}, ["rhsbl_skipped"]),
    ("", "a@[192.0.2.7]", "", {}, ["rhsbl_skipped"]),
    ("", "local", "", {}, ["rhsbl_skipped"]),
    # -- what no list of domains can know
    ("localhost", "", "", {}, ["rhsbl_skipped"]),
    ("ip-172-30-0-149.ec2.internal", "", "", {}, ["rhsbl_skipped"]),
    ("co.uk", "", "", {}, ["rhsbl_skipped"]),
]  # fmt: skip


@pytest.mark.parametrize(("helo", "sender", "reverse", "lists", "expected"), RHSBL)
def test_rhsbl(helo, sender, reverse, lists, expected):
    client = attempt(helo_name=helo, sender=sender, reverse_client_name=reverse)
    assert codes(judged(Rhsbl(CheckRules(), LISTS), client, World(lists=lists))) == expected


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (("client",), ["rhsbl_client_listed", "rhsbl_clear"]),
        (("reverse_client",), ["rhsbl_reverse_client_listed", "rhsbl_clear"]),
        (("client", "reverse_client"), ["rhsbl_client_listed", "rhsbl_clear"]),
        (("recipient",), ["rhsbl_recipient_listed", "rhsbl_clear"]),
        (("helo",), ["rhsbl_skipped"]),
    ],
)
def test_rhsbl_asks_about_the_names_that_it_is_told_to(roles, expected):
    client = attempt(client_name="host.spam.com", reverse_client_name="host.spam.com", helo_name="", recipient="a@ours.com")
    world = World(lists={("dbl", "host.spam.com"): listed("dbl"), ("dbl", "ours.com"): listed("dbl")})
    findings = judged(Rhsbl(CheckRules(), LISTS, roles), client, world)
    assert codes(findings) == expected
    if "listed" in expected[0]:
        subject = {"client": "Client host [host.spam.com]", "recipient": "Recipient address [ours.com]",
                   "reverse_client": "Unverified Client host [host.spam.com]"}[roles[0]]  # fmt: skip
        assert str(findings[0].reply) == f"554 5.7.1 Service unavailable ({subject} blocked using dbl.test)"


def test_rhsbl_takes_no_name_of_a_client_that_does_not_lead_back():
    client = attempt(client_name="unknown", reverse_client_name="", helo_name="")
    world = World({f"{REVERSE} PTR": ptr("host.spam.com")}, {("dbl", "host.spam.com"): listed("dbl")})
    assert codes(judged(Rhsbl(CheckRules(), LISTS, ("client",)), client, world)) == ["rhsbl_skipped"]


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("helo_name", "Helo command [x.com]"),
        ("sender", "Sender address [x.com]"),
        ("reverse_client_name", "Unverified Client host [x.com]"),
    ],
)
def test_each_role_is_named_as_postfix_names_it(role, text):
    value = "joe@x.com" if role == "sender" else "x.com"
    finding = judged(Rhsbl(CheckRules(), LISTS), attempt(**{role: value}), World(lists={("dbl", "x.com"): listed("dbl")}))[0]
    assert str(finding.reply) == f"554 5.7.1 Service unavailable ({text} blocked using dbl.test)"


def test_a_list_counts_once_for_names_of_one_registered_domain():
    world = World(lists={("dbl", name): listed("dbl", 6) for name in ("mail.spam.com", "spam.com")})
    findings = judged(Rhsbl(CheckRules(), LISTS), attempt(helo_name="mail.spam.com", sender="x@spam.com"), world)
    assert [finding.score for finding in findings] == [6, 0, 0]


def test_the_reverse_name_is_looked_up_where_the_mail_server_has_none():
    world = World({f"{REVERSE} PTR": ptr("host.spam.com")}, {("dbl", "host.spam.com"): listed("dbl")})
    client = attempt(client_name="unknown", reverse_client_name="unknown")
    assert codes(judged(Rhsbl(CheckRules(), LISTS), client, world))[0] == "rhsbl_reverse_client_listed"


def test_of_several_reverse_names_one_is_asked_always_the_same():
    world = World({f"{REVERSE} PTR": ptr("z.com", "a.com", "m.com")})
    subjects = {q.subject for q in asked(Rhsbl(CheckRules(), LISTS), attempt(), world) if isinstance(q, ListLookup)}
    assert subjects == {"a.com"}


def test_without_lists_of_domains_nothing_is_asked():
    assert not asked(Rhsbl(CheckRules(), LISTS[:2]), attempt(helo_name="a.com"), World())


# reply of the allow list, code, in preset tutorial, in preset scored
DNSWL = [
    (clear("allow"), "dnswl_clear", 0, 0),
    (listed("allow", -1, trust=0), "dnswl_untrusted", 0, -1),
    (listed("allow", -2, trust=1), "dnswl_listed", 0, -2),
    (listed("allow", -8, trust=3), "dnswl_listed", 0, -8),
    (listed("allow", 3, trust=0), "dnswl_untrusted", 0, 0),
    (listed("allow", 3, trust=2), "dnswl_listed", 0, 0),
    (Unknown(Why.TIMEOUT), "dnswl_unreachable", 0, 0),
    (Unknown(Why.FAILED), "dnswl_unreachable", 0, 0),
    (Unknown(Why.BLOCKED), "dnswl_unknown", 0, 0),
    (Unknown(Why.QUOTA), "dnswl_unknown", 0, 0),
    (Unknown(Why.REFUSED), "dnswl_unknown", 0, 0),
    (Unknown(Why.UNHEALTHY), "dnswl_unknown", 0, 0),
]


@pytest.mark.parametrize(("reply", "code", "tutorial", "scored"), DNSWL)
def test_dnswl(reply, code, tutorial, scored):
    world = World(lists={("allow", C): reply})
    for consequence, score in ((None, tutorial), (Consequence.SCORE, scored)):
        (finding,) = judged(Dnswl(CheckRules(consequence), LISTS), attempt(), world)
        assert (finding.code, finding.score, finding.reply) == (code, score, None)


@pytest.mark.parametrize("action", [Consequence.TAG, Consequence.WARN])
def test_an_allow_list_that_only_tags_or_warns_suppresses_nothing(action):
    (on_it,) = judged(Dnswl(CheckRules(action), LISTS), attempt(), World(lists={("allow", C): listed("allow", -2, trust=1)}))
    (lost,) = judged(Dnswl(CheckRules(action), LISTS), attempt(), World(lists={("allow", C): Unknown(Why.TIMEOUT)}))
    assert (on_it.consequence, on_it.score) == (action, 0)
    assert lost.code == "dnswl_unknown"


@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_trouble_with_lists_never_refuses(unknown):
    world = World(lists={(spec.id, subject): unknown for spec in LISTS for subject in (C, "a.com")})
    for check in (Dnsbl(CheckRules(), LISTS), Rhsbl(CheckRules(), LISTS), Dnswl(CheckRules(None), LISTS)):
        findings = judged(check, attempt(helo_name="a.com"), world)
        assert all(finding.consequence is None and finding.score == 0 for finding in findings)
