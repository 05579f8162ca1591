"""Who may ask, and how often."""

from ipaddress import ip_network

import pytest

from resolverd.edge.access import Access, Admission, is_loopback
from resolverd.quota import Allowance

NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("host", "admission"),
    [
        ("127.0.0.1", Admission.ALLOWED),
        ("::1", Admission.ALLOWED),
        ("192.0.2.7", Admission.ALLOWED),
        ("::ffff:192.0.2.7", Admission.ALLOWED),
        ("2001:db8::7", Admission.ALLOWED),
        ("2001:db8::7%eth0", Admission.ALLOWED),
        ("198.51.100.1", Admission.REFUSED),
        ("2001:db9::7", Admission.REFUSED),
        ("", Admission.REFUSED),
        ("nonsense", Admission.REFUSED),
    ],
)
def test_networks(host: str, admission: Admission) -> None:
    access = Access(NETWORKS)
    assert [access.judge(host, 0.0) for _ in range(3)] == [admission] * 3


def test_a_rate_holds_for_each_client_but_not_for_this_machine() -> None:
    access = Access(NETWORKS, Allowance(10, 1.0))
    first = [access.judge("192.0.2.7", 0.0) for _ in range(12)]
    assert first == [Admission.ALLOWED] * 10 + [Admission.LIMITED] * 2
    assert access.judge("192.0.2.8", 0.0) is Admission.ALLOWED
    assert access.judge("192.0.2.7", 1.0) is Admission.ALLOWED
    assert {access.judge("127.0.0.1", 0.0) for _ in range(100)} == {Admission.ALLOWED}


def test_what_is_remembered_is_bounded() -> None:
    access = Access([ip_network("0.0.0.0/0")], Allowance(10, 1.0))
    for number in range(25_000):
        access.judge(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(access._decided) <= 10_000


HOSTS = [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("192.0.2.1", False), ("", False)]


@pytest.mark.parametrize(("host", "expected"), HOSTS)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
