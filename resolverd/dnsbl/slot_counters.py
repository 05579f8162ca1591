"""The counters of quotas' slots in a store that several hosts share: changed, read, and heard of.

What the store says counts only if it remembers all that it was told (`SharedStore.recall`): that is asked each time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Final, TypeVar

from resolverd.clock import Clock
from resolverd.dnsbl.quota_slots import TABLE, QuotaSlot, slot_of
from resolverd.failures import StoreError
from resolverd.state.base import count_of, encode_count
from resolverd.state.shared import SharedStore

_log = logging.getLogger(__name__)
T = TypeVar("T")

_RETRIES: Final = 8
"""Tries to raise one counter while others change it."""
_WATCH_AGAIN: Final = 1.0
"""Seconds until counters are watched anew after that failed."""


class SlotCounters:
    """What all hosts count together. `clock` has the fleet's wall clock. All that is asked raises StoreError."""

    def __init__(self, store: SharedStore, clock: Clock):
        self._store = store
        self._clock = clock
        self._server = store.servers

    def may_be_forgotten(self) -> bool:
        """Whether the store has become another server since this was last asked; until then nothing is taken from it."""
        before, self._server = self._server, self._store.servers
        return self._server != before

    async def add(self, slot: QuotaSlot, count: int) -> int:
        """Add to a counter, negative too, and return what it is then."""
        (total,) = await self._checked(self._store.add(TABLE, slot.key, count, self._clock.wall(), slot.expires))
        return total

    async def read(self, slots: Iterable[QuotaSlot]) -> list[int]:
        """What counters are at, all asked at once."""
        wall = self._clock.wall()
        return list(map(count_of, await self._checked(*(self._store.get(TABLE, slot.key, wall) for slot in slots))))

    async def raise_to(self, slot: QuotaSlot, least: int) -> bool:
        """Have a counter be no less; whether it was."""
        (raised,) = await self._checked(self._raise(slot, least))
        return raised

    async def check(self) -> None:
        """Whether the store remembers all that it was told before."""
        await self._checked()

    async def changes(self) -> AsyncIterator[tuple[QuotaSlot, int]]:
        """What any host changes a counter to, for ever; all counters at first, and whenever changes may have been missed."""
        while True:
            try:
                async for change in self._store.watch(TABLE):
                    if change is not None:
                        if (slot := slot_of(change.key)) is not None:
                            yield slot, count_of(change.value)
                        continue
                    async for entry in self._store.scan(TABLE, self._clock.wall()):
                        if (slot := slot_of(entry.key)) is not None:
                            yield slot, count_of(entry.value)
            except StoreError as error:
                _log.debug("quotas of other hosts cannot be watched: %s", error)
            await asyncio.sleep(_WATCH_AGAIN)

    async def _checked(self, *operations: Awaitable[T]) -> list[T]:
        server = self._store.servers
        replies = await asyncio.gather(*operations)
        await self._store.recall()
        if not server == self._store.servers == self._server:
            raise StoreError("it is another server, which may have forgotten something")
        return replies

    async def _raise(self, slot: QuotaSlot, least: int) -> bool:
        for _ in range(_RETRIES):
            wall = self._clock.wall()
            octets = await self._store.get(TABLE, slot.key, wall)
            if count_of(octets) >= least:
                return False
            if await self._store.cas(TABLE, slot.key, octets, encode_count(least), wall, slot.expires):
                return True
        raise StoreError("others are quicker at this counter all the time")
