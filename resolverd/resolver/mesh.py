"""Recursion for clients: answers from memory, by a recursion of its own, with stale data or with failure.

One question is recursed for once, however many ask it, and goes on when those who asked have stopped waiting (`recursions`).
"""

from typing import NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.cache import Caches
from resolverd.resolver.cache.failures import FailureCache
from resolverd.resolver.in_flight import TOO_LATE, Client, InFlight, UncachedClient
from resolverd.resolver.iterator import lookup
from resolverd.resolver.iterator.budget import Refresh, SharedBudget
from resolverd.resolver.iterator.interception import RootCheck
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.loops import Loops
from resolverd.resolver.own_questions import OwnQuestions
from resolverd.resolver.ports import Done, Network, Waiting
from resolverd.resolver.recursions import Prefetch, Recursions
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.names import Address, Name, is_within, lower
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import Security, Trust, each_once


class Timeouts(NamedTuple):
    """How long clients wait, in seconds: for anything at all, and before stale data is preferred (RFC 8767 §5).

    `stale_ttl` is the TTL that stale data gets.
    """

    client: float = 4.0
    stale: float = 1.8
    stale_ttl: int = bounds.STALE_TTL


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
        self._timeouts = timeouts
        self._list_zones = list_zones
        self._redactor = redactor
        self.recursions = Recursions(iterator, failures, network, clock, counters, list_zones, prefetch, redactor)
        self._in_flight = self.recursions.in_flight
        self._driver = self.recursions.driver
        self.run = self._driver.run
        self.own = OwnQuestions(self.recursions, clock)
        self.deadlines = self._driver.deadlines
        self._loops = Loops()
        self._offline = False

    def configure(self, timeouts: Timeouts, list_zones: frozenset[Name], prefetch: Prefetch, redactor: Redactor) -> None:
        """Go on by another configuration, with an iteration of it that `supersede` brings."""
        self._timeouts = timeouts
        self._list_zones = list_zones
        self._redactor = redactor
        self._loops.forget()
        self.recursions.configure(list_zones, prefetch, redactor)

    def supersede(self, iterator: Iterator, caches: Caches) -> None:
        """Go on over other caches: what names are answered with has changed.

        What is in flight answers those who wait for it, over the caches with which it was begun, and nobody else.
        """
        self._iterator = iterator
        self._caches = caches
        self.recursions.supersede(iterator)

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
        return max(self.unanswered, self.recursions.failed) >= _DOUBTFUL

    def reassure(self) -> None:
        """The internet can be reached, so what has come to nothing was somebody else's fault."""
        self._iterator.reset_unanswered()
        self.recursions.failed = 0

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
            self.recursions.refresh(lower(name), rtype, validate)
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
            query = self.recursions.start(name, rtype, now, shared_budget=shared_budget, local=local, validate=validate)
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
                self.recursions.admission.adopt(query.slot)
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
            for query in self.recursions.all:
                dp = query.budget.asked_last
                if dp is not None and dp.zone == zone and (failure := loops.failure(dp, now)) is not None:
                    self.recursions.call_off(query, failure)
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
        budget = self.recursions.budget(now, Refresh.ALL, validate=True)
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

    def give_up(self, query: InFlight, now: float) -> None:
        """A client, or a check that waited nearly all of a client's timeout, had no answer in time."""
        if now - query.since >= _NEARLY_ALL * self._timeouts.client:
            query.gave_up = True
            self._iterator.suspect(query.budget, now)

    @property
    def offline(self) -> bool:
        """The internet is out of reach: nobody is asked, but those who are configured for a zone of their own."""
        return self._offline

    def go_offline(self) -> None:
        """The internet is out of reach: nobody has to wait any longer for what has left."""
        self._offline = True
        for query in self.recursions.all:
            if not self._iterator.has_upstream(query.name):
                self.recursions.call_off(query, _FAILED_OFFLINE)

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
        for query in self.recursions.all:
            self.recursions.call_off(query, _FAILED_OFFLINE)
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

def _ignore(_: object) -> None:
    """It has ended before anybody could wait for it."""
