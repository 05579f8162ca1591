"""A shared store at its edge: a server in memory, and each host's way to it, which can be cut, stall, and lose replies.

For what no real server does on demand, at a given step; that real ones do what is expected here is tested with them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from resolverd.failures import StoreError
from resolverd.state.base import UNREAD, Condition, Entry, StoredValue, Unread, address, table_of
from resolverd.state.in_process import InProcess
from resolverd.state.memory import MemoryStore
from resolverd.state.shared import Merge

T = TypeVar("T")

PATIENCE = 0.02
"""Seconds after which a read is late."""
FAILURES = 3
"""In a row, after which the server counts as out of reach."""


class Server(MemoryStore):
    """What all hosts share."""

    def __init__(self) -> None:
        super().__init__()
        self.lives = 1
        self.links: list[Link] = []
        self.asked = 0

    def forget(self) -> None:
        """Die, and come back without what was there: every host finds its connection gone, and another server."""
        self._records.clear()
        self.lives += 1
        for link in self.links:
            if link.state == "up":
                link.cut()
                link.notice()
                link.mend()

    def flush_all(self) -> None:
        """Forget everything by somebody's command: nobody is told."""
        self._records.clear()
        self.lives += 1

    def _changed(self, table: str, key: bytes, value: bytes | None, expires: float = 0) -> None:
        for link in self.links:
            link.hear(table, key, value, expires)


class Link(InProcess):
    """One host's way to the server; as `state.redis` is to be seen. Its clock is `offset` s behind the server's."""

    def __init__(self, server: Server, merge: Merge, offset: float = 0.0, wall: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__()
        self.server = server
        self.state = "up"
        self.offset = offset
        self.reachable = True
        self.on_reach: list[Callable[[bool], None]] = []
        self.on_late: list[Callable[[str, bytes], None]] = []
        self.on_written: list[Callable[[str, bytes], None]] = []
        self._merge = merge
        self._wall = wall
        self._late: dict[bytes, tuple[StoredValue | None, float]] = {}
        self._failures = 0
        self._lives = server.lives
        self._fuse: tuple[int, str] | None = None
        self._closed = False
        self._missing = set[str]()
        server.links.append(self)

    @property
    def memory(self) -> str:
        return str(self._lives)

    @property
    def servers(self) -> int:
        return self.server.lives

    # -- what befalls it

    def cut(self) -> None:
        """From now on connections are refused."""
        self.state = "cut"

    def stall(self) -> None:
        """From now on the server accepts and says nothing."""
        self.state = "stalled"

    def lose_replies(self) -> None:
        """What is asked from now on is done, but nobody is told."""
        self.state = "mute"

    def break_after(self, count: int, state: str) -> None:
        """So many questions are answered yet; then it is ``cut``, ``stalled`` or ``mute``."""
        self._fuse = count, state

    def notice(self) -> None:
        """The host finds that the server is out of reach."""
        if self.reachable:
            self.reachable = False
            for at in self._late:
                self._tell_late(at)
            for tell in self.on_reach:
                tell(False)

    def mend(self) -> None:
        """All is well again, and the host knows it; what is late is merged."""
        self.state, self._failures, self._fuse = "up", 0, None
        self._lives = self.server.lives
        late, self._late = self._late, {}
        for at, (ours, since) in late.items():
            table, key = table_of(at), at.partition(b"\0")[2]
            now = self._wall() + self.offset
            theirs = self.server._held(table, key, now)
            merged = self._merge(table, key, ours, since, theirs)
            if merged is None:
                self.server.delete(table, key)
            else:
                self.server.put(table, key, *merged)
            self._tell_written(table, key)
        was, self.reachable = self.reachable, True
        if not was:
            for tell in self.on_reach:
                tell(True)
        for table in self._watchers.tables():
            self._missed(table)

    def hear(self, table: str, key: bytes, value: bytes | None, expires: float) -> None:
        """The server tells of a change."""
        if self.state == "up":
            self._changed(table, key, value, expires)

    # -- the store

    async def recall(self) -> None:
        await self._ask()
        if self._lives != self.server.lives:
            self.notice()
            asyncio.get_running_loop().call_soon(self.mend)

    async def connected(self, patience: float) -> bool:
        return self.reachable

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        held = await self.stored(table, key, now)
        return None if held is None else held.value

    async def stored(self, table: str, key: bytes, now: float) -> StoredValue | None:
        await self._ask()
        at = address(table, key)
        if at in self._late:
            held = self._late[at][0]
            return held if held is not None and now < held.expires else None
        return self._replied(self.server._held(table, key, now))

    def known(self, table: str, key: bytes, now: float) -> bytes | Unread | None:
        return UNREAD

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        await self._ask()

    async def add(self, table: str, key: bytes, amount: int, now: float, expires: float) -> int:
        await self._ask()
        return self._replied(await self.server.add(table, key, amount, now, expires))

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        await self._ask()
        return self._replied(await self.server.cas(table, key, expected, value, now, expires))

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        self._write(table, key, StoredValue(value, expires))

    def delete(self, table: str, key: bytes) -> None:
        self._write(table, key, None)

    def _write(self, table: str, key: bytes, held: StoredValue | None) -> None:
        self._check_open()
        if self.state != "up":
            self._late[address(table, key)] = held, self._wall() + self.offset
            if not self.reachable:
                self._tell_late(address(table, key))
            return
        if held is None:
            self.server.delete(table, key)
        else:
            self.server.put(table, key, *held)
        asyncio.get_running_loop().call_soon(self._tell_written, table, key)

    def _tell_written(self, table: str, key: bytes) -> None:
        for tell in self.on_written:
            tell(table, key)

    def _tell_late(self, at: bytes) -> None:
        for tell in self.on_late:
            tell(table_of(at), at.partition(b"\0")[2])

    def has_room(self) -> bool:
        return self.reachable

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        await self._ask()
        async for entry in self.server.scan(table, now, start):
            if self.state != "up":
                raise StoreError("gone in the middle")
            yield entry

    async def tables(self) -> list[str]:
        await self._ask()
        return await self.server.tables()

    async def condition(self) -> Condition:
        return Condition("redis", "" if self.reachable else "out of reach")

    def sweep(self, now: float) -> None:
        self._check_open()
        self.server.sweep(now)

    async def flush(self) -> None:
        await self._ask()

    async def close(self) -> None:
        self.die()

    def die(self) -> None:
        """End, as the process that has it; what was late is gone."""
        if not self._closed:
            self._closed = True
            self._end_watching()
            self.server.links.remove(self)

    async def _ask(self) -> None:
        self._check_open()
        if not self.reachable:
            raise StoreError("out of reach")
        await asyncio.sleep(0)
        self.server.asked += 1
        if self._fuse is not None:
            left, state = self._fuse
            self._fuse = (left - 1, state) if left else None
            self.state = self.state if left else state
        if self.state == "stalled":
            await asyncio.sleep(PATIENCE)
        if self.state in ("cut", "stalled"):
            self._fail()
        self._check_open()

    def _replied(self, reply: T) -> T:
        if self.state == "mute":
            self._fail()
        self._failures = 0
        return reply

    def _fail(self) -> None:
        self._failures += 1
        if self.state == "cut" or self._failures >= FAILURES:
            self.notice()
        raise StoreError(f"the connection is {self.state}")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
