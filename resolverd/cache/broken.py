"""Resolutions that failed: not tried again for a while, longer each time (RFC 9520 §3.2)."""

from collections import OrderedDict
from typing import NamedTuple

from resolverd import bounds
from resolverd.wire.answer import ExtendedError
from resolverd.wire.names import Name


class _Failure(NamedTuple):
    error: ExtendedError
    until: float
    pause: float


class FailureCache:
    """Failed questions by (name in lower case, type); 5 s at first, doubled at the next failure, 10 s at most."""

    def __init__(self, entries: int = bounds.MAX_FAILURES):
        self._limit = entries
        self._failures: OrderedDict[tuple[Name, int], _Failure] = OrderedDict()

    def get(self, name: Name, rtype: int, now: float) -> ExtendedError | None:
        """Why this question failed, while it is not to be tried again."""
        failure = self._failures.get((name, rtype))
        return failure.error if failure is not None and now < failure.until else None

    def put(self, name: Name, rtype: int, error: ExtendedError, now: float) -> None:
        """The question failed just now."""
        key = name, rtype
        old = self._failures.pop(key, None)
        pause = min(old.pause * 2, bounds.MAX_FAILURE_TTL) if old and now < old.until + old.pause else bounds.FAILURE_TTL
        self._failures[key] = _Failure(error, now + pause, pause)
        while len(self._failures) > self._limit:
            self._failures.popitem(last=False)

    def forget(self, name: Name, rtype: int | None = None) -> None:
        """The question succeeded, or shall be tried anew (all types where none is given)."""
        if rtype is not None:
            self._failures.pop((name, rtype), None)
        else:
            for key in [key for key in self._failures if key[0] == name]:
                del self._failures[key]

    def clear(self) -> None:
        """Forget everything."""
        self._failures.clear()
