"""What was spent of each list's quota, kept across restarts: written behind, taken up again at start."""

import asyncio
import json
import logging
from collections.abc import Callable

from resolverd.clock import Clock
from resolverd.dnsbl.engine import Engine
from resolverd.failures import StoreError
from resolverd.state.base import Store

_log = logging.getLogger(__name__)

TABLE = "list-budgets"
EVERY = 1.0
"""Seconds between two looks at what was spent since: what a crash forgets, beside the store's own delay."""
_KEPT = 40 * 86400.0
"""Seconds for which a list's books are kept after its last question: longer than any quota's period."""

Slots = list[tuple[float, int]]


class QuotaStore:
    """The books of the engine that `engine` gives, which changes at a reload."""

    def __init__(self, store: Store, clock: Clock, engine: Callable[[], Engine]):
        self._store = store
        self._clock = clock
        self._engine = engine
        self._written: dict[str, Slots] = {}
        self._opened = False

    async def run(self) -> None:
        """Take up the stored books, then write what changes; ends by cancellation, after which `close` writes the rest."""
        await self._take_up()
        while True:
            await asyncio.sleep(EVERY)
            self.write()

    def write(self) -> None:
        """Put down what has changed."""
        # Before the stored books are known, ours are not the whole.
        if not self._opened:
            return
        for name, spent in self._engine().budgets().items():
            if spent == self._written.get(name, []):
                continue
            try:
                self._store.put(TABLE, name.encode(), json.dumps(spent).encode(), self._clock.wall() + _KEPT)
            except StoreError as error:
                _log.debug("the books of list %s are not kept: %s", name, error)
            else:
                self._written[name] = spent

    async def _take_up(self) -> None:
        slots: dict[str, Slots] = {}
        for name in self._engine().budgets():
            try:
                octets = await self._store.get(TABLE, name.encode(), self._clock.wall())
            except StoreError as error:
                _log.warning("what was spent of the lists' quotas before is not known: %s", error)
                break
            if octets is not None and (spent := _decoded(octets)) is not None:
                slots[name] = spent
        self._engine().restore(slots)
        self._opened = True


def _decoded(octets: bytes) -> Slots | None:
    """Stored books; None for what is none, which counts as absent."""
    try:
        return [(float(at), int(spent)) for at, spent in json.loads(octets) if int(spent) > 0]
    except (ValueError, TypeError):
        return None
