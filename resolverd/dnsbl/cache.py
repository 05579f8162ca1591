"""What lists have answered, within the clamps of each: bounded, least recently used out first."""

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from resolverd.dnsbl.response import ListResponse
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed, ListReply
from resolverd.wire.names import Name, is_subdomain, is_within, lower

QueryKey: TypeAlias = tuple[Name, int]
"""The full name asked, key included, and the RR type."""


class CachedResponse(NamedTuple):
    """A reply, when it came and when it ends (monotonic seconds). `reverified`: it was asked a second time."""

    response: ListResponse
    since: float
    until: float
    reverified: bool = False


_ENTRY = 1200
"""Octets that a reply takes beside its texts and addresses."""
_TEXT = 64
"""Octets that a text or an address takes beside its letters."""


class ResponseCache:
    """Replies by the question that was asked: who does not know a key cannot ask its cache either."""

    def __init__(self, entries: int, size: int):
        """Bounded by number and by octets."""
        self._entries = entries
        self._limit = size
        self._size = 0
        self._responses: OrderedDict[QueryKey, CachedResponse] = OrderedDict()

    def __len__(self) -> int:
        return len(self._responses)

    def get(self, question: QueryKey, now: float) -> CachedResponse | None:
        """The reply while it lives."""
        cached = self._responses.get(question)
        if cached is None:
            return None
        if now >= cached.until:
            self._drop(question)
            return None
        self._responses.move_to_end(question)
        return cached

    def differs(self, question: QueryKey, response: ListResponse, now: float) -> bool:
        """Whether there is a reply that says something else than this one."""
        cached = self.get(question, now)
        return cached is not None and _says(cached.response) != _says(response)

    def put(self, question: QueryKey, response: ListResponse, now: float, *, reverified: bool = False) -> CachedResponse:
        """Remember a reply for as long as its TTL says."""
        cached = CachedResponse(response, now, now + response.ttl, reverified)
        self._drop(question)
        self._responses[question] = cached
        self._size += _weight(question, cached)
        while len(self._responses) > self._entries or self._size > self._limit:
            self._drop(next(iter(self._responses)))
        return cached

    def drop(self, zone: Name, since: float) -> None:
        """Forget the listings of a zone that came after `since`."""
        for question, cached in list(self._responses.items()):
            if cached.since >= since and isinstance(cached.response.reply, Listed) and is_subdomain(question[0], zone):
                self._drop(question)

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget whatever is of one of these zones (lower case)."""
        for question in [question for question in self._responses if is_within(lower(question[0]), zones)]:
            self._drop(question)

    def forget_name(self, name: Name, rtype: int | None) -> None:
        """Forget what was said of a name (lower case), of one type or of all."""
        for question in [each for each in self._responses if lower(each[0]) == name and rtype in (None, each[1])]:
            self._drop(question)

    def forget_failures(self) -> None:
        """Forget what could not be found out."""
        for question in [question for question, cached in self._responses.items() if isinstance(cached.response.reply, Unknown)]:
            self._drop(question)

    def clear(self) -> None:
        """Forget everything."""
        self._responses.clear()
        self._size = 0

    def _drop(self, question: QueryKey) -> None:
        if (cached := self._responses.pop(question, None)) is not None:
            self._size -= _weight(question, cached)


def _says(response: ListResponse) -> ListReply:
    """The reply, whenever it came."""
    reply = response.reply
    return reply if isinstance(reply, Unknown) else reply._replace(ttl=0, age=0, ms=0)


def _weight(question: QueryKey, cached: CachedResponse) -> int:
    response = cached.response
    size = _ENTRY + len(question[0]) + sum(_TEXT + len(each) for each in (*response.addresses, *response.unknown_codes))
    if isinstance(response.reply, Listed):
        listed = response.reply
        size += sum(_TEXT + len(text) for text in (*listed.codes, *listed.addresses, listed.reason, listed.link))
    return size
