"""Which names are questions to a list that somebody else runs, so that they go through our engine whoever asks them.

Guarded are the zones of the whole catalogue, enabled or not, parts and dead ones, forms with a client's own key, and own
lists. What is asked there and is no question that a list understands, or is asked elsewhere below an operator's domain, is
resolved as anything else, but what comes of it is screened: smtpd takes any address for a listing.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from resolverd.dnsbl.catalogue import Catalogue, ListEntry, standard_canaries
from resolverd.dnsbl.codes import Pattern, parse
from resolverd.dnsbl.names import subject_of
from resolverd.dnsbl.spec import DOMAIN, HASH, IP4, IP6, Canary, ListSpec
from resolverd.mail.domains import registrable
from resolverd.wire.names import Address, Name, ancestors, label_count, labels, parent, to_text

_CANARIES = {canary.subject: canary for kind in (IP4, IP6, DOMAIN) for canary in standard_canaries(frozenset({kind}))}

_KEY = re.compile(rb"[a-z0-9][a-z0-9-]{0,62}")
"""What a key is made of (lower case); whatever else stands there is none, and is asked of nobody."""

_ERRORS: Final = (parse("127.255.255.0/24"),)
"""Where lists of every operator have their error codes, if they have any (Spamhaus, SenderScore, Abusix)."""

_LISTINGS: Final = (parse("127.0.0.0/8"),)


class Guarded(NamedTuple):
    """A question to a list. `spec` is None for one that is never asked: a dead list, a key that can be none, a keyed list
    that nobody knows (its key would be a name as any other to us); `canary` if the subject is a test point.

    `keyed`: asked with a key, ours or the client's own, so for clients of this machine only.
    """

    zone: Name
    spec: ListSpec | None
    subject: Address | str = ""
    canary: Canary | None = None
    keyed: bool = False


class AnswerFilter(NamedTuple):
    """What of an answer is left out: addresses that fit `refused`, and others than 127/8 for an address's name."""

    zone: Name
    refused: tuple[Pattern, ...]
    lists_only: bool

    def passes(self, address: bytes) -> bool:
        """Whether this A record may be given."""
        if len(address) != 4 or any(pattern.matches(address) for pattern in self.refused):
            return False
        return not self.lists_only or _LISTINGS[0].matches(address)


def unused(catalogue: Catalogue, specs: Iterable[ListSpec]) -> tuple[ListSpec, ...]:
    """The lists of the catalogue that are not enabled, as they would be asked without a key."""
    enabled = {spec.id for spec in specs}
    return tuple(
        entry.spec(entry.zone, keyed=False)
        for entry in catalogue.entries.values()
        if entry.zone is not None and entry.name not in enabled
    )


class GuardTable:
    """Every guarded zone."""

    def __init__(self, catalogue: Catalogue, specs: Iterable[ListSpec]):
        """`specs`: the enabled lists, own ones and those with a key of ours included."""
        self._zones: dict[Name, ListSpec | None] = {zone: None for dead in catalogue.dead.values() for zone in dead.zones}
        self._key_zones: dict[Name, ListEntry] = {}
        for entry in catalogue.entries.values():
            if entry.zone is not None:
                self._zones[entry.zone] = entry.spec(entry.zone, keyed=False)
            if entry.key_zone is not None:
                self._key_zones.setdefault(entry.key_zone, entry)
        for part in catalogue.parts.values():
            self._zones |= {zone: part.entry.spec(zone, keyed=False, of=part.of) for zone in part.zones}
            self._key_zones |= dict.fromkeys(part.key_zones, part.entry)
        self._key_domains = frozenset(map(parent, self._key_zones))
        own = tuple(specs)
        self._zones |= {spec.zone: spec for spec in own}
        self._own_key_zones = frozenset(parent(spec.zone) for spec in own if spec.keyed)
        self._operators = {
            domain: _ERRORS + tuple(pattern for pattern, _ in entry.codes.errors) for domain, entry in catalogue.operators.items()
        }

        ends = self._zones.keys() | self._key_zones.keys() | self._key_domains | self._operators.keys()
        self._ends = frozenset(ends)
        self._above_ends = frozenset(above for zone in ends for above in ancestors(zone))

    def touches(self, zone: Name) -> bool:
        """Whether a name at or below a zone (lower case) may be a question to a list, or have an `answer_filter`."""
        return zone in self._above_ends or any(above in self._ends for above in ancestors(zone))

    @property
    def zones(self) -> frozenset[Name]:
        """The zones below which lists live: to be asked with full names, since list servers deny empty non-terminals."""
        return frozenset(self._zones) | frozenset(self._key_zones)

    @property
    def key_zones(self) -> frozenset[Name]:
        """The zones below which the next label is a key: the operators', and own lists' that are asked with one."""
        return frozenset(self._key_zones) | self._own_key_zones

    def find(self, name: Name) -> Guarded | None:
        """The question that a name (lower case) is; None if it is none: a zone's apex, a name server within it, anything else."""
        below: Name = b""
        for zone in ancestors(name):
            if zone in self._zones:
                return _question(name, zone, self._zones[zone])
            if zone in self._key_zones:
                return self._with_key(name, zone, below) if below else None
            if zone in self._key_domains and label_count(name) - label_count(zone) > 1:
                return Guarded(zone, None, keyed=True)
            below = zone
        return None

    def answer_filter(self, name: Name) -> AnswerFilter | None:
        """What is left out of answers about a name (lower case) that is no question to a list: at or below a list's zone any
        listing, elsewhere below an operator's domain what is an error code there. None for all other names.

        So a client that asks a list in a way of its own, or a list that we do not know, finds nobody listed by mistake; and
        name servers within a list's zone, which have real addresses, are found.
        """
        for zone in ancestors(name):
            if self._zones.get(zone) is not None or zone in self._key_zones:
                return AnswerFilter(zone, _LISTINGS, lists_only=False)
            if (errors := self._operators.get(zone)) is not None:
                count = label_count(name) - label_count(zone)
                return AnswerFilter(zone, errors, lists_only=_is_about_an_address(name, zone)) if count > 1 else None
        return None

    def _with_key(self, name: Name, zone: Name, below: Name) -> Guarded | None:
        entry = self._key_zones[zone]
        if HASH not in entry.kinds and _is_subject(subject_of(_before(name, zone))):
            return Guarded(zone, None)  # asked without a key, so there is nobody who would answer
        if not _KEY.fullmatch(labels(below)[0]):
            return Guarded(zone, None, keyed=True)
        return _question(name, below, entry.spec(below, keyed=True))


def _question(name: Name, zone: Name, spec: ListSpec | None) -> Guarded | None:
    prefix = _before(name, zone)
    if not label_count(prefix):
        return None
    if spec is None:
        return Guarded(zone, None)
    if HASH in spec.kinds:
        return Guarded(zone, spec, to_text(prefix).removesuffix("."), keyed=spec.keyed)
    subject = subject_of(prefix)
    if subject is None or (isinstance(subject, str) and DOMAIN not in spec.kinds and not _is_subject(subject)):
        return None
    return Guarded(zone, spec, subject, _canary(spec, subject), spec.keyed)


def _before(name: Name, zone: Name) -> Name:
    return name[: len(name) - len(zone)] + b"\x00"


def _is_subject(subject: Address | str | None) -> bool:
    """Whether somebody asks about this: an address, or a domain that somebody holds."""
    return subject is not None and (not isinstance(subject, str) or registrable(subject) is not None)


def _is_about_an_address(name: Name, zone: Name) -> bool:
    """Whether some first labels of the name, above at least one of the operator's, write an address."""
    parts = labels(name)[: label_count(name) - label_count(zone)]
    heads = (b"".join(bytes([len(part)]) + part for part in parts[:count]) + b"\x00" for count in (4, 32) if count < len(parts))
    return any(not isinstance(subject_of(head), str | None) for head in heads)


def _canary(spec: ListSpec, subject: Address | str) -> Canary | None:
    """The list's own test point, or RFC 5782's, which clients of any list may ask."""
    own = {canary.subject: canary for canary in spec.canaries}
    return own.get(subject) or (_CANARIES.get(subject) if spec.takes(subject) else None)
