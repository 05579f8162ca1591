"""The store of a simulated fleet, and each host's way to it: delays, outages, and a server that comes back empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

from resolverd.failures import StoreError
from resolverd.state.base import Change, Entry
from resolverd.state.memory import MemoryStore

DELAY = 0.0002, 0.001
"""Seconds one way, at the least and at the most."""


class Server:
    """What all hosts share. `operations` counts what it is asked, `rounds` how often a host goes there: what it asks at once
    counts as one. `servers`: how often it was another one.
    """

    def __init__(self, rng: Random) -> None:
        self.store = MemoryStore(10_000_000)
        self.rng = rng
        self.is_up = True
        self.servers = 0
        self.operations = self.rounds = 0

    async def forget(self) -> None:
        """Come back empty."""
        for table in await self.store.tables():
            for entry in [each async for each in self.store.scan(table, 0)]:
                self.store.delete(table, entry.key)
        self.servers += 1


class Link:
    """A host's way there, as the store that it knows."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._round_at = -1.0
        self._out = self._back = 0.0

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        """As the server has it."""
        await self._go()
        found = await self._server.store.get(table, key, now)
        await asyncio.sleep(self._back)
        return found

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        """Add there."""
        await self._go()
        found = await self._server.store.add(table, key, amount, now, expires)
        await asyncio.sleep(self._back)
        return found

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        """Swap there."""
        await self._go()
        found = await self._server.store.cas(table, key, expected, value, now, expires)
        await asyncio.sleep(self._back)
        return found

    @property
    def servers(self) -> int:
        """How often it was another server."""
        return self._server.servers

    async def recall(self) -> None:
        """Whether it remembers is known by `servers`."""
        await self._go()
        await asyncio.sleep(self._back)

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        """Put there, soon."""
        self._count()
        asyncio.get_running_loop().call_later(self._out, self._server.store.put, table, key, value, expires)

    async def flush(self) -> None:
        """Wait for what was put."""
        await asyncio.sleep(self._out + self._back)

    async def watch(self, table: str) -> AsyncIterator[Change | None]:
        """What changes there, a little later."""
        async for change in self._server.store.watch(table):
            await asyncio.sleep(self._server.rng.uniform(*DELAY))
            yield change

    async def scan(self, table: str, now: float) -> AsyncIterator[Entry]:
        """All that is there."""
        await self._go()
        async for entry in self._server.store.scan(table, now):
            yield entry

    async def _go(self) -> None:
        self._count()
        if not self._server.is_up:
            raise StoreError("out of reach")
        await asyncio.sleep(self._out)

    def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._server.is_up:
            self._server.operations += 1
        if now != self._round_at:  # what is asked in one turn goes together
            self._round_at = now
            self._out, self._back = (self._server.rng.uniform(*DELAY) for _ in range(2))
            self._server.rounds += self._server.is_up
