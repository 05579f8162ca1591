"""Findings about lists that Postfix asks itself: reject_rbl_client and its kind (postconf(5)), postscreen (POSTSCREEN_README)."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from operator import and_, or_
from typing import Final, NamedTuple

from resolverd.config.lists import catalogue
from resolverd.dnsbl.catalogue import ListEntry
from resolverd.dnsbl.codes import BadPattern, Pattern, parse
from resolverd.dnsbl.spec import ADDRESSES, DOMAIN
from resolverd.ops.doctor.duplicates import doubled
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.machine import Machine
from resolverd.ops.doctor.main_cf import words
from resolverd.wire.names import BadName, Name, ancestors, from_text, lower

_OF_ADDRESSES: Final = ("bl", "wl", "score", "noptr", "nofcrdns", "firstseen", "greypassed", "offenders")
"""Combined zones that are asked of addresses."""
_DQS: Final = ".dq.spamhaus.net"
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


class Asked(NamedTuple):
    """A list as Postfix asks it: `how` stands in front of it in main.cf, `weight` is postscreen's."""

    how: str
    zone: str
    filter: str = ""
    weight: int = 1

    @property
    def of_domains(self) -> bool:
        """Whether it is asked of domains instead of addresses."""
        return "rhs" in self.how

    def __str__(self) -> str:
        weight = f"*{self.weight}" if self.how.startswith("postscreen") and self.weight != 1 else ""
        return f"{self.how} {self.zone}{f'={self.filter}' if self.filter else ''}{weight}"


class Known(NamedTuple):
    """What the catalogue has of a zone, and whether there is a key in front of it."""

    entry: ListEntry
    keyed: bool


def asked(machine: Machine) -> Iterator[Asked]:
    """Every list that Postfix asks by itself, each once."""
    found = dict.fromkeys(
        Asked(each.name, *_zone_and_filter(each.argument))
        for smtpd in machine.smtpds
        for each in smtpd.all
        if each.name in ("reject_rbl_client", "permit_dnswl_client") or each.name.startswith(("reject_rhsbl_", "permit_rhswl_"))
    )
    yield from found
    yield from sites(machine)


def sites(machine: Machine) -> Iterator[Asked]:
    """The lists of postscreen, where it is in use."""
    if machine.postfix is None or not machine.postfix.has_postscreen():
        return
    for word in words(machine.postfix.value("postscreen_dnsbl_sites")):
        site, _, weight = word.partition("*")
        number = int(weight) if _WHOLE.fullmatch(weight) else 1
        yield Asked("postscreen_dnsbl_sites", *_zone_and_filter(site), number)


def dead(machine: Machine) -> Iterator[Finding]:
    """A list that is no more."""
    for each in asked(machine):
        zone = _name(each.zone)
        if zone is not None and (gone := catalogue().dead_at(zone)) is not None:
            text = f"{each}: {gone}; the day its domain is sold, it may list the whole world"
            yield error("list-dead", text, f"# delete: {each}")


def wrong_subject(machine: Machine) -> Iterator[Finding]:
    """A list of domains is asked of addresses, or the other way round: many answer that with an error code."""
    for each in asked(machine):
        kinds = _kinds(machine, each.zone)
        if kinds is None or (each.of_domains and DOMAIN in kinds) or (not each.of_domains and kinds & ADDRESSES):
            continue
        has, wants = ("domains", "addresses") if DOMAIN in kinds else ("addresses", "domains")
        text = f"{each}: this list has {has}, and is asked of {wants} here: it never lists, or answers with an error"
        better = "reject_rhsbl_sender" if DOMAIN in kinds else "reject_rbl_client"
        yield error("list-wrong-subject", text, f"{better} {each.zone}")


def without_filter(machine: Machine) -> Iterator[Finding]:
    """Any answer counts, error codes too."""
    if machine.asks_us_alone and machine.settings.zone.guard:
        return
    for each in asked(machine):
        known = _known(each.zone)
        if each.filter or known is None or not known.entry.codes.errors or _is_wrong(known, each):
            continue
        wrong = "passes" if known.entry.purpose == "allow" else "is refused"
        text = f"{each} takes any answer: the day this list answers with an error (127.255.255.254 …), all mail {wrong}"
        yield error("list-without-filter", text, _line(machine, each, known))


def faulty_filter(machine: Machine) -> Iterator[Finding]:
    """A filter that Postfix cannot read, that nothing can match, or that error codes match."""
    guarded = machine.asks_us_alone and machine.settings.zone.guard
    for each in asked(machine):
        known = _known(each.zone)
        if not each.filter:
            continue
        try:
            pattern = parse(each.filter)
        except BadPattern as fault:
            yield error("filter-unreadable", f"{each}: Postfix cannot read the filter: {fault}", _line(machine, each, known))
            continue
        if known is None or _is_wrong(known, each):
            continue
        codes = known.entry.codes
        if not any(_meet(pattern, other) for other in (*(code for code, _ in codes.codes), *codes.neutral)):
            text = f"{each}: the list never gives an answer that this filter matches, so it lists nobody"
            yield error("filter-never-matches", text, _line(machine, each, known))
        elif not guarded and any(_meet(pattern, other) for other, _ in codes.errors):
            text = f"{each}: the filter takes the list's error codes too, which are no listings"
            yield error("filter-takes-errors", text, _line(machine, each, known, pattern))


def key_leaks(machine: Machine) -> Iterator[Finding]:
    """The key of a list stands in every refusal."""
    if machine.postfix is None:
        return
    for each in asked(machine):
        known = _known(each.zone)
        hides = "postscreen_dnsbl_reply_map" if each.how.startswith("postscreen") else "rbl_reply_maps"
        if known is not None and known.keyed and not machine.postfix.value(hides) and not each.how.startswith("permit"):
            shown = "KEY." + each.zone.partition(".")[2]
            text = f"{each.how} {shown}: the key is told to everybody who is refused, and whoever has it spends your quota"
            fix = ("# config.toml", f"[lists.{known.entry.name}]", "enabled = true", 'key = {file = "/etc/resolverd/list.key"}',
                   "# and in main.cf, in its place:", f"{each.how} {_own_zone(machine, each)}")  # fmt: skip
            yield error("list-key-leaks", text, *fix)


def mistyped_key_zone(machine: Machine) -> Iterator[Finding]:
    """Spamhaus's keyed lists are below spamhaus.net, not .org: there every name is answered with an error."""
    for each in asked(machine):
        if ".dq.spamhaus." in each.zone and not each.zone.endswith(_DQS):
            right = each.zone[: each.zone.index(".dq.spamhaus.")].partition(".")[2] + _DQS
            text = f"{each.how} KEY.{each.zone.partition('.')[2]}: keyed lists of Spamhaus are below dq.spamhaus.net"
            yield error("list-key-zone", text, f"{each.how} KEY.{right}")


def score_without_filter(machine: Machine) -> Iterator[Finding]:
    """Every point refuses."""
    for each in asked(machine):
        if each.zone == f"score.{machine.settings.zone.origin.rstrip('.')}" and not each.filter:
            text = f"{each}: without a filter a single point counts like all of them"
            yield error("score-without-filter", text, f"{each.how} {each.zone}=127.0.2.[6..254]")


def unreachable_threshold(machine: Machine) -> Iterator[Finding]:
    """postscreen's lists together do not reach its threshold."""
    postfix, found = machine.postfix, list(sites(machine))
    if postfix is None or not found:
        return
    threshold, most = postfix.value("postscreen_dnsbl_threshold"), sum(max(each.weight, 0) for each in found)
    if _WHOLE.fullmatch(threshold) and most < int(threshold):
        text = f"postscreen_dnsbl_threshold = {threshold} is out of reach: all sites together weigh {most}"
        yield error("threshold-unreachable", text, f"postscreen_dnsbl_threshold = {max(most, 1)}")


def ignoring(machine: Machine) -> Iterator[Finding]:
    """postscreen asks, and does nothing: Postfix's default."""
    if machine.postfix is not None and any(sites(machine)) and not machine.postfix.isset("postscreen_dnsbl_action"):
        text = "postscreen_dnsbl_sites is set and postscreen_dnsbl_action is not: by default listed clients are let through"
        yield warning("postscreen-ignores", text, "postscreen_dnsbl_action = enforce")


def own_zones(machine: Machine) -> Iterator[Finding]:
    """The combined zones are asked of name servers that do not have them."""
    origin = machine.settings.zone.origin.rstrip(".").lower()
    own = [each for each in asked(machine) if f".{each.zone}".endswith(f".{origin}")]
    for each in own:
        if each.zone.removesuffix(origin).rstrip(".") not in (*_OF_ADDRESSES, "dbl"):
            text = f"{each}: nothing is listed at this name; block lists are at bl.{origin} and dbl.{origin}"
            yield error("own-zone-name", text, f"{each.how} {_own_zone(machine, each)}")
    asking = [server for each in (machine.resolver, machine.chroot_resolver) if each is not None for server in each.servers]
    if own and asking and not set(asking) & machine.own_addresses:
        text = f"main.cf asks {own[0].zone}, and no name server of resolv.conf is this daemon on port 53: it never lists anybody"
        listen = 'listen = ["127.0.0.1:53", "[::1]:53"]'
        fix = ("# config.toml", "[dns]", listen, "# /etc/resolv.conf, and the chroot's copy", "nameserver 127.0.0.1")
        yield error("own-zone-not-served", text, *fix)


def _zone_and_filter(argument: str) -> tuple[str, str]:
    zone, _, pattern = argument.partition("=")
    return zone.rstrip(".").lower(), pattern


def _name(zone: str) -> Name | None:
    try:
        return lower(from_text(zone))
    except BadName:
        return None


@cache
def _zones() -> dict[Name, ListEntry]:
    parts = catalogue().parts.values()
    found = {zone: part.entry for part in parts for zone in part.zones}
    return found | {entry.zone: entry for entry in catalogue().entries.values() if entry.zone is not None}


@cache
def _key_zones() -> dict[Name, ListEntry]:
    parts = catalogue().parts.values()
    found = {zone: part.entry for part in parts for zone in part.key_zones}
    return found | {entry.key_zone: entry for entry in catalogue().entries.values() if entry.key_zone is not None}


def _known(zone: str) -> Known | None:
    name = _name(zone)
    if name is None:
        return None
    if name in _zones():
        return Known(_zones()[name], keyed=False)
    above = list(ancestors(name))
    parent = next((each for each in above if each != name), None)
    if parent is not None and parent in _key_zones():
        return Known(_key_zones()[parent], keyed=True)
    return None


def _kinds(machine: Machine, zone: str) -> frozenset[str] | None:
    """What a list has, where that is known."""
    origin = "." + machine.settings.zone.origin.rstrip(".").lower()
    if zone.endswith(origin):
        first = zone.removesuffix(origin)
        return ADDRESSES if first in _OF_ADDRESSES else frozenset({DOMAIN}) if first == "dbl" else None
    known = _known(zone)
    return known.entry.kinds if known is not None else None


def _is_wrong(known: Known, each: Asked) -> bool:
    return not (DOMAIN in known.entry.kinds if each.of_domains else known.entry.kinds & ADDRESSES)


def _meet(one: Pattern, other: Pattern) -> bool:
    return all(mine & theirs for mine, theirs in zip(one.fields, other.fields, strict=True))


def _line(machine: Machine, each: Asked, known: Known | None, within: Pattern | None = None) -> str:
    """What to write instead: the line with a filter, no wider than `within`; nothing where the policy service asks the list."""
    if str(each) in doubled(machine):
        return f"# the policy service asks this list; delete: {each}"
    right = _filter_of(known.entry, within) if known is not None else "127.0.0.[2..254]"
    weight = f"*{each.weight}" if each.weight != 1 else ""
    return f"{each.how} {each.zone}={right}{weight}"


def _filter_of(entry: ListEntry, within: Pattern | None) -> str:
    """A filter in Postfix's form that takes the list's codes and no error: all codes in one, else the first ones that fit."""
    codes = entry.codes.codes
    patterns = [pattern for pattern, code in codes if code.weight != 0] or [pattern for pattern, _ in codes]
    if within is not None:
        patterns = [pattern for pattern in patterns if _meet(pattern, within)]
    while patterns:
        fields = [0, 0, 0, 0]
        for pattern in patterns:
            both = pattern.fields if within is None else map(and_, pattern.fields, within.fields)
            fields = list(map(or_, fields, both))
        joined = Pattern("", (fields[0], fields[1], fields[2], fields[3]))
        if not any(_meet(joined, other) for other, _ in entry.codes.errors) or len(patterns) == 1:
            return ".".join(map(_field, fields))
        patterns.pop()
    return "127.0.0.[2..254]"


def _field(octets: int) -> str:
    members = [octet for octet in range(256) if octets >> octet & 1]
    runs: list[list[int]] = []
    for octet in members:
        if runs and octet == runs[-1][1] + 1:
            runs[-1][1] = octet
        else:
            runs.append([octet, octet])
    texts: Sequence[str] = [str(first) if first == last else f"{first}..{last}" for first, last in runs]
    return texts[0] if len(members) == 1 else f"[{';'.join(texts)}]"


def _own_zone(machine: Machine, each: Asked) -> str:
    """The combined zone that takes the place of a list."""
    first = "dbl" if each.of_domains else "wl" if each.how.startswith("permit") else "bl"
    return f"{first}.{machine.settings.zone.origin.rstrip('.')}"
