"""What attempts came to, for the next ones like them: nothing is looked up, and no check is heard.

An assessment depends on the client, its names, its HELO name and the sender's domain; on the sender's whole address only where
an override names it or an SPF record on the way has it in a macro, and on the recipient only where a rule or an override names
it. It holds until the first of the replies that it was made of expires, or an override that counted, and no longer than the
generation in which it was begun: every flush, changed zone, override, and change of a list's health or mind is another one.

Only what was made without waiting for anybody is kept: it is what the next attempt would find as well, and one that never
comes again takes no room.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.generation import Generation
from resolverd.mail.request import Attempt
from resolverd.policy.assessment import Assessment

_Key: TypeAlias = tuple[Hashable, ...]


class Lifetime(NamedTuple):
    """When an assessment holds: before `until` in monotonic seconds, and from `wall` to `wall_until` in wall seconds."""

    until: float
    wall: float
    wall_until: float


class _Entry(NamedTuple):
    assessment: Assessment
    lifetime: Lifetime


class VerdictCache:
    """A bounded memory, least recently used out first. `generation`: that of names, lists and overrides."""

    def __init__(self, generation: Generation, *, max_entries: int = bounds.VERDICTS_CACHED) -> None:
        self._generation = generation
        self._number = generation.number
        self._max_entries = max_entries
        self._entries: OrderedDict[_Key, _Entry | None] = OrderedDict()

    def __len__(self) -> int:
        """Assessments kept, and marks of senders' domains whose senders differ."""
        return len(self._entries)

    def get(self, attempt: Attempt, recipient: str, *, by_sender: bool, now: float, wall: float) -> Assessment | None:
        """What an attempt like this came to.

        `recipient`: the attempt's, where something names it, else empty. `by_sender`: something names its sender.
        """
        if self._generation.number != self._number:
            self._entries.clear()
            self._number = self._generation.number
            return None
        entries = self._entries
        key = _key(attempt, recipient)
        entry = None if by_sender else entries.get(key)
        if entry is None:
            if not by_sender and key not in entries:
                return None
            key = (*key, attempt.sender)
            entry = entries.get(key)
            if entry is None:
                return None
        assessment, (until, since, wall_until) = entry
        if now >= until or not since <= wall < wall_until:
            del entries[key]
            return None
        entries.move_to_end(key)
        return assessment

    def put(
        self,
        attempt: Attempt,
        recipient: str,
        assessment: Assessment,
        lifetime: Lifetime,
        begun: int,
        *,
        by_sender: bool,
        reads_sender: bool,
    ) -> None:
        """Keep it, unless the generation in which it was `begun` is over.

        `recipient` and `by_sender` as in `get`; `reads_sender`: it might be another for any other sender of the domain.
        """
        if begun != self._generation.number or _size(attempt) > bounds.VERDICT_CACHE_TEXT:
            return
        if begun != self._number:
            self._entries.clear()
            self._number = begun
        key = _key(attempt, recipient)
        if reads_sender:
            self._keep(key, None)
        if by_sender or reads_sender:
            key = (*key, attempt.sender)
        self._keep(key, _Entry(assessment, lifetime))

    def _keep(self, key: _Key, entry: _Entry | None) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)


def _key(attempt: Attempt, recipient: str) -> _Key:
    sender = attempt.sender
    at = sender.rfind("@")
    return (
        attempt.client_address,
        attempt.client_name,
        attempt.reverse_client_name,
        attempt.helo_name,
        attempt.has_sender,
        sender[at:] if at >= 0 else sender,
        recipient,
    )


def _size(attempt: Attempt) -> int:
    names = attempt.client_name, attempt.reverse_client_name, attempt.helo_name, attempt.sender, attempt.recipient
    return sum(map(len, names))
