"""The page at ``/``, which says what is here, and the description of the interface."""

from html import escape

from aiohttp import web

from resolverd import __version__
from resolverd.servers.http import openapi
from resolverd.servers.http.auth import LOOPBACK
from resolverd.servers.http.route import Call, Route


async def get_openapi(call: Call) -> web.Response:
    """This interface, described."""
    return web.json_response(openapi.document(call.routes))


async def get_page(call: Call) -> web.Response:
    """A page that says what is here."""
    rows = "\n".join(
        f"<tr><td>{route.method}</td><td><code>{escape(route.path)}</code></td><td>{escape(route.summary)}</td></tr>"
        for route in call.routes
    )
    text = f"""<!doctype html>
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
    return web.Response(text=text, content_type="text/html", charset="utf-8")


ROUTES = (
    Route("GET", "/openapi.json", get_openapi, LOOPBACK),
    Route("GET", "/", get_page, LOOPBACK),
)
