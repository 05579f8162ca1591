"""What a check is told to do with what it finds, and how its findings are put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Consequence, Evidence, Finding, SmtpReply
from resolverd.mail.lookups import Question, Records, Replies
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize

ACTING: Final = frozenset({Consequence.REJECT, Consequence.DEFER, Consequence.GREYLIST, Consequence.SCORE})
"""Consequences that can change what happens to the mail, so that the finding's points count."""


NO_AUTHORITY: Final = Unknown(Why.FAILED, "no authority has said it")
"""For what somebody has said who need not know."""


@dataclass(frozen=True, slots=True)
class CheckRules:
    """One check as configured (``[checks.NAME]``).

    `consequence` of what it finds; None, for allow lists only: it lifts the refusals of address lists. `score` in points
    a finding weighs; None where every list has its own weight. `code` replaces the SMTP code of definite findings;
    temporary ones stay 450, as in Postfix.
    """

    consequence: Consequence | None = Consequence.REJECT
    score: float | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        if self.code is not None and not 400 <= self.code <= 599:
            raise ValueError(f"SMTP code {self.code}: a refusal's is between 400 and 599")


class Check(Protocol):
    """A question-and-judgement pair without any IO. Both functions depend on their arguments alone.

    `asks` yields every question whose answer it wants, knowing `replies`: what it no longer yields is no longer waited
    for, so a check that has seen enough stops asking. It is called again with each reply until all it wants is there.
    `judge` never fails on a reply, Unknown of each kind included, and says something in any case.
    """

    @property
    def name(self) -> str:
        """Its name in configuration, findings and metrics."""
        ...

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """What it wants to know."""
        ...

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """What it has to say; at least one finding."""
        ...


def judged(check: Check, attempt: Attempt, replies: Replies) -> list[Finding]:
    """What a check has to say. What no authority has said may speak for a client; against one, it counts as not known."""
    findings = check.judge(attempt, replies)
    if any(finding.consequence is not None for finding in findings):
        hearsay = [question for question, reply in replies.items() if isinstance(reply, Records) and not reply.definite]
        if hearsay:
            return check.judge(attempt, {**replies, **dict.fromkeys(hearsay, NO_AUTHORITY)})
    return findings


def neutral(check: str, code: str, text: str, evidence: tuple[Evidence, ...] = ()) -> Finding:
    """A finding that weighs nothing and changes nothing."""
    return Finding(check, code, sanitize(text), evidence=evidence, ms=_longest(evidence))


def skipped(check: str, whose: str, evidence: tuple[Evidence, ...] = ()) -> Finding:
    """The word of a check that has nothing to say, as the verdict was certain without it."""
    return neutral(check, f"{check}_skipped", f"{whose} was not looked up, the verdict is certain without it", evidence)


def fail(
    check: str,
    rules: CheckRules,
    code: str,
    text: str,
    reply: SmtpReply,
    evidence: tuple[Evidence, ...] = (),
    *,
    weight: float = 0,
    link: str = "",
) -> Finding:
    """A definite finding with the consequence configured; `weight` in points where the rules give no score."""
    counts = rules.consequence in ACTING
    return Finding(
        check,
        code,
        sanitize(text),
        score=(weight if rules.score is None else rules.score) if counts else 0,
        consequence=rules.consequence,
        reply=_reworded(rules, reply) if counts else None,
        link=link,
        evidence=evidence,
        ms=_longest(evidence),
    )


def tempfail(
    check: str, rules: CheckRules, code: str, text: str, reply: SmtpReply, evidence: tuple[Evidence, ...] = ()
) -> Finding:
    """A finding that may be gone at the next try: never more than a deferral, never any points.

    `reply` says that something could not be looked up, not what a look-up would have refused.
    Where the definite finding would count, it is reason enough for greylisting: a client that keeps its own DNS from answering
    shall fare no better than one without.
    """
    defers = rules.consequence in (Consequence.REJECT, Consequence.DEFER)
    counts = rules.consequence in (Consequence.SCORE, Consequence.GREYLIST)
    return Finding(
        check,
        code,
        sanitize(text),
        consequence=Consequence.DEFER if defers else Consequence.GREYLIST if counts else None,
        reply=reply.deferred if defers else None,
        evidence=evidence,
        ms=_longest(evidence),
    )


def _reworded(rules: CheckRules, reply: SmtpReply) -> SmtpReply:
    if rules.code is not None:
        reply = SmtpReply(rules.code, f"{rules.code // 100}{reply.enhanced[1:]}", reply.text)
    return reply.deferred if rules.consequence is Consequence.DEFER else reply


def _longest(evidence: tuple[Evidence, ...]) -> int:
    return max((piece.ms or 0 for piece in evidence), default=0)


_REJECT = CheckRules(Consequence.REJECT)

PRESETS: Final[Mapping[str, Mapping[str, CheckRules]]] = MappingProxyType(
    {
        # What the restrictions of the same meaning do in smtpd. Points are there for thresholds of one's own.
        "tutorial": MappingProxyType(
            {
                "ptr": CheckRules(Consequence.REJECT, 2),
                "fcrdns": CheckRules(Consequence.REJECT, 1),
                "helo": CheckRules(Consequence.REJECT, 2),
                "sender_domain": CheckRules(Consequence.REJECT, 3),
                "spf": CheckRules(Consequence.REJECT, 3),
                "dnsbl": _REJECT,
                "rhsbl": _REJECT,
                "dnswl": CheckRules(None),
            }
        ),
        # No single sign refuses by itself, except a list that weighs as much as `reject_at`: a client without reverse name
        # (2 + 1) and with a bad HELO (2) is only greylisted, with a sender domain that is not there (3) it is refused.
        "scored": MappingProxyType(
            {
                "ptr": CheckRules(Consequence.SCORE, 2),
                "fcrdns": CheckRules(Consequence.SCORE, 1),
                "helo": CheckRules(Consequence.SCORE, 2),
                "sender_domain": CheckRules(Consequence.SCORE, 3),
                "spf": CheckRules(Consequence.SCORE, 3),  # a domain that sends no mail at all refuses by itself
                "dnsbl": CheckRules(Consequence.SCORE),
                "rhsbl": CheckRules(Consequence.SCORE),
                "dnswl": CheckRules(Consequence.SCORE),
            }
        ),
    }
)
"""Rules of every check by preset: what ``[checks.NAME]`` falls back to, key by key."""
