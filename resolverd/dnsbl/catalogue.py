"""The lists that are known, as data: `load` reads ``data/catalogue.toml``, and collects every fault before it complains."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resolverd.dnsbl import tables
from resolverd.dnsbl.codes import CodeTable
from resolverd.dnsbl.quota import Allowance
from resolverd.dnsbl.spec import DOMAIN, IP4, IP6, Canary, ListSpec
from resolverd.dnsbl.tables import ReportFault, Terms
from resolverd.failures import ConfigError, ConfigFault
from resolverd.wire.names import Name, ancestors, from_text, is_subdomain, lower, to_text


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One list as the catalogue has it.

    `zone` is asked by everybody, `key_zone` by those who have a key; either may be missing. `replaces`: the list that is
    off by itself where this one is on.
    """

    name: str
    number: int
    zone: Name | None
    key_zone: Name | None
    kinds: frozenset[str]
    purpose: str
    presets: frozenset[str]
    weight: float
    codes: CodeTable = field(repr=False)
    canaries: tuple[Canary, ...] = field(repr=False)
    quota: Allowance | None
    rate: Allowance | None
    link: str
    terms: Terms
    registered_domain: bool
    min_ttl: int
    max_ttl: int
    replaces: str

    def spec(self, zone: Name, *, keyed: bool, of: str = "") -> ListSpec:
        """The list as it is asked at `zone`; `of`: the list that it is a part of."""
        return ListSpec(
            id=self.name,
            zone=zone,
            shown=self.name if keyed else to_text(zone).removesuffix("."),
            number=self.number,
            kinds=self.kinds,
            purpose=self.purpose,
            weight=self.weight,
            codes=self.codes,
            link=self.link,
            terms=str(self.terms),
            quota=self.quota,
            rate=self.rate,
            keyed=keyed,
            registered_domain=self.registered_domain,
            canaries=self.canaries,
            min_ttl=self.min_ttl,
            max_ttl=self.max_ttl,
            of=of,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Zones that people ask by themselves and that no verdict asks: parts of a list (`of`), mirrors, older names.

    `entry` is how they are asked and read; its number is nobody's.
    """

    of: str
    zones: tuple[Name, ...]
    key_zones: tuple[Name, ...]
    entry: ListEntry


@dataclass(frozen=True, slots=True)
class Dead:
    """A list that is no more: where it was, since when it is gone (as exactly as known), and why it must not be asked."""

    name: str
    zones: tuple[Name, ...]
    since: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} is dead since {self.since}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every list known, alive and dead, by name; parts of lists; and the domains of their operators, each with the list
    whose error codes hold for whatever else is asked there."""

    entries: Mapping[str, ListEntry]
    dead: Mapping[str, Dead]
    parts: Mapping[str, Part] = field(default_factory=dict)
    operators: Mapping[Name, ListEntry] = field(default_factory=dict)

    def dead_at(self, zone: Name) -> Dead | None:
        """The dead list at or above this zone."""
        return next((dead for dead in self.dead.values() for at in dead.zones if is_subdomain(zone, at)), None)

    def operator_of(self, zone: Name) -> ListEntry | None:
        """The list whose operator this zone (lower case) belongs to."""
        return next((self.operators[above] for above in ancestors(zone) if above in self.operators), None)


def load(text: str) -> Catalogue:
    """The catalogue from its TOML text. Raises ConfigError with every fault."""
    data = tomllib.loads(text)
    faults: list[ConfigFault] = []
    entries = {name: _entry(name, _inherited(name, data["lists"]), noting(faults, f"catalogue.{name}")) for name in data["lists"]}
    numbers: dict[int, str] = {}
    faults += [
        ConfigFault(f"catalogue.{entry.name}.number", "must be 1 to 99 and its own")
        for entry in entries.values()
        if entry.number not in range(1, 100) or numbers.setdefault(entry.number, entry.name) != entry.name
    ]
    dead = {
        name: Dead(name, tuple(lower(from_text(zone)) for zone in table["zones"]), table["since"], table["reason"])
        for name, table in data["dead"].items()
    }
    parts = {name: _part(name, table, data["lists"], faults) for name, table in data.get("parts", {}).items()}
    operators = {lower(from_text(domain)): entries[name] for domain, name in data.get("operators", {}).items()}
    if faults:
        raise ConfigError(faults)
    return Catalogue(entries, dead, parts, operators)


def noting(faults: list[ConfigFault], path: str) -> ReportFault:
    """Takes faults down below a key path."""
    return lambda key, text: faults.append(ConfigFault(f"{path}.{key}" if key else path, text))


def _inherited(name: str, lists: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An entry's table with what it takes from another; where it is asked and when it is on is never taken."""
    table = lists[name]
    if "like" not in table:
        return dict(table)
    base = _inherited(table["like"], lists)
    return {key: base[key] for key in base if key not in ("zone", "key_zone", "number", "presets", "replaces")} | dict(table)


def _part(name: str, table: Mapping[str, Any], lists: Mapping[str, Mapping[str, Any]], faults: list[ConfigFault]) -> Part:
    own = {key: value for key, value in table.items() if key not in ("of", "zones", "key_zones")}
    entry = _entry(
        name, {**_inherited("", {**lists, "": {"like": table["of"]}}), **own, "number": 0}, noting(faults, f"catalogue.{name}")
    )
    zones, key_zones = (tuple(lower(from_text(zone)) for zone in table.get(key, ())) for key in ("zones", "key_zones"))
    return Part(table["of"], zones, key_zones, entry)


def _entry(name: str, table: Mapping[str, Any], fault: ReportFault) -> ListEntry:
    allows = table.get("purpose", "block") == "allow"
    kinds = tables.read_kinds(table["kinds"], fault)
    return ListEntry(
        name=name,
        number=table["number"],
        zone=tables.read_zone("zone", table["zone"], fault) if "zone" in table else None,
        key_zone=tables.read_zone("key_zone", table["key_zone"], fault) if "key_zone" in table else None,
        kinds=kinds,
        purpose="allow" if allows else "block",
        presets=frozenset(table.get("presets", ())),
        weight=tables.read_weight(table["weight"], allows, fault),
        codes=CodeTable(
            codes=tables.read_codes(table["codes"], allows, fault),
            errors=tables.read_errors(table.get("errors", {}), fault),
            neutral=tables.read_neutral(table.get("neutral", []), fault),
            categories=tables.read_categories(table.get("categories", {}), fault),
        ),
        canaries=tables.read_canaries(table["canaries"], fault) if "canaries" in table else standard_canaries(kinds),
        quota=tables.read_allowance("quota", table.get("quota"), None, fault),
        rate=tables.read_allowance("rate", table.get("rate"), None, fault),
        link=table["link"],
        terms=tables.read_terms(table["terms"], fault),
        registered_domain=table.get("registered_domain", False),
        min_ttl=table.get("min_ttl", 60),
        max_ttl=table.get("max_ttl", 86400),
        replaces=table.get("replaces", ""),
    )


def standard_canaries(kinds: frozenset[str]) -> tuple[Canary, ...]:
    """The test points that RFC 5782 §5 asks of every list of these kinds."""
    points = []
    if IP4 in kinds:
        points += [("127.0.0.2", True), ("127.0.0.1", False)]
    elif IP6 in kinds:
        points += [("::ffff:127.0.0.2", True), ("::ffff:127.0.0.1", False)]
    if DOMAIN in kinds:
        points += [("test", True), ("invalid", False)]
    return tuple(tables.canary(subject, listed) for subject, listed in points)
