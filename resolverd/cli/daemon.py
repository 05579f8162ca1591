"""Talking to the running daemon over HTTP."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from resolverd.cli.options import Failed
from resolverd.config import Settings, state_token

_PATIENCE = 15.0
"""Seconds: a verdict has its answer within 8."""


class Unreachable(Exception):
    """No daemon answers at the configured address."""


class Refused(Failed):
    """The daemon answered with a problem document."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status


class Daemon:
    """The daemon at the configured address."""

    def __init__(self, settings: Settings):
        self._settings = settings
        listen = settings.http.listen
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
        self._port = listen.port
        self.address = str(listen)

    def get(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """What stands there. Raises Unreachable, or Refused with the daemon's words."""
        return self._call("GET", path, query, with_token=False)

    def get_kept(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """What stands there and needs the token. Raises Unreachable, or Refused with the daemon's words."""
        return self._call("GET", path, query, with_token=True)

    def delete(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """Take away what stands there, with the token. Raises Unreachable, or Refused with the daemon's words."""
        return self._call("DELETE", path, query, with_token=True)

    def put(self, *path: str, query: dict[str, str] | None = None) -> Any:
        """Put something there, with the token. Raises Unreachable, or Refused with the daemon's words."""
        return self._call("PUT", path, query, with_token=True)

    def post(self, *path: str, body: object) -> Any:
        """Send a JSON document there, with the token. Raises Unreachable, or Refused with the daemon's words."""
        return self._call("POST", path, None, with_token=True, body=json.dumps(body).encode())

    def _call(
        self, method: str, path: tuple[str, ...], query: dict[str, str] | None, *, with_token: bool, body: bytes | None = None
    ) -> Any:
        target = "/" + "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")
        token = self._token(needed=with_token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = HTTPConnection(self._host, self._port, timeout=_PATIENCE)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except TimeoutError:
            raise Failed(f"the daemon at {self.address} does not answer") from None
        except (OSError, HTTPException) as error:
            raise Unreachable(str(error)) from None
        finally:
            connection.close()
        if response.getheader("Server") != "resolverd":
            raise Failed(f"what answers at {self.address} is not resolverd; http.listen in the configuration names the address")
        try:
            document = json.loads(answer)
        except ValueError:
            raise Failed(f"the daemon at {self.address} gave an answer that is not JSON") from None
        if response.status >= 400:
            raise Refused(response.status, _words(document))
        return document

    def _token(self, *, needed: bool) -> str | None:
        """The token; where it is not needed, as far as it can be read."""
        if (given := self._settings.http.token) is not None:
            if not given.fault:
                return given.reveal()
            if needed:
                raise Failed(f"http.token: {given.fault}")
            return None
        directory = self._settings.state_directory()
        if directory is None:
            return None
        try:
            return state_token(directory)
        except (OSError, UnicodeDecodeError) as error:
            if needed:
                raise Failed(f"cannot read the token in {directory}: {error}; run as root or as the daemon's user") from None
            return None


def _words(document: Any) -> str:
    if isinstance(document, dict) and document.get("detail"):
        return str(document["detail"])
    return "the daemon refused"


def no_daemon(daemon: Daemon) -> Failed:
    """The failure of a command that needs one."""
    return Failed(f"no daemon answers at {daemon.address}; start it with: resolverd serve")
