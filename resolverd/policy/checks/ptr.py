"""Does the client's address have a name? As ``reject_unknown_reverse_client_hostname``."""

from collections.abc import Iterable
from dataclasses import dataclass

from resolverd.failures import Unknown
from resolverd.mail.findings import Finding, SmtpReply
from resolverd.mail.lookups import Question, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.checks.client import reverse_lookups, reverse_names
from resolverd.policy.checks.evidence import evidence, why
from resolverd.policy.checks.rules import CheckRules, fail, neutral, skipped, tempfail

REPLY = SmtpReply(450, "4.7.25", "Client host rejected (cannot find your reverse hostname)")
LATER = SmtpReply(450, "4.7.25", "Message deferred (your reverse hostname could not be looked up)")


@dataclass(frozen=True, slots=True)
class Ptr:
    """Codes: ``ptr_ok``, ``ptr_missing``, ``ptr_unknown``, ``ptr_skipped``."""

    rules: CheckRules
    name: str = "ptr"

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """The PTR records, unless the mail server knows the name."""
        return reverse_lookups(attempt)

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """Any host name will do; it need not lead back."""
        address = attempt.client_address
        if address is None:
            return [neutral(self.name, "ptr_skipped", "no client address given")]
        seen = evidence(replies, reverse_lookups(attempt))
        names = reverse_names(attempt, replies)
        if isinstance(names, Skipped):
            return [skipped(self.name, f"the reverse hostname of {address}")]
        if isinstance(names, Unknown):
            text = f"the reverse hostname of {address} could not be looked up ({why(names)})"
            return [tempfail(self.name, self.rules, "ptr_unknown", text, LATER, seen)]
        if not names:
            return [fail(self.name, self.rules, "ptr_missing", f"{address} has no reverse hostname", REPLY, seen)]
        return [neutral(self.name, "ptr_ok", f"reverse hostname {', '.join(names)}", seen)]
