"""The Protocols through which flow meets the floors below it; app hands in what fulfils them."""

from collections.abc import AsyncIterator
from typing import Protocol

from resolverd.recursion.ports import Purse
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Ask, Reply
from resolverd.wire.names import Name


class Clock(Protocol):
    """Two readings, never mixed: monotonic for TTLs and timers, wall for what is stored."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, never backwards."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as the machine believes."""
        ...


class Resolver(Protocol):
    """Answers a DNS question from caches and recursion (`flow.recurse`)."""

    def known(self, name: Name, rtype: int) -> Answer | None:
        """The answer, where nobody has to be asked for it."""
        ...

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, fresh: bool = False, purse: Purse | None = None
    ) -> Answer:
        """The answer, SERVFAIL as a value included; by `deadline` (monotonic seconds). Never raises for peers' faults.

        With `fresh`, what is remembered of the name is not used: somebody else has to say it now. `purse` pays for the queries.
        """
        ...


class Network(Protocol):
    """Carries one Ask to one server (`net.exchange`)."""

    async def exchange(self, ask: Ask) -> Reply:
        """The reply, or why there is none, after `ask.timeout` at most. Never raises for faults of others."""
        ...

    def again(self, ask: Ask, *, cookie: bool = True) -> bool:
        """Send the question of an exchange that is under way once more, the same packet but for its cookie; whether it left."""
        ...


class Entry(Protocol):
    """A stored record as `Store.scan` gives it."""

    @property
    def key(self) -> bytes:
        """Its key within the table."""
        ...

    @property
    def value(self) -> bytes:
        """Its value."""
        ...

    @property
    def expires(self) -> float:
        """The wall second from which it counts no more."""
        ...


class Store(Protocol):
    """Stored records, by table and key; bytes in, bytes out. The part of `store.base` that flow needs."""

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """The value as last put, unwritten puts included; None if there is none or it has expired. Raises StoreError."""
        ...

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Remember the value until `expires` (wall seconds). Returns at once; written behind. Raises StoreError."""
        ...

    def delete(self, table: str, key: bytes) -> None:
        """Forget it. Returns at once; written behind. Raises StoreError."""
        ...

    def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        """A table's records in order of key, from `start` on. Raises StoreError."""
        ...

    async def tables(self) -> list[str]:
        """The tables that have records. Raises StoreError."""
        ...

    async def flush(self) -> None:
        """Return when everything put so far is kept. Raises StoreError."""
        ...


