"""Verdicts of several hosts over one store: a reference opens on any host, and the history is that of all."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import keys
from virtualtime import VirtualClock, VirtualLoop, virtual

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.fleet.hosts import Hosts
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy import published_verdicts
from resolverd.policy.fleet_verdicts import FleetVerdicts
from resolverd.policy.published_verdicts import HEADS, INDEX, PAGES, Head, VerdictPublisher, encode_head, page_key, part_key
from resolverd.policy.verdict_records import IndexedPage, Reference, encode_index, encode_page, encode_together, summary
from resolverd.policy.verdicts import KEPT_FOR, VerdictStore
from resolverd.state.base import Entry
from resolverd.state.memory import MemoryStore

ATTEMPT = Attempt(helo_name="h.example", sender="a@example.org", recipient="b@example.com")


class Shared(MemoryStore):
    """A store behind a network: it can be out of reach, and forget all."""

    cut = False
    memory = "1"
    puts = 0

    def _check_open(self) -> None:
        super()._check_open()
        if self.cut:
            raise StoreError("out of reach")

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        self._check_open()
        return await super().get(table, key, now)

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        self._check_open()
        self.puts += 1
        super().put(table, key, value, expires)

    def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        self._check_open()
        return super().scan(table, now, start)

    def forget(self) -> None:
        self._records.clear()
        self.memory += "1"


class Host:
    """One of them, its verdicts published by hand."""

    def __init__(self, shared: Shared, number: int, clock: VirtualClock, own: MemoryStore | None = None) -> None:
        self.own = own or MemoryStore()
        self.shared, self.clock, self.number = shared, clock, number
        self.hosts = Hosts(shared, self.own, clock, Counters(), f"{number:016x}", f"mx{number}")
        self.kept = VerdictStore(self.own, clock, Counters())
        self.publisher = VerdictPublisher(self.kept, shared, clock, lambda: self.hosts.id, lambda: shared.memory)
        self.all = FleetVerdicts(self.kept, shared, self.hosts, clock)

    def give(self, ref: str, client: str = "192.0.2.7") -> None:
        self.kept.put(Verdict(ref, Action.ACCEPT, 0, "r", client=ip_address(client)), ATTEMPT)

    async def publish(self) -> None:
        self.kept.write()
        await self.publisher.publish()

    def restarted(self) -> "Host":
        return Host(self.shared, self.number, self.clock, self.own)

    async def history(self, after: str = "", since: float = 0, until: float = float("inf"), client: str = "") -> list[str]:
        octets = ip_address(client).packed if client else b""
        back = self.all.back(after, since, until, (lambda each: each == octets) if client else None)
        found = [(summary(each.octets), each.host) async for some in back for each in some]
        return [f"{host} {each.id}" for each, host in found if each is not None and since <= each.at <= until]


def fleet(count: int = 3) -> list[Host]:
    shared, clock = Shared(), VirtualClock()
    return [Host(shared, number, clock) for number in range(1, count + 1)]


@virtual
async def test_a_reference_opens_on_any_host() -> None:
    hosts = fleet()
    for host in hosts:
        host.give(f"REF{host.number}")
        await host.publish()
        await host.hosts.beat()
    for host in hosts:
        await host.hosts.beat()
        for number in (1, 2, 3):
            found = await host.all.find(f"REF{number}")
            assert found is not None
            assert (found.verdict.id, found.host) == (f"REF{number}", f"mx{number}")
            assert await host.all.get(f"REF{number}") == found.verdict
        assert await host.all.find("REF4") is None
        assert await host.all.find("\udc80") is None
    await asyncio.sleep(KEPT_FOR)
    assert await hosts[0].all.find("REF2") is None


@virtual
async def test_the_history_is_that_of_all_the_newest_first() -> None:
    hosts = fleet()
    for number in range(12):
        await asyncio.sleep(1)
        host = hosts[number % 3]
        host.give(f"R{number}", f"192.0.2.{number % 2}")
        await host.publish()
        await host.hosts.beat()
    for host in hosts:
        await host.hosts.beat()
    begun = hosts[0].clock.wall() - 11
    told = [f"mx{number % 3 + 1} R{number}" for number in reversed(range(12))]
    for host in hosts:
        assert await host.history() == told
        assert await host.history(after="R7") == told[5:]
        assert await host.history(since=begun + 3, until=begun + 8) == told[3:9]
        assert await host.history(client="192.0.2.1") == told[::2]
        assert await host.history(after="R0") == []
        with pytest.raises(KeyError):
            await host.history(after="gone")


texts = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=60)


@given(texts, st.integers(1, 9), st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_pages_have_each_verdict_once_and_in_order(given: list[tuple[int, int, bool]], page: int, asks: int) -> None:
    async def run() -> None:
        hosts, order = fleet(), list[tuple[float, str, str]]()
        for number, (which, wait, written) in enumerate(given):
            await asyncio.sleep(wait)
            host = hosts[which]
            host.give(f"R{number}")
            order.append((host.clock.wall(), host.hosts.id, f"mx{which + 1} R{number}"))
            if written:
                await host.publish()
        for host in hosts:
            await host.publish()
            await host.hosts.beat()
        await hosts[asks].hosts.beat()
        told, after = list[str](), ""
        while some := (await hosts[asks].history(after))[:page]:
            told += some
            after = some[-1].split()[1]
        # Of one host within one moment: the later given first.
        order = [each for _, each in sorted(enumerate(order), key=lambda two: (*two[1][:2], two[0]), reverse=True)]
        assert told == [name for _, _, name in order]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@virtual
async def test_each_host_makes_room_among_its_own_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VERDICTS", 50)
    monkeypatch.setattr(published_verdicts, "PART_OCTETS", 300)
    one, two, _ = fleet()
    for number in range(200):
        one.give(f"A{number}")
        await one.publish()
        if number < 40:
            two.give(f"B{number}")
            await two.publish()
    assert len([each for each in await keys(one.shared, PAGES, 0) if each.startswith(b"%016x" % 1)]) == 50
    assert len([each for each in await keys(one.shared, PAGES, 0) if each.startswith(b"%016x" % 2)]) == 40
    parts = [each for each in await keys(one.shared, INDEX, 0) if each.startswith(b"%016x" % 1)]
    assert 5 <= len(parts) <= 15, "those of what is gone are gone too"
    await two.hosts.beat()
    assert len(await two.history()) == 90
    assert await two.all.find("A149") is None
    assert await two.all.find("A150") is not None


@virtual
async def test_nothing_is_published_twice_and_all_once_more_after_a_loss() -> None:
    one, two, _ = fleet()
    for number in range(100):
        one.give(f"A{number}")
        await one.publish()
    puts = one.shared.puts
    await one.publish()
    one = one.restarted()
    await one.publish()
    assert one.shared.puts == puts
    one.give("LAST")
    await one.publish()
    assert one.shared.puts == puts + 3, "page, index and head"
    assert len(await two.history()) == 101
    one.shared.forget()
    assert await two.history() == []
    await one.publish()
    assert len(await two.history()) == 101
    # A part that was written lately comes back with what the others wait to write: what it tells of may be gone.
    now = one.clock.wall()
    lately = [(HEADS, entry) async for entry in one.shared.scan(HEADS, now)]
    lately += [(INDEX, entry) async for entry in one.shared.scan(INDEX, now)]
    one.shared.forget()
    for table, entry in lately:
        one.shared.put(table, *entry)
    await one.publish()
    assert len(await two.history()) == 101


@virtual
async def test_while_the_store_is_out_of_reach_the_own_ones_are_there() -> None:
    one, two, _ = fleet()
    for number in range(4):
        await asyncio.sleep(1)
        for host in (one, two):
            host.give(f"R{host.number}{number}")
            await host.publish()
    publishing = asyncio.create_task(one.publisher.run())
    await asyncio.sleep(1)
    one.shared.cut = True
    one.give("DURING")
    one.kept.write()
    await asyncio.sleep(60)
    assert await one.history() == ["mx1 DURING", *(f"mx1 R1{number}" for number in (3, 2, 1, 0))]
    assert await one.history(after="R12") == ["mx1 R11", "mx1 R10"]
    assert (await one.all.find("DURING")) is not None
    for asked in (one.all.find("R20"), one.history(after="R20")):
        with pytest.raises(StoreError):  # not "there is none"
            await asked
    one.shared.cut = False
    await asyncio.sleep(60)
    assert (await two.history())[0].endswith("DURING")
    publishing.cancel()
    await asyncio.wait([publishing])


@virtual
async def test_what_anybody_may_have_written_does_no_harm() -> None:
    one, two, _ = fleet()
    two.give("GOOD")
    await two.publish()
    shared, host = one.shared, "f" * 16
    until = one.clock.wall() + 1000
    references = encode_page([Reference("R", b"\1" * 4, 5), Reference("GOOD", b"", 5)])
    index = encode_index([IndexedPage(b"\x80" * 20, references), IndexedPage(b"", b""), IndexedPage(b"x" * 18, b"\2\xff")])
    shared.put(HEADS, b"not an id", encode_head(Head(0, 5)), until)
    shared.put(HEADS, host.encode(), encode_head(Head(0, 2**64 - 1)), until)
    for number, octets in enumerate((index, b"", b"\1\xff", index[:9], b"\1" + b"x" * bounds.VERDICT_INDEX_PART, index)):
        shared.put(INDEX, part_key(host, 2**64 - 2 - number), octets, until)
    for page in (b"", b"\xff", encode_together([b"\2\xff", b""]), encode_together([b"x" * bounds.VERDICT_PAGE])):
        shared.put(PAGES, page_key(host, b"\x80" * 20), page, until)
        assert [each.split()[1] for each in await one.history()] == ["GOOD"]
        assert await one.all.find("R") is None
    shared.put(HEADS, host.encode(), b"short", until)
    assert await one.history() == [f"{'2':0>16} GOOD"], "by its id, where no name is known"
    found = await one.all.find("GOOD")
    assert found is not None


@pytest.mark.parametrize(
    ("octets", "head"),
    [
        (encode_head(Head(3, 5)), Head(3, 5)),
        (encode_head(Head(0, bounds.VERDICT_INDEX + 7)), Head(7, bounds.VERDICT_INDEX + 7)),
        (encode_head(Head(5, 3)), None),
        (b"", None),
    ],
)
def test_heads(octets: bytes, head: Head | None) -> None:
    assert published_verdicts.decode_head(octets) == head
