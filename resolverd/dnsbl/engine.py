"""Asking lists: all at once, each within its quota and rate, identical questions only once, never longer than the deadline.

Who asks waits until its deadline and no longer; the question itself goes on and its reply lands in the cache, so that a
cancelled or hurried caller never costs a list a second question.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import TypeAlias

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl import list_query
from resolverd.dnsbl.aggregate import UNREACHABLE
from resolverd.dnsbl.gather import settle
from resolverd.dnsbl.list_query import Errand
from resolverd.dnsbl.list_state import Desk
from resolverd.dnsbl.lookup import Dispatch, Flight
from resolverd.dnsbl.names import unmapped
from resolverd.dnsbl.quota_meter import Tolls
from resolverd.dnsbl.response import Told, as_documented, not_for, worded
from resolverd.dnsbl.spec import Canary, ListSpec, ListState
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import SKIPPED, Clear, Listed, ListLookup, ListReply, Skipped
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.wire.names import Address, Name, is_within, lower

_log = logging.getLogger(__name__)

Enough: TypeAlias = Callable[[Mapping[str, ListReply], Sequence[str]], bool]
"""Whether the replies so far, by list, settle the matter, whatever the lists named behind them may still say."""

_LAST = 3
"""The turn of lists of whose quota only the reserve is left, behind all others: asked while nothing else has decided."""


class Engine:
    """The lists, asked side by side. `others` are known but not enabled: asked only for clients that name them (guard).

    `frugal`: allow lists first, block lists only while they may decide. `meter` has to be told of every query that leaves.
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
    ):
        self._clock = clock
        self._dispatch = Dispatch(resolver, clock, counters, rng or SystemRandom())
        self._desks = {spec.id: Desk(spec, enabled=False) for spec in others}
        self._desks |= {spec.id: Desk(spec, enabled=True) for spec in specs}
        self._foreign: dict[Name, Desk] = {}
        self.frugal = frugal
        self.meter = Tolls(self._desks.values(), clock, counters)

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment."""
        return tuple(desk.spec for desk in self._desks.values() if desk.enabled)

    @property
    def known(self) -> dict[str, ListSpec]:
        """Every list by id, enabled or not."""
        return {name: desk.spec for name, desk in self._desks.items()}

    @property
    def purges(self) -> int:
        """How often listings were taken back since the start: what was made of them is then to be made anew."""
        return self._dispatch.purges

    def turn(self, lookup: ListLookup) -> int:
        """When a question is to be asked: those of a later turn only if what came of the earlier ones leaves it open."""
        desk = self._desks[lookup.list_id]
        last = _LAST if desk.is_scarce(self._clock.wall()) else 0
        if not self.frugal or desk.spec.allows:
            return last
        return last + (2 if isinstance(lookup.subject, str) else 1)

    async def ask(self, lookup: ListLookup, *, deadline: float) -> ListReply:
        """What one list says, by `deadline` (monotonic seconds). Raises KeyError for a list that is not known.

        A subject that it cannot list (wrong kind, private address, no domain) is clear, without asking. An allow list that
        has answered nothing for an hour is unhealthy rather than out of reach: nobody shall gain by attacking it.
        """
        desk = self._desks[lookup.list_id]
        if not desk.enabled:
            return Unknown(Why.UNHEALTHY, "switched off")
        look = self._look(desk, desk.spec, list_query.about(desk.spec, lookup.subject))
        told = await settle({lookup.list_id: look}, deadline, self._clock)
        reply = told[lookup.list_id].reply
        if isinstance(reply, Unknown) and reply.why in UNREACHABLE and desk.health.is_lost(self._clock.monotonic()):
            return Unknown(Why.UNHEALTHY, "out of reach for more than an hour")
        return reply

    def recall(self, lookup: ListLookup) -> ListReply | None:
        """What one list has said, where it is still known. Raises KeyError for a list that is not known."""
        desk = self._desks[lookup.list_id]
        errand = list_query.about(desk.spec, lookup.subject) if desk.enabled else None
        told = self._dispatch.recall(desk, errand) if errand is not None else None
        return None if told is None or isinstance(told.reply, Unknown) else told.reply

    async def ask_all(
        self,
        subject: Address | str,
        *,
        deadline: float,
        purpose: str | None = None,
        enough: Enough | None = None,
        needless: bool = False,
    ) -> dict[str, ListReply | Skipped]:
        """What every enabled list of the subject's kind says, of one purpose or of both.

        `enough` is told what has come and the ids of those that are open; once it says so, nobody waits any longer, and
        what comes later is in the cache for the next. `needless`: no verdict waits for it.
        """
        if not isinstance(subject, str):
            subject = unmapped(subject)
        turns: dict[int, list[Desk]] = {}
        for desk in self._desks.values():
            if desk.enabled and desk.spec.takes(subject) and purpose in (None, desk.spec.purpose):
                turn = 0 if enough is None else self.turn(ListLookup(desk.spec.id, subject))
                turns.setdefault(turn, []).append(desk)
        replies: dict[str, ListReply] = {}
        asked = waiting = [desk.spec.id for turn in sorted(turns) for desk in turns[turn]]
        for turn in sorted(turns):
            if enough is not None and replies and enough(replies, waiting):
                break
            specs = [(desk, desk.spec) for desk in turns[turn]]
            looks = {spec.id: self._look(desk, spec, list_query.about(spec, subject, needless=needless)) for desk, spec in specs}
            until = None if enough is None else partial(_is_enough, enough, dict(replies), waiting)
            replies |= {name: told.reply for name, told in (await settle(looks, deadline, self._clock, until)).items()}
            waiting = waiting[len(looks) :]
        return {**dict.fromkeys(asked, SKIPPED), **replies}

    async def second_looks(self, lookups: Iterable[ListLookup], *, deadline: float) -> dict[ListLookup, ListReply]:
        """Listings that are about to refuse somebody, looked at once more where they are old or surprising.

        Only what has changed comes back.
        """
        asked = list(lookups)
        specs = [self._desks[lookup.list_id].spec for lookup in asked]
        looks = (self.second_look_for(spec, lookup.subject, deadline=deadline) for spec, lookup in zip(specs, asked, strict=True))
        found = zip(asked, await asyncio.gather(*looks), strict=True)
        return {lookup: told.reply for lookup, told in found if told is not None}

    def saves_looks(self, lookups: Iterable[ListLookup]) -> bool:
        """Whether it is worth finding out first what else speaks against a client, as few second looks are left."""
        for lookup in lookups:
            desk = self._desks[lookup.list_id]
            errand = list_query.about(desk.spec, lookup.subject)
            if errand is not None and self._dispatch.saves_looks(desk, errand):
                return True
        return False

    async def second_look_for(self, spec: ListSpec, subject: Address | str, *, deadline: float) -> Told | None:
        """The same for one list, one that a client named too; None if the listing stands."""
        errand = list_query.about(spec, subject)
        return None if errand is None else await self._dispatch.second_look(self._desk(spec), errand, deadline)

    async def ask_again(self, lookups: Iterable[ListLookup], *, deadline: float) -> dict[ListLookup, ListReply]:
        """Ask past what is remembered, as far as quotas have more than their reserve left.

        What could not be found out by `deadline` (monotonic seconds) is left out.
        """
        asked = list(lookups)
        looks: dict[str, Told | Flight] = {}
        for number, lookup in enumerate(asked):
            desk = self._desks[lookup.list_id]
            errand = list_query.about(desk.spec, lookup.subject, needless=True) if desk.enabled else None
            if errand is not None:
                looks[str(number)] = self._dispatch.look(desk, errand._replace(fresh=True))
        told = await settle(looks, deadline, self._clock)
        return {asked[int(number)]: each.reply for number, each in told.items() if not isinstance(each.reply, Unknown)}

    def vouch(self, client: Address, cleared: Iterable[str]) -> None:
        """A client is known as good, and these lists (by id) do not list it: they must not do so all of a sudden."""
        self._dispatch.proofs.witnesses.vouch(unmapped(client), cleared)

    async def ask_for(self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float) -> Told:
        """What a list says to a client that named it, with the list's own records; `canary` if the subject is a test point.

        `spec` may have been made for a key of the client's own, or be a part of a list: its health is then its own, and of a
        key the quota, too.
        """
        look = self._look(self._desk(spec), spec, _errand(spec, subject, canary))
        return (await settle({"": look}, deadline, self._clock))[""]

    async def words_for(self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float) -> Told:
        """The same with the list's own TXT as the reason of a listing, where it has one and may be asked for it."""
        desk = self._desk(spec)
        errand = _errand(spec, subject, canary)
        if errand is None:
            return not_for(spec)
        # Both at once, unless it is known already that there is nothing to put into words.
        looks = {"": self._dispatch.look(desk, errand)}
        now = looks[""]
        if not isinstance(now, Told) or isinstance(now.reply, Listed):
            looks["words"] = self._dispatch.look(desk, list_query.for_words(spec, errand))
        told = await settle(looks, deadline, self._clock)
        return worded(told[""], told["words"]) if "words" in told else told[""]

    async def probe(self, list_id: str, *, deadline: float) -> ListState | None:
        """Ask a list's test points past the cache; if they answer as documented, end its pause. None if there is no such list."""
        desk = self._desks.get(list_id)
        if desk is None:
            return None
        points = [canary for canary in desk.spec.canaries if canary.listed]
        asked = {str(point.subject): list_query.at_point(desk.spec, point, probing=True) for point in points}
        looks = {name: self._dispatch.look(desk, errand) for name, errand in asked.items()}
        denied, told = await asyncio.gather(self._dispatch.probe(desk), settle(looks, deadline, self._clock))
        silent = [str(point.subject) for point in points if isinstance(told[str(point.subject)].reply, Clear)]
        if silent:
            text = f"it does not list {', '.join(silent)}, its own test point: emptied, perhaps given up"
            desk.remark(text)
            _log.warning("list %s: %s", desk.spec.id, text)
        if desk.spec.canaries and denied is None and all(as_documented(point, told[str(point.subject)]) for point in points):
            desk.health.wake()
        return self.state(list_id)

    def asked(self, list_id: str) -> int:
        """How many questions have left for a list since the start."""
        return self._desks[list_id].asked

    def watch(self, list_id: str, addresses: tuple[str, ...]) -> None:
        """Note which of our own addresses a list lists."""
        self._desks[list_id].watched = addresses

    def state(self, list_id: str) -> ListState | None:
        """How one list fares; None if there is none of that name."""
        desk = self._desks.get(list_id)
        return None if desk is None else desk.state(self._clock.monotonic(), self._clock.wall())

    def states(self) -> list[ListState]:
        """How every list fares, enabled or not, by number."""
        desks = sorted(self._desks.values(), key=lambda desk: desk.spec.number)
        return [desk.state(self._clock.monotonic(), self._clock.wall()) for desk in desks]

    def enable(self, list_id: str) -> ListState | None:
        """Use a list until the next start, and forget what was held against it. None if there is none of that name."""
        if desk := self._desks.get(list_id):
            desk.enabled, desk.barred = True, False
            desk.health.wake()
        return self.state(list_id)

    def disable(self, list_id: str) -> ListState | None:
        """Stop using a list until the next start, for clients that name it too. None if there is none of that name."""
        if desk := self._desks.get(list_id):
            desk.enabled, desk.barred = False, True
        return self.state(list_id)

    def budgets(self) -> dict[str, list[tuple[float, int]]]:
        """What was spent of every quota and when (wall seconds), to be stored."""
        return {name: desk.budget.state() for name, desk in self._desks.items() if desk.budget is not None}

    def restore(self, budgets: Mapping[str, Iterable[tuple[float, int]]]) -> None:
        """Add stored budgets to what has been spent since; those of lists that are no more are let go."""
        for name, spent in budgets.items():
            desk = self._desks.get(name)
            if desk is not None and desk.budget is not None:
                desk.budget.restore(spent, self._clock.wall())

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget all replies of lists in these zones (lower case)."""
        if any(is_within(lower(desk.spec.zone), zones) for desk in self._desks.values()):
            self._dispatch.forget(zones)

    def recover(self) -> None:
        """The internet was out of reach, not the lists: skip none for that any longer, and take no old failure for an answer."""
        now = self._clock.monotonic()
        for desk in self._desks.values():
            if desk.health.state(now) == "open":
                desk.health.wake()
        self._dispatch.forget_failures()

    async def aclose(self) -> None:
        """End every question under way."""
        await self._dispatch.aclose()

    def _desk(self, spec: ListSpec) -> Desk:
        """The desk of a list; for a part of one, or a client's own key, one by zone: a mistyped key has its own bad name."""
        desk = self._desks.get(spec.id)
        if desk is not None and desk.spec.zone == spec.zone:
            return desk
        foreign = self._foreign.pop(spec.zone, None)
        if foreign is None:
            if len(self._foreign) >= bounds.FOREIGN_LISTS:
                self._let_one_go()
            whole = self._desks.get(spec.of)
            foreign = Desk(spec, enabled=False, budget=whole.budget if whole is not None else None)
            self.meter.add(spec.zone, foreign)
        self._foreign[spec.zone] = foreign
        whole = desk or self._desks.get(spec.of)
        foreign.barred = whole is not None and whole.barred
        return foreign

    def _let_one_go(self) -> None:
        """Forget the zone asked least lately that has never answered as a list does; if all have, the one asked least lately."""
        zone = next((zone for zone, desk in self._foreign.items() if not desk.is_known), next(iter(self._foreign)))
        del self._foreign[zone]
        self.meter.remove(zone)

    def _look(self, desk: Desk, spec: ListSpec, errand: Errand | None) -> Told | Flight:
        return not_for(spec) if errand is None else self._dispatch.look(desk, errand)


def _errand(spec: ListSpec, subject: Address | str, canary: Canary | None) -> Errand | None:
    return list_query.about(spec, subject) if canary is None else list_query.at_point(spec, canary)


def _is_enough(enough: Enough, before: Mapping[str, ListReply], waiting: Sequence[str], told: Mapping[str, Told]) -> bool:
    replies = {**before, **{name: each.reply for name, each in told.items()}}
    return enough(replies, [name for name in waiting if name not in told])
