"""Counts by time: rings of slots, of which each says how much was counted in so many seconds. A pure core.

Time is counted in ticks of `TICK` seconds that have gone by, and not read off a wall clock: one that is set, forward or back,
moves nothing. When a slot was is worked out when somebody reads it, from the wall clock of that moment.

A slot in which the daemon did not run is None: nothing is known of it. One in which it ran is a mapping, empty for nothing.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from resolverd import bounds

TICK: Final = 10
"""Seconds of the shortest slot."""

Slot: TypeAlias = dict[str, int] | None


class Kept(NamedTuple):
    """A ring as it is stored: the wall second, the ticks gone by in the last slot, and the slots, the oldest first."""

    at: float
    ticks: int
    slots: tuple[Slot, ...]


class Ring:
    """The last `size` slots of `ticks` ticks each; the last of them is still running."""

    def __init__(self, ticks: int, size: int):
        self.ticks = ticks
        self.size = size
        self._slots: deque[Slot] = deque([None] * size, size)
        self._gone = ticks  # of the last slot: whatever comes begins another one

    @property
    def step(self) -> int:
        """Seconds of a slot."""
        return self.ticks * TICK

    @property
    def covered(self) -> int:
        """Seconds of the last slot that have gone by."""
        return self._gone * TICK

    @property
    def ran(self) -> int:
        """Seconds of all slots in which the daemon ran, as far as whole slots tell."""
        *done, last = self._slots
        return self.step * sum(slot is not None for slot in done) + (self.covered if last is not None else 0)

    def begins(self, ticked: float) -> int:
        """The second at which the first slot begins, the last tick having been at second `ticked` of the same clock."""
        return round(ticked) - self.covered - (self.size - 1) * self.step

    def tick(self, counts: Mapping[str, int], ticks: int = 1) -> None:
        """So many ticks have gone by in which the daemon ran; the counts are of the last of them."""
        self._advance(ticks, ran=True)
        self.add(counts)

    def gap(self, ticks: int) -> None:
        """So many ticks have gone by in which it did not."""
        self._advance(ticks, ran=False)

    def add(self, counts: Mapping[str, int]) -> None:
        """Counts of the running slot."""
        slot = self._slots[-1]
        if slot is None:
            slot = self._slots[-1] = {}
        for name, count in counts.items():
            slot[name] = slot.get(name, 0) + count

    def names(self) -> set[str]:
        """Everything of which something was counted."""
        return set().union(*(slot for slot in self._slots if slot))

    def columns(self, always: Iterable[str] = ()) -> dict[str, list[int | None]]:
        """How much of each name was counted in each slot, the oldest first; never less than nothing.

        `always`: names that are there although nothing of theirs was counted.
        """
        nothing: list[int | None] = [None if slot is None else 0 for slot in self._slots]
        columns = {name: nothing.copy() for name in sorted({*always, *self.names()})}
        for at, slot in enumerate(self._slots):
            for name, count in (slot or {}).items():
                columns[name][at] = max(0, count)
        return columns

    def total(self, name: str) -> int:
        """How much of it was counted in all of them."""
        return sum(slot.get(name, 0) for slot in self._slots if slot)

    def kept(self, wall: float) -> Kept:
        """As it is to be stored."""
        return Kept(wall, self._gone, tuple(self._slots))

    def restore(self, kept: Kept, wall: float) -> bool:
        """Take up what was stored, and the gap since; False, with nothing changed, for what is no ring of this kind.

        Where the clock was set back meanwhile, nobody knows how long the gap was: there is none then.
        """
        if not 0 <= kept.ticks <= self.ticks or len(kept.slots) > self.size:
            return False
        self._slots = deque([None] * (self.size - len(kept.slots)) + list(kept.slots), self.size)
        self._gone = kept.ticks
        longest = float(self.step * (self.size + 1))
        self.gap(round(min(max(0.0, wall - kept.at), longest) / TICK))
        return True

    def _advance(self, ticks: int, *, ran: bool) -> None:
        ticks = min(ticks, (self.size + 1) * self.ticks)
        while ticks > 0:
            if self._gone == self.ticks:
                self._slots.append({} if ran else None)
                self._gone = 0
            elif ran and self._slots[-1] is None:
                self._slots[-1] = {}
            step = min(ticks, self.ticks - self._gone)
            self._gone += step
            ticks -= step


SPANS: Final = {"1h": (1, 360), "24h": (30, 288), "7d": (360, 168)}
"""Ticks and slots of the ring of each span."""


class Series:
    """The rings of all spans, fed together with what was counted since the last time. `now` is monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._ticked = now
        self.rings = {span: Ring(*shape) for span, shape in SPANS.items()}
        self._last: dict[str, int] = {}

    def begins(self, span: str, now: float, wall: float) -> int:
        """The wall second at which the first slot of a span begins."""
        return self.rings[span].begins(wall - (now - self._ticked))

    def tick(self, totals: Mapping[str, int], now: float, ticks: int = 1) -> None:
        """So many ticks have gone by; `totals` are counts since the start, by name. With 0 ticks the running slots go on."""
        if ticks:
            self._ticked = now
        counts = {name: total - self._last.get(name, 0) for name, total in totals.items()}
        self._last = dict(totals)
        counts = {name: count for name, count in self._bounded(counts) if count}
        for ring in self.rings.values():
            if ticks:
                ring.tick(counts, ticks)
            else:
                ring.add(counts)

    def _bounded(self, counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
        if len(counts) <= bounds.SERIES_NAMES:
            return counts.items()
        return list(counts.items())[: bounds.SERIES_NAMES]
