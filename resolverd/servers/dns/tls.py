"""DNS over TLS for clients (RFC 7858, RFC 8310): TCP's framing and bounds behind a handshake that is bounded too.

A client is counted in, or sent away, before it has cost any cryptography. What connections are served by can be changed under
way: those that stand go on with what they began with.
"""

import asyncio
import errno
import logging
import socket
import ssl

from resolverd import bounds
from resolverd.servers.dns.answering import Responder
from resolverd.servers.dns.tcp import BACKLOG, WRITTEN, TcpEdge, _Connection
from resolverd.servers.turns import Turns

log = logging.getLogger(__name__)

_ACCEPTED = 16
"""Connections accepted in one turn of the loop."""
_BELOW = 64 * 1024
"""Octets that event loops keep below TLS, on top of which they put one more write, before they keep more above it."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 1.0
"""Seconds without accepting when the system has no room: the connection waits, and would wake the loop again at once."""


class TlsEdge(TcpEdge):
    """One listening socket. `context`: what new connections are served by."""

    encrypted = True
    unsent = TcpEdge.unsent - WRITTEN - _BELOW

    def __init__(self, responder: Responder, context: ssl.SSLContext, turns: Turns | None = None):
        super().__init__(responder, turns)
        self.context = context
        self._sock: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._sock = sock
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._listen()

    async def aclose(self) -> None:
        """Stop listening and close every connection."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
        if self._resume is not None:
            self._resume.cancel()
        await super().aclose()

    def _listen(self) -> None:
        assert self._sock is not None
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept, self._sock)

    def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPTED):
            try:
                client, address = sock.accept()
            except OSError as error:  # nobody there, or gone again
                if error.errno in _NO_ROOM:
                    log.warning("no connection can be accepted: %s", error.strerror)
                    loop.remove_reader(sock.fileno())
                    self._resume = loop.call_later(_PAUSE, self._listen)
                return
            client.setblocking(False)
            connection = self.new_connection(address[0])
            if self.admit(connection):
                connection.handshake = loop.create_task(self._shake_hands(connection, client))
            else:
                client.close()

    async def _shake_hands(self, connection: _Connection, client: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=self.context,
                ssl_handshake_timeout=bounds.TLS_HANDSHAKE,
            )
        except OSError as error:  # no TLS, none that we have, or too slow
            self.responder.counters.add("dns_tls_failed")
            log.debug("no TLS with %s: %s", connection.host, error)
        finally:
            connection.handshake = None
            if connection.transport is None:
                self.leave(connection)
                client.close()
