"""A host's part in a quota that a fleet shares, as pure counters with `now` (wall seconds of the fleet) as argument.

The store has a counter for each slot of the period. A host adds to one *ahead* of now what it is about to spend, reads the
others, and holds what all of them together leave room for: a lease. Each question takes one out of what is held. So what was
spent in a slot always stands in that slot's counter or in a later one, and never leaves the period too early:

- A lease is good until the slot ends in which it is booked; what is left of it then is given back.
- Of all that is spent within any period, the lease that was booked last has seen the counters of all the others. Of two in one
  slot the later one sees the earlier one in what `Store.add` returns; of two in different slots, whoever reads later.
- Once a slot is over, what was spent in it is settled: added where it belongs, and only seconds later taken from where it was
  booked, so that no reading misses it.
- A count whose reply is lost counts as taken, and is not used.
- Whatever is added to a counter all hosts hear of: should the store forget it, any of them can say what it was.
- Clocks of hosts may differ by a twelfth of a slot (five minutes for a day's quota): so much longer everything counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil, exp
from typing import Final

from resolverd import bounds
from resolverd.dnsbl.quota import Allowance, Budget
from resolverd.dnsbl.quota_slots import QuotaSlot

SHORTEST: Final = 2.5
"""Seconds of the shortest slot: a quota of less than a minute counts for a minute."""
READ_WITHIN: Final = 2.0
"""Seconds within which a lease must be booked and all counters be read."""
_GOOD_FOR = 30.0
"""Seconds for which a lease is good at least."""
_FIRST = 8
"""What a host asks for that has just begun to ask a list."""
_USED_FOR = 3600.0
"""Seconds after the last question for which a host still holds something."""
_PACE_OVER = 900.0
"""Seconds over which the pace is taken."""
_SETTLED = 60.0
"""Seconds of the shortest slot that is settled: to settle a shorter one would take as long as it is."""


class Pace:
    """How much is spent a second, of late: what was spent long ago counts ever less."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._since: float | None = None
        self._at = 0.0

    def add(self, count: int, now: float) -> None:
        """So much was spent."""
        if self._since is None:
            self._since = self._at = now
        self._sum = self._decayed(now) + count
        self._at = max(self._at, now)

    def rate(self, now: float) -> float:
        """What is spent a second."""
        if self._since is None:
            return 0.0
        age = max(now - self._since, _PACE_OVER / 3)
        return self._decayed(now) / (_PACE_OVER * (1 - exp(-age / _PACE_OVER)))

    def _decayed(self, now: float) -> float:
        return self._sum * exp(-max(0.0, now - self._at) / _PACE_OVER)


class LeasedQuota(Budget):
    """A quota of which only what is held may be spent; see the module. `dnsbl.leases` gets it and gives it back.

    `name`: the list's id. `before`: what the list had until now, whose counts are taken over. `settle_at`: the share of a slot
    after which the one before is settled, so that not all hosts do so at once.
    """

    def __init__(
        self, name: str, allowance: Allowance, before: Budget | None = None, wall: float = 0.0, settle_at: float = 0.1
    ):
        super().__init__(allowance)
        self.slot = max(self.slot, SHORTEST)
        self.name = name
        self.ahead = max(1, ceil(_GOOD_FOR / self.slot))
        self.read_at = float("-inf")
        """When the counters were last read."""
        self.waiting = 0
        """Questions that are about to be asked."""
        self._margin = self.slot / 6
        self._settle_at = settle_at * self.slot
        self._totals: dict[int, int] = {}
        self._sum: tuple[int, int] | None = None  # from which slot on, and what is taken
        self._final: set[int] = set()
        self._earlier: Counter[int] = Counter()
        self._held: Counter[int] = Counter()
        self._unverified: Counter[int] = Counter()
        self._spent_of: Counter[tuple[int, int]] = Counter()
        self._debt = 0
        self._pace = Pace()
        self._used_at = float("-inf")
        if isinstance(before, LeasedQuota) and before.slot == self.slot:
            self._totals = dict(before._totals)
            self._earlier = before._earlier.copy()
        elif before is not None:
            self.restore(before.state(), wall)
            if isinstance(before, LeasedQuota):  # what is held of it is given back
                self._earlier[self._slot(wall)] -= sum(before._held.values()) + sum(before._unverified.values())

    # -- as a budget

    def left(self, now: float) -> int:
        """How many the fleet may still spend, as far as known: what nobody holds, and what is held here."""
        return self.free(now) + self.at_hand(now)

    def free(self, now: float) -> int:
        """How many nobody holds, as far as known."""
        return max(0, self.count - self._taken(now))

    def at_hand(self, now: float) -> int:
        """How many may be spent at this moment."""
        slot = self._slot(now)
        return max(0, sum(count for booked, count in self._held.items() if booked >= slot) - self._debt)

    def spend(self, now: float) -> bool:
        """Spend one of what is held; False, with nothing spent, if there is none."""
        self._used_at = now
        if not self.at_hand(now):
            return False
        self._take(now)
        self._pace.add(1, now)
        return True

    def refused(self, now: float) -> None:
        """A question was not asked, as nothing is left: somebody wants to know as soon as there is."""
        self._used_at = now

    def book(self, count: int, now: float) -> None:
        """So many were spent, held or not; negative: so many were not spent after all."""
        for _ in range(count):
            if self.at_hand(now):
                self._take(now)
            else:
                self._debt += 1
        for _ in range(-count):
            if self._debt:
                self._debt -= 1
            elif self._spent_of:
                spent = max(self._spent_of, key=lambda each: (each[1], each[0]))
                self._spent_of[spent] -= 1
                self._spent_of += Counter()  # lets go of what is zero
                self._held[spent[0]] += 1

    def forecast(self, now: float) -> float | None:
        """Seconds until the fleet has spent all at the pace of the last hours; None if that will not be."""
        budget = Budget(Allowance(self.count, self.slot * self.SLOTS))
        budget.restore(self.state(), now)
        budget.book(-self.at_hand(now), now)
        return budget.forecast(now)

    def state(self) -> list[tuple[float, int]]:
        """What the fleet has spent or holds, and when (wall seconds at which its slot began)."""
        merged = Counter(self._totals) + self._earlier
        return [(at * self.slot, merged[at]) for at in sorted(merged)]

    def restore(self, state: Iterable[tuple[float, int]], now: float) -> None:
        """Count as well what was spent elsewhere, or in another period."""
        slot = self._slot(now)
        for at, spent in state:
            number = min(int(at / self.slot + 0.999), slot)
            self._earlier[number] += spent
        self._sum = None

    # -- what to lease

    def target(self, now: float, hosts: int) -> int:
        """How many are to be held: enough for an outage at the pace of late, and no more than leaves something for the others."""
        if not self.waiting and not self._debt and now - self._used_at > _USED_FOR:
            return 0
        wish = max(_FIRST, ceil(self._pace.rate(now) * bounds.LIST_LEASE_TIME)) + self.waiting
        return max(1, min(wish, self.left(now) // (2 * max(1, hosts))))

    def request(self, now: float, hosts: int) -> int:
        """How many to lease now; 0 while enough is held, or nothing is left."""
        target = self.target(now, hosts)
        lasting = self._lasting(now)
        if lasting >= max(1, target // 2, min(self.waiting, target)):
            return 0
        return max(0, min(target - lasting, self.free(now)))

    def is_due(self, now: float, hosts: int) -> bool:
        """Whether there is anything to get, to give back or to settle."""
        if self.is_empty and not self.is_used(now, _USED_FOR):
            return False
        slot, target = self._slot(now), self.target(now, hosts)
        return bool(
            self._debt
            or self._unverified
            or self.request(now, hosts)
            or self.at_hand(now) > 2 * target
            or any(booked < slot for booked in self._held)
            or (any(spent < slot for _, spent in self._spent_of) and now % self.slot >= self._settle_at)
        )

    def is_used(self, now: float, seconds: float) -> bool:
        """Whether it was wanted within so many seconds."""
        return self.waiting > 0 or now - self._used_at < seconds

    @property
    def debt(self) -> int:
        """How many were spent that nobody held: they are to be booked, whatever is left."""
        return self._debt

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of it that would be given back, or settled."""
        return not (+self._held or self._unverified or self._spent_of or self._debt)

    # -- leases

    def booking(self, now: float) -> QuotaSlot:
        """Where to book a lease."""
        return self.slot_at(self._slot(now) + self.ahead)

    def slot_at(self, number: int) -> QuotaSlot:
        """A slot by number."""
        return QuotaSlot(self.name, self.slot, number)

    def unverified(self, number: int) -> int:
        """How many are booked in a slot of which it is not yet known whether there was room for them."""
        return self._unverified[number]

    def booked(self, number: int, total: int, count: int, debt: int) -> None:
        """`count` were booked, and some of the debt: the slot's counter is at `total`."""
        self._totals[number] = total
        self._sum = None
        self._debt -= debt
        self._unverified[number] += count

    def verified(self, number: int, now: float) -> int:
        """All counters have been read since: what there was room for is held. How many are to be given back."""
        count = self._unverified.pop(number, 0)
        back = min(count, max(0, self._taken(now) - self.count))
        if count > back:
            self._held[number] += count - back
        return back

    def corrected(self, number: int, total: int) -> None:
        """A slot's counter is at `total`, as it was changed from here."""
        self._totals[number] = total
        self._sum = None

    def heard(self, number: int, total: int, now: float) -> bool:
        """A slot's counter is said to be at `total`: whether that is as much as is known, or more."""
        if total >= self._totals.get(number, 0) and self._first(now) <= number <= self._last(now):
            self.corrected(number, total)
            return True
        return False

    def to_read(self, now: float) -> list[int]:
        """The slots whose counters may have changed since they were last read, all of the period at first."""
        return [number for number in range(self._first(now), self._last(now) + 1) if number not in self._final]

    def read(self, totals: Mapping[int, int], now: float) -> None:
        """What the counters are at. Those of slots that lie so far behind that nothing is settled there are not read again."""
        first, final = self._first(now), int((now - self._margin) // self.slot) - 2
        self._totals = {number: total for number, total in (self._totals | dict(totals)).items() if number >= first and total}
        self._sum = None
        self._final = {number for number in self._final | totals.keys() if first <= number <= final}
        self.read_at = now

    def known(self, now: float) -> dict[int, int]:
        """What the counters of this period are at, as far as known."""
        first = self._first(now)
        return {number: total for number, total in self._totals.items() if number >= first and total > 0}

    def doubt(self) -> None:
        """The store may have forgotten counters: all are to be read again."""
        self._final.clear()

    # -- what goes back

    def ended(self, now: float) -> list[tuple[int, int]]:
        """Let go of leases whose time is over, and of those that were never verified: slot and count to give back."""
        slot, booking = self._slot(now), self._slot(now) + self.ahead
        gone = [(number, count) for number, count in self._held.items() if number < slot]
        gone += [(number, count) for number, count in self._unverified.items() if number != booking]
        for number, _ in gone:
            if number < slot:
                self._held.pop(number, None)
            self._unverified.pop(number, None)
        return [each for each in gone if each[1] > 0]

    def surplus(self, now: float, hosts: int) -> list[tuple[int, int]]:
        """Let go of what is held far beyond the target: slot and count to give back."""
        target = self.target(now, hosts)
        more = self.at_hand(now) - target
        return self._release(more) if more > target else []

    def all_held(self) -> list[tuple[int, int]]:
        """Let go of everything: slot and count to give back."""
        gone = [*self._release(sum(self._held.values())), *self._unverified.items()]
        self._unverified.clear()
        return [each for each in gone if each[1] > 0]

    def to_settle(self, now: float) -> list[tuple[int, int, int]]:
        """What was spent in the last slot though booked in a later one, to be settled: booked in, spent in, count.

        What was spent longer ago stays where it is booked.
        """
        slot = self._slot(now)
        over = [(booked, spent, count) for (booked, spent), count in self._spent_of.items() if spent < slot]
        if not over or (now % self.slot < self._settle_at and all(spent == slot - 1 for _, spent, _ in over)):
            return []
        for booked, spent, _ in over:
            del self._spent_of[booked, spent]
        return [each for each in over if each[0] > each[1] and self.may_settle(each[1], now)]

    def may_settle(self, number: int, now: float) -> bool:
        """Whether it is time to settle a slot: later, others no longer read it."""
        return self.slot >= _SETTLED and self._slot(now) == number + 1

    def _take(self, now: float) -> None:
        slot = self._slot(now)
        booked = min(number for number, count in self._held.items() if number >= slot and count > 0)
        self._held[booked] -= 1
        if not self._held[booked]:
            del self._held[booked]
        self._spent_of[booked, slot] += 1

    def _release(self, count: int) -> list[tuple[int, int]]:
        gone = []
        for number in sorted(self._held):
            some = min(count, self._held[number])
            if some > 0:
                gone.append((number, some))
                self._held[number] -= some
                count -= some
        self._held += Counter()
        return gone

    def _lasting(self, now: float) -> int:
        """What is held for long enough yet."""
        slot = self._slot(now)
        ends_soon = (slot + 1) * self.slot - now < min(self.slot / 2, bounds.LIST_LEASE_TIME)
        return max(0, sum(count for booked, count in self._held.items() if booked >= slot + ends_soon) - self._debt)

    def _taken(self, now: float) -> int:
        first = self._first(now)
        if self._sum is None or self._sum[0] != first:
            counted = (total for counts in (self._totals, self._earlier) for number, total in counts.items() if number >= first)
            self._sum = first, sum(counted)
        return self._sum[1]

    def _slot(self, now: float) -> int:
        return int(now // self.slot)

    def _first(self, now: float) -> int:
        return int((now - self._margin) // self.slot) - self.SLOTS

    def _last(self, now: float) -> int:
        return int((now + self._margin + READ_WITHIN) // self.slot) + self.ahead
