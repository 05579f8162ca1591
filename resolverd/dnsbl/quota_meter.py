"""Every query that leaves for a list's servers, counted and paid for where it leaves: retries and proofs too, whoever asks."""

import logging
from collections.abc import Iterable

from resolverd.clock import Clock
from resolverd.dnsbl.list_state import Desk
from resolverd.metrics import Counters
from resolverd.wire.names import Name, ancestors, is_subdomain, label_count

_log = logging.getLogger(__name__)

_REGISTRY = 1
"""Labels of a zone whose servers are nobody's of lists: the root and the top level domains."""


class Tolls:
    """The `resolver.iterator.ports.Meter` of the lists.

    What counts are queries for names below a list's zone that reach its operator: servers of that zone, of one below it,
    or of one above that turns out to answer itself, as it does for a zone that is no cut of its own. A referral is free,
    and so is the way down through the registries.
    """

    def __init__(self, desks: Iterable[Desk], clock: Clock, counters: Counters):
        self._desks = {desk.spec.zone: desk for desk in desks}
        self._clock = clock
        self._counters = counters

    def add(self, zone: Name, desk: Desk) -> None:
        """Another zone whose queries one list pays for."""
        self._desks.setdefault(zone, desk)

    def remove(self, zone: Name) -> None:
        """Such a zone is no more."""
        self._desks.pop(zone, None)

    def leaves(self, qname: Name, zone: Name) -> bool:
        """A query is about to leave; False if a list's quota does not allow it."""
        desk = self._payer(qname, zone)
        if desk is None:
            return True
        wall = self._clock.wall()
        if not desk.pay(wall):
            return False
        self._counters.add("list_queries", list=desk.spec.id)
        if text := desk.warning(wall):
            _log.warning("list %s: %s", desk.spec.id, text)
        return True

    def settles(self, qname: Name, zone: Name, copies: int) -> None:
        """So many copies of the query left beyond the one that was counted; negative if none did."""
        desk = self._payer(qname, zone)
        if desk is not None:
            desk.settle(copies, self._clock.wall())
            self._counters.add("list_queries", copies, list=desk.spec.id)

    def referred(self, qname: Name, zone: Name) -> None:
        """The query was answered by a referral: free, if it came from above the list's zone."""
        desk = self._payer(qname, zone)
        if desk is not None and not is_subdomain(zone, desk.spec.zone):
            self.settles(qname, zone, -1)

    def _payer(self, qname: Name, zone: Name) -> Desk | None:
        return None if label_count(zone) <= _REGISTRY else self.payer(qname)

    def payer(self, qname: Name) -> Desk | None:
        """Who pays for questions to the operator about this name (lower case), if anybody does."""
        return next((desk for above in ancestors(qname) if (desk := self._desks.get(above)) is not None), None)
