"""Every query that leaves for a list's servers, counted and paid for where it leaves: retries and proofs too, whoever asks."""

import logging
from collections.abc import Iterable

from resolverd.clock import Clock
from resolverd.dnsbl.list_state import ListState
from resolverd.metrics import Counters
from resolverd.wire.names import Name, ancestors, is_subdomain, label_count

_log = logging.getLogger(__name__)

_REGISTRY = 1
"""Labels of a zone whose servers are nobody's of lists: the root and the top level domains."""


class QuotaMeter:
    """The `resolver.iterator.budget.QueryMeter` of the lists.

    What counts are queries for names below a list's zone that reach its operator: servers of that zone, of one below it,
    or of one above that turns out to answer itself, as it does for a zone that is no cut of its own. A referral is free,
    and so is the way down through the registries.
    """

    def __init__(self, states: Iterable[ListState], clock: Clock, counters: Counters):
        self._states = {state.spec.zone: state for state in states}
        self._clock = clock
        self._counters = counters

    def add(self, zone: Name, state: ListState) -> None:
        """Another zone whose queries one list pays for."""
        self._states.setdefault(zone, state)

    def remove(self, zone: Name) -> None:
        """Such a zone is no more."""
        self._states.pop(zone, None)

    def charge(self, qname: Name, zone: Name) -> bool:
        """A query is about to leave; False if a list's quota does not allow it."""
        state = self._charged_list(qname, zone)
        if state is None:
            return True
        wall = self._clock.wall()
        if not state.charge(wall):
            return False
        self._counters.add("list_queries", list=state.spec.id)
        if text := state.warning(wall):
            _log.warning("list %s: %s", state.spec.id, text)
        return True

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        """So many copies of the query left beyond the one that was counted; negative if none did."""
        state = self._charged_list(qname, zone)
        if state is not None:
            state.adjust(copies, self._clock.wall())
            self._counters.add("list_queries", copies, list=state.spec.id)

    def referred(self, qname: Name, zone: Name) -> None:
        """The query was answered by a referral: free, if it came from above the list's zone."""
        state = self._charged_list(qname, zone)
        if state is not None and not is_subdomain(zone, state.spec.zone):
            self.adjust(qname, zone, -1)

    def _charged_list(self, qname: Name, zone: Name) -> ListState | None:
        return None if label_count(zone) <= _REGISTRY else self.list_of(qname)

    def list_of(self, qname: Name) -> ListState | None:
        """Who pays for questions to the operator about this name (lower case), if anybody does."""
        return next((state for above in ancestors(qname) if (state := self._states.get(above)) is not None), None)
