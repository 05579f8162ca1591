"""Doing in this process what the daemon would do, where none runs: nothing is stored, nothing is counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from resolverd.app.service import Service
from resolverd.cli.daemon import Refused
from resolverd.clock import SystemClock
from resolverd.config import Settings
from resolverd.metrics import Counters
from resolverd.net.outside import OutsideNetwork
from resolverd.servers.http import parameters
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.routes import cache, lookup, verdict
from resolverd.state.memory import MemoryStore


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Service]:
    """A daemon without sockets that works until the context ends. Raises ConfigError."""
    network = OutsideNetwork(settings.resolver.outgoing_addresses)
    # Nobody is served over TLS here, and its key may not be ours to read.
    settings = replace(settings, dns=replace(settings.dns, tls=None))
    service = Service(settings, network, MemoryStore(), SystemClock(), Counters())
    service.read_zones()
    try:
        yield service
    finally:
        await service.aclose()
        await network.aclose()


def give_verdict(settings: Settings, attributes: dict[str, str]) -> dict[str, Any]:
    """The verdict on an attempt, as GET /v1/verdict has it."""

    async def work(daemon: Daemon) -> verdict.Verdict:
        attempt = parameters.convert(verdict.Attributes, attributes.items()).attempt
        return verdict.Verdict.of(await daemon.policy.verdict_on(attempt, record=False))

    return _run(settings, work)


def look_up(settings: Settings, subject: str, *, everything: bool) -> dict[str, Any]:
    """What every list says of an address or a domain, as GET /v1/lookup has it."""
    return _run(settings, lambda daemon: lookup.lookup(daemon, subject, everything=everything))


def trace(settings: Settings, name: str, rtype: str) -> dict[str, Any]:
    """How a name is resolved, as GET /v1/trace has it."""
    return _run(settings, lambda daemon: cache.trace(daemon, name, rtype))


def _run(settings: Settings, work: Callable[[Daemon], Awaitable[msgspec.Struct]]) -> dict[str, Any]:
    async def inside() -> msgspec.Struct:
        async with opened(settings) as service:
            return await work(service.capabilities())

    try:
        document: dict[str, Any] = msgspec.to_builtins(asyncio.run(inside()))
    except Problem as problem:
        raise Refused.of(problem.status, problem.detail) from None
    return document
