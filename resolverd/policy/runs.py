"""The checks of one attempt, each gone on with as replies come: what was asked is not asked again, nor what was judged.

What no reply of the DNS can change any more is found once. What lists say is folded anew for other replies of theirs, supposed
ones as well. Overrides are asked for each time: they may change, and count at once.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.mail.findings import ANYTHING, Finding, Topic
from resolverd.mail.lookups import DnsLookup, Gathered, ListLookup, ListReply, LookupReply, Question, Records, Replies
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Endless, Fold, Outcome, follow, goes_on, outcome_of
from resolverd.policy.check import Check, definite, findings_of, is_suppressed, judged, neutral, speaks

log = logging.getLogger(__name__)

INTERNAL_ERROR: Final = "internal_error"
"""The code of the finding of a check that failed: harmless, as mail passes when we are at fault."""


class Suppression(NamedTuple):
    """What overrides and maps suppress for an attempt, as far as it is known who that is.

    `topics`: as `Effect.suppresses`. `pending`: what has to be known before it is clear which of them hold.
    """

    topics: frozenset[Topic]
    pending: frozenset[Question]


NOT_SUPPRESSED: Final = Suppression(frozenset(), frozenset())


class _Run:
    """How far one check has come: its `outcome`, or None while it waits for `wanted`."""

    __slots__ = ("_folded", "_so_far", "_when", "asked", "asking", "check", "outcome", "wanted")

    def __init__(self, check: Check, asking: Asking[Outcome]) -> None:
        self.check = check
        self.asking = asking
        self.wanted: tuple[Question, ...] = ()
        self.asked: dict[Question, None] = {}
        self.outcome: Outcome | None = None
        self._so_far: Outcome | None = None
        self._when = 0
        self._folded: dict[tuple[LookupReply | None, ...], list[Finding]] = {}

    def go_on(self, replies: Replies) -> bool:
        """Read what has come; whether it waits for more."""
        began, self.wanted = bool(self.wanted), ()
        try:
            wanted = self.asking.send(replies) if began else next(self.asking)
            for _ in range(bounds.MAIL_QUESTIONS):
                if not goes_on(wanted, replies):
                    break
                self.asked.update(dict.fromkeys(wanted))
                wanted = self.asking.send(replies)
            else:
                raise Endless
        except StopIteration as end:
            self._folded.clear()
            self.outcome = outcome = end.value
            wanted = outcome.lookups if isinstance(outcome, Fold) else ()
        self.asked.update(dict.fromkeys(wanted))
        self.wanted = wanted
        return self.outcome is None

    def findings(self, attempt: Attempt, replies: Replies, when: int, supposed: Replies) -> list[Finding]:
        """What it has found, `supposed` being what lists say; what it still waits for is not known. `when`: how many replies of
        the DNS there are."""
        outcome = self.outcome
        if outcome is None:
            if self._so_far is None or self._when != when:
                self._so_far, self._when = outcome_of(self.check.run(attempt), replies), when
                self._folded.clear()
            outcome = self._so_far
        if not isinstance(outcome, Fold):
            return outcome
        said = tuple(map(supposed.get, outcome.lookups))
        findings = self._folded.get(said)
        if findings is None:
            findings = self._folded[said] = outcome.judge(supposed)
        return findings


class CheckRuns:
    """The checks of an attempt and the `replies` so far; what is `known` already they have read.

    `failed`: names of the checks that failed while they were asked, by a fault of ours.
    """

    def __init__(self, attempt: Attempt, checks: Sequence[Check], known: Replies, failed: Iterable[str] = ()) -> None:
        self.attempt = attempt
        self.checks = checks
        self.replies = known if isinstance(known, Gathered) else Gathered(known)
        self.failed = set(failed)
        self._admin = [check for check in checks if check.is_override]
        self._runs: dict[str, _Run] = {}
        self._waiting: dict[Question, list[_Run]] = {}
        self._hearsay = definite(known) is not known
        self._heard = 0
        for check in checks:
            if not check.is_override and check.name not in self.failed:
                self._begin(check)

    def add(self, come: Mapping[Question, LookupReply]) -> None:
        """Replies have come; who waits for one of them goes on at once."""
        self.replies.update(come)
        ready: dict[_Run, None] = {}
        for question, reply in come.items():
            if question.__class__ is DnsLookup:
                self._heard += 1
                if isinstance(reply, Records) and not reply.definite:
                    self._hearsay = True
                for run in self._waiting.pop(question, ()):
                    if question in run.wanted:
                        ready[run] = None
        for run in ready:
            self._go_on(run)

    def wanted(self, suppressed: Collection[Topic] = ()) -> list[Question]:
        """What all checks want to know at this point, each question once, without what is suppressed."""
        wanted: dict[Question, None] = {}
        for check in self.checks:
            name = check.name
            if name in self.failed:
                continue
            run = self._runs.get(name)
            if run is not None and not suppressed:
                wanted.update(dict.fromkeys(run.wanted))
            elif run is None or not _is_silent(check, suppressed):
                wanted.update(dict.fromkeys(self._guarded(check, self._wanted_despite, suppressed)))
        return list(wanted)

    def findings(self, supposed: Mapping[ListLookup, ListReply] | None = None) -> list[Finding]:
        """What all checks have to say, in their order; with `supposed`, if that is what lists say.

        What a check still waits for is not known. Raises what a check raises.
        """
        replies: dict[Question, LookupReply] = self.replies
        if supposed:
            replies = {**replies}
            replies.update(supposed.items())
        findings: list[Finding] = []
        for check in self.checks:
            findings += self._findings(check, replies)
        return findings

    def judge(self) -> list[Finding]:
        """The findings; a check that has failed or fails now has only an internal error to say."""
        findings: list[Finding] = []
        for check in self.checks:
            if check.name not in self.failed:
                try:
                    findings += self._findings(check, self.replies)
                    continue
                except Exception:
                    log.exception("check %s failed while judging", check.name)
            findings.append(neutral(check.name, INTERNAL_ERROR, "this check failed, the log has the details"))
        return findings

    def suppression(self) -> Suppression:
        """What overrides and maps suppress for the attempt."""
        if not self._admin:
            return NOT_SUPPRESSED
        topics: set[Topic] = set()
        pending: set[Question] = set()
        for check in self._admin:
            outcome, wanted, _ = follow(check.run(self.attempt), self.replies)
            pending.update(wanted)
            if outcome is None:
                outcome = outcome_of(check.run(self.attempt), self.replies)
            for finding in findings_of(outcome, self.replies):
                topics.update(finding.effect.suppresses)
        return Suppression(frozenset(topics), frozenset(pending))

    def speaks_at_once(self) -> bool:
        """Whether a check that has nothing to ask has something against the client."""
        for check in self.checks:
            run = self._runs.get(check.name)
            if (run is None or not run.asked) and speaks(self._findings(check, self.replies)):
                return True
        return False

    def of_sender(self) -> Collection[Question]:
        """What was asked of the sender's domain, which need not be the client's own."""
        asked: set[Question] = set()
        for name, run in self._runs.items():
            if name not in self.failed:
                asked.update(run.check.of_sender(self.attempt, self.replies, run.asked))
        return asked

    def fail(self, questions: Collection[Question]) -> None:
        """These questions have failed by a fault of ours, and so have the checks that asked them."""
        for check in self.checks:
            run = self._runs.get(check.name)
            asked = follow(check.run(self.attempt), self.replies).asked if run is None else run.asked
            if any(question in asked for question in questions):
                self.failed.add(check.name)

    def with_lists(self, more: Mapping[ListLookup, ListReply]) -> "CheckRuns":
        """The same where lists have said something else; of runs that are over."""
        runs = CheckRuns(self.attempt, (), Gathered.with_lists(self.replies, more), self.failed)
        runs.checks, runs._admin, runs._runs = self.checks, self._admin, self._runs
        runs._hearsay, runs._heard = self._hearsay, self._heard
        return runs

    def _begin(self, check: Check) -> None:
        try:
            run = self._runs[check.name] = _Run(check, check.run(self.attempt))
        except Exception as error:
            self._failed(check, error)
            return
        self._go_on(run)

    def _go_on(self, run: _Run) -> None:
        try:
            if run.go_on(self.replies):
                for question in run.wanted:
                    if question.__class__ is DnsLookup:
                        self._waiting.setdefault(question, []).append(run)
        except Exception as error:
            self._failed(run.check, error)

    def _findings(self, check: Check, replies: Replies) -> list[Finding]:
        run = self._runs.get(check.name)
        if run is None:
            return judged(check, self.attempt, replies)
        findings = run.findings(self.attempt, self.replies, self._heard, replies)
        return judged(check, self.attempt, replies) if self._hearsay and speaks(findings) else findings

    def _wanted_despite(self, check: Check, suppressed: Collection[Topic]) -> Collection[Question]:
        """What a check asks of which something can count, asked anew."""
        outcome, wanted, _ = follow(check.run_despite(self.attempt, suppressed), self.replies)
        return outcome.lookups if isinstance(outcome, Fold) else wanted

    def _guarded(
        self, check: Check, wanted: Callable[[Check, Collection[Topic]], Collection[Question]], suppressed: Collection[Topic]
    ) -> Collection[Question]:
        try:
            return wanted(check, suppressed)
        except Exception as error:
            self._failed(check, error)
            return ()

    def _failed(self, check: Check, error: Exception) -> None:
        log.error("check %s failed while asking", check.name, exc_info=error)
        self.failed.add(check.name)


def _is_silent(check: Check, suppressed: Collection[Topic]) -> bool:
    """Whether nothing of what it may find can count."""
    return ANYTHING in suppressed or (bool(check.topics) and all(is_suppressed(topic, suppressed) for topic in check.topics))
