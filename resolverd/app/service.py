"""The daemon as its edges see it (`servers.ports.Backend`): the runtime built from settings, and rebuilt by a reload."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from resolverd.app import policy, runtime
from resolverd.app.local_zones import delegate, local_zones, reread
from resolverd.app.reload import Reloader
from resolverd.app.runtime import Plan, Runtime, Shared, build
from resolverd.app.supervise import Supervisor, Work
from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.config import Settings
from resolverd.dnsbl.monitor import Monitor
from resolverd.dnsbl.quota_store import QuotaStore
from resolverd.dnsbl.spec import ListStatus
from resolverd.failures import ConfigFault, StoreError
from resolverd.greylist.admin import Cursor, GreylistAdmin, GreylistRecord, RecordFilter, RecordPage
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.overrides import store as overriding
from resolverd.overrides.rules import Key, Override
from resolverd.overrides.store import NewOverride, OverrideStore, OverrideView
from resolverd.resolver.iterator.budget import TraceStep
from resolverd.resolver.local.files import Change
from resolverd.resolver.ports import Network
from resolverd.servers.ports import CacheEntry, Exchange, Gauge, ListSaying, Readiness, TaskState, Trace
from resolverd.state import dump
from resolverd.state.base import Store
from resolverd.state.disk.recovery import Recovery
from resolverd.state.disk.store import DiskStore
from resolverd.state.dump import Loaded, Stored
from resolverd.wire import codes, rdata
from resolverd.wire.names import Address, Name, lower
from resolverd.wire.redact import Redactor

log = logging.getLogger(__name__)

_STARTING = 1.0
"""Seconds for which a mail waits, at the start, for what has been allowed and denied by hand; then it passes."""
_SWEEP_EVERY = 60.0
"""Seconds between two sweeps of expired records from the store; each sweep is bounded."""
_REREADING = 10.0
"""Seconds for which a reload waits for the zone files to be read anew; what takes longer goes on behind it."""


class Service:
    """The running daemon without its sockets. `load` reads the configuration again, raising ConfigError."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        store: Store,
        clock: Clock,
        counters: Counters,
        load: Callable[[], Settings] | None = None,
    ):
        self._store = store
        self._clock = clock
        self.counters = counters
        self.supervisor = Supervisor(counters)
        self.on_reload: list[Callable[[Runtime], None]] = []
        self._overrides = OverrideStore(store, clock, counters)
        self._client_history = ClientHistory(store, clock, counters)
        self._local_zones = local_zones(settings, clock, counters)
        self._local_zones.on_change.append(self._zones_changed)
        plan = runtime.read(settings)
        self._shared = Shared.begin(
            plan, network, store, clock, counters, self._overrides, self._client_history, self._local_zones
        )
        self.runtime = build(plan, self._shared)
        for fault in plan.external.faults:
            log.warning("%s", fault)
        self._reloader = Reloader(load, lambda: self.runtime, self._take)
        self._quota_store = QuotaStore(store, clock, lambda: self.runtime.engine)
        self._monitor = Monitor(
            lambda: self.runtime.engine,
            lambda: self.ready().ready,
            lambda: self.runtime.settings.watch.addresses,
            clock,
            counters,
        )

    async def prepare(self, patience: float | None = None) -> None:
        """Take up what the admin has said by hand; what takes longer than `patience` seconds goes on behind the start.

        Until that is done, mail passes: he may have allowed whoever comes.
        """
        self._overrides.expect_load()
        await asyncio.wait({self.supervisor.run("overrides", self._overrides.load, once=True)}, timeout=patience)

    def read_zones(self) -> None:
        """Read the local zones now, blocking; a daemon reads them behind its start."""
        self._local_zones.load()

    def start(self) -> None:
        """Begin what goes on by itself: priming, sweeping and recovering the store, local zones, the lists' books and rounds."""
        work: dict[str, Work] = {
            "priming": self.runtime.priming.prime,
            "reachability": self.runtime.priming.watch,
            "store sweep": self._sweep,
            "override upkeep": self._tend_overrides,
            "zone files": self._local_zones.run,
            "list quotas": self._quota_store.run,
            "client notes": self._client_history.run,
            "verdicts": self._shared.verdicts.run,
            "list probes": self._monitor.probe,
            "own addresses": self._monitor.watch,
        }
        state = self.runtime.settings.state_directory()
        if state is not None and isinstance(self._store, DiskStore):
            recovery = Recovery(self._store, state, self._clock.wall, self.counters)
            work["store recovery"] = partial(self._recover, recovery)
        for name, each in work.items():
            self.supervisor.run(name, each)

    async def aclose(self) -> None:
        """End everything, the store last."""
        await self.supervisor.aclose()
        await self.runtime.engine.aclose()
        await self.runtime.resolution.mesh.aclose()
        await self._quota_store.write()
        self._overrides.write_hits()
        await self._client_history.write_notes()
        self._shared.verdicts.write()
        await self._store.close()

    # -- edge.ports.Backend ---------------------------------------------------------------------------------------------

    async def screen(self, attempt: Attempt, *, record: bool) -> Verdict:
        """The verdict on an attempt."""
        if not await self._overrides.ready(_STARTING):
            return Verdict("", Action.ACCEPT, 0, "what was allowed and denied by hand is being read", partial=True)
        verdict = await self.runtime.screen.screen(attempt, record=record)
        if record and attempt.protocol_state.upper() == "RCPT":
            self._client_history.note(verdict)
        return verdict

    async def verdict(self, reference: str) -> Verdict | None:
        """The verdict that has this id."""
        return await self._shared.verdicts.get(reference)

    async def lookup(self, subject: Address | str) -> Sequence[ListSaying]:
        """What every enabled list of its kind says of an address or a domain."""
        engine = self.runtime.engine
        deadline = self._clock.monotonic() + self.runtime.settings.dnsbl.deadline
        replies = await engine.ask_all(subject, deadline=deadline, background=True)
        return [ListSaying(state, replies[state.id]) for state in engine.statuses() if state.id in replies]

    def lists(self) -> Sequence[ListStatus]:
        """Every list, enabled or not."""
        return self.runtime.engine.statuses()

    def set_list(self, name: str, enabled: bool) -> ListStatus | None:
        """Use this list, or stop using it, until the next start."""
        engine = self.runtime.engine
        return engine.enable(name) if enabled else engine.disable(name)

    async def probe_list(self, name: str) -> ListStatus | None:
        """Ask the list's test points now."""
        return await self.runtime.engine.probe(name, deadline=self._clock.monotonic() + self.runtime.settings.dnsbl.deadline)

    def cache_stats(self) -> Mapping[str, float]:
        """Figures of the caches."""
        parts = self.runtime.resolution
        return {
            "packets": len(parts.packets),
            "packet_bytes": parts.packets.size,
            "records": len(parts.rrsets),
            "record_bytes": parts.rrsets.size,
            "delegations": len(parts.delegations),
            "delegation_bytes": parts.delegations.size,
            "servers": len(parts.infra),
        }

    def cache_show(self, name: Name, rtype: int | None) -> Sequence[CacheEntry]:
        """What the cache holds of a name, of one type or of all."""
        records, now = self.runtime.resolution.rrsets, self._clock.monotonic()
        redactor = Redactor(self.runtime.plan.guard.key_zones)
        name = lower(name)
        out = []
        for each in [rtype] if rtype is not None else sorted(records.types(name, now)):
            hit = records.get(name, each, now)
            if hit is None:
                continue
            shown, rtype_text = redactor.text(name), codes.type_text(each)
            if (rrset := hit.rrset) is not None:
                datas = tuple(rdata.summary(each, data) for data in rrset.rdatas)
                trust, security = hit.trust.name.lower(), rrset.security.name.lower()
                out.append(CacheEntry(shown, rtype_text, rrset.ttl, trust, security, datas))
            else:
                ttl = min((proof.ttl for proof in hit.authority), default=0)
                out.append(CacheEntry(shown, rtype_text, ttl, "NXDOMAIN" if hit.denies_name else "NODATA", "unknown", ()))
        return out

    def cache_flush(self, name: Name | None, rtype: int | None) -> int:
        """Forget a name's entries, of one type or of all; everything if `name` is None. How many records there were."""
        return self.runtime.resolution.flush(name, rtype)

    async def greylist_find(self, wanted: RecordFilter, start: Cursor | None, limit: int) -> RecordPage:
        """What greylisting remembers of those sought."""
        return await self._greybook.find(wanted, start=start, limit=limit)

    async def greylist_allow(self, client: Address, sender: str | None, recipient: str | None) -> GreylistRecord:
        """Let a client through, or a triplet."""
        return await self._greybook.allow(client, sender, recipient)

    async def greylist_forget(self, wanted: RecordFilter) -> int:
        """Forget those sought."""
        return await self._greybook.forget(wanted)

    @property
    def _greybook(self) -> GreylistAdmin:
        return GreylistAdmin(self._store, self._clock, policy.greylist_rules(self.runtime.settings))

    def overrides(self, subject: str | None) -> Sequence[OverrideView]:
        """The overrides in force, of one subject or of all."""
        return self._overrides.views(subject)

    async def override(self, wish: NewOverride) -> Override:
        """Put an override in force."""
        return await self._overrides.set(wish)

    async def forget_overrides(self, keys: Sequence[Key], owner: str) -> int:
        """Take overrides back."""
        return await self._overrides.forget(keys, owner)

    async def store_read(self, start: tuple[str, bytes] | None, count: int) -> dump.Page:
        """Records of the store in order of table and key."""
        return await dump.read(self._store, self._clock.wall(), start, count)

    async def store_load(self, records: Sequence[Stored]) -> Loaded:
        """Take records into the store."""
        loaded = await dump.load(self._store, self._clock.wall(), records)
        if any(record.table == overriding.TABLE for record in records):
            await self._overrides.load()
        return loaded

    async def trace(self, name: Name, rtype: int) -> Trace:
        """Resolve a name past all caches, and tell each exchange."""
        begun = self._clock.monotonic()
        answer, steps = await self.runtime.resolution.mesh.trace(name, rtype)
        shown = Redactor(self.runtime.plan.guard.key_zones).text
        exchanges = tuple(_exchange(step, shown) for step in steps)
        records = tuple(
            f"{shown(rrset.owner)} {rrset.ttl} {codes.type_text(rrset.rtype)} {rdata.summary(rrset.rtype, data)}"
            for rrset in (*answer.answer, *answer.authority)
            for data in rrset.rdatas
        )
        reasons = tuple(error.text for error in answer.errors if error.text)
        ms = round(1000 * (self._clock.monotonic() - begun))
        return Trace(exchanges, codes.rcode_text(answer.rcode), records, reasons, ms)

    async def reload(self) -> Sequence[ConfigFault]:
        """Read the configuration again; with faults the old one stays."""
        return (await self._reloader.reload()).faults

    def ready(self) -> Readiness:
        """Whether names can be resolved at the moment."""
        return Readiness(*self.runtime.priming.readiness)

    def tasks(self) -> Mapping[str, TaskState]:
        """The daemon's tasks, by name."""
        return self.supervisor.states()

    def gauges(self) -> Sequence[Gauge]:
        """Measured values for /metrics."""
        out = [Gauge(f"cache_{name}", value) for name, value in self.cache_stats().items()]
        out.append(Gauge("ready", float(self.ready().ready)))
        out += [Gauge(name, value) for name, value in self._local_zones.gauges().items()]
        for state in self.lists():
            out.append(Gauge("list_usable", float(state.enabled and state.state == "ok"), {"list": state.id}))
            if state.quota_left is not None:
                out.append(Gauge("list_quota_left", float(state.quota_left), {"list": state.id}))
            if state.forecast is not None:
                out.append(Gauge("list_quota_lasts_seconds", float(state.forecast), {"list": state.id}))
            if state.enabled and self.runtime.settings.watch.addresses:
                out.append(Gauge("watch_listed", float(len(state.watched)), {"list": state.id}))
        return out

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
        await old.engine.aclose()
        return self.runtime

    def _zones_changed(self, change: Change) -> None:
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
            if await recovery.run():
                await self._overrides.load()
            await asyncio.sleep(_SWEEP_EVERY)


def _exchange(step: TraceStep, shown: Callable[[Name], str]) -> Exchange:
    ask = step.ask
    ms = round(1000 * step.reply.rtt)
    return Exchange(shown(step.zone), str(ask.server), shown(ask.qname), codes.type_text(ask.qtype), step.outcome, ms)
