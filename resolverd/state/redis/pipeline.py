"""Commands over one connection: they go out as they come, many at once, and replies come in their order.

Nobody who gave up waiting can leave a reply for the next one: a connection whose oldest command has waited too long is closed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from resolverd import bounds
from resolverd.deadlines import Deadline, Deadlines
from resolverd.failures import StoreError
from resolverd.state.redis.connection import Arguments, Connection, library_errors, words
from resolverd.state.redis.replies import Refusal, Reply
from resolverd.state.redis.tasks import end

log = logging.getLogger(__name__)


class Wire:
    """Commands over one connection.

    `patience`: seconds for a reply, behind which the connection is closed; `lost`: called once when it ends by itself, with why.
    """

    def __init__(
        self,
        connection: Connection,
        patience: float,
        now: Callable[[], float],
        deadlines: Deadlines,
        lost: Callable[[str], None],
    ):
        self._connection = connection
        self._patience = patience
        self._now = now
        self._deadlines = deadlines
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Arguments] = []
        self._sent: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._wake = asyncio.Event()
        self._deadline: Deadline | None = None
        self._ended = False
        self._errors = library_errors()
        self._tasks = [self._loop.create_task(self._guarded(self._write())), self._loop.create_task(self._guarded(self._read()))]

    @property
    def is_open(self) -> bool:
        """Whether commands may be given to it."""
        return not self._ended

    def submit(self, arguments: Arguments, future: asyncio.Future[Reply] | None = None) -> asyncio.Future[Reply]:
        """Have a command sent: its reply, a Refusal, or StoreError. A `future` that is done by then keeps what it has."""
        future = self._loop.create_future() if future is None else future
        if self._ended or len(self._sent) >= bounds.STORE_JOBS:
            future.set_exception(StoreError("the connection is closed" if self._ended else "too many wait for the shared store"))
            return future
        at = self._now()
        self._waiting.append(arguments)
        self._sent.append((future, at))
        self._wake.set()
        if self._deadline is None:
            self._deadline = self._deadlines.add(at + self._patience, self._look)
        return future

    def _look(self, now: float) -> None:
        """Whether the oldest command has waited too long."""
        self._deadline = None
        if not self._sent:
            return
        oldest = self._sent[0][1]
        if now - oldest >= self._patience:
            self._end(f"no reply within {self._patience:g} s")
        else:
            self._deadline = self._deadlines.add(oldest + self._patience, self._look)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Let nobody wait for a reply whose reader has ended by a bug."""
        try:
            await work
        except Exception as error:
            log.error("a connection to the shared store ends by a bug", exc_info=error)
            self._end(f"a bug: {type(error).__name__}")

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            if self._ended:
                return
            try:
                await self._connection.send(*waiting)
            except self._errors as error:
                self._end(words(error))
                return

    async def _read(self) -> None:
        sent = self._sent
        while True:
            try:
                replies = await self._connection.replies()
            except self._errors as error:
                self._end(words(error))
                return
            for reply in replies:
                if not sent:
                    self._end("a reply that nothing was asked for")
                    return
                future = sent.popleft()[0]
                if future.done():
                    continue
                if isinstance(reply, Refusal):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)

    def _end(self, why: str) -> None:
        if not self._ended:
            self._fail(why)
            self._lost(why)

    def _fail(self, why: str) -> None:
        self._ended = True
        for future, _ in self._sent:
            if not future.done():
                future.set_exception(StoreError(f"the connection was lost: {why}"))
        if self._deadline is not None:
            self._deadline.cancel()  # it would hold what has come until then
        self._sent.clear()
        self._waiting.clear()
        self._wake.set()

    async def close(self) -> None:
        """End it: what waits for a reply gets StoreError."""
        if not self._ended:
            self._fail("it is closed")
        try:
            await end(*self._tasks)
        finally:
            await self._connection.close()  # whoever closes it may be ended meanwhile
