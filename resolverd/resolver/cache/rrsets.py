"""The RRset cache: RRsets and denials, ranked by trust, and kept a while beyond their TTL (serve-stale, RFC 8767)."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import islice
from math import inf, nextafter

from resolverd import bounds
from resolverd.resolver.cache import weight
from resolverd.resolver.cache.backing import Backing
from resolverd.resolver.cache.discarded import Discarded
from resolverd.resolver.cache.entries import ENTRY, MOST_BESIDE, NAME_DENIED, Cached, Hit, Types, contradicts, ended_by
from resolverd.resolver.cache.sweep import Sweep
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import ROOT, Name
from resolverd.wire.rrset import RRset, Security, Trust

_NAME = 400
"""Octets that a name costs beside its entries: its place in the order, and the table of its types."""
_AT_ONCE = 2000
"""Names of a cache that is flushed in one go."""
_SWEPT_WITH_EACH = 50
"""Names that a sweep goes through with every entry learnt meanwhile, so that it comes to its end whoever waits for it."""


class RRsetCache:
    """RRsets by name in lower case and type. Bounded by octets, least recently used names out.

    All data lives as long as its TTL says. What has expired ends as soon as something newer contradicts it, however long it
    might be kept stale: an alias ends all other data, data an alias, and the denial of the whole name
    everything (RFC 2181 §10.1, RFC 8767 §5).

    A name's types stand together: a question without an answer here is looked up at several (its type, an alias, the denial
    of the whole name), and nearly all of them are about names of which nothing is known.
    """

    def __init__(self, size: int, stale: float = 86400):
        """`size` in octets; `stale`: seconds for which data is kept beyond its TTL (RFC 8767)."""
        self._stale = stale
        self._limit = size
        self._size = 0
        self._names: OrderedDict[Name, Types] = OrderedDict()
        self._dnames = 0
        self._count = 0
        self.backing: Backing[Types] | None = None
        """What of it is kept on disk; None where nothing is."""
        self._sweeps: deque[Sweep] = deque()
        self.discarded = Discarded()

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Octets held, bookkeeping estimated."""
        return self._size

    def may_know(self, name: Name) -> bool:
        """Whether `get` or a DNAME above it may have anything for a name, live or not: of most names nothing is known."""
        return name in self._names or self._dnames > 0 or self._types(name) is not None

    @property
    def has_dnames(self) -> bool:
        """Whether there is any DNAME, for which the names above a name are worth a look."""
        return self._dnames > 0

    def get(self, name: Name, rtype: int, now: float, trust: Trust = Trust.UNPROVEN) -> Hit | None:
        """Live data or a denial of at least that trust; the denial of the whole name answers for every type."""
        types = self._names.get(name)
        if types is None or self._sweeps:
            types = self._types(name)
        if types is None:
            return None
        for kind in (rtype, NAME_DENIED):
            entry = types.get(kind)
            if entry is not None and now < entry.expires and entry.trust >= trust:
                self._names.move_to_end(name)
                left = int(entry.expires - now)
                rrset = entry.rrset and replace(entry.rrset, ttl=left)
                authority = tuple(replace(each, ttl=min(each.ttl, left)) for each in entry.authority)
                fraction = (entry.expires - now) / (entry.expires - entry.stored)
                age = now - entry.stored
                return Hit(rrset, authority, entry.trust, age, fraction, entry.denies_name, entry.lease, entry.security)
        return None

    def rdatas(self, name: Name, rtypes: Iterable[int], now: float) -> list[bytes]:
        """The live data of these types, as far as somebody has answered with it (glue is no answer).

        For the addresses of servers: none outlives the delegation through which it was learnt (ghosts: CVE-2026-42955).
        """
        types = self._names.get(name)
        if types is None or self._sweeps:
            types = self._types(name)
        if types is None:
            return []
        self._names.move_to_end(name)
        live = (types[rtype] for rtype in rtypes if rtype in types)
        return [
            data
            for entry in live
            if entry.rrset is not None and now < entry.expires and now < entry.lease and entry.trust >= Trust.UNPROVEN
            for data in entry.rrset.rdatas
        ]

    def stale(self, name: Name, rtype: int, now: float, ttl: int) -> Hit | None:
        """Data past its TTL but within the stale window, its TTLs at most `ttl` (RFC 8767 §4); live data as well."""
        types = self._types(name)
        if types is None:
            return None
        entry = types.get(rtype) or types.get(NAME_DENIED)
        if entry is not None and (newer := ended_by(types, rtype, entry)) is not None:
            entry = newer if newer.denies_name else None
        if entry is None or entry.trust < Trust.UNPROVEN or now >= entry.expires + self._stale:
            return None
        rrset = entry.rrset and replace(entry.rrset, ttl=min(ttl, entry.rrset.ttl))
        authority = tuple(replace(each, ttl=min(ttl, each.ttl)) for each in entry.authority)
        return Hit(rrset, authority, entry.trust, now - entry.stored, 0.0, entry.denies_name, entry.lease, entry.security)

    def put(
        self,
        rrset: RRset,
        trust: Trust,
        now: float,
        name: Name,
        authority: tuple[RRset, ...] = (),
        lease: float = float("inf"),
    ) -> None:
        """Learn an RRset. `name` is its owner in lower case. Ignored while something more trusted lives (RFC 2181 §5.4.1).

        `lease`: the end of the delegation through which it was learnt. What is too large to be kept is forgotten.
        """
        if self._types(name) is not None:
            self._drop(name, NAME_DENIED)
        self._store(name, rrset.rtype, rrset, authority, trust, now, rrset.ttl, lease, rrset.security, denies_name=False)

    def put_negative(
        self,
        name: Name,
        rtype: int,
        ttl: int,
        authority: tuple[RRset, ...],
        trust: Trust,
        now: float,
        *,
        nxdomain: bool = False,
        security: Security = Security.UNKNOWN,
    ) -> None:
        """Learn that there is no such type (`nxdomain`: no such name, as was said for this type) for `ttl` seconds (RFC 2308 §5).

        The denial of a whole name counts for all its types, unless one of them is known to have data: there are servers that
        say NXDOMAIN for any type that they do not have, and their names' addresses must not be lost for that.
        """
        types = self._types(name) or {}
        others = (each for kind, each in types.items() if kind != rtype)
        lives = any(each.rrset is not None and now < each.expires and each.trust >= trust for each in others)
        key = NAME_DENIED if nxdomain and not lives else rtype
        self._store(name, key, None, authority, trust, now, ttl, float("inf"), security, denies_name=nxdomain)

    def flush(self, name: Name, rtype: int | None = None) -> int:
        """Forget a name's data of one type or of all; how many entries."""
        types = [each for each in self._types(name) or () if rtype in (None, each)]
        for each in types:
            self._drop(name, each)
        return len(types)

    def flush_below(self, zone: Name, now: float) -> Sweep:
        """Forget what is known of the names at and below `zone`: at once for who asks, and with `sweep` of a large cache."""
        if self.backing is not None:
            self.backing.clear_below(zone)
        return self._begin(zone, now)

    def sweep(self, names: int) -> bool:
        """Go on with forgetting, through so many names; whether there is more to be done. Who learns something does so too."""
        names -= self.discarded.free(names)
        if self._sweeps and names > 0:
            sweep = self._sweeps[0]
            looked_at = list(islice(sweep.names, names))
            for name in [each for each in looked_at if each.endswith(sweep.zone)]:
                self._swept(name, sweep)
            if len(looked_at) < names:
                sweep.ended = True
                self._sweeps.popleft()
        return bool(self._sweeps or self.discarded)

    def _begin(self, zone: Name, now: float) -> Sweep:
        # Names stand in no order in which those of a zone are together. Through its own links an OrderedDict takes ten times as
        # long, and another in its place would be looked through by the garbage collector (`app.process.tune`).
        sweep = Sweep(zone, now, list(dict.__iter__(self._names)))
        self._sweeps.append(sweep)
        if len(self._names) <= _AT_ONCE:
            while not sweep.ended:
                self.sweep(_AT_ONCE + 1)
        return sweep

    def succeed(self, size: int, stale: float) -> "RRsetCache":
        """Another cache, with what this one holds; this one is empty from then on, for whoever still writes to it."""
        other = RRsetCache(size, stale)
        other._size, other._names, other._dnames, other._count = self._size, self._names, self._dnames, self._count
        other._sweeps, other.discarded, other.backing = self._sweeps, self.discarded, self.backing
        while other._size > size:
            other._evict()
        self._size, self._names, self._dnames, self._count = 0, OrderedDict(), 0, 0
        self._sweeps, self.discarded, self.backing = deque(), Discarded(), None
        self._limit = min(self._limit, bounds.SUPERSEDED_CACHE)
        return other

    def clear(self, now: float) -> int:
        """Forget everything, of a large cache with `sweep`; how many entries."""
        count = self._count
        if self.backing is not None:
            self.backing.clear()
        self._begin(ROOT, now)
        return count

    def peek(self, name: Name) -> Types | None:
        """All that is held of a name, live or not, as it is to be kept on disk; nobody has asked for it."""
        types = self._names.get(name, {})
        for sweep in self._sweeps:
            if sweep.concerns(name):
                types = {rtype: entry for rtype, entry in types.items() if entry.stored > sweep.at}
        return types or None

    def names(self) -> list[Name]:
        """The names of which anything is held, in no order."""
        return list(dict.__iter__(self._names))

    def adopt(self, name: Name, types: Types) -> bool:
        """Take up what disk has of a name, as used less lately than all others; False where there is no room left."""
        size = _NAME + len(name) + sum(entry.size for entry in types.values())
        if self._size + size > self._limit:
            return False
        if name not in self._names and not (self.backing is not None and self.backing.is_behind(name)):
            self._add(name, types, size)
            self._names.move_to_end(name, last=False)
        return True

    def types(self, name: Name, now: float) -> list[int]:
        """Types of which something is known of that name (NAME_DENIED for a denied name)."""
        return [rtype for rtype, entry in (self._types(name) or {}).items() if now < entry.expires]

    def _store(
        self,
        name: Name,
        rtype: int,
        rrset: RRset | None,
        authority: tuple[RRset, ...],
        trust: Trust,
        now: float,
        ttl: int,
        lease: float,
        security: Security,
        *,
        denies_name: bool,
    ) -> None:
        if self._sweeps or self.discarded:
            self.sweep(_SWEPT_WITH_EACH)
        types = self._names.get(name)
        old = types.get(rtype) if types is not None else None
        if old is not None:
            if old.trust > trust and now < old.expires:
                return
            self._drop(name, rtype)
            types = self._names.get(name)
        if ttl <= 0:
            # RFC 1035 §3.2.1: TTL 0 is for the transaction in progress only. But what it contradicts has ended.
            news = rrset is not None
            for kind, other in list(self._names.get(name, {}).items()):
                if other.expires <= now and contradicts(rtype, news, denies_name, kind):
                    self._drop(name, kind)
            return
        beside = weight.NO_RRSETS
        if authority:
            beside = weight.rrsets(authority) if len(authority) <= MOST_BESIDE else bounds.MAX_KEPT_AUTHORITY + 1
            if beside > bounds.MAX_KEPT_AUTHORITY:
                authority = tuple(each for each in authority if each.rtype == codes.SOA)
                beside = weight.rrsets(authority)
        size = ENTRY + beside + (weight.rrset(rrset) if rrset is not None else 0)
        if size > bounds.MAX_KEPT_RRSET + bounds.MAX_KEPT_AUTHORITY:
            return
        if types is None:
            types = self._names[name] = {}
            self._size += _NAME + len(name)
        else:
            self._names.move_to_end(name)
            if len(types) >= bounds.MAX_TYPES_PER_NAME:
                self._drop(name, next(iter(types)))
        stored = now
        for sweep in self._sweeps:
            # What is learnt in the very moment of a flush is learnt behind it.
            stored = max(stored, nextafter(sweep.at, inf))
        types[rtype] = Cached(rrset, authority, trust, stored, now + ttl, lease, denies_name, security, size)
        self._size += size
        self._count += 1
        self._dnames += rtype == codes.DNAME
        if self.backing is not None:
            self.backing.note(name)
        while self._size > self._limit:
            self._evict()

    def _types(self, name: Name) -> Types | None:
        """What is held of a name, without what is being swept away, and with what disk has of it."""
        for sweep in self._sweeps:
            self._swept(name, sweep)
        types, backing = self._names.get(name), self.backing
        if types is None and backing is not None and backing.read is not None and (types := backing.recall(name)) is not None:
            self._add(name, types, _NAME + len(name) + sum(entry.size for entry in types.values()))
            while self._size > self._limit:
                self._evict()
            types = self._names.get(name)
        return types

    def _add(self, name: Name, types: Types, size: int) -> None:
        self._names[name] = types
        self._size += size
        self._count += len(types)
        self._dnames += codes.DNAME in types

    def _swept(self, name: Name, sweep: Sweep) -> None:
        """Forget what a sweep is to forget of a name."""
        types = self._names.get(name)
        if types is None or not sweep.concerns(name):
            return
        for rtype in [rtype for rtype, entry in types.items() if entry.stored <= sweep.at]:
            self._drop(name, rtype, noted=False)
            sweep.count += 1

    def _evict(self) -> None:
        """Forget the name that has not been used for the longest time."""
        name, types = self._names.popitem(last=False)
        self._size -= _NAME + len(name) + sum(entry.size for entry in types.values())
        self._dnames -= codes.DNAME in types
        self._count -= len(types)

    def _drop(self, name: Name, rtype: int, *, noted: bool = True) -> None:
        """Forget an entry. `noted`: so that disk forgets it too, where it has not been told already."""
        types = self._names.get(name)
        if types is None or rtype not in types:
            return
        self._size -= types.pop(rtype).size
        self._count -= 1
        self._dnames -= rtype == codes.DNAME
        if noted and self.backing is not None:
            self.backing.note(name)
        if not types:
            del self._names[name]
            self._size -= _NAME + len(name)
