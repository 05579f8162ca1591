"""The live feed, as Server-Sent Events (WHATWG HTML §9.2)."""

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from resolverd import bounds
from resolverd.mail.patterns import IPNetwork
from resolverd.servers.http.auth import SECURITY_HEADERS
from resolverd.servers.http.parameters import Text
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.telemetry import feed
from resolverd.telemetry.feed import Event, Filter, Listener, VerdictEvent

_MEDIA = "text/event-stream"
_HEADERS = {**SECURITY_HEADERS, "Content-Type": _MEDIA, "X-Accel-Buffering": "no"}
_NAMES = {feed.VerdictEvent: "verdict", feed.ListEvent: "list", feed.AlertEvent: "alert"}


def _is_network(text: str) -> bool:
    try:
        feed.network(text)
    except ValueError:
        return False
    return True


NetworkParameter = Annotated[str, Meta(description="an IP address or network", extra={"valid": _is_network})]


class EventFilter(msgspec.Struct):
    """What is wanted of the verdicts; what is not given stands for any. `sender`: an address or a domain.

    State changes of other lists than `list` are left out; alerts never are.
    """

    action: Literal["accept", "reject", "defer", "greylist", ""] = ""
    client: NetworkParameter | None = None
    sender: Text = ""
    code: Text = ""
    of_list: Text = msgspec.field(name="list", default="")

    @property
    def wanted(self) -> Filter:
        """As the feed takes it."""
        client: IPNetwork | None = None if self.client is None else feed.network(self.client)
        return Filter(self.action, client, self.sender, self.code, self.of_list)


async def get_events(call: Call, given: EventFilter) -> web.StreamResponse:
    """Verdicts as they are given, state changes of lists, alerts: a stream of Server-Sent Events.

    Events are ``verdict``, ``list``, ``alert`` and ``dropped`` (how many were lost, as they were not read in time). A comment
    comes every 15 s; after an hour the stream ends, and a browser opens the next.
    """
    with call.daemon.feed.listening(given.wanted) as listener:
        if listener is None:
            busy = f"{bounds.FEED_LISTENERS} follow the feed already, or the daemon is ending"
            raise Problem(503, busy, headers={"Retry-After": "30"})
        response = web.StreamResponse(headers=_HEADERS)
        response.force_close()
        await response.prepare(call.request)
        if call.request.method != "HEAD":
            try:
                await _stream(response, listener)
            except TimeoutError:  # it does not read, and what waits for it is in the way
                if call.request.transport is not None:
                    call.request.transport.abort()
                raise ConnectionError("a listener that does not read") from None
        return response


async def _stream(response: web.StreamResponse, listener: Listener) -> None:
    """Tell events until the end of the stream. Raises ConnectionError, and TimeoutError where nothing is read."""
    loop = asyncio.get_running_loop()
    until = loop.time() + bounds.FEED_LIFETIME
    octets = b"retry: 3000\n: what happens from now on\n\n"
    while True:
        async with asyncio.timeout(bounds.FEED_PATIENCE):
            await response.write(octets)
        if listener.ended or loop.time() >= until:
            return
        try:
            async with asyncio.timeout(bounds.FEED_HEARTBEAT):
                events, dropped = await listener.take()
        except TimeoutError:
            octets = b": still here\n\n"
            continue
        octets = b"".join(map(_encoded, events))
        if dropped:
            octets += b'event: dropped\ndata: {"count":%d}\n\n' % dropped


def _encoded(event: Event) -> bytes:
    name = f"id: {event.id}\n" if isinstance(event, VerdictEvent) else ""
    document: dict[str, Any] = event._asdict()
    return f"event: {_NAMES[type(event)]}\n{name}data: ".encode() + msgspec.json.encode(document) + b"\n\n"


ROUTES = (Route("GET", "/v1/events", get_events, media=_MEDIA),)
