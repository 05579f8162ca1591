"""One delivery attempt, from attributes to verdict: the order of things, with reasons.

0. While overrides are still being read from the store, mail passes: whoever comes may have been allowed by hand.
1. Authenticated clients and trusted networks pass: nobody's mail is checked against its own server.
2. States other than RCPT pass; at DATA a header still due to the message goes out.
3. All checks, overrides first, ask side by side, within the deadline and until the decision is certain, and judge what came
   back: once a message, as its recipients have the client in common. Only an override may be for one of them.
4. The fold decides. What 3. and 4. came to without waiting for anybody is kept for the mail after it (`verdict_cache`).
5. Listings on which alone a refusal rests are re-verified: a listing may be old, a list may have gone bad.
6. Greylisting is asked only while nothing speaks for a refusal: it costs everybody time.
7. Whoever has waited and would pass now is looked up in the lists again: time to learn of him is what they were given. What
   they have learnt counts before greylisting remembers that he has passed.
8. One header goes out with a mail that passes, others wait in the queue.

Where nothing of this has to be waited for, `PolicyService.try_verdict` goes through it at once; else `verdict_on` does.
What was kept serves it as well where greylisting alone has to be waited for, as with a store that hosts share.
Whatever fails here is a bug of ours, and then the mail passes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Final, Protocol

from resolverd import __version__, logs
from resolverd.clock import Clock
from resolverd.dnsbl.names import unmapped
from resolverd.dnsbl.spec import ListSpec
from resolverd.generation import Generation
from resolverd.greylist.decide import x_greylist
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.findings import Action, GreylistOutcome, HeaderField, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.overrides.matching import OverrideMatch
from resolverd.policy.assessment import Assessment
from resolverd.policy.check import Check
from resolverd.policy.evaluate import Evaluator
from resolverd.policy.evaluation import Evaluation
from resolverd.policy.headers import HARSHEST, Header, HeaderQueue
from resolverd.policy.list_engine import ListEngine
from resolverd.policy.runs import INTERNAL_ERROR
from resolverd.policy.verdict import (
    Decision,
    Mode,
    VerdictRules,
    apply_greylist,
    bypass_reason,
    finish,
    harshness,
    verdict_header,
)
from resolverd.policy.verdicts import VerdictStore
from resolverd.resolver.ports import Resolver
from resolverd.values import replace

log = logging.getLogger(__name__)

GREYLIST_PATIENCE: Final = 2.0
"""Seconds for greylisting to answer, beyond the deadline if need be; it has less patience with its store than that."""


OVERRIDES_PATIENCE: Final = 1.0
"""Seconds for which a mail waits, at the start, for what has been allowed and denied by hand; then it passes."""

_KNOWN: Final = frozenset({"passed", "known", "allowed"})
"""Outcomes of greylisting that say that the client comes back, as mail servers do."""


class Greylisting(Protocol):
    """Greylisting, as far as it is needed here (`greylist.service`)."""

    def try_consider(
        self,
        attempt: Attempt,
        *,
        record: bool,
        suspicious: bool,
        score: float,
        verify: Callable[[], VerifiedDomains],
        must_recheck: Callable[[int], bool],
    ) -> GreylistOutcome | None:
        """As `consider`, where nothing has to be waited for; None, with nothing changed, where something has to be, or
        `must_recheck` says so of a client that has waited so many seconds."""
        ...

    async def read_up(self) -> bool:
        """Read what the last `try_consider` would have had to wait for; whether it is worth another try. Never raises."""
        ...

    async def consider(
        self,
        attempt: Attempt,
        *,
        record: bool,
        suspicious: bool,
        score: float,
        verify: Callable[[], VerifiedDomains],
        recheck: Callable[[int], Awaitable[float | None]],
    ) -> GreylistOutcome:
        """Whether the attempt has to come back later; changes nothing unless `record`.

        `verify` tells to whom it belongs; `recheck`, asked when it has waited, with the seconds, the points against it now, None
        if it is refused.
        """
        ...


class _LooksAgain(Exception):
    """What is known of an attempt is too old for a client that passes for the first time."""


async def _always(patience: float) -> bool:
    return True


class PolicyService:
    """Gives verdicts.

    `checks` makes the checks, in their order, for the lists that are asked at the moment: ``partial(checks.build, rules)``.
    `new_id` makes references: short, printable, not to be guessed. `online` tells whether the internet can be reached at
    all: while it cannot, nobody is deferred for what could not be looked up; greylisting goes on. `hostname` stands in headers.
    `hit` is called with the overrides that have counted. One made at reload takes over `headers` from the one before.
    `note` and `publish` are called with each verdict on a recipient that counts. `overrides_ready` waits for so many seconds at
    the most, and tells whether overrides have been read, as `overrides_loaded` does at once. `generation`: that of names, lists
    and overrides.
    """

    def __init__(
        self,
        checks: Callable[[tuple[ListSpec, ...]], Sequence[Check]],
        engine: ListEngine,
        resolver: Resolver,
        greylister: Greylisting,
        clock: Clock,
        rules: VerdictRules,
        counters: Counters,
        new_id: Callable[[], str],
        verdicts: VerdictStore,
        *,
        online: Callable[[], bool] = lambda: True,
        hostname: str = "localhost",
        headers: HeaderQueue | None = None,
        hit: Callable[[Sequence[OverrideMatch]], None] = lambda held: None,
        overrides_ready: Callable[[float], Awaitable[bool]] = _always,
        overrides_loaded: Callable[[], bool] = lambda: True,
        note: Callable[[Verdict], None] = lambda verdict: None,
        publish: Callable[[Attempt, Verdict], None] = lambda attempt, verdict: None,
        generation: Generation | None = None,
    ) -> None:
        self._evaluator = Evaluator(checks, engine, resolver, clock, rules, online, generation)
        self._engine = engine
        self._greylister = greylister
        self._clock = clock
        self._rules = rules
        self._counters = counters
        self._verdict_count = cache(lambda action: counters.count("verdicts", action=action))
        self._finding_count = cache(lambda check, code: counters.count("findings", check=check, code=code))
        self._seconds = counters.histogram("verdict_seconds")
        self._cause_count = cache(lambda code: counters.count("verdict_causes", code=code))
        self._listing_count = cache(lambda name, what: counters.count(f"list_{what}", list=name))
        self._new_id = new_id
        self._hostname = hostname
        self._hit = hit
        self._overrides_ready = overrides_ready
        self._overrides_loaded = overrides_loaded
        self._note = note
        self._publish = publish
        self.headers = headers if headers is not None else HeaderQueue()
        self._verdicts = verdicts
        self._tried: tuple[Attempt, bool] | None = None
        """The last attempt tried that has to be waited for; whether what it comes to is known but for greylisting."""

    def try_verdict(self, attempt: Attempt, *, record: bool) -> Verdict | None:
        """As `verdict_on`, where nothing has to be waited for; None, with nothing changed, where something has.

        `verdict_on` for the very same attempt does not look again what is known of it, if it is the next that is tried.
        """
        self._tried = None
        if not self._overrides_loaded():
            return None
        started = self._clock.monotonic()
        given, attempt = attempt, _plain(attempt)
        try:
            verdict = self._without_checks(attempt, started, record)
            if verdict is None:
                assessment = self._evaluator.recall(attempt, started, self._clock.wall()) if record else None
                if assessment is not None:
                    verdict = self._recalled(attempt, assessment, started)
                if verdict is None:
                    self._tried = given, assessment is not None
        except Exception as error:
            verdict = self._failed(attempt, started, error)
        return None if verdict is None else self._given(attempt, verdict, record)

    async def verdict_on(self, attempt: Attempt, *, record: bool) -> Verdict:
        """The verdict on an attempt. Without `record` nothing is changed and nothing counted by asking."""
        tried = self._tried
        if tried is None or tried[0] is not attempt:
            if (known := self.try_verdict(attempt, record=record)) is not None:
                return known
            tried = self._tried
        self._tried, is_known = None, record and tried is not None and tried[1]
        if is_known and await self._greylister.read_up() and (known := self.try_verdict(attempt, record=record)) is not None:
            return known
        if not await self._overrides_ready(OVERRIDES_PATIENCE):
            return Verdict("", Action.ACCEPT, 0, "what was allowed and denied by hand is being read", partial=True)
        started = self._clock.monotonic()
        attempt = _plain(attempt)
        try:
            verdict = self._without_checks(attempt, started, record)
            if verdict is None and is_known:
                verdict = await self._remembered(attempt, started)
            if verdict is None:
                verdict = await self._evaluated(attempt, started, record)
        except Exception as error:
            verdict = self._failed(attempt, started, error)
        return self._given(attempt, verdict, record)

    def _without_checks(self, attempt: Attempt, started: float, record: bool) -> Verdict | None:
        """Steps 1 and 2: the verdict on an attempt that is not checked."""
        state = attempt.protocol_state.upper()
        if reason := bypass_reason(attempt, self._rules):
            return Verdict(self._new_id(), Action.ACCEPT, 0, reason, client=attempt.client_address)
        if state == "RCPT":
            return None
        header = self.headers.last(attempt.instance, started) if record and state == "DATA" else ""
        reason = f"nothing to decide at {attempt.protocol_state}"
        return Verdict(self._new_id(), Action.ACCEPT, 0, reason, header=header, client=attempt.client_address)

    def _recalled(self, attempt: Attempt, assessment: Assessment, started: float) -> Verdict | None:
        """Steps 3 to 8 where evaluating would come to what is known already, and greylisting need not wait either."""
        if assessment.listings and self._engine.must_reverify(assessment.listings):
            return None
        greylist = None
        if assessment.decision.wants_greylist:
            greylist = self._greylist_at_once(attempt, assessment, started)
            if greylist is None:
                return None
        return self._concluded(attempt, assessment, greylist, started, record=True)

    async def _remembered(self, attempt: Attempt, started: float) -> Verdict | None:
        """As `_recalled`, but waits for greylisting; None, with nothing changed, where all is to be looked at."""
        assessment = self._evaluator.recall(attempt, started, self._clock.wall())
        if assessment is None or (assessment.listings and self._engine.must_reverify(assessment.listings)):
            return None
        greylist = None
        if assessment.decision.wants_greylist:
            try:
                greylist = await self._greylist_by(attempt, assessment, started)
            except _LooksAgain:
                return None
        return self._concluded(attempt, assessment, greylist, started, record=True)

    async def _evaluated(self, attempt: Attempt, started: float, record: bool) -> Verdict:
        """Steps 3 to 8."""
        attempt = replace(attempt, at=int(self._clock.wall()))
        deadline = started + self._rules.deadline
        evaluation = await self._evaluator.evaluate(attempt, deadline, record=record)
        await evaluation.reverify()
        greylist = None
        if evaluation.decision.wants_greylist:
            patience = max(deadline - self._clock.monotonic(), 0) + GREYLIST_PATIENCE
            greylist = await self._greylist(evaluation, record, patience)
        assessment = evaluation.assess()
        if record:
            self._evaluator.remember(evaluation, assessment)
        return self._concluded(attempt, assessment, greylist, started, record=record)

    def _concluded(
        self, attempt: Attempt, assessment: Assessment, greylist: GreylistOutcome | None, started: float, *, record: bool
    ) -> Verdict:
        """What comes of an attempt now that all is known of it."""
        ref = self._new_id()
        decision = apply_greylist(assessment.decision, greylist)
        if record:
            self._note_known_good(attempt, decision, greylist, assessment)
            if assessment.overrides:
                self._hit(assessment.overrides)
        passes = decision.action is Action.ACCEPT or decision.mode is Mode.OBSERVE
        header = self._header(attempt, decision, assessment.header, greylist, ref, record) if passes else ""
        return finish(
            decision,
            greylist,
            ref=ref,
            header=header,
            partial=assessment.partial,
            ms=self._ms(started),
            what_if=assessment.what_ifs.beside(greylist),
            client=attempt.client_address,
            listings=assessment.listed_by,
        )

    def _failed(self, attempt: Attempt, started: float, error: Exception) -> Verdict:
        logs.bug(log, self._counters, "policy", "no verdict could be made, the mail passes", error=error)
        ms, client = self._ms(started), attempt.client_address
        return Verdict(self._new_id(), Action.ACCEPT, 0, "internal error", partial=True, ms=ms, client=client)

    def _given(self, attempt: Attempt, verdict: Verdict, record: bool) -> Verdict:
        """The verdict, kept and counted."""
        self._verdicts.put(verdict, attempt, dry=not record)
        if record:
            self._count(verdict)
            if attempt.protocol_state.upper() == "RCPT":
                self._note(verdict)
                self._publish(attempt, verdict)
        return verdict

    def _note_known_good(
        self, attempt: Attempt, decision: Decision, greylist: GreylistOutcome | None, assessment: Assessment
    ) -> None:
        """Remember a client that is known as good, and who had nothing against it."""
        known = greylist is not None and greylist.state in _KNOWN
        if attempt.client_address is None or decision.action is not Action.ACCEPT:
            return
        if known or any(finding.effect.allow_listed for finding in decision.findings):
            self._engine.add_known_good(attempt.client_address, assessment.cleared)

    def _greylist_at_once(self, attempt: Attempt, assessment: Assessment, now: float) -> GreylistOutcome | None:
        decision = assessment.decision
        try:
            return self._greylister.try_consider(
                _named(attempt, assessment.name),
                record=True,
                suspicious=decision.suspicious,
                score=decision.score,
                verify=lambda: assessment.verified,
                must_recheck=lambda waited: _must_recheck(assessment, now, waited),
            )
        except Exception as error:
            return self._without_greylist(error)

    async def _greylist_by(self, attempt: Attempt, assessment: Assessment, now: float) -> GreylistOutcome:
        """The same, waited for. Raises `_LooksAgain`, with nothing changed, where lists have to be asked again first."""
        decision = assessment.decision

        async def recheck(waited: int) -> float:
            if _must_recheck(assessment, now, waited):
                raise _LooksAgain
            return decision.score

        try:
            async with asyncio.timeout(self._rules.deadline + GREYLIST_PATIENCE):
                return await self._greylister.consider(
                    _named(attempt, assessment.name),
                    record=True,
                    suspicious=decision.suspicious,
                    score=decision.score,
                    verify=lambda: assessment.verified,
                    recheck=recheck,
                )
        except _LooksAgain:
            raise
        except Exception as error:
            return self._without_greylist(error)

    async def _greylist(self, evaluation: Evaluation, record: bool, patience: float) -> GreylistOutcome:
        attempt = evaluation.attempt

        async def recheck(waited: int) -> float | None:
            await evaluation.refresh(waited)
            return evaluation.decision.score if evaluation.decision.action is Action.ACCEPT else None

        try:
            async with asyncio.timeout(patience):
                return await self._greylister.consider(
                    _named(attempt, await evaluation.find_name()),
                    record=record,
                    suspicious=evaluation.decision.suspicious,
                    score=evaluation.decision.score,
                    verify=evaluation.verify,
                    recheck=recheck,
                )
        except Exception as error:
            return self._without_greylist(error)

    def _without_greylist(self, error: Exception) -> GreylistOutcome:
        logs.bug(log, self._counters, "greylist", "greylisting failed, the mail passes", error=error)
        return GreylistOutcome("skipped", reason="internal error")

    def _header(
        self,
        attempt: Attempt,
        decision: Decision,
        field: HeaderField | None,
        greylist: GreylistOutcome | None,
        ref: str,
        record: bool,
    ) -> str:
        """The header that goes out now with a mail that passes; others are queued. `field` tells of a finding."""
        due: dict[Header, str] = {}
        if field is not None:
            due[Header.RECEIVED_SPF] = field.line(attempt)
        if greylist is not None and greylist.state == "passed":
            date = datetime.fromtimestamp(self._clock.wall()).astimezone()
            due[Header.X_GREYLIST] = x_greylist(greylist.delayed, __version__, self._hostname, date)
        if text := verdict_header(decision, ref):
            due[Header.X_RESOLVERD] = text
        if not record or not attempt.instance:
            return due[min(due)] if due else ""
        now = self._clock.monotonic()
        for kind, text in due.items():
            rank = harshness(decision) if kind is Header.X_RESOLVERD else HARSHEST
            self.headers.put(attempt.instance, kind, text, now, rank)
        return self.headers.take(attempt.instance, now)

    def _count(self, verdict: Verdict) -> None:
        self._verdict_count(verdict.action)[0] += 1
        self._seconds.observe(verdict.ms / 1000)
        for finding in verdict.findings:
            self._finding_count(finding.check, finding.code)[0] += 1
            if finding.code == INTERNAL_ERROR:
                self._counters.add("check_errors", check=finding.check)
        if verdict.action is not Action.ACCEPT:
            self._cause_count(verdict.cause or verdict.action.value)[0] += 1
        for listing in verdict.listings:
            self._listing_count(listing.list_id, "hits")[0] += 1
            if listing.unique:
                self._listing_count(listing.list_id, "unique_hits")[0] += 1
            if listing.decisive:
                self._listing_count(listing.list_id, "decisive_hits")[0] += 1

    def _ms(self, since: float) -> int:
        return round(1000 * (self._clock.monotonic() - since))


def _named(attempt: Attempt, name: str) -> Attempt:
    """The attempt of a client of that name; empty for none but the one that the mail server has."""
    return attempt if name in ("", attempt.client_name) else replace(attempt, client_name=name)


def _must_recheck(assessment: Assessment, now: float, waited: int) -> bool:
    """Whether lists may have learnt of a client, who has waited so many seconds, since they were asked."""
    return bool(assessment.cleared) and 2 * int(now - assessment.cleared_since) > waited


def _plain(attempt: Attempt) -> Attempt:
    """The attempt as it is judged: IPv4 in IPv6 is IPv4, and an instance that is no message's own is none."""
    address, message = attempt.client_address, attempt.message
    plain = None if address is None else unmapped(address)
    if plain is address and message == attempt.instance:
        return attempt
    return replace(attempt, client_address=plain, instance=message)
