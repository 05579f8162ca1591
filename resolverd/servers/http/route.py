"""A call of the HTTP interface: method and path, the handler, the types that it takes and gives, and who may make it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, get_type_hints

import msgspec
from aiohttp import web

from resolverd.servers.http.auth import Auth
from resolverd.servers.http.daemon import Daemon


class Body(Enum):
    """Where parameters stand beside the path."""

    NONE = "in the query"
    ONLY = "in a JSON object"
    ALSO = "in the query, or in a JSON object"


class Call(NamedTuple):
    """A request, the parameters in its `path`, and what it is answered from. `headers`: what goes out with a struct."""

    daemon: Daemon
    request: web.BaseRequest
    routes: Sequence["Route"]
    path: Mapping[str, str]
    auth: Auth
    headers: dict[str, str]


Handler: TypeAlias = Callable[..., Awaitable[Any]]
"""``async def handler(call)`` or ``handler(call, given)``: gives a struct, which becomes JSON, or a response. Raises Problem.

Its docstring describes the call.
"""


@dataclass(frozen=True)
class Route:
    """A method and a path, what answers them, and how they are described.

    `opened_by`: what lets it be had without the token (`auth`), by default nothing. `costs`: even reading it asks others
    something, and spends what is theirs. `body`: where parameters stand. `lines`: what each line of the body and of the answer
    is, where both are streams of newline-delimited JSON. `media`: the type of an answer that is no JSON. `problems`: the
    statuses of the problems that the handler raises, but for 400.
    """

    method: str
    path: str
    handler: Handler
    opened_by: str = ""
    costs: bool = False
    body: Body = Body.NONE
    lines: tuple[type[msgspec.Struct], type[msgspec.Struct]] | None = None
    media: str = ""
    problems: tuple[int, ...] = ()

    @cached_property
    def given(self) -> type[msgspec.Struct] | None:
        """The type of the parameters; None where there are none but in the path."""
        if self.lines is not None:
            return self.lines[0]
        hint: type[msgspec.Struct] | None = get_type_hints(self.handler).get("given")
        return hint

    @property
    def answer(self) -> type[msgspec.Struct] | None:
        """The type of the answer; None for what is no JSON."""
        if self.lines is not None:
            return self.lines[1]
        hint = get_type_hints(self.handler)["return"]
        return hint if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else None

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]
