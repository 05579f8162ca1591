"""The runtime of a configuration: everything that depends on the configuration, put together once for each that is read."""

from typing import NamedTuple

from resolverd.app import named_files, policy
from resolverd.app.local_zones import delegate
from resolverd.app.named_files import External
from resolverd.app.resolver import Resolution, resolution
from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.config import Settings, enabled_lists
from resolverd.config.lists import catalogue
from resolverd.dnsbl.engine import Engine
from resolverd.mail import domains
from resolverd.metrics import Counters
from resolverd.overrides.store import OverrideStore
from resolverd.policy.client_names import ClientNames
from resolverd.policy.service import PolicyService
from resolverd.policy.verdicts import VerdictStore
from resolverd.resolver.local.files import LocalZoneFiles
from resolverd.resolver.ports import Network
from resolverd.resolver.priming import Priming
from resolverd.state.base import Store
from resolverd.wire.names import Name
from resolverd.zones.answer import Answerer
from resolverd.zones.client_zones import ClientZones
from resolverd.zones.guard import GuardTable, unused
from resolverd.zones.lists import ListZones
from resolverd.zones.override_lookup import OverrideLookup


class Shared(NamedTuple):
    """What outlives a configuration."""

    network: Network
    store: Store
    clock: Clock
    counters: Counters
    overrides: OverrideStore
    client_history: ClientHistory
    verdicts: VerdictStore
    local_zones: LocalZoneFiles


class Runtime(NamedTuple):
    """The parts for one configuration. `key_zones`: below these the next label of a name is a key."""

    settings: Settings
    external: External
    resolution: Resolution
    engine: Engine
    zones: ListZones | None
    answerer: Answerer
    screen: PolicyService
    priming: Priming
    list_zones: frozenset[Name]
    key_zones: frozenset[Name]


def build(settings: Settings, shared: Shared, old: Runtime | None = None) -> Runtime:
    """The runtime for these settings; caches are taken over from `old` where nothing they depend on has changed.

    Raises ConfigError.
    """
    outside = named_files.read(settings, old.external if old is not None else None)
    domains.warm()
    known = catalogue()
    specs = enabled_lists(settings, known) if settings.dnsbl.enabled else ()
    guard = GuardTable(known, specs)
    # Names below any known list are asked in full, whoever asks for them.
    zones = guard.zones
    clock, counters = shared.clock, shared.counters
    kept = old is not None and _same_resolution(old, settings, zones, outside)
    parts = old.resolution if old is not None and kept else resolution(
        settings,
        shared.network,
        clock,
        counters,
        zones,
        key_zones=guard.key_zones,
        local_zones=shared.local_zones,
        hints=outside.hints,
    )
    delegate(shared.local_zones.table, parts, settings)
    parts.packets.flush()
    frugal = settings.dnsbl.strategy == "frugal"
    engine = Engine(specs, parts.resolve, clock, counters, others=unused(known, specs), frugal=frugal)
    if old is not None:
        engine.restore(old.engine.budgets())
    own = None
    if settings.dnsbl.enabled:
        hosts = ClientNames(parts.resolve, clock)
        word = OverrideLookup(shared.overrides, hosts, clock)
        clients = ClientZones(hosts, shared.client_history, shared.verdicts, clock)
        own = policy.list_zones(settings, guard, engine, clock, word, clients, shared.overrides)
    answerer = Answerer(own, parts.resolve)
    priming = old.priming if old is not None and kept else Priming(
        parts.mesh, settings.resolver.priming, forwards=parts.upstreams.forwards_root
    )
    priming.on_return = engine.recover
    before = old.screen if old is not None else None
    screen = policy.screen(
        settings,
        engine,
        parts.resolve,
        shared.store,
        clock,
        counters,
        lambda: priming.readiness.ready,
        before,
        shared.verdicts,
        shared.overrides,
        outside,
    )
    return Runtime(settings, outside, parts, engine, own, answerer, screen, priming, zones, guard.key_zones)


def _same_resolution(old: Runtime, settings: Settings, zones: frozenset[Name], outside: External) -> bool:
    before = old.settings
    then = (before.resolver, before.cache, old.list_zones, old.external.hints)
    return then == (settings.resolver, settings.cache, zones, outside.hints)
