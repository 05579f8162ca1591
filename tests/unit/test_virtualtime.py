"""The virtual loop itself: time jumps, order stays, threads still work, a stuck test fails."""

import asyncio

import pytest
from virtualtime import Stuck, VirtualClock, VirtualLoop, virtual


@virtual
async def test_a_day_passes_at_once():
    clock = VirtualClock()
    before = clock.monotonic()
    await asyncio.sleep(86400)
    assert clock.monotonic() - before == pytest.approx(86400)
    assert clock.wall() == pytest.approx(VirtualClock.WALL_START + 86400)


@virtual
async def test_timers_fire_in_their_order():
    fired = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        fired.append(seconds)

    await asyncio.gather(wait(3), wait(1), wait(0.5), wait(2))
    assert fired == [0.5, 1, 2, 3]


@virtual
async def test_the_wall_clock_may_jump():
    clock = VirtualClock()
    before = clock.monotonic()
    clock.set_wall(5.0)
    assert (clock.wall(), clock.monotonic()) == (5.0, before)


@virtual
async def test_threads_still_answer():
    assert await asyncio.to_thread(lambda: 3) == 3


def test_a_test_without_future_fails(monkeypatch):
    monkeypatch.setattr("virtualtime.PATIENCE", 0.01)

    async def forever():
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    task = loop.create_task(forever())
    with pytest.raises(Stuck):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
