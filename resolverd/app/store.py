"""The stores of ``[store]``, opened: one, or where hosts share a server that one and the host's own in front of it."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from resolverd.app.shared_tables import SMALL, merge
from resolverd.clock import Clock
from resolverd.config import Secret, Settings
from resolverd.config.secrets import read_secret
from resolverd.config.settings import StoreSettings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import DIRECTORY, open_store
from resolverd.state.fallback import FallbackStore
from resolverd.state.memory import MemoryStore
from resolverd.state.redis.opening import RedisAccess, open_redis
from resolverd.state.shared import SharedStore
from resolverd.state.statedir import unusable

log = logging.getLogger(__name__)


class Stores(NamedTuple):
    """`store` keeps what is known of mail, `own` what is this host's own: the same one unless hosts share a server, `shared`."""

    store: Store
    own: Store
    shared: SharedStore | None = None

    async def close(self) -> None:
        """Close both. Never raises."""
        await self.store.close()
        await self.own.close()


async def open_stores(
    settings: Settings, clock: Clock, counters: Counters, password: Callable[[], Secret | None] | None = None
) -> Stores:
    """The stores. Whatever becomes of a shared server, nobody waits for it here, and nothing fails by it.

    `password`: the one that is configured at the moment. Raises ConfigError where the state directory cannot be used, and
    StateInUse.
    """
    directory = settings.state_directory()
    if directory is None:
        store = MemoryStore()
        return Stores(store, store)
    if fault := unusable(directory, DIRECTORY):
        raise ConfigError([ConfigFault(directory_key(settings), fault)])
    own = await open_store(directory, counters)
    if settings.store.url.target is None:
        return Stores(own, own)
    shared = open_shared(settings.store, clock, counters, password)
    return Stores(FallbackStore(shared, own, counters), own, shared)


def open_shared(
    settings: StoreSettings, clock: Clock, counters: Counters, password: Callable[[], Secret | None] | None = None
) -> SharedStore:
    """The server that ``[store] url`` names; it is connected behind this."""
    assert settings.url.target is not None
    current = _Password(password or (lambda: settings.password))
    access = RedisAccess(settings.url.target, current, settings.ca, settings.prefix)
    return open_redis(access, clock, counters, small=SMALL, merge=merge)


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
