"""The checks: one file each, with two pure functions (`rules.Check`): what it asks, and how it judges what came back.

A new check is one file, one line in `CHECKS`, its rules in `rules.PRESETS`, and a table of cases.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from resolverd.mail.checks.dnsbl import Dnsbl
from resolverd.mail.checks.dnswl import Dnswl
from resolverd.mail.checks.fcrdns import Fcrdns
from resolverd.mail.checks.helo import Helo
from resolverd.mail.checks.ptr import Ptr
from resolverd.mail.checks.rhsbl import Rhsbl
from resolverd.mail.checks.rules import PRESETS, Check, CheckRules
from resolverd.mail.checks.sender_domain import SenderDomain
from resolverd.mail.findings import Consequence
from resolverd.mail.listspec import ListSpec

__all__ = ["CHECKS", "PRESETS", "Check", "CheckRules", "build", "rules_for"]

_Maker = Callable[[CheckRules, tuple[ListSpec, ...]], Check]

CHECKS: Final[tuple[tuple[str, _Maker], ...]] = (
    # All ask at the same time; the order is that of the findings, and among equally harsh ones the first words the reply.
    ("ptr", lambda rules, lists: Ptr(rules)),  # says more than fcrdns, which fails as well where there is no name at all
    ("fcrdns", lambda rules, lists: Fcrdns(rules)),  # the client, before what it says of itself
    ("helo", lambda rules, lists: Helo(rules)),  # what it says first
    ("sender_domain", lambda rules, lists: SenderDomain(rules)),  # what it says next; spf comes behind it, on the same name
    ("dnsbl", Dnsbl),  # a listing has a link on which the sender can act, so it stands before the lists of domains
    ("rhsbl", Rhsbl),
    ("dnswl", Dnswl),  # last, as it never refuses
)
"""Every check by name, with how it is made of its rules and the lists that are asked."""


def build(rules: Mapping[str, CheckRules], lists: Sequence[ListSpec]) -> tuple[Check, ...]:
    """The checks that are on, in their order. A check without rules, or with the action off, is left out."""
    on = {name: own for name, own in rules.items() if own.consequence is not Consequence.OFF}
    return tuple(make(on[name], tuple(lists)) for name, make in CHECKS if name in on)


def rules_for(
    preset: str, name: str, *, action: str | None = None, score: float | None = None, code: int | None = None
) -> CheckRules:
    """One check's rules: what ``[checks.NAME]`` sets, else what the preset has. Raises ValueError for an impossible value.

    ``dnswl`` has no refusal of its own: every action that could refuse stands for its part in preset tutorial.
    """
    base = PRESETS[preset][name]
    consequence = base.consequence if action is None else Consequence(action)
    if name == "dnswl" and consequence in (Consequence.REJECT, Consequence.DEFER, Consequence.GREYLIST):
        consequence = None
    return CheckRules(consequence, base.score if score is None else score, base.code if code is None else code)
