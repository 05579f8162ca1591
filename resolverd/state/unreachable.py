"""In place of a shared store that cannot even be tried: the library for it is missing."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NoReturn

from resolverd.failures import StoreError
from resolverd.state.base import Change, Condition, Entry, StoredValue, Unread


class UnreachableStore:
    """A `shared.SharedStore` that is never within reach; `why` it is not, in words."""

    reachable = False
    offset = 0.0
    memory = ""
    servers = 0

    def __init__(self, kind: str, url: str, why: str) -> None:
        self.on_reach: list[Callable[[bool], None]] = []
        self.on_late: list[Callable[[str, bytes], None]] = []
        self.on_written: list[Callable[[str, bytes], None]] = []
        self._kind = kind
        self._url = url
        self._why = why

    async def recall(self) -> None:
        """Raises StoreError."""
        self._fail()

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """Raises StoreError, as all that would need the store."""
        self._fail()

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        """Raises StoreError."""
        self._fail()

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        """Raises StoreError."""
        self._fail()

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        """Raises StoreError."""
        self._fail()

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Raises StoreError."""
        self._fail()

    def delete(self, table: str, key: bytes) -> None:
        """Raises StoreError."""
        self._fail()

    def has_room(self) -> bool:
        """Never."""
        return False

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Raises StoreError."""
        self._fail()

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Raises StoreError."""
        self._fail()

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """Says that all changes may have been missed, once, and raises StoreError."""
        yield None
        self._fail()

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """Raises StoreError."""
        self._fail()
        yield Entry(b"", b"", 0.0)

    async def condition(self) -> Condition:
        """Why it cannot be reached."""
        return Condition(self._kind, self._why, url=self._url)

    async def tables(self) -> list[str]:
        """Raises StoreError."""
        self._fail()

    def sweep(self, now: float) -> None:
        """Nothing: there is nothing to remove."""

    async def flush(self) -> None:
        """Raises StoreError."""
        self._fail()

    async def close(self) -> None:
        """Nothing: there is nothing to let go of."""

    async def connected(self, patience: float) -> bool:
        """Never."""
        return False

    def _fail(self) -> NoReturn:
        raise StoreError(self._why)
