"""Greylisting over a store: what is remembered, what happens side by side, and that mail passes where the store fails."""

import asyncio
import logging
from ipaddress import ip_address

import pytest
from virtualtime import VirtualClock, virtual

from resolverd.failures import StoreError
from resolverd.flow.greylisting import CLIENTS, TRIPLETS, Greylister
from resolverd.mail.attempt import Attempt
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.greylist import DAY, HOUR, GreylistRules, decode_client
from resolverd.store.memory import MemoryStore
from resolverd.watch.counters import Counters

MAIL = Attempt(
    client_address=ip_address("198.51.100.7"),
    client_name="mx.example.com",
    sender="bob@example.com",
    recipient="carol@example.org",
)


class SlowStore(MemoryStore):
    """A store whose reads take time, as those of a thread or a server do."""

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        value = await super().get(table, key, now)
        await asyncio.sleep(0.01)
        return value


class Desk:
    """A greylister and the world around it."""

    def __init__(self, store: MemoryStore | None = None, **rules: object) -> None:
        self.store = store or MemoryStore()
        self.clock = VirtualClock()
        self.counters = Counters()
        self.greylister = Greylister(self.store, self.clock, GreylistRules(**rules), self.counters)  # type: ignore[arg-type]

    def later(self, seconds: float) -> None:
        """Let the wall clock go on, which alone counts here."""
        self.clock.set_wall(self.clock.wall() + seconds)

    async def consider(self, attempt: Attempt = MAIL, *, record: bool = True, suspicious: bool = True) -> GreylistOutcome:
        return await self.greylister.consider(attempt, record=record, suspicious=suspicious)

    async def state(self, attempt: Attempt = MAIL) -> str:
        return (await self.consider(attempt)).state

    async def everything(self) -> list[tuple[str, bytes, bytes]]:
        return [(table, e.key, e.value) for table in (TRIPLETS, CLIENTS) async for e in self.store.scan(table, 0)]


@virtual
async def test_the_whole_story_of_a_sender() -> None:
    desk = Desk()
    assert await desk.consider() == GreylistOutcome("new", missing=300, reason="new")
    desk.later(127)
    assert await desk.consider() == GreylistOutcome("early-retry", missing=173, reason="early-retry (173s missing)")
    desk.later(294)
    assert await desk.consider() == GreylistOutcome("passed", delayed=421, reason="triplet found")
    assert await desk.consider() == GreylistOutcome("known", reason="triplet found")
    for _ in range(12):
        desk.later(34 * DAY)
        assert await desk.state() == "known"
    desk.later(35 * DAY + 1)
    assert await desk.state() == "new"


@virtual
async def test_a_sender_who_never_comes_back_in_time_is_new_each_time() -> None:
    desk = Desk()
    for _ in range(3):
        assert await desk.state() == "new"
        desk.later(2 * DAY + 1)


@virtual
async def test_the_second_mx_of_one_host_takes_it_at_once() -> None:
    desk = Desk(delay=1)
    desk.clock.set_wall(1_700_000_000.95)
    assert await desk.state() == "new"
    desk.later(0.06)
    assert await desk.consider() == GreylistOutcome("passed", delayed=1, reason="triplet found")


@virtual
async def test_neighbours_and_levelled_senders_share_a_triplet() -> None:
    desk = Desk()
    await desk.consider(MAIL._replace(sender="list-1234+bob@Example.com"))
    desk.later(300)
    assert await desk.state(MAIL._replace(sender="list-77@example.com", client_address=ip_address("198.51.100.200"))) == "passed"
    assert await desk.state(MAIL._replace(sender="list-77@example.com", client_address=ip_address("198.51.101.7"))) == "new"


@virtual
async def test_one_host_over_both_kinds_of_socket_is_one_client() -> None:
    desk = Desk()
    await desk.consider()
    desk.later(300)
    assert await desk.state(MAIL._replace(client_address=ip_address("::ffff:198.51.100.7"))) == "passed"


async def pass_triplets(desk: Desk, count: int, apart: float) -> None:
    for number in range(count):
        attempt = MAIL._replace(recipient=f"{'abcdefghij'[number]}@example.org")
        assert await desk.state(attempt) == "new"
        desk.later(300)
        assert await desk.state(attempt) == "passed"
        desk.later(apart)


@virtual
async def test_a_client_that_passed_often_enough_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk()
    await pass_triplets(desk, 5, HOUR)
    assert await desk.consider() == GreylistOutcome("allowed", reason="client AWL")
    assert await desk.state(MAIL._replace(client_address=ip_address("198.51.100.8"))) == "new"
    assert caplog.messages == ["whitelisted: mx.example.com[198.51.100.7]"]
    for _ in range(3):
        desk.later(34 * DAY)
        assert await desk.state() == "allowed"
    desk.later(35 * DAY + 1)
    assert await desk.state() == "new"


@virtual
async def test_a_burst_counts_once() -> None:
    desk = Desk()
    await pass_triplets(desk, 9, 0)
    assert await desk.state() == "new"


@virtual
async def test_zero_lets_nobody_through_unseen() -> None:
    desk = Desk(auto_allow_after=0)
    await pass_triplets(desk, 9, HOUR)
    assert await desk.state() == "new"
    assert not [entry async for entry in desk.store.scan(CLIENTS, 0)]


@pytest.mark.parametrize("rules", [{}, {"auto_allow_after": 0}])
@virtual
async def test_asking_changes_nothing(rules: dict[str, object]) -> None:
    desk = Desk(**rules)
    for wait, state in ((0, "new"), (0, "new"), (200, "early-retry"), (200, "passed"), (0, "known")):
        desk.later(wait)
        before = (await desk.everything(), desk.counters.snapshot())
        asked = [await desk.consider(record=False) for _ in range(3)]
        assert (await desk.everything(), desk.counters.snapshot()) == before
        assert asked == [await desk.consider()] * 3
        assert asked[0].state == state


@pytest.mark.parametrize(
    ("change", "rules", "suspicious", "reason"),
    [
        ({"client_address": None}, {}, True, "client address, sender or recipient missing"),
        ({"recipient": ""}, {}, True, "client address, sender or recipient missing"),
        ({"has_sender": False}, {}, True, "client address, sender or recipient missing"),
        ({}, {"enabled": False}, True, "greylisting is off"),
        ({}, {"when": "suspicious"}, False, "not suspicious"),
    ],
)
@virtual
async def test_skipped(change: dict[str, object], rules: dict[str, object], suspicious: bool, reason: str) -> None:
    desk = Desk(**rules)
    attempt = MAIL._replace(**change)  # type: ignore[arg-type]
    assert await desk.consider(attempt, suspicious=suspicious) == GreylistOutcome("skipped", reason=reason)
    assert await desk.everything() == []


@pytest.mark.parametrize(
    ("change", "rules", "suspicious"),
    [({"sender": ""}, {}, False), ({"client_name": ""}, {}, False), ({}, {"when": "suspicious"}, True)],
)
@virtual
async def test_not_skipped(change: dict[str, object], rules: dict[str, object], suspicious: bool) -> None:
    desk = Desk(**rules)
    attempt = MAIL._replace(**change)  # type: ignore[arg-type]
    assert (await desk.consider(attempt, suspicious=suspicious)).state == "new"


@virtual
async def test_attempts_side_by_side_lose_nothing() -> None:
    """Five triplets of a client pass in one moment: one pass is counted; and one triplet passes for the first time once."""
    desk = Desk(SlowStore())
    attempts = [MAIL._replace(recipient=f"{name}@example.org") for name in "abcde"]
    assert {outcome.state for outcome in await asyncio.gather(*map(desk.consider, attempts * 4))} == {"new"}
    desk.later(300)
    outcomes = await asyncio.gather(*map(desk.consider, attempts * 4))
    assert sorted(outcome.state for outcome in outcomes) == ["known"] * 15 + ["passed"] * 5
    counts = [decode_client(entry.value) async for entry in desk.store.scan(CLIENTS, 0)]
    assert [client.passes for client in counts if client] == [1]
    assert not desk.greylister._turns._crowds


@virtual
async def test_clients_of_one_network_side_by_side() -> None:
    desk = Desk(SlowStore())
    attempts = [MAIL._replace(client_address=ip_address(f"198.51.100.{n}")) for n in range(20)]
    await asyncio.gather(*map(desk.consider, attempts))
    desk.later(300)
    outcomes = await asyncio.gather(*map(desk.consider, attempts))
    assert sorted(outcome.state for outcome in outcomes) == ["known"] * 19 + ["passed"]


class BrokenStore(MemoryStore):
    """A store that fails in the ways that stores fail."""

    def __init__(self, failing: str) -> None:
        super().__init__()
        self.failing = failing

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        if self.failing == "get":
            raise StoreError("disk I/O error")
        if self.failing == "silent":
            await asyncio.Event().wait()
        return await super().get(table, key, now)

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        if self.failing == "put":
            raise StoreError("no room for more")
        super().put(table, key, value, expires)


@pytest.mark.parametrize("failing", ["get", "put", "silent"])
@virtual
async def test_mail_passes_where_the_store_fails(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(BrokenStore(failing))
    started = desk.clock.monotonic()
    outcomes = await asyncio.gather(*[desk.consider() for _ in range(20)])
    assert set(outcomes) == {GreylistOutcome("skipped", reason="store failed")}
    assert desk.clock.monotonic() - started <= 1.001
    assert desk.counters.get("greylist_store_failures") == 20
    assert len(caplog.messages) == 1  # and another in a minute
    await asyncio.sleep(61)
    await desk.consider()
    assert len(caplog.messages) == 2
    desk.store.failing = ""  # type: ignore[attr-defined]
    assert await desk.state() == "new"


@virtual
async def test_a_damaged_record_counts_as_absent() -> None:
    desk = Desk()
    await desk.consider()
    desk.later(300)
    (_, key, _) = (await desk.everything())[0]
    desk.store.put(TRIPLETS, key, b"\xff\x00rubbish", 2e9)
    desk.store.put(CLIENTS, b"198.51.100.7", b"", 2e9)
    assert await desk.state() == "new"
    assert desk.counters.get("greylist_damaged_records", table=TRIPLETS) == 1
    assert desk.counters.get("greylist_damaged_records", table=CLIENTS) == 1


@pytest.mark.parametrize("jump", [365 * DAY, -365 * DAY, 10 * 365 * DAY])
@pytest.mark.parametrize("tries", [0, 1, 2])
@virtual
async def test_a_jumping_clock_costs_one_delay_at_the_most(jump: float, tries: int) -> None:
    desk = Desk()
    for _ in range(tries):
        await desk.consider()
        desk.later(300)
    desk.later(jump)
    first = await desk.consider()
    assert first.missing <= 300
    desk.later(first.missing)
    assert await desk.state() in ("passed", "known")
    desk.later(-jump)
    again = await desk.consider()
    desk.later(again.missing)
    assert await desk.state() in ("passed", "known")


@virtual
async def test_log_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(auto_allow_after=1)
    attempt = MAIL._replace(client_name="evil\naction=OK")
    await desk.consider(attempt)
    desk.later(300)
    assert await desk.state(attempt) == "passed"
    assert caplog.messages == ["whitelisted: 198.51.100.7"]


@virtual
async def test_outcomes_are_counted() -> None:
    desk = Desk()
    await desk.consider()
    await desk.consider()
    desk.later(300)
    await desk.consider()
    assert desk.counters.get("greylist", state="new") == 2
    assert desk.counters.get("greylist", state="passed") == 1


@virtual
async def test_turns_end_with_those_who_wait() -> None:
    desk = Desk(BrokenStore("silent"))
    waiting = [asyncio.create_task(desk.consider()) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert desk.greylister._turns._crowds
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not desk.greylister._turns._crowds
