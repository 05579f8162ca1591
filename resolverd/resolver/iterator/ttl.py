"""How long what a server says may be believed: the bounds on TTLs, applied once, where data comes in."""

from typing import NamedTuple

from resolverd.resolver.iterator.response import Alias, Data, Outcome, Overflow, Referral, Useless
from resolverd.wire.rrset import RRset


class Lifetimes(NamedTuple):
    """Bounds on TTLs, in seconds; what clients are told is what is kept."""

    min_ttl: int = 0
    max_ttl: int = 86400
    negative_max_ttl: int = 3600

    def bound(self, outcome: Outcome) -> Outcome:
        """The outcome with its TTLs within the bounds."""
        if isinstance(outcome, Useless | Referral):
            return outcome
        if isinstance(outcome, Data | Alias):
            chain, authority = self._all(outcome.chain), self._all(outcome.authority)
            if chain is outcome.chain and authority is outcome.authority:
                return outcome
            return outcome._replace(chain=chain, authority=authority)
        if isinstance(outcome, Overflow):
            return outcome._replace(chain=self._all(outcome.chain))
        soa = outcome.soa and outcome.soa._replace(ttl=min(outcome.soa.ttl, self.negative_max_ttl))
        return outcome._replace(chain=self._all(outcome.chain), soa=soa, proofs=self._all(outcome.proofs))

    def _all(self, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
        for rrset in rrsets:
            if not self.min_ttl <= rrset.ttl <= self.max_ttl:
                return tuple(each._replace(ttl=max(min(each.ttl, self.max_ttl), self.min_ttl)) for each in rrsets)
        return rrsets
