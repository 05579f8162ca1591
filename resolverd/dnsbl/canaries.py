"""Whether a list still tells good from bad: asked about subjects that it must not list, past all caches.

A listing counts only from a list that has denied its test point within the last ten minutes. One that lists the world,
parked or poisoned, in the middle of a run, is found out by what its answers look like, or by a good client that it lists.
"""

import asyncio
import logging
from collections.abc import Coroutine
from random import Random
from typing import Any

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl import known_good
from resolverd.dnsbl.known_good import Witnesses
from resolverd.dnsbl.list_state import Desk
from resolverd.dnsbl.names import canary_name, list_name
from resolverd.dnsbl.response import FAILURE_TTL, Conduct, Told, read_answer, read_canary
from resolverd.dnsbl.spec import Canary
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire import codes
from resolverd.wire.names import Address, Name

_log = logging.getLogger(__name__)

_NUMBERS = 1 << 60


class Proofs:
    """Proofs that lists are sound, each asked once for all who wait for it. `rng` chooses whom a list cannot know."""

    def __init__(self, resolver: Resolver, clock: Clock, counters: Counters, rng: Random):
        self._resolver = resolver
        self._clock = clock
        self._counters = counters
        self._rng = rng
        self.witnesses = Witnesses()
        self._under_way: dict[tuple[Name, bool], asyncio.Task[Told | None]] = {}

    async def weigh(self, desk: Desk, told: Told, *, suspicious: bool) -> Told:
        """A listing as it counts: as it is if the list is sound, else what became of the proof."""
        if suspicious:
            self._counters.add("list_suspicions", list=desk.spec.id)
        elif desk.spec.denied is None or desk.health.is_proven(self._clock.monotonic()):
            return told
        return await self.prove(desk, thorough=suspicious) or told

    async def prove(self, desk: Desk, *, thorough: bool = False) -> Told | None:
        """Ask what the list must deny; `thorough`: a stranger and clients known as good as well. None if it is sound."""
        # A thorough proof under way is good for those who want less.
        proof = self._under_way.get((desk.spec.zone, True))
        if proof is None and thorough:
            proof = self._begin(desk, True, self._cross_examine(desk))
        return await (self._denial(desk) if proof is None else asyncio.shield(proof))

    async def aclose(self) -> None:
        """End every proof under way."""
        proofs = list(self._under_way.values())
        for proof in proofs:
            proof.cancel()
        await asyncio.gather(*proofs, return_exceptions=True)

    async def _denial(self, desk: Desk) -> Told | None:
        proof = self._under_way.get((desk.spec.zone, False)) or self._begin(desk, False, self._ask_denied(desk))
        return await asyncio.shield(proof)

    def _begin(self, desk: Desk, thorough: bool, work: Coroutine[Any, Any, Told | None]) -> "asyncio.Task[Told | None]":
        key = (desk.spec.zone, thorough)
        proof = self._under_way[key] = asyncio.create_task(work, name=f"proof {desk.spec.id}")
        proof.add_done_callback(lambda _: self._under_way.pop(key, None))
        return proof

    async def _ask_denied(self, desk: Desk) -> Told | None:
        canary = desk.spec.denied
        if canary is None:
            return None
        asked = self._clock.monotonic()
        found = await self._canary(desk, canary)
        if isinstance(found.reply, Listed):
            return self._poisoned(desk, f"it lists {canary.subject}, which no list may list")
        if not isinstance(found.reply, Clear):
            return found
        desk.health.proved(asked)
        return None

    async def _cross_examine(self, desk: Desk) -> Told | None:
        spec = desk.spec
        unknown = known_good.stranger(spec, self._rng.randrange(_NUMBERS))
        called = self.witnesses.against(spec.id)
        called = self._rng.sample(called, min(len(called), known_good.CALLED))
        denied, strange, *others = await asyncio.gather(
            self._denial(desk),
            self._canary(desk, unknown) if unknown is not None else _nothing(),
            *(self._client(desk, client) for client in called),
        )
        listed = sum(isinstance(told.reply, Listed) for told in others if isinstance(told, Told))
        if isinstance(strange, Told) and isinstance(strange.reply, Listed):
            denied = self._poisoned(desk, "it lists an address or name that nobody has")
        elif listed >= known_good.NEEDED:
            denied = self._poisoned(desk, f"it lists {listed} of {len(called)} clients that are known as good")
        if denied is None:
            _log.info("list %s: many listings, but it denies what it must: a wave of spam", spec.id)
            desk.suspicion.acquitted(self._clock.monotonic())
        return denied if isinstance(denied, Told) else None

    async def _canary(self, desk: Desk, canary: Canary) -> Told:
        name = canary_name(desk.spec, canary.subject)
        now = self._clock.monotonic()
        answer = await self._resolver.resolve(name, codes.A, deadline=now + bounds.LIST_TIME, fresh=True)
        return read_canary(desk.spec, canary, answer)

    async def _client(self, desk: Desk, client: Address) -> Told | None:
        name = list_name(desk.spec, client)
        if name is None:
            return None
        now = self._clock.monotonic()
        answer = await self._resolver.resolve(name, codes.A, deadline=now + bounds.LIST_TIME, fresh=True)
        return read_answer(desk.spec, client, answer)

    def _poisoned(self, desk: Desk, detail: str) -> Told:
        self._counters.add("list_poisoned", list=desk.spec.id)
        return Told(Unknown(Why.UNHEALTHY, detail), (), Conduct.REFUSING, FAILURE_TTL)


async def _nothing() -> None:
    return None
