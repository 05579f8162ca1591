"""What the admin's access maps say of a client or a HELO name: ``check_client_access`` and ``check_helo_access``.

Each acts where the tutorial has it: ``helo_access`` before the HELO restrictions, so that OK suppresses those and nothing else;
``client_access`` before the lists (its ``rbl_override``), so that OK suppresses what lists say of addresses and names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from resolverd.mail.findings import Consequence, Effect, Evidence, Finding, Topic
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.overrides.postfix_maps import AccessMap, MapFile, Match, Verb
from resolverd.policy.asking import Asking, Outcome
from resolverd.policy.check import Check, Declaration, Inputs, neutral, nothing
from resolverd.policy.iprev import iprev

SUPPRESSED_FOR_HELO = Effect((Topic("helo", "dns"),))
SUPPRESSED_FOR_CLIENT = Effect((Topic(source="lists"),))
"""What stands behind each map in the tutorial's restrictions."""


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """``[checks.overrides]``: Postfix map source files, as they are."""

    client_access: tuple[MapFile, ...] = ()
    helo_access: tuple[MapFile, ...] = ()


class AccessMaps(NamedTuple):
    """``[checks.overrides]``: the maps, in the order in which they are asked."""

    client: tuple[AccessMap, ...] = ()
    helo: tuple[AccessMap, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.client or self.helo)


@dataclass(frozen=True, slots=True)
class Access(Check):
    """Codes: ``access_client_`` and ``access_helo_`` with ``ok``, ``reject``, ``defer``; ``access_none``."""

    maps: AccessMaps = field(default_factory=AccessMaps)
    name: ClassVar[str] = "access"
    is_override: ClassVar[bool] = True

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """What the first map of each kind says that decides; DUNNO leaves it to the next one, as in a list of restrictions.

        Asks what proves the client's name, where the mail server has not said it: names that lie are no names.
        """
        findings: list[Finding] = []
        if attempt.client_address is not None:
            name = (yield from iprev(attempt)).name if self.maps.client else ""
            found = _decisive(self._client(attempt, name))
            findings += [_finding("client", str(attempt.client_address), "Client host", each) for each in found]
        if attempt.helo_name:
            found = _decisive([each.of_name(attempt.helo_name) for each in self.maps.helo])
            findings += [_finding("helo", attempt.helo_name, "Helo command", each) for each in found]
        return findings or [nothing(self.name, "access_none", "no map has an entry")]

    def _client(self, attempt: Attempt, name: str) -> Iterable[Match | None]:
        """A client without a name that leads back is called ``unknown``, as in smtpd; names come before addresses."""
        for each in self.maps.client:
            yield each.of_name(name or "unknown") or (each.of_address(attempt.client_address) if attempt.client_address else None)


def _decisive(matches: Iterable[Match | None]) -> Sequence[Match]:
    """The first match that is not DUNNO, if there is one."""
    return [match for match in matches if match is not None and match.entry.verb is not Verb.DUNNO][:1]


def _finding(kind: str, who: str, host: str, match: Match) -> Finding:
    entry = match.entry
    seen = (Evidence(f"{match.key} in {match.map}", f"{entry.result} (line {entry.line})"),)
    code = f"access_{kind}_{entry.verb}"
    where = sanitize(f"{match.map} has {match.key} {entry.result}", 200)
    if entry.reply is None:
        effect = SUPPRESSED_FOR_CLIENT if kind == "client" else SUPPRESSED_FOR_HELO
        what = "lists do not count" if kind == "client" else "HELO restrictions do not apply"
        text = f"{sanitize(who, 120)}: {where}, so {what}"
        return neutral("access", code, text, seen)._replace(effect=effect)
    return neutral("access", code, f"{sanitize(who, 120)}: {where}", seen)._replace(
        consequence=Consequence.DEFER if entry.verb is Verb.DEFER else Consequence.REJECT,
        reply=entry.reply._replace(text=f"{host} rejected ({entry.reply.text})"),
    )


def _made(options: AccessOptions, inputs: Inputs) -> Access | None:
    maps = AccessMaps(
        tuple(inputs.maps[file] for file in options.client_access if file in inputs.maps),
        tuple(inputs.maps[file] for file in options.helo_access if file in inputs.maps),
    )
    return Access(maps) if maps else None


CHECK = Declaration(
    name=Access.name,
    order=2,  # behind overrides, which are newer
    make=lambda rules, options, inputs: _made(options, inputs),
    options=AccessOptions,
    table="overrides",
)
