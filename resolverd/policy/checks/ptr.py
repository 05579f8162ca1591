"""Does the client's address have a name? As ``reject_unknown_reverse_client_hostname``."""

from dataclasses import dataclass
from typing import ClassVar

from resolverd.failures import Unknown
from resolverd.mail.findings import Consequence, SmtpReply, Topic
from resolverd.mail.lookups import Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome
from resolverd.policy.check import Check, CheckRules, Declaration, fail, neutral, nothing, skipped, tempfail
from resolverd.policy.evidence import evidence, why
from resolverd.policy.iprev import reverse_lookups, reverse_names

REPLY = SmtpReply(450, "4.7.25", "Client host rejected (cannot find your reverse hostname)")
LATER = SmtpReply(450, "4.7.25", "Message deferred (your reverse hostname could not be looked up)")
TOPIC = Topic("client", "dns")


@dataclass(frozen=True, slots=True)
class Ptr(Check):
    """Codes: ``ptr_ok``, ``ptr_missing``, ``ptr_unknown``, ``ptr_skipped``."""

    rules: CheckRules
    name: ClassVar[str] = "ptr"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)
    always_neutral: ClassVar[frozenset[str]] = frozenset({"ptr_ok"})

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """Any host name will do; it need not lead back. The PTR records are asked for unless the mail server knows the name."""
        address = attempt.client_address
        if address is None:
            return [nothing(self.name, "ptr_skipped", "no client address given")]
        names = yield from reverse_names(attempt)
        if isinstance(names, Skipped):
            return [skipped(self.name, f"the reverse hostname of {address}")]
        seen = evidence((yield ()), reverse_lookups(attempt))
        if isinstance(names, Unknown):
            text = f"the reverse hostname of {address} could not be looked up ({why(names)})"
            return [tempfail(self.name, self.rules, "ptr_unknown", text, LATER, seen, topic=TOPIC)]
        if not names:
            text = f"{address} has no reverse hostname"
            return [fail(self.name, self.rules, "ptr_missing", text, REPLY, seen, topic=TOPIC)]
        return [neutral(self.name, "ptr_ok", f"reverse hostname {', '.join(names)}", seen)]


CHECK = Declaration(
    name=Ptr.name,
    order=10,  # says more than the check that the name leads back, which fails as well where there is no name at all
    make=lambda rules, options, inputs: Ptr(rules),
    presets={"tutorial": CheckRules(Consequence.REJECT, 2), "scored": CheckRules(Consequence.SCORE, 2)},
    replaces=("reject_unknown_reverse_client_hostname",),
)
