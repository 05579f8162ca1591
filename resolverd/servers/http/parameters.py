"""The parameters of a call, from path, query and body: each is looked at, and every fault is told at once."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, inspect

from resolverd import bounds
from resolverd.servers.http.problems import Problem, bad_attributes
from resolverd.servers.http.route import Body
from resolverd.servers.policy.protocol import address_of

_Given = TypeVar("_Given", bound=msgspec.Struct)

JSON: Final = frozenset({"application/json"})

Text = Annotated[str, Meta(max_length=bounds.HTTP_PARAMETER, description=f"at most {bounds.HTTP_PARAMETER} characters")]
Address = Annotated[
    str,
    Meta(description="an IPv4 or IPv6 address", extra={"valid": lambda text: address_of(text) is not None}),
]


def expect_type(request: web.BaseRequest, accepted: frozenset[str]) -> None:
    """These media types need a preflight from a browser's page, which is never answered. Raises Problem."""
    if request.content_type not in accepted:
        raise Problem(415, f"expected Content-Type: {' or '.join(sorted(accepted))}")


async def read(request: web.Request, kind: type[_Given], body: Body) -> _Given:
    """What was given with a request, each parameter once. Raises Problem."""
    given: list[tuple[str, object]] = list(request.match_info.items())
    if body is not Body.ONLY:
        given += request.rel_url.query.items()
    if body is Body.ONLY or (body is Body.ALSO and await request.read()):
        expect_type(request, JSON)
        given += json_object(await request.read()).items()
    return convert(kind, given)


def json_object(octets: bytes) -> dict[str, Any]:
    """The JSON object that a body holds. Raises Problem."""
    try:
        document = msgspec.json.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Problem(400, "expected a JSON object")
    return document


def convert(kind: type[_Given], given: Iterable[tuple[str, object]]) -> _Given:
    """The parameters as the struct `kind`. Raises Problem with every fault.

    A member that is null is one that was not given. ``ignored`` of a kind: names that are taken and not looked at.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    ignored: frozenset[str] = getattr(kind, "ignored", frozenset())
    values: dict[str, object] = {}
    seen: set[str] = set()
    faults: list[tuple[str, str]] = []
    for name, value in given:
        if name in seen:
            faults.append((name[:40], "given twice"))
        elif (field := fields.get(name)) is not None:
            if value is not None:
                seen.add(name)
                try:
                    values[field.name] = _value(field.type, value)
                except msgspec.ValidationError as error:
                    faults.append((name, str(error)))
        elif name not in ignored:
            nearest = get_close_matches(name, (*fields, *ignored), 1, 0.0)
            faults.append((name[:40], f"no such parameter{f'; did you mean {nearest[0]}?' if nearest else ''}"))
        else:
            seen.add(name)
    faults += [(name, "is missing") for name, field in fields.items() if field.required and name not in seen]
    if faults:
        raise bad_attributes(list(dict(faults).items()))
    return kind(**values)


def _value(kind: Any, value: object) -> object:
    """A value of this type; numbers and flags may be texts. Raises ValidationError, saying what is expected."""
    info = inspect.type_info(kind)
    if isinstance(info, inspect.UnionType):
        info = next(each for each in info.types if not isinstance(each, inspect.NoneType))
    schema: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    if isinstance(info, inspect.Metadata):
        schema, extra, info = info.extra_json_schema or {}, info.extra or {}, info.type
    try:
        found = msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(_expected(info, schema.get("description")) or str(error)) from None
    if "valid" in extra and not extra["valid"](found):
        raise msgspec.ValidationError(_expected(info, schema.get("description")))
    return found


def _expected(info: inspect.Type, description: str | None) -> str:
    if isinstance(info, inspect.BoolType):
        return "expected true or false"
    if isinstance(info, inspect.LiteralType):
        return f"expected {' or '.join(map(str, info.values))}"
    return f"expected {description}" if description else ""
