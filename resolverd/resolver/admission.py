"""Who may recurse while room is short: bounds shed a flood, not the zone that it is about, and nobody outside fills all of it.

A recursion sits with the zone whose servers it asks, and moves on with it: what waits for the dead servers of two hundred reverse
zones takes nothing from the zone above them. Where all places are taken, or all of one zone, a new one is let in for one that has
had `bounds.JOSTLE` seconds since its first client; the older half runs to its end, so that slow is not never.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from resolverd import bounds
from resolverd.wire.names import Name, from_text, is_subdomain, label_count, suffix

_ARPA = from_text("arpa")
_REVERSE_REGISTRY = 3
"""Labels of the reverse zones that registries run: in-addr.arpa, 193.in-addr.arpa."""


class Seat:
    """One recursion's place. `local`: it was this machine that asked; `call_off` ends it."""

    __slots__ = ("call_off", "group", "listed", "local", "since")

    def __init__(self, group: Name, since: float, *, listed: bool, local: bool):
        self.group = group
        self.since = since
        self.listed = listed
        self.local = local
        self.call_off: Callable[[], object] = _nothing


def _nothing() -> None:
    """There is nothing to call off yet."""


class Room:
    """The places. Zones of lists have some of their own, and some of the others are kept for this machine."""

    def __init__(self) -> None:
        self._ordinary: dict[Seat, None] = {}
        self._listed: dict[Seat, None] = {}
        self._groups: dict[tuple[Name, bool], dict[Seat, None]] = {}
        self._strangers = 0

    def __len__(self) -> int:
        return len(self._ordinary) + len(self._listed)

    @property
    def groups(self) -> int:
        """Of how many zones anything is under way."""
        return len(self._groups)

    @property
    def is_half_empty(self) -> bool:
        """Whether there is room for what nobody waits for."""
        return len(self._ordinary) < bounds.MAX_RECURSIONS // 2

    def take(self, group: Name, now: float, *, listed: bool, local: bool) -> Seat | None:
        """A place, if need be in place of an old one; None if there is none."""
        everybody = self._listed if listed else self._ordinary
        companions = self._groups.get((group, listed))
        if companions is not None and len(companions) >= _most(group, listed) and not self._displace(companions, now, local):
            return None
        most = bounds.LIST_QUESTIONS if listed else bounds.MAX_RECURSIONS
        if len(everybody) >= most and not self._displace(everybody, now, local):
            return None
        if not (local or listed):
            full = self._strangers >= bounds.MAX_RECURSIONS - bounds.LOCAL_RECURSIONS
            if full and not self._displace(everybody, now, local):
                return None
            self._strangers += 1
        seat = Seat(group, now, listed=listed, local=local)
        everybody[seat] = None
        self._groups.setdefault((group, listed), {})[seat] = None
        return seat

    def move(self, seat: Seat, group: Name) -> None:
        """It asks another zone's servers now."""
        if seat.group != group and seat in (self._listed if seat.listed else self._ordinary):
            self._leave_group(seat)
            seat.group = group
            self._groups.setdefault((group, seat.listed), {})[seat] = None

    def adopt(self, seat: Seat) -> None:
        """This machine waits for it as well."""
        if not seat.local and seat in (self._listed if seat.listed else self._ordinary):
            self._strangers -= not seat.listed
            seat.local = True

    def leave(self, seat: Seat) -> None:
        """It has ended, or been called off."""
        everybody = self._listed if seat.listed else self._ordinary
        if seat in everybody:
            del everybody[seat]
            self._strangers -= not (seat.local or seat.listed)
            self._leave_group(seat)

    def _leave_group(self, seat: Seat) -> None:
        companions = self._groups[seat.group, seat.listed]
        del companions[seat]
        if not companions:
            del self._groups[seat.group, seat.listed]

    def _displace(self, seats: dict[Seat, None], now: float, local: bool) -> bool:
        """Call one of the younger half off. Repetitions by clients make nobody younger, and strangers displace strangers."""
        chosen = _first_of_age(islice(seats, len(seats) // 2, None), now, local)
        if chosen is None:
            return False
        self.leave(chosen)
        chosen.call_off()
        return True


def group(name: Name, zone: Name, *, forwarded: bool) -> Name:
    """With whom a question for `name` shares its room, while servers of `zone` are asked.

    Forwarders for everything are asked about all zones alike: there it is the name's own domain, as far as that can be guessed.
    """
    if not forwarded or label_count(zone) > 1:
        return zone
    return suffix(name, min(label_count(name), _REVERSE_REGISTRY if is_subdomain(name, _ARPA) else 2))


def _most(group: Name, listed: bool) -> int:
    """How many places one zone may take. A registry's names are many people's, the reverse tree's are everybody's who sends."""
    if listed:
        return bounds.LIST_QUESTIONS // 2
    labels = label_count(group)
    is_registry = labels <= 1 or (labels <= _REVERSE_REGISTRY and is_subdomain(group, _ARPA))
    return bounds.MAX_RECURSIONS // 2 if is_registry else bounds.MAX_RECURSIONS_PER_ZONE


def _first_of_age(seats: Iterable[Seat], now: float, local: bool) -> Seat | None:
    return next((seat for seat in seats if now - seat.since >= bounds.JOSTLE and (local or not seat.local)), None)
