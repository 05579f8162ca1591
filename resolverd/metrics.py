"""Counters as plain integers, cheap enough for the hit path; the HTTP edge renders them for Prometheus.

Label values come from closed sets (list ids, check codes, RCODEs), never from names or addresses that a stranger chooses.
"""

from collections import defaultdict


class Counters:
    """A bag of named counters. Names are without the ``resolverd_`` prefix and ``_total`` suffix."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, tuple[tuple[str, str], ...]], int] = defaultdict(int)

    def add(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Count `amount` more of `name` with these labels."""
        self._values[name, tuple(sorted(labels.items()))] += amount

    def get(self, name: str, /, **labels: str) -> int:
        """The count so far; 0 for what never happened."""
        return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def snapshot(self) -> list[tuple[str, dict[str, str], int]]:
        """(name, labels, value) of everything counted, in order of name."""
        return [(name, dict(labels), value) for (name, labels), value in sorted(self._values.items())]
