"""What lists told lately, within the clamps of each: bounded, least recently used out first."""

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from resolverd.dnsbl.response import Told
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed
from resolverd.wire.names import Name, is_subdomain, is_within, lower

Question: TypeAlias = tuple[Name, int]
"""The full name asked, key included, and the RR type."""


class Kept(NamedTuple):
    """A reply, when it came and when it ends (monotonic seconds). `confirmed`: it was asked a second time."""

    told: Told
    since: float
    until: float
    confirmed: bool = False


_ENTRY = 1200
"""Octets that a reply takes beside its texts and addresses."""
_TEXT = 64
"""Octets that a text or an address takes beside its letters."""


class ReplyCache:
    """Replies by the question that was asked: who does not know a key cannot ask its cache either."""

    def __init__(self, entries: int, size: int):
        """Bounded by number and by octets."""
        self._entries = entries
        self._limit = size
        self._size = 0
        self._kept: OrderedDict[Question, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, now: float) -> Kept | None:
        """The reply while it lives."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if now >= kept.until:
            self._drop(question)
            return None
        self._kept.move_to_end(question)
        return kept

    def put(self, question: Question, told: Told, now: float, *, confirmed: bool = False) -> Kept:
        """Remember a reply for as long as its TTL says."""
        kept = Kept(told, now, now + told.ttl, confirmed)
        self._drop(question)
        self._kept[question] = kept
        self._size += _weight(question, kept)
        while len(self._kept) > self._entries or self._size > self._limit:
            self._drop(next(iter(self._kept)))
        return kept

    def drop(self, zone: Name, since: float) -> None:
        """Forget the listings of a zone that came after `since`."""
        for question, kept in list(self._kept.items()):
            if kept.since >= since and isinstance(kept.told.reply, Listed) and is_subdomain(question[0], zone):
                self._drop(question)

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget whatever is of one of these zones (lower case)."""
        for question in [question for question in self._kept if is_within(lower(question[0]), zones)]:
            self._drop(question)

    def forget_failures(self) -> None:
        """Forget what could not be found out."""
        for question in [question for question, kept in self._kept.items() if isinstance(kept.told.reply, Unknown)]:
            self._drop(question)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._size = 0

    def _drop(self, question: Question) -> None:
        if (kept := self._kept.pop(question, None)) is not None:
            self._size -= _weight(question, kept)


def _weight(question: Question, kept: Kept) -> int:
    told = kept.told
    size = _ENTRY + len(question[0]) + sum(_TEXT + len(each) for each in (*told.addresses, *told.strange))
    if isinstance(told.reply, Listed):
        listed = told.reply
        size += sum(_TEXT + len(text) for text in (*listed.codes, *listed.addresses, listed.reason, listed.link))
    return size
