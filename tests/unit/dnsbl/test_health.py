"""Whether a list that has gone bad is told apart from a wave of spam, and how soon: on virtual time, over the real engine."""

import asyncio
import random
from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptedlists import SERVFAIL, TIMEOUT, a, denial, spec
from virtualtime import virtual

from resolverd import bounds
from resolverd.dnsbl.anomaly import Anomaly
from resolverd.dnsbl.health import OUTAGE, ListHealth
from resolverd.dnsbl.known_good import KnownGood, random_canary
from resolverd.dnsbl.list_state import Reverifications
from resolverd.dnsbl.spec import IP4
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed, ListLookup
from tests.unit.dnsbl.test_engine import CLIENT, ZEN, client, world

CODES = ("127.0.0.4", "127.0.0.4", "127.0.0.4", "127.0.0.10", "127.0.0.2", "127.0.0.3", None)
"""What zen says in a mail server's life: mostly the XBL, now and then nothing."""


def ordinary(count, rng, codes=CODES):
    return [rng.choice(codes) for _ in range(count)]


# -- suspicion: when it is worth asking


def anomalies(anomaly, answers, start=0, step=1.0):
    """The positions at which the list became suspicious and was acquitted."""
    found = []
    for number, answer in enumerate(answers, start):
        if anomaly.observe(number, answer, number * step):
            found.append(number)
            anomaly.cleared(number * step)
    return found


def test_a_wave_of_spam_is_hardly_ever_suspicious():
    rng = random.Random(1)
    anomaly = Anomaly()
    assert len(anomalies(anomaly, ordinary(10_000, rng))) <= 20


def test_a_list_that_lists_the_world_is_suspicious_within_a_few_clients():
    for seed in range(20):
        rng = random.Random(seed)
        anomaly = Anomaly()
        anomalies(anomaly, ordinary(1000, rng))
        found = anomalies(anomaly, ["127.0.0.2"] * 30, start=5000)
        assert found, "never suspected"
        assert found[0] - 5000 < 10


def test_a_list_with_one_code_is_suspicious_when_it_lists_everybody():
    for seed in range(20):
        rng = random.Random(seed)
        anomaly = Anomaly()
        anomalies(anomaly, ordinary(1000, rng, ("127.0.0.2", None)))
        found = anomalies(anomaly, ["127.0.0.2"] * 30, start=5000)
        assert found
        assert found[0] - 5000 <= 20


def test_one_client_that_comes_again_and_again_says_nothing():
    anomaly = Anomaly()
    anomalies(anomaly, ordinary(500, random.Random(1)))
    assert not any(anomaly.observe("same", "127.0.0.2", 1000.0 + n) for n in range(100))


def test_an_acquitted_list_is_left_in_peace_for_longer_each_time():
    anomaly = Anomaly()
    anomalies(anomaly, [None] * 200)
    times = []
    now = 1000.0
    for number in range(20_000):
        now += 0.5
        # A code that was never seen before, time and again.
        if anomaly.observe(f"client {number}", f"code {number // 50}", now):
            times.append(now)
            anomaly.cleared(now)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[0] >= 10
    assert max(gaps) >= 300
    assert len(times) < 30


@given(st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(["x", "y", None])), max_size=3000))
def test_suspicion_takes_whatever_comes(answers):
    anomaly = Anomaly()
    for number, (subject, answer) in enumerate(answers):
        assert anomaly.observe(subject, answer, float(number)) in (True, False)


# -- random canaries and known-good clients


@given(st.integers(0, 2**60))
def test_a_random_canary_is_no_test_point(number):
    canary = random_canary(spec("spamcop"), number)
    assert canary is not None
    octets = canary.subject.packed
    assert octets[0] == 127
    assert octets[1] > 0
    assert not canary.listed


def test_random_canaries_by_kind():
    domain = random_canary(spec("spamhaus-dbl"), 12345)
    assert domain.subject.endswith(".invalid")
    assert random_canary(spec("hostkarma"), 1) is None, "it documents no denial"
    assert IP4 not in spec("sem-black-ip6").kinds
    assert random_canary(spec("sem-black-ip6"), 1) is None


def test_known_good_clients_are_bounded_and_are_no_canaries_of_a_list_that_lists_them():
    known_good = KnownGood()
    known_good.add(CLIENT, ["spamcop"])
    assert known_good.unlisted_by("spamcop") == [CLIENT]
    assert known_good.unlisted_by("spamhaus-zen") == []
    for n in range(bounds.KNOWN_GOOD_CLIENTS + 10):
        known_good.add(client(n), ["spamcop"])
    assert len(known_good.unlisted_by("spamcop")) == bounds.KNOWN_GOOD_CLIENTS
    assert CLIENT not in known_good.unlisted_by("spamcop")


# -- the engine


async def ordinary_life(w, rng, count=300, first=0):
    """So many clients with the ordinary mix of answers."""
    for n in range(first, first + count):
        address = client(n)
        code = rng.choice(CODES)
        if code:
            w.script[reverse(address, "zen.spamhaus.org")] = a(code)
        await w.ask("spamhaus-zen", address)
        await asyncio.sleep(0.2)


def reverse(address, zone):
    return f"{address.reverse_pointer.removesuffix('.in-addr.arpa')}.{zone}"


def goes_wild(w, code="127.0.0.2"):
    """From now on the list lists everybody, test points and random canaries included."""
    for name in [name for name in w.script if name.endswith("zen.spamhaus.org")]:
        del w.script[name]
    w.script["zen.spamhaus.org"] = (0.02, a(code))
    w.resolver.wild = True


@virtual
async def test_ordinary_mail_suspends_no_list():
    async with world() as w:
        await ordinary_life(w, random.Random(3), 1500)
        assert w.engine.status("spamhaus-zen").state == "ok"
        assert w.counters.get("list_poisoned", list="spamhaus-zen") == 0
        # Ten minutes are half of the time that passed: some probes, few more.
        assert len(w.resolver.probes) <= 20


@pytest.mark.parametrize("seed", range(5))
def test_a_list_turning_bad_in_the_middle_of_a_run_is_suspended_within_seconds(seed):
    @virtual
    async def run():
        async with world() as w:
            await ordinary_life(w, random.Random(seed))
            goes_wild(w)
            start = w.clock.monotonic()
            harmed = []
            for n in range(1000, 1100):
                if isinstance(await w.ask("spamhaus-zen", client(n)), Listed):
                    harmed.append(client(n))
                await asyncio.sleep(0.2)
                if w.engine.status("spamhaus-zen").state == "suspended":
                    break
            assert w.engine.status("spamhaus-zen").state == "suspended"
            assert w.clock.monotonic() - start < 5
            assert len(harmed) < 20
            for address in harmed:
                reply = await w.ask("spamhaus-zen", address)
                assert isinstance(reply, Unknown), "what was listed meanwhile is taken back"

    run()


@virtual
async def test_a_known_good_client_that_is_listed_of_a_sudden_suspends_the_list_at_once():
    async with world() as w:
        await ordinary_life(w, random.Random(4), 100)
        friends = [client(n) for n in range(500, 505)]
        for friend in friends:
            assert isinstance(await w.ask("spamhaus-zen", friend), Clear)
            w.engine.add_known_good(friend, ["spamhaus-zen"])
        await asyncio.sleep(3700)
        await w.ask("spamhaus-zen", client(999))
        goes_wild(w)
        assert (await w.ask("spamhaus-zen", friends[0])).why is Why.UNHEALTHY
        assert w.engine.status("spamhaus-zen").last_error.startswith("it lists")


@virtual
async def test_one_good_client_that_is_listed_rightly_suspends_no_list():
    async with world() as w:
        friends = [client(n) for n in range(500, 505)]
        for friend in friends:
            await w.ask("spamhaus-zen", friend)
            w.engine.add_known_good(friend, ["spamhaus-zen"])
        await asyncio.sleep(3700)
        w.script[reverse(friends[0], "zen.spamhaus.org")] = a("127.0.0.4")
        assert isinstance(await w.ask("spamhaus-zen", friends[0]), Listed)
        assert w.engine.status("spamhaus-zen").state == "ok"


@virtual
async def test_good_clients_that_a_list_denying_its_test_point_lists_all_the_same():
    async with world() as w:
        friends = [client(n) for n in range(500, 505)]
        for friend in friends:
            await w.ask("spamhaus-zen", friend)
            w.engine.add_known_good(friend, ["spamhaus-zen"])
        await asyncio.sleep(3700)
        for friend in friends:
            w.script[reverse(friend, "zen.spamhaus.org")] = a("127.0.0.4")
        assert (await w.ask("spamhaus-zen", friends[0])).why is Why.UNHEALTHY
        assert "known-good clients" in w.engine.status("spamhaus-zen").last_error


@virtual
async def test_a_canary_passed_before_a_suspension_counts_no_more():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.2")
        assert isinstance(await w.ask("spamhaus-zen"), Listed)
        w.script["2.2.0.192.zen.spamhaus.org"] = a("192.0.2.1")
        await w.ask("spamhaus-zen", ip_address("192.0.2.2"))
        assert w.engine.status("spamhaus-zen").state == "suspended"
        await asyncio.sleep(301)
        goes_wild(w)
        assert (await w.ask("spamhaus-zen", client(1))).why is Why.UNHEALTHY


# -- re-verification


async def reverify(w, name="spamhaus-zen", subject=CLIENT, patience=2.0, client=None):
    lookup = ListLookup(name, subject)
    found = await w.engine.reverify([lookup], client=client, deadline=w.clock.monotonic() + patience)
    return found.get(lookup)


async def listed_spam(w, clients):
    """Listed clients whom nothing else speaks against, two seconds apart; how many of them were re-verified."""
    before = w.counters.get("list_reverifications", list="spamhaus-zen")
    for n, address in enumerate(clients):
        w.script[reverse(address, "zen.spamhaus.org")] = a(CODES[n % 5])
        await w.ask("spamhaus-zen", address)
        await asyncio.sleep(2)
        assert await reverify(w, subject=address) is None
        assert await reverify(w, subject=address) is None, "once for each listing"
    return w.counters.get("list_reverifications", list="spamhaus-zen") - before


def elsewhere(n):
    """A client in a network of its own."""
    return ip_address(f"203.{n // 256}.{n % 256}.1")


@virtual
async def test_an_old_listing_is_asked_once_more_before_it_refuses():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.2", ttl=7200)
        await w.ask("spamhaus-zen")
        assert await reverify(w) is None
        assert len(w.resolver.probes) == 1, "a canary passed this moment is good enough"
        await asyncio.sleep(700)
        assert await reverify(w) is None
        assert w.resolver.probes[-2:] == [ZEN, "1.0.0.127.zen.spamhaus.org"], "asked again, and the canary was old too"
        before = len(w.resolver.probes)
        await asyncio.sleep(700)
        assert await reverify(w) is None
        assert w.resolver.probes[before:] == [], "once, not time and again"


@virtual
async def test_an_old_listing_that_is_gone_refuses_nobody():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.2", ttl=7200)
        await w.ask("spamhaus-zen")
        await asyncio.sleep(700)
        del w.script[ZEN]
        assert isinstance(await reverify(w), Clear)
        assert isinstance(await w.ask("spamhaus-zen"), Clear)


@virtual
async def test_an_old_listing_that_nobody_confirms_in_time_refuses_nobody():
    async with world() as w:
        w.script[ZEN] = a("127.0.0.2", ttl=7200)
        await w.ask("spamhaus-zen")
        await asyncio.sleep(700)
        w.script[ZEN] = (3.0, a("127.0.0.2"))
        w.resolver.wild = True
        assert (await reverify(w, patience=0.5)).why is Why.TIMEOUT
        await asyncio.sleep(5)


@virtual
async def test_with_the_quota_spent_what_is_remembered_stands():
    async with world(spamhaus_zen={"quota": "2/1d"}) as w:
        w.script[ZEN] = a("127.0.0.2", ttl=7200)
        await w.ask("spamhaus-zen")
        await asyncio.sleep(700)
        assert await reverify(w) is None
        assert len(w.resolver.probes) == 1


@virtual
async def test_surprising_listings_are_reverified_as_often_as_that_is_affordable():
    async with world() as w:
        assert 38 <= await listed_spam(w, map(elsewhere, range(120))) <= 44, "40 of 60, and one every two minutes"
        for n in range(1000, 1040):
            w.engine.add_known_good(elsewhere(n), [])
        assert 18 <= await listed_spam(w, map(elsewhere, range(1000, 1040))) <= 22, "the other 20 are for known-good clients"
        assert len(w.resolver.probes) <= 75


@virtual
async def test_sixty_bots_of_one_provider_leave_reverifications_for_others():
    async with world() as w:
        assert await listed_spam(w, (ip_address(f"198.51.100.{n}") for n in range(60))) == 3
        assert await listed_spam(w, (ip_address(f"2001:db8:1:{n:x}::1") for n in range(60))) <= 3


def test_the_networks_that_had_reverifications_are_few():
    kept = Reverifications()
    for n in range(5000):
        kept.take(elsewhere(n), n * 1000.0, known_good=False)
    assert len(kept._networks) <= bounds.LIST_REVERIFICATION_NETWORKS
    assert [kept.take(f"{n % 2}.example", 5e6 + n * 100, known_good=False) for n in range(8)].count(True) == 6
    assert bounds.LIST_REVERIFICATIONS_PER_NETWORK == 3


@virtual
async def test_a_surprising_listing_of_a_list_gone_bad_is_found_out():
    async with world() as w:
        w.script[reverse(client(1), "zen.spamhaus.org")] = a("127.0.0.2")
        await w.ask("spamhaus-zen", client(1))
        goes_wild(w)
        assert isinstance(await w.ask("spamhaus-zen"), Listed), "it has denied its test point a moment ago"
        assert (await reverify(w)).why is Why.UNHEALTHY
        assert w.engine.status("spamhaus-zen").state == "suspended"
        assert (await w.ask("spamhaus-zen")).why is Why.UNHEALTHY, "taken back"


# -- allow lists out of reach


@virtual
async def test_an_allow_list_out_of_reach_is_that_for_an_hour_at_most():
    async with world() as w:
        w.script["list.dnswl.org"] = TIMEOUT
        whys = []
        for n in range(90):
            whys.append((await w.ask("dnswl", client(n))).why)
            await asyncio.sleep(60)
        assert whys[:60] == [Why.TIMEOUT] * 60
        assert whys[62:] == [Why.UNHEALTHY] * 28
        w.script["list.dnswl.org"] = denial()
        await asyncio.sleep(300)
        assert isinstance(await w.ask("dnswl", client(200)), Clear)
        w.script["list.dnswl.org"] = SERVFAIL
        assert (await w.ask("dnswl", client(201))).why is Why.FAILED, "another outage, another hour"


def test_two_failures_with_a_quiet_day_between_are_two_outages():
    health = ListHealth()
    health.failed(health.begin(0.0), Unknown(Why.TIMEOUT), 0.0)
    health.failed(health.begin(86400.0), Unknown(Why.TIMEOUT), 86400.0)
    assert not health.unreachable(86400.0)
    assert health.unreachable(86400.0 + OUTAGE + 1)


# -- test points


@virtual
async def test_a_list_that_has_forgotten_its_own_test_point_is_told():
    async with world() as w:
        state = await w.engine.probe("spamhaus-zen", deadline=w.clock.monotonic() + 2)
        assert "does not list 127.0.0.2" in state.last_error


@virtual
async def test_a_probe_finds_a_list_that_lists_the_world():
    async with world() as w:
        goes_wild(w)
        state = await w.engine.probe("spamhaus-zen", deadline=w.clock.monotonic() + 2)
        assert state.state == "suspended"
        assert "127.0.0.1" in state.last_error


@virtual
async def test_a_probe_finds_an_error_code():
    async with world() as w:
        w.resolver.wild = True
        w.script["zen.spamhaus.org"] = a("127.255.255.254")
        state = await w.engine.probe("spamhaus-zen", deadline=w.clock.monotonic() + 2)
        assert state.state == "suspended"
        assert "public or unattributable resolver" in state.last_error
