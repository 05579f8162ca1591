"""One question to one list: from memory, or together with whoever asks the same, or over the network if its gate is open."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.flow.desk import Desk
from resolverd.flow.ports import Clock, Resolver
from resolverd.mail.listnames import canary_name
from resolverd.mail.listreply import FAILURE_TTL, Conduct, Told, read_canary, unasked
from resolverd.mail.listspec import Canary
from resolverd.mail.questions import Clear, Listed
from resolverd.mail.replycache import Kept, Question, ReplyCache
from resolverd.watch.counters import Counters
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name

_log = logging.getLogger(__name__)

_REMARK_EVERY = 3600.0
"""Seconds between two remarks on unknown codes of one list."""

Flight: TypeAlias = asyncio.Task[Told]
"""A question under way; it ends by itself, whoever has stopped waiting for it."""

Reader: TypeAlias = Callable[[Answer], Told]


class Dispatch:
    """Questions to lists, coalesced and remembered."""

    def __init__(self, resolver: Resolver, clock: Clock, counters: Counters):
        self._resolver = resolver
        self._clock = clock
        self._counters = counters
        self._cache = ReplyCache(bounds.LIST_REPLIES)
        self._flights: dict[Question, Flight] = {}
        self._remarked: dict[str, float] = {}
        self._proofs: dict[Name, Flight] = {}

    def look(self, desk: Desk, question: Question, read: Reader, *, probing: bool = False) -> Told | Flight:
        """What is known, or the question on its way; never waits. `probing` goes past the cache and a list's pause."""
        now = self._clock.monotonic()
        kept = None if probing or desk.barred else self._cache.get(question, now)
        if kept is not None:
            self._counters.add("list_cache_hits", list=desk.spec.id)
            return _aged(kept, now)
        flight = self._flights.get(question)
        if flight is not None:
            return flight
        refusal = desk.refusal(now, self._clock.wall(), probing=probing)
        if refusal is None and len(self._flights) >= bounds.LIST_QUESTIONS:
            refusal = Unknown(Why.FAILED, "too many questions under way")
        if refusal is not None:
            return self._count(desk, unasked(refusal))
        flight = asyncio.create_task(self._fetch(desk, question, read, probing), name=f"list {desk.spec.id}")
        self._flights[question] = flight
        flight.add_done_callback(lambda _: self._flights.pop(question, None))
        return flight

    async def aclose(self) -> None:
        """End every question under way."""
        flights = [*self._flights.values(), *self._proofs.values()]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fetch(self, desk: Desk, question: Question, read: Reader, probing: bool) -> Told:
        wait = desk.turn(self._clock.monotonic())
        if wait is None:
            return self._count(desk, unasked(Unknown(Why.QUOTA, "its rate is used up")))
        if wait:
            await asyncio.sleep(wait)
        start = self._clock.monotonic()
        refusal = desk.refusal(start, self._clock.wall(), probing=probing)
        if refusal is not None:
            return self._count(desk, unasked(refusal))
        ticket = desk.sent(start, self._clock.wall())
        self._counters.add("list_queries", list=desk.spec.id, type=codes.type_text(question[1]))
        try:
            told = read(await self._resolver.resolve(*question, deadline=start + bounds.LIST_TIME))
            if isinstance(told.reply, Listed) and told.conduct is Conduct.SOUND:
                told = await self._proven(desk, told)
        except Exception as error:  # a bug of ours must not cost mail; a keyed list's traceback could show the key
            _log.error("list %s: %s", desk.spec.id, type(error).__name__, exc_info=None if desk.spec.keyed else error)
            self._counters.add("bugs", where="lists")
            told = Told(Unknown(Why.FAILED, "internal error"), (), Conduct.FAILING, FAILURE_TTL)
        now = self._clock.monotonic()
        news = desk.learn(ticket, told, now - start, now)
        if news:
            _log.warning("list %s %s", desk.spec.id, news)
        if told.strange:
            self._remark(desk, told, now)
        self._cache.put(question, told, now)
        return self._count(desk, told)

    async def _proven(self, desk: Desk, told: Told) -> Told:
        """A listing as it counts: not at all from a list that lists what no list may list (a parked or poisoned zone).

        The test point is asked past all caches, unless the list has denied it lately; all who wait ask it once.
        """
        canary, now = desk.spec.denied, self._clock.monotonic()
        if canary is None or desk.health.is_proven(now):
            return told
        zone = desk.spec.zone
        proof = self._proofs.get(zone)
        if proof is None:
            proof = self._proofs[zone] = asyncio.create_task(self._ask_denied(desk, canary), name=f"proof {desk.spec.id}")
            proof.add_done_callback(lambda _: self._proofs.pop(zone, None))
        found = await asyncio.shield(proof)
        return told if isinstance(found.reply, Clear) else found

    async def _ask_denied(self, desk: Desk, canary: Canary) -> Told:
        now = self._clock.monotonic()
        desk.sent(now, self._clock.wall())
        self._counters.add("list_queries", list=desk.spec.id, type="A")
        name = canary_name(desk.spec, canary.subject)
        answer = await self._resolver.resolve(name, codes.A, deadline=now + bounds.LIST_TIME, fresh=True)
        found = read_canary(desk.spec, canary, answer)
        if isinstance(found.reply, Clear):
            desk.health.proved(self._clock.monotonic())
            return found
        if isinstance(found.reply, Listed):
            self._counters.add("list_poisoned", list=desk.spec.id)
            unknown = Unknown(Why.UNHEALTHY, f"it lists {canary.subject}, which no list may list")
            return Told(unknown, (), Conduct.REFUSING, FAILURE_TTL)
        return found

    def _remark(self, desk: Desk, told: Told, now: float) -> None:
        """An answer that the catalogue does not know: counted always, logged once an hour a list."""
        self._counters.add("list_unknown_codes", list=desk.spec.id)
        if now - self._remarked.get(desk.spec.id, float("-inf")) >= _REMARK_EVERY:
            self._remarked[desk.spec.id] = now
            code = ".".join(map(str, told.strange[0]))
            _log.warning("list %s answered %s, a code that the catalogue does not know: not listed", desk.spec.id, code)

    def _count(self, desk: Desk, told: Told) -> Told:
        reply = told.reply
        word = "listed" if isinstance(reply, Listed) else "clear" if isinstance(reply, Clear) else reply.why.value
        self._counters.add("list_replies", list=desk.spec.id, reply=word)
        return told


def _aged(kept: Kept, now: float) -> Told:
    """A remembered reply, its TTL as it is now."""
    told = kept.told
    if isinstance(told.reply, Unknown):
        return told
    left = max(0, int(kept.until - now))
    return told._replace(reply=told.reply._replace(ttl=left, age=int(now - kept.since)), ttl=left)
