"""How much may be asked of somebody: a rate over seconds and a budget over days, as pure counters with `now` as argument."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `count` in any stretch of `seconds`."""

    count: int
    seconds: float


_ROUNDING = 1e-6
"""Seconds that sums of floats may be off."""

_DIGITS = 12
"""Of a count or a period: more is no limit, and beyond what a float can tell apart."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_allowance(text: str) -> Allowance:
    """``"300000/1d"``, ``"50/1s"``: a count per a number of seconds, minutes, hours or days. Raises ValueError."""
    count, slash, period = text.partition("/")
    number, unit = period[:-1] or "1", period[-1:]
    if not slash or unit not in _UNITS or not all(part.isascii() and part.isdigit() for part in (count, number)):
        raise ValueError(f'{text[:40]!r} is no allowance; write a count per time, such as "300000/1d" or "50/1s"')
    if len(count) > _DIGITS or len(number) > _DIGITS:
        raise ValueError(f"{text[:40]!r} is beyond what can be counted; leave it out for no limit")
    if not int(count) or not int(number):
        raise ValueError(f"{text!r} allows nothing; leave it out or switch the list off")
    return Allowance(int(count), int(number) * _UNITS[unit])


class Rate:
    """A token bucket: `count` at once after a pause, then one every `seconds / count`.

    Kept as the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371): one float, no timer.
    """

    def __init__(self, allowance: Allowance):
        self._step = allowance.seconds / allowance.count
        self._slack = allowance.seconds - self._step
        self._arrival = float("-inf")

    def share(self, now: float) -> float:
        """Which share of the allowance is left, from 0 to 1."""
        return 1 - max(0.0, self._arrival - now) / (self._step + self._slack)

    def take(self, now: float, patience: float = 0) -> float | None:
        """Take one and say how many seconds to wait before using it; None, with nothing taken, if that is more than `patience`.

        `now` is monotonic seconds.
        """
        arrival = max(self._arrival, now)
        wait = arrival - self._slack - now
        if wait < _ROUNDING:
            wait = 0.0
        if wait > patience + _ROUNDING:
            return None
        self._arrival = arrival + self._step
        return wait


class Budget:
    """At most `count` in any `seconds`, counted in slots of a 24th of that, so that a day's quota holds for every 24 hours.

    `now` is wall seconds, since a budget outlives the process: a clock set back never gives spent questions back, one
    set forward forgets what lies too far behind.
    """

    SLOTS = 24

    def __init__(self, allowance: Allowance):
        self.count = allowance.count
        self.slot = allowance.seconds / self.SLOTS
        self._spent: deque[tuple[int, int]] = deque()

    def left(self, now: float) -> int:
        """How many may still be spent at this moment."""
        slot = int(now // self.slot)
        while self._spent and self._spent[0][0] < slot - self.SLOTS:
            self._spent.popleft()
        return max(0, self.count - sum(spent for _, spent in self._spent))

    def at_hand(self, now: float) -> int:
        """How many may be spent without asking anybody."""
        return self.left(now)

    def refused(self, now: float) -> None:
        """A question was not asked, as nothing is left."""

    def spend(self, now: float) -> bool:
        """Spend one; False, with nothing spent, if none is left."""
        if not self.left(now):
            return False
        self.book(1, now)
        return True

    def book(self, count: int, now: float) -> None:
        """So many were spent, whether or not they were left; negative: so many were not spent after all."""
        slot = int(now // self.slot)
        last, spent = self._spent[-1] if self._spent else (slot, 0)
        if self._spent and slot <= last:
            self._spent[-1] = (last, max(0, spent + count))
        elif count > 0:
            self._spent.append((slot, count))

    def forecast(self, now: float) -> float | None:
        """Seconds until all is spent at the pace of the last hours (an eighth of the period); None if that will not be.

        What was spent long ago comes back meanwhile, slot by slot.
        """
        left, slot = self.left(now), now // self.slot
        if not left or not self._spent:
            return None if left else 0.0
        first = max(self._spent[0][0], slot - self.SLOTS // 8)
        passed = max(now - first * self.slot, self.slot / 60)
        pace = sum(spent for at, spent in self._spent if at >= first) / passed
        came = dict(self._spent)
        for ahead in range(self.SLOTS + 1):
            begin = max(now, (slot + ahead) * self.slot)
            end = (slot + ahead + 1) * self.slot
            if ahead:
                left += came.get(int(slot) + ahead - self.SLOTS - 1, 0)
            if pace * (end - begin) >= left:
                return begin - now + left / pace
            left -= int(pace * (end - begin))
        return None

    def state(self) -> list[tuple[float, int]]:
        """What was spent when (wall seconds at which its slot began), to be stored."""
        return [(at * self.slot, spent) for at, spent in self._spent]

    def restore(self, state: Iterable[tuple[float, int]], now: float) -> None:
        """Take up a stored state, in addition to what has been spent since; it may be that of another period.

        What lies in the future (the clock was set back) counts as spent now.
        """
        slot = int(now // self.slot)
        # Rounded up: what was spent a little later than it was comes back a little later.
        added = [(min(int(at / self.slot + 0.999), slot), spent) for at, spent in state]
        merged: dict[int, int] = {}
        for at, spent in sorted([*self._spent, *added]):
            merged[at] = merged.get(at, 0) + spent
        self._spent = deque(merged.items())
