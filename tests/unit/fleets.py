"""A fleet around a daemon in process: others on the same store in memory, which tells of itself as a shared one does."""

from served import Served

from resolverd.fleet.host_record import Host, encode
from resolverd.fleet.hosts import HEARTBEAT, KEPT_FOR, TABLE, Hosts
from resolverd.fleet.schema import Schemas
from resolverd.metrics import Counters
from resolverd.state.base import Condition
from resolverd.state.memory import MemoryStore

WELL = Condition("redis", "", 5 << 20, 0, 0.4, 1.25, "Valkey 8.0.1", "rediss://store.example.net/0")


class SharedMemory(MemoryStore):
    """The daemon's store, which says how it fares."""

    is_well = True

    async def condition(self) -> Condition:
        return WELL if self.is_well else WELL._replace(fault="cannot be reached: connection refused", waiting=3)


def in_fleet(served: Served) -> Hosts:
    """Make a daemon that has not begun one of a fleet: mx1, beside mx2, which is alive, and mx3, which died."""
    served.store = SharedMemory()
    own = MemoryStore()
    hosts = Hosts(served.store, own, served.clock, Counters(), "1" * 16, "mx1")
    served.altered = lambda daemon: daemon._replace(hosts=hosts, own_store=own)
    return hosts


def many_say(served: Served, count: int, *, ago: float = 1) -> None:
    """So many more have said that they live so many seconds ago: mx10 and on."""
    now = served.clock.wall()
    for number in range(10, 10 + count):
        host = Host(f"{number:016}", f"mx{number}", "0.1.0", "r", now - 5000, now - ago, Schemas(1, 1), 1, HEARTBEAT)
        served.store.put(TABLE, host.id.encode(), encode(host), now + KEPT_FOR)


def others_say(served: Served, *, newer: bool = False) -> None:
    """mx2 says that it lives, and mx3 has some time ago. `newer`: mx2 has now a release with no form in common with ours."""
    now = served.clock.wall()
    schemas = Schemas(2, 3) if newer else Schemas(1, 1)
    said = [Host("2" * 16, "mx2", "0.9" if newer else "0.1.0", "r", now - 5000, now - 1, schemas, schemas.oldest, HEARTBEAT)]
    if not newer:
        said.append(Host("3" * 16, "mx3", "0.1.0", "r", now - 90000, now - 40 * HEARTBEAT, Schemas(1, 1), 1, HEARTBEAT))
    for host in said:
        served.store.put(TABLE, host.id.encode(), encode(host), now + KEPT_FOR)
