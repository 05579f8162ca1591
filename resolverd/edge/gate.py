"""Who may call the HTTP interface: checks of Host, Origin and token, before anything is looked at.

A browser on the admin's machine reaches loopback too, so a page from elsewhere must neither read (DNS rebinding: the Host
header then has that page's name) nor change anything (CSRF: an Origin that is not ours, a content type that needs no
preflight, or no token).
"""

import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from resolverd.edge.access import is_loopback
from resolverd.edge.problems import Problem

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "resolverd",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ALWAYS = frozenset({"127.0.0.1", "::1", "localhost"})
_READING = frozenset({"GET", "HEAD"})


class Gate:
    """Lets requests in or raises Problem. `token` None: nothing that needs one is allowed."""

    def __init__(self, hosts: Iterable[str], token: str | None):
        self._hosts = _ALWAYS | {host.lower() for host in hosts}
        self._token = token.encode() if token else None

    def check_sender(self, request: web.BaseRequest) -> None:
        """Host and Origin. Raises Problem 400, 421 or 403."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not hosts[0]:
            raise Problem(400, "one Host header is needed")
        local = request.transport.get_extra_info("sockname") if request.transport else None
        own_address = str(local[0]).partition("%")[0] if isinstance(local, tuple) else ""
        host = _host(hosts[0])
        if host not in self._hosts and host != own_address:
            raise Problem(421, "this host name is not ours; names to be called by stand in http.hosts of the configuration")
        for origin in request.headers.getall("Origin", []):
            if urlsplit(origin).netloc.lower() != hosts[0].lower():
                raise Problem(403, "requests of other sites' pages are not answered")
        if request.method not in _READING and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Problem(403, "requests of other sites' pages are not answered")

    def check_token(self, request: web.BaseRequest, *, changes: bool) -> None:
        """The bearer token (RFC 6750), for what changes state or comes from another machine. Raises Problem 401 or 403."""
        if not changes and request.remote is not None and is_loopback(request.remote):
            return
        if self._token is None:
            raise Problem(403, "this needs a token, and none is set: name one in http.token of the configuration")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token):
            raise Problem(
                401,
                "this needs the token of the state directory: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="resolverd"'},
            )


def _host(header: str) -> str:
    """The host of a Host header, without port and brackets; addresses in their shortest form."""
    host = header.lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        return host.removesuffix(".")
