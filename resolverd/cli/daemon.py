"""Talking to the running daemon: over the UNIX socket in its state directory, which proves both sides to each other.

Who may open that socket may do what the token allows, so the token itself goes nowhere. Where the socket cannot be used, and
where there is no state directory, the HTTP port is asked for what it gives to everybody on this machine: whoever listens there.
"""

import json
import os
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from resolverd.cli.options import CONFIGURATION_ERROR, USAGE_ERROR, CommandError, config_path
from resolverd.config import Settings, audience, find
from resolverd.failures import ConfigFault
from resolverd.servers import unix_socket

_TIMEOUT = 15.0
"""Seconds: a verdict has its answer within 8."""


class Unreachable(CommandError):
    """No daemon answers: what a command that can do without one goes on from."""


class Refused(CommandError):
    """The daemon answered with a problem document; `of` makes the one with the status for it."""

    def __init__(self, status: int, detail: str, faults: Sequence[ConfigFault] = ()):
        super().__init__("; ".join([detail, *map(str, faults)]))
        self.status = status
        self.faults = faults

    @classmethod
    def of(cls, status: int, detail: str, faults: Sequence[ConfigFault] = ()) -> "Refused":
        """A bad request is a usage error, and faults of the daemon's configuration are a configuration error."""
        return {400: _BadRequest, 422: _Faulty}.get(status, cls)(status, detail, faults)


class _BadRequest(Refused):
    exit_code = USAGE_ERROR


class _Faulty(Refused):
    exit_code = CONFIGURATION_ERROR


class DaemonClient:
    """The daemon of this configuration; `patience`: seconds for each of its answers."""

    def __init__(self, settings: Settings, patience: float = _TIMEOUT):
        self._patience = patience
        self._socket = settings.command_socket()
        self._shut_out = "nothing is kept on disk ([store] url), so there is no socket for commands"
        self._state = settings.state_directory()
        listen = settings.http.listen
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
        self._port = listen.port
        self.address = str(self._socket or listen)

    def get(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """What stands there. Raises Unreachable, or Refused with what the daemon said."""
        return self._call("GET", path, query)

    def delete(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """Take away what stands there. Raises Unreachable, or Refused with what the daemon said."""
        return self._call("DELETE", path, query)

    def put(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """Put something there. Raises Unreachable, or Refused with what the daemon said."""
        return self._call("PUT", path, query)

    def post(self, *path: str, body: object) -> Any:
        """Send a JSON document there. Raises Unreachable, or Refused with what the daemon said."""
        return self._call("POST", path, None, body=json.dumps(body).encode())

    def lines(self, *path: str) -> Iterator[bytes]:
        """The lines of what stands there, one by one as they come. Raises Unreachable, or Refused with what the daemon said."""
        connection = self._connection()
        try:
            response = self._sent(connection, "GET", _target(path, None), None)
            if response.status >= 400:
                self._document(response, response.read())
            yield from response
        except PermissionError:
            raise CommandError(f"{self._socket} is not open to you ({audience(self._socket)})" if self._socket else "") from None
        except (OSError, HTTPException) as error:
            raise CommandError(f"the daemon has stopped in the middle of its answer: {error}") from None
        finally:
            connection.close()

    def _call(self, method: str, path: tuple[str, ...], query: dict[str, str] | None, *, body: bytes | None = None) -> Any:
        target = _target(path, query)
        try:
            return self._answer(self._connection(), method, target, body)
        except PermissionError:
            assert self._socket is not None
            closed = f"{self._socket} is not open to you ({audience(self._socket)})"
            self._shut_out = f"{closed}; run this with sudo, or as one of them ({self._by_what()})"
            self._socket = None
            return self._answer(self._connection(), method, target, body)

    def _connection(self) -> HTTPConnection:
        if self._socket is None:
            return HTTPConnection(self._host, self._port, timeout=self._patience)
        return _SocketConnection(self._socket, self._patience)

    def _by_what(self) -> str:
        """The configuration that says where the daemon is, for who has more than one, and the state directory that it names."""
        ctx = click.get_current_context(silent=True)
        found = find(config_path(ctx)) if ctx is not None else None
        return f"configuration: {found.absolute() if found else 'built-in defaults'}; state: {self._state or 'in memory'}"

    def _answer(self, connection: HTTPConnection, method: str, target: str, body: bytes | None) -> Any:
        try:
            response = self._sent(connection, method, target, body)
            return self._document(response, response.read())
        finally:
            connection.close()

    def _sent(self, connection: HTTPConnection, method: str, target: str, body: bytes | None) -> HTTPResponse:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
        except TimeoutError:
            raise CommandError(f"the daemon at {self._where} does not answer") from None
        except PermissionError:
            raise
        except (OSError, HTTPException):
            text = f"no daemon answers at {self.address}; start it with: resolverd serve ({self._by_what()})"
            raise Unreachable(text) from None
        if response.getheader("Server") != "resolverd":
            text = f"what answers at {self._where} is not resolverd; http.listen in the configuration names the address"
            raise CommandError(text)
        return response

    @property
    def _where(self) -> str:
        return str(self._socket or f"{self._host} port {self._port}")

    def _document(self, response: HTTPResponse, answer: bytes) -> Any:
        try:
            document = json.loads(answer)
        except ValueError:
            raise CommandError(f"the daemon at {self._where} gave an answer that is not JSON") from None
        if response.status in (401, 403) and self._socket is None:
            raise CommandError(f"this is not open to everybody on this machine (http.open): {self._shut_out}")
        if response.status >= 400:
            raise _refused(response.status, document)
        return document


def _target(path: Sequence[str], query: dict[str, str] | None) -> str:
    return "/" + "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")


class _SocketConnection(HTTPConnection):
    """HTTP over a UNIX socket, to who may have made it."""

    def __init__(self, path: Path, patience: float):
        super().__init__("localhost", timeout=patience)
        self._path = path
        self._patience = patience

    def connect(self) -> None:
        """Connect, and see that no stranger has put a socket of his there."""
        self.sock = unix_socket.connect(self._path, self._patience)
        user = unix_socket.peer_user(self.sock)
        if user not in (0, os.geteuid(), self._path.parent.stat().st_uid):
            raise CommandError(f"who listens on {self._path} is user {user}, and not the daemon")


def _refused(status: int, document: Any) -> Refused:
    problem = document if isinstance(document, dict) else {}
    faults = [ConfigFault(str(each.get("path", "")), str(each.get("detail", ""))) for each in problem.get("faults", ())]
    return Refused.of(status, str(problem.get("detail") or "the daemon refused"), faults)
