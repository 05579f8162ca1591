"""While what was stored is still being read: everything is answered, and mail passes."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_address

from virtualtime import VirtualClock, virtual

from resolverd.app.service import Service
from resolverd.config.settings import Settings
from resolverd.mail.findings import Action
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.resolver.in_flight import awaited
from resolverd.state.base import Entry
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes
from resolverd.wire.names import from_text
from resolverd.wire.peek import Query
from tests.unit.state.test_recovery import Nowhere

DENIED = ip_address("193.0.0.1")


class Slow(MemoryStore):
    """A store whose overrides take as long as it is told: the test's own edge."""

    def __init__(self) -> None:
        super().__init__()
        self.read = asyncio.Event()

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        await self.read.wait()
        async for entry in super().scan(table, now, start):
            yield entry


async def answer(service: Service, name: str) -> int:
    query = Query(1, 0x0100, from_text(name), codes.A, codes.IN, None, b"", 0)
    answerer = service.runtime.answerer
    return (answerer.try_cached(query) or await awaited(partial(answerer.ask, query, local=True))).rcode


@virtual
async def test_until_it_is_known_who_was_allowed_and_denied_mail_passes_and_nobody_is_said_to_be_listed_or_not() -> None:
    clock, store = VirtualClock(), Slow()
    await OverrideStore(store, clock, Counters()).set(NewOverride(key_of("deny", str(DENIED))))
    service = Service(Settings(), Nowhere(), store, clock, Counters())
    start = asyncio.get_running_loop().time()
    await service.prepare(0.3)
    assert asyncio.get_running_loop().time() - start <= 0.3
    attempt = Attempt(DENIED, client_name="unknown", helo_name="h.example.com", sender="a@example.com", recipient="b@example.org")
    verdict = await service.runtime.policy.verdict_on(attempt, record=True)
    assert (verdict.action, verdict.partial) == (Action.ACCEPT, True)
    for tree in ("bl", "wl", "score"):
        assert await answer(service, f"1.0.0.193.{tree}.rbl.internal") == codes.SERVFAIL
    assert await answer(service, "localhost") == codes.NOERROR
    assert asyncio.get_running_loop().time() - start < 10
    store.read.set()
    assert (await service.runtime.policy.verdict_on(attempt, record=True)).action is Action.REJECT
    assert await answer(service, "1.0.0.193.bl.rbl.internal") == codes.NOERROR
    await service.aclose()


@virtual
async def test_many_overrides_are_taken_up_a_few_at_a_time() -> None:
    clock, store = VirtualClock(), MemoryStore()
    book = OverrideStore(store, clock, Counters())
    for number in range(1000):
        await book.set(NewOverride(key_of("deny", f"10.0.{number >> 8}.{number & 255}")))
    again, most, before = OverrideStore(store, clock, Counters()), 0, 0
    loading = asyncio.create_task(again.load())
    while not loading.done():
        await asyncio.sleep(0)
        most, before = max(most, len(again.index) - before), len(again.index)
    assert len(again.index) == 1000
    assert most <= 100
