"""What each server supports: EDNS, a cookie, random letter case (0x20), minimised names.

All of it is protection, so that nothing is given up lightly: one answer that looks like incapability may be forged, two in
a row are taken for it, and for `bounds.FORGET_SERVER` seconds only. What a server has shown to support is remembered for
as long.
"""

from collections import OrderedDict
from enum import Enum

from resolverd import bounds
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


class _Support:
    __slots__ = ("born", "failures", "proven")

    def __init__(self, now: float):
        self.born = now
        self.failures = 0
        self.proven = -1.0


class Capabilities:
    """What servers support, bounded.

    `zone`: forwarders answer for many servers, so that what one of them has shown holds for one zone of theirs.
    """

    def __init__(self, entries: int = bounds.MAX_SERVERS):
        self._limit = entries
        self._states: OrderedDict[tuple[Server, Feature, Name], _Support] = OrderedDict()
        self._suspected: dict[Feature, set[Server]] = {feature: set() for feature in Feature}
        """Whose state is worth a look, since there may be doubts; of all others there are none."""

    def __len__(self) -> int:
        return len(self._states)

    def may_use(self, server: Server, feature: Feature, now: float) -> bool:
        """Whether it is asked with that."""
        if server not in self._suspected[feature]:
            return True
        state = self._peek(server, feature, now)
        return state is None or state.failures < _CONFIRMATIONS

    def any_failed(self, feature: Feature) -> bool:
        """Whether there may be a server that is not asked with that."""
        return bool(self._suspected[feature])

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
        if server not in self._suspected[feature]:
            return
        self._suspected[feature].discard(server)
        state = self._peek(server, feature, now)
        if state is not None:
            state.failures = 0

    def add_failure(self, server: Server, feature: Feature, now: float) -> None:
        """It seemed not to support that. Needs confirming, so that one forged packet does no harm (CVE-2026-52690)."""
        self._get(server, feature, now).failures += 1
        self._suspected[feature].add(server)

    def rule_out(self, server: Server, feature: Feature, now: float) -> None:
        """It does not support that, as an answer that nobody can have forged has confirmed."""
        self._get(server, feature, now).failures = _CONFIRMATIONS
        self._suspected[feature].add(server)

    def _peek(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> _Support | None:
        state = self._states.get((server, feature, zone))
        return state if state is not None and now < state.born + bounds.FORGET_SERVER else None

    def _get(self, server: Server, feature: Feature, now: float, zone: Name = ROOT) -> _Support:
        key = server, feature, zone
        state = self._peek(*key[:2], now, zone)
        if state is None:
            state = self._states[key] = _Support(now)
        self._states.move_to_end(key)
        while len(self._states) > self._limit:
            (server, feature, zone), _ = self._states.popitem(last=False)
            if zone == ROOT:
                self._suspected[feature].discard(server)
        return state
