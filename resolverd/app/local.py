"""The service without sockets of its own, for commands where no daemon runs: nothing is stored, nothing is counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolverd.app.service import Service
from resolverd.clock import SystemClock
from resolverd.config import Settings
from resolverd.metrics import Counters
from resolverd.net.outside import OutsideNetwork
from resolverd.state.memory import MemoryStore


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Service]:
    """A service that works in this process until the context ends. Raises ConfigError."""
    network = OutsideNetwork(settings.resolver.outgoing_addresses)
    service = Service(settings, network, MemoryStore(), SystemClock(), Counters())
    service.read_zones()
    try:
        yield service
    finally:
        await service.aclose()
        await network.aclose()
