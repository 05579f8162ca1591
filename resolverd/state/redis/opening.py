"""From where a shared store is to the store, at once: it connects behind everybody's back."""

from collections.abc import Callable
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.metrics import Counters
from resolverd.state.redis import frames
from resolverd.state.redis.changes import Changes
from resolverd.state.redis.cluster import ClusterLink
from resolverd.state.redis.connection import check_library
from resolverd.state.redis.frames import Names
from resolverd.state.redis.links import Link, SingleLink
from resolverd.state.redis.records import Records
from resolverd.state.redis.session import Session
from resolverd.state.redis.store import RedisStore
from resolverd.state.redis.subscription import Subscription
from resolverd.state.redis.wires import RedisAccess
from resolverd.state.redis.writing import Writer
from resolverd.state.shared import Merge

__all__ = ["EXTRA_TIME", "RedisAccess", "open_redis"]

EXTRA_TIME: Final = 600.0
"""Seconds for which the server keeps a record beyond its time: readers judge by their own clock, which may be behind."""


def open_redis(
    access: RedisAccess,
    clock: Clock,
    counters: Counters,
    *,
    small: frozenset[str],
    merge: Merge,
    schema: Callable[[], int] = lambda: frames.SCHEMA,
    newest: int = frames.SCHEMA,
    max_unwritten: int = bounds.STORE_UNWRITTEN,
    extra_time: float = EXTRA_TIME,
) -> RedisStore:
    """The store; it never waits for the server, nor fails for it. Raises StoreError where the library is missing.

    `small`: the tables that are gone through often, one hash each, which alone can be watched; `merge`: what becomes of writes
    that could not be written at once; `schema`: the one to write just now, `newest`: the newest that is read; `extra_time`:
    `EXTRA_TIME`. Needs the event loop.
    """
    check_library()
    deadlines = Deadlines(clock.monotonic)
    names = Names(access.prefix, small)

    def link(lost: Callable[[str], None]) -> Link:
        return (ClusterLink if access.target.form == "cluster" else SingleLink)(access, clock, deadlines, lost)

    session = Session(link, names.since, str(access.target), clock, counters)
    records = Records(
        session, names, clock, counters, deadlines,
        schema=schema, newest=newest, extra_time=extra_time, message=lambda at: changes.message(at),
        patience=access.patience,
    )  # fmt: skip
    changes = Changes(lambda: store.check_open(), records.decode)
    writer = Writer(session, records, changes, merge, counters, max_unwritten)
    subscription = Subscription(session, access, lambda table, text: store.heard(table, text), changes.missed)
    store = RedisStore(
        session, names, records, changes, writer, subscription, small, clock, counters, str(access.target)
    )  # fmt: skip
    return store
