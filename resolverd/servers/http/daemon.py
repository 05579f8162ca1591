"""What the calls work on: the objects that do the work, as the configuration in force has them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sized
from typing import NamedTuple, Protocol

from resolverd.clock import Clock
from resolverd.dnsbl.catalogue import Catalogue
from resolverd.dnsbl.engine import Engine
from resolverd.failures import ReloadResult
from resolverd.fleet.hosts import Hosts
from resolverd.greylist.admin import GreylistAdmin
from resolverd.metrics import Counters
from resolverd.overrides.store import OverrideStore
from resolverd.policy.fleet_verdicts import Verdicts
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.packets import PacketCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.cache.sweep import Sweep
from resolverd.resolver.local.files import LocalZoneFiles
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.negative_anchors import NegativeAnchors
from resolverd.resolver.ports import Resolver
from resolverd.resolver.priming import Priming
from resolverd.resolver.validator.trust import TrustState
from resolverd.servers.policy.server import VerdictSource
from resolverd.state.base import Store
from resolverd.telemetry.feed import Feed
from resolverd.telemetry.series import Series
from resolverd.wire.names import Name


class ResolverState(Protocol):
    """The resolver, with what it remembers."""

    @property
    def packets(self) -> PacketCache:
        """Prepared replies."""
        ...

    @property
    def rrsets(self) -> RRsetCache:
        """RRsets and denials."""
        ...

    @property
    def delegations(self) -> DelegationCache:
        """Zone cuts."""
        ...

    @property
    def infra(self) -> Sized:
        """What is known of servers."""
        ...

    @property
    def mesh(self) -> Mesh:
        """What resolves."""
        ...

    @property
    def trust(self) -> TrustState | None:
        """On whose word keys are believed; None where nothing is validated."""
        ...

    @property
    def clock_fault(self) -> str | None:
        """Why the wall clock is not believed, so that nothing is validated; None where it is."""
        ...

    def flush(self, name: Name | None, rtype: int | None) -> int:
        """Forget a name's entries, of one type or of all; everything if `name` is None. How many RRsets there were."""
        ...

    def flush_below(self, name: Name) -> Sweep:
        """Forget everything of the names at and below `name`: at once for who asks, and with `sweep` to the end."""
        ...

    def sweep(self, entries: int) -> bool:
        """Go on with what is to be forgotten and freed, through so many entries; whether there is more to be done."""
        ...


class Daemon(NamedTuple):
    """The daemon for one configuration.

    `begun`: the monotonic second of its start. `cache_size`: octets that its DNS caches may take. `deadline`: seconds that
    lists have to answer. `key_zones`: below these the next label of a name is a key, which is never shown. `own_addresses`:
    those that are looked up in all lists. `tasks`: those that live as long as the daemon, by name. `series`: what was counted
    when. `feed`: what happens now. `alerts`: whether there is trouble, by kind. `reload`: reads the configuration again; with
    faults the old one stays. `write_cache`: has what is kept of the caches on disk as it is in memory; None where nothing is
    kept. `hosts`: who shares the store; None where it is this host's own. `own_store`: what is this host's own then; None where
    that is the same store.
    """

    policy: VerdictSource
    verdicts: Verdicts
    lists: Engine
    catalogue: Catalogue
    not_asked: Mapping[str, str]
    names: Resolver
    resolver: ResolverState
    priming: Priming
    local_zones: LocalZoneFiles
    greylist: GreylistAdmin
    overrides: OverrideStore
    negative_anchors: NegativeAnchors
    store: Store
    clock: Clock
    counters: Counters
    begun: float
    cache_size: int
    deadline: float
    key_zones: frozenset[Name]
    own_addresses: Collection[object]
    tasks: Callable[[], Mapping[str, tuple[str, int]]]
    reload: Callable[[], Awaitable[ReloadResult]]
    series: Series
    feed: Feed
    alerts: Callable[[], Mapping[str, bool]]
    write_cache: Callable[[], Awaitable[None]] | None = None
    hosts: Hosts | None = None
    own_store: Store | None = None
