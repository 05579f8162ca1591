"""A cluster: which of its servers has a key, and what moves between them meanwhile.

It is worked with while all its masters can be reached: half of the records are as little use as none.
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Callable
from functools import partial
from typing import Final

from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Arguments, Peer, Refusal, Reply, check_library
from resolverd.state.redis.wires import RedisAccess, Server, Wires

SLOTS: Final = 16384
_REDIRECTIONS: Final = 5
"""Of one command: slots that move all the time."""


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
                said.append(f"{seed.peer}: {error}")
            finally:
                if self._nodes.get((host, port)) is not seed:
                    await seed.close()
        raise StoreError("; ".join(said))

    async def look(self) -> Server:
        """As in `links.Link`."""
        servers = [await wires.look() for wires in self._nodes.values()]
        octets = sum(server.octets or 0 for server in servers)
        runs = ",".join(sorted(server.run for server in servers))
        return Server(f"{servers[0].name}, {len(servers)} masters", runs, servers[0].offset, octets)

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
        ranges = await seed.submit((b"CLUSTER", b"SLOTS"))
        slots: list[Wires | None] = [None] * SLOTS
        try:
            for first, last, master, *_ in ranges:
                address = master[0].decode("ascii") or host, int(master[1])
                if address not in self._nodes:
                    self._nodes[address] = seed if (seed.peer.host, seed.peer.port) == address else self._wires(address)
                    if self._nodes[address] is not seed:
                        await self._nodes[address].open()
                slots[first : last + 1] = [self._nodes[address]] * (last + 1 - first)
        except (TypeError, ValueError, IndexError, AttributeError):
            raise StoreError(f"{seed.peer} says nothing sensible of its cluster") from None
        if None in slots or len(slots) != SLOTS:
            raise Refusal("CLUSTERDOWN", "not all slots are served")
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
        if isinstance(error, Refusal) and error.code in ("MOVED", "ASK") and tries:
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
            address = host.strip("[]") or self.peer().host, int(port)
            wires = self._nodes.get(address)
            if wires is None:
                made = self._wires(address)
                try:
                    await made.open()
                except BaseException:
                    await made.close()
                    raise
                wires = self._nodes.setdefault(address, made)
                if wires is not made:
                    await made.close()
            if error.code == "MOVED" and int(slot) < SLOTS:
                self._slots[int(slot)] = wires
            self._try(wires, arguments, future, tries, asking=error.code == "ASK")
        except (StoreError, Refusal) as failure:
            if not future.done():
                future.set_exception(failure)
        except ValueError:
            if not future.done():
                future.set_exception(StoreError("a server of the cluster points to nowhere"))
