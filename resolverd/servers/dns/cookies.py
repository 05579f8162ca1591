"""Server cookies: which clients have seen a reply of ours before, so that their address is no forgery (RFC 7873, RFC 9018)."""

import secrets
from struct import Struct

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.servers.dns.siphash import siphash24

CLIENT = 8
"""Octets of a client's part; ours has sixteen."""
_HEAD = Struct("!B3xI")
_STAMP = Struct("!I")
_VERSION = 1
_WHOLE = CLIENT + 16
_RANGE = 1 << 32


class ServerCookies:
    """Makes and verifies them. The secret is the process's own, and changes while the one before it still counts."""

    def __init__(self, clock: Clock, secret: bytes = b""):
        self._clock = clock
        self._secret = secret or secrets.token_bytes(16)
        self._before = self._secret
        self._since = clock.monotonic()

    def is_ours(self, cookie: bytes, address: bytes) -> bool:
        """Whether a COOKIE option's data have a cookie that we have sent to this address within `bounds.COOKIE_LIFETIME`."""
        return self._age(cookie, address) is not None

    def reply(self, cookie: bytes, address: bytes) -> bytes:
        """The data of the reply's option: the client's part with ours, which is a new one at half its time (RFC 9018 §4.3)."""
        age = self._age(cookie, address)
        if age is not None and age < bounds.COOKIE_LIFETIME / 2:
            return cookie
        begun = cookie[:CLIENT] + _HEAD.pack(_VERSION, int(self._clock.wall()) % _RANGE)
        return begun + siphash24(self._secrets()[0], begun + address)

    def _age(self, cookie: bytes, address: bytes) -> float | None:
        """Seconds since it was made; None for one that is not ours, or not of this time."""
        if len(cookie) != _WHOLE or cookie[CLIENT] != _VERSION:
            return None
        # Serial number arithmetic (RFC 1982): the clock of 32 bits goes round in 2106.
        age = (int(self._clock.wall()) - _STAMP.unpack_from(cookie, CLIENT + 4)[0] + _RANGE // 2) % _RANGE - _RANGE // 2
        if not -bounds.COOKIE_AHEAD <= age <= bounds.COOKIE_LIFETIME:
            return None
        given = cookie[:-8] + address
        made = [secrets.compare_digest(siphash24(secret, given), cookie[-8:]) for secret in self._secrets()]
        return age if True in made else None

    def _secrets(self) -> tuple[bytes, ...]:
        now = self._clock.monotonic()
        if now - self._since >= bounds.COOKIE_SECRET:
            self._before, self._secret, self._since = self._secret, secrets.token_bytes(16), now
        if self._before is self._secret or now - self._since > bounds.COOKIE_LIFETIME:
            return (self._secret,)
        return self._secret, self._before
