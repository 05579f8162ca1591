"""What cannot count is not asked, what was not asked is no failure, and the reason that is told is the one that decided."""

from functools import partial
from ipaddress import ip_address

import pytest
from mailcases import CLIENT, LISTS, REVERSE, TIMEOUT, asks, attempt, clear, judge, listed, with_maps
from virtualtime import VirtualClock, virtual

from resolverd.greylist.allow_files import Allowed, read_clients
from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.service import Greylister
from resolverd.mail.findings import Action, Consequence, GreylistOutcome
from resolverd.mail.lookups import SKIPPED, ListLookup
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.policy.check import CheckRules
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.spf import SpfOptions
from resolverd.state.memory import MemoryStore
from tests.unit.policy.test_checks_access import DRIP, maps
from tests.unit.policy.test_service import DELIVERY, GOOD, HOST, RTT, Internet, Setup

ADDRESS = ip_address(CLIENT)


async def setup(*wishes, access=None, rules=None, greylist=None, header="received-spf", **internet):
    """A policy service with these overrides and maps."""
    book = OverrideStore(MemoryStore(), VirtualClock(), Counters())
    for wish in wishes:
        await book.set(NewOverride(key_of(*wish[:2], *wish[2:]), reason="a customer"))
    inputs = with_maps(access)
    inputs["options"]["spf"] = SpfOptions(header=header)
    checks = partial(build, rules or PRESETS["tutorial"], overrides=book.index, **inputs)
    return Setup(Internet(**{"records": GOOD, **internet}), greylist, checks=checks)


def lists_asked(made):
    return {question.list_id for question in made.internet.asked if isinstance(question, ListLookup)}


KNOWN = {"client_name": HOST, "reverse_client_name": HOST}

# the admin's word, his maps, what is known of the client, lists that are asked all the same
SUPPRESSED = [
    ([("allow", CLIENT)], None, {}, set()),
    ([("allow", "192.0.2.0/24")], None, {}, set()),
    ([("allow", HOST)], None, KNOWN, set()),
    ([("allow", HOST)], None, {}, set()),
    ([("allow", "carol@example.com")], None, {"sender": "carol@example.com"}, set()),
    ([("allow", CLIENT, "lists")], None, {}, {"allow"}),
    ([], maps(f"{HOST} OK"), KNOWN, {"allow"}),
    ([], maps(f"{HOST} OK"), {}, {"allow"}),
    ([], maps("192.0.2.7 OK"), KNOWN, {"allow"}),
    ([("allow", CLIENT, "spf")], None, {}, {"zen", "psbl", "dbl", "surbl", "allow"}),
    ([("allow", CLIENT, "greylist")], None, {}, {"zen", "psbl", "dbl", "surbl", "allow"}),
    ([("allow", "198.51.100.1"), ("allow", "other.example")], maps(DRIP), {}, {"zen", "psbl", "dbl", "surbl", "allow"}),
]


@pytest.mark.parametrize(("wishes", "access", "known", "expected"), SUPPRESSED)
@virtual
async def test_lists_are_not_asked_of_whom_the_admin_lifts_over_them(wishes, access, known, expected):
    made = await setup(*wishes, access=access)
    verdict = await made.verdict(**known)
    assert verdict.action is Action.ACCEPT
    assert lists_asked(made) == expected


@virtual
async def test_whoever_is_allowed_waits_for_nobody():
    silent = [*(ListLookup(each, ADDRESS) for each in ("zen", "psbl", "allow")), f"{REVERSE} PTR", "example.com MX"]
    made = await setup(("allow", CLIENT), silent=silent)
    verdict = await made.verdict()
    assert (verdict.action, verdict.ms, verdict.partial, made.internet.asked) == (Action.ACCEPT, 0, False, [])
    assert not [finding for finding in verdict.findings if finding.code.endswith(("_unknown", "_temperror"))]
    assert not any("could not" in finding.text or "no answer" in finding.text for finding in verdict.findings)
    assert "temperror" not in verdict.header


@virtual
async def test_lists_are_asked_beside_a_name_that_does_not_come():
    """Whoever has a silent reverse zone gains nothing by it, though a domain is allowed and it might have been his."""
    made = await setup(("allow", "partner.example"), silent=[f"{REVERSE} PTR"], lists={("zen", CLIENT): listed("zen", 6)})
    verdict = await made.verdict(client_name="unknown", reverse_client_name="unknown")
    assert verdict.partial
    assert "zen" in lists_asked(made)
    assert verdict.ms <= 4000


@virtual
async def test_whoever_is_lifted_over_lists_costs_none_at_the_retry_either():
    old = {(each, CLIENT): clear(each)._replace(age=300) for each in ("zen", "psbl", "allow")}
    made = await setup(access=maps(f"{HOST} OK"), greylist=GreylistOutcome("passed", delayed=400), lists=old)
    verdict = await made.verdict(**KNOWN)
    assert verdict.action is Action.ACCEPT
    assert {lookup.list_id for lookup in made.internet.asked_again} == {"allow"}


@virtual
async def test_what_one_recipient_is_spared_another_is_not():
    made = await setup(("allow", CLIENT, "", "anna@example.org"), lists={("zen", CLIENT): listed("zen", 6)})
    assert (await made.verdict(recipient="anna@example.org", instance="1")).action is Action.ACCEPT
    assert lists_asked(made) == set()
    assert (await made.verdict(recipient="bert@example.org", instance="1")).action is Action.REJECT


@virtual
async def test_whoever_only_looks_sees_everything():
    made = await setup(("allow", CLIENT), lists={("zen", CLIENT): listed("zen", 6)})
    verdict = await made.verdict(record=False)
    assert verdict.action is Action.ACCEPT
    assert any(finding.code == "dnsbl_listed" and "suppressed" in finding.text for finding in verdict.findings)


# -- skipped is no failure


def every_check():
    return build(PRESETS["tutorial"], LISTS)


@pytest.mark.parametrize("check", every_check(), ids=lambda check: check.name)
def test_a_skipped_question_is_never_told_as_a_failure(check):
    subject = attempt(**DELIVERY)
    replies = {}
    while open_ := [question for question in asks(check, subject, replies) if question not in replies]:
        replies |= dict.fromkeys(open_, SKIPPED)
    findings = judge(check, subject, replies)
    assert findings
    for finding in findings:
        assert finding.consequence is None
        assert finding.code.endswith("_skipped"), finding
        assert not finding.header
        said = " ".join((finding.text, *(each.answered for each in finding.evidence)))
        assert not any(decide in said for decide in ("could not", "no answer", "unknown", "needless", "temperror"))


@virtual
async def test_what_a_refusal_did_not_need_is_counted_as_skipped():
    made = await setup(lists={("zen", CLIENT): listed("zen", 6)}, delays={"example.com MX": 3.0, "example.com TXT": 3.0})
    verdict = await made.verdict(sender="joe@example.com")
    assert (verdict.action, verdict.partial) == (Action.REJECT, False)
    codes = {finding.code for finding in verdict.findings}
    assert {"sender_domain_skipped", "spf_skipped"} <= codes
    assert not any(code.endswith(("_unknown", "_temperror")) for code in codes)
    assert not any("temperror" in each.text for each in verdict.what_if)


# -- the name counts wherever a name counts


def greylister(names="", rules=None):
    clients, _ = read_clients(names)
    allowed = Allowed(clients=clients)
    return Greylister(MemoryStore(), VirtualClock(), rules or GreylistRules(), Counters(), allowed)


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("known", [{}, KNOWN, {"client_name": "unknown", "reverse_client_name": HOST}])
@pytest.mark.parametrize("fcrdns", [True, False])
@virtual
async def test_a_name_that_was_verified_counts_for_greylisting(record, known, fcrdns):
    rules = dict(PRESETS["tutorial"])
    if not fcrdns:
        rules["fcrdns"] = CheckRules(Consequence.OFF)
    made = await setup(rules=rules)
    made.policy._greylister = greylister(HOST)
    verdict = await made.verdict(record=record, **known)
    assert (verdict.action, verdict.greylist.reason) == (Action.ACCEPT, "client whitelist")


@virtual
async def test_a_name_that_does_not_lead_back_counts_for_nothing():
    made = await setup(records={**GOOD, f"{HOST} A": TIMEOUT}, rules={"spf": CheckRules()})
    made.policy._greylister = greylister(HOST)
    assert (await made.verdict(reverse_client_name=HOST)).action is Action.GREYLIST


# -- the reason is the one that decided

REASONS = [
    ([("allow", CLIENT)], None, {}, "allowed: 192.0.2.7, a customer"),
    ([("allow", HOST)], None, KNOWN, f"allowed: {HOST}, a customer"),
    ([("allow", CLIENT, "greylist")], None, {}, "allowed (greylist): 192.0.2.7, a customer"),
    ([], maps(f"{HOST} OK"), KNOWN, f"192.0.2.7: client_access has {HOST} OK, so lists do not count"),
    ([], None, KNOWN, "nothing speaks against it"),
]


@pytest.mark.parametrize(("wishes", "access", "known", "reason"), REASONS)
@pytest.mark.parametrize("record", [True, False])
@virtual
async def test_the_reason_is_what_decided(wishes, access, known, reason, record):
    verdict = await (await setup(*wishes, access=access)).verdict(record=record, **known)
    assert (verdict.action, verdict.reason) == (Action.ACCEPT, reason)


@virtual
async def test_an_allow_list_that_saves_is_the_reason():
    lists = {("zen", CLIENT): listed("zen", 6), ("allow", CLIENT): listed("allow", -2, trust=2)}
    verdict = await (await setup(lists=lists)).verdict()
    assert (verdict.action, verdict.reason) == (Action.ACCEPT, "listed by allow.test")
    lists = {("allow", CLIENT): listed("allow", -2, trust=2)}
    assert (await (await setup(lists=lists)).verdict()).reason == "listed by allow.test", "it spares greylisting"


@virtual
async def test_when_nothing_could_be_found_out_that_is_the_reason():
    rules = {name: CheckRules(Consequence.GREYLIST if name != "dnswl" else None) for name in PRESETS["tutorial"]}
    made = await setup(rules=rules)
    made.internet.world.reply = lambda question: TIMEOUT
    verdict = await made.verdict()
    assert verdict.action is Action.ACCEPT
    assert verdict.reason == "nothing could be found out: ptr, fcrdns, helo, sender_domain, spf, dnsbl, rhsbl, dnswl"
    made = await setup(silent=[ListLookup("psbl", ADDRESS)])
    verdict = await made.verdict()
    assert verdict.reason == "nothing speaks against it, as far as is known (not: dnsbl)"
    assert verdict.ms >= 1000 * RTT


@virtual
async def test_greylisting_that_failed_is_told():
    made = await setup(greylist=GreylistOutcome("skipped", reason="store failed"))
    assert (await made.verdict()).reason == "nothing speaks against it; greylisting failed: store failed"
    made = await setup(greylist=GreylistOutcome("skipped", reason="not suspicious"))
    assert (await made.verdict()).reason == "nothing speaks against it"
