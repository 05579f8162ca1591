"""Reading the configuration again: one after the other, off the event loop, all of it or nothing.

Whoever asks while a configuration is being read has it read once more behind that, together with all who ask meanwhile: a
reading that began before somebody asked may have missed what was changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from resolverd.app import certificate, runtime
from resolverd.app.banner import forward_exceptions
from resolverd.app.runtime import Plan, Runtime
from resolverd.clock import SystemClock
from resolverd.config import Settings
from resolverd.config.review import review
from resolverd.config.settings import AT_START
from resolverd.failures import ConfigError, ConfigFault, ReloadResult

log = logging.getLogger(__name__)

_READ_TIMEOUT = 30.0
"""Seconds for everything to be read: a file system that hangs must not keep the next reload waiting for ever."""
_HANGS = "reading has not come to an end: does a file system hang, or is one of the files a pipe that nobody writes to?"


class Reloader:
    """Reads again what `load` reads (raising ConfigError), in the place of what is `current`; `take` has it take effect."""

    def __init__(
        self,
        load: Callable[[], Settings] | None,
        current: Callable[[], Runtime],
        take: Callable[[Plan], Awaitable[Runtime]],
    ):
        self._load = load
        self._current = current
        self._take = take
        self._started = current().settings
        self._lock = asyncio.Lock()
        self._begun = self._ended = 0
        self._outcome = ReloadResult()

    async def reload(self) -> ReloadResult:
        """Read the configuration again. Whoever comes while that is done has it done once more, together with others."""
        if self._load is None:
            return ReloadResult((ConfigFault("", "there is no configuration file to read again"),))
        asked = self._begun
        async with self._lock:
            if self._ended <= asked:
                self._begun += 1
                number = self._begun
                self._outcome = await self._reload(self._load)
                self._ended = number
            return self._outcome

    async def _reload(self, load: Callable[[], Settings]) -> ReloadResult:
        try:
            plan = await self._read(load)
        except ConfigError as error:
            log.error("the configuration has faults, the old one stays in force:")
            for fault in error.faults:
                log.error("  %s", fault)
            return ReloadResult(tuple(error.faults))
        old = self._current()
        before = old.settings
        taken = await self._take(plan)
        remarks = tuple(map(str, plan.external.faults)) + tuple(self._remarks(taken))
        for remark in remarks:
            log.warning("%s", remark)
        changed = tuple(_changed(before, taken.settings))
        serials = [each.plan.external.certificate and each.plan.external.certificate.serial for each in (old, taken)]
        if None not in serials and serials[0] != serials[1]:
            changed += (f"the certificate of dns.tls, serial {serials[1]} now",)
        log.info("the configuration was read again%s", f"; changed: {', '.join(changed)}" if changed else "")
        return ReloadResult(remarks=remarks, changed=changed, restart=tuple(self._waiting(taken.settings)))

    async def _read(self, load: Callable[[], Settings]) -> Plan:
        """Everything read, in a thread of its own, in which no reading waits behind one that hangs. Raises ConfigError."""
        before = self._current().plan.external
        thread = ThreadPoolExecutor(1, "reload")
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                return await asyncio.get_running_loop().run_in_executor(thread, lambda: runtime.read(load(), before))
        except TimeoutError:
            raise ConfigError([ConfigFault("", _HANGS)]) from None
        finally:
            thread.shutdown(wait=False)

    def _remarks(self, taken: Runtime) -> list[str]:
        settings = taken.settings
        return [
            *map(str, review(settings)),
            *certificate.remarks(taken.plan.external.certificate, settings.dns.tls, SystemClock().wall()),
            *forward_exceptions(settings, taken.engine.specs),
            *(f"{key} has changed: that takes effect at the next start" for key in self._waiting(settings)),
        ]

    def _waiting(self, settings: Settings) -> list[str]:
        """The keys that have changed since the start and are acted on at the next one."""
        changed = [key for key in AT_START if _value(settings, key) != _value(self._started, key)]
        return [_there(key, settings, self._started) for key in changed]


def _changed(before: Settings, after: Settings) -> Iterator[str]:
    """The keys that have another value, of lists and checks the tables: ``greylist.delay``, ``lists.spamhaus-zen``."""
    for table in after.__struct_fields__:
        old, new = (getattr(each, table) for each in (before, after))
        if isinstance(new, Mapping):
            yield from (f"{table}.{name}" for name in sorted({*old, *new}) if old.get(name) != new.get(name))
        else:
            yield from (f"{table}.{key}" for key in new.__struct_fields__ if getattr(old, key) != getattr(new, key))


def _there(key: str, *found: Settings) -> str:
    """The key, or its table's where one of the configurations has no such table."""
    table = key.rpartition(".")[0]
    return table if any(_value(each, table) is None for each in found) else key


def _value(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name, None)
    return value
