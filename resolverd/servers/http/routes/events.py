"""The live feed, as Server-Sent Events (WHATWG HTML §9.2)."""

import asyncio
import json
from collections.abc import Mapping

import msgspec
from aiohttp import web

from resolverd import bounds
from resolverd.policy.verdict_records import Summary
from resolverd.pseudonyms import Pseudonyms
from resolverd.servers.http.auth import SECURITY_HEADERS
from resolverd.servers.http.parameters import rfc3339
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.servers.http.routes.history import HistoryItem, VerdictFilter, list_ids, verdicts_wanted
from resolverd.telemetry.feed import Event, Filter, Listener, ListEvent

_MEDIA = "text/event-stream"
_HEADERS = {**SECURITY_HEADERS, "Content-Type": _MEDIA, "X-Accel-Buffering": "no"}


async def get_events(call: Call, given: VerdictFilter) -> web.StreamResponse:
    """Verdicts as they are given, state changes of lists, alerts: a stream of Server-Sent Events.

    Events are ``verdict``, ``list``, ``alert`` and ``dropped`` (how many were lost, as they were not read in time). A comment
    comes every 15 s; after an hour the stream ends, and a browser opens the next. It ends with the session, or the token, that it
    was opened with, and keeps no session alive.
    """
    with call.daemon.feed.listening(Filter(verdicts_wanted(call.daemon, given), given.list)) as listener:
        if listener is None:
            busy = f"{bounds.FEED_LISTENERS} follow the feed already, or the daemon is ending"
            raise Problem(503, busy, headers={"Retry-After": "30"})
        response = web.StreamResponse(headers=_HEADERS)
        response.force_close()
        await response.prepare(call.request)
        if call.request.method != "HEAD":
            try:
                await _stream(call, response, listener)
            except TimeoutError:  # it does not read, and what waits for it is in the way
                if call.request.transport is not None:
                    call.request.transport.abort()
                raise ConnectionError("a listener that does not read") from None
        return response


async def _stream(call: Call, response: web.StreamResponse, listener: Listener) -> None:
    """Tell events until the end of the stream. Raises ConnectionError, and TimeoutError where nothing is read."""
    loop = asyncio.get_running_loop()
    until = loop.time() + bounds.FEED_LIFETIME
    octets = b"retry: 3000\n: what happens from now on\n\n"
    while call.auth.lasts(call.request):
        async with asyncio.timeout(bounds.FEED_PATIENCE):
            await response.write(octets)
        if listener.ended or loop.time() >= until:
            return
        if (taken := await _next(call, listener)) is None:
            octets = b": still here\n\n"
            continue
        events, dropped = taken
        ids, pseudonyms = list_ids(call.daemon), call.daemon.verdicts.pseudonyms
        host = call.daemon.hosts.name if call.daemon.hosts is not None else ""
        octets = b"".join(_encoded(event, ids, pseudonyms, host) for event in events)
        if dropped:
            octets += b'event: dropped\ndata: {"count":%d}\n\n' % dropped


async def _next(call: Call, listener: Listener) -> tuple[list[Event], int] | None:
    """What the listener takes next; None for nothing until the next heartbeat, or until it may have nothing more.

    Raises ConnectionError where it has left.
    """
    loop, request = asyncio.get_running_loop(), call.request
    until = loop.time() + bounds.FEED_HEARTBEAT
    while (left := until - loop.time()) > 0 and call.auth.lasts(request):
        try:
            async with asyncio.timeout(min(left, bounds.FEED_LOOK)):
                return await listener.take()
        except TimeoutError:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionError("a listener that has left") from None
    return None


def _encoded(event: Event, ids: Mapping[str, str], pseudonyms: Pseudonyms | None, host: str) -> bytes:
    """The octets of an event; a verdict is told as the history tells it."""
    if isinstance(event, Summary):
        item = HistoryItem.of(event, ids, pseudonyms, host)
        try:
            told = msgspec.json.encode(item)
        except UnicodeEncodeError:  # half a surrogate pair, as JSON may have it
            told = json.dumps(msgspec.to_builtins(item)).encode()
        return f"event: verdict\nid: {event.id}\ndata: ".encode() + told + b"\n\n"
    kind = "list" if isinstance(event, ListEvent) else "alert"
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({**event._asdict(), "at": rfc3339(event.at)}) + b"\n\n"


ROUTES = (Route("GET", "/v1/events", get_events, media=_MEDIA, problems=(503,)),)
