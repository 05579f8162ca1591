"""The record cache: RRsets and denials, ranked by trust, and kept a while beyond their TTL for times of trouble."""

from collections import OrderedDict
from typing import NamedTuple

from resolverd.wire.known import NAME_DENIED, Hit
from resolverd.wire.names import Name
from resolverd.wire.rrset import RRset, Trust

_OVERHEAD = 400


class _Entry(NamedTuple):
    rrset: RRset | None
    authority: tuple[RRset, ...]
    trust: Trust
    stored: float
    expires: float
    size: int


class RecordCache:
    """RRsets by (name in lower case, type). Bounded by octets, least recently used out."""

    def __init__(self, size: int, stale: float = 86400):
        """`size` in octets; `stale`: seconds for which data is kept beyond its TTL (RFC 8767)."""
        self._stale = stale
        self._limit = size
        self._size = 0
        self._entries: OrderedDict[tuple[Name, int], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Octets held, bookkeeping estimated."""
        return self._size

    def get(self, name: Name, rtype: int, now: float, trust: Trust = Trust.ANSWER) -> Hit | None:
        """Live data or a denial of at least that trust; the denial of the whole name answers for every type."""
        return self._find((name, rtype), now, trust) or self._find((name, NAME_DENIED), now, trust)

    def stale(self, name: Name, rtype: int, now: float, ttl: int) -> Hit | None:
        """Data past its TTL but within the stale window, its TTLs at most `ttl` (RFC 8767 §4); live data as well."""
        entry = self._entries.get((name, rtype))
        denied = entry is None
        if entry is None:
            entry = self._entries.get((name, NAME_DENIED))
        if entry is None or entry.trust < Trust.ANSWER or now >= entry.expires + self._stale:
            return None
        rrset = entry.rrset and entry.rrset._replace(ttl=min(ttl, entry.rrset.ttl))
        authority = tuple(each._replace(ttl=min(ttl, each.ttl)) for each in entry.authority)
        return Hit(rrset, authority, entry.trust, now - entry.stored, 0.0, denied)

    def put(self, rrset: RRset, trust: Trust, now: float, name: Name, authority: tuple[RRset, ...] = ()) -> None:
        """Learn an RRset. `name` is its owner in lower case. Ignored while something more trusted lives (RFC 2181 §5.4.1)."""
        self._forget_denial(name)
        self._store((name, rrset.rtype), rrset, authority, trust, now, rrset.ttl)

    def deny(self, name: Name, rtype: int, ttl: int, authority: tuple[RRset, ...], trust: Trust, now: float) -> None:
        """Learn that there is no such type (or, with NAME_DENIED, no such name) for `ttl` seconds (RFC 2308 §5)."""
        self._store((name, rtype), None, authority, trust, now, ttl)

    def flush(self, name: Name, rtype: int | None = None) -> int:
        """Forget a name's data of one type or of all; how many entries."""
        keys = [key for key in self._entries if key[0] == name and rtype in (None, key[1])]
        for key in keys:
            self._drop(key)
        return len(keys)

    def clear(self) -> int:
        """Forget everything; how many entries."""
        count = len(self._entries)
        self._entries.clear()
        self._size = 0
        return count

    def types(self, name: Name, now: float) -> list[int]:
        """Types of which something is known of that name (NAME_DENIED for a denied name)."""
        return [key[1] for key, entry in self._entries.items() if key[0] == name and now < entry.expires]

    def _find(self, key: tuple[Name, int], now: float, trust: Trust) -> Hit | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.expires:
            if now >= entry.expires + self._stale:
                self._drop(key)
            return None
        if entry.trust < trust:
            return None
        self._entries.move_to_end(key)
        left = int(entry.expires - now)
        rrset = entry.rrset and entry.rrset._replace(ttl=left)
        authority = tuple(each._replace(ttl=min(each.ttl, left)) for each in entry.authority)
        fraction = (entry.expires - now) / (entry.expires - entry.stored)
        return Hit(rrset, authority, entry.trust, now - entry.stored, fraction, key[1] == NAME_DENIED)

    def _store(
        self, key: tuple[Name, int], rrset: RRset | None, authority: tuple[RRset, ...], trust: Trust, now: float, ttl: int
    ) -> None:
        old = self._entries.get(key)
        if old is not None:
            if old.trust > trust and now < old.expires:
                return
            self._drop(key)
        if ttl <= 0:
            # RFC 1035 §3.2.1: TTL 0 is for the transaction in progress only.
            return
        size = _OVERHEAD + sum(_octets(each) for each in ((rrset, *authority) if rrset else authority))
        self._entries[key] = _Entry(rrset, authority, trust, now, now + ttl, size)
        self._size += size
        while self._size > self._limit:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size

    def _forget_denial(self, name: Name) -> None:
        if (name, NAME_DENIED) in self._entries:
            self._drop((name, NAME_DENIED))

    def _drop(self, key: tuple[Name, int]) -> None:
        self._size -= self._entries.pop(key).size


def _octets(rrset: RRset) -> int:
    return len(rrset.owner) + sum(map(len, rrset.rdatas)) + sum(map(len, rrset.sigs)) + 80 * (len(rrset.rdatas) + len(rrset.sigs))
