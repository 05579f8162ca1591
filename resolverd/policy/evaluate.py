"""One attempt evaluated: the checks ask side by side, judge, and are folded; again where lists may have changed their answer.

What is found out about the client of a message is found out once, however many recipients it has (`cache`); what was known
without asking anybody is not evaluated again for the next mail like this one (`verdict_cache`).
"""

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Protocol

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown
from resolverd.generation import Generation
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.findings import Action, Finding
from resolverd.mail.lookups import Absent, Clear, Listed, ListLookup, ListReply, LookupReply, Question, Records, Replies
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.overrides.rules import OverrideMatch
from resolverd.policy.asking import Fold, follow
from resolverd.policy.assessment import Assessment
from resolverd.policy.cache import Transaction, TransactionCache
from resolverd.policy.check import Check, judged
from resolverd.policy.early import EarlyDecision
from resolverd.policy.iprev import NamesOnly, iprev, iprev_name
from resolverd.policy.lookup_budget import LookupBudgets, ZoneRates
from resolverd.policy.lookups import LookupResults, reply_of, run_lookups
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import Decision, VerdictRules, decide, drop_tempfails
from resolverd.policy.verdict_cache import Lifetime, VerdictCache
from resolverd.policy.what_if import what_ifs
from resolverd.policy.worth import listings
from resolverd.resolver.ports import Resolver
from resolverd.spf import authorised
from resolverd.wire.names import Address

log = logging.getLogger(__name__)

_DNS_SHARE = 0.9
"""Share of a DNS answer's TTL for which a kept assessment rests on it: then it is asked for, and so renewed before it ends."""
_UNEXPIRING = 3600.0
"""Seconds for which one is kept that rests on nothing that expires."""


class ListEngine(Protocol):
    """The lists engine, as far as it is needed here (`dnsbl.engine`)."""

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment; an admin may switch them while we run."""
        ...

    @property
    def frugal(self) -> bool:
        """Whether questions are to be saved at the cost of round trips."""
        ...

    def cached(self, lookup: ListLookup) -> ListReply | None:
        """What the list has said, where it is still known."""
        ...

    async def ask(self, question: ListLookup, *, deadline: float) -> ListReply:
        """What the list says, by `deadline` (monotonic seconds) at the latest."""
        ...

    def stage(self, lookup: ListLookup) -> int:
        """When a question is to be asked: lower ones first, later ones only while the decision is open."""
        ...

    async def refresh(self, lookups: Iterable[ListLookup], *, deadline: float) -> Mapping[ListLookup, ListReply]:
        """What lists say now, past what is remembered; without those that could not be asked."""
        ...

    async def reverify(
        self, lookups: Iterable[ListLookup], *, client: Address | None = None, deadline: float
    ) -> Mapping[ListLookup, ListReply]:
        """Re-verify listings that are about to refuse this client, where need be; those that have changed."""
        ...

    def must_reverify(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether `reverify` might ask about any of these listings."""
        ...

    def saves_reverifications(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether re-verifications are so few by now that they are for clients whom nothing but these listings speaks against."""
        ...

    def add_known_good(self, client: Address, cleared: Iterable[str]) -> None:
        """A client is known as good, and these lists (by id) do not list it."""
        ...


class Evaluation:
    """One attempt, what is known of it, and the `decision` that this comes to as yet. Made by `Evaluator.evaluate`."""

    def __init__(
        self,
        attempt: Attempt,
        checks: Sequence[Check],
        runs: CheckRuns | None,
        early: EarlyDecision,
        transaction: Transaction,
        engine: ListEngine,
        deadline: float,
        rules: VerdictRules,
        online: Callable[[], bool],
        run_lookups: Callable[..., Awaitable[LookupResults]],
        clock: Clock,
        begun: int,
        since: float,
    ) -> None:
        """`runs`: the checks that were asked now; None where all was known of the message.

        `begun`: the generation in which it was, at `since` (monotonic seconds).
        """
        self.attempt = attempt
        self._checks = checks
        self.transaction = transaction
        self.begun = begun
        self.since = since
        self._names: LookupResults | None = None
        self._verified: VerifiedDomains | None = None
        self._known_runs = runs
        self._early = early
        self._engine = engine
        self._deadline = deadline
        self._rules = rules
        self._online = online
        self._run_lookups = run_lookups
        self._clock = clock
        self.decision = self._decide()

    @property
    def results(self) -> LookupResults:
        """What was asked, and what came back."""
        return self.transaction.results

    @property
    def _runs(self) -> CheckRuns:
        if self._known_runs is None:
            self._known_runs = CheckRuns(self.attempt, self._checks, self.results.replies, self.results.failed)
        return self._known_runs

    @property
    def findings(self) -> list[Finding]:
        """The findings as they count: nobody is refused for the time being over what nobody can look up."""
        return drop_tempfails(self.transaction.findings) if self._is_offline() else self.transaction.findings

    @property
    def overrides(self) -> list[OverrideMatch]:
        """The overrides that have counted."""
        own = [check for check in self._checks if check.is_override and check.name not in self.results.failed]
        return [held for check in own for held in check.overrides(self.attempt, self.results.replies)]

    async def reverify(self) -> None:
        """Have those listings re-verified without which the client would not be refused: once a message."""
        if self.decision.action is not Action.REJECT or self.results.failed or self.transaction.reverified:
            return
        decisive_listings = self._early.decisive_listings(self._runs)
        if decisive_listings and self.results.skipped and self._engine.saves_reverifications(decisive_listings):
            decisive_listings = self._early.decisive_listings(await self._with_names())
        if decisive_listings:
            client = self.attempt.client_address
            self._change(await self._engine.reverify(decisive_listings, client=client, deadline=self._deadline))
            self.transaction = self.transaction._replace(reverified=True)

    async def refresh(self, waited: int) -> None:
        """Ask lists that did not list the client when it came first, so many seconds ago: they may have learnt of it."""
        counts = set(self._runs.wanted(self._runs.suppression().topics))
        if stale := [lookup for lookup in _stale(self.results.replies, waited) if lookup in counts]:
            self._change(await self._engine.refresh(stale, deadline=self._deadline))

    async def find_name(self) -> str:
        """The client's name, verified: as the mail server has it, else as it was found; looked up now if no check wanted it."""
        replies = self.results.replies
        if follow(iprev(self.attempt), replies).wanted:
            self._names = await self._run_lookups(CheckRuns(self.attempt, (NamesOnly(),), dict(replies)))
        return self._name()

    def verify(self) -> VerifiedDomains:
        """To whom the client belongs, as far as it was asked."""
        if self._verified is None:
            replies = self.results.replies
            self._verified = VerifiedDomains(authorised(self.attempt, replies), iprev_name(self.attempt, replies))
        return self._verified

    def assess(self) -> Assessment:
        """What it has come to."""
        results, decision = self.results, self.decision
        return Assessment(
            decision,
            what_ifs(self.attempt, self.findings, self._rules, decision, skipped=results.skipped),
            results.partial,
            tuple(self.overrides),
            tuple(reply.list_id for reply in results.replies.values() if isinstance(reply, Clear)),
            next((finding.header for finding in decision.findings if finding.header is not None), None),
            listings(self.attempt, self.findings, self._rules, decision, offline=self._is_offline()),
        )

    def keep_in(self, verdicts: VerdictCache, assessment: Assessment, recipient: str, *, by_sender: bool) -> None:
        """Have it kept for attempts like this one, if the next would find the same."""
        looked_up = [each for each in (self.results, self._names) if each is not None]
        if self.results.failed or any(each.waited or each.partial for each in looked_up):
            return
        attempt, checks, replies = self.attempt, self._checks, self.results.replies
        lasts = min((_lasts(reply) for each in looked_up for reply in each.replies.values()), default=_UNEXPIRING)
        wall_until = min(check.holds_until(attempt, replies) for check in checks) if checks else math.inf
        if lasts <= 0 or wall_until <= attempt.at:
            return
        oldest = max((reply.age for reply in replies.values() if isinstance(reply, Clear)), default=-math.inf)
        refused = self.decision.action is Action.REJECT
        kept = assessment._replace(
            cleared_since=self.since - oldest,
            listings=tuple(self._early.decisive_listings(self._runs)) if refused else (),
            name=self._name(),
            verified=self.verify(),
        )
        lifetime = Lifetime(self.since + lasts, attempt.at, wall_until)
        reads_sender = any(check.reads_sender(attempt, replies) for check in checks)
        verdicts.put(attempt, recipient, kept, lifetime, self.begun, by_sender=by_sender, reads_sender=reads_sender)

    def _name(self) -> str:
        return iprev_name(self.attempt, (self._names or self.results).replies)

    async def _with_names(self) -> CheckRuns:
        """The checks, with what the client's names are like, which the decision did not need: a client without any is no loss.

        What cannot be found out in half of the time that is left speaks against nobody.
        """
        now = self._clock.monotonic()
        halfway = now + (self._deadline - now) / 2
        names = [check for check in self._checks if check.asks_client_names]
        found = await self._run_lookups(CheckRuns(self.attempt, names, self.results.answered), deadline=halfway)
        more = {asked: reply for asked, reply in found.replies.items() if not isinstance(reply, Unknown)}
        return CheckRuns(self.attempt, self._checks, {**self.results.replies, **more})

    def _change(self, replies: Mapping[ListLookup, ListReply]) -> None:
        if replies:
            known = {question: reply for question, reply in replies.items() if question in self.results.replies}
            runs = self._known_runs = self._runs.with_lists(known)
            results = self.results._replace(replies=runs.replies, waited=True)
            self.transaction = self.transaction._replace(results=results, findings=runs.judge())
            self.decision = self._decide()

    def _decide(self) -> Decision:
        return decide(self.attempt, self.findings, self._rules, offline=self._is_offline())

    def _is_offline(self) -> bool:
        return self.results.partial and not self._online()


class Evaluator:
    """Hears the checks that `make_checks` gives for the lists that are asked at the moment, in their order."""

    def __init__(
        self,
        make_checks: Callable[[tuple[ListSpec, ...]], Sequence[Check]],
        engine: ListEngine,
        resolver: Resolver,
        clock: Clock,
        rules: VerdictRules,
        online: Callable[[], bool],
        generation: Generation | None = None,
    ) -> None:
        """`generation`: that of names, lists and overrides."""
        self._make_checks = make_checks
        self._lists = engine.specs
        self._take(make_checks(self._lists))
        self._kept = VerdictCache(generation or Generation())
        ruled = (*rules.exempt_recipients, *(each for policy in rules.policies for each in policy.recipients))
        self._is_ruled = lru_cache(bounds.MAIL_NAMES)(partial(matches_recipient, patterns=ruled))
        self._engine = engine
        self._resolver = resolver
        self._clock = clock
        self._rules = rules
        self._online = online
        self._transactions = TransactionCache(generation)
        self._rates = ZoneRates(clock)

    async def evaluate(self, attempt: Attempt, deadline: float, *, record: bool) -> Evaluation:
        """What the checks find by `deadline` (monotonic seconds). Without `record` somebody only looks: at everything."""
        self._follow_lists()
        begun, since = self._transactions.generation.number, self._clock.monotonic()
        checks, lists = self._checks, {spec.id: spec for spec in self._lists}
        early = EarlyDecision(attempt, lists, self._rules, frugal=self._engine.frugal)
        runs, transaction = await self._look_up(attempt, checks, early, deadline, record)
        ask = partial(self._ask, deadline=deadline, budgets=transaction.budgets)
        more = partial(run_lookups, ask=ask, clock=self._clock, deadline=deadline, cached=self._cached)
        return Evaluation(
            attempt, checks, runs, early, transaction, self._engine, deadline, self._rules, self._online, more,
            self._clock, begun, since,
        )  # fmt: skip

    def recall(self, attempt: Attempt, now: float, wall: float) -> Assessment | None:
        """What `evaluate` would come to, where that is known (monotonic and wall seconds)."""
        try:
            recipient, by_sender = self._recipient(attempt), self._names_sender(attempt)
        except Exception:  # a check that fails is logged when it is asked or judges
            return None
        return self._kept.get(attempt, recipient, by_sender=by_sender, now=now, wall=wall)

    def remember(self, evaluation: Evaluation, assessment: Assessment) -> None:
        """Keep what was found out for the other recipients of the message, and what it came to for further mail."""
        attempt = evaluation.attempt
        self._transactions.put(attempt, evaluation.transaction, self._clock.monotonic(), evaluation.begun)
        try:
            evaluation.keep_in(self._kept, assessment, self._recipient(attempt), by_sender=self._names_sender(attempt))
        except Exception:
            log.exception("what an attempt came to is not kept")

    def _recipient(self, attempt: Attempt) -> str:
        """The recipient, where something names it; else it is like all others."""
        whose = attempt.recipient
        if self._is_ruled(whose):
            return whose
        for check in self._of_recipients:
            if check.names_recipient(whose):
                return whose
        return ""

    def _names_sender(self, attempt: Attempt) -> bool:
        return any(check.names_sender(attempt) for check in self._of_admin)

    async def _look_up(
        self, attempt: Attempt, checks: Sequence[Check], early: EarlyDecision, deadline: float, record: bool
    ) -> tuple[CheckRuns | None, Transaction]:
        now = self._clock.monotonic()
        before = self._transactions.get(attempt, now) if record else None
        budgets = (self._transactions.budgets(attempt, now) if record else None) or LookupBudgets.full(self._rates)
        ask = partial(self._ask, deadline=deadline, budgets=budgets)
        if not record:
            runs = CheckRuns(attempt, checks, {})
            results = await run_lookups(runs, ask, self._clock, deadline, suppressing=False)
            return runs, Transaction(results, runs.judge(), reverified=False, budgets=budgets)
        if before is not None and not before.results.skipped and (found := _for_this_recipient(attempt, checks, before)):
            return None, found._replace(results=found.results._replace(waited=True))
        runs = CheckRuns(attempt, checks, before.results.answered if before else {})
        results = await run_lookups(
            runs, ask, self._clock, deadline, cached=self._cached, turn=self._turn, is_decided=partial(_is_decided, early)
        )
        if before is not None:
            results = results._replace(waited=True)  # what was found out for the first recipient may be old by now
        reverified = before is not None and before.reverified
        return runs, Transaction(results, runs.judge(), reverified=reverified, budgets=budgets)

    def _take(self, checks: Sequence[Check]) -> None:
        self._checks = tuple(checks)
        self._of_recipients = [check for check in checks if check.is_of_recipient()]
        self._of_admin = [check for check in checks if check.is_override]

    def _follow_lists(self) -> None:
        if (lists := self._engine.specs) != self._lists:
            self._lists = lists
            self._take(self._make_checks(lists))
            self._transactions = TransactionCache(self._transactions.generation)

    def _turn(self, question: Question) -> int:
        return self._engine.stage(question) if isinstance(question, ListLookup) else 0

    def _cached(self, question: Question) -> LookupReply | None:
        if isinstance(question, ListLookup):
            return self._engine.cached(question)
        answer = self._resolver.known(question.name, question.rtype)
        return None if answer is None else reply_of(answer, question.rtype)

    async def _ask(self, question: Question, is_senders: bool, *, deadline: float, budgets: LookupBudgets) -> LookupReply:
        started = self._clock.monotonic()
        if isinstance(question, ListLookup):
            return await self._engine.ask(question, deadline=min(deadline, started + self._rules.list_deadline))
        shared_budget = budgets.sender if is_senders else budgets.client
        answer = await self._resolver.resolve(question.name, question.rtype, deadline=deadline, shared_budget=shared_budget)
        return reply_of(answer, question.rtype, round(1000 * (self._clock.monotonic() - started)))


def _is_decided(early: EarlyDecision, runs: CheckRuns, open_: Collection[Question]) -> bool:
    try:
        return early.is_decided(runs, open_)
    except Exception:  # a check that fails is logged when it judges; until then everybody is waited for
        return False


def _for_this_recipient(attempt: Attempt, checks: Sequence[Check], transaction: Transaction) -> Transaction | None:
    """What is known of the message, with what may be otherwise for this recipient; None if more has to be asked for that."""
    replies = transaction.results.replies
    own = [check for check in checks if check.is_of_recipient() and check.name not in transaction.results.failed]
    for check in own:
        outcome = follow(check.run(attempt), replies).outcome
        if outcome is None or (isinstance(outcome, Fold) and any(lookup not in replies for lookup in outcome.lookups)):
            return None
    findings: list[Finding] = []
    for check in checks:
        if check in own:
            findings += judged(check, attempt, replies)
        else:
            findings += [finding for finding in transaction.findings if finding.check == check.name]
    return transaction._replace(findings=findings)


def _lasts(reply: LookupReply) -> float:
    """Seconds for which a reply may be rested on; none where no authority has given it."""
    if isinstance(reply, Records):
        return reply.ttl * _DNS_SHARE if reply.definite else 0
    if isinstance(reply, Absent):
        return reply.ttl * _DNS_SHARE
    return reply.ttl if isinstance(reply, Listed | Clear) else _UNEXPIRING


def _stale(replies: Replies, waited: int) -> list[ListLookup]:
    """The lists whose clearance is from nearer the first try, so many seconds ago, than this one."""
    return [
        question
        for question, reply in replies.items()
        if isinstance(question, ListLookup) and isinstance(reply, Clear) and 2 * reply.age > waited
    ]
