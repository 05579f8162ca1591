"""Prepared replies: a dict from a query's octets to the reply's octets, without parsing either.

The key is everything behind the ID (of another kind for TCP, `servers.dns.answering.key`), so flags, class, letter case, DO
and EDNS size all tell entries apart (CVE-2026-40012). Queries with EDNS options are not kept here, nor answers that change
with a list's health, a quota or an override.
"""

from collections import deque
from struct import Struct

from resolverd.generation import Generation
from resolverd.resolver.cache.discarded import Discarded
from resolverd.values import MutableValue
from resolverd.wire.names import Name, lower

_OFFSET = Struct("=H")
_TTL = Struct("!I")
_QNAME = 10
"""Where the name that is asked for begins, behind the ID."""
_OVERHEAD = 400
"""Octets that an entry costs beside its strings."""
_SECOND_CHANCES = 16
"""Used replies that are passed over while room is made for one: the work that a reply can make has an end."""


class _Packet(MutableValue):
    """`offsets`: of the TTLs in the body, two octets each. `due`: when they have to be counted down again, or it expires.

    `used`: whether it was asked for since it was last passed over.
    """

    key: bytes | str
    body: bytearray
    offsets: bytes
    due: float
    expires: float
    used: bool = False

    @property
    def size(self) -> int:
        return len(self.key) + len(self.body) + len(self.offsets) + _OVERHEAD

    def count_down(self, now: float) -> None:
        """Take the whole seconds that have passed from its TTLs."""
        seconds = int(now - self.due) + 1
        body = self.body
        for (at,) in _OFFSET.iter_unpack(self.offsets):
            (ttl,) = _TTL.unpack_from(body, at)
            _TTL.pack_into(body, at, ttl - seconds if ttl > seconds else 0)
        due = self.due + seconds
        self.due = due if due < self.expires else self.expires


class PacketCache:
    """Replies by query octets; when `size` octets are exceeded, those go that were not used of late (second chance).

    What has expired stays until there is a new reply in its place, or no room. `generation`: that of what replies are made of.
    Every flush is another, so that no reply from before it is kept after it. `limit` may be changed, and counts from the next
    reply on.
    """

    def __init__(self, size: int):
        self.generation = Generation()
        self.discarded = Discarded()
        self.limit = size
        self._size = 0
        self._entries: dict[bytes | str, _Packet] = {}
        self._queue: deque[_Packet] = deque()
        """The entries, in the order in which they are looked at when there is no room."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Octets held, bookkeeping estimated."""
        return self._size

    def get(self, key: bytes | str, now: float) -> bytearray | None:
        """The reply's octets behind the ID, its TTLs counted down to the second; None if there is none or it has expired.

        They are the cache's own, to be copied or sent at once: with the next second their TTLs change.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.due:
            if now >= entry.expires:
                return None
            entry.count_down(now)
        entry.used = True
        return entry.body

    def put(
        self, key: bytes | str, reply: bytes, offsets: tuple[int, ...], name: Name, now: float, lifetime: float, begun: int
    ) -> None:
        """Remember a reply for `lifetime` seconds; `offsets` are those of its TTLs, in the whole message.

        `begun`: the generation in which the question came. What is of an earlier one is not kept, nor a question that doesn't
        spell out its name (but points into the header): `flush` would not find it.
        """
        if begun != self.generation.number or not _asks_for(key, lower(name)):
            return
        packed = b"".join([_OFFSET.pack(at - 2) for at in offsets])
        expires = now + lifetime
        made = _Packet(key, bytearray(reply[2:]), packed, min(now + 1.0, expires), expires)
        known = self._entries.get(key)
        if known is None:
            self._entries[key] = made
            self._queue.append(made)
            self._size += made.size
        else:
            self._size += made.size - known.size
            known.body, known.offsets, known.due, known.expires = made.body, made.offsets, made.due, made.expires
        if self._size > self.limit:
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        passed = 0
        while self._size > self.limit:
            oldest = self._queue.popleft()
            if oldest.used and now < oldest.expires and passed < _SECOND_CHANCES:
                passed += 1
                oldest.used = False
                self._queue.append(oldest)
            else:
                del self._entries[oldest.key]
                self._size -= oldest.size

    def flush(self, name: Name | None = None) -> int:
        """Forget the replies about a name (at any type), or all; how many."""
        self.generation.bump()
        if name is None:
            count = len(self._entries)
            self.discarded.add(self._entries)
            self._entries, self._size = {}, 0
            self._queue.clear()
            return count
        wanted = lower(name)
        flushed = [entry for entry in self._queue if _asks_for(entry.key, wanted)]
        for entry in flushed:
            del self._entries[entry.key]
            self._size -= entry.size
        if flushed:
            # The very same queue: it is among what the garbage collector no longer looks through (`app.process.tune`).
            left = [entry for entry in self._queue if entry.key in self._entries]
            self._queue.clear()
            self._queue.extend(left)
        return len(flushed)


def _asks_for(key: bytes | str, name: Name) -> bool:
    """Whether the question's name is this one (lower case)."""
    asked = key[_QNAME : _QNAME + len(name)]
    return lower(asked if isinstance(asked, bytes) else asked.encode("latin-1")) == name
