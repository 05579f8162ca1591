"""The lists: how each fares, using it or not, and asking its test points."""

import msgspec

from resolverd.dnsbl.spec import ListStatus
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route


class List(msgspec.Struct):
    """How one list fares.

    `quota` and `quota_left` count questions, `forecast` is in seconds, `p50` and `p99` are in milliseconds; `watched` are those
    of our own addresses that it lists.
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


class Lists(msgspec.Struct):
    """Every list, enabled or not, by number."""

    lists: list[List]


async def get_lists(call: Call) -> Lists:
    """Every list and how it fares."""
    return Lists([List(**status._asdict()) for status in call.daemon.lists.statuses()])


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
    return List(**status._asdict())


ROUTES = (
    Route("GET", "/v1/lists", get_lists, "lists"),
    Route("GET", "/v1/lists/{name}", get_list, "lists"),
    Route("POST", "/v1/lists/{name}/enable", enable_list),
    Route("POST", "/v1/lists/{name}/disable", disable_list),
    Route("POST", "/v1/lists/{name}/probe", probe_list),
)
