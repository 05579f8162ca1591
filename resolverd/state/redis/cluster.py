"""A cluster: which of its servers has a key, and what moves between them meanwhile.

It is worked with while all its masters can be reached: half of the records are as little use as none.
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Arguments, Peer, address_of, check_library
from resolverd.state.redis.replies import Refusal, Reply, Senseless, list_of
from resolverd.state.redis.wires import RedisAccess, Server, Wires

SLOTS: Final = 16384
_REDIRECTIONS: Final = 5
"""Of one command: slots that move all the time."""
_PAUSE: Final = 10.0
"""Seconds for which no server is tried that others point to, once one of those could not be reached."""


class Served(NamedTuple):
    """Slots from `first` to `last`, and the master that has them."""

    first: int
    last: int
    master: tuple[str, int]


def served(reply: Reply, host: str) -> list[Served]:
    """What a server says of its cluster (``CLUSTER SLOTS``); it calls itself `host` where it does not know its name.

    Raises Senseless; Refusal where not all slots are served.
    """
    found: list[Served] = []
    missing = set(range(SLOTS))
    for each in list_of(reply):
        first, last, master, *_ = (*list_of(each), None, None, None)
        name, port, *_ = (*list_of(master), None, None)
        if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < SLOTS):
            raise Senseless("the server tells of slots that no cluster has")
        slots = range(first, last + 1)
        if not missing.issuperset(slots):
            raise Senseless("the server has two masters for one slot")
        missing.difference_update(slots)
        found.append(Served(first, last, address_of(name or host.encode(), port)))
    if missing:
        raise Refusal("CLUSTERDOWN", "not all slots are served")
    if len({each.master for each in found}) > bounds.STORE_SHARED_MASTERS:
        raise Senseless("the server tells of more masters than a cluster can have")
    return found


def slot_of(key: bytes) -> int:
    """The slot of a key: that of what stands between the first ``{`` and the next ``}``, if anything does."""
    begin = key.find(b"{")
    if begin >= 0 and (finish := key.find(b"}", begin + 1)) > begin + 1:
        key = key[begin + 1 : finish]
    return crc_hqx(key, 0) % SLOTS


class ClusterLink:
    """To all masters of a cluster; `links.Link` has the contract."""

    def __init__(self, access: RedisAccess, clock: Clock, deadlines: Deadlines, lost: Callable[[str], None]):
        self._access = access
        self._clock = clock
        self._deadlines = deadlines
        self._lost = lost
        self._nodes: dict[tuple[str, int], Wires] = {}
        self._slots: list[Wires | None] = [None] * SLOTS
        self._moves: set[asyncio.Task[None]] = set()
        self._meeting = asyncio.Lock()
        self._meets_from = float("-inf")
        """From which monotonic second on servers are tried again that others point to."""

    async def open(self) -> Server:
        """As in `links.Link`."""
        check_library()
        said: list[str] = []
        for host, port in self._access.target.addresses:
            seed = self._wires((host, port))
            try:
                await seed.open(any_role=True)
                await self._learn(seed, host)
                return await self.look()
            except StoreError as error:
                said.append(str(error))
            finally:
                if self._nodes.get((host, port)) is not seed:
                    await seed.close()
        raise StoreError("; ".join(said))

    async def look(self) -> Server:
        """As in `links.Link`."""
        servers = [await wires.look() for wires in self._nodes.values()]
        octets = sum(server.octets or 0 for server in servers)
        runs = ",".join(sorted(server.run for server in servers))
        evicts = next((server.evicts for server in servers if server.evicts), "")
        return Server(f"{servers[0].name}, {len(servers)} masters", runs, servers[0].offset, octets, evicts)

    def submit(self, key: bytes, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """As in `links.Link`."""
        future = asyncio.get_running_loop().create_future() if future is None else future
        self._try(self._node(key), arguments, future, _REDIRECTIONS, asking=False)
        return future

    async def slowly(self, key: bytes, arguments: Arguments) -> Reply:
        """As in `links.Link`."""
        try:
            return await self._node(key).slowly(arguments)
        except Refusal as error:
            if error.code not in ("MOVED", "ASK"):
                raise
        return await self.submit(key, arguments)

    async def everywhere(self, arguments: Callable[[bytes], Arguments], take: Callable[[list[bytes]], None]) -> None:
        """As in `links.Link`."""
        for wires in list(self._nodes.values()):
            await wires.pages(arguments, take)

    def peer(self) -> Peer:
        """As in `links.Link`: each server is told all messages."""
        for wires in self._nodes.values():
            return wires.peer
        raise StoreError("there is no connection")

    async def close(self) -> None:
        """As in `links.Link`."""
        for move in self._moves:
            move.cancel()
        await asyncio.gather(*self._moves, return_exceptions=True)
        for wires in self._nodes.values():
            await wires.close()
        self._nodes.clear()
        self._slots = [None] * SLOTS

    def _wires(self, address: tuple[str, int]) -> Wires:
        target = self._access.target
        peer = Peer(*address, user=target.user, tls=target.tls, ca=self._access.ca)
        return Wires(peer, self._access, self._clock, self._deadlines, self._lost)

    async def _learn(self, seed: Wires, host: str) -> None:
        """Connect to all masters, and note who has which slots. Raises StoreError, Refusal."""
        slots: list[Wires | None] = [None] * SLOTS
        for first, last, master in served(await seed.submit((b"CLUSTER", b"SLOTS")), host):
            if master not in self._nodes:
                self._nodes[master] = seed if (seed.peer.host, seed.peer.port) == master else self._wires(master)
                if self._nodes[master] is not seed:
                    await self._nodes[master].open()
            slots[first : last + 1] = [self._nodes[master]] * (last + 1 - first)
        self._slots = slots

    def _node(self, key: bytes) -> Wires:
        wires = self._slots[slot_of(key)]
        if wires is None:
            raise StoreError("there is no connection")
        return wires

    def _try(self, wires: Wires, arguments: Arguments, future: asyncio.Future[Reply], tries: int, asking: bool) -> None:
        """Have a command done there; `asking`: though its slot is still on its way."""
        if asking:
            wires.submit((b"ASKING",)).add_done_callback(asyncio.Future.exception)
        inner = wires.submit(arguments)
        inner.add_done_callback(partial(self._tried, arguments, future, tries))

    def _tried(self, arguments: Arguments, future: asyncio.Future[Reply], tries: int, inner: asyncio.Future[Reply]) -> None:
        if inner.cancelled():
            future.cancel()
            return
        error = inner.exception()
        if isinstance(error, Refusal) and error.code in ("MOVED", "ASK"):
            if not tries:
                error = StoreError("the servers of the cluster point to each other without end")
                self._lost(str(error))
                if not future.done():
                    future.set_exception(error)
                return
            move = asyncio.get_running_loop().create_task(self._follow(error, arguments, future, tries - 1))
            self._moves.add(move)
            move.add_done_callback(self._moves.discard)
        elif future.done():
            return
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(inner.result())

    async def _follow(self, error: Refusal, arguments: Arguments, future: asyncio.Future[Reply], tries: int) -> None:
        """Go where a server says that the slot is, or will be."""
        try:
            slot, _, where = error.text.partition(" ")
            host, _, port = where.rpartition(":")
            address = address_of((host.strip("[]") or self.peer().host).encode(), port.encode())
            wires = self._nodes.get(address) or await self._meet(address)
            if error.code == "MOVED" and len(slot) <= 5 and slot.isdecimal() and int(slot) < SLOTS:
                self._slots[int(slot)] = wires
            self._try(wires, arguments, future, tries, asking=error.code == "ASK")
        except (StoreError, Refusal) as failure:
            if not future.done():
                future.set_exception(failure)

    async def _meet(self, address: tuple[str, int]) -> Wires:
        """Connect to a server that another one points to: to one at a time, and no more for a while where that fails, as every
        command may be pointed somewhere else. Raises StoreError, Refusal."""
        async with self._meeting:
            if (known := self._nodes.get(address)) is not None:
                return known
            if len(self._nodes) >= bounds.STORE_SHARED_MASTERS or self._clock.monotonic() < self._meets_from:
                raise StoreError("the servers of the cluster point to others that cannot be reached")
            made = self._wires(address)
            try:
                await made.open()
            except BaseException:
                self._meets_from = self._clock.monotonic() + _PAUSE
                await made.close()
                raise
            self._nodes[address] = made
            return made
