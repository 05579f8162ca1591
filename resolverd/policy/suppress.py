"""What the admin's own word makes needless: what cannot count is not asked."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from resolverd.mail.findings import ANYTHING
from resolverd.mail.lookups import Question, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.checks.overrides import NAME as OVERRIDES
from resolverd.policy.checks.rhsbl import Rhsbl
from resolverd.policy.checks.rules import Check

ACCESS: Final = "access"
"""The check that speaks for the admin's maps, as `OVERRIDES` does for what he has said since."""
LIFTED: Final = Skipped("lifted by the admin's own word")


class OwnWord(NamedTuple):
    """What the admin has said of an attempt, as far as it is known who that is.

    `lifts`: as `Finding.lifts`. `wants`: what has to be known before it is clear what he has said.
    """

    lifts: frozenset[str]
    wants: frozenset[Question]


NO_WORD: Final = OwnWord(frozenset(), frozenset())


def own_word(attempt: Attempt, checks: Sequence[Check], replies: Replies) -> OwnWord:
    """The admin's word on an attempt: his overrides and maps."""
    own = [check for check in checks if check.name in (ACCESS, OVERRIDES)]
    if not own:
        return NO_WORD
    lifts = frozenset(each for check in own for finding in check.judge(attempt, replies) for each in finding.lifts)
    return OwnWord(lifts, frozenset(question for check in own for question in check.asks(attempt, replies)))


def counting(check: Check, attempt: Attempt, replies: Replies, lifts: Collection[str]) -> Iterable[Question]:
    """What a check asks of which something can count."""
    if not lifts or check.name in (ACCESS, OVERRIDES):
        return check.asks(attempt, replies)
    if check.name in lifts or ANYTHING in lifts:
        return ()
    return check.asks(attempt, replies, lifted=lifts) if isinstance(check, Rhsbl) else check.asks(attempt, replies)
