"""What the server tells of changes, over a connection of its own that is made again whenever it is lost."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Connection, connect, library_errors, words
from resolverd.state.redis.replies import Refusal, Reply
from resolverd.state.redis.session import Session
from resolverd.state.redis.tasks import end
from resolverd.state.redis.wires import RedisAccess, password_of

_PING_EVERY: Final = 15.0
"""Seconds between signs of life that are asked for: the connection may be silent for hours, dead or alive."""
_PAUSE: Final = 1.0
"""Seconds between tries to subscribe while the server is within reach, at first."""
_LAST_PAUSE: Final = 30.0
"""The same where such connections do not last: each has every table looked through anew."""
_REMARKABLE: Final = 8.0
"""Such a pause is worth a line in the log: the third in a row that did not last."""

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
        self._connection: Connection | None = None
        self._said = False
        self._following: asyncio.Task[str] | None = None
        self._task: asyncio.Task[None] | None = None
        session.on_reach.append(self._reach)

    async def add(self, channel: bytes, table: str) -> None:
        """Listen to a channel too; returns when that has begun, or at once where the server is out of reach."""
        if channel not in self._tables:
            self._tables[channel] = table
            if self._connection is not None:
                try:
                    await self._connection.send((b"SUBSCRIBE", channel))
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
        pause = _PAUSE
        while True:
            if not await self._session.connected(_PING_EVERY):
                continue
            begun = loop.time()
            try:
                self._connection = connection = await connect(self._session.require().peer(), password_of(self._access))
            except (StoreError, Refusal) as error:
                why = str(error)
            else:
                why = await self._hear(connection)
            if not self._session.reachable:
                continue
            if loop.time() - begun > _LAST_PAUSE:
                pause, self._said = _PAUSE, False
            level = logging.WARNING if pause >= _REMARKABLE and not self._said else logging.DEBUG
            self._said = self._said or level == logging.WARNING
            log.log(level, "what other hosts change is not heard of just now: %s", why)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    async def _hear(self, connection: Connection) -> str:
        """Follow what comes, and see that the connection lives; why it ended."""
        loop = asyncio.get_running_loop()
        self._following = following = loop.create_task(self._follow(connection))
        watching = loop.create_task(self._watch_over(connection))
        try:
            await asyncio.wait((following, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connection = None
            self._subscribed.clear()
            try:
                await end(following, watching)
            finally:
                await connection.close()  # this may be ended meanwhile
        if following.cancelled():
            return "it does not answer"
        if (error := following.exception()) is not None:
            log.error("listening to the shared store ends by a bug", exc_info=error)
            return f"a bug: {type(error).__name__}"
        return following.result()

    async def _follow(self, connection: Connection) -> str:
        """Read what comes, until the connection ends; why it did."""
        try:
            if self._tables:
                await connection.send((b"SUBSCRIBE", *self._tables))
            while True:
                before = connection.received
                messages = await connection.replies()
                self._signs_of_life += 1
                for message in messages:
                    self._take(message)
                # Others may tell of as many changes as they like, but not take all of this host's time with it.
                octets = connection.received - before
                await asyncio.sleep(max(len(messages) / bounds.STORE_MESSAGES, octets / bounds.STORE_MESSAGE_OCTETS))
        except Refusal as error:
            return str(error)
        except library_errors() as error:
            return words(error)

    def _take(self, message: Reply) -> None:
        """Raises Refusal."""
        match message:
            case Refusal(code="MISCONF"):
                pass  # a server that cannot save to its disk refuses even PING
            case Refusal():
                raise message
            case [b"message", bytes(channel), bytes(text)] if channel in self._tables:
                self._heard(self._tables[channel], text)
            case [b"subscribe", bytes(channel), _] if channel in self._tables and channel not in self._subscribed:
                self._subscribed.add(channel)
                self._missed(self._tables[channel])
                self._news.set()

    async def _watch_over(self, connection: Connection) -> None:
        """Ends when the connection seems dead."""
        seen = -1
        while self._signs_of_life != seen:
            seen = self._signs_of_life
            try:
                await connection.send((b"PING",))
            except library_errors():
                return
            await asyncio.sleep(_PING_EVERY)
