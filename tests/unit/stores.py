"""What the tests of the stores share: a time, and the file of a disk store."""

from pathlib import Path

from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import open_store

NOW = 1_700_000_000.0
LATER = NOW + 1000


async def keys(store: Store, table: str, now: float = NOW) -> list[bytes]:
    """The keys of a table's records that have not expired."""
    return [entry.key async for entry in store.scan(table, now)]


def database(state: Path) -> Path:
    """The file of the disk store in a state directory."""
    return state / "store" / "cache.db"


def aside(state: Path) -> list[Path]:
    """What has been set aside there."""
    return sorted(state.glob("*.corrupt-*"))


async def filled(state: Path, count: int = 1, expires: float = LATER) -> None:
    """Make a disk store of so many records, and close it."""
    store = await open_store(state, Counters())
    for number in range(count):
        store.put("t", b"%d" % number, b"value %d" % number * 20, expires)
    await store.close()


async def works(store: Store) -> None:
    """It takes a record and gives it back; closes it."""
    store.put("t", b"new", b"v", LATER)
    await store.flush()
    assert await store.get("t", b"new", NOW) == b"v"
    await store.close()
