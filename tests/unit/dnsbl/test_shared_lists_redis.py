"""Hosts that share what lists say over a real server: round trips, late answers, and a server that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from listfleet import CANARY, ZEN, Host
from scriptedlists import a, specs
from shared_stores import fresh_prefix, shared_store, until

from resolverd import bounds
from resolverd.app.shared_tables import SMALL
from resolverd.failures import Why
from resolverd.mail.lookups import Clear, Listed
from tests.redis_server import RedisServer
from tests.unit.dnsbl.test_shared_replies import client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is late; what then becomes of questions is another matter."""
    for patience in ("LIST_SHARED_TIME", "STORE_SHARED_READ", "STORE_SHARED_REPLY"):
        monkeypatch.setattr(bounds, patience, 5.0)


class Hosts:
    """So many hosts, each with a connection of its own."""

    def __init__(self, server: RedisServer, count: int):
        self._server, self._count = server, count
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> list[Host]:
        hosts, prefix = [], fresh_prefix()
        for number in range(self._count):
            store = await self._stack.enter_async_context(shared_store(self._server, prefix=prefix, small=SMALL))
            assert await store.connected(10)
            host = Host(store, number + 1, specs(spamhaus_zen={"rate": "100000/1s"}))
            self._stack.push_async_callback(host.aclose)
            hosts.append(host)
        await asyncio.sleep(0.1)
        for host in hosts:
            await host.probe()
            host.asked.clear()
            host.probes.clear()
        return hosts

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.mark.usefixtures("patient")
async def test_a_client_seen_by_one_costs_the_others_no_question(server: RedisServer) -> None:
    async with Hosts(server, 3) as (one, *others):
        for host in (one, *others):
            host.script[ZEN] = a("127.0.0.2")
        assert isinstance(await one.ask(), Listed)
        for number in range(20):
            assert isinstance(await one.ask(subject=client(number)), Clear)
        await one.store.flush()
        for host in others:
            assert isinstance(await host.ask(), Listed)
            for number in range(20):
                assert isinstance(await host.ask(subject=client(number)), Clear)
            assert host.asked == host.probes == []
        assert await others[0].refuses() is None
        assert others[0].probes == [ZEN]


@pytest.mark.usefixtures("patient")
async def test_suspensions_agreed_and_voided_listings_are_pushed(server: RedisServer) -> None:
    async with Hosts(server, 3) as (one, two, three):
        for number, host in enumerate((one, two)):
            host.script["zen.spamhaus.org"] = a("127.255.255.254")
            assert (await host.ask(subject=client(number))).why is Why.BLOCKED
        await until(lambda: three.engine.status("spamhaus-zen").state == "suspended")
        one.engine.enable("spamhaus-zen")
        await until(lambda: three.engine.status("spamhaus-zen").state == "ok")
        two.engine.enable("spamhaus-zen")
        one.script["zen.spamhaus.org"] = a("127.0.0.2")
        await one.ask()
        await one.store.flush()
        assert isinstance(await three.ask(), Listed)
        one.script[CANARY] = a("127.0.0.2")
        await one.memory.dispatcher.probe(one.state())
        await until(lambda: three.state().health.doubted > 0)
        assert isinstance(await three.ask(), Clear)
        assert three.asked == [ZEN]


async def test_hostile_values_do_nothing(server: RedisServer) -> None:
    async with Hosts(server, 2) as (one, two):
        one.script[ZEN] = a("127.0.0.2")
        await one.ask()
        await one.store.flush()
        assert "list-replies" in server.cli("KEYS", "*")
        server.cli("EVAL", "for _, k in ipairs(redis.call('KEYS', '*list-replies*')) do redis.call('SET', k, ARGV[1]) end", "0",
                   "listed 127.0.0.2")  # fmt: skip
        server.cli("EVAL", "for _, k in ipairs(redis.call('KEYS', '*list-health*')) do redis.call('DEL', k) "
                   "redis.call('SET', k, 'suspended') end", "0")  # fmt: skip
        assert isinstance(await two.ask(), Clear)
        assert two.engine.status("spamhaus-zen").state == "ok"


async def test_a_server_that_hangs_or_dies_costs_no_answer(server: RedisServer) -> None:
    async with Hosts(server, 1) as (one,):
        for number in range(20):
            await one.ask(subject=client(number))
        server.stop()
        for number in range(20, 120):
            assert isinstance(await one.ask(subject=client(number)), Clear)
        server.cont()
        server.kill()
        for number in range(120, 220):
            assert isinstance(await one.ask(subject=client(number)), Clear)
        assert len(one.asked) == 220
        server.restart()
        assert await one.store.connected(20)
        numbers = iter(range(220, 10_000))

        async def found_again() -> bool:
            await one.ask(subject=client(next(numbers)))
            return not one.memory.dispatcher._replies._pause

        async with asyncio.timeout(30):
            while not await found_again():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
