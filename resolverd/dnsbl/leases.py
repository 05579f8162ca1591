"""Quotas that the hosts of one store share: leases got and given back; `dnsbl.leased_quota` has the rules.

Whatever a host adds to a counter all the others hear of, so that they can restore it where store and host are both gone. An idle
list costs nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random, SystemRandom
from typing import Final

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.dnsbl.leased_quota import READ_WITHIN, LeasedQuota
from resolverd.dnsbl.quota import Allowance, Budget
from resolverd.dnsbl.quota_slots import QuotaSlot
from resolverd.dnsbl.slot_counters import SlotCounters
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.resolver.iterator.budget import SharedBudget
from resolverd.resolver.ports import Resolver
from resolverd.state.shared import SharedStore
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name

_log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks at what is to be got or given back."""
READ_EVERY: Final = 60.0
"""Seconds between two reads of what others have spent of a quota that is used here."""
READ_SELDOM: Final = 300.0
"""The same while more than half of it is left."""
SETTLE_AFTER: Final = 6.0
"""Seconds between adding what was spent where it belongs and taking it from where it was booked."""
RESTORE_WITHIN: Final = 15.0
"""Seconds after the store was found to be another server: all hosts restore what it may have forgotten, and none leases."""
_USED_WITHIN = 300.0
"""Seconds after the last question for which a quota counts as used."""
_SMALL = 8
"""What is asked for at most at first, and after a failure; each time that it works twice as much."""
_LARGE = 1 << 40
_PAUSES = (1.0, 30.0)
"""The first and the longest pause after the store failed, or nothing was left."""


class _Lessee:
    """What `Leases` knows of one quota. `limit`: of a batch, small at first, and after a failure: its reply may be lost again."""

    def __init__(self, quota: LeasedQuota):
        self.quota = quota
        self.task: asyncio.Task[None] | None = None
        self.limit = _SMALL
        self.pause = 0.0
        self.quiet_until = float("-inf")
        self.owed: list[tuple[int, int]] = []
        """What is to be given back: slot, count."""
        self.settled: list[tuple[float, int, int]] = []
        """What is to be taken from where it was booked: from when on (monotonic), slot, count."""
        self.forgotten: dict[int, int] = {}
        """What counters were at, by slot, that the store may have forgotten."""
        self.fallen: dict[int, int] = {}
        """Counters, by slot, that are said to be lower than they were: given back, or forgotten."""
        self.believe_at = float("-inf")
        """The monotonic second from which on the store is asked whether they fell."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be done for a quota that is no more."""
        return self.task is None and self.quota.is_empty and not self.owed and not self.settled


class Leases:
    """Leases of lists' quotas from a store that several hosts share.

    `store` must fail rather than answer from a copy. `clock` has the fleet's wall clock. `hosts`: how many there are.
    """

    def __init__(
        self,
        store: SharedStore,
        clock: Clock,
        counters: Counters,
        *,
        hosts: Callable[[], int] = lambda: 1,
        rng: Random | None = None,
    ):
        self._totals = SlotCounters(store, clock)
        self._clock = clock
        self._counters = counters
        self._hosts = hosts
        self._leases_from = float("-inf")
        self._rng = rng or SystemRandom()
        self._lessees: dict[str, _Lessee] = {}
        self._retired: list[_Lessee] = []
        self._failing = False

    def quota(self, name: str, allowance: Allowance, before: Budget | None = None) -> LeasedQuota:
        """The quota of a list (by id) from now on; what is held of the one it had until now is given back."""
        quota = LeasedQuota(name, allowance, before, self._clock.wall(), self._rng.uniform(0.02, 0.25))
        self._retire(name)
        self._lessees[name] = _Lessee(quota)
        return quota

    def keep(self, names: Iterable[str]) -> None:
        """Of all other lists nothing is asked any more."""
        for name in self._lessees.keys() - set(names):
            self._retire(name)

    async def run(self) -> None:
        """Get and give back whatever is due; ends by cancellation, after which `end` gives back the rest."""
        while True:
            self._look()
            await asyncio.sleep(EVERY)

    async def follow(self) -> None:
        """Hear of what any host does to counters, for ever; ends by cancellation."""
        async for slot, total in self._totals.changes():
            self._notice_loss()
            self._hear(slot, total)

    async def end(self) -> None:
        """Give back all that is held. Never raises, and never waits long."""
        everyone = [*self._lessees.values(), *self._retired]
        tasks = [each.task for each in everyone if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in everyone:
            each.owed += each.quota.all_held()
        await asyncio.gather(*(self._give_back(each) for each in everyone), return_exceptions=True)

    async def wait(self, quota: LeasedQuota) -> None:
        """To be waited for before a question is asked: a little while, where no lease is at hand. Perhaps there is none then."""
        each = self._lessees.get(quota.name)
        if each is None or each.quota is not quota:
            return
        quota.waiting += 1
        try:
            deadline = self._clock.monotonic() + bounds.LIST_LEASE_WAIT
            at_hand, is_fresh = quota.at_hand(self._clock.wall()), True
            while at_hand < quota.waiting and is_fresh:
                now, is_fresh = self._clock.monotonic(), each.task is not None
                if now >= deadline or (each.task is None and (now < each.quiet_until or not self._is_due(each))):
                    return
                await asyncio.wait({self._begin(each)}, timeout=deadline - now)
                before, at_hand = at_hand, quota.at_hand(self._clock.wall())
                is_fresh |= at_hand > before  # what was begun for this question, and brought nothing, brings nothing again
        finally:
            quota.waiting -= 1

    def _retire(self, name: str) -> None:
        gone = self._lessees.pop(name, None)
        if gone is not None and not gone.is_done:
            self._retired.append(gone)

    def _look(self) -> None:
        self._notice_loss()
        now = self._clock.monotonic()
        for each in [*filter(self._is_due, self._lessees.values()), *self._retired]:
            if each.task is None and now >= each.quiet_until:
                self._begin(each)
        self._retired = [each for each in self._retired if not each.is_done]

    def _notice_loss(self) -> None:
        """Have restored what another server may have forgotten; called before anything that it says is taken."""
        if not self._totals.may_be_forgotten():
            return
        self._leases_from = self._clock.monotonic() + RESTORE_WITHIN
        for each in self._lessees.values():
            known = each.quota.known(self._clock.wall())
            each.forgotten = {number: max(total, each.forgotten.get(number, 0)) for number, total in known.items()}
            each.quota.doubt()
            each.fallen.clear()

    def _hear(self, slot: QuotaSlot, total: int) -> None:
        """A host has changed a counter. That it rose is believed at once; that it fell, once the store is known to remember."""
        each = self._lessees.get(slot.name)
        if each is None or each.quota.slot != slot.seconds:
            return
        if each.quota.heard(slot.number, total, self._clock.wall()):
            each.fallen.pop(slot.number, None)
        elif slot.number in each.quota.known(self._clock.wall()):
            each.fallen[slot.number] = total

    def _is_due(self, each: _Lessee) -> bool:
        quota, wall, now = each.quota, self._clock.wall(), self._clock.monotonic()
        if each.forgotten or each.owed or quota.is_due(wall, self._hosts()):
            return True
        if (each.settled and each.settled[0][0] <= now) or (each.fallen and each.believe_at <= now):
            return True
        return quota.is_used(wall, _USED_WITHIN) and self._is_stale(quota, wall)

    def _is_stale(self, quota: LeasedQuota, wall: float) -> bool:
        every = READ_SELDOM if quota.free(wall) > quota.count // 2 else READ_EVERY
        return not 0 <= wall - quota.read_at < every

    def _begin(self, each: _Lessee) -> asyncio.Task[None]:
        """The task that works on a quota, one at a time."""
        if each.task is None:
            each.task = asyncio.create_task(self._work(each), name=f"quota of {each.quota.name}")
            each.task.add_done_callback(lambda _: self._ended(each))
        return each.task

    def _ended(self, each: _Lessee) -> None:
        each.task = None

    async def _work(self, each: _Lessee) -> None:
        try:
            await self._restore(each)
            await self._believe(each)
            quota, wall = each.quota, self._clock.wall()
            if each in self._retired:
                each.owed += quota.all_held()
            may_read = self._clock.monotonic() >= self._leases_from  # else other hosts may still have something to restore
            if may_read and (each.pause or self._is_stale(quota, wall)):
                await self._read(quota, quota.to_read(wall))  # what fails here has cost nothing
            if may_read and each not in self._retired:
                await self._lease(each)
                each.owed += quota.surplus(wall, self._hosts())
            each.owed += quota.ended(wall)
            await self._give_back(each)
            await self._settle(each)
        except StoreError as error:
            self._counters.add("list_quota_leases", list=each.quota.name, outcome="failed")
            each.limit = _SMALL
            self._pause(each)
            if not self._failing:
                _log.warning("quotas are not shared for the moment, each host spends what it holds: %s", error)
            self._failing = True
        except Exception as error:
            logs.bug(_log, self._counters, "leases", "the lease of a quota failed", error=error)
            self._pause(each)
        else:
            self._failing = False

    async def _lease(self, each: _Lessee) -> None:
        quota, wall, begun = each.quota, self._clock.wall(), self._clock.monotonic()
        wanted, debt = min(quota.request(wall, self._hosts()), each.limit + quota.waiting), quota.debt
        slot = quota.booking(wall)
        waiting = quota.unverified(slot.number)
        if not (wanted or debt or waiting):
            return
        more = max(0, wanted - waiting)
        total = await self._totals.add(slot, more + debt)
        quota.booked(slot.number, total, more, debt)
        await self._read(quota, [number for number in quota.to_read(wall) if number != slot.number], begun)
        back = quota.verified(slot.number, wall)
        got = more + waiting - back
        self._counters.add("list_quota_leased", got, list=quota.name)
        self._counters.add("list_quota_leases", list=quota.name, outcome="granted" if got else "none")
        if got:
            each.pause, each.limit = 0.0, min(_LARGE, each.limit * 2)
        else:
            self._pause(each)
        if back:
            each.owed.append((slot.number, back))

    async def _read(self, quota: LeasedQuota, numbers: list[int], begun: float | None = None) -> None:
        """Read counters, all at once. Raises StoreError, also where that took too long to be of one moment."""
        begun, wall = self._clock.monotonic() if begun is None else begun, self._clock.wall()
        values = await self._totals.read(map(quota.slot_at, numbers))
        if self._clock.monotonic() - begun > READ_WITHIN:
            raise StoreError("counters of quotas are read too slowly")
        quota.read(dict(zip(numbers, values, strict=True)), wall)

    async def _give_back(self, each: _Lessee) -> None:
        """Give back what is owed. What fails counts as spent, as it may have been given back all the same."""
        while each.owed:
            number, count = each.owed.pop()
            each.quota.corrected(number, await self._totals.add(each.quota.slot_at(number), -count))
            self._counters.add("list_quota_returned", count, list=each.quota.name)

    async def _settle(self, each: _Lessee) -> None:
        quota = each.quota
        for booked, spent, count in quota.to_settle(self._clock.wall()):  # what fails stays where it is booked
            quota.corrected(spent, await self._totals.add(quota.slot_at(spent), count))
            if quota.may_settle(spent, self._clock.wall()):  # else others may have read it for the last time before
                each.settled.append((self._clock.monotonic() + SETTLE_AFTER, booked, count))
        now = self._clock.monotonic()
        due = [(booked, count) for when, booked, count in each.settled if when <= now]
        each.settled = [waiting for waiting in each.settled if waiting[0] > now]
        for booked, count in due:
            quota.corrected(booked, await self._totals.add(quota.slot_at(booked), -count))

    async def _restore(self, each: _Lessee) -> None:
        """Raise counters to what they were when last seen: of several hosts, whoever saw the most has it right."""
        for number, least in list(each.forgotten.items()):
            if await self._totals.raise_to(each.quota.slot_at(number), least):
                self._counters.add("list_quota_restored", list=each.quota.name)
            del each.forgotten[number]

    async def _believe(self, each: _Lessee) -> None:
        """Take counters for as low as they are said to be, unless the store has forgotten them."""
        if not each.fallen or self._clock.monotonic() < each.believe_at:
            return
        each.believe_at = self._clock.monotonic() + READ_EVERY
        said = dict(each.fallen)
        await self._totals.check()
        for number, total in said.items():
            if each.fallen.get(number) == total:
                del each.fallen[number]
                each.quota.corrected(number, total)

    def _pause(self, each: _Lessee) -> None:
        low, high = _PAUSES
        each.pause = min(high, max(low, each.pause * 2))
        each.quiet_until = self._clock.monotonic() + each.pause * self._rng.uniform(0.5, 1.0)


class LeasingResolver:
    """A resolver that waits for a lease before it asks for a list's name. `budget_of`: the quota of the list of a name."""

    def __init__(self, resolver: Resolver, leases: Leases, budget_of: Callable[[Name], Budget | None]):
        self._resolver = resolver
        self._leases = leases
        self._budget_of = budget_of

    def known(self, name: Name, rtype: int) -> Answer | None:
        """The answer, where nobody has to be asked for it."""
        return self._resolver.known(name, rtype)

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, bypass_cache: bool = False, shared_budget: SharedBudget | None = None
    ) -> Answer:
        """The answer, as of the other resolver; where there is no lease, no query that costs one leaves."""
        quota = self._budget_of(name)
        if isinstance(quota, LeasedQuota):
            await self._leases.wait(quota)
        return await self._resolver.resolve(
            name, rtype, deadline=deadline, bypass_cache=bypass_cache, shared_budget=shared_budget
        )
