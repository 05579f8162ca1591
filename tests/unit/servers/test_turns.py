"""Whose turn it is: some processor time in each turn of the loop, in order, heaps behind everything else."""

import asyncio
from collections.abc import Callable

import pytest

from resolverd import bounds
from resolverd.servers.turns import Turns

WHOLE = 1.01 * bounds.TURN
HALF = 0.6 * bounds.TURN
"""Processor time of a piece of which two are more than a turn of the loop."""


class Processor:
    """Its time passes as work is done."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.done: list[str] = []
        self.turns = Turns(lambda: self.spent)

    def work(self, name: str, costs: float = WHOLE, later: float | None = None) -> Callable[[], float | None]:
        def do() -> float | None:
            self.spent += costs
            self.done.append(name)
            return later

        return do

    def ask(self, *names: str, costs: float = WHOLE, heap: bool = False, later: float | None = None) -> None:
        for name in names:
            self.turns.ask(self.work(name, costs, later), heap)

    async def turned(self) -> list[str]:
        """What is done in the next turn of the loop."""
        before = len(self.done)
        await asyncio.sleep(0)
        return self.done[before:]

    async def all_done(self) -> list[str]:
        before = len(self.done)
        while await self.turned():
            pass
        return self.done[before:]


@pytest.fixture
def processor() -> Processor:
    return Processor()


async def test_the_first_is_served_at_once_and_what_takes_a_whole_turn_one_by_one(processor: Processor) -> None:
    processor.ask("a")
    assert processor.done == ["a"]
    processor.ask("b", "c", "d")
    assert processor.done == ["a", "b"], "what the first has taken is not measured: it is the only one most of the time"
    assert [await processor.turned() for _ in range(3)] == [["c"], ["d"], []]
    processor.ask("e")
    assert processor.done[-1] == "e"


@pytest.mark.parametrize(("costs", "pieces"), [(WHOLE, 1), (HALF, 2), (bounds.TURN / 9.5, 10), (bounds.TURN / 99.5, 100)])
async def test_a_turn_holds_as_many_pieces_as_its_time(processor: Processor, costs: float, pieces: int) -> None:
    names = [f"{number}" for number in range(10 * pieces)]
    processor.ask(*names, costs=costs)
    assert processor.done == names[: pieces + 1]
    for turn in range(1, 9):
        assert await processor.turned() == names[turn * pieces + 1 : (turn + 1) * pieces + 1]


async def test_what_a_piece_has_begun_counts_too(processor: Processor) -> None:
    names = [f"{number}" for number in range(60)]
    processor.ask(*names, costs=0, later=bounds.TURN_BEGUN)
    most = round(bounds.TURN / bounds.TURN_BEGUN)
    assert processor.done == names[:most]
    assert await processor.turned() == names[most : 2 * most]


async def test_what_a_piece_asks_for_comes_behind_others(processor: Processor) -> None:
    def more() -> None:
        processor.ask("its own", costs=0)
        processor.done.append("first")

    processor.turns.ask(more)
    processor.ask("other", costs=0)
    assert processor.done == ["first"]
    assert await processor.turned() == ["its own", "other"]


async def test_who_waits_for_an_answer_comes_before_heaps_which_come_to_their_end_all_the_same(processor: Processor) -> None:
    processor.ask("first", "second")
    heaps, ones = [f"heap {number}" for number in range(20)], [f"one {number}" for number in range(40)]
    processor.ask(*heaps, heap=True)
    processor.ask(*ones)
    done = await processor.all_done()
    assert [each for each in done if each in heaps] == heaps
    assert [each for each in done if each in ones] == ones
    assert 1 <= sum(each in heaps for each in done[:33]) <= 3


async def test_who_comes_while_a_heap_is_worked_off_is_served_at_once_where_there_is_time(processor: Processor) -> None:
    processor.ask("first", costs=0)
    processor.ask("heap", costs=HALF, heap=True)
    assert processor.done == ["first"], "one piece of a heap a turn, but for what there is time for in the next"
    assert await processor.turned() == ["heap"]
    processor.ask("one")
    assert processor.done[-1] == "one"


async def test_heaps_come_to_their_end_beside_any_number_of_others(processor: Processor) -> None:
    processor.ask("first")
    processor.ask("heap", heap=True)
    for turn in range(40):
        processor.ask(f"a{turn}", f"b{turn}")
        await processor.turned()
    assert "heap" in processor.done


async def test_who_wants_a_turn_for_himself_has_the_whole_of_it(processor: Processor) -> None:
    processor.ask("first")

    async def alone(name: str) -> None:
        await processor.turns.mine()
        processor.done.append(name)

    tasks = [asyncio.create_task(alone(name)) for name in "ab"]
    assert await processor.turned() == ["a"]
    processor.ask("c", costs=0)
    assert await processor.turned() == [], "it is b's, who is told so"
    assert sorted(await processor.turned()) == ["b", "c"]
    await asyncio.gather(*tasks)


async def test_who_goes_away_while_waiting_takes_nobodys_turn(processor: Processor) -> None:
    processor.ask("first")
    leaving = asyncio.create_task(processor.turns.mine())
    await asyncio.sleep(0)
    staying = asyncio.create_task(processor.turns.mine())
    leaving.cancel()
    processor.ask("last")
    async with asyncio.timeout(5):
        await staying
    await processor.all_done()
    assert processor.done == ["first", "last"]


async def test_a_fault_in_one_piece_is_not_the_end_of_those_behind_it(processor: Processor) -> None:
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(type(context["exception"]).__name__))
    processor.ask("first", "second")
    processor.turns.ask(lambda: 1 // 0)
    processor.ask("next")
    assert [await processor.turned() for _ in range(2)] == [[], ["next"]]
    assert faults == ["ZeroDivisionError"]
