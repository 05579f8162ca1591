"""On whose word keys are believed: trust anchors, negative ones, what counts as a signature; and what has come of it."""

from collections.abc import Mapping

from resolverd.resolver.validator import nta
from resolverd.resolver.validator.aggressive import AggressiveCache
from resolverd.resolver.validator.algorithms import Policy
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.clock_check import ClockCheck
from resolverd.resolver.validator.keys import KeyCache
from resolverd.wire.names import ROOT, Name, ancestors


class TrustState:
    """On whose word keys are believed: trust anchors, negative ones (RFC 7646), what counts as a signature; and what came of it.

    It outlives reloads, as do the keys in it where nothing that they rest on has changed.
    """

    def __init__(
        self,
        anchors: TrustAnchors,
        policy: Policy = Policy(),  # noqa: B008 (immutable)
        negative: Mapping[Name, str] | None = None,
        clock: ClockCheck | None = None,
    ):
        """`negative`: zones in lower case that are as good as unsigned, and why."""
        self.clock = clock or ClockCheck()
        self.anchors = anchors
        self.policy = policy
        self.negative = dict(negative or {})
        self.keys = KeyCache()
        self.aggressive = AggressiveCache()

    def anew(self) -> "TrustState":
        """The same trust, with nothing learnt of any zone."""
        return TrustState(self.anchors, self.policy, self.negative, self.clock)

    def supersede(self) -> None:
        """What is in flight learns denials for itself alone from now on: they may be outdated by what has changed meanwhile."""
        self.aggressive = self.aggressive.succeed()

    def forget(self, name: Name | None = None) -> None:
        """Forget what was learnt of the zones that a name is in or above; of all if it is None."""
        if name is None:
            self.keys.clear()
            self.aggressive.clear()
        else:
            self.keys.forget(name)
            self.aggressive.flush(name)

    def exempted(self, name: Name) -> str | None:
        """Why a name (lower case) is not validated by a negative trust anchor; None where it is."""
        zone = self.negative_anchor(name)
        return None if zone is None else nta.described(zone, self.negative[zone])

    def negative_anchor(self, name: Name) -> Name | None:
        """The closest negative trust anchor at or above a name, where it is not above a trust anchor that is closer."""
        if not self.negative:
            return None
        anchor = self.anchors.closest(name)
        for zone in ancestors(name):
            if zone in self.negative:
                return zone
            if anchor is not None and zone == anchor.zone and zone != ROOT:
                return None
        return None
