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
    return await open_store(directory, counters)


def open_shared(
    settings: StoreSettings,
    clock: Clock,
    counters: Counters,
    password: Callable[[], Secret | None],
    schema: Callable[[], int] = lambda: SCHEMA,
) -> SharedStore:
    """The server that ``[store] url`` names, at once: it is connected behind this, whatever becomes of it.

    `password`: the one that is configured at the moment. `schema`: that of the records to write.
    """
    assert settings.url.target is not None
    access = RedisAccess(settings.url.target, _Password(password), settings.ca, settings.prefix)
    try:
        return open_redis(access, clock, counters, small=SMALL, merge=merge, schema=schema)
    except StoreError as error:
        log.error("the shared store %s cannot be had: %s; mail goes on without it", settings.url, error)
        return UnreachableStore("redis", str(error))


def directory_key(settings: Settings) -> str:
    """The key that says where the state directory is."""
    return "store.directory" if settings.store.url.target is not None else "store.url"


class _Password:
    """Gives the password as it is now: whoever changes it changes the file, and the server lets nobody in with the old one."""

    def __init__(self, configured: Callable[[], Secret | None]) -> None:
        self._configured = configured
        self._fault = ""

    def __call__(self) -> str | None:
        """The password; None where there is none, or it cannot be had, which is said once."""
        secret = self._configured()
        if secret is None:
            return None
        found = read_secret(secret.shown())
        if found.fault and found.fault != self._fault:
            log.warning("store.password: %s; the server is asked without one", found.fault)
        self._fault = found.fault
        return None if found.fault else found.reveal()
