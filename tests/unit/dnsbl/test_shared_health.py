"""How lists fare as several hosts see it: two have to agree on what is bad, one is enough for what is good."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listfleet import CANARY, ZEN, Trouble, fleet
from scriptedlists import TIMEOUT, a, specs
from virtualtime import virtual

from resolverd import bounds
from resolverd.dnsbl.health import CANARY_TTL, MAX_SUSPENSION, OWN_CANARY_TTL, SUSPENSION, ListHealth
from resolverd.dnsbl.health_view import (
    TOLERANCE,
    HealthView,
    agreed,
    decode,
    encode,
    last_passed,
    last_poisoned,
)
from resolverd.dnsbl.monitor import PROBE_EVERY
from resolverd.dnsbl.shared_health import TABLE
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed
from tests.unit.dnsbl.test_shared_replies import client

SHOWN = b"spamhaus-zen zen.spamhaus.org"
BLOCKED = a("127.255.255.254")
HOST = "00000000000000ff"


def is_suspended(host):
    return host.engine.status("spamhaus-zen").state == "suspended"


async def settle():
    await asyncio.sleep(0.01)


async def block(host, number=1):
    """Have the list answer its error code to this host."""
    host.script["zen.spamhaus.org"] = BLOCKED
    return await host.ask(subject=client(number))


def say(host, view, who=HOST):
    """Have another host say something."""
    host.store.put(TABLE, SHOWN + b" " + who.encode(), encode(view), host.clock.wall() + 1e6)


async def puts(host):
    return [entry async for entry in host.store.scan(TABLE, host.clock.wall())]


# -- suspensions


@virtual
async def test_one_hosts_trouble_is_its_own_and_twos_is_everybodys():
    async with fleet(4) as (one, two, three, four):
        assert (await block(one)).why is Why.BLOCKED
        await settle()
        assert [is_suspended(host) for host in (one, two, three, four)] == [True, False, False, False]
        assert isinstance(await three.ask(), Clear)
        assert (await block(two, 2)).why is Why.BLOCKED
        await settle()
        assert all(is_suspended(host) for host in (one, two, three, four))
        asked = len(three.asked)
        reply = await three.ask(subject=client(3))
        assert reply.why is Why.BLOCKED
        assert "several hosts" in reply.detail
        assert len(three.asked) == asked


@virtual
async def test_what_two_hosts_have_for_hours_lasts_five_minutes_for_those_whom_the_list_answers():
    async with fleet(4) as (one, two, three, four):
        for number in range(4):  # 5, 10, 20, 40 minutes
            await block(one, number)
            await block(two, 10 + number)
            await asyncio.sleep(SUSPENSION * 2**number + 1)
        await block(one, 5)
        await block(two, 15)
        await settle()
        assert is_suspended(three)
        await asyncio.sleep(SUSPENSION + 1)
        four.script["zen.spamhaus.org"] = BLOCKED
        assert isinstance(await three.ask(subject=client(20)), Clear)
        assert (await four.ask(subject=client(21))).why is Why.BLOCKED
        await asyncio.sleep(SUSPENSION)
        await settle()
        assert not is_suspended(three)
        assert isinstance(await three.ask(subject=client(22)), Clear)
        assert is_suspended(one)
        assert is_suspended(two)


@virtual
async def test_it_ends_for_all_when_the_second_to_last_ends():
    async with fleet(3) as (one, two, three):
        await block(one)
        await asyncio.sleep(100)
        await block(two, 2)
        await settle()
        assert is_suspended(three)
        await asyncio.sleep(SUSPENSION - 99)
        assert not is_suspended(three), "only one of them has it still"
        assert is_suspended(two)
        assert isinstance(await three.ask(), Clear)


@virtual
async def test_one_that_finds_it_over_lets_the_others_find_out():
    async with fleet(3) as (one, two, three):
        await block(one)
        await asyncio.sleep(SUSPENSION + 1)
        await block(one, 2)  # again: 10 minutes
        await block(two, 2)
        await settle()
        assert is_suspended(three)
        await asyncio.sleep(SUSPENSION + 1)
        for host in (one, two):
            del host.script["zen.spamhaus.org"]
        assert isinstance(await two.ask(subject=client(5)), Clear), "its time has come"
        await settle()
        assert not is_suspended(three)
        assert not is_suspended(one), "half-open"
        asked = len(one.asked)
        assert isinstance(await one.ask(subject=client(6)), Clear)
        assert len(one.asked) == asked + 1


@virtual
async def test_a_host_that_is_still_blocked_tries_once_only():
    async with fleet(2) as (one, two):
        await block(one)
        await asyncio.sleep(1)
        await block(two, 2)
        await asyncio.sleep(SUSPENSION + 1)
        await block(one, 3)
        del two.script["zen.spamhaus.org"]
        await two.ask(subject=client(4))
        await settle()
        asked = len(one.asked)
        for number in range(5, 10):
            await one.ask(subject=client(number))
        assert len(one.asked) == asked + 1
        assert is_suspended(one)


@virtual
async def test_the_admins_word_counts_on_this_host_and_is_told():
    async with fleet(3) as (one, two, three):
        await block(one)
        await block(two, 2)
        await settle()
        three.engine.enable("spamhaus-zen")
        say(three, HealthView(passed=three.clock.wall()), HOST)
        await settle()
        assert not is_suspended(three)
        assert isinstance(await three.ask(subject=client(3)), Clear)
        one.engine.enable("spamhaus-zen")
        await settle()
        assert not is_suspended(one)
        assert two.state().health.is_suspended, "it may try"


@virtual
async def test_failures_to_answer_are_nobodys_elses():
    async with fleet(3) as (one, two, three):
        for host in (one, two):
            host.script["zen.spamhaus.org"] = TIMEOUT
            for number in range(5):
                await host.ask(subject=client(number))
            assert host.engine.status("spamhaus-zen").state == "unreachable"
        await settle()
        assert three.engine.status("spamhaus-zen").state == "ok"


@virtual
async def test_a_restart_or_a_reload_takes_up_what_the_others_say():
    async with fleet(3) as (one, two, three):
        await block(one)
        await block(two, 2)
        await settle()
        three.configure(specs(spamhaus_zen={"enabled": False}))
        three.configure(specs())
        assert is_suspended(three)
        three.watching.cancel()
        three.health.__init__(three.store, three.clock, three.counters, lambda: three.id, lambda: three.memory.states)
        three.watching = asyncio.create_task(three.health.run())
        await settle()
        assert is_suspended(three)


@virtual
async def test_a_store_out_of_reach_harms_nothing_and_is_told_later():
    store = Trouble()
    async with fleet(3, store=store) as (one, two, three):
        store.dead = True
        await block(one)
        await block(two, 2)
        assert is_suspended(one)
        store.dead = False
        for host in (one, two):
            host.watching.cancel()
            host.watching = asyncio.create_task(host.health.run())  # as the connection comes back
        await settle()
        assert is_suspended(three)


# -- canaries


@virtual
async def test_the_canary_of_one_serves_all():
    async with fleet(3) as (one, two, three):
        await asyncio.sleep(CANARY_TTL + 1)
        for number, host in enumerate((one, two, three)):
            host.script["zen.spamhaus.org"] = a("127.0.0.2")
            await host.ask(subject=client(number))
            await settle()
        assert one.probes == [CANARY]
        assert two.probes == three.probes == []


@virtual
async def test_every_host_asks_for_itself_once_an_hour():
    async with fleet(2) as (one, two):
        for host in (one, two):
            host.script["zen.spamhaus.org"] = a("127.0.0.2", ttl=60)
        for number in range(13):
            await asyncio.sleep(CANARY_TTL / 2)
            for host in (one, two):
                await host.ask(subject=client(2 * number + (host is two)))
                await settle()
        assert CANARY in two.probes, "what answers here need not be what answers there"
        assert len(two.probes) <= 3, "in 65 minutes"
        assert len(one.probes) + len(two.probes) >= 6


@virtual
async def test_a_false_pass_lets_no_false_listing_through_for_longer_than_an_hour_nor_refuse_anybody():
    async with fleet(2) as (deaf, two):
        two.script["zen.spamhaus.org"] = two.script[CANARY] = a("127.0.0.2")  # the list lists the world
        for _ in range(20):
            deaf.memory.states["spamhaus-zen"].health.canary_passed(deaf.clock.monotonic())
            deaf.health.tell(deaf.state())
            await asyncio.sleep(300)
        assert (await two.ask()).why is Why.UNHEALTHY
        assert OWN_CANARY_TTL < 20 * 300


@virtual
async def test_regular_probes_are_one_hosts_where_the_others_know_the_list():
    async with fleet(2) as (one, two):
        for host in (one, two):
            assert host.engine.is_vouched_for("spamhaus-zen", PROBE_EVERY)
        three_hours = PROBE_EVERY / 2
        await asyncio.sleep(three_hours)
        assert two.engine.is_vouched_for("spamhaus-zen", PROBE_EVERY)
        await asyncio.sleep(three_hours + 1)
        assert not two.engine.is_vouched_for("spamhaus-zen", PROBE_EVERY)
        one.script[ZEN] = two.script[ZEN] = a("127.0.0.2")
        await two.ask()
        await settle()
        assert two.engine.is_vouched_for("spamhaus-zen", PROBE_EVERY)
        assert not one.engine.is_vouched_for("spamhaus-zen", PROBE_EVERY), "it has listed nobody here"


# -- a list that lists the world


@virtual
async def test_what_a_poisoned_list_has_listed_is_void_for_all_and_only_listings():
    async with fleet(3) as (one, two, three):
        one.script[ZEN] = a("127.0.0.2", ttl=3600)
        await one.ask()
        await one.ask(subject=client(1))
        assert isinstance(await two.ask(), Listed)
        one.script[CANARY] = a("127.0.0.2")
        await one.memory.dispatcher.probe(one.state())
        await settle()
        assert [is_suspended(host) for host in (one, two, three)] == [True, False, False]
        assert isinstance(await two.ask(), Clear), "it asks for itself"
        assert two.asked == [ZEN]
        assert isinstance(await three.ask(), Clear)
        assert isinstance(await three.ask(subject=client(1)), Clear)
        assert three.asked == []
        assert three.count("list_shared_replies", outcome="used") == 2


@virtual
async def test_after_one_found_it_to_list_the_world_every_host_asks_before_it_believes():
    async with fleet(3) as (one, two, three):
        one.script[CANARY] = two.script[CANARY] = a("127.0.0.2")
        await one.memory.dispatcher.probe(one.state())
        await settle()
        two.script[ZEN] = three.script[ZEN] = a("127.0.0.2")
        assert (await two.ask()).why is Why.UNHEALTHY
        assert two.probes == [CANARY]
        await settle()
        assert is_suspended(three), "two agree"


@virtual
async def test_one_host_that_sees_the_world_listed_costs_the_others_questions_only():
    async with fleet(2) as (bad, two):
        bad.script["zen.spamhaus.org"] = bad.script[CANARY] = a("127.0.0.2")
        for number in range(50):
            await bad.ask(subject=client(number))
            assert isinstance(await two.ask(subject=client(number)), Clear) or await two.refuses(subject=client(number))
            await asyncio.sleep(30)
        assert not is_suspended(two)
        assert len(two.asked) + len(two.probes) <= 150


@virtual
async def test_what_was_found_before_a_restart_still_voids():
    async with fleet(2) as (one, two):
        one.script[ZEN] = a("127.0.0.2", ttl=3600)
        await one.ask()
        say(one, HealthView(poisoned=one.clock.wall()), two.id)
        two.watching.cancel()
        two.health._told.clear()
        two.watching = asyncio.create_task(two.health.run())
        await settle()
        assert isinstance(await two.ask(), Clear)
        assert two.asked == [ZEN]


# -- times and octets of anybody


HARMLESS = {
    "of the future": lambda now: HealthView(now + 60, now + 360, 0, 0),
    "for ever": lambda now: HealthView(now - 1, 1e11),
    "since for ever": lambda now: HealthView(0, now + 1),
    "over": lambda now: HealthView(now - 400, now - 100),
    "sound in the future": lambda now: HealthView(passed=now + 60),
    "poisoned in the future": lambda now: HealthView(poisoned=now + 1e6),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_views_of_impossible_times_count_for_nothing(case):
    @virtual
    async def run():
        async with fleet(1) as (one,):
            health, before = one.state().health, one.state().health.others_passed
            for number in range(3):
                say(one, HARMLESS[case](one.clock.wall()), f"{number:016x}"[::-1])
            await settle()
            assert not is_suspended(one)
            assert health.others_passed == before
            assert health.doubted == float("-inf")
            one.script[ZEN] = a("127.0.0.2", ttl=3600)
            await one.ask()
            assert not one.health.voids(one.state().spec, one.clock.wall())

    run()


HOSTILE = [
    b"", b"1", b"\xff" * 20, b"1 1 2 3 4 nonsense x", b"2 1 2 3 4 blocked x", b"1 1 2 3 4 blocked \xe2\x82\xac", b"{}",
    b"9" * 10_000, b"1 1 2 3 4 blocked x\n1", b"1 99999999999999999 2 3 4 blocked x",
]  # fmt: skip


@pytest.mark.parametrize("octets", HOSTILE, ids=repr)
def test_hostile_views_are_none(octets):
    @virtual
    async def run():
        async with fleet(1) as (one,):
            for number in range(3):
                one.store.put(TABLE, SHOWN + b" %016x" % (0xF0 + number), octets, 2e9)
            one.store.put(TABLE, octets, octets, 2e9)
            await settle()
            assert decode(octets) is None
            assert not is_suspended(one)
            assert one.count("list_health_damaged_records") >= 4

    run()


@virtual
async def test_a_host_with_a_clock_five_minutes_off_does_no_harm():
    for skew in (-300.0, 300.0):
        async with fleet(3, ahead=(skew,)) as (off, two, three):
            off.script[ZEN] = two.script[ZEN] = three.script[ZEN] = a("127.0.0.2", ttl=600)
            assert isinstance(await off.ask(), Listed)
            assert isinstance(await two.ask(), Listed)
            reply = await two.ask()
            assert reply.ttl <= 600
            off.script[CANARY] = a("127.0.0.2")
            await off.memory.dispatcher.probe(off.state())
            await settle()
            assert not is_suspended(three)
            await block(off)
            await block(two, 2)
            await asyncio.sleep(SUSPENSION + 1)
            assert not is_suspended(three)


@virtual
async def no_more_views_than_there_is_room_for():
    async with fleet(1) as (one,):
        for number in range(40):
            say(one, HealthView(passed=1.0), f"{number:015x}f")
            await settle()
        assert one.health._count == bounds.LIST_VIEWS
        for number in range(2):
            one.store.delete(TABLE, SHOWN + f" {number:015x}f".encode())
        say(one, HealthView(passed=1.0), f"{1:015x}e")
        await settle()
        assert one.health._count == bounds.LIST_VIEWS - 1


def test_any_number_of_views_takes_no_more_room(monkeypatch):
    monkeypatch.setattr(bounds, "LIST_VIEWS", 20)
    no_more_views_than_there_is_room_for()


@virtual
async def test_keyed_lists_are_told_of_by_their_ids():
    key = "sesam0sesam0sesam0sesam0se"
    async with fleet(2, known=False) as (one, two):
        for host in (one, two):
            host.configure(specs(spamhaus_zen={"key": key}))
        one.script[f"{key}.zen.dq.spamhaus.net"] = a("127.255.255.254")
        await one.ask()
        (entry,) = await puts(one)
        assert entry.key == b"spamhaus-zen spamhaus-zen " + one.id.encode()
        assert key.encode() not in entry.value


@virtual
async def test_little_is_told():
    async with fleet(2) as (one, two):
        puts = []
        inner = one.store.put
        one.store.put = lambda table, *rest: (puts.append(table) if table == TABLE else None, inner(table, *rest))
        for host in (one, two):
            host.script["zen.spamhaus.org"] = a("127.0.0.2", ttl=60)
        for number in range(400):
            host = (one, two)[number % 2]
            await host.ask(subject=client(number))
            await host.refuses(subject=client(number))
            await asyncio.sleep(9)
        assert len(puts) <= 2 * 3600 / (CANARY_TTL / 2) + 2, "in an hour"


TIMES = st.one_of(st.just(0.0), st.floats(1.7e9, 1.9e9).map(lambda each: round(each, 3)))
TEXTS = st.text(st.characters(max_codepoint=126), max_size=30)
VIEWS = st.builds(HealthView, TIMES, TIMES, TIMES, TIMES, st.sampled_from(Why), TEXTS)


@given(VIEWS)
def test_a_view_comes_back_as_it_was_told(view):
    found = decode(encode(view))
    assert found[:4] == pytest.approx(view[:4], abs=0.001)
    assert found.why is view.why
    assert decode(encode(found)) == found


@given(st.binary(max_size=300))
def test_octets_of_anybody_are_a_view_or_none(octets):
    found = decode(octets)
    assert found is None or decode(encode(found)) == found


@given(st.lists(VIEWS, max_size=5), st.floats(1.7e9, 1.9e9))
def test_what_follows_from_views_needs_two_and_no_future(views, now):
    held = [view for view in views if view.suspends(now)]
    found = agreed(views, now)
    assert (found is None) == (len(held) < 2)
    if found is not None:
        assert now < found.until <= now + MAX_SUSPENSION + 3 * TOLERANCE
        assert sum(view.until >= found.until for view in held) >= 2
    assert last_passed(views, now) <= now + TOLERANCE
    assert last_poisoned(views, now) <= now + TOLERANCE


def test_the_form_of_a_view_stays():
    view = HealthView(1.8e9, 1.8e9 + 300, 1.8e9 - 1.5, 0, Why.BLOCKED, "answered its error code")
    octets = b"1 1800000000000 1800000300000 1799999998500 0 blocked answered its error code"
    assert encode(view) == octets
    assert decode(octets) == view


# -- the health itself


def test_a_host_alone_trusts_as_ever():
    health = ListHealth()
    assert not health.is_trusted(0.0)
    health.canary_passed(0.0)
    assert health.is_trusted(CANARY_TTL - 1)
    assert not health.is_trusted(CANARY_TTL)


def test_an_own_suspension_outlasts_what_others_agree_on():
    health = ListHealth()
    assert health.suspend(health.begin(0.0), Unknown(Why.BLOCKED, "x"), 0.0) == SUSPENSION
    health.retry(10.0)
    assert health.suspension(10.0) is None
    health.begin(10.0)
    assert health.suspension(11.0) is not None, "one question at a time"
