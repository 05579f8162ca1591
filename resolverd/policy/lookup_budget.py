"""What one mail may cost others: queries at names that a stranger chooses (HELO, sender, SPF records) are bounded.

A record of ten mechanisms makes a hundred look-ups of names that are somebody else's, each with its retries (RFC 7208 §11.1).
What is beyond the bound cannot be found out at this try: that is temporary, and no mail is refused for it.
"""

from collections import OrderedDict
from typing import NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.quota import Allowance, Rate
from resolverd.mail.domains import is_suffix, registrable
from resolverd.wire.names import Name, is_subdomain, label_count, suffix, to_text
from resolverd.wire.names import from_text as name_of

_REVERSE = name_of("arpa")
_RATE = Allowance(bounds.MAIL_ZONE_RATE, 1.0)


class ZoneRates:
    """How many queries a second go to the servers of one registered domain for mail, all mail and all zones in it together.

    Registries are exempt: everything leads through them. So is the reverse tree, where a client is no stranger's choice.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def __len__(self) -> int:
        """Domains remembered."""
        return len(self._rates)

    def allows(self, zone: Name) -> bool:
        """Take one for a zone (lower case)."""
        domain = _domain(zone)
        if not domain:
            return True
        rate = self._rates.get(domain)
        if rate is None:
            rate = self._rates[domain] = Rate(_RATE)
            if len(self._rates) > bounds.MAIL_DOMAINS:
                self._rates.popitem(last=False)
        self._rates.move_to_end(domain)
        return rate.take(self._clock.monotonic()) is not None


def _domain(zone: Name) -> str:
    """Whose zone it is: the registered domain, or the like where the registry is not known; empty for those that are exempt."""
    if label_count(zone) <= 1 or is_subdomain(zone, _REVERSE):
        return ""
    text = to_text(zone).removesuffix(".")
    return registrable(text) or ("" if is_suffix(text) else to_text(suffix(zone, 2)))


class LookupBudget:
    """So many queries of one mail, for all of its recipients together. The `SharedBudget` of its look-ups."""

    __slots__ = ("_rates", "left")

    def __init__(self, rates: ZoneRates, count: int):
        self._rates = rates
        self.left = count

    def take(self, zone: Name) -> bool:
        """Whether a query for servers of this zone may leave; then it is paid."""
        if self.left <= 0 or not self._rates.allows(zone):
            return False
        self.left -= 1
        return True


class LookupBudgets(NamedTuple):
    """What pays for the names that the client of a mail chooses, and what for those of its sender."""

    client: LookupBudget
    sender: LookupBudget

    @classmethod
    def full(cls, rates: ZoneRates) -> "LookupBudgets":
        """Those of a new mail."""
        return cls(LookupBudget(rates, bounds.MAIL_CLIENT_QUERIES), LookupBudget(rates, bounds.MAIL_SENDER_QUERIES))
