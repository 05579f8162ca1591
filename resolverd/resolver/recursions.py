"""Recursions from start to end: one a question, however many wait for it (`in_flight`), while there is room (`admission`).

A recursion goes on when those who asked have stopped waiting, and what it comes to is counted, and remembered where it failed.
What nobody has asked for yet, data about to expire and addresses of servers, is recursed for here too, while there is much room.
"""

import asyncio
import logging
from functools import partial
from typing import NamedTuple

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.admission import Admission, group
from resolverd.resolver.bogus_log import BogusLog
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.driver import Driver, Run
from resolverd.resolver.in_flight import TOO_LATE, InFlight
from resolverd.resolver.iterator.budget import QueryBudget, QueryMeter, Refresh, SharedBudget
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.ports import Network
from resolverd.wire import codes
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name, is_within
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import Security

log = logging.getLogger(__name__)


class Prefetch(NamedTuple):
    """What is fetched before anybody asks: what is about to expire, and addresses of servers where a zone depends on one."""

    expiring: bool = True
    server_addresses: bool = False


class Recursions:
    """Those in flight, by name (lower case), type and whether the answer is validated; and the driver that steps them all."""

    def __init__(
        self,
        iterator: Iterator,
        failures: FailureCache,
        network: Network,
        clock: Clock,
        counters: Counters,
        list_zones: frozenset[Name],
        prefetch: Prefetch,
        redactor: Redactor,
    ):
        self.iterator = iterator
        self.in_flight: dict[tuple[Name, int, bool], InFlight] = {}
        self.admission = Admission()
        self.driver = Driver(network, counters, clock)
        self.meter: QueryMeter | None = None
        """Who counts what leaves for the zones of lists."""
        self.failed = 0
        """Recursions in a row that came to nothing."""
        self._superseded: set[InFlight] = set()
        self._failures = failures
        self._clock = clock
        self._counters = counters
        self._outcomes = counters.counts("recursions", "rcode", codes.rcode_text)
        self._bogus_log = BogusLog()
        self._list_zones = list_zones
        self._prefetch = prefetch
        self._redactor = redactor

    def configure(self, list_zones: frozenset[Name], prefetch: Prefetch, redactor: Redactor) -> None:
        """Go on by another configuration."""
        self._list_zones = list_zones
        self._prefetch = prefetch
        self._redactor = redactor

    def supersede(self, iterator: Iterator) -> None:
        """Go on by another iteration; what is in flight answers those who wait for it, and nobody else."""
        self.iterator = iterator
        for query in self.in_flight.values():
            query.superseded = True
        self._superseded.update(self.in_flight.values())
        self.in_flight.clear()

    @property
    def all(self) -> tuple[InFlight, ...]:
        """All questions in flight, those superseded as well, as they are now: they may end while one goes through them."""
        return (*self.in_flight.values(), *self._superseded)

    def budget(
        self,
        now: float,
        refresh: Refresh = Refresh.NOTHING,
        shared_budget: SharedBudget | None = None,
        *,
        validate: bool,
        traced: bool = False,
    ) -> QueryBudget:
        """That of a question which begins now (monotonic seconds)."""
        wall = self._clock.wall()
        return QueryBudget(now, refresh, self.meter, shared_budget, wall=wall, validate=validate, traced=traced)

    def start(
        self,
        name: Name,
        rtype: int,
        now: float,
        refresh: Refresh = Refresh.NOTHING,
        shared_budget: SharedBudget | None = None,
        *,
        local: bool,
        validate: bool,
    ) -> InFlight | None:
        """Begin a recursion; None if there is no room for it."""
        dp = self.iterator.nearest(name, rtype, now)
        slot = self.admission.admit(
            group(name, dp.zone, forwarded=dp.forward), now, listed=is_within(name, self._list_zones), local=local
        )
        if slot is None:
            return None
        budget = self.budget(now, refresh, shared_budget, validate=validate)

        def on_delegation(dp: DelegationPoint) -> None:
            if dp.zone != slot.group:
                self.admission.move(slot, group(name, dp.zone, forwarded=dp.forward))

        budget.on_delegation = on_delegation
        query = self.in_flight[name, rtype, validate] = InFlight(name, rtype, budget, slot)
        slot.jostle = partial(self._jostle, query)
        end = now + bounds.RECURSION_TIME + bounds.RECURSION_GRACE
        query.deadline = self.driver.deadlines.add(end, partial(self._too_late, query))
        if refresh is Refresh.NOTHING:
            self._begin(query, now)
        else:
            asyncio.get_running_loop().call_soon(self._begin, query, now)  # behind the answer to who has made it be wanted
        return query

    def _begin(self, query: InFlight, now: float) -> None:
        if query.answer is None:
            core = self.iterator.resolve(query.budget, query.name, query.rtype)
            run = self.driver.start(core, partial(self._ended, query), now)
            query.run = None if run.ended else run

    def _too_late(self, query: InFlight, now: float) -> None:
        if query.run is not None:
            query.run.cancel()
        self._finish(query, self._noted(query, Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False)))

    def _jostle(self, query: InFlight) -> None:
        self._counters.add("recursions_jostled")
        self.call_off(query, servfail(codes.EDE_OTHER, "too many questions in flight"))

    def call_off(self, query: InFlight, answer: Answer) -> None:
        """End it; who waits has this answer, and if its time is over what there is then."""
        now = self._clock.monotonic()
        if now >= query.budget.deadline:
            self._too_late(query, now)
            return
        if query.run is not None:
            query.run.cancel()
        self._finish(query, answer)

    def _ended(self, query: InFlight, run: Run) -> None:
        answer: Answer = run.result
        if run.error is not None:
            self._bug(query, "recursion for %s %s failed", run.error)
            answer = servfail(codes.EDE_OTHER, "internal error")
        self._finish(query, self._noted(query, answer))

    def _bug(self, query: InFlight, text: str, error: Exception) -> None:
        name = self._redactor.text(query.name)
        private = self._redactor.is_private(query.name)
        logs.bug(log, self._counters, "recursion", text, name, codes.type_text(query.rtype), error=error, private=private)

    def _finish(self, query: InFlight, answer: Answer) -> None:
        """It is no longer in flight, and its clients have their answer."""
        if query.superseded:
            self._superseded.discard(query)
        else:
            del self.in_flight[query.name, query.rtype, query.budget.validate]
        self.admission.release(query.slot)
        if query.deadline is not None:
            query.deadline.cancel()
        query.run = None
        query.answer = answer
        clients, query.clients = query.clients, {}
        for client in clients:
            try:
                client.answered(answer)
            except Exception as error:  # whoever else waits has his answer all the same
                self._bug(query, "answering a client of %s %s failed", error)
        dp = query.budget.asked_last
        if dp is not None and dp.unresolved and len(dp.servers) == 1 and not (answer.is_failure or query.superseded):
            self._look_up_servers(dp)

    def refresh(self, name: Name, rtype: int, validate: bool) -> None:
        """Fetch what is about to expire anew, where nothing speaks against it."""
        # Never for lists: a question that nobody asked would be paid for from their quota.
        if not self._prefetch.expiring or (name, rtype, validate) in self.in_flight or not self.admission.is_half_empty:
            return
        now = self._clock.monotonic()
        if not is_within(name, self._list_zones) and self._failures.get(name, rtype, now, validated=validate) is None:
            self._counters.add("prefetches")
            self.start(name, rtype, now, Refresh.EXPIRING, local=False, validate=validate)

    def _look_up_servers(self, dp: DelegationPoint) -> None:
        """Find out addresses of servers before the only one that has an address is silent; one name at a time."""
        now = self._clock.monotonic()
        for name in dp.unresolved if self._prefetch.server_addresses else ():
            for rtype in self.iterator.unknown_address_types(name, now)[:1]:
                key = name, rtype, False
                if key in self.in_flight or self._failures.get(name, rtype, now, validated=False) is not None:
                    continue
                if self.admission.is_half_empty and not is_within(name, self._list_zones):
                    self._counters.add("server_addresses_prefetched")
                    self.start(name, rtype, now, Refresh.EXPIRING, local=False, validate=False)
                return

    def _tell_bogus(self, query: InFlight, answer: Answer) -> None:
        self._counters.add("bogus_answers")
        told = self._bogus_log.tell(query.name, self._clock.monotonic())
        if told.is_told:
            more = "; more of them are counted and not logged for a while" if told.is_last else ""
            error = answer.errors[0]
            name, rtype = self._redactor.text(query.name), codes.type_text(query.rtype)
            log.warning("%s %s is bogus (EDE %d): %s%s", name, rtype, error.code, error.text, more)

    def _noted(self, query: InFlight, answer: Answer) -> Answer:
        """Count what a recursion has come to, and remember a failure."""
        self._outcomes[answer.rcode][0] += 1
        is_failure = answer.is_failure
        # What is bogus has come from the internet.
        self.failed = self.failed + 1 if is_failure and answer.security is not Security.BOGUS else 0
        if answer.security is Security.BOGUS:
            self._tell_bogus(query, answer)
        if query.superseded:
            return answer
        if is_failure:
            # What failed as its zone is known to be out will be tried as soon as the zone is back; what failed for want of
            # somebody who pays for it, as soon as somebody asks.
            if not query.budget.shared_exhausted and not any(error.code == codes.EDE_CACHED_ERROR for error in answer.errors):
                validated = query.budget.validate
                self._failures.put(query.name, query.rtype, answer.errors[0], self._clock.monotonic(), validated=validated)
        else:
            self._failures.succeeded(query.name, query.rtype, validated=query.budget.validate)
        return answer
