"""/openapi.json: the interface described, from its table of routes (OpenAPI 3.1)."""

import re
from collections.abc import Iterable
from typing import Any, Protocol

from resolverd import __version__
from resolverd.servers.http.auth import ANYBODY, OPENABLE
from resolverd.servers.http.page import Described, summary
from resolverd.servers.http.routes.overrides import SETTING, TAKING_BACK

_PARAMETER = re.compile(r"\{(\w+)\}")


class Route(Described, Protocol):
    """The part of a route that its description needs."""

    @property
    def schema(self) -> str:
        """The name of the answer's schema, empty for none."""
        ...

    @property
    def opened_by(self) -> str:
        """What lets it be had without the token; empty for nothing."""
        ...

    @property
    def streams(self) -> bool:
        """Whether it takes and gives newline-delimited JSON."""
        ...


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_NUMBER = {"type": "number"}
_FLAG = {"type": "boolean"}

_SCHEMAS: dict[str, dict[str, Any]] = {
    "Attempt": {
        **_object(
            client_address=_TEXT, helo_name=_TEXT, sender=_TEXT, recipient=_TEXT, client_name=_TEXT, reverse_client_name=_TEXT,
            instance=_TEXT, queue_id=_TEXT, sasl_username=_TEXT, protocol_state=_TEXT, size=_WHOLE, recipient_count=_WHOLE,
            dry_run=_FLAG,
        ),
        "required": ["client_address"],
        "description": "Postfix's policy attributes. A sender given as \"\" is the null sender; one not given is unknown.",
    },
    "Verdict": _object(
        id=_TEXT, action={"enum": ["accept", "reject", "defer", "greylist"]}, score=_NUMBER, reason=_TEXT,
        reply=_or_null("string"), findings=_list(_ref("Finding")), greylist={"anyOf": [_ref("Greylist"), {"type": "null"}]},
        header=_or_null("string"), otherwise=_list(_ref("Otherwise")), partial=_FLAG, ms=_WHOLE,
    ),
    "Otherwise": _object(without=_list(_TEXT), action=_TEXT, text=_TEXT),
    "Finding": _object(
        check=_TEXT, code=_TEXT, text=_TEXT, score=_NUMBER, consequence=_or_null("string"), reply=_or_null("string"),
        link=_or_null("string"), evidence=_list(_ref("Evidence")), ms=_WHOLE,
    ),
    "Evidence": _object(asked=_TEXT, answered=_TEXT, age=_or_null("integer"), ms=_or_null("integer")),
    "Greylist": _object(state=_TEXT, missing=_WHOLE, delayed=_WHOLE, reason=_TEXT),
    "Lookup": _object(subject=_TEXT, listed=_WHOLE, allowed=_WHOLE, unknown=_WHOLE, lists=_list(_ref("Saying"))),
    "Saying": _object(
        id=_TEXT, list=_TEXT, purpose=_TEXT, result={"enum": ["listed", "clear", "unknown", "skipped"]}, codes=_list(_TEXT),
        addresses=_list(_TEXT), weight=_NUMBER, reason=_TEXT, link=_or_null("string"), ttl=_WHOLE, age=_WHOLE, ms=_WHOLE,
        why=_TEXT, detail=_TEXT,
    ),
    "Lists": _object(lists=_list(_ref("List"))),
    "List": _object(
        id=_TEXT, shown=_TEXT, purpose=_TEXT, kinds=_list(_TEXT), enabled=_FLAG, state=_TEXT, quota=_or_null("integer"),
        quota_left=_or_null("integer"), asked=_WHOLE, listed=_WHOLE, failed=_WHOLE, p50=_or_null("number"),
        p99=_or_null("number"), last_error=_TEXT, terms=_TEXT, link=_TEXT, forecast=_or_null("integer"),
        watched=_list(_TEXT),
    ),
    "Figures": {"type": "object", "additionalProperties": _NUMBER},
    "CacheEntries": _object(
        entries=_list(_object(name=_TEXT, type=_TEXT, ttl=_WHOLE, kind=_TEXT, security=_TEXT, records=_list(_TEXT)))
    ),
    "Trace": _object(
        rcode=_TEXT, records=_list(_TEXT), reasons=_list(_TEXT), ms=_WHOLE,
        exchanges=_list(_object(zone=_TEXT, server=_TEXT, name=_TEXT, type=_TEXT, outcome=_TEXT, ms=_WHOLE)),
    ),
    "GreylistRecords": _object(records=_list(_ref("GreylistRecord")), next=_or_null("string")),
    "GreylistRecord": _object(
        kind={"enum": ["client", "sender", "triplet"]}, origin=_TEXT, sender=_or_null("string"), recipient=_or_null("string"),
        state={"enum": ["waiting", "passed", "counting", "allowed"]}, passes=_or_null("integer"), first=_or_null("integer"),
        last=_WHOLE, expires=_WHOLE,
    ),
    "Overrides": _object(overrides=_list(_ref("Override"))),
    "Override": _object(
        action={"enum": ["allow", "deny"]}, subject=_TEXT, kind={"enum": ["address", "network", "domain", "sender"]},
        scope={"enum": ["all", "lists", "greylist", "spf"]}, to=_or_null("string"), owner=_TEXT, reason=_or_null("string"),
        from_id=_or_null("string"), since=_WHOLE, until=_or_null("integer"), hits=_WHOLE, last=_or_null("integer"),
        temporary=_FLAG, overruled=_FLAG,
    ),
    "OverrideWish": {
        "type": "object",
        "properties": {
            "action": {"enum": ["allow", "deny"]}, "subject": _TEXT, "scope": {"enum": ["all", "lists", "greylist", "spf"]},
            "to": _TEXT, "for": {**_TEXT, "examples": ["1h", "30d", "-1s"]}, "temporary": _FLAG, "force": _FLAG,
            "reason": _TEXT, "owner": _TEXT, "from_id": _TEXT,
        },
        "required": ["action"],
        "description": "All of it may stand in the query instead. Without a subject, the client of the verdict from_id is meant.",
    },
    "Forgotten": _object(forgotten=_WHOLE),
    "Store": _object(resolverd=_TEXT, store=_WHOLE, records=_list(_ref("StoreRecord")), next=_or_null("string")),
    "StoreRecord": _object(table=_TEXT, key=_TEXT, key_base64=_TEXT, value=_TEXT, expires=_NUMBER),
    "StoreRecords": {**_object(records=_list(_ref("StoreRecord"))), "required": ["records"]},
    "StoreLoaded": _object(taken=_WHOLE, kept=_WHOLE, expired=_WHOLE),
    "Flushed": _object(flushed=_WHOLE),
    "Reloaded": _object(reloaded=_FLAG),
    "Health": _object(
        service=_TEXT, version=_TEXT, alive=_FLAG,
        tasks={"type": "object", "additionalProperties": _object(state=_TEXT, faults=_WHOLE)},
    ),
    "Readiness": _object(ready=_FLAG),
    "Problem": _object(type=_TEXT, title=_TEXT, status=_WHOLE, detail=_TEXT),
}  # fmt: skip


_FURTHER: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/v1/greylist"): ("client_address", "sender", "recipient", "start", "limit"),
    ("DELETE", "/v1/greylist"): ("client_address", "sender", "recipient"),
    ("GET", "/v1/greylist/{client_address}"): ("sender", "recipient", "start", "limit"),
    ("PUT", "/v1/greylist/{client_address}"): ("sender", "recipient"),
    ("DELETE", "/v1/greylist/{client_address}"): ("sender", "recipient"),
    ("PUT", "/v1/overrides"): SETTING,
    ("PUT", "/v1/overrides/{subject}"): tuple(name for name in SETTING if name != "subject"),
    ("DELETE", "/v1/overrides/{subject}"): TAKING_BACK,
    ("GET", "/v1/store"): ("start",),
}
"""Parameters that may follow the path."""


_TAKEN: dict[tuple[str, str], str] = {
    ("POST", "/v1/store"): "StoreRecords",
    ("POST", "/v1/verdict"): "Attempt",
    ("POST", "/v1/verdicts"): "Attempt",
    ("PUT", "/v1/overrides"): "OverrideWish",
    ("PUT", "/v1/overrides/{subject}"): "OverrideWish",
}
"""What a body may hold, by its schema."""


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "resolverd", "version": __version__, "description": "Verdicts on mail clients, and what they rest on."},
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route) -> dict[str, Any]:
    media = "application/x-ndjson" if route.streams else "application/json"
    answer: dict[str, Any] = {"description": "Done."}
    if route.schema:
        answer["content"] = {media: {"schema": _ref(route.schema)}}
    problem = {"description": "Problem.", "content": {"application/problem+json": {"schema": _ref("Problem")}}}
    operation: dict[str, Any] = {"summary": summary(route), "responses": {"200": answer, "default": problem}}
    parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _PARAMETER.findall(route.path)]
    if route.path == "/v1/verdict" and route.method == "GET":
        attributes = _SCHEMAS["Attempt"]["properties"]
        parameters = [
            {"name": name, "in": "query", "required": name == "client_address", "schema": schema}
            for name, schema in attributes.items()
            if name != "dry_run"
        ]
    if names := _FURTHER.get((route.method, route.path)):
        parameters += [{"name": name, "in": "query", "schema": _TEXT} for name in names]
    if parameters:
        operation["parameters"] = parameters
    if taken := _TAKEN.get((route.method, route.path)):
        operation["requestBody"] = {"required": taken != "OverrideWish", "content": {media: {"schema": _ref(taken)}}}
    if route.opened_by != ANYBODY:
        operation["security"] = [{"token": []}, *([{}] if route.opened_by else [])]
    if route.opened_by in OPENABLE:
        operation["description"] = f"From this machine without the token while http.open names {route.opened_by}."
    return operation
