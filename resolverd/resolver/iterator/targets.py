"""Whom a zone's question can be put to: addresses that are known, names that can be looked up, and what only the parent says."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from types import MappingProxyType

from resolverd import bounds
from resolverd.resolver.iterator.delegation import Cut, Cuts
from resolverd.resolver.iterator.infra import Servers
from resolverd.resolver.iterator.retries import Tries
from resolverd.wire.ask import Core, Server
from resolverd.wire.names import Address, Name, parent

_DOUBTED = 2
"""Silences of a server, none having answered, after which others are looked for where nobody has looked."""
_NOTHING: Mapping[Name, Sequence[Address] | None] = MappingProxyType({})


class Targets:
    """The servers of one cut, for one question."""

    def __init__(
        self,
        cut: Cut,
        cuts: Cuts,
        servers: Servers,
        now: float,
        rng: Random,
        found: Mapping[Name, Sequence[Address] | None] = _NOTHING,
    ):
        """`found`: what the question that they are for has found out of names, None for those without an address."""
        self._cut = cut
        self._cuts = cuts
        self._servers = servers
        self._rng = rng
        self._by_address = {server.address: server for server in cut.servers}
        self._names: list[Name] = []
        self._more = [self._half_known, self._parent_side]
        self.completes = False
        """Whether the names to be looked up are of servers that have an address already, in vain."""
        self._lookups = self._failures = self._preferred = 0
        self.lookups: dict[Core, tuple[int, float]] = {}
        """Look-ups under way: of how many names, and until when nothing else is tried."""
        for name in cut.names:
            # An earlier question of this descent, for a minimised name, may have looked it up.
            learnt = cuts.usable(cuts.known_addresses(name, now) or found.get(name) or ())
            self._add(learnt)
            self._names += [] if learnt or name in found else [name]
        rng.shuffle(self._names)

    def server(self, tries: Tries, now: float) -> Server | None:
        """The server to be asked next, the parent's word for it included; None if there is none, or names come first."""
        while True:
            chosen = self._choose(tries, now)
            if self._room > 0 and self._want_names(chosen, tries, now):
                return None
            if self._more and (chosen is None or tries.turns.get(chosen, 0) >= _DOUBTED):
                self._more.pop(0)(now)
                continue
            return None if chosen is None else self._by_address[chosen]

    def _half_known(self, now: float) -> None:
        """One family of addresses leads nowhere from here: the other may."""
        self._names = self._cuts.half_known(self._cut, now)
        self._rng.shuffle(self._names)
        self.completes = True

    def _parent_side(self, now: float) -> None:
        """What the child says of its servers may be wrong where its parent is right."""
        self._add(self._cuts.parent_side(self._cut, now))

    def names(self) -> list[Name]:
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

    def looks_up(self, lookup: Core, number: int, now: float) -> float:
        """So many names are looked up; until when nothing else is tried."""
        due = now + bounds.LOOKUP_TIMEOUT
        self.lookups[lookup] = number, due
        return due

    def dues(self, now: float) -> list[float]:
        """Until when look-ups are waited for, where that is not over."""
        return [due for _, due in self.lookups.values() if due > now]

    def found(self, lookup: Core, addresses: Iterable[Address] | None) -> None:
        """What a look-up has come to."""
        number, _ = self.lookups.pop(lookup)
        self._failures += 0 if addresses else number
        self._add(self._cuts.usable(addresses or ()))

    def _want_names(self, chosen: Address | None, tries: Tries, now: float) -> bool:
        """A server that nobody has asked yet is worth more than one that was silent, now or when it was last asked.

        Both take turns, as looking up may take longer than sending once more.
        """
        if chosen is None:
            return True
        if self._preferred >= tries.turns.get(chosen, self._servers.is_silent(chosen, now)):
            return False
        self._preferred += 1
        return True

    @property
    def _room(self) -> int:
        """How many more names may be looked up; those under way may all fail."""
        if not self._names:
            return 0
        failures = self._failures + sum(number for number, _ in self.lookups.values())
        return min(bounds.MAX_NS_LOOKUPS - self._lookups, bounds.MAX_NS_FAILURES - failures)

    def _add(self, servers: Iterable[Server]) -> None:
        self._by_address.update((server.address, server) for server in servers)

    def _choose(self, tries: Tries, now: float) -> Address | None:
        turn = tries.open(list(self._by_address))
        chosen = self._servers.choose(turn, tries, now, self._rng)
        if chosen is not None:
            if chosen not in tries.expected:
                tries.expected[chosen] = self._servers.expected(chosen, now)
            return chosen
        # All dead: they are asked all the same, so that the end of an outage is noticed by the next question.
        dead = [address for address in turn if address not in tries.expected]
        tried = sum(tries.turns.get(address, 0) for address in tries.asked if address not in tries.expected)
        if not dead or self._names or self.lookups or tried >= bounds.DEAD_TRIES:
            return None
        fewest = min(tries.turns.get(address, 0) for address in dead)
        return self._rng.choice([address for address in dead if tries.turns.get(address, 0) == fewest])
