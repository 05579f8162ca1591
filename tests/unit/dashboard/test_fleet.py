"""The dashboard of a daemon that shares a store with others: who they are, how it fares, and whose verdict is whose."""

from pathlib import Path

from fleets import SharedMemory, in_fleet, many_say, others_say
from playwright.sync_api import expect
from served import LISTED, Served, serving

from resolverd.fleet.hosts import Hosts
from resolverd.policy.fleet_verdicts import FleetVerdicts
from resolverd.policy.published_verdicts import VerdictPublisher
from resolverd.policy.verdicts import VerdictStore
from resolverd.servers.http.routes.verdict import Attributes
from resolverd.state.memory import MemoryStore
from resolverd.values import replace

from .conftest import Opener, end_feed
from .test_looks import AXE, FOUND


def test_hosts_their_store_and_their_verdicts(opened: Opener, tmp_path: Path) -> None:
    made: list[Hosts] = []
    with serving(tmp_path, prepare=lambda served: made.append(in_fleet(served))) as served:
        [hosts] = made
        others_say(served)
        served.do(hosts.beat())
        reference = served.do(_given_elsewhere(served, hosts))
        for theme, width in (("light", 1440), ("dark", 390)):
            page = opened(theme=theme, width=width, daemon=served)
            card = page.locator("#fleet")
            expect(card).to_contain_text("store well")
            expect(card).to_contain_text("rediss://store.example.net/0 · Valkey 8.0.1 · reads p50 0.4 ms, p99 1.3 ms")
            rows = card.locator("tbody tr")
            expect(rows).to_have_count(3)
            expect(rows.nth(0)).to_contain_text("this one")
            expect(rows.nth(1)).to_contain_text("alive")
            expect(rows.nth(2)).to_contain_text("silent")
            expect(page.locator(".trouble")).to_contain_text("host mx3 has said nothing for 10 min, nor that it ends")
            expect(page.locator("#feed tbody tr").first).to_contain_text("mx2")
            page.evaluate(AXE)
            assert page.evaluate(FOUND) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.goto(f"/#/verdict/{reference}")
            expect(page.locator(".verdict-head")).to_contain_text("mx2")
        assert isinstance(served.store, SharedMemory)
        served.store.is_well = False
        page.goto("/#/now")
        expect(page.locator("#fleet")).to_contain_text("store in trouble")
        expect(page.locator("#fleet")).to_contain_text("3 records of this host to come")
        served.do(end_feed(served))


def test_of_many_hosts_those_in_trouble_are_seen_first(opened: Opener, tmp_path: Path) -> None:
    made: list[Hosts] = []
    with serving(tmp_path, prepare=lambda served: made.append(in_fleet(served))) as served:
        others_say(served)
        many_say(served, 50)
        served.do(made[0].beat())
        for theme, width in (("light", 1440), ("dark", 390)):
            page = opened(theme=theme, width=width, daemon=served)
            card = page.locator("#fleet")
            rows = card.locator("tbody tr:visible")
            expect(rows).to_have_count(2)
            expect(rows.nth(0)).to_contain_text("this one")
            expect(rows.nth(1)).to_contain_text("silent")
            card.get_by_text("51 other hosts are alive").click()
            expect(rows).to_have_count(53)
            page.evaluate(AXE)
            assert page.evaluate(FOUND) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        served.do(end_feed(served))


async def _given_elsewhere(served: Served, hosts: Hosts) -> str:
    """The reference of a verdict that mx2 has given and published."""
    verdicts = VerdictStore(MemoryStore(), served.clock, served.counters)
    attempt = Attributes(client_address=LISTED, sender="joe@example.org", recipient="b@example.com").attempt
    given = await served.service.capabilities().policy.verdict_on(attempt, record=False)
    verdict = replace(given, id="MX2MX2MX2M")
    verdicts.put(verdict, attempt)
    verdicts.write()
    await VerdictPublisher(verdicts, served.store, served.clock, lambda: "2" * 16).publish()
    all_of_them = FleetVerdicts(served.service._shared.verdicts, served.store, hosts, served.clock)
    before = served.altered
    served.altered = lambda daemon: before(daemon)._replace(verdicts=all_of_them)
    return verdict.id


def test_one_host_alone_shows_no_fleet(opened: Opener) -> None:
    page = opened()
    expect(page.locator(".tile").first).to_be_visible()
    expect(page.locator("#fleet")).to_have_count(0)
