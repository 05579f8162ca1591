"""Greylisting over a store: what is remembered, what happens side by side, and that mail passes where the store fails."""

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtualtime import VirtualClock, virtual

from resolverd.failures import StoreError
from resolverd.greylist.allow_files import Allowed, read_clients, read_recipients
from resolverd.greylist.decide import DAY, HOUR, GreylistRules, Triplet, decode_client, decode_triplet, encode_triplet
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.service import CLIENTS, READ_PATIENCE, SENDERS, TRIPLETS, Greylister
from resolverd.greylist.shipped_list import ShippedList
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.state.base import UNREAD
from resolverd.state.memory import MemoryStore
from resolverd.values import replace

MAIL = Attempt(
    client_address=ip_address("198.51.100.7"),
    client_name="mx.example.com",
    sender="bob@example.com",
    recipient="carol@example.org",
)


class SlowStore(MemoryStore):
    """A store for which reads and swaps take time, before and behind, as for a thread or a server."""

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        await asyncio.sleep(0.01)
        value = await super().get(table, key, now)
        await asyncio.sleep(0.01)
        return value

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        await asyncio.sleep(0.01)
        took = await MemoryStore.get(self, table, key, now) == expected
        if took:
            self.put(table, key, value, expires)
        await asyncio.sleep(0.01)
        return took


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
    await desk.consider(replace(MAIL, sender="list-1234+bob@Example.com"))
    desk.later(300)
    assert await desk.state(replace(MAIL, sender="list-77@example.com", client_address=ip_address("198.51.100.200"))) == "passed"
    assert await desk.state(replace(MAIL, sender="list-77@example.com", client_address=ip_address("198.51.101.7"))) == "new"


@virtual
async def test_one_host_over_both_kinds_of_socket_is_one_client() -> None:
    desk = Desk()
    await desk.consider()
    desk.later(300)
    assert await desk.state(replace(MAIL, client_address=ip_address("::ffff:198.51.100.7"))) == "passed"


async def pass_triplets(desk: Desk, count: int, apart: float) -> None:
    for number in range(count):
        attempt = replace(MAIL, recipient=f"{'abcdefghij'[number]}@example.org")
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
    assert await desk.state(replace(MAIL, client_address=ip_address("198.51.100.8"))) == "new"
    assert caplog.messages == ["whitelisted: mx.example.com[198.51.100.7]"]
    for _ in range(3):
        desk.later(34 * DAY)
        assert await desk.state() == "allowed"
    desk.later(35 * DAY + 1)
    assert await desk.state() == "new"


async def at_the_retry(desk: Desk, points: float | None) -> GreylistOutcome:
    """The same with lists that have something to say of the client by then, each in its time."""

    async def recheck(waited: int) -> float | None:
        await asyncio.sleep(3)
        return points

    return await desk.greylister.consider(MAIL, record=True, suspicious=True, recheck=recheck)


@virtual
async def test_who_is_refused_after_all_has_passed_nothing() -> None:
    desk = Desk(auto_allow_after=1)
    assert (await at_the_retry(desk, None)).state == "new", "only who has waited is asked about again"
    desk.later(300)
    before = await desk.everything()
    assert await at_the_retry(desk, None) == GreylistOutcome("skipped", reason="refused after it had waited")
    assert await desk.everything() == before
    desk.later(300)
    assert (await at_the_retry(desk, 0)).state == "passed"
    assert [table for table, _, _ in await desk.everything()] == [TRIPLETS, CLIENTS]


@virtual
async def test_who_has_more_against_it_by_then_waits_longer() -> None:
    desk = Desk(delay_per_point=1)
    await desk.consider()
    desk.later(300)
    assert await at_the_retry(desk, 1) == GreylistOutcome("early-retry", missing=300, reason="early-retry (300s missing)")
    desk.later(300)
    assert (await at_the_retry(desk, 1)).state == "passed"
    assert await at_the_retry(desk, None) == GreylistOutcome("known", reason="triplet found"), "that was the first success"


@virtual
async def test_two_retries_at_once_pass_for_the_first_time_once() -> None:
    desk = Desk(SlowStore())
    await desk.consider()
    desk.later(300)
    outcomes = await asyncio.gather(*(at_the_retry(desk, 0) for _ in range(5)))
    assert sorted(each.state for each in outcomes) == ["known"] * 4 + ["passed"]


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
    attempt = replace(MAIL, **change)  # type: ignore[arg-type]
    assert await desk.consider(attempt, suspicious=suspicious) == GreylistOutcome("skipped", reason=reason)
    assert await desk.everything() == []


@pytest.mark.parametrize(
    ("change", "rules", "suspicious"),
    [({"sender": ""}, {}, False), ({"client_name": ""}, {}, False), ({}, {"when": "suspicious"}, True)],
)
@virtual
async def test_not_skipped(change: dict[str, object], rules: dict[str, object], suspicious: bool) -> None:
    desk = Desk(**rules)
    attempt = replace(MAIL, **change)  # type: ignore[arg-type]
    assert (await desk.consider(attempt, suspicious=suspicious)).state == "new"


@virtual
async def test_attempts_side_by_side_lose_nothing() -> None:
    """Five triplets of a client pass in one moment: one pass is counted; and one triplet passes for the first time once."""
    desk = Desk(SlowStore())
    attempts = [replace(MAIL, recipient=f"{name}@example.org") for name in "abcde"]
    assert {outcome.state for outcome in await asyncio.gather(*map(desk.consider, attempts * 4))} == {"new"}
    desk.later(300)
    outcomes = await asyncio.gather(*map(desk.consider, attempts * 4))
    assert sorted(outcome.state for outcome in outcomes) == ["known"] * 15 + ["passed"] * 5
    counts = [decode_client(entry.value) async for entry in desk.store.scan(CLIENTS, 0)]
    assert [client.passes for client in counts if client] == [1]


@virtual
async def test_hosts_of_one_store_let_a_triplet_pass_for_the_first_time_once() -> None:
    store = SlowStore()
    hosts = [Desk(store) for _ in range(6)]
    assert {outcome.state for outcome in await asyncio.gather(*(host.consider() for host in hosts * 3))} == {"new"}
    for host in hosts:
        host.later(300)
    outcomes = await asyncio.gather(*(host.consider() for host in hosts * 3))
    assert sorted(outcome.state for outcome in outcomes) == ["known"] * 17 + ["passed"]
    counts = [decode_client(entry.value) async for entry in store.scan(CLIENTS, 0)]
    assert [client.passes for client in counts if client] == [1]


class OvertakenOnce(MemoryStore):
    """A store in which somebody else has written the triplet of the network just before it is written, where there is one."""

    theirs: bytes | None = None

    async def cas(self, table: str, key: bytes, expected: bytes | None, value: bytes, now: float, expires: float) -> bool:
        if self.theirs is not None and key.startswith(b"198.51.100.0/"):
            self.put(table, key, self.theirs, 4e9)
            self.theirs = None
        return await super().cas(table, key, expected, value, now, expires)


@virtual
async def test_that_a_triplet_has_passed_under_its_other_key_stays() -> None:
    for there, seen, then in ((True, False, True), (False, True, True), (True, True, True), (False, False, False)):
        store = OvertakenOnce()
        desk = Desk(store)

        async def consider(desk: Desk = desk) -> GreylistOutcome:
            return await desk.greylister.consider(
                MAIL, record=True, suspicious=True, verify=lambda: VerifiedDomains("example.com")
            )

        if seen:
            await consider()
            desk.later(300)
        now = int(desk.clock.wall())
        store.theirs = encode_triplet(Triplet(now - 5, now, there))
        assert (await consider()).state == ("passed" if seen else "new")
        key = b"198.51.100.0/bob@example.com/carol@example.org"
        found = decode_triplet(await store.get(TRIPLETS, key, now) or b"")
        assert found is not None
        assert found.passed is then
        assert found.expires(GreylistRules()) > now


@virtual
async def test_who_is_overtaken_again_and_again_passes_as_without_a_store() -> None:
    class Overtaken(MemoryStore):
        async def cas(self, *_: object) -> bool:
            return False

    desk = Desk(Overtaken())
    assert await desk.consider() == GreylistOutcome("skipped", reason="store failed")
    assert await desk.everything() == []


@virtual
async def test_clients_of_one_network_side_by_side() -> None:
    desk = Desk(SlowStore())
    attempts = [replace(MAIL, client_address=ip_address(f"198.51.100.{n}")) for n in range(20)]
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
    recheck = await desk.consider()
    desk.later(recheck.missing)
    assert await desk.state() in ("passed", "known")


@virtual
async def test_log_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(auto_allow_after=1)
    attempt = replace(MAIL, client_name="evil\naction=OK")
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


# -- organisations --------------------------------------------------------------------------------------------------------


class Office(Desk):
    """A greylister by organisation, met by a pool of a provider's hosts, each in a network of its own."""

    def __init__(self, key: str = "organisation", **rules: object) -> None:
        super().__init__(key=key, **rules)

    async def from_host(self, number: int, proof: VerifiedDomains, attempt: Attempt = MAIL, **more: object) -> str:
        host = replace(attempt, client_address=ip_address(f"198.51.{number}.25"))
        return (await self.greylister.consider(host, record=True, suspicious=True, verify=lambda: proof, **more)).state  # type: ignore[arg-type]


def named(number: int) -> VerifiedDomains:
    return VerifiedDomains(hostname=f"mail-{number}.out.provider.example.com")


@virtual
async def test_a_pool_passes_at_its_first_retry_from_any_host() -> None:
    desk = Office()
    assert await desk.from_host(1, named(1)) == "new"
    desk.later(300)
    assert await desk.from_host(2, named(2)) == "passed"
    assert await desk.from_host(3, named(3)) == "known"
    # a stranger who claims nothing is one
    assert await desk.from_host(4, VerifiedDomains()) == "new"
    assert await desk.from_host(5, VerifiedDomains(hostname="mail.elsewhere.example.net")) == "new"


@virtual
async def test_by_network_no_proof_counts() -> None:
    desk = Desk(key="network")
    for number in (1, 2):
        host = replace(MAIL, client_address=ip_address(f"198.51.{number}.25"))
        outcome = await desk.greylister.consider(host, record=True, suspicious=True, verify=lambda number=number: named(number))
        assert outcome.state == "new"
        desk.later(300)
    assert [entry async for entry in desk.store.scan(SENDERS, 0)] == []


@virtual
async def test_by_default_a_message_retried_from_fifteen_networks_passes_at_its_second_try() -> None:
    """By network it passes at its sixteenth."""
    for rules, tries in (({}, 2), ({"key": "network"}, 16)):
        desk, count = Desk(**rules), 0
        for count in range(1, 20):
            host = replace(MAIL, client_address=ip_address(f"198.51.{count % 15}.25"))
            outcome = await desk.greylister.consider(host, record=True, suspicious=True, verify=lambda: named(1))
            if outcome.state == "passed":
                break
            desk.later(900)
        assert count == tries


SPF_OF_THE_LIST = VerifiedDomains(spf_domain="news.example.org", hostname="mx.elsewhere.example.net")
SHIPPED = ShippedList(frozenset({"out.provider.example.com"}), frozenset({"example.org"}))


@pytest.mark.parametrize(
    ("proof", "state"),
    [
        (named(1), "allowed"),
        (VerifiedDomains(hostname="OUT.provider.example.com"), "allowed"),
        (VerifiedDomains(hostname="customer.provider.example.com"), "new"),
        (VerifiedDomains(hostname="out.provider.example.com.bot.example.net"), "new"),
        (SPF_OF_THE_LIST, "allowed"),
        (VerifiedDomains(spf_domain="out.provider.example.com"), "new"),
        (VerifiedDomains(hostname="mail.example.org"), "new"),
        (VerifiedDomains(), "new"),
    ],
)
@virtual
async def test_the_shipped_list_holds_whom_it_is_proved_of(proof: VerifiedDomains, state: str) -> None:
    desk = Desk()
    desk.greylister = Greylister(desk.store, desk.clock, GreylistRules(), desk.counters, shipped=SHIPPED)
    liar = replace(MAIL, helo_name="mail-1.out.provider.example.com", sender="joe@example.org")
    outcome = await desk.greylister.consider(liar, record=True, suspicious=True, verify=lambda: proof)
    assert outcome.state == state
    if state == "allowed":
        assert outcome.reason == "shipped allow list"
        assert await desk.everything() == []


SPF = VerifiedDomains(spf_domain="news.example.org")


@pytest.mark.parametrize(
    ("first", "then", "state"),
    [
        (SPF, SPF, "passed"),
        # SPF could not be checked the first time, or there is nothing but the network
        (VerifiedDomains(hostname="a.example.org"), SPF._replace(hostname="b.example.org"), "passed"),
        (VerifiedDomains(hostname="a.example.net"), SPF._replace(hostname="b.example.net"), "passed"),
        (VerifiedDomains(), SPF._replace(hostname="b.example.net"), "passed"),
        # or cannot be checked the second time: the network is the same
        (SPF, VerifiedDomains(hostname="b.example.net"), "passed"),
        (SPF, VerifiedDomains(), "passed"),
    ],
)
@virtual
async def test_a_retry_is_known_by_each_name_it_has(first: VerifiedDomains, then: VerifiedDomains, state: str) -> None:
    desk = Office()
    assert await desk.from_host(1, first) == "new"
    desk.later(300)
    assert await desk.from_host(1, then) == state


@virtual
async def test_an_old_friend_stays_one_when_the_key_changes() -> None:
    """Its network has passed; another host of its organisation has only just begun."""
    desk = Desk()
    for _ in range(2):
        await desk.consider()
        desk.later(300)
    office = Office()
    office.greylister._store = desk.store
    other = replace(MAIL, client_address=ip_address("203.0.113.1"))
    assert (await office.greylister.consider(other, record=True, suspicious=True, verify=lambda: named(1))).state == "new"
    assert (await office.greylister.consider(MAIL, record=True, suspicious=True, verify=lambda: named(2))).state == "known"


@virtual
async def test_the_suffix_of_a_registry_is_no_organisation() -> None:
    desk = Office()
    proof = VerifiedDomains(spf_domain="co.uk", hostname="localhost")
    await desk.from_host(1, proof)
    desk.later(300)
    assert await desk.from_host(2, proof) == "new"


@virtual
async def test_senders_of_an_organisation_are_learnt() -> None:
    """Codes and login links: each to somebody new, each time from another host."""
    desk = Office()
    for hour in range(5):
        code = replace(MAIL, sender=f"code-{hour}x@accounts.example.com", recipient=f"user{hour}@example.org")
        assert await desk.from_host(2 * hour, named(1), code) == "new"
        desk.later(300)
        assert await desk.from_host(2 * hour + 1, named(2), code) == "passed"
        desk.later(HOUR)
    urgent = replace(MAIL, sender="code-y@accounts.example.com", recipient="new@example.org")
    assert await desk.from_host(99, named(9), urgent) == "allowed"
    assert desk.counters.get("greylist_allowed", by="sender_AWL") == 1
    # others of this organisation, and this sender from elsewhere, are strangers as before
    assert await desk.from_host(99, named(9), replace(urgent, sender="code-y@other.example.com")) == "new"
    assert await desk.from_host(99, VerifiedDomains(hostname="mail.elsewhere.example.net"), urgent) == "new"
    assert await desk.from_host(99, VerifiedDomains(), urgent) == "new"
    desk.later(36 * DAY)
    assert await desk.from_host(99, named(9), urgent) == "new"


@virtual
async def test_by_network_senders_are_learnt_from_spf_alone() -> None:
    """Whoever has a hostname at all belongs to some organisation; to answer for a sender takes the sender's own record."""
    desk = Office("network")
    code = replace(MAIL, sender="code@accounts.example.com")
    for proof, learnt in ((named(1), "new"), (VerifiedDomains("accounts.example.com", "mx.provider.example.net"), "allowed")):
        for hour in range(5):
            own = replace(code, recipient=f"user{hour}@{len(learnt)}.example.org")
            assert await desk.from_host(hour, proof, own) == "new"
            desk.later(300)
            assert await desk.from_host(hour, proof, own) == "passed"
            desk.later(HOUR)
        assert await desk.from_host(99, proof, code) == learnt
    assert [entry.key async for entry in desk.store.scan(SENDERS, 0)] == [b"example.com/accounts.example.com"]
    # the same sender from hosts that its record doesn't name, and another domain of the same organisation
    assert await desk.from_host(77, named(1), code) == "new"
    assert await desk.from_host(77, VerifiedDomains("other.example.com"), replace(code, sender="x@other.example.com")) == "new"


@virtual
async def test_who_is_known_needs_no_proof() -> None:
    desk, asked = Office("network"), []

    async def state() -> str:
        return (await desk.greylister.consider(MAIL, record=True, suspicious=True, verify=lambda: asked.append(1) or SPF)).state

    assert [await state(), len(asked)] == ["new", 1]
    desk.later(300)
    assert [await state(), len(asked)] == ["passed", 2]
    assert [await state(), len(asked)] == ["known", 2]


@virtual
async def test_bounces_teach_nothing_of_senders() -> None:
    desk = Office()
    bounce = replace(MAIL, sender="")
    await desk.from_host(1, named(1), bounce)
    desk.later(300)
    assert await desk.from_host(1, named(1), bounce) == "passed"
    assert [entry async for entry in desk.store.scan(SENDERS, 0)] == []


@virtual
async def test_points_make_it_longer() -> None:
    desk = Office(delay_per_point=0.5)
    assert await desk.from_host(1, VerifiedDomains(), score=2.0) == "new"
    desk.later(300)
    assert await desk.from_host(1, VerifiedDomains(), score=2.0) == "early-retry"
    desk.later(300)
    assert await desk.from_host(1, VerifiedDomains(), score=2.0) == "passed"


@virtual
async def test_who_stands_in_an_allow_file_is_neither_asked_nor_remembered() -> None:
    allowed = Allowed(read_clients("example.com\n203.0.113.0/24")[0], read_recipients("postmaster@")[0])
    store, clock, counters = MemoryStore(), VirtualClock(), Counters()
    greylister = Greylister(BrokenStore("get"), clock, GreylistRules(), counters, allowed)
    for attempt, reason in (
        (MAIL, "client whitelist"),
        (replace(MAIL, client_name="unknown", client_address=ip_address("::ffff:203.0.113.9")), "client whitelist"),
        (replace(MAIL, client_name="unknown", recipient="postmaster@example.org"), "recipient whitelist"),
    ):
        outcome = await greylister.consider(attempt, record=True, suspicious=True)
        assert outcome == GreylistOutcome("allowed", reason=reason)
    assert counters.get("greylist_allowed", by="client_whitelist") == 2
    assert await store.tables() == []


# -- without waiting ----------------------------------------------------------------------------------------------------------


class UnreadStore(MemoryStore):
    """A store of which nothing is known without waiting for it."""

    def known(self, table: str, key: bytes, now: float) -> Any:
        return UNREAD


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a@one.example", "b@one.example", "a@two.example", ""]),
            st.sampled_from(["", "one.example", "two.example"]),
            st.sampled_from([0, 1, 200, 301, HOUR, 3 * DAY, 40 * DAY]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.sampled_from(["organisation", "network"]),
    st.sampled_from([0, 1, 2]),
)
@settings(max_examples=60)
@virtual
async def test_both_faces_of_greylisting_say_and_remember_the_same(
    tries: list[tuple[str, str, int, bool]], key: str, auto_allow_after: int
) -> None:
    waiting, at_once = (Desk(key=key, auto_allow_after=auto_allow_after) for _ in range(2))
    for sender, organisation, later, record in tries:
        attempt, verified = replace(MAIL, sender=sender), VerifiedDomains(organisation)
        for desk in (waiting, at_once):
            desk.later(later)
        said = await waiting.greylister.consider(attempt, record=record, suspicious=True, verify=lambda v=verified: v)
        assert said == at_once.greylister.try_consider(attempt, record=record, suspicious=True, verify=lambda v=verified: v)
        assert await waiting.everything() == await at_once.everything()
        assert waiting.counters.snapshot() == at_once.counters.snapshot()


@virtual
async def test_what_would_have_to_be_waited_for_is_left_to_be_waited_for() -> None:
    desk = Desk(UnreadStore())
    assert desk.greylister.try_consider(MAIL, record=True, suspicious=True) is None
    assert (await desk.everything(), desk.counters.snapshot()) == ([], [])


class ReadingStore(UnreadStore):
    """One that knows what it has read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[str, bytes]] = []

    async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
        self.reads += wanted

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        return MemoryStore.known(self, table, key, now)

    def known(self, table: str, key: bytes, now: float) -> Any:
        return MemoryStore.known(self, table, key, now) if (table, key) in self.reads else UNREAD


def at_once(desk: Desk) -> GreylistOutcome | None:
    return desk.greylister.try_consider(MAIL, record=True, suspicious=True)


@virtual
async def test_what_has_been_read_up_needs_not_be_waited_for() -> None:
    store = ReadingStore()
    desk = Desk(store)
    await desk.consider()
    desk.later(421)
    store.reads.clear()
    assert not await desk.greylister.read_up()
    assert at_once(desk) is None
    assert await desk.greylister.read_up()
    assert not await desk.greylister.read_up()
    assert at_once(desk) == GreylistOutcome("passed", delayed=421, reason="triplet found")


@virtual
async def test_nothing_is_read_up_from_a_store_that_does_not_remember_it() -> None:
    class Forgetful(ReadingStore):
        def known(self, table: str, key: bytes, now: float) -> Any:
            return UNREAD

    store = Forgetful()
    desk = Desk(store)
    for _ in range(3):
        assert at_once(desk) is None
        assert not await desk.greylister.read_up()
    assert len(store.reads) == len(set(store.reads))


@virtual
@pytest.mark.parametrize("error", [StoreError("broken"), None])
async def test_reading_up_from_a_store_that_fails_or_hangs_is_given_up(error: Exception | None) -> None:
    class Failing(UnreadStore):
        async def prefetch(self, wanted: Sequence[tuple[str, bytes]]) -> None:
            if error is not None:
                raise error
            await asyncio.sleep(1e6)

    desk = Desk(Failing())
    assert at_once(desk) is None
    begun = asyncio.get_running_loop().time()
    assert not await desk.greylister.read_up()
    assert asyncio.get_running_loop().time() - begun <= READ_PATIENCE


@virtual
async def test_a_first_success_that_has_to_be_rechecked_is_left_to_be_waited_for() -> None:
    desk = Desk()
    await desk.consider()
    before = (await desk.everything(), desk.counters.snapshot())
    desk.later(421)
    asked: list[int] = []

    def try_it(answer: bool) -> GreylistOutcome | None:
        return desk.greylister.try_consider(
            MAIL, record=True, suspicious=True, must_recheck=lambda waited: asked.append(waited) or answer
        )

    assert try_it(True) is None
    assert asked == [421]
    assert (await desk.everything(), desk.counters.snapshot()) == before
    assert try_it(False) == GreylistOutcome("passed", delayed=421, reason="triplet found")


@virtual
async def test_at_once_as_well_mail_passes_where_the_store_fails() -> None:
    class Full(MemoryStore):
        def put(self, *_: object) -> None:
            raise StoreError("full")

    desk = Desk(Full())
    assert desk.greylister.try_consider(MAIL, record=True, suspicious=True) == GreylistOutcome("skipped", reason="store failed")
    assert desk.counters.get("greylist_store_failures") == 1
