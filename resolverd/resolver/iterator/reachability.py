"""Can the internet be reached? A few servers are asked that must answer if it can: the root's or the forwarders, and some others
that have answered of late, so that neither a domain that is down nor an attack on the root makes us believe that it cannot.
"""

from collections.abc import Generator
from random import Random
from typing import Any

from resolverd import bounds
from resolverd.resolver.iterator.budget import QueryBudget
from resolverd.resolver.iterator.delegation import DelegationPoints
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.outages import probe
from resolverd.resolver.iterator.response import Unusable, classify
from resolverd.wire import codes
from resolverd.wire.ask import First, Server
from resolverd.wire.names import ROOT


class Reachability:
    """The check, made on demand."""

    def __init__(self, delegation_points: DelegationPoints, infra: InfraCache, rng: Random):
        self._delegation_points = delegation_points
        self._infra = infra
        self._rng = rng

    def check(self, budget: QueryBudget, timeout: float) -> Generator[Any, Any, bool]:
        """Whether one of them answers within so many seconds. Raises Exhausted."""
        dp = self._delegation_points.root()
        chosen = self._rng.sample(dp.servers, min(bounds.REACH_SERVERS, len(dp.servers)))
        asked = [self._responsible(budget, server, dp.forward, timeout) for server in chosen]
        responsive = self._infra.responsive(budget.now)
        lately = [server for server in responsive if server.address.is_global and server not in dp.servers]
        if not dp.forward:
            others = self._rng.sample(lately, min(bounds.REACH_SERVERS, len(lately)))
            chosen = self._delegation_points.usable(server.address for server in others)
            asked += [self._other(budget, server, timeout) for server in chosen]
        return (yield First(tuple(asked))) is not None

    def _responsible(
        self, budget: QueryBudget, server: Server, forward: bool, timeout: float
    ) -> Generator[Any, Any, bool | None]:
        """A server of the root has to say what one says; somebody on the way who answers in its place does not count."""
        reply = yield from probe(budget, ROOT, server, codes.NS, recursion=forward, timeout=timeout)
        message = reply.message if reply is not None else None
        if message is None:
            return None
        if forward:
            return True if message.rcode != codes.SERVFAIL else None
        return None if isinstance(classify(message, ROOT, codes.NS, ROOT, forward), Unusable) else True

    def _other(self, budget: QueryBudget, server: Server, timeout: float) -> Generator[Any, Any, bool | None]:
        """An authority of whatever zone has nothing to say of the root, but it says so, and it offers no recursion."""
        reply = yield from probe(budget, ROOT, server, codes.NS, recursion=False, timeout=timeout)
        if reply is None or reply.message is None or reply.message.flags & codes.RA:
            return None
        return True
