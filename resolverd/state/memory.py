"""A store that lasts as long as the process."""

from collections.abc import AsyncIterator, Callable

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state.base import (
    SWEEP_RECORDS,
    Condition,
    Entry,
    StoredValue,
    address,
    prefix,
    stored_value,
    sweep_allowance,
    table_of,
)
from resolverd.state.in_process import InProcess


class MemoryStore(InProcess):
    """Records in a dict; `state.base` has the contract. `release` is called once, by `close`."""

    def __init__(self, max_records: int = bounds.STORE_RECORDS, release: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._records: dict[bytes, StoredValue] = {}
        self._max_records = max_records
        self._release = release
        self._round: list[bytes] = []
        self._closed = False

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put; None if there is none or it has expired."""
        return self.known(table, key, now)

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """The same with its time."""
        return self._held(table, key, now)

    def known(self, table: str, key: bytes, now: float) -> bytes | None:
        """As `get`: all is in memory."""
        held = self._held(table, key, now)
        return None if held is None else held.value

    def _held(self, table: str, key: bytes, now: float) -> StoredValue | None:
        self._check_open()
        held = self._records.get(address(table, key))
        return held if held is not None and now < held.expires else None

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires`."""
        self._check_open()
        at, held = address(table, key), stored_value(value, expires)
        if len(self._records) >= self._max_records and at not in self._records:
            raise StoreError(f"{self._max_records} records in memory, no room for more")
        self._records[at] = held
        self._changed(table, key, value, expires)

    def has_room(self) -> bool:
        """Whether less than half of it is taken."""
        return len(self._records) < self._max_records // 2

    def delete(self, table: str, key: bytes) -> None:
        """Forget the record."""
        self._check_open()
        self._records.pop(address(table, key), None)
        self._changed(table, key, None)

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """The table's records in order of key."""
        self._check_open()
        head, first = prefix(table), address(table, start)
        for at in sorted(at for at in self._records if at >= first and at.startswith(head)):
            held = self._records.get(at)
            if held is not None and now < held.expires:
                yield Entry(at[len(head) :], *held)

    async def condition(self) -> Condition:
        """A fault where it stands in for a file."""
        return Condition("memory", "" if self._release is None else "cannot be had on disk: what is new is lost with the process")

    async def tables(self) -> list[str]:
        """The tables that have records."""
        self._check_open()
        return sorted({table_of(at) for at in self._records})

    def sweep(self, now: float) -> None:
        """Remove some of what has expired."""
        self._check_open()
        allowance = sweep_allowance(len(self._records))
        self._round = self._round or list(self._records)
        for _ in range(min(SWEEP_RECORDS, len(self._round))):
            at = self._round.pop()
            held = self._records.get(at)
            if held is not None and not now < held.expires:
                del self._records[at]
                allowance -= 1
                if not allowance:
                    return

    async def flush(self) -> None:
        """Nothing to do: memory is as durable as this store gets."""
        self._check_open()

    async def close(self) -> None:
        """Forget everything."""
        if not self._closed:
            self._closed = True
            self._records.clear()
            self._end_watching()
            if self._release is not None:
                self._release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
