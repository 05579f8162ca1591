"""What was put and deleted here and the server has not acknowledged, and what it has acknowledged of late. Pure.

A write goes from waiting to being written, and is done; or it becomes late, when it could not be written at once: what stands
there by then may be newer, so that it is merged.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.state.base import StoredValue

Address: TypeAlias = tuple[str, bytes]
"""Table and key."""
RECENT: Final = 300.0
"""Seconds for which what was written is remembered, for the case that another server takes over which has not got it."""


class Write(NamedTuple):
    """A value, None to delete; its time; when it was put, by the fleet's wall clock; and the schema that it was encoded by."""

    value: bytes | None
    expires: float
    at: float
    schema: int

    def stored(self) -> StoredValue | None:
        """What it leaves there."""
        return StoredValue(self.value, self.expires) if self.value is not None else None


class Unwritten:
    """Writes by address. `limit`: how many at the most, of all conditions together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: dict[Address, Write] = {}
        self.writing: dict[Address, Write] = {}
        self.late: dict[Address, Write] = {}
        self._recent: OrderedDict[Address, Write] = OrderedDict()
        self._recent_octets = 0
        """Of their values."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.writing) + len(self.late)

    def __iter__(self) -> Iterator[Address]:
        """The addresses, some perhaps repeatedly."""
        return chain(self.waiting, self.writing, self.late)

    def find(self, at: Address) -> Write | None:
        """The last write to an address that is not done."""
        return self.waiting.get(at) or self.late.get(at) or self.writing.get(at)

    def has_room(self, at: Address) -> bool:
        """Whether a write to that address can wait."""
        return len(self) < self.limit or at in self.waiting or at in self.late

    def put(self, at: Address, write: Write, late: bool) -> bool:
        """Another write; `late`: it cannot be written now. Whether it is late, as one before it may be."""
        if late or at in self.late:
            self.waiting.pop(at, None)
            self.late[at] = write
            return True
        self.waiting[at] = write
        return False

    def take(self, count: int) -> dict[Address, Write]:
        """The oldest that wait, which are being written from now on."""
        taken = {at: self.waiting.pop(at) for at in list(islice(self.waiting, count))}
        self.writing |= taken
        return taken

    def written(self, at: Address, now: float) -> None:
        """What was being written has been."""
        if (write := self.writing.pop(at, None)) is not None:
            self.remember(at, write, now)

    def failed(self, at: Address) -> None:
        """What was being written could not be, or perhaps it was."""
        if (write := self.writing.pop(at, None)) is not None:
            self.late[at] = self.waiting.pop(at, self.late.get(at, write))

    def refused(self, at: Address) -> None:
        """What was being written never can be."""
        self.writing.pop(at, None)

    def merged(self, at: Address, write: Write) -> bool:
        """A late write is done; whether it still was the last one."""
        if self.late.get(at) is not write:
            return False
        del self.late[at]
        return True

    def all_late(self) -> list[Address]:
        """The server is out of reach: what waits is late. Those that were not before."""
        new = [at for at in self.waiting if at not in self.late]
        self.late |= self.waiting
        self.waiting.clear()
        return new

    def remember(self, at: Address, write: Write, now: float) -> None:
        """That this was written, at `now` (the fleet's wall clock)."""
        if (before := self._recent.pop(at, None)) is not None:
            self._recent_octets -= len(before.value or b"")
        self._recent[at] = write
        self._recent_octets += len(write.value or b"")
        while self._recent and (
            len(self._recent) > bounds.STORE_SHARED_RECENT
            or self._recent_octets > bounds.STORE_SHARED_RECENT_OCTETS
            or next(iter(self._recent.values())).at < now - RECENT
        ):
            self._recent_octets -= len(self._recent.popitem(last=False)[1].value or b"")

    def write_again(self, now: float) -> None:
        """Another server has taken over, perhaps without what was written last: it counts as late."""
        for at, write in self._recent.items():
            if write.at >= now - RECENT and at not in self.waiting and len(self) < self.limit:
                self.late.setdefault(at, write)
        self._recent.clear()
        self._recent_octets = 0
