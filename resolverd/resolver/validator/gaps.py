"""Gaps in an order that is a circle: between two neighbours there is nothing. NSEC has names for that, NSEC3 hashes."""

from bisect import bisect_left, bisect_right, insort
from typing import Generic, NamedTuple, TypeVar

_Key = TypeVar("_Key", bytes, tuple[bytes, ...])
_Record = TypeVar("_Record")


class _Gap(NamedTuple, Generic[_Key, _Record]):
    """`end`: the key of the next neighbour; the gap goes around where that does not sort behind its own."""

    end: _Key
    record: _Record
    learnt: float
    expires: float
    size: int


def _lies_within(key: _Key, start: _Key, end: _Key) -> bool:
    return start < key < end if start < end else key > start or key < end


class Gaps(Generic[_Key, _Record]):
    """Records by the key at which their gap begins. None overlaps another: what is learnt later is how it is.

    `size`: octets, as they were given with each.
    """

    def __init__(self) -> None:
        self.size = 0
        self._order: list[_Key] = []
        self._gaps: dict[_Key, _Gap[_Key, _Record]] = {}

    def __len__(self) -> int:
        return len(self._gaps)

    def put(self, key: _Key, end: _Key, record: _Record, learnt: float, expires: float, size: int) -> None:
        """Learn a record, in place of all that it contradicts. Times in monotonic seconds."""
        before = self._at_or_before(key)
        if before is not None and (before == key or _lies_within(key, before, self._gaps[before].end)):
            self._drop(before)
        while self._order:
            after = self._order[bisect_right(self._order, key) % len(self._order)]
            if not _lies_within(after, key, end):
                break
            self._drop(after)
        insort(self._order, key)
        self._gaps[key] = _Gap(end, record, learnt, expires, size)
        self.size += size

    def find(self, key: _Key, now: float) -> _Record | None:
        """The live record that begins there, or whose gap the key lies in."""
        at = self._at_or_before(key)
        if at is None:
            return None
        gap = self._gaps[at]
        if now >= gap.expires:
            self._drop(at)
            return None
        return gap.record if at == key or _lies_within(key, at, gap.end) else None

    def life(self, key: _Key) -> tuple[float, float]:
        """When the record that begins there was learnt, and until when it counts. Raises KeyError."""
        gap = self._gaps[key]
        return gap.learnt, gap.expires

    def drop_oldest(self) -> None:
        """Forget what was learnt first."""
        self._drop(next(iter(self._gaps)))

    def _at_or_before(self, key: _Key) -> _Key | None:
        return self._order[bisect_right(self._order, key) - 1] if self._order else None

    def _drop(self, key: _Key) -> None:
        self.size -= self._gaps.pop(key).size
        del self._order[bisect_left(self._order, key)]
