"""Resolutions that failed: not tried again for a while, longer each time (RFC 9520 §3.2)."""

from collections import OrderedDict

from resolverd import bounds
from resolverd.values import Value, replace
from resolverd.wire.answer import ExtendedError
from resolverd.wire.names import Name, ancestors


class _Failure(Value, frozen=True):
    error: ExtendedError
    until: float
    pause: float


_ENTRY = 700
"""Octets that a failure costs beside its name and text."""
_TEXT = 200
"""Characters of a failure's text that are kept: as many as a reply has room for."""


class FailureCache:
    """Failed questions by name in lower case, type, and whether their answers are validated.

    For 5 s at first, doubled at the next failure, 10 s at most.
    """

    def __init__(self, size: int):
        """`size` in octets, which may be changed as `limit`; those asked for last stay."""
        self.limit = size
        self._size = 0
        self._failures: OrderedDict[tuple[Name, int, bool], _Failure] = OrderedDict()

    def get(self, name: Name, rtype: int, now: float, *, validated: bool = True) -> ExtendedError | None:
        """Why this question failed, while it is not to be tried again."""
        key = name, rtype, validated
        failure = self._failures.get(key)
        if failure is None or now >= failure.until:
            return None
        self._failures.move_to_end(key)
        return failure.error

    def put(self, name: Name, rtype: int, error: ExtendedError, now: float, *, validated: bool = True) -> None:
        """The question failed just now."""
        key = name, rtype, validated
        old = self._failures.pop(key, None)
        pause = min(old.pause * 2, bounds.MAX_FAILURE_TTL) if old and now < old.until + old.pause else bounds.FAILURE_TTL
        if old is not None:
            self._size -= _weight(name, old)
        new = self._failures[key] = _Failure(replace(error, text=error.text[:_TEXT]), now + pause, pause)
        self._size += _weight(name, new)
        while self._size > self.limit and len(self._failures) > 1:
            (oldest, _, _), failure = self._failures.popitem(last=False)
            self._size -= _weight(oldest, failure)

    def forget(self, name: Name, rtype: int | None = None) -> None:
        """The question shall be tried anew (all types where none is given)."""
        rtypes = {rtype} if rtype is not None else {key[1] for key in self._failures if key[0] == name}
        for each in rtypes:
            for validated in (True, False):
                self.succeeded(name, each, validated=validated)

    def forget_below(self, zone: Name) -> int:
        """The questions about the names at and below a zone shall be tried anew; how many."""
        below = [key for key in self._failures if key[0].endswith(zone) and zone in ancestors(key[0])]
        for key in below:
            self._size -= _weight(key[0], self._failures.pop(key))
        return len(below)

    def succeeded(self, name: Name, rtype: int, *, validated: bool = True) -> None:
        """The question has had its answer."""
        if (failure := self._failures.pop((name, rtype, validated), None)) is not None:
            self._size -= _weight(name, failure)

    def clear(self) -> None:
        """Forget everything."""
        self._failures.clear()
        self._size = 0


def _weight(name: Name, failure: _Failure) -> int:
    return _ENTRY + len(name) + len(failure.error.text)
