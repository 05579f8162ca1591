"""What a shared store does when its server dies, hangs, refuses, or is another one; on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shared_stores import shared_store
from stores import LATER, NOW

from resolverd import bounds
from resolverd.failures import StoreError
from tests.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be hurt."""
    with RedisServer(tmp_path) as running:
        yield running


async def test_a_value_has_a_bound(server: RedisServer) -> None:
    async with shared_store(server) as store:
        with pytest.raises(StoreError, match="too large"):
            store.put("t", b"k", b"x" * (bounds.STORE_SHARED_OCTETS + 1), LATER)
        assert await store.get("t", b"k", NOW) is None if await store.connected(5) else False
        store.put("t", b"k", b"x" * bounds.STORE_SHARED_OCTETS, LATER)
        await store.flush()
        assert await store.get("t", b"k", NOW) == b"x" * bounds.STORE_SHARED_OCTETS


async def test_a_server_that_hangs_makes_nobody_wait_for_long(server: RedisServer) -> None:
    async with shared_store(server) as store:
        assert await store.connected(5)
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        server.stop()
        for _ in range(3):
            with pytest.raises(StoreError, match="in time"):
                await store.get("t", b"k", NOW)
        assert not store.reachable
        with pytest.raises(StoreError, match="out of reach"):
            await store.get("t", b"k", NOW)
        assert (bounds.STORE_SHARED_READ, bounds.STORE_SHARED_REPLY) == (0.02, 0.25)
        server.cont()
        assert await store.connected(20)
        assert await store.get("t", b"k", NOW) == b"v"
