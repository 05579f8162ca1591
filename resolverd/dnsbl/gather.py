"""Waiting for questions under way: until all have come, until what has come is enough, never beyond the deadline."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from resolverd.clock import Clock
from resolverd.dnsbl.lookup import Flight
from resolverd.dnsbl.response import Told, unasked
from resolverd.failures import Unknown, Why

Enough: TypeAlias = Callable[[Mapping[str, Told]], bool]
"""Whether what has come, by list, settles what it was asked for."""


async def settle(
    looks: Mapping[str, Told | Flight], deadline: float, clock: Clock, enough: Enough | None = None
) -> dict[str, Told]:
    """What has come by the deadline (monotonic seconds), the rest as Unknown; what was enough before that, without the rest.

    Whatever is not waited for goes on by itself.
    """
    start = clock.monotonic()
    told = {name: look for name, look in looks.items() if isinstance(look, Told)}
    flights = {name: look for name, look in looks.items() if not isinstance(look, Told)}
    while flights and not (enough is not None and enough(told)):
        when = asyncio.ALL_COMPLETED if enough is None else asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(set(flights.values()), timeout=max(0.0, deadline - clock.monotonic()), return_when=when)
        ms = round((clock.monotonic() - start) * 1000)
        told |= {name: _landed(flight, ms) for name, flight in flights.items() if flight in done}
        flights = {name: flight for name, flight in flights.items() if flight not in done}
        if not done or enough is None:
            return told | dict.fromkeys(flights, unasked(Unknown(Why.TIMEOUT, f"no answer within {ms} ms")))
    return told


def _landed(flight: Flight, ms: int) -> Told:
    if flight.cancelled():
        return unasked(Unknown(Why.TIMEOUT, f"no answer within {ms} ms"))
    told = flight.result()
    return told if isinstance(told.reply, Unknown) else told._replace(reply=told.reply._replace(ms=ms))
