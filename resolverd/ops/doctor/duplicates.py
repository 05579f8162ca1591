"""Findings about what Postfix and the policy service now both do, and exceptions that the policy service does not know."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from resolverd.config.lists import enabled_lists
from resolverd.config.map_files import READABLE
from resolverd.mail.findings import Consequence
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.machine import Machine, map_path
from resolverd.ops.doctor.main_cf import words
from resolverd.ops.doctor.restrictions import Restriction, Smtpd
from resolverd.overrides import map_text
from resolverd.overrides.postfix_maps import MapFile
from resolverd.policy.checks import DECLARATIONS
from resolverd.wire.names import to_text

_REPLACED: Final = {restriction: name for name, each in DECLARATIONS.items() for restriction in each.replaces}
"""Restrictions of smtpd (postconf(5)) with the check that takes the place of each."""
_RHSBL: Final = "reject_rhsbl_"
_GREYLISTER: Final = re.compile(r"postgrey|sqlgrey|greylist|greyd|:(?:10023|60000|2501)\b", re.IGNORECASE)
_TABLE: Final = {"client": "client_access", "reverse_client_hostname": "client_access", "helo": "helo_access"}
"""The key of ``[checks.overrides]`` that takes over an access map."""
_PERMITTING: Final = re.compile(r"(?:ok|permit)(?:\s.*)?|\d+", re.IGNORECASE)


def checked_twice(machine: Machine) -> Iterator[Finding]:
    """Restrictions that the policy service has taken over are still there, and know nothing of its exceptions."""
    for smtpd in _asking(machine):
        double = _doubled(machine, smtpd)
        if double:
            names = ", ".join(dict.fromkeys(map(str, double)))
            text = f"the policy service does this, with exceptions; here it is done again, and refuses without them: {names}"
            lines = dict.fromkeys(f"# delete from smtpd_{each.stage}_restrictions: {each}" for each in double)
            yield warning("checked-twice", text, *lines)


def doubled(machine: Machine) -> frozenset[str]:
    """The restrictions that are there twice, as main.cf has them."""
    return frozenset(str(each) for smtpd in _asking(machine) for each in _doubled(machine, smtpd))


def _doubled(machine: Machine, smtpd: Smtpd) -> list[Restriction]:
    on = {name for name, rules in machine.settings.checks.rules().items() if rules.consequence is not Consequence.OFF}
    zones = {to_text(spec.zone).rstrip(".").lower() for spec in enabled_lists(machine.settings)}
    roles = _options(machine, _REPLACED[_RHSBL]).names
    return [each for each in smtpd.all if not each.warn and _is_done(each, on, zones, roles)]


def spf_twice(machine: Machine) -> Iterator[Finding]:
    """A second SPF service: two Received-SPF headers."""
    if machine.settings.checks.rules()["spf"].consequence is Consequence.OFF:
        return
    for smtpd in _asking(machine):
        for each in smtpd.policies():
            if "spf" in each.argument.lower() and not machine.is_own(each):
                text = f"{each} checks SPF as the policy service does: mail gets two Received-SPF headers"
                fix = (f"# delete from smtpd_{each.stage}_restrictions: check_policy_service {each.argument}",)
                yield warning("spf-twice", text, *fix)
        for word in words(smtpd.value("smtpd_milters")):
            if "spf" in word.lower():
                text = f"the milter {word} checks SPF as the policy service does: mail gets two Received-SPF headers"
                yield warning("spf-twice", text, f"# delete from main.cf: {word}")


def two_greylisters(machine: Machine) -> Iterator[Finding]:
    """Mail is delayed by one, and then by the other."""
    if not machine.settings.greylist.enabled:
        return
    for smtpd in _asking(machine):
        others = [each.argument for each in smtpd.policies() if _GREYLISTER.search(each.argument) and not machine.is_own(each)]
        others += [word for word in words(smtpd.value("smtpd_milters")) if _GREYLISTER.search(word)]
        for other in dict.fromkeys(others):
            text = f"{other} greylists, and so does the policy service: new senders wait twice"
            fix = (f"# delete from main.cf: {other}", "resolverd import postgrey /var/lib/postgrey",
                   "# or keep it, and in config.toml:", "[greylist]", "enabled = false")  # fmt: skip
            yield error("two-greylisters", text, *fix)


def late_exceptions(machine: Machine) -> Iterator[Finding]:
    """An access map that lets somebody through stands where that no longer helps: the policy service has spoken."""
    for smtpd in machine.smtpds:
        own = [each for each in machine.own_policies(smtpd) if not each.mapped]
        if not own:
            continue
        first = min(own, key=lambda each: each.place if each.stage == "recipient" else -1)
        maps = dict.fromkeys(each.argument for each in smtpd.all if _is_late(machine, each, first))
        for argument in maps:
            each = next(other for other in smtpd.all if other.argument == argument)
            yield from _late(machine, each, first)


def _late(machine: Machine, each: Restriction, policy: Restriction) -> Iterator[Finding]:
    where = f"smtpd_{each.stage}_restrictions"
    place = f"behind `{policy}`" if each.stage == policy.stage else f"in {where}, and its OK ends that list alone"
    text = f"{each} stands {place}: whom it lets through is refused or greylisted by the policy service all the same"
    key = _TABLE.get(each.map_kind)
    kind, _, path = each.argument.removeprefix("proxy:").partition(":")
    if key is None:
        fix: tuple[str, ...] = ("# for each address or domain in it:", "resolverd allow ADDRESS")
    elif kind not in (*READABLE, "cidr"):
        fix = (f"# move it before `{policy}` in smtpd_{policy.stage}_restrictions",)
    else:
        there = [*map(str, _taken_over(machine, key)), f"{kind}:{path}"]
        fix = ("# config.toml", "[checks.overrides]", f"{key} = {json.dumps(there)}")
    yield error("exception-late", text, *fix)


def _is_late(machine: Machine, each: Restriction, policy: Restriction) -> bool:
    if each.map_kind not in (*_TABLE, "sender") or each.warn or each.mapped:
        return False
    if each.stage == policy.stage and each.place < policy.place:
        return False
    path = map_path(each.argument)
    key = _TABLE.get(each.map_kind)
    if key is not None and any(file.path == path for file in _taken_over(machine, key)):
        return False
    source = machine.maps.get(path)
    return _lets_through(source) if source is not None else key is not None


def _taken_over(machine: Machine, key: str) -> tuple[MapFile, ...]:
    """The access maps that the configuration has already."""
    files: tuple[MapFile, ...] = getattr(_options(machine, "overrides"), key)
    return files


def _options(machine: Machine, table: str) -> Any:
    return next(options for key, _, options in machine.settings.checks.tables() if key == f"checks.{table}")


def _lets_through(source: str) -> bool:
    """Whether an access map's source has a line that permits."""
    results = (line.split(None, 1)[-1].strip() for _, line in map_text.logical_lines(source))
    return any(_PERMITTING.fullmatch(result) for result in results)


def _asking(machine: Machine) -> Iterator[Smtpd]:
    """The services on which the policy service is in force."""
    for smtpd in machine.smtpds:
        if any(not each.warn and not each.mapped for each in machine.own_policies(smtpd)):
            yield smtpd


def _is_done(each: Restriction, on: set[str], zones: set[str], roles: Collection[str]) -> bool:
    check = _REPLACED.get(_RHSBL if each.name.startswith(_RHSBL) else each.name)
    if check not in on or (each.name.startswith(_RHSBL) and each.name.removeprefix(_RHSBL) not in roles):
        return False
    return not each.argument or each.argument.partition("=")[0].rstrip(".").lower() in zones
