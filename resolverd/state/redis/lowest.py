"""The lowest of very many keys that come in no order: what goes through a table in order holds no more of it than some."""

from collections.abc import Iterable


class LowestKeys:
    """Of all keys that it is given the `count` lowest from `start` on; it holds twice as many at the most, and a page."""

    def __init__(self, start: bytes, count: int) -> None:
        self._start = start
        self._count = count
        self._found: set[bytes] = set()
        self._end: bytes | None = None
        """From this one on keys are too high."""

    def take(self, keys: Iterable[bytes]) -> None:
        """Some more of them, in any order, perhaps again."""
        start, end = self._start, self._end
        self._found.update(key for key in keys if key >= start and (end is None or key < end))
        if len(self._found) > 2 * self._count:
            self._sorted()

    def lowest(self) -> tuple[list[bytes], bytes | None]:
        """Those, in order, and where the next begin; None where there are none."""
        return self._sorted(), self._end

    def _sorted(self) -> list[bytes]:
        keys = sorted(self._found)
        if len(keys) > self._count:
            self._end = keys[self._count]
            del keys[self._count :]
            self._found = set(keys)
        return keys
