"""May the client send for the sender's domain, and call itself as it does? SPF (RFC 7208), as policyd-spf has it.

Checked are the MAIL FROM identity, which for the null sender is ``postmaster`` at the HELO name (§2.4), and the HELO
identity (§2.3). Only a fail refuses; what could not be found out never does.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import ClassVar, Final, Literal, NamedTuple

from resolverd import bounds
from resolverd.mail.findings import Consequence, Evidence, Finding, HeaderField, SmtpReply, Status, Topic
from resolverd.mail.lookups import DnsLookup, Question, Replies
from resolverd.mail.patterns import IPNetwork
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.policy.asking import LATE, Asking, Outcome
from resolverd.policy.check import Check, CheckRules, Declaration, HostingDomain, fail, neutral, nothing, tempfail
from resolverd.policy.evidence import evidence
from resolverd.spf import (
    Evaluation,
    Identity,
    Progress,
    Result,
    SpfOutcome,
    SpfSubject,
    authentication_results,
    claims,
    evaluation,
    progress,
    received_spf,
    subject_of,
)

HeaderStyle = Literal["received-spf", "authentication-results", "none"]

_EXPLANATION: Final = 160
"""Octets of a domain's own explanation that are passed on."""
TOPIC: Final = Topic("sender", "spf")
"""Of HELO as well: what it may call itself is asked for the sender's sake."""


@dataclass(frozen=True, slots=True)
class SpfOptions:
    """``[checks.spf]`` besides action, score and code.

    `helo`: the HELO identity is checked as well. `permerror` and `temperror`: what these results do; temperror does no more
    than defer. `never_sends`: what the fail of a domain does that sends no mail at all; None: as any fail, but refuse where
    that only scores. `skip_addresses` are not checked. `domain_allow`: domains whose hosts may send for everybody, as
    forwarders do.
    """

    helo: bool = True
    permerror: Consequence = Consequence.OFF
    temperror: Literal["off", "warn", "defer"] = "off"
    never_sends: Consequence | None = None
    header: HeaderStyle = "received-spf"
    skip_addresses: tuple[IPNetwork, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    domain_allow: tuple[HostingDomain, ...] = ()


@dataclass(frozen=True, slots=True)
class SpfHeader(HeaderField):
    """The header field that tells what came of an identity's check; `receiver` is our own host name."""

    identity: Identity
    outcome: SpfOutcome
    style: HeaderStyle
    receiver: str

    def line(self, attempt: Attempt) -> str:
        """The field, which has the whole address of the sender."""
        subject = next(subject for identity, subject in claims(attempt, self.receiver) if identity is self.identity)
        write = received_spf if self.style == "received-spf" else authentication_results
        return write(self.identity, subject, self.outcome)


class _Claim(NamedTuple):
    """One identity and its evaluation; `code` begins the codes of its findings."""

    identity: Identity
    code: str
    subject: SpfSubject
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Spf(Check):
    """Codes: ``spf_`` and ``spf_helo_`` (the HELO identity, where it is not the sender's) with the results of RFC 7208 §2.6,
    ``worthless`` (a pass that anybody gets) and ``skipped``; ``spf_allowed`` (a fail, but sent by an allowed forwarder)."""

    rules: CheckRules
    options: SpfOptions = SpfOptions()
    hostname: str = "unknown"
    name: ClassVar[str] = "spf"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)
    always_neutral: ClassVar[frozenset[str]] = frozenset(
        f"{claim}_{result}" for claim in ("spf", "spf_helo") for result in ("pass", "none", "neutral", "softfail", "worthless")
    )

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """A finding for the sender, and one for the HELO name if there is anything to say of it.

        Asks whatever the evaluations wait for; forwarders are looked at only if it is they who could save the mail.
        """
        if skipped := self._skipped(attempt):
            return [nothing(self.name, "spf_skipped", skipped)]
        replies = yield ()
        claims = self._claims(attempt, replies)
        forwarders: list[Evaluation] = []
        while True:
            claimed = [evaluated.go_on(replies) for _, _, _, evaluated in claims]
            if any(_fails(come.outcome) for come in claimed):
                forwarders = forwarders or self._forwarders(attempt, replies)
            forwarded = [evaluated.go_on(replies) for evaluated in forwarders]
            wanted = _open((*claimed, *forwarded), replies)
            if not wanted:
                break
            replies = yield wanted
        findings: list[Finding] = []
        for claim, come in zip(claims, claimed, strict=True):
            outcome = come.outcome
            if outcome is None:  # what is missing stands as not known, so it was skipped
                seen = evidence(replies, come.asked)
                text = f"the SPF record of {claim.subject.domain} was not looked up, the verdict is certain without it"
                findings.append(nothing(self.name, f"{claim.code}_skipped", text, seen))
                continue
            finding = self._finding(claim, outcome, evidence(replies, come.asked), forwarded, replies)
            if claim.code == "spf" or not findings:
                finding = finding._replace(header=self._header(claim, outcome))
            elif outcome.result is Result.NONE:
                continue
            if any(earlier.score for earlier in findings):
                finding = finding._replace(score=0)  # one client, one record: its points count once
            findings.append(finding)
        return findings or [nothing(self.name, "spf_skipped", "no domain to check")]

    def of_sender(self, attempt: Attempt, replies: Replies, asked: Collection[Question]) -> Collection[Question]:
        """All but what HELO's record alone wants to know."""
        if self._skipped(attempt):
            return ()
        comes = [each.evaluation.go_on(replies) for each in self._claims(attempt, replies) if each.identity is Identity.MAILFROM]
        if any(_fails(come.outcome) for come in comes):
            comes += [evaluated.go_on(replies) for evaluated in self._forwarders(attempt, replies)]
        return [lookup for come in comes for lookup in (*come.asked, *come.wanted)]

    def reads_sender(self, attempt: Attempt, replies: Replies) -> bool:
        """Where a record on the way has the sender's address in a macro."""
        return not self._macros(attempt, replies).isdisjoint("sl")

    def holds_until(self, attempt: Attempt, replies: Replies) -> float:
        """No longer than now, where the time stands in an explanation."""
        return attempt.at if "t" in self._macros(attempt, replies) else math.inf

    def _skipped(self, attempt: Attempt) -> str:
        if attempt.client_address is None:
            return "no client address given"
        if any(attempt.client_address in network for network in self.options.skip_addresses):
            return f"{attempt.client_address} is not checked"
        return ""

    def _claims(self, attempt: Attempt, replies: Replies) -> list[_Claim]:
        null_sender = attempt.has_sender and not attempt.sender
        found = []
        for identity, subject in claims(attempt, self.hostname, helo=self.options.helo):
            code = "spf" if null_sender or identity is Identity.MAILFROM else "spf_helo"
            found.append(_Claim(identity, code, subject, evaluation(subject, replies)))
        return found

    def _forwarders(self, attempt: Attempt, replies: Replies) -> list[Evaluation]:
        return [evaluation(subject, replies) for subject in self._forwarding(attempt)]

    def _forwarding(self, attempt: Attempt) -> list[SpfSubject]:
        domains = self.options.domain_allow
        return [subject_of(attempt, domain, f"postmaster@{domain}", self.hostname) for domain in domains]

    def _macros(self, attempt: Attempt, replies: Replies) -> frozenset[str]:
        """Those of `SpfOutcome.macros` that something of all that was evaluated has."""
        if self._skipped(attempt):
            return frozenset()
        subjects = [subject for _, subject in claims(attempt, self.hostname, helo=self.options.helo)] + self._forwarding(attempt)
        outcomes = [progress(subject, replies, LATE).outcome for subject in subjects]
        return frozenset().union(*(outcome.macros for outcome in outcomes if outcome is not None))

    def _finding(
        self, claim: _Claim, outcome: SpfOutcome, seen: tuple[Evidence, ...], forwarded: Sequence[Progress], replies: Replies
    ) -> Finding:
        code, text = f"{claim.code}_{outcome.result}", _text(claim, outcome)
        if outcome.worthless:
            return neutral(self.name, f"{claim.code}_worthless", text, seen)
        if outcome.result is Result.TEMPERROR:
            return self._unknown(code, text, outcome.domain, seen)
        if outcome.result is Result.PERMERROR and self.options.permerror is not Consequence.OFF:
            reply = SmtpReply(550, "5.7.24", f"Message rejected (the SPF record of {outcome.domain} is faulty)")
            return fail(self.name, self._rules(self.options.permerror), code, text, reply, seen, topic=TOPIC)
        if outcome.result is not Result.FAIL:
            return neutral(self.name, code, text, seen)
        if (allowed := _allowed(forwarded)) is not None:
            seen += evidence(replies, [lookup for come in forwarded for lookup in come.asked])
            if allowed.result is Result.PASS:
                return neutral(self.name, "spf_allowed", f"{text}; but {allowed.domain} forwards mail", seen)
            if allowed.result is Result.TEMPERROR:
                problem = f"{text}; whether {allowed.domain} has forwarded it could not be found out"
                return self._unknown(f"{claim.code}_temperror", problem, allowed.domain, seen)
        return fail(self.name, self._rules_of_fail(outcome), code, text, _refusal(claim, outcome), seen, topic=TOPIC)

    def _unknown(self, code: str, text: str, domain: str, seen: tuple[Evidence, ...]) -> Finding:
        if self.options.temperror == "off":
            return neutral(self.name, code, text, seen, status=Status.UNKNOWN)
        reply = SmtpReply(450, "4.7.24", f"Message deferred (the SPF record of {domain} could not be looked up)")
        return tempfail(self.name, self._rules(Consequence(self.options.temperror)), code, text, reply, seen, topic=TOPIC)

    def _rules_of_fail(self, outcome: SpfOutcome) -> CheckRules:
        if not outcome.never_sends:
            return self.rules
        if self.options.never_sends is not None:
            return self._rules(self.options.never_sends)
        return self._rules(Consequence.REJECT) if self.rules.consequence is Consequence.SCORE else self.rules

    def _rules(self, consequence: Consequence) -> CheckRules:
        return replace(self.rules, consequence=None if consequence is Consequence.OFF else consequence)

    def _header(self, claim: _Claim, outcome: SpfOutcome) -> SpfHeader | None:
        style = self.options.header
        return None if style == "none" else SpfHeader(claim.identity, outcome, style, self.hostname)


def _open(comes: Iterable[Progress], replies: Replies) -> tuple[DnsLookup, ...]:
    """What they want to know that is not known; nothing of those that will not learn what they wait for."""
    waiting = [come for come in comes if come.wanted and come.wanted[0] not in replies]
    return tuple(dict.fromkeys(lookup for come in waiting for lookup in come.wanted if lookup not in replies))


def _allowed(forwarded: Iterable[Progress]) -> SpfOutcome | None:
    """The outcome for the forwarder that sent it; if that is not certain, of one that may have."""
    outcomes = [come.outcome for come in forwarded if come.outcome is not None]
    certain = [each for each in outcomes if each.result is Result.PASS and not each.worthless]
    doubtful = [each for each in outcomes if each.result is Result.TEMPERROR]
    return next(iter(certain + doubtful), None)


def _fails(outcome: SpfOutcome | None) -> bool:
    return outcome is not None and outcome.result is Result.FAIL


def _text(claim: _Claim, outcome: SpfOutcome) -> str:
    client, domain = claim.subject.address, sanitize(claim.subject.domain, 120)
    whose = f"HELO {domain}" if claim.identity is Identity.HELO else domain
    because = f" ({sanitize(outcome.mechanism, 80)})" if outcome.mechanism else ""
    problem = sanitize(outcome.problem, 120)
    if outcome.worthless:
        return f"{whose} lets anybody send{because}"
    return {
        Result.PASS: f"{whose} lets {client} send{because}",
        Result.FAIL: f"{whose} does not let {client} send{because}",
        Result.SOFTFAIL: f"{whose} would rather not let {client} send{because}",
        Result.NEUTRAL: f"{whose} does not say whether {client} may send{because}",
        Result.NONE: f"{whose} has no SPF record",
        Result.TEMPERROR: f"the SPF record of {whose} could not be looked up ({problem})",
        Result.PERMERROR: f"the SPF record of {whose} is faulty ({problem})",
    }[outcome.result]


def _refusal(claim: _Claim, outcome: SpfOutcome) -> SmtpReply:
    """The words of a fail; those of the domain itself behind our own, and marked as its own (RFC 7208 §6.2)."""
    domain = sanitize(claim.subject.domain, 120)
    said = f"as {domain}" if claim.identity is Identity.HELO else f"for {domain}"
    text = f"Message rejected (SPF fail - {claim.subject.address} is not allowed to send {said})"
    explanation = sanitize(outcome.explanation, _EXPLANATION)
    return SmtpReply(550, "5.7.23", f"{text}; {domain} explains: {explanation}" if explanation else text)


def _faults(options: SpfOptions) -> Iterator[tuple[str, str]]:
    if len(options.domain_allow) > bounds.MAX_SPF_ALLOWED:
        yield "domain_allow", f"names more than {bounds.MAX_SPF_ALLOWED} domains, and all are looked up at every fail"


CHECK = Declaration(
    name=Spf.name,
    order=50,  # whether the sender may be who it says: a name must be there to be spoken for
    make=lambda rules, options, inputs: Spf(rules, options, inputs.hostname),
    presets={
        "tutorial": CheckRules(Consequence.REJECT, 3),
        "scored": CheckRules(Consequence.SCORE, 3),  # a domain that sends no mail at all refuses by itself
    },
    options=SpfOptions,
    faults=_faults,
    names_people=True,
)
