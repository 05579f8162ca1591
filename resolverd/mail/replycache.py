"""What lists told lately, within the clamps of each: bounded, least recently used out first."""

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from resolverd.failures import Unknown
from resolverd.mail.listreply import Told
from resolverd.mail.questions import Listed
from resolverd.wire.names import Name, is_subdomain, is_within, lower

Question: TypeAlias = tuple[Name, int]
"""The full name asked, key included, and the RR type."""


class Kept(NamedTuple):
    """A reply, when it came and when it ends (monotonic seconds). `confirmed`: it was asked a second time."""

    told: Told
    since: float
    until: float
    confirmed: bool = False


class ReplyCache:
    """Replies by the question that was asked: who does not know a key cannot ask its cache either."""

    def __init__(self, size: int):
        self._size = size
        self._kept: OrderedDict[Question, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, now: float) -> Kept | None:
        """The reply while it lives."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[question]
            return None
        self._kept.move_to_end(question)
        return kept

    def put(self, question: Question, told: Told, now: float, *, confirmed: bool = False) -> Kept:
        """Remember a reply for as long as its TTL says."""
        kept = Kept(told, now, now + told.ttl, confirmed)
        self._kept[question] = kept
        self._kept.move_to_end(question)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return kept

    def drop(self, zone: Name, since: float) -> None:
        """Forget the listings of a zone that came after `since`."""
        self._kept = OrderedDict(
            (question, kept)
            for question, kept in self._kept.items()
            if kept.since < since or not isinstance(kept.told.reply, Listed) or not is_subdomain(question[0], zone)
        )

    def forget(self, zones: frozenset[Name]) -> None:
        """Forget whatever is of one of these zones (lower case)."""
        self._kept = OrderedDict(
            (question, kept) for question, kept in self._kept.items() if not is_within(lower(question[0]), zones)
        )

    def forget_failures(self) -> None:
        """Forget what could not be found out."""
        self._kept = OrderedDict(
            (question, kept) for question, kept in self._kept.items() if not isinstance(kept.told.reply, Unknown)
        )

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
