"""What is known of servers: patience, choice, death and resurrection, what they cope with; all bounded and forgotten in time."""

from collections import Counter
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.recursion.capabilities import Capabilities, Feature
from resolverd.recursion.servers import Servers
from resolverd.recursion.tries import Tries
from resolverd.wire.ask import Transport
from resolverd.wire.names import from_text

A, B, C = (IPv4Address(f"45.0.0.{number}") for number in (1, 2, 3))


def test_a_stranger_gets_the_first_patience() -> None:
    servers = Servers()
    assert servers.timeout(A, 0.0) == bounds.FIRST_TIMEOUT
    assert not servers.is_dead(A, 0.0)
    assert all(servers.capabilities.bears(A, each, 0.0) for each in Feature)
    assert not any(servers.capabilities.has_shown(A, each, 0.0) for each in Feature)
    assert len(servers) == len(servers.capabilities) == 0, "asking about somebody is no reason to remember him"


@given(st.lists(st.one_of(st.floats(0.0001, 3.0), st.none()), max_size=30))
def test_patience_stays_within_its_bounds(replies: list[float | None]) -> None:
    servers = Servers()
    for rtt in replies:
        if rtt is None:
            servers.silent(A, 0.0)
        else:
            servers.answered(A, rtt, 0.0)
        assert bounds.MIN_TIMEOUT <= servers.timeout(A, 0.0) <= bounds.MAX_TIMEOUT


def test_patience_follows_the_round_trip_times() -> None:
    servers = Servers()
    servers.answered(A, 0.2, 0.0)
    assert servers.timeout(A, 0.0) == pytest.approx(0.2 + 4 * 0.1)
    for _ in range(50):
        servers.answered(A, 0.2, 0.0)
    assert 0.2 < servers.timeout(A, 0.0) < 0.21
    for _ in range(50):
        servers.answered(A, 0.001, 0.0)
    assert servers.timeout(A, 0.0) == bounds.MIN_TIMEOUT


def test_silence_doubles_patience_and_an_answer_restores_it() -> None:
    servers = Servers()
    seen = []
    for _ in range(6):
        servers.silent(A, 0.0)
        seen.append(servers.timeout(A, 0.0))
    assert seen == [0.8, 1.6, bounds.MAX_TIMEOUT, bounds.MAX_TIMEOUT, bounds.MAX_TIMEOUT, bounds.MAX_TIMEOUT]
    servers.answered(A, 0.05, 0.0)
    assert servers.timeout(A, 0.0) < bounds.FIRST_TIMEOUT


def test_the_dead_are_probed_now_and_then() -> None:
    servers = Servers()
    for _ in range(bounds.DEAD_AFTER - 1):
        servers.silent(A, 0.0)
    assert not servers.is_dead(A, 0.0)
    servers.silent(A, 0.0)
    assert servers.is_dead(A, bounds.PROBE_AFTER - 1)
    assert not servers.is_dead(A, bounds.PROBE_AFTER)
    servers.silent(A, bounds.PROBE_AFTER)
    assert servers.is_dead(A, bounds.PROBE_AFTER + 1), "one probe each time"
    servers.answered(A, 0.05, 2 * bounds.PROBE_AFTER)
    assert not servers.is_dead(A, 2 * bounds.PROBE_AFTER)


def test_nobody_is_condemned_for_ever() -> None:
    servers = Servers()
    for _ in range(20):
        servers.silent(A, 0.0)
    for each in Feature:
        servers.capabilities.lacks(A, each, 0.0)
    before = bounds.FORGET_SERVER - 1
    assert not any(servers.capabilities.bears(A, each, before) for each in Feature)
    after = bounds.FORGET_SERVER
    assert all(servers.capabilities.bears(A, each, after) for each in Feature)
    assert servers.timeout(A, after) == bounds.FIRST_TIMEOUT
    assert not servers.is_dead(A, after)


@pytest.mark.parametrize("feature", Feature)
def test_nothing_is_given_up_before_a_second_opinion(feature: Feature) -> None:
    able = Capabilities()
    able.doubts(A, feature, 0.0)
    assert able.bears(A, feature, 0.0), "one answer may be forged"
    able.clears(A, feature, 0.0)
    able.doubts(A, feature, 0.0)
    assert able.bears(A, feature, 0.0), "it has borne it in between"
    able.shows(A, feature, 0.0)
    able.doubts(A, feature, 0.0)
    assert able.bears(A, feature, 0.0), "it has made use of it in between"
    able.doubts(A, feature, 0.0)
    assert not able.bears(A, feature, 0.0)
    assert able.bears(B, feature, 0.0), "of each server on its own"


def test_what_was_shown_counts_for_a_while_after_the_last_time_and_for_one_zone_of_a_forwarder() -> None:
    able, zone = Capabilities(), from_text("shop")
    able.shows(A, Feature.COOKIE, 0.0)
    able.shows(A, Feature.COOKIE, 500.0)
    assert able.has_shown(A, Feature.COOKIE, 500.0 + bounds.FORGET_SERVER - 1)
    assert not able.has_shown(A, Feature.COOKIE, 500.0 + bounds.FORGET_SERVER)
    able.shows(B, Feature.LETTERS, 0.0, zone)
    assert able.has_shown(B, Feature.LETTERS, 0.0, zone)
    assert not able.has_shown(B, Feature.LETTERS, 0.0)


def test_among_good_servers_the_choice_is_random() -> None:
    servers = Servers()
    rng = Random(1)
    servers.answered(A, 0.01, 0.0)
    servers.answered(B, 0.01 + bounds.SERVER_BAND / 2, 0.0)
    servers.answered(C, 0.02 + bounds.SERVER_BAND, 0.0)
    first = Counter(servers.choose([A, B, C], 0.0, rng) for _ in range(400))
    assert set(first) == {A, B}
    assert min(first.values()) > 120
    assert servers.choose([C], 0.0, rng) == C


def test_newcomers_are_tried() -> None:
    servers = Servers()
    servers.answered(A, 0.01, 0.0)
    first = {servers.choose([A, B], 0.0, Random(seed)) for seed in range(50)}
    assert first == {A, B}


def test_questions_that_are_silent_together_are_one_silence() -> None:
    servers = Servers()
    servers.answered(A, 0.02, 0.0)
    for number in range(50):
        servers.silent(A, 1.1 + number / 1000, 1.0 + number / 1000)
    assert not servers.is_dead(A, 2.0)
    servers = Servers()
    now = 0.0
    for _ in range(bounds.DEAD_AFTER):
        assert not servers.is_dead(A, now)
        servers.silent(A, now + 0.4, now)
        now += 0.4
    assert servers.is_dead(A, now)


@given(st.sets(st.integers(0, 40), max_size=14), st.integers(0, 99), st.data())
def test_one_is_chosen_while_anybody_lives(numbers: set[int], seed: int, data: st.DataObject) -> None:
    servers = Servers()
    addresses = [IPv4Address(0x2D000000 + number) for number in numbers]
    for address in addresses:
        for _ in range(data.draw(st.integers(0, 5))):
            servers.silent(address, 0.0)
    alive = [address for address in addresses if not servers.is_dead(address, 0.0)]
    chosen = servers.choose(addresses, 0.0, Random(seed))
    assert chosen in alive if alive else chosen is None


def test_memory_is_bounded() -> None:
    servers = Servers(entries=50)
    for number in range(200):
        servers.answered(IPv4Address(0x2D000000 + number), 0.01, 0.0)
        servers.capabilities.doubts(IPv4Address(0x2D000000 + number), Feature.EDNS, 0.0)
        servers.capabilities.lacks(A, Feature.LETTERS, 0.0)
    assert len(servers) == len(servers.capabilities) == 50
    assert not servers.capabilities.bears(A, Feature.LETTERS, 0.0), "whoever is met often is remembered"
    assert Servers()._limit == bounds.MAX_SERVERS


def test_tries_are_counted_by_server_and_transport() -> None:
    tries = Tries()
    for transport in (Transport.UDP, Transport.TCP):
        assert [tries.send(A, transport) for _ in range(5)] == [True] * bounds.SENDS_PER_SERVER + [False] * 2
    assert tries.send(B, Transport.UDP)


def test_turns_go_round_and_nonsense_ends_them() -> None:
    tries = Tries()
    assert tries.open([A, B, C]) == [A, B, C]
    tries.unanswered(A, silent=True)
    tries.unanswered(B, silent=False)
    assert tries.open([A, B, C]) == [C]
    tries.unanswered(C, silent=True)
    assert tries.open([A, B, C]) == [A, C]
    for _ in range(2):
        tries.unanswered(A, silent=True)
        tries.unanswered(C, silent=True)
    assert tries.open([A, B, C]) == []
