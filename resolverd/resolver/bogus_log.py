"""Which bogus answers are put into the log: a line a name, and no more of them than somebody would read."""

from collections import OrderedDict
from typing import NamedTuple

from resolverd import bounds
from resolverd.wire.names import Name


class Told(NamedTuple):
    """Whether an answer gets a line; `is_last`: those that come in the next while do not."""

    is_told: bool
    is_last: bool = False


class BogusLog:
    """Remembers what has been told. Whoever has a zone signed wrongly has any number of names in it."""

    def __init__(self) -> None:
        self._names: OrderedDict[Name, float] = OrderedDict()
        self._since = float("-inf")
        self._lines = 0

    def tell(self, name: Name, now: float) -> Told:
        """Whether a bogus answer for a name (lower case) is told, at that time (monotonic seconds)."""
        if now < self._names.get(name, float("-inf")):
            return Told(False)
        if now >= self._since + bounds.BOGUS_PAUSE:
            self._since, self._lines = now, 0
        if self._lines >= bounds.BOGUS_LINES:
            return Told(False)
        self._lines += 1
        self._names[name] = now + bounds.BOGUS_NAME_PAUSE
        self._names.move_to_end(name)
        if len(self._names) > bounds.BOGUS_NAMES:
            self._names.popitem(last=False)
        return Told(True, self._lines == bounds.BOGUS_LINES)
