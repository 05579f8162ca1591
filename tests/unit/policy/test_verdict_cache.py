"""Verdicts out of the cache are those that would be given without it, whatever has happened meanwhile."""

import asyncio
from functools import partial
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from mailcases import ALLOW, DBL, NX, ZEN, a, attempt, clear, dns, listed, mx, ptr, txt

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.generation import Generation
from resolverd.mail.findings import Action, GreylistOutcome
from resolverd.mail.lookups import DnsLookup, ListLookup, Records
from resolverd.metrics import Counters
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.rules import Override, key_of
from resolverd.policy.assessment import Assessment
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.service import PolicyService
from resolverd.policy.verdict import Decision, Mode, RecipientPolicy, VerdictRules
from resolverd.policy.verdict_cache import Lifetime, VerdictCache
from resolverd.policy.verdicts import VerdictStore
from resolverd.policy.what_if import WhatIfs
from resolverd.state.memory import MemoryStore
from resolverd.values import replace
from resolverd.wire import codes as dnscodes
from resolverd.wire.answer import Answer
from resolverd.wire.rrset import RRset

CLIENTS = ("192.0.2.7", "192.0.2.8", "198.51.100.9")
HELOS = ("mail.example.com", "helo.example.net", "localhost")
SENDERS = ("joe@example.com", "ann@example.com", "joe@example.net", "", "root")
RECIPIENTS = ("ann@example.org", "bob@example.org", "postmaster@example.org", "cyd@observed.example")
RECORDS = {
    "7.2.0.192.in-addr.arpa PTR": [ptr("mail.example.com"), NX],
    "8.2.0.192.in-addr.arpa PTR": [ptr("other.example.com"), NX],
    "mail.example.com A": [a("192.0.2.7"), a("192.0.2.99"), NX],
    "helo.example.net A": [a("192.0.2.8"), NX],
    "example.com MX": [mx("mail.example.com"), mx("."), NX],
    "example.com TXT": [
        txt("v=spf1 ip4:192.0.2.7 -all"),
        txt("v=spf1 ip4:192.0.2.0/24 ?all"),
        txt("v=spf1 exists:%{l}.who.test -all"),
        txt("v=spf1 ip4:192.0.2.8 exists:%{l}.who.test ~all"),
        txt("v=spf1 -all exp=why.test"),
    ],
    "joe.who.test A": [a("127.0.0.2"), NX],
    "why.test TXT": [txt("no"), txt("not %{s}"), txt("at %{t}")],
}
LISTINGS = [
    *(ListLookup("zen", ip_address(client)) for client in CLIENTS),
    ListLookup("allow", ip_address(CLIENTS[0])),
    ListLookup("dbl", "example.com"),
    ListLookup("dbl", "mail.example.com"),
]
SUBJECTS = ("192.0.2.7", "192.0.2.0/24", "joe@example.com", "example.com", "example.net")
RULES = (
    VerdictRules(),
    VerdictRules(mode=Mode.OBSERVE),
    VerdictRules(reject_at=3, greylist=False),
    VerdictRules(policies=(RecipientPolicy(("@observed.example",), Mode.OBSERVE, False),)),
)


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def wall(self):
        return 1_700_000_000.0 + self.now


class Internet:
    """Resolver and list engine that learn in no time, and remember for as long as TTLs say."""

    def __init__(self, clock):
        self.clock = clock
        self.generation = Generation()
        self.world = {dns(text): values[0] for text, values in RECORDS.items()}
        self.ttls = {}
        self.memory = {}
        self.suspended = set()
        self.doubtful = False
        self.specs = (ZEN, DBL, ALLOW)
        self.frugal = False
        self.refreshed = 0

    def _known(self, question, default):
        now = self.clock.now
        if question not in self.memory or now >= self.memory[question][1]:
            self.memory[question] = self.world.get(question, default), now + self.ttls.get(question, 60), now
        reply, until, since = self.memory[question]
        return reply, int(until - now), int(now - since)

    def known(self, name, rtype):
        reply, ttl, age = self._known(DnsLookup(name, rtype), NX)
        if isinstance(reply, Records):
            return Answer(dnscodes.NOERROR, (RRset(name, rtype, ttl, reply.rdatas),), age=age)
        return Answer(dnscodes.NXDOMAIN, authority=(RRset(name, dnscodes.SOA, ttl, (b"",)),), age=age)

    async def resolve(self, name, rtype, **_):
        raise AssertionError("all is known")

    def cached(self, lookup):
        if lookup.list_id in self.suspended:
            return None
        reply, ttl, age = self._known(lookup, clear(lookup.list_id))
        return reply._replace(ttl=ttl, age=age)

    async def ask(self, question, **_):
        return Unknown(Why.UNHEALTHY, "suspended")

    def stage(self, lookup):
        return 0

    async def refresh(self, lookups, **_):
        self.refreshed += 1
        return {}

    def must_reverify(self, lookups):
        return self.doubtful

    async def reverify(self, lookups, **_):
        return {lookup: clear(lookup.list_id) for lookup in lookups} if self.doubtful else {}

    def is_hearsay(self, lookup):
        return False

    def saves_reverifications(self, lookups):
        return False

    def add_known_good(self, client, cleared):
        pass


class Greylist:
    """Says what it was told; at once, unless it `waits` for a store that others write to as well."""

    def __init__(self):
        self.told = ()
        self.waits = False
        self.recorded = None

    def try_consider(self, attempt, *, must_recheck, **told):
        return None if self.waits else self.say(attempt, **told)

    def say(self, attempt, *, record, suspicious, score, verify):
        self.recorded = record
        self.told = attempt.client_name, attempt.sender, suspicious, score, verify()
        waits = attempt.recipient.startswith("bob")
        return GreylistOutcome("new", missing=300, reason="new") if waits else GreylistOutcome("known")

    async def read_up(self):
        return False

    async def consider(self, attempt, *, recheck, **told):
        return self.say(attempt, **told)


def same(verdict):
    """A verdict without what is its own: reference, milliseconds, how old the evidence is."""
    findings = [each._replace(ms=0, evidence=[piece[:2] for piece in each.evidence]) for each in verdict.findings]
    return replace(verdict, id="", ms=0, findings=findings)


class Cached(RuleBasedStateMachine):
    """One service that keeps, one that never does, over the same world."""

    @initialize(preset=st.sampled_from(["tutorial", "scored"]))
    def begin(self, preset):
        self.preset = preset
        self.regulars = [attempt(sender=SENDERS[0], helo_name=HELOS[0], recipient=RECIPIENTS[0])]
        self.clock = Clock()
        self.internet = Internet(self.clock)
        self.overrides = OverrideIndex()
        self.booked = Generation()
        self.online = True
        self.shared = False
        self.loop = asyncio.new_event_loop()
        self.never = Generation()
        self.fresh = self.service(self.never)
        self.reload(RULES[0])

    def teardown(self):
        if hasattr(self, "loop"):
            self.loop.close()

    def service(self, generation, rules=RULES[0]):
        greylist = Greylist()
        service = PolicyService(
            partial(build, PRESETS[self.preset], overrides=self.overrides, options={"spf": SpfOptions()}),
            self.internet,
            self.internet,
            greylist,
            self.clock,
            rules,
            Counters(),
            lambda: "REF",
            VerdictStore(MemoryStore(), self.clock, Counters()),
            online=lambda: self.online,
            generation=generation,
        )
        return service, greylist

    @rule(rules=st.sampled_from(RULES))
    def reload(self, rules):
        self.cached = self.service(Generation(self.internet.generation, self.booked), rules)
        self.fresh = self.service(self.never, rules)

    @rule(
        client=st.sampled_from(CLIENTS),
        name=st.sampled_from(["", "unknown", "mail.example.com"]),
        helo=st.sampled_from(HELOS),
        senders=st.lists(st.sampled_from(SENDERS), min_size=1, max_size=3, unique=True),
        recipients=st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=2, unique=True),
    )
    def others_come(self, client, name, helo, senders, recipients):
        self.regulars = [
            attempt(client_address=client, reverse_client_name=name, helo_name=helo, sender=sender, recipient=recipient)
            for sender in senders
            for recipient in recipients
        ]

    @invariant()
    def verdicts_are_the_same(self):
        for each in self.regulars:
            self.attempt(each)

    def attempt(self, given):
        (cached, greylist), (fresh, greylist_too) = self.cached, self.fresh
        greylist.told = greylist_too.told = ()
        greylist.waits = self.shared
        self.never.bump()
        expected = self.loop.run_until_complete(fresh.verdict_on(given, record=True))
        found = cached.try_verdict(given, record=True) or self.loop.run_until_complete(cached.verdict_on(given, record=True))
        assert same(found) == same(expected)
        assert greylist.told == greylist_too.told

    @rule(seconds=st.sampled_from([1, 20, 55, 200]))
    def time_goes_by(self, seconds):
        self.clock.now += seconds

    @rule(text=st.sampled_from(sorted(RECORDS)), number=st.integers(0, 4), ttl=st.sampled_from([30, 120, 3600]))
    def record_changes(self, text, number, ttl):
        self.world_changes(dns(text), RECORDS[text][number % len(RECORDS[text])], ttl)

    @rule(question=st.sampled_from(LISTINGS), weight=st.sampled_from([0, 3, 6]), ttl=st.sampled_from([30, 120, 3600]))
    def listing_changes(self, question, weight, ttl):
        trust = 2 if question.list_id == "allow" else 0
        self.world_changes(question, listed(question.list_id, weight, trust=trust) if weight else clear(question.list_id), ttl)

    def world_changes(self, question, value, ttl):
        self.internet.world[question], self.internet.ttls[question] = value, ttl

    @rule()
    def flush(self):
        self.internet.memory.clear()
        self.internet.generation.bump()

    @rule(list_id=st.sampled_from(["zen", "dbl", "allow"]))
    def health_changes(self, list_id):
        self.internet.suspended ^= {list_id}
        self.internet.generation.bump()

    @rule()
    def doubts(self):
        self.internet.doubtful = not self.internet.doubtful

    @rule()
    def store_changes(self):
        self.shared = not self.shared

    @rule()
    def network_fails(self):
        self.online = not self.online

    @rule(
        action=st.sampled_from(["allow", "deny"]),
        subject=st.sampled_from(SUBJECTS),
        recipient=st.sampled_from(["", "ann@example.org", "example.org"]),
        lasts=st.sampled_from([0, 30, 300]),
    )
    def override(self, action, subject, recipient, lasts):
        now = int(self.clock.wall())
        self.overrides.put(Override(key_of(action, subject, "", recipient), now, now + lasts if lasts else 0))
        self.booked.bump()

    @rule(number=st.integers(0, 20))
    def override_goes(self, number):
        keys = [each.key for each in self.overrides]
        if keys:
            self.overrides.drop(keys[number % len(keys)])
            self.booked.bump()


TestCached = Cached.TestCase
TestCached.settings = settings(max_examples=50, stateful_step_count=25)


# -- what a verdict rests on, each by itself


@pytest.fixture
def pair():
    """Verdicts of both services, over records that last for an hour, and listings for a minute."""
    machine = Cached()
    machine.begin(preset="tutorial")
    for text in RECORDS:
        machine.record_changes(text=text, number=0, ttl=3600)
    machine.flush()
    yield machine
    machine.teardown()


def come(pair, recipients=RECIPIENTS[:1], **who):
    who = {"client": CLIENTS[0], "name": "", "helo": HELOS[0], "senders": SENDERS[:1], **who}
    pair.others_come(recipients=recipients, **who)
    pair.verdicts_are_the_same()


def test_an_override_for_one_recipient_is_for_no_other(pair):
    pair.override(action="deny", subject=CLIENTS[0], recipient="ann@example.org", lasts=0)
    come(pair, recipients=RECIPIENTS[:2])


def test_an_override_ends(pair):
    pair.override(action="deny", subject=CLIENTS[0], recipient="", lasts=30)
    come(pair)
    pair.time_goes_by(seconds=40)
    pair.verdicts_are_the_same()


def test_the_time_in_an_explanation_is_now(pair):
    pair.record_changes(text="example.com TXT", number=4, ttl=3600)
    pair.record_changes(text="why.test TXT", number=2, ttl=3600)
    pair.flush()
    come(pair)
    pair.time_goes_by(seconds=1)
    pair.verdicts_are_the_same()


def test_a_listing_counts_when_it_is_learnt(pair):
    pair.listing_changes(question=LISTINGS[0], weight=0, ttl=30)
    pair.flush()
    come(pair)
    pair.listing_changes(question=LISTINGS[0], weight=6, ttl=30)
    pair.time_goes_by(seconds=40)
    pair.verdicts_are_the_same()


def test_a_listing_is_reverified_before_each_refusal(pair):
    pair.listing_changes(question=LISTINGS[0], weight=6, ttl=3600)
    pair.flush()
    come(pair)
    pair.doubts()
    pair.verdicts_are_the_same()


@pytest.mark.parametrize(
    ("text", "before", "after", "helo"),
    [("mail.example.com A", 0, 2, HELOS[0]), ("helo.example.net A", 1, 0, HELOS[1])],
)
def test_a_record_counts_when_it_is_learnt(pair, text, before, after, helo):
    pair.record_changes(text=text, number=before, ttl=30)
    pair.flush()
    come(pair, helo=helo)
    pair.record_changes(text=text, number=after, ttl=30)
    pair.time_goes_by(seconds=40)
    pair.verdicts_are_the_same()


# -- bounds


def kept(reason="fine"):
    return Assessment(Decision(Action.ACCEPT, 0, reason), WhatIfs((), ()), False, (), (), None)


def test_strangers_cannot_fill_it():
    cache = VerdictCache(Generation())
    lifetime = Lifetime(100, 0, 100)
    for number, client in zip(range(bounds.VERDICTS_CACHED + 50), ip_network("10.0.0.0/16"), strict=False):
        cache.put(attempt(client_address=client), "", kept(), lifetime, 0, by_sender=False, reads_sender=number % 2 == 0)
    assert len(cache) == bounds.VERDICTS_CACHED


def test_long_texts_are_not_kept():
    cache = VerdictCache(Generation())
    for characters, found in ((bounds.VERDICT_CACHE_TEXT, True), (bounds.VERDICT_CACHE_TEXT + 1, False)):
        subject = attempt(helo_name="x" * characters)
        cache.put(subject, "", kept(), Lifetime(100, 0, 100), 0, by_sender=False, reads_sender=False)
        assert (cache.get(subject, "", by_sender=False, now=1, wall=1) is not None) is found


def test_what_was_begun_before_a_change_is_not_kept():
    generation = Generation()
    cache = VerdictCache(generation)
    begun = generation.number
    generation.bump()
    cache.put(attempt(), "", kept(), Lifetime(100, 0, 100), begun, by_sender=False, reads_sender=False)
    assert cache.get(attempt(), "", by_sender=False, now=1, wall=1) is None


class UnreadGreylist(Greylist):
    """Has to read first what it knows of the client."""

    def __init__(self):
        super().__init__()
        self.read = False
        self.waited_for = 0

    def try_consider(self, attempt, **told):
        return super().try_consider(attempt, **told) if self.read else None

    async def read_up(self):
        self.read = True
        return True

    async def consider(self, attempt, *, recheck, **told):
        self.waited_for += 1
        return self.say(attempt, **told)


def test_what_greylisting_has_to_read_makes_nothing_be_evaluated_again(pair):
    come(pair)
    service, _ = pair.cached
    service._greylister = greylist = UnreadGreylist()
    given = pair.regulars[0]
    assert service.try_verdict(given, record=True) is None
    found = pair.loop.run_until_complete(service.verdict_on(given, record=True))
    assert (found.greylist.state, greylist.waited_for) == ("known", 0)


class Passing(Greylist):
    """Waits for its store, and has the client pass that has waited for `waited` seconds, if it still is to."""

    def __init__(self, waited):
        super().__init__()
        self.waits, self.waited, self.scores = True, waited, []

    async def consider(self, attempt, *, recheck, **told):
        self.scores.append(await recheck(self.waited))
        return GreylistOutcome("passed", delayed=self.waited)


@pytest.mark.parametrize(("waited", "refreshed"), [(300, 0), (60, 1)])
def test_who_passes_is_looked_up_again_where_what_is_known_is_old(pair, waited, refreshed):
    come(pair)
    pair.time_goes_by(seconds=40)
    service, _ = pair.cached
    service._greylister = greylist = Passing(waited)
    found = pair.loop.run_until_complete(service.verdict_on(pair.regulars[0], record=True))
    assert (found.greylist.state, greylist.scores, pair.internet.refreshed) == ("passed", [found.score], refreshed)


def test_a_verdict_that_waits_for_greylisting_alone_is_evaluated_once(pair, monkeypatch):
    come(pair)
    service, greylist = pair.cached
    greylist.waits = True
    monkeypatch.setattr(pair.internet, "cached", None)
    monkeypatch.setattr(pair.internet, "known", None)
    found = pair.loop.run_until_complete(service.verdict_on(pair.regulars[0], record=True))
    assert (found.greylist.state, found.partial) == ("known", False)


def test_who_only_looks_at_what_was_tried_changes_nothing(pair):
    come(pair)
    service, greylist = pair.cached
    greylist.waits = True
    assert service.try_verdict(pair.regulars[0], record=True) is None
    pair.loop.run_until_complete(service.verdict_on(pair.regulars[0], record=False))
    assert greylist.recorded is False
