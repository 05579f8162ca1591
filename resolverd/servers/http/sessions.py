"""Sessions of the dashboard: a cookie in the place of the token, so that a browser need not keep it.

They live in memory, so that a restart ends them, as another token does. The cookie is random; what is kept is its hash, by which
it is looked up, so that nothing of it can be learnt from how long that takes.
"""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from resolverd import bounds

IDLE: Final = 30 * 60.0
"""Seconds after which a session that is not used ends."""
LONGEST: Final = 12 * 3600.0
"""Seconds after which every session ends."""
FAILURES: Final = 10
"""Wrong tokens that one client may try in `FAILURES_WITHIN`."""
FAILURES_WITHIN: Final = 60.0
"""Seconds."""


@dataclass(slots=True)
class _Session:
    begun: float
    used: float

    def left(self, now: float) -> float:
        """Seconds until it ends, if nobody uses it."""
        return min(self.used + IDLE, self.begun + LONGEST) - now


class Sessions:
    """Those that are open, a bounded number: a further one ends the one used least lately. `now` in monotonic seconds."""

    def __init__(self) -> None:
        self._open: OrderedDict[bytes, _Session] = OrderedDict()

    def open(self, now: float) -> str:
        """Open one; the cookie that it is had by."""
        cookie = secrets.token_urlsafe(32)
        self._open[_key(cookie)] = _Session(now, now)
        if len(self._open) > bounds.HTTP_SESSIONS:
            self._open.popitem(last=False)
        return cookie

    def use(self, cookie: str, now: float) -> float | None:
        """Use one: the seconds for which it goes on from now, if it is not used again; None where there is none."""
        key = _key(cookie)
        session = self._open.pop(key, None)
        if session is None or session.left(now) <= 0:
            return None
        session.used = now
        self._open[key] = session
        return session.left(now)

    def lasts(self, cookie: str, now: float) -> bool:
        """Whether there is one that has not ended; this is no use of it."""
        session = self._open.get(_key(cookie))
        return session is not None and session.left(now) > 0

    def close(self, cookie: str) -> None:
        """End one."""
        self._open.pop(_key(cookie), None)

    def clear(self) -> None:
        """End all."""
        self._open.clear()


class FailedLogins:
    """How often clients have tried a wrong token lately; those that tried least lately are forgotten where there are too many."""

    def __init__(self) -> None:
        self._failed: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def add(self, client: object, now: float) -> float:
        """One more of a client; the seconds for which it has tried too often now, 0 where it has not."""
        since, count = self._failed.pop(client, (now, 0))
        if now - since >= FAILURES_WITHIN:
            since, count = now, 0
        self._failed[client] = since, count + 1
        if len(self._failed) > bounds.HTTP_FAILED_LOGINS:
            self._failed.popitem(last=False)
        return since + FAILURES_WITHIN - now if count >= FAILURES else 0.0


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
