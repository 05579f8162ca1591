"""Could the sender's domain take an answer? As ``reject_unknown_sender_domain``.

Postfix passes over domains of its own, which it alone knows; here they are looked up like all others.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from resolverd.failures import Unknown
from resolverd.mail import hostnames
from resolverd.mail.findings import Consequence, Evidence, Finding, SmtpReply, Topic
from resolverd.mail.lookups import DnsLookup, Question, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.policy.asking import Asking, Outcome, any_data, reply_to
from resolverd.policy.check import Check, CheckRules, Declaration, fail, neutral, nothing, skipped, tempfail
from resolverd.policy.evidence import evidence, why
from resolverd.policy.local_domains import NONE, LocalDomains
from resolverd.wire import codes
from resolverd.wire.alabels import in_ascii, is_malformed
from resolverd.wire.names import ROOT
from resolverd.wire.rdata import target

NOT_FOUND = SmtpReply(450, "4.1.8", "Sender address rejected (Domain not found)")
LATER = SmtpReply(450, "4.1.8", "Message deferred (the sender's domain could not be looked up)")
MALFORMED = SmtpReply(450, "4.1.8", "Sender address rejected (Malformed DNS server reply)")
NULL_MX = SmtpReply(550, "5.7.27", "Sender address rejected (domain does not accept mail, null MX)")
TOPIC = Topic("sender", "dns")


@dataclass(frozen=True, slots=True)
class SenderDomain(Check):
    """`local`: domains that are this server's own, which are not looked up.

    Codes: ``sender_domain_`` with ``ok``, ``null_mx``, ``malformed``, ``not_found``, ``unknown``, ``skipped``.
    """

    rules: CheckRules
    local: LocalDomains = NONE
    name: ClassVar[str] = "sender_domain"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)
    always_neutral: ClassVar[frozenset[str]] = frozenset({"sender_domain_ok"})

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """The domain's mail servers, and only if it has none its addresses (RFC 5321 §5.1).

        A null MX says that no answer can ever arrive (RFC 7505 §4.2); MX records without any host name say nothing.
        """
        if reason := self._skipped(attempt):
            return [nothing(self.name, "sender_domain_skipped", reason)]
        domain = in_ascii(attempt.sender_domain)
        name = hostnames.name_of(attempt.sender_domain)
        if name is None:
            if is_malformed(domain):  # smtpd has taken it; that it has no A-labels proves nothing
                text = f"sender domain {domain} has no A-labels, so it cannot be looked up"
                return [nothing(self.name, "sender_domain_skipped", sanitize(text))]
            text = f"sender domain {domain} is no domain name"
            return [fail(self.name, self.rules, "sender_domain_not_found", text, NOT_FOUND, topic=TOPIC)]
        questions = DnsLookup(name, codes.MX), DnsLookup(name, codes.A), DnsLookup(name, codes.AAAA)
        mx = yield from reply_to(questions[0])
        if isinstance(mx, Records):
            return [self._judge_mx(domain, mx, evidence((yield ()), questions))]
        found = yield from any_data(questions[1:])
        replies = yield ()
        seen = evidence(replies, questions)
        if found:
            return [neutral(self.name, "sender_domain_ok", f"sender domain {domain} has an address", seen)]
        for question in questions:
            reply = replies[question]
            if isinstance(reply, Skipped):
                return [skipped(self.name, f"sender domain {domain}", seen)]
            if isinstance(reply, Unknown):
                text = f"sender domain {domain} could not be looked up ({why(reply)})"
                return [tempfail(self.name, self.rules, "sender_domain_unknown", text, LATER, seen, topic=TOPIC)]
        text = f"sender domain {domain} has neither mail server nor address"
        return [fail(self.name, self.rules, "sender_domain_not_found", text, NOT_FOUND, seen, topic=TOPIC)]

    def of_sender(self, attempt: Attempt, replies: Replies, asked: Collection[Question]) -> Collection[Question]:
        """Everything."""
        return asked

    def _judge_mx(self, domain: str, mx: Records, seen: tuple[Evidence, ...]) -> Finding:
        exchanges = [_exchange(rdata) for rdata in mx.rdatas]
        if ROOT in exchanges:
            text = f"sender domain {domain} takes no mail (null MX)"
            return fail(self.name, self.rules, "sender_domain_null_mx", text, NULL_MX, seen, topic=TOPIC)
        if not any(map(_usable, exchanges)):
            text = f"sender domain {domain} has MX records without any host name"
            return fail(self.name, self.rules, "sender_domain_malformed", text, MALFORMED, seen, topic=TOPIC)
        return neutral(self.name, "sender_domain_ok", f"sender domain {domain} has a mail server", seen)

    def _skipped(self, attempt: Attempt) -> str:
        """Why there is nothing to look up, if there is nothing."""
        if not attempt.has_sender:
            return "no sender given"
        if not attempt.sender:
            return "null sender"
        if not attempt.sender_domain:
            return "sender without domain"
        if _is_literal(attempt.sender_domain):
            return "sender domain is an address literal"
        return f"sender domain {in_ascii(attempt.sender_domain)} is local" if self.local.holds(attempt.sender_domain) else ""


def _is_literal(domain: str) -> bool:
    return domain.startswith("[") and domain.endswith("]")


def _exchange(rdata: bytes) -> bytes | None:
    try:
        return target(codes.MX, rdata)
    except ValueError:
        return None


def _usable(exchange: bytes | None) -> bool:
    """A host name, or an address where a host name should be, which smtpd lets pass as well."""
    if exchange is None:
        return False
    return bool(hostnames.hostname_of(exchange)) or hostnames.is_ipv4(hostnames.dotted(exchange))


CHECK = Declaration(
    name=SenderDomain.name,
    order=40,  # what the client says next
    make=lambda rules, options, inputs: SenderDomain(rules, inputs.local),
    presets={"tutorial": CheckRules(Consequence.REJECT, 3), "scored": CheckRules(Consequence.SCORE, 3)},
    replaces=("reject_unknown_sender_domain", "reject_unknown_address"),
)
