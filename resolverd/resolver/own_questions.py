"""Questions of our own, which no client asks: priming, the root's keys, whether the internet can be reached, traces."""

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.in_flight import TOO_LATE
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget, Refresh, TraceStep, TrustLink
from resolverd.resolver.iterator.response import Response
from resolverd.resolver.recursions import Recursions
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name, lower

_TRACE_MEMORY = 1 << 20
"""Octets for what one trace learns."""


class OwnQuestions:
    """Asks them by the iteration that is in force; each has its own budget, and its end on the clock."""

    def __init__(self, recursions: Recursions, clock: Clock):
        self._recursions = recursions
        self._clock = clock

    async def _run_until(self, budget: QueryBudget, core: Generator[Any, Any, Any], end: float | None = None) -> Any:
        """What a core comes to by `end` (monotonic seconds), or by the end of its time. Raises TimeoutError."""
        if end is None:
            end = budget.deadline + bounds.RECURSION_GRACE
        async with asyncio.timeout(end - self._clock.monotonic()):
            return await self._recursions.driver.run(core)

    async def trace(self, name: Name, rtype: int) -> tuple[Answer, list[TraceStep], list[TrustLink]]:
        """Resolve past all that is remembered of names, and tell every exchange on the way, and the chain of trust."""
        budget = self._recursions.budget(self._clock.monotonic(), validate=True, traced=True)
        blank = Caches(RRsetCache(_TRACE_MEMORY), DelegationCache(_TRACE_MEMORY))
        try:
            iterator = self._recursions.iterator.with_caches(blank)
            answer: Answer = await self._run_until(budget, iterator.resolve(budget, lower(name), rtype))
        except TimeoutError:
            answer = Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False)
        return answer, budget.steps, budget.links

    async def fetch(self, name: Name, rtype: int) -> Response | None:
        """What a server says now of a name (lower case), neither validated nor remembered; None where none answers."""
        budget = self._recursions.budget(self._clock.monotonic(), Refresh.ALL, validate=False)
        with contextlib.suppress(TimeoutError, Exhausted):
            response: Response = await self._run_until(budget, self._recursions.iterator.fetch(budget, name, rtype))
            return response
        return None

    async def check_root(self) -> None:
        """Look at the root's keys, for what they say of the clock."""
        budget = self._recursions.budget(self._clock.monotonic(), validate=True)
        budget.checks_clock = True
        with contextlib.suppress(TimeoutError, Exhausted):
            await self._run_until(budget, self._recursions.iterator.check_root(budget))

    async def prime(self) -> float | None:
        """Ask the root who its servers are; seconds until that is to be done again, None if nobody answered (RFC 9609)."""
        budget = QueryBudget(self._clock.monotonic())
        try:
            delegation = await self._run_until(budget, self._recursions.iterator.prime(budget))
        except TimeoutError:
            return None
        return None if delegation is None else float(delegation.expires - self._clock.monotonic())

    async def reaches_anybody(self, patience: float) -> bool:
        """Whether the internet can be reached, by our own questions to servers that must answer then, within so many seconds."""
        try:
            core = self._recursions.iterator.check_reachability(QueryBudget(self._clock.monotonic()), patience)
            return bool(await self._recursions.driver.run(core))
        except Exhausted:
            return False
