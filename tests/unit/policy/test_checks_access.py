"""The admin's access maps in a verdict: what each of them reaches, and what it does not."""

import pytest
from mailcases import CLIENT, LISTS, REVERSE, SERVFAIL, World, a, asked, attempt, codes, judged, listed, mx, ptr, with_maps

from resolverd.mail.findings import Action, Consequence, SmtpReply
from resolverd.mail.lookups import ListLookup
from resolverd.overrides.map_text import read
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.access import Access, AccessMaps
from resolverd.policy.early import EarlyDecision
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import VerdictRules, decide

NAMED = {f"{REVERSE} PTR": ptr("out.dripemail2.com"), "out.dripemail2.com A": a(CLIENT)}
HELO = "helo.example"
GOOD = {**NAMED, f"{HELO} A": a(CLIENT), "sender.example MX": mx(HELO)}
ON_ZEN = {("zen", CLIENT): listed("zen", 6)}
ON_DBL = {("dbl", "sender.com"): listed("dbl", 6)}


def maps(client: str = "", helo: str = "", kind: str = "hash") -> AccessMaps:
    return AccessMaps(
        (read("client_access", kind, client).map,) if client else (), (read("helo_access", kind, helo).map,) if helo else ()
    )


def decided(subject, world, access, preset="tutorial"):
    findings = [
        finding for check in build(PRESETS[preset], LISTS, **with_maps(access)) for finding in judged(check, subject, world)
    ]
    return decide(subject, findings, VerdictRules(greylist=False))


DRIP = "dripemail2.com OK //This domain belongs to drip.com"


@pytest.mark.parametrize(
    ("access", "records", "lists", "attributes", "action", "code"),
    [
        # client_access suppresses what lists say of the address and of names …
        (maps(DRIP), GOOD, ON_ZEN, {"helo_name": HELO}, Action.ACCEPT, None),
        (maps(DRIP), GOOD, ON_DBL, {"sender": "x@sender.com", "client_name": "a.dripemail2.com"}, Action.REJECT, 450),  # no MX
        (maps(DRIP), {**GOOD, "sender.com MX": mx("a.sender.com")}, ON_DBL, {"sender": "x@sender.com"}, Action.ACCEPT, None),
        (maps("192.0.2 OK"), GOOD, ON_ZEN, {"helo_name": HELO}, Action.ACCEPT, None),
        (maps("192.0.2.0/24 OK", kind="cidr"), GOOD, ON_ZEN, {"helo_name": HELO}, Action.ACCEPT, None),
        # … and nothing else
        (maps(DRIP), GOOD, {}, {"helo_name": "localhost"}, Action.REJECT, 504),
        (maps("192.0.2 OK"), {}, {}, {"helo_name": ""}, Action.REJECT, 450),
        # helo_access suppresses HELO restrictions, and neither lists of domains nor of addresses
        (maps(helo="localhost OK"), GOOD, {}, {"helo_name": "localhost"}, Action.ACCEPT, None),
        (maps(helo="localdomain OK"), GOOD, {}, {"helo_name": "optimus-webapi-prod-2.localdomain"}, Action.ACCEPT, None),
        (maps(helo="localhost OK"), GOOD, ON_ZEN, {"helo_name": "localhost"}, Action.REJECT, 554),
        (maps(helo="sender.com OK"), GOOD, ON_DBL, {"helo_name": "sender.com"}, Action.REJECT, 554),
        # a name that does not lead back is none; one that the mail server has verified is taken as it is
        (maps(DRIP), {f"{REVERSE} PTR": ptr("dripemail2.com")}, ON_ZEN, {"helo_name": ""}, Action.REJECT, 554),
        (maps(DRIP), {}, ON_ZEN, {"client_name": "mx.dripemail2.com", "helo_name": ""}, Action.ACCEPT, None),
        (maps("unknown REJECT"), {}, {}, {"helo_name": ""}, Action.REJECT, 554),
        (maps("unknown REJECT"), GOOD, {}, {"helo_name": HELO}, Action.ACCEPT, None),
        # refusals, each with its code
        (maps("192.0.2.7 521 5.7.25 Not you"), GOOD, {}, {"helo_name": HELO}, Action.REJECT, 521),
        (maps("192.0.2.7 DEFER"), GOOD, {}, {"helo_name": HELO}, Action.DEFER, 450),
        (maps(helo=f"{HELO} 451 Busy"), GOOD, {}, {"helo_name": HELO}, Action.REJECT, 451),
        (maps(helo=f"{HELO} 451 Busy"), GOOD, ON_ZEN, {"helo_name": HELO}, Action.REJECT, 554),
        # DUNNO ends the search of its map and decides nothing
        (maps(f"out.dripemail2.com DUNNO\n{DRIP}"), GOOD, ON_ZEN, {"helo_name": HELO}, Action.REJECT, 554),
        (maps("out.dripemail2.com DUNNO\n192.0.2.7 REJECT"), GOOD, {}, {"helo_name": HELO}, Action.ACCEPT, None),
    ],
)
def test_reach(access, records, lists, attributes, action, code):
    decision = decided(attempt(**{"sender": "", **attributes}), World(records, lists), access)
    assert (decision.action, decision.reply and decision.reply.code) == (action, code), decision


@pytest.mark.parametrize(
    ("access", "action", "score"),
    [(None, Action.REJECT, 6), (maps(DRIP), Action.ACCEPT, 0), (maps(helo="localhost OK"), Action.REJECT, 6),
     (maps(helo="localhost REJECT"), Action.REJECT, 8), (maps(DRIP, "localhost OK"), Action.ACCEPT, 0)],
)  # fmt: skip
def test_points_are_suppressed_as_well(access, action, score):
    subject = attempt(sender="", helo_name="localhost" if access and access.helo else HELO)
    decision = decided(subject, World(GOOD, ON_ZEN), access, "scored")
    assert (decision.action, decision.score) == (action, score)


def test_the_next_map_is_asked_after_dunno():
    first, second = maps("192.0.2.7 DUNNO"), maps("192.0.2 REJECT Second")
    both = AccessMaps((*first.client, *second.client))
    (finding,) = judged(Access(both), attempt(), World())
    assert finding.reply == SmtpReply(554, "5.7.1", "Client host rejected (Second)")
    ended = AccessMaps((*maps("192.0.2.7 OK").client, *second.client))
    assert codes(judged(Access(ended), attempt(), World())) == ["access_client_ok"]


def test_what_it_says():
    subject = attempt(helo_name="localhost")
    world = World(GOOD, ON_ZEN)
    decision = decided(subject, world, maps(DRIP, "localhost OK"))
    told = {finding.code: finding for finding in decision.findings}
    seen = told["access_client_ok"].evidence[0]
    assert (seen.asked, seen.answered) == ("dripemail2.com in client_access", "OK //This domain belongs to drip.com (line 1)")
    assert told["dnsbl_listed"].text.endswith(
        "(suppressed: 192.0.2.7: client_access has dripemail2.com OK //This domain belongs to drip.com, so lists do not count)"
    )
    assert told["helo_not_fqdn"].consequence is None
    assert codes(judged(Access(maps("nobody.example OK")), subject, world)) == ["access_none"]


def test_no_map_asks_nothing():
    assert "access" not in [check.name for check in build(PRESETS["tutorial"], LISTS)]
    assert not asked(Access(maps(helo="x OK")), attempt(helo_name="x"), World())
    assert not asked(Access(maps("x OK")), attempt(client_name="told.example"), World())


def test_a_name_that_cannot_be_looked_up_is_unknown():
    """As in smtpd, where a temporary failure makes no name."""
    decision = decided(attempt(sender=""), World({f"{REVERSE} PTR": SERVFAIL}), maps(DRIP))
    assert decision.action is Action.DEFER
    findings = judged(Access(maps("unknown DEFER")), attempt(), World({f"{REVERSE} PTR": SERVFAIL}))
    assert findings[0].consequence is Consequence.DEFER


def test_a_listing_waits_for_the_name_that_may_suppress_it():
    """A refusal is only certain when the map has spoken; without a map nobody waits for the name."""
    subject = attempt(sender="", helo_name="")
    listing = {ListLookup("zen", subject.client_address): listed("zen", 6)}
    open_ = list(asked(Access(maps(DRIP)), subject, World(NAMED)))
    by_id = {spec.id: spec for spec in LISTS}
    for access, sure in ((maps(DRIP), False), (None, True)):
        checks = build(PRESETS["tutorial"], LISTS, **with_maps(access))
        more = {ListLookup(spec.id, subject.client_address): World().reply(ListLookup(spec.id, "x")) for spec in LISTS}
        runs = CheckRuns(subject, checks, {**more, **listing})
        assert EarlyDecision(subject, by_id, VerdictRules()).is_decided(runs, open_[:1]) is sure
