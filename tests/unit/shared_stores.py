"""What the tests of a shared store share: one on a real server, with a prefix of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from resolverd import bounds
from resolverd.clock import Clock, SystemClock
from resolverd.metrics import Counters
from resolverd.state.base import StoredValue
from resolverd.state.redis.opening import RedisAccess, open_redis
from resolverd.state.redis.store import RedisStore
from resolverd.state.redis.target import parse
from tests.redis_server import RedisServer

YEARS = 20 * 365 * 86400.0
"""For tests whose time is long ago: the server is to keep what has expired by its own clock."""
PATIENCE = 30.0
"""Seconds for what a test waits for."""
_number = count()


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server have more time than it has in service: the machine may be busy with other tests."""
    monkeypatch.setattr(bounds, "STORE_SHARED_READ", PATIENCE / 3)
    monkeypatch.setattr(bounds, "STORE_SHARED_REPLY", PATIENCE / 3)


async def until(true: Callable[[], object]) -> None:
    """Wait until that is so, or what it awaits is."""
    async with asyncio.timeout(PATIENCE):
        while not (await found if isinstance(found := true(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def larger_wins(
    table: str, key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None
) -> StoredValue | None:
    """Of two values the larger; a record that was deleted stays so."""
    return None if ours is None else max(ours, theirs) if theirs is not None else ours


def fresh_prefix() -> str:
    """A prefix that no other test uses."""
    return f"test{next(_number)}"


def opened(server: RedisServer | str, *, prefix: str = "", clock: Clock | None = None, **options: Any) -> RedisStore:
    """A store on that server, or at that URL; connects behind."""
    target = parse(server if isinstance(server, str) else server.url)
    options = {"small": frozenset[str](), "merge": larger_wins, "counters": Counters(), **options}
    password, ca, patience = options.pop("password", lambda: None), options.pop("ca", None), options.pop("patience", 0.0)
    access = RedisAccess(target, password, ca, prefix or fresh_prefix(), patience)
    return open_redis(access, clock or SystemClock(), options.pop("counters"), **options)


@contextlib.asynccontextmanager
async def shared_store(server: RedisServer | str, **options: Any) -> AsyncIterator[RedisStore]:
    """The same, for as long as the block."""
    store = opened(server, **options)
    try:
        yield store
    finally:
        await store.close()


async def within_reach(store: RedisStore) -> None:
    """Until the store has connected."""
    assert await store.connected(PATIENCE)


async def out_of_reach(store: RedisStore) -> None:
    """Until the store has noticed."""
    noticed = asyncio.Event()
    store.on_reach.append(lambda reachable: None if reachable else noticed.set())
    if store.reachable:
        async with asyncio.timeout(PATIENCE):
            await noticed.wait()


async def fault(store: RedisStore, wanted: str) -> None:
    """Until the store says that this is wrong; empty for nothing."""
    async with asyncio.timeout(PATIENCE):
        said = "?"
        while (wanted not in said) if wanted else said:
            await asyncio.sleep(0.01)
            said = (await store.condition()).fault
