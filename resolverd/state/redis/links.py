"""Which server a command goes to: the one there is, or the master that sentinels name."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Arguments, Peer, Refusal, Reply, Wire, ask, check_library, connect
from resolverd.state.redis.target import RedisTarget


class RedisAccess(NamedTuple):
    """Where the store is, and how to be let in. `password`: read anew for each connection; `ca`: the only one trusted then."""

    target: RedisTarget
    password: Callable[[], str | None] = lambda: None
    ca: Path | None = None
    prefix: str = "resolverd"


class Server(NamedTuple):
    """What a server says of itself. `run`: another one each time it starts, and for each server; `offset`: seconds by which its
    clock is ahead of ours."""

    name: str
    run: str
    offset: float


class Link(Protocol):
    """The way to the server or servers."""

    async def open(self) -> Server:
        """Connect, and see that it can be worked with. Raises StoreError, Refusal."""
        ...

    def submit(self, key: bytes, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """Have a command on a key done: its reply, Refusal, or StoreError."""
        ...

    async def slowly(self, key: bytes, arguments: Arguments) -> Reply:
        """The same for what may take long, and must not keep others waiting. Raises StoreError, Refusal."""
        ...

    async def everywhere(self, arguments: Callable[[bytes], Arguments]) -> list[Reply]:
        """Page through something on each server that has keys: `arguments` of the cursor, until it is 0 again."""
        ...

    async def time(self) -> float:
        """Seconds by which the server's clock is ahead of ours. Raises StoreError, Refusal."""
        ...

    def peer(self) -> Peer:
        """One to subscribe at. Raises StoreError while there is none."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Wires:
    """The connections to one server: one for what must be quick, another for what may take long."""

    def __init__(
        self, peer: Peer, access: RedisAccess, clock: Clock, deadlines: Deadlines, lost: Callable[[str], None]
    ):
        self.peer = peer
        self._access = access
        self._clock = clock
        self._deadlines = deadlines
        self._lost = lost
        self._quick: Wire | None = None
        self._slow: Wire | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Server:
        """Connect. Raises StoreError, Refusal; StoreError for a server that is loading, or no master."""
        self._quick = wire = await self._wire(bounds.STORE_SHARED_REPLY, self._lost)
        told = _told(await wire.submit((b"INFO",)))
        if told.get("loading") == "1":
            raise Refusal("LOADING", f"{self.peer} reads what it has on disk")
        if told.get("role") != "master":
            raise Refusal("READONLY", f"{self.peer} is a replica")
        version = told.get("valkey_version") or told.get("redis_version") or "?"
        product = "valkey" if "valkey_version" in told else "redis"
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (6, 2):
            raise StoreError(f"{self.peer} is {product} {version}: 6.2 is the least")
        return Server(f"{product} {version}", told.get("run_id", ""), await self.time())

    def submit(self, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """Have a command done soon."""
        if self._quick is None:
            raise StoreError("there is no connection")
        return self._quick.submit(arguments, future)

    async def slowly(self, arguments: Arguments) -> Reply:
        """Have a command done that may take its time."""
        async with self._opening:
            if self._slow is None or not self._slow.is_open:
                if self._slow is not None:
                    await self._slow.close()
                self._slow = await self._wire(bounds.STORE_SHARED_PATIENCE, lambda why: None)
        return await self._slow.submit(arguments)

    async def time(self) -> float:
        """Seconds by which the server's clock is ahead of ours."""
        before = self._clock.wall()
        seconds, micros = await self.submit((b"TIME",))
        return int(seconds) + int(micros) / 1e6 - (before + self._clock.wall()) / 2

    async def pages(self, arguments: Callable[[bytes], Arguments]) -> list[Reply]:
        """What a command pages through has, all pages together."""
        found: list[Reply] = []
        cursor = b"0"
        while True:
            cursor, page = await self.slowly(arguments(cursor))
            found += page
            if cursor == b"0":
                return found

    async def close(self) -> None:
        """Close both."""
        for wire in (self._quick, self._slow):
            if wire is not None:
                await wire.close()
        self._quick = self._slow = None

    async def _wire(self, patience: float, lost: Callable[[str], None]) -> Wire:
        connection = await connect(self.peer, self._access.password())
        return Wire(connection, patience, self._clock.monotonic, self._deadlines, lost)


class SingleLink:
    """To one server at a known address, or to the master of a service that sentinels watch."""

    def __init__(self, access: RedisAccess, clock: Clock, deadlines: Deadlines, lost: Callable[[str], None]):
        self._access = access
        self._clock = clock
        self._deadlines = deadlines
        self._lost = lost
        self._wires: Wires | None = None

    async def open(self) -> Server:
        """As in `Link`."""
        check_library()
        self._wires = Wires(await self._master(), self._access, self._clock, self._deadlines, self._lost)
        return await self._wires.open()

    def submit(self, key: bytes, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """As in `Link`."""
        return self._there().submit(arguments, future)

    async def slowly(self, key: bytes, arguments: Arguments) -> Reply:
        """As in `Link`."""
        return await self._there().slowly(arguments)

    async def everywhere(self, arguments: Callable[[bytes], Arguments]) -> list[Reply]:
        """As in `Link`."""
        return await self._there().pages(arguments)

    async def time(self) -> float:
        """As in `Link`."""
        return await self._there().time()

    def peer(self) -> Peer:
        """As in `Link`."""
        return self._there().peer

    async def close(self) -> None:
        """As in `Link`."""
        if self._wires is not None:
            await self._wires.close()
            self._wires = None

    def _there(self) -> Wires:
        if self._wires is None:
            raise StoreError("there is no connection")
        return self._wires

    async def _master(self) -> Peer:
        target = self._access.target
        if target.form == "sentinel":
            host, port = await master_of(self._access)
        elif target.form == "unix":
            return Peer(path=target.path, database=target.database, user=target.user)
        else:
            ((host, port),) = target.addresses
        return Peer(host, port, "", target.database, target.user, target.tls, self._access.ca)


async def master_of(access: RedisAccess) -> tuple[str, int]:
    """Where the master of a service is, as the first sentinel says that knows. Raises StoreError."""
    target = access.target
    said: list[str] = []
    for host, port in target.addresses:
        sentinel = Peer(host, port, tls=target.tls, ca=access.ca)
        try:
            address = await _from_sentinel(sentinel, target.service, access)
        except (StoreError, Refusal) as error:
            said.append(f"sentinel {sentinel}: {error}")
            continue
        if address is not None:
            return address
        said.append(f"sentinel {sentinel} knows no service {target.service}")
    raise StoreError("; ".join(said))


async def _from_sentinel(sentinel: Peer, service: str, access: RedisAccess) -> tuple[str, int] | None:
    command: Sequence[bytes | str] = (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)
    try:
        (reply,) = await ask(sentinel, None, command)
    except Refusal as error:
        reply = error
    if isinstance(reply, Refusal) and reply.code in ("NOAUTH", "WRONGPASS", "NOPERM"):
        (reply,) = await ask(sentinel._replace(user=access.target.user), access.password(), command)
    if isinstance(reply, Refusal):
        raise reply
    if not isinstance(reply, list) or len(reply) != 2:
        return None
    try:
        return reply[0].decode("ascii"), int(reply[1])
    except (UnicodeDecodeError, ValueError):
        return None


def _told(info: Reply) -> dict[str, str]:
    """What INFO says, by name."""
    if not isinstance(info, bytes):
        return {}
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}
