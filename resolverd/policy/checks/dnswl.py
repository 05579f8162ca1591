"""Does an allow list have the client's address? As ``permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]``.

Without points it suppresses what rests on address lists, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final

from resolverd.dnsbl.aggregate import UNREACHABLE
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence, Effect, Finding, Topic
from resolverd.mail.lookups import Listed, Replies
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.policy.asking import Asking, Outcome, at_once
from resolverd.policy.check import Check, CheckRules, Declaration, neutral, nothing
from resolverd.policy.evidence import evidence
from resolverd.policy.listings import Asked, address_lists, fold, listings, not_listed, unknowns, why_not_asked

ADDRESS_LISTS: Final = (Topic("address", "lists"),)
"""What an allow list speaks against: that which rests on the client's address."""

_INERT = frozenset({Consequence.TAG, Consequence.WARN})


@dataclass(frozen=True, slots=True)
class Dnswl(Check):
    """Codes: ``dnswl_listed``, ``dnswl_untrusted`` (on the list, but with no trust), ``dnswl_clear``, ``dnswl_unreachable``,
    ``dnswl_unknown``, ``dnswl_skipped``."""

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    name: ClassVar[str] = "dnswl"

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """Every allow list that takes addresses of this family."""
        questions = address_lists(attempt, [spec for spec in self.lists if spec.allows])
        if not questions:
            return at_once([nothing(self.name, "dnswl_skipped", why_not_asked(attempt))])
        return at_once(fold(questions, partial(self._judge, questions)))

    def _judge(self, questions: Sequence[Asked], replies: Replies) -> list[Finding]:
        """Each list that has the address is a finding of its own.

        A list out of reach is distinguished from one that does not serve us, by refusal, error code or quota: the first may
        have the client in a minute, the second will not, and mail need not wait for it.
        """
        findings = [self._finding(one, listed, replies) for one, listed in listings(questions, replies)]
        rest = not_listed(self.name, questions, replies)
        acts = self.rules.consequence not in _INERT
        if acts and any(reply.why in UNREACHABLE for _, reply in unknowns(questions, replies)):
            lost = Effect(may_suppress=ADDRESS_LISTS)
            rest = [finding._replace(code="dnswl_unreachable", effect=lost) for finding in rest]
        return findings + rest

    def _finding(self, one: Asked, listed: Listed, replies: Replies) -> Finding:
        code = "dnswl_listed" if listed.trust else "dnswl_untrusted"
        finding = neutral(self.name, code, "", evidence(replies, [one.question], one.spec.shown))
        # Whatever its points are said to be, it never speaks against a client.
        weight = min(listed.weight, 0) if self.rules.score is None else -abs(self.rules.score)
        scores = self.rules.consequence is Consequence.SCORE
        suppresses = ADDRESS_LISTS if listed.trust and self.rules.consequence is None else ()
        return finding._replace(
            text=sanitize(listed.reason or f"{listed.addresses} in {one.spec.shown}"),
            score=weight if scores else 0,
            consequence=self.rules.consequence if scores or self.rules.consequence in _INERT else None,
            link=listed.link,
            list_id=one.spec.id,
            effect=Effect(suppresses, allow_listed=bool(listed.trust)),
        )


def _made(rules: CheckRules, lists: tuple[ListSpec, ...]) -> Dnswl:
    """It has no refusal of its own: every action that could refuse stands for its part in preset tutorial."""
    refuses = rules.consequence in (Consequence.REJECT, Consequence.DEFER, Consequence.GREYLIST)
    return Dnswl(replace(rules, consequence=None) if refuses else rules, lists)


CHECK = Declaration(
    name=Dnswl.name,
    order=80,  # last, as it never refuses
    make=lambda rules, options, inputs: _made(rules, inputs.lists),
    presets={"tutorial": CheckRules(None), "scored": CheckRules(Consequence.SCORE)},
    replaces=("permit_dnswl_client",),
)
