"""The history of verdicts: what is kept of attempts, what is wanted, and going back through what is kept."""

import asyncio
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.history import Mailbox, Wanted
from resolverd.policy.verdict_records import (
    KeptAttempt,
    Summary,
    encode,
    kept_attempt,
    summarised,
    summary,
)
from resolverd.policy.verdicts import BY_TIME, KEPT_FOR, TABLE, VerdictStore
from resolverd.pseudonyms import Pseudonyms
from resolverd.state.memory import MemoryStore

ATTEMPT = Attempt(
    client_name="mail.example.net", reverse_client_name="rev.example.net", helo_name="helo.example.net",
    sender="Ann@News.Example.org", recipient="bob@example.com",
)  # fmt: skip
KEPT = kept_attempt(ATTEMPT)
LISTED = Finding(
    "dnsbl", "dnsbl_listed", "Client host [192.0.2.7] blocked using zen.spamhaus.org", 6, Consequence.REJECT,
    evidence=(Evidence("192.0.2.7 in zen.spamhaus.org", "listed, as 127.0.0.2"),),
)  # fmt: skip
UNCOUNTED = Finding("dnsbl", "dnsbl_uncounted", "", evidence=(Evidence("192.0.2.7 in mine", "listed"),))
CLEAR = Finding("dnsbl", "dnsbl_clear", "", evidence=(Evidence("192.0.2.7 in psbl.surriel.com", "not listed"),))
REFUSED = Verdict(
    "REF1", Action.REJECT, 6, "blocked using Zen", (LISTED, UNCOUNTED, CLEAR), client=ip_address("192.0.2.7"), ms=3
)
SUMMARY = summarised(REFUSED, KEPT, 1000.5)


def test_a_summary_is_read_as_it_was_made() -> None:
    assert summary(encode(REFUSED, 1000.5, attempt=KEPT)) == SUMMARY
    assert SUMMARY.codes == ("dnsbl_listed",)
    assert SUMMARY.neutral == ("dnsbl_uncounted", "dnsbl_clear")
    assert SUMMARY.lists == ("zen.spamhaus.org", "mine")


def test_of_damaged_octets_there_is_no_summary() -> None:
    octets = encode(REFUSED, 1000.5, attempt=KEPT)
    assert [summary(each) for each in (*(octets[:count] for count in range(len(octets))), b"\3" + octets[1:])] == [None] * (
        len(octets) + 1
    )


def test_what_is_kept_of_an_attempt_is_bounded_and_names_nobody_where_that_is_wanted() -> None:
    long = kept_attempt(Attempt(helo_name="h" * 4000, sender="s" * 4000, has_sender=False))
    assert (len(long.helo_name), long.sender) == (bounds.VERDICT_ATTRIBUTE, None)
    pseudonyms = Pseudonyms(b"key")
    hidden = kept_attempt(ATTEMPT, pseudonyms)
    assert hidden.sender == pseudonyms.of(ATTEMPT.sender)
    assert hidden.nameless
    assert not [each for each in hidden[:5] if not each or "example" in each]
    assert hidden.hashed(pseudonyms) is hidden
    assert KEPT.hashed(pseudonyms) == hidden


def wanted(**what: Any) -> Wanted:
    return Wanted(**{"since": 0, "until": 2000, **what})


@pytest.mark.parametrize(
    ("what", "has"),
    [
        ({}, True),
        ({"since": 1000.5, "until": 1000.5}, True),
        ({"since": 1000.6}, False),
        ({"until": 1000.4}, False),
        ({"action": Action.REJECT}, True),
        ({"action": Action.ACCEPT}, False),
        ({"client": ip_network("192.0.2.7")}, True),
        ({"client": ip_network("192.0.2.0/24")}, True),
        ({"client": ip_network("192.0.3.0/24")}, False),
        ({"client": ip_network("::/0")}, False),
        ({"client": ip_network("0.0.0.0/0")}, True),
        ({"code": "dnsbl_listed"}, True),
        ({"code": "dnsbl_clear"}, True),
        ({"code": "dnsbl"}, False),
        ({"listed_by": "zen.spamhaus.org"}, True),
        ({"listed_by": "psbl.surriel.com"}, False),
        ({"text": "zen"}, True),
        ({"text": "ann@news"}, True),
        ({"text": "ref1"}, True),
        ({"text": "192.0.2.7"}, True),
        ({"text": "nowhere"}, False),
    ],
)
def test_what_is_wanted(what: dict[str, Any], has: bool) -> None:
    assert wanted(**what).has(SUMMARY) is has


@pytest.mark.parametrize(
    ("given", "kept", "has"),
    [
        ("ann@news.example.org", "Ann@News.Example.org", True),
        ("<ANN@news.example.org>", "Ann@News.Example.org", True),
        ("bob@news.example.org", "Ann@News.Example.org", False),
        ("news.example.org", "Ann@News.Example.org", True),
        ("@news.example.org", "Ann@News.Example.org", True),
        ("example.org", "Ann@News.Example.org", True),
        ("ample.org", "Ann@News.Example.org", False),
        ("<>", "", True),
        ("", "", True),
        ("<>", "a@b.example", False),
        ("<>", None, False),
        ("b.example", None, False),
    ],
)
def test_whose_mail_is_wanted(given: str, kept: str | None, has: bool) -> None:
    assert Mailbox.of(given, None).has(kept) is has


def test_an_address_is_found_under_its_hash() -> None:
    pseudonyms = Pseudonyms(b"key")
    hidden = kept_attempt(ATTEMPT, pseudonyms)
    assert Mailbox.of("Ann@news.example.org", pseudonyms).has(hidden.sender)
    assert not Mailbox.of("other@news.example.org", pseudonyms).has(hidden.sender)
    assert Mailbox.of(ATTEMPT.sender, pseudonyms).has(ATTEMPT.sender)  # kept before nobody was to be named


def test_what_decides_nothing_is_no_verdict_of_the_history() -> None:
    at_data = SUMMARY._replace(attempt=KEPT._replace(protocol_state="DATA"))
    before = SUMMARY._replace(attempt=None)
    assert [wanted().has(each) for each in (at_data, before, before._replace(reason="nothing to decide at DATA"))] == [
        False, True, False,
    ]  # fmt: skip
    assert not wanted(sender=Mailbox("")).has(before)


# -- going back


def verdict(ref: str, client: str = "192.0.2.7", reason: str = "") -> Verdict:
    return Verdict(ref, Action.ACCEPT, 0, reason, client=ip_address(client))


class Watched(MemoryStore):
    read = 0

    async def get(self, table: str, key: bytes, now: float) -> bytes | None:
        if table == TABLE:
            self.read += 1
        return await super().get(table, key, now)


async def back(kept: VerdictStore, after: str = "", since: float = 0, until: float = float("inf"), client: str = "") -> list[str]:
    octets = ip_address(client).packed if client else b""
    some = kept.back(after, since, until, (lambda each: each == octets) if client else None)
    found = [summary(each.octets) async for part in some for each in part]
    return [each.id for each in found if each is not None]


def opened(store: MemoryStore | None = None) -> VerdictStore:
    return VerdictStore(store or MemoryStore(), VirtualClock(), Counters())


@virtual
async def test_the_newest_come_first_and_each_place_is_found_again() -> None:
    kept, order = opened(), [f"A{number:02}" for number in range(30)]
    for number, ref in enumerate(order):
        kept.put(verdict(ref), ATTEMPT)
        await asyncio.sleep(1)
        if number % 10 == 9 and number < 29:
            kept.write()
    kept.put(verdict("DRY"), ATTEMPT, dry=True)
    assert await back(kept) == order[::-1]
    for number, ref in enumerate(order):
        assert await back(kept, ref) == order[:number][::-1]
    kept.write()
    assert await back(kept) == order[::-1]
    assert await back(kept, "A25") == order[:25][::-1]
    with pytest.raises(KeyError):
        await back(kept, "GONE")


@virtual
async def test_after_a_restart_it_goes_on() -> None:
    store = MemoryStore()
    before = opened(store)
    for ref in "ABC":
        before.put(verdict(ref), ATTEMPT)
        await asyncio.sleep(1)
        before.write()
    after = opened(store)
    assert await back(after, "C") == ["B", "A"]
    after.put(verdict("D"), ATTEMPT)
    assert await back(after) == ["D", "C", "B", "A"]


@virtual
async def test_pages_that_cannot_hold_what_is_wanted_are_not_read() -> None:
    store = Watched()
    kept = opened(store)
    begun = kept._clock.wall()
    for number in range(20):
        kept.put(verdict(f"A{number:02}", f"192.0.2.{number % 20}"), ATTEMPT)
        if number % 2:
            kept.write()
        await asyncio.sleep(10)
    assert await back(kept, client="192.0.2.7") == ["A07"]
    assert store.read == 1
    assert await back(kept, client="192.0.2.99") == []
    assert store.read == 1
    assert {"A10", "A11"} <= set(await back(kept, since=begun + 100, until=begun + 115))
    assert store.read <= 4
    assert "A00" in await back(kept, until=begun)
    assert store.read <= 6


@virtual
async def test_what_is_gone_or_damaged_is_left_out() -> None:
    store = MemoryStore()
    kept = opened(store)
    for ref in "ABC":
        kept.put(verdict(ref), ATTEMPT)
        kept.write()
        await asyncio.sleep(1)
    [newest, middle, _] = [entry.key async for entry in store.scan(BY_TIME, 0)]
    store.put(TABLE, middle, b"\xff", kept._clock.wall() + 10)
    assert await back(kept) == ["C", "A"]
    store.delete(TABLE, newest)
    assert await back(kept) == ["A"]
    await asyncio.sleep(KEPT_FOR)
    assert await back(kept) == []


def test_the_summary_of_what_earlier_versions_have_written() -> None:
    octets = encode(REFUSED, 1000.5)
    assert summary(b"\1" + octets[1:]) == SUMMARY._replace(attempt=None)
    assert isinstance(SUMMARY, Summary)
    assert isinstance(KEPT, KeptAttempt)
