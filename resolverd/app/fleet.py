"""What a daemon does besides where hosts share a server: it is one of them, goes by their time, and shows what it knows."""

import socket
from collections.abc import Callable

from resolverd.app.shared_tables import shared_table
from resolverd.app.store import open_shared
from resolverd.app.supervise import Work
from resolverd.clock import Clock
from resolverd.config import Secret, Settings
from resolverd.dnsbl.leases import Leases
from resolverd.dnsbl.list_memory import ListMemory
from resolverd.dnsbl.watched import WatchedAddresses
from resolverd.fleet.audit import FleetAudit
from resolverd.fleet.clock import FleetClock
from resolverd.fleet.hosts import Hosts, host_id
from resolverd.fleet.schema import SCHEMAS
from resolverd.metrics import Counters
from resolverd.policy.fleet_verdicts import FleetVerdicts
from resolverd.policy.published_verdicts import VerdictPublisher
from resolverd.policy.verdicts import VerdictStore
from resolverd.state.base import Store
from resolverd.state.fallback import FallbackStore, open_fallback
from resolverd.state.shared import SharedStore
from resolverd.telemetry.shared_notices import SharedNotices


class Fleet:
    """This host among those that share a server. `leases` is where quotas of lists come from.

    `store` keeps what is known of mail: the server, with the host's own store behind it. `clock` is what the mail side goes by,
    `hosts` knows who shares the server. `audit` is told of changes; `notices` knows
    which troubles this host tells people of.
    """

    def __init__(
        self, store: FallbackStore, own: Store, shared: SharedStore, clock: Clock, counters: Counters, hosts: Hosts
    ) -> None:
        self.store = store
        self.clock = clock
        self.hosts = hosts
        self._own = own
        self._shared = shared
        self._counters = counters
        self.audit = FleetAudit(store, own, hosts, clock, counters)
        self.notices = SharedNotices(store, hosts, clock)
        self.leases = Leases(shared, clock, counters, hosts=hosts.count)
        self.work: dict[str, Work] = {
            "hosts": hosts.run, "audit log": self.audit.run,
            "list quotas": self.leases.run, "list quotas of others": self.leases.follow,
        }  # fmt: skip
        """What is to go on as long as the daemon does, by name."""

    def share(self, lists: ListMemory, verdicts: VerdictStore) -> FleetVerdicts:
        """Share what lists say and how they fare, and this host's verdicts; all hosts' verdicts."""
        self.work["list health"] = lists.share(self.store, self.clock, self._counters, self._id).run
        self.work["shown verdicts"] = VerdictPublisher(verdicts, self.store, self.clock, self._id, self._memory).run
        return FleetVerdicts(verdicts, self.store, self.hosts, self.clock)

    def watched(self) -> WatchedAddresses:
        """What all hosts find out of their own addresses."""
        return WatchedAddresses(self.store, self.clock, self._counters, self._id)

    def leave(self) -> None:
        """Say that this host ends. Never raises."""
        self.hosts.leave()

    def _id(self) -> str:
        return self.hosts.id

    def _memory(self) -> str:
        return self._shared.memory


async def join(
    settings: Settings, own: Store, machine: Clock, counters: Counters, password: Callable[[], Secret | None]
) -> Fleet | None:
    """This host in its fleet; None where nothing is shared. Nobody waits for the server, and nothing fails by it.

    `machine`: the machine's clock. `password`: the one that is configured at the moment.
    """
    if settings.store.url.target is None:
        return None
    known: list[Hosts] = []

    def schema() -> int:
        return known[0].schema() if known else SCHEMAS.oldest

    shared = open_shared(settings.store, machine, counters, password, schema)
    try:
        store = await open_fallback(shared, own, machine, counters, shared_table)
        clock = FleetClock(machine, lambda: store.offset)
        known.append(Hosts(store, own, clock, counters, await host_id(own, machine.wall()), socket.gethostname()))
    except BaseException:
        await shared.close()
        raise
    return Fleet(store, own, shared, clock, counters, known[0])
