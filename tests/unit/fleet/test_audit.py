"""What is changed on one host stands in the audit log of each."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from virtualtime import VirtualClock, virtual

from resolverd import bounds, logs
from resolverd.failures import StoreError
from resolverd.fleet.audit import KEPT_FOR, TABLE, FleetAudit
from resolverd.fleet.hosts import Hosts
from resolverd.metrics import Counters
from resolverd.overrides.rules import key_of
from resolverd.overrides.store import NewOverride, OverrideStore
from resolverd.resolver.negative_anchors import NegativeAnchors
from resolverd.state.memory import MemoryStore
from resolverd.wire.names import from_text

DENY = {"audit": "deny", "subject": "192.0.2.7", "owner": "anna", "note": "spam, all day"}


class Host:
    """One of them."""

    def __init__(self, shared: MemoryStore, number: int, clock: VirtualClock, own: MemoryStore | None = None) -> None:
        self.shared, self.clock, self.number = shared, clock, number
        self.own = own or MemoryStore()
        self.counters = Counters()
        self.hosts = Hosts(shared, self.own, clock, self.counters, f"{number:016x}", f"mx{number}")
        self.audit = FleetAudit(shared, self.own, self.hosts, clock, self.counters)
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> "Host":
        """Run, what it says in a log of its own: entries are logged in the task that takes them."""
        self.task = asyncio.create_task(self.audit.run(), name=f"mx{self.number}")
        await asyncio.sleep(0.1)
        return self

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    def restarted(self) -> "Host":
        return Host(self.shared, self.number, self.clock, self.own)


@pytest.fixture
def said() -> Iterator[list[tuple[str, logs.Fields]]]:
    """What was logged, by the name of the task that did."""
    found: list[tuple[str, logs.Fields]] = []

    class Handler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            task = asyncio.current_task()
            found.append((task.get_name() if task is not None else "", record.later(False)))  # type: ignore[attr-defined]
            return True

    handler, logger = Handler(), logging.getLogger(logs.AUDIT)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


@virtual
async def _overrides_and_anchors(said: list[tuple[str, logs.Fields]]) -> None:
    shared, clock = MemoryStore(), VirtualClock()
    hosts = [await Host(shared, number, clock).start() for number in (1, 2, 3)]
    one = hosts[0]
    overrides = OverrideStore(shared, clock, one.counters, one.audit)
    anchors = NegativeAnchors(shared, clock, one.counters, lambda _: None, one.audit)
    await overrides.set(NewOverride(key_of("deny", "192.0.2.7"), 60, "anna", "spam, all day", "ID1"))
    await anchors.set(from_text("broken.example"), 3600, "eve", "bogus")
    await overrides.forget([key_of("deny", "192.0.2.7")], "bob")
    await overrides.set(NewOverride(key_of("deny", "192.0.2.8"), 60, "anna"))
    await asyncio.sleep(61)
    await overrides.expire()
    await asyncio.sleep(1)
    at = int(VirtualClock.WALL_START)
    for name in ("mx2", "mx3"):
        told = [fields for task, fields in said if task == name]
        assert [(each["audit"], each["subject"], each["owner"], each["host"]) for each in told] == [
            ("deny", "192.0.2.7", "anna", "mx1"),
            ("nta-add", "broken.example.", "eve", "mx1"),
            ("forget", "192.0.2.7", "bob", "mx1"),
            ("deny", "192.0.2.8", "anna", "mx1"),
        ], "what expires, each finds by itself"
        assert at <= int(told[0]["at"]) <= at + 2
        assert (told[0]["note"], told[0]["from_id"]) == ("spam, all day", "ID1")
    assert not [fields for task, fields in said if task == "mx1"], "its own are logged where they are made"
    assert len([fields for _, fields in said if "host" not in fields]) == 5
    for host in hosts:
        await host.stop()


def test_changes_of_overrides_and_anchors_are_in_each_hosts_log(said: list[tuple[str, logs.Fields]]) -> None:
    _overrides_and_anchors(said)


def test_what_was_said_while_a_host_was_down_is_in_its_log_once(said: list[tuple[str, logs.Fields]]) -> None:
    @virtual
    async def run() -> None:
        shared, clock = MemoryStore(), VirtualClock()
        one = await Host(shared, 1, clock).start()
        one.audit(DENY)
        two = await Host(shared, 2, clock).start()
        assert not [fields for task, fields in said if task == "mx2"], "of before it joined"
        for number in range(3):
            one.audit({**DENY, "subject": str(number)})
        await asyncio.sleep(1)
        await two.stop()
        for number in range(3, 6):
            one.audit({**DENY, "subject": str(number)})
        await one.stop()
        one = one.restarted()
        one.audit({**DENY, "subject": "6"})  # before it has begun
        await one.start()
        two = await two.restarted().start()
        await two.stop()
        two = await two.restarted().start()
        assert [fields["subject"] for task, fields in said if task == "mx2"] == [str(number) for number in range(7)]
        await asyncio.sleep(KEPT_FOR + 1)
        assert [entry async for entry in shared.scan(TABLE, clock.wall())] == []
        await one.stop()
        await two.stop()

    run()


def test_entries_are_bounded_and_those_of_strangers_harmless(said: list[tuple[str, logs.Fields]]) -> None:
    @virtual
    async def run() -> None:
        shared, clock = MemoryStore(), VirtualClock()
        one = await Host(shared, 1, clock).start()
        for number in range(bounds.AUDIT_ENTRIES + 50):
            one.audit({**DENY, "subject": str(number)})
        assert len([entry async for entry in shared.scan(TABLE, clock.wall())]) == bounds.AUDIT_ENTRIES
        said.clear()
        key, until = b"f" * 16 + bytes(7), clock.wall() + 100
        good = b'{"at":1.5,"host":"m\\u001b[2Jx","fields":{"audit":"deny","subject":"x","shell":"rm","to":["a"]}}'
        for number, octets in enumerate((
            b"", b"[]", b"null", b"{}", b'{"at":1,"host":"x","fields":[]}', b'{"at":1e999,"host":"x","fields":{"audit":"deny"}}',
            b'{"at":1,"host":5,"fields":{"audit":"deny"}}', b'{"at":1,"host":"x","fields":{}}', b"[" * 9000,
            good + b" " * bounds.AUDIT_ENTRY, good,
        )):  # fmt: skip
            shared.put(TABLE, key + bytes([number + 1]), octets, until)
        shared.put(TABLE, b"short", good, until)
        shared.put(TABLE, b"not an id".ljust(24), good, until)
        await asyncio.sleep(1)
        assert [fields for _, fields in said] == [{"audit": "deny", "subject": "x", "host": "m?[2Jx", "at": 1}]
        assert one.counters.get("host_damaged_records") == 10
        await one.stop()

    run()


def test_not_all_that_is_there_is_read(said: list[tuple[str, logs.Fields]]) -> None:
    @virtual
    async def run() -> None:
        shared, clock = MemoryStore(), VirtualClock()
        one = await Host(shared, 1, clock).start()
        await one.stop()
        entry = b'{"at":1,"host":"x","fields":{"audit":"deny"}}'
        for number in range(bounds.AUDIT_READ + 10):
            shared.put(TABLE, b"f" * 16 + number.to_bytes(8, "big"), entry, clock.wall() + 100)
        one = await one.restarted().start()
        assert len(said) == bounds.AUDIT_READ - 1, "numbers begin at 1"
        await one.stop()

    run()


def test_a_store_out_of_reach_keeps_nobody_from_changing_things(said: list[tuple[str, logs.Fields]]) -> None:
    class Cut(MemoryStore):
        def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
            raise StoreError("out of reach")

    @virtual
    async def run() -> None:
        one = await Host(Cut(), 1, VirtualClock()).start()
        one.audit(DENY)
        assert [fields for _, fields in said] == [DENY]
        await one.stop()

    run()
