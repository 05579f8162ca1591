"""The stores of ``[store]``, opened: the host's own, and the server that several hosts share."""

import logging
from collections.abc import Callable

from resolverd.app.shared_tables import SMALL, merge
from resolverd.clock import Clock
from resolverd.config import Secret, Settings
from resolverd.config.secrets import read_secret
from resolverd.config.settings import StoreSettings
from resolverd.failures import ConfigError, ConfigFault, StoreError
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import DIRECTORY, open_store
from resolverd.state.memory import MemoryStore
from resolverd.state.redis.frames import SCHEMA
from resolverd.state.redis.opening import RedisAccess, open_redis
from resolverd.state.shared import SharedStore
from resolverd.state.sharing import write_alone
from resolverd.state.statedir import unusable
from resolverd.state.unreachable import UnreachableStore

log = logging.getLogger(__name__)


async def open_own(settings: Settings, counters: Counters) -> Store:
    """The host's own, which is the only one unless hosts share a server.

    Raises ConfigError where the state directory cannot be used, and StateInUse.
    """
    directory = settings.state_directory()
    if directory is None:
        return MemoryStore()
    if fault := unusable(directory, DIRECTORY):
        raise ConfigError([ConfigFault(directory_key(settings), fault)])
    store = await open_store(directory, counters)
    if settings.store.url.target is None:
        write_alone(store)
    return store


def open_shared(
    settings: StoreSettings,
    clock: Clock,
    counters: Counters,
    password: Callable[[], Secret | None],
    schema: Callable[[], int] = lambda: SCHEMA,
    patience: float = 0.0,
) -> SharedStore:
    """The server that ``[store] url`` names, at once: it is connected behind this, whatever becomes of it.

    `password`: the one that is configured at the moment. `schema`: that of the records to write. `patience`:
    seconds for a reply where no mail waits for it.
    """
    assert settings.url.target is not None
    access = RedisAccess(settings.url.target, lambda: _now(password()), settings.ca, settings.prefix, patience)
    try:
        return open_redis(access, clock, counters, small=SMALL, merge=merge, schema=schema)
    except StoreError as error:
        log.error("the shared store %s cannot be had: %s; mail goes on without it", settings.url, error)
        return UnreachableStore("redis", str(settings.url), str(error))


def directory_key(settings: Settings) -> str:
    """The key that says where the state directory is."""
    return "store.directory" if settings.store.url.target is not None else "store.url"


def _now(secret: Secret | None) -> str | None:
    """A password as it stands now: whoever changes it changes the file, and the server lets nobody in with the old one.

    Raises ValueError where it cannot be had.
    """
    return None if secret is None else read_secret(secret.shown()).reveal()
