"""Who may ask, and how often."""

from ipaddress import ip_address, ip_network

import pytest

from resolverd import bounds
from resolverd.dnsbl.quota import Allowance
from resolverd.servers.access import AccessControl, AccessDecision, client_key, is_loopback

NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("host", "admission"),
    [
        ("127.0.0.1", AccessDecision.ALLOWED),
        ("::1", AccessDecision.ALLOWED),
        ("192.0.2.7", AccessDecision.ALLOWED),
        ("::ffff:192.0.2.7", AccessDecision.ALLOWED),
        ("2001:db8::7", AccessDecision.ALLOWED),
        ("2001:db8::7%eth0", AccessDecision.ALLOWED),
        ("198.51.100.1", AccessDecision.REFUSED),
        ("2001:db9::7", AccessDecision.REFUSED),
        ("", AccessDecision.REFUSED),
        ("nonsense", AccessDecision.REFUSED),
    ],
)
def test_networks(host: str, admission: AccessDecision) -> None:
    access = AccessControl(NETWORKS)
    assert [access.judge(host, 0.0) for _ in range(3)] == [admission] * 3


def test_a_rate_holds_for_each_client_but_not_for_this_machine() -> None:
    access = AccessControl(NETWORKS, Allowance(10, 1.0))
    first = [access.judge("192.0.2.7", 0.0) for _ in range(12)]
    assert first == [AccessDecision.ALLOWED] * 10 + [AccessDecision.LIMITED] * 2
    assert access.judge("2001:db8::7", 0.0) is AccessDecision.ALLOWED
    assert access.judge("192.0.2.7", 1.0) is AccessDecision.ALLOWED
    assert {access.judge("127.0.0.1", 0.0) for _ in range(100)} == {AccessDecision.ALLOWED}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.200", True),
        ("192.0.2.7", "::ffff:192.0.2.200", True),
        ("192.0.2.7", "192.0.3.7", False),
        ("2001:db8::7", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::7", "2001:db8:0:1::7", False),
    ],
)
def test_a_rate_is_that_of_a_network(one: str, other: str, same: bool) -> None:
    """A client of IPv6 has 2^64 addresses to choose from, and who spoofs has all of a network's."""
    access = AccessControl([ip_network("0.0.0.0/0"), ip_network("::/0")], Allowance(10, 1.0))
    for _ in range(10):
        access.judge(one, 0.0)
    assert (access.judge(other, 0.0) is AccessDecision.LIMITED) == same


def test_whoever_changes_his_address_all_the_time_keeps_his_rate() -> None:
    access = AccessControl([ip_network("2001:db8::/32")], Allowance(10, 1.0))
    allowed = sum(access.judge(f"2001:db8::{number:x}", 0.0) is AccessDecision.ALLOWED for number in range(1, 25_000))
    assert allowed == 10


def test_what_is_remembered_is_bounded() -> None:
    access = AccessControl([ip_network("0.0.0.0/0")], Allowance(10, 1.0))
    for number in range(25_000):
        access.judge(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
        access.judge(f"{number & 127}.{number >> 8 & 255}.{number & 255}.1", 0.0)
    assert len(access._decided) == bounds.ACCESS_CLIENTS
    assert len(access._rates) == bounds.ACCESS_RATES


def test_a_flood_of_addresses_gives_nobody_his_rate_anew_who_goes_on_asking() -> None:
    access = AccessControl([ip_network("0.0.0.0/0")], Allowance(10, 1.0))
    for _ in range(10):
        access.judge("192.0.2.7", 0.0)
    for number in range(3 * max(bounds.ACCESS_CLIENTS, bounds.ACCESS_RATES)):
        access.judge(f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1", 0.0)
        if number % 1000 == 0:
            assert access.judge("192.0.2.7", 0.0) is AccessDecision.LIMITED, "by its address"
        if number % 1000 == 500:
            assert access.judge(f"192.0.2.{number // 1000 % 200}", 0.0) is AccessDecision.LIMITED, "by its network"


def test_a_flood_of_addresses_makes_nobody_be_looked_up_again_who_goes_on_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    access = AccessControl([ip_network("0.0.0.0/0")])
    decide, decided = access._decide, []
    monkeypatch.setattr(access, "_decide", lambda host: (decided.append(host), decide(host))[1])
    for number in range(3 * bounds.ACCESS_CLIENTS):
        access.admits(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % 1000 == 0:
            access.admits("192.0.2.7")
    assert decided.count("192.0.2.7") == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8::7", "2001:db8::8", True),
        ("2001:db8::7%eth0", "2001:db8::8%eth0", True),
        ("2001:db8::7", "2001:db8:0:1::7", False),
    ],
)
def test_client_keys(one: str, other: str, same: bool) -> None:
    assert (client_key(one) == client_key(other)) == same


HOSTS = [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("192.0.2.1", False), ("", False)]


@pytest.mark.parametrize(("host", "expected"), HOSTS)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_reload_takes_other_networks_and_forgets_no_rate() -> None:
    client, other = "192.0.2.1", "198.51.100.1"
    access = AccessControl([ip_network("192.0.2.0/24")], Allowance(1, 1.0))
    assert [access.judge(client, 0.0), access.judge(other, 0.0)] == [AccessDecision.ALLOWED, AccessDecision.REFUSED]
    access.configure([ip_network("192.0.2.0/24"), ip_network("198.51.100.0/24")], Allowance(1, 1.0))
    assert [access.judge(client, 0.0), access.judge(other, 0.0)] == [AccessDecision.LIMITED, AccessDecision.ALLOWED]
    access.configure([ip_network("192.0.2.0/24")], Allowance(2, 1.0))
    assert [access.judge(client, 0.0), access.judge(other, 0.0)] == [AccessDecision.ALLOWED, AccessDecision.REFUSED]


def test_addresses_are_judged_by_their_octets_as_well() -> None:
    access = AccessControl(NETWORKS, Allowance(10, 1.0))
    asked = {host: ip_address(host).packed for host in ("127.0.0.1", "::1", "192.0.2.7", "2001:db8::7", "198.51.100.1")}
    assert [access.judge(octets, 0.0) for octets in asked.values()] == [access.judge(host, 0.0) for host in asked]
    assert {host for host, octets in asked.items() if octets in access.exempt} == {"127.0.0.1", "::1"}, "they have no rate"


def test_who_needs_no_judging_is_asked_anew_after_a_reload_and_bounded() -> None:
    access = AccessControl([ip_network("192.0.0.0/8")])
    client = ip_address("192.0.2.1").packed
    access.judge(client, 0.0)
    assert client in access.exempt
    access.configure([ip_network("198.51.100.0/24")], None)
    assert client not in access.exempt
    access.configure([ip_network("192.0.0.0/8")], None)
    for number in range(2 * bounds.ACCESS_CLIENTS + 10):
        access.judge((0xC0000000 + number).to_bytes(4), 0.0)
    assert 0 < len(access.exempt) <= bounds.ACCESS_CLIENTS
    access.configure([ip_network("192.0.0.0/8")], Allowance(1, 1.0))
    assert [access.judge(client, 0.0) for _ in range(2)] == [AccessDecision.ALLOWED, AccessDecision.LIMITED]
    assert not access.exempt
