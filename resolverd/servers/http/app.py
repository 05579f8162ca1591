"""The HTTP server: the order of things for each request.

1. Errors are problem documents, whatever happens; security headers; counts
2. Who sends it, and whether he may have this (`auth`)
3. The body, within bounds of size and time
4. The parameters are read (`parameters`), and what the call gives becomes JSON
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from functools import cache

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from resolverd import bounds, logs
from resolverd.metrics import Counters
from resolverd.servers.accepting import Acceptor
from resolverd.servers.http import parameters, routes
from resolverd.servers.http.auth import SECURITY_HEADERS, Auth
from resolverd.servers.http.connection import Connections
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.problems import Problem, fault_of_ours
from resolverd.servers.http.route import Call, Route
from resolverd.servers.http.table import RouteTable
from resolverd.servers.turns import Turns

_log = logging.getLogger(__name__)


class HttpServer:
    """Serves the HTTP interface, on an address and on a UNIX socket.

    `daemon` gives what the calls work on, as it is at the moment. `open_to_loopback`: what this machine's users may have without
    the token (`auth.OPENABLE`).
    """

    def __init__(
        self,
        daemon: Callable[[], Daemon],
        counters: Counters,
        *,
        token: str | None,
        hosts: Iterable[str] = (),
        open_to_loopback: Iterable[str] = ("verdict", "lookup", "lists"),
    ):
        self._daemon = daemon
        self._counters = counters
        self._auth = Auth(lambda: daemon().clock.monotonic())
        self._request_count = cache(lambda status: counters.count("http_requests", status=str(status)))
        self.admit(hosts, token, open_to_loopback)
        self._servers: list[tuple[Acceptor[RequestHandler], Connections]] = []
        self._routes = routes.find()
        self._table = RouteTable(self._routes)
        self._turns = Turns()

    def admit(self, hosts: Iterable[str], token: str | None, open_to_loopback: Iterable[str]) -> None:
        """Answer to these names, take this token and leave this open from now on; another token ends all sessions."""
        self._auth.admit(hosts, token, open_to_loopback)

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket, TCP or UNIX. Each has connections of its own: who fills one doesn't fill the other."""
        connections = Connections(self._answer)
        self._servers.append((Acceptor(sock, lambda host: connections(), backlog=128), connections))

    async def close(self, grace: float = 1.0) -> None:
        """Stop listening; requests in flight have `grace` seconds."""
        for acceptor, connections in self._servers:
            acceptor.close()
            connections.pre_shutdown()
        await asyncio.gather(*(connections.shutdown(grace) for _, connections in self._servers))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._answer_of_call(request)
        except Problem as problem:
            response = problem.response()
            if request.can_read_body:
                response.force_close()
        except web.HTTPRequestEntityTooLarge:
            response = Problem(413, f"a body has at most {bounds.HTTP_BODY} octets").response()
            response.force_close()
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            logs.bug(_log, self._counters, "http", "no answer to %s %s", request.method, request.path, error=error)
            response = fault_of_ours().response()
        self._request_count(response.status)[0] += 1
        if not response.prepared:
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    async def _answer_of_call(self, request: web.BaseRequest) -> web.StreamResponse:
        """Raises Problem."""
        self._auth.check_sender(request)
        route, path = self._table.find(request)
        self._auth.check_right(request, route.opened_by, costs=route.costs)
        body = await _body(request, route)
        # One request a turn of the loop: DNS and mail are served between two of a page's.
        await self._turns.mine()
        call = Call(self._daemon(), request, self._routes, path, self._auth, {})
        given = route.given
        if given is None or route.lines is not None:
            answer = await route.handler(call)
        else:
            answer = await route.handler(call, parameters.read(request, path, body, given, route.body))
        if isinstance(answer, web.StreamResponse):
            return answer
        octets = msgspec.json.encode(answer)
        return web.Response(body=octets, content_type="application/json", charset="utf-8", headers=call.headers)


async def _body(request: web.BaseRequest, route: Route) -> bytes:
    """What was sent with a request; nothing where the call itself reads it, line by line. Raises Problem.

    A client that waits with its body goes on waiting until it is known who it is: only then is it told to go on.
    """
    headers = request.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "bodies are taken as they are, not compressed")
    if headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    if route.lines is not None:
        return b""
    try:
        if request.content.is_eof():  # it is all here
            return await request.read()
        async with asyncio.timeout(bounds.HTTP_BODY_TIME):
            return await request.read()
    except TimeoutError:
        raise Problem(408, "the body took too long") from None
    except web.RequestPayloadError as error:
        raise Problem(400, f"a broken body: {error}") from None
