"""What is asked of lists without a client: their test points, at start and every six hours, and the own addresses.

All of it is charged to their quotas, and none of it is asked of a list that nobody uses.
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
"""Seconds between two probes of a list's test points."""
WATCH_EVERY = 3600.0
"""Seconds between two lookups of the own addresses."""
_DEADLINE = 8.0
"""Seconds for the questions of one time: nobody waits for them."""
_NOT_YET = 1.0
"""Seconds between two checks of whether names can be resolved at all."""


class Monitor:
    """Probes the lists of the engine that `engine` gives, which changes at a reload; `online` says when names can be resolved."""

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
        self._alerted: set[tuple[str, str]] = set()

    async def probe(self) -> None:
        """Look at every list's test points, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            engine = self._engine()
            # A list that was asked nothing since its last probe is left in peace.
            used = [spec.id for spec in engine.specs if engine.asked(spec.id) != self._asked.get(spec.id)]
            deadline = self._clock.monotonic() + _DEADLINE
            await asyncio.gather(*(engine.probe(name, deadline=deadline) for name in used))
            self._asked |= {name: engine.asked(name) for name in used}
            await asyncio.sleep(PROBE_EVERY)

    async def watch(self) -> None:
        """Look the own addresses up in all lists, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            await self.check_addresses()
            await asyncio.sleep(WATCH_EVERY)

    async def check_addresses(self) -> None:
        """Look them up now, and raise an alert for each that has been listed since the last time."""
        engine = self._engine()
        found: dict[str, list[str]] = {spec.id: [] for spec in engine.specs}
        for address in self._watched():
            deadline = self._clock.monotonic() + _DEADLINE
            replies = await engine.ask_all(address, deadline=deadline, purpose="block", background=True)
            for name, reply in replies.items():
                pair = (name, str(address))
                if isinstance(reply, Listed):
                    found[name].append(str(address))
                    if pair not in self._alerted:
                        self._alerted.add(pair)
                        self._counters.add("watch_alerts", list=name)
                        link = f"; {reply.link}" if reply.link else ""
                        _log.error("our own address %s is %s%s", address, reply.reason, link)
                elif pair in self._alerted and isinstance(reply, Unknown):
                    found[name].append(str(address))
                elif pair in self._alerted:
                    self._alerted.discard(pair)
                    _log.warning("our own address %s is no longer listed by %s", address, engine.known[name].shown)
        for name, addresses in found.items():
            engine.set_watched(name, tuple(addresses))

    async def _until_online(self) -> None:
        while True:
            if self._online():
                return
            await asyncio.sleep(_NOT_YET)
