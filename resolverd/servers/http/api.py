"""What each path of the HTTP interface does: one method a route, and the table of routes.

Handlers return JSON-able values or responses and raise Problem; `http` does the rest.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from resolverd import __version__, bounds
from resolverd.metrics import Counters
from resolverd.servers.http import openapi, page, shapes
from resolverd.servers.http.auth import ANYBODY, LOOPBACK, SECURITY_HEADERS
from resolverd.servers.http.metrics import MEDIA_TYPE as METRICS_TYPE
from resolverd.servers.http.metrics import Metrics
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.routes import greylist, overrides
from resolverd.servers.ports import Backend
from resolverd.wire import codes, names
from resolverd.wire.names import Name

_log = logging.getLogger(__name__)

_JSON = frozenset({"application/json"})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"})

Result = web.StreamResponse | dict[str, Any]


class Api:
    """The daemon's answers to HTTP requests."""

    def __init__(self, backend: Backend, counters: Counters):
        self._backend = backend
        self._metrics = Metrics(counters, backend.gauges)

    @property
    def backend(self) -> Backend:
        """The daemon behind it."""
        return self._backend

    async def get_verdict(self, request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """The verdict on an attempt; nothing is recorded."""
        query = request.rel_url.query
        if twice := sorted({name for name in query if len(query.getall(name)) > 1}):
            raise Problem(400, f"given twice: {', '.join(twice)}")
        attempt, _ = shapes.attempt_from(dict(query))
        return shapes.verdict_json(await self._backend.screen(attempt, record=False))

    async def post_verdict(self, request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """The verdict on an attempt, recorded as the policy service does."""
        _expect_type(request, _JSON)
        return await self._judge(await request.read())

    async def _judge(self, body: bytes) -> dict[str, Any]:
        try:
            attributes = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"not JSON: {error}") from None
        if not isinstance(attributes, dict):
            raise Problem(400, "expected a JSON object of Postfix's attributes")
        attempt, dry_run = shapes.attempt_from(attributes)
        return shapes.verdict_json(await self._backend.screen(attempt, record=not dry_run))

    async def post_verdicts(self, request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """A line in, a line out, in order; a faulty line has its problem document in its place."""
        _expect_type(request, _NDJSON)
        response = web.StreamResponse(headers={**SECURITY_HEADERS, "Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(bounds.HTTP_STREAM_WINDOW)
        reading = asyncio.create_task(self._read_stream(request, answers))
        try:
            while (answer := await answers.get()) is not None:
                await response.write(await answer)
            await reading
        except Problem as problem:  # the stream itself is broken; what was asked before has its answer
            await response.write(_line(problem.document()))
            response.force_close()
        finally:
            reading.cancel()
            while not answers.empty():
                if (unwanted := answers.get_nowait()) is not None:
                    unwanted.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await response.write_eof()
        return response

    async def _read_stream(self, request: web.BaseRequest, answers: asyncio.Queue[asyncio.Task[bytes] | None]) -> None:
        try:
            while line := await _next_line(request):
                if not line.isspace():
                    await answers.put(asyncio.create_task(self._judge_line(line)))
        finally:
            await answers.put(None)

    async def _judge_line(self, line: bytes) -> bytes:
        try:
            return _line(await self._judge(line))
        except Problem as problem:
            return _line(problem.document())
        except Exception:
            _log.exception("no verdict on a line of a stream")
            return _line(Problem(500, "a fault of ours, which is in the log").document())

    async def get_earlier_verdict(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """A verdict given before, by its id."""
        verdict = await self._backend.verdict(path["id"])
        if verdict is None:
            raise Problem(404, "no verdict with this id, or not any more")
        return shapes.verdict_json(verdict)

    async def get_lookup(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """What every list says of an address or a domain."""
        subject = shapes.subject_from(path["subject"])
        return shapes.lookup_json(subject, await self._backend.lookup(subject))

    async def get_lists(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """Every list and how it fares."""
        return {"lists": [shapes.list_json(state) for state in self._backend.lists()]}

    async def get_list(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """One list and how it fares."""
        for state in self._backend.lists():
            if state.id == path["name"]:
                return shapes.list_json(state)
        raise _no_list(path)

    async def enable_list(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """Use a list until the next start."""
        return self._set_list(path, enabled=True)

    async def disable_list(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """Stop using a list until the next start."""
        return self._set_list(path, enabled=False)

    def _set_list(self, path: Mapping[str, str], *, enabled: bool) -> Result:
        state = self._backend.set_list(path["name"], enabled)
        if state is None:
            raise _no_list(path)
        return shapes.list_json(state)

    async def probe_list(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """Ask a list's test points now."""
        state = await self._backend.probe_list(path["name"])
        if state is None:
            raise _no_list(path)
        return shapes.list_json(state)

    async def get_cache_stats(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """Figures of the caches."""
        return dict(self._backend.cache_stats())

    async def get_cache(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """What the cache holds of a name."""
        name, rtype = _name(path["name"]), _type(path.get("type"))
        return {"entries": [shapes.cache_json(entry) for entry in self._backend.cache_show(name, rtype)]}

    async def flush_cache(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """Forget a name, or everything."""
        name = _name(path["name"]) if "name" in path else None
        return {"flushed": self._backend.cache_flush(name, _type(path.get("type")))}

    async def get_trace(self, _request: web.BaseRequest, path: Mapping[str, str]) -> Result:
        """How a name is resolved, from the root downwards, past the caches."""
        return shapes.trace_json(await self._backend.trace(_name(path["name"]), _type(path["type"]) or codes.A))

    async def reload(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """Read the configuration again; a faulty one changes nothing."""
        if faults := await self._backend.reload():
            members = [{"path": fault.path, "detail": fault.text} for fault in faults]
            raise Problem(422, "the configuration is faulty, so the one in force stays", faults=members)
        return {"reloaded": True}

    async def get_metrics(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """Counters and gauges for Prometheus."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": METRICS_TYPE})

    async def get_health(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """The daemon is alive, and how its tasks fare."""
        tasks = {name: task._asdict() for name, task in self._backend.tasks().items()}
        return {"service": "resolverd", "version": __version__, "alive": True, "tasks": tasks}

    async def get_readiness(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """Names can be resolved."""
        readiness = self._backend.ready()
        if not readiness.ready:
            raise Problem(503, readiness.reason or "not ready", headers={"Retry-After": "5"})
        return {"ready": True}

    async def get_openapi(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """This interface, described."""
        return openapi.document(ROUTES)

    async def get_page(self, _request: web.BaseRequest, _path: Mapping[str, str]) -> Result:
        """A page that says what is here."""
        return web.Response(text=page.render(ROUTES), content_type="text/html", charset="utf-8")


Handler = Callable[[Api, web.BaseRequest, Mapping[str, str]], Awaitable[Result]]


class Route(NamedTuple):
    """A method and a path, what answers them, and how they are described.

    `opened_by`: what lets it be had without the token (`gate`), by default nothing. `costs`: even reading it asks others
    something, and spends what is theirs.
    """

    method: str
    path: str
    handler: Handler
    schema: str = ""
    opened_by: str = ""
    costs: bool = False
    streams: bool = False


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/verdict", Api.get_verdict, "Verdict", "verdict", costs=True),
    Route("POST", "/v1/verdict", Api.post_verdict, "Verdict", "verdict"),
    Route("POST", "/v1/verdicts", Api.post_verdicts, "Verdict", "verdict", streams=True),
    Route("GET", "/v1/verdict/{id}", Api.get_earlier_verdict, "Verdict"),
    Route("GET", "/v1/lookup/{subject}", Api.get_lookup, "Lookup", "lookup", costs=True),
    Route("GET", "/v1/lists", Api.get_lists, "Lists", "lists"),
    Route("GET", "/v1/lists/{name}", Api.get_list, "List", "lists"),
    Route("POST", "/v1/lists/{name}/enable", Api.enable_list, "List"),
    Route("POST", "/v1/lists/{name}/disable", Api.disable_list, "List"),
    Route("POST", "/v1/lists/{name}/probe", Api.probe_list, "List"),
    Route("GET", "/v1/cache", Api.get_cache_stats, "Figures", "cache"),
    Route("DELETE", "/v1/cache", Api.flush_cache, "Flushed"),
    Route("GET", "/v1/cache/{name}", Api.get_cache, "CacheEntries", "cache"),
    Route("DELETE", "/v1/cache/{name}", Api.flush_cache, "Flushed"),
    Route("GET", "/v1/cache/{name}/{type}", Api.get_cache, "CacheEntries", "cache"),
    Route("DELETE", "/v1/cache/{name}/{type}", Api.flush_cache, "Flushed"),
    Route("GET", "/v1/trace/{name}/{type}", Api.get_trace, "Trace", "trace", costs=True),
    Route("GET", "/v1/greylist", greylist.get_greylist, "GreylistRecords"),
    Route("DELETE", "/v1/greylist", greylist.forget_in_greylist, "Forgotten"),
    Route("GET", "/v1/greylist/{client_address}", greylist.get_greylist, "GreylistRecords"),
    Route("PUT", "/v1/greylist/{client_address}", greylist.allow_in_greylist, "GreylistRecord"),
    Route("DELETE", "/v1/greylist/{client_address}", greylist.forget_in_greylist, "Forgotten"),
    Route("GET", "/v1/overrides", overrides.get_overrides, "Overrides"),
    Route("PUT", "/v1/overrides", overrides.put_override, "Override"),
    Route("GET", "/v1/overrides/{subject}", overrides.get_overrides, "Overrides"),
    Route("PUT", "/v1/overrides/{subject}", overrides.put_override, "Override"),
    Route("DELETE", "/v1/overrides/{subject}", overrides.forget_overrides, "Forgotten"),
    Route("GET", "/v1/store", greylist.get_store, "Store"),
    Route("POST", "/v1/store", greylist.load_store, "StoreLoaded"),
    Route("POST", "/v1/reload", Api.reload, "Reloaded"),
    Route("GET", "/metrics", Api.get_metrics, opened_by=LOOPBACK),
    Route("GET", "/healthz", Api.get_health, "Health", ANYBODY),
    Route("GET", "/readyz", Api.get_readiness, "Readiness", LOOPBACK),
    Route("GET", "/openapi.json", Api.get_openapi, opened_by=LOOPBACK),
    Route("GET", "/", Api.get_page, opened_by=LOOPBACK),
)


def _expect_type(request: web.BaseRequest, accepted: frozenset[str]) -> None:
    """These media types need a preflight from a browser's page, which is never answered."""
    if request.content_type not in accepted:
        raise Problem(415, f"expected Content-Type: {' or '.join(sorted(accepted))}")


async def _next_line(request: web.BaseRequest) -> bytes:
    """The next line of the body, b"" at its end. Raises Problem."""
    line = bytearray()
    try:
        async with asyncio.timeout(bounds.HTTP_BODY_TIME):
            while not line.endswith(b"\n"):
                part = await request.content.readline()
                line += part
                if not part:
                    break
    except TimeoutError:
        raise Problem(408, "the next line took too long") from None
    except ValueError:
        raise Problem(413, f"a line of more than {bounds.HTTP_BODY} octets") from None
    if len(line) > bounds.HTTP_BODY:
        raise Problem(413, f"a line of more than {bounds.HTTP_BODY} octets")
    return bytes(line)


def _line(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _no_list(path: Mapping[str, str]) -> Problem:
    return Problem(404, f"no list {path['name'][:100]!r}; GET /v1/lists names them")


def _name(text: str) -> Name:
    try:
        return names.lower(names.from_text("." if text == "@" else text))
    except names.BadName as error:
        raise Problem(400, f"{text[:100]!r} is no domain name: {error}") from None


def _type(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return codes.type_from_text(text)
    except ValueError:
        raise Problem(400, f"{text[:100]!r} is no RR type") from None
