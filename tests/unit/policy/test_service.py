"""The screening of an attempt on virtual time: real checks, engine and greylister of the test's own making behind them."""

import asyncio
import logging
from functools import partial
from ipaddress import ip_network
from itertools import count

import pytest
from mailcases import CLIENT, LISTS, REVERSE, World, a, attempt, clear, codes, dns, listed, mx, ptr
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.service import CLIENTS, Greylister
from resolverd.mail.findings import Action, Evidence, GreylistOutcome
from resolverd.mail.lookups import Absent, DnsLookup, ListLookup, Records
from resolverd.metrics import Counters
from resolverd.policy.asking import Fold
from resolverd.policy.cache import Transaction, TransactionCache
from resolverd.policy.check import Check, neutral
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.rhsbl import RhsblOptions
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.lookup_budget import LookupBudgets, ZoneRates
from resolverd.policy.lookups import LookupResults, reply_of
from resolverd.policy.service import PolicyService
from resolverd.policy.verdict import Mode, RecipientPolicy, VerdictRules
from resolverd.policy.verdicts import VerdictStore
from resolverd.state.memory import MemoryStore
from resolverd.values import replace
from resolverd.wire import codes as dnscodes
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset

RTT = 0.1
HOST = "mail.example.com"


def txt(text):
    return Records((bytes([len(text)]) + text.encode(),), 300)


GOOD = {f"{REVERSE} PTR": ptr(HOST), f"{HOST} A": a(CLIENT), "example.com MX": mx(HOST)}
DELIVERY = {"helo_name": HOST, "sender": "joe@example.com", "recipient": "ann@example.org", "instance": "1.2.3"}


def answer_of(reply, question):
    """The answer that a resolver would give for a reply of the world."""
    if isinstance(reply, Records):
        return Answer(dnscodes.NOERROR, (RRset(question.name, question.rtype, reply.ttl, reply.rdatas),))
    if isinstance(reply, Absent):
        return Answer(dnscodes.NXDOMAIN if reply.nxdomain else dnscodes.NOERROR)
    return servfail(dnscodes.EDE_NO_REACHABLE_AUTHORITY) if reply.why is Why.TIMEOUT else Answer(dnscodes.SERVFAIL)


class Internet:
    """Resolver and engine at once: every answer takes `rtt` or what `delays` says, those in `silent` never come."""

    def __init__(self, records=None, lists=None, *, rtt=RTT, silent=(), delays=None):
        self.world = World(records, lists)
        self.rtt = rtt
        delays = {**(delays or {}), **dict.fromkeys(silent, 1e6)}
        self.delays = {dns(name) if isinstance(name, str) else name: delay for name, delay in delays.items()}
        self.asked = []
        self.deadlines = {}
        self.cancelled = 0
        self.specs = LISTS
        self.frugal = False
        self.changed = {}
        self.asked_again = []
        self.looked_twice = []
        self.few_looks = False
        self.known_good = {}

    async def _wait(self, question, deadline):
        self.asked.append(question)
        self.deadlines[question] = deadline
        try:
            await asyncio.sleep(self.delays.get(question, self.rtt))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def known(self, name, rtype):
        return None

    def cached(self, lookup):
        return None

    async def resolve(self, name, rtype, *, deadline, shared_budget=None):
        question = DnsLookup(name, rtype)
        await self._wait(question, deadline)
        return answer_of(self.world.reply(question), question)

    async def ask(self, question, *, deadline):
        await self._wait(question, deadline)
        return self.world.reply(question)

    def stage(self, lookup):
        return 0 if not self.frugal or lookup.list_id == "allow" else 2 if isinstance(lookup.subject, str) else 1

    async def refresh(self, lookups, *, deadline):
        self.asked_again += lookups
        return {lookup: self.changed[lookup] for lookup in lookups if lookup in self.changed}

    async def reverify(self, lookups, *, client, deadline):
        self.looked_twice += lookups
        return {lookup: self.changed[lookup] for lookup in lookups if lookup in self.changed}

    def must_reverify(self, lookups):
        return True

    def is_hearsay(self, lookup):
        return False

    def saves_reverifications(self, lookups):
        return self.few_looks

    def add_known_good(self, client, cleared):
        self.known_good[str(client)] = set(cleared)


class Greylist:
    def __init__(self, outcome=None):
        self.outcome = outcome or GreylistOutcome("known", reason="triplet found")
        self.calls = []
        self.outcomes = {}

    async def read_up(self):
        return False

    async def consider(self, attempt, *, record, suspicious, score, verify, recheck):
        self.calls.append((attempt.recipient, record, suspicious))
        self.told = (score, verify())
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome == "hangs":
            await asyncio.sleep(1e6)
        if record and self.outcome.state == "passed":
            self.heard = await recheck(self.outcome.delayed)
            if self.heard is None:
                return GreylistOutcome("skipped", reason="refused")
        return self.outcomes.get(attempt.recipient, self.outcome)


class Setup:
    def __init__(
        self,
        internet=None,
        greylist=None,
        preset="tutorial",
        checks=None,
        online=lambda: True,
        before=None,
        hit=lambda held: None,
        generation=None,
        **rules,
    ):
        self.internet = internet or Internet(GOOD)
        self.greylist = Greylist(greylist)
        self.counters = Counters()
        ids = count(1)
        self.verdicts = VerdictStore(MemoryStore(), VirtualClock(), self.counters)
        self.policy = PolicyService(
            checks or partial(build, PRESETS[preset], options={"spf": SpfOptions(header="none")}),
            self.internet,
            self.internet,
            self.greylist,
            VirtualClock(),
            VerdictRules(**rules),
            self.counters,
            lambda: f"REF{next(ids)}",
            self.verdicts,
            online=online,
            hostname="mx.example.org",
            headers=before and before.policy.headers,
            hit=hit,
            generation=generation,
        )

    async def verdict(self, *, record=True, **attributes):
        return await self.policy.verdict_on(attempt(**(DELIVERY | attributes)), record=record)


@virtual
async def test_a_good_client_is_accepted():
    setup = Setup()
    verdict = await setup.verdict()
    assert (verdict.action, verdict.reply, verdict.score, verdict.partial) == (Action.ACCEPT, None, 0, False)
    assert verdict.ms == 100  # its HELO name is its reverse name, so everything was known after one round trip
    assert codes(verdict.findings) == [
        "ptr_ok", "fcrdns_ok", "helo_ok", "sender_domain_ok", "spf_none", "dnsbl_clear", "rhsbl_clear", "dnswl_clear",
    ]  # fmt: skip
    assert setup.greylist.calls == [("ann@example.org", True, False)]


@virtual
async def test_what_is_known_of_an_attempt_is_looked_up_once():
    setup = Setup()
    recall, recalled = setup.policy._evaluator.recall, []
    setup.policy._evaluator.recall = lambda attempt, *now: recalled.append(attempt.sender) or recall(attempt, *now)
    first, second = (attempt(**{**DELIVERY, "sender": sender}) for sender in ("a@example.com", "b@example.com"))
    for each in (first, second):
        assert setup.policy.try_verdict(each, record=True) is None
    assert (await setup.policy.verdict_on(second, record=True)).action is Action.ACCEPT
    assert recalled == ["a@example.com", "b@example.com"]
    for _ in range(2):  # others have come meanwhile, so it may be known by now
        assert (await setup.policy.verdict_on(first, record=True)).action is Action.ACCEPT
    assert recalled == ["a@example.com", "b@example.com", "a@example.com", "a@example.com"]


@virtual
async def test_a_new_client_takes_no_more_than_three_round_trips():
    internet = Internet({f"{REVERSE} PTR": ptr("a.example.net"), "a.example.net A": a("192.0.2.99")})
    verdict = await Setup(internet).verdict()
    assert "fcrdns_mismatch" in codes(verdict.findings)
    assert verdict.ms <= 300


@virtual
async def test_every_question_is_asked_once():
    setup = Setup()
    await setup.verdict(helo_name="example.com")
    assert len(setup.internet.asked) == len(set(setup.internet.asked))


@virtual
async def test_a_listed_client_is_refused_and_not_greylisted():
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6, link="https://zen.example/")}))
    verdict = await setup.verdict()
    assert str(verdict.reply) == (
        "554 5.7.1 Service unavailable (Client host [192.0.2.7] blocked using zen.test); https://zen.example/; ref REF1"
    )
    assert setup.greylist.calls == []


@virtual
async def test_a_client_without_name_is_refused():
    verdict = await Setup(Internet({f"{HOST} A": a(CLIENT), "example.com MX": mx(HOST)})).verdict()
    assert str(verdict.reply) == "450 4.7.25 Client host rejected (cannot find your reverse hostname); ref REF1"


@virtual
async def test_a_client_on_an_allow_list_is_let_through_though_listed():
    lists = {("zen", CLIENT): listed("zen", 6), ("allow", CLIENT): listed("allow", -4, trust=2)}
    assert (await Setup(Internet(GOOD, lists)).verdict()).action is Action.ACCEPT


@virtual
async def test_time_is_up_after_the_deadline_and_what_is_there_decides():
    silent = [
        f"{REVERSE} PTR",
        *(ListLookup(spec.id, attempt().client_address) for spec in LISTS if spec.id in ("psbl", "allow")),
    ]
    internet = Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, silent=silent)
    setup = Setup(internet)
    began = asyncio.get_running_loop().time()
    verdict = await setup.verdict()
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(4)
    assert verdict.partial
    assert codes(verdict.findings)[:2] == ["ptr_unknown", "fcrdns_unknown"]
    # The allow list might have had it: 450 instead of 554.
    assert (verdict.action, verdict.reply.code) == (Action.DEFER, 450)
    assert internet.cancelled == len(silent)


@virtual
async def test_lists_have_their_own_deadline_and_it_is_never_beyond_the_whole():
    setup = Setup(Internet(GOOD, rtt=1.5), deadline=4.0, list_deadline=2.0)
    await setup.verdict(helo_name="")
    began = 1000.0
    by_list = {(q.list_id, str(q.subject)): at - began for q, at in setup.internet.deadlines.items() if isinstance(q, ListLookup)}
    assert by_list["zen", CLIENT] == 2
    assert by_list["dbl", HOST] == 3.5
    assert {at - began for q, at in setup.internet.deadlines.items() if isinstance(q, DnsLookup)} == {4.0}
    late = Setup(Internet(GOOD, rtt=3.0))
    began = asyncio.get_running_loop().time()
    await late.verdict(helo_name="")
    assert max(late.internet.deadlines.values()) == began + 4


@virtual
async def test_an_answer_that_no_check_needs_any_more_is_not_waited_for():
    internet = Internet({**GOOD, "other.example A": a(CLIENT)}, silent=["other.example AAAA"])
    verdict = await Setup(internet).verdict(helo_name="other.example")
    assert verdict.ms == 200
    assert not verdict.partial


@virtual
async def test_waived_clients_are_asked_nothing():
    setup = Setup(trusted_networks=(ip_network("192.0.2.0/24"),))
    assert (await setup.verdict()).reason == "trusted network"
    assert (await setup.verdict(client_address="198.51.100.1", sasl_username="joe")).reason == "authenticated client"
    assert (await setup.verdict(client_address="::ffff:192.0.2.1")).reason == "trusted network"
    assert setup.internet.asked == []
    assert setup.greylist.calls == []


@virtual
async def test_exempt_recipients_pass_with_their_findings():
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}))
    verdict = await setup.verdict(recipient="postmaster@example.org")
    assert (verdict.action, verdict.greylist) == (Action.ACCEPT, None)
    assert "dnsbl_listed" in codes(verdict.findings)


@pytest.mark.parametrize("state", ["CONNECT", "EHLO", "HELO", "MAIL", "DATA", "END-OF-MESSAGE", "VRFY", "ETRN", ""])
def test_only_recipients_are_judged(state):
    @virtual
    async def run():
        setup = Setup(Internet({}, {("zen", CLIENT): listed("zen", 6)}))
        verdict = await setup.verdict(protocol_state=state)
        assert (verdict.action, verdict.findings, setup.internet.asked) == (Action.ACCEPT, (), [])

    run()


# -- greylisting and headers


@virtual
async def test_greylisted():
    verdict = await Setup(greylist=GreylistOutcome("new", missing=300, reason="new")).verdict()
    assert (verdict.action, verdict.reply, verdict.header) == (Action.GREYLIST, None, "")
    assert verdict.greylist.missing == 300


@virtual
async def test_suspicion_reaches_greylisting():
    setup = Setup(Internet({**GOOD, f"{REVERSE} PTR": Absent(True)}), preset="scored")
    await setup.verdict()
    assert setup.greylist.calls == [("ann@example.org", True, True)]


@virtual
async def test_greylisting_is_told_the_points_and_to_whom_the_client_belongs():
    internet = Internet(GOOD | {"example.com TXT": txt("v=spf1 a:mail.example.com -all")}, {("psbl", CLIENT): listed("psbl", 3)})
    setup = Setup(internet, preset="scored")
    await setup.verdict()
    assert setup.greylist.told == (3, VerifiedDomains("example.com", HOST))
    anybody = Internet({"example.com TXT": txt("v=spf1 +all"), "example.com MX": mx(HOST)})
    everybody = Setup(anybody, preset="scored", reject_at=99)
    await everybody.verdict()
    assert everybody.greylist.told[1] == VerifiedDomains("", "")
    told = Setup()
    await told.verdict(client_name="MX7.Provider.example", reverse_client_name="mx7.provider.example")
    assert told.greylist.told[1] == VerifiedDomains("", "mx7.provider.example")


PASSED = GreylistOutcome("passed", delayed=300, reason="triplet found")


@pytest.mark.parametrize(
    ("outcome", "age", "again"),
    [
        (PASSED, 299, True),
        (PASSED, 151, True),
        (PASSED, 150, False),  # asked since
        (PASSED, 0, False),
        (GreylistOutcome("known", reason="triplet found"), 299, False),
        (GreylistOutcome("new", missing=300, reason="new"), 299, False),
    ],
)
@virtual
async def test_lists_are_asked_again_at_the_retry(outcome, age, again):
    zen = ListLookup("zen", attempt().client_address)
    internet = Internet(GOOD, {("zen", CLIENT): clear("zen")._replace(age=age)})
    internet.changed[zen] = listed("zen", 6)
    setup = Setup(internet, outcome)
    dry = await setup.verdict(record=False)
    assert internet.asked_again == []
    verdict = await setup.verdict()
    assert internet.asked_again == ([zen] if again else [])
    assert verdict.action is (Action.REJECT if again else dry.action)
    if again:
        assert verdict.header == ""
        assert verdict.reply.code == 554
        assert setup.greylist.heard is None
    else:
        assert verdict.action is dry.action


@virtual
async def test_who_is_refused_at_the_retry_has_passed_nothing():
    """With greylisting itself behind it: the triplet waits on, and passes once nobody lists the client any more."""
    zen = ListLookup("zen", attempt().client_address)
    internet = Internet(GOOD, {("zen", CLIENT): clear("zen")._replace(age=10_000)})
    setup, store = Setup(internet), MemoryStore()
    setup.policy._greylister = Greylister(store, VirtualClock(), GreylistRules(auto_allow_after=1), Counters())
    said = []
    for number, zen_says in enumerate((clear("zen"), listed("zen", 6), clear("zen"), clear("zen"))):
        internet.changed[zen] = zen_says
        verdict = await setup.verdict(instance=f"message {number}")
        clients = [entry async for entry in store.scan(CLIENTS, 0)]
        said.append((verdict.action, verdict.header.split(" seconds")[0], len(clients)))
        await asyncio.sleep(300)
    assert said == [
        (Action.GREYLIST, "", 0), (Action.REJECT, "", 0), (Action.ACCEPT, "X-Greylist: delayed 600", 1), (Action.ACCEPT, "", 1)
    ]  # fmt: skip


@virtual
async def test_a_list_that_does_not_answer_again_changes_nothing():
    internet = Internet(GOOD, {("zen", CLIENT): clear("zen")._replace(age=300)})
    verdict = await Setup(internet, PASSED).verdict()
    assert len(internet.asked_again) == 1
    assert verdict.action is Action.ACCEPT
    assert verdict.header.startswith("X-Greylist: delayed 300 seconds")


@virtual
async def test_first_success_has_its_header_once_a_message():
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421))
    first, second = await setup.verdict(), await setup.verdict(recipient="bob@example.org")
    assert first.header.startswith("X-Greylist: delayed 421 seconds by resolverd-")
    assert " at mx.example.org; " in first.header
    assert second.header == ""
    assert (await setup.verdict(protocol_state="DATA", recipient="")).header == ""


@virtual
async def test_headers_go_out_one_a_request_the_last_at_data():
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421), mode=Mode.OBSERVE)
    assert (await setup.verdict()).header.startswith("X-Greylist: ")
    assert (await setup.verdict(protocol_state="DATA", recipient="")).header == "X-Resolverd: accept; score=0; ref=REF1"
    assert (await setup.verdict(protocol_state="DATA", recipient="")).header == ""


@virtual
async def test_without_instance_the_first_header_is_all_there_is():
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421), mode=Mode.OBSERVE)
    assert (await setup.verdict(instance="")).header.startswith("X-Greylist: ")
    assert (await setup.verdict(instance="", protocol_state="DATA")).header == ""


EXIM = "192.0.2.7/joe@example.com/ann@example.org"
"""``instance`` as Postgrey's README.exim has it."""


@virtual
async def test_an_instance_that_names_people_is_no_message():
    """Exim asks once a connection, at RCPT alone, and gives the same instance with the next message."""
    checks = partial(build, PRESETS["tutorial"])
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421), checks=checks)
    assert (await setup.verdict(sender="joe@example.com", instance=EXIM)).header.startswith("Received-SPF: ")
    setup.greylist.outcome = GreylistOutcome("known", reason="triplet found")
    for _ in range(3):
        assert (await setup.verdict(sender="joe@example.com", instance=EXIM)).header.startswith("Received-SPF: ")
    assert len(setup.policy.headers) == 0
    null = "192.0.2.7//Ann@example.org"
    for _ in range(2):
        assert (await setup.verdict(sender="", instance=null)).header.startswith("Received-SPF: ")


@virtual
async def test_a_message_to_one_recipient_loses_no_header():
    checks = partial(build, PRESETS["tutorial"])
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421), mode=Mode.OBSERVE, checks=checks)
    assert (await setup.verdict()).header.startswith("Received-SPF: none")
    last = (await setup.verdict(protocol_state="DATA", recipient="")).header
    assert last.startswith("X-Resolverd: accept; score=0; ref=REF1; X-Greylist: delayed 421 seconds by resolverd-")


@virtual
async def test_observing_refuses_nobody():
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}), mode=Mode.OBSERVE)
    verdict = await setup.verdict()
    assert (verdict.action, verdict.reply) == (Action.ACCEPT, None)
    assert verdict.header.startswith("X-Resolverd: would reject (Client host [192.0.2.7] blocked using zen.test")


@pytest.mark.parametrize("order", [("ann", "bob"), ("bob", "ann")])
@virtual
async def test_the_header_tells_the_harshest_verdict_of_the_message(order):
    """Bob's mail would be greylisted, Ann's would pass."""
    setup = Setup(mode=Mode.OBSERVE)
    setup.greylist.outcomes = {"bob@example.org": GreylistOutcome("new", missing=300, reason="new")}
    for name in order:
        assert (await setup.verdict(recipient=f"{name}@example.org")).header == ""
    header = (await setup.verdict(protocol_state="DATA", recipient="")).header
    assert header.startswith("X-Resolverd: would greylist (greylisted, new); score=0; ref=")


@virtual
async def test_a_recipient_who_is_refused_has_no_say_in_what_others_get():
    policies = (RecipientPolicy(("bob@example.org",), mode=Mode.ENFORCE),)
    setup = Setup(mode=Mode.OBSERVE, policies=policies)
    setup.greylist.outcomes = {"bob@example.org": GreylistOutcome("new", missing=300, reason="new")}
    assert (await setup.verdict(recipient="bob@example.org")).action is Action.GREYLIST
    await setup.verdict(recipient="ann@example.org")
    assert (await setup.verdict(protocol_state="DATA", recipient="")).header.startswith("X-Resolverd: accept; ")


@virtual
async def test_trying_out_changes_nothing():
    setup = Setup(greylist=GreylistOutcome("passed", delayed=421))
    dry = await setup.verdict(record=False)
    assert dry.header.startswith("X-Greylist: ")
    assert setup.counters.snapshot() == []
    assert setup.greylist.calls == [("ann@example.org", False, False)]
    assert (await setup.verdict()).header.startswith("X-Greylist: ")
    assert (await setup.verdict(record=False, protocol_state="DATA")).header == ""


# -- faults of ours


class Broken(Check):
    name = "broken"

    def __init__(self, where):
        self.where = where

    def run(self, attempt):
        if self.where == "asks":
            raise RuntimeError("bug")
        yield (dns("broken.example A"),)
        if self.where == "judge":
            raise RuntimeError("bug")
        if self.where == "fold":
            return Fold((), lambda replies: 1 / 0)
        return [neutral("broken", "broken_ok", "")]


@pytest.mark.parametrize("where", ["asks", "judge", "fold"])
def test_a_failing_check_is_told_logged_counted_and_harmless(where, caplog):
    @virtual
    async def run():
        setup = Setup(checks=lambda lists: (Broken(where), *build(PRESETS["tutorial"], lists)))
        verdict = await setup.verdict()
        assert verdict.action is Action.ACCEPT
        assert codes(verdict.findings)[:2] == ["internal_error", "ptr_ok"]
        assert setup.counters.get("check_errors", check="broken") == 1

    with caplog.at_level(logging.ERROR):
        run()
    assert [bool(record.exc_info) for record in caplog.records] == [True]


class Insatiable(Check):
    name = "insatiable"

    def run(self, attempt):
        replies = yield ()
        while True:
            wanted = [dns(f"h{i}.example A") for i in range(10 * len(replies) + 10)]
            replies = yield tuple(question for question in wanted if question not in replies)


@virtual
async def test_a_check_that_never_has_enough_is_stopped():
    setup = Setup(Internet(rtt=0.001), checks=lambda lists: (Insatiable(),))
    verdict = await setup.verdict()
    assert len(setup.internet.asked) == bounds.MAIL_QUESTIONS
    assert verdict.action is Action.ACCEPT


@pytest.mark.parametrize("outcome", [RuntimeError("bug"), "hangs"])
def test_mail_passes_when_greylisting_fails(outcome, caplog):
    @virtual
    async def run():
        setup = Setup(greylist=outcome)
        verdict = await setup.verdict()
        assert (verdict.action, verdict.greylist.state) == (Action.ACCEPT, "skipped")
        assert setup.counters.get("bugs", where="greylist") == 1

    run()


@virtual
async def test_mail_passes_when_resolver_and_engine_fail():
    internet = Internet(GOOD)
    internet.resolve = internet.ask = None
    setup = Setup(internet)
    verdict = await setup.verdict()
    assert (verdict.action, verdict.partial) == (Action.ACCEPT, True)
    assert set(codes(verdict.findings)) == {"internal_error"}


@virtual
@pytest.mark.parametrize("preset", ["tutorial", "scored"])
async def test_mail_passes_while_the_internet_is_out_of_reach(preset):
    unknown = Internet({question: Unknown(Why.TIMEOUT) for question in GOOD})
    setup = Setup(unknown, preset=preset, online=lambda: False)
    verdict = await setup.verdict()
    assert (verdict.action, verdict.greylist.state) == (Action.ACCEPT, "known")
    assert setup.greylist.calls[0][2], "everybody is suspicious of whom nothing can be found out"
    waiting = Setup(unknown, GreylistOutcome("new"), preset=preset, online=lambda: False)
    assert (await waiting.verdict()).action is Action.GREYLIST
    assert codes(verdict.findings)[:4] == ["ptr_unknown", "fcrdns_unknown", "helo_unknown", "sender_domain_unknown"]
    refused = Action.REJECT if preset == "tutorial" else Action.ACCEPT
    assert (await setup.verdict(helo_name="not-qualified")).action is refused


@virtual
async def test_who_keeps_his_names_from_being_found_out_is_greylisted():
    # Points need knowledge; suspicion does not.
    silent = Internet({question: Unknown(Why.TIMEOUT) for question in GOOD if "arpa" in str(question)})
    setup = Setup(silent, preset="scored")
    assert (await setup.verdict()).action is Action.ACCEPT
    assert setup.greylist.calls == [("ann@example.org", True, True)]


@virtual
async def test_mail_passes_when_the_fold_fails():
    setup = Setup(checks=lambda lists: ())
    setup.policy._rules = None
    verdict = await setup.verdict()
    assert (verdict.action, verdict.reason, verdict.id) == (Action.ACCEPT, "internal error", "REF1")
    assert setup.counters.get("bugs", where="policy") == 1


@virtual
async def test_giving_up_leaves_nothing_running():
    internet = Internet(silent=[f"{REVERSE} PTR"])
    screening = asyncio.ensure_future(Setup(internet).verdict())
    await asyncio.sleep(1)
    screening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await screening
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_lists_can_be_switched_while_it_runs():
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}))
    assert (await setup.verdict()).action is Action.REJECT
    setup.internet.specs = tuple(spec for spec in LISTS if spec.id != "zen")
    assert (await setup.verdict()).action is Action.ACCEPT


# -- counting and remembering


@virtual
async def test_verdicts_and_findings_are_counted():
    setup = Setup()
    await setup.verdict()
    assert setup.counters.get("verdicts", action="accept") == 1
    assert setup.counters.get("findings", check="ptr", code="ptr_ok") == 1


def told(verdict):
    """The findings as whoever reads them sees them."""
    return [
        (each[:7], [(piece.asked, piece.answered, piece.age, piece.ms) for piece in each.evidence]) for each in verdict.findings
    ]


@virtual
async def test_verdicts_can_be_read_again():
    setup = Setup()
    for record in (True, False):
        verdict = await setup.verdict(record=record)
        kept = await setup.verdicts.get(verdict.id)
        assert told(kept) == told(verdict)
        assert kept == replace(verdict, findings=kept.findings)
    assert await setup.verdicts.get("nobody") is None


@virtual
async def test_a_reload_forgets_no_headers():
    before = Setup(greylist=GreylistOutcome("passed", delayed=421), mode=Mode.OBSERVE)
    await before.verdict()
    after = Setup(before=before)
    assert (await after.verdict(protocol_state="DATA", recipient="")).header.startswith("X-Resolverd: ")


# -- answers as checks see them

NAME = from_text("example.com")
SOA = RRset(NAME, dnscodes.SOA, 60, (b"",))
ALIAS = RRset(NAME, dnscodes.CNAME, 20, (from_text("x.example.com"),))
ADDRESS = RRset(from_text("x.example.com"), dnscodes.A, 300, (b"\x01\x02\x03\x04",))


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Answer(0, (ADDRESS,)), Records((b"\x01\x02\x03\x04",), 300, None, 7)),
        (Answer(0, (ADDRESS,), age=12), Records((b"\x01\x02\x03\x04",), 300, 12, 7)),
        (Answer(0, (ALIAS, ADDRESS)), Records((b"\x01\x02\x03\x04",), 20, None, 7)),
        (Answer(0, (ALIAS,), (SOA,)), Absent(False, 20, None, 7)),
        (Answer(0, (), (SOA,)), Absent(False, 60, None, 7)),
        (Answer(0), Absent(False, 0, None, 7)),
        (Answer(3, (), (SOA,)), Absent(True, 60, None, 7)),
        (Answer(3, (ALIAS,), (SOA,)), Absent(True, 20, None, 7)),
        (Answer(5), Unknown(Why.REFUSED)),
        (Answer(2), Unknown(Why.FAILED, "SERVFAIL")),
        (Answer(2, errors=(ExtendedError(dnscodes.EDE_BOGUS),)), Unknown(Why.FAILED, "SERVFAIL")),
        (servfail(dnscodes.EDE_NO_REACHABLE_AUTHORITY), Unknown(Why.TIMEOUT, "no name server answered")),
        (servfail(dnscodes.EDE_NETWORK_ERROR), Unknown(Why.TIMEOUT, "the internet is out of reach")),
        (Answer(4), Unknown(Why.FAILED, "NOTIMP")),
    ],
)
def test_reply_of(answer, reply):
    assert reply_of(answer, dnscodes.A, 7) == reply


@virtual
async def test_clear_replies_keep_their_age_in_the_evidence():
    internet = Internet(GOOD, {("zen", CLIENT): clear("zen")._replace(age=33, ms=4)})
    verdict = await Setup(internet).verdict()
    by_code = {finding.code: finding for finding in verdict.findings}
    assert Evidence("192.0.2.7 in zen.test", "not listed", 33, 4) in by_code["dnsbl_clear"].evidence


# -- several recipients


@virtual
async def test_the_client_of_a_message_is_looked_up_once():
    setup = Setup(exempt_recipients=("postmaster@",))
    first = await setup.verdict()
    asked = len(setup.internet.asked)
    second = await setup.verdict(recipient="bob@example.org", recipient_count=1)
    assert (second.ms, second.findings, second.id) == (0, first.findings, "REF2")
    exempt = await setup.verdict(recipient="postmaster@example.org")
    assert exempt.reason == "exempt recipient postmaster@example.org"
    assert len(setup.internet.asked) == asked
    assert [recipient for recipient, _, _ in setup.greylist.calls] == ["ann@example.org", "bob@example.org"]


@virtual
async def test_the_domain_of_each_recipient_is_asked_about_where_that_is_wanted():
    internet = Internet(GOOD, {("dbl", "listed.example.net"): listed("dbl", 6)})
    setup = Setup(internet, checks=partial(build, PRESETS["tutorial"], options={"rhsbl": RhsblOptions(("helo", "recipient"))}))
    assert (await setup.verdict(recipient="ann@example.org")).action is Action.ACCEPT
    asked = len(internet.asked)
    refused = await setup.verdict(recipient="ann@listed.example.net")
    assert refused.reply.text.startswith("Service unavailable (Recipient address [listed.example.net] blocked using dbl.test")
    assert {str(question.subject) for question in internet.asked[asked:]} == {"listed.example.net"}
    assert (await setup.verdict(recipient="bob@example.org")).action is Action.ACCEPT, "the next is not refused for it"


@pytest.mark.parametrize(
    "other", [{"instance": "9.9.9"}, {"instance": ""}, {"sender": "else@example.com"}, {"helo_name": "x.example.com"}]
)
@virtual
async def test_other_messages_are_others(other):
    setup = Setup()
    await setup.verdict(**{name: value for name, value in other.items() if not value})
    asked = len(setup.internet.asked)
    await setup.verdict(**other)
    assert len(setup.internet.asked) > asked


@virtual
async def test_a_dry_run_neither_uses_nor_leaves_what_is_known_of_a_message():
    setup = Setup()
    await setup.verdict(record=False)
    asked = len(setup.internet.asked)
    await setup.verdict()
    assert len(setup.internet.asked) == 2 * asked
    await setup.verdict(record=False)
    assert len(setup.internet.asked) == 3 * asked


@virtual
async def test_what_one_recipient_did_not_need_is_asked_for_the_next():
    """A recipient whose mail passes whatever comes of it wants to see everything; one who is not refuses at once."""
    slow = [ListLookup("psbl", attempt().client_address)]
    setup = Setup(Internet(GOOD, {("zen", CLIENT): listed("zen", 6)}, delays={slow[0]: 1.0}))
    first = await setup.verdict(client_name=HOST, helo_name="")
    assert (first.action, first.ms) == (Action.REJECT, 100)
    second = await setup.verdict(client_name=HOST, helo_name="", recipient="postmaster@example.org")
    assert (second.action, second.ms) == (Action.ACCEPT, 1000)
    assert [question for question in setup.internet.asked if setup.internet.asked.count(question) > 1] == slow * 2


@virtual
async def test_a_message_is_soon_forgotten():
    setup = Setup()
    await setup.verdict()
    asked = len(setup.internet.asked)
    await asyncio.sleep(61)
    await setup.verdict()
    assert len(setup.internet.asked) == 2 * asked


def test_strangers_cannot_fill_the_memory():
    messages = TransactionCache(max_messages=10)
    known = Transaction(LookupResults({}, frozenset()), [], False, LookupBudgets.full(ZoneRates(VirtualClock())))
    for number in range(100):
        messages.put(attempt(instance=str(number)), known, 0, 0)
    messages.put(attempt(), known, 0, 0)
    assert len(messages) == 10
    assert messages.get(attempt(instance="99", recipient="other@example.org"), 60) is known
    assert messages.get(attempt(instance="99"), 61) is None
    assert messages.get(attempt(instance="0"), 0) is None
    assert messages.get(attempt(), 0) is None
