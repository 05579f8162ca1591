"""Work that one host does for all: whoever claims it first does it, once a period."""

from typing import Final

from resolverd.state.base import Store

TABLE: Final = "duties"


async def claim(store: Store, name: str, period: float, host: str, now: float) -> bool:
    """Whether `host` is to do the work `name` now: the first one that asks in a period, which begins then.

    Nobody else is told so for `period` seconds, nor is the same host again: one that dies over it frees the work at the end
    of the period. `now`: wall seconds, as all hosts have them. Raises StoreError, where it is not known who does it.
    """
    return await store.cas(TABLE, name.encode(), None, host.encode(), now, now + period)


async def holder(store: Store, name: str, now: float) -> str | None:
    """The host that has claimed the work for the present period; None where none has. Raises StoreError."""
    found = await store.get(TABLE, name.encode(), now)
    return None if found is None else found.decode("ascii", "replace")


async def give_back(store: Store, name: str, host: str, now: float) -> bool:
    """Let another host do what this one has claimed and cannot do; whether it was this one's. Raises StoreError."""
    return await store.cas(TABLE, name.encode(), host.encode(), b"", now, now)
