"""The caches as rows of a file: what has changed of each, and what a row means."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from resolverd.resolver.cache.backing import Backing
from resolverd.resolver.cache.delegations import Delegation, DelegationCache
from resolverd.resolver.cache.entries import Types
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator.capabilities import SupportFact
from resolverd.resolver.iterator.infra import InfraCache, RttFact
from resolverd.resolver.persist import records
from resolverd.wire.names import Name

Change: TypeAlias = tuple[bytes, bytes | None]
"""The key of a row and its value; None where it is deleted."""
Read: TypeAlias = Callable[[bytes], bytes | None]
"""The value of a key, from disk; None where there is none."""
IsPrivate: TypeAlias = Callable[[Name], bool]
"""Whether a name (lower case) has a key in it, which never gets to disk."""

_SERVERS = 250
"""Servers in one row."""


class Times:
    """The monotonic second of now, and how far the wall clock is ahead of that."""

    __slots__ = ("now", "offset")

    def __init__(self, now: float, wall: float):
        self.now = now
        self.offset = wall - now


class Table(Protocol):
    """A cache. `kind`: the first octet of its keys. `turn`: rows made or taken up in one go, which take about a millisecond."""

    kind: bytes
    turn: int

    def begin(self, read: Read | None, times: Callable[[], Times]) -> None:
        """From now on what changes is noted; what is not known is looked for with `read`, until `end_reading`."""
        ...

    def end_reading(self) -> None:
        """Disk has nothing more that there is room for."""
        ...

    @property
    def pending(self) -> int:
        """How many changes wait to be written."""
        ...

    @property
    def must_clear(self) -> bool:
        """Whether everything on disk has to go before anything else is written."""
        ...

    def prefixes(self) -> list[bytes]:
        """How the keys of rows begin that have to go before anything else is written; part of what is taken with `take`."""
        ...

    def take(self, count: int, times: Times) -> list[Change]:
        """So many changes, to be written now."""
        ...

    def settle(self, *, written: bool, cleared: bool) -> None:
        """What was taken, prefixes and all, stands on disk, or does not. `cleared`: everything else is gone from there."""
        ...

    def adopt(self, key: bytes, value: bytes, times: Times) -> bool:
        """Take up a row; False where there is no room for any more."""
        ...


class _OfNames:
    """What both caches of names have in common: a backing, and how far it is written."""

    kind = b""
    turn = 100

    def __init__(self, is_private: IsPrivate) -> None:
        self._is_private = is_private
        self._zones = 0
        self._clearing = False

    def _backing(self) -> Backing[Types] | Backing[Delegation] | None:
        raise NotImplementedError

    def end_reading(self) -> None:
        """Disk has nothing more that there is room for."""
        if (backing := self._backing()) is not None:
            backing.end_reading()

    @property
    def pending(self) -> int:
        """How many changes wait to be written."""
        backing = self._backing()
        return 0 if backing is None else len(backing.changed) + len(backing.cleared_below) + backing.cleared

    @property
    def must_clear(self) -> bool:
        """Whether everything on disk has to go before anything else is written."""
        backing = self._backing()
        return backing is not None and backing.cleared

    def prefixes(self) -> list[bytes]:
        """How the keys of rows begin that have to go before anything else is written."""
        backing = self._backing()
        if backing is None:
            return []
        self._clearing, backing.cleared = backing.cleared, False
        self._zones = len(backing.cleared_below)
        return [records.row_key(self.kind, zone) for zone in backing.cleared_below]

    def settle(self, *, written: bool, cleared: bool) -> None:
        """What was taken stands on disk, or does not."""
        backing = self._backing()
        if backing is None:
            return
        if written:
            backing.written()
            if not backing.cleared:
                del backing.cleared_below[: self._zones]
        else:
            if self._clearing:
                backing.clear()
            backing.failed()
        self._zones, self._clearing = 0, False


class RRsetTable(_OfNames):
    """RRsets and denials by name, all types of it in one row."""

    kind = b"r"

    def __init__(self, cache: Callable[[], RRsetCache], stale: Callable[[], float], is_private: IsPrivate):
        """`cache`: that in force. `stale`: seconds for which data is kept beyond its TTL."""
        super().__init__(is_private)
        self._cache = cache
        self._stale = stale

    def _backing(self) -> Backing[Types] | None:
        return self._cache().backing

    def begin(self, read: Read | None, times: Callable[[], Times]) -> None:
        """From now on what changes is noted, and what is not known is looked for with `read`."""
        cache = self._cache()
        cache.backing = backing = Backing[Types]()
        for name in cache.names():
            backing.note(name)

        def recall(name: Name) -> Types | None:
            value = None if read is None else read(records.row_key(self.kind, name))
            return None if value is None else self._decoded(value, times())

        backing.read = None if read is None else recall

    def take(self, count: int, times: Times) -> list[Change]:
        """So many changes, to be written now."""
        cache = self._cache()
        names = cache.backing.take(count) if cache.backing is not None else []
        return [(records.row_key(self.kind, each), self._encoded(each, cache, times)) for each in names]

    def adopt(self, key: bytes, value: bytes, times: Times) -> bool:
        """Take up a row; False where there is no room for any more."""
        types = self._decoded(value, times)
        return types is None or self._cache().adopt(records.name_of(key), types)

    def _encoded(self, name: Name, cache: RRsetCache, times: Times) -> bytes | None:
        types = None if self._is_private(name) else cache.peek(name)
        return None if types is None else records.encode_types(types, times.offset, times.now - self._stale())

    def _decoded(self, value: bytes, times: Times) -> Types | None:
        return records.decode_types(value, times.offset, times.now, times.now - self._stale())


class DelegationTable(_OfNames):
    """Delegations by zone. They end as their parents have said, whoever has kept them meanwhile (CVE-2026-40622)."""

    kind = b"d"

    def __init__(self, cache: Callable[[], DelegationCache], is_private: IsPrivate):
        """`cache`: that in force."""
        super().__init__(is_private)
        self._cache = cache

    def _backing(self) -> Backing[Delegation] | None:
        return self._cache().backing

    def begin(self, read: Read | None, times: Callable[[], Times]) -> None:
        """From now on what changes is noted, and what is not known is looked for with `read`."""
        cache = self._cache()
        cache.backing = backing = Backing[Delegation]()
        for zone in cache.zones():
            backing.note(zone)

        def recall(zone: Name) -> Delegation | None:
            value = None if read is None else read(records.row_key(self.kind, zone))
            return None if value is None else self._decoded(zone, value, times())

        backing.read = None if read is None else recall

    def take(self, count: int, times: Times) -> list[Change]:
        """So many changes, to be written now."""
        backing = self._backing()
        zones = backing.take(count) if backing is not None else []
        return [(records.row_key(self.kind, each), self._encoded(each, times)) for each in zones]

    def adopt(self, key: bytes, value: bytes, times: Times) -> bool:
        """Take up a row; False where there is no room for any more."""
        found = self._decoded(records.name_of(key), value, times)
        return found is None or self._cache().adopt(found)

    def _encoded(self, zone: Name, times: Times) -> bytes | None:
        found = None if self._is_private(zone) else self._cache().peek(zone)
        return records.encode_delegation(found, times.offset) if found is not None and times.now < found.expires else None

    def _decoded(self, zone: Name, value: bytes, times: Times) -> Delegation | None:
        return records.decode_delegation(zone, value, times.offset, times.now)


class ServerTable:
    """What is known of servers: round-trip times, and what each supports; a few hundred in each row, written every few minutes.

    Who was silent is not blamed for it after a restart, and cookies are not kept, as their secret ends with the process.
    """

    kind = b"s"
    turn = 4

    def __init__(self, infra: InfraCache):
        self._infra = infra
        self._rtts: list[RttFact] = []
        self._supports: list[SupportFact] = []
        self._begun = self._waits = self._unseen = False
        self._number = 0

    def begin(self, read: Read | None, times: Callable[[], Times]) -> None:
        """From now on a snapshot may be written."""
        self._begun = True

    def snapshot(self, now: float) -> None:
        """Have everything written that is known now."""
        if self._begun:
            self._rtts, self._supports = self._infra.facts(now), []
            self._waits = self._unseen = True
            self._number = 0

    def end_reading(self) -> None:
        """Disk has nothing more that there is room for."""

    @property
    def pending(self) -> int:
        """How many changes wait to be written."""
        return self._waits + self._unseen + len(self._rtts) + len(self._supports)

    @property
    def must_clear(self) -> bool:
        """Whether everything on disk has to go before anything else is written."""
        return False

    def prefixes(self) -> list[bytes]:
        """All of them, before a snapshot."""
        waits, self._waits = self._waits, False
        return [self.kind] if waits else []

    def take(self, count: int, times: Times) -> list[Change]:
        """So many changes, to be written now."""
        changes: list[Change] = []
        if self._unseen and not self._rtts:
            # In a turn of its own: of as many servers as there may be it takes ten milliseconds.
            self._supports, self._unseen = self._infra.capabilities.facts(times.now), False
        while len(changes) < count and (self._rtts or self._supports):
            if self._rtts:
                some, self._rtts = self._rtts[:_SERVERS], self._rtts[_SERVERS:]
                key, value = b"r", records.encode_rtts(some, times.offset)
            else:
                others, self._supports = self._supports[:_SERVERS], self._supports[_SERVERS:]
                key, value = b"c", records.encode_supports(others, times.offset)
            changes.append((self.kind + key + self._number.to_bytes(2, "big"), value))
            self._number += 1
        return changes

    def settle(self, *, written: bool, cleared: bool) -> None:
        """What was taken stands on disk, or does not."""

    def adopt(self, key: bytes, value: bytes, times: Times) -> bool:
        """Take up a row; False where there is no room for any more."""
        if key[1:2] == b"r":
            for rtt in records.decode_rtts(value, times.offset):
                self._infra.adopt(rtt, times.now)
        else:
            for support in records.decode_supports(value, times.offset):
                self._infra.capabilities.adopt(support, times.now)
        return True
