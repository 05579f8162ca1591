"""Whether the wall clock can be believed: signatures count for a time, and to a clock that is wrong all of them are untimely.

Such a machine validates nothing until its clock is right, as mail must not be deferred for that. Which is what an attacker would
like, so that nothing counts as evidence that he could make while the clock is right:

- **Before the build**: the clock's own reading lies before the date at which this version was made. He would have to set it.
- **Behind**: the root's keys are signed as they should be but for the time, and the signature begins in the future. He would need
  a signature that the root's operators have not published yet.
- **Ahead**: what every server said that was asked (three, or all that answer) is signed as it should be, and has ended. Old
  signatures can be replayed, by somebody who answers in the place of all those servers. It counts only for a signature made
  after this version and after any other that was seen, and not while the clock runs on evenly since the root's keys were last
  found to be signed in time. What is left to him is to stand on the way to all of the root's servers when the daemon starts, or
  when its clock has been set, with a signature of the root's that was made after this version and has ended; nothing of what he
  forges then is remembered once the root's present keys are seen, which are looked for every minute.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Final

from resolverd.values import Value

JUMP: Final = 300.0
"""Seconds by which the wall clock may run away from the monotonic one: less than signatures' times allow for
(`Policy.min_skew`)."""


class Window(Value, frozen=True):
    """From when to when (Unix seconds) a signature counts, which holds."""

    begins: float
    ends: float


def built() -> float:
    """When this version was made (Unix seconds)."""
    text = resources.files("resolverd.data").joinpath("build_date").read_text("ascii").strip()
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


class ClockCheck:
    """What is known of the wall clock, for as long as the daemon runs. `built`: Unix seconds before which it cannot be."""

    def __init__(self, built: float = 0.0):
        self._built = built
        self._newest = built
        self._confirmed: tuple[float, float] | None = None
        self._fault: str | None = None

    def fault(self, wall: float) -> str | None:
        """Why the clock is not believed at this reading of it; None where it is."""
        if wall < self._built:
            return f"the clock says {_date(wall)}, and this version was made on {_date(self._built)}"
        return self._fault

    def confirmed(self, window: Window, wall: float, now: float) -> None:
        """The root's keys are signed in time at these readings (Unix seconds, monotonic seconds)."""
        self._newest = max(self._newest, window.begins)
        self._confirmed = wall, now
        self._fault = None

    def has_jumped(self, wall: float, now: float) -> bool:
        """Whether it was set since it was last confirmed, or found wrong."""
        if self._confirmed is None:
            return False
        before, then = self._confirmed
        return abs((wall - before) - (now - then)) > JUMP

    def judge(self, windows: Sequence[Window], wall: float, now: float) -> str | None:
        """Why the clock is not believed any more, where all that servers say of the root's keys holds but for the time.

        One window for each server's; None where the clock is not at fault as far as can be seen.
        """
        if not windows:
            return None
        latest = max(each.begins for each in windows)
        if latest > wall:
            self._fault = f"the clock says {_date(wall)}, and the root is signed from {_date(latest)} on"
        elif all(self._may_be_current(each, wall, now) for each in windows):
            ends = max(each.ends for each in windows)
            self._fault = f"the clock says {_date(wall)}, and the root is signed until {_date(ends)}"
        else:
            return None
        return self._fault

    def _may_be_current(self, window: Window, wall: float, now: float) -> bool:
        if self._confirmed is not None and not self.has_jumped(wall, now):
            return False
        return self._newest <= window.begins and window.ends < wall


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s since 1970"
