"""The admin's overrides on the client or the sender (`overrides.matching`), before anything that strangers say.

A denial refuses by itself, as ``check_client_access`` and ``check_sender_access`` do with REJECT; a temporary one, such as a ban
for an hour, puts off. An allowance refuses nothing: it suppresses what others find (`Effect.suppresses`), as far as it reaches.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from resolverd.mail.domains import canonical, mailbox
from resolverd.mail.findings import ANYTHING, GREYLISTING, Consequence, Effect, Finding, SmtpReply, Topic
from resolverd.mail.lookups import Replies
from resolverd.mail.request import Attempt
from resolverd.overrides.matching import OverrideIndex, OverrideMatch, Role, Subjects, decide
from resolverd.overrides.rules import DENY, EVERYTHING, GREYLIST, LISTS, SPF, Kind
from resolverd.policy.asking import Asking, Outcome
from resolverd.policy.check import Check, Declaration, neutral, nothing
from resolverd.policy.iprev import iprev, iprev_name

NAME: Final = "overrides"
"""The check's name in findings and metrics."""

_REPLIES = {
    Role.CLIENT: SmtpReply(554, "5.7.1", "Client host rejected (Access denied)"),
    Role.SENDER: SmtpReply(554, "5.7.1", "Sender address rejected (Access denied)"),
    Role.SENDER_DOMAIN: SmtpReply(554, "5.7.1", "Sender address rejected (Access denied)"),
    Role.HELO: SmtpReply(554, "5.7.1", "Helo command rejected (Access denied)"),
}
_NONE: Final = [nothing(NAME, "override_none", "no override")]
_FINAL = Effect(final=True)
_BANNED = SmtpReply(450, "4.7.1", "Message deferred (not taken for now, please try again later)")
"""Not in the words of a refusal: the filter that has led to a ban must not count what the ban says."""

_SUPPRESSES: Final[dict[tuple[Role, str], tuple[Topic, ...]]] = {
    **{
        (role, scope): topics
        for role in (Role.CLIENT, Role.SENDER)
        for scope, topics in {
            EVERYTHING: (ANYTHING,),
            LISTS: (Topic(source=LISTS),),
            GREYLIST: (GREYLISTING,),
            SPF: (Topic(source=SPF),),
        }.items()
    },
    # Anybody can say these of himself: they suppress what is found of the very name, and nothing that is found of the client.
    (Role.SENDER_DOMAIN, EVERYTHING): (Topic("sender"),),
    (Role.SENDER_DOMAIN, LISTS): (Topic("sender", LISTS),),
    (Role.SENDER_DOMAIN, SPF): (Topic("sender", SPF),),
    (Role.HELO, EVERYTHING): (Topic("helo"),),
    (Role.HELO, LISTS): (Topic("helo", LISTS),),
}
"""What an allowance suppresses, by what its subject is in the attempt and by its scope."""


@dataclass(frozen=True, slots=True)
class OverridesCheck(Check):
    """Codes: ``override_deny``, ``override_allow``, ``override_none``.

    `index` may change while an attempt is looked at: an override counts at once.
    """

    index: OverrideIndex
    name: ClassVar[str] = NAME
    is_override: ClassVar[bool] = True

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """A denial, or each allowance that holds.

        Asks for the client's names and where they lead, if any domain is named and nothing more particular decides.
        """
        if not len(self.index):
            return _NONE
        replies = yield ()
        if self.index.names_domains:
            decisive = decide(self.matches(attempt, replies))
            if decisive is None or decisive.kind not in (Kind.SENDER, Kind.ADDRESS):
                yield from iprev(attempt)
                replies = yield ()
        found = self.overrides(attempt, replies)
        return [_denied(each) if each.override.key.action == DENY else _allowed(each) for each in found] or _NONE

    def is_of_recipient(self) -> bool:
        """An override may be for one recipient alone."""
        return True

    def names_recipient(self, recipient: str) -> bool:
        """Where one is."""
        return self.index.names_recipient(recipient)

    def names_sender(self, attempt: Attempt) -> bool:
        """Where one is for this very address."""
        return self.index.names_senders and bool(self.index.of(_canonical_sender(attempt)))

    def holds_until(self, attempt: Attempt, replies: Replies) -> float:
        """Until the first of those that hold is over."""
        return min((each.override.until or math.inf for each in self.matches(attempt, replies)), default=math.inf)

    def overrides(self, attempt: Attempt, replies: Replies) -> list[OverrideMatch]:
        """The overrides that do something: a denial by itself, or every allowance that reaches something."""
        match = self.matches(attempt, replies)
        decisive = decide(match)
        if decisive is not None and decisive.key.action == DENY:
            return [each for each in match if each.override is decisive]
        allowed = [each for each in match if each.override.key.action != DENY]
        return [each for each in allowed if (each.role, each.override.key.scope) in _SUPPRESSES]

    def matches(self, attempt: Attempt, replies: Replies) -> list[OverrideMatch]:
        """The overrides that hold for the attempt, the most particular first."""
        if not len(self.index):
            return []
        name = iprev_name(attempt, replies) if self.index.names_domains else ""
        subjects = Subjects(
            attempt.client_address,
            (name,) if name else (),
            _canonical_sender(attempt),
            canonical(attempt.helo_name) or "",
            mailbox(attempt.recipient),
        )
        return self.index.matches(subjects, attempt.at)


def _canonical_sender(attempt: Attempt) -> str:
    local, at, domain = attempt.sender.rpartition("@")
    return f"{local.lower()}@{canonical(domain) or ''}" if at else ""


def _denied(match: OverrideMatch) -> Finding:
    if match.override.key.temporary:
        finding = neutral(NAME, "override_deny", f"denied for now: {_words(match)}")
        return finding._replace(consequence=Consequence.DEFER, reply=_BANNED, effect=_FINAL)
    finding = neutral(NAME, "override_deny", f"denied: {_words(match)}")
    return finding._replace(consequence=Consequence.REJECT, reply=_REPLIES[match.role], effect=_FINAL)


def _allowed(match: OverrideMatch) -> Finding:
    scope = match.override.key.scope
    reach = "" if scope == EVERYTHING else f" ({scope})"
    effect = Effect(_SUPPRESSES[match.role, scope])
    return neutral(NAME, "override_allow", f"allowed{reach}: {_words(match)}")._replace(effect=effect)


def _words(match: OverrideMatch) -> str:
    """Who is named, and for what reason; for those who run the server, not for the client."""
    override = match.override
    to = f" for {override.key.recipient}" if override.key.recipient else ""
    return f"{override.key.subject}{to}" + (f", {override.reason}" if override.reason else "")


CHECK = Declaration(
    name=NAME,
    order=1,
    make=lambda rules, options, inputs: None if inputs.overrides is None else OverridesCheck(inputs.overrides),
    table="",
)
