"""Questions that have been read and cannot be worked on yet: more come than can be resolved.

Prepared replies never wait behind them, however many there are. What is kept waiting is bounded in number and in time, and what
goes is the oldest: its client is the first to have given up, or to have asked anew (load shedding; RFC 8767 §5 has clients wait
for seconds).
"""

from collections import deque
from typing import Generic, TypeVar

from resolverd import bounds

_Item = TypeVar("_Item")


class Backlog(Generic[_Item]):
    """First come, first served, but for those that have become too old, or too many."""

    def __init__(self) -> None:
        self._items: deque[tuple[float, _Item]] = deque()
        self.dropped = 0
        """How many have been let go, until somebody has counted them."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: _Item, now: float) -> None:
        """Keep it; the oldest goes where there are too many."""
        if len(self._items) >= bounds.BACKLOG:
            self._items.popleft()
            self.dropped += 1
        self._items.append((now, item))

    def take(self, now: float) -> _Item | None:
        """The oldest that is not too old."""
        items = self._items
        while items:
            since, item = items.popleft()
            if now - since <= bounds.BACKLOG_AGE:
                return item
            self.dropped += 1
        return None

    def clear(self) -> None:
        """Nobody is answered any more."""
        self._items.clear()
