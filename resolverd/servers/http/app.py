"""The HTTP server: aiohttp's application, its routes those of `routes`, its middlewares the order of things for each request.

1. `_guard`: errors are problem documents, whatever happens; security headers; counts
2. `_admit`: who sends it, and whether he may have this (`auth`)
3. `_take_body`: bounds in size and time
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from aiohttp import web

from resolverd import bounds, logs
from resolverd.metrics import Counters
from resolverd.servers.http import parameters, routes
from resolverd.servers.http.auth import SECURITY_HEADERS, Auth
from resolverd.servers.http.connection import Connections
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.problems import Problem, fault_of_ours
from resolverd.servers.http.route import Call, Route

_log = logging.getLogger(__name__)

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

DAEMON: Final[web.AppKey[Callable[[], Daemon]]] = web.AppKey("DAEMON")
"""What gives the daemon as the configuration in force has it."""
ROUTES: Final[web.AppKey[Sequence[Route]]] = web.AppKey("ROUTES")


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
        self._counters = counters
        self.admit(hosts, token, open_to_loopback)
        self._servers: list[tuple[asyncio.AbstractServer, Connections]] = []
        middlewares = (self._guard, self._admit, self._take_body)
        app = web.Application(middlewares=middlewares, client_max_size=bounds.HTTP_BODY)
        app[DAEMON] = daemon
        app[ROUTES] = found = routes.find()
        self._routes = _add(app, found)
        self._runner = web.AppRunner(app)

    def admit(self, hosts: Iterable[str], token: str | None, open_to_loopback: Iterable[str]) -> None:
        """Answer to these names, take this token and leave this open from now on."""
        self._auth = Auth(hosts, token, open_to_loopback)

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket, TCP or UNIX. Each has connections of its own: who fills one doesn't fill the other."""
        loop = asyncio.get_running_loop()
        if self._runner.server is None:
            await self._runner.setup()
        assert self._runner.server is not None
        connections = Connections(self._runner.server)
        listen = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._servers.append((await listen(connections, sock=sock, backlog=128), connections))

    async def close(self, grace: float = 1.0) -> None:
        """Stop listening; requests in flight have `grace` seconds."""
        for server, connections in self._servers:
            server.close()
            connections.pre_shutdown()
        await asyncio.gather(*(connections.shutdown(grace) for _, connections in self._servers))
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Problem as problem:
            response = problem.response()
            if request.can_read_body:
                response.force_close()
        except web.HTTPRequestEntityTooLarge:
            response = Problem(413, f"a body has at most {bounds.HTTP_BODY} octets").response()
            response.force_close()
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            response = Problem(405, f"only {allowed} here", headers={"Allow": allowed}).response()
        except web.HTTPNotFound:
            response = Problem(404, "nothing is here; GET / says what is where").response()
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            logs.bug(_log, self._counters, "http", "no answer to %s %s", request.method, request.path, error=error)
            response = fault_of_ours().response()
        self._counters.add("http_requests", status=str(response.status))
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    @web.middleware
    async def _admit(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        self._auth.check_sender(request)
        route = self._routes.get(request.match_info.route)
        if route is not None:
            self._auth.check_right(request, route.opened_by, costs=route.costs)
        return await handler(request)

    @web.middleware
    async def _take_body(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        route = self._routes.get(request.match_info.route)
        if route is None:
            return await handler(request)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(415, "bodies are taken as they are, not compressed")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if route.lines is None:
            try:
                async with asyncio.timeout(bounds.HTTP_BODY_TIME):
                    await request.read()
            except TimeoutError:
                raise Problem(408, "the body took too long") from None
            except web.RequestPayloadError as error:
                raise Problem(400, f"a broken body: {error}") from None
        return await handler(request)


def _add(app: web.Application, found: Iterable[Route]) -> Mapping[web.AbstractRoute, Route]:
    """Have the application answer these."""
    added: dict[web.AbstractRoute, Route] = {}
    for route in found:
        # Any octet but a slash: aiohttp by itself takes no braces.
        path = route.path.replace("}", ":[^/]+}")
        for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
            made = app.router.add_route(method, path, _endpoint(route), expect_handler=_expects_nothing)
            added[made] = route
    return added


def _endpoint(route: Route) -> _Handler:
    """The handler as aiohttp has it: parameters are read before it, and its answer becomes JSON."""
    given = None if route.lines is not None else route.given

    async def endpoint(request: web.Request) -> web.StreamResponse:
        call = Call(request.app[DAEMON](), request, request.app[ROUTES])
        if given is None:
            answer = await route.handler(call)
        else:
            answer = await route.handler(call, await parameters.read(request, given, route.body))
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json", charset="utf-8")

    return endpoint


async def _expects_nothing(_: web.Request) -> None:
    """A client that waits with its body goes on waiting until it is known who it is (`_take_body`)."""
