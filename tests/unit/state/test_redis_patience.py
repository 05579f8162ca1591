"""A command that somebody types waits for the shared store where mail would go on without it."""

import asyncio
import time
from pathlib import Path

import pytest
from shared_stores import shared_store

from resolverd.failures import StoreError
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
