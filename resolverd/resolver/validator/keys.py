"""What is believed of zones: their keys, that they are not signed, or that their chain of trust is broken."""

from collections import OrderedDict
from typing import TypeAlias

from resolverd import bounds
from resolverd.resolver.validator.signatures import ZoneKey
from resolverd.values import Value
from resolverd.wire.names import Name, ancestors


class SecureZone(Value, frozen=True, gc=True):
    """A zone with a chain of trust down to its keys, which counts until `expires` (monotonic seconds)."""

    zone: Name
    keys: tuple[ZoneKey, ...]
    expires: float


class InsecureZone(Value, frozen=True):
    """A zone that is proven to have no chain of trust, or need not have one, and all below it; `text` says why."""

    zone: Name
    text: str
    expires: float = float("inf")


class BogusZone(Value, frozen=True):
    """A zone that should have a chain of trust and has none: the EDE code of its fault (RFC 8914), and words."""

    zone: Name
    code: int
    text: str
    expires: float


ZoneStatus: TypeAlias = SecureZone | InsecureZone | BogusZone
"""What DNSSEC says of a zone (RFC 4033 §5); indeterminate is as insecure."""


class KeyCache:
    """The status of zones by name in lower case, bounded by number: least recently used out."""

    def __init__(self, limit: int = bounds.MAX_VALIDATED_ZONES):
        self._limit = limit
        self._zones: OrderedDict[Name, ZoneStatus] = OrderedDict()

    def __len__(self) -> int:
        return len(self._zones)

    def closest(self, name: Name, now: float) -> ZoneStatus | None:
        """What is known of the deepest zone at or above `name` of which anything is."""
        zones = self._zones
        while True:
            found = zones.get(name)
            if found is not None:
                if now < found.expires:
                    zones.move_to_end(name)
                    return found
                del zones[name]
            if not name[0]:
                return None
            name = name[1 + name[0] :]

    def put(self, status: ZoneStatus) -> None:
        """Learn the status of a zone."""
        self._zones[status.zone] = status
        self._zones.move_to_end(status.zone)
        if len(self._zones) > self._limit:
            self._zones.popitem(last=False)

    def forget(self, zone: Name) -> None:
        """Forget a zone's, and that of all below it: theirs rests on it."""
        for each in [each for each in self._zones if each.endswith(zone) and zone in ancestors(each)]:
            del self._zones[each]

    def clear(self) -> None:
        """Forget everything."""
        self._zones.clear()
