"""What a check is, how it is declared and configured, and the findings that it makes."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, NewType, Protocol

from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Consequence, Evidence, Finding, SmtpReply, Status, Topic
from resolverd.mail.lookups import Question, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.overrides.matching import OverrideIndex, OverrideMatch
from resolverd.overrides.postfix_maps import AccessMap, MapFile
from resolverd.policy.asking import Asking, Fold, Outcome, outcome_of
from resolverd.policy.local_domains import NONE, LocalDomains

ACTING: Final = frozenset({Consequence.REJECT, Consequence.DEFER, Consequence.GREYLIST, Consequence.SCORE})
"""Consequences that can change what happens to the mail, so that the finding's points count."""
NO_AUTHORITY: Final = Unknown(Why.FAILED, "no authority has said it")
"""For what somebody has said who need not know."""
SUPPRESSED: Final = Skipped("suppressed by an override")

HostingDomain = NewType("HostingDomain", str)
"""In a check's options: a domain whose hosts are meant, so never a top level domain."""


@dataclass(frozen=True, slots=True)
class CheckRules:
    """One check as configured (``[checks.NAME]``).

    `consequence` of what it finds; None, for allow lists only: it suppresses the refusals of address lists. `score` in points
    a finding weighs; None where every list has its own weight. `code` replaces the SMTP code of definite findings;
    tempfails stay 450, as in Postfix.
    """

    consequence: Consequence | None = Consequence.REJECT
    score: float | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        if self.code is not None and not 400 <= self.code <= 599:
            raise ValueError(f"SMTP code {self.code}: a refusal's is between 400 and 599")


class Check:
    """Asks and judges, without any IO: `run` is a generator (`asking`). It depends on its arguments and on the replies alone; of
    the attempt, on its client's address and names, its HELO name, whether it has a sender, and the sender's domain, unless the
    check says more.

    What others must know of it, it says itself; most checks need none of this.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Its name in configuration, findings and metrics."""
    topics: ClassVar[tuple[Topic, ...]] = ()
    """Those of its findings that can be suppressed. With all of them suppressed it is not asked."""
    is_override: ClassVar[bool] = False
    """Whether the admin speaks here: what he suppresses is not asked, and nobody is decided upon before he has spoken. What he
    says may change at any time, so it is asked for each time anew."""
    always_neutral: ClassVar[frozenset[str]] = frozenset()
    """Codes of its findings that are neutral whatever its rules and options are."""
    asks_client_names: ClassVar[bool] = False
    """Whether its questions tell what is wrong with the client's own names."""

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """What it has to say, once it has the replies that it wants: at least one finding, or the `Fold` of what lists say.

        Never fails on a reply, Unknown of each kind included.
        """
        raise NotImplementedError

    def run_despite(self, attempt: Attempt, suppressed: Collection[Topic]) -> Asking[Outcome]:
        """The same without what it need not ask while some of its topics cannot count."""
        return self.run(attempt)

    def of_sender(self, attempt: Attempt, replies: Replies, asked: Collection[Question]) -> Collection[Question]:
        """Those of the questions it has asked that are about the sender's domain, which need not be the client's own."""
        return ()

    def is_of_recipient(self) -> bool:
        """Whether it may find something else for another recipient of the message."""
        return False

    def names_recipient(self, recipient: str) -> bool:
        """Whether it may find something else for this recipient than for those of whom this is not said."""
        return self.is_of_recipient()

    def names_sender(self, attempt: Attempt) -> bool:
        """Whether it may find something else for this sender than for those of the same domain of whom this is not said; asked if
        it `is_override`."""
        return False

    def reads_sender(self, attempt: Attempt, replies: Replies) -> bool:
        """Whether, these being the replies, it may find something else for another sender of the same domain."""
        return False

    def holds_until(self, attempt: Attempt, replies: Replies) -> float:
        """The wall second until which it finds the same, these being the replies."""
        return math.inf

    def overrides(self, attempt: Attempt, replies: Replies) -> Sequence[OverrideMatch]:
        """The overrides that have counted in what it has to say, if it `is_override`."""
        return ()


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Of a check that has none."""


class Inputs(NamedTuple):
    """What checks are made of besides their rules and options; each takes what it needs.

    `maps`: the contents of the map files that options name, without those that cannot be read. `overrides` may change while
    an attempt is looked at. `local`: domains that are this server's own. `hostname` is our own.
    """

    lists: tuple[ListSpec, ...] = ()
    maps: Mapping[MapFile, AccessMap] = {}
    overrides: OverrideIndex | None = None
    local: LocalDomains = NONE
    hostname: str = "unknown"


class _Maker(Protocol):
    def __call__(self, rules: CheckRules, options: Any, inputs: Inputs, /) -> Check | None: ...


def _no_faults(options: Any) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is known of a check outside its file; its module has it as ``CHECK``.

    `order` is that of the findings, and among equally harsh ones the first words the reply; all ask at the same time. `make`
    makes it, or None where there is nothing that it could say. `presets`: its rules in each, what ``[checks.NAME]`` falls back
    to, key by key; None for a check that follows no rules but its own, and is always on.

    `options`: a frozen dataclass of what its table has besides; the fields' types are bool, str, Literal, Consequence, Network,
    MapFile, HostingDomain, tuples of them, or None. `table`: its name in ``[checks]`` if that is another, empty for none.
    `faults`: what is wrong with options as a whole, by field. `names_people`: their values are of no concern to a log that
    names nobody. `replaces`: smtpd's restrictions (postconf(5)) whose place it takes; one that ends in ``_``, all that begin so.
    """

    name: str
    order: int
    make: _Maker
    presets: Mapping[str, CheckRules] | None = None
    options: Any = NoOptions
    table: str | None = None
    faults: Any = _no_faults
    names_people: bool = False
    replaces: tuple[str, ...] = ()


def judged(check: Check, attempt: Attempt, replies: Replies) -> list[Finding]:
    """What a check has to say, these being all replies. What no authority has said may speak for a client; against one, it counts
    as not known."""
    findings = findings_of(outcome_of(check.run(attempt), replies), replies)
    if speaks(findings) and (sure := definite(replies)) is not replies:
        return findings_of(outcome_of(check.run(attempt), sure), sure)
    return findings


def findings_of(outcome: Outcome, replies: Replies) -> list[Finding]:
    """The findings that a check has come to, these being the replies of lists."""
    return outcome.judge(replies) if isinstance(outcome, Fold) else outcome


def speaks(findings: Iterable[Finding]) -> bool:
    """Whether one of them is more than neutral."""
    return any(finding.consequence is not None for finding in findings)


def definite(replies: Replies) -> Replies:
    """The replies, those that no authority has given as not known."""
    hearsay = [question for question, reply in replies.items() if isinstance(reply, Records) and not reply.definite]
    return {**replies, **dict.fromkeys(hearsay, NO_AUTHORITY)} if hearsay else replies


def is_suppressed(topic: Topic | None, suppressed: Collection[Topic]) -> bool:
    """Whether one of these covers the topic."""
    return any(each.covers(topic) for each in suppressed)


def neutral(check: str, code: str, text: str, evidence: tuple[Evidence, ...] = (), *, status: Status = Status.KNOWN) -> Finding:
    """A finding that weighs nothing and changes nothing."""
    return Finding(check, code, sanitize(text), evidence=evidence, ms=_longest(evidence), status=status)


def nothing(check: str, code: str, text: str, evidence: tuple[Evidence, ...] = ()) -> Finding:
    """The finding of a check that has nothing to look at, or nothing to say."""
    return neutral(check, code, text, evidence, status=Status.NOTHING)


def skipped(check: str, whose: str, evidence: tuple[Evidence, ...] = ()) -> Finding:
    """The finding of a check that has nothing to say, as the verdict was certain without it."""
    return nothing(check, f"{check}_skipped", f"{whose} was not looked up, the verdict is certain without it", evidence)


def fail(
    check: str,
    rules: CheckRules,
    code: str,
    text: str,
    reply: SmtpReply,
    evidence: tuple[Evidence, ...] = (),
    *,
    topic: Topic | None = None,
    weight: float = 0,
    link: str = "",
    list_id: str = "",
) -> Finding:
    """A definite finding with the consequence configured; `weight` in points where the rules give no score. `list_id`: of the
    list whose listing it is."""
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
        topic=topic,
        list_id=list_id,
    )


def tempfail(
    check: str,
    rules: CheckRules,
    code: str,
    text: str,
    reply: SmtpReply,
    evidence: tuple[Evidence, ...] = (),
    *,
    topic: Topic | None = None,
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
        status=Status.UNKNOWN,
        topic=topic,
    )


def _reworded(rules: CheckRules, reply: SmtpReply) -> SmtpReply:
    if rules.code is not None:
        reply = SmtpReply(rules.code, f"{rules.code // 100}{reply.enhanced[1:]}", reply.text)
    return reply.deferred if rules.consequence is Consequence.DEFER else reply


def _longest(evidence: tuple[Evidence, ...]) -> int:
    longest = 0
    for piece in evidence:
        longest = max(longest, piece.ms or 0)
    return longest
