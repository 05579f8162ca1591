"""One server: how to be let in, the connections to it, and what it says of itself."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.deadlines import Deadlines
from resolverd.failures import ConfigError, StoreError
from resolverd.state.redis.connection import Arguments, Peer, connect
from resolverd.state.redis.pipeline import Wire
from resolverd.state.redis.replies import Reply, Senseless, list_of, octets, printable, strings
from resolverd.state.redis.target import RedisTarget
from resolverd.state.shared import MAX_OFFSET

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})[\w.-]{0,30}", re.ASCII)
_NAME: Final = re.compile(r"[a-z]{1,20}")
_LEAST: Final = (6, 2)
_RUN: Final = 64
"""Characters of what tells one run of a server from another."""


class RedisAccess(NamedTuple):
    """Where the store is, and how to be let in. `password`: read anew for each connection; `ca`: the only one trusted then.

    `patience`: seconds for a reply where nobody's mail waits for it: of a command that somebody types.
    """

    target: RedisTarget
    password: Callable[[], str | None] = lambda: None
    ca: Path | None = None
    prefix: str = "resolverd"
    patience: float = 0.0


def password_of(access: RedisAccess) -> str | None:
    """The password as it stands now. Raises StoreError where it cannot be read."""
    try:
        return access.password()
    except (OSError, ValueError, ConfigError) as error:
        raise StoreError(f"the password of [store] cannot be read: {error}") from None


class Server(NamedTuple):
    """What a server says of itself. `run`: another one each time it starts, and for each server; `offset`: seconds by which its
    clock is ahead of ours; `octets`: of its memory in use, None where it does not say; `evicts`: by which policy it throws away
    what it has no room for, empty where it does not."""

    name: str
    run: str
    offset: float
    octets: int | None = None
    evicts: str = ""


class Wires:
    """The connections to one server: one for what must be quick, another for what may take long."""

    def __init__(self, peer: Peer, access: RedisAccess, clock: Clock, deadlines: Deadlines, lost: Callable[[str], None]):
        self.peer = peer
        self._access = access
        self._clock = clock
        self._deadlines = deadlines
        self._lost = lost
        self._quick: Wire | None = None
        self._slow: Wire | None = None
        self._opening = asyncio.Lock()

    async def open(self, any_role: bool = False) -> None:
        """Connect; to a replica as well, for `any_role`. Raises StoreError, Refusal."""
        self._quick = await self._wire(max(bounds.STORE_SHARED_REPLY, self._access.patience), self._lost)
        if not any_role:
            await self.look()

    async def look(self) -> Server:
        """What the server says of itself. Raises StoreError, Refusal, where it is no master as well."""
        before = self._clock.wall()
        told_at = _seconds(await self.submit((b"TIME",)))
        offset = told_at - (before + self._clock.wall()) / 2
        told = _told(octets(await self.submit((b"INFO",))))
        if told.get("role") != "master":
            raise StoreError(self._said("it is a replica"))
        product, version = _product(told)
        if version is None:
            raise Senseless(self._said("it does not say which version of Valkey or Redis it is"))
        if (int(version[1]), int(version[2])) < _LEAST:
            raise StoreError(self._said(f"it is {product} {version[0]}, and 6.2 is the least"))
        if abs(offset) > MAX_OFFSET:
            which = "ahead of" if offset > 0 else "behind"
            raise StoreError(self._said(f"its clock is more than an hour {which} this machine's: one of them is wrong"))
        run = printable(told.get("run_id", ""), _RUN)
        policy = told.get("maxmemory_policy", "noeviction") if _number(told.get("maxmemory", "")) else "noeviction"
        evicts = "" if policy == "noeviction" else printable(policy, _RUN)
        return Server(f"{product} {version[0]}", run, offset, _number(told.get("used_memory", "")), evicts)

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

    async def pages(self, arguments: Callable[[bytes], Arguments], take: Callable[[list[bytes]], None]) -> None:
        """Have `take` called with each page of what a command pages through. Raises StoreError, Refusal."""
        cursor = b"0"
        for _ in range(bounds.STORE_SHARED_PAGES):
            following, page = list_of(await self.slowly(arguments(cursor)), 2)
            take(strings(page))
            cursor = octets(following)
            if cursor == b"0":
                return
        raise Senseless(self._said("it has more keys than any server, or does not come to their end"))

    async def close(self) -> None:
        """Close both."""
        for wire in (self._quick, self._slow):
            if wire is not None:
                await wire.close()
        self._quick = self._slow = None

    async def _wire(self, patience: float, lost: Callable[[str], None]) -> Wire:
        password = password_of(self._access)
        try:
            connection = await connect(self.peer, password)
        except StoreError as error:
            raise StoreError(self._said(str(error))) from None
        return Wire(connection, patience, self._clock.monotonic, self._deadlines, lambda why: lost(self._said(why)))

    def _said(self, text: str) -> str:
        """What is to be said of this server, with its address where the URL of ``[store]`` is not that of a single one."""
        return f"{self.peer}: {text}" if self._access.target.form in ("sentinel", "cluster") else text


def _product(info: dict[str, str]) -> tuple[str, re.Match[str] | None]:
    """What INFO says that the server is, and its version; Valkey names besides the version of Redis that it stands in for."""
    name = info.get("server_name", "")
    if not _NAME.fullmatch(name) or f"{name}_version" not in info:
        name = "redis"
    return name.capitalize(), _VERSION.fullmatch(info.get(f"{name}_version", ""))


def _seconds(time: Reply) -> float:
    """What TIME says: seconds since 1970. Raises Senseless."""
    seconds, micros = strings(list_of(time, 2))
    if not (seconds.isdigit() and micros.isdigit() and len(seconds) <= 12 and len(micros) <= 6):
        raise Senseless("the server does not know the time")
    return int(seconds) + int(micros) / 1e6


def _told(info: bytes) -> dict[str, str]:
    """What INFO says, by name; its beginning has all that is asked for."""
    lines = (line.partition(":") for line in info[: bounds.STORE_SHARED_INFO].decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
