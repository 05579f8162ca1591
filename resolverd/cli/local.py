"""Doing in this process what the daemon would do, where none runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from resolverd.app.local import opened
from resolverd.cli.options import Failed
from resolverd.config import Settings
from resolverd.servers.http import shapes
from resolverd.servers.http.problems import Problem
from resolverd.servers.ports import Backend
from resolverd.wire.names import Name

_Result = TypeVar("_Result")


def verdict(settings: Settings, attributes: dict[str, str]) -> dict[str, Any]:
    """The verdict on an attempt, as GET /v1/verdict has it."""
    try:
        attempt, _ = shapes.attempt_from(attributes)
    except Problem as problem:
        raise Failed(problem.detail) from None
    return shapes.verdict_json(_run(settings, lambda backend: backend.screen(attempt, record=False)))


def lookup(settings: Settings, text: str) -> dict[str, Any]:
    """What every list says of an address or a domain, as GET /v1/lookup has it."""
    try:
        subject = shapes.subject_from(text)
    except Problem as problem:
        raise Failed(problem.detail) from None
    return shapes.lookup_json(subject, _run(settings, lambda backend: backend.lookup(subject)))


def trace(settings: Settings, name: Name, rtype: int) -> dict[str, Any]:
    """How a name is resolved, as GET /v1/trace has it."""
    return shapes.trace_json(_run(settings, lambda backend: backend.trace(name, rtype)))


def _run(settings: Settings, work: Callable[[Backend], Awaitable[_Result]]) -> _Result:
    async def inside() -> _Result:
        async with opened(settings) as backend:
            return await work(backend)

    return asyncio.run(inside())
