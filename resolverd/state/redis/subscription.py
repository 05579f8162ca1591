"""What the server tells of changes, over a connection of its own that is made again whenever it is lost."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Refusal, connect, disconnect, end, library_errors, packed
from resolverd.state.redis.session import Session
from resolverd.state.redis.wires import RedisAccess, password_of

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

_PING_EVERY: Final = 15.0
"""Seconds between signs of life that are asked for: the connection may be silent for hours, dead or alive."""
_PAUSE: Final = 1.0
"""Seconds between tries to subscribe while the server is within reach."""

log = logging.getLogger(__name__)


class Subscription:
    """The channels that somebody listens to.

    `heard`: called with table and message; `missed`: with a table of which messages may have been lost.
    """

    def __init__(
        self,
        session: Session,
        access: RedisAccess,
        heard: Callable[[str, bytes], None],
        missed: Callable[[str], None],
    ):
        self._session = session
        self._access = access
        self._heard = heard
        self._missed = missed
        self._tables: dict[bytes, str] = {}
        self._subscribed: set[bytes] = set()
        self._news = asyncio.Event()
        self._signs_of_life = 0
        self._connection: AbstractConnection | None = None
        self._following: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        session.on_reach.append(self._reach)

    async def add(self, channel: bytes, table: str) -> None:
        """Listen to a channel too; returns when that has begun, or at once where the server is out of reach."""
        if channel not in self._tables:
            self._tables[channel] = table
            if self._connection is not None:
                try:
                    await self._subscribe(self._connection, channel)
                except library_errors():
                    pass  # whoever reads from it finds out
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())
        try:
            async with asyncio.timeout(bounds.STORE_SHARED_CONNECT):
                while channel not in self._subscribed and self._session.reachable:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            await end(self._task)

    def _reach(self, reachable: bool) -> None:
        self._news.set()
        if not reachable and self._following is not None:
            self._following.cancel()  # another server may take its place

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not await self._session.connected(_PING_EVERY):
                continue
            try:
                self._connection = connection = await connect(self._session.require().peer(), password_of(self._access))
            except (StoreError, Refusal) as error:
                log.debug("listening to the shared store: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            self._following = loop.create_task(self._follow(connection))
            watching = loop.create_task(self._watch_over())
            try:
                await asyncio.wait((self._following, watching), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._connection = None
                self._subscribed.clear()
                await end(self._following, watching)
                await disconnect(connection)
            if self._session.reachable:
                log.debug("the connection that tells of changes was lost")
                await asyncio.sleep(_PAUSE)

    async def _follow(self, connection: "AbstractConnection") -> None:
        """Read what comes, until the connection ends."""
        try:
            if self._tables:
                await self._subscribe(connection, *self._tables)
            while True:
                message = await connection.read_response()
                self._signs_of_life += 1
                match message:
                    case [b"message", bytes(channel), bytes(text)] if channel in self._tables:
                        self._heard(self._tables[channel], text)
                    case [b"subscribe", bytes(channel), _] if channel in self._tables:
                        self._subscribed.add(channel)
                        self._missed(self._tables[channel])
                        self._news.set()
        except library_errors() as error:
            log.debug("listening to the shared store: %s", error)

    async def _watch_over(self) -> None:
        """Ends when the connection seems dead."""
        seen = -1
        while self._connection is not None and self._signs_of_life != seen:
            seen = self._signs_of_life
            try:
                await self._connection.send_packed_command([packed((b"PING",))], check_health=False)
            except library_errors():
                return
            await asyncio.sleep(_PING_EVERY)

    @staticmethod
    async def _subscribe(connection: "AbstractConnection", *channels: bytes) -> None:
        await connection.send_packed_command([packed((b"SUBSCRIBE", *channels))], check_health=False)
