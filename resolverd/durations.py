"""Durations as people write them: ``500ms``, ``300s``, ``5m``, ``2h``, ``35d``, ``1w``."""

import re
from typing import Final

UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""Seconds by unit."""
LONGEST: Final = 10 * 365 * 86400.0
"""Seconds; a longer one is a slip of the pen."""

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")


def seconds_of(text: str) -> float:
    """A duration in seconds. Raises ValueError, with what to write instead."""
    found = _AMOUNT.fullmatch(text)
    if not found or found[2] not in UNITS:
        raise ValueError(f'{text!r} is no duration; write it as "500ms", "300s", "5m", "2h", "35d" or "1w"')
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return seconds
