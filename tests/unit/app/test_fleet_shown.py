"""Two daemons, processes of their own, that share a real server."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import run

from tests.redis_server import RedisServer
from tests.running import REQUEST, Running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def fleet(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    running = [begun(server, tmp_path_factory.mktemp("host")) for _ in range(2)]
    yield running
    for each in running:
        each.end()


def begun(server: RedisServer, folder: Path) -> Running:
    return Running(folder, f'[store]\nurl = "{server.url}"\ndirectory = "var"\n[greylist]\nenabled = true')


def eventually(found: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is found, once it is what is wanted."""
    end = time.monotonic() + 20
    while not wanted(it := found()) and time.monotonic() < end:
        time.sleep(0.05)
    assert wanted(it), it
    return it


def hosts(each: Running) -> list[tuple[bool, bool]]:
    return [(host["this"], host["alive"]) for host in each.http("/v1/status")[1]["fleet"]["hosts"]]


def put(each: Running, path: str, body: dict[str, object]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{each.ports['HTTP']}{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {each.token}", "Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=10).close()


def test_they_know_of_each_other(fleet: list[Running]) -> None:
    for each in fleet:
        found = eventually(lambda each=each: hosts(each), lambda found: len(found) == 2)
        assert sorted(found) == [(False, True), (True, True)]
        shared = each.http("/v1/status")[1]["fleet"]["store"]
        assert shared["fault"] == ""


def test_a_reference_opens_on_the_other_host_and_both_have_one_history(fleet: list[Running]) -> None:
    one, other = fleet
    clients = ["193.0.0.3", "193.0.0.2"]
    assert other.policy(REQUEST.replace(b"193.0.0.1", b"193.0.0.2")).startswith(b"action=")
    assert one.policy(REQUEST.replace(b"193.0.0.1", b"193.0.0.3")).startswith(b"action=")

    def history(each: Running) -> list[dict[str, Any]]:
        return [item for item in each.http("/v1/verdicts", each.token)[1]["items"] if item["client_address"] in clients]

    found = eventually(lambda: history(one), lambda found: len(found) == 2)
    assert eventually(lambda: history(other), lambda found: len(found) == 2) == found
    assert sorted((each["client_address"] for each in found), reverse=True) == clients  # no clock tells hosts' moments apart
    for item in found:
        for each in fleet:
            status, verdict = each.http(f"/v1/verdict/{item['id']}", each.token)
            assert (status, verdict["host"]) == (200, item["host"])
    assert one.http("/v1/verdict/NOSUCHREF", one.token)[0] == 404


def test_what_is_changed_on_one_is_in_the_other_ones_audit_log(fleet: list[Running]) -> None:
    one, other = fleet
    put(one, "/v1/overrides", {"action": "deny", "subject": "192.0.2.66", "for": "1d", "reason": "spam run"})
    one.waits_for("audit=deny, subject=192.0.2.66")
    other.waits_for("audit=deny, subject=192.0.2.66")
    assert "host=" in next(line for line in other.log.read_text().splitlines() if "audit=deny" in line)
    assert "host=" not in next(line for line in one.log.read_text().splitlines() if "audit=deny" in line)
    refused = eventually(
        lambda: other.policy(REQUEST.replace(b"193.0.0.1", b"192.0.2.66")), lambda reply: reply.startswith(b"action=554")
    )
    assert b"554" in refused


def test_metrics_and_status_tell_of_an_outage_and_of_its_end(fleet: list[Running], server: RedisServer) -> None:
    one = fleet[0]
    server.stop()
    try:
        assert one.policy(REQUEST).startswith(b"action=")
        status = eventually(lambda: one.http("/v1/status")[1], lambda status: bool(status["fleet"]["store"]["fault"]))
        assert any(problem.startswith("the shared store: ") for problem in status["problems"])
        assert [host["alive"] for host in status["fleet"]["hosts"]] == [True, True]
        assert one.policy(REQUEST).startswith(b"action=")
        put(one, "/v1/overrides", {"action": "deny", "subject": "192.0.2.77", "for": "1d", "reason": "meanwhile"})
        one.waits_for("audit=deny, subject=192.0.2.77")
        history = one.http("/v1/verdicts", one.token)[1]
        assert (history["partial"], len(history["items"]) > 0) == (True, True)
        assert one.http("/v1/verdict/NOSUCHREF", one.token)[0] == 503
        assert one.http("/v1/greylist", one.token)[1]["partial"]
        shown = run("greylist", "show", "-c", str(one.folder / "config.toml"))
        assert "the shared store is out of reach: this is of what this host has met itself" in shown.stderr
        gone = run("greylist", "forget", "--sender", "nobody@example.net", "--json", "-c", str(one.folder / "config.toml"))
        assert json.loads(gone.stdout) == {"forgotten": 0, "partial": True}
    finally:
        server.cont()
    eventually(lambda: one.http("/v1/status")[1], lambda status: not status["fleet"]["store"]["fault"])
    fleet[1].waits_for("audit=deny, subject=192.0.2.77")
    assert not one.http("/v1/verdicts", one.token)[1]["partial"]
    assert not one.http("/v1/greylist", one.token)[1]["partial"]


def test_one_that_ends_leaves(fleet: list[Running], server: RedisServer, tmp_path: Path) -> None:
    one = fleet[0]
    more = begun(server, tmp_path)
    try:
        eventually(lambda: hosts(one), lambda found: len(found) == 3)
    finally:
        status = more.end()
    assert status == 0
    eventually(lambda: hosts(one), lambda found: len(found) == 2)
    assert not [problem for problem in one.http("/v1/status")[1]["problems"] if "host" in problem.split()[:1]]
