"""One attempt evaluated: the checks ask side by side, judge, and are folded to an `evaluation`.

What is found out about the client of a message is found out once, however many recipients it has (`cache`); what was known
without asking anybody is not evaluated again for the next mail like this one (`verdict_cache`).
"""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.spec import ListSpec
from resolverd.generation import Generation
from resolverd.mail.findings import Finding
from resolverd.mail.lookups import ListLookup, LookupReply, Question
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Fold, follow
from resolverd.policy.assessment import Assessment
from resolverd.policy.cache import Transaction, TransactionCache
from resolverd.policy.check import Check, judged
from resolverd.policy.early import EarlyDecision
from resolverd.policy.evaluation import Evaluation
from resolverd.policy.list_engine import ListEngine
from resolverd.policy.lookup_budget import LookupBudgets, ZoneRates
from resolverd.policy.lookups import reply_of, run_lookups
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import VerdictRules
from resolverd.policy.verdict_cache import VerdictCache
from resolverd.resolver.ports import Resolver

log = logging.getLogger(__name__)


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
