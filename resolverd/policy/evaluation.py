"""What was found out of one attempt, and what it comes to: decided, and decided again where lists have changed their answer."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from resolverd.clock import Clock
from resolverd.failures import Unknown
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.findings import Action, Finding
from resolverd.mail.lookups import Absent, Clear, Listed, ListLookup, ListReply, LookupReply, Records, Replies
from resolverd.mail.request import Attempt
from resolverd.overrides.matching import OverrideMatch
from resolverd.policy.asking import follow
from resolverd.policy.assessment import Assessment
from resolverd.policy.cache import Transaction
from resolverd.policy.check import Check
from resolverd.policy.early import EarlyDecision
from resolverd.policy.iprev import NamesOnly, iprev, iprev_name
from resolverd.policy.list_engine import ListEngine
from resolverd.policy.lookups import LookupResults
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import Decision, VerdictRules, decide, drop_tempfails
from resolverd.policy.verdict_cache import Lifetime, VerdictCache
from resolverd.policy.what_if import what_ifs
from resolverd.policy.worth import listings
from resolverd.spf import authorised

_DNS_SHARE = 0.9
"""Share of a DNS answer's TTL for which a kept assessment rests on it: then it is asked for, and so renewed before it ends."""
_UNEXPIRING = 3600.0
"""Seconds for which one is kept that rests on nothing that expires."""


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
        decisive_listings = self._decisive_listings(self._runs)
        if decisive_listings and self.results.skipped and self._engine.saves_reverifications(decisive_listings):
            decisive_listings = self._decisive_listings(await self._with_names())
        if decisive_listings:
            client = self.attempt.client_address
            self._change(await self._engine.reverify(decisive_listings, client=client, deadline=self._deadline))
            self.transaction = self.transaction._replace(reverified=True)

    def _decisive_listings(self, runs: CheckRuns) -> list[ListLookup]:
        return self._early.decisive_listings(runs, self._engine.is_hearsay)

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
            listings=tuple(self._decisive_listings(self._runs)) if refused else (),
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
