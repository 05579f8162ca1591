"""What this host has written and the shared store has not acknowledged, noted in the host's own store: it outlives a restart."""

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from resolverd import bounds
from resolverd.state.base import Store, table_of

TABLE: Final = "unshared"
FOREVER: Final = float(2**32)
"""The wall second at which records without an end go: in 2106."""
_PUT: Final = b"p"
_DELETED = struct.Struct(">cd")


class Note:
    """That a record was put, or deleted at a wall second (`deleted_at`); each writing makes another one."""

    __slots__ = ("deleted_at",)

    def __init__(self, deleted_at: float | None) -> None:
        self.deleted_at = deleted_at


class Unshared:
    """The addresses of such records, the oldest first. The records stand in the host's own store, where they always do.

    Of more than `bounds.STORE_UNSHARED` those that were put and are no `few` are forgotten (`overflown`): who brings them to the
    shared store has to look through everything then.
    """

    def __init__(self, own: Store, few: Callable[[str], bool]) -> None:
        """`few`: whether a table is one of few records, which can be noted in any case."""
        self._own = own
        self._few = few
        self._notes: dict[bytes, Note] = {}
        self.overflown = False

    def __len__(self) -> int:
        return len(self._notes)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._notes)

    def __contains__(self, at: object) -> bool:
        return at in self._notes

    def get(self, at: bytes) -> Note | None:
        """What is noted of an address."""
        return self._notes.get(at)

    def first(self, count: int) -> list[bytes]:
        """The oldest so many."""
        return list(islice(self._notes, count))

    async def load(self, now: float) -> None:
        """Take up what was noted before this start. Raises StoreError."""
        async for entry in self._own.scan(TABLE, now):
            deleted_at = None
            if len(entry.value) == _DELETED.size:
                deleted_at = _DELETED.unpack(entry.value)[1]
            self._notes[entry.key] = Note(deleted_at)

    def note(self, at: bytes, deleted_at: float | None = None) -> None:
        """A record was put, or deleted. Raises StoreError where that cannot be noted: it is not to be lost."""
        if at not in self._notes and len(self._notes) >= bounds.STORE_UNSHARED:
            self._make_room()
            if self._can_be_forgotten(at, deleted_at):
                return
        self._own.put(TABLE, at, _PUT if deleted_at is None else _DELETED.pack(b"d", deleted_at), FOREVER)
        self._notes.pop(at, None)
        self._notes[at] = Note(deleted_at)

    def settle(self, at: bytes, note: Note | None) -> None:
        """It is shared now, unless it has been written anew since `note` was read."""
        if note is not None and self._notes.get(at) is note:
            del self._notes[at]
            self._own.delete(TABLE, at)

    def _can_be_forgotten(self, at: bytes, deleted_at: float | None) -> bool:
        return deleted_at is None and not self._few(table_of(at))

    def _make_room(self) -> None:
        """Forget what can be: from now on everything counts as that."""
        self.overflown = True
        for at in [at for at, note in self._notes.items() if self._can_be_forgotten(at, note.deleted_at)]:
            self._own.delete(TABLE, at)
            del self._notes[at]
        if len(self._notes) >= bounds.STORE_UNSHARED:
            # Mostly a deletion: somebody finds again what was forgotten.
            oldest = next(iter(self._notes))
            self._own.delete(TABLE, oldest)
            del self._notes[oldest]
