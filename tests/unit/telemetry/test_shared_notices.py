"""What all hosts of a fleet see is told by one of them."""

import asyncio
from collections import Counter

import pytest
from virtualtime import VirtualClock, virtual

from resolverd.dnsbl.spec import ListStatus
from resolverd.failures import StoreError
from resolverd.fleet.hosts import Hosts
from resolverd.metrics import Counters
from resolverd.state.memory import MemoryStore
from resolverd.telemetry.alerts import EVERY, Notice
from resolverd.telemetry.feed import Feed
from resolverd.telemetry.notifier import Notifier, Way
from resolverd.telemetry.shared_notices import SharedNotices
from resolverd.telemetry.troubles import Condition

WELL = Condition((), "", "", "", 0, 0)
PSBL = ListStatus("psbl", "psbl.surriel.com", "block", ("ip4",), True, "suspended")
ZEN = ListStatus("zen", "zen.spamhaus.org", "block", ("ip4",), True, "unreachable")
OURS = ListStatus("zen", "zen.spamhaus.org", "block", ("ip4",), True, "ok", watched=("192.0.2.1",))


class Stalled(MemoryStore):
    """A store that says nothing while it is stalled, and cannot be reached while it is cut."""

    stalled = cut = False

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        if self.stalled:
            await asyncio.sleep(1e6)
        if self.cut:
            raise StoreError("out of reach")
        return await super().get(table, key, now)


class Fleet:
    """Five hosts; what each sees, and what is delivered by whom."""

    def __init__(self) -> None:
        self.store, clock = Stalled(), VirtualClock()
        self.seen = [WELL] * 5
        self.told: list[tuple[int, Notice]] = []
        self.tasks: list[asyncio.Task[None]] = []
        for number in range(5):
            hosts = Hosts(self.store, MemoryStore(), clock, Counters(), f"{number:016x}", f"mx{number}")
            way = Way("mail", lambda notice, number=number: self._send(number, notice), Counters())
            notices = SharedNotices(self.store, hosts, clock)
            feed = Feed(clock, Counters())
            notifier = Notifier(lambda number=number: self._condition(number), (way,), feed, clock, notices.own)
            self.tasks += [asyncio.create_task(notifier.run()), asyncio.create_task(way.run())]

    async def _send(self, number: int, notice: Notice) -> bool:
        self.told.append((number, notice))
        return True

    async def _condition(self, number: int) -> Condition:
        return self.seen[number]

    async def all_see(self, condition: Condition, seconds: float = 200) -> list[tuple[int, Notice]]:
        """What is told within so many seconds, in which this is the case for all, the one a moment after the other."""
        self.told.clear()
        for number in range(5):
            self.seen[number] = condition
            await asyncio.sleep(1)
        await asyncio.sleep(seconds)
        return list(self.told)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


@virtual
@pytest.mark.parametrize(("lists", "kind"), [((PSBL,), "list"), ((OURS,), "own-address")])
async def test_one_host_tells_of_its_beginning_and_one_of_its_end(lists: tuple[ListStatus, ...], kind: str) -> None:
    fleet = Fleet()
    for _ in range(3):
        for condition, ended in ((WELL._replace(lists=lists), False), (WELL, True)):
            [(_, notice)] = await fleet.all_see(condition)
            assert (notice.kind, notice.ended) == (kind, ended)
        await asyncio.sleep(EVERY)
    await fleet.end()


@virtual
async def test_what_only_some_see_is_told_too() -> None:
    fleet = Fleet()
    await fleet.all_see(WELL._replace(lists=(PSBL,)))
    assert len(fleet.told) == 1
    fleet.seen[3] = WELL._replace(lists=(PSBL, ZEN))
    await asyncio.sleep(EVERY + 100)
    [_, (number, notice)] = fleet.told
    assert (number, [trouble.subject for trouble in notice.troubles]) == (3, ["psbl", "zen"])
    await fleet.end()


@virtual
async def test_each_host_tells_of_its_own_troubles() -> None:
    fleet = Fleet()
    told = await fleet.all_see(WELL._replace(clock_fault="it is 1970", not_ready="no answer"))
    assert Counter(notice.kind for _, notice in told) == {"clock": 5, "internet": 5}
    await fleet.end()


@virtual
@pytest.mark.parametrize("how", ["stalled", "cut"])
async def test_without_the_store_it_is_told_rather_too_often(how: str) -> None:
    fleet = Fleet()
    setattr(fleet.store, how, True)
    told = await fleet.all_see(WELL._replace(lists=(PSBL,)))
    assert sorted(number for number, _ in told) == [0, 1, 2, 3, 4]
    await fleet.end()
