"""Own addresses and test points in a fleet: asked once for all, told once, taken over by the others."""

import asyncio
import logging
from contextlib import asynccontextmanager
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from listfleet import CANARY, ZEN, Trouble, fleet
from scriptedlists import SERVFAIL, a, specs
from virtualtime import virtual

from resolverd.dnsbl.monitor import LOOK_EVERY, PROBE_EVERY, WATCH_EVERY, Monitor
from resolverd.dnsbl.watched import TABLE, Findings, WatchedAddresses, decode, encode

OWN = ip_address("203.0.113.25")
OWN_IN_ZEN = "25.113.0.203.zen.spamhaus.org"
OWN_IN_PSBL = "25.113.0.203.psbl.surriel.com"


@asynccontextmanager
async def watching(count=3, apart=60.0, **options):
    """Hosts whose rounds begin some seconds apart."""
    async with fleet(count, known=False, **options) as hosts:
        tasks = []
        for host in hosts:
            shared = WatchedAddresses(host.store, host.clock, host.counters, lambda host=host: host.id)
            host.monitor = Monitor(
                lambda host=host: host.engine, lambda: True, lambda: [OWN], host.clock, host.counters, shared
            )
            host.tasks = [asyncio.create_task(host.monitor.probe()), asyncio.create_task(host.monitor.watch())]
            tasks += host.tasks
            await asyncio.sleep(apart)
        yield hosts
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def listing(hosts, answer=None):
    for host in hosts:
        host.script[OWN_IN_ZEN] = answer or a("127.0.0.3", ttl=60)


def alerts(hosts):
    return sum(host.count("watch_alerts") for host in hosts)


def watched(host):
    return host.engine.status("spamhaus-zen").watched


@virtual
async def test_one_host_asks_for_all_once_an_hour():
    async with watching(spamhaus_zen={"max_ttl": "60s", "min_ttl": "60s"}) as hosts:
        await asyncio.sleep(10 * WATCH_EVERY - 300)
        asked = [host.asked.count(OWN_IN_ZEN) for host in hosts]
        assert 9 <= sum(asked) <= 10


@virtual
async def test_a_listing_is_told_once_in_the_fleet_and_known_on_every_host():
    async with watching() as hosts:
        assert [watched(host) for host in hosts] == [()] * 3
        listing(hosts)
        await asyncio.sleep(2 * WATCH_EVERY + LOOK_EVERY)
        assert [watched(host) for host in hosts] == [(str(OWN),)] * 3
        assert alerts(hosts) == 1
        await asyncio.sleep(5 * WATCH_EVERY)
        assert alerts(hosts) == 1
        listing(hosts, SERVFAIL)
        await asyncio.sleep(2 * WATCH_EVERY)
        assert [watched(host) for host in hosts] == [(str(OWN),)] * 3, "not known is not gone"
        for host in hosts:
            del host.script[OWN_IN_ZEN]
        await asyncio.sleep(2 * WATCH_EVERY + LOOK_EVERY)
        assert [watched(host) for host in hosts] == [()] * 3


@virtual
async def test_another_host_goes_on_where_one_has_died_and_tells_nothing_twice():
    async with watching() as hosts:
        listing(hosts)
        await asyncio.sleep(WATCH_EVERY + LOOK_EVERY)
        assert alerts(hosts) == 1
        asked = [host.asked.count(OWN_IN_ZEN) for host in hosts]
        first = asked.index(max(asked))
        for task in hosts[first].tasks:
            task.cancel()
        rest = [host for host in hosts if host is not hosts[first]]
        before = sum(host.asked.count(OWN_IN_ZEN) for host in rest)
        await asyncio.sleep(3 * WATCH_EVERY)
        assert 2 <= sum(host.asked.count(OWN_IN_ZEN) for host in rest) - before <= 3
        assert alerts(hosts) == 1


@virtual
async def test_who_begins_while_another_is_at_it_has_its_findings_at_once():
    async with watching(2, apart=0.0) as hosts:
        listing(hosts, (1.5, a("127.0.0.3")))
        await asyncio.sleep(5)
        assert [watched(host) for host in hosts] == [(str(OWN),)] * 2
        assert sum(host.asked.count(OWN_IN_ZEN) for host in hosts) == 1


@virtual
async def test_what_a_dead_host_has_claimed_is_looked_up_by_another():
    async with watching(2, apart=0.0) as (one, two):
        for task in one.tasks:
            task.cancel()
        listing((one, two))
        assert await two.store.get(TABLE, str(OWN).encode(), two.clock.wall()) is None
        await asyncio.sleep(20)
        assert watched(two) == (str(OWN),)


@virtual
async def test_a_list_that_one_host_alone_has_is_asked_by_it():
    async with watching(2, apart=0.0) as (_, two):
        two.configure(specs(psbl={"enabled": True}))
        two.script[OWN_IN_PSBL] = a("127.0.0.2", ttl=60)
        await asyncio.sleep(4 * WATCH_EVERY)
        assert two.engine.status("psbl").watched == (str(OWN),)
        assert 3 <= two.asked.count(OWN_IN_PSBL) <= 5


@virtual
async def test_without_the_store_every_host_watches_as_if_alone():
    store = Trouble()
    store.dead = True
    async with watching(2, store=store) as hosts:
        listing(hosts)
        await asyncio.sleep(WATCH_EVERY)
        assert [watched(host) for host in hosts] == [(str(OWN),)] * 2


@virtual
async def test_test_points_are_asked_where_nothing_else_tells_that_the_list_is_sound():
    async with watching(2, apart=0.0) as (one, two):
        await asyncio.sleep(60)
        assert CANARY in one.probes
        assert CANARY in two.probes, "at its start each sees whether lists answer it"
        for host in (one, two):
            host.probes.clear()
            host.script[ZEN] = a("127.0.0.2", ttl=60)
        for _ in range(80):
            await asyncio.sleep(PROBE_EVERY / 80)
            await one.ask()
            await two.ask()
            await two.refuses()
        await asyncio.sleep(120)
        assert "2.0.0.127.zen.spamhaus.org" not in one.probes + two.probes, "mail has shown it"
        assert ZEN in one.asked


DAMAGED = (b"", b"{}", b"\xff", b'{"asked":1,"listed":[]}', b'{"asked":[1],"listed":[]}', b"[" * 20_000, b"[" * 10_000)


def test_a_host_with_something_wrong_in_the_store_asks_itself(caplog):
    @virtual
    async def run():
        async with watching(1, apart=0.0) as (one,):
            for octets in DAMAGED:
                assert decode(octets) is None
                one.store.put(TABLE, str(OWN).encode(), octets, 2e9)
                await asyncio.sleep(WATCH_EVERY)
            assert 6 <= one.asked.count(OWN_IN_ZEN) <= 8
            assert one.count("watch_damaged_records") >= 6

    with caplog.at_level(logging.ERROR):
        run()
    assert not caplog.messages


NAMES = st.frozensets(st.text(max_size=20), max_size=20)


@given(NAMES, NAMES)
def test_findings_come_back_as_they_were_told(asked, listed):
    assert decode(encode(Findings(asked, listed & asked))) == Findings(asked, listed & asked)


@given(st.binary(max_size=100))
def test_octets_of_anybody_are_findings_or_none(octets):
    found = decode(octets)
    assert found is None or decode(encode(found)) == found
