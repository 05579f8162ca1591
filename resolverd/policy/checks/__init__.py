"""The checks: one file each, with two pure functions (`rules.Check`): what it asks, and how it judges what came back.

A new check is one file, one line in `CHECKS`, its rules in `rules.PRESETS`, and a table of cases.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence
from resolverd.overrides.rules import OverrideIndex
from resolverd.policy.checks.access import Access, AccessMaps
from resolverd.policy.checks.dnsbl import Dnsbl
from resolverd.policy.checks.dnswl import Dnswl
from resolverd.policy.checks.fcrdns import Fcrdns
from resolverd.policy.checks.helo import Helo
from resolverd.policy.checks.overrides import Overrides
from resolverd.policy.checks.ptr import Ptr
from resolverd.policy.checks.rhsbl import DEFAULT, Rhsbl
from resolverd.policy.checks.rules import PRESETS, Check, CheckRules
from resolverd.policy.checks.sender_domain import SenderDomain
from resolverd.policy.checks.spf import Spf, SpfOptions
from resolverd.policy.local_domains import NONE, LocalDomains

__all__ = ["CHECKS", "PRESETS", "AccessMaps", "Check", "CheckRules", "SpfOptions", "build", "rules_for"]


class Inputs(NamedTuple):
    """What checks are made of besides their rules: the lists that are asked, and options of a single check."""

    lists: tuple[ListSpec, ...]
    spf: SpfOptions
    rhsbl: Collection[str]
    local: LocalDomains


_Maker = Callable[[CheckRules, Inputs], Check]

CHECKS: Final[tuple[tuple[str, _Maker], ...]] = (
    # All ask at the same time; the order is that of the findings, and among equally harsh ones the first words the reply.
    ("ptr", lambda rules, inputs: Ptr(rules)),  # says more than fcrdns, which fails as well where there is no name at all
    ("fcrdns", lambda rules, inputs: Fcrdns(rules)),  # the client, before what it says of itself
    ("helo", lambda rules, inputs: Helo(rules)),  # what it says first
    ("sender_domain", lambda rules, inputs: SenderDomain(rules, inputs.local)),  # what it says next
    ("spf", lambda rules, inputs: Spf(rules, inputs.spf)),  # and whether it may: a name must be there to be spoken for
    # a listing has a link on which the sender can act, so it stands before the lists of domains
    ("dnsbl", lambda rules, inputs: Dnsbl(rules, inputs.lists)),
    ("rhsbl", lambda rules, inputs: Rhsbl(rules, inputs.lists, inputs.rhsbl)),
    ("dnswl", lambda rules, inputs: Dnswl(rules, inputs.lists)),  # last, as it never refuses
)
"""Every check by name, with how it is made."""


def build(
    rules: Mapping[str, CheckRules],
    lists: Sequence[ListSpec],
    *,
    spf: SpfOptions | None = None,
    rhsbl: Collection[str] = DEFAULT,
    access: AccessMaps | None = None,
    overrides: OverrideIndex | None = None,
    local: LocalDomains = NONE,
) -> tuple[Check, ...]:
    """The checks that are on, in their order. A check without rules, or with the action off, is left out.

    In front of them stands the admin's own word: overrides, then maps, if there are any; it follows no rules but its own.
    """
    inputs = Inputs(tuple(lists), spf or SpfOptions(), rhsbl, local)
    on = {name: own for name, own in rules.items() if own.consequence is not Consequence.OFF}
    suppression: list[Check] = [] if overrides is None else [Overrides(overrides)]
    if access:
        suppression.append(Access(access))
    return (*suppression, *(make(on[name], inputs) for name, make in CHECKS if name in on))


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
