"""One question to one list: from memory, or together with whoever asks the same, or over the network if its gate is open."""

import asyncio
import logging
from random import Random
from typing import TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.cache import Kept, Question, ReplyCache
from resolverd.dnsbl.canaries import Proofs
from resolverd.dnsbl.health import PROOF
from resolverd.dnsbl.list_query import Errand
from resolverd.dnsbl.list_state import Desk
from resolverd.dnsbl.response import FAILURE_TTL, Conduct, Told, unasked
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire import codes
from resolverd.wire.names import Address, Name

_log = logging.getLogger(__name__)

_OFFLINE = Unknown(Why.TIMEOUT, "the internet is out of reach")
_PLENTY = 0.5
"""Share of a list's second looks that are given to whoever comes; the others are for whom nothing else speaks against."""
_REMARK_EVERY = 3600.0
"""Seconds between two remarks on unknown codes of one list."""

Flight: TypeAlias = asyncio.Task[Told]
"""A question under way; it ends by itself, whoever has stopped waiting for it."""


class Dispatch:
    """Questions to lists, coalesced and remembered."""

    def __init__(self, resolver: Resolver, clock: Clock, counters: Counters, rng: Random):
        self._resolver = resolver
        self._clock = clock
        self._counters = counters
        self._cache = ReplyCache(bounds.LIST_REPLIES, bounds.LIST_REPLY_OCTETS)
        self._flights: dict[tuple[Question, bool], Flight] = {}
        self._probes: set[asyncio.Task[Told | None]] = set()
        self._remarked: dict[str, float] = {}
        self.proofs = Proofs(resolver, clock, counters, rng)
        self.purges = 0
        """How often listings were taken back, so that what was made of them is made anew."""

    def look(self, desk: Desk, errand: Errand) -> Told | Flight:
        """What is known, or the question on its way; never waits."""
        anew = errand.probing or errand.fresh
        if not anew and (told := self.recall(desk, errand)) is not None:
            return told
        now, wall = self._clock.monotonic(), self._clock.wall()
        key = (errand.question, anew)
        flight = self._flights.get(key)
        if flight is not None:
            return flight
        refusal = desk.refusal(now, wall, probing=errand.probing, needless=errand.needless)
        if refusal is None and len(self._flights) >= bounds.LIST_QUESTIONS:
            refusal = Unknown(Why.FAILED, "too many questions under way")
        if refusal is not None:
            return self._count(desk, unasked(refusal))
        flight = asyncio.create_task(self._fetch(desk, errand), name=f"list {desk.spec.id}")
        self._flights[key] = flight
        flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return flight

    def recall(self, desk: Desk, errand: Errand) -> Told | None:
        """What is known, without asking."""
        now = self._clock.monotonic()
        kept = None if desk.barred else self._cache.get(errand.question, now)
        if kept is None:
            return None
        self._counters.add("list_cache_hits", list=desk.spec.id)
        return _aged(kept, now)

    async def second_look(self, desk: Desk, errand: Errand, deadline: float) -> Told | None:
        """Whether a listing still stands before it refuses somebody; None if it does, or what has come in its place.

        One that has lain in the cache for long is asked once more. For the others the list has to deny its test point
        again, if it has not done so since, as often as that is affordable.
        """
        now = self._clock.monotonic()
        kept = self._cache.get(errand.question, now)
        if kept is None or not isinstance(kept.told.reply, Listed):
            return None
        if now - kept.since >= PROOF and not kept.confirmed:
            if desk.budget is not None and not desk.budget.left(self._clock.wall()):
                return None  # what is remembered is all that there is until the quota comes back
            look = self.look(desk, errand._replace(fresh=True))
            if not isinstance(look, Told):
                await asyncio.wait({look}, timeout=max(0.0, deadline - now))
                late = unasked(Unknown(Why.TIMEOUT, "the listing was not confirmed in time"))
                look = look.result() if look.done() and not look.cancelled() else late
            return None if isinstance(look.reply, Listed) else look
        if not _is_unproven(desk, kept) or desk.second_looks.take(now) is None:
            return None
        self._counters.add("list_second_looks", list=desk.spec.id)
        probe = asyncio.create_task(self.probe(desk, since=kept.since))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)
        await asyncio.wait({probe}, timeout=max(0.0, deadline - now))
        failed = probe.result() if probe.done() and not probe.cancelled() else None
        return failed if failed is not None and failed.conduct is Conduct.REFUSING else None

    def saves_looks(self, desk: Desk, errand: Errand) -> bool:
        """Whether a second look at a listing is to be saved for those who need it: it would take one of the few that are left."""
        now = self._clock.monotonic()
        kept = self._cache.get(errand.question, now)
        if kept is None or not isinstance(kept.told.reply, Listed) or not _is_unproven(desk, kept):
            return False
        return desk.second_looks.share(now) < _PLENTY

    async def probe(self, desk: Desk, since: float = float("-inf")) -> Told | None:
        """Have the list deny its test point, and book it if it does not. None if it is sound.

        A proof under way serves only if it was begun after `since`: what was true before says nothing of what came then.
        """
        now = self._clock.monotonic()
        ticket = desk.start(now)
        try:
            failed = await self.proofs.prove(desk)
            if failed is None and desk.health.proven < since:
                failed = await self.proofs.prove(desk)
        except Exception as error:
            failed = self._bug(desk, error)
        if failed is not None:
            self._book(desk, ticket, failed, now)
        return failed

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget all replies of these zones (lower case): their data has been changed, by those who own it."""
        self._cache.forget(zones)
        self.purges += 1

    def forget_failures(self) -> None:
        """Ask again what could not be found out."""
        self._cache.forget_failures()

    async def aclose(self) -> None:
        """End every question under way."""
        tasks = [*self._flights.values(), *self._probes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.proofs.aclose()

    async def _fetch(self, desk: Desk, errand: Errand) -> Told:
        wait = desk.turn(self._clock.monotonic())
        if wait is None:
            return self._count(desk, unasked(Unknown(Why.QUOTA, "its rate is used up")))
        if wait:
            await asyncio.sleep(wait)
        start = self._clock.monotonic()
        refusal = desk.refusal(start, self._clock.wall(), probing=errand.probing, needless=errand.needless)
        if refusal is not None:
            return self._count(desk, unasked(refusal))
        ticket = desk.start(start)
        anew = errand.probing or errand.fresh
        came = start
        try:
            answer = await self._resolver.resolve(*errand.question, deadline=start + bounds.LIST_TIME, fresh=anew)
            came = self._clock.monotonic()
            if any(error.code == codes.EDE_NETWORK_ERROR for error in answer.errors):
                # Nothing has left for it, and nothing is to be held against it.
                return self._count(desk, unasked(_OFFLINE))
            told = errand.read(answer)
            if told.conduct is Conduct.FAILING and (spent := self._spent(desk)) is not None:
                return self._count(desk, unasked(spent))
            if errand.subject is not None and told.conduct is Conduct.SOUND:
                told = await self._weighed(desk, errand.subject, told)
        except Exception as error:
            told = self._bug(desk, error)
        self._book(desk, ticket, told, start)
        self._cache.put(errand.question, told, came, confirmed=errand.fresh)
        return self._count(desk, told)

    def _spent(self, desk: Desk) -> Unknown | None:
        """The reason of a failure that was no fault of the list: its quota ended between two packets."""
        refusal = desk.refusal(self._clock.monotonic(), self._clock.wall(), probing=True)
        return refusal if refusal is not None and refusal.why is Why.QUOTA else None

    async def _weighed(self, desk: Desk, subject: Address | str, told: Told) -> Told:
        listed = isinstance(told.reply, Listed)
        key = frozenset(told.addresses) if listed else None
        suspicious = desk.suspicion.note(subject, key, self._clock.monotonic())
        if not listed:
            return told
        # A client that somebody vouches for, and that this list did not list the last time.
        suspicious |= subject in self.proofs.witnesses.against(desk.spec.id)
        return await self.proofs.weigh(desk, told, suspicious=suspicious)

    def _bug(self, desk: Desk, error: Exception) -> Told:
        """A bug of ours must not cost mail; a keyed list's traceback could show the key."""
        _log.error("list %s: %s", desk.spec.id, type(error).__name__, exc_info=None if desk.spec.keyed else error)
        self._counters.add("bugs", where="lists")
        return Told(Unknown(Why.FAILED, "internal error"), (), Conduct.FAILING, FAILURE_TTL)

    def _book(self, desk: Desk, ticket: int, told: Told, start: float) -> None:
        now = self._clock.monotonic()
        since = desk.health.proven
        news = desk.learn(ticket, told, now - start, now)
        if news:
            _log.warning("list %s %s", desk.spec.id, news)
        if told.conduct is Conduct.REFUSING and isinstance(told.reply, Unknown) and told.reply.why is Why.UNHEALTHY:
            # What it has listed since it was last known to be sound is taken back.
            self._cache.drop(desk.spec.zone, since)
            self.purges += 1
        if told.strange:
            self._remark(desk, told, now)

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


def _is_unproven(desk: Desk, kept: Kept) -> bool:
    """Whether the list has not denied its test point since it listed somebody, though it has one."""
    return desk.health.proven < kept.since and desk.spec.denied is not None


def _aged(kept: Kept, now: float) -> Told:
    """A remembered reply, its TTL as it is now."""
    told = kept.told
    if isinstance(told.reply, Unknown):
        return told
    left = max(0, int(kept.until - now))
    return told._replace(reply=told.reply._replace(ttl=left, age=int(now - kept.since)), ttl=left)
