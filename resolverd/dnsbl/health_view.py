"""How a list fares as one host sees it, told to the other hosts of its fleet, and what they make of it: one line each.

Whoever reaches the store can have written it. A view whose times cannot be true counts for nothing.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from resolverd.dnsbl.health import MAX_SUSPENSION
from resolverd.failures import Why
from resolverd.mail.sanitize import sanitize

TOLERANCE: Final = 5.0
"""Seconds by which the wall clocks of hosts may differ, set right by the store's (`fleet.clock`)."""
NEEDED: Final = 2
"""Hosts that have to agree on what is to count for one that has not seen it."""
_DETAIL: Final = 100
_MAX_OCTETS: Final = 240
_NEVER: Final = 0.0
_RECORD: Final = re.compile(rb"1 ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15}) ([a-z]{1,20}) ([ -~]*)")


class HealthView(NamedTuple):
    """Wall seconds, 0 for never: since and until when the host asks the list no more, as it has answered an error or what no
    list answers; when it was asked last that it denied what no list may list; when it was last found to list the world.
    """

    since: float = _NEVER
    until: float = _NEVER
    passed: float = _NEVER
    poisoned: float = _NEVER
    why: Why = Why.UNHEALTHY
    detail: str = ""

    def suspends(self, now: float) -> bool:
        """Whether the host has the list suspended at this moment (wall seconds), as far as its times can be true."""
        return self.since <= now + TOLERANCE and now < self.until <= self.since + MAX_SUSPENSION + 2 * TOLERANCE


def encode(view: HealthView) -> bytes:
    """``1 SINCE UNTIL PASSED POISONED WHY DETAIL``, times in milliseconds."""
    times = (view.since, view.until, view.passed, view.poisoned)
    words = ["1", *(str(round(each * 1000)) for each in times), view.why.value, sanitize(view.detail, _DETAIL)]
    return " ".join(words).encode()


def decode(octets: bytes) -> HealthView | None:
    """The view of a record; None for octets that are none."""
    found = _RECORD.fullmatch(octets) if len(octets) <= _MAX_OCTETS else None
    if found is None:
        return None
    since, until, passed, poisoned = (int(each) / 1000 for each in found.groups()[:4])
    try:
        why = Why(found[5].decode())
    except ValueError:
        return None
    return HealthView(since, until, passed, poisoned, why, sanitize(found[6].decode()))


def agreed(views: Iterable[HealthView], now: float) -> HealthView | None:
    """The suspension on which enough of these hosts agree, until when they do; None where they do not."""
    held = sorted((view for view in views if view.suspends(now)), key=lambda view: view.until, reverse=True)
    return held[NEEDED - 1] if len(held) >= NEEDED else None


def last_passed(views: Iterable[HealthView], now: float) -> float:
    """When a list was last found sound by one of these hosts, 0 for never."""
    return max((view.passed for view in views if view.passed <= now + TOLERANCE), default=_NEVER)


def last_poisoned(views: Iterable[HealthView], now: float) -> float:
    """When a list was last found to list the world by one of these hosts, 0 for never."""
    return max((view.poisoned for view in views if view.poisoned <= now + TOLERANCE), default=_NEVER)
