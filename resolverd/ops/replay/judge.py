"""What a configuration says to an attempt that has come already: the checks and the fold of the daemon over what was kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from resolverd.dnsbl.spec import ListSpec
from resolverd.greylist.decide import GreylistRules
from resolverd.mail.findings import Action, Finding, GreylistOutcome, Listing, Verdict
from resolverd.mail.lookups import Listed, ListLookup, LookupReply, Question, Replies
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.ops.replay.replies import replies_of
from resolverd.policy.asking import Asking, Outcome, at_once, follow
from resolverd.policy.check import Check
from resolverd.policy.early import EarlyDecision
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import WAITING, Decision, Mode, VerdictRules, apply_greylist, bypass_reason, decide, drop_tempfails
from resolverd.policy.verdict_records import KeptAttempt, StoredVerdict
from resolverd.policy.worth import listings
from resolverd.wire.codes import type_text
from resolverd.wire.names import Address

PASSES: Final = "not_refused"
"""What becomes of mail that is refused no more, and of which greylisting was not asked."""
AUTHENTICATED: Final = "authenticated client"
_OFFLINE: Final = ", as the internet is out of reach"


class Kept(NamedTuple):
    """A verdict that was kept, when it was given (wall seconds), and on what; None where that was not kept.

    Of one that a log tells: `listed`, whom which list (as texts name it) has listed, its codes not being known; `untold`, what
    the log does not hold of the attempt.
    """

    verdict: Verdict
    at: float
    attempt: KeptAttempt | None
    listed: tuple[tuple[Address | str, str], ...] = ()
    untold: tuple[str, ...] = ()

    @classmethod
    def of(cls, stored: StoredVerdict, now: float) -> "Kept":
        """One as it comes from the store, its evidence as kept."""
        return cls(stored.verdict, now - stored.age, stored.attempt)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What of a configuration bears on a verdict. `lists`: those that it asks, by how texts name them."""

    checks: tuple[Check, ...]
    lists: Mapping[str, ListSpec]
    rules: VerdictRules
    greylist: GreylistRules


class Said(NamedTuple):
    """What becomes of an attempt: an `Action`'s value or `PASSES`, the code of a refusal (0 without one), and why."""

    action: str
    code: int
    reason: str

    @property
    def word(self) -> str:
        """What is said, without why: ``reject 554``."""
        return f"{self.action} {self.code}" if self.code else self.action.replace("_", " ")

    @property
    def refuses(self) -> bool:
        """Whether mail is refused or put off, greylisting aside."""
        return self.action in (Action.REJECT, Action.DEFER)


class Judged(NamedTuple):
    """What a configuration says to an attempt.

    `said`: what is said if all that is not known stays so; for certain where `unknown` is empty, which names what is not known
    and could change it. `listings`: the lists that list somebody. `allow_listed`: an allow list, an override or a map speaks for
    the client. `questions`: all that its lists are asked; `open_lists`: of those, what is not known.
    """

    said: Said
    unknown: tuple[str, ...] = ()
    listings: tuple[Listing, ...] = ()
    allow_listed: bool = False
    questions: tuple[ListLookup, ...] = ()
    open_lists: tuple[ListLookup, ...] = ()


class _AsKept(Check):
    """A check whose findings are taken over."""

    __slots__ = ("findings", "name")

    def __init__(self, name: str, findings: list[Finding]):
        self.name = name  # type: ignore[misc]
        self.findings = findings

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        return at_once(self.findings)


def said_then(verdict: Verdict) -> Said:
    """What the verdict has said that was given."""
    return Said(verdict.action, verdict.reply.code if verdict.reply is not None else 0, verdict.reason)


def judge(
    kept: Kept, configuration: Configuration, now: int, more: Mapping[Question, LookupReply] | None = None
) -> Judged:
    """What the configuration would say to it now (wall seconds); `more` replies are those that the evidence does not hold."""
    verdict = kept.verdict
    if kept.attempt is None:
        return Judged(said_then(verdict), ("the attempt (kept by an earlier version)",))
    if kept.attempt.nameless:
        return Judged(said_then(verdict), ("the attempt's names (kept as hashes)",))
    attempt = attempt_of(kept, now)
    replies = {**(more or {}), **replies_of(verdict.findings, configuration.lists)}
    if not kept.listed:
        return _with_untold(kept, _judge(attempt, replies, configuration, verdict))
    least, most = (_with_listed(kept, configuration, replies, gravest=gravest) for gravest in (False, True))
    judged = _judge(attempt, most, configuration, verdict)
    if least != most and _judge(attempt, least, configuration, verdict).said != judged.said:
        return judged._replace(unknown=tuple(f"the code of {shown}" for _, shown in kept.listed))
    return _with_untold(kept, judged)


def _with_untold(kept: Kept, judged: Judged) -> Judged:
    if kept.untold and not (judged.said.code >= 500 and not judged.unknown):
        return judged._replace(unknown=(*judged.unknown, *kept.untold))
    return judged


def _with_listed(
    kept: Kept, configuration: Configuration, replies: Mapping[Question, LookupReply], *, gravest: bool
) -> Mapping[Question, LookupReply]:
    """The replies, with those of lists of which no more is known than that they list somebody: as the gravest of their codes, or
    as the least one."""
    found = dict(replies)
    for subject, shown in kept.listed:
        if (spec := configuration.lists.get(shown)) is not None:
            weights = [spec.weight if code.weight is None else code.weight for _, code in spec.codes.codes] or [spec.weight]
            weight = max(weights) if gravest else min(weights)
            found[ListLookup(spec.id, subject)] = Listed(spec.id, (), (), weight, f"listed by {shown}", "", 0)
    return found


def _judge(
    attempt: Attempt, replies: Mapping[Question, LookupReply], configuration: Configuration, verdict: Verdict
) -> Judged:
    rules = configuration.rules
    if reason := bypass_reason(attempt, rules):
        return Judged(Said(Action.ACCEPT, 0, reason))
    findings = verdict.findings
    checks = _taken_over(configuration.checks, attempt, findings, replies)
    runs = CheckRuns(attempt, checks, replies)
    offline = any(_OFFLINE in each.text for each in findings)
    judged = drop_tempfails(runs.judge()) if offline else runs.judge()
    decision = decide(attempt, judged, rules, offline=offline)
    wanted = runs.wanted(runs.suppression().topics)
    open_ = [question for question in wanted if question not in replies]
    unknown = _undecided(attempt, runs, open_, configuration, decision)
    said, greylisting = _greylisted(attempt, decision, verdict, configuration.greylist)
    return Judged(
        said,
        unknown or greylisting,
        listings(attempt, judged, rules, decision, offline=offline),
        any(each.effect.allow_listed or each.effect.suppresses for each in judged),
        tuple(question for question in wanted if isinstance(question, ListLookup)),
        tuple(question for question in open_ if isinstance(question, ListLookup)) if unknown else (),
    )


def attempt_of(kept: Kept, now: int) -> Attempt:
    """The attempt again, at another time: overrides count as they are in force then."""
    said, verdict = kept.attempt, kept.verdict
    assert said is not None
    return Attempt(
        client_address=verdict.client,
        client_name=said.client_name,
        reverse_client_name=said.reverse_client_name,
        helo_name=said.helo_name,
        sender=said.sender or "",
        has_sender=said.sender is not None,
        recipient=said.recipient,
        protocol_state=said.protocol_state,
        sasl_username="-" if verdict.reason == AUTHENTICATED and not verdict.findings else "",
        at=now,
    )


def _taken_over(
    checks: Sequence[Check], attempt: Attempt, findings: Sequence[Finding], replies: Replies
) -> tuple[Check, ...]:
    """The checks; what one has found stands that could not find it again, where it is the same in every configuration."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.check, []).append(finding)
    return tuple(
        _AsKept(check.name, found[check.name])
        if check.name in found
        and all(each.code in check.always_neutral for each in found[check.name])
        and follow(check.run(attempt), replies).outcome is None
        else check
        for check in checks
    )


def _undecided(
    attempt: Attempt, runs: CheckRuns, open_: Collection[Question], configuration: Configuration, decision: Decision
) -> tuple[str, ...]:
    """What is not known and may change what is said."""
    rules = configuration.rules
    exempt = bool(attempt.recipient) and matches_recipient(attempt.recipient, rules.exempt_recipients)
    if not open_ or exempt:
        return ()
    lists = {spec.id: spec for spec in configuration.lists.values()}
    if EarlyDecision(attempt, lists, rules).is_decided(runs, open_):
        return ()
    return tuple(dict.fromkeys(_name(each, lists) for each in open_))


def _name(question: Question, lists: Mapping[str, ListSpec]) -> str:
    """What is not known, in words that many attempts have in common."""
    return f"list {lists[question.list_id].id}" if isinstance(question, ListLookup) else f"DNS {type_text(question.rtype)}"


def _greylisted(
    attempt: Attempt, decision: Decision, verdict: Verdict, rules: GreylistRules
) -> tuple[Said, tuple[str, ...]]:
    """What is said with what greylisting has said then, and what of that is not known."""
    if not decision.wants_greylist:
        return _said(decision), ()
    then = verdict.greylist
    if not rules.enabled or attempt.client_address is None or not attempt.recipient or not attempt.has_sender:
        return _said(decision), ()
    if rules.when == "suspicious" and not decision.suspicious and (then is None or then.state != "allowed"):
        return _said(decision), ()
    if then is None or (then.state == "skipped" and then.reason in ("not suspicious", "greylisting is off", "refused")):
        if decision.mode is Mode.OBSERVE:
            return _said(decision), ()
        return _said(decision)._replace(action=PASSES), () if said_then(verdict).refuses else ("greylisting",)
    if then.state == "passed" and then.delayed < rules.delay:
        missing = rules.delay - then.delayed
        then = GreylistOutcome("early-retry", missing, 0, f"early-retry ({missing}s missing)")
    return _said(apply_greylist(decision, then)), ()


def _said(decision: Decision) -> Said:
    """As `policy.verdict.finish` says it."""
    action, reply = decision.action, decision.reply
    if decision.mode is Mode.OBSERVE and action is not Action.ACCEPT:
        return Said(Action.ACCEPT, 0, f"observed only, would {action}: {decision.reason}")
    return Said(action, reply.code if reply is not None and action is not Action.GREYLIST else 0, decision.reason)


def passed_greylisting(outcome: GreylistOutcome | None) -> bool:
    """Whether somebody has shown that he comes back, or need not."""
    return outcome is not None and outcome.state not in WAITING and outcome.state != "skipped"
