"""Staying in touch with the server: connecting behind everybody's back, the breaker, its clock, whether it remembers."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from random import random
from typing import Final

from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.metrics import Counters
from resolverd.state.redis.breaker import FIRST_PAUSE, LAST_PAUSE, Breaker
from resolverd.state.redis.links import Link
from resolverd.state.redis.refusals import WAITS, explained, needs_an_admin
from resolverd.state.redis.replies import Refusal, octets
from resolverd.state.redis.tasks import always, end
from resolverd.state.redis.wires import Server

_LOOK_EVERY: Final = 60.0
"""Seconds between looks at the server, by which a connection that is dead is found as well."""

log = logging.getLogger(__name__)


class Session:
    """The connection to the server, whenever there is one.

    `connect`: makes a link that calls what it is given when it is lost; `since`: the key that tells whether the server remembers.
    """

    def __init__(
        self, connect: Callable[[Callable[[str], None]], Link], since: bytes, where: str, clock: Clock, counters: Counters
    ):
        self._connect = connect
        self._since = since
        self._where = where
        self._clock = clock
        self._counters = counters
        self._breaker = Breaker(random)
        self._link: Link | None = None
        self._fault = "not reached yet"
        self._said = False
        self._run = ""
        self._evicts = ""
        self.memory = ""
        self.servers = 0
        self._met = False
        self._down = asyncio.Event()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.offset = 0.0
        self.server = ""
        self.octets: int | None = None
        self.on_reach: list[Callable[[bool], None]] = []
        self.on_other_server: list[Callable[[], None]] = []

    @property
    def reachable(self) -> bool:
        """Whether the server answers."""
        return self._link is not None

    @property
    def fault(self) -> str:
        """Why it is out of reach, empty where it is not."""
        return "" if self._link is not None else self._fault

    def start(self) -> None:
        """Begin to connect."""
        work = always(self._stay_connected, "the connection to the shared store", self._counters)
        self._task = asyncio.get_running_loop().create_task(work)

    def require(self) -> Link:
        """The link. Raises StoreError while there is none."""
        if self._link is None:
            raise StoreError(f"the shared store is out of reach: {self._fault}")
        return self._link

    def answered(self) -> None:
        """It has answered in time."""
        self._breaker.answered()

    def failed(self, begun: float, why: str) -> None:
        """What was asked at `begun` (monotonic seconds) was not."""
        if self._link is not None and self._breaker.failed(begun, self._clock.monotonic()):
            self._lose(why)

    def lost(self, why: str) -> None:
        """The connection is lost, or of no use."""
        if self._link is not None:
            self._lose(why)

    async def connected(self, patience: float) -> bool:
        """Wait until it can be reached, for so many seconds at the most; whether it can."""
        if self._link is None:
            try:
                async with asyncio.timeout(patience):
                    await self._up.wait()
            except TimeoutError:
                pass
        return self._link is not None

    async def recall(self) -> None:
        """Begin anew with a server that has forgotten what it knew, by a command. Raises StoreError, Refusal."""
        link = self.require()
        if await self._has_forgotten(link):
            self.servers += 1
            if link is self._link:
                self.lost("it has lost what it knew")

    async def close(self) -> None:
        """Let go of the server."""
        if self._task is not None:
            await end(self._task)
        if self._closing is not None:
            await self._closing
        self._link = None
        self._fault = "the store is closed"

    def _lose(self, why: str) -> None:
        self._breaker.open(self._clock.monotonic())
        self._link = None
        self._fault = why
        self._up.clear()
        self._down.set()
        self._counters.add("store_outages")
        log.warning("the shared store %s is out of reach: %s; mail goes on without it", self._where, why)
        self._said = True
        for call in self.on_reach:
            call(False)

    async def _stay_connected(self) -> None:
        while True:
            await asyncio.sleep(self._breaker.wait(self._clock.monotonic()))
            self._down.clear()
            why: list[str] = []
            link = self._connect(lambda reason, why=why: self._link_lost(reason, why))  # type: ignore[misc]
            try:
                try:
                    server = await link.open()
                    lost_memory = await self._has_forgotten(link)
                    if why:
                        raise StoreError(why[0])
                except (StoreError, Refusal) as error:
                    self._cannot(error)
                    continue
                self._reached(link, server, lost_memory)
                await self._watch_over(link)
            except Exception as error:
                self.lost(f"a bug: {type(error).__name__}")
                raise
            finally:
                # Whoever ends this in the meantime waits for it.
                self._closing = asyncio.get_running_loop().create_task(link.close())
                await asyncio.shield(self._closing)

    def _link_lost(self, reason: str, why: list[str]) -> None:
        why.append(reason)
        self.lost(reason)

    def _cannot(self, error: StoreError | Refusal) -> None:
        self._breaker.tried(self._clock.monotonic(), _pause(error))
        text = explained(error)
        # An outage is told of once, and once more if it turns out that it will not end by itself.
        if not self._said or (needs_an_admin(error) and text != self._fault):
            log.warning("the shared store %s cannot be reached: %s; mail goes on without it", self._where, text)
        self._said = True
        self._fault = text

    def _reached(self, link: Link, server: Server, lost_memory: bool) -> None:
        empty = "; it is empty: new, or it has lost what it knew" if lost_memory else ""
        level = logging.WARNING if self._said or lost_memory else logging.INFO
        log.log(level, "the shared store %s answers: %s%s", self._where, server.name, empty)
        other = bool(self._run) and server.run != self._run
        self.servers += other or (lost_memory and self._met)
        self._met = True
        self._run = server.run
        self._note(server)
        self._breaker.close(self._clock.monotonic())
        self._link, self._said = link, False
        self._up.set()
        if other:
            for event in self.on_other_server:
                event()
        for call in self.on_reach:
            call(True)

    def _note(self, server: Server) -> None:
        self.server, self.offset, self.octets = server.name, server.offset, server.octets
        if server.evicts and server.evicts != self._evicts:
            log.warning(
                "the shared store %s throws away what it has no room for, spent quotas among it: "
                "set maxmemory-policy noeviction (it is %s)", self._where, server.evicts,
            )  # fmt: skip
        self._evicts = server.evicts

    async def _has_forgotten(self, link: Link) -> bool:
        """Whether it has forgotten what it knew when it was last seen."""
        made = ""
        if not (found := await self._memory_of(link)):
            made = secrets.token_hex(8)
            try:
                await link.submit(self._since, (b"SET", self._since, made, b"NX"))
            except Refusal as error:
                if error.code not in WAITS:
                    raise
            found = await self._memory_of(link)
        before, self.memory = self.memory, found or self.memory
        # A daemon that starts and finds the store empty cannot tell whether it ever knew anything.
        return bool(self.memory != before if before else made and found == made)

    async def _memory_of(self, link: Link) -> str:
        """The name of what the server remembers, empty where it has none yet."""
        found = octets(await link.submit(self._since, (b"GETRANGE", self._since, b"0", b"63")))
        return found[:64].decode("ascii", "replace")

    async def _watch_over(self, link: Link) -> None:
        """Until the link is lost, look now and then at the server's clock, whether it still is the master, and remembers."""
        while not self._down.is_set():
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._down.wait()
            except TimeoutError:
                try:
                    self._note(await link.look())
                    await self.recall()
                except (StoreError, Refusal) as error:
                    self.lost(explained(error))


def _pause(error: StoreError | Refusal) -> float | None:
    """Seconds until a server is tried again that has refused, where it is known how long that will go on."""
    if needs_an_admin(error):
        return LAST_PAUSE
    return FIRST_PAUSE if isinstance(error, Refusal) and error.code == "LOADING" else None
