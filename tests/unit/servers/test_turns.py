"""Whose turn it is: one at a time, in order, heaps behind everything else."""

import asyncio

from resolverd.servers.turns import SMALL, Turns


async def turned(turns: Turns, done: list[str]) -> None:
    """Until nobody waits for a turn any more."""
    before = -1
    while before != len(done):
        before = len(done)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_the_first_is_served_at_once_and_others_one_by_one() -> None:
    turns, done = Turns(), list[str]()
    for name in "abc":
        turns.ask(lambda name=name: done.append(name))  # type: ignore[misc]
    assert done == ["a"]
    await asyncio.sleep(0)
    assert done == ["a", "b"]
    await turned(turns, done)
    assert done == ["a", "b", "c"]
    turns.ask(lambda: done.append("d"))
    assert done[-1] == "d"


async def test_who_waits_for_an_answer_comes_before_heaps_which_come_to_their_end_all_the_same() -> None:
    turns, done = Turns(), list[str]()
    turns.ask(lambda: done.append("first"))
    for number in range(20):
        turns.ask(lambda number=number: done.append(f"heap {number}"), heap=True)  # type: ignore[misc]
    for number in range(40):
        turns.ask(lambda number=number: done.append(f"one {number}"))  # type: ignore[misc]
    await turned(turns, done)
    assert [each for each in done if each.startswith("heap")] == [f"heap {number}" for number in range(20)]
    assert [each for each in done if each.startswith("one")] == [f"one {number}" for number in range(40)]
    early = done[:33]
    assert 1 <= sum(each.startswith("heap") for each in early) <= 3


async def test_while_connections_are_accepted_one_turn_in_sixteen_is_a_heaps() -> None:
    turns, done = Turns(), list[str]()
    turns.ask(lambda: done.append("first"))
    for number in range(5):
        turns.ask(lambda number=number: done.append(f"heap {number}"), heap=True)  # type: ignore[misc]
    for _ in range(32):
        turns.accepted()
        await asyncio.sleep(0)
    assert done == ["first", "heap 0", "heap 1"]
    turns.accepted()
    await asyncio.sleep(0)
    turns.ask(lambda: done.append("small"), small=True)
    assert done[-1] == "small", "such a turn is as good as any for who waits for an answer"
    await turned(turns, done)
    assert [each for each in done if each.startswith("heap")] == [f"heap {number}" for number in range(5)]


async def test_who_goes_away_while_waiting_takes_nobodys_turn() -> None:
    turns, done = Turns(), list[str]()
    turns.ask(lambda: None)
    leaving = asyncio.create_task(turns.mine())
    await asyncio.sleep(0)
    staying = asyncio.create_task(turns.mine())
    leaving.cancel()
    turns.ask(lambda: done.append("last"))
    async with asyncio.timeout(5):
        await staying
    await turned(turns, done)
    assert done == ["last"]


async def test_a_fault_in_one_turn_is_not_the_end_of_turns() -> None:
    turns, done = Turns(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: done.append(type(context["exception"]).__name__))
    turns.ask(lambda: None)
    turns.ask(lambda: 1 // 0)
    turns.ask(lambda: done.append("next"))
    await turned(turns, done)
    assert done == ["ZeroDivisionError", "next"]


async def test_small_pieces_share_a_turn_but_not_with_others() -> None:
    turns, done = Turns(), list[str]()

    def ask(name: str, *, heap: bool = False, small: bool = False) -> None:
        turns.ask(lambda: done.append(name), heap, small)

    for number in range(SMALL + 2):
        ask(f"small {number}", small=True)
    assert len(done) == SMALL
    ask("other")
    ask("heap", heap=True)
    ask("late", small=True)
    await asyncio.sleep(0)
    ask("later", small=True)  # there is room, but others have waited longer
    assert done[SMALL:] == [f"small {SMALL}", f"small {SMALL + 1}"]
    await asyncio.sleep(0)
    assert done[SMALL + 2 :] == ["other"]
    await turned(turns, done)
    assert done[SMALL + 2 :] == ["other", "late", "later", "heap"]


async def test_a_fault_in_a_small_piece_is_not_the_end_of_those_behind_it() -> None:
    turns, done = Turns(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: done.append(type(context["exception"]).__name__))
    turns.ask(lambda: None)
    turns.ask(lambda: 1 // 0, small=True)
    turns.ask(lambda: done.append("next"), small=True)
    await turned(turns, done)
    assert done == ["ZeroDivisionError", "next"]


async def test_heaps_come_to_their_end_beside_any_number_of_small_pieces() -> None:
    turns, done = Turns(), list[str]()
    turns.ask(lambda: None)
    turns.ask(lambda: done.append("heap"), heap=True)
    for _ in range(40):
        for _ in range(2 * SMALL):
            turns.ask(lambda: None, small=True)
        await asyncio.sleep(0)
    assert done == ["heap"]
