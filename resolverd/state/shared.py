"""What a store that several hosts share does beyond the contract of `base`, and how two accounts of a record become one."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from resolverd.state.base import Store, StoredValue

Merge: TypeAlias = Callable[[str, bytes, StoredValue | None, float, StoredValue | None], StoredValue | None]
"""Table, key, ours, the wall second since when ours stands, theirs: what both make together; None where there is to be none.

Ours is what this host could not write in time, None where it deleted the record; theirs is what is there now. Whoever merges
again, in whatever order, gets the same: each kind of record has its own rule (`app.shared_tables`).
"""

MAX_OFFSET: Final = 3600.0
"""Seconds by which the clock of a shared store may differ from this machine's. Beyond, one of the two is wrong, and the store of
no use: it would forget what has just been written, or what others have written would be over."""


class SharedStore(Store, Protocol):
    """A store behind a network. Reads that do not come in time, and all while it is out of reach, raise StoreError.

    `put` and `delete` are queued, and seen by this host's reads at once. One that could not be made at first is late: it is
    not made blindly then, but merged with what is there.
    """

    @property
    def on_reach(self) -> list[Callable[[bool], None]]:
        """Called with `reachable` whenever it has changed; with True once `memory` and `offset` are known."""
        ...

    @property
    def on_late(self) -> list[Callable[[str, bytes], None]]:
        """Called with table and key of a `put` or `delete` that is late."""
        ...

    @property
    def on_written(self) -> list[Callable[[str, bytes], None]]:
        """Called with table and key once a `put` or `delete` is acknowledged, late or not."""
        ...

    @property
    def reachable(self) -> bool:
        """Whether it answers, as far as is known."""
        ...

    @property
    def offset(self) -> float:
        """Seconds by which its wall clock is ahead of this machine's, `MAX_OFFSET` at the most; 0 until that is known."""
        ...

    @property
    def memory(self) -> str:
        """A name for what it remembers, another one once it has lost that; empty until known."""
        ...

    @property
    def servers(self) -> int:
        """How often it was found to be another server than before, which may have forgotten what was acknowledged last."""
        ...

    async def recall(self) -> None:
        """Find out whether it still remembers what it did: if not, `on_reach` is called as after an outage. Raises StoreError."""
        ...

    async def connected(self, patience: float) -> bool:
        """Whether it is within reach; waits for that for so many seconds. Never raises."""
        ...
