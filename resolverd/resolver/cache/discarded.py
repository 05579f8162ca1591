"""What caches have forgotten and is still to be freed: bit by bit, as a million entries at once take half a second."""

from collections import deque
from typing import Any


class Discarded:
    """Dictionaries and queues that nobody looks into any more."""

    def __init__(self) -> None:
        self._containers: deque[dict[Any, Any] | deque[Any]] = deque()

    def __bool__(self) -> bool:
        return bool(self._containers)

    def add(self, container: dict[Any, Any] | deque[Any]) -> None:
        """Nobody looks into this any more."""
        if container:
            self._containers.append(container)

    def free(self, count: int) -> int:
        """Free so many entries, where there are as many; how many those were."""
        freed = 0
        while self._containers and freed < count:
            container = self._containers[0]
            some = min(count - freed, len(container))
            drop = container.pop if isinstance(container, deque) else container.popitem
            for _ in range(some):
                drop()
            freed += some
            if not container:
                self._containers.popleft()
        return freed
