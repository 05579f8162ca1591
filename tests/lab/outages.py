"""What can happen to a fleet while mail comes in: its store and its hosts die, hang, forget, lose one another; and come back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.lab.daemon import Daemon
from tests.lab.fleet import Fleet, MailHost
from tests.lab.redis import Redis, Sentinels


class Scene(NamedTuple):
    """Where an outage takes place: `redis` is the fleet's store. `chance` chooses the host that it meets."""

    fleet: Fleet
    redis: Redis
    chance: random.Random

    def host(self) -> MailHost:
        """Any host."""
        return self.chance.choice(self.fleet.hosts)


class Outage(NamedTuple):
    """One that was: monotonic seconds."""

    name: str
    begun: float
    ended: float


async def _killed(daemon: Daemon, seconds: float) -> None:
    daemon.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(daemon.start)


async def store_killed(scene: Scene, seconds: float) -> None:
    """The store is killed (SIGKILL), and starts again with what it had written."""
    await _killed(scene.redis.daemon, seconds)


async def store_stalled(scene: Scene, seconds: float) -> None:
    """The store hangs (SIGSTOP): connections stay open, and nothing is answered."""
    scene.redis.daemon.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        scene.redis.daemon.resume()


async def store_emptied(scene: Scene, seconds: float) -> None:
    """The store is killed, and comes back without any record."""
    scene.redis.daemon.kill()
    await asyncio.sleep(seconds)
    scene.redis.empty()
    await asyncio.to_thread(scene.redis.daemon.start)


async def connections_cut(scene: Scene, seconds: float) -> None:
    """Every connection to the store is cut, again and again."""
    for _ in range(max(1, int(seconds / 0.25))):
        await asyncio.to_thread(scene.redis.says, "CLIENT", "KILL", "TYPE", "normal")
        await asyncio.sleep(0.25)


async def host_cut_off(scene: Scene, seconds: float) -> None:
    """One host's packets to the store are lost; the store and the others notice nothing."""
    host = scene.host()
    host.cut_off()
    try:
        await asyncio.sleep(seconds)
    finally:
        host.join()


async def resolverd_killed(scene: Scene, seconds: float) -> None:
    """One host's resolverd is killed; its Postfix goes on without it."""
    await _killed(scene.host().resolverd, seconds)


async def host_killed(scene: Scene, seconds: float) -> None:
    """One host is gone at once, resolverd and Postfix, and starts again."""
    host = scene.host()
    for daemon in reversed(host.daemons):
        daemon.kill()
    await asyncio.sleep(seconds)
    for daemon in host.daemons:
        await asyncio.to_thread(daemon.start)


def master_killed(sentinels: Sentinels) -> Kind:
    """The master is killed; the sentinels make the replica the master, and the old one comes back as its replica."""

    async def failover(scene: Scene, seconds: float) -> None:
        master = next(server for server in sentinels.servers if server.address == sentinels.master())
        master.daemon.kill()
        await asyncio.to_thread(sentinels.wait_moved, master.address)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(master.daemon.start)

    return failover


Kind = Callable[[Scene, float], Awaitable[None]]

OF_THE_STORE: tuple[Kind, ...] = (store_killed, store_stalled, store_emptied, connections_cut, host_cut_off)
OF_A_HOST: tuple[Kind, ...] = (resolverd_killed, host_killed)


async def suffer(kind: Kind, scene: Scene, seconds: float) -> Outage:
    """Let an outage happen and give when it was."""
    begun = time.monotonic()
    await kind(scene, seconds)
    return Outage(kind.__name__.replace("_", " "), begun, time.monotonic())
