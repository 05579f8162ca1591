"""Is the HELO name one that a mail server would give?

As ``reject_invalid_helo_hostname``, ``reject_non_fqdn_helo_hostname`` and ``reject_unknown_helo_hostname``, in this order.
"""

from dataclasses import dataclass
from typing import ClassVar

from resolverd.failures import Unknown
from resolverd.mail import hostnames
from resolverd.mail.findings import Consequence, SmtpReply, Topic
from resolverd.mail.lookups import DnsLookup, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome, any_data
from resolverd.policy.check import Check, CheckRules, Declaration, fail, neutral, nothing, skipped, tempfail
from resolverd.policy.evidence import evidence, why
from resolverd.wire import codes

INVALID = SmtpReply(501, "5.5.2", "Helo command rejected (Invalid name)")
BAD_LITERAL = SmtpReply(501, "5.5.2", "Helo command rejected (invalid ip address)")
NOT_FQDN = SmtpReply(504, "5.5.2", "Helo command rejected (need fully-qualified hostname)")
NOT_FOUND = SmtpReply(450, "4.7.1", "Helo command rejected (Host not found)")
LATER = SmtpReply(450, "4.7.1", "Message deferred (the HELO name could not be looked up)")
TOPIC = Topic("helo", "dns")


@dataclass(frozen=True, slots=True)
class Helo(Check):
    """Codes: ``helo_`` with ``ok``, ``literal``, ``invalid``, ``not_fqdn``, ``not_found``, ``unknown``, ``skipped``."""

    rules: CheckRules
    name: ClassVar[str] = "helo"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)
    always_neutral: ClassVar[frozenset[str]] = frozenset({"helo_ok", "helo_literal"})

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """Syntax first, then existence. Any of A, AAAA and MX will do; so will a null MX, as the name need not take mail.

        Most names have an address, so mail servers are asked for only where there is none.
        """
        helo = attempt.helo_name
        if not helo:
            return [nothing(self.name, "helo_skipped", "no HELO name given")]
        if fault := _fault(helo):
            code, text, reply = fault
            return [fail(self.name, self.rules, code, text, reply, topic=TOPIC)]
        if hostnames.is_literal(helo):
            return [neutral(self.name, "helo_literal", f"HELO {helo} is an address literal")]
        questions = _questions(helo)
        found = (yield from any_data(questions[:2])) or (yield from any_data(questions[2:]))
        replies = yield ()
        seen = evidence(replies, questions)
        if found:
            return [neutral(self.name, "helo_ok", f"HELO {helo} exists", seen)]
        for question in questions:
            answer = replies[question]
            if isinstance(answer, Skipped):
                return [skipped(self.name, f"HELO {helo}", seen)]
            if isinstance(answer, Unknown):
                text = f"HELO {helo} could not be looked up ({why(answer)})"
                return [tempfail(self.name, self.rules, "helo_unknown", text, LATER, seen, topic=TOPIC)]
        text = f"HELO {helo} has neither address nor mail server"
        return [fail(self.name, self.rules, "helo_not_found", text, NOT_FOUND, seen, topic=TOPIC)]


def _fault(helo: str) -> tuple[str, str, SmtpReply] | None:
    """What is wrong with the name as written: code, text, reply."""
    if helo.startswith("["):
        if not hostnames.is_literal(helo):
            return "helo_invalid", f"HELO {helo} is no address literal", BAD_LITERAL
        return None
    bare = hostnames.without_final_dot(helo)
    if hostnames.is_hostname(bare):
        return None if "." in bare else ("helo_not_fqdn", f"HELO {helo} is not fully qualified", NOT_FQDN)
    if hostnames.is_address(bare):
        return "helo_not_fqdn", f"HELO {helo} is an address without brackets", NOT_FQDN
    return ("helo_invalid", f"HELO {helo} is no host name", INVALID) if helo else None


def _questions(helo: str) -> tuple[DnsLookup, ...]:
    """A, AAAA, MX; nothing for literals, and for a name with a final dot, which smtpd never finds."""
    name = hostnames.name_of(helo) if helo and not helo.startswith("[") and not helo.endswith(".") else None
    return () if name is None else (DnsLookup(name, codes.A), DnsLookup(name, codes.AAAA), DnsLookup(name, codes.MX))


CHECK = Declaration(
    name=Helo.name,
    order=30,  # what the client says first
    make=lambda rules, options, inputs: Helo(rules),
    presets={"tutorial": CheckRules(Consequence.REJECT, 2), "scored": CheckRules(Consequence.SCORE, 2)},
    replaces=(
        "reject_invalid_helo_hostname", "reject_invalid_hostname", "reject_non_fqdn_helo_hostname",
        "reject_non_fqdn_hostname", "reject_unknown_helo_hostname", "reject_unknown_hostname",
    ),
)
