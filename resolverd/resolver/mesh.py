"""Recursion for clients: answers from memory, by a recursion of its own, with stale data or with failure.

One question is recursed for once, however many ask it, and goes on when those who asked have stopped waiting (`in_flight`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from functools import partial
from typing import Any, NamedTuple

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.admission import Admission, group
from resolverd.resolver.bogus_log import BogusLog
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.driver import Driver, Run
from resolverd.resolver.in_flight import TOO_LATE, Client, InFlight, UncachedClient
from resolverd.resolver.iterator import lookup
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget, QueryMeter, Refresh, SharedBudget, TraceStep, TrustLink
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.resolver.iterator.interception import RootCheck
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.iterator.response import Response
from resolverd.resolver.loops import Loops
from resolverd.resolver.ports import Done, Network, Waiting
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.names import Address, Name, is_within, lower
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import Security, Trust, each_once

log = logging.getLogger(__name__)

_TRACE_MEMORY = 1 << 20
"""Octets for what one trace learns."""


class Timeouts(NamedTuple):
    """How long clients wait, in seconds: for anything at all, and before stale data is preferred (RFC 8767 §5).

    `stale_ttl` is the TTL that stale data gets.
    """

    client: float = 4.0
    stale: float = 1.8
    stale_ttl: int = bounds.STALE_TTL


class Prefetch(NamedTuple):
    """What is fetched before anybody asks: what is about to expire, and addresses of servers where a zone depends on one."""

    expiring: bool = True
    server_addresses: bool = False


_NEARLY_ALL = 0.9
"""Share of a client's timeout after which a client without an answer has waited in vain: checks have less than all of it."""
_NO_KEYS = Redactor()
_OUT = ExtendedError(codes.EDE_NO_REACHABLE_AUTHORITY, "none of the zone's servers has answered of late")


_DOUBTFUL = 4
"""Questions to servers, or recursions, that come to nothing in a row: the internet may be out of reach."""
_FAILED_OFFLINE = Answer(
    codes.SERVFAIL,
    errors=(ExtendedError(codes.EDE_NETWORK_ERROR, "the internet is out of reach"), ExtendedError(codes.EDE_CACHED_ERROR)),
    keep=False,
)


class Mesh:
    """The resolver as the rest of the daemon sees it."""

    def __init__(
        self,
        iterator: Iterator,
        caches: Caches,
        failures: FailureCache,
        network: Network,
        clock: Clock,
        counters: Counters,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (immutable)
        list_zones: frozenset[Name] = frozenset(),
        prefetch: Prefetch = Prefetch(),  # noqa: B008 (immutable)
        redactor: Redactor = _NO_KEYS,
    ):
        """`list_zones`: zones of DNS lists, whose data is never used stale (it would refuse mail) and never prefetched."""
        self._iterator = iterator
        self._caches = caches
        self._failures = failures
        self._clock = clock
        self._counters = counters
        self._recursions = counters.counts("recursions", "rcode", codes.rcode_text)
        self._timeouts = timeouts
        self._list_zones = list_zones
        self._prefetch = prefetch
        self._redactor = redactor
        self._in_flight: dict[tuple[Name, int, bool], InFlight] = {}
        """By name, type and whether the answer is validated."""
        self._superseded: set[InFlight] = set()
        self._admission = Admission()
        self._driver = Driver(network, counters, clock)
        self.run = self._driver.run
        self.deadlines = self._driver.deadlines
        self.meter: QueryMeter | None = None
        """Who counts what leaves for the zones of lists."""
        self._bogus_log = BogusLog()
        self._loops = Loops()
        self._failed = 0
        self._offline = False

    def configure(self, timeouts: Timeouts, list_zones: frozenset[Name], prefetch: Prefetch, redactor: Redactor) -> None:
        """Go on by another configuration, with an iteration of it that `supersede` brings."""
        self._timeouts = timeouts
        self._list_zones = list_zones
        self._prefetch = prefetch
        self._redactor = redactor
        self._loops.forget()

    def supersede(self, iterator: Iterator, caches: Caches) -> None:
        """Go on over other caches: what names are answered with has changed.

        What is in flight answers those who wait for it, over the caches with which it was begun, and nobody else.
        """
        self._iterator = iterator
        self._caches = caches
        for query in self._in_flight.values():
            query.superseded = True
        self._superseded.update(self._in_flight.values())
        self._in_flight.clear()

    @property
    def in_flight(self) -> int:
        """Questions in flight."""
        return len(self._in_flight)

    @property
    def unanswered(self) -> int:
        """Questions to name servers in a row that got no answer in time, whoever was asked."""
        return self._iterator.unanswered

    @property
    def is_doubtful(self) -> bool:
        """So much has come to nothing in a row that the internet may be out of reach: no more than a reason to look."""
        return max(self.unanswered, self._failed) >= _DOUBTFUL

    def reassure(self) -> None:
        """The internet can be reached, so what has come to nothing was somebody else's fault."""
        self._iterator.reset_unanswered()
        self._failed = 0

    @property
    def root_check(self) -> RootCheck:
        """Whether the root itself answers."""
        return self._iterator.root_check

    def known(self, name: Name, rtype: int, *, validate: bool = True) -> Answer | None:
        """The answer from memory alone; one about to expire is fetched anew behind it.

        `validate`: what DNSSEC has not judged yet counts as unknown, wherever anything is validated.
        """
        validate = validate and self._iterator.validates
        answer = lookup.answer(self._caches.rrsets, name, rtype, self._clock.monotonic(), validated=validate)
        if answer is not None and answer.expiring:
            self._refresh(lower(name), rtype, validate)
        return answer

    def with_servers(self, answer: Answer) -> Answer:
        """An answer with data, with the NS RRset of its zone and the servers' addresses as far as they are remembered.

        Where the answer is secure, only what is secure as well: AD speaks for the authority section too (RFC 4035 §3.2.3).
        """
        if not answer.answer or answer.rcode != codes.NOERROR or answer.aa:
            return answer
        now, rrsets = self._clock.monotonic(), self._caches.rrsets
        delegation = self._caches.delegations.closest(lower(answer.answer[-1].owner), now)
        ns = None if delegation is None else rrsets.get(delegation.zone, codes.NS, now, Trust.ANSWER)
        if ns is None or ns.rrset is None or (answer.security is Security.SECURE and ns.security is not Security.SECURE):
            return answer
        servers = [lower(rdata.target(codes.NS, each)) for each in ns.rrset.rdatas[: bounds.MAX_NS]]
        hits = [rrsets.get(name, rtype, now, Trust.ANSWER) for name in servers for rtype in (codes.A, codes.AAAA)]
        addresses = tuple(hit.rrset for hit in hits if hit is not None and hit.rrset is not None)
        return replace(answer, authority=each_once((*answer.authority, ns.rrset)), additional=addresses)

    def ask(
        self,
        name: Name,
        rtype: int,
        done: Done,
        *,
        deadline: float | None = None,
        shared_budget: SharedBudget | None = None,
        local: bool = True,
        validate: bool = True,
    ) -> Answer | Waiting:
        """The answer to a question (its name in lower case) that is not `known`, by a recursion.

        Where it is not there at once, `done` is called with it: by `deadline` (monotonic seconds) or the end of a client's
        timeout, then with stale data or SERVFAIL. `shared_budget` pays for the queries, together with those of others who wait
        for the same answer. `local`: this machine asks. Not to `validate` is what a client wants who sets CD (RFC 4035 §3.2.2).
        """
        now = self._clock.monotonic()
        validate = validate and self._iterator.validates
        if self._offline and self._is_unreachable(name):
            return self.stale(name, rtype, validate=validate) or _FAILED_OFFLINE
        loops = self._loops
        if (loops.probes or loops.found) and (failure := self._in_a_loop(name, rtype, now)) is not None:
            return self.stale(name, rtype, validate=validate) or failure
        error = self._failures.get(name, rtype, now, validated=validate)
        query = self._in_flight.get((name, rtype, validate))
        if error is None and query is not None and query.gave_up:
            # Somebody has waited for it in vain already, and asks again: the work goes on, but not at his cost (RFC 9520 §3.2).
            error = TOO_LATE
        if error is None and query is None and self._iterator.is_down(name, rtype, now):
            error = _OUT
        if error is not None:
            stale = None if error.code in codes.EDE_OF_VALIDATION else self.stale(name, rtype, validate=validate)
            return stale or Answer(codes.SERVFAIL, errors=(error, ExtendedError(codes.EDE_CACHED_ERROR)), keep=False)
        if query is None:
            query = self._start(name, rtype, now, shared_budget=shared_budget, local=local, validate=validate)
            if query is None:
                self._counters.add("recursions_refused")
                return self.stale(name, rtype, validate=validate) or servfail(codes.EDE_OTHER, "too many questions in flight")
            if query.answer is not None:
                return self.best(query, query.answer)
            if (other := self._in_flight.get((name, rtype, not validate))) is not None:
                # A forwarder that validates asks with CD what it is asked without.
                self._look_for_loop(other, now)
        elif len(query.clients) >= bounds.MAX_CLIENTS_PER_QUERY:
            too_many = servfail(codes.EDE_OTHER, "too many clients wait for this question")
            return self.stale(name, rtype, validate=validate) or too_many
        else:
            query.budget.share(shared_budget)
            if local:
                self._admission.adopt(query.slot)
            self._look_for_loop(query, now)
        end = now + self._timeouts.client
        if deadline is not None and deadline < end:
            end = deadline
        patience = min(now + self._timeouts.stale, end)
        if patience <= now and (stale := self.stale_instead(query)) is not None:
            return stale
        return Client(self, query, done, patience, end)

    def _look_for_loop(self, query: InFlight, now: float) -> None:
        """A question that is in flight is asked again: where it is forwarded, by somebody whom it was forwarded to, perhaps."""
        dp = query.budget.asked_last
        if dp is not None and dp.forward:
            for core in self._loops.suspect(dp, now):
                self._driver.start(core, _ignore, now)

    def _in_a_loop(self, name: Name, rtype: int, now: float) -> Answer | None:
        """What a question comes to that has come back to us, or would."""
        loops = self._loops
        zone = loops.returned(name, now)
        if zone is not None:
            self._counters.add("forwarding_loops")
            for query in (*self._in_flight.values(), *self._superseded):
                dp = query.budget.asked_last
                if dp is not None and dp.zone == zone and (failure := loops.failure(dp, now)) is not None:
                    self._end(query, failure)
        if not loops.found:
            return None
        return loops.failure(self._iterator.nearest(name, rtype, now), now)

    def asks_itself(self, server: Address, name: Name, rtype: int) -> None:
        """A question of our own to this server has come to us."""
        now = self._clock.monotonic()
        self._counters.add("own_questions")
        self._loops.ourselves(server, self._redactor.text(self._iterator.nearest(lower(name), rtype, now).zone), now)

    def ask_past_cache(
        self,
        name: Name,
        rtype: int,
        done: Done,
        *,
        deadline: float | None = None,
        shared_budget: SharedBudget | None = None,
        local: bool = True,
    ) -> Answer | Waiting:
        """As `ask`, but neither memory nor earlier failures count: a server has to say it now, or nobody does."""
        if self._is_unreachable(name):
            return _FAILED_OFFLINE
        now = self._clock.monotonic()
        end = now + self._timeouts.client
        if deadline is not None and deadline < end:
            end = deadline
        budget = self._budget(now, Refresh.ALL, validate=True)
        run = self._driver.start(self._iterator.resolve(budget, name, rtype), _ignore, now)
        if not run.ended:
            return UncachedClient(self, run, done, end)
        if run.error is not None:
            raise run.error
        answer: Answer = run.result
        return answer

    def best(self, query: InFlight, answer: Answer) -> Answer:
        """The answer to a question that has been in flight, or stale data where it is a failure.

        Not where it is bogus: the zone can be reached, and has withdrawn what it signed before.
        """
        return (self.stale_instead(query) if answer.is_failure and answer.security is not Security.BOGUS else None) or answer

    def stale_instead(self, query: InFlight) -> Answer | None:
        """Stale data for who has no answer, or none that is of use."""
        stale = self.stale(query.name, query.rtype, validate=query.budget.validate)
        if stale is not None:
            self._counters.add("stale_answers")
        return stale

    def _called_off(self, name: Name) -> Answer:
        return _FAILED_OFFLINE if self._is_unreachable(name) else servfail(codes.EDE_OTHER, "too many questions in flight")

    def give_up(self, query: InFlight, now: float) -> None:
        """A client, or a check that waited nearly all of a client's timeout, had no answer in time."""
        if now - query.since >= _NEARLY_ALL * self._timeouts.client:
            query.gave_up = True
            self._iterator.suspect(query.budget, now)

    async def _run_until(self, budget: QueryBudget, core: Generator[Any, Any, Any], end: float | None = None) -> Any:
        """What a core comes to by `end` (monotonic seconds), or by the end of its time. Raises TimeoutError."""
        if end is None:
            end = budget.deadline + bounds.RECURSION_GRACE
        async with asyncio.timeout(end - self._clock.monotonic()):
            return await self.run(core)

    async def trace(self, name: Name, rtype: int) -> tuple[Answer, list[TraceStep], list[TrustLink]]:
        """Resolve past all that is remembered of names, and tell every exchange on the way, and the chain of trust."""
        budget = self._budget(self._clock.monotonic(), validate=True, traced=True)
        blank = Caches(RRsetCache(_TRACE_MEMORY), DelegationCache(_TRACE_MEMORY))
        try:
            answer: Answer = await self._run_until(budget, self._iterator.with_caches(blank).resolve(budget, lower(name), rtype))
        except TimeoutError:
            answer = Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False)
        return answer, budget.steps, budget.links

    async def fetch(self, name: Name, rtype: int) -> Response | None:
        """What a server says now of a name (lower case), neither validated nor remembered; None where none answers."""
        budget = self._budget(self._clock.monotonic(), Refresh.ALL, validate=False)
        with contextlib.suppress(TimeoutError, Exhausted):
            response: Response = await self._run_until(budget, self._iterator.fetch(budget, name, rtype))
            return response
        return None

    async def check_root(self) -> None:
        """Look at the root's keys, for what they say of the clock."""
        budget = self._budget(self._clock.monotonic(), validate=True)
        budget.checks_clock = True
        with contextlib.suppress(TimeoutError, Exhausted):
            await self._run_until(budget, self._iterator.check_root(budget))

    async def prime(self) -> float | None:
        """Ask the root who its servers are; seconds until that is to be done again, None if nobody answered (RFC 9609)."""
        budget = QueryBudget(self._clock.monotonic())
        try:
            delegation = await self._run_until(budget, self._iterator.prime(budget))
        except TimeoutError:
            return None
        return None if delegation is None else float(delegation.expires - self._clock.monotonic())

    async def reaches_anybody(self, patience: float) -> bool:
        """Whether the internet can be reached, by our own questions to servers that must answer then, within so many seconds."""
        try:
            return bool(await self.run(self._iterator.check_reachability(QueryBudget(self._clock.monotonic()), patience)))
        except Exhausted:
            return False

    @property
    def offline(self) -> bool:
        """The internet is out of reach: nobody is asked, but those who are configured for a zone of their own."""
        return self._offline

    def go_offline(self) -> None:
        """The internet is out of reach: nobody has to wait any longer for what has left."""
        self._offline = True
        for query in (*self._in_flight.values(), *self._superseded):
            if not self._iterator.has_upstream(query.name):
                self._call_off(query)

    def go_online(self) -> None:
        """What failed meanwhile was no fault of those who were asked, and is worth being tried at once."""
        self._offline = False
        self._failures.clear()
        self._iterator.network_restored()
        self.reassure()

    def _is_unreachable(self, name: Name) -> bool:
        return self._offline and not self._iterator.has_upstream(name)

    def forget_failures(self, name: Name | None = None, rtype: int | None = None) -> None:
        """Let what failed be tried again: a question, all of a name's, or everything."""
        if name is None:
            self._failures.clear()
        else:
            self._failures.forget(name, rtype)
        self._iterator.forget_outages()

    def forget_failures_below(self, zone: Name) -> None:
        """Let what failed of the names at and below a zone be tried again."""
        self._failures.forget_below(zone)
        self._iterator.forget_outages()

    async def aclose(self) -> None:
        """End every recursion."""
        for query in (*self._in_flight.values(), *self._superseded):
            self._call_off(query)
        self._driver.close()

    def stale(self, name: Name, rtype: int, *, validate: bool = True) -> Answer | None:
        """Data past its TTL, within its window and with EDE 3; None if there is none, and for lists always."""
        if is_within(name, self._list_zones):
            return None
        now, ttl = self._clock.monotonic(), self._timeouts.stale_ttl
        answer = lookup.answer(self._caches.rrsets, name, rtype, now, ttl, validated=validate and self._iterator.validates)
        if answer is None:
            return None
        return replace(answer, errors=(ExtendedError(codes.EDE_STALE),), keep=False, definite=False)

    def _refresh(self, name: Name, rtype: int, validate: bool) -> None:
        # Never for lists: a question that nobody asked would be paid for from their quota.
        if not self._prefetch.expiring or (name, rtype, validate) in self._in_flight or not self._admission.is_half_empty:
            return
        now = self._clock.monotonic()
        if not is_within(name, self._list_zones) and self._failures.get(name, rtype, now, validated=validate) is None:
            self._counters.add("prefetches")
            self._start(name, rtype, now, Refresh.EXPIRING, local=False, validate=validate)

    def _budget(
        self,
        now: float,
        refresh: Refresh = Refresh.NOTHING,
        shared_budget: SharedBudget | None = None,
        *,
        validate: bool,
        traced: bool = False,
    ) -> QueryBudget:
        wall = self._clock.wall()
        return QueryBudget(now, refresh, self.meter, shared_budget, wall=wall, validate=validate, traced=traced)

    def _start(
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
        dp = self._iterator.nearest(name, rtype, now)
        slot = self._admission.admit(
            group(name, dp.zone, forwarded=dp.forward), now, listed=is_within(name, self._list_zones), local=local
        )
        if slot is None:
            return None
        budget = self._budget(now, refresh, shared_budget, validate=validate)

        def on_delegation(dp: DelegationPoint) -> None:
            if dp.zone != slot.group:
                self._admission.move(slot, group(name, dp.zone, forwarded=dp.forward))

        budget.on_delegation = on_delegation
        query = self._in_flight[name, rtype, validate] = InFlight(name, rtype, budget, slot)
        slot.jostle = partial(self._jostle, query)
        query.deadline = self.deadlines.add(now + bounds.RECURSION_TIME + bounds.RECURSION_GRACE, partial(self._too_late, query))
        if refresh is Refresh.NOTHING:
            self._begin(query, now)
        else:
            asyncio.get_running_loop().call_soon(self._begin, query, now)  # behind the answer to who has made it be wanted
        return query

    def _begin(self, query: InFlight, now: float) -> None:
        if query.answer is None:
            core = self._iterator.resolve(query.budget, query.name, query.rtype)
            run = self._driver.start(core, partial(self._ended, query), now)
            query.run = None if run.ended else run

    def _too_late(self, query: InFlight, now: float) -> None:
        if query.run is not None:
            query.run.cancel()
        self._finish(query, self._noted(query, Answer(codes.SERVFAIL, errors=(TOO_LATE,), keep=False)))

    def _jostle(self, query: InFlight) -> None:
        self._counters.add("recursions_jostled")
        self._call_off(query)

    def _call_off(self, query: InFlight) -> None:
        """Jostled, offline, or out of time: who waits has his answer, as a value; when the daemon ends, nobody waits."""
        now = self._clock.monotonic()
        if now >= query.budget.deadline:
            self._too_late(query, now)
        else:
            self._end(query, self._called_off(query.name))

    def _end(self, query: InFlight, answer: Answer) -> None:
        """Go on no longer; who waits has this answer."""
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
            del self._in_flight[query.name, query.rtype, query.budget.validate]
        self._admission.release(query.slot)
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

    def _look_up_servers(self, dp: DelegationPoint) -> None:
        """Find out addresses of servers before the only one that has an address is silent; one name at a time."""
        now = self._clock.monotonic()
        for name in dp.unresolved if self._prefetch.server_addresses else ():
            for rtype in self._iterator.unknown_address_types(name, now)[:1]:
                key = name, rtype, False
                if key in self._in_flight or self._failures.get(name, rtype, now, validated=False) is not None:
                    continue
                if self._admission.is_half_empty and not is_within(name, self._list_zones):
                    self._counters.add("server_addresses_prefetched")
                    self._start(name, rtype, now, Refresh.EXPIRING, local=False, validate=False)
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
        self._recursions[answer.rcode][0] += 1
        is_failure = answer.is_failure
        # What is bogus has come from the internet.
        self._failed = self._failed + 1 if is_failure and answer.security is not Security.BOGUS else 0
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


def _ignore(_: object) -> None:
    """It has ended before anybody could wait for it."""
