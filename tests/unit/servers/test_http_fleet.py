"""What is shown of a fleet: in ``GET /v1/status``, ``resolverd status`` and ``/metrics``; of no fleet nothing is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import run
from fleets import SharedMemory, in_fleet, many_say, others_say
from prometheus_client.parser import text_string_to_metric_families
from served import Served, serving

from resolverd.fleet.hosts import Hosts
from resolverd.servers.http.route import Call
from resolverd.servers.http.routes.metrics import get_metrics


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[Served, Hosts]]:
    made: list[Hosts] = []
    with serving(tmp_path, prepare=lambda served: made.append(in_fleet(served))) as served:
        others_say(served)
        served.do(made[0].beat())
        yield served, made[0]


def status(served: Served) -> dict[str, object]:
    return json.loads(run("status", "--json", "-c", served.config).stdout)


def gauges(served: Served) -> dict[str, float]:
    daemon = served.altered(served.service.capabilities())
    body = served.do(get_metrics(Call(daemon, None, (), {}, None, {}))).body  # type: ignore[arg-type]
    assert isinstance(body, bytes)
    families = text_string_to_metric_families(body.decode())
    return {
        f"{sample.name}{sample.labels.get('quantile', '')}": sample.value
        for family in families
        for sample in family.samples
        if family.name.startswith(("resolverd_fleet", "resolverd_shared_store"))
    }


def test_the_hosts_and_their_store_are_shown(fleet: tuple[Served, Hosts]) -> None:
    served, _ = fleet
    found = status(served)["fleet"]
    assert isinstance(found, dict)
    assert [(each["name"], each["this"], each["alive"], each["version"]) for each in found["hosts"]] == [
        ("mx1", True, True, "0.1.0"), ("mx2", False, True, "0.1.0"), ("mx3", False, False, "0.1.0"),
    ]  # fmt: skip
    assert 600 <= found["hosts"][2]["silent"] < 660
    assert found["store"] == {
        "url": "rediss://store.example.net/0", "server": "Valkey 8.0.1", "fault": "", "waiting": 0, "typical_ms": 0.4,
        "slow_ms": 1.25, "bytes": 5 << 20,
    }  # fmt: skip
    assert status(served)["problems"] == ["host mx3 has said nothing for 10 min, nor that it ends"]
    assert status(served)["store"]["kind"] == "memory", "this host's own"  # type: ignore[index]
    text = " ".join(run("status", "-c", served.config).stdout.split())
    assert "fleet mx1, mx2, mx3 (silent) share rediss://store.example.net/0 (Valkey 8.0.1), healthy, reads p99 1.2 ms" in text
    assert gauges(served) == {
        "resolverd_fleet_hosts": 2, "resolverd_fleet_hosts_silent": 1, "resolverd_fleet_versions": 1,
        "resolverd_shared_store_up": 1, "resolverd_shared_store_waiting": 0,
        "resolverd_shared_store_read_seconds0.5": 0.0004, "resolverd_shared_store_read_seconds0.99": 0.00125,
    }  # fmt: skip


def test_what_is_wrong_with_it_is_said(fleet: tuple[Served, Hosts]) -> None:
    served, hosts = fleet
    assert isinstance(served.store, SharedMemory)
    served.store.is_well = False
    others_say(served, newer=True)
    served.do(hosts.beat())
    found = status(served)
    assert found["problems"] == [
        "the shared store: cannot be reached: connection refused; mail goes on by what this host knows of it",
        "host mx2 runs 0.9, which shares no form of records with 0.1.0 here; upgrade one",
        "host mx3 has said nothing for 10 min, nor that it ends",
    ]
    text = " ".join(run("status", "-c", served.config).stdout.split())
    assert "fleet mx1 0.1.0, mx2 0.9, mx3 0.1.0 (silent) share rediss://" in text
    assert "in trouble, reads p99 1.2 ms, 3 to be written" in text
    assert gauges(served)["resolverd_shared_store_up"] == 0


def test_of_many_hosts_it_is_said_how_many_they_are(fleet: tuple[Served, Hosts]) -> None:
    served, hosts = fleet
    many_say(served, 50)
    served.do(hosts.beat())
    (line,) = [line for line in run("status", "-c", served.config).stdout.splitlines() if line.startswith("fleet")]
    assert line.startswith("fleet     53 hosts, 1 of them silent, share rediss://store.example.net/0 (Valkey 8.0.1), healthy")
    others_say(served, newer=True)
    served.do(hosts.beat())
    assert "53 hosts, 1 of them silent, of versions 0.1.0, 0.9 share rediss" in run("status", "-c", served.config).stdout


def test_many_silent_hosts_are_one_problem(fleet: tuple[Served, Hosts]) -> None:
    served, hosts = fleet
    many_say(served, 20, ago=600)
    served.do(hosts.beat())
    names = ", ".join(["mx10", *(f"mx{number}" for number in range(11, 18))])
    assert status(served)["problems"] == [
        f"21 hosts have said nothing for 10 min or longer, nor that they end: {names} and 13 others"
    ]


def test_one_host_alone_has_none(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert status(served)["fleet"] is None
        assert "fleet" not in run("status", "-c", served.config).stdout
        assert gauges(served) == {}
