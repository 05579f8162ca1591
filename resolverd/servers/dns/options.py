"""The EDNS options of a reply, as those of its question want them; each is said to who asked for it and to nobody else.

COOKIE (RFC 7873 §5.2) wherever it stands; edns-tcp-keepalive (RFC 7828) over TCP and TLS; Padding (RFC 7830, RFC 8467) where
whoever listens sees nothing but sizes. Client subnet and the others are ignored (RFC 6891 §6.1.2).
"""

from struct import Struct
from typing import Final

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.servers.dns.cookies import CLIENT, ServerCookies
from resolverd.wire.peek import Query
from resolverd.wire.render import NO_OPTIONS, ReplyOptions

COOKIE: Final = 10
_KEEPALIVE: Final = 11
_PADDING: Final = 12
_OPTION = Struct("!HH")
_BLOCK = 468
"""Octets of which padded replies are a multiple (RFC 8467 §4.1)."""
_WITH_SERVER_COOKIE = range(16, 41)
"""Octets of a COOKIE option that has a server's part too (RFC 7873 §4)."""


class Options:
    """What questions' options mean."""

    def __init__(self, clock: Clock):
        self._cookies = ServerCookies(clock)

    def reply(self, query: Query, address: bytes, *, udp: bool, encrypted: bool) -> ReplyOptions | None:
        """The options of the reply to a client at this address; None where a cookie is malformed (RFC 7873 §5.2.2: FORMERR)."""
        if query.edns is None or not query.edns.options:
            return NO_OPTIONS
        data, block = b"", 0
        given = dict(reversed(query.edns.options))  # of one that stands there twice the first counts
        cookie = given.get(COOKIE)
        if cookie is not None:
            if len(cookie) != CLIENT and len(cookie) not in _WITH_SERVER_COOKIE:
                return None
            data = _option(COOKIE, self._cookies.reply(cookie, address))
        if not udp and _KEEPALIVE in given:
            # In tenths of a second; less where many are connected, which it does not promise away (RFC 7828 §3.3.2).
            data += _option(_KEEPALIVE, int(bounds.TCP_IDLE * 10).to_bytes(2))
        if encrypted and _PADDING in given:
            block = _BLOCK
        return ReplyOptions(data, block)

    def is_proven(self, query: Query, address: bytes) -> bool | None:
        """Whether a cookie shows that the address is no forgery; None for a question without any."""
        cookie = cookie_of(query)
        return None if cookie is None else self._cookies.is_ours(cookie, address)


def cookie_of(query: Query) -> bytes | None:
    """The data of a question's COOKIE option, the client's part first; None where it has none."""
    return None if query.edns is None else next((data for code, data in query.edns.options if code == COOKIE), None)


def _option(code: int, data: bytes) -> bytes:
    return _OPTION.pack(code, len(data)) + data
