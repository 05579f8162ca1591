"""When somebody is told of what is wrong: not at once, not of every flicker, and not twice. A pure core.

A trouble has begun once it has lasted for `PATIENCE`, and has ended once it has been gone for as long. Of one kind there is one
notice in `EVERY` at the most: what begins meanwhile is held back, and counted in the next. That all of it has ended is told as
soon as it is so, where its beginning was.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from resolverd.telemetry.troubles import CLOCK, KINDS, SHARED, STORE, WATCH, Trouble

EVERY: Final = 3600.0
"""Seconds between two notices of one kind."""
PATIENCE: Final = 60.0
"""Seconds for which a trouble must last, or be gone."""
_AT_ONCE: Final = frozenset({WATCH, STORE, CLOCK})
"""Kinds that do not come and go by themselves, unless it is a server elsewhere that does."""


class Change(NamedTuple):
    """A trouble that has begun, or ended."""

    trouble: Trouble
    ended: bool


class Notice(NamedTuple):
    """What somebody is to be told, of one kind. `ended`: nothing of it is wrong any more, and `troubles` are what was told
    before. `held`: how many troubles of the kind began since the last notice and are not among these."""

    kind: str
    troubles: tuple[Trouble, ...]
    ended: bool
    held: int = 0


class _Seen:
    """One trouble: what it is now, since when it is there or gone, and whether it counts."""

    def __init__(self, trouble: Trouble, since: float) -> None:
        self.trouble = trouble
        self.since = since
        self.there = True
        self.begun = False
        self.told = False


class _Kind:
    def __init__(self) -> None:
        self.last = float("-inf")
        self.told: dict[str, Trouble] = {}
        self.held = 0


def _patience(trouble: Trouble) -> float:
    return 0.0 if trouble.kind in _AT_ONCE and trouble.subject != SHARED else PATIENCE


class AlertBook:
    """What has begun and ended. Every method takes `now` (monotonic seconds)."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._kinds = {kind: _Kind() for kind in KINDS}

    @property
    def open(self) -> list[Trouble]:
        """What has begun and not ended."""
        return [seen.trouble for seen in self._seen.values() if seen.begun]

    def update(self, troubles: Iterable[Trouble], now: float) -> tuple[list[Change], list[Notice]]:
        """What has changed, these being all troubles at the moment, and what is to be told of it."""
        current = {(trouble.kind, trouble.subject): trouble for trouble in troubles}
        changes: list[Change] = []
        for key, trouble in current.items():
            seen = self._seen.setdefault(key, _Seen(trouble, now))
            if not seen.there:
                seen.there, seen.since = True, now
            seen.trouble = trouble
            if not seen.begun and now - seen.since >= _patience(trouble):
                seen.begun = True
                changes.append(Change(trouble, ended=False))
        for key, seen in list(self._seen.items()):
            if key in current:
                continue
            if seen.there:
                seen.there, seen.since = False, now
            if not seen.begun:
                del self._seen[key]
            elif now - seen.since >= PATIENCE:
                del self._seen[key]
                changes.append(Change(seen.trouble, ended=True))
                if not seen.told:
                    self._kinds[seen.trouble.kind].held += 1
        return changes, [notice for kind in KINDS for notice in self._notices(kind, now)]

    def _notices(self, kind: str, now: float) -> list[Notice]:
        known = self._kinds[kind]
        begun = [seen for seen in self._seen.values() if seen.begun and seen.trouble.kind == kind]
        if known.told and not begun:
            ended = Notice(kind, tuple(known.told.values()), ended=True, held=known.held)
            known.told, known.held = {}, 0
            return [ended]
        if all(seen.told for seen in begun) or now - known.last < EVERY:
            return []
        for seen in begun:
            seen.told = True
            known.told[seen.trouble.subject] = seen.trouble
        notice = Notice(kind, tuple(seen.trouble for seen in begun), ended=False, held=known.held)
        known.last, known.held = now, 0
        return [notice]
