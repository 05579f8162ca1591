"""Counters as plain integers, cheap enough for the hit path; the HTTP edge renders them for Prometheus.

Label values come from closed sets (list ids, check codes, RCODEs), never from names or addresses that a stranger chooses.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from typing import Final

BUCKETS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 8.0)
"""Upper bounds in seconds of all histograms' buckets: from what is in memory to what is given up."""
_NONE = (0,)


class Counters:
    """A bag of named counters. Names are without the ``resolverd_`` prefix and ``_total`` suffix."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = defaultdict(lambda: [0])
        self._histograms: defaultdict[tuple[str, tuple[tuple[str, str], ...]], Histogram] = defaultdict(Histogram)

    def count(self, name: str, /, **labels: str) -> list[int]:
        """The count of `name` with these labels, the only item of a list: to be raised there by whoever counts each packet."""
        return self._counts[name, tuple(sorted(labels.items()))]

    def counts(self, name: str, label: str, text: Callable[[int], str]) -> "Counts":
        """The counts of `name` by number; the value of `label` is the number's text."""
        return Counts(lambda number: self.count(name, **{label: text(number)}))

    def add(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Count `amount` more of `name` with these labels."""
        self._counts[name, tuple(sorted(labels.items()))][0] += amount

    def get(self, name: str, /, **labels: str) -> int:
        """The count so far; 0 for what never happened."""
        return self._counts.get((name, tuple(sorted(labels.items()))), _NONE)[0]

    def histogram(self, name: str, /, **labels: str) -> "Histogram":
        """The histogram of this name and these labels."""
        return self._histograms[name, tuple(sorted(labels.items()))]

    def histograms(self) -> "list[tuple[str, dict[str, str], Histogram]]":
        """(name, labels, histogram) of all that have counted something, in order of name."""
        found = sorted(self._histograms.items(), key=lambda each: each[0])
        return [(name, dict(labels), held) for (name, labels), held in found if any(held.counts)]

    def snapshot(self) -> list[tuple[str, dict[str, str], int]]:
        """(name, labels, value) of everything counted, in order of name."""
        return [(name, dict(labels), value) for (name, labels), [value] in sorted(self._counts.items()) if value]


class Histogram:
    """How many took how long: `counts` for each of `BUCKETS` and for longer; `seconds` of all together."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """One more that took so long."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


class Counts(dict[int, list[int]]):
    """Counts by a number from a closed set (an RCODE), each as `Counters.count` has it."""

    def __init__(self, count: Callable[[int], list[int]]):
        super().__init__()
        self._count = count

    def __missing__(self, number: int) -> list[int]:
        count = self[number] = self._count(number)
        return count
