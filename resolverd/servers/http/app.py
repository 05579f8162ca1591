"""The HTTP server: bounds, access, dispatch to `api`, and errors as problem documents, whatever happens."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.servers.http.api import ROUTES, Api, Route
from resolverd.servers.http.auth import SECURITY_HEADERS, Gate
from resolverd.servers.http.problems import MEDIA_TYPE, Problem
from resolverd.servers.ports import Backend

_log = logging.getLogger(__name__)

_HEAD_END = b"\r\n\r\n"
_TOO_LARGE = Problem(431, f"request line and headers have at most {bounds.HTTP_HEAD} octets")


class HttpServer:
    """Serves the HTTP interface, on an address and on a UNIX socket.

    `open_to_loopback`: what this machine's users may have without the token (`gate.OPENABLE`).
    """

    def __init__(
        self,
        backend: Backend,
        counters: Counters,
        *,
        token: str | None,
        hosts: Iterable[str] = (),
        open_to_loopback: Iterable[str] = ("verdict", "lookup", "lists"),
    ):
        self._api = Api(backend, counters)
        self._counters = counters
        self._token = token
        self.admit(hosts, open_to_loopback)
        self._servers: list[tuple[asyncio.AbstractServer, _Connections]] = []

    def admit(self, hosts: Iterable[str], open_to_loopback: Iterable[str]) -> None:
        """Answer to these names and leave this open from now on."""
        self._gate = Gate(hosts, self._token, open_to_loopback)

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket, TCP or UNIX. Each has connections of its own: who fills one doesn't fill the other."""
        loop = asyncio.get_running_loop()
        connections = _Connections(
            self._answer,
            request_factory=_request,
            access_log=None,
            keepalive_timeout=bounds.HTTP_IDLE,
            lingering_time=bounds.HTTP_LINGER,
            max_line_size=bounds.HTTP_LINE,
            max_field_size=bounds.HTTP_LINE,
            max_headers=bounds.HTTP_HEADERS,
            auto_decompress=False,
        )
        listen = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._servers.append((await listen(connections, sock=sock, backlog=128), connections))

    async def close(self, grace: float = 1.0) -> None:
        """Stop listening; requests under way have `grace` seconds."""
        for server, connections in self._servers:
            server.close()
            connections.pre_shutdown()
        await asyncio.gather(*(connections.shutdown(grace) for _, connections in self._servers))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._served(request)
        except Problem as problem:
            response = problem.response()
            if request.can_read_body:
                response.force_close()
        except web.HTTPRequestEntityTooLarge:
            response = Problem(413, f"a body has at most {bounds.HTTP_BODY} octets").response()
            response.force_close()
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            self._counters.add("http_failures")
            _log.exception("no answer to %s %s", request.method, request.path)
            response = Problem(500, "a fault of ours, which is in the log").response()
        finally:
            protocol = request.protocol
            if isinstance(protocol, _Connection):
                protocol.next_head()
        self._counters.add("http_requests", status=str(response.status))
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    async def _served(self, request: web.BaseRequest) -> web.StreamResponse:
        self._gate.check_sender(request)
        route, path = _route(request)
        self._gate.check_right(request, route.opened_by, costs=route.costs)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(415, "bodies are taken as they are, not compressed")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if not route.streams:
            try:
                async with asyncio.timeout(bounds.HTTP_BODY_TIME):
                    await request.read()
            except TimeoutError:
                raise Problem(408, "the body took too long") from None
            except web.RequestPayloadError as error:
                raise Problem(400, f"a broken body: {error}") from None
        result = await route.handler(self._api, request, path)
        return web.json_response(result) if isinstance(result, dict) else result


def _route(request: web.BaseRequest) -> tuple[Route, Mapping[str, str]]:
    """The route of a request and the parameters in its path. Raises Problem 404 or 405."""
    segments = [unquote(segment) for segment in request.rel_url.raw_path.split("/")]
    method = "GET" if request.method == "HEAD" else request.method
    allowed: list[str] = []
    for route in ROUTES:
        pattern = route.path.split("/")
        if len(pattern) != len(segments):
            continue
        path: dict[str, str] = {}
        for wanted, given in zip(pattern, segments, strict=True):
            if wanted.startswith("{") and given:
                path[wanted[1:-1]] = given
            elif wanted != given:
                break
        else:
            if route.method == method:
                return route, path
            allowed.append(route.method)
    if not allowed:
        raise Problem(404, "nothing is here; GET / says what is where")
    allowed += ["HEAD"] if "GET" in allowed else []
    raise Problem(405, f"only {', '.join(allowed)} here", headers={"Allow": ", ".join(allowed)})


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=bounds.HTTP_BODY)


class _Connections(web.Server):
    """The connections of this server, each a `_Connection`."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """A connection with our bounds and our error documents."""

    _head = 0
    _tail = b""
    _in_head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it where there are too many."""
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > bounds.HTTP_CONNECTIONS:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Take in what was sent, a little at a time, and no more requests than may wait."""
        for start in range(0, len(data), bounds.HTTP_READ):
            self._take_in(data[start : start + bounds.HTTP_READ])
            if len(self._messages) > bounds.HTTP_PIPELINE:
                self.force_close()
            if self.transport is None or self.transport.is_closing():
                return

    def _take_in(self, data: bytes) -> None:
        """Count a request's head before it is taken in."""
        if self._in_head:
            end = (self._tail + data).find(_HEAD_END)
            self._in_head = end < 0
            self._head += len(data) if end < 0 else end
            self._tail = (self._tail + data)[1 - len(_HEAD_END) :]
            if self._head > bounds.HTTP_HEAD and self.transport is not None:
                body = json.dumps(_TOO_LARGE.document())
                self.transport.write(
                    f"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: {MEDIA_TYPE}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                )
                self.force_close()
                return
        super().data_received(data)

    def next_head(self) -> None:
        """The request is answered; what comes next is a new head."""
        self._head, self._tail, self._in_head = 0, b"", True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP, as a problem document; no words of the request go into the log."""
        if request.writer.output_size > 0:
            raise ConnectionError("answered already")
        _log.debug("a request from %s that is no HTTP: %s", request.remote, type(exc).__name__)
        problem = Problem(431, "a line is too long") if isinstance(exc, LineTooLong) else Problem(status, "no HTTP request")
        response = problem.response()
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response
