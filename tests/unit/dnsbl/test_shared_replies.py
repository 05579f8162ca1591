"""What one host has asked of a list costs the others no question, and no mail where it is wrong."""

import asyncio
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listfleet import CANARY, CLIENT, POINT, ZEN, Trouble, fleet
from scriptedlists import a, denial, spec, specs
from virtualtime import virtual

from resolverd import bounds
from resolverd.dnsbl.health import CANARY_TTL
from resolverd.dnsbl.quota import Allowance
from resolverd.dnsbl.reply_record import SharedReply, decode, encode, key_of, reading_of
from resolverd.dnsbl.shared_replies import KNOWS_FOR, TABLE
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed, ListLookup
from resolverd.wire.names import from_text

HOST, OTHER = "00000000000000ff", "0123456789abcdef"


def client(number):
    return ip_address(f"198.51.{number // 256}.{number % 256}")


def client_name(number):
    return f"{number % 256}.{number // 256}.51.198.zen.spamhaus.org"


async def records(host):
    return [entry async for entry in host.store.scan(TABLE, host.clock.wall())]


def plant(host, octets, subject=ZEN, lists=None):
    """Write a record into the store, as whoever reaches it may."""
    zen = lists or spec("spamhaus-zen")
    host.store.put(TABLE, key_of(zen, reading_of(zen), from_text(subject)), octets, host.clock.wall() + 10**6)


def planted(host, *addresses, since=-10.0, lasts=300.0, hosts=(HOST,)):
    now = host.clock.wall() + since
    plant(host, encode(SharedReply(now, now + lasts, tuple(IPv4Address(each).packed for each in addresses), hosts)))


# -- what it is good for


@virtual
async def test_who_was_seen_by_one_host_costs_the_others_nothing():
    async with fleet(3) as hosts:
        for host in hosts:
            host.script[ZEN] = a("127.0.0.2", ttl=300)
        first, *others = hosts
        listed, clear = await first.ask(), await first.ask(subject=client(1))
        await asyncio.sleep(100)
        for host in others:
            again = await host.ask()
            assert again._replace(ttl=0, age=0, ms=0) == listed._replace(ttl=0, age=0, ms=0)
            assert (again.age, again.ttl) == (pytest.approx(100, abs=1), pytest.approx(200, abs=1)), "as old as it is"
            assert isinstance(await host.ask(subject=client(1)), Clear)
            assert isinstance(clear, Clear)
            assert host.asked == host.probes == []
        assert len(first.asked) == 2


@virtual
async def test_it_is_read_once_and_ends_when_it_would_have_ended():
    async with fleet(2, store=Trouble()) as (one, two):
        one.script[ZEN] = two.script[ZEN] = a("127.0.0.2", ttl=300)
        await one.ask()
        await two.ask()
        reads = two.store.reads
        await two.ask()
        assert two.store.reads == reads, "the own cache comes first"
        await asyncio.sleep(301)
        await two.ask()
        assert two.asked == [ZEN]


@virtual
async def test_of_a_spent_quota_what_others_know_is_left():
    quota = "10/1d"
    async with fleet(2, known=False, spamhaus_zen={"quota": quota}) as (one, two):
        one.script[ZEN] = a("127.0.0.2")
        await one.ask()
        state = two.state()
        state.budget.book(10, two.clock.wall())
        assert isinstance(await two.ask(), Listed)
        assert (await two.ask(subject=client(1))).why is Why.QUOTA
        assert two.sent == 0
        assert state.budget.count == 10
        assert Allowance(10, 86400) == state.spec.quota


@virtual
async def test_domains_and_allow_lists_are_shared_too():
    async with fleet(2) as (one, two):
        one.script["spam.com.dbl.spamhaus.org"] = a("127.0.1.2")
        one.script["1.2.0.192.list.dnswl.org"] = a("127.0.5.3")
        assert isinstance(await one.ask("spamhaus-dbl", "spam.com"), Listed)
        assert (await one.ask("dnswl")).trust == 3
        assert isinstance(await two.ask("spamhaus-dbl", "Spam.COM"), Listed)
        assert (await two.ask("dnswl")).trust == 3
        assert two.asked == []


@virtual
async def test_test_points_and_what_is_asked_past_caches_are_everybodys_own():
    async with fleet(2) as (one, two):
        await one.engine.probe("spamhaus-zen", deadline=one.clock.monotonic() + 2)
        await two.engine.probe("spamhaus-zen", deadline=two.clock.monotonic() + 2)
        assert sorted(two.probes) == [CANARY, POINT]
        assert await records(one) == []


# -- what it must not do


@virtual
async def test_one_hosts_word_refuses_nobody_at_another_and_two_hosts_words_do():
    async with fleet(4) as hosts:
        one, two, three, liar = hosts
        for host in (one, two, three):
            host.script[ZEN] = a("127.0.0.2")
        assert isinstance(await one.ask(), Listed)
        assert isinstance(await two.ask(), Listed)
        assert two.asked == []
        assert await two.refuses() is None
        assert two.probes == [ZEN], "it asks for itself"
        assert isinstance(await three.ask(), Listed)
        await three.refuses()
        assert ZEN not in three.asked + three.probes, "two have seen it"
        liar.script["9.2.0.192.zen.spamhaus.org"] = a("127.0.0.2")
        nine = ip_address("192.0.2.9")
        assert isinstance(await liar.ask(subject=nine), Listed)
        assert isinstance(await two.ask(subject=nine), Listed)
        assert two.engine.must_reverify([ListLookup("spamhaus-zen", nine)])
        assert isinstance(await two.refuses(subject=nine), Clear)
        assert isinstance(await two.ask(subject=nine), Clear)
        assert isinstance(await three.ask(subject=nine), Clear), "what the last one found that has asked"


@virtual
async def test_what_one_host_has_looked_into_refuses_at_the_others_without_a_question():
    async with fleet(3) as (one, two, three):
        for host in (one, two, three):
            host.script[ZEN] = a("127.0.0.2", ttl=600)
        await one.ask()
        assert await one.refuses() is None
        assert one.probes, "it looks at the test point before it refuses"
        for host in (two, three):
            assert isinstance(await host.ask(), Listed)
            assert not host.engine.must_reverify([ListLookup("spamhaus-zen", CLIENT)])
            assert await host.refuses() is None
            assert host.asked == host.probes == []


@virtual
async def test_one_look_at_the_test_point_verifies_for_all_hosts_what_was_listed_before():
    async with fleet(2) as (one, two):
        listed = [client(number) for number in range(3)]
        for host in (one, two):
            for number in range(3):
                host.script[client_name(number)] = a("127.0.0.2", ttl=600)
        for each in listed:
            await one.ask(subject=each)
        await asyncio.sleep(1)
        puts = []
        inner = one.store.put
        one.store.put = lambda table, *rest: (puts.append(table), inner(table, *rest))
        for each in listed * 5:
            assert await one.refuses(subject=each) is None
        assert one.probes == [CANARY]
        assert puts.count(TABLE) == 3, "told once"
        one.store.put = inner
        for each in listed:
            await two.ask(subject=each)
            assert await two.refuses(subject=each) is None
        assert two.asked == two.probes == []


@virtual
async def test_one_hosts_word_refuses_nobody_though_nothing_may_be_asked():
    async with fleet(2, spamhaus_zen={"quota": "100/1d"}) as (one, two):
        one.script[ZEN] = a("127.0.0.2")
        await one.ask()
        assert isinstance(await two.ask(), Listed)
        two.state().budget.book(100, two.clock.wall())
        assert (await two.refuses()).why is Why.QUOTA


@virtual
async def test_a_resolver_that_denies_everything_tells_nobody():
    async with fleet(2, known=False) as (deaf, two):
        deaf.script.clear()
        two.script[ZEN] = a("127.0.0.2")
        await deaf.probe()
        assert isinstance(await deaf.ask(), Clear)
        assert isinstance(await two.ask(), Listed)
        assert len(await records(two)) == 1


@virtual
async def test_who_has_not_seen_a_list_list_anybody_for_an_hour_looks_at_its_test_point_first():
    async with fleet(1) as (one,):
        await asyncio.sleep(KNOWS_FOR + 1)
        for number in range(20):
            await one.ask(subject=client(number))
        assert one.probes == [POINT]
        await asyncio.sleep(0.01)
        assert len(await records(one)) == 20
        await asyncio.sleep(KNOWS_FOR + 1)
        one.script[client_name(100)] = a("127.0.0.2")
        await one.ask(subject=client(100))
        await one.ask(subject=client(101))
        assert one.probes == [POINT, CANARY], "mail has shown it this time"
        assert len(await records(one)) == 2


@virtual
async def test_what_was_denied_to_somebody_long_before_is_not_told_when_that_is_over():
    async with fleet(1, known=False) as (deaf,):
        del deaf.script[POINT]
        for number in range(bounds.LIST_UNSHARED + 10):
            await deaf.ask(subject=client(number))
        assert deaf.probes == [POINT]
        assert sum(len(each) for each in deaf.memory.dispatcher._replies._waiting.values()) == bounds.LIST_UNSHARED
        await asyncio.sleep(CANARY_TTL)
        await deaf.ask(subject=client(1000))
        assert deaf.probes == [POINT, POINT], "from time to time"
        await asyncio.sleep(60)
        deaf.script[client_name(1001)] = a("127.0.0.2")
        await deaf.ask(subject=client(1001))
        await deaf.ask(subject=client(1002))
        assert len(await records(deaf)) == 2


@virtual
async def test_a_listing_needs_a_list_that_was_found_sound_by_anybody_of_late():
    async with fleet(2) as (one, two):
        one.script[ZEN] = a("127.0.0.2", ttl=86400)
        await one.ask()
        await asyncio.sleep(CANARY_TTL + 1)
        two.script[CANARY] = a("127.0.0.2")
        assert (await two.ask()).why is Why.UNHEALTHY
        assert two.probes == [CANARY]
        assert two.engine.status("spamhaus-zen").state == "suspended"
        assert one.engine.status("spamhaus-zen").state == "ok"


@virtual
async def test_a_known_good_client_is_asked_about_again():
    async with fleet(2) as (one, two):
        two.engine.add_known_good(CLIENT, ["spamhaus-zen"])
        one.script[ZEN] = a("127.0.0.2")
        await one.ask()
        await two.ask()
        assert CANARY in two.probes, "the list is suspected"
        assert isinstance(await two.refuses(), Clear)


FAR = 10**9
UNFIT = {
    "of the future": {"since": 60.0},
    "over": {"since": -400.0},
    "ended before it began": {"lasts": -1.0},
    "beyond what a listing lasts": {"since": -90_000.0, "lasts": FAR},
}


@pytest.mark.parametrize("case", UNFIT)
def test_records_of_no_time_count_for_nothing(case):
    @virtual
    async def run():
        async with fleet(1) as (one,):
            planted(one, "127.0.0.2", **UNFIT[case])
            assert isinstance(await one.ask(), Clear)
            assert one.asked == [ZEN]

    run()


@virtual
async def test_an_end_in_the_far_future_is_no_later_than_the_list_may_say():
    async with fleet(1) as (one,):
        planted(one, "127.0.0.2", lasts=FAR)
        planted_long = await one.ask()
        assert planted_long.ttl <= 86400
        one.store.put(TABLE, key_of(spec("spamhaus-zen"), reading_of(spec("spamhaus-zen")), from_text(ZEN)),
                      encode(SharedReply(one.clock.wall(), one.clock.wall() + FAR, (), (HOST,))), 2e9)  # fmt: skip
        one.memory.dispatcher.forget_all()
        assert (await one.ask()).ttl <= 3600


HOSTILE = [
    b"", b"1", b"2 1 2 " + HOST.encode() + b" 127.0.0.2", b"\xff\xfe\x00", b"1 1 2 x 127.0.0.2", b"{}",
    b"1 -1 2 %s -" % HOST.encode(), b"1 1 99999999999999999 %s 127.0.0.2" % HOST.encode(),
    b"1 1 2 %s 127.0.0.256" % HOST.encode(),
    b"1 1800000000000 1800000900000 %s %s" % (HOST.encode(), b",".join([b"127.0.0.2"] * 17)),
    b"1 1800000000000 1800000900000 %s 127.0.0.2\n" % HOST.encode(), b"9" * 100_000, b"\x80\x04\x95",
    # Well formed, and what no list answers, or answers when it does not serve us: not for another host to say.
    b"1 1800000000000 1800000900000 %s 8.8.8.8" % HOST.encode(),
    b"1 1800000000000 1800000900000 %s 127.255.255.254" % HOST.encode(),
    b"1 1800000000000 1800000900000 %s 127.0.0.99" % HOST.encode(),
]  # fmt: skip


@pytest.mark.parametrize("octets", HOSTILE, ids=lambda octets: repr(octets[:30]))
def test_hostile_values_list_nobody_and_suspend_nothing(octets):
    @virtual
    async def run():
        async with fleet(1) as (one,):
            plant(one, octets)
            assert isinstance(await one.ask(), Clear)
            assert one.asked == [ZEN]
            assert one.engine.status("spamhaus-zen").state == "ok"

    run()


@virtual
async def test_a_list_that_is_read_otherwise_is_shared_with_nobody():
    async with fleet(2, known=False) as (one, two):
        two.configure(specs(spamhaus_zen={"codes": {"127.0.0.2": {"means": "listed", "weight": 1}}}))
        one.script[ZEN] = two.script[ZEN] = a("127.0.0.10")
        assert isinstance(await one.ask(), Listed)
        assert isinstance(await two.ask(), Clear)
        assert two.asked == [ZEN]


@virtual
async def test_weights_and_words_are_the_own_configurations():
    async with fleet(2, known=False, spamcop={"enabled": True, "weight": 3}) as (one, two):
        two.configure(specs(spamcop={"enabled": True, "weight": 1.5}))
        await asyncio.sleep(1)
        one.script["1.2.0.192.bl.spamcop.net"] = a("127.0.0.2")
        assert (await one.ask("spamcop")).weight == 3
        assert (await two.ask("spamcop")).weight == 1.5
        assert two.asked == []


@virtual
async def test_an_own_list_of_the_same_name_in_another_zone_is_another_list():
    mine = {"zone": "rbl.example.net", "enabled": True, "quota": "100/1d"}
    async with fleet(2, known=False, mine=mine) as (one, two):
        two.configure(specs(mine={**mine, "zone": "rbl.example.com"}))
        one.script["1.2.0.192.rbl.example.net"] = a("127.0.0.2")
        assert isinstance(await one.ask("mine"), Listed)
        assert isinstance(await two.ask("mine"), Clear)
        assert two.asked == ["1.2.0.192.rbl.example.com"]


@virtual
async def test_keyed_lists_are_shared_and_their_keys_are_not():
    keys = ["sesam0sesam0sesam0sesam0se", "hollahollahollahollaholla0"]
    async with fleet(2, known=False) as (one, two):
        for host, key in zip((one, two), keys, strict=True):
            host.configure(specs(spamhaus_zen={"key": key}))
            host.script[f"1.2.0.192.{key}.zen.dq.spamhaus.net"] = a("127.0.0.2")
            host.script[f"2.0.0.127.{key}.zen.dq.spamhaus.net"] = a("127.0.0.2")
        await one.probe()
        assert isinstance(await one.ask(), Listed)
        assert isinstance(await two.ask(), Listed)
        assert two.asked == [], "each has a key of its own for one list"
        kept = b"".join(bytes(key) + value.value for key, value in one.store._records.items())
        assert not any(key.encode() in kept.lower() for key in keys)


# -- a store in trouble


@virtual
async def test_a_stalled_store_is_waited_for_once():
    store = Trouble()
    async with fleet(1, store=store, spamhaus_zen={"rate": "100000/1s"}) as (one,):
        store.delay = 5.0
        begun = one.clock.monotonic()
        await asyncio.gather(*(one.ask(subject=client(number)) for number in range(50)))
        assert one.clock.monotonic() - begun == pytest.approx(bounds.LIST_SHARED_TIME)
        begun = one.clock.monotonic()
        reads = store.reads
        for number in range(50, 100):
            await one.ask(subject=client(number))
        assert one.clock.monotonic() == begun
        assert store.reads == reads
        assert len(one.asked) == 100
        for number in range(100, 400):  # and later no longer than that either
            await asyncio.sleep(1)
            before = one.clock.monotonic()
            await one.ask(subject=client(number))
            assert one.clock.monotonic() == before
        assert store.reads - reads < 40
        store.delay = 0.001
        await asyncio.sleep(30)
        await one.ask(subject=client(400))
        await asyncio.sleep(1)
        assert one.count("list_shared_replies") == 0
        reads = store.reads
        await one.ask(subject=client(401))
        assert store.reads == reads + 1, "it is in time again"


@virtual
async def test_a_dead_store_costs_nothing():
    store = Trouble()
    async with fleet(2, store=store) as (one, two):
        store.dead = True
        one.script[ZEN] = two.script[ZEN] = a("127.0.0.2")
        assert isinstance(await one.ask(), Listed)
        assert isinstance(await two.ask(), Listed)
        assert await two.refuses() is None
        store.dead = False
        for host in (one, two):
            await asyncio.sleep(30)
            await host.ask(subject=client(1))
        await asyncio.sleep(1)
        await one.ask(subject=client(2))
        await two.ask(subject=client(2))
        assert "2.0.51.198.zen.spamhaus.org" not in two.asked


@virtual
async def test_who_stops_waiting_or_ends_the_engine_leaves_nothing_behind():
    store = Trouble()
    async with fleet(1, store=store) as (one,):
        store.delay = 0.01
        asking = asyncio.create_task(one.ask())
        await asyncio.sleep(0.005)
        asking.cancel()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]


@virtual
async def test_what_was_flushed_while_it_was_read_is_not_kept():
    store = Trouble()
    async with fleet(2, store=store) as (one, two):
        one.script[ZEN] = a("127.0.0.2")
        await one.ask()
        store.delay = 0.01
        asking = asyncio.create_task(two.ask())
        await asyncio.sleep(0.005)
        two.engine.flush(None)
        await asking
        assert two.engine.flush(None) == 0


FLUSHES = {
    "of all": lambda engine: engine.flush(None),
    "of the name": lambda engine: engine.flush(from_text(ZEN)),
    "of all below": lambda engine: engine.flush(from_text("2.0.192.zen.spamhaus.org"), below=True),
    "as the zone is another": lambda engine: engine.forget(frozenset({from_text("zen.spamhaus.org")})),
    "many": lambda engine: [engine.flush(from_text(f"{number}.example")) for number in range(bounds.LIST_FORGOTTEN + 1)],
}


@pytest.mark.parametrize("what", FLUSHES)
def test_what_was_flushed_does_not_come_back_from_other_hosts(what):
    @virtual
    async def run():
        async with fleet(2) as (one, two):
            one.script[ZEN] = a("127.0.0.2")
            await one.ask()
            await one.ask(subject=client(1))
            await asyncio.sleep(1)
            FLUSHES[what](two.engine)
            assert isinstance(await two.ask(), Clear)
            assert two.asked == [ZEN]
            await two.ask(subject=client(1))
            assert len(two.asked) == (2 if what in ("of all", "as the zone is another", "many") else 1)
            await asyncio.sleep(1)
            await one.ask(subject=client(2))
            await two.ask(subject=client(2))
            assert client_name(2) not in two.asked, "what has been asked since is as good as ever"

    run()


# -- the record


@given(
    st.floats(0, 1e10), st.floats(0, 1e10), st.lists(st.binary(min_size=4, max_size=4), max_size=bounds.LIST_SHARED_ADDRESSES),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=2, unique=True),
)  # fmt: skip
def test_a_reply_comes_back_as_it_was_put(since, until, addresses, hosts):
    reply = SharedReply(since, until, tuple(addresses), tuple(f"{each:016x}" for each in hosts))
    octets = encode(reply)
    found = decode(octets)
    assert len(octets) <= bounds.LIST_SHARED_OCTETS
    assert found._replace(since=since, until=until) == reply
    assert found.since == pytest.approx(since, abs=0.002)
    assert found.until == pytest.approx(until, abs=0.002)


@given(st.binary(max_size=400))
def test_octets_of_anybody_are_a_reply_or_none(octets):
    found = decode(octets)
    assert found is None or decode(encode(found)) == found


def test_the_form_of_a_record_stays():
    octets = b"1 1800000000000 1800000300500 00000000000000ff,0123456789abcdef - 127.0.0.2,127.0.0.10"
    reply = SharedReply(1.8e9, 1.8e9 + 300.5, (b"\x7f\0\0\2", b"\x7f\0\0\x0a"), (HOST, OTHER))
    assert encode(reply) == octets
    assert decode(octets) == reply
    assert encode(reply._replace(verified=True)) == octets.replace(b" - ", b" + ")
    assert encode(reply._replace(addresses=(), hosts=(HOST,))) == b"1 1800000000000 1800000300500 00000000000000ff - -"
    zen = spec("spamhaus-zen")
    assert key_of(zen, "r", from_text("1.2.0.192.ZEN.spamhaus.org")) == b"spamhaus-zen r \x011\x012\x010\x03192"


@virtual
async def test_a_list_gone_mad_is_not_shared():
    async with fleet(1) as (one,):
        one.script[ZEN] = a(*(f"127.0.0.{number}" for number in range(2, 12)), *["127.0.0.2"] * bounds.LIST_SHARED_ADDRESSES)
        await one.ask()
        assert await records(one) == []
        one.script["9.2.0.192.zen.spamhaus.org"] = denial()
        assert not isinstance(await one.ask(subject=ip_address("192.0.2.9")), Unknown)
