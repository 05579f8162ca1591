"""What each server supports: EDNS, a cookie, random letter case (0x20), minimised names.

All of it is protection, so that nothing is given up lightly: one answer that looks like incapability may be forged, two in
a row are taken for it, and for `bounds.FORGET_SERVER` seconds only. What a server has shown to support is remembered for
as long.
"""

from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum

from resolverd import bounds
from resolverd.values import Value
from resolverd.wire.ask import Server
from resolverd.wire.names import ROOT, Name

_CONFIRMATIONS = 2


class Feature(Enum):
    """What may be special about a question."""

    EDNS = "EDNS"
    COOKIE = "cookie"
    CASE = "0x20"
    QMIN = "minimised name"

    __hash__ = object.__hash__  # that of Enum is a function in Python, and every question to a server takes a dozen


_NOTHING: frozenset[Feature] = frozenset()


class _Support:
    __slots__ = ("born", "failures", "proven")

    def __init__(self, now: float):
        self.born = now
        self.failures = 0
        self.proven = -1.0


class SupportFact(Value, frozen=True):
    """What was seen of a server's support of a feature; first or, where it `is_proven`, last at `born` (monotonic seconds)."""

    server: Server
    feature: Feature
    zone: Name
    born: float
    failures: int
    is_proven: bool


class Capabilities:
    """What servers support, bounded.

    `zone`: forwarders answer for many servers, so that what one of them has shown holds for one zone of theirs.
    """

    def __init__(self, entries: int = bounds.MAX_SERVERS):
        self._limit = entries
        self._states: OrderedDict[tuple[Server, Feature, Name], _Support] = OrderedDict()
        self._doubts: dict[Server, set[Feature]] = {}
        """Of whom what state is worth a look; of all others there are no doubts."""

    def __len__(self) -> int:
        return len(self._states)

    def unsupported(self, server: Server, now: float) -> frozenset[Feature]:
        """What it is asked without."""
        doubts = self._doubts.get(server)
        return _NOTHING if doubts is None else frozenset(each for each in doubts if not self.may_use(server, each, now))

    def may_use(self, server: Server, feature: Feature, now: float) -> bool:
        """Whether it is asked with that."""
        if feature not in self._doubts.get(server, _NOTHING):
            return True
        state = self._peek(server, feature, now)
        return state is None or state.failures < _CONFIRMATIONS

    def all_may_use(self, servers: Sequence[Server], feature: Feature, now: float) -> bool:
        """Whether each of them is asked with that."""
        return self._doubts.keys().isdisjoint(servers) or all(self.may_use(server, feature, now) for server in servers)

    def is_proven(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> bool:
        """Whether it is known to support that."""
        state = self._peek(server, feature, now, zone)
        return state is not None and state.proven >= 0

    def prove(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> None:
        """It has shown that it supports that, so earlier failures were about something else."""
        state = self._get(server, feature, now, zone)
        state.born = state.proven = now
        state.failures = 0

    def clear_failures(self, server: Server, feature: Feature, now: float) -> None:
        """It answered a question that carried that: no proof that it makes use of it, but no failure either."""
        if feature not in self._doubts.get(server, _NOTHING):
            return
        self._trust(server, feature)
        state = self._peek(server, feature, now)
        if state is not None:
            state.failures = 0

    def add_failure(self, server: Server, feature: Feature, now: float) -> None:
        """It seemed not to support that. Needs confirming, so that one forged packet does no harm (CVE-2026-52690)."""
        self._get(server, feature, now).failures += 1
        self._doubts.setdefault(server, set()).add(feature)

    def rule_out(self, server: Server, feature: Feature, now: float) -> None:
        """It does not support that, as an answer that nobody can have forged has confirmed."""
        self._get(server, feature, now).failures = _CONFIRMATIONS
        self._doubts.setdefault(server, set()).add(feature)

    def facts(self, now: float) -> list[SupportFact]:
        """All that is known, to be kept over a restart."""
        return [
            SupportFact(server, feature, zone, state.born, state.failures, state.proven >= 0)
            for (server, feature, zone), state in self._states.items()
            if now < state.born + bounds.FORGET_SERVER
        ]

    def adopt(self, fact: SupportFact, now: float) -> None:
        """Take up what was known before a restart, for the rest of its life, where nothing has been learnt since."""
        key = fact.server, fact.feature, fact.zone
        if not now - bounds.FORGET_SERVER < fact.born <= now or key in self._states or len(self._states) >= self._limit:
            return
        state = self._states[key] = _Support(fact.born)
        state.failures = fact.failures
        if fact.is_proven:
            state.proven = max(fact.born, 0.0)  # the machine may have been started since
        if fact.failures and fact.zone == ROOT:
            self._doubts.setdefault(fact.server, set()).add(fact.feature)

    def _trust(self, server: Server, feature: Feature) -> None:
        """There is no doubt any more that it supports that."""
        doubts = self._doubts.get(server)
        if doubts is not None:
            doubts.discard(feature)
            if not doubts:
                del self._doubts[server]

    def _peek(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> _Support | None:
        state = self._states.get((server, feature, zone))
        return state if state is not None and now < state.born + bounds.FORGET_SERVER else None

    def _get(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> _Support:
        key = server, feature, zone
        state = self._states.get(key)
        if state is None or now >= state.born + bounds.FORGET_SERVER:
            state = self._states[key] = _Support(now)
        self._states.move_to_end(key)
        while len(self._states) > self._limit:
            (server, feature, zone), _ = self._states.popitem(last=False)
            if zone == ROOT:
                self._trust(server, feature)
        return state
