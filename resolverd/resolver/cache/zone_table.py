"""What is known of zones, found by the names in them: the deepest at or above a name counts, for as long as it lives."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from resolverd.resolver.cache.backing import Backing
from resolverd.wire.names import Name, ancestors


class OfZone(Protocol):
    """What is known of one zone (lower case), until `expires` (monotonic seconds)."""

    @property
    def zone(self) -> Name:
        """Its name."""
        ...

    @property
    def expires(self) -> float:
        """From when on it counts no more."""
        ...


T = TypeVar("T", bound=OfZone)


class ZoneTable(Generic[T]):
    """One value a zone, bounded by octets: least recently used out."""

    def __init__(self, size: int, weigh: Callable[[T], int]):
        """`size` in octets; `weigh`: those of a value with its place here."""
        self._limit = size
        self._size = 0
        self._zones: OrderedDict[Name, T] = OrderedDict()
        self._weigh = weigh
        self.backing: Backing[T] | None = None
        """What of it is kept on disk; None where nothing is."""

    def __len__(self) -> int:
        return len(self._zones)

    @property
    def size(self) -> int:
        """Octets held, as `weight` estimates them."""
        return self._size

    def closest(self, name: Name, now: float) -> T | None:
        """What is known of the deepest zone at or above `name` of which anything is."""
        zones, backing = self._zones, self.backing
        if backing is not None and backing.read is not None:
            self._recall(name)
        while True:
            found = zones.get(name)
            if found is not None:
                if now < found.expires:
                    zones.move_to_end(name)
                    return found
                self._drop(name)
            if not name[0]:
                return None
            name = name[1 + name[0] :]

    def _below(self, zone: Name) -> list[Name]:
        """The zones held at and below a zone."""
        # Through its own links an OrderedDict takes ten times as long.
        return [each for each in dict.__iter__(self._zones) if each.endswith(zone) and zone in ancestors(each)]

    def _keep(self, value: T) -> None:
        """Hold it as the one used last, in place of what was known of its zone."""
        zone = value.zone
        if (old := self._zones.pop(zone, None)) is not None:
            self._size -= self._weigh(old)
        self._zones[zone] = value
        self._size += self._weigh(value)
        self._trim()

    def _drop(self, zone: Name) -> None:
        """Forget what is known of a zone, on disk as well."""
        if self.backing is not None:
            self.backing.note(zone)
        if (old := self._zones.pop(zone, None)) is not None:
            self._size -= self._weigh(old)

    def _recall(self, name: Name) -> None:
        """Take up what disk has of the zones at and above a name, as far as they are not known."""
        assert self.backing is not None
        for zone in ancestors(name):
            if zone not in self._zones and (found := self.backing.recall(zone)) is not None:
                self._zones[zone] = found
                self._size += self._weigh(found)
        self._trim()

    def _trim(self) -> None:
        while self._size > self._limit and len(self._zones) > 1:
            self._size -= self._weigh(self._zones.popitem(last=False)[1])
