"""Prepared replies: a dict from a query's octets to the reply's octets, without parsing either.

The key is everything behind the ID (of another kind for TCP, `servers.dns.answering.key`), so flags, class, letter case, DO
and EDNS size all tell entries apart (CVE-2026-40012). Queries with EDNS options are not kept here, nor answers that change
with a list's health, a quota or an override.
"""

from array import array
from collections import OrderedDict
from struct import Struct

from resolverd.generation import Generation
from resolverd.wire.names import Name, lower

_TTL = Struct("!I")
_OVERHEAD = 560
"""Octets that an entry costs beside its strings."""


class _Packet:
    __slots__ = ("aged", "body", "expires", "fresh", "name", "offsets", "size", "stored")

    def __init__(self, body: bytes, offsets: tuple[int, ...], name: Name, now: float, expires: float, size: int):
        self.fresh = body
        self.body = body
        self.offsets = array("H", offsets)
        self.name = name
        self.stored = self.aged = now
        self.expires = expires
        self.size = size


class PacketCache:
    """Replies by query octets, least recently used out when `size` octets are exceeded.

    `generation`: that of what replies are made of. Every flush is another, so that no reply from before it is kept after it.
    `limit` may be changed, and counts from the next reply on.
    """

    def __init__(self, size: int):
        self.generation = Generation()
        self.limit = size
        self._size = 0
        self._entries: OrderedDict[bytes | str, _Packet] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Octets held, bookkeeping estimated."""
        return self._size

    def get(self, key: bytes | str, now: float) -> bytes | None:
        """The reply's octets behind the ID, its TTLs aged to within a second; None if there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.expires:
            self._drop(key)
            return None
        if now - entry.aged >= 1.0:
            self._age(entry, now)
        self._entries.move_to_end(key)
        return entry.body

    def put(
        self, key: bytes | str, reply: bytes, offsets: tuple[int, ...], name: Name, now: float, lifetime: float, begun: int
    ) -> None:
        """Remember a reply for `lifetime` seconds; `offsets` are those of its TTLs, in the whole message.

        `begun`: the generation in which the question came. What is of an earlier one is not kept.
        """
        if begun != self.generation.number:
            return
        if key in self._entries:
            self._drop(key)
        size = len(key) + 2 * len(reply) + 2 * len(offsets) + len(name) + _OVERHEAD
        body = reply[2:]
        self._entries[key] = _Packet(body, tuple(at - 2 for at in offsets), lower(name), now, now + lifetime, size)
        self._size += size
        while self._size > self.limit:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size

    def flush(self, name: Name | None = None) -> int:
        """Forget the replies about a name (at any type), or all; how many."""
        self.generation.bump()
        if name is None:
            count = len(self._entries)
            self._entries.clear()
            self._size = 0
            return count
        wanted = lower(name)
        keys = [key for key, entry in self._entries.items() if entry.name == wanted]
        for key in keys:
            self._drop(key)
        return len(keys)

    def _drop(self, key: bytes | str) -> None:
        self._size -= self._entries.pop(key).size

    @staticmethod
    def _age(entry: _Packet, now: float) -> None:
        elapsed = int(now - entry.stored)
        body = bytearray(entry.fresh)
        for at in entry.offsets:
            (ttl,) = _TTL.unpack_from(body, at)
            _TTL.pack_into(body, at, max(ttl - elapsed, 0))
        entry.body = bytes(body)
        entry.aged = now
