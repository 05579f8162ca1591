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


_ZONE = 500
"""Octets that a zone costs beside its name, words and keys."""
_KEY = 350
"""Octets that a key costs beside itself."""


def _weight(status: ZoneStatus) -> int:
    beside = sum(_KEY + len(each.key.public) for each in status.keys) if isinstance(status, SecureZone) else len(status.text)
    return _ZONE + len(status.zone) + beside


class KeyCache:
    """The status of zones by name in lower case, bounded in octets: least recently used out."""

    def __init__(self, size: int = bounds.KEY_CACHE_OCTETS):
        self._limit = size
        self._size = 0
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
                self._drop(name)
            if not name[0]:
                return None
            name = name[1 + name[0] :]

    def put(self, status: ZoneStatus) -> None:
        """Learn the status of a zone."""
        self._drop(status.zone)
        self._zones[status.zone] = status
        self._size += _weight(status)
        while self._size > self._limit:
            self._size -= _weight(self._zones.popitem(last=False)[1])

    def forget(self, zone: Name) -> None:
        """Forget a zone's, and that of all below it: theirs rests on it."""
        for each in [each for each in self._zones if each.endswith(zone) and zone in ancestors(each)]:
            self._drop(each)

    def clear(self) -> None:
        """Forget everything."""
        self._zones.clear()
        self._size = 0

    def _drop(self, zone: Name) -> None:
        if (old := self._zones.pop(zone, None)) is not None:
            self._size -= _weight(old)

    @property
    def size(self) -> int:
        """Octets held, estimated."""
        return self._size
