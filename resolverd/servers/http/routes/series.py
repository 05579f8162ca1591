"""What was counted over the last hour, day or week, as time series."""

from typing import Literal

import msgspec

from resolverd.servers.http.route import Call, Route
from resolverd.telemetry.counted import ALWAYS


class SeriesSpan(msgspec.Struct):
    """How far back."""

    span: Literal["1h", "24h", "7d"] = "1h"


class Series(msgspec.Struct):
    """Counts in slots of `step` seconds, the oldest first; the first begins at the wall second `from`.

    A slot in which the daemon did not run is null, and 0 one in which nothing was counted. The last slot is still running:
    `covered` seconds of it have gone by. A series that is missing was 0 throughout.
    """

    span: str
    step: int
    begins: int = msgspec.field(name="from")
    covered: int
    series: dict[str, list[int | None]]


async def get_series(call: Call, given: SeriesSpan) -> Series:
    """Verdicts, DNS questions, policy requests, lists and greylisting over the last hour, day or week."""
    series, clock = call.daemon.series, call.daemon.clock
    ring, begins = series.rings[given.span], series.begins(given.span, clock.monotonic(), clock.wall())
    return Series(given.span, ring.step, begins, ring.covered, ring.columns(ALWAYS))


ROUTES = (Route("GET", "/v1/series", get_series, "lists"),)
