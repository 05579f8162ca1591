"""Can the internet be reached? A few servers are asked that must answer if it can: the root's or the forwarders, and some others
that have answered of late, so that neither a stranger's dead domain nor an attack on the root makes us believe that it cannot.
"""

from collections.abc import Generator
from random import Random
from typing import Any

from resolverd import bounds
from resolverd.resolver.iterator.budget import Work
from resolverd.resolver.iterator.delegation import Cuts
from resolverd.resolver.iterator.infra import Servers
from resolverd.resolver.iterator.probe import hail
from resolverd.resolver.iterator.response import Useless, classify
from resolverd.wire import codes
from resolverd.wire.ask import First, Server
from resolverd.wire.names import ROOT


class Reach:
    """Asks, when it is told to."""

    def __init__(self, cuts: Cuts, servers: Servers, rng: Random):
        self._cuts = cuts
        self._servers = servers
        self._rng = rng

    def look(self, work: Work, patience: float) -> Generator[Any, Any, bool]:
        """Whether one of them answers within so many seconds. Raises Exhausted."""
        cut = self._cuts.root()
        chosen = self._rng.sample(cut.servers, min(bounds.REACH_SERVERS, len(cut.servers)))
        asked = [self._responsible(work, server, cut.forward, patience) for server in chosen]
        lately = [each for each in self._servers.answering(work.now) if each.is_global and Server(each) not in cut.servers]
        if not cut.forward:
            chosen = self._cuts.usable(self._rng.sample(lately, min(bounds.REACH_SERVERS, len(lately))))
            asked += [self._other(work, server, patience) for server in chosen]
        return (yield First(tuple(asked))) is not None

    def _responsible(self, work: Work, server: Server, forward: bool, patience: float) -> Generator[Any, Any, bool | None]:
        """A server of the root has to say what one says; somebody on the way who answers in its place does not count."""
        reply = yield from hail(work, ROOT, server, codes.NS, recursion=forward, patience=patience)
        message = reply.message if reply is not None else None
        if message is None:
            return None
        if forward:
            return True if message.rcode != codes.SERVFAIL else None
        return None if isinstance(classify(message, ROOT, codes.NS, ROOT, forward), Useless) else True

    def _other(self, work: Work, server: Server, patience: float) -> Generator[Any, Any, bool | None]:
        """An authority of whatever zone has nothing to say of the root, but it says so, and it offers no recursion."""
        reply = yield from hail(work, ROOT, server, codes.NS, recursion=False, patience=patience)
        if reply is None or reply.message is None or reply.message.flags & codes.RA:
            return None
        return True
