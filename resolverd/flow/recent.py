"""The verdicts of late by their reference, so that the support desk can read what a refused sender quotes."""

from collections import OrderedDict
from typing import Final

from resolverd.mail.findings import Verdict

MAX_KEPT: Final = 10_000
"""Verdicts kept: every connection makes one, so strangers decide how many there are."""
MAX_DRY: Final = 500
"""Of those that were only tried out: in a place of their own, so that they never push a real one out."""
KEPT_FOR: Final = 7 * 86400.0
"""Seconds for which a verdict is kept if its place is not needed."""


class RecentVerdicts:
    """A bounded memory of verdicts; `now` is monotonic seconds. The oldest goes first."""

    def __init__(self, *, kept: int = MAX_KEPT, dry: int = MAX_DRY, age: float = KEPT_FOR) -> None:
        self._real: OrderedDict[str, tuple[float, Verdict]] = OrderedDict()
        self._dry: OrderedDict[str, tuple[float, Verdict]] = OrderedDict()
        self._bounds = (kept, dry)
        self._age = age

    def __len__(self) -> int:
        """Verdicts kept."""
        return len(self._real) + len(self._dry)

    def put(self, verdict: Verdict, now: float, *, dry: bool = False) -> None:
        """Keep it; `dry`: it was only tried out."""
        shelf, bound = (self._dry, self._bounds[1]) if dry else (self._real, self._bounds[0])
        shelf[verdict.id] = (now, verdict)
        while len(shelf) > bound or (shelf and now - next(iter(shelf.values()))[0] > self._age):
            shelf.popitem(last=False)

    def get(self, ref: str, now: float) -> Verdict | None:
        """The verdict of this reference, if it is still kept."""
        since, verdict = self._real.get(ref) or self._dry.get(ref) or (now, None)
        return verdict if now - since <= self._age else None
