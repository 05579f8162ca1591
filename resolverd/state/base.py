"""The contract of every store.

- A key belongs to its table: the same key in two tables is two records.
- A read sees every put and delete made before it on this store, written or not. Changes of other processes may be seen later.
- A record counts while ``now < expires``. `now` and `expires` are wall-clock seconds and come from the caller.
- `put` and `delete` return at once: nothing is made of what they find, so nobody has to wait for them. What a crash of the
  process can lose is bounded (`disk.FLUSH_INTERVAL`).
- What depends on what is there is decided where the record is: `add` and `cas` are whole or not at all, whoever else is at the
  record, in this process or another. They are waited for, as they may take a round trip.
- Nothing is dropped to make room: a full store refuses new records with StoreError, and whoever asked goes on without.
- Any failure is a StoreError: the event loop never meets the exceptions of a library, and never waits for a disk.
"""

import re
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from resolverd.failures import StoreError


class Entry(NamedTuple):
    """A record as `scan` gives it: its key within the table, its value, and the wall second from which it counts no more."""

    key: bytes
    value: bytes
    expires: float


class Change(NamedTuple):
    """A record as it was put, or deleted (`value` is None), as `watch` reports it."""

    key: bytes
    value: bytes | None
    expires: float


class StoredValue(NamedTuple):
    """What stands at an address."""

    value: bytes
    expires: float


class Condition(NamedTuple):
    """How a store fares. `kind`: ``disk``, ``memory``, ``redis``. `fault`: what keeps it from being written, or empty.

    `octets`: of its file or memory, None where that is not known or there is none. Of a shared store: `waiting`: records that
    wait to be written; `typical` and `slow`: milliseconds of the last reads, median and 99th percentile; `server`: its name and
    version; `url`: where it is.
    """

    kind: str
    fault: str = ""
    octets: int | None = None
    waiting: int = 0
    typical: float | None = None
    slow: float | None = None
    server: str = ""
    url: str = ""


class Unread(Enum):
    """That a record has not been read."""

    UNREAD = 0


UNREAD: Final = Unread.UNREAD


class Store(Protocol):
    """Records by table and key; see the module's contract."""

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired. Raises StoreError."""
        ...

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """As `get`, with the wall second from which the record counts no more. Raises StoreError."""
        ...

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """As `get`, at once, where that is known for certain; `UNREAD` where it would have to be waited for. Raises StoreError.

        Whoever puts on the strength of it without giving way meanwhile has nobody between, as with `cas`: a store that others
        write to as well knows nothing for certain.
        """
        ...

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Read what is soon to be asked for, by table and key, all in one go; where `known` can, it has it then.

        Raises StoreError.
        """
        ...

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`. Raises StoreError when full or closed."""
        ...

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record, if there is one. Raises StoreError when full or closed."""
        ...

    def has_room(self) -> bool:
        """Whether records are welcome that can be done without; False while they would crowd out others, or wait in memory."""
        ...

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add to a counter, which then counts until `expires`, and return what it is then.

        What is absent, or no number, is 0. Stored as a decimal number, of 64 bits at the most. Raises StoreError; whether it
        was added is known then if the store is this process's own (it was not), not for one behind a network.
        """
        ...

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Put the value if the one that is there is the one expected, None for none; whether it was. Raises StoreError."""
        ...

    def watch(self, table: str) -> AsyncIterator[Change | None]:
        """The table's changes from now on, one's own too, of a key that changes often perhaps the last ones only.

        None says that changes may have been missed, so that the table is to be scanned: it comes first, and again where the
        reader was too slow or the connection was lost. A change that is reported can be read. Expiry is no change. Raises
        StoreError once the store is closed.
        """
        ...

    def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key, from the key `start` on; those put or deleted meanwhile may be seen or not.

        Raises StoreError.
        """
        ...

    async def condition(self) -> Condition:
        """How it fares. Never raises."""
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


@lru_cache(64)
def prefix(table: str) -> bytes:
    """What the addresses of a table begin with. Raises ValueError for a name with NUL, which would reach into another."""
    if "\0" in table:
        raise ValueError(f"table name with NUL: {table!r}")
    return table.encode() + b"\0"


def table_of(address: bytes) -> str:
    """The table of an address."""
    return address.partition(b"\0")[0].decode("utf-8", "replace")


def key_of(address: bytes) -> bytes:
    """The key within its table, of an address."""
    return address.partition(b"\0")[2]


def stored_value(value: bytes, expires: float) -> StoredValue:
    """What to keep. Raises TypeError for anything but bytes, ValueError for a time that is none: bugs of the caller."""
    if type(value) is not bytes:
        raise TypeError(f"stores keep bytes, not {type(value).__name__}")
    if expires != expires:  # as only NaN is
        raise ValueError("expires is not a number")
    return StoredValue(value, expires)


_COUNT = re.compile(rb"-?[0-9]{1,19}")
_LARGEST = (1 << 63) - 1


def count_of(value: bytes | None) -> int:
    """What a counter is at; 0 for octets that are no counter's."""
    count = int(value) if value is not None and _COUNT.fullmatch(value) else 0
    return count if abs(count) <= _LARGEST else 0


def encode_count(count: int) -> bytes:
    """A counter's octets. Raises StoreError beyond 64 bits."""
    if abs(count) > _LARGEST:
        raise StoreError("a counter of more than 64 bits")
    return b"%d" % count


SWEEP_RECORDS = 5000
"""Records looked at in one sweep: at one sweep a minute, a million in under four hours, some 50 ms of the thread each time."""


def sweep_allowance(records: int) -> int:
    """How many of so many records one sweep may remove."""
    return 1 + records // 10
