"""Is the client's address on a block list? As ``reject_rbl_client`` (RFC 5782 §2). Trouble with a list never refuses."""

from collections.abc import Iterable
from dataclasses import dataclass

from resolverd.dnsbl.names import is_public
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Finding, SmtpReply
from resolverd.mail.lookups import Question, Replies
from resolverd.mail.request import Attempt
from resolverd.policy.checks.evidence import evidence
from resolverd.policy.checks.listings import Asked, asked, listings, not_listed, uncounted
from resolverd.policy.checks.rules import CheckRules, fail, neutral


@dataclass(frozen=True, slots=True)
class Dnsbl:
    """Codes: ``dnsbl_listed`` (one finding a list), ``dnsbl_uncounted`` (a listing of 0 points), ``dnsbl_clear``,
    ``dnsbl_unknown``, ``dnsbl_skipped``."""

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    name: str = "dnsbl"

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """Every block list that takes addresses of this family."""
        return [one.question for one in self._asked(attempt)]

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """Each list that lists the address is a finding of its own, with the list's weight."""
        address = attempt.client_address
        questions = self._asked(attempt)
        if not questions:
            return [neutral(self.name, "dnsbl_skipped", skipped(attempt))]
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
                    weight=listed.weight,
                    link=listed.link,
                )
            )
        return findings + not_listed(self.name, questions, replies)

    def _asked(self, attempt: Attempt) -> list[Asked]:
        return address_lists(attempt, (spec for spec in self.lists if not spec.allows))


def address_lists(attempt: Attempt, lists: Iterable[ListSpec]) -> list[Asked]:
    """The lists that can know anything of the client's address."""
    address = attempt.client_address
    return asked(lists, address) if address is not None and is_public(address) else []


def skipped(attempt: Attempt) -> str:
    """Why no list was asked about the address."""
    if attempt.client_address is None:
        return "no client address given"
    if not is_public(attempt.client_address):
        return f"{attempt.client_address} is not a public address"
    return f"no list is asked about IPv{attempt.client_address.version} addresses"
