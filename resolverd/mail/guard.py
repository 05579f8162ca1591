"""Which names are questions to a list that somebody else runs, so that they go through our engine whoever asks them.

Guarded are the zones of the whole catalogue, enabled or not, dead ones, forms with a client's own key, and own lists.
"""

from collections.abc import Iterable
from typing import NamedTuple

from resolverd.mail.catalogue import Catalogue, Entry, standard_canaries
from resolverd.mail.listnames import subject_of
from resolverd.mail.listspec import DOMAIN, HASH, IP4, IP6, Canary, ListSpec
from resolverd.wire.names import Address, Name, ancestors, label_count, parent, to_text

_CANARIES = {canary.subject: canary for kind in (IP4, IP6, DOMAIN) for canary in standard_canaries(frozenset({kind}))}


class Guarded(NamedTuple):
    """A question to a list. `spec` is None for a dead list; `canary` if the subject is a test point.

    `keyed`: asked with a key, ours or the client's own, so for clients of this machine only.
    """

    zone: Name
    spec: ListSpec | None
    subject: Address | str = ""
    canary: Canary | None = None
    keyed: bool = False


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
        self._key_zones: dict[Name, Entry] = {}
        for entry in catalogue.entries.values():
            if entry.zone is not None:
                self._zones[entry.zone] = entry.spec(entry.zone, keyed=False)
            if entry.key_zone is not None:
                self._key_zones.setdefault(entry.key_zone, entry)
        own = tuple(specs)
        self._zones |= {spec.zone: spec for spec in own}
        self._own_key_zones = frozenset(parent(spec.zone) for spec in own if spec.keyed)

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
            if below and zone in self._key_zones:
                spec = self._key_zones[zone].spec(below, keyed=True)
                return _question(name, below, spec)
            below = zone
        return None


def _question(name: Name, zone: Name, spec: ListSpec | None) -> Guarded | None:
    prefix = name[: len(name) - len(zone)] + b"\x00"
    if not label_count(prefix):
        return None
    if spec is None:
        return Guarded(zone, None)
    if HASH in spec.kinds:
        return Guarded(zone, spec, to_text(prefix).removesuffix("."), keyed=spec.keyed)
    subject = subject_of(prefix)
    if subject is None or (isinstance(subject, str) and DOMAIN not in spec.kinds):
        return None
    return Guarded(zone, spec, subject, _canary(spec, subject), spec.keyed)


def _canary(spec: ListSpec, subject: Address | str) -> Canary | None:
    """The list's own test point, or RFC 5782's, which clients of any list may ask."""
    own = {canary.subject: canary for canary in spec.canaries}
    return own.get(subject) or (_CANARIES.get(subject) if spec.takes(subject) else None)
