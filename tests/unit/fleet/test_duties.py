import asyncio
import time
from pathlib import Path

from shared_stores import fresh_prefix, opened
from virtualtime import VirtualClock, virtual

from resolverd.app.shared_tables import SMALL, merge
from resolverd.fleet.duties import claim, give_back, holder
from resolverd.state.memory import MemoryStore
from tests.redis_server import RedisServer

HOUR = 3600.0


@virtual
async def test_one_host_of_many_has_the_work_once_a_period() -> None:
    store, clock = MemoryStore(), VirtualClock()
    for _ in range(3):
        won = await asyncio.gather(*(claim(store, "watch 192.0.2.1", HOUR, f"{host}", clock.wall()) for host in range(50)))
        assert sum(won) == 1
        assert await holder(store, "watch 192.0.2.1", clock.wall()) == str(won.index(True))
        assert not await claim(store, "watch 192.0.2.1", HOUR, str(won.index(True)), clock.wall()), "it has it already"
        assert await claim(store, "watch 192.0.2.2", 1.0, "a", clock.wall()), "other work is another matter"
        await asyncio.sleep(HOUR - 1)
        assert not await claim(store, "watch 192.0.2.1", HOUR, "a", clock.wall())
        await asyncio.sleep(1)
    assert await holder(store, "watch 192.0.2.1", clock.wall()) is None


@virtual
async def test_what_one_cannot_do_another_takes_over() -> None:
    store, clock = MemoryStore(), VirtualClock()
    now = clock.wall()
    assert await claim(store, "w", HOUR, "a", now)
    assert not await give_back(store, "w", "b", now), "only whose it is"
    assert await give_back(store, "w", "a", now)
    assert await claim(store, "w", HOUR, "b", now)
    assert not await give_back(store, "w", "a", now)
    assert await holder(store, "w", now) == "b"


async def test_one_of_many_connections_to_a_real_server_has_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        prefix = fresh_prefix()
        stores = [opened(server, prefix=prefix, small=SMALL, merge=merge) for _ in range(8)]
        for store in stores:
            assert await store.connected(5)
        now = time.time()
        for number in range(20):
            work = f"work {number}"
            won = await asyncio.gather(*(claim(store, work, HOUR, str(host), now) for host, store in enumerate(stores)))
            assert sum(won) == 1
            assert await holder(stores[0], work, now) == str(won.index(True))
        for store in stores:
            await store.close()
