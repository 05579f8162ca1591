"""What is believed of zones: their keys, that they are not signed, or that their chain of trust is broken."""

from typing import TypeAlias

from resolverd import bounds
from resolverd.resolver.cache.zone_table import ZoneTable
from resolverd.resolver.validator.signatures import ZoneKey
from resolverd.values import Value
from resolverd.wire.names import Name


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


class KeyCache(ZoneTable[ZoneStatus]):
    """The status of zones by name in lower case, bounded in octets: least recently used out."""

    def __init__(self, size: int = bounds.KEY_CACHE_OCTETS):
        super().__init__(size, _weight)

    def put(self, status: ZoneStatus) -> None:
        """Learn the status of a zone."""
        self._keep(status)

    def forget(self, zone: Name) -> None:
        """Forget a zone's, and that of all below it: theirs rests on it."""
        for each in self._below(zone):
            self._drop(each)

    def clear(self) -> None:
        """Forget everything."""
        self._zones.clear()
        self._size = 0
