"""From findings to a verdict: a fold without IO, so that every rule of it can be read, tested and replayed.

    findings ──decide──> Decision ──(greylisting, only while undecided)──> apply_greylist ──finish──> Verdict

What overrides and access maps suppress (`Effect.suppresses`) does not count, before allow lists are looked at. The
order of harshness is: refused for good, refused for now, deferred, greylisted, accepted; among equals the first check
in order words the reply. What is not known never refuses.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from resolverd.mail.domains import mailbox
from resolverd.mail.findings import (
    ANYTHING,
    GREYLISTING,
    Action,
    Consequence,
    Finding,
    GreylistOutcome,
    Listing,
    SmtpReply,
    Status,
    Topic,
    Verdict,
    WhatIf,
)
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import points, sanitize
from resolverd.policy.check import is_suppressed
from resolverd.wire.names import Address

REPLY_LIMIT: Final = 400
"""Octets of a reply's text, link and reference included (RFC 5321 §4.5.3.1.5 allows 512 with everything Postfix adds)."""
LINK_LIMIT: Final = 200
"""Longest link worth its place in a reply."""

_UNLIKE_PARTS: Final = str.maketrans({";": ",", "=": ":"})
_AGAINST = frozenset({Consequence.REJECT, Consequence.DEFER, Consequence.GREYLIST, Consequence.SCORE})
WAITING: Final = frozenset({"new", "early-retry"})
"""States of greylisting that defer."""
GREYLIST_FAILURES: Final = frozenset({"store failed", "internal error"})
"""Why greylisting was skipped, where it was not meant to be (`GreylistOutcome.reason`)."""


class Mode(StrEnum):
    """Whether verdicts are carried out or only shown."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class RecipientPolicy(NamedTuple):
    """What is different for some recipients (``[[policy.for]]``); None: as for all."""

    recipients: tuple[str, ...]
    mode: Mode | None = None
    greylist: bool | None = None


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """``[verdict]`` and what else bears on the whole. Points for `reject_at` and `greylist_at`, seconds for the deadlines.

    `deadline` is for everything together, `list_deadline` for each list. The first of `policies` that names a recipient
    holds for it.
    """

    mode: Mode = Mode.ENFORCE
    reject_at: float = 6
    greylist_at: float = 2
    greylist: bool = True
    trusted_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    exempt_recipients: tuple[str, ...] = ("postmaster@", "abuse@")
    policies: tuple[RecipientPolicy, ...] = ()
    deadline: float = 4.0
    list_deadline: float = 2.0

    def policy(self, recipient: str) -> RecipientPolicy:
        """What holds for a recipient, nothing left open."""
        own = next((policy for policy in self.policies if matches_recipient(recipient, policy.recipients)), None)
        mode, greylist = (own.mode, own.greylist) if own else (None, None)
        return RecipientPolicy((), mode or self.mode, self.greylist if greylist is None else greylist)


class Decision(NamedTuple):
    """What the findings come to; `action` is what is meant to happen, even where `mode` only observes.

    `findings` as they count, allow lists taken into account. `reply` is without link and reference. `wants_greylist`:
    nothing speaks for a refusal, so greylisting has its say; `suspicious` tells it that something is there, though. `cause`: the
    code of the finding that refuses or defers.
    """

    action: Action
    score: float
    reason: str
    findings: tuple[Finding, ...] = ()
    reply: SmtpReply | None = None
    link: str = ""
    wants_greylist: bool = False
    suspicious: bool = False
    mode: Mode = Mode.ENFORCE
    cause: str = ""


def bypass_reason(attempt: Attempt, rules: VerdictRules) -> str:
    """Why nothing is checked at all, if nothing is: clients that have logged in, and those of trusted networks."""
    if attempt.sasl_username:
        return "authenticated client"
    address = attempt.client_address
    if address is not None and any(address in network for network in rules.trusted_networks):
        return "trusted network"
    return ""


def drop_tempfails(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without the deferrals for what could not be looked up: it was our network, not the client's fault."""
    return [
        finding._replace(text=f"{finding.text}, as the internet is out of reach", consequence=None, reply=None)
        if finding.consequence is Consequence.DEFER and finding.status is Status.UNKNOWN
        else finding
        for finding in findings
    ]


def decide(attempt: Attempt, findings: Iterable[Finding], rules: VerdictRules, *, offline: bool = False) -> Decision:
    """The fold: what the findings of one attempt come to.

    `offline`: nothing can be looked up at the moment. Then everybody counts as suspicious: greylisting needs nobody's DNS, and
    who attacks ours shall not switch it off.
    """
    findings = tuple(findings)
    counted = _as_they_count(findings)
    score = sum(finding.score for finding in counted)
    policy = rules.policy(attempt.recipient)
    mode = policy.mode or rules.mode
    if attempt.recipient and matches_recipient(attempt.recipient, rules.exempt_recipients):
        return Decision(Action.ACCEPT, score, f"exempt recipient {sanitize(mailbox(attempt.recipient), 80)}", counted, mode=mode)
    ruling = [finding for finding in counted if finding.consequence in (Consequence.REJECT, Consequence.DEFER)]
    # The admin's refusal is the answer, also where it only puts off what others would refuse for good.
    rulings = [_ruling(finding) for finding in ruling if finding.effect.final]
    rulings = rulings or [*map(_ruling, ruling), *_by_points(counted, rules)]
    if rulings:
        worst = max(rulings, key=_harshness)
        return Decision(worst.action, score, worst.reason, counted, worst.reply, worst.link, mode=mode, cause=worst.cause)
    greylists = bool(policy.greylist)
    return Decision(
        Action.ACCEPT,
        score,
        _why_accepted(findings, counted, score, greylists=greylists),
        counted,
        # Who is on an allow list comes back anyway: greylisting it would cost time and catch nobody.
        wants_greylist=greylists and not _is_allow_listed(counted) and not _skips_greylist(counted),
        suspicious=offline or _is_suspicious(counted, rules),
        mode=mode,
    )


def _why_accepted(findings: tuple[Finding, ...], counted: tuple[Finding, ...], score: float, *, greylists: bool) -> str:
    """What has decided that nothing is refused: an override, an allow list that suppressed something, how little there is,
    or how little is known."""
    own = next((finding for finding in findings if finding.effect.suppresses and not finding.effect.allow_listed), None)
    if own is not None:
        return own.text
    allow_listing = next((finding for finding in counted if finding.effect.allow_listed), None)
    suppressed = any(_is_suppressed(each, by.effect.suppresses) for by in findings if by.effect.suppresses for each in findings)
    if allow_listing is not None and (suppressed or (greylists and _is_allow_listed(counted))):
        return allow_listing.text
    if score > 0:
        return f"score {points(score)}, too little to refuse"
    unknown = dict.fromkeys(each.check for each in counted if each.status is Status.UNKNOWN)
    if not unknown:
        return "nothing speaks against it"
    if all(each.status is not Status.KNOWN for each in counted):
        return f"nothing could be found out: {', '.join(unknown)}"
    return f"nothing speaks against it, as far as is known (not: {', '.join(unknown)})"


def apply_greylist(decision: Decision, greylist: GreylistOutcome | None) -> Decision:
    """The decision with what greylisting says, if it was asked."""
    if greylist is None or decision.action is not Action.ACCEPT:
        return decision
    if greylist.state == "skipped" and greylist.reason in GREYLIST_FAILURES:
        return decision._replace(reason=f"{decision.reason}; greylisting failed: {greylist.reason}")
    if greylist.state not in WAITING:
        return decision
    return decision._replace(action=Action.GREYLIST, reason=f"greylisted, {greylist.reason or greylist.state}")


def harshness(decision: Decision) -> tuple[int, float]:
    """Where a decision stands among those on one message (`policy.headers.Rank`): the harshest highest, then the score."""
    refused = decision.reply is not None and decision.reply.permanent
    order = {Action.ACCEPT: 0, Action.GREYLIST: 1, Action.DEFER: 2, Action.REJECT: 4 if refused else 3}
    return order[decision.action], decision.score


def verdict_header(decision: Decision, ref: str) -> str:
    """The header that tells of the verdict on delivered mail: always in observe mode, else only where a check tags."""
    tags = [finding.code for finding in decision.findings if finding.consequence is Consequence.TAG]
    if decision.mode is Mode.OBSERVE:
        # Strangers write parts of the reason, and a filter may look for score= and ref= in this line.
        because = decision.reason.translate(_UNLIKE_PARTS)
        said = "accept" if decision.action is Action.ACCEPT else f"would {decision.action} ({because})"
    elif tags:
        said = "tagged"
    else:
        return ""
    named = f"; tags={','.join(dict.fromkeys(tags))}" if tags else ""
    return sanitize(f"X-Resolverd: {said}{named}; score={points(decision.score)}; ref={ref}")


def finish(
    decision: Decision,
    greylist: GreylistOutcome | None = None,
    *,
    ref: str,
    header: str = "",
    partial: bool = False,
    ms: int = 0,
    what_if: tuple[WhatIf, ...] = (),
    client: Address | None = None,
    listings: tuple[Listing, ...] = (),
) -> Verdict:
    """The verdict as it is given: its reply with link and reference; in observe mode always accept, with what would have been."""
    action, reason, reply = decision.action, decision.reason, decision.reply
    if decision.mode is Mode.OBSERVE and action is not Action.ACCEPT:
        action, reason, reply = Action.ACCEPT, f"observed only, would {action}: {reason}", None
    if reply is not None:
        reply = _worded(reply, decision.link, ref)
    return Verdict(
        ref, action, decision.score, reason, decision.findings, reply, greylist, header, partial, ms, what_if, client, listings,
        decision.cause,
    )  # fmt: skip


class _Ruling(NamedTuple):
    """One ground to refuse or defer."""

    action: Action
    reply: SmtpReply
    reason: str
    link: str = ""
    cause: str = ""


def _harshness(ruling: _Ruling) -> tuple[bool, bool]:
    return ruling.reply.permanent, ruling.action is Action.REJECT


def _ruling(finding: Finding) -> _Ruling:
    refuses = finding.consequence is Consequence.REJECT
    reply = finding.reply or SmtpReply(*((550, "5.7.1") if refuses else (450, "4.7.1")), finding.text)
    if not refuses:
        return _Ruling(Action.DEFER, reply.deferred, finding.text, finding.link, finding.code)
    return _Ruling(Action.REJECT, reply, finding.text, finding.link, finding.code)


def _by_points(findings: tuple[Finding, ...], rules: VerdictRules) -> list[_Ruling]:
    """The refusal by the sum of points, worded by the heaviest finding; deferred if the sum needs address lists whose
    allow list was not reached."""
    scoring = [finding for finding in findings if finding.consequence is Consequence.SCORE]
    total = sum(finding.score for finding in scoring)
    if not scoring or total < rules.reject_at:
        return []
    heaviest = max(scoring, key=lambda finding: finding.score)
    reason = f"score {points(total)}, refused from {points(rules.reject_at)}: {heaviest.text}"
    reply = heaviest.reply
    if reply is None or not reply.permanent:
        reply = SmtpReply(550, "5.7.1", f"Message rejected (score {points(total)}, refused from {points(rules.reject_at)})")
    may_suppress = _may_suppress(findings)
    doubtful = sum(finding.score for finding in scoring if is_suppressed(finding.topic, may_suppress))
    if doubtful > 0 and total - doubtful < rules.reject_at:
        reason = f"{reason} (an allow list was not reached)"
        return [_Ruling(Action.DEFER, reply.postponed, reason, heaviest.link, heaviest.code)]
    return [_Ruling(Action.REJECT, reply, reason, heaviest.link, heaviest.code)]


def _as_they_count(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings, suppressed where another suppresses them: overrides, allow lists (postconf(5) ``permit_dnswl_client``).

    What an allow list might have suppressed that is out of reach defers instead of refusing.
    """
    counted = findings
    for by in findings:
        if topics := by.effect.suppresses:
            counted = tuple(_suppressed(each, by) if _is_suppressed(each, topics) else each for each in counted)
    if doubtful := _may_suppress(findings):
        return tuple(_to_defer(finding) if is_suppressed(finding.topic, doubtful) else finding for finding in counted)
    return counted


def _may_suppress(findings: tuple[Finding, ...]) -> list[Topic]:
    """What allow lists could have suppressed that were not reached; nothing of what is suppressed without them."""
    lost = [topic for finding in findings for topic in finding.effect.may_suppress]
    return [topic for topic in lost if not any(is_suppressed(topic, finding.effect.suppresses) for finding in findings)]


def _is_suppressed(finding: Finding, topics: tuple[Topic, ...]) -> bool:
    if not topics or finding.consequence is None or finding.effect.final:
        return False
    if ANYTHING in topics:
        return finding.consequence in _AGAINST and finding.score >= 0
    return is_suppressed(finding.topic, topics)


def _skips_greylist(findings: tuple[Finding, ...]) -> bool:
    """An override suppresses greylisting."""
    return any(is_suppressed(GREYLISTING, each.effect.suppresses) for each in findings if each.effect.suppresses)


def _suppressed(finding: Finding, by: Finding) -> Finding:
    return finding._replace(text=f"{finding.text} (suppressed: {by.text})", score=0, consequence=None, reply=None)


def _to_defer(finding: Finding) -> Finding:
    if finding.consequence is not Consequence.REJECT or finding.reply is None:
        return finding
    return finding._replace(
        text=f"{finding.text} (an allow list was not reached)",
        consequence=Consequence.DEFER,
        reply=finding.reply.postponed,
    )


def _is_allow_listed(findings: tuple[Finding, ...]) -> bool:
    """An allow list that acts (not one that only tags or warns) has the client."""
    return any(finding.effect.allow_listed and finding.consequence in (None, Consequence.SCORE) for finding in findings)


def _is_suspicious(findings: tuple[Finding, ...], rules: VerdictRules) -> bool:
    if any(finding.consequence is Consequence.GREYLIST for finding in findings):
        return True
    scoring = [finding.score for finding in findings if finding.consequence is Consequence.SCORE]
    return bool(scoring) and sum(scoring) >= rules.greylist_at


def _worded(reply: SmtpReply, link: str, ref: str) -> SmtpReply:
    """The reply as it is said: the words are cut before link and reference are."""
    link = sanitize(link, LINK_LIMIT + 1)
    tail = f"; {link}" if link and len(link) <= LINK_LIMIT else ""
    tail += f"; ref {sanitize(ref, 40)}"
    return reply._replace(text=sanitize(reply.text, REPLY_LIMIT - len(tail)) + tail)
