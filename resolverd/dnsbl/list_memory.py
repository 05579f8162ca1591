"""What is known of lists and outlives a configuration."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random, SystemRandom

from resolverd.clock import Clock
from resolverd.dnsbl.leases import Leases, LeasingResolver
from resolverd.dnsbl.list_state import ListState, QuotaMeter, own_quota
from resolverd.dnsbl.lookup import Dispatcher
from resolverd.dnsbl.quota import Budget
from resolverd.dnsbl.shared_health import SharedHealth
from resolverd.dnsbl.shared_replies import SharedReplies
from resolverd.dnsbl.spec import ListSpec
from resolverd.generation import Generation
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.state.base import Store
from resolverd.wire.names import Name, lower


class ListMemory:
    """What is known of lists, whatever a configuration says of them: how each fares, what is left of its quota, what it has
    answered, who is known as good, and what is in flight.

    `generation`: that of what is made of the lists' replies; it is made upon that of `names`. `leases`: where quotas come from
    that several hosts share.
    """

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        counters: Counters,
        rng: Random | None = None,
        names: Generation | None = None,
        leases: Leases | None = None,
    ):
        self._clock = clock
        self._leases = leases
        self.meter: QuotaMeter | None = None
        """Who pays for what, as the latest configuration has it."""
        asked = resolver if leases is None else LeasingResolver(resolver, leases, self._budget_of)
        self.generation = Generation() if names is None else Generation(names)
        self.dispatcher = Dispatcher(asked, clock, counters, rng or SystemRandom(), self.generation)
        self.states: dict[str, ListState] = {}
        self.foreign: dict[Name, ListState] = {}
        self.health: SharedHealth | None = None
        """How lists fare as all hosts see it; None for a host alone."""

    def share(self, store: Store, clock: Clock, counters: Counters, host: Callable[[], str]) -> SharedHealth:
        """From now on share it with the other hosts of a fleet: what comes back is to be run. `clock`: that which they have in
        common; `host`: this one's id."""
        self.health = SharedHealth(store, clock, counters, host, lambda: self.states)
        self.dispatcher.share(SharedReplies(store, clock, counters, host, self.health), self.health)
        return self.health

    def configure(self, others: Sequence[ListSpec], specs: Sequence[ListSpec]) -> dict[str, ListState]:
        """The states of the lists of a configuration: `others` that are only known, and those that it enables.

        What an earlier configuration has shaped is let go: replies that would be read otherwise now, and what belongs to the
        keys that clients have named.
        """
        old, self.states = self.states, {}
        wanted = {spec.id: (spec, False) for spec in others} | {spec.id: (spec, True) for spec in specs}
        for name, (spec, enabled) in wanted.items():
            before = old.get(name)
            if before is None:
                self.states[name] = ListState(spec, enabled=enabled, quotas=self._quota)
                continue
            if _reading(before.spec) != _reading(spec):
                self.dispatcher.forget(frozenset({lower(before.spec.zone)}))
                self.foreign = {zone: state for zone, state in self.foreign.items() if name not in (state.spec.id, state.spec.of)}
            self.states[name] = before.configured(spec, enabled=enabled, wall=self._clock.wall())
        gone = old.keys() - self.states.keys()
        self.foreign = {zone: state for zone, state in self.foreign.items() if not gone & {state.spec.id, state.spec.of}}
        if self.health is not None:
            self.health.apply()
        if self._leases is not None:
            self._leases.keep(self.states)
        self.generation.bump()
        return dict(self.states)

    def _quota(self, spec: ListSpec, before: Budget | None, wall: float) -> Budget | None:
        if self._leases is None or spec.quota is None:
            return own_quota(spec, before, wall)
        return self._leases.quota(spec.id, spec.quota, before)

    def _budget_of(self, name: Name) -> Budget | None:
        state = self.meter.list_of(lower(name)) if self.meter is not None else None
        return state.budget if state is not None else None


def _reading(spec: ListSpec) -> ListSpec:
    """What of a list shapes how its replies are read."""
    return replace(spec, quota=None, rate=None, number=0, terms="")
