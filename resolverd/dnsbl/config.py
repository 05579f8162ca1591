"""What config.toml makes of the catalogue: the lists that are asked, own ones among them. Keys go into zones and nowhere else."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeAlias
from zlib import crc32

from resolverd.dnsbl import tables
from resolverd.dnsbl.catalogue import Catalogue, ListEntry, noting, standard_canaries
from resolverd.dnsbl.codes import Code, CodeTable, Pattern
from resolverd.dnsbl.quota import Allowance
from resolverd.dnsbl.spec import IP4, ListSpec
from resolverd.dnsbl.tables import ReportFault
from resolverd.failures import ConfigError, ConfigFault
from resolverd.mail.sanitize import sanitize
from resolverd.wire.names import Name, from_text, lower, prepend, to_text

ReadKey: TypeAlias = Callable[[Any], str]
"""Turns a table's ``key`` into the key itself; raises ValueError with words that do not repeat it."""

OWN_NUMBERS = range(100, 251)
"""Numbers of own lists; the catalogue has 1 to 99."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")

_LISTED = {"127.0.0.2": "listed"}
"""What an own list means that says nothing of its codes (RFC 5782 §2.1)."""


def is_key(text: str) -> bool:
    """Whether a text can be the key of a list: one label of letters, digits and hyphens."""
    return _KEY.fullmatch(text) is not None


def configure(
    catalogue: Catalogue,
    preset: str,
    overrides: Mapping[str, Mapping[str, object]],
    read_key: ReadKey,
    *,
    use: str = "own-mail",
) -> tuple[ListSpec, ...]:
    """The enabled lists: those of the preset, as the ``[lists.NAME]`` tables change them, and own ones.

    `read_key` turns a table's ``key`` into the key itself, raising ValueError with words that do not repeat it. With `use`
    ``service`` lists whose terms forbid that are left out. Raises ConfigError with every fault.
    """
    faults: list[ConfigFault] = []
    specs: list[ListSpec] = []
    replaced = {entry.replaces for name, entry in catalogue.entries.items() if overrides.get(name, {}).get("enabled")}
    for name, entry in catalogue.entries.items():
        table = overrides.get(name, {})
        if table.get("enabled", preset in entry.presets and name not in replaced):
            spec = _overridden(catalogue, entry, table, read_key, noting(faults, f"lists.{name}"))
            if spec is not None and (use != "service" or spec.keyed or entry.terms.commercial != "no"):
                specs.append(spec)
    for name, table in overrides.items():
        fault = noting(faults, f"lists.{name}")
        if name in catalogue.dead:
            if table.get("enabled", True):
                fault("", f"{catalogue.dead[name]}; take it out")
        elif name not in catalogue.entries:
            spec = _own(catalogue, name, table, read_key, fault)
            if spec is not None and table.get("enabled", True):
                specs.append(spec)
    _unique(specs, _numbers(specs, overrides), faults)
    if faults:
        raise ConfigError(faults)
    return tuple(specs)


def _overridden(
    catalogue: Catalogue, entry: ListEntry, table: Mapping[str, object], read_key: ReadKey, fault: ReportFault
) -> ListSpec | None:
    for key in ("number", "purpose"):
        if table.get(key, getattr(entry, key)) != getattr(entry, key):
            fault(key, f"is {getattr(entry, key)} for this list and cannot be changed")
    base = entry.key_zone if "key" in table else entry.zone
    if "zone" in table:
        base = _own_zone(catalogue, entry.name, table, fault)
    elif base is None and "key" in table:
        fault("key", "this list takes no key")
    elif base is None:
        fault("key" if entry.key_zone else "zone", "is needed for this list; see its terms: " + entry.terms.link)
    zone = _keyed(base, table, read_key, fault)
    allows = entry.purpose == "allow"
    changed = _changes(table, allows, entry.quota, entry.rate, fault)
    codes = replace(entry.codes, errors=tables.merged(tables.read_errors(table.get("errors", {}), fault), entry.codes.errors))
    if "codes" in table:
        # Which codes count is the admin's to say, as with Postfix's zone=127.0.1.[2..99]: the others are then no listing.
        own = _own_codes(table["codes"], allows, fault)
        codes = replace(codes, codes=own, ignored=tuple(pattern for pattern, _ in entry.codes.codes))
    if zone is None:
        return None
    return replace(entry.spec(zone, keyed="key" in table), codes=codes, **changed)


def _own_codes(table: object, allows: bool, fault: ReportFault) -> tuple[tuple[Pattern, Code], ...]:
    if table == {}:
        fault("codes", "names no code, so the list would list nothing; to do without the list: enabled = false")
    return tables.read_codes(table, allows, fault)


def _own(catalogue: Catalogue, name: str, table: Mapping[str, object], read_key: ReadKey, fault: ReportFault) -> ListSpec | None:
    if "zone" not in table:
        known = [*catalogue.entries, *catalogue.dead]
        near = get_close_matches(name, known, 1)
        fault("", "no list of this name is known" + (f" (nearest: {near[0]})" if near else "") + "; an own list needs zone")
        if near:
            return None  # the rest is written for that list
    zone = _keyed(_own_zone(catalogue, name, table, fault), table, read_key, fault)
    number = table.get("number", OWN_NUMBERS[crc32(name.encode()) % len(OWN_NUMBERS)])
    sound = isinstance(number, int) and number in OWN_NUMBERS
    if not sound:
        fault("number", f"must be {OWN_NUMBERS[0]} to {OWN_NUMBERS[-1]} for an own list")
    purpose = table.get("purpose", "block")
    if purpose not in ("block", "allow"):
        fault("purpose", 'must be "block" or "allow"')
    allows = purpose == "allow"
    codes = _own_codes(table.get("codes", _LISTED), allows, fault)
    changed = {"kinds": frozenset({IP4}), **_changes(table, allows, None, None, fault)}
    errors = tables.read_errors(table.get("errors", {}), fault)
    if zone is None or not isinstance(number, int) or not sound:
        return None
    keyed = "key" in table
    operator = catalogue.operator_of(zone)
    spec = ListSpec(
        id=name,
        zone=zone,
        shown=name if keyed else to_text(zone).removesuffix("."),
        number=number,
        kinds=changed["kinds"],
        purpose="allow" if allows else "block",
        weight=-1 if allows else 1,
        codes=CodeTable(codes, tables.merged(errors, operator.codes.errors if operator is not None else ())),
        link=sanitize(str(table.get("link", ""))),
        keyed=keyed,
        canaries=standard_canaries(changed["kinds"]),
    )
    return replace(spec, **changed)


def _changes(
    table: Mapping[str, object], allows: bool, quota: Allowance | None, rate: Allowance | None, fault: ReportFault
) -> dict[str, Any]:
    """The fields of a ListSpec that any list's table may change."""
    changes: dict[str, Any] = {
        "quota": tables.read_allowance("quota", table.get("quota"), quota, fault),
        "rate": tables.read_allowance("rate", table.get("rate"), rate, fault),
    }
    if "weight" in table:
        changes["weight"] = tables.read_weight(table["weight"], allows, fault)
    if "kinds" in table:
        changes["kinds"] = tables.read_kinds(table["kinds"], fault)
    if "registered_domain" in table:
        changes["registered_domain"] = bool(table["registered_domain"])
    return changes


def _own_zone(catalogue: Catalogue, name: str, table: Mapping[str, object], fault: ReportFault) -> Name | None:
    if "zone" not in table:
        return None
    zone = tables.read_zone("zone", table["zone"], fault)
    if zone is None:
        return None
    dead = catalogue.dead_at(zone)
    if dead is not None:
        fault("zone", f"{dead}; take it out")
        return None
    for entry in catalogue.entries.values():
        if zone == entry.zone and entry.name != name:
            fault("zone", f"belongs to {entry.name}; configure it under that name, so that its answers are understood")
            return None
    return zone


def _keyed(base: Name | None, table: Mapping[str, object], read_key: ReadKey, fault: ReportFault) -> Name | None:
    """The zone with the key in front, if there is one. No message repeats the key."""
    if base is None or "key" not in table:
        return base
    try:
        key = read_key(table["key"])
    except ValueError as error:
        fault("key", str(error))
        return None
    if not is_key(key):
        fault("key", "what stands there is no list key: letters, digits and hyphens, at most 63")
        return None
    return prepend(lower(from_text(key)), base)


def _numbers(specs: list[ListSpec], overrides: Mapping[str, Mapping[str, object]]) -> list[tuple[str, int]]:
    """The number of each list by its id, of those too that have other faults."""
    found = {spec.id: spec.number for spec in specs}
    for name, table in overrides.items():
        number = table.get("number")
        if isinstance(number, int) and number in OWN_NUMBERS and table.get("enabled", True):
            found.setdefault(name, number)
    return list(found.items())


def _unique(specs: list[ListSpec], numbers: list[tuple[str, int]], faults: list[ConfigFault]) -> None:
    taken: dict[int, str] = {}
    for name, number in numbers:
        if (other := taken.setdefault(number, name)) != name:
            faults.append(ConfigFault(f"lists.{name}.number", f"{number} is taken by {other}; choose another"))
    zones: dict[Name, ListSpec] = {}
    faults += [
        ConfigFault(f"lists.{spec.id}", f"is the same list as {first.id}; enable one of them")
        for spec in specs
        if (first := zones.setdefault(spec.zone, spec)) is not spec
    ]
