"""The lists: how each fares, using it or not, and asking its test points."""

import msgspec

from resolverd.dnsbl.spec import ListStatus
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.telemetry.counted import of_list
from resolverd.telemetry.series import Ring


class List(msgspec.Struct):
    """How one list fares.

    `quota` and `quota_left` count questions, `forecast` is in seconds, `p50` and `p99` are in milliseconds; `watched` are those
    of our own addresses that it lists. `asked`, `listed` and `failed` count since the start.

    What it is worth, over the last 7 days: `queries` that its servers were sent, which dropping it would save; verdicts on those
    whom it lists (`hits`), of which no other list of its purpose has them (`unique`), and of which without it the mail would
    have fared otherwise (`decisive`), which dropping it would lose.
    """

    id: str
    shown: str
    purpose: str
    kinds: tuple[str, ...]
    enabled: bool
    state: str
    quota: int | None
    quota_left: int | None
    asked: int
    listed: int
    failed: int
    p50: float | None
    p99: float | None
    last_error: str
    terms: str
    link: str
    forecast: int | None
    watched: tuple[str, ...]
    queries: int
    hits: int
    unique: int
    decisive: int

    @classmethod
    def of(cls, status: ListStatus, week: Ring) -> "List":
        """A list, with what was counted of it in a week."""
        queries, *hits = (week.total(of_list(status.id, what)) for what in ("asked", "hits", "unique_hits", "decisive_hits"))
        return cls(**status._asdict(), queries=max(0, queries), hits=hits[0], unique=hits[1], decisive=hits[2])


class Lists(msgspec.Struct):
    """Every list, enabled or not, by number. `counted`: seconds of the last 7 days in which the daemon ran."""

    lists: list[List]
    counted: int


async def get_lists(call: Call) -> Lists:
    """Every list and how it fares."""
    week = call.daemon.series.rings["7d"]
    return Lists([List.of(status, week) for status in call.daemon.lists.statuses()], week.ran)


async def get_list(call: Call) -> List:
    """One list and how it fares."""
    return _known(call, call.daemon.lists.status(call.path["name"]))


async def enable_list(call: Call) -> List:
    """Use a list until the next start."""
    return _known(call, call.daemon.lists.enable(call.path["name"]))


async def disable_list(call: Call) -> List:
    """Stop using a list until the next start."""
    return _known(call, call.daemon.lists.disable(call.path["name"]))


async def probe_list(call: Call) -> List:
    """Ask a list's test points now."""
    daemon = call.daemon
    return _known(call, await daemon.lists.probe(call.path["name"], deadline=daemon.clock.monotonic() + daemon.deadline))


def _known(call: Call, status: ListStatus | None) -> List:
    if status is None:
        raise Problem(404, f"no list {call.path['name'][:100]!r}; GET /v1/lists names them")
    return List.of(status, call.daemon.series.rings["7d"])


ROUTES = (
    Route("GET", "/v1/lists", get_lists, "lists"),
    Route("GET", "/v1/lists/{name}", get_list, "lists", problems=(404,)),
    Route("POST", "/v1/lists/{name}/enable", enable_list, problems=(404,)),
    Route("POST", "/v1/lists/{name}/disable", disable_list, problems=(404,)),
    Route("POST", "/v1/lists/{name}/probe", probe_list, problems=(404,)),
)
