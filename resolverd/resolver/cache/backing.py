"""What one cache has on disk: which names have changed since they were written, and what is still to be read of those that are.

A cache notes here what it learns and forgets, and looks here for names that it does not know while not everything has been
read (`resolver.persist`). What is noted is never read: disk has an older state of it.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from resolverd import bounds
from resolverd.wire.names import Name, ancestors

T = TypeVar("T")


class Backing(Generic[T]):
    """The names of one cache, as far as disk is behind it. `read` gives what disk has of a name, while that is worth a look."""

    def __init__(self) -> None:
        self.read: Callable[[Name], T | None] | None = None
        self.changed: set[Name] = set()
        """Names of which disk has an older state."""
        self.writing: set[Name] = set()
        """Those of them that are being written."""
        self.cleared_below: list[Name] = []
        """Zones below which disk has to forget everything before it is told anything else."""
        self.cleared = False
        """Disk has to forget everything before it is told anything else."""
        self._absent: set[Name] = set()

    def note(self, name: Name) -> None:
        """Something of a name has changed."""
        self.changed.add(name)
        if len(self.changed) > bounds.CACHE_UNWRITTEN:
            self.clear()

    def clear(self) -> None:
        """Everything is forgotten, or too much has changed to be remembered one by one."""
        self.cleared = True
        self.read = None
        self.changed.clear()
        self.cleared_below.clear()
        self._absent.clear()

    def clear_below(self, zone: Name) -> None:
        """Everything at and below a zone is forgotten."""
        if not self.cleared:
            self.cleared_below.append(zone)
            if len(self.cleared_below) > bounds.CACHE_CLEARED_ZONES:
                self.clear()

    def recall(self, name: Name) -> T | None:
        """What disk has of a name that the cache does not know; None also where that is of no use."""
        read = self.read
        if read is None or name in self._absent or self.is_behind(name):
            return None
        found = read(name)
        if found is None:
            if len(self._absent) >= bounds.CACHE_ABSENT:
                self._absent.clear()
            self._absent.add(name)
        return found

    def is_behind(self, name: Name) -> bool:
        """Whether what disk has of a name is not so any more."""
        if self.cleared or name in self.changed or name in self.writing:
            return True
        return bool(self.cleared_below) and any(name.endswith(zone) and zone in ancestors(name) for zone in self.cleared_below)

    def take(self, count: int) -> list[Name]:
        """So many changed names, to be written now; they count as being written until `written`."""
        names = [self.changed.pop() for _ in range(min(count, len(self.changed)))]
        self.writing.update(names)
        return names

    def written(self) -> None:
        """What was taken stands on disk."""
        self.writing.clear()

    def failed(self) -> None:
        """What was taken does not stand on disk."""
        if not self.cleared:
            self.changed |= self.writing
        self.writing.clear()

    def end_reading(self) -> None:
        """Everything has been read that there is room for."""
        self.read = None
        self._absent.clear()
