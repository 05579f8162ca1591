"""One question to one list: from the cache, together with whoever asks the same, or over the network if the list may be asked."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from random import Random
from typing import NamedTuple, TypeAlias

from resolverd import bounds, logs
from resolverd.clock import Clock
from resolverd.dnsbl.cache import CachedResponse, QueryKey, ResponseCache
from resolverd.dnsbl.canaries import Canaries
from resolverd.dnsbl.health import CANARY_TTL
from resolverd.dnsbl.health_view import NEEDED
from resolverd.dnsbl.list_state import ListState
from resolverd.dnsbl.names import canary_name, list_name
from resolverd.dnsbl.response import FAILURE_TTL, Behaviour, ListResponse, not_sent, read_answer, read_canary, read_txt
from resolverd.dnsbl.shared_health import SharedHealth
from resolverd.dnsbl.shared_replies import SharedReplies
from resolverd.dnsbl.spec import Canary, ListSpec
from resolverd.failures import Unknown, Why
from resolverd.generation import Generation
from resolverd.mail.lookups import Clear, Listed
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Address, Name, is_subdomain, is_within, lower

_log = logging.getLogger(__name__)

_OFFLINE = Unknown(Why.TIMEOUT, "the internet is out of reach")
_PLENTY = 0.5
"""Share of a list's re-verifications that are given to whoever comes; the others are for whom nothing else speaks against."""
_REPORT_EVERY = 3600.0
"""Seconds between two log lines on unknown codes of one list."""

PendingQuery: TypeAlias = asyncio.Task[ListResponse]
"""A question in flight; it ends by itself, whoever has stopped waiting for it."""

Concerned: TypeAlias = Callable[[QueryKey], bool]
"""Which questions are concerned."""

Until: TypeAlias = Callable[[Mapping[str, ListResponse]], bool]
"""Whether what has come, by list, is enough for who asked."""


class ListQuery(NamedTuple):
    """A question to a list, how its answer is read, and what it is about; no `subject` for test points and TXT.

    `bypass_suspension` goes past caches and a list's suspension, `bypass_cache` past caches only. `background`: no verdict
    waits for it.
    """

    question: QueryKey
    read: Callable[[Answer], ListResponse]
    subject: Address | str | None = None
    bypass_suspension: bool = False
    bypass_cache: bool = False
    background: bool = False

    @property
    def uncached(self) -> bool:
        """Whether no cache may answer it."""
        return self.bypass_suspension or self.bypass_cache


def subject_query(spec: ListSpec, subject: Address | str, *, background: bool = False) -> ListQuery | None:
    """What to ask a list about a subject; None if the list is not to be asked about it."""
    name = list_name(spec, subject)
    if name is None:
        return None
    return ListQuery((name, codes.A), lambda answer: read_answer(spec, subject, answer), subject, background=background)


def canary_query(spec: ListSpec, canary: Canary, *, bypass_suspension: bool = False) -> ListQuery:
    """What to ask a list at a test point."""
    question = (canary_name(spec, canary.subject), codes.A)
    return ListQuery(question, lambda answer: read_canary(spec, canary, answer), bypass_suspension=bypass_suspension)


def txt_query(spec: ListSpec, query: ListQuery) -> ListQuery:
    """What to ask a list for its own TXT on a listing."""
    return ListQuery((query.question[0], codes.TXT), lambda answer: read_txt(spec, answer), background=True)


class Dispatcher:
    """Questions to lists, coalesced and cached."""

    def __init__(self, resolver: Resolver, clock: Clock, counters: Counters, rng: Random, generation: Generation):
        """`generation`: that of what is made of the lists' replies, which changes as their health does, or their data."""
        self._resolver = resolver
        self._clock = clock
        self._counters = counters
        self._seconds = cache(lambda name: counters.histogram("list_reply_seconds", list=name))
        self._cache = ResponseCache(bounds.LIST_REPLIES, bounds.LIST_REPLY_OCTETS)
        self._in_flight: dict[tuple[QueryKey, bool], PendingQuery] = {}
        self._probes: set[asyncio.Task[ListResponse | None]] = set()
        self._reported: dict[str, float] = {}
        self.canaries = Canaries(resolver, clock, counters, rng, self.tell)
        self._replies: SharedReplies | None = None
        self._health: SharedHealth | None = None
        self._superseded: set[PendingQuery] = set()
        self._points: dict[str, float] = {}
        self._forgotten: list[tuple[float, Concerned]] = []
        self.generation = generation

    def share(self, replies: SharedReplies, health: SharedHealth) -> None:
        """From now on tell the other hosts of the fleet what lists say and how they fare, and take it from them."""
        self._replies, self._health = replies, health
        health.on_change = self._doubted

    def reset(self, state: ListState) -> None:
        """Forget what was held against a list, by whatever host."""
        state.health.reset()
        self.generation.bump()
        if self._health is not None:
            self._health.overrule(state)
            self._health.tell(state)

    @property
    def is_shared(self) -> bool:
        """Whether there are other hosts to share with."""
        return self._health is not None

    def tell(self, state: ListState, *, poisoned: bool = False) -> None:
        """Tell the other hosts, where there are any, how a list fares."""
        if self._health is not None:
            self._health.tell(state, poisoned=poisoned)

    @property
    def responses(self) -> ResponseCache:
        """What lists have answered."""
        return self._cache

    def lookup(self, state: ListState, query: ListQuery) -> ListResponse | PendingQuery:
        """The cached response, or the query in flight; never waits."""
        if not query.uncached and (response := self.cached(state, query)) is not None:
            return response
        now, wall = self._clock.monotonic(), self._clock.wall()
        key = (query.question, query.uncached)
        task = self._in_flight.get(key)
        if task is not None:
            return task
        unavailable = state.unavailable(now, wall, bypass_suspension=query.bypass_suspension, background=query.background)
        if unavailable is not None and unavailable.why is Why.QUOTA and self._may_be_shared(query):
            unavailable = None  # another host may know it
        if unavailable is None and len(self._in_flight) >= bounds.LIST_QUESTIONS:
            unavailable = Unknown(Why.FAILED, "too many questions in flight")
        if unavailable is not None:
            return self._count(state, not_sent(unavailable))
        task = asyncio.create_task(self._fetch(state, query), name=f"list {state.spec.id}")
        self._in_flight[key] = task
        task.add_done_callback(partial(self._ended, key))
        return task

    def _ended(self, key: tuple[QueryKey, bool], task: PendingQuery) -> None:
        self._superseded.discard(task)
        if self._in_flight.get(key) is task:
            del self._in_flight[key]

    def cached(self, state: ListState, query: ListQuery) -> ListResponse | None:
        """The cached response, without asking."""
        now = self._clock.monotonic()
        cached = None if state.admin_off else self._cache.get(query.question, now)
        if cached is None:
            return None
        self._counters.add("list_cache_hits", list=state.spec.id)
        return _aged(cached, now)

    def standing(self, state: ListState, query: ListQuery) -> ListResponse | None:
        """The cached response, unless it is a listing that `reverify` might ask about."""
        now = self._clock.monotonic()
        cached = None if state.admin_off else self._cache.get(query.question, now)
        if cached is None or (isinstance(cached.response.reply, Listed) and self.must_reverify(state, query)):
            return None
        self._counters.add("list_cache_hits", list=state.spec.id)
        return _aged(cached, now)

    async def reverify(
        self, state: ListState, query: ListQuery, whose: Address | str, deadline: float
    ) -> ListResponse | None:
        """Whether a listing still stands before it refuses somebody; None if it does, or what has come in its place.

        One that has been cached for long is asked once more, and so is one that only one other host has seen and not verified; a
        verified one stands. For the others the list has to deny its test point again, if it has not done so since, as often as
        that is affordable (`Reverifications`). `whose`: the client that it would refuse; the subject where no client is known.
        """
        now = self._clock.monotonic()
        cached = self._cache.get(query.question, now)
        if cached is None or not isinstance(cached.response.reply, Listed):
            return None
        if _is_old(cached, now) or _is_hearsay(cached):
            if state.budget is not None and not state.budget.left(self._clock.wall()) and not _is_hearsay(cached):
                return None  # what is cached is all that there is until the quota comes back
            found = self.lookup(state, query._replace(bypass_cache=True))
            if not isinstance(found, ListResponse):
                await asyncio.wait({found}, timeout=max(0.0, deadline - now))
                late = not_sent(Unknown(Why.TIMEOUT, "the listing was not confirmed in time"))
                found = found.result() if found.done() and not found.cancelled() else late
            return None if isinstance(found.reply, Listed) else found
        if not _is_unverified(state, cached):
            self._tell_verified(state, query, cached)
            return None
        if not state.reverifications.take(whose, now, known_good=whose in self.canaries.known_good):
            return None
        self._counters.add("list_reverifications", list=state.spec.id)
        probe = asyncio.create_task(self.probe(state, since=cached.since))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)
        await asyncio.wait({probe}, timeout=max(0.0, deadline - now))
        failed = probe.result() if probe.done() and not probe.cancelled() else None
        if not _is_unverified(state, cached):
            self._tell_verified(state, query, cached)
        return failed if failed is not None and failed.behaviour is Behaviour.REFUSING else None

    def _tell_verified(self, state: ListState, query: ListQuery, cached: CachedResponse) -> None:
        """Tell the other hosts, once, that a listing of this one's own is verified, so that none of them need ask."""
        if self._replies is None or cached.seen_by or cached.verified or state.spec.denied is None:
            return
        if self._cache.peek(query.question) is cached:
            self._replies.put(state, query.question, cached)
            self._cache.keep(query.question, cached._replace(verified=True))

    def must_reverify(self, state: ListState, query: ListQuery) -> bool:
        """Whether `reverify` might ask about a listing."""
        now = self._clock.monotonic()
        cached = self._cache.get(query.question, now)
        if cached is None or not isinstance(cached.response.reply, Listed):
            return True  # it has changed since
        return _is_old(cached, now) or _is_hearsay(cached) or _is_unverified(state, cached)

    def is_hearsay(self, query: ListQuery) -> bool:
        """Whether a listing is known of one host only, another one than this, which has not verified it."""
        cached = self._cache.get(query.question, self._clock.monotonic()) if self._replies is not None else None
        return cached is not None and _is_hearsay(cached)

    def saves_reverifications(self, state: ListState, query: ListQuery) -> bool:
        """Whether re-verifying a listing is to be left for those who need it: it would take one of the few that are left."""
        now = self._clock.monotonic()
        cached = self._cache.get(query.question, now)
        if cached is None or not isinstance(cached.response.reply, Listed) or not _is_unverified(state, cached):
            return False
        return state.reverifications.share(now) < _PLENTY

    async def probe(self, state: ListState, since: float = float("-inf")) -> ListResponse | None:
        """Have the list deny its test point, and record it if it does not. None if it is sound.

        A probe in flight serves only if it was begun after `since`: what was true before says nothing of what came then.
        """
        now = self._clock.monotonic()
        epoch = state.begin(now)
        try:
            failed = await self.canaries.probe(state)
            if failed is None and state.health.last_passed < since:
                failed = await self.canaries.probe(state)
        except Exception as error:
            failed = self._bug(state, error)
        if failed is not None and (failed.behaviour is not Behaviour.FAILING or state.unaffordable(self._clock.wall()) is None):
            self._record(state, epoch, failed, now)
        return failed

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget all replies of these zones (lower case): their data has been changed, by those who own it."""
        self._cache.forget(zones)
        self._supersede(lambda question: is_within(lower(question[0]), zones))

    def forget_name(self, name: Name, rtype: int | None) -> int:
        """Forget what was said of a name (lower case), of one type or of all; how many replies."""
        self._supersede(lambda question: lower(question[0]) == name and rtype in (None, question[1]))
        return self._cache.forget_name(name, rtype)

    def forget_below(self, zone: Name) -> int:
        """Forget what was said of the names at and below a zone (lower case); how many replies."""
        self._supersede(lambda question: is_subdomain(lower(question[0]), zone))
        return self._cache.forget_below(zone)

    def forget_all(self) -> int:
        """Forget all replies; how many."""
        self._supersede(lambda question: True)
        return self._cache.clear()

    def _supersede(self, concerned: Concerned) -> None:
        """What was asked before is not kept, nor given to who asks from now on, nor taken from other hosts again."""
        self.generation.bump()
        if self._replies is not None:
            if len(self._forgotten) == bounds.LIST_FORGOTTEN:
                self._forgotten = [(self._clock.monotonic(), lambda question: True)]
            self._forgotten.append((self._clock.monotonic(), concerned))
        for key in [key for key in self._in_flight if concerned(key[0])]:
            self._superseded.add(self._in_flight.pop(key))

    def forget_failures(self) -> None:
        """Ask again what could not be found out."""
        self._cache.forget_failures()

    async def aclose(self) -> None:
        """End every query in flight."""
        tasks = [*self._in_flight.values(), *self._superseded, *self._probes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.canaries.aclose()
        if self._replies is not None:
            await self._replies.aclose()

    def _may_be_shared(self, query: ListQuery) -> bool:
        """Whether another host may have told what a list says here: no test points, and no TXT."""
        return self._replies is not None and query.subject is not None and not query.uncached

    async def _shared(self, state: ListState, query: ListQuery) -> ListResponse | None:
        """What another host has been told; None where the list is to be asked."""
        start, epoch = self._clock.monotonic(), state.health.epoch
        if self._replies is None or query.subject is None:
            return None
        found = await self._replies.get(state, query.question, query.subject)
        if found is None or any(found.since <= at and concerned(query.question) for at, concerned in self._forgotten):
            return None
        try:
            response = await self._vetted(state, query.subject, found.response, shared=True)
        except Exception as error:
            response = self._bug(state, error)
        is_of_before = epoch != state.health.epoch or asyncio.current_task() in self._superseded
        if response is not found.response:  # a listing, of a list that has failed its test point
            self._record(state, epoch, response, start)
            found = CachedResponse(response, start, start + response.ttl)
        if not is_of_before:
            if self._cache.differs(query.question, response, start):
                self.generation.bump()
            self._cache.keep(query.question, found)
        return self._count(state, _aged(found, start))

    async def _fetch(self, state: ListState, query: ListQuery) -> ListResponse:
        if self._may_be_shared(query) and (shared := await self._shared(state, query)) is not None:
            return shared
        wait = state.acquire(self._clock.monotonic())
        if wait is None:
            return self._count(state, not_sent(Unknown(Why.QUOTA, "its rate is used up")))
        if wait:
            await asyncio.sleep(wait)
        start, wall = self._clock.monotonic(), self._clock.wall()
        unavailable = state.unavailable(start, wall, bypass_suspension=query.bypass_suspension, background=query.background)
        if unavailable is not None:
            return self._count(state, not_sent(unavailable))
        epoch = state.begin(start)
        came = start
        try:
            answer = await self._resolver.resolve(*query.question, deadline=start + bounds.LIST_TIME, bypass_cache=query.uncached)
            came = self._clock.monotonic()
            if any(error.code == codes.EDE_NETWORK_ERROR for error in answer.errors):
                # Nothing has left for it, and nothing is to be held against it.
                return self._count(state, not_sent(_OFFLINE))
            response = query.read(answer)
            if response.behaviour is Behaviour.FAILING and (spent := state.unaffordable(self._clock.wall())) is not None:
                return self._count(state, not_sent(spent))
            if isinstance(response.reply, Listed):
                state.health.listed(came)
                if self._replies is not None:
                    self._replies.listed(state)
            if query.subject is not None and response.behaviour is Behaviour.SOUND:
                response = await self._vetted(state, query.subject, response)
        except Exception as error:
            response = self._bug(state, error)
        is_of_before = epoch != state.health.epoch or asyncio.current_task() in self._superseded
        self._record(state, epoch, response, start)
        if not is_of_before:
            if self._cache.differs(query.question, response, came):
                self.generation.bump()
            before = self._cache.peek(query.question) if self._replies is not None else None
            cached = self._cache.put(query.question, response, came, reverified=query.bypass_cache)
            if self._replies is not None and query.subject is not None:
                self._share(state, query, cached, before)
        return self._count(state, response)

    def _share(self, state: ListState, query: ListQuery, cached: CachedResponse, before: CachedResponse | None) -> None:
        """Tell the others, together with the hosts that have seen the same listing."""
        assert self._replies is not None
        if before is not None and isinstance(before.response.reply, Listed) and isinstance(cached.response.reply, Listed):
            cached = cached._replace(seen_by=before.seen_by)
        if not self._replies.put(state, query.question, cached):
            self._look_at_point(state)

    def _look_at_point(self, state: ListState) -> None:
        """See whether a list lists its test point here, so that the other hosts may be told whom it does not list."""
        point = next((canary for canary in state.spec.canaries if canary.listed), None)
        now = self._clock.monotonic()
        if point is not None and now - self._points.get(state.spec.id, float("-inf")) >= CANARY_TTL:
            self._points[state.spec.id] = now
            self.lookup(state, canary_query(state.spec, point)._replace(bypass_cache=True, background=True))

    async def _vetted(
        self, state: ListState, subject: Address | str, response: ListResponse, *, shared: bool = False
    ) -> ListResponse:
        listed = isinstance(response.reply, Listed)
        key = frozenset(response.addresses) if listed else None
        anomalous = state.anomaly.observe(subject, key, self._clock.monotonic())
        if not listed:
            return response
        anomalous |= self.canaries.known_good.is_unlisted_by(state.spec.id, subject)
        return await self.canaries.vet(state, response, anomalous=anomalous, shared=shared)

    def _doubted(self, state: ListState) -> None:
        """Other hosts have a list suspended, or have found it to list the world: what they have said of it is asked anew."""
        self._cache.drop_shared(state.spec.zone)
        self.generation.bump()

    def _bug(self, state: ListState, error: Exception) -> ListResponse:
        """A bug of ours must not cost mail; a keyed list's error could show the key."""
        logs.bug(_log, self._counters, "lists", "asking list %s failed", state.spec.id, error=error, private=state.spec.keyed)
        return ListResponse(Unknown(Why.FAILED, "internal error"), (), Behaviour.FAILING, FAILURE_TTL)

    def _record(self, state: ListState, epoch: int, response: ListResponse, start: float) -> None:
        now = self._clock.monotonic()
        since, was_suspended = state.health.last_passed, state.health.is_suspended
        self._seconds(state.spec.id).observe(now - start)
        news = state.record(epoch, response, now - start, now)
        if news:
            _log.warning("list %s %s", state.spec.id, news)
        reply = response.reply
        if response.behaviour is Behaviour.REFUSING and isinstance(reply, Unknown) and reply.why is Why.UNHEALTHY:
            # What it has listed since it was last known to be sound is taken back.
            self._cache.drop(state.spec.zone, since)
            self._cache.drop_shared(state.spec.zone)
            self.generation.bump()
            self.tell(state, poisoned=True)
        elif news or state.health.is_suspended != was_suspended:
            self.generation.bump()
            self.tell(state)
        if response.unknown_codes:
            self._report_unknown(state, response, now)

    def _report_unknown(self, state: ListState, response: ListResponse, now: float) -> None:
        """An answer that the catalogue does not know: counted always, logged once an hour a list."""
        self._counters.add("list_unknown_codes", list=state.spec.id)
        if now - self._reported.get(state.spec.id, float("-inf")) >= _REPORT_EVERY:
            self._reported[state.spec.id] = now
            code = ".".join(map(str, response.unknown_codes[0]))
            _log.warning("list %s answered %s, a code that the catalogue does not know: not listed", state.spec.id, code)

    def _count(self, state: ListState, response: ListResponse) -> ListResponse:
        reply = response.reply
        word = "listed" if isinstance(reply, Listed) else "clear" if isinstance(reply, Clear) else reply.why.value
        self._counters.add("list_replies", list=state.spec.id, reply=word)
        return response


def _is_old(cached: CachedResponse, now: float) -> bool:
    """Whether a listing has been cached for long, and was not asked for once more."""
    return now - cached.since >= CANARY_TTL and not cached.reverified


def _is_hearsay(cached: CachedResponse) -> bool:
    """Whether it is known of one host only, another one than this, which has not verified it."""
    return 0 < len(cached.seen_by) < NEEDED and not cached.verified


def _is_unverified(state: ListState, cached: CachedResponse) -> bool:
    """Whether the list has not denied its test point since it listed somebody, though it has one."""
    return not cached.verified and state.health.last_passed < cached.since and state.spec.denied is not None


def _aged(cached: CachedResponse, now: float) -> ListResponse:
    """A cached response, its TTL as it is now."""
    response = cached.response
    if isinstance(response.reply, Unknown):
        return response
    left = max(0, int(cached.until - now))
    return response._replace(reply=response.reply._replace(ttl=left, age=int(now - cached.since)), ttl=left)


async def gather_until(
    lookups: Mapping[str, ListResponse | PendingQuery], deadline: float, clock: Clock, until: Until | None = None
) -> dict[str, ListResponse]:
    """What has come by the deadline (monotonic seconds), the rest as Unknown; what was enough before that, without the rest.

    Whatever is not waited for goes on by itself.
    """
    start = clock.monotonic()
    responses = {name: each for name, each in lookups.items() if isinstance(each, ListResponse)}
    tasks = {name: each for name, each in lookups.items() if not isinstance(each, ListResponse)}
    while tasks and not (until is not None and until(responses)):
        when = asyncio.ALL_COMPLETED if until is None else asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(set(tasks.values()), timeout=max(0.0, deadline - clock.monotonic()), return_when=when)
        ms = round((clock.monotonic() - start) * 1000)
        responses |= {name: _result(task, ms) for name, task in tasks.items() if task in done}
        tasks = {name: task for name, task in tasks.items() if task not in done}
        if not done or until is None:
            return responses | dict.fromkeys(tasks, not_sent(Unknown(Why.TIMEOUT, f"no answer within {ms} ms")))
    return responses


def _result(task: PendingQuery, ms: int) -> ListResponse:
    if task.cancelled():
        return not_sent(Unknown(Why.TIMEOUT, f"no answer within {ms} ms"))
    response = task.result()
    return response if isinstance(response.reply, Unknown) else response._replace(reply=response.reply._replace(ms=ms))
