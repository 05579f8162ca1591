"""The most frequent of many in constant memory: what is rare is forgotten when there is too much (Manku, Motwani 2002)."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from resolverd import bounds

Key = TypeVar("Key", bound=Hashable)


class Top(Generic[Key]):
    """Counts by key; of some keys sums besides (octets, seconds).

    No more than bounds.REPORT_ROWS are kept for good. What was `cut` is told: from then on counts are "at least", each short by
    `missed` at most, and there were more keys than are known.
    """

    def __init__(self, rows: int = 0) -> None:
        self._rows = rows or bounds.REPORT_ROWS
        self._counts: dict[Key, int] = {}
        self._sums: dict[Key, float] = {}
        self.missed = 0

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._counts)

    @property
    def cut(self) -> bool:
        """Whether keys were forgotten."""
        return self.missed > 0

    def add(self, key: Key, count: int = 1, amount: float = 0) -> None:
        """Count a key; its sum grows by `amount`."""
        counts = self._counts
        counts[key] = counts.get(key, 0) + count
        if amount:
            self._sums[key] = self._sums.get(key, 0) + amount
        if len(counts) > 2 * self._rows:
            self._forget()

    def count(self, key: Key) -> int:
        """How often it was counted."""
        return self._counts.get(key, 0)

    def sum(self, key: Key) -> float:
        """What its amounts come to."""
        return self._sums.get(key, 0)

    def most(self, rows: int | None = None) -> list[tuple[Key, int]]:
        """Keys and counts, the most frequent first; equals in the order of their text."""
        return sorted(self._counts.items(), key=lambda each: (-each[1], str(each[0])))[:rows]

    def _forget(self) -> None:
        kept = sorted(self._counts.items(), key=lambda each: -each[1])
        self.missed = max(self.missed, kept[self._rows][1])
        self._counts = dict(kept[: self._rows])
        self._sums = {key: value for key, value in self._sums.items() if key in self._counts}
