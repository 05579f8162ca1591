"""DNS over TLS for clients (RFC 7858, RFC 8310): TCP's framing and bounds behind a handshake that is bounded too.

A client is counted in, or sent away, before it has cost any cryptography. What connections are served by can be changed under
way: those that stand go on with what they began with.
"""

import logging
import ssl

from resolverd.servers.dns.answering import Responder
from resolverd.servers.dns.tcp import WRITTEN, TcpEdge, _Connection
from resolverd.servers.turns import Turns

log = logging.getLogger(__name__)

_BELOW = 64 * 1024
"""Octets that event loops keep below TLS, on top of which they put one more write, before they keep more above it."""


class TlsEdge(TcpEdge):
    """One listening socket. `context`: what new connections are served by."""

    encrypted = True
    unsent = TcpEdge.unsent - WRITTEN - _BELOW

    def __init__(self, responder: Responder, context: ssl.SSLContext, turns: Turns | None = None):
        super().__init__(responder, turns)
        self.context = context

    def secure(self) -> ssl.SSLContext:
        """What a new connection is served by."""
        return self.context

    def failed(self, connection: _Connection, error: OSError | None) -> None:
        """As `TcpEdge`; counted."""
        super().failed(connection, error)
        if error is not None:  # no TLS, none that we have, or too slow
            self.responder.counters.add("dns_tls_failed")
            log.debug("no TLS with %s: %s", connection.host, error)
