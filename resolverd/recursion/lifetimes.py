"""How long what a server says may be believed: the bounds on TTLs, applied once, where data comes in."""

from typing import NamedTuple

from resolverd.recursion.classify import Alias, Data, Denial, Outcome, Overflow, Referral
from resolverd.wire.rrset import RRset


class Lifetimes(NamedTuple):
    """Bounds on TTLs, in seconds; what clients are told is what is kept."""

    min_ttl: int = 0
    max_ttl: int = 86400
    negative_max_ttl: int = 3600

    def bound(self, outcome: Outcome) -> Outcome:
        """The outcome with its TTLs within the bounds."""
        if isinstance(outcome, Referral):
            return outcome
        if isinstance(outcome, Data | Alias):
            return outcome._replace(chain=self._all(outcome.chain), authority=self._all(outcome.authority))
        if isinstance(outcome, Overflow):
            return outcome._replace(chain=self._all(outcome.chain))
        if isinstance(outcome, Denial):
            soa = outcome.soa and outcome.soa._replace(ttl=min(outcome.soa.ttl, self.negative_max_ttl))
            return outcome._replace(chain=self._all(outcome.chain), soa=soa, proofs=self._all(outcome.proofs))
        return outcome

    def _all(self, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
        return tuple([
            rrset if self.min_ttl <= rrset.ttl <= self.max_ttl
            else rrset._replace(ttl=max(min(rrset.ttl, self.max_ttl), self.min_ttl))
            for rrset in rrsets
        ])
