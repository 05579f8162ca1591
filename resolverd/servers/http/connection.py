"""A connection with our bounds: how many there are, how long a head is, how far ahead requests come; and what is no HTTP."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from resolverd import bounds
from resolverd.servers.http.auth import SECURITY_HEADERS
from resolverd.servers.http.problems import MEDIA_TYPE, Problem

_log = logging.getLogger(__name__)

_HEAD_END = b"\r\n\r\n"
_TOO_LARGE = Problem(431, f"request line and headers have at most {bounds.HTTP_HEAD} octets")


class Connections(web.Server):
    """The connections of one socket, whose requests `answer` answers."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]):
        self._answered_by = answer
        super().__init__(
            self._answer,
            request_factory=partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=bounds.HTTP_BODY),
            access_log=None,
            keepalive_timeout=bounds.HTTP_IDLE,
            lingering_time=bounds.HTTP_LINGER,
            max_line_size=bounds.HTTP_LINE,
            max_field_size=bounds.HTTP_LINE,
            max_headers=bounds.HTTP_HEADERS,
            auto_decompress=False,
        )

    def __call__(self) -> RequestHandler:
        """A new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answered_by(request)
        finally:
            if isinstance(request.protocol, _Connection):
                request.protocol.next_head()


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
            seen = self._tail + data
            end = seen.find(_HEAD_END)
            self._in_head = end < 0
            self._head += len(data) if end < 0 else end
            self._tail = seen[1 - len(_HEAD_END) :]
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
