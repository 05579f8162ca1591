"""Connections are accepted until nobody stands in line any more, or as many are in as one turn of the event loop can take.

The event loop's own servers accept one a turn, however long the turn is: where processor time is short, clients would stand in
line for longer than their patience, while datagrams are read in batches.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from resolverd import bounds

log = logging.getLogger(__name__)

ACCEPTED = 8
"""Connections accepted of one socket in one turn: some 2 ms, with what each of them costs that asks something and ends."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 1.0
"""Seconds without accepting when the system has no room: the connection waits, and would wake the loop again at once."""


_Connected = tuple[asyncio.BaseTransport, asyncio.BaseProtocol]
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class Acceptor(Generic[_Protocol]):
    """Listens on a bound socket, TCP or UNIX, until it is closed. Belongs to one event loop.

    `admit` gives the protocol of the connection of a client, by its address ("" on a UNIX socket); None: it is closed at once.
    `secure` gives what a new connection's TLS is served by. `failed` is told of a connection that has not come about, and why,
    where that is an error.
    """

    def __init__(
        self,
        sock: socket.socket,
        admit: Callable[[str], _Protocol | None],
        *,
        backlog: int,
        secure: Callable[[], ssl.SSLContext] | None = None,
        failed: Callable[[_Protocol, OSError | None], None] | None = None,
    ):
        """`backlog`: connections that the system keeps for us until we accept them."""
        self._sock = sock
        self._admit = admit
        self._secure = secure
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._opening: dict[_Protocol, asyncio.Task[_Connected]] = {}
        """Those that have no transport yet; the longest by far take their handshakes."""
        self._resume: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(backlog)
        self._listen()

    def close(self) -> None:
        """Stop listening; connections that are not open yet come to nothing."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._resume is not None:
            self._resume.cancel()
        for task in self._opening.values():
            task.cancel()

    def abandon(self, protocol: _Protocol) -> None:
        """End a connection that may have no transport yet."""
        if (task := self._opening.get(protocol)) is not None:
            task.cancel()

    def _listen(self) -> None:
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED):
            try:
                client, address = self._sock.accept()
            except OSError as error:  # nobody there, or gone again
                if error.errno in _NO_ROOM:
                    log.warning("no connection can be accepted: %s", error.strerror)
                    self._loop.remove_reader(self._sock.fileno())
                    self._resume = self._loop.call_later(_PAUSE, self._listen)
                return
            client.setblocking(False)
            protocol = self._admit(address[0] if isinstance(address, tuple) else "")
            if protocol is None:
                client.close()
            else:
                self._open(protocol, client)

    def _open(self, protocol: _Protocol, client: socket.socket) -> None:
        context = None if self._secure is None else self._secure()
        patience = None if context is None else bounds.TLS_HANDSHAKE
        opened = self._loop.connect_accepted_socket(lambda: protocol, client, ssl=context, ssl_handshake_timeout=patience)
        self._opening[protocol] = task = self._loop.create_task(opened)
        task.add_done_callback(partial(self._opened, protocol, client))

    def _opened(self, protocol: _Protocol, client: socket.socket, task: asyncio.Task[_Connected]) -> None:
        del self._opening[protocol]
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        client.close()
        if error is not None and not isinstance(error, OSError):
            raise error
        if self._failed is not None:
            self._failed(protocol, error)
