"""The checks: every module here is one, with its declaration in ``CHECK`` (`check.Declaration`).

A new check is one file here, what its table says in config.toml, and its cases in the tests: configuration, verdict, metrics
and JSON know of it what it declares.
"""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Consequence
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.postfix_maps import AccessMap, MapFile
from resolverd.policy.check import Check, CheckRules, Declaration, Inputs
from resolverd.policy.local_domains import NONE, LocalDomains

_modules = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
DECLARATIONS: Final[Mapping[str, Declaration]] = MappingProxyType(
    {each.name: each for each in sorted((module.CHECK for module in _modules), key=lambda each: each.order)}
)
"""Every check by name, in their order."""

PRESETS: Final[Mapping[str, Mapping[str, CheckRules]]] = MappingProxyType(
    {
        preset: {name: each.presets[preset] for name, each in DECLARATIONS.items() if each.presets is not None}
        # tutorial: what the restrictions of the same meaning do in smtpd; points are there for thresholds of one's own.
        # scored: no single sign refuses by itself, except a list that weighs as much as `reject_at`: a client without reverse
        # name (2 + 1) and with a bad HELO (2) is only greylisted, with a sender domain that is not there (3) it is refused.
        for preset in ("tutorial", "scored")
    }
)
"""Rules by preset and check: what ``[checks.NAME]`` falls back to, key by key."""


def build(
    rules: Mapping[str, CheckRules],
    lists: Sequence[ListSpec],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    maps: Mapping[MapFile, AccessMap] = MappingProxyType({}),
    overrides: OverrideIndex | None = None,
    local: LocalDomains = NONE,
    hostname: str = "unknown",
) -> tuple[Check, ...]:
    """The checks that are on, in their order. One that follows rules, and has none or the action off, is left out.

    `rules` and `options` by check; where options are missing, its defaults.
    """
    inputs = Inputs(tuple(lists), maps, overrides, local, hostname)
    made: list[Check | None] = []
    for name, each in DECLARATIONS.items():
        own = CheckRules() if each.presets is None else rules.get(name)
        if own is not None and own.consequence is not Consequence.OFF:
            made.append(each.make(own, options[name] if name in options else each.options(), inputs))
    return tuple(check for check in made if check is not None)


def rules_for(
    preset: str, name: str, *, action: str | None = None, score: float | None = None, code: int | None = None
) -> CheckRules:
    """One check's rules: what ``[checks.NAME]`` sets, else what the preset has. Raises ValueError for an impossible value."""
    base = PRESETS[preset][name]
    consequence = base.consequence if action is None else Consequence(action)
    return CheckRules(consequence, base.score if score is None else score, base.code if code is None else code)
