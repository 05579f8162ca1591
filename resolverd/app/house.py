"""The house: everything that depends on the configuration, put together once for each that is read."""

from collections.abc import Callable
from typing import NamedTuple

from resolverd.app import external, screening
from resolverd.app.external import External
from resolverd.app.ownzones import delegate
from resolverd.app.resolution import Resolution, resolution
from resolverd.config import Settings, enabled_lists
from resolverd.config.lists import catalogue
from resolverd.flow.acquaintances import Acquaintances
from resolverd.flow.answer import Answerer
from resolverd.flow.clientzones import ClientZones
from resolverd.flow.fanout import Engine
from resolverd.flow.hosts import Hosts
from resolverd.flow.listzones import ListZones
from resolverd.flow.localzones import LocalZones
from resolverd.flow.overriding import OverrideBook
from resolverd.flow.ownword import OwnWord
from resolverd.flow.ports import Clock, Network
from resolverd.flow.recent import RecentVerdicts
from resolverd.flow.screen import Screen
from resolverd.flow.upkeep import Upkeep
from resolverd.mail import domains
from resolverd.mail.guard import GuardTable, unused
from resolverd.store.base import Store
from resolverd.watch.counters import Counters
from resolverd.wire.names import Name


class Lasting(NamedTuple):
    """What outlives a configuration."""

    network: Network
    store: Store
    clock: Clock
    counters: Counters
    overrides: OverrideBook
    acquaintances: Acquaintances
    zones: LocalZones


class House(NamedTuple):
    """The parts for one configuration. `key_zones`: below these the next label of a name is a key."""

    settings: Settings
    external: External
    resolution: Resolution
    engine: Engine
    zones: ListZones | None
    answerer: Answerer
    screen: Screen
    upkeep: Upkeep
    list_zones: frozenset[Name]
    key_zones: frozenset[Name]


def build(settings: Settings, lasting: Lasting, verdicts: Callable[[], RecentVerdicts], old: House | None = None) -> House:
    """The house for these settings; caches are taken over from `old` where nothing they depend on has changed.

    `verdicts` gives those of late. Raises ConfigError.
    """
    outside = external.read(settings, old.external if old is not None else None)
    domains.warm()
    known = catalogue()
    specs = enabled_lists(settings, known) if settings.dnsbl.enabled else ()
    guard = GuardTable(known, specs)
    # Names below any known list are asked in full, whoever asks for them.
    zones = guard.zones
    clock, counters = lasting.clock, lasting.counters
    kept = old is not None and _same_resolution(old, settings, zones, outside)
    parts = old.resolution if old is not None and kept else resolution(
        settings, lasting.network, clock, counters, zones, key_zones=guard.key_zones, own=lasting.zones, hints=outside.hints
    )
    delegate(lasting.zones.table, parts, settings)
    parts.packets.flush()
    frugal = settings.dnsbl.strategy == "frugal"
    engine = Engine(specs, parts.resolve, clock, counters, others=unused(known, specs), frugal=frugal)
    if old is not None:
        engine.restore(old.engine.budgets())
    own = None
    if settings.dnsbl.enabled:
        hosts = Hosts(parts.resolve, clock)
        word = OwnWord(lasting.overrides, hosts, clock)
        clients = ClientZones(hosts, lasting.acquaintances, verdicts, clock)
        own = screening.list_zones(settings, guard, engine, clock, word, clients, lasting.overrides)
    answerer = Answerer(own, parts.resolve, counters)
    upkeep = old.upkeep if old is not None and kept else Upkeep(
        parts.recurse, settings.resolver.priming, forwards=parts.routes.root_forward
    )
    upkeep.on_return = engine.recover
    before = old.screen if old is not None else None
    screen = screening.screen(
        settings,
        engine,
        parts.resolve,
        lasting.store,
        clock,
        counters,
        lambda: upkeep.readiness.ready,
        before,
        lasting.overrides,
        outside,
    )
    return House(settings, outside, parts, engine, own, answerer, screen, upkeep, zones, guard.key_zones)


def _same_resolution(old: House, settings: Settings, zones: frozenset[Name], outside: External) -> bool:
    before = old.settings
    then = (before.resolver, before.cache, old.list_zones, old.external.hints)
    return then == (settings.resolver, settings.cache, zones, outside.hints)
