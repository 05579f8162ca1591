"""Answers as soon as they are certain, and lists that are asked only while they are not: the verdict and the combined zone."""

import asyncio
from functools import partial
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mailcases import ALLOW, CLIENT, DBL, LISTS, PSBL, SURBL, UNKNOWNS, ZEN, asks, attempt, clear, codes, judge, listed, spec
from scriptedlists import SERVFAIL, ScriptedResolver, a, denial
from scriptedlists import specs as real_lists
from virtualtime import VirtualClock, virtual

from resolverd.dnsbl.aggregate import fold, is_decided
from resolverd.dnsbl.engine import Engine
from resolverd.failures import Unknown, Why
from resolverd.mail import domains
from resolverd.mail.findings import Action, GreylistOutcome
from resolverd.mail.lookups import SKIPPED, Absent, DnsLookup, Listed, ListLookup
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.early import EarlyDecision
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import VerdictRules, decide
from resolverd.values import replace
from resolverd.zones.lists import ZoneRules
from tests.unit.policy.test_service import DELIVERY, GOOD, HOST, REVERSE, RTT, Internet, Setup
from tests.unit.zones.test_list_zones import World as Zones

domains.warm()  # or the first example of a property is charged with it
BY_ID = {spec.id: spec for spec in LISTS}
SUBJECT = attempt(client_name=HOST, **DELIVERY)
ADDRESS = SUBJECT.client_address


# -- foresight: never wrong, whatever comes


def lookups():
    return [ListLookup(spec.id, ADDRESS) for spec in (ZEN, PSBL, ALLOW)] + [
        ListLookup(spec.id, domain) for spec in (DBL, SURBL) for domain in (HOST, "example.com")
    ]


def any_reply(lookup):
    spec = BY_ID[lookup.list_id]
    trusts = st.integers(0, 3) if spec.allows else st.just(0)
    weights = st.sampled_from([spec.weight, spec.weight / 2, 0])
    listing = st.builds(lambda weight, trust: listed(spec.id, weight, trust=trust), weights, trusts)
    return st.one_of(st.just(clear(spec.id)), listing, st.sampled_from(UNKNOWNS))


REPLIES = st.fixed_dictionaries({lookup: any_reply(lookup) for lookup in lookups()})


def told(preset, subject, replies):
    checks = build(PRESETS[preset], LISTS)
    findings = [finding for check in checks for finding in judge(check, subject, replies)]
    decision = decide(subject, findings, VerdictRules())
    permanent = decision.reply is not None and decision.reply.permanent
    return decision.action, permanent, decision.wants_greylist, decision.suspicious


def names(subject):
    """The replies to what is asked besides lists, all well."""
    internet = Internet(GOOD)
    found = {}
    for check in build(PRESETS["tutorial"], LISTS):
        for _ in range(5):
            open_ = [q for q in asks(check, subject, found) if isinstance(q, DnsLookup) and q not in found]
            found |= {question: internet.world.reply(question) for question in open_}
    return found


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(PRESETS)), REPLIES, REPLIES, st.sets(st.sampled_from(lookups())),
    st.sampled_from([SUBJECT, replace(SUBJECT, helo_name="localhost")]),
)  # fmt: skip
def test_what_is_foreseen_comes_true(preset, replies, others, open_, subject):
    known = {lookup: reply for lookup, reply in replies.items() if lookup not in open_} | names(subject)
    checks, early = build(PRESETS[preset], LISTS), EarlyDecision(subject, BY_ID, VerdictRules())
    if open_ and early.is_decided(CheckRuns(subject, checks, known), open_):
        first = told(preset, subject, {**known, **{lookup: replies[lookup] for lookup in open_}})
        assert told(preset, subject, {**known, **{lookup: others[lookup] for lookup in open_}}) == first


@settings(max_examples=200)
@given(st.sampled_from(sorted(PRESETS)), REPLIES, st.sets(st.sampled_from(lookups()), min_size=1))
def test_frugal_foresight_never_lets_a_refused_client_through(preset, replies, open_):
    known = {lookup: reply for lookup, reply in replies.items() if lookup not in open_} | names(SUBJECT)
    checks, early = build(PRESETS[preset], LISTS), EarlyDecision(SUBJECT, BY_ID, VerdictRules(), frugal=True)
    if early.is_decided(CheckRuns(SUBJECT, checks, known), open_):
        early = told(preset, SUBJECT, {**known, **dict.fromkeys(open_, SKIPPED)})[0]
        late = told(preset, SUBJECT, replies | names(SUBJECT))[0]
        assert (early in (Action.REJECT, Action.DEFER)) == (late in (Action.REJECT, Action.DEFER))


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(PRESETS)), REPLIES, st.sets(st.sampled_from(lookups())),
    st.sampled_from([names(SUBJECT), dict.fromkeys(names(SUBJECT), Absent(nxdomain=True))]),
)  # fmt: skip
def test_what_only_another_host_has_seen_refuses_nobody_for_good_before_it_is_reverified(preset, replies, hearsay, rest):
    hearsay = {lookup for lookup in hearsay if not BY_ID[lookup.list_id].allows}
    runs = CheckRuns(SUBJECT, build(PRESETS[preset], LISTS), replies | rest)
    asked = EarlyDecision(SUBJECT, BY_ID, VerdictRules()).decisive_listings(runs, hearsay.__contains__)
    false = {lookup: clear(lookup.list_id) for lookup in hearsay}
    _, honestly, *_ = told(preset, SUBJECT, replies | rest | false)
    refused, permanent, *_ = told(preset, SUBJECT, replies | rest | {each: false[each] for each in asked if each in false})
    assert honestly or not permanent or refused is not Action.REJECT


def is_foreseen(rules, known, open_):
    early = EarlyDecision(SUBJECT, BY_ID, VerdictRules())
    return early.is_decided(CheckRuns(SUBJECT, build(rules, LISTS), known), open_)


def test_something_is_foreseen_at_all():
    decided = partial(is_foreseen, PRESETS["tutorial"])
    zen, psbl, allow = (ListLookup(spec.id, ADDRESS) for spec in (ZEN, PSBL, ALLOW))
    known = names(SUBJECT)
    assert not decided({**known, zen: listed("zen")}, [psbl, allow]), "the allow list may vouch"
    assert decided({**known, zen: listed("zen"), allow: clear("allow")}, [psbl])
    assert decided({**known, allow: listed("allow", -2, trust=2)}, [zen, psbl])
    assert not decided({**known, zen: clear("zen"), allow: clear("allow")}, [psbl])


def test_points_have_bounds():
    decided = partial(is_foreseen, PRESETS["scored"])
    zen, psbl, allow = (ListLookup(spec.id, ADDRESS) for spec in (ZEN, PSBL, ALLOW))
    known = {**names(SUBJECT), zen: listed("zen", 6)}
    assert not decided(known, [psbl, allow]), "6 - 2 is too little to refuse"
    more = {**known, psbl: listed("psbl", 3)}
    assert not decided(more, [allow]), "9 - 2 is enough, but out of reach it would soften the refusal"
    dbl = ListLookup("dbl", "example.com")
    assert decided({**more, dbl: listed("dbl", 6)}, [psbl]), "enough in any case"
    assert decided({**known, allow: clear("allow")}, [psbl])


@given(
    st.lists(st.sampled_from(["listed", "clear", "unknown", "open"]), min_size=4, max_size=4),
    st.sampled_from([None, 1, 3, 4, 6, 9]),
)
def test_what_the_zone_foresees_comes_true(words, threshold):
    four = {spec.id: spec for spec in (ZEN, PSBL, ALLOW)} | {"more": spec("more", weight=3, number=9)}

    def reply(name, word):
        if word == "listed":
            return listed(name, four[name].weight, trust=2 if four[name].allows else 0)
        return clear(name) if word == "clear" else Unknown(Why.TIMEOUT)

    known = {name: reply(name, word) for name, word in zip(four, words, strict=True) if word != "open"}
    open_ = [name for name, word in zip(four, words, strict=True) if word == "open"]
    if not is_decided(four, known, open_, threshold):
        return
    said = set()
    for completion in product(["listed", "clear", "unknown"], repeat=len(open_)):
        replies = known | {name: reply(name, word) for name, word in zip(open_, completion, strict=True)}
        standing = fold(four, replies)
        said.add(standing.reaches(threshold) and not standing.allowed)
    assert len(said) == 1


# -- the verdict


@virtual
async def test_a_slow_list_that_cannot_change_the_verdict_is_not_waited_for():
    silent = [ListLookup("psbl", ADDRESS)]
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, silent=silent)
    verdict = await Setup(internet).verdict()
    assert (verdict.action, verdict.reply.code) == (Action.REJECT, 554)
    assert verdict.ms == round(1000 * RTT)
    assert not verdict.partial
    skipped = next(finding for finding in verdict.findings if finding.code == "dnsbl_skipped")
    assert skipped.text == "not asked, as the verdict is certain without: psbl.test"


@virtual
async def test_a_slow_list_that_may_change_the_verdict_is_waited_for():
    internet = Internet(GOOD, {}, silent=[ListLookup("psbl", ADDRESS)])
    verdict = await Setup(internet, list_deadline=2.0).verdict()
    assert verdict.partial
    assert verdict.ms == 4000
    slow = Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, silent=[ListLookup("allow", ADDRESS)])
    assert (await Setup(slow).verdict()).action is Action.DEFER


@virtual
async def test_slow_names_change_nothing_in_a_refusal_for_good():
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, silent=[f"{REVERSE} PTR"])
    verdict = await Setup(internet).verdict()
    assert (verdict.reply.code, verdict.ms) == (554, round(1000 * RTT))


@pytest.mark.parametrize("allow_comes", [0.005, 0.03, 0.1])
@pytest.mark.parametrize("names_come", [0.01, 0.05, 0.2])
@virtual
async def test_a_slow_list_keeps_nobody_waiting_whichever_answer_comes_last(allow_comes, names_come):
    psbl, zen, allow = (ListLookup(name, ADDRESS) for name in ("psbl", "zen", "allow"))
    delays = {f"{REVERSE} PTR": names_come, psbl: 0.8, zen: 0.02, allow: allow_comes}
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, delays=delays)
    verdict = await Setup(internet).verdict()
    assert (verdict.reply.code, verdict.ms) == (554, round(1000 * max(0.02, allow_comes)))


@virtual
async def test_what_the_client_says_of_itself_may_be_enough():
    setup = Setup()
    verdict = await setup.verdict(helo_name="localhost")
    assert (verdict.reply.code, verdict.ms) == (504, 0)
    assert setup.internet.asked == []


@virtual
async def test_who_only_looks_sees_everything():
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6), ("psbl", CLIENT): listed("psbl")})
    verdict = await Setup(internet).verdict(record=False, helo_name="localhost")
    assert codes(verdict.findings).count("dnsbl_listed") == 2


@virtual
async def test_exempt_recipients_have_all_their_findings():
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6), ("psbl", CLIENT): listed("psbl")})
    verdict = await Setup(internet).verdict(recipient="postmaster@example.org", helo_name="localhost")
    assert codes(verdict.findings).count("dnsbl_listed") == 2


# -- frugal


def frugal(lists=None, records=GOOD, **kwargs):
    internet = Internet(records, lists, **kwargs)
    internet.frugal = True
    return Setup(internet)


def asked(setup):
    return {question.list_id for question in setup.internet.asked if isinstance(question, ListLookup)}


@virtual
async def test_frugal_asks_block_lists_of_domains_only_if_those_of_addresses_leave_it_open():
    setup = frugal({("zen", CLIENT): listed("zen", 6)})
    verdict = await setup.verdict()
    assert verdict.reply.code == 554
    assert asked(setup) == {"allow", "zen", "psbl"}
    assert verdict.ms == round(2000 * RTT)
    clean = frugal()
    assert (await clean.verdict()).action is Action.ACCEPT
    assert asked(clean) == {"allow", "zen", "psbl", "dbl", "surbl"}
    assert (await frugal().verdict()).ms == round(3000 * RTT)


@virtual
async def test_frugal_asks_no_block_list_of_a_client_that_is_refused_anyway():
    setup = frugal(records={f"{HOST} A": GOOD[f"{HOST} A"], "example.com MX": GOOD["example.com MX"]})
    verdict = await setup.verdict()
    assert verdict.reply.code == 450
    assert asked(setup) == {"allow"}


@virtual
async def test_frugal_asks_no_address_list_of_a_client_on_an_allow_list():
    setup = frugal({("allow", CLIENT): listed("allow", -4, trust=2)})
    verdict = await setup.verdict()
    assert verdict.action is Action.ACCEPT
    assert "dbl" in asked(setup), "its names may still be listed"


@virtual
async def test_frugal_waits_for_no_allow_list_for_ever():
    setup = frugal({("zen", CLIENT): listed("zen", 6)}, silent=[ListLookup("allow", ADDRESS)])
    began = asyncio.get_running_loop().time()
    verdict = await setup.verdict()
    assert asyncio.get_running_loop().time() - began <= 4
    assert verdict.action is not Action.REJECT


@virtual
async def test_frugal_does_not_let_slow_names_keep_the_lists_from_being_asked():
    setup = frugal({("zen", CLIENT): listed("zen", 6)}, silent=[f"{REVERSE} PTR"])
    verdict = await setup.verdict()
    assert verdict.reply.code == 554
    assert verdict.ms == round(2000 + 1000 * RTT)


# -- re-verifications and good clients


@virtual
async def test_a_refusal_on_the_word_of_lists_alone_is_looked_at_twice():
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}))
    assert (await setup.verdict()).action is Action.REJECT
    assert setup.internet.looked_twice == [ListLookup("zen", ADDRESS)]
    setup.internet.changed[ListLookup("zen", ADDRESS)] = clear("zen")
    assert (await setup.verdict(instance="another message")).action is Action.ACCEPT
    setup.internet.changed[ListLookup("zen", ADDRESS)] = Unknown(Why.UNHEALTHY)
    verdict = await setup.verdict(instance="a third one")
    assert verdict.action is Action.ACCEPT
    assert verdict.partial


@virtual
async def test_a_client_with_more_against_it_is_not_worth_a_reverification():
    setup = Setup(Internet({**GOOD, f"{REVERSE} PTR": Unknown(Why.TIMEOUT)}, {("zen", CLIENT): listed("zen", 6)}))
    await setup.verdict(helo_name="nowhere.example.com")
    assert setup.internet.looked_twice == []


@virtual
async def test_a_client_on_an_allow_list_needs_no_reverification():
    lists = {("zen", CLIENT): listed("zen", 6), ("allow", CLIENT): listed("allow", -4, trust=2)}
    setup = Setup(Internet(GOOD, lists))
    assert (await setup.verdict()).action is Action.ACCEPT
    assert setup.internet.looked_twice == []
    assert "zen" not in setup.internet.known_good[CLIENT], "not known as good to a list that lists it"


@pytest.mark.parametrize(
    ("state", "remembered"), [("known", True), ("passed", True), ("allowed", True), ("new", False), ("skipped", False)]
)
def test_clients_that_the_greylist_knows_are_remembered_as_good(state, remembered):
    @virtual
    async def run():
        setup = Setup(greylist=GreylistOutcome(state, reason=state))
        await setup.verdict()
        assert (CLIENT in setup.internet.known_good) is remembered
        if remembered:
            assert setup.internet.known_good[CLIENT] >= {"zen", "psbl"}
        looked = Setup(greylist=GreylistOutcome(state, reason=state))
        await looked.verdict(record=False)
        assert looked.internet.known_good == {}, "looking changes nothing"

    run()


# -- the combined zone


@virtual
async def test_the_zone_answers_as_soon_as_the_lists_cannot_change_it_and_late_replies_are_kept():
    w = Zones("scored")
    w.script["zen.spamhaus.org"] = (0.02, a("127.0.0.2"))
    w.script["bl.spamcop.net"] = (0.8, a("127.0.0.2"))
    start = w.clock.monotonic()
    assert await w.a("4.3.2.1.bl.rbl.internal") == ["127.0.0.2", "127.0.1.1"]
    assert w.clock.monotonic() - start == pytest.approx(0.02)
    await asyncio.sleep(6)
    before = len(w.asked)
    assert len(await w.a("4.3.2.1.bl.rbl.internal")) == 3
    assert len(w.asked) == before
    await w.engine.aclose()


@virtual
async def test_the_zone_waits_for_an_allow_list():
    w = Zones()
    w.script["zen.spamhaus.org"] = (0.02, a("127.0.0.2"))
    w.script["list.dnswl.org"] = (0.5, a("127.0.5.2"))
    assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
    await w.engine.aclose()


@virtual
async def test_a_partial_answer_is_kept_briefly():
    w = Zones("scored")
    w.script["zen.spamhaus.org"] = a("127.0.0.2", ttl=900)
    w.script["bl.spamcop.net"] = (0.8, denial())
    answer = await w.answer("4.3.2.1.bl.rbl.internal")
    assert answer.answer[0].ttl <= 60
    await asyncio.sleep(1)
    await w.engine.aclose()


@virtual
async def test_points_that_cannot_be_reached_are_not_waited_for():
    w = Zones("scored", ZoneRules(12))
    w.script["bl.spamcop.net"] = w.script["psbl.surriel.com"] = (0.8, a("127.0.0.2"))
    start = w.clock.monotonic()
    assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN"
    assert w.clock.monotonic() - start < 0.1
    await asyncio.sleep(1)
    await w.engine.aclose()


@virtual
async def test_listings_taken_back_are_taken_back_from_the_zone():
    w = Zones()
    w.script["4.3.2.1.zen.spamhaus.org"] = a("127.0.0.2")
    assert await w.a("4.3.2.1.bl.rbl.internal") == ["127.0.0.2", "127.0.1.1"]
    w.script["5.3.2.1.zen.spamhaus.org"] = a("192.0.2.1")
    assert await w.a("5.3.2.1.bl.rbl.internal") == "NXDOMAIN"
    assert await w.a("4.3.2.1.bl.rbl.internal") == "NXDOMAIN", "the zone is parked: what it said before is worth nothing"
    await w.engine.aclose()


def lists_engine(frugal):
    resolver = ScriptedResolver()
    engine = Engine(real_lists("scored"), resolver, VirtualClock(), Counters(), frugal=frugal)
    resolver.meter = engine.meter
    return engine, resolver


@virtual
async def test_frugal_asks_allow_lists_first_in_the_zone_too():
    engine, resolver = lists_engine(frugal=True)
    resolver.script["list.dnswl.org"] = a("127.0.5.2")
    loop = asyncio.get_running_loop()
    replies = await engine.ask_all(
        ADDRESS, deadline=loop.time() + 2, enough=lambda replies, open_: is_decided(engine.known, replies, open_, None)
    )
    skipped = {name for name, reply in replies.items() if reply is SKIPPED}
    assert skipped == {"spamhaus-zen", "spamcop", "psbl", "mailspike"}
    assert resolver.asked == ["7.2.0.192.list.dnswl.org"]
    resolver.script["list.dnswl.org"] = SERVFAIL
    replies = await engine.ask_all(
        ADDRESS, deadline=loop.time() + 2, enough=lambda replies, open_: is_decided(engine.known, replies, open_, None)
    )
    assert isinstance(replies["dnswl"], Listed), "still in the cache"
    await engine.aclose()


@virtual
async def test_frugal_pays_nobody_for_what_our_own_word_decides():
    w = Zones()
    w.engine.frugal = True
    await w.book.set(NewOverride(key_of("allow", str(ADDRESS))))
    assert await w.a("7.2.0.192.bl.rbl.internal") == "NXDOMAIN"
    assert w.asked == []
    await w.engine.aclose()
