"""The whole store, record by record: what ``resolverd store dump`` writes and ``load`` and ``import`` bring back."""

from collections.abc import Iterable
from typing import NamedTuple

from resolverd.state.base import Store


class Stored(NamedTuple):
    """A record with its table; `expires` is the wall second from which it counts no more."""

    table: str
    key: bytes
    value: bytes
    expires: float


class Page(NamedTuple):
    """Records in order of table and key. `next`: the table and key to go on from; None at the end."""

    records: tuple[Stored, ...]
    next: tuple[str, bytes] | None


class Loaded(NamedTuple):
    """What became of records: taken, not taken as one that lives longer was there (`kept`), or expired."""

    taken: int = 0
    kept: int = 0
    expired: int = 0

    def __add__(self, other: object) -> "Loaded":
        """Both together."""
        if not isinstance(other, Loaded):
            return NotImplemented
        return Loaded(self.taken + other.taken, self.kept + other.kept, self.expired + other.expired)


async def read(store: Store, now: float, start: tuple[str, bytes] | None, count: int) -> Page:
    """Up to `count` records that have not expired, from `start` on. Raises StoreError."""
    found: list[Stored] = []
    for table in await store.tables():
        if start is not None and table < start[0]:
            continue
        first = start[1] if start is not None and table == start[0] else b""
        async for entry in store.scan(table, now, first):
            if len(found) == count:
                return Page(tuple(found), (table, entry.key))
            found.append(Stored(table, entry.key, entry.value, entry.expires))
    return Page(tuple(found), None)


async def load(store: Store, now: float, records: Iterable[Stored]) -> Loaded:
    """Put records into the store; of two, the one that lives longer stays. Raises StoreError; what was put then stays."""
    taken = kept = expired = 0
    for record in records:
        if not now < record.expires:
            expired += 1
            continue
        # None lives longer: at the new one's end, the old one still counts.
        if await store.get(record.table, record.key, record.expires) is not None:
            kept += 1
            continue
        store.put(record.table, record.key, record.value, record.expires)
        taken += 1
    await store.flush()
    return Loaded(taken, kept, expired)
