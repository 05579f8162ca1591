"""From where a shared store is to the store, at once: it connects behind everybody's back."""

import asyncio
from collections.abc import Callable

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.metrics import Counters
from resolverd.state.redis import frames
from resolverd.state.redis.cluster import ClusterLink
from resolverd.state.redis.connection import check_library
from resolverd.state.redis.frames import Names
from resolverd.state.redis.links import Link, SingleLink
from resolverd.state.redis.session import Session
from resolverd.state.redis.store import EXTRA_TIME, RedisStore
from resolverd.state.redis.subscription import Subscription
from resolverd.state.redis.wires import RedisAccess
from resolverd.state.shared import Merge

__all__ = ["RedisAccess", "open_redis"]


def open_redis(
    access: RedisAccess,
    clock: Clock,
    counters: Counters,
    *,
    small: frozenset[str],
    merge: Merge,
    schema: Callable[[], int] = lambda: frames.SCHEMA,
    max_unwritten: int = bounds.STORE_UNWRITTEN,
    extra_time: float = EXTRA_TIME,
) -> RedisStore:
    """The store; it never waits for the server, nor fails for it. Raises StoreError where the library is missing.

    `small`: the tables that are gone through often, one hash each, which alone can be watched; `merge`: what becomes of writes
    that could not be written at once; `schema`: the one to write; `extra_time`: see `store.RedisStore`. Needs the event loop.
    """
    check_library()
    asyncio.get_running_loop()
    deadlines = Deadlines(clock.monotonic)
    names = Names(access.prefix, small)

    def link(lost: Callable[[str], None]) -> Link:
        return (ClusterLink if access.target.form == "cluster" else SingleLink)(access, clock, deadlines, lost)

    def subscription(heard: Callable[[str, bytes], None], missed: Callable[[str], None]) -> Subscription:
        return Subscription(session, access.password, heard, missed)

    session = Session(link, names.since, str(access.target), clock, counters)
    return RedisStore(
        session, names, small, merge, clock, counters, deadlines, subscription,
        schema=schema, max_unwritten=max_unwritten, extra_time=extra_time, url=str(access.target),
    )  # fmt: skip
