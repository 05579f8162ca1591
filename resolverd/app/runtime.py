"""What outlives a configuration (`Shared`), and what is put together over it for each that is read (`Runtime`)."""

from collections.abc import Callable
from typing import NamedTuple

from resolverd import logs
from resolverd.app import named_files, policy
from resolverd.app.certificate import Certificate
from resolverd.app.local_zones import delegate
from resolverd.app.named_files import External
from resolverd.app.resolver import Resolution
from resolverd.app.trust import signature_policy
from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.config import Settings, enabled_lists
from resolverd.config.lists import catalogue
from resolverd.dnsbl.catalogue import Catalogue
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.leases import Leases
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail import domains
from resolverd.metrics import Counters
from resolverd.overrides.store import OverrideStore
from resolverd.policy.client_names import ClientNames
from resolverd.policy.headers import HeaderQueue
from resolverd.policy.service import PolicyService
from resolverd.policy.verdicts import VerdictStore
from resolverd.resolver.anchor_watch import AnchorWatch
from resolverd.resolver.clock_watch import ClockWatch
from resolverd.resolver.local.files import LocalZoneFiles
from resolverd.resolver.negative_anchors import NegativeAnchors
from resolverd.resolver.ports import Network
from resolverd.resolver.priming import Priming
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.resolver.validator.clock_check import ClockCheck, built
from resolverd.resolver.validator.sentinel import Sentinel
from resolverd.state.base import Store
from resolverd.telemetry.feed import Feed
from resolverd.zones.answer import Answerer
from resolverd.zones.client_zones import ClientZones
from resolverd.zones.guard import GuardTable, unused
from resolverd.zones.lists import ListZones
from resolverd.zones.override_lookup import OverrideLookup


class Plan(NamedTuple):
    """A configuration as it was read, with everything that it names; nothing follows from it yet."""

    settings: Settings
    external: External
    known: Catalogue
    specs: tuple[ListSpec, ...]
    guard: GuardTable


class Shared(NamedTuple):
    """What outlives a configuration. `clock`: what the mail side goes by."""

    store: Store
    clock: Clock
    counters: Counters
    overrides: OverrideStore
    client_history: ClientHistory
    verdicts: VerdictStore
    local_zones: LocalZoneFiles
    resolution: Resolution
    negative_anchors: NegativeAnchors
    clock_watch: ClockWatch
    anchor_watch: AnchorWatch
    priming: Priming
    lists: ListMemory
    headers: HeaderQueue
    feed: Feed

    @classmethod
    def begin(
        cls,
        plan: Plan,
        network: Network,
        store: Store,
        own: Store,
        clock: Clock,
        machine: Clock,
        counters: Counters,
        overrides: OverrideStore,
        client_history: ClientHistory,
        local_zones: LocalZoneFiles,
        audit: Callable[[logs.Fields], None],
        leases: Leases | None = None,
    ) -> "Shared":
        """All of it, empty, to begin with a first configuration. `own` keeps what is this host's own (`Service`).

        `clock`: what the mail side goes by, `machine` the machine's, by which keys are signed in time and caches age. `audit` is
        told of what people change. `leases`: where quotas come from that several hosts share.
        """
        guard = plan.guard
        resolution = Resolution(
            plan.settings,
            network,
            machine,
            counters,
            guard.zones,
            key_zones=guard.key_zones,
            local_zones=local_zones,
            hints=plan.external.hints,
            anchors=plan.external.anchors,
            clock_check=ClockCheck(built()),
        )
        priming = Priming(resolution.mesh, plan.settings.resolver.priming, forwards=resolution.upstreams.forwards_root)

        def ready() -> bool:
            # To a wrong clock no key is signed in time, and its time does not count.
            return priming.readiness.ready and resolution.clock_fault is None

        shared = cls(
            store,
            clock,
            counters,
            overrides,
            client_history,
            VerdictStore(own, clock, counters),
            local_zones,
            resolution,
            NegativeAnchors(store, clock, counters, resolution.set_negative, audit),
            ClockWatch(resolution.mesh, machine, counters, lambda: resolution.trust, resolution.reconsider),
            AnchorWatch(resolution.mesh, own, machine, counters, resolution.set_anchors, ready),
            priming,
            ListMemory(resolution.resolve, clock, counters, names=resolution.packets.generation, leases=leases),
            HeaderQueue(),
            Feed(clock, counters),
        )
        shared.prime_by(plan)
        shared.anchors_of(plan)
        return shared

    def anchors_of(self, plan: Plan) -> TrustAnchors:
        """The trust anchors in force where those of this plan are what they are learnt from."""
        wanted = plan.settings.resolver
        follow, signal = wanted.dnssec and wanted.rfc5011, wanted.dnssec and wanted.key_tag_signalling
        return self.anchor_watch.configure(
            plan.external.anchors, signature_policy(plan.settings), follow=follow, signal=signal
        )

    def prime_by(self, plan: Plan) -> bool:
        """Have those asked who answer for everything in a configuration that is in force; whether they are others than before."""
        settings, forwards = plan.settings.resolver, self.resolution.upstreams.forwards_root
        whom = settings.forward if forwards else plan.external.hints
        return self.priming.configure(settings.priming, forwards=forwards, whom=whom)


class Runtime(NamedTuple):
    """The parts for one configuration."""

    plan: Plan
    resolution: Resolution
    engine: Engine
    zones: ListZones | None
    answerer: Answerer
    policy: PolicyService
    priming: Priming

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.plan.settings


def read(settings: Settings, before: External | None = None, started_with: Certificate | None = None) -> Plan:
    """Read what the settings name (`named_files.read`). Blocks. Raises ConfigError."""
    external = named_files.read(settings, before, started_with)
    domains.warm()
    known = catalogue()
    specs = enabled_lists(settings, known) if settings.dnsbl.enabled else ()
    return Plan(settings, external, known, specs, GuardTable(known, specs))


def build(plan: Plan, shared: Shared, old: Runtime | None = None) -> Runtime:
    """Go on by this plan, in the place of `old`. Neither waits nor fails."""
    settings, guard, clock, counters = plan.settings, plan.guard, shared.clock, shared.counters
    resolution, priming = shared.resolution, shared.priming
    if old is not None:
        # Names below any known list are asked in full, whoever asks for them.
        resolution.configure(settings, guard.zones, guard.key_zones, plan.external.hints, shared.anchors_of(plan))
    delegate(shared.local_zones.table, resolution, settings)
    resolve = resolution.resolve
    frugal = settings.dnsbl.strategy == "frugal"
    others = unused(plan.known, plan.specs)
    engine = Engine(plan.specs, resolve, clock, counters, others=others, frugal=frugal, memory=shared.lists)
    zones = None
    if settings.dnsbl.enabled:
        names = ClientNames(resolve, clock)
        override_lookup = OverrideLookup(shared.overrides, names, clock)
        clients = ClientZones(names, shared.client_history, shared.verdicts, clock)
        zones = policy.list_zones(settings, guard, engine, clock, override_lookup, clients, shared.overrides)
    sentinel = Sentinel(resolution.root_key_tags) if settings.resolver.sentinel else None
    answerer = Answerer(zones, resolve, sentinel, minimal=settings.dns.minimal_responses)
    priming.on_return = engine.recover
    resolution.mesh.recursions.meter = engine.meter
    service = policy.policy_service(
        settings,
        engine,
        resolve,
        shared.store,
        clock,
        counters,
        lambda: priming.readiness.ready,
        shared.headers,
        shared.verdicts,
        shared.overrides,
        shared.lists.generation,
        plan.external,
        shared.client_history,
        shared.feed,
    )
    return Runtime(plan, resolution, engine, zones, answerer, service, priming)
