"""What a daemon does besides where hosts share a server: it is one of them, and keeps their time."""

import socket

from resolverd.clock import Clock
from resolverd.fleet.clock import FleetClock
from resolverd.fleet.hosts import Hosts, host_id
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.shared import SharedStore


class Fleet:
    """This host among those that share a server. `clock`: what the mail side goes by; `hosts`: who shares it."""

    def __init__(self, store: Store, own: Store, shared: SharedStore, clock: Clock, counters: Counters, id: str):
        """`store`: the shared one with the own one in front of it."""
        self.clock: Clock = FleetClock(clock, lambda: shared.offset)
        self.hosts = Hosts(store, own, self.clock, counters, id, socket.gethostname())


async def join(store: Store, own: Store, shared: SharedStore | None, clock: Clock, counters: Counters) -> Fleet | None:
    """This host in its fleet; None where nothing is shared."""
    if shared is None:
        return None
    return Fleet(store, own, shared, clock, counters, await host_id(own, clock.wall()))
