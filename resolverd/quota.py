"""How much may be asked of somebody: a rate over seconds and a budget over days, as pure counters with `now` as argument."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `count` in any stretch of `seconds`."""

    count: int
    seconds: float


_ROUNDING = 1e-6
"""Seconds that sums of floats may be off."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_allowance(text: str) -> Allowance:
    """``"300000/1d"``, ``"50/1s"``: a count per a number of seconds, minutes, hours or days. Raises ValueError."""
    count, slash, period = text.partition("/")
    number, unit = period[:-1] or "1", period[-1:]
    if not slash or unit not in _UNITS or not all(part.isascii() and part.isdigit() for part in (count, number)):
        raise ValueError(f'{text!r} is no allowance; write a count per time, such as "300000/1d" or "50/1s"')
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
        self._slot = allowance.seconds / self.SLOTS
        self._spent: deque[tuple[int, int]] = deque()

    def left(self, now: float) -> int:
        """How many may still be spent at this moment."""
        slot = int(now // self._slot)
        while self._spent and self._spent[0][0] < slot - self.SLOTS:
            self._spent.popleft()
        return max(0, self.count - sum(spent for _, spent in self._spent))

    def spend(self, now: float) -> bool:
        """Spend one; False, with nothing spent, if none is left."""
        if not self.left(now):
            return False
        slot = int(now // self._slot)
        last, spent = self._spent[-1] if self._spent else (slot, 0)
        if self._spent and slot <= last:
            self._spent[-1] = (last, spent + 1)
        else:
            self._spent.append((slot, 1))
        return True

    def state(self) -> list[tuple[int, int]]:
        """What was spent when, to be stored."""
        return list(self._spent)

    def restore(self, state: list[tuple[int, int]], now: float) -> None:
        """Take up a stored state. A slot that lies in the future (the clock was set back) counts as spent now."""
        slot = int(now // self._slot)
        self._spent.clear()
        for at, spent in sorted((min(at, slot), spent) for at, spent in state):
            if self._spent and self._spent[-1][0] == at:
                spent += self._spent.pop()[1]
            self._spent.append((at, spent))
