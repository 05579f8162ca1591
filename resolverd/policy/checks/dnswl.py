"""Does an allow list vouch for the client's address? As ``permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]``.

What it means is for the fold to say (`policy.verdict`): without points it lifts what rests on address lists, and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from resolverd.dnsbl.aggregate import UNREACHABLE
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence, Finding
from resolverd.mail.lookups import Listed, Question, Replies
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.policy.checks.dnsbl import address_lists, skipped
from resolverd.policy.checks.evidence import evidence
from resolverd.policy.checks.listings import Asked, listings, not_listed, unknowns
from resolverd.policy.checks.rules import CheckRules, neutral

SUPPRESSED = ("dnsbl",)
"""What an allow list vouches for a client against: that which rests on its address."""

_INERT = frozenset({Consequence.TAG, Consequence.WARN})


@dataclass(frozen=True, slots=True)
class Dnswl:
    """Codes: ``dnswl_listed``, ``dnswl_untrusted`` (on the list, but it does not vouch), ``dnswl_clear``, ``dnswl_unreachable``,
    ``dnswl_unknown``, ``dnswl_skipped``."""

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    name: str = "dnswl"

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """Every allow list that takes addresses of this family."""
        return [one.question for one in self._asked(attempt)]

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """Each list that has the address is a finding of its own.

        A list out of reach is told apart from one that does not serve us, by refusal, error code or quota: the first may
        vouch in a minute, the second will not, and mail need not wait for it.
        """
        questions = self._asked(attempt)
        if not questions:
            return [neutral(self.name, "dnswl_skipped", skipped(attempt))]
        findings = [self._finding(one, listed, replies) for one, listed in listings(questions, replies)]
        rest = not_listed(self.name, questions, replies)
        acts = self.rules.consequence not in _INERT
        if acts and any(reply.why in UNREACHABLE for _, reply in unknowns(questions, replies)):
            rest = [finding._replace(code="dnswl_unreachable") for finding in rest]
        return findings + rest

    def _finding(self, one: Asked, listed: Listed, replies: Replies) -> Finding:
        code = "dnswl_listed" if listed.trust else "dnswl_untrusted"
        finding = neutral(self.name, code, "", evidence(replies, [one.question], one.spec.shown))
        weight = listed.weight if self.rules.score is None else -abs(self.rules.score)
        scores = self.rules.consequence is Consequence.SCORE
        return finding._replace(
            text=sanitize(listed.reason or f"{listed.addresses} in {one.spec.shown}"),
            score=weight if scores else 0,
            consequence=self.rules.consequence if scores or self.rules.consequence in _INERT else None,
            link=listed.link,
            suppresses=SUPPRESSED if listed.trust and self.rules.consequence is None else (),
        )

    def _asked(self, attempt: Attempt) -> list[Asked]:
        return address_lists(attempt, (spec for spec in self.lists if spec.allows))
