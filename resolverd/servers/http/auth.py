"""Who may call the HTTP interface: checks of Host, Origin, Sec-Fetch-Site and token, before anything is looked at.

A browser on the admin's machine reaches loopback too, so a page from elsewhere must neither read (DNS rebinding: the Host
header then has that page's name) nor change anything (CSRF: an Origin that is not ours, a content type that needs no
preflight, or no token).
"""

import hmac
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import get_args
from urllib.parse import urlsplit

from aiohttp import web

from resolverd.servers.access import Opening, is_loopback
from resolverd.servers.http.problems import Problem
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

_ALWAYS = frozenset({"127.0.0.1", "::1", "localhost"})
_READING = frozenset({"GET", "HEAD"})
_OURS = ("same-origin", "none")


class Auth:
    """Lets requests in or raises Problem.

    `token` None: what needs one is only had over the UNIX socket, whose permissions stand in for it. `open_to_loopback`: those
    of OPENABLE that this machine's users may have without.
    """

    def __init__(self, hosts: Iterable[str], token: str | None, open_to_loopback: Iterable[str]):
        self._hosts = _ALWAYS | {host.lower() for host in hosts}
        self._token = token.encode() if token else None
        self._open = frozenset(open_to_loopback) | {LOOPBACK}

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
        foreign = any(site not in _OURS for site in request.headers.getall("Sec-Fetch-Site", ()))
        refused = foreign and (costs or request.method not in _READING)
        if not refused and self._is_open(request, opened_by):
            return
        if over_unix_socket(request) or self._has_token(request):
            return
        if refused:
            raise Problem(403, "requests of other sites' pages are not answered")
        if self._token is None:
            raise Problem(403, "this needs the UNIX socket of the state directory, or a token, and none is set (http.token)")
        raise Problem(
            401,
            "this needs the token of the state directory (Authorization: Bearer TOKEN), or the UNIX socket there",
            headers={"WWW-Authenticate": 'Bearer realm="resolverd"'},
        )

    def _is_open(self, request: web.BaseRequest, opened_by: str) -> bool:
        """Whether it needs no token."""
        if opened_by == ANYBODY:
            return True
        return opened_by in self._open and request.remote is not None and is_loopback(request.remote)

    def _has_token(self, request: web.BaseRequest) -> bool:
        """Whether it bears the token (RFC 6750)."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return (
            self._token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        )


def over_unix_socket(request: web.BaseRequest) -> bool:
    """Whether it came over the UNIX socket, which only root, the daemon's user and its group can open."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return sock is not None and bool(sock.family == socket.AF_UNIX)


def caller(request: web.BaseRequest) -> str:
    """Who calls, for the audit log: the address, or the user at the other end of the UNIX socket."""
    if not over_unix_socket(request) or request.transport is None:
        return f"{request.remote} over HTTP"
    return f"uid {peer_user(request.transport.get_extra_info('socket'))}"


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
