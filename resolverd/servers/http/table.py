"""Which call a request is: by its method and its path."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aiohttp import web

from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Route

_NO_PARAMETERS: Final[Mapping[str, str]] = {}


class RouteTable:
    """The routes, by path and method; HEAD is had where GET is."""

    def __init__(self, routes: Iterable[Route]):
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in routes:
            if "{" in route.path:
                methods = self._patterns.setdefault(_pattern(route.path), {})
            else:
                methods = self._plain.setdefault(route.path, {})
            methods[route.method] = route
            if route.method == "GET":
                methods["HEAD"] = route

    def find(self, request: web.BaseRequest) -> tuple[Route, Mapping[str, str]]:
        """The route of a request, and the parameters in its path. Raises Problem 404, 405 or 417."""
        method, path = request.method, request.rel_url.path_safe
        methods = self._plain.get(path, {})
        if (route := methods.get(method)) is not None:
            return route, _NO_PARAMETERS
        allowed = set(methods)
        for pattern, methods in self._patterns.items():
            if (match := pattern.fullmatch(path)) is None:
                continue
            if (route := methods.get(method)) is not None:
                return route, {name: _decoded(value) for name, value in match.groupdict().items()}
            allowed.update(methods)
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise Problem(417, "only 100-continue may be expected")
        if allowed:
            names = ", ".join(sorted(allowed))
            raise Problem(405, f"only {names} here", headers={"Allow": names})
        raise Problem(404, "nothing is here; GET / says what is where")


def _pattern(path: str) -> re.Pattern[str]:
    """What matches a path whose parameters are any octets but a slash."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


def _decoded(value: str) -> str:
    """A parameter without the two escapes that a path keeps until it is taken apart."""
    return value.replace("%2F", "/").replace("%25", "%")
