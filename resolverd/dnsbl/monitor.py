"""What is asked of lists without a client: their test points, at start and every six hours, and the own addresses.

All of it is charged to their quotas, and none of it is asked of a list that nobody uses. In a fleet one host asks for all: own
addresses once an hour, test points only where a host has not seen of late that the list knows its data.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from resolverd.clock import Clock
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.watched import Findings, WatchedAddresses
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed
from resolverd.metrics import Counters
from resolverd.wire.names import Address

_log = logging.getLogger(__name__)

PROBE_EVERY = 6 * 3600.0
"""Seconds between two probes of a list's test points."""
WATCH_EVERY = 3600.0
"""Seconds between two lookups of the own addresses."""
LOOK_EVERY = 300.0
"""Seconds between two looks at whether another host has looked them up."""
_DEADLINE = 8.0
"""Seconds for the questions of one time: nobody waits for them."""
_TRIES = 4
"""How often within that time another host is given the time to be done with it."""
_AT_IT = Findings(frozenset(), frozenset())
"""Another host looks an address up, and has said nothing yet."""
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
        shared: WatchedAddresses | None = None,
    ):
        """`shared`: what other hosts have found out of the own addresses; None for a host alone."""
        self._engine = engine
        self._online = online
        self._watched = watched
        self._clock = clock
        self._counters = counters
        self.shared = shared
        self._asked: dict[str, int] = {}
        self._alerted: set[tuple[str, str]] = set()
        self._rest_at: dict[Address, float] = {}

    async def probe(self) -> None:
        """Look at every list's test points, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            engine = self._engine()
            # A list that was asked nothing since its last probe is left in peace.
            used = [
                spec.id
                for spec in engine.specs
                if engine.asked(spec.id) != self._asked.get(spec.id) and not engine.is_vouched_for(spec.id, PROBE_EVERY)
            ]
            deadline = self._clock.monotonic() + _DEADLINE
            await asyncio.gather(*(engine.probe(name, deadline=deadline) for name in used))
            self._asked |= {name: engine.asked(name) for name in used}
            await asyncio.sleep(PROBE_EVERY)

    async def watch(self) -> None:
        """Look the own addresses up in all lists, again and again; ends by cancellation."""
        while True:
            await self._until_online()
            tries = 1
            while await self.check_addresses(patient=tries < _TRIES):
                await asyncio.sleep(_DEADLINE / _TRIES)
                tries += 1
            await asyncio.sleep(WATCH_EVERY if self.shared is None else LOOK_EVERY)

    async def check_addresses(self, *, patient: bool = False) -> bool:
        """Look them up now, and raise an alert for each that has been listed since the last time.

        `patient`: but those of which another host says nothing yet, who is at it; whether there are any.
        """
        engine, waits = self._engine(), False
        for address in self._watched():
            told = await self._told(address)
            if told is _AT_IT and patient:
                waits = True
                continue
            if told is not None and told is not _AT_IT:
                self._take_over(address, told)
                await self._look_up_rest(engine, address, told.asked)
                continue
            asked = await self._look_up(engine, address)
            if self.shared is not None:
                listed = frozenset(name for name in asked if (name, str(address)) in self._alerted)
                self.shared.tell(address, Findings(asked, listed))
        watched = [str(address) for address in self._watched()]
        for spec in engine.specs:
            engine.set_watched(spec.id, tuple(each for each in watched if (spec.id, each) in self._alerted))
        return waits

    async def _told(self, address: Address) -> Findings | None:
        """What another host has found of an address; None where it is this one's to look it up."""
        if self.shared is None:
            return None
        found = await self.shared.found(address)
        if not await self.shared.claim(address, WATCH_EVERY):
            return found or _AT_IT
        if found is not None:
            # Whoever found it has raised the alert.
            self._alerted |= {(name, str(address)) for name in found.listed}
        return None

    def _take_over(self, address: Address, told: Findings) -> None:
        listed = {(name, str(address)) for name in told.listed}
        self._alerted -= {(name, str(address)) for name in told.asked} - listed
        self._alerted |= listed

    async def _look_up_rest(self, engine: Engine, address: Address, known: frozenset[str]) -> None:
        """Ask those lists, once an hour, that are not enabled where the others were asked."""
        rest = [spec.id for spec in engine.specs if spec.id not in known]
        now = self._clock.monotonic()
        if rest and now - self._rest_at.get(address, float("-inf")) >= WATCH_EVERY:
            self._rest_at[address] = now
            for name in rest:
                await self._look_up(engine, address, name)

    async def _look_up(self, engine: Engine, address: Address, only: str = "") -> frozenset[str]:
        """Ask all lists about an address, or one; which have been asked."""
        deadline = self._clock.monotonic() + _DEADLINE
        replies = await engine.ask_all(address, deadline=deadline, purpose="block", background=True, only=only)
        for name, reply in replies.items():
            pair = (name, str(address))
            if isinstance(reply, Listed) and pair not in self._alerted:
                self._alerted.add(pair)
                self._counters.add("watch_alerts", list=name)
                link = f"; {reply.link}" if reply.link else ""
                _log.error("our own address %s is %s%s", address, reply.reason, link)
            elif pair in self._alerted and not isinstance(reply, Listed | Unknown):
                self._alerted.discard(pair)
                _log.warning("our own address %s is no longer listed by %s", address, engine.known[name].shown)
        return frozenset(replies)

    async def _until_online(self) -> None:
        while True:
            if self._online():
                return
            await asyncio.sleep(_NOT_YET)
