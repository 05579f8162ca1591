"""The rounds on virtual time: test points at start and every six hours, own addresses every hour, idle lists never."""

import asyncio
import logging
from ipaddress import ip_address

from scriptedlists import SERVFAIL, a, specs
from virtualtime import virtual

from resolverd.dnsbl.monitor import PROBE_EVERY, WATCH_EVERY, Monitor
from tests.unit.dnsbl.test_engine import CLIENT, World

OWN = ip_address("203.0.113.25")
OWN_IN_ZEN = "25.113.0.203.zen.spamhaus.org"


class Round:
    """The rounds of one engine."""

    def __init__(self, watched=(), online=lambda: True, **tables):
        self.world = World(specs(**tables))
        self.watched = list(watched)
        self.rounds = Monitor(lambda: self.world.engine, online, lambda: self.watched, self.world.clock, self.world.counters)
        self.tasks = [asyncio.create_task(self.rounds.probe()), asyncio.create_task(self.rounds.watch())]

    @property
    def points(self):
        return self.world.resolver.probes

    async def aclose(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.world.engine.aclose()


@virtual
async def test_every_list_is_probed_at_start_and_used_ones_every_six_hours():
    r = Round()
    await asyncio.sleep(1)
    assert set(r.points) == {
        "2.0.0.127.zen.spamhaus.org", "1.0.0.127.zen.spamhaus.org", "dbltest.com.dbl.spamhaus.org", "invalid.dbl.spamhaus.org",
        "2.0.0.127.list.dnswl.org", "1.0.0.127.list.dnswl.org",
    }  # fmt: skip
    assert r.world.sent("spamhaus-zen") == 2, "paid from its quota"
    assert r.world.engine.status("spamhaus-zen").quota_left == 300_000 - 2
    await r.world.ask("spamhaus-zen")
    r.points.clear()
    await asyncio.sleep(PROBE_EVERY + 1)
    assert set(r.points) == {"2.0.0.127.zen.spamhaus.org", "1.0.0.127.zen.spamhaus.org"}, "the others have been idle"
    r.points.clear()
    await asyncio.sleep(4 * PROBE_EVERY)
    assert r.points == []
    await r.aclose()


@virtual
async def test_nothing_is_asked_before_names_can_be_resolved():
    online = []
    r = Round([OWN], online=lambda: bool(online))
    await asyncio.sleep(600)
    assert r.points == r.world.asked == []
    online.append(True)
    await asyncio.sleep(2)
    assert r.points
    await r.aclose()


@virtual
async def test_a_list_that_serves_open_resolvers_only_is_found_out_at_start():
    r = Round()
    r.world.resolver.wild = True
    r.world.script["zen.spamhaus.org"] = a("127.255.255.254")
    await asyncio.sleep(1)
    assert r.world.engine.status("spamhaus-zen").state == "suspended"
    assert (await r.world.ask("spamhaus-zen")).detail.startswith("answered its error code")
    assert r.world.asked == []
    await r.aclose()


def test_a_listing_of_an_own_address_is_told_once_and_its_end_too(caplog):
    @virtual
    async def run():
        r = Round([OWN])
        await asyncio.sleep(10)
        assert r.world.engine.status("spamhaus-zen").watched == ()
        r.world.script[OWN_IN_ZEN] = a("127.0.0.3")
        await asyncio.sleep(3 * WATCH_EVERY)
        assert r.world.engine.status("spamhaus-zen").watched == ("203.0.113.25",)
        assert r.world.counters.get("watch_alerts", list="spamhaus-zen") == 1
        r.world.script[OWN_IN_ZEN] = SERVFAIL
        await asyncio.sleep(WATCH_EVERY)
        assert r.world.engine.status("spamhaus-zen").watched == ("203.0.113.25",), "not known is not gone"
        del r.world.script[OWN_IN_ZEN]
        await asyncio.sleep(2 * WATCH_EVERY)
        assert r.world.engine.status("spamhaus-zen").watched == ()
        await r.aclose()

    with caplog.at_level(logging.WARNING):
        run()
    response = [message for message in caplog.messages if "own address" in message]
    assert len(response) == 2
    assert response[0].startswith("our own address 203.0.113.25 is listed by zen.spamhaus.org (CSS")
    assert "https://www.spamhaus.org/query/ip/203.0.113.25" in response[0]
    assert response[1].endswith("is no longer listed by zen.spamhaus.org")


@virtual
async def test_own_addresses_are_no_reason_to_spend_the_reserve():
    r = Round([OWN], spamhaus_zen={"quota": "20/1d"})
    await asyncio.sleep(1)
    assert OWN_IN_ZEN in r.world.asked
    for n in range(15):
        await r.world.ask("spamhaus-zen", ip_address(f"198.51.100.{n}"))
    assert r.world.engine.status("spamhaus-zen").quota_left == 2
    r.world.asked.clear()
    await asyncio.sleep(WATCH_EVERY * 3)
    assert r.world.asked == []
    await r.aclose()


@virtual
async def test_private_addresses_and_allow_lists_are_not_asked():
    r = Round([ip_address("10.0.0.1"), OWN])
    await asyncio.sleep(10)
    assert r.world.asked == [OWN_IN_ZEN]
    assert CLIENT not in r.watched
    await r.aclose()
