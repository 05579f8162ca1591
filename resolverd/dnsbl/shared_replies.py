"""What lists have answered to any host of a fleet, as a second cache behind each host's own: nobody asks what another knows.

The store is asked before anything is asked or charged, and given `bounds.LIST_SHARED_TIME` for its answer; once it is late it
is left alone for a while, and tried again behind the back of those who wait. What it holds is believed no further than this:

- that a subject is listed, on the word of one host, refuses mail here only if that host has had the list deny its test point
  since, as before a refusal of its own, or if this one asks for itself (`Dispatcher.reverify`): what answers for the list there
  need not be what answers here. Two hosts that have asked for themselves are enough for all others;
- that it is not listed, from a host that has seen the list list somebody of late, its test point if nobody else: one whose
  resolver denies everything tells the others nothing;
- a listing from before the list was found to list the world (`SharedHealth.voids`) is none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.cache import CachedResponse, QueryKey
from resolverd.dnsbl.health_view import NEEDED, TOLERANCE
from resolverd.dnsbl.list_state import ListState
from resolverd.dnsbl.reply_record import SharedReply, decode, encode, key_of, reading_of
from resolverd.dnsbl.response import Behaviour, read_shared
from resolverd.dnsbl.shared_health import SharedHealth
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import StoreError
from resolverd.mail.lookups import Listed
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.wire.names import Address

TABLE: Final = "list-replies"
KNOWS_FOR: Final = 3600.0
"""Seconds since a host has seen a list list somebody, in which it tells the others whom the list does not list."""
_JUST: Final = 10.0
"""Seconds within which what was said before a list was seen to list somebody was said by the same."""
_PAUSE: Final = 0.5
"""Seconds for which a store that was late is left alone, doubled each time in a row."""
_PAUSE_UP_TO: Final = 10.0
_TURNS: Final = 3
"""Turns of the loop that an answer has which came in time, but behind whatever held the loop up."""


class SharedReplies:
    """The replies of all hosts. `clock`: that which they have in common. `host`: this one's id."""

    def __init__(self, store: Store, clock: Clock, counters: Counters, host: Callable[[], str], health: SharedHealth):
        self._store = store
        self._clock = clock
        self._counters = counters
        self._host = host
        self._health = health
        self._readings: dict[str, tuple[ListSpec, str]] = {}
        self._waiting: dict[str, dict[QueryKey, CachedResponse]] = {}
        self._resumes = float("-inf")
        self._pause = 0.0
        self._trial: asyncio.Task[bytes | None] | None = None

    async def get(self, state: ListState, question: QueryKey, subject: Address | str) -> CachedResponse | None:
        """What a list has said, in the own clock's monotonic seconds; None where it is to be asked. Never raises.

        `seen_by`: the hosts that have asked for themselves, where this one is not among them.
        """
        spec = state.spec
        octets = await self._read(key_of(spec, self._reading(spec), question[0]))
        found = None if octets is None else self._taken(spec, subject, octets)
        if octets is not None:
            self._counters.add("list_shared_replies", list=spec.id, outcome="used" if found is not None else "unfit")
        return found

    def put(self, state: ListState, question: QueryKey, cached: CachedResponse) -> bool:
        """Tell the other hosts what a list has said; `seen_by`: those of which that was known before. Never raises.

        False where they are told only once the list is seen to list somebody (`listed`).
        """
        response, spec = cached.response, state.spec
        now = self._clock.monotonic()
        if response.behaviour is not Behaviour.SOUND or len(response.addresses) > bounds.LIST_SHARED_ADDRESSES:
            return True
        if not isinstance(response.reply, Listed) and now - state.health.last_listed > KNOWS_FOR:
            waiting = self._waiting.setdefault(spec.id, {})
            waiting[question] = cached
            if len(waiting) > bounds.LIST_UNSHARED:
                del waiting[next(iter(waiting))]
            return False
        ahead = self._clock.wall() - now
        hosts = tuple(dict.fromkeys((self._host(), *cached.seen_by)))[:NEEDED]
        # What may be false, as the list may have begun to list the world, is told as that.
        verified = spec.denied is not None and state.health.last_passed >= cached.since
        reply = SharedReply(cached.since + ahead, cached.until + ahead, response.addresses, hosts, verified)
        try:
            if now >= self._resumes and self._store.has_room():
                key = key_of(spec, self._reading(spec), question[0])
                self._store.put(TABLE, key, encode(reply), reply.until)
        except StoreError:
            self._leave_alone()
        return True

    def listed(self, state: ListState) -> None:
        """A list has been seen to list somebody: what it has just said of others may be told."""
        for question, cached in self._waiting.pop(state.spec.id, {}).items():
            if self._clock.monotonic() - cached.since < _JUST:
                self.put(state, question, cached)

    async def aclose(self) -> None:
        """End what goes on behind the back of those who wait."""
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.gather(self._trial, return_exceptions=True)

    async def _read(self, key: bytes) -> bytes | None:
        """The record; None where there is none, or it does not come in time."""
        if self._pause:
            if self._clock.monotonic() >= self._resumes:
                self._try(key)
            return None
        reading = asyncio.ensure_future(self._store.get(TABLE, key, self._clock.wall()))
        try:
            await asyncio.wait({reading}, timeout=bounds.LIST_SHARED_TIME)
            for _ in range(_TURNS):
                if not reading.done():
                    await asyncio.sleep(0)
        finally:
            in_time = reading.done()
            reading.cancel()
        if in_time and not reading.cancelled() and reading.exception() is None:
            return reading.result()
        self._leave_alone()
        return None

    def _try(self, key: bytes) -> None:
        """See whether it is in time again; nobody waits for that."""
        if self._trial is not None:
            self._trial.cancel()
        self._leave_alone()
        begun = self._clock.monotonic()

        def ended(reading: "asyncio.Task[bytes | None]") -> None:
            if self._trial is reading:
                self._trial = None
            if reading.cancelled() or reading.exception() is not None:
                return
            if self._clock.monotonic() - begun <= bounds.LIST_SHARED_TIME:
                self._pause = 0.0

        self._trial = asyncio.ensure_future(self._store.get(TABLE, key, self._clock.wall()))
        self._trial.add_done_callback(ended)

    def _leave_alone(self) -> None:
        """It is late, or out of reach; those who were at it at the same time have found out the same."""
        now = self._clock.monotonic()
        if now >= self._resumes:
            self._pause = min(2 * self._pause or _PAUSE, _PAUSE_UP_TO)
            self._resumes = now + self._pause
            self._counters.add("list_shared_pauses")

    def _taken(self, spec: ListSpec, subject: Address | str, octets: bytes) -> CachedResponse | None:
        """A record as this host reads it; None for one that is malformed, of no time, or void."""
        reply = decode(octets)
        wall = self._clock.wall()
        if reply is None:
            self._counters.add("list_shared_damaged_records")
            return None
        longest = spec.max_ttl if reply.addresses else spec.negative_max_ttl
        since, until = min(reply.since, wall), min(reply.until, reply.since + longest)
        if reply.since > wall + TOLERANCE or not wall < until:
            return None
        response = read_shared(spec, subject, reply.addresses, round(until - since))
        if response.behaviour is not Behaviour.SOUND:
            return None
        listed = isinstance(response.reply, Listed)
        if listed and self._health.voids(spec, reply.since):
            return None
        ahead = wall - self._clock.monotonic()
        seen_by = () if self._host() in reply.hosts else reply.hosts
        return CachedResponse(response, since - ahead, until - ahead, seen_by=seen_by, verified=bool(seen_by) and reply.verified)

    def _reading(self, spec: ListSpec) -> str:
        known = self._readings.get(spec.id)
        if known is None or known[0] is not spec:
            known = self._readings[spec.id] = spec, reading_of(spec)
        return known[1]
