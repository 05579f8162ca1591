"""Is the client's address on a block list? As ``reject_rbl_client`` (RFC 5782 §2). Trouble with a list never refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence, Finding, SmtpReply, Topic
from resolverd.mail.lookups import Replies
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome, at_once
from resolverd.policy.check import Check, CheckRules, Declaration, fail, nothing
from resolverd.policy.evidence import evidence
from resolverd.policy.listings import Asked, address_lists, fold, listings, not_listed, uncounted, why_not_asked

TOPIC = Topic("address", "lists")


@dataclass(frozen=True, slots=True)
class Dnsbl(Check):
    """Codes: ``dnsbl_listed`` (one finding a list), ``dnsbl_uncounted`` (a listing of 0 points), ``dnsbl_clear``,
    ``dnsbl_unknown``, ``dnsbl_skipped``."""

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    name: ClassVar[str] = "dnsbl"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """Every block list that takes addresses of this family."""
        questions = address_lists(attempt, [spec for spec in self.lists if not spec.allows])
        if not questions:
            return at_once([nothing(self.name, "dnsbl_skipped", why_not_asked(attempt))])
        return at_once(fold(questions, partial(self._judge, attempt, questions)))

    def _judge(self, attempt: Attempt, questions: Sequence[Asked], replies: Replies) -> list[Finding]:
        """Each list that lists the address is a finding of its own, with the list's weight."""
        address = attempt.client_address
        findings = []
        for one, listed in listings(questions, replies):
            if not listed.weight:
                findings.append(uncounted(self.name, "dnsbl_uncounted", f"Client host [{address}]", one, listed, replies))
                continue
            blocked = f"Client host [{address}] blocked using {one.spec.shown}"
            findings.append(
                fail(
                    self.name,
                    self.rules,
                    "dnsbl_listed",
                    f"{blocked}: {listed.reason}" if listed.reason else blocked,
                    SmtpReply(554, "5.7.1", f"Service unavailable ({blocked})"),
                    evidence(replies, [one.question], one.spec.shown),
                    topic=TOPIC,
                    weight=listed.weight,
                    link=listed.link,
                    list_id=one.spec.id,
                )
            )
        return findings + not_listed(self.name, questions, replies)


CHECK = Declaration(
    name=Dnsbl.name,
    order=60,  # a listing has a link on which the sender can act, so it stands before the lists of domains
    make=lambda rules, options, inputs: Dnsbl(rules, inputs.lists),
    presets={"tutorial": CheckRules(Consequence.REJECT), "scored": CheckRules(Consequence.SCORE)},
    replaces=("reject_rbl_client",),
)
