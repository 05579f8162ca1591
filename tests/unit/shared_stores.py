"""What the tests of a shared store share: one on a real server, with a prefix of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from resolverd.clock import Clock, SystemClock
from resolverd.metrics import Counters
from resolverd.state.base import StoredValue
from resolverd.state.redis.opening import RedisAccess, open_redis
from resolverd.state.redis.store import RedisStore
from resolverd.state.redis.target import parse
from tests.redis_server import RedisServer

YEARS = 20 * 365 * 86400.0
"""The tests' time is long ago: the server is to keep what has expired by its own clock."""
_number = count()


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
    options = {"small": frozenset[str](), "merge": larger_wins, "extra_time": YEARS, "counters": Counters(), **options}
    access = RedisAccess(target, options.pop("password", lambda: None), options.pop("ca", None), prefix or fresh_prefix())
    return open_redis(access, clock or SystemClock(), options.pop("counters"), **options)


@contextlib.asynccontextmanager
async def shared_store(server: RedisServer | str, **options: Any) -> AsyncIterator[RedisStore]:
    """The same, for as long as the block."""
    store = opened(server, **options)
    try:
        yield store
    finally:
        await store.close()
