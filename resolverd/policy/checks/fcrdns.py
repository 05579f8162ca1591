"""Does one of the client's names lead back to its address (`policy.iprev`)? As ``reject_unknown_client_hostname``."""

from dataclasses import dataclass
from typing import ClassVar

from resolverd.mail.findings import Consequence, SmtpReply, Topic
from resolverd.mail.lookups import Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome
from resolverd.policy.check import Check, CheckRules, Declaration, fail, neutral, nothing, skipped, tempfail
from resolverd.policy.evidence import evidence, why
from resolverd.policy.iprev import iprev, postfix_name, reverse_lookups

REPLY = SmtpReply(450, "4.7.25", "Client host rejected (cannot find your hostname)")
LATER = SmtpReply(450, "4.7.25", "Message deferred (your hostname could not be looked up)")
TOPIC = Topic("client", "dns")


@dataclass(frozen=True, slots=True)
class Fcrdns(Check):
    """Codes: ``fcrdns_ok``, ``fcrdns_missing``, ``fcrdns_mismatch``, ``fcrdns_unknown``, ``fcrdns_skipped``."""

    rules: CheckRules
    name: ClassVar[str] = "fcrdns"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)
    always_neutral: ClassVar[frozenset[str]] = frozenset({"fcrdns_ok"})
    asks_client_names: ClassVar[bool] = True

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """A verified name given by the mail server is taken as it is; else the PTR records and the addresses of their names are
        asked for, until one of them is the client's."""
        address = attempt.client_address
        if address is None:
            return [nothing(self.name, "fcrdns_skipped", "no client address given")]
        if name := postfix_name(attempt.client_name):
            return [neutral(self.name, "fcrdns_ok", f"hostname {name}, verified by the mail server")]
        name, _, forward, trouble = yield from iprev(attempt)
        seen = evidence((yield ()), (*reverse_lookups(attempt), *forward.values()))
        if name:
            return [neutral(self.name, "fcrdns_ok", f"{name} leads back to {address}", seen)]
        if isinstance(trouble, Skipped):
            return [skipped(self.name, f"the hostname of {address}", seen)]
        if trouble:
            text = f"no hostname of {address} could be verified ({why(trouble)})"
            return [tempfail(self.name, self.rules, "fcrdns_unknown", text, LATER, seen, topic=TOPIC)]
        if not forward:
            text = f"{address} has no hostname that could lead back"
            return [fail(self.name, self.rules, "fcrdns_missing", text, REPLY, seen, topic=TOPIC)]
        text = f"{', '.join(forward)}: none leads back to {address}"
        return [fail(self.name, self.rules, "fcrdns_mismatch", text, REPLY, seen, topic=TOPIC)]


CHECK = Declaration(
    name=Fcrdns.name,
    order=20,  # the client, before what it says of itself
    make=lambda rules, options, inputs: Fcrdns(rules),
    presets={"tutorial": CheckRules(Consequence.REJECT, 1), "scored": CheckRules(Consequence.SCORE, 1)},
    replaces=("reject_unknown_client_hostname", "reject_unknown_client"),
)
