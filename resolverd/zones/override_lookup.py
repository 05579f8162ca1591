"""The admin's own word on what a list is asked about: an address, by itself or by its name that leads back, or a domain."""

from typing import NamedTuple

from resolverd.clock import Clock
from resolverd.overrides.rules import Held, Kind, Override, Parties, Role, word_on_lists
from resolverd.overrides.store import OverrideBook
from resolverd.policy.client_names import ClientNames
from resolverd.wire.names import Address
from resolverd.zones.dnsbl_zone import PARTIAL_TTL

_PARTICULAR = (Kind.SENDER, Kind.ADDRESS)


class Word(NamedTuple):
    """What is to be said: ``allow``, ``deny``, or None for nothing; and for how many seconds it stays at the most."""

    action: str | None = None
    lasting: int | None = None


NOTHING = Word()


class OwnWord:
    """Finds the override that holds. Those for some recipient alone do not: a list is not told who that is."""

    def __init__(self, book: OverrideBook, hosts: ClientNames, clock: Clock) -> None:
        self._book = book
        self._hosts = hosts
        self._clock = clock

    def at_once(self, subject: Address | str) -> Word | None:
        """The word, where no name has to be looked up for it; None where `about` has to be awaited."""
        index = self._book.index
        if not len(index):
            return NOTHING
        if isinstance(subject, str):
            return self._said(index.about_domain(subject, self._clock.wall()))
        held = index.held(Parties(subject), self._clock.wall())
        decisive = word_on_lists(held)
        if index.names_domains and (decisive is None or decisive.kind not in _PARTICULAR):
            return None
        return self._said(held)

    async def about(self, subject: Address, *, deadline: float) -> Word:
        """The word on a client, whose names are looked up, by `deadline` (monotonic seconds)."""
        host = await self._hosts.look(subject, deadline=deadline)
        names = (host.name,) if host.name else ()
        word = self._said(self._book.index.held(Parties(subject, names), self._clock.wall()))
        return word._replace(lasting=PARTIAL_TTL) if host.partial and word.action is None else word

    def _said(self, held: list[Held]) -> Word:
        decisive = word_on_lists(held)
        if decisive is None:
            return NOTHING
        self._book.hit([Held(decisive, Role.CLIENT)])
        return Word(decisive.key.action, self._left(decisive))

    def _left(self, override: Override) -> int | None:
        return max(1, int(override.until - self._clock.wall())) if override.until else None
