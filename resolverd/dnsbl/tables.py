"""The tables inside a list's entry, in the catalogue and in config.toml alike: codes, errors, test points, terms."""

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, ip_address
from typing import NamedTuple, TypeAlias, TypeVar

from resolverd.dnsbl.codes import BadPattern, Code, ErrorCode, Pattern, parse
from resolverd.dnsbl.quota import Allowance, parse_allowance
from resolverd.dnsbl.spec import DOMAIN, HASH, IP4, IP6, Canary
from resolverd.mail.sanitize import sanitize
from resolverd.wire.names import Address, BadName, Name, from_text, lower

ReportFault: TypeAlias = Callable[[str, str], None]
"""Takes down one fault: the key below the list's table, and what is wrong."""

KINDS = (IP4, IP6, DOMAIN, HASH)

MAX_ZONE = 190
"""Octets of a zone: the 32 nibbles of an IPv6 address must fit in front (RFC 1035 §3.1)."""

T = TypeVar("T", Code, ErrorCode)

_OCTET = re.compile(r"[0-9]{1,3}")
_COMMERCIAL = {"yes": "allowed", "ask": "ask first", "no": "forbidden"}


class Terms(NamedTuple):
    """What may be asked of a list. `commercial`: yes, ask or no (for one's own mail only). `registration`: what its operator
    wants registered before anything is answered; nothing for most."""

    link: str = ""
    limits: str = ""
    commercial: str = "ask"
    registration: str = ""

    def __str__(self) -> str:
        return f"{self.limits}; commercial use: {_COMMERCIAL[self.commercial]}; {self.link}" if self.link else ""


def read_codes(table: object, allows: bool, fault: ReportFault) -> tuple[tuple[Pattern, Code], ...]:
    """``codes``: pattern = name, or pattern = {means, text, weight, link, trust}."""
    found = []
    for pattern, value in _patterns("codes", table, fault):
        if not pattern.inside_loopback:
            fault(f'codes."{pattern.text}"', "only answers in 127.0.0.0/8 can mean a listing")
            continue
        code = _code(f'codes."{pattern.text}"', value, allows, fault)
        if code is not None:
            found.append((pattern, code))
    return tuple(found)


def read_errors(table: object, fault: ReportFault) -> tuple[tuple[Pattern, ErrorCode], ...]:
    """``errors``: pattern = name, or pattern = {means, suspends}."""
    found = []
    for pattern, value in _patterns("errors", table, fault):
        path = f'errors."{pattern.text}"'
        fields = _fields(path, value, {"means": str, "suspends": bool}, fault)
        if fields is not None:
            found.append((pattern, ErrorCode(sanitize(str(fields["means"])), bool(fields.get("suspends", True)))))
    return tuple(found)


def read_neutral(texts: object, fault: ReportFault) -> tuple[Pattern, ...]:
    """``neutral``: a list of patterns."""
    if not isinstance(texts, list):
        fault("neutral", "must be a list of patterns")
        return ()
    return tuple(pattern for text in texts if (pattern := _pattern("neutral", text, fault)) is not None)


def merged(first: tuple[tuple[Pattern, T], ...], then: tuple[tuple[Pattern, T], ...]) -> tuple[tuple[Pattern, T], ...]:
    """Both tables, `first` in front; patterns of the same text are replaced."""
    texts = {pattern.text for pattern, _ in first}
    return first + tuple(row for row in then if row[0].text not in texts)


def read_categories(table: object, fault: ReportFault) -> tuple[tuple[int, str], ...]:
    """``categories``: octet 3 = name."""
    if not isinstance(table, Mapping) or not all(isinstance(key, str) and _OCTET.fullmatch(key) for key in table):
        fault("categories", "must be a table of numbers and names")
        return ()
    return tuple((int(key), sanitize(str(name))) for key, name in table.items())


def read_terms(table: object, fault: ReportFault) -> Terms:
    """``terms``: {link, limits, commercial, registration}."""
    known = isinstance(table, Mapping) and set(table) <= set(Terms._fields)
    if not isinstance(table, Mapping) or not known or table.get("commercial", "ask") not in _COMMERCIAL:
        fault("terms", 'must be {link = "...", limits = "...", commercial = "yes" | "ask" | "no", registration = "..."}')
        return Terms()
    return Terms(**{key: str(value) for key, value in table.items()})


def read_canaries(table: object, fault: ReportFault) -> tuple[Canary, ...]:
    """``canaries``: {listed = [...], clear = [...]}, each a subject or {subject, answers}."""
    if not isinstance(table, Mapping) or not set(table) <= {"listed", "clear"}:
        fault("canaries", "must be {listed = [...], clear = [...]}")
        return ()
    return tuple(canary(value, key == "listed") for key, values in table.items() for value in values)


def read_zone(key: str, text: object, fault: ReportFault) -> Name | None:
    """A domain name in wire form and lower case, short enough to be asked below."""
    try:
        zone = lower(from_text(str(text)))
    except BadName as error:
        fault(key, f"{text!r} is no domain name: {error}")
        return None
    if not 1 < len(zone) <= MAX_ZONE:
        fault(key, f"must have 1 to {MAX_ZONE - 2} letters, so that an IPv6 address fits in front")
        return None
    return zone


def read_kinds(value: object, fault: ReportFault) -> frozenset[str]:
    """``kinds``: what a list lists."""
    if not isinstance(value, (list, tuple)) or not value or not all(kind in KINDS for kind in value):
        fault("kinds", f"must be one or more of {', '.join(KINDS)}")
        return frozenset()
    if HASH in value and len(value) > 1:
        fault("kinds", "a list of hashes lists nothing else")
    return frozenset(value)


def read_weight(value: object, allows: bool, fault: ReportFault) -> float:
    """``weight``: points."""
    if not is_weight(value, allows):
        fault("weight", wrong_weight(allows))
        return 0
    return float(value)  # type: ignore[arg-type]


def read_allowance(key: str, value: object, default: Allowance | None, fault: ReportFault) -> Allowance | None:
    """``quota`` and ``rate``: a count per time, or ``unlimited``."""
    if value is None or value == "unlimited":
        return default if value is None else None
    try:
        return parse_allowance(str(value))
    except ValueError as error:
        fault(key, str(error))
        return None


def canary(value: object, listed: bool) -> Canary:
    """One test point. Raises ValueError."""
    if not isinstance(value, Mapping):
        return Canary(_subject(str(value)), listed)
    return Canary(_subject(str(value["subject"])), listed, tuple(IPv4Address(answer).packed for answer in value["answers"]))


def _subject(text: str) -> Address | str:
    try:
        return ip_address(text)
    except (AddressValueError, ValueError):
        return text


def _patterns(key: str, table: object, fault: ReportFault) -> list[tuple[Pattern, object]]:
    if not isinstance(table, Mapping):
        fault(key, "must be a table of patterns and their meanings")
        return []
    found = ((_pattern(key, text, fault), value) for text, value in table.items())
    return [(pattern, value) for pattern, value in found if pattern is not None]


def _pattern(key: str, text: object, fault: ReportFault) -> Pattern | None:
    try:
        return parse(str(text))
    except BadPattern as error:
        fault(key, str(error))
        return None


def _code(path: str, value: object, allows: bool, fault: ReportFault) -> Code | None:
    types = {"means": str, "text": str, "weight": (int, float), "link": str, "trust": int}
    fields = _fields(path, value, types, fault)
    if fields is None:
        return None
    weight = fields.get("weight")
    if weight is not None and not is_weight(weight, allows):
        fault(f"{path}.weight", wrong_weight(allows))
        return None
    trust = fields.get("trust", 1 if allows else 0)
    if not isinstance(trust, int) or not 0 <= trust <= (3 if allows else 0):
        fault(f"{path}.trust", "must be 0 to 3, on allow lists only")
        return None
    return Code(
        name=sanitize(str(fields["means"])),
        text=sanitize(str(fields.get("text", ""))),
        weight=float(weight) if isinstance(weight, (int, float)) else None,
        link=sanitize(str(fields.get("link", ""))),
        trust=trust,
    )


def is_weight(value: object, allows: bool) -> bool:
    """Whether it is a number of points that such a list may give: block lists add, allow lists take away."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -1000 <= value <= 0 if allows else 0 <= value <= 1000


def wrong_weight(allows: bool) -> str:
    """What to say of a weight that is none."""
    return f"must be points {'from -1000 to 0: an allow list takes away' if allows else 'from 0 to 1000: a block list adds'}"


def _fields(path: str, value: object, types: Mapping[str, object], fault: ReportFault) -> Mapping[str, object] | None:
    if isinstance(value, str):
        value = {"means": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("means"), str) or not value["means"].strip():
        fault(path, 'must be a name, or a table with means = "name"')
        return None
    for key, part in value.items():
        wanted = types.get(key)
        if wanted is None:
            fault(f"{path}.{key}", f"unknown key; known are {', '.join(types)}")
            return None
        if not isinstance(part, wanted) or (isinstance(part, bool) and wanted is not bool):  # type: ignore[arg-type]
            fault(f"{path}.{key}", f"{part!r} is of the wrong type")
            return None
    return value
