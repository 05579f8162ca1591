"""DNS cookies towards servers (RFC 7873 §5, RFC 9018): who answers must have seen what we sent before.

A client cookie for each server and source address, a server cookie remembered from its last answer to that source. An
answer with somebody else's client cookie is forged; one without any from a server that had one may be.
"""

import hashlib
import secrets
from collections import OrderedDict
from enum import Enum
from functools import lru_cache

from resolverd import bounds
from resolverd.wire.message import Message
from resolverd.wire.names import Address

OPTION = 10
"""The COOKIE option's code."""
_CLIENT = 8


class CookieStatus(Enum):
    """What an answer's cookie says."""

    OURS = "the one that we sent"
    NONE = "none, from a server that has had none"
    SUSPECT = "none from a server that has had one, or somebody else's"


class Cookies:
    """Cookies by server, bounded; the secret lives as long as the process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._server: OrderedDict[Address, tuple[Address | None, bytes]] = OrderedDict()
        self._sent: OrderedDict[bytes, Address] = OrderedDict()
        # Made when a question leaves, and wanted again when its answer comes.
        self._client = lru_cache(maxsize=bounds.MAX_SERVERS)(self._client_cookie)

    def option(self, server: Address, source: Address | None) -> bytes:
        """The option's data for a question to this server; `source` is None where the system chooses it."""
        client, known = self._client(server, source), self._server.get(server)
        # A server's cookie is for the address that it was sent to (RFC 9018 §4.4).
        return client if known is None or known[0] != source else client + known[1]

    def check(self, server: Address, source: Address | None, message: Message) -> CookieStatus:
        """What the cookie of an answer to a question with one says, and remember the server's."""
        data = dict(message.edns.options).get(OPTION, b"") if message.edns is not None and message.edns.options else b""
        if not data:
            # RFC 7873 §5.3: from a server that has cookies, an answer without one is not taken.
            return CookieStatus.SUSPECT if server in self._server else CookieStatus.NONE
        if data[:_CLIENT] != self._client(server, source):
            return CookieStatus.SUSPECT
        if 8 <= len(data) - _CLIENT <= 32:
            self._server[server] = source, data[_CLIENT:]
            self._server.move_to_end(server)
            while len(self._server) > bounds.MAX_SERVERS:
                self._server.popitem(last=False)
        return CookieStatus.OURS

    def forget(self, server: Address) -> None:
        """The server has no cookies any more, as TCP has confirmed."""
        self._server.pop(server, None)

    def sent_to(self, cookie: bytes) -> Address | None:
        """The server that a client cookie was made for; None where it is not ours. Who sends it has had it from us, or is us."""
        return self._sent.get(cookie)

    def _client_cookie(self, server: Address, source: Address | None) -> bytes:
        pair = server.packed + (source.packed if source is not None else b"")
        cookie = hashlib.blake2b(pair, digest_size=_CLIENT, key=self._secret).digest()
        self._sent[cookie] = server
        if len(self._sent) > bounds.MAX_SERVERS:
            self._sent.popitem(last=False)
        return cookie
