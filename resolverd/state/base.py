"""The contract of every store.

- A key belongs to its table: the same key in two tables is two records.
- A read sees every put and delete made before it on this store, written or not. Reads of others may come later.
- A record counts while ``now < expires``. `now` and `expires` are wall-clock seconds and come from the caller.
- `put` and `delete` return at once. What a crash of the process can lose is bounded (`disk.FLUSH_INTERVAL`).
- Nothing is dropped to make room: a full store refuses new records with StoreError, and whoever asked goes on without.
- Any failure is a StoreError: the event loop never meets the exceptions of a library, and never waits for a disk.
"""

from collections.abc import AsyncIterator
from math import isnan
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A record as `scan` gives it: its key within the table, its value, and the wall second from which it counts no more."""

    key: bytes
    value: bytes
    expires: float


class StoredValue(NamedTuple):
    """What stands at an address."""

    value: bytes
    expires: float


class Store(Protocol):
    """Records by table and key; see the module's contract."""

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired. Raises StoreError."""
        ...

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`. Raises StoreError when full or closed."""
        ...

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record, if there is one. Raises StoreError when full or closed."""
        ...

    def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key, from the key `start` on; those put or deleted meanwhile may be seen or not.

        Raises StoreError.
        """
        ...

    async def tables(self) -> list[str]:
        """The tables that have records, expired ones included, in order. Raises StoreError."""
        ...

    def sweep(self, now: float) -> None:
        """Begin to remove some of what has expired, a bounded piece a call; each call goes on where the last one stopped.

        Expired records are never read, so this is about room only. Of all records at most a tenth goes at once: a clock
        that jumps ahead for a while must not empty the store.
        """
        ...

    async def flush(self) -> None:
        """Return when everything put so far is kept as durably as this store can. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Flush, and let go of everything. Never raises; every later call but `close` raises StoreError."""
        ...


def address(table: str, key: bytes) -> bytes:
    """Table and key as one key, tables apart: ``TABLE NUL KEY``."""
    return prefix(table) + key


def prefix(table: str) -> bytes:
    """What the addresses of a table begin with. Raises ValueError for a name with NUL, which would reach into another."""
    if "\0" in table:
        raise ValueError(f"table name with NUL: {table!r}")
    return table.encode() + b"\0"


def table_of(address: bytes) -> str:
    """The table of an address."""
    return address.partition(b"\0")[0].decode("utf-8", "replace")


def stored_value(value: bytes, expires: float) -> StoredValue:
    """What to keep. Raises TypeError for anything but bytes, ValueError for a time that is none: bugs of the caller."""
    if type(value) is not bytes:
        raise TypeError(f"stores keep bytes, not {type(value).__name__}")
    if isnan(expires):
        raise ValueError("expires is not a number")
    return StoredValue(value, expires)


SWEEP_RECORDS = 5000
"""Records looked at in one sweep: at one sweep a minute, a million in under four hours, some 50 ms of the thread each time."""


def sweep_allowance(records: int) -> int:
    """How many of so many records one sweep may remove."""
    return 1 + records // 10
