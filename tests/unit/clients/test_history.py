"""What is remembered of clients: the record of one, and all of them, kept over a restart and bounded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import NOW
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.clients.history import AT_ONCE, RETRY_INTERVAL, SINCE, TABLE, ClientHistory
from resolverd.clients.record import ClientRecord, client_key, decode_record, encode_record, is_worth_writing, new_for
from resolverd.failures import StoreError
from resolverd.mail.findings import Action
from resolverd.metrics import Counters
from resolverd.state.base import Store
from resolverd.state.disk.opening import open_store
from resolverd.state.memory import MemoryStore
from tests.unit.zones.test_client_zones import CLIENT, DAY, verdict


def test_golden_octets() -> None:
    assert encode_record(ClientRecord(1_700_000_000, 1_700_000_100, 0)).hex() == "016553f1006553f16400000000"
    assert decode_record(encode_record(ClientRecord(1, 2, 3))) == ClientRecord(1, 2, 3)


times = st.integers(0, 2**32 - 1)
contacts = st.builds(ClientRecord, times, times, times)


@given(contacts, contacts, contacts)
def test_contacts_add_up_in_any_order(one: ClientRecord, two: ClientRecord, three: ClientRecord) -> None:
    assert (one | two) | three == one | (three | two)
    assert one | one == one
    assert decode_record(encode_record(one)) == one


@given(st.binary(max_size=20))
def test_damage_is_nobody(octets: bytes) -> None:
    assert decode_record(octets) is None or (len(octets) == 13 and octets[0] == 1)


@pytest.mark.parametrize(
    ("before", "after", "worth"),
    [
        (None, ClientRecord(5, 5), True),
        (ClientRecord(5, 5), ClientRecord(5, 5 + 3599), False),
        (ClientRecord(5, 5), ClientRecord(5, 5 + 3600), True),
        (ClientRecord(5, 5), ClientRecord(5, 6, 6), True),
        (ClientRecord(5, 6, 6), ClientRecord(5, 7, 7), False),
        (ClientRecord(5, 5), ClientRecord(4, 5), True),
    ],
)
def test_what_is_worth_writing(before: ClientRecord | None, after: ClientRecord, worth: bool) -> None:
    assert is_worth_writing(before, after) is worth


def test_strangers_are_forgotten_sooner() -> None:
    assert (ClientRecord(0, 100).expires, ClientRecord(0, 100, 50).expires) == (100 + 7 * DAY, 100 + 35 * DAY)


def test_a_clock_set_back_makes_nobody_new_for_longer_than_a_day() -> None:
    assert new_for(ClientRecord(1000 * DAY, 1000 * DAY), None, 5.0) == DAY


@pytest.mark.parametrize(
    ("client", "name"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_what_a_client_is_known_as(client: str, name: str) -> None:
    assert client_key(ip_address(client)) == name


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else await open_store(tmp_path / "var", Counters())
    yield opened
    await opened.close()


class Clock:
    now = NOW

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


async def test_acquaintances_outlive_a_restart(store: Store) -> None:
    clock = Clock()
    first = ClientHistory(store, clock, Counters())
    first.note(verdict(state="passed"))
    await first.write_notes()
    clock.now += 2 * DAY
    again = ClientHistory(store, clock, Counters())
    assert await again.new_for(CLIENT) == 0
    assert await again.has_passed(CLIENT)
    again.note(verdict())
    await again.write_notes()
    assert await store.get(TABLE, b"1.2.3.4", clock.now) == encode_record(ClientRecord(int(NOW), int(clock.now), int(NOW)))
    clock.now += 35 * DAY
    assert await again.new_for(CLIENT) == DAY


async def test_a_run_writes_what_is_noted(store: Store) -> None:
    first = ClientHistory(store, Clock(), Counters())
    task = asyncio.create_task(first.run())
    first.note(verdict())
    for _ in range(500):
        if await store.get(TABLE, b"1.2.3.4", NOW) is not None:
            break
        await asyncio.sleep(0.01)
    task.cancel()
    assert await store.get(TABLE, b"1.2.3.4", NOW) == encode_record(ClientRecord(int(NOW), int(NOW)))


def test_strangers_fill_no_table() -> None:
    known = ClientHistory(MemoryStore(), Clock(), Counters())
    for number in range(bounds.CLIENT_NOTES + 100):
        known.note(verdict(Action.REJECT, ip_address(number)))
    assert len(known._notes) == len(known._refusals) == bounds.CLIENT_NOTES


class AnotherFirst(MemoryStore):
    """A store to which another host writes of the same client between reading and writing."""

    def __init__(self, other: ClientRecord) -> None:
        super().__init__()
        self._other: ClientRecord | None = other

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        if key != SINCE and (other := self._other) is not None:
            self._other = None
            self.put(table, key, encode_record(other), other.expires)
        return await super().cas(table, key, expected, value, now, expires)


async def test_what_two_hosts_note_of_a_client_adds_up() -> None:
    store = AnotherFirst(ClientRecord(int(NOW) + 5, int(NOW) + 6, int(NOW) + 6))
    history = ClientHistory(store, Clock(), Counters())
    history.note(verdict())
    assert await history.write_notes()
    octets = await store.get(TABLE, b"1.2.3.4", NOW)
    assert octets == encode_record(ClientRecord(int(NOW), int(NOW) + 6, int(NOW) + 6))


async def test_two_hosts_that_begin_at_once_began_at_the_same_time() -> None:
    store, clock = MemoryStore(), Clock()
    first, second = (ClientHistory(store, clock, Counters()) for _ in range(2))
    await asyncio.gather(first.new_for(CLIENT), second.new_for(CLIENT))
    clock.now += 2 * DAY
    assert [await each.new_for(CLIENT) for each in (first, second)] == [DAY, DAY]


class Failing(MemoryStore):
    """A store that fails while it is told to."""

    failing = True

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        if self.failing:
            raise StoreError("out of reach")
        return await super().get(table, key, now)


@virtual
async def test_notes_wait_for_a_store_that_is_out_of_reach() -> None:
    store, clock, counters = Failing(), VirtualClock(), Counters()
    history = ClientHistory(store, clock, counters)
    task = asyncio.create_task(history.run())
    history.note(verdict())
    await asyncio.sleep(3600)
    assert counters.get("client_notes_lost") == 0
    store.failing = False
    await asyncio.sleep(RETRY_INTERVAL + 1)
    task.cancel()
    octets = await store.get(TABLE, b"1.2.3.4", clock.wall())
    assert octets is not None
    known = decode_record(octets)
    assert known is not None
    assert known.first == int(VirtualClock.WALL_START)


TRIP = 0.01


class Distant(MemoryStore):
    """A store as far away as a shared one; it may refuse one key's record."""

    def __init__(self) -> None:
        super().__init__()
        self._read: set[tuple[str, bytes]] = set()
        self.refused = b""

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        await asyncio.sleep(TRIP)
        self._read.update(wanted)

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        if (table, key) not in self._read:
            await asyncio.sleep(TRIP)
        self._read.discard((table, key))
        return await super().get(table, key, now)

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        await asyncio.sleep(TRIP)
        if key == self.refused:
            raise StoreError("not this one")
        self._read.add((table, key))  # what it compares with costs nothing there
        return await super().cas(table, key, expected, value, now, expires)


@virtual
async def test_notes_are_written_side_by_side() -> None:
    store, clock = Distant(), VirtualClock()
    history = ClientHistory(store, clock, Counters())
    clients = [ip_address(f"192.0.2.{number}") for number in range(2 * AT_ONCE)]
    for client in clients:
        history.note(verdict(client=client))
    store.refused, begun = client_key(clients[3]).encode(), clock.monotonic()
    assert not await history.write_notes()
    assert clock.monotonic() - begun == pytest.approx(TRIP * (2 + 2 * 2))
    written = [await store.get(TABLE, client_key(client).encode(), clock.wall()) is not None for client in clients]
    assert written == [client != clients[3] for client in clients]
    store.refused = b""
    assert await history.write_notes()
    assert await store.get(TABLE, client_key(clients[3]).encode(), clock.wall()) is not None
