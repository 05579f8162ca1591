"""The screening of one delivery attempt, from attributes to verdict: the order of things, with reasons.

1. Authenticated clients and trusted networks pass: nobody's mail is checked against its own server.
2. States other than RCPT pass; at DATA a header still due to the message goes out.
3. All checks, the admin's own word first, ask side by side, within the deadline and until the decision is certain, and judge
   what came back: once a message, as its recipients have the client in common. Only the admin may have a word on one of them.
4. The fold decides.
5. What would be refused on the word of lists alone is looked at twice: a listing may be old, a list may have gone bad.
6. Greylisting is asked only while nothing speaks for a refusal: it costs everybody time.
7. Whoever has waited and would pass now is looked up in the lists again: time to learn of him is what they were given. What
   they have learnt counts before greylisting remembers that he has passed.
8. One header goes out with a mail that passes, others wait in the queue.

Whatever fails here is a bug of ours, and then the mail passes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from resolverd import __version__
from resolverd.flow.inquiry import BROKEN, inquire, judge, reply_of
from resolverd.flow.messages import Known, Messages
from resolverd.flow.ports import Clock, Resolver
from resolverd.flow.recent import RecentVerdicts
from resolverd.mail.attempt import Attempt
from resolverd.mail.checks.fcrdns import confirmed
from resolverd.mail.checks.overrides import Overrides
from resolverd.mail.checks.rhsbl import Rhsbl
from resolverd.mail.checks.rules import Check
from resolverd.mail.checks.spf import authorised
from resolverd.mail.findings import Action, Finding, GreylistOutcome, Verdict
from resolverd.mail.foresight import Foresight
from resolverd.mail.greylist import x_greylist
from resolverd.mail.headers import Header, HeaderQueue
from resolverd.mail.listnames import unmapped
from resolverd.mail.listspec import ListSpec
from resolverd.mail.organisation import Proof
from resolverd.mail.otherwise import otherwise
from resolverd.mail.overrides import Held
from resolverd.mail.questions import Clear, ListLookup, ListReply, Question, Replies, Reply
from resolverd.mail.verdict import ALLOWED, Decision, VerdictRules, conclude, decide, excused, notice, settle, waived
from resolverd.watch.counters import Counters
from resolverd.wire.names import Address

log = logging.getLogger(__name__)

GREYLIST_PATIENCE: Final = 2.0
"""Seconds for greylisting to answer, beyond the deadline if need be; it has less patience with its store than that."""


_KNOWN: Final = frozenset({"passed", "known", "allowed"})
"""Outcomes of greylisting that say that the client comes back, as mail servers do."""


class Lists(Protocol):
    """The lists engine, as far as it is needed here (`flow.fanout`)."""

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment; an admin may switch them while we run."""
        ...

    @property
    def frugal(self) -> bool:
        """Whether questions are to be saved at the cost of round trips."""
        ...

    def recall(self, lookup: ListLookup) -> ListReply | None:
        """What the list has said, where it is still known."""
        ...

    async def ask(self, question: ListLookup, *, deadline: float) -> ListReply:
        """What the list says, by `deadline` (monotonic seconds) at the latest."""
        ...

    def turn(self, lookup: ListLookup) -> int:
        """When a question is to be asked: lower ones first, later ones only while the decision is open."""
        ...

    async def ask_again(self, lookups: Iterable[ListLookup], *, deadline: float) -> Mapping[ListLookup, ListReply]:
        """What lists say now, past what is remembered; without those that could not be asked."""
        ...

    async def second_looks(self, lookups: Iterable[ListLookup], *, deadline: float) -> Mapping[ListLookup, ListReply]:
        """Listings that are about to refuse somebody, looked at once more where need be; those that have changed."""
        ...

    def vouch(self, client: Address, cleared: Iterable[str]) -> None:
        """A client is known as good, and these lists (by id) do not list it."""
        ...


class Greylisting(Protocol):
    """Greylisting, as far as it is needed here (`flow.greylisting`)."""

    async def consider(
        self,
        attempt: Attempt,
        *,
        record: bool,
        suspicious: bool,
        score: float,
        prove: Callable[[], Proof],
        again: Callable[[int], Awaitable[float | None]],
    ) -> GreylistOutcome:
        """Whether the attempt has to come back later; changes nothing unless `record`.

        `prove` tells to whom it belongs; `again`, asked when it has waited, with the seconds, the points against it now, None
        if it is refused.
        """
        ...


class Screen:
    """Gives verdicts.

    `checks` makes the checks, in their order, for the lists that are asked at the moment: ``partial(checks.build, rules)``.
    `new_id` makes references: short, printable, not to be guessed. `online` tells whether the internet can be reached at
    all: while it cannot, nobody is deferred for what could not be looked up, nor greylisted. `hostname` stands in headers.
    `hit` is told of overrides that have counted. A screen made at reload takes over `headers` and `recent` from the one before.
    """

    def __init__(
        self,
        checks: Callable[[tuple[ListSpec, ...]], Sequence[Check]],
        engine: Lists,
        resolver: Resolver,
        greylister: Greylisting,
        clock: Clock,
        rules: VerdictRules,
        counters: Counters,
        new_id: Callable[[], str],
        *,
        online: Callable[[], bool] = lambda: True,
        hostname: str = "localhost",
        headers: HeaderQueue | None = None,
        recent: RecentVerdicts | None = None,
        hit: Callable[[Sequence[Held]], None] = lambda held: None,
    ) -> None:
        self._make_checks = checks
        self._lists = engine.specs
        self._checks = tuple(checks(self._lists))
        self._engine = engine
        self._resolver = resolver
        self._greylister = greylister
        self._clock = clock
        self._rules = rules
        self._counters = counters
        self._new_id = new_id
        self._online = online
        self._hostname = hostname
        self._hit = hit
        self.headers = headers if headers is not None else HeaderQueue()
        self._messages = Messages()
        self.recent = recent if recent is not None else RecentVerdicts()

    async def screen(self, attempt: Attempt, *, record: bool) -> Verdict:
        """The verdict on an attempt. Without `record` nothing is changed and nothing counted by asking."""
        started = self._clock.monotonic()
        ref = self._new_id()
        try:
            verdict = await self._verdict(attempt, ref, started, record)
        except Exception:
            log.exception("screening failed, the mail passes")
            self._counters.add("screen_errors")
            verdict = Verdict(ref, Action.ACCEPT, 0, "internal error", partial=True, ms=self._ms(started))
        if attempt.client_address is not None:
            verdict = verdict._replace(client=unmapped(attempt.client_address))
        self.recent.put(verdict, self._clock.monotonic(), dry=not record)
        if record:
            self._count(verdict)
        return verdict

    def recall(self, ref: str) -> Verdict | None:
        """The verdict of this reference, if it is still kept."""
        return self.recent.get(ref, self._clock.monotonic())

    async def _verdict(self, attempt: Attempt, ref: str, started: float, record: bool) -> Verdict:
        if attempt.client_address is not None:
            attempt = attempt._replace(client_address=unmapped(attempt.client_address))
        if reason := waived(attempt, self._rules):
            return Verdict(ref, Action.ACCEPT, 0, reason)
        if attempt.protocol_state.upper() != "RCPT":
            header = self._due(attempt, record) if attempt.protocol_state.upper() == "DATA" else ""
            return Verdict(ref, Action.ACCEPT, 0, f"nothing to decide at {attempt.protocol_state}", header=header)

        attempt = attempt._replace(at=int(self._clock.wall()))
        deadline = started + self._rules.deadline
        checks = self._current_checks()
        lists = {spec.id: spec for spec in self._lists}
        foresight = Foresight(attempt, checks, lists, self._rules, frugal=self._engine.frugal)
        known = await self._hear(attempt, checks, foresight, started, deadline, record)
        decision = self._decide(attempt, known)
        is_doubtful = decision.action is Action.REJECT and not known.inquiry.broken and not known.twice
        if is_doubtful and (grounds := foresight.grounds(known.inquiry.replies)):
            changed = await self._engine.second_looks(grounds, deadline=deadline)
            known = self._changed(attempt, checks, known, changed)._replace(twice=True)
            decision = self._decide(attempt, known)

        async def again(waited: int) -> float | None:
            nonlocal known, decision
            if stale := _stale(known.inquiry.replies, waited):
                changed = await self._engine.ask_again(stale, deadline=deadline)
                known = self._changed(attempt, checks, known, changed)
                decision = self._decide(attempt, known)
            return decision.score if decision.action is Action.ACCEPT else None

        greylist = None
        if decision.wants_greylist:
            patience = max(deadline - self._clock.monotonic(), 0) + GREYLIST_PATIENCE
            greylist = await self._greylist(attempt, decision, known.inquiry.replies, record, again, patience)
        if record:
            self._messages.put(attempt, known, self._clock.monotonic())
        inquiry = known.inquiry
        decision = settle(decision, greylist)
        if record:
            self._vouch(attempt, decision, greylist, inquiry.replies)
            self._tell_overrides(attempt, checks, known)
        header = self._header(attempt, decision, greylist, ref, record)
        verdict = conclude(decision, greylist, ref=ref, header=header, partial=inquiry.partial, ms=self._ms(started))
        counted = self._findings(known)
        return verdict._replace(
            otherwise=otherwise(attempt, counted, self._rules, decision, greylist, spared=inquiry.spared)
        )

    async def _hear(
        self, attempt: Attempt, checks: Sequence[Check], foresight: Foresight, now: float, deadline: float, record: bool
    ) -> Known:
        """What the checks have found, for this recipient or for an earlier one of the message."""
        ask = partial(self._ask, deadline=deadline)
        if not record:  # somebody looks, and wants to see everything
            inquiry = await inquire(attempt, checks, ask, self._clock, deadline)
            return Known(inquiry, judge(attempt, checks, inquiry), twice=False)
        before = self._messages.get(attempt, now)
        if before is not None and not before.inquiry.spared and (found := _for_this_recipient(attempt, checks, before)):
            return found
        seen = before.inquiry.known if before else None
        foreseen = partial(self._is_decided, foresight)
        inquiry = await inquire(
            attempt, checks, ask, self._clock, deadline,
            known=seen, recall=self._recall, turn=self._turn, is_decided=foreseen,
        )  # fmt: skip
        return Known(inquiry, judge(attempt, checks, inquiry), twice=before is not None and before.twice)

    def _decide(self, attempt: Attempt, known: Known) -> Decision:
        return decide(attempt, self._findings(known), self._rules, greylisting=not self._cut_off(known))

    def _findings(self, known: Known) -> list[Finding]:
        return excused(known.findings) if self._cut_off(known) else known.findings

    def _cut_off(self, known: Known) -> bool:
        return known.inquiry.partial and not self._online()

    def _changed(
        self, attempt: Attempt, checks: Sequence[Check], known: Known, replies: Mapping[ListLookup, ListReply]
    ) -> Known:
        """The same with what lists say now."""
        if not replies:
            return known
        inquiry = known.inquiry.changed(replies)
        return known._replace(inquiry=inquiry, findings=judge(attempt, checks, inquiry))

    def _is_decided(self, foresight: Foresight, replies: Replies, open_: Collection[Question]) -> bool:
        try:
            return foresight.is_decided(replies, open_)
        except Exception:  # a check that fails is told of when it judges; until then everybody is waited for
            return False

    def _turn(self, question: Question) -> int:
        return self._engine.turn(question) if isinstance(question, ListLookup) else 0

    def _vouch(self, attempt: Attempt, decision: Decision, greylist: GreylistOutcome | None, replies: Replies) -> None:
        """Remember a client that is known as good, and who had nothing against it."""
        known = greylist is not None and greylist.state in _KNOWN
        if attempt.client_address is None or decision.action is not Action.ACCEPT:
            return
        if known or any(finding.code == ALLOWED for finding in decision.findings):
            cleared = [reply.list_id for reply in replies.values() if isinstance(reply, Clear)]
            self._engine.vouch(attempt.client_address, cleared)

    def _tell_overrides(self, attempt: Attempt, checks: Sequence[Check], known: Known) -> None:
        for check in checks:
            if isinstance(check, Overrides) and check.name not in known.inquiry.broken:
                self._hit(check.effective(attempt, known.inquiry.replies))

    def _current_checks(self) -> tuple[Check, ...]:
        if (lists := self._engine.specs) != self._lists:
            self._lists, self._checks = lists, tuple(self._make_checks(lists))
            self._messages = Messages()
        return self._checks

    def _recall(self, question: Question) -> Reply | None:
        if isinstance(question, ListLookup):
            return self._engine.recall(question)
        answer = self._resolver.known(question.name, question.rtype)
        return None if answer is None else reply_of(answer, question.rtype)

    async def _ask(self, question: Question, *, deadline: float) -> Reply:
        started = self._clock.monotonic()
        if isinstance(question, ListLookup):
            return await self._engine.ask(question, deadline=min(deadline, started + self._rules.list_deadline))
        answer = await self._resolver.resolve(question.name, question.rtype, deadline=deadline)
        return reply_of(answer, question.rtype, self._ms(started))

    async def _greylist(
        self,
        attempt: Attempt,
        decision: Decision,
        replies: Replies,
        record: bool,
        again: Callable[[int], Awaitable[float | None]],
        patience: float,
    ) -> GreylistOutcome:
        try:
            async with asyncio.timeout(patience):
                return await self._greylister.consider(
                    attempt,
                    record=record,
                    suspicious=decision.suspicious,
                    score=decision.score,
                    prove=lambda: Proof(authorised(attempt, replies), confirmed(attempt, replies)),
                    again=again,
                )
        except Exception:
            log.exception("greylisting failed, the mail passes")
            self._counters.add("screen_errors")
            return GreylistOutcome("skipped", reason="internal error")

    def _header(self, attempt: Attempt, decision: Decision, greylist: GreylistOutcome | None, ref: str, record: bool) -> str:
        """The header that goes out now with a mail that passes; others are queued."""
        told = conclude(decision, ref=ref).action
        if told is not Action.ACCEPT:
            return ""
        due: dict[Header, str] = {}
        if text := next((finding.header for finding in decision.findings if finding.header), ""):
            due[Header.RECEIVED_SPF] = text
        if greylist is not None and greylist.state == "passed":
            date = datetime.fromtimestamp(self._clock.wall()).astimezone()
            due[Header.X_GREYLIST] = x_greylist(greylist.delayed, __version__, self._hostname, date)
        if text := notice(decision, ref):
            due[Header.X_RESOLVERD] = text
        if not record or not attempt.instance:
            return due[min(due)] if due else ""
        now = self._clock.monotonic()
        for kind, text in due.items():
            self.headers.put(attempt.instance, kind, text, now)
        return self.headers.take(attempt.instance, now)

    def _due(self, attempt: Attempt, record: bool) -> str:
        """What is left over for this message; there is no later request that could carry a header."""
        return self.headers.last(attempt.instance, self._clock.monotonic()) if record else ""

    def _count(self, verdict: Verdict) -> None:
        self._counters.add("verdicts", action=verdict.action)
        for finding in verdict.findings:
            self._counters.add("findings", check=finding.check, code=finding.code)
            if finding.code == BROKEN:
                self._counters.add("check_errors", check=finding.check)

    def _ms(self, since: float) -> int:
        return round(1000 * (self._clock.monotonic() - since))


def _for_this_recipient(attempt: Attempt, checks: Sequence[Check], known: Known) -> Known | None:
    """What is known of the message, with what may be otherwise for this recipient; None if more has to be asked for that."""
    replies = known.inquiry.replies
    own = {check.name for check in checks if _is_of_recipient(check)} - known.inquiry.broken
    if any(question not in replies for check in checks if check.name in own for question in check.asks(attempt, replies)):
        return None
    findings: list[Finding] = []
    for check in checks:
        if check.name in own:
            findings += check.judge(attempt, replies)
        else:
            findings += [finding for finding in known.findings if finding.check == check.name]
    return known._replace(findings=findings)


def _is_of_recipient(check: Check) -> bool:
    """Whether it may find something else for another recipient of the message."""
    return isinstance(check, Overrides) or (isinstance(check, Rhsbl) and "recipient" in check.roles)


def _stale(replies: Replies, waited: int) -> list[ListLookup]:
    """The lists whose clearance is from nearer the first try, so many seconds ago, than this one."""
    return [
        question
        for question, reply in replies.items()
        if isinstance(question, ListLookup) and isinstance(reply, Clear) and 2 * reply.age > waited
    ]
