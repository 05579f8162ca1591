"""Whether a list still tells good from bad: asked about subjects that it must not list, past all caches.

A listing counts only from a list that has denied its test point within the last ten minutes. One that lists the world,
parked or poisoned, in the middle of a run, is found out by what its answers look like, or by a known-good client that it lists.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl import known_good
from resolverd.dnsbl.known_good import KnownGood
from resolverd.dnsbl.list_state import ListState
from resolverd.dnsbl.names import canary_name, list_name
from resolverd.dnsbl.response import FAILURE_TTL, Behaviour, ListResponse, read_answer, read_canary
from resolverd.dnsbl.spec import Canary
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire import codes
from resolverd.wire.names import Address, Name

_log = logging.getLogger(__name__)

_NUMBERS = 1 << 60

_Probe: TypeAlias = "asyncio.Task[ListResponse | None]"


class Canaries:
    """Probes of whether lists are sound, each in flight once for all who wait for it. `rng` chooses whom a list cannot know;
    `on_pass` is told of a list that has denied its test point."""

    def __init__(
        self, resolver: Resolver, clock: Clock, counters: Counters, rng: Random, on_pass: Callable[[ListState], object]
    ):
        self._resolver = resolver
        self._clock = clock
        self._counters = counters
        self._rng = rng
        self._on_pass = on_pass
        self.known_good = KnownGood()
        self._in_flight: dict[tuple[Name, bool], _Probe] = {}

    async def vet(
        self, state: ListState, response: ListResponse, *, anomalous: bool, shared: bool = False
    ) -> ListResponse:
        """A listing as it counts: as it is if the list is sound, else what came of the probe.

        `shared`: another host has seen it.
        """
        if anomalous:
            self._counters.add("list_anomalies", list=state.spec.id)
        elif state.spec.denied is None or state.health.is_trusted(self._clock.monotonic(), shared=shared):
            return response
        return await self.probe(state, full=anomalous) or response

    async def probe(self, state: ListState, *, full: bool = False) -> ListResponse | None:
        """Ask what the list must deny; `full`: a random canary and known-good clients as well. None if it is sound."""
        # A full probe in flight is good for those who want less.
        probe = self._in_flight.get((state.spec.zone, True))
        if probe is None and full:
            probe = self._begin(state, True, self._full_probe(state))
        return await (self._probe_denied(state) if probe is None else asyncio.shield(probe))

    async def aclose(self) -> None:
        """End every probe in flight."""
        probes = list(self._in_flight.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def _probe_denied(self, state: ListState) -> ListResponse | None:
        probe = self._in_flight.get((state.spec.zone, False)) or self._begin(state, False, self._ask_denied(state))
        return await asyncio.shield(probe)

    def _begin(self, state: ListState, full: bool, work: Coroutine[Any, Any, ListResponse | None]) -> _Probe:
        key = (state.spec.zone, full)
        probe = self._in_flight[key] = asyncio.create_task(work, name=f"probe of list {state.spec.id}")
        probe.add_done_callback(lambda _: self._in_flight.pop(key, None))
        return probe

    async def _ask_denied(self, state: ListState) -> ListResponse | None:
        canary = state.spec.denied
        if canary is None:
            return None
        asked = self._clock.monotonic()
        found = await self._canary(state, canary)
        if isinstance(found.reply, Listed):
            return self._poisoned(state, f"it lists {canary.subject}, which no list may list")
        if not isinstance(found.reply, Clear):
            return found
        state.health.canary_passed(asked)
        self._on_pass(state)
        return None

    async def _full_probe(self, state: ListState) -> ListResponse | None:
        spec = state.spec
        nobody = known_good.random_canary(spec, self._rng.randrange(_NUMBERS))
        clients = self.known_good.unlisted_by(spec.id)
        clients = self._rng.sample(clients, min(len(clients), known_good.ASKED))
        denied, random, *others = await asyncio.gather(
            self._probe_denied(state),
            self._canary(state, nobody) if nobody is not None else _nothing(),
            *(self._client(state, client) for client in clients),
        )
        listed = sum(isinstance(response.reply, Listed) for response in others if isinstance(response, ListResponse))
        if isinstance(random, ListResponse) and isinstance(random.reply, Listed):
            denied = self._poisoned(state, "it lists an address or name that nobody has")
        elif listed >= known_good.NEEDED:
            denied = self._poisoned(state, f"it lists {listed} of {len(clients)} known-good clients")
        if denied is None:
            _log.info("list %s: many listings, but it denies what it must: a wave of spam", spec.id)
            state.anomaly.cleared(self._clock.monotonic())
        return denied if isinstance(denied, ListResponse) else None

    async def _canary(self, state: ListState, canary: Canary) -> ListResponse:
        name = canary_name(state.spec, canary.subject)
        now = self._clock.monotonic()
        answer = await self._resolver.resolve(name, codes.A, deadline=now + bounds.LIST_TIME, bypass_cache=True)
        return read_canary(state.spec, canary, answer)

    async def _client(self, state: ListState, client: Address) -> ListResponse | None:
        name = list_name(state.spec, client)
        if name is None:
            return None
        now = self._clock.monotonic()
        answer = await self._resolver.resolve(name, codes.A, deadline=now + bounds.LIST_TIME, bypass_cache=True)
        return read_answer(state.spec, client, answer)

    def _poisoned(self, state: ListState, detail: str) -> ListResponse:
        self._counters.add("list_poisoned", list=state.spec.id)
        return ListResponse(Unknown(Why.UNHEALTHY, detail), (), Behaviour.REFUSING, FAILURE_TTL)


async def _nothing() -> None:
    return None
