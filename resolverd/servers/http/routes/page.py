"""The dashboard at ``/``, whose files lie in ``dashboard``, and the description of the interface.

They are read once, when the module is. No data is in them: the page gets it by the other calls. Anybody may have it who reaches
it, as it is where one signs in.
"""

from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from aiohttp import web

from resolverd.servers.http import openapi
from resolverd.servers.http.auth import ANYBODY, LOOPBACK
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route

_TYPES: Final = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE: Final = "index.html"


class _File(NamedTuple):
    """A file of the dashboard. `tag`: the entity tag of what is in it (RFC 9110 §8.8.3)."""

    octets: bytes
    media: str
    tag: str


def _read() -> dict[str, _File]:
    """The files of the dashboard, by name."""
    found = {}
    for each in files("resolverd.servers.http").joinpath("dashboard").iterdir():
        if (media := _TYPES.get(each.name.rpartition(".")[2])) is not None:
            octets = each.read_bytes()
            found[each.name] = _File(octets, media, sha256(octets).hexdigest()[:32])
    return found


_FILES: Final = _read()


async def get_openapi(call: Call) -> web.Response:
    """This interface, described."""
    return web.json_response(openapi.document(call.routes))


async def get_page(call: Call) -> web.Response:
    """The dashboard."""
    file = _FILES[_PAGE]
    return web.Response(body=file.octets, content_type=file.media, charset="utf-8")


async def get_page_file(call: Call) -> web.Response:
    """A file of the dashboard: a module, the style sheet, the icon."""
    file = _FILES.get(call.path["file"])
    if file is None:
        raise Problem(404, "the dashboard has no such file")
    known = call.request.if_none_match or ()
    headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache"}  # kept, and asked for again: an update counts at once
    if any(each.value == file.tag for each in known):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.octets, content_type=file.media, charset="utf-8", headers=headers)


ROUTES = (
    Route("GET", "/openapi.json", get_openapi, LOOPBACK),
    Route("GET", "/", get_page, ANYBODY, media="text/html"),
    Route("GET", "/dashboard/{file}", get_page_file, ANYBODY, media="*/*", problems=(404,)),
)
