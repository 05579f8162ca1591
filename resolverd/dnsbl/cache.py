"""What lists have answered, within the clamps of each: bounded, least recently used out first."""

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.dnsbl.response import ListResponse
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed, ListReply
from resolverd.wire.names import Name, is_subdomain, is_within, lower

QueryKey: TypeAlias = tuple[Name, int]
"""The full name asked, key included, and the RR type."""


class CachedResponse(NamedTuple):
    """A reply, when it came and when it ends (monotonic seconds). `reverified`: it was asked a second time. `seen_by`: the other
    hosts (by id) of whom it is known, where this one has not asked for itself. `verified`: one of them has had the list deny its
    test point since, or this one has, and has told them."""

    response: ListResponse
    since: float
    until: float
    reverified: bool = False
    seen_by: tuple[str, ...] = ()
    verified: bool = False


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
        self.changed: set[QueryKey] | None = None
        """Questions whose replies are others on disk; None where nothing is kept there."""
        self.too_much_changed = False
        """They could not be remembered one by one: disk has to forget everything."""

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
        self.keep(question, cached)
        return cached

    def keep(self, question: QueryKey, cached: CachedResponse) -> None:
        """Remember a reply that came at another time."""
        self._drop(question)
        self._responses[question] = cached
        self._size += _weight(question, cached)
        self._note(question)
        while len(self._responses) > self._entries or self._size > self._limit:
            self._drop(next(iter(self._responses)))

    def peek(self, question: QueryKey) -> CachedResponse | None:
        """The reply, live or not, as it is to be kept on disk; nobody has asked for it."""
        return self._responses.get(question)

    def questions(self) -> list[QueryKey]:
        """All that have replies."""
        return list(self._responses)

    def adopt(self, question: QueryKey, cached: CachedResponse) -> bool:
        """Take up a reply from disk, where none has come since; False where there is no room left."""
        size = _weight(question, cached)
        if len(self._responses) >= self._entries or self._size + size > self._limit:
            return False
        if question not in self._responses and not (self.changed and question in self.changed):
            self._responses[question] = cached
            self._size += size
        return True

    def drop(self, zone: Name, since: float) -> None:
        """Forget the listings of a zone that came after `since`."""
        for question, cached in list(self._responses.items()):
            if cached.since >= since and isinstance(cached.response.reply, Listed) and is_subdomain(question[0], zone):
                self._drop(question)

    def drop_shared(self, zone: Name) -> None:
        """Forget the listings of a zone that only other hosts have seen."""
        for question, cached in list(self._responses.items()):
            if cached.seen_by and isinstance(cached.response.reply, Listed) and is_subdomain(question[0], zone):
                self._drop(question)

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget whatever is of one of these zones (lower case)."""
        for question in [question for question in self._responses if is_within(lower(question[0]), zones)]:
            self._drop(question)

    def forget_name(self, name: Name, rtype: int | None) -> int:
        """Forget what was said of a name (lower case), of one type or of all; how many replies."""
        found = [each for each in self._responses if lower(each[0]) == name and rtype in (None, each[1])]
        for question in found:
            self._drop(question)
        return len(found)

    def forget_failures(self) -> None:
        """Forget what could not be found out."""
        for question in [question for question, cached in self._responses.items() if isinstance(cached.response.reply, Unknown)]:
            self._drop(question)

    def forget_below(self, zone: Name) -> int:
        """Forget what was said of the names at and below a zone (lower case); how many replies."""
        below = [each for each in self._responses if lower(each[0]).endswith(zone) and is_subdomain(lower(each[0]), zone)]
        for question in below:
            self._drop(question)
        return len(below)

    def clear(self) -> int:
        """Forget everything; how many replies."""
        count = len(self._responses)
        for question in self._responses if self.changed is not None else ():
            self._note(question)
        self._responses.clear()
        self._size = 0
        return count

    def _drop(self, question: QueryKey) -> None:
        if (cached := self._responses.pop(question, None)) is not None:
            self._size -= _weight(question, cached)
            self._note(question)

    def _note(self, question: QueryKey) -> None:
        if self.changed is not None:
            self.changed.add(question)
            if len(self.changed) > bounds.CACHE_UNWRITTEN:
                self.changed.clear()
                self.too_much_changed = True


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
