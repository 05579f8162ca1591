"""How long the last replies of somebody took."""

from collections import deque


class Latencies:
    """Of the last `count` replies."""

    def __init__(self, count: int) -> None:
        self._seconds: deque[float] = deque(maxlen=count)
        self.note = self._seconds.append
        """Note one more, in seconds."""

    def quantile(self, share: float) -> float | None:
        """Milliseconds that so large a share of them took at the most; None while there were none."""
        if not self._seconds:
            return None
        ordered = sorted(self._seconds)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]
