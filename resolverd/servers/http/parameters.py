"""The parameters of a call, from path, query and body: each is looked at, and all faults are reported at once."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, TypeVar

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
AddressParameter = Annotated[
    str,
    Meta(description="an IPv4 or IPv6 address", extra={"valid": lambda text: address_of(text) is not None}),
]


def rfc3339(at: float) -> str:
    """A wall second as a time in UTC (RFC 3339), to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expect_type(request: web.BaseRequest, accepted: frozenset[str]) -> None:
    """These media types need a preflight from a browser's page, which is never answered. Raises Problem."""
    if request.content_type not in accepted:
        raise Problem(415, f"expected Content-Type: {' or '.join(sorted(accepted))}")


def read(request: web.BaseRequest, path: Mapping[str, str], octets: bytes, kind: type[_Given], body: Body) -> _Given:
    """What was given with a request in `path`, query and body (its `octets`), each parameter once. Raises Problem."""
    if body is Body.ONLY and not path:
        expect_type(request, JSON)
        return of_object(kind, json_object(octets))
    given: list[tuple[str, object]] = list(path.items())
    if body is not Body.ONLY:
        given += request.rel_url.query.items()
    if body is Body.ONLY or (body is Body.ALSO and octets):
        expect_type(request, JSON)
        given += json_object(octets).items()
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


def of_object(kind: type[_Given], document: Mapping[str, object]) -> _Given:
    """As `convert`, of a JSON object: in one go, where every member is wanted and of the type that it has to be."""
    names, validators = _shape(kind)
    if document.keys() <= names and None not in document.values():
        try:
            made = msgspec.convert(document, kind)
        except msgspec.ValidationError:
            pass  # what is wrong, or a number as a text, is seen one by one
        else:
            if all(valid(document[name]) for name, valid in validators if name in document):
                return made
    return convert(kind, document.items())


def convert(kind: type[_Given], given: Iterable[tuple[str, object]]) -> _Given:
    """The parameters as the struct `kind`. Raises Problem with every fault, so many of them at the most.

    A member that is null is one that was not given. ``ignored`` of a kind: names that are taken and not looked at.
    """
    fields = _parameters(kind)
    ignored: frozenset[str] = getattr(kind, "ignored", frozenset())
    values: dict[str, object] = {}
    seen: set[str] = set()
    faults: list[tuple[str, str]] = []
    for name, value in given:
        if len(faults) >= bounds.HTTP_FAULTS:
            faults.append(("", "and so on: the others were not looked at"))
            raise bad_attributes(list(dict(faults).items()))
        if name in seen:
            faults.append((name[:40], "given twice"))
        elif (field := fields.get(name)) is not None:
            if value is not None:
                seen.add(name)
                try:
                    values[field.name] = field.read(value)
                except msgspec.ValidationError as error:
                    faults.append((name, str(error)))
        elif name not in ignored:
            nearest = get_close_matches(name[:40], (*fields, *ignored), 1, 0.0)
            faults.append((name[:40], f"no such parameter{f'; did you mean {nearest[0]}?' if nearest else ''}"))
        else:
            seen.add(name)
    faults += [(name, "is missing") for name, field in fields.items() if field.required and name not in seen]
    if faults:
        raise bad_attributes(list(dict(faults).items()))
    return kind(**values)


class _Parameter(NamedTuple):
    """A field of a struct, and how what is given for it is read. `expected`: in words, empty for msgspec's own."""

    name: str
    type: Any
    required: bool
    expected: str
    valid: Callable[[Any], bool] | None

    def read(self, value: object) -> object:
        """The value; numbers and flags may be texts. Raises ValidationError, saying what is expected."""
        try:
            found = msgspec.convert(value, self.type, strict=not isinstance(value, str))
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(self.expected or str(error)) from None
        if self.valid is not None and not self.valid(found):
            raise msgspec.ValidationError(self.expected)
        return found


@cache
def _shape(kind: type[msgspec.Struct]) -> tuple[frozenset[str], tuple[tuple[str, Callable[[Any], bool]], ...]]:
    """The names that a kind takes, and what those that need it are looked at with, beside their types."""
    fields = _parameters(kind)
    ignored: frozenset[str] = getattr(kind, "ignored", frozenset())
    return ignored | fields.keys(), tuple((name, field.valid) for name, field in fields.items() if field.valid is not None)


@cache
def _parameters(kind: type[msgspec.Struct]) -> Mapping[str, _Parameter]:
    """The parameters of a kind, by the names that they are given under."""
    return {field.encode_name: _parameter(field) for field in msgspec.structs.fields(kind)}


def _parameter(field: msgspec.structs.FieldInfo) -> _Parameter:
    info = inspect.type_info(field.type)
    if isinstance(info, inspect.UnionType):
        info = next(each for each in info.types if not isinstance(each, inspect.NoneType))
    description, valid = None, None
    if isinstance(info, inspect.Metadata):
        description = (info.extra_json_schema or {}).get("description")
        valid = (info.extra or {}).get("valid")
        info = info.type
    if isinstance(info, inspect.BoolType):
        description = "true or false"
    elif isinstance(info, inspect.LiteralType) and description is None:
        description = " or ".join(map(str, info.values))
    return _Parameter(field.name, field.type, field.required, f"expected {description}" if description else "", valid)
