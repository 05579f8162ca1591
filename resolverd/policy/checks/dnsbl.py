"""Is the client's address on a block list? As ``reject_rbl_client`` (RFC 5782 §2). Trouble with a list never refuses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence, Finding, SmtpReply, Topic
from resolverd.mail.lookups import Question, Replies
from resolverd.mail.request import Attempt
from resolverd.policy.check import Check, CheckRules, Declaration, fail, nothing
from resolverd.policy.evidence import evidence
from resolverd.policy.listings import Asked, address_lists, listings, not_listed, uncounted, why_not_asked

TOPIC = Topic("address", "lists")


@dataclass(frozen=True, slots=True)
class Dnsbl(Check):
    """Codes: ``dnsbl_listed`` (one finding a list), ``dnsbl_uncounted`` (a listing of 0 points), ``dnsbl_clear``,
    ``dnsbl_unknown``, ``dnsbl_skipped``."""

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    name: ClassVar[str] = "dnsbl"
    topics: ClassVar[tuple[Topic, ...]] = (TOPIC,)

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """Every block list that takes addresses of this family."""
        return [one.question for one in self._asked(attempt)]

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """Each list that lists the address is a finding of its own, with the list's weight."""
        address = attempt.client_address
        questions = self._asked(attempt)
        if not questions:
            return [nothing(self.name, "dnsbl_skipped", why_not_asked(attempt))]
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
                )
            )
        return findings + not_listed(self.name, questions, replies)

    def _asked(self, attempt: Attempt) -> list[Asked]:
        return address_lists(attempt, [spec for spec in self.lists if not spec.allows])


CHECK = Declaration(
    name=Dnsbl.name,
    order=60,  # a listing has a link on which the sender can act, so it stands before the lists of domains
    make=lambda rules, options, inputs: Dnsbl(rules, inputs.lists),
    presets={"tutorial": CheckRules(Consequence.REJECT), "scored": CheckRules(Consequence.SCORE)},
)
