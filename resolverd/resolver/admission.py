"""Who may recurse while room is short: bounds shed a flood, not the zone that it is about, and nobody outside fills all of it.

A recursion counts for the zone whose servers it asks, and moves on with it: what waits for the dead servers of two hundred
reverse zones takes nothing from the zone above them. Where all slots are taken, or all of one zone, a new recursion jostles out
one that has had `bounds.JOSTLE` seconds since its first client, as Unbound's `jostle-timeout` has it; the older half runs to
its end, so that slow is not never.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from resolverd import bounds
from resolverd.wire.names import Name, from_text, is_subdomain, label_count, suffix

_ARPA = from_text("arpa")
_REVERSE_REGISTRY = 3
"""Labels of the reverse zones that registries run: in-addr.arpa, 193.in-addr.arpa."""


class Slot:
    """One recursion's slot. `local`: it was this machine that asked; `jostle` ends it."""

    __slots__ = ("group", "jostle", "listed", "local", "since")

    def __init__(self, group: Name, since: float, *, listed: bool, local: bool):
        self.group = group
        self.since = since
        self.listed = listed
        self.local = local
        self.jostle: Callable[[], object] = _nothing


def _nothing() -> None:
    """There is nothing to call off yet."""


class Admission:
    """The slots. Zones of lists have some of their own, and some of the others are kept for this machine."""

    def __init__(self) -> None:
        self._ordinary: dict[Slot, None] = {}
        self._listed: dict[Slot, None] = {}
        self._groups: dict[tuple[Name, bool], dict[Slot, None]] = {}
        self._remote = 0

    def __len__(self) -> int:
        return len(self._ordinary) + len(self._listed)

    @property
    def groups(self) -> int:
        """Of how many zones anything is in flight."""
        return len(self._groups)

    @property
    def is_half_empty(self) -> bool:
        """Whether there is room for what nobody waits for."""
        return len(self._ordinary) < bounds.MAX_RECURSIONS // 2

    def admit(self, group: Name, now: float, *, listed: bool, local: bool) -> Slot | None:
        """A slot, if need be of one that is jostled out; None if there is none."""
        pool = self._listed if listed else self._ordinary
        same_zone = self._groups.get((group, listed))
        if same_zone is not None and len(same_zone) >= _most(group, listed) and not self._jostle_one(same_zone, now, local):
            return None
        most = bounds.LIST_QUESTIONS if listed else bounds.MAX_RECURSIONS
        if len(pool) >= most and not self._jostle_one(pool, now, local):
            return None
        if not (local or listed):
            full = self._remote >= bounds.MAX_RECURSIONS - bounds.LOCAL_RECURSIONS
            if full and not self._jostle_one(pool, now, local):
                return None
            self._remote += 1
        slot = Slot(group, now, listed=listed, local=local)
        pool[slot] = None
        self._groups.setdefault((group, listed), {})[slot] = None
        return slot

    def move(self, slot: Slot, group: Name) -> None:
        """It asks another zone's servers now."""
        if slot.group != group and slot in (self._listed if slot.listed else self._ordinary):
            self._leave_group(slot)
            slot.group = group
            self._groups.setdefault((group, slot.listed), {})[slot] = None

    def adopt(self, slot: Slot) -> None:
        """This machine waits for it as well."""
        if not slot.local and slot in (self._listed if slot.listed else self._ordinary):
            self._remote -= not slot.listed
            slot.local = True

    def release(self, slot: Slot) -> None:
        """It has ended, or been called off."""
        pool = self._listed if slot.listed else self._ordinary
        if slot in pool:
            del pool[slot]
            self._remote -= not (slot.local or slot.listed)
            self._leave_group(slot)
        slot.jostle = _nothing

    def _leave_group(self, slot: Slot) -> None:
        same_zone = self._groups[slot.group, slot.listed]
        del same_zone[slot]
        if not same_zone:
            del self._groups[slot.group, slot.listed]

    def _jostle_one(self, slots: dict[Slot, None], now: float, local: bool) -> bool:
        """Call one of the younger half off. Repetitions by clients make nobody younger, and strangers displace strangers."""
        chosen = _first_of_age(islice(slots, len(slots) // 2, None), now, local)
        if chosen is None:
            return False
        jostle = chosen.jostle
        self.release(chosen)
        jostle()
        return True


def group(name: Name, zone: Name, *, forwarded: bool) -> Name:
    """With whom a question for `name` shares its room, while servers of `zone` are asked.

    Forwarders for everything are asked about all zones alike: there it is the name's own domain, as far as that can be guessed.
    """
    if not forwarded or label_count(zone) > 1:
        return zone
    return suffix(name, min(label_count(name), _REVERSE_REGISTRY if is_subdomain(name, _ARPA) else 2))


def _most(group: Name, listed: bool) -> int:
    """How many slots one zone may take. A registry's names are many people's, the reverse tree's are everybody's who sends."""
    if listed:
        return bounds.LIST_QUESTIONS // 2
    labels = label_count(group)
    is_registry = labels <= 1 or (labels <= _REVERSE_REGISTRY and is_subdomain(group, _ARPA))
    return bounds.MAX_RECURSIONS // 2 if is_registry else bounds.MAX_RECURSIONS_PER_ZONE


def _first_of_age(slots: Iterable[Slot], now: float, local: bool) -> Slot | None:
    return next((slot for slot in slots if now - slot.since >= bounds.JOSTLE and (local or not slot.local)), None)
