"""One connection: commands go out as they come, many at once, and replies come in their order. The border to the library.

Nobody who gave up waiting can leave a reply for the next one: a connection whose oldest command has waited too long is closed.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from resolverd import bounds, logs
from resolverd.deadlines import Deadlines
from resolverd.failures import StoreError
from resolverd.metrics import Counters

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Arguments: TypeAlias = tuple[bytes | str | int, ...]
"""A command and what it is about."""
Reply: TypeAlias = Any
"""Octets, a number, None, or a list of those."""

_AFTER_BUG: Final = 1.0
"""Seconds."""

log = logging.getLogger(__name__)

MISSING: Final = "the Python library for Valkey and Redis is missing: pip install 'resolverd[redis]'"


class Refusal(Exception):
    """An error that the server answered with. `code`: its first word (``WRONGTYPE``, ``OOM``); `text`: the rest."""

    def __init__(self, code: str, text: str):
        super().__init__(f"{code} {text}".strip())
        self.code = code
        self.text = text


class Peer(NamedTuple):
    """A server's address, a Unix socket's where `path` is there, and what to say to it first."""

    host: str = ""
    port: int = 0
    path: str = ""
    database: int = 0
    user: str = ""
    tls: bool = False
    ca: Path | None = None

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def packed(arguments: Arguments) -> bytes:
    """A command as it is sent."""
    parts = [b"*%d\r\n" % len(arguments)]
    for each in arguments:
        octets = each if type(each) is bytes else b"%d" % each if isinstance(each, int) else str(each).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(octets), octets))
    return b"".join(parts)


def check_library() -> None:
    """Raises StoreError where the library is missing."""
    try:
        import redis.asyncio.connection  # noqa: F401
    except ImportError:
        raise StoreError(MISSING) from None


def refusal(error: Exception) -> Refusal | None:
    """What the server has answered, of an error of the library's; None where it has answered nothing."""
    from redis import exceptions as known

    for kind, code in (
        (known.ReadOnlyError, "READONLY"), (known.BusyLoadingError, "LOADING"), (known.OutOfMemoryError, "OOM"),
        (known.NoPermissionError, "NOPERM"), (known.MasterDownError, "MASTERDOWN"), (known.ClusterDownError, "CLUSTERDOWN"),
        (known.MovedError, "MOVED"), (known.AskError, "ASK"), (known.TryAgainError, "TRYAGAIN"),
        (known.AuthenticationError, "WRONGPASS"),
    ):  # fmt: skip
        if isinstance(error, kind):
            return Refusal(code, str(error))
    if isinstance(error, known.ResponseError):
        code, _, text = str(error).partition(" ")
        return Refusal(code, text) if code.isupper() else Refusal("ERR", str(error))
    return None


def library_errors() -> tuple[type[Exception], ...]:
    """What a connection that does not come about, or ends, may raise."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError, EOFError, ValueError)


def connection_to(peer: Peer, password: str | None) -> "AbstractConnection":
    """A connection of the library's, not yet made. Raises StoreError where the library or the CA's file cannot be had."""
    check_library()
    from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

    common: dict[str, Any] = {
        "db": peer.database, "username": peer.user or None, "password": password, "protocol": 2,
        "socket_timeout": None, "socket_connect_timeout": None,
    }  # fmt: skip
    if peer.path:
        return UnixDomainSocketConnection(path=peer.path, **common)
    common |= {"host": peer.host, "port": peer.port}
    if not peer.tls:
        return Connection(**common)
    if peer.ca is not None:
        try:
            ssl.create_default_context(cafile=peer.ca)
        except (OSError, ssl.SSLError) as error:
            raise StoreError(f"the CA's file {peer.ca} cannot be used: {error}") from None
    return SSLConnection(
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        ssl_ca_certs=str(peer.ca) if peer.ca is not None else None,
        ssl_min_version=ssl.TLSVersion.TLSv1_2,
        **common,
    )


async def connect(peer: Peer, password: str | None) -> "AbstractConnection":
    """A connection that has said who we are. Raises StoreError, or Refusal where the server says no."""
    made = connection_to(peer, password)
    try:
        async with asyncio.timeout(bounds.STORE_SHARED_CONNECT):
            await made.connect()  # type: ignore[no-untyped-call]
    except BaseException as error:
        await made.disconnect(nowait=True)
        if isinstance(error, library_errors()):
            if (said := refusal(error)) is not None:
                raise said from None
            raise StoreError(f"{peer}: {_words(error)}") from None
        raise
    return made


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    return str(error).strip().rstrip(".") or type(error).__name__


class Wire:
    """Commands over one connection.

    `patience`: seconds for a reply, behind which the connection is closed; `lost`: called once when it ends by itself, with why.
    """

    def __init__(
        self,
        connection: "AbstractConnection",
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
        self._watched = False
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
        if not self._watched:
            self._watched = True
            self._deadlines.add(at + self._patience, self._look)
        return future

    def _look(self, now: float) -> None:
        """Whether the oldest command has waited too long."""
        self._watched = False
        if self._ended or not self._sent:
            return
        oldest = self._sent[0][1]
        if now - oldest >= self._patience:
            self._end(f"no reply within {self._patience:g} s")
        else:
            self._watched = True
            self._deadlines.add(oldest + self._patience, self._look)

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
            if self._ended or not self._connection.is_connected:
                return
            try:
                await self._connection.send_packed_command([packed(each) for each in waiting], check_health=False)
            except self._errors as error:
                self._end(_words(error))
                return

    async def _read(self) -> None:
        read, sent = self._connection.read_response, self._sent
        while True:
            failure: Refusal | None = None
            reply: Reply = None
            try:
                reply = await read()
            except self._errors as error:
                failure = refusal(error)
                if failure is None or not self._connection.is_connected:
                    if failure is not None and sent and not sent[0][0].done():
                        sent[0][0].set_exception(failure)
                    self._end(str(failure) if failure is not None else _words(error))
                    return
            if not sent:
                self._end("a reply that nothing was asked for")
                return
            future = sent.popleft()[0]
            if future.done():
                continue
            if failure is None:
                future.set_result(reply)
            else:
                future.set_exception(failure)

    def _end(self, why: str) -> None:
        if not self._ended:
            self._fail(why)
            self._lost(why)

    def _fail(self, why: str) -> None:
        self._ended = True
        for future, _ in self._sent:
            if not future.done():
                future.set_exception(StoreError(f"the connection was lost: {why}"))
        self._sent.clear()
        self._waiting.clear()
        self._wake.set()

    async def close(self) -> None:
        """End it: what waits for a reply gets StoreError."""
        if not self._ended:
            self._fail("it is closed")
        await end(*self._tasks)
        await disconnect(self._connection)


async def always(work: Callable[[], Coroutine[Any, Any, None]], what: str, counters: Counters) -> None:
    """Do some endless work, and begin anew where a bug has ended it."""
    while True:
        try:
            await work()
        except Exception as error:
            logs.bug(log, counters, "store", "%s failed by a bug", what, error=error)
        await asyncio.sleep(_AFTER_BUG)


async def end(*tasks: asyncio.Task[Any]) -> None:
    """End tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def disconnect(connection: "AbstractConnection") -> None:
    """Close a connection, whatever its condition."""
    try:
        async with asyncio.timeout(1):
            await connection.disconnect()
    except library_errors():
        await connection.disconnect(nowait=True)


async def ask(peer: Peer, password: str | None, *commands: Sequence[bytes | str | int]) -> list[Reply]:
    """What a server answers to a few commands, over a connection of their own; Refusals among it. Raises StoreError, Refusal."""
    connection = await connect(peer, password)
    replies: list[Reply] = []
    try:
        async with asyncio.timeout(bounds.STORE_SHARED_CONNECT):
            for command in commands:
                await connection.send_packed_command([packed(tuple(command))], check_health=False)
                try:
                    replies.append(await connection.read_response())
                except library_errors() as error:
                    if (said := refusal(error)) is None or not connection.is_connected:
                        raise
                    replies.append(said)
    except library_errors() as error:
        raise StoreError(f"{peer}: {_words(error)}") from None
    finally:
        await disconnect(connection)
    return replies
