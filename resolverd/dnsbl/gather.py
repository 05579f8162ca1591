"""Waiting for questions under way: until all have come, until what has come is enough, never beyond the deadline."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from resolverd.clock import Clock
from resolverd.dnsbl.lookup import PendingQuery
from resolverd.dnsbl.response import ListResponse, not_sent
from resolverd.failures import Unknown, Why

Until: TypeAlias = Callable[[Mapping[str, ListResponse]], bool]
"""Whether what has come, by list, settles what it was asked for."""


async def gather_until(
    lookups: Mapping[str, ListResponse | PendingQuery], deadline: float, clock: Clock, until: Until | None = None
) -> dict[str, ListResponse]:
    """What has come by the deadline (monotonic seconds), the rest as Unknown; what was enough before that, without the rest.

    Whatever is not waited for goes on by itself.
    """
    start = clock.monotonic()
    response = {name: look for name, look in lookups.items() if isinstance(look, ListResponse)}
    tasks = {name: look for name, look in lookups.items() if not isinstance(look, ListResponse)}
    while tasks and not (until is not None and until(response)):
        when = asyncio.ALL_COMPLETED if until is None else asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(set(tasks.values()), timeout=max(0.0, deadline - clock.monotonic()), return_when=when)
        ms = round((clock.monotonic() - start) * 1000)
        response |= {name: _result(task, ms) for name, task in tasks.items() if task in done}
        tasks = {name: task for name, task in tasks.items() if task not in done}
        if not done or until is None:
            return response | dict.fromkeys(tasks, not_sent(Unknown(Why.TIMEOUT, f"no answer within {ms} ms")))
    return response


def _result(task: PendingQuery, ms: int) -> ListResponse:
    if task.cancelled():
        return not_sent(Unknown(Why.TIMEOUT, f"no answer within {ms} ms"))
    response = task.result()
    return response if isinstance(response.reply, Unknown) else response._replace(reply=response.reply._replace(ms=ms))
