"""Does one of the client's names lead back to its address? As ``reject_unknown_client_hostname``.

Forward-confirmed reverse DNS ("iprev", RFC 8601 §2.7.3). Where smtpd takes the first of several PTR records, any of them
may confirm here, as the order of records means nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Finding, SmtpReply
from resolverd.mail.hostnames import name_of
from resolverd.mail.lookups import Absent, Lookup, Question, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.checks.client import postfix_name, reverse_lookups, reverse_names
from resolverd.policy.checks.evidence import evidence, why
from resolverd.policy.checks.rules import CheckRules, fail, neutral, skipped, tempfail
from resolverd.wire import codes
from resolverd.wire.names import Address

REPLY = SmtpReply(450, "4.7.25", "Client host rejected (cannot find your hostname)")
LATER = SmtpReply(450, "4.7.25", "Message deferred (your hostname could not be looked up)")


@dataclass(frozen=True, slots=True)
class Fcrdns:
    """Codes: ``fcrdns_ok``, ``fcrdns_missing``, ``fcrdns_mismatch``, ``fcrdns_unknown``, ``fcrdns_skipped``."""

    rules: CheckRules
    name: str = "fcrdns"

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """The PTR records and the addresses of their names, until one of them is the client's."""
        return iprev_lookups(attempt, replies)

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """A verified name told by the mail server is taken as it is."""
        address = attempt.client_address
        if address is None:
            return [neutral(self.name, "fcrdns_skipped", "no client address given")]
        if name := postfix_name(attempt.client_name):
            return [neutral(self.name, "fcrdns_ok", f"hostname {name}, verified by the mail server")]
        forward = _forward(attempt, address, replies)
        seen = evidence(replies, (*reverse_lookups(attempt), *forward.values()))
        for name, question in forward.items():
            if _confirms(question, address, replies):
                return [neutral(self.name, "fcrdns_ok", f"{name} leads back to {address}", seen)]
        trouble = _trouble(attempt, forward, replies)
        if isinstance(trouble, Skipped):
            return [skipped(self.name, f"the hostname of {address}", seen)]
        if trouble:
            text = f"no hostname of {address} could be verified ({why(trouble)})"
            return [tempfail(self.name, self.rules, "fcrdns_unknown", text, LATER, seen)]
        if not forward:
            text = f"{address} has no hostname that could lead back"
            return [fail(self.name, self.rules, "fcrdns_missing", text, REPLY, seen)]
        text = f"{', '.join(forward)}: none leads back to {address}"
        return [fail(self.name, self.rules, "fcrdns_mismatch", text, REPLY, seen)]


def iprev_lookups(attempt: Attempt, replies: Replies) -> Iterable[Question]:
    """What has to be known to say which name leads back to the client; nothing where the mail server has told it."""
    if attempt.client_address is None or postfix_name(attempt.client_name):
        return
    yield from reverse_lookups(attempt)
    forward = _forward(attempt, attempt.client_address, replies)
    confirming = [question for question in forward.values() if _confirms(question, attempt.client_address, replies)]
    yield from confirming or forward.values()


def iprev_name(attempt: Attempt, replies: Replies) -> str:
    """A name of the client that leads back to it, as the mail server or these replies have it; empty for none."""
    if (name := postfix_name(attempt.client_name)) or attempt.client_address is None:
        return name
    forward = _forward(attempt, attempt.client_address, replies)
    return next((name for name, question in forward.items() if _confirms(question, attempt.client_address, replies)), "")


def _forward(attempt: Attempt, address: Address, replies: Replies) -> dict[str, Lookup]:
    """The forward look-up of each reverse name, in the address family of the client."""
    names = reverse_names(attempt, replies)
    rtype = codes.A if address.version == 4 else codes.AAAA
    if isinstance(names, Unknown | Skipped):
        return {}
    return {name: Lookup(wire, rtype) for name in names if (wire := name_of(name))}


def _confirms(question: Lookup, address: Address, replies: Replies) -> bool:
    reply = replies.get(question)
    return isinstance(reply, Records) and address.packed in reply.rdatas


def _trouble(attempt: Attempt, forward: dict[str, Lookup], replies: Replies) -> Unknown | Skipped | None:
    """Why it cannot be said for certain that no name leads back, if it cannot."""
    names = reverse_names(attempt, replies)
    if isinstance(names, Unknown | Skipped):
        return names
    for question in forward.values():
        reply = replies.get(question, Unknown(Why.TIMEOUT))
        if not isinstance(reply, Records | Absent):
            return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.FAILED)
    return None
