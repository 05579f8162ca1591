"""Is one of the names a client brings on a block list for domains?

As ``reject_rhsbl_helo``, ``reject_rhsbl_sender`` and ``reject_rhsbl_reverse_client`` (RFC 5782 §3); ``reject_rhsbl_client``
and ``reject_rhsbl_recipient`` where they are wanted. Like smtpd it passes over address literals, ``unknown`` and whatever is
no domain name. A name that comes twice is asked and counted once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, Literal

from resolverd.dnsbl.spec import DOMAIN, ListSpec
from resolverd.failures import Unknown
from resolverd.mail.domains import canonical, registrable
from resolverd.mail.findings import Consequence, Finding, SmtpReply, Topic
from resolverd.mail.lookups import Question, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Fold, Outcome, at_once, follow
from resolverd.policy.check import Check, CheckRules, Declaration, fail, is_suppressed, nothing
from resolverd.policy.evidence import evidence
from resolverd.policy.iprev import iprev, reverse_names
from resolverd.policy.listings import Asked, asked, listings, not_listed, uncounted

RhsblRole = Literal["helo", "sender", "client", "reverse_client", "recipient"]
ROLES: Final[Mapping[RhsblRole, str]] = {
    "helo": "Helo command",
    "sender": "Sender address",
    "client": "Client host",
    "reverse_client": "Unverified Client host",
    "recipient": "Recipient address",
}
"""Where a name comes from, and how Postfix calls that; a name with two roles goes by the first."""
DEFAULT: Final[tuple[RhsblRole, ...]] = ("helo", "sender", "reverse_client")
"""The tutorial's: the verified name is the reverse name, and recipients are our own."""
TOPICS: Final[Mapping[RhsblRole, Topic]] = {
    "helo": Topic("helo", "lists"),
    "sender": Topic("sender", "lists"),
    "client": Topic("client", "lists"),
    "reverse_client": Topic("client", "lists"),
    "recipient": Topic("recipient", "lists"),
}


@dataclass(frozen=True, slots=True)
class RhsblOptions:
    """``[checks.rhsbl]`` besides action, score and code: whose names are asked about."""

    names: tuple[RhsblRole, ...] = DEFAULT


@dataclass(frozen=True, slots=True)
class Rhsbl(Check):
    """Codes: ``rhsbl_ROLE_listed`` (one finding a name and list), ``rhsbl_ROLE_uncounted`` (a listing of 0 points),
    ``rhsbl_clear``, ``rhsbl_unknown``, ``rhsbl_skipped``.

    `roles`: of `ROLES`, those whose names are asked about.
    """

    rules: CheckRules
    lists: tuple[ListSpec, ...]
    roles: Collection[RhsblRole] = DEFAULT
    name: ClassVar[str] = "rhsbl"
    topics: ClassVar[tuple[Topic, ...]] = tuple(dict.fromkeys(TOPICS.values()))

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """Every domain list about every name, and the client's name itself."""
        return self._run(attempt, self.roles)

    def run_despite(self, attempt: Attempt, suppressed: Collection[Topic]) -> Asking[Outcome]:
        """The same for the names of which a listing can count; a name that has another role as well goes by the first."""
        return self._run(attempt, [role for role in self.roles if not is_suppressed(TOPICS[role], suppressed)])

    def is_of_recipient(self) -> bool:
        """Where the recipient's own domain is asked about."""
        return "recipient" in self.roles

    def _run(self, attempt: Attempt, counting: Collection[RhsblRole]) -> Asking[Outcome]:
        lists = [spec for spec in self.lists if DOMAIN in spec.kinds and not spec.allows]
        if not lists:
            return [nothing(self.name, "rhsbl_skipped", "no list is asked about domains")]
        replies = yield ()
        while True:
            roles: dict[str, RhsblRole] = {}
            wanted: tuple[Question, ...] = ()
            for role in ROLES:
                if role in self.roles:
                    name, open_, _ = follow(_NAMES[role](attempt), replies)
                    domain = canonical(name) if name else None
                    if domain and registrable(domain):
                        roles.setdefault(domain, role)
                    if role in counting:
                        wanted += open_
            by_role = [(role, asked(lists, domain)) for domain, role in roles.items()]
            lookups = tuple([one.question for role, questions in by_role if role in counting for one in questions])
            if not wanted:
                break
            replies = yield wanted + lookups
        if not by_role:
            return [nothing(self.name, "rhsbl_skipped", "no name to ask about")]
        return Fold(lookups, partial(self._judge, by_role))

    def _judge(self, by_role: Sequence[tuple[RhsblRole, list[Asked]]], replies: Replies) -> list[Finding]:
        """Each list counts once for a registered domain, by its heaviest listing, however many names of it the client brings."""
        findings: list[Finding] = []
        heaviest: dict[tuple[str, str | None], int] = {}
        for role, questions in by_role:
            for one, listed in listings(questions, replies):
                domain = str(one.question.subject)
                if not listed.weight:
                    who = f"{ROLES[role]} [{domain}]"
                    findings.append(uncounted(self.name, f"rhsbl_{role}_uncounted", who, one, listed, replies))
                    continue
                blocked = f"{ROLES[role]} [{domain}] blocked using {one.spec.shown}"
                finding = fail(
                    self.name,
                    self.rules,
                    f"rhsbl_{role}_listed",
                    f"{blocked}: {listed.reason}" if listed.reason else blocked,
                    SmtpReply(554, "5.7.1", f"Service unavailable ({blocked})"),
                    evidence(replies, [one.question], one.spec.shown),
                    topic=TOPICS[role],
                    weight=listed.weight,
                    link=listed.link,
                    list_id=one.spec.id,
                )
                key = (one.spec.id, registrable(domain))
                before = heaviest.get(key)
                if before is None or findings[before].score < finding.score:
                    heaviest[key] = len(findings)
                findings.append(finding)
        counting = set(heaviest.values())
        findings = [each if at in counting else each._replace(score=0) for at, each in enumerate(findings)]
        everything = [one for _, questions in by_role for one in questions]
        return findings + not_listed(self.name, everything, replies)


def _verified_name(attempt: Attempt) -> Asking[str]:
    return (yield from iprev(attempt)).name


def _reverse_name(attempt: Attempt) -> Asking[str]:
    names = yield from reverse_names(attempt)
    # smtpd knows one reverse name only, and every further one would cost a question of a list's quota.
    return "" if isinstance(names, Unknown | Skipped) or not names else names[0]


_NAMES: Final[dict[RhsblRole, Callable[[Attempt], Asking[str]]]] = {
    "helo": lambda attempt: at_once(attempt.helo_name),
    "sender": lambda attempt: at_once(attempt.sender_domain),
    "client": _verified_name,
    "reverse_client": _reverse_name,
    "recipient": lambda attempt: at_once(attempt.recipient_domain),
}

CHECK = Declaration(
    name=Rhsbl.name,
    order=70,  # behind the lists of addresses
    make=lambda rules, options, inputs: Rhsbl(rules, inputs.lists, options.names),
    presets={"tutorial": CheckRules(Consequence.REJECT), "scored": CheckRules(Consequence.SCORE)},
    options=RhsblOptions,
    replaces=("reject_rhsbl_",),
)
