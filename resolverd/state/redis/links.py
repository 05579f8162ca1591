"""Which server a command goes to: the one there is, or the master that sentinels name."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Arguments, Peer, address_of, ask, check_library
from resolverd.state.redis.replies import Refusal, Reply, list_of
from resolverd.state.redis.wires import RedisAccess, Server, Wires, password_of


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

    async def everywhere(self, arguments: Callable[[bytes], Arguments], take: Callable[[list[bytes]], None]) -> None:
        """Page through something on each server that has keys: `arguments` of the cursor, until it is 0 again.

        `take` is called with each page.
        """
        ...

    async def look(self) -> Server:
        """What it says of itself just now. Raises StoreError, Refusal, where it can no more be worked with as well."""
        ...

    def peer(self) -> Peer:
        """One to subscribe at. Raises StoreError while there is none."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


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
        await self._wires.open(any_role=True)
        return await self._wires.look()

    def submit(self, key: bytes, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """As in `Link`."""
        return self._there().submit(arguments, future)

    async def slowly(self, key: bytes, arguments: Arguments) -> Reply:
        """As in `Link`."""
        return await self._there().slowly(arguments)

    async def everywhere(self, arguments: Callable[[bytes], Arguments], take: Callable[[list[bytes]], None]) -> None:
        """As in `Link`."""
        await self._there().pages(arguments, take)

    async def look(self) -> Server:
        """As in `Link`."""
        return await self._there().look()

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
    """None where it knows no such service. Raises StoreError, Refusal."""
    command = b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service
    try:
        reply = await ask(sentinel, None, command)
    except Refusal as error:
        if error.code not in ("NOAUTH", "WRONGPASS", "NOPERM"):
            raise
        reply = await ask(sentinel._replace(user=access.target.user), password_of(access), command)
    return None if reply is None else address_of(*list_of(reply, 2))
