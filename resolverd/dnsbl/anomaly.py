"""When a list's answers differ so much from its own history that it is asked whether it still tells good from bad.

Nothing follows from an anomaly but a few questions about subjects that cannot be listed: ordinary mail is 95 % spam, and a
wave of it looks like this, too.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from math import comb
from typing import Final

from resolverd import bounds

RECENT: Final = 20
"""Answers that are held against the history."""
FEWEST: Final = 4
"""Fewer answers say nothing."""
UNLIKELY: Final = 1e-3
"""So improbable a run of listings, or of one and the same answer, is an anomaly."""
HOLD_OFF: Final = 10.0
"""Seconds after a list was cleared before an anomaly counts again, doubled each time in a row."""
MAX_HOLD_OFF: Final = 600.0
CALM: Final = 3600.0
"""After so many seconds without an anomaly the hold-off begins anew."""
_HISTORY: Final = 4000.0
"""Answers over which the history fades to half: some hours of a busy server."""


class Anomaly:
    """One list's answers about distinct subjects; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._subjects: OrderedDict[Hashable, None] = OrderedDict()
        self._recent: deque[Hashable | None] = deque()
        self._history: Counter[Hashable | None] = Counter()
        self._total = 0.0
        self._quiet_until = float("-inf")
        self._hold_off = HOLD_OFF

    def observe(self, subject: Hashable, answer: Hashable | None, now: float) -> bool:
        """An answer came: the set of return codes, or None for "not listed". Whether that makes an anomaly."""
        if subject in self._subjects:
            self._subjects.move_to_end(subject)
            return False
        self._subjects[subject] = None
        if len(self._subjects) > bounds.LIST_SUBJECTS:
            self._subjects.popitem(last=False)
        self._recent.append(answer)
        if len(self._recent) > RECENT:
            self._add(self._recent.popleft())
        return answer is not None and now >= self._quiet_until and self._is_improbable(answer)

    def cleared(self, now: float) -> None:
        """It listed nobody whom it must not list: what it answers now is its history from here on."""
        while self._recent:
            self._add(self._recent.popleft())
        if now - self._quiet_until > CALM:
            self._hold_off = HOLD_OFF
        self._quiet_until = now + self._hold_off
        self._hold_off = min(2 * self._hold_off, MAX_HOLD_OFF)

    def _is_improbable(self, answer: Hashable) -> bool:
        """Whether one of the latest runs of answers is improbable by the history, listings as such or this very answer."""
        listings = self._total - self._history[None]
        # One of each kind is taken for granted: a list just begun with has no history to differ from.
        usual_listed = (listings + 1) / (self._total + 2)
        usual_answer = (self._history[answer] + 1) / (self._total + 2)
        latest = list(self._recent)
        for count in (FEWEST, RECENT // 2, RECENT):
            run = latest[-count:]
            if len(run) < count:
                break
            listed = sum(each is not None for each in run)
            same = sum(each == answer for each in run)
            if _tail(listed, count, usual_listed) < UNLIKELY or _tail(same, count, usual_answer) < UNLIKELY:
                return True
        return False

    def _add(self, answer: Hashable | None) -> None:
        self._history[answer] += 1
        self._total += 1
        if self._total >= _HISTORY:
            faded = {each: count // 2 for each, count in self._history.most_common(bounds.LIST_ANSWERS) if count > 1}
            self._history = Counter(faded)
            self._total = float(sum(faded.values()))


def _tail(hits: int, count: int, share: float) -> float:
    """The probability of so many hits or more of `count`, each with the probability `share`."""
    return sum(comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(hits, count + 1))
