"""Greylisting's decisions and its records."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.greylist.decide import (
    DAY,
    HOUR,
    Client,
    GreylistRules,
    Triplet,
    decide,
    decode_client,
    decode_triplet,
    encode_client,
    encode_triplet,
    x_greylist,
)

T = 1_700_000_000
RULES = GreylistRules()
SECOND_MX = GreylistRules(delay=1)
NEVER = GreylistRules(auto_allow_after=0)


@pytest.mark.parametrize(
    ("now", "triplet", "client", "rules", "state", "reason", "missing", "delayed"),
    [
        (T, None, None, RULES, "new", "new", 300, 0),
        (T + 0.9, Triplet(T, T, False), None, RULES, "new", "new", 300, 0),
        (T + 127, Triplet(T, T, False), None, RULES, "early-retry", "early-retry (173s missing)", 173, 0),
        (T + 299.99, Triplet(T, T, False), None, RULES, "early-retry", "early-retry (1s missing)", 1, 0),
        (T + 300, Triplet(T, T + 9, False), None, RULES, "passed", "triplet found", 0, 300),
        (T + 421, Triplet(T, T, False), None, RULES, "passed", "triplet found", 0, 421),
        (T + 421, Triplet(T, T + 301, True), None, RULES, "known", "triplet found", 0, 0),
        # the retry window ends after its last second
        (T + 2 * DAY, Triplet(T, T, False), None, RULES, "passed", "triplet found", 0, 2 * DAY),
        (T + 2 * DAY + 1, Triplet(T, T + DAY, False), None, RULES, "new", "new", 300, 0),
        # a second MX on the same host: tried at once, in the next second by the clock
        (T + 0.99, None, None, SECOND_MX, "new", "new", 1, 0),
        (T + 1.0, Triplet(T, T, False), None, SECOND_MX, "passed", "triplet found", 0, 1),
        # clients that passed often
        (T, None, Client(5, T - DAY), RULES, "allowed", "client AWL", 0, 0),
        (T, None, Client(4, T - DAY), RULES, "new", "new", 300, 0),
        (T, None, Client(99, T - DAY), NEVER, "new", "new", 300, 0),
        # a clock set back: a first try in the future is a first try now, old friends stay friends
        (T, Triplet(T + 365 * DAY, T + 365 * DAY, False), None, RULES, "new", "new", 300, 0),
        (T, Triplet(T + 365 * DAY, T + 366 * DAY, True), None, RULES, "known", "triplet found", 0, 0),
        # a longer delay makes no strangers of them
        (T + 60, Triplet(T, T + 1, True), None, RULES, "known", "triplet found", 0, 0),
        (T, None, None, GreylistRules(delay=0), "passed", "triplet found", 0, 0),
    ],
)
def test_decision(
    now: float,
    triplet: Triplet | None,
    client: Client | None,
    rules: GreylistRules,
    state: str,
    reason: str,
    missing: int,
    delayed: int,
) -> None:
    outcome = decide(now, triplet, client, rules).outcome
    assert (outcome.state, outcome.reason, outcome.missing, outcome.delayed) == (state, reason, missing, delayed)


@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        (T, None, Triplet(T, T, False)),
        (T, Triplet(T, T, False), None),
        (T + 9, Triplet(T, T, False), Triplet(T, T + 9, False)),
        (T + 300, Triplet(T, T + 9, False), Triplet(T, T + 300, True)),
        # known ones are written again once an hour
        (T + 301, Triplet(T, T + 300, True), None),
        (T + 300 + HOUR, Triplet(T, T + 300, True), Triplet(T, T + 300 + HOUR, True)),
        (T - DAY, Triplet(T, T + 300, True), Triplet(T - DAY, T - DAY, True)),
        (T + 2 * DAY + 1, Triplet(T, T, False), Triplet(T + 2 * DAY + 1, T + 2 * DAY + 1, False)),
    ],
)
def test_triplet_written(now: int, before: Triplet | None, after: Triplet | None) -> None:
    assert decide(now, before, None, RULES).triplet == after


WAITED = Triplet(T - 300, T - 300, False)


@pytest.mark.parametrize(
    ("triplet", "before", "rules", "after"),
    [
        (WAITED, None, RULES, Client(1, T)),
        (WAITED, Client(1, T - HOUR), RULES, Client(2, T)),
        (WAITED, Client(1, T - HOUR + 1), RULES, None),
        (WAITED, Client(1, T + DAY), RULES, Client(2, T)),
        (WAITED, None, NEVER, None),
        (None, None, RULES, None),
        (Triplet(T - 300, T - 200, True), Client(1, T - DAY), RULES, None),
        # those who are allowed are counted on, so that they don't age
        (None, Client(5, T - HOUR), RULES, Client(6, T)),
        (None, Client(5, T - HOUR + 1), RULES, None),
        (None, Client(2**32 - 1, T - HOUR), RULES, Client(2**32 - 1, T)),
    ],
)
def test_client_written(triplet: Triplet | None, before: Client | None, rules: GreylistRules, after: Client | None) -> None:
    assert decide(T, triplet, before, rules).client == after


def test_records_live_as_long_as_they_count() -> None:
    waiting, passed = Triplet(T, T + 9, False), Triplet(T, T + 300, True)
    assert waiting.expires(RULES) == T + 9 + 2 * DAY + 1
    assert passed.expires(RULES) == T + 300 + 35 * DAY + 1
    assert Client(1, T).expires(RULES) == T + 35 * DAY + 1


@pytest.mark.parametrize(
    ("rules", "score", "seconds"),
    [
        (RULES, 100, 300),
        (GreylistRules(delay_per_point=0.25), 0, 300),
        (GreylistRules(delay_per_point=0.25), -8, 300),
        (GreylistRules(delay_per_point=0.25), 4, 600),
        (GreylistRules(delay=1, delay_per_point=0.25), 3, 1),
        # time is left to retry within the window, whatever the score
        (GreylistRules(delay_per_point=0.25), 1e9, DAY),
        (GreylistRules(delay=DAY, retry_window=DAY + 1, delay_per_point=1), 5, DAY),
        (GreylistRules(delay_per_point=0.25), 1e300, DAY),
    ],
)
def test_what_speaks_against_a_client_makes_it_wait_longer(rules: GreylistRules, score: float, seconds: int) -> None:
    assert rules.wait(score) == seconds
    assert decide(T, None, None, rules, score=score).outcome.missing == seconds
    assert decide(T + seconds - 1, Triplet(T, T, False), None, rules, score=score).outcome.state in ("early-retry", "new")
    assert decide(T + seconds, Triplet(T, T, False), None, rules, score=score).outcome.state == "passed"


def test_a_learnt_sender_waits_no_more() -> None:
    decision = decide(T, None, None, RULES, sender=Client(5, T - DAY), learns=True)
    assert (decision.outcome.state, decision.outcome.reason) == ("allowed", "sender AWL")
    assert (decision.triplet, decision.client, decision.sender) == (None, None, Client(6, T))
    assert decide(T, None, None, RULES, sender=Client(4, T - DAY), learns=True).outcome.state == "new"
    assert decide(T, None, None, NEVER, sender=Client(9, T - DAY), learns=True).outcome.state == "new"


@pytest.mark.parametrize(
    ("before", "learns", "after"),
    [
        (None, True, Client(1, T)),
        (None, False, None),
        (Client(2, T - HOUR), True, Client(3, T)),
        (Client(2, T - HOUR + 1), True, None),
    ],
)
def test_senders_are_learnt_as_clients_are(before: Client | None, learns: bool, after: Client | None) -> None:
    assert decide(T, WAITED, None, RULES, sender=before, learns=learns).sender == after
    assert decide(T, None, None, RULES, sender=before, learns=learns).sender is None


def test_short_max_age_is_refreshed_in_time() -> None:
    rules = GreylistRules(max_age=HOUR)
    assert decide(T + 450, Triplet(T - 300, T, True), None, rules).triplet == Triplet(T - 300, T + 450, True)


def test_golden_bytes() -> None:
    assert encode_triplet(Triplet(0x01020304, 0x05060708, True)) == bytes.fromhex("01 01 01020304 05060708")
    assert encode_triplet(Triplet(T, T, False)) == bytes.fromhex("01 00 6553f100 6553f100")
    assert encode_client(Client(5, 0x05060708)) == bytes.fromhex("01 00000005 05060708")


SECONDS = st.integers(0, 2**32 - 1)
TRIPLETS = st.builds(Triplet, SECONDS, SECONDS, st.booleans())
CLIENTS = st.builds(Client, SECONDS, SECONDS)


@given(TRIPLETS, CLIENTS)
def test_records_come_back(triplet: Triplet, client: Client) -> None:
    assert decode_triplet(encode_triplet(triplet)) == triplet
    assert decode_client(encode_client(client)) == client


@given(st.binary(max_size=24))
def test_damaged_records_are_absent_or_whole(octets: bytes) -> None:
    triplet, client = decode_triplet(octets), decode_client(octets)
    assert triplet is None or encode_triplet(triplet) == octets
    assert client is None or encode_client(client) == octets


@pytest.mark.parametrize("octets", ["", "01", "02 00 6553f100 6553f100", "01 02 6553f100 6553f100", "01 00 6553f100 6553f100 00"])
def test_other_versions_and_states_are_absent(octets: str) -> None:
    assert decode_triplet(bytes.fromhex(octets)) is None


@given(st.floats(-1e12, 1e12), st.none() | TRIPLETS, st.none() | CLIENTS, st.integers(1, 3600))
def test_nobody_waits_longer_than_delay_whatever_the_clock_did(
    now: float, triplet: Triplet | None, client: Client | None, delay: int
) -> None:
    """From any state, at any reading of the clock: refused once more at the most, by a sender who waits as told."""
    rules = GreylistRules(delay=delay)
    first = decide(now, triplet, client, rules)
    assert 0 <= first.outcome.missing <= delay
    for changed in (first.triplet, first.client):
        if changed is not None:
            encode = encode_triplet if isinstance(changed, Triplet) else encode_client
            encode(changed)  # type: ignore[arg-type]
    if first.outcome.missing and 0 <= now < 2**32 - 3601:
        again = decide(now + first.outcome.missing, first.triplet or triplet, first.client or client, rules)
        assert again.outcome.state == "passed"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (datetime(2017, 4, 8, 1, 7, 58, tzinfo=timezone(timedelta(hours=2), "CEST")), "Sat, 08 Apr 2017 01:07:58 CEST"),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "Thu, 31 Dec 2026 23:59:59 UTC"),
    ],
)
def test_x_greylist(date: datetime, expected: str) -> None:
    header = x_greylist(421, "0.1.0", "mx.example.org", date)
    assert header == f"X-Greylist: delayed 421 seconds by resolverd-0.1.0 at mx.example.org; {expected}"
