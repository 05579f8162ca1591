"""The daemon without its sockets: the runtime built from settings, rebuilt by a reload, and what goes on by itself."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from resolverd import logs
from resolverd.app import policy, runtime
from resolverd.app.alerts import notifier
from resolverd.app.certificate import Certificate
from resolverd.app.fleet import Fleet
from resolverd.app.kept_caches import persistence
from resolverd.app.local_zones import delegate, local_zones, reread
from resolverd.app.reload import Reloader
from resolverd.app.runtime import Plan, Runtime, Shared, build
from resolverd.app.supervise import Supervisor, Work
from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.config import Settings
from resolverd.dnsbl.monitor import Monitor
from resolverd.dnsbl.on_demand import not_asked
from resolverd.dnsbl.quota_store import QuotaStore
from resolverd.failures import ReloadResult, StoreError
from resolverd.greylist.admin import GreylistAdmin
from resolverd.metrics import Counters
from resolverd.overrides import store as overriding
from resolverd.overrides.store import OverrideStore
from resolverd.policy.fleet_verdicts import Verdicts
from resolverd.pseudonyms import Pseudonyms
from resolverd.resolver.local.files import ZoneChange
from resolverd.resolver.persist.persistence import Persistence
from resolverd.resolver.ports import Network
from resolverd.servers.http.daemon import Daemon
from resolverd.state.base import Store
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.state.disk.pending import PendingStore
from resolverd.state.disk.recovery import Recovery
from resolverd.state.disk.store import DiskStore
from resolverd.telemetry.recorder import SeriesRecorder

log = logging.getLogger(__name__)

_SWEEP_EVERY = 60.0
"""Seconds between two sweeps of expired records from the store; each sweep is bounded."""
_CACHE_PATIENCE = 0.5
"""Seconds for what is remembered to be written at the end; what takes longer is given up."""
_REREADING = 10.0
"""Seconds for which a reload waits for the zone files to be read anew; what takes longer goes on behind it."""


class Service:
    """The running daemon without its sockets. `load` reads the configuration again, raising ConfigError."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        own: Store,
        clock: Clock,
        counters: Counters,
        load: Callable[[], Settings] | None = None,
        certificate: Certificate | None = None,
        fleet: Fleet | None = None,
    ):
        """`own`: the host's own store, which keeps everything unless the host is one of a `fleet`.

        `certificate`: that of DNS over TLS for clients, where it has been read already.
        """
        self._own = own
        self._fleet = fleet
        self._store = store = own if fleet is None else fleet.store
        machine, clock = clock, clock if fleet is None else fleet.clock
        self._clock = clock
        self._begun = clock.monotonic()
        self.counters = counters
        self.supervisor = Supervisor(counters)
        self.on_reload: list[Callable[[Runtime], None]] = []
        audit = logs.audit if fleet is None else fleet.audit
        self._overrides = OverrideStore(store, clock, counters, audit)
        self._client_history = ClientHistory(store, clock, counters)
        self._local_zones = local_zones(settings, machine, counters)
        self._local_zones.on_change.append(self._zones_changed)
        plan = runtime.read(settings, started_with=certificate)
        self._shared = Shared.begin(
            plan,
            network,
            store,
            own,
            clock,
            machine,
            counters,
            self._overrides,
            self._client_history,
            self._local_zones,
            audit,
            None if fleet is None else fleet.leases,
        )
        self._verdicts: Verdicts = self._shared.verdicts
        if fleet is not None:
            self._verdicts = fleet.share(self._shared.lists, self._shared.verdicts)
        self.runtime = build(plan, self._shared)
        self._persistence: Persistence | None = None
        state = settings.state_directory()
        if state is not None and isinstance(own, DiskStore | PendingStore) and settings.cache.persist:
            self._persistence = persistence(state, settings, self._shared, machine, counters)
        self._recorder = SeriesRecorder(own, machine, counters)
        self._notifier = notifier(lambda: self.runtime, own, fleet, self._shared.feed, machine, counters)
        self._capabilities: tuple[Runtime, Daemon] | None = None
        for fault in plan.external.faults:
            log.warning("%s", fault)
        self._reloader = Reloader(load, lambda: self.runtime, self._take)
        self._quota_store = QuotaStore(store, clock, lambda: self.runtime.engine)
        self._monitor = Monitor(
            lambda: self.runtime.engine,
            lambda: self.runtime.priming.readiness.ready,
            lambda: self.runtime.settings.watch.addresses,
            clock,
            counters,
            None if fleet is None else fleet.watched(),
        )

    def name_by(self, pseudonyms: Pseudonyms | None) -> None:
        """What is kept of the attempts that verdicts are on names nobody with `pseudonyms`, from now on."""
        self._shared.verdicts.pseudonyms = pseudonyms

    async def prepare(self, patience: float | None = None) -> None:
        """Load overrides, trust anchors and negative ones; what takes longer than `patience` seconds goes on behind the start.

        Until that is done for the overrides, mail passes: whoever comes may be allowed. Then what was remembered before.
        """
        self._overrides.expect_load()
        self.supervisor.run("overrides", self._overrides.run)
        self.supervisor.run("negative anchors", self._shared.negative_anchors.run)
        await asyncio.gather(
            self._overrides.ready(patience), self._shared.negative_anchors.ready(patience), self._load_anchors(patience)
        )
        await self._open_cache(patience)

    async def _open_cache(self, patience: float | None) -> None:
        """Take up what was remembered before a restart: behind everything that says under what that is true."""
        state = self.runtime.settings.state_directory()
        if self._persistence is not None:
            # What local zones delegate is asked of their servers, and what came by another way is of no use.
            reading = self.supervisor.run("zone files anew", self._local_zones.refresh, once=True)
            await asyncio.wait({reading}, timeout=patience)
            await self._persistence.open()
        elif state is not None and isinstance(self._own, DiskStore | PendingStore):
            # Whatever is flushed from now on would come back from there one day.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(CacheFolder(state, 0).delete)

    async def _load_anchors(self, patience: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._shared.anchor_watch.load()

    def read_zones(self) -> None:
        """Read the local zones now, blocking; a daemon reads them behind its start."""
        self._local_zones.load()

    def start(self) -> None:
        """Begin what goes on by itself: priming, the store's sweep and recovery, local zones, the lists' quotas and monitor."""
        work: dict[str, Work] = {
            "priming": self.runtime.priming.prime,
            "reachability": self.runtime.priming.watch,
            "store sweep": self._sweep,
            "override upkeep": self._tend_overrides,
            "negative anchor expiry": self._shared.negative_anchors.expire,
            "clock": self._shared.clock_watch.run,
            "trust anchors": self._shared.anchor_watch.run,
            "zone files": self._local_zones.run,
            "list quotas": self._quota_store.run,
            "client notes": self._client_history.run,
            "verdicts": self._shared.verdicts.run,
            "list probes": self._monitor.probe,
            "own addresses": self._monitor.watch,
            "time series": self._recorder.run,
            "alerts": self._notifier.run,
            **{f"alerts by {way.name}": way.run for way in self._notifier.ways},
        }
        state = self.runtime.settings.state_directory()
        if state is not None and isinstance(self._own, DiskStore):
            recovery = Recovery(self._own, state, self._clock.wall, self.counters)
            work["store recovery"] = partial(self._recover, recovery)
        if self._persistence is not None:
            work["cache file"] = self._persistence.run
        if self._fleet is not None:
            work |= self._fleet.work  # its quotas in place of those of a host alone
        for name, each in work.items():
            self.supervisor.run(name, each)

    async def aclose(self) -> None:
        """End everything, the store last."""
        await self.supervisor.aclose()
        await self.runtime.engine.aclose()
        await self.runtime.resolution.mesh.aclose()
        if self._persistence is not None:
            await self._persistence.aclose(_CACHE_PATIENCE)
        if self._fleet is None:
            await self._quota_store.write()
        else:
            await self._fleet.leases.end()
        await self._overrides.write_hits()
        await self._client_history.write_notes()
        self._shared.verdicts.write()
        self._recorder.write()
        if self._fleet is not None:
            self._fleet.leave()
        await self._store.close()

    def end_feed(self) -> None:
        """Have everybody let go who follows the live feed."""
        self._shared.feed.end()

    def capabilities(self) -> Daemon:
        """What HTTP calls work on, as the configuration in force has it."""
        runtime = self.runtime
        if self._capabilities is None or self._capabilities[0] is not runtime:
            self._capabilities = runtime, self._capabilities_by(runtime)
        return self._capabilities[1]

    def _capabilities_by(self, runtime: Runtime) -> Daemon:
        dnsbl = runtime.settings.dnsbl
        return Daemon(
            policy=runtime.policy,
            verdicts=self._verdicts,
            lists=runtime.engine,
            catalogue=runtime.plan.known,
            not_asked=not_asked(runtime.plan.known, runtime.plan.specs, enabled=dnsbl.enabled, use=dnsbl.use),
            names=runtime.resolution.resolve,
            resolver=runtime.resolution,
            priming=runtime.priming,
            local_zones=self._local_zones,
            greylist=self._greylist_admin(runtime),
            overrides=self._overrides,
            negative_anchors=self._shared.negative_anchors,
            store=self._store,
            clock=self._clock,
            counters=self.counters,
            begun=self._begun,
            cache_size=runtime.settings.cache.size,
            deadline=runtime.settings.dnsbl.deadline,
            key_zones=runtime.plan.guard.key_zones,
            own_addresses=runtime.settings.watch.addresses,
            tasks=self.supervisor.states,
            reload=self.reload,
            series=self._recorder.series,
            feed=self._shared.feed,
            alerts=self._notifier.kinds,
            write_cache=self._persistence.write if self._persistence is not None else None,
            hosts=self._fleet.hosts if self._fleet is not None else None,
            own_store=self._own if self._fleet is not None else None,
        )

    def _greylist_admin(self, runtime: Runtime) -> GreylistAdmin:
        rules, fleet = policy.greylist_rules(runtime.settings), self._fleet
        if fleet is None:
            return GreylistAdmin(self._store, self._clock, rules)
        return GreylistAdmin(self._store, self._clock, rules, self._own, lambda: fleet.store.reachable)

    async def reload(self) -> ReloadResult:
        """Read the configuration again; with faults the old one stays."""
        return await self._reloader.reload()

    async def _take(self, plan: Plan) -> Runtime:
        """Go on by what was read: in one step, and then with what that begins anew."""
        old, self.runtime = self.runtime, build(plan, self._shared, self.runtime)
        for listener in self.on_reload:
            listener(self.runtime)
        if self._shared.prime_by(plan):
            self.supervisor.run("priming", self.runtime.priming.prime)
            self.supervisor.run("reachability", self.runtime.priming.watch)
        self.supervisor.run("own addresses", self._monitor.watch)
        rereading = partial(reread, self._local_zones, old.settings, plan.settings)
        await asyncio.wait({self.supervisor.run("zone files anew", rereading, once=True)}, timeout=_REREADING)
        return self.runtime

    def _zones_changed(self, change: ZoneChange) -> None:
        """Local zones say something else from now on: nobody may go on with what they said before."""
        delegate(change.table, self.runtime.resolution, self.runtime.settings)
        self.runtime.resolution.changed()
        self.runtime.engine.forget(change.origins)

    # -- what goes on by itself -----------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            with contextlib.suppress(StoreError):
                self._store.sweep(self._clock.wall())

    async def _tend_overrides(self) -> None:
        while True:
            await asyncio.sleep(overriding.HITS_EVERY)
            await self._overrides.expire()

    async def _recover(self, recovery: Recovery) -> None:
        while True:
            await recovery.run()
            await asyncio.sleep(_SWEEP_EVERY)

