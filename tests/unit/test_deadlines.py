"""One timer for all deadlines: what is called, when, in which order, and what a crowd of them costs everybody else."""

import asyncio
import itertools

from virtualtime import VirtualClock, virtual

from resolverd.deadlines import Deadlines


@virtual
async def test_each_is_called_at_its_time_and_none_that_was_cancelled() -> None:
    clock = VirtualClock()
    deadlines = Deadlines(clock.monotonic)
    begun, called = clock.monotonic(), list[tuple[str, float]]()

    def noting(what: str):  # type: ignore[no-untyped-def]
        return lambda now: called.append((what, round(now - begun, 3)))

    for seconds, what in ((3.0, "third"), (1.0, "first"), (2.0, "second"), (2.5, "cancelled")):
        entry = deadlines.add(begun + seconds, noting(what))
        if what == "cancelled":
            entry.cancel()
    await asyncio.sleep(10)
    assert called == [("first", 1.0), ("second", 2.0), ("third", 3.0)]
    deadlines.add(begun + 1, noting("past"))
    assert called[-1][0] == "third", "never from within"
    await asyncio.sleep(0.1)
    assert called[-1] == ("past", 10.0)


@virtual
async def test_what_can_be_read_is_worked_off_before_anything_counts_as_late() -> None:
    clock = VirtualClock()
    deadlines, late = Deadlines(clock.monotonic), list[float]()
    entry = deadlines.add(clock.monotonic() + 1, late.append)
    loop = asyncio.get_running_loop()

    def reply(turns: int) -> None:
        # Its timers come first in a turn of the loop; what was read in the same turn steps who waits a little later.
        if turns:
            loop.call_soon(reply, turns - 1)
        else:
            entry.cancel()

    loop.call_later(1, reply, 2)
    await asyncio.sleep(2)
    assert not late


@virtual
async def test_a_crowd_leaves_others_their_turns() -> None:
    clock = VirtualClock()
    deadlines, called, seen = Deadlines(clock.monotonic), list[float](), list[int]()
    for _ in range(1000):
        deadlines.add(clock.monotonic() + 1, called.append)
    await asyncio.sleep(1)
    while len(called) < 1000:
        seen.append(len(called))
        await asyncio.sleep(0)
    seen.append(1000)
    assert max(b - a for a, b in itertools.pairwise(seen)) < 100


@virtual
async def test_what_was_cancelled_is_thrown_out() -> None:
    clock = VirtualClock()
    deadlines = Deadlines(clock.monotonic)
    for _ in range(10_000):
        deadlines.add(clock.monotonic() + 1000, lambda now: None).cancel()
    assert len(deadlines) < 3000


@virtual
async def test_a_bug_in_one_takes_no_other_along() -> None:
    clock = VirtualClock()
    deadlines, called, bugs = Deadlines(clock.monotonic), list[float](), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context["exception"]))

    def fails(now: float) -> None:
        raise ZeroDivisionError

    deadlines.add(clock.monotonic() + 1, fails)
    deadlines.add(clock.monotonic() + 1, called.append)
    await asyncio.sleep(2)
    assert len(called) == len(bugs) == 1
