"""``resolverd status`` and ``GET /v1/status``: the daemon at a glance."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from commandline import run
from served import DNSWL, LISTED, Served

from resolverd.greylist.decide import Triplet, encode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.servers.http.routes import overview
from resolverd.state.base import Condition, Entry


def lines(daemon: Served) -> dict[str, str]:
    result = run("status", "-c", daemon.config)
    assert result.exit_code == 0
    shown = [(line[:9].strip(), line[10:]) for line in result.stdout.splitlines()]
    assert len(shown) <= 10
    return dict(shown)


def keep(daemon: Served, *, waiting: int, passed: int) -> None:
    """Have so many triplets in the store."""
    now = int(daemon.clock.wall())
    for number in range(waiting + passed):
        known = Triplet(now, now, passed=number >= waiting)
        daemon.store.put(TRIPLETS, b"%d/a/b" % number, encode_triplet(known), now + 1000)


def test_all_is_well(daemon: Served):
    keep(daemon, waiting=2, passed=3)
    counters = daemon.counters
    counters.add("dns_packet_hits", 60)
    counters.add("dns_answers", 30, rcode="NOERROR")
    counters.add("dns_answers", 10, rcode="NXDOMAIN")
    counters.add("dns_cache_misses", 7)
    counters.add("dns_refused", 2)
    counters.add("verdicts", 4, action="reject")
    shown = lines(daemon)
    assert list(shown) == ["resolverd", "answered", "verdicts", "lists", "cache", "greylist", "store", "config", "wrong"]
    assert shown["resolverd"].startswith("0.1.0, up ")
    assert shown["answered"] == "100 questions, 93 % of them from the cache; 2 refused"
    assert shown["verdicts"] == "accept 0, greylist 0, defer 0, reject 4"
    assert shown["lists"] == "3 of 3 ok"
    assert shown["cache"].endswith(" of 64 MiB")
    assert shown["greylist"] == "2 waiting, 3 passed (triplets)"
    assert shown["store"] == f"{daemon.folder}/var, healthy"
    assert shown["config"] == daemon.config
    assert shown["wrong"] == "nothing"


def test_what_is_wrong(daemon: Served):
    daemon.refuse(DNSWL)
    run("lists", "probe", "dnswl", "-c", daemon.config)
    run("lookup", LISTED, "-c", daemon.config)
    daemon.counters.add("bugs", 2, where="dns")
    daemon.counters.add("store_set_aside")
    daemon.counters.add("store_recovered", 17)
    result = run("status", "-c", daemon.config).stdout.splitlines()
    at = next(number for number, line in enumerate(result) if line.startswith("wrong"))
    assert "2 of 3 ok, dnswl unreachable" in result[3]
    assert [line[10:] for line in result[at:]] == [
        "list dnswl is unreachable: SERVFAIL",
        "2 bugs met since the start, told in the log (dns 2)",
        "a damaged store was set aside, 17 records of it were recovered",
        "resolverd doctor says what to type, the log has more",
    ]
    found = json.loads(run("status", "--json", "-c", daemon.config).stdout)
    assert found["lists"]["trouble"] == [{"id": "dnswl", "state": "unreachable", "last_error": "SERVFAIL"}]
    assert len(found["problems"]) == 3


def test_behind_a_disk_that_hangs_the_rest_is_told(daemon: Served, monkeypatch: pytest.MonkeyPatch):
    async def condition() -> Condition:
        await asyncio.Event().wait()
        raise AssertionError

    async def scan(*_: object) -> AsyncIterator[Entry]:
        await asyncio.Event().wait()
        yield Entry(b"", b"", 0)

    monkeypatch.setattr(overview, "_PATIENCE", 0.05)
    monkeypatch.setattr(daemon.store, "condition", condition)
    monkeypatch.setattr(daemon.store, "scan", scan)
    shown = lines(daemon)
    assert shown["greylist"] == "cannot be read"
    assert shown["store"].endswith(", does not answer: the disk is slow, or hangs")
    assert shown["wrong"] == "the store does not answer: the disk is slow, or hangs"
