"""Zones none of whose servers answers: nobody waits for them, and one question now and then finds them again (RFC 9520 §3.2).

A question to which all servers of a zone were silent makes the zone suspected to be down, and no more than that: there are
servers that drop single names or types (RFC 4074 §4.1), and a client may ask for just those. The next question is then preceded
by a probe, a question for the zone itself; whatever comes back to that clears the zone. If nothing does, the zone is down for
`bounds.OUTAGE_HOLD` seconds: all its names fail at once. Then the probe goes out again, once however many wait for it (the
driver sends no question twice).
"""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from enum import Enum
from typing import Any, NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.budget import QueryBudget, exchange
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, First, Reply, Server, Transport
from resolverd.wire.names import Name

_NO_REPLY = (Failed.TIMEOUT, Failed.UNREACHABLE, Failed.LOCAL)


class ZoneState(Enum):
    """How a zone stands whose servers were silent."""

    USABLE = "may be asked"
    DOWN = "known to be down: not to be asked"
    STILL_DOWN = "was just found to be down, still or again"


class _Outage(NamedTuple):
    """`servers`: those that were silent; `until`: it counts as down so long; `begun`: when our own question began to go out
    (monotonic seconds)."""

    servers: frozenset[Server]
    until: float = 0.0
    begun: float = float("-inf")


class Outages:
    """Zones that are suspected to be down or known to be, bounded; the newest stay."""

    def __init__(self, infra: InfraCache, entries: int = bounds.MAX_OUTAGES):
        self._infra = infra
        self._limit = entries
        self._zones: OrderedDict[Name, _Outage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._zones)

    def suspect(self, zone: Name, servers: Sequence[Server], now: float) -> None:
        """A question to the zone came to nothing. It is suspected if each of its servers was silent when last asked."""
        if servers and zone not in self._zones and self._all_silent(servers, now):
            self._put(zone, _Outage(frozenset(servers)))

    def add_without_servers(self, zone: Name, now: float) -> None:
        """None of the zone's servers has an address that could be found out, so that it is down for a while."""
        self._put(zone, _Outage(frozenset(), now + bounds.FAILURE_TTL))

    def is_down(self, zone: Name, servers: Sequence[Server], now: float) -> bool:
        """Whether it is known that none of these servers of the zone answers."""
        outage = self._of(zone, servers, now)
        return outage is not None and now < outage.until

    def clear(self) -> None:
        """Forget everything."""
        self._zones.clear()

    def check(self, budget: QueryBudget, dp: DelegationPoint, servers: Sequence[Server]) -> Generator[Any, Any, ZoneState]:
        """Whether the zone may be asked, given these servers; where that is not known, they are probed."""
        outage = self._of(dp.zone, servers, budget.now)
        if outage is None:
            return ZoneState.USABLE
        if budget.now < outage.until:
            return ZoneState.DOWN
        if not servers:
            # There is nobody to be asked: whoever comes next looks for them again.
            del self._zones[dp.zone]
            return ZoneState.USABLE
        first, second = bounds.OUTAGE_PATIENCE
        if budget.now >= outage.begun + first + second:
            outage = self._zones[dp.zone] = outage._replace(begun=budget.now)
        # One half each time, so that any that is back is met; of a few all twice, as a packet may be lost.
        half = max(2, -(-len(servers) // 2))
        rounds = [(first, servers[:half]), (second, servers[-half:])]
        for timeout, asked in rounds[budget.now >= outage.begun + first :]:
            if (yield First(tuple(self._ask(budget, dp, server, timeout) for server in asked))):
                self._zones.pop(dp.zone, None)
                return ZoneState.USABLE
        # Many may have waited for this; the first of them has said it for all.
        if self._zones.get(dp.zone) == outage:
            self._put(dp.zone, outage._replace(until=budget.now + bounds.OUTAGE_HOLD))
        return ZoneState.STILL_DOWN

    def _put(self, zone: Name, outage: _Outage) -> None:
        """Remember it; the zone that was asked for least recently goes."""
        self._zones[zone] = outage
        self._zones.move_to_end(zone)
        while len(self._zones) > self._limit:
            self._zones.popitem(last=False)

    def _ask(self, budget: QueryBudget, dp: DelegationPoint, server: Server, timeout: float) -> Generator[Any, Any, bool | None]:
        """Whether anything comes back from a server."""
        reply = yield from probe(budget, dp.zone, server, codes.A, recursion=dp.forward, timeout=timeout)
        if reply is None:
            self._infra.unanswered += 1
            return None
        self._infra.rtt_update(server, reply.rtt, budget.now)
        return True

    def _of(self, zone: Name, servers: Sequence[Server], now: float) -> _Outage | None:
        """What is held against the zone; nothing any more where it has other servers, or one of them has answered since."""
        outage = self._zones.get(zone)
        if outage is None:
            return None
        if not outage.servers.issuperset(servers) or not self._all_silent(servers, now):
            del self._zones[zone]
            return None
        self._zones.move_to_end(zone)
        return outage

    def _all_silent(self, servers: Sequence[Server], now: float) -> bool:
        return all(self._infra.last_timed_out(server, now) for server in servers)


def probe(
    budget: QueryBudget, zone: Name, server: Server, qtype: int, *, recursion: bool, timeout: float
) -> Generator[Any, Any, Reply | None]:
    """What comes back to a question for the zone itself, malformed replies included; None for nothing. Raises Exhausted."""
    transport = Transport.TLS if server.tls_name else Transport.UDP
    budget.charge(zone, zone)
    ask = Ask(server, zone, qtype, transport, timeout, recursion, edns_size=0, dnssec=False)
    reply = yield from exchange(budget, ask, zone)
    budget.received(reply)
    return None if reply.failed in _NO_REPLY else reply
