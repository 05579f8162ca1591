"""One connection to a server: the border to the library, which connects, and says who we are."""

import asyncio
import os
import re
import socket
import ssl
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state.redis.replies import Refusal, Reply, ReplyDecoder, Senseless, octets, printable, refusal
from resolverd.tls import client_context

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Arguments: TypeAlias = tuple[bytes | str | int, ...]
"""A command and what it is about."""

READ: Final = 1 << 16
"""Octets read at a time."""
MISSING: Final = "the Python library for Valkey and Redis is missing: pip install 'resolverd[redis]'"
_ERRNO: Final = re.compile(r"\[Errno (\d{1,4})\]")
_HOST: Final = 255
"""Octets of a name (RFC 1035 §2.3.4)."""
_TEXT: Final = 300
"""Characters of why a connection is none."""


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


def address_of(host: Reply, port: Reply) -> tuple[str, int]:
    """The address that one server tells of another. Raises Senseless."""
    try:
        name = octets(host).decode("ascii")
        number = port if isinstance(port, int) else int(octets(port)[:6])
    except ValueError:
        raise Senseless("the server tells of another one at no address") from None
    if len(name) > _HOST or not name.isprintable() or not 0 < number < 1 << 16:
        raise Senseless("the server tells of another one at no address")
    return name, number


def packed(arguments: Arguments) -> bytes:
    """A command as it is sent."""
    parts = [b"*%d\r\n" % len(arguments)]
    for each in arguments:
        sent = each if type(each) is bytes else b"%d" % each if isinstance(each, int) else str(each).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(sent), sent))
    return b"".join(parts)


def check_library() -> None:
    """Raises StoreError where the library is missing."""
    try:
        import redis.asyncio.connection  # noqa: F401
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise StoreError(f"the Python library for Valkey and Redis cannot be loaded: {error}") from None
        raise StoreError(MISSING) from None


def library_errors() -> tuple[type[Exception], ...]:
    """What a connection that does not come about, or ends, may raise: ProtocolError among it."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError, EOFError, ValueError)


def words(error: BaseException) -> str:
    """Why there is no connection, for people; without the address, which the library repeats."""
    if isinstance(error, TimeoutError):
        return "no connection in time"
    system = next((each for each in (error, error.__cause__, error.__context__) if isinstance(each, OSError)), None)
    text = str(error).strip().rstrip(".") if system is None else _of_the_system(system)
    return printable(text, _TEXT) or type(error).__name__


def _of_the_system(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: see [store] ca ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    # Of a name with several addresses the event loop tells all errors in one text.
    numbers = [error.errno] if error.errno else [int(number) for number in _ERRNO.findall(str(error))]
    return ", ".join(dict.fromkeys(map(os.strerror, numbers))) or str(error).strip().rstrip(".")


class _Parser:
    """What the library reads by (its `parser_class`), so that nothing is read of a server without bounds."""

    def __init__(self) -> None:
        self._decoder = ReplyDecoder()
        self._come: deque[Reply] = deque()
        self._stream: asyncio.StreamReader | None = None
        self._transport: asyncio.WriteTransport | None = None
        self.received = 0
        """Octets."""

    def on_connect(self, connection: "AbstractConnection") -> None:
        """Read from there."""
        self._stream = connection._reader  # as each parser of the library does: there is no other way to it
        self._transport = None if connection._writer is None else connection._writer.transport

    def on_disconnect(self) -> None:
        """Read no more."""
        self._stream = None

    def abort(self) -> None:
        """Give up what is left of a closed connection: it would stay as long as a server hangs that has not read all of it."""
        if self._transport is not None:
            self._transport.abort()

    async def read_response(self, disable_decoding: bool = False, **more: object) -> object:
        """The next reply, as the library wants it while it says who we are. Raises EOFError, OSError, ProtocolError."""
        from redis.exceptions import ResponseError

        if not self._come:
            self._come.extend(await self.replies())
        reply = self._come.popleft()
        return ResponseError(str(reply)) if isinstance(reply, Refusal) else reply

    async def replies(self) -> list[Reply]:
        """The replies that have come, one at the least. Raises some of `library_errors`."""
        if self._come:
            come = list(self._come)
            self._come.clear()
            return come
        while self._stream is not None and (data := await self._stream.read(READ)):
            self.received += len(data)
            if found := self._decoder.feed(data):
                return found
        raise EOFError("the server has closed the connection")


class Connection:
    """Commands and replies, which come in their order. `connect` makes one."""

    def __init__(self, connection: "AbstractConnection", parser: _Parser) -> None:
        self._connection = connection
        self._parser = parser
        self.replies = parser.replies

    @property
    def received(self) -> int:
        """Octets that have come so far."""
        return self._parser.received

    async def send(self, *commands: Arguments) -> None:
        """Send these. Raises some of `library_errors`."""
        if not self._connection.is_connected:
            raise EOFError("the connection is closed")
        await self._connection.send_packed_command([packed(each) for each in commands], check_health=False)

    async def close(self) -> None:
        """Close it, whatever its condition."""
        try:
            async with asyncio.timeout(1):
                await self._connection.disconnect()
        except library_errors():
            await self._connection.disconnect(nowait=True)
        finally:
            self._parser.abort()


async def connect(peer: Peer, password: str | None) -> Connection:
    """A connection that has said who we are. Raises StoreError, or Refusal where the server says no."""
    parser = _Parser()
    made = _without_introduction(_unconnected(peer, password, parser))
    try:
        async with asyncio.timeout(bounds.STORE_SHARED_CONNECT):
            await made.connect()  # type: ignore[no-untyped-call]
    except BaseException as error:
        await made.disconnect(nowait=True)
        parser.abort()
        if isinstance(error, library_errors()):
            if (said := _refused(error)) is not None:
                raise said from None
            raise StoreError(words(error)) from None
        raise
    return Connection(made, parser)


def _unconnected(peer: Peer, password: str | None, parser: _Parser) -> "AbstractConnection":
    """A connection of the library's, not yet made. Raises StoreError where the library or the CA's file cannot be had."""
    check_library()
    from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

    common: dict[str, Any] = {
        "db": peer.database, "username": peer.user or None, "password": password, "protocol": 2,
        "socket_timeout": None, "socket_connect_timeout": None, "parser_class": lambda socket_read_size: parser,
    }  # fmt: skip
    if peer.path:
        return UnixDomainSocketConnection(path=peer.path, **common)
    common |= {"host": peer.host, "port": peer.port}
    if not peer.tls:
        return Connection(**common)
    try:
        trusted = _Trusted(client_context(peer.ca))
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"the CA's file {peer.ca} cannot be used: {error}") from None
    made = SSLConnection(**common)
    made.ssl_context = trusted  # type: ignore[assignment]
    return made


class _Trusted:
    """In place of the library's own, which believes the system's authorities beside ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def get(self) -> ssl.SSLContext:
        """What checks the server."""
        return self._context


def _without_introduction(connection: "AbstractConnection") -> "AbstractConnection":
    """Have it not say which library it is of: CLIENT SETINFO is more than a user needs to be allowed."""
    for name in ("driver_info", "lib_name", "lib_version"):  # the first of these, or the others in older ones
        setattr(connection, name, None)
    return connection


def _refused(error: Exception) -> Refusal | None:
    """What the server has answered to who we are, which the library has as the cause of another error; None for nothing."""
    from redis.exceptions import AuthenticationError, ResponseError

    for each in (error, error.__cause__):
        if isinstance(each, AuthenticationError):
            return Refusal("WRONGPASS", str(each))
        if isinstance(each, ResponseError):
            return refusal(str(each))
    return None


async def ask(peer: Peer, password: str | None, command: Arguments) -> Reply:
    """What a server answers to a command, over a connection of its own. Raises StoreError, Refusal."""
    connection = await connect(peer, password)
    try:
        async with asyncio.timeout(bounds.STORE_SHARED_CONNECT):
            await connection.send(command)
            reply = (await connection.replies())[0]
    except library_errors() as error:
        raise StoreError(words(error)) from None
    finally:
        await connection.close()
    if isinstance(reply, Refusal):
        raise reply
    return reply
