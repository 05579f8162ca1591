"""Feeds the time series from the counters, and keeps those of a day and of a week across restarts.

What is kept is one record a ring in `TABLE`, under its span: an octet 1 and the MessagePack of its `Kept`, by zlib.
"""

import asyncio
import logging
import zlib
from typing import Final

import msgspec

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.telemetry.counted import totals
from resolverd.telemetry.series import TICK, Kept, Series

_log = logging.getLogger(__name__)

TABLE: Final = "series"
PERSISTENT: Final = ("24h", "7d")
"""The spans that survive a restart."""
WRITE_EVERY: Final = 30
"""Ticks between two writes: five minutes, which a crash loses at most."""
_VERSION: Final = b"\1"
_LIFETIME: Final = 7 * 86400.0
_encode = msgspec.msgpack.Encoder().encode


_decoder = msgspec.msgpack.Decoder(Kept)


class SeriesRecorder:
    """Feeds `series`. `run` does; after its end `write` writes the rest."""

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        self.series = Series(clock.monotonic())
        self._store = store
        self._clock = clock
        self._counters = counters
        self._begun = clock.monotonic()
        self._ticks = 0
        self._loaded = False
        self._failing = False

    async def run(self) -> None:
        """Take up what was kept, then feed for ever; ends by cancellation."""
        if not self._loaded:
            await self._load()
            self._begun, self._ticks = self._clock.monotonic(), 0
        while True:
            due = self._begun + (self._ticks + 1) * TICK
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
            ticks = int((self._clock.monotonic() - self._begun) / TICK + 0.01) - self._ticks
            if ticks > 0:
                self._tick(ticks)

    def _tick(self, ticks: int) -> None:
        before, self._ticks = self._ticks, self._ticks + ticks
        self.series.tick(totals(self._counters.snapshot()), self._begun + self._ticks * TICK, ticks)
        if before // WRITE_EVERY != self._ticks // WRITE_EVERY:
            self._write()

    def write(self) -> None:
        """Write what was counted up to now, unless what was kept before has not been read."""
        if self._loaded:
            self.series.tick(totals(self._counters.snapshot()), self._clock.monotonic(), 0)
            self._write()

    def _write(self) -> None:
        wall = self._clock.wall()
        try:
            for span in PERSISTENT:
                octets = encode(self.series.rings[span].kept(wall))
                self._store.put(TABLE, span.encode(), octets, wall + _LIFETIME)
        except StoreError as error:
            if not self._failing:
                _log.warning("the time series of a day and a week are not kept: %s", error)
            self._failing = True
        else:
            self._failing = False

    async def _load(self) -> None:
        wall = self._clock.wall()
        for span in PERSISTENT:
            try:
                octets = await self._store.get(TABLE, span.encode(), wall)
            except StoreError as error:
                _log.warning("the time series of before are not found: %s", error)
                break
            kept = decode(octets) if octets is not None else None
            if octets is not None and (kept is None or not self.series.rings[span].restore(kept, wall)):
                self._counters.add("series_damaged_records")
        self._loaded = True


def encode(kept: Kept) -> bytes:
    """The octets of a ring."""
    return _VERSION + zlib.compress(_encode(kept), 1)


def decode(octets: bytes) -> Kept | None:
    """The ring; None for octets that are none."""
    if octets[:1] != _VERSION:
        return None
    try:
        return _decoder.decode(zlib.decompressobj().decompress(octets[1:], bounds.SERIES_OCTETS))
    except (ValueError, zlib.error):
        return None
