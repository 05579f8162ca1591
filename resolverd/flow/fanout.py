"""Asking lists: all at once, each within its quota and rate, identical questions only once, never longer than the deadline.

Who asks waits until its deadline and no longer; the question itself goes on and its reply lands in the cache, so that a
cancelled or hurried caller never costs a list a second question.
"""

import asyncio
from collections.abc import Mapping, Sequence

from resolverd.failures import Unknown, Why
from resolverd.flow.desk import Desk
from resolverd.flow.dispatch import Dispatch, Flight
from resolverd.flow.ports import Clock, Resolver
from resolverd.mail.listnames import canary_name, list_name, unmapped
from resolverd.mail.listreply import Told, as_documented, not_for, read_answer, read_canary, read_words, unasked
from resolverd.mail.listspec import Canary, ListSpec, ListState
from resolverd.mail.questions import Listed, ListLookup, ListReply
from resolverd.watch.counters import Counters
from resolverd.wire import codes
from resolverd.wire.names import Address


class Engine:
    """The lists, asked side by side. `others` are known but not enabled: asked only for clients that name them (guard)."""

    def __init__(
        self, specs: Sequence[ListSpec], resolver: Resolver, clock: Clock, counters: Counters, *, others: Sequence[ListSpec] = ()
    ):
        self._clock = clock
        self._dispatch = Dispatch(resolver, clock, counters)
        self._desks = {spec.id: Desk(spec, enabled=False) for spec in others}
        self._desks |= {spec.id: Desk(spec, enabled=True) for spec in specs}
        self._foreign: dict[str, Desk] = {}

    @property
    def specs(self) -> tuple[ListSpec, ...]:
        """The lists that are asked at the moment."""
        return tuple(desk.spec for desk in self._desks.values() if desk.enabled)

    @property
    def known(self) -> dict[str, ListSpec]:
        """Every list by id, enabled or not."""
        return {name: desk.spec for name, desk in self._desks.items()}

    async def ask(self, lookup: ListLookup, *, deadline: float) -> ListReply:
        """What one list says, by `deadline` (monotonic seconds). Raises KeyError for a list that is not known.

        A subject that it cannot list (wrong kind, private address, no domain) is clear, without asking.
        """
        desk = self._desks[lookup.list_id]
        if not desk.enabled:
            return Unknown(Why.UNHEALTHY, "switched off")
        return (await self._settle({lookup.list_id: self._look(desk, desk.spec, lookup.subject)}, deadline))[lookup.list_id].reply

    async def ask_all(self, subject: Address | str, *, deadline: float, purpose: str | None = None) -> dict[str, ListReply]:
        """What every enabled list of the subject's kind says, of one purpose or of both."""
        if not isinstance(subject, str):
            subject = unmapped(subject)
        looks = {
            desk.spec.id: self._look(desk, desk.spec, subject)
            for desk in self._desks.values()
            if desk.enabled and desk.spec.takes(subject) and purpose in (None, desk.spec.purpose)
        }
        return {name: told.reply for name, told in (await self._settle(looks, deadline)).items()}

    async def ask_for(self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float) -> Told:
        """What a list says to a client that named it, with the list's own records; `canary` if the subject is a test point.

        `spec` may have been made for a key of the client's own; quota and health are then those of all such keys together.
        """
        return (await self._settle({"": self._look(self._desk(spec), spec, subject, canary)}, deadline))[""]

    async def words_for(self, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, deadline: float) -> Told:
        """The same with the list's own TXT as the reason of a listing, where it has one and may be asked for it."""
        told = await self.ask_for(spec, subject, canary, deadline=deadline)
        name = canary_name(spec, subject) if canary else list_name(spec, subject)
        if name is None or not isinstance(told.reply, Listed):
            return told
        look = self._dispatch.look(self._desk(spec), (name, codes.TXT), lambda answer: read_words(spec, told, answer))
        worded = (await self._settle({"": look}, deadline))[""]
        return worded if isinstance(worded.reply, Listed) else told

    async def probe(self, list_id: str, *, deadline: float) -> ListState | None:
        """Ask a list's test points past the cache; if they answer as documented, end its pause. None if there is no such list."""
        desk = self._desks.get(list_id)
        if desk is None:
            return None
        canaries = {str(canary.subject): canary for canary in desk.spec.canaries}
        looks = {text: self._look(desk, desk.spec, canary.subject, canary, probing=True) for text, canary in canaries.items()}
        told = await self._settle(looks, deadline)
        if canaries and all(as_documented(canary, told[text]) for text, canary in canaries.items()):
            desk.health.wake()
        return self.state(list_id)

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

    def budgets(self) -> dict[str, list[tuple[int, int]]]:
        """What was spent of every quota, to be stored."""
        return {name: desk.budget.state() for name, desk in self._desks.items() if desk.budget is not None}

    def restore(self, budgets: Mapping[str, list[tuple[int, int]]]) -> None:
        """Take up stored budgets; those of lists that are no more are let go."""
        for name, spent in budgets.items():
            desk = self._desks.get(name)
            if desk is not None and desk.budget is not None:
                desk.budget.restore(spent, self._clock.wall())

    async def aclose(self) -> None:
        """End every question under way."""
        await self._dispatch.aclose()

    def _desk(self, spec: ListSpec) -> Desk:
        """The desk of a list; of one made for a client's own key, a desk that all such keys share."""
        desk = self._desks.get(spec.id)
        if desk is not None and desk.spec.zone == spec.zone:
            return desk
        return self._foreign.setdefault(spec.id, Desk(spec, enabled=False))

    def _look(
        self, desk: Desk, spec: ListSpec, subject: Address | str, canary: Canary | None = None, *, probing: bool = False
    ) -> Told | Flight:
        if canary is not None:
            question = (canary_name(spec, canary.subject), codes.A)
            return self._dispatch.look(desk, question, lambda answer: read_canary(spec, canary, answer), probing=probing)
        name = list_name(spec, subject)
        if name is None:
            return not_for(spec)
        return self._dispatch.look(desk, (name, codes.A), lambda answer: read_answer(spec, subject, answer))

    async def _settle(self, looks: Mapping[str, Told | Flight], deadline: float) -> dict[str, Told]:
        """Wait for what is under way until the deadline; what has not come by then is not known."""
        start = self._clock.monotonic()
        flights = {look for look in looks.values() if not isinstance(look, Told)}
        if flights:
            await asyncio.wait(flights, timeout=max(0.0, deadline - start))
        ms = round((self._clock.monotonic() - start) * 1000)
        return {name: look if isinstance(look, Told) else _landed(look, ms) for name, look in looks.items()}


def _landed(flight: Flight, ms: int) -> Told:
    if not flight.done() or flight.cancelled():
        return unasked(Unknown(Why.TIMEOUT, f"no answer within {ms} ms"))
    told = flight.result()
    return told if isinstance(told.reply, Unknown) else told._replace(reply=told.reply._replace(ms=ms))
