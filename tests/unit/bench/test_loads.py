"""The loads of the mail cases: what wrk says, and what is sent."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import islice

import pytest

from bench.cases import http, triplets
from bench.harness import Spent
from bench.newcomers import newcomers, world_with
from bench.policy_load import MEDIAN, TAIL, Load, letters, new_triplets
from resolverd.greylist.triplet import network, triplet
from tests.lab.namespace import LabError

WRK = """\
Running 3s test @ http://127.0.0.1:8053
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.15ms    1.02ms  12.00ms   90.00%
    Req/Sec     2.41k   120.11     2.60k    70.00%
  Latency Distribution
     50%  950.00us
     75%    4.50ms
     90%    5.00ms
     99%    1.20s
  7210 requests in 3.00s, 9.10MB read
"""


def test_what_wrk_says() -> None:
    assert http.read(WRK) == pytest.approx((7210, 0, 0.95, 1200.0))


@pytest.mark.parametrize(("line", "failed"), [
    ("  Socket errors: connect 1, read 2, write 0, timeout 4\n", 7),
    ("  Non-2xx or 3xx responses: 12\n", 12),
])  # fmt: skip
def test_what_failed_is_counted(line: str, failed: int) -> None:
    assert http.read(WRK + line).failed == failed


def test_wrk_that_says_nothing_is_an_error() -> None:
    with pytest.raises(LabError):
        http.read("unable to connect to 127.0.0.1:8053 Connection refused\n")


def test_lua_reads_what_is_written() -> None:
    assert http._lua('a"b\\c\r\n\t') == r'"a\034b\092c\013\010\009"'


def test_every_request_is_a_triplet_of_its_own() -> None:
    requests = [dict(line.split(b"=", 1) for line in each.splitlines() if line) for each in islice(new_triplets(), 500)]
    triplets = {(each[b"client_address"], each[b"sender"], each[b"recipient"]) for each in requests}
    assert len(triplets) == 500
    assert not any(digit in sender.partition(b"@")[0] for _, sender, _ in triplets for digit in b"0123456789")


def test_quantiles_of_a_load() -> None:
    done = Load([number / 1000 for number in range(1, 101)], 100, Spent(2.0, 1.0), 0.5)
    assert (done.figures()[MEDIAN], done.figures()[TAIL]) == (51.0, 100.0)


def test_new_clients_lead_back_to_themselves() -> None:
    clients = newcomers(8)
    world = world_with(clients)
    for each in clients:
        assert f"mail A {each.address}\n" in world.zones[each.domain].records
    pointers = "".join(zone.records for name, zone in world.zones.items() if name.endswith("in-addr.arpa"))
    assert all(f"PTR {each.name}.\n" in pointers for each in clients)
    assert len({each.domain for each in clients}) == len({each.address for each in clients}) == 8


def test_both_programs_are_asked_for_the_triplets_that_were_written() -> None:
    """What fills the files makes keys by itself, as a million of them through the daemon's own code would take a minute."""
    mine = {triplet(network(ip_address(each.address)), f"{letters(number)}@{each.domain}", "anna@our-company.org")
            for number in range(300) for each in [triplets.client(number)]}  # fmt: skip
    assert mine == set(triplets.keys(300))
