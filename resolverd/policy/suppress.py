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
SUPPRESSED: Final = Skipped("lifted by the admin's own word")


class Suppression(NamedTuple):
    """What the admin has said of an attempt, as far as it is known who that is.

    `suppresses`: as `Finding.suppresses`. `wants`: what has to be known before it is clear what he has said.
    """

    suppresses: frozenset[str]
    wants: frozenset[Question]


NOT_SUPPRESSED: Final = Suppression(frozenset(), frozenset())


def suppression(attempt: Attempt, checks: Sequence[Check], replies: Replies) -> Suppression:
    """The admin's word on an attempt: his overrides and maps."""
    own = [check for check in checks if check.name in (ACCESS, OVERRIDES)]
    if not own:
        return NOT_SUPPRESSED
    suppresses = frozenset(each for check in own for finding in check.judge(attempt, replies) for each in finding.suppresses)
    return Suppression(suppresses, frozenset(question for check in own for question in check.asks(attempt, replies)))


def relevant(check: Check, attempt: Attempt, replies: Replies, suppresses: Collection[str]) -> Iterable[Question]:
    """What a check asks of which something can count."""
    if not suppresses or check.name in (ACCESS, OVERRIDES):
        return check.asks(attempt, replies)
    if check.name in suppresses or ANYTHING in suppresses:
        return ()
    return check.asks(attempt, replies, lifted=suppresses) if isinstance(check, Rhsbl) else check.asks(attempt, replies)
