"""The override on what a list is asked about: an address, by itself or by its name that leads back, or a domain."""

from typing import NamedTuple

from resolverd.clock import Clock
from resolverd.overrides.matching import OverrideMatch, Role, Subjects, decide_for_lists
from resolverd.overrides.rules import Kind, Override
from resolverd.overrides.store import OverrideStore
from resolverd.policy.client_names import ClientNames
from resolverd.wire.names import Address
from resolverd.zones.dnsbl_zone import PARTIAL_TTL

_MOST_SPECIFIC = (Kind.SENDER, Kind.ADDRESS)


class OverrideResult(NamedTuple):
    """``allow``, ``deny``, or None for no override. `ttl`: the seconds for which that holds at the most, None for no end."""

    action: str | None = None
    ttl: int | None = None


NO_OVERRIDE = OverrideResult()


class OverrideLookup:
    """Finds the override that decides. Those for some recipient alone do not: a list does not learn who that is."""

    def __init__(self, store: OverrideStore, names: ClientNames, clock: Clock) -> None:
        self._store = store
        self._names = names
        self._clock = clock

    def immediate(self, subject: Address | str) -> OverrideResult | None:
        """The result, where no name has to be looked up for it; None where `lookup` has to be awaited."""
        index = self._store.index
        if not len(index):
            return NO_OVERRIDE
        if isinstance(subject, str):
            return self._result(index.matching_domain(subject, self._clock.wall()))
        matches = index.matches(Subjects(subject), self._clock.wall())
        deciding = decide_for_lists(matches)
        if index.names_domains and (deciding is None or deciding.kind not in _MOST_SPECIFIC):
            return None
        return self._result(matches)

    async def lookup(self, subject: Address, *, deadline: float) -> OverrideResult:
        """The result for a client, whose names are looked up, by `deadline` (monotonic seconds)."""
        client = await self._names.lookup(subject, deadline=deadline)
        names = (client.name,) if client.name else ()
        result = self._result(self._store.index.matches(Subjects(subject, names), self._clock.wall()))
        return result._replace(ttl=PARTIAL_TTL) if client.partial and result.action is None else result

    def _result(self, matches: list[OverrideMatch]) -> OverrideResult:
        deciding = decide_for_lists(matches)
        if deciding is None:
            return NO_OVERRIDE
        self._store.count_hits([OverrideMatch(deciding, Role.CLIENT)])
        return OverrideResult(deciding.key.action, self._ttl(deciding))

    def _ttl(self, override: Override) -> int | None:
        return max(1, int(override.until - self._clock.wall())) if override.until else None
