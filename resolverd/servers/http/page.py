"""The page at ``/``: what is here and where it is described."""

from collections.abc import Iterable
from html import escape
from typing import Protocol

from resolverd import __version__


class Described(Protocol):
    """The part of a route that the page shows."""

    @property
    def method(self) -> str:
        """GET, POST, …"""
        ...

    @property
    def path(self) -> str:
        """The path, with its parameters in braces."""
        ...

    @property
    def handler(self) -> object:
        """What answers; its docstring describes the route."""
        ...


def summary(route: Described) -> str:
    """The first line of a handler's docstring."""
    return (route.handler.__doc__ or "").strip().partition("\n")[0]


def render(routes: Iterable[Described]) -> str:
    """The page, without any script or style."""
    rows = "\n".join(
        f"<tr><td>{route.method}</td><td><code>{escape(route.path)}</code></td><td>{escape(summary(route))}</td></tr>"
        for route in routes
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>resolverd</title></head>
<body>
<h1>resolverd {__version__}</h1>
<p>The DNS side of spam blocking for this mail server. There is no dashboard here yet; this is the interface for programs,
described in <a href="/openapi.json">openapi.json</a>. See also <a href="/v1/lists">the lists</a>,
<a href="/metrics">the metrics</a> and <a href="/readyz">whether it is ready</a>.</p>
<table>
<tr><th>Method</th><th>Path</th><th>What it does</th></tr>
{rows}
</table>
</body>
</html>
"""
