"""Rows of octets by key, as caches are kept over a restart (`disk.cache_file`), and the file that keeps them as a Protocol."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """A row; those written later have higher numbers. `value` is None where its checksum says that it is damaged."""

    number: int
    key: bytes
    value: bytes | None


class Moment(NamedTuple):
    """The time by the wall clock, and by a clock that nobody can set: seconds since the start of the machine, and which start."""

    wall: float
    boot: str
    uptime: float

    def follows(self, earlier: "Moment", tolerance: float) -> bool:
        """Whether the wall clock has gone on from an earlier moment as time has, as far as that can be told."""
        if self.wall < earlier.wall - tolerance:
            return False
        if not self.boot or self.boot != earlier.boot:
            return True
        return abs((self.wall - earlier.wall) - (self.uptime - earlier.uptime)) <= tolerance


class Changes(NamedTuple):
    """What is to be written at once: all rows deleted, or those whose keys begin so; then rows put, and deleted where None.

    `fingerprint`: of what the rows are made under. `moment`: that of the writing.
    """

    clear: bool
    prefixes: Sequence[bytes]
    rows: Sequence[tuple[bytes, bytes | None]]
    fingerprint: bytes
    moment: Moment


class RowFile(Protocol):
    """The file. `read` may be called on the event loop, everything else blocks. All raise sqlite3.Error and OSError."""

    @property
    def is_new(self) -> bool:
        """Whether it was begun when it was opened."""
        ...

    def about(self) -> tuple[bytes, Moment | None]:
        """The fingerprint under which it was written last, and when; None where that cannot be told."""
        ...

    def read(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        ...

    def newest(self, before: int | None, count: int) -> list[Row]:
        """Rows, those written last first, with numbers below `before`."""
        ...

    def beginning(self, prefix: bytes, after: bytes, count: int) -> list[Row]:
        """Rows whose keys begin so, by key, behind `after`."""
        ...

    def write(self, changes: Changes) -> None:
        """Write all of it, or nothing."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class RowFolder(Protocol):
    """Where the file stands. All of it blocks, and raises sqlite3.Error and OSError."""

    def open(self) -> RowFile:
        """Open the file, or begin another where there is none. Raises ForeignFile (`disk`) too, as an Exception of its own."""
        ...

    def delete(self) -> None:
        """Delete the file, where there is one."""
        ...

    def is_useless(self, error: BaseException) -> bool:
        """Whether an error is the file's own fault, so that it is to be deleted, and not the machine's."""
        ...

    def moment(self, wall: float) -> Moment:
        """This moment, at which the wall clock says `wall`."""
        ...
