"""Asking lists: all at once, each within its quota and rate, identical questions only once, never longer than the deadline.

Who asks waits until its deadline and no longer; the question itself goes on and its reply lands in the cache, so that a
cancelled or hurried caller never costs a list a second question.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from random import Random
from typing import TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.aggregate import UNREACHABLE
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.dnsbl.list_state import ListState, QuotaMeter
from resolverd.dnsbl.lookup import ListQuery, PendingQuery, canary_query, gather_until, subject_query, txt_query
from resolverd.dnsbl.names import unmapped
from resolverd.dnsbl.response import ListResponse, as_documented, not_for, with_txt
from resolverd.dnsbl.spec import Canary, ListSpec, ListStatus
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import SKIPPED, Clear, Listed, ListLookup, ListReply, Skipped
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire.names import Address, Name, is_within, lower

_log = logging.getLogger(__name__)

Enough: TypeAlias = Callable[[Mapping[str, ListReply], Sequence[str]], bool]
"""Whether the replies so far, by list, settle the matter, whatever the lists named behind them may still say."""

_LAST_STAGE = 3
"""The stage of lists of whose quota only the reserve is left, behind all others: asked while nothing else has decided."""


class Engine:
    """The lists, asked side by side. `others` are known but not enabled: asked only for clients that name them (guard).

    `frugal`: allow lists first, block lists only while they may decide. `meter` is to be charged with every query that leaves.
    `memory` is what outlives this configuration.
    """

    def __init__(
        self,
        specs: Sequence[ListSpec],
        resolver: Resolver,
        clock: Clock,
        counters: Counters,
        *,
        others: Sequence[ListSpec] = (),
        frugal: bool = False,
        rng: Random | None = None,
        memory: ListMemory | None = None,
    ):
        self._clock = clock
        memory = memory or ListMemory(resolver, clock, counters, rng)
        self._dispatcher = memory.dispatcher
        self._states = memory.configure(others, specs)
        self._foreign = memory.foreign
        self.frugal = frugal
        self.on_demand = asyncio.Semaphore(bounds.LIST_ON_DEMAND)
        """To be held while lists are asked `besides` those that are enabled."""
        self.meter = memory.meter = QuotaMeter(self._states.values(), clock, counters)
        for zone, state in self._foreign.items():
            self.meter.add(zone, state)

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment."""
        return tuple(state.spec for state in self._states.values() if state.enabled)

    @property
    def known(self) -> dict[str, ListSpec]:
        """Every list by id, enabled or not."""
        return {name: state.spec for name, state in self._states.items()}

    @property
    def generation(self) -> int:
        """Another one after every change of what lists say, or of whether they are asked: what was made of it is made anew."""
        return self._dispatcher.generation.number

    def stage(self, lookup: ListLookup) -> int:
        """When a question is to be asked: those of a later stage only if what came of the earlier ones leaves it open."""
        state = self._states[lookup.list_id]
        last = _LAST_STAGE if state.on_reserve(self._clock.wall()) else 0
        if not self.frugal or state.spec.allows:
            return last
        return last + (2 if isinstance(lookup.subject, str) else 1)

    async def ask(self, lookup: ListLookup, *, deadline: float) -> ListReply:
        """What one list says, by `deadline` (monotonic seconds). Raises KeyError for a list that is not known.

        A subject that it cannot list (wrong kind, private address, no domain) is clear, without asking. An allow list that
        has answered nothing for an hour is unhealthy rather than out of reach: nobody shall gain by attacking it.
        """
        state = self._states[lookup.list_id]
        if not state.enabled:
            return Unknown(Why.UNHEALTHY, "switched off")
        pending = self._lookup(state, state.spec, subject_query(state.spec, lookup.subject))
        responses = await gather_until({lookup.list_id: pending}, deadline, self._clock)
        reply = responses[lookup.list_id].reply
        if isinstance(reply, Unknown) and reply.why in UNREACHABLE and state.health.unreachable(self._clock.monotonic()):
            return Unknown(Why.UNHEALTHY, "out of reach for more than an hour")
        return reply

    def cached(self, lookup: ListLookup) -> ListReply | None:
        """What one list has said, where it is still known. Raises KeyError for a list that is not known."""
        state = self._states[lookup.list_id]
        query = subject_query(state.spec, lookup.subject) if state.enabled else None
        response = self._dispatcher.cached(state, query) if query is not None else None
        return None if response is None or isinstance(response.reply, Unknown) else response.reply

    async def ask_all(
        self,
        subject: Address | str,
        *,
        deadline: float,
        purpose: str | None = None,
        enough: Enough | None = None,
        background: bool = False,
        besides: AbstractSet[str] = frozenset(),
        only: str = "",
    ) -> dict[str, ListReply | Skipped]:
        """What every enabled list of the subject's kind says, and those `besides` (by id), of one purpose or of both.

        `enough` is given what has come and the ids of those that are open; once it says so, nobody waits any longer, and
        what comes later is in the cache for the next. `background`: no verdict waits for it. `only`: of those lists this one (by
        id).
        """
        if not isinstance(subject, str):
            subject = unmapped(subject)
        stages: dict[int, list[ListState]] = {}
        for state in self._states.values():
            is_asked = state.enabled or (state.spec.id in besides and not state.admin_off)
            if is_asked and only in ("", state.spec.id) and state.spec.takes(subject) and purpose in (None, state.spec.purpose):
                stage = 0 if enough is None else self.stage(ListLookup(state.spec.id, subject))
                stages.setdefault(stage, []).append(state)
        replies: dict[str, ListReply] = {}
        asked = waiting = [state.spec.id for stage in sorted(stages) for state in stages[stage]]
        for stage in sorted(stages):
            if enough is not None and replies and enough(replies, waiting):
                break
            specs = [(state, state.spec) for state in stages[stage]]
            pending = {
                spec.id: self._lookup(state, spec, subject_query(spec, subject, background=background))
                for state, spec in specs
            }
            until = None if enough is None else partial(_is_enough, enough, dict(replies), waiting)
            came = await gather_until(pending, deadline, self._clock, until)
            replies |= {name: response.reply for name, response in came.items()}
            waiting = waiting[len(pending) :]
        return {**dict.fromkeys(asked, SKIPPED), **replies}

    async def reverify(
        self, lookups: Iterable[ListLookup], *, client: Address | None = None, deadline: float
    ) -> dict[ListLookup, ListReply]:
        """Re-verify listings that are about to refuse somebody, where they are old or surprising; what has changed comes back.

        `client`: whom they would refuse, where that is known: no network has all the re-verifications, and some are kept for
        clients with a good history.
        """
        asked = list(lookups)
        specs = [self._states[lookup.list_id].spec for lookup in asked]
        pending = (
            self.reverify_for(spec, lookup.subject, client=client, deadline=deadline)
            for spec, lookup in zip(specs, asked, strict=True)
        )
        found = zip(asked, await asyncio.gather(*pending), strict=True)
        return {lookup: response.reply for lookup, response in found if response is not None}

    def must_reverify(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether `reverify` might ask about any of these listings."""
        for lookup in lookups:
            state = self._states[lookup.list_id]
            query = subject_query(state.spec, lookup.subject)
            if query is not None and self._dispatcher.must_reverify(state, query):
                return True
        return False

    def is_hearsay(self, lookup: ListLookup) -> bool:
        """Whether a listing is known of one host only, another one than this, which has not verified it: it refuses nobody."""
        state = self._states[lookup.list_id]
        query = subject_query(state.spec, lookup.subject)
        return query is not None and self._dispatcher.is_hearsay(query)

    def saves_reverifications(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether it is worth finding out first what else speaks against a client, as few re-verifications are left."""
        for lookup in lookups:
            state = self._states[lookup.list_id]
            query = subject_query(state.spec, lookup.subject)
            if query is not None and self._dispatcher.saves_reverifications(state, query):
                return True
        return False

    async def reverify_for(
        self, spec: ListSpec, subject: Address | str, *, client: Address | None = None, deadline: float
    ) -> ListResponse | None:
        """The same for one list, one that a client named too; None if the listing stands."""
        query = subject_query(spec, subject)
        if query is None:
            return None
        whose = subject if client is None else client
        return await self._dispatcher.reverify(
            self._state_of(spec), query, whose if isinstance(whose, str) else unmapped(whose), deadline
        )

    async def refresh(self, lookups: Iterable[ListLookup], *, deadline: float) -> dict[ListLookup, ListReply]:
        """Ask past the cache, as far as quotas have more than their reserve left.

        What could not be found out by `deadline` (monotonic seconds) is left out.
        """
        asked = list(lookups)
        pending: dict[str, ListResponse | PendingQuery] = {}
        for number, lookup in enumerate(asked):
            state = self._states[lookup.list_id]
            query = subject_query(state.spec, lookup.subject, background=True) if state.enabled else None
            if query is not None:
                pending[str(number)] = self._dispatcher.lookup(state, query._replace(bypass_cache=True))
        responses = await gather_until(pending, deadline, self._clock)
        return {asked[int(number)]: each.reply for number, each in responses.items() if not isinstance(each.reply, Unknown)}

    def add_known_good(self, client: Address, cleared: Iterable[str]) -> None:
        """A client is known as good, and these lists (by id) do not list it: they must not do so all of a sudden."""
        self._dispatcher.canaries.known_good.add(unmapped(client), cleared)

    async def ask_for(
        self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float
    ) -> ListResponse:
        """What a list says to a client that named it, with the list's own records; `canary` if the subject is a test point.

        `spec` may have been made for a key of the client's own, or be a part of a list: its health is then its own, and of a
        key the quota, too.
        """
        pending = self._lookup(self._state_of(spec), spec, _named_query(spec, subject, canary))
        return (await gather_until({"": pending}, deadline, self._clock))[""]

    def standing_for(self, spec: ListSpec, subject: Address | str) -> ListResponse | None:
        """The same where it is known and nothing has to be asked for it, be it to re-verify a listing."""
        query = subject_query(spec, subject)
        return not_for(spec) if query is None else self._dispatcher.standing(self._state_of(spec), query)

    async def txt_for(
        self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float
    ) -> ListResponse:
        """The same with the list's own TXT as the reason of a listing, where it has one and may be asked for it."""
        state = self._state_of(spec)
        query = _named_query(spec, subject, canary)
        if query is None:
            return not_for(spec)
        # Both at once, unless the cache says already that it is not listed.
        pending = {"a": self._dispatcher.lookup(state, query)}
        now = pending["a"]
        if not isinstance(now, ListResponse) or isinstance(now.reply, Listed):
            pending["txt"] = self._dispatcher.lookup(state, txt_query(spec, query))
        responses = await gather_until(pending, deadline, self._clock)
        return with_txt(responses["a"], responses["txt"]) if "txt" in responses else responses["a"]

    async def probe(self, list_id: str, *, deadline: float) -> ListStatus | None:
        """Ask a list's test points past the cache; if they answer as documented, end its suspension. None for no such list."""
        state = self._states.get(list_id)
        if state is None:
            return None
        points = [canary for canary in state.spec.canaries if canary.listed]
        asked = {str(point.subject): canary_query(state.spec, point, bypass_suspension=True) for point in points}
        pending = {name: self._dispatcher.lookup(state, query) for name, query in asked.items()}
        denied, responses = await asyncio.gather(self._dispatcher.probe(state), gather_until(pending, deadline, self._clock))
        silent = [str(point.subject) for point in points if isinstance(responses[str(point.subject)].reply, Clear)]
        if silent:
            text = f"it does not list {', '.join(silent)}, its own test point: emptied, perhaps given up"
            state.set_error(text)
            _log.warning("list %s: %s", state.spec.id, text)
        listed = all(as_documented(point, responses[str(point.subject)]) for point in points)
        if state.spec.canaries and denied is None and listed:
            self._dispatcher.reset(state)
        return self.status(list_id)

    def is_vouched_for(self, list_id: str, seconds: float) -> bool:
        """Whether mail to a fleet has shown within so many seconds that a list is sound, here too; never for a host alone."""
        health = self._states[list_id].health
        return self._dispatcher.is_shared and health.is_vouched_for(self._clock.monotonic(), seconds)

    def asked(self, list_id: str) -> int:
        """How many questions have left for a list since the start."""
        return self._states[list_id].asked

    def set_watched(self, list_id: str, addresses: tuple[str, ...]) -> None:
        """Note which of our own addresses a list lists."""
        self._states[list_id].watched = addresses

    def status(self, list_id: str) -> ListStatus | None:
        """How one list fares; None if there is none of that name."""
        state = self._states.get(list_id)
        return None if state is None else state.status(self._clock.monotonic(), self._clock.wall())

    def statuses(self) -> list[ListStatus]:
        """How every list fares, enabled or not, by number."""
        states = sorted(self._states.values(), key=lambda state: state.spec.number)
        return [state.status(self._clock.monotonic(), self._clock.wall()) for state in states]

    def enable(self, list_id: str) -> ListStatus | None:
        """Use a list until the next start, and forget what was held against it. None if there is none of that name."""
        if state := self._states.get(list_id):
            state.enabled, state.admin_off = True, False
            self._dispatcher.reset(state)
        return self.status(list_id)

    def disable(self, list_id: str) -> ListStatus | None:
        """Stop using a list until the next start, for clients that name it too. None if there is none of that name."""
        if state := self._states.get(list_id):
            state.enabled, state.admin_off = False, True
            self._dispatcher.generation.bump()
        return self.status(list_id)

    def budgets(self) -> dict[str, list[tuple[float, int]]]:
        """What was spent of every quota and when (wall seconds), to be stored."""
        return {name: state.budget.state() for name, state in self._states.items() if state.budget is not None}

    def slot_seconds(self) -> dict[str, float]:
        """How many seconds each slot of every quota has."""
        return {name: state.budget.slot for name, state in self._states.items() if state.budget is not None}

    def restore(self, budgets: Mapping[str, Iterable[tuple[float, int]]]) -> None:
        """Add stored budgets to what has been spent since; those of lists that are no more are let go."""
        for name, spent in budgets.items():
            state = self._states.get(name)
            if state is not None and state.budget is not None:
                state.budget.restore(spent, self._clock.wall())

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget all replies of lists in these zones (lower case)."""
        if any(is_within(lower(state.spec.zone), zones) for state in self._states.values()):
            self._dispatcher.forget(zones)

    def flush(self, name: Name | None, rtype: int | None = None, *, below: bool = False) -> int:
        """Forget what lists have said at a name, of one type or of all, or all `below` it too; everything if `name` is None.

        How many replies there were.
        """
        if name is None:
            return self._dispatcher.forget_all()
        if below:
            return self._dispatcher.forget_below(lower(name))
        return self._dispatcher.forget_name(lower(name), rtype)

    def recover(self) -> None:
        """The internet was out of reach, not the lists: skip none for that any longer, and take no old failure for an answer."""
        now = self._clock.monotonic()
        for state in self._states.values():
            if state.health.state(now) == "unreachable":
                state.health.reset()
        self._dispatcher.forget_failures()
        self._dispatcher.generation.bump()

    async def aclose(self) -> None:
        """End every query in flight."""
        await self._dispatcher.aclose()

    def _state_of(self, spec: ListSpec) -> ListState:
        """The state of a list; for a part of one, or a client's own key, one by zone, so that a mistyped key harms no other."""
        state = self._states.get(spec.id)
        if state is not None and state.spec.zone == spec.zone:
            return state
        foreign = self._foreign.pop(spec.zone, None)
        of = self._states.get(spec.of)
        if foreign is None:
            if len(self._foreign) >= bounds.FOREIGN_LISTS:
                self._evict_foreign()
            foreign = ListState(spec, enabled=False)
            self.meter.add(spec.zone, foreign)
        if of is not None and of.budget is not None:
            foreign.budget = of.budget
        self._foreign[spec.zone] = foreign
        whole = state or of
        foreign.admin_off = whole is not None and whole.admin_off
        return foreign

    def _evict_foreign(self) -> None:
        """Forget the zone asked least lately that has never answered as a list does; if all have, the one asked least lately."""
        zone = next((zone for zone, state in self._foreign.items() if not state.is_known), next(iter(self._foreign)))
        del self._foreign[zone]
        self.meter.remove(zone)

    def _lookup(self, state: ListState, spec: ListSpec, query: ListQuery | None) -> ListResponse | PendingQuery:
        return not_for(spec) if query is None else self._dispatcher.lookup(state, query)


def _named_query(spec: ListSpec, subject: Address | str, canary: Canary | None) -> ListQuery | None:
    return subject_query(spec, subject) if canary is None else canary_query(spec, canary)


def _is_enough(
    enough: Enough, before: Mapping[str, ListReply], waiting: Sequence[str], came: Mapping[str, ListResponse]
) -> bool:
    replies = {**before, **{name: each.reply for name, each in came.items()}}
    return enough(replies, [name for name in waiting if name not in came])
