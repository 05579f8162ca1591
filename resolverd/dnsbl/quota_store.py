"""What was spent of each list's quota, kept across restarts, and shared by all hosts of one store.

Each slot of a quota's period is a counter in the store, to which every host adds what it has spent since it last did. What
comes back beyond that others have spent: it counts here as well. A count that was added is never lost, nor added again; one
whose adding failed is added once more.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Final

from resolverd.clock import Clock
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.quota_slots import TABLE, QuotaSlot, slot_of
from resolverd.failures import StoreError
from resolverd.state.base import Store, count_of

_log = logging.getLogger(__name__)

OLD_TABLE: Final = "list-budgets"
"""Where version 1 has kept all slots of a list in one record, as JSON: taken up once, and deleted."""
EVERY: Final = 0.5
"""Seconds between two writes of what was spent since: with the store's own delay, a crash forgets less than a second's."""
READ_EVERY: Final = 60.0
"""Seconds between two reads of what others have spent of quotas of which nothing is spent here."""


class QuotaStore:
    """Keeps the quotas of the engine that `engine` gives, which changes at a reload."""

    def __init__(self, store: Store, clock: Clock, engine: Callable[[], Engine]):
        self._store = store
        self._clock = clock
        self._engine = engine
        self._added: dict[QuotaSlot, int] = {}
        self._seconds: dict[str, float] = {}
        self._read_at = float("-inf")
        self._failing = False

    async def run(self) -> None:
        """Take up what is stored, then add what is spent; ends by cancellation, after which `write` adds the rest."""
        while True:
            await self._step()
            await asyncio.sleep(EVERY)

    async def _step(self) -> None:
        try:
            now = self._clock.monotonic()
            if self._engine().slot_seconds() != self._seconds or now - self._read_at >= READ_EVERY:
                gone = await self._read()
                await self._write()
                for table, key in gone:  # only now: it stands elsewhere, and of two counts the higher one is the safe one
                    self._store.delete(table, key)
                self._read_at = now
            else:
                await self._write()
        except StoreError as error:
            if not self._failing:
                _log.warning("what is spent of the lists' quotas is not stored: %s", error)
            self._failing = True
        else:
            self._failing = False

    async def write(self) -> None:
        """Add what has been spent since."""
        try:
            await self._write()
        except StoreError as error:
            _log.debug("what is spent of the lists' quotas is not stored: %s", error)

    async def _write(self) -> None:
        engine = self._engine()
        seconds = engine.slot_seconds()
        spent = {
            QuotaSlot(name, seconds[name], round(at / seconds[name])): count
            for name, slots in engine.budgets().items()
            for at, count in slots
        }
        self._added = {slot: count for slot, count in self._added.items() if slot in spent}
        wall = self._clock.wall()
        for slot, count in spent.items():
            if more := count - self._added.get(slot, 0):
                total = await self._store.add(TABLE, slot.key, more, wall, slot.expires)
                self._learn(slot, total, count)

    def _learn(self, slot: QuotaSlot, total: int, ours: int) -> None:
        """A counter's state. What is missing of ours, as the record was damaged, is added the next time."""
        self._added[slot] = total
        if total > ours:
            self._engine().restore(slot.as_spent(total - ours))

    async def _read(self) -> list[tuple[str, bytes]]:
        """Take up what is stored, in the slots of today; which records, of other slots, are to be deleted for that."""
        engine, wall = self._engine(), self._clock.wall()
        self._seconds = engine.slot_seconds()
        gone: list[tuple[str, bytes]] = []
        async for entry in self._store.scan(TABLE, wall):
            slot, total = slot_of(entry.key), count_of(entry.value)
            seconds = self._seconds.get(slot.name) if slot is not None else None
            if slot is None or seconds is None:
                continue  # of a list that is not asked; it goes by itself
            ours = self._added.get(slot)
            if slot.seconds == seconds and (ours is not None or slot.number <= wall // seconds):
                self._learn(slot, total, ours or 0)
                continue
            # The period has been changed, or the clock was set back.
            if total > (ours or 0):
                engine.restore(slot.as_spent(total - (ours or 0)))
            gone.append((TABLE, entry.key))
        for name in self._seconds:
            octets = await self._store.get(OLD_TABLE, name.encode(), wall)
            if octets is not None:
                engine.restore({name: _decode_old(octets)})
                gone.append((OLD_TABLE, name.encode()))
        return gone


def _decode_old(octets: bytes) -> Iterable[tuple[float, int]]:
    """Slots as version 1 has kept them; none for what is none."""
    try:
        slots = [(float(at), int(spent)) for at, spent in json.loads(octets)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return []
    return [(at, spent) for at, spent in slots if isfinite(at) and spent > 0]
