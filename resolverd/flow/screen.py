"""The screening of one delivery attempt, from attributes to verdict: the order of things, with reasons.

1. Authenticated clients and trusted networks pass: nobody's mail is checked against its own server.
2. States other than RCPT pass; at DATA a header still due to the message goes out.
3. All checks ask side by side, within the deadline, and judge what came back.
4. The fold decides.
5. Greylisting is asked only while nothing speaks for a refusal: it costs everybody time.
6. One header goes out with a mail that passes, others wait in the queue.

Whatever fails here is a bug of ours, and then the mail passes.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from resolverd import __version__
from resolverd.flow.inquiry import BROKEN, inquire, judge, reply_of
from resolverd.flow.ports import Clock, Resolver
from resolverd.flow.recent import RecentVerdicts
from resolverd.mail.attempt import Attempt
from resolverd.mail.checks.rules import Check
from resolverd.mail.findings import Action, GreylistOutcome, Verdict
from resolverd.mail.greylist import x_greylist
from resolverd.mail.headers import Header, HeaderQueue
from resolverd.mail.listnames import unmapped
from resolverd.mail.listspec import ListSpec
from resolverd.mail.questions import ListLookup, ListReply, Question, Reply
from resolverd.mail.verdict import Decision, VerdictRules, conclude, decide, excused, notice, settle, waived
from resolverd.watch.counters import Counters

log = logging.getLogger(__name__)

GREYLIST_PATIENCE: Final = 2.0
"""Seconds for greylisting to answer, beyond the deadline if need be; it has less patience with its store than that."""


class Lists(Protocol):
    """The lists engine, as far as it is needed here (`flow.fanout`)."""

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment; an admin may switch them while we run."""
        ...

    async def ask(self, question: ListLookup, *, deadline: float) -> ListReply:
        """What the list says, by `deadline` (monotonic seconds) at the latest."""
        ...


class Greylisting(Protocol):
    """Greylisting, as far as it is needed here (`flow.greylisting`)."""

    async def consider(self, attempt: Attempt, *, record: bool, suspicious: bool) -> GreylistOutcome:
        """Whether the attempt has to come back later; changes nothing unless `record`."""
        ...


class Screen:
    """Gives verdicts.

    `checks` makes the checks, in their order, for the lists that are asked at the moment: ``partial(checks.build, rules)``.
    `new_id` makes references: short, printable, not to be guessed. `online` tells whether the internet can be reached at
    all: while it cannot, nobody is deferred for what could not be looked up, nor greylisted. `hostname` stands in headers.
    A screen made at reload takes over `headers` and `recent` from the one before.
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
        self.headers = headers if headers is not None else HeaderQueue()
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

        deadline = started + self._rules.deadline
        checks = self._current_checks()
        inquiry = await inquire(attempt, checks, partial(self._ask, deadline=deadline), self._clock, deadline)
        findings = judge(attempt, checks, inquiry)
        cut_off = inquiry.partial and not self._online()
        decision = decide(attempt, excused(findings) if cut_off else findings, self._rules, greylisting=not cut_off)
        greylist = await self._greylist(attempt, decision, record) if decision.wants_greylist else None
        decision = settle(decision, greylist)
        header = self._header(attempt, decision, greylist, ref, record)
        return conclude(decision, greylist, ref=ref, header=header, partial=inquiry.partial, ms=self._ms(started))

    def _current_checks(self) -> tuple[Check, ...]:
        if (lists := self._engine.specs) != self._lists:
            self._lists, self._checks = lists, tuple(self._make_checks(lists))
        return self._checks

    async def _ask(self, question: Question, *, deadline: float) -> Reply:
        started = self._clock.monotonic()
        if isinstance(question, ListLookup):
            return await self._engine.ask(question, deadline=min(deadline, started + self._rules.list_deadline))
        answer = await self._resolver.resolve(question.name, question.rtype, deadline=deadline)
        return reply_of(answer, question.rtype, self._ms(started))

    async def _greylist(self, attempt: Attempt, decision: Decision, record: bool) -> GreylistOutcome:
        try:
            async with asyncio.timeout(GREYLIST_PATIENCE):
                return await self._greylister.consider(attempt, record=record, suspicious=decision.suspicious)
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
        """A header left over for this message."""
        return self.headers.take(attempt.instance, self._clock.monotonic()) if record else ""

    def _count(self, verdict: Verdict) -> None:
        self._counters.add("verdicts", action=verdict.action)
        for finding in verdict.findings:
            self._counters.add("findings", check=finding.check, code=finding.code)
            if finding.code == BROKEN:
                self._counters.add("check_errors", check=finding.check)

    def _ms(self, since: float) -> int:
        return round(1000 * (self._clock.monotonic() - since))
