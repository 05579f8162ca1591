"""/openapi.json: the interface described, from the types of its routes (OpenAPI 3.1)."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from resolverd import __version__
from resolverd.servers.http.auth import ANYBODY, COOKIE, OPENABLE
from resolverd.servers.http.problems import MEDIA_TYPE, ProblemDocument, phrase
from resolverd.servers.http.route import Body, Route

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_SCHEMES: Final = {"token": {"type": "http", "scheme": "bearer"}, "session": {"type": "apiKey", "in": "cookie", "name": COOKIE}}
_PROBLEM: Final = "#/components/responses/Problem{status}"
_REFERENCE: Final = "#/components/schemas/{name}"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description."""
    routes = list(routes)
    bodies = [route.given for route in routes if route.given and route.body is not Body.NONE]
    answers = [route.answer for route in routes if route.answer]
    kinds: dict[type[msgspec.Struct], None] = dict.fromkeys([ProblemDocument, *bodies, *answers])
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    known = dict(zip(kinds, references, strict=True))
    content = {MEDIA_TYPE: {"schema": known[ProblemDocument]}}
    statuses = sorted({status for route in routes for status in _problems(route)})
    problems = {f"Problem{status}": {"description": phrase(status), "content": content} for status in statuses}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "resolverd", "version": __version__, "description": "Verdicts on mail clients, and what they rest on."},
        "paths": paths,
        "components": {"schemas": schemas, "responses": problems, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route, known: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    media = "application/x-ndjson" if route.lines else "application/json"
    answer: dict[str, Any] = {"description": "Done."}
    if route.answer:
        answer["content"] = {media: {"schema": known[route.answer]}}
    elif route.media:
        answer["content"] = {route.media: {"schema": {"type": "string"}}}
    problems = {str(status): {"$ref": _PROBLEM.format(status=status)} for status in _problems(route)}
    operation: dict[str, Any] = {"summary": route.summary, "responses": {"200": answer, **problems}}
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.given and route.body is not Body.NONE:
        content = {media: {"schema": known[route.given]}}
        operation["requestBody"] = {"required": route.body is Body.ONLY, "content": content}
    if route.opened_by != ANYBODY:
        operation["security"] = [*({name: []} for name in _SCHEMES), *([{}] if route.opened_by else [])]
    if route.opened_by in OPENABLE:
        operation["description"] = f"From this machine without the token while http.open names {route.opened_by}."
    return operation


def _problems(route: Route) -> list[int]:
    """The statuses of problems that a call may be answered with (RFC 9457), whoever makes it."""
    always = {400, 403, 421, 431, 500}
    without_right = {401} if route.opened_by != ANYBODY else set[int]()
    with_body = {408, 413, 415} if route.given and route.body is not Body.NONE else set[int]()
    return sorted(always | without_right | with_body | set(route.problems))


def _parameters(route: Route) -> list[dict[str, Any]]:
    """Those in the path and in the query; where a body may hold them too, none of the query is required."""
    schema = msgspec.json.schema(route.given) if route.given else {}
    described: dict[str, Any] = next(iter(schema.get("$defs", {}).values()), {})
    properties, required = described.get("properties", {}), described.get("required", [])
    in_path = _PARAMETER.findall(route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": properties.get(name, {"type": "string"})} for name in in_path
    ]
    if route.body is Body.ONLY:
        return parameters
    return parameters + [
        {"name": name, "in": "query", "required": name in required and route.body is Body.NONE, "schema": each}
        for name, each in properties.items()
        if name not in in_path
    ]
