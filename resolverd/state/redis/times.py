"""How long the last reads took."""

from collections import deque
from typing import Final

_READS: Final = 1000


class Times:
    """Of so many reads, in seconds."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_READS)
        self.note = self._seconds.append
        """Note one more."""

    def percentile(self, share: float) -> float | None:
        """Milliseconds that so large a share of them took at the most; None while there were none."""
        if not self._seconds:
            return None
        ordered = sorted(self._seconds)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]
