"""Queries that leave for lists, for 1000 connections to several hosts: each for itself, and sharing what lists say.

`python -m bench.shared_lists [CONNECTIONS]`. The first connections of a log as `bench.lists` has it, each to any of the hosts, on
virtual time: the whole service of each host, with a memory of its own but for what lists say and how they fare, which is in one
store. What lists are asked at the start, and once an hour, is counted.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.lists import CONNECTIONS, DBL, DNSWL, ZEN, Connection, Internet, Log, LoopClock, attempt_of, generate
from bench.measure import machine, table
from resolverd.app.service import Service
from resolverd.config.settings import ResolverSettings, Settings
from resolverd.mail.findings import Action
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.memory import MemoryStore
from tests.unit.virtualtime import VirtualLoop

HOSTS = (1, 2, 4)


class Played(NamedTuple):
    """What lists were asked, and what became of good mail and spam."""

    asked: Counter[str]
    actions: Counter[str]


async def begun(internet: Internet, number: int, shared: Store | None) -> Service:
    """One host, sharing what lists say by this store."""
    unsigned = ResolverSettings(trust_anchors=Path(os.devnull))
    clock, counters = LoopClock(), Counters()
    service = Service(msgspec.structs.replace(Settings(), resolver=unsigned), internet, MemoryStore(), clock, counters)
    if shared is not None:
        health = service._shared.lists.share(shared, clock, counters, lambda: f"{number:016x}")
        service.supervisor.run("list health", health.run)
    service.start()
    return service


def play(log: Log, hosts: int, *, shared: bool) -> Played:
    """The log, through so many hosts."""

    async def run() -> Played:
        internet = Internet(log)
        store = MemoryStore(10**7) if shared else None
        services = [await begun(internet, number + 1, store) for number in range(hosts)]
        await asyncio.sleep(30)
        start = asyncio.get_running_loop().time()
        actions: Counter[str] = Counter()
        rng = random.Random(1)

        async def one(number: int, connection: Connection, service: Service) -> None:
            verdict = await service.runtime.policy.verdict_on(attempt_of(number, connection), record=True)
            what = "refused" if verdict.action is Action.REJECT else "not refused"
            actions[f"{'spam' if connection.client.spam else 'good'} {what}"] += 1

        tasks = set()
        for number, connection in enumerate(log.connections):
            await asyncio.sleep(max(0.0, start + connection.at - asyncio.get_running_loop().time()))
            task = asyncio.create_task(one(number, connection, rng.choice(services)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        await asyncio.sleep(10)
        for service in services:
            await service.aclose()
        return Played(internet.asked, actions)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


def run() -> None:
    """Play the log with each number of hosts, and print the table."""
    count = int(sys.argv[1]) if sys.argv[1:] else CONNECTIONS
    log = generate(count=count)
    spam = sum(connection.client.spam for connection in log.connections)
    lines = []
    for hosts in HOSTS:
        for shared in (False, True) if hosts > 1 else (False,):
            played = play(log, hosts, shared=shared)
            each = [f"{played.asked[zone] * 1000 / count:.0f}" for zone in (ZEN, DBL, DNSWL)]
            words = "shared" if shared else "each for itself" if hosts > 1 else "alone"
            refused = f"{played.actions['spam refused'] / spam:.1%}", str(played.actions["good refused"])
            lines.append((str(hosts), words, *each, f"{sum(played.asked.values()) * 1000 / count:.0f}", *refused))
            print(lines[-1], flush=True)
    distinct = len({connection.client.address for connection in log.connections})
    print(f"{count} connections of {distinct} clients; queries to the lists' servers for 1000 connections; {machine()}")
    print(table(("hosts", "", "zen", "dbl", "dnswl", "together", "spam refused", "good refused"), lines))


if __name__ == "__main__":
    run()
