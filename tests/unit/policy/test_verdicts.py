"""Verdicts kept in the store for a week: found by reference and by client, bounded, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from stores import keys
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.failures import StoreError
from resolverd.mail.findings import (
    Action,
    Consequence,
    Data,
    Evidence,
    Finding,
    GreylistOutcome,
    SmtpReply,
    Verdict,
    WhatIf,
)
from resolverd.mail.lookups import DnsLookup, Records
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy import verdict_records
from resolverd.policy import verdicts as module
from resolverd.policy.evidence import piece
from resolverd.policy.verdict_records import StoredVerdict, decode, decode_page, encode, kept_attempt
from resolverd.policy.verdicts import BY_TIME, KEPT_FOR, PAGE, PAGE_OCTETS, TABLE, VerdictStore
from resolverd.servers.http.dump_format import MAX_VALUE
from resolverd.state.base import Entry
from resolverd.state.disk.opening import open_store
from resolverd.state.disk.recovery import MAX_OCTETS
from resolverd.state.memory import MemoryStore
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import from_text
from resolverd.wire.rdata import text

DAY = 86400.0
FULL = Verdict(
    "ABCDEFGHJK",
    Action.REJECT,
    6.5,
    "listed by zen.spamhaus.org",
    (
        Finding(
            "dnsbl", "dnsbl_listed", "listed «ü»", 6.5, Consequence.REJECT, SmtpReply(554, "5.7.1", "Service unavailable"),
            "https://example.org", (Evidence("2.0.0.127.zen", "127.0.0.2", 12, 3), Evidence("x", "y")), 4,
        ),
        Finding("ptr", "ptr_ok", "ok"),
    ),
    SmtpReply(554, "5.7.1", "Service unavailable; ref ABCDEFGHJK"),
    GreylistOutcome("early-retry", 173, 0, "early-retry (173s missing)"),
    "X-Resolverd: y",
    True,
    17,
    (WhatIf(("dnsbl_listed",), Action.ACCEPT, ""), WhatIf((), Action.GREYLIST, "in an hour")),
    ip_address("2001:db8::7"),
)  # fmt: skip
VERSION_1 = bytes.fromhex(
    "019daa41424344454647484a4ba672656a656374cb401a000000000000ba6c6973746564206279207a656e2e7370616d686175732e6f7267929ba564"
    "6e73626cac646e73626c5f6c6973746564ad6c697374656420c2abc3bcc2bbcb401a000000000000a672656a65637493cd022aa5352e372e31b35365"
    "727669636520756e617661696c61626c65b368747470733a2f2f6578616d706c652e6f72679294ad322e302e302e3132372e7a656ea93132372e302e"
    "302e320c0394a178a179c0c004a4583a207992a8677265796c697374a12a9ba3707472a67074725f6f6ba26f6b00c0c0a09000a09093cd022aa5352e"
    "372e31d9235365727669636520756e617661696c61626c653b207265662041424344454647484a4b94ab6561726c792d7265747279ccad00ba656172"
    "6c792d7265747279202831373373206d697373696e6729ae582d5265736f6c766572643a2079c311929391ac646e73626c5f6c6973746564a6616363"
    "657074a09390a8677265796c697374aa696e20616e20686f7572c41020010db8000000000000000000000007cb41dad27480100000"
)
"""`FULL`, given at 1 800 000 000.25, as the first version has written it."""


ATTEMPT = Attempt(client_name="mail.example", helo_name="helo.example", sender="a@example.org", recipient="b@example.com")
KEPT = kept_attempt(ATTEMPT)


def verdict(ref: str, client: str | None = "192.0.2.7", reason: str = "") -> Verdict:
    return Verdict(ref, Action.ACCEPT, 0, reason, client=None if client is None else ip_address(client))

VERSION_2 = bytes.fromhex(
    "029eaa41424344454647484a4ba672656a656374cb401a000000000000ba6c6973746564206279207a656e2e7370616d686175732e6f72679299a564"
    "6e73626cac646e73626c5f6c6973746564ad6c697374656420c2abc3bcc2bbcb401a000000000000a672656a65637493cd022aa5352e372e31b35365"
    "727669636520756e617661696c61626c65b368747470733a2f2f6578616d706c652e6f72679294ad322e302e302e3132372e7a656ea93132372e302e"
    "302e320c0394a178a179c0c00499a3707472a67074725f6f6ba26f6b00c0c0a0900093cd022aa5352e372e31d9235365727669636520756e61766169"
    "6c61626c653b207265662041424344454647484a4b94ab6561726c792d7265747279ccad00ba6561726c792d7265747279202831373373206d697373"
    "696e6729ae582d5265736f6c766572643a2079c311929391ac646e73626c5f6c6973746564a6616363657074a09390a8677265796c697374aa696e20"
    "616e20686f7572c41020010db8000000000000000000000007cb41dad2748010000097ac6d61696c2e6578616d706c65a0ac68656c6f2e6578616d70"
    "6c65ad61406578616d706c652e6f7267ad62406578616d706c652e636f6da452435054c2"
)
"""The same on `KEPT`, as the second version has."""


class Crowded(MemoryStore):
    """A store that has no room for what can be done without, or fails at every put."""

    room = True
    fails = False

    def has_room(self) -> bool:
        return self.room

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        if self.fails:
            raise StoreError("full")
        super().put(table, key, value, expires)


async def stored(store: MemoryStore) -> list[str]:
    """The references that the store has, in order, each page with its octets."""
    pages = [entry async for entry in store.scan(BY_TIME, 0)]
    assert await keys(store, TABLE, 0) == [entry.key for entry in pages]
    return sorted(each.id for entry in pages for each in decode_page(entry.value))


def opened(store: MemoryStore | None = None, counters: Counters | None = None) -> VerdictStore:
    return VerdictStore(store or MemoryStore(), VirtualClock(), counters or Counters())


# -- their form


def with_evidence(*evidence: Evidence) -> Verdict:
    return replace(FULL, findings=(FULL.findings[0]._replace(evidence=evidence),))


def test_evidence_is_kept_as_it_came_and_comes_back_in_words() -> None:
    txt, ptr = DnsLookup(from_text("a.example"), codes.TXT), DnsLookup(from_text("7.2.0.192.in-addr.arpa"), codes.PTR)
    names = Data((from_text("mail.example"),), 2)
    given = with_evidence(Evidence(txt, Data((text(b"v=spf1 -all"),), 0), 7, 3), Evidence(ptr, names), Evidence("x", "y"))
    found = decode(encode(given, 1000), 1000)
    assert found is not None
    assert found.verdict == with_evidence(
        Evidence("a.example TXT", '"v=spf1 -all"', 7, 3),
        Evidence("7.2.0.192.in-addr.arpa PTR", "mail.example and 2 more"),
        Evidence("x", "y"),
    )
    for bad in (b"", b"\x09mail", b"\xc0\x00"):
        damaged = encode(with_evidence(Evidence(ptr._replace(name=bad), Data((bad,), 0))), 1000)
        decode(damaged, 1000)  # whatever it says, it does not raise


def test_of_a_long_answer_only_its_words_are_kept() -> None:
    lookup = DnsLookup(from_text("a.example"), codes.TXT)
    for octets, is_kept in ((bounds.EVIDENCE_OCTETS // 2, True), (bounds.EVIDENCE_OCTETS, False)):
        found = piece(lookup, Records((text(*[b"x" * 100] * (octets // 100)),), 300))
        assert isinstance(found.reply, Data) is is_kept
        assert len(found.answered) <= 200
        assert found.answered.startswith('"xxx')


@pytest.mark.parametrize("given", [FULL, verdict("A"), verdict("A", None), verdict("A", "192.0.2.255")])
def test_every_field_comes_back(given: Verdict) -> None:
    found = decode(encode(given, 1000.5, attempt=KEPT), 1010.5)
    assert found is not None
    assert found == StoredVerdict(given, 10, KEPT)
    assert type(found.verdict.action) is Action
    assert all(type(each.consequence) in (Consequence, type(None)) for each in found.verdict.findings)


def test_what_earlier_versions_have_written_is_read() -> None:
    assert decode(VERSION_1, 1_800_000_001.25) == StoredVerdict(FULL, 1, None)
    assert decode(VERSION_2, 1_800_000_001.25) == StoredVerdict(FULL, 1, KEPT)


def test_damaged_octets_are_no_verdict() -> None:
    octets = encode(FULL, 1000)
    whole = [octets[:count] for count in range(len(octets))] + [octets + b"x", b"\3" + octets[1:], b"\1\xc0", b"\xff" * 100]
    whole += [encode(verdict("A"), 1).replace(b"accept", b"accord")]
    assert [decode(each, 1000) for each in whole] == [None] * len(whole)
    turned = [octets[:at] + bytes([octets[at] ^ 0x55]) + octets[at + 1 :] for at in range(len(octets))]
    for each in turned:
        decode(each, 1000)  # whatever it says, it does not raise


def test_a_clock_set_back_makes_no_verdict_of_the_future() -> None:
    found = decode(encode(FULL, 1000), 900)
    assert found is not None
    assert found.age == 0


@virtual
async def test_half_a_surrogate_pair_is_kept_as_a_question_mark() -> None:
    kept = opened()
    told = verdict("A", reason="HELO \ud800")
    kept.put(replace(told, greylist=GreylistOutcome("new", reason="of \ud800")), ATTEMPT)
    assert kept.write()
    found = await kept.get("A")
    assert found is not None
    assert found.reason == "HELO ?"
    assert found.greylist == GreylistOutcome("new", reason="of ?")


@virtual
async def test_findings_that_verdicts_share_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VERDICT_FINDINGS", 2)
    made: list[int] = []
    encode_findings = module.encode_findings
    monkeypatch.setattr(module, "encode_findings", lambda findings: made.append(1) or encode_findings(findings))
    kept = opened()
    different = [(FULL.findings[0],), (FULL.findings[1],), FULL.findings]
    for number in range(12):
        kept.put(replace(FULL, id=f"A{number}", score=number, findings=different[number // 4]), ATTEMPT)
    assert len(made) == 3
    for number in range(12):  # each a tuple of its own, which may lie where one before it lay
        kept.put(replace(FULL, id=f"B{number}", findings=(*different[number % 3],)), ATTEMPT)
    assert len(kept._encoded) == 2
    assert kept.write()
    for number in range(12):
        found = await kept.get(f"A{number}")
        assert found == replace(FULL, id=f"A{number}", score=number, findings=different[number // 4])
        found = await kept.get(f"B{number}")
        assert found is not None
        assert found.findings == different[number % 3]


# -- finding them


@virtual
async def test_found_by_reference_before_and_after_it_is_written() -> None:
    kept = opened()
    kept.put(FULL, ATTEMPT)
    assert await kept.get(FULL.id) == FULL
    assert kept.write()
    assert await kept.get(FULL.id) == FULL
    for nobody in ("", "NOBODY", "a\0b", "\ud800", "x" * 5000):
        assert await kept.get(nobody) is None


@virtual
@pytest.mark.parametrize("written", [True, False])
async def test_for_seven_days(written: bool) -> None:
    kept = opened()
    kept.put(FULL, ATTEMPT)
    if written:
        kept.write()
    await asyncio.sleep(KEPT_FOR - 1)
    assert await kept.get(FULL.id) == FULL
    await asyncio.sleep(2)
    assert await kept.get(FULL.id) is None
    assert await kept.last_on(ip_address("2001:db8::7")) is None


@virtual
async def test_the_last_on_a_client() -> None:
    kept = opened()
    kept.put(verdict("A"), ATTEMPT)
    kept.put(verdict("B", "192.0.2.8"), ATTEMPT)
    kept.write()
    await asyncio.sleep(5)
    kept.put(verdict("C"), ATTEMPT)
    await asyncio.sleep(3)
    kept.put(verdict("D"), ATTEMPT, dry=True)
    kept.put(verdict("E", None), ATTEMPT)
    for _ in range(2):
        assert await kept.last_on(ip_address("192.0.2.7")) == StoredVerdict(verdict("C"), 3, KEPT)
        assert await kept.last_on(ip_address("192.0.2.8")) == StoredVerdict(verdict("B", "192.0.2.8"), 8, KEPT)
        assert await kept.last_on(ip_address("192.0.2.9")) is None
        kept.write()


@virtual
async def test_they_are_written_by_themselves_within_a_second() -> None:
    store = MemoryStore()
    kept = opened(store)
    running = asyncio.create_task(kept.run())
    for ref in ("A", "B"):
        kept.put(verdict(ref), ATTEMPT)
        await asyncio.sleep(0.75)  # the store itself takes 0.25
        assert ref in await stored(store)
    running.cancel()


async def test_they_outlive_the_process(tmp_path: Path) -> None:
    clock = SystemClock()
    store = await open_store(tmp_path, Counters())
    before = VerdictStore(store, clock, Counters())
    for number in range(5):
        before.put(verdict(f"A{number}", f"192.0.2.{number % 2}"), ATTEMPT)
        before.write()
    before.put(FULL, ATTEMPT)
    before.write()
    await store.close()

    store = await open_store(tmp_path, Counters())
    after = VerdictStore(store, clock, Counters())
    assert await after.get(FULL.id) == FULL
    await after._take_up()
    for client, ref in ((0, "A4"), (1, "A3")):
        last = await after.last_on(ip_address(f"192.0.2.{client}"))
        assert last is not None
        assert last.verdict.id == ref
    await store.close()


@virtual
async def test_what_is_known_by_now_is_not_pushed_aside_by_what_was_before() -> None:
    store = MemoryStore()
    before = opened(store)
    before.put(verdict("A"), ATTEMPT)
    before.write()
    after = opened(store)
    after.put(verdict("B"), ATTEMPT)
    await after._take_up()
    last = await after.last_on(ip_address("192.0.2.7"))
    assert last is not None
    assert last.verdict.id == "B"


@virtual
async def test_the_youngest_first() -> None:
    store = MemoryStore()
    kept = opened(store)
    for number in range(PAGE + 20):
        kept.put(verdict(f"A{number:04}"), ATTEMPT)
        if number % 30 == 0:
            kept.write()
        await asyncio.sleep(60)
    kept.write()
    pages = [decode_page(entry.value) async for entry in store.scan(BY_TIME, kept._clock.wall())]
    assert [each.id for page in pages for each in reversed(page)] == [f"A{number:04}" for number in reversed(range(PAGE + 20))]


def before_pages(store: MemoryStore, refs: list[str], at: float) -> None:
    """Write verdicts down as earlier versions did, each under its reference."""
    given = [encode(verdict(ref), at) for ref in refs]
    for ref, octets in zip(refs, given, strict=True):
        store.put(TABLE, ref.encode(), octets, at + KEPT_FOR)
    references = [(ref, b"\xc0\0\2\7", len(octets)) for ref, octets in zip(refs, given, strict=True)]
    store.put(BY_TIME, b"\xff%d" % int(at), b"\1" + verdict_records._encode(references), at + KEPT_FOR)


@virtual
async def test_those_of_earlier_versions_are_found_and_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VERDICTS", 3)
    store = MemoryStore()
    before_pages(store, ["A", "B"], opened()._clock.wall())
    kept = opened(store)
    assert [await kept.get(ref) for ref in "AB"] == [verdict("A"), verdict("B")]
    assert await kept.last_on(ip_address("192.0.2.7")) == StoredVerdict(verdict("B"), 0)
    kept.put(verdict("C"), ATTEMPT)
    kept.write()
    assert [await kept.get(ref) for ref in "ABC"] == [verdict("A"), verdict("B"), verdict("C")]
    kept.put(verdict("D"), ATTEMPT)
    kept.write()
    assert [await kept.get(ref) for ref in "ABCD"] == [None, None, verdict("C"), verdict("D")]
    assert await stored(store) == ["C", "D"]


@virtual
async def test_those_written_together_are_one_record_that_can_be_recovered() -> None:
    store = MemoryStore()
    kept = opened(store)
    for number in range(30):
        kept.put(verdict(f"A{number:02}", reason="x" * 3_000), ATTEMPT)
    kept.write()
    sizes = [len(entry.value) async for entry in store.scan(TABLE, 0)]
    assert len(sizes) == 4
    assert max(sizes) <= MAX_OCTETS
    # A full page fits what a dump is loaded by, with the frame around its verdicts.
    assert PAGE_OCTETS + 5 * (PAGE + 1) <= MAX_VALUE
    assert [(await kept.get(f"A{number:02}") or FULL).id for number in range(30)] == [f"A{number:02}" for number in range(30)]


@virtual
async def test_where_those_of_before_cannot_be_taken_up_they_are_looked_for_again() -> None:
    class Failing(MemoryStore):
        fails = True

        def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
            if self.fails:
                raise StoreError("not now")
            return super().scan(table, now, start)

    store = Failing()
    before = opened(store)
    before.put(FULL, ATTEMPT)
    before.write()
    kept = opened(store)
    running = asyncio.create_task(kept.run())
    kept.put(verdict("A"), ATTEMPT)
    await asyncio.sleep(1)
    with pytest.raises(StoreError):
        await kept.get(FULL.id)
    store.fails = False
    assert await kept.get(FULL.id) == FULL
    assert await kept.get("A") == verdict("A")
    assert (len(kept._written), kept._count) == (2, 2)
    running.cancel()


# -- damage


@virtual
async def test_a_damaged_record_is_none_and_counted() -> None:
    store, counters = MemoryStore(), Counters()
    kept = opened(store, counters)
    kept.put(FULL, ATTEMPT)
    kept.write()
    until = kept._clock.wall() + 1000
    [page] = await keys(store, TABLE)
    other = verdict_records.encode_together([encode(verdict("OTHER"), 1)])
    for damaged in (b"", b"\1", encode(FULL, 1), b"\x90", b"\x91\xc4\x00", other):
        store.put(TABLE, page, damaged, until)
        assert await kept.get(FULL.id) is None
        assert await kept.last_on(ip_address("2001:db8::7")) is None
    assert counters.get("verdict_damaged_records") == 12
    store.delete(TABLE, page)
    assert await kept.get(FULL.id) is None


@virtual
async def test_damaged_pages_are_passed_over() -> None:
    store = MemoryStore()
    kept = opened(store)
    kept.put(FULL, ATTEMPT)
    kept.write()
    for number, octets in enumerate((b"", b"\1", b"\1\x93", b"\2\x90", b"\1\x91\x93\xa1A\xc4\x01\x01\xff")):
        store.put(BY_TIME, b"\0%d" % number, octets, kept._clock.wall() + 10)
    after = opened(store)
    await after._take_up()
    last = await after.last_on(ip_address("2001:db8::7"))
    assert last is not None
    assert last.verdict == FULL


@virtual
async def test_a_verdict_that_cannot_be_encoded_is_told_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    kept = opened(counters=counters)
    kept.put(replace(verdict("A"), score=object()), ATTEMPT)  # type: ignore[arg-type]
    assert await kept.get("A") is None
    assert counters.get("bugs", where="verdicts") == 1
    assert "verdict A is not kept" in caplog.text


# -- a store without room, one that fails, one that is closed


@virtual
async def test_without_room_in_the_store_they_wait_in_memory_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VERDICTS_UNWRITTEN", 20)
    store, counters = Crowded(), Counters()
    kept = opened(store, counters)
    running = asyncio.create_task(kept.run())
    store.room = False
    for number in range(30):
        kept.put(verdict(f"A{number}"), ATTEMPT)
        await asyncio.sleep(1)
    assert await store.tables() == []
    assert [await kept.get(f"A{number}") is not None for number in range(30)] == [number >= 10 for number in range(30)]
    assert counters.get("verdicts_lost") == 10
    store.room = True
    await asyncio.sleep(module.RETRY_INTERVAL + 1)
    assert await stored(store) == [f"A{number}" for number in range(10, 30)]
    running.cancel()


@virtual
async def test_a_store_that_fails_loses_none_that_memory_holds() -> None:
    store = Crowded()
    kept = opened(store)
    store.fails = True
    kept.put(FULL, ATTEMPT)
    assert not kept.write()
    assert await kept.get(FULL.id) == FULL
    store.fails = False
    assert kept.write()
    assert len(await keys(store, BY_TIME, 0)) == 1
    await store.close()
    kept.put(verdict("A"), ATTEMPT)
    assert not kept.write()
    assert await kept.get("A") == verdict("A")
    with pytest.raises(StoreError):
        await kept.get(FULL.id)


@virtual
async def test_a_store_that_hangs_holds_up_no_verdict() -> None:
    class Hanging(MemoryStore):
        async def get(self, table: str, key: bytes, now: float) -> bytes | None:
            await asyncio.sleep(1e9)
            raise AssertionError

    kept = opened(Hanging())
    kept.put(FULL, ATTEMPT)
    assert kept.write()
    reading = asyncio.ensure_future(kept.get(FULL.id))
    assert (await asyncio.wait({reading}, timeout=60))[0] == set()
    reading.cancel()
    kept.put(verdict("A"), ATTEMPT)
    assert await kept.get("A") == verdict("A")


# -- bounds


@virtual
@pytest.mark.parametrize("restarted", [True, False])
async def test_their_number_is_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch, restarted: bool) -> None:
    monkeypatch.setattr(bounds, "VERDICTS", 10)
    store = MemoryStore()
    kept = opened(store)
    for number in range(30):
        kept.put(verdict(f"A{number:02}"), ATTEMPT)
        kept.write()
        if restarted:
            kept = opened(store)
            await kept._take_up()
        await asyncio.sleep(1)
    assert await stored(store) == [f"A{number}" for number in range(20, 30)]
    assert len(await keys(store, BY_TIME, 0)) == 10
    assert await kept.get("A19") is None


@virtual
async def test_their_octets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "VERDICT_OCTETS", 50_000)
    store = MemoryStore()
    kept = opened(store)
    for number in range(30):
        kept.put(verdict(f"A{number:02}", reason="x" * 9_000), ATTEMPT)
        kept.write()
        await asyncio.sleep(1)
    assert await stored(store) == [f"A{number}" for number in range(25, 30)]


@virtual
async def test_trials_stay_in_memory_and_push_nothing_out() -> None:
    store = MemoryStore()
    kept = opened(store)
    kept.put(FULL, ATTEMPT)
    for number in range(bounds.VERDICTS_DRY + 100):
        kept.put(verdict(f"D{number}"), ATTEMPT, dry=True)
    assert kept.write()
    assert await stored(store) == [FULL.id]
    assert await kept.get("D99") is None
    assert await kept.get("D100") == verdict("D100")


@virtual
async def test_clients_found_by_address_are_bounded() -> None:
    kept = opened()
    for number in range(bounds.VERDICT_CLIENTS + 10):
        kept.put(verdict(f"A{number}", str(ip_address(number + 2**31))), ATTEMPT)
    assert len(kept._last) == bounds.VERDICT_CLIENTS
    assert await kept.last_on(ip_address(2**31 + 9)) is None
    assert await kept.last_on(ip_address(2**31 + bounds.VERDICT_CLIENTS + 9)) is not None
