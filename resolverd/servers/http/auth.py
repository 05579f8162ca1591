"""Who may call the HTTP interface: checks of Host, Origin, Sec-Fetch-Site and token or session, before anything is looked at.

A browser on the admin's machine reaches loopback too, so a page from elsewhere must neither read (DNS rebinding: the Host
header then has that page's name) nor change anything (CSRF: an Origin that is not ours, a content type that needs no
preflight, or no token). The cookie of a session, which browsers send by themselves, counts for our own page only. A reverse proxy
reaches loopback as well, for whoever reaches it: what it passes on comes from elsewhere.
"""

import hmac
import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from aiohttp import web

from resolverd.servers.access import Opening, client_key, is_loopback
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.sessions import FailedLogins, Sessions
from resolverd.servers.unix_socket import peer_user

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "resolverd",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OPENABLE: tuple[str, ...] = get_args(Opening)
"""What ``[http] open`` may name."""
ANYBODY = "anybody"
"""Of a route: from everywhere, without the token."""
LOOPBACK = "loopback"
"""Of a route: from this machine, without the token."""

FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""What tells that a proxy passes a request on (RFC 7239; RFC 9110 §7.6.3; nginx's, Apache's, Caddy's, HAProxy's ways)."""

COOKIE: Final = "resolverd_session"

_log = logging.getLogger(__name__)
_ALWAYS = frozenset({"127.0.0.1", "::1", "localhost"})
_READING = frozenset({"GET", "HEAD"})
_OURS = ("same-origin", "none")


class Auth:
    """Lets requests in or raises Problem. `now` in monotonic seconds."""

    def __init__(self, now: Callable[[], float]):
        self._now = now
        self._sessions = Sessions()
        self._failed = FailedLogins()
        self._token: bytes | None = None

    def admit(self, hosts: Iterable[str], token: str | None, open_to_loopback: Iterable[str]) -> None:
        """Answer to these names, take this token and leave this open from now on; another token ends all sessions.

        `token` None: what needs one is only had over the UNIX socket, whose permissions stand in for it. `open_to_loopback`:
        those of OPENABLE that this machine's users may have without.
        """
        before = self._token
        self._hosts = _ALWAYS | {host.lower() for host in hosts}
        self._token = token.encode() if token else None
        self._open = frozenset(open_to_loopback) | {LOOPBACK}
        if self._token != before:
            self._sessions.clear()

    def check_sender(self, request: web.BaseRequest) -> None:
        """Host and Origin. Raises Problem 400, 421 or 403."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not hosts[0]:
            raise Problem(400, "one Host header is needed")
        host = _host(hosts[0])
        if host not in self._hosts and _shortest(host) not in (*self._hosts, _own_address(request)):
            raise Problem(421, "this host name is not ours; names to be called by stand in http.hosts of the configuration")
        for origin in request.headers.getall("Origin", []):
            if _authority(origin) != hosts[0].lower():
                raise Problem(403, "requests of other sites' pages are not answered")

    def check_right(self, request: web.BaseRequest, opened_by: str, *, costs: bool) -> None:
        """Whether this request may have a route that is `opened_by` ANYBODY, LOOPBACK, one of OPENABLE, or the token alone ("").

        What changes something or `costs` something is not had by a page of another site without the token (Sec-Fetch-Site,
        which every browser sends): a page full of images would spend a list's quota. Raises Problem 401 or 403.
        """
        refused = _is_foreign(request) and (costs or request.method not in _READING)
        if not refused and self._is_open(request, opened_by):
            return
        if self.who(request)[0] is not None:
            return
        if refused:
            raise Problem(403, "requests of other sites' pages are not answered")
        if self._token is None:
            raise Problem(403, "this needs the UNIX socket of the state directory, or a token, and none is set (http.token)")
        raise _unauthorized("this needs the token of the state directory (Authorization: Bearer TOKEN), or the UNIX socket there")

    def who(self, request: web.BaseRequest) -> tuple[Literal["socket", "token", "session"] | None, float | None]:
        """By what a request may have everything, and in how many seconds its session ends; (None, None) where it may not."""
        if _by_socket(request):
            return "socket", None
        if self._has_token(request):
            return "token", None
        expires = self._session(request)
        return (None, None) if expires is None else ("session", expires)

    def lasts(self, request: web.BaseRequest) -> bool:
        """Whether what a request had everything by counts still: of a stream, which is no use of the session it began with."""
        if _by_socket(request) or self._has_token(request):
            return True
        return self._sessions.lasts(request.cookies.get(COOKIE, ""), self._now())

    def rights(self, request: web.BaseRequest, *, everything: bool) -> list[str]:
        """Those of OPENABLE that a request may have; all, where it may have everything."""
        return [each for each in OPENABLE if everything or self._is_open(request, each)]

    def log_in(self, request: web.BaseRequest, token: str) -> str:
        """Begin a session for the token; the cookie, with its name. Raises Problem 401 and 429.

        Whoever tries wrong ones learns no more than by sending them with his calls; what keeps him out is how long they are.
        That he tries stands in the log, as often as he may.
        """
        if self._token is not None and hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token):
            return f"{COOKIE}={self._sessions.open(self._now())}"
        wait = self._failed.add(_client(request), self._now())
        if wait:
            raise Problem(429, "too many wrong tokens", headers={"Retry-After": str(int(wait) + 1)})
        _log.warning("a wrong token for a session, from %s", caller(request))
        raise _unauthorized("this is not the token; it stands in the state directory, or http.token says where")

    def log_out(self, request: web.BaseRequest) -> str:
        """End the session of a request, if it has one; the cookie that takes its place."""
        if self._session(request) is not None:
            self._sessions.close(request.cookies[COOKIE])
        return f"{COOKIE}="

    def _session(self, request: web.BaseRequest) -> float | None:
        """The seconds until the session of a request ends, where it has one and comes from our own page.

        Browsers tell where a request comes from (Sec-Fetch-Site), and with every one that changes something the Origin, which
        `check_sender` has found to be ours.
        """
        cookie = request.cookies.get(COOKIE)
        if cookie is None or _is_foreign(request) or (request.method not in _READING and "Origin" not in request.headers):
            return None
        return self._sessions.use(cookie, self._now())

    def _is_open(self, request: web.BaseRequest, opened_by: str) -> bool:
        """Whether it needs no token."""
        if opened_by == ANYBODY:
            return True
        local = request.remote is not None and is_loopback(request.remote) and not _is_forwarded(request)
        return local and opened_by in self._open

    def _has_token(self, request: web.BaseRequest) -> bool:
        """Whether it bears the token (RFC 6750)."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return (
            self._token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        )


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="resolverd"'})


def _is_foreign(request: web.BaseRequest) -> bool:
    """Whether a page of another site has sent it."""
    return any(site not in _OURS for site in request.headers.getall("Sec-Fetch-Site", ()))


def _is_forwarded(request: web.BaseRequest) -> bool:
    """Whether a proxy passes it on."""
    return any(name in request.headers for name in FORWARDED)


def _by_socket(request: web.BaseRequest) -> bool:
    """Whether its sender could open the UNIX socket; of a proxy that can, its clients cannot."""
    return over_unix_socket(request) and not _is_forwarded(request)


def _client(request: web.BaseRequest) -> object:
    """Whom it counts for: the address, or whom a proxy on this machine says that it passes it on for.

    So nobody keeps all others out that come through the proxy; and who is elsewhere is one, whatever names he gives himself.
    """
    near = not request.remote or is_loopback(request.remote)
    hops = request.headers.getall("X-Forwarded-For", []) if near else []
    return client_key(request.remote or ""), hops[-1].rpartition(",")[2].strip() if hops else "", near and _is_forwarded(request)


def over_unix_socket(request: web.BaseRequest) -> bool:
    """Whether it came over the UNIX socket, which only root, the daemon's user and its group can open."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return sock is not None and bool(sock.family == socket.AF_UNIX)


def caller(request: web.BaseRequest) -> str:
    """Who calls, for the audit log: the address, or the user at the other end of the UNIX socket."""
    proxy = ", a proxy" if _is_forwarded(request) else ""
    if not over_unix_socket(request) or request.transport is None:
        return f"{request.remote} over HTTP{proxy}"
    return f"uid {peer_user(request.transport.get_extra_info('socket'))}{proxy}"


def _own_address(request: web.BaseRequest) -> str:
    """The address that the client has connected to; empty for the UNIX socket, which no Host header means."""
    local = request.transport.get_extra_info("sockname") if request.transport else None
    return str(local[0]).partition("%")[0] if isinstance(local, tuple) else ""


def _authority(origin: str) -> str:
    """Host and port of an Origin header; empty for what is no URL: that is nobody's page, least of all ours."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host(header: str) -> str:
    """The host of a Host header, without port and brackets."""
    host = header.lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return host


def _shortest(host: str) -> str:
    """An address in its shortest form; a name without the dot at its end."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.removesuffix(".")
