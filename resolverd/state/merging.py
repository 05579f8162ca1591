"""How two accounts of one record become one, by kinds of records. Pure; what stands in the octets is known by those who give it.

Each is a `shared.Merge` without the table. For two that both are there the order counts nothing, nor how often they are merged.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol, Self, TypeAlias, TypeVar

from resolverd.state.base import StoredValue

RecordMerge: TypeAlias = Callable[[bytes, StoredValue | None, float, StoredValue | None], StoredValue | None]
"""Key, ours (None: deleted), the wall second of that, theirs (None: there is none): what is to be there; None for nothing."""


class Copied(Enum):
    """What of a shared table a host keeps in its own store too, for the time when the shared one is out of reach."""

    ALL = "all"
    """Whatever it has written or read."""
    OWN = "own"
    """What it has written."""
    NOTHING = "nothing"
    """Nothing: what cannot be had, or written, at its time is worth nothing later, or must not be decided by one alone."""


class SharedTable(NamedTuple):
    """A table of the shared store.

    `small`: its records are few, and can be watched. `goes_on`: while the shared store is out of reach, one host may `cas` what
    it has a copy of; no harm is done where a record that others have deleted meanwhile comes back with it. `readable`: whether
    octets are a record of a key, of a small table that is copied: what others have put there is not copied else.
    """

    merge: RecordMerge
    copied: Copied
    small: bool = False
    goes_on: bool = False
    readable: Callable[[bytes, bytes], bool] = lambda key, octets: True


class Joinable(Protocol):
    """A record that tells what it makes together with another of its key."""

    def __or__(self, other: Self, /) -> Self:
        """Both together."""
        ...


T = TypeVar("T", bound=Joinable)


def joined(
    decode: Callable[[bytes, bytes], T | None],
    encode: Callable[[T], bytes],
    last: Callable[[T], float],
    expires: Callable[[T], float] | None = None,
) -> RecordMerge:
    """Records that are joined by ``|``, and count until the later end of both, or as `expires` says.

    `decode` has key and octets. What is deleted is gone for both unless the other is newer: `last` tells the wall second.
    """

    def merge(key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
        there = None if theirs is None else decode(key, theirs.value)
        if ours is None:
            return theirs if there is not None and last(there) > at else None
        own = decode(key, ours.value)
        if own is None or theirs is None or there is None:
            return theirs if own is None else ours
        both = own | there
        return StoredValue(encode(both), max(ours.expires, theirs.expires) if expires is None else expires(both))

    return merge


def written_once(key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    """Records that never change: the one there stays. Deleted is gone."""
    if ours is None or theirs is None:
        return ours
    return max(ours, theirs)


def of_one_writer(key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    """Records that nobody but this host writes: its own counts."""
    return ours


def theirs_stays(key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    """Records that are worth nothing but at their time: what came late is let go."""
    return theirs


def longer_lived(key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    """Records of which the one that counts longer is the newer."""
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return max(ours, theirs, key=lambda each: (each.expires, each.value))
