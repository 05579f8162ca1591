"""DNS cookies towards servers (RFC 7873 §5, RFC 9018): who answers must have seen what we sent before.

A client cookie for each server and source, a server cookie remembered from its last answer. An answer with somebody else's
client cookie is forged; one without any from a server that had one may be.
"""

import hashlib
import secrets
from collections import OrderedDict
from enum import Enum

from resolverd import bounds
from resolverd.wire import codes
from resolverd.wire.message import Message
from resolverd.wire.names import Address

OPTION = 10
"""The COOKIE option's code."""
_CLIENT = 8


class Seen(Enum):
    """What an answer's cookie says."""

    GOOD = "good"
    FORGED = "forged"
    RETRY = "retry"
    """BADCOOKIE: the server wants to be asked again with the cookie that it sent along."""


class Cookies:
    """Cookies by server, bounded; the secret lives as long as the process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._server: OrderedDict[Address, bytes] = OrderedDict()

    def option(self, server: Address) -> bytes:
        """The option's data for a question to this server."""
        return self._client(server) + self._server.get(server, b"")

    def check(self, server: Address, message: Message) -> Seen:
        """What the answer's cookie says, and remember the server's."""
        data = dict(message.edns.options).get(OPTION, b"") if message.edns is not None else b""
        if not data:
            return Seen.FORGED if server in self._server and message.edns is not None else Seen.GOOD
        if data[:_CLIENT] != self._client(server):
            return Seen.FORGED
        if 8 <= len(data) - _CLIENT <= 32:
            self._server[server] = data[_CLIENT:]
            self._server.move_to_end(server)
            while len(self._server) > bounds.MAX_SERVERS:
                self._server.popitem(last=False)
        return Seen.RETRY if message.rcode == codes.BADCOOKIE else Seen.GOOD

    def forget(self, server: Address) -> None:
        """The server has no cookies any more, as TCP has confirmed."""
        self._server.pop(server, None)

    def _client(self, server: Address) -> bytes:
        return hashlib.blake2b(server.packed, digest_size=_CLIENT, key=self._secret).digest()
