"""What is known of servers: patience, choice, death and resurrection, what they cope with; all bounded and forgotten in time."""

from collections import Counter
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Capabilities, Feature
from resolverd.resolver.iterator.infra import InfraCache
from resolverd.resolver.iterator.retries import Attempts
from resolverd.wire.ask import Ask, Reply, Server, Transport
from resolverd.wire.names import from_text

A, B, C = (Server(IPv4Address(f"45.0.0.{number}")) for number in (1, 2, 3))


def test_a_stranger_gets_the_first_patience() -> None:
    servers = InfraCache()
    assert servers.rto(A, 0.0) == bounds.FIRST_TIMEOUT
    assert not servers.is_down(A, 0.0)
    assert all(servers.capabilities.may_use(A, each, 0.0) for each in Feature)
    assert not any(servers.capabilities.is_proven(A, each, 0.0) for each in Feature)
    assert len(servers) == len(servers.capabilities) == 0, "asking about somebody is no reason to remember him"


@given(st.lists(st.one_of(st.floats(0.0001, 3.0), st.none()), max_size=30))
def test_patience_stays_within_its_bounds(replies: list[float | None]) -> None:
    servers = InfraCache()
    for rtt in replies:
        if rtt is None:
            servers.timed_out(A, 0.0)
        else:
            servers.rtt_update(A, rtt, 0.0)
        assert bounds.MIN_TIMEOUT <= servers.rto(A, 0.0) <= bounds.MAX_TIMEOUT


def test_patience_follows_the_round_trip_times() -> None:
    servers = InfraCache()
    servers.rtt_update(A, 0.2, 0.0)
    assert servers.rto(A, 0.0) == pytest.approx(0.2 + 4 * 0.1)
    for _ in range(50):
        servers.rtt_update(A, 0.2, 0.0)
    assert 0.2 < servers.rto(A, 0.0) < 0.21
    for _ in range(50):
        servers.rtt_update(A, 0.001, 0.0)
    assert servers.rto(A, 0.0) == bounds.MIN_TIMEOUT


def test_silence_doubles_patience_and_an_answer_restores_it() -> None:
    servers = InfraCache()
    seen = []
    for _ in range(6):
        servers.timed_out(A, 0.0)
        seen.append(servers.rto(A, 0.0))
    assert seen == [0.8, *[bounds.MAX_TIMEOUT] * 5]
    servers.rtt_update(A, None, 0.0)
    assert servers.rto(A, 0.0) == bounds.MAX_TIMEOUT, "which copy was answered is not known (RFC 6298 §3)"
    servers.rtt_update(A, 0.05, 0.0)
    assert servers.rto(A, 0.0) < bounds.FIRST_TIMEOUT


@pytest.mark.parametrize(
    ("rtt", "repeated", "sample"), [(0.02, None, 0.02), (0.42, 0.02, 0.02), (0.5, 0.1, None), (1.2, 0.8, None), (0.4, 0.0, 0.0)]
)
def test_which_copy_was_answered(rtt: float, repeated: float | None, sample: float | None) -> None:
    assert Reply(None, None, 0.0, rtt, repeated=repeated).sample == sample


def test_patience_doubles_within_a_question() -> None:
    servers = InfraCache()
    servers.rtt_update(A, 0.01, 0.0)
    assert [servers.rto(A, 0.0, turns) for turns in range(6)] == [0.08, 0.16, 0.32, 0.64, 1.28, 1.28]


def test_forwarders_and_connections_have_patience_of_their_own() -> None:
    servers = InfraCache()
    for _ in range(9):
        servers.rtt_update(A, 0.002, 0.0)
        servers.rtt_update(B, 0.5, 0.0)
    assert servers.rto(A, 0.0, forwarder=True) == bounds.FORWARDER_TIMEOUT
    for transport in (Transport.TCP, Transport.TLS):
        assert servers.rto(A, 0.0, transport=transport) == bounds.TCP_TIMEOUT
        assert bounds.TCP_TIMEOUT < servers.rto(B, 0.0, transport=transport) <= bounds.MAX_TCP_TIMEOUT


def test_the_dead_are_probed_now_and_then() -> None:
    servers = InfraCache()
    for _ in range(bounds.DEAD_AFTER - 1):
        servers.timed_out(A, 0.0)
    assert not servers.is_down(A, 0.0)
    servers.timed_out(A, 0.0)
    assert servers.is_down(A, bounds.PROBE_AFTER - 1)
    assert not servers.is_down(A, bounds.PROBE_AFTER)
    servers.timed_out(A, bounds.PROBE_AFTER)
    assert servers.is_down(A, bounds.PROBE_AFTER + 1), "one probe each time"
    servers.rtt_update(A, 0.05, 2 * bounds.PROBE_AFTER)
    assert not servers.is_down(A, 2 * bounds.PROBE_AFTER)


def test_nobody_is_condemned_for_ever() -> None:
    servers = InfraCache()
    for _ in range(20):
        servers.timed_out(A, 0.0)
    for each in Feature:
        servers.capabilities.rule_out(A, each, 0.0)
    before = bounds.FORGET_SERVER - 1
    assert not any(servers.capabilities.may_use(A, each, before) for each in Feature)
    assert servers.capabilities.unsupported(A, before) == frozenset(Feature)
    assert not any(servers.capabilities.all_may_use([B, A], each, before) for each in Feature)
    after = bounds.FORGET_SERVER
    assert all(servers.capabilities.may_use(A, each, after) for each in Feature)
    assert servers.capabilities.unsupported(A, after) == frozenset()
    assert all(servers.capabilities.all_may_use([B, A], each, after) for each in Feature)
    assert servers.rto(A, after) == bounds.FIRST_TIMEOUT
    assert not servers.is_down(A, after)


@pytest.mark.parametrize("feature", Feature)
def test_nothing_is_given_up_before_a_second_opinion(feature: Feature) -> None:
    able = Capabilities()
    able.add_failure(A, feature, 0.0)
    assert able.may_use(A, feature, 0.0), "one answer may be forged"
    able.clear_failures(A, feature, 0.0)
    able.add_failure(A, feature, 0.0)
    assert able.may_use(A, feature, 0.0), "it has borne it in between"
    able.prove(A, feature, 0.0)
    able.add_failure(A, feature, 0.0)
    assert able.may_use(A, feature, 0.0), "it has made use of it in between"
    able.add_failure(A, feature, 0.0)
    assert not able.may_use(A, feature, 0.0)
    assert able.may_use(B, feature, 0.0), "of each server on its own"


def test_what_was_shown_counts_for_a_while_after_the_last_time_and_for_one_zone_of_a_forwarder() -> None:
    able, zone = Capabilities(), from_text("shop")
    able.prove(A, Feature.COOKIE, 0.0)
    able.prove(A, Feature.COOKIE, 500.0)
    assert able.is_proven(A, Feature.COOKIE, 500.0 + bounds.FORGET_SERVER - 1)
    assert not able.is_proven(A, Feature.COOKIE, 500.0 + bounds.FORGET_SERVER)
    able.prove(B, Feature.CASE, 0.0, zone)
    assert able.is_proven(B, Feature.CASE, 0.0, zone)
    assert not able.is_proven(B, Feature.CASE, 0.0)


def test_among_good_servers_the_choice_is_random() -> None:
    servers = InfraCache()
    rng = Random(1)
    servers.rtt_update(A, 0.01, 0.0)
    servers.rtt_update(B, 0.01 + bounds.SERVER_BAND / 2, 0.0)
    servers.rtt_update(C, 0.02 + bounds.SERVER_BAND, 0.0)
    first = Counter(servers.select([A, B, C], Attempts(), 0.0, rng) for _ in range(400))
    assert set(first) == {A, B}
    assert min(first.values()) > 120
    assert servers.select([C], Attempts(), 0.0, rng) == C


def test_newcomers_are_tried() -> None:
    servers = InfraCache()
    servers.rtt_update(A, 0.01, 0.0)
    first = {servers.select([A, B], Attempts(), 0.0, Random(seed)) for seed in range(50)}
    assert first == {A, B}


def test_questions_that_are_silent_together_are_one_silence() -> None:
    servers = InfraCache()
    servers.rtt_update(A, 0.02, 0.0)
    for number in range(50):
        servers.timed_out(A, 1.1 + number / 1000, 1.0 + number / 1000)
    assert not servers.is_down(A, 2.0)
    servers = InfraCache()
    now = 0.0
    for _ in range(bounds.DEAD_AFTER):
        assert not servers.is_down(A, now)
        servers.timed_out(A, now + 0.4, now)
        now += 0.4
    assert servers.is_down(A, now)


@given(st.sets(st.integers(0, 40), max_size=14), st.integers(0, 99), st.data())
def test_one_is_chosen_while_anybody_lives(numbers: set[int], seed: int, data: st.DataObject) -> None:
    servers = InfraCache()
    among = [Server(IPv4Address(0x2D000000 + number)) for number in numbers]
    for server in among:
        for _ in range(data.draw(st.integers(0, 5))):
            servers.timed_out(server, 0.0)
    alive = [server for server in among if not servers.is_down(server, 0.0)]
    chosen = servers.select(among, Attempts(), 0.0, Random(seed))
    assert chosen in alive if alive else chosen is None


def test_memory_is_bounded() -> None:
    servers = InfraCache(entries=50)
    for number in range(200):
        server = Server(IPv4Address(0x2D000000 + number))
        servers.rtt_update(server, 0.01, 0.0)
        servers.capabilities.add_failure(server, Feature.EDNS, 0.0)
        servers.capabilities.rule_out(A, Feature.CASE, 0.0)
    assert len(servers) == len(servers.capabilities) == 50
    assert not servers.capabilities.may_use(A, Feature.CASE, 0.0), "whoever is met often is remembered"
    assert InfraCache().limit == bounds.MAX_SERVERS


def test_servers_at_one_address_are_told_apart_by_port() -> None:
    servers = InfraCache()
    other = Server(A.address, 5353)
    for _ in range(bounds.DEAD_AFTER):
        servers.timed_out(A, 0.0)
    assert servers.is_down(A, 0.0)
    assert not servers.is_down(other, 0.0)
    assert servers.select([A, other], Attempts(), 0.0, Random(1)) == other


def ask(server: Server, transport: Transport = Transport.UDP) -> Ask:
    return Ask(server, from_text("www.example"), 1, transport, 8.0)


def test_attempts_are_counted_by_server_and_transport() -> None:
    attempts = Attempts()
    for transport in (Transport.UDP, Transport.TCP):
        for _ in range(bounds.SENDS_PER_SERVER):
            assert attempts.of(A).may_send(transport)
            attempts.sent(ask(A, transport), 0.0, 0.1)
        assert not attempts.of(A).may_send(transport)
    assert attempts.of(B).may_send(Transport.UDP)


def test_nonsense_ends_the_turns_of_a_server_and_silence_only_one() -> None:
    attempts = Attempts()
    assert attempts.available([A, B, C]) == [A, B, C]
    attempts.fail(A, silent=True)
    attempts.fail(B, silent=False)
    assert attempts.available([A, B, C]) == [A, C]
    for _ in range(2):
        attempts.fail(A, silent=True)
    assert attempts.available([A, B, C]) == [C]


def test_whoever_is_waited_for_is_overdue_once() -> None:
    attempts = Attempts()
    attempts.sent(ask(A), 1.0, 0.1)
    attempts.sent(ask(B), 1.0, 0.4)
    assert attempts.overdue(1.05) == []
    assert [sent.ask.server for sent in attempts.overdue(1.2)] == [A]
    assert attempts.overdue(1.3) == []
    assert attempts.failed == {A: 1}
    assert list(attempts.waiting) == [B]


def core():  # type: ignore[no-untyped-def]
    yield


def test_a_connection_is_not_asked_again_while_it_lasts() -> None:
    attempts = Attempts()
    branch = core()
    for transport, is_open in ((Transport.UDP, [A]), (Transport.TCP, []), (Transport.TLS, [])):
        attempts.in_flight[A] = branch
        attempts.sent(ask(A, transport), 0.0, 0.1)
        assert attempts.available([A]) == is_open
        assert attempts.finish(branch) == A
        assert attempts.available([A]) == [A]


# What each has done before (its round-trip time, silences), turns so far, and who is asked then.
CHOICES = {
    "the other, where both are good": ({A: (0.01, 0), B: (0.02, 0)}, {A: 1}, {B}),
    "a stranger": ({A: (0.01, 0)}, {A: 1}, {B}),
    "once more, where the other was silent when asked last": ({A: (0.01, 0), B: (0.02, 1)}, {A: 1}, {A}),
    "once more, where the other has never answered": ({A: (0.01, 0), B: (None, 1)}, {A: 1}, {A}),
    "the silent one, after two silences in a row": ({A: (0.01, 0), B: (0.02, 1)}, {A: 2}, {B}),
    "once more, where the other is dead": ({A: (0.01, 0), B: (0.02, 4)}, {A: 2}, {A}),
    "nobody, where all are dead": ({A: (0.01, 4), B: (0.02, 4)}, {}, {None}),
    "once more, where the other is a stranger and silent": ({A: (0.01, 0)}, {A: 1, B: 1}, {A}),
    "fewest turns among equals": ({A: (0.01, 0), B: (0.02, 0)}, {A: 2, B: 1}, {B}),
}


@pytest.mark.parametrize("case", CHOICES)
def test_who_is_asked_next(case: str) -> None:
    before, turns, wanted = CHOICES[case]
    servers = InfraCache()
    for server, (rtt, silences) in before.items():
        if rtt is not None:
            servers.rtt_update(server, rtt, 0.0)
        for _ in range(silences):
            servers.timed_out(server, 0.0)
    attempts = Attempts()
    for server, number in turns.items():
        attempts.expected[server] = servers.expected(server, 0.0)
        for _ in range(number):
            servers.timed_out(server, 0.0)
            attempts.fail(server, silent=True)
    assert {servers.select([A, B], attempts, 0.0, Random(seed)) for seed in range(20)} == wanted
