"""The verdicts of late by their reference, so that the support desk can read what a refused sender quotes."""

from collections import OrderedDict
from typing import Final, NamedTuple

from resolverd.mail.findings import Verdict
from resolverd.wire.names import Address

MAX_KEPT: Final = 10_000
"""Verdicts kept: every connection makes one, so strangers decide how many there are."""
MAX_DRY: Final = 500
"""Of those that were only tried out: in a place of their own, so that they never push a real one out."""
KEPT_FOR: Final = 7 * 86400.0
"""Seconds for which a verdict is kept if its place is not needed."""


class StoredVerdict(NamedTuple):
    """A verdict and how many seconds ago it was given."""

    verdict: Verdict
    age: float


class RecentVerdicts:
    """A bounded memory of verdicts; `now` is monotonic seconds. The oldest goes first."""

    def __init__(self, *, kept: int = MAX_KEPT, dry: int = MAX_DRY, age: float = KEPT_FOR) -> None:
        self._real: OrderedDict[str, tuple[float, Verdict]] = OrderedDict()
        self._dry: OrderedDict[str, tuple[float, Verdict]] = OrderedDict()
        self._last: dict[Address, str] = {}
        self._bounds = (kept, dry)
        self._age = age

    def __len__(self) -> int:
        """Verdicts kept."""
        return len(self._real) + len(self._dry)

    def put(self, verdict: Verdict, now: float, *, dry: bool = False) -> None:
        """Keep it; `dry`: it was only tried out."""
        shelf, bound = (self._dry, self._bounds[1]) if dry else (self._real, self._bounds[0])
        shelf[verdict.id] = (now, verdict)
        if verdict.client is not None and not dry:
            self._last[verdict.client] = verdict.id
        while len(shelf) > bound or (shelf and now - next(iter(shelf.values()))[0] > self._age):
            self._let_go(shelf.popitem(last=False)[1][1])

    def get(self, ref: str, now: float) -> Verdict | None:
        """The verdict of this reference, if it is still kept."""
        since, verdict = self._real.get(ref) or self._dry.get(ref) or (now, None)
        return verdict if now - since <= self._age else None

    def last_on(self, client: Address, now: float) -> StoredVerdict | None:
        """The last verdict on a client, those that were only tried out aside; None if there is none any more."""
        since, verdict = self._real.get(self._last.get(client, ""), (now, None))
        return StoredVerdict(verdict, now - since) if verdict is not None and now - since <= self._age else None

    def _let_go(self, verdict: Verdict) -> None:
        if verdict.client is not None and self._last.get(verdict.client) == verdict.id:
            del self._last[verdict.client]
