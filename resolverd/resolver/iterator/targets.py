"""Whom a zone's question can be put to: known addresses, names that can be looked up, and the parent's glue."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from random import Random
from types import MappingProxyType

from resolverd import bounds
from resolverd.resolver.iterator.delegation import DelegationPoint, DelegationPoints
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.retries import Attempts
from resolverd.wire.ask import Core, Server
from resolverd.wire.names import Address, Name, parent

_DOUBTFUL_AFTER = 2
"""Silences of a server, none having answered, after which others are looked for where nobody has looked."""
_NOTHING: Mapping[Name, Sequence[Address] | None] = MappingProxyType({})


class Targets:
    """The servers of one zone, for one question."""

    def __init__(
        self,
        dp: DelegationPoint,
        delegation_points: DelegationPoints,
        infra: InfraCache,
        now: float,
        rng: Random,
        found: Mapping[Name, Sequence[Address] | None] = _NOTHING,
        distrusted: Set[Server] = frozenset(),
    ):
        """`found`: what the question that they are for has found out of names, None for those without an address.

        `distrusted`: servers whose answers to it were bogus.
        """
        self._distrusted = distrusted
        self._dp = dp
        self._delegation_points = delegation_points
        self._infra = infra
        self._rng = rng
        self._servers = tuple(each for each in dp.servers if each not in distrusted) if distrusted else dp.servers
        self._names: list[Name] = []
        self._more: tuple[Callable[[Targets, float], None], ...] = _MORE
        self.second_family = False
        """Whether the names to be looked up are of servers that have an address already, in vain."""
        self._lookups = self._failures = self._preferred = 0
        self.lookups: dict[Core, tuple[int, float]] = {}
        """Look-ups in flight: of how many names, and until when nothing else is tried."""
        for name in dp.unresolved:
            # An earlier question of this descent, for a minimised name, may have looked it up.
            learnt = delegation_points.usable(delegation_points.cached_addresses(name, now) or found.get(name) or ())
            self._add(learnt)
            self._names += [] if learnt or name in found else [name]
        if len(self._names) > 1:
            rng.shuffle(self._names)

    def next_server(self, attempts: Attempts, now: float) -> Server | None:
        """The server to be asked next, those of the parent's glue included; None if there is none, or names come first."""
        while True:
            chosen = self._choose(attempts, now)
            if self._names and self._room > 0 and self._want_names(chosen, attempts, now):
                return None
            if self._more and (chosen is None or attempts.failed.get(chosen, 0) >= _DOUBTFUL_AFTER):
                self._more, (more, *_) = self._more[1:], self._more
                more(self, now)
                continue
            return chosen

    def _other_family(self, now: float) -> None:
        """One family of addresses leads nowhere from here: the other may."""
        self._names = self._delegation_points.half_resolved(self._dp, now, answers=bool(self._distrusted))
        self._rng.shuffle(self._names)
        self.second_family = True

    def _parent_glue(self, now: float) -> None:
        """What the child says of its servers may be wrong where its parent is right."""
        self._add(self._delegation_points.parent_servers(self._dp, now))

    def next_names(self) -> list[Name]:
        """Names to be looked up side by side: the first that has an address will do, so that a dead zone costs no time.

        Two, and only from different domains: the way to one domain is not gone twice.
        """
        if self._room <= 0:
            return []
        first, *rest = self._names
        batch = [first, *(name for name in rest if parent(name) != parent(first))][: min(2, self._room)]
        self._names = [name for name in self._names if name not in batch]
        self._lookups += len(batch)
        return batch

    def lookup_started(self, lookup: Core, number: int, now: float) -> float:
        """So many names are looked up; until when nothing else is tried."""
        due = now + bounds.LOOKUP_TIMEOUT
        self.lookups[lookup] = number, due
        return due

    def lookup_deadlines(self, now: float) -> list[float]:
        """Until when look-ups are waited for, where that is not over."""
        return [due for _, due in self.lookups.values() if due > now]

    def lookup_finished(self, lookup: Core, addresses: Iterable[Address] | None) -> None:
        """What a look-up has come to."""
        number, _ = self.lookups.pop(lookup)
        self._failures += 0 if addresses else number
        self._add(self._delegation_points.usable(addresses or ()))

    def _want_names(self, chosen: Server | None, attempts: Attempts, now: float) -> bool:
        """A server that nobody has asked yet is worth more than one that was silent, now or when it was last asked.

        Both take turns, as looking up may take longer than sending once more.
        """
        if chosen is None:
            return True
        if self._preferred >= attempts.failed.get(chosen, self._infra.last_timed_out(chosen, now)):
            return False
        self._preferred += 1
        return True

    @property
    def _room(self) -> int:
        """How many more names may be looked up; those in flight may all fail."""
        if not self._names:
            return 0
        failures = self._failures + sum(number for number, _ in self.lookups.values())
        return min(bounds.MAX_NS_LOOKUPS - self._lookups, bounds.MAX_NS_FAILURES - failures)

    def _add(self, servers: Iterable[Server]) -> None:
        self._servers = tuple(dict.fromkeys((*self._servers, *(each for each in servers if each not in self._distrusted))))

    def _choose(self, attempts: Attempts, now: float) -> Server | None:
        candidates = attempts.available(self._servers) if attempts.failed or attempts.in_flight else self._servers
        chosen = self._infra.select(candidates, attempts, now, self._rng)
        if chosen is not None:
            return chosen
        # All down: they are asked all the same, so that the end of an outage is noticed by the next question.
        down = [server for server in candidates if server not in attempts.expected]
        tried = sum(attempts.failed.get(server, 0) for server in attempts.asked if server not in attempts.expected)
        if not down or self._names or self.lookups or tried >= bounds.DEAD_TRIES:
            return None
        fewest = min(attempts.failed.get(server, 0) for server in down)
        return self._rng.choice([server for server in down if attempts.failed.get(server, 0) == fewest])


_MORE = (Targets._other_family, Targets._parent_glue)
"""Where more servers are looked for, one after the other, if those that are known lead nowhere."""
