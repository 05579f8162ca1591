"""Who waits for the shared store, and how long: a command that somebody types longer than mail, which goes on without it."""

import asyncio
import gc
import time
from pathlib import Path

import pytest
from shared_stores import shared_store

from resolverd.failures import StoreError
from resolverd.metrics import Counters
from tests.redis_server import RedisServer


async def test_a_command_waits_longer_than_mail_does(tmp_path: Path) -> None:
    later = time.time() + 1000
    with RedisServer(tmp_path) as server:
        async with shared_store(server, prefix="p", patience=60.0) as patient, shared_store(server, prefix="p") as hasty:
            assert await patient.connected(10)
            assert await hasty.connected(10)
            patient.put("t", b"k", b"v", later)
            await patient.flush()
            server.stop()
            waiting = asyncio.create_task(patient.get("t", b"k", later - 1))
            with pytest.raises(StoreError):
                await hasty.get("t", b"k", later - 1)
            assert not waiting.done()
            server.cont()
            assert await waiting == b"v"


async def test_what_nobody_waits_for_any_more_is_not_late(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    with RedisServer(tmp_path) as server:
        async with shared_store(server, counters=counters) as store:
            assert await store.connected(10)
            server.stop()
            reading = asyncio.create_task(store.prefetch([("t", b"1"), ("t", b"2"), ("t", b"3")]))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            with pytest.raises(StoreError):
                await store.get("t", b"4", time.time())
            assert counters.get("store_operations", op="read", outcome="late") <= 1
            server.cont()
    gc.collect()
    assert "never retrieved" not in caplog.text
