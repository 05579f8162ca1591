"""Three mail servers with one store, each with a real Postfix before it: what one of them learns, all of them know."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bench.fleet_kills import Step, faults, play, table
from tests.lab import outages
from tests.lab.daemon import until
from tests.lab.fleet import Fleet, MailHost, shared
from tests.lab.fleet_world import listed, organisation
from tests.lab.lab import Lab
from tests.lab.lists import LISTS
from tests.lab.namespace import Side
from tests.lab.redis import Redis
from tests.lab.traffic import Traffic, policy

QUOTA = 90
DELAY = 3
"""Seconds of greylisting: a retry comes before they are over, and a test can wait for them."""

SOON = 10.0
"""Seconds within which what one host was told is in force at the others."""

_unseen = itertools.count(1)
ZEN = "zen.spamhaus.org"
SMALL = "rbl.small-list.net"


def limited(name: str) -> str:
    """A further list, whose quota nobody has touched under this name."""
    return f'[lists.{name}]\nzone = "{SMALL}"\nkinds = ["ip6"]\nquota = "{QUOTA}/1d"\n'


@pytest.fixture(scope="module")
def redis(lab: Lab) -> Redis:
    return Redis(Side("store"))


@pytest.fixture(scope="module")
def fleet(lab: Lab, redis: Redis) -> Iterator[Fleet]:
    with Fleet(lab, shared(delay=DELAY), redis.daemon) as running:
        running.wait_for_store()
        yield running


def headers(fleet: Fleet, number: int, user: str) -> list[str]:
    """X-Greylist of each message of a sender that this host has delivered."""
    postfix = fleet.hosts[number].postfix
    postfix.count("anna")
    return [mail["X-Greylist"] for mail in postfix.delivered("anna", 0) if f"{user}@" in mail["From"]]


class TestGreylist:
    """A retry counts wherever it comes."""

    def test_a_retry_at_another_host_passes_once_it_has_waited(self, fleet: Fleet) -> None:
        fleet.lets_pass_who_has_waited(0, 1, 0, DELAY)
        (told,) = headers(fleet, 1, "patient")
        assert re.match(r"delayed \d+ seconds", told), told
        first, _, third = organisation(0)[:3]
        assert fleet.attempt(2, third, "patient").accepted
        assert fleet.attempt(0, first, "patient").accepted
        assert headers(fleet, 2, "patient") == headers(fleet, 0, "patient") == [None]

    def test_who_has_passed_often_is_known_to_all(self, fleet: Fleet) -> None:
        """Counted once an hour, so here one success is often."""
        first, second = organisation(1)[:2]
        for host in fleet.hosts:
            host.configure(host.settings.replace("[greylist]", "[greylist]\nauto_allow_after = 1"))
        try:
            assert fleet.attempt(0, first, "one").deferred
            time.sleep(DELAY + 0.2)
            assert fleet.attempt(1, second, "one").accepted
            assert fleet.attempt(2, first, "another").accepted
            assert headers(fleet, 2, "another") == [None]
        finally:
            for host in fleet.hosts:
                host.configure(host.settings)


class TestLists:
    """What one host has asked or found out of a list, no other asks again; and together they keep within a quota."""

    def test_a_client_that_one_host_has_seen_costs_the_others_no_query(self, fleet: Fleet) -> None:
        client = organisation(2)[0]
        with fleet.hosts[0].tap() as first, fleet.hosts[1].tap() as second, fleet.hosts[2].tap() as third:
            taps = (first, second, third)
            asked = []
            for number, tap in enumerate(taps):
                fleet.attempt(number, client, "cheap")
                name = _reversed(client.address)
                asked.append({query.name for query in tap.queries() if query.name.startswith(name) and _is_list(query.name)})
        assert asked == [{f"{_reversed(client.address)}.{zone}" for zone in (ZEN, "list.dnswl.org")}, set(), set()]

    def test_a_flood_of_clients_keeps_within_the_quota(self, fleet: Fleet) -> None:
        """Three hundred clients that nobody has seen, at three hosts at once, on a list that may be asked ninety times."""
        taps = [host.tap() for host in fleet.hosts]
        try:
            for host in fleet.hosts:
                host.configure(host.settings + limited("small"))
            asyncio.run(_flood(fleet, 300))
            time.sleep(1)
            counts = [len(tap.charged(fleet.lab.lists[SMALL])) for tap in taps]
        finally:
            for tap in taps:
                tap.__exit__()
            for host in fleet.hosts:
                host.configure(host.settings)
        print(f"quota {QUOTA}: {' + '.join(map(str, counts))} = {sum(counts)}")
        assert 0.9 * QUOTA <= sum(counts) <= QUOTA, counts
        assert all(counts), counts

    def test_a_list_that_one_host_cannot_reach_is_not_suspended_for_the_others(self, fleet: Fleet, lab: Lab) -> None:
        """Somebody on the way of one host says that it is refused service; once two hosts hear that, all believe it."""
        zen, servers = lab.lists[ZEN].details, lab.lists[ZEN].addresses
        ways = [host.intercept(zen, servers, '* A 127.255.255.254\n* TXT "open resolver"\n') for host in fleet.hosts[:2]]
        try:
            states = []
            for number, way in enumerate(ways):
                way.start()
                assert any(states_of_zen(fleet, ask=number)[number] == "suspended" for _ in until(SOON)), states_of_zen(fleet)
                time.sleep(2)
                states.append(states_of_zen(fleet))
            assert states[0] == ["suspended", "ok", "ok"]
            assert any(states_of_zen(fleet) == ["suspended"] * 3 for _ in until(SOON)), states_of_zen(fleet)
        finally:
            for host, way in zip(fleet.hosts, ways, strict=False):
                way.stop()
                host.let_through(servers)
            for host in fleet.hosts:
                host.send("POST", "/v1/lists/spamhaus-zen/enable")
        assert any(states_of_zen(fleet) == ["ok"] * 3 for _ in until(SOON)), states_of_zen(fleet)

    def test_own_addresses_are_looked_up_once_for_all(self, fleet: Fleet) -> None:
        own = "192.0.2.69"
        taps = [host.tap() for host in fleet.hosts]
        try:
            for host in fleet.hosts:
                host.configure(host.settings + f'[watch]\naddresses = ["{own}"]\n')
            for host in fleet.hosts:
                assert any(host.get("/v1/lists/spamhaus-zen")["watched"] == [own] for _ in until(SOON)), host.name
            asked = Counter(query.name for tap in taps for query in tap.queries() if query.name.startswith("69.2.0.192."))
        finally:
            for tap in taps:
                tap.__exit__()
            for host in fleet.hosts:
                host.configure(host.settings)
        assert f"69.2.0.192.{ZEN}" in asked
        assert set(asked.values()) == {1}, asked


def states_of_zen(fleet: Fleet, *, ask: int | None = None) -> list[str]:
    """What each host thinks of zen, after one has asked it about a client that nobody has seen."""
    if ask is not None:
        fleet.hosts[ask].get(f"/v1/lookup/2001:db8:66:9::{next(_unseen):x}")
    return [str(host.get("/v1/lists/spamhaus-zen")["state"]) for host in fleet.hosts]


class TestWords:
    """What is said to one host is known at all."""

    def test_an_override_counts_everywhere(self, fleet: Fleet) -> None:
        spammer = listed(1)

        def refused(host: MailHost) -> bool:
            return host.deliver(fleet.lab, spammer, "mail.spam-factory.net", "offer@spam-factory.net").refused

        assert all(refused(host) for host in fleet.hosts)
        done = fleet.hosts[0].command("allow", spammer, "--reason", "lab", "--json")
        assert done.returncode == 0, done.stderr
        for host in fleet.hosts[1:]:
            assert any(not refused(host) for _ in until(SOON)), host.name
        assert any(each["subject"] == spammer for each in fleet.hosts[2].get("/v1/overrides")["overrides"])
        assert fleet.hosts[2].command("overrides", "forget", spammer).returncode == 0
        for host in fleet.hosts:
            assert any(refused(host) for _ in until(SOON)), host.name

    def test_a_reference_opens_on_any_host(self, fleet: Fleet) -> None:
        said = fleet.hosts[0].deliver(fleet.lab, listed(2), "mail.spam-factory.net", "offer@spam-factory.net")
        found = re.search(r"ref (\S+)", said.reply.text)
        assert found, said
        for host in fleet.hosts:
            told = next((verdict for _ in until(SOON) if (verdict := host.verdict(found[1]))), None)
            assert told is not None, host.name
            assert told["action"] == "reject"


CALM = 1.0
STORE_OUTAGES = (
    Step(CALM, outages.store_killed, 2), Step(CALM, outages.store_stalled, 2), Step(CALM, outages.connections_cut, 1),
    Step(CALM, outages.host_cut_off, 2), Step(CALM, outages.resolverd_killed, 1), Step(CALM, outages.store_emptied, 1),
)  # fmt: skip


def test_no_outage_is_noticed_by_good_mail(fleet: Fleet, redis: Redis) -> None:
    """While mail comes in at all three, each of them happens: nothing is refused, waits twice, is lost or counted twice.

    Nor is a list asked more often than its quota allows, though hosts are killed that hold a part of it.
    """
    for host in fleet.hosts:
        host.configure(host.settings + limited("little"))
    try:
        run = asyncio.run(play(fleet, redis, STORE_OUTAGES, traffic=Traffic(fleet.hosts, DELAY, seed=2), calm=3, zones=(SMALL,)))
    finally:
        for host in fleet.hosts:
            host.configure(host.settings)
    asked = len(run.asked[SMALL])
    print(table(run, [(f"{SMALL}, {QUOTA} a day", f"asked {asked} times")]))
    assert run.judged.tries / 8 < asked <= QUOTA, "the hosts go on asking"
    assert not (wrong := faults(run)), wrong
    assert run.judged.mails > 50
    assert run.judged.deferrals > 5, "greylisting goes on"


def _is_list(name: str) -> bool:
    return any(name.endswith(f".{each.zone}") for each in LISTS)


def _reversed(address: str) -> str:
    """An IPv6 address as lists are asked about it."""
    return ip_address(address).reverse_pointer.removesuffix(".ip6.arpa")


async def _flood(fleet: Fleet, number: int) -> None:
    """So many clients, each with an address of its own and once at one host, a few at a time."""
    turns = asyncio.Semaphore(12)

    async def one(client: int) -> None:
        lines = {
            "request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": f"2001:db8:900:{client:x}::1",
            "client_name": "unknown", "reverse_client_name": "unknown", "helo_name": "flood.example.net",
            "sender": "anybody@gardening-club.org", "recipient": "anna@our-company.org", "instance": f"{client:x}.f",
        }  # fmt: skip
        async with turns:
            await policy(fleet.hosts[client % 3], "".join(f"{key}={value}\n" for key, value in lines.items()).encode() + b"\n")

    async with asyncio.TaskGroup() as group:
        for client in range(number):
            group.create_task(one(client))
