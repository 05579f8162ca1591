"""What caches have forgotten and is still to be freed: bit by bit, as hundreds of thousands of entries take long at once."""

from collections import deque
from typing import Any, TypeAlias

_Container: TypeAlias = dict[Any, Any] | list[Any]


class Discarded:
    """Dictionaries and lists that nobody looks into any more."""

    def __init__(self) -> None:
        self._containers: deque[_Container] = deque()

    def __bool__(self) -> bool:
        return bool(self._containers)

    def add(self, container: _Container) -> None:
        """Nobody looks into this any more."""
        if container:
            self._containers.append(container)

    def free(self, count: int) -> int:
        """Free so many entries, where there are as many; how many those were."""
        freed = 0
        while self._containers and freed < count:
            container = self._containers[0]
            some = min(count - freed, len(container))
            drop = container.pop if isinstance(container, list) else container.popitem
            for _ in range(some):
                drop()
            freed += some
            if not container:
                self._containers.popleft()
        return freed
