"""What is asked of lists without a client: their test points, at start and every six hours, and the watch over own addresses.

All of it is paid from their quotas, and none of it is asked of a list that nobody uses.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from resolverd.clock import Clock
from resolverd.dnsbl.engine import Engine
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed
from resolverd.metrics import Counters
from resolverd.wire.names import Address

_log = logging.getLogger(__name__)

PROBE_EVERY = 6 * 3600.0
"""Seconds between two looks at a list's test points."""
WATCH_EVERY = 3600.0
"""Seconds between two looks at the own addresses."""
_PATIENCE = 8.0
"""Seconds for a round of questions: nobody waits for it."""
_NOT_YET = 1.0
"""Seconds between two looks whether names can be resolved at all."""


class Monitor:
    """Goes the rounds of the engine that `engine` gives, which changes at a reload; `online` says when names can be resolved."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        online: Callable[[], bool],
        watched: Callable[[], Sequence[Address]],
        clock: Clock,
        counters: Counters,
    ):
        self._engine = engine
        self._online = online
        self._watched = watched
        self._clock = clock
        self._counters = counters
        self._asked: dict[str, int] = {}
        self._listed: set[tuple[str, str]] = set()

    async def probe(self) -> None:
        """Look at every list's test points, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            engine = self._engine()
            # A list that was asked nothing since its last probe is left in peace.
            used = [spec.id for spec in engine.specs if engine.asked(spec.id) != self._asked.get(spec.id)]
            deadline = self._clock.monotonic() + _PATIENCE
            await asyncio.gather(*(engine.probe(name, deadline=deadline) for name in used))
            self._asked |= {name: engine.asked(name) for name in used}
            await asyncio.sleep(PROBE_EVERY)

    async def watch(self) -> None:
        """Look the own addresses up in all lists, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            await self.lookup()
            await asyncio.sleep(WATCH_EVERY)

    async def lookup(self) -> None:
        """Look them up now, and raise an alert for each that has been listed since the last time."""
        engine = self._engine()
        found: dict[str, list[str]] = {spec.id: [] for spec in engine.specs}
        for address in self._watched():
            deadline = self._clock.monotonic() + _PATIENCE
            replies = await engine.ask_all(address, deadline=deadline, purpose="block", background=True)
            for name, reply in replies.items():
                pair = (name, str(address))
                if isinstance(reply, Listed):
                    found[name].append(str(address))
                    if pair not in self._listed:
                        self._listed.add(pair)
                        self._counters.add("watch_alerts", list=name)
                        link = f"; {reply.link}" if reply.link else ""
                        _log.error("our own address %s is %s%s", address, reply.reason, link)
                elif pair in self._listed and isinstance(reply, Unknown):
                    found[name].append(str(address))
                elif pair in self._listed:
                    self._listed.discard(pair)
                    _log.warning("our own address %s is no longer listed by %s", address, engine.known[name].shown)
        for name, addresses in found.items():
            engine.set_watched(name, tuple(addresses))

    async def _until_online(self) -> None:
        while True:
            if self._online():
                return
            await asyncio.sleep(_NOT_YET)
