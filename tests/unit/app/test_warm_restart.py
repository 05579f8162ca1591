"""A daemon that is stopped or killed, and started again: it knows what it knew, and asks nobody for it."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from click.testing import CliRunner, Result

from resolverd.cli.root import resolverd
from tests.running import Running

CLIENTS = 1000
TTL = 600
CONFIG = """
[[resolver.forward]]
zone = "."
servers = ["127.0.0.1:{port}"]
[lists.spamhaus-zen]
enabled = false
[lists.spamhaus-dbl]
enabled = false
[lists.dnswl]
enabled = false
[lists.mine]
zone = "rbl.example.org"
kinds = ["ip4"]
purpose = "block"
number = 101
weight = 6
codes = {{"127.0.0.2" = "listed"}}
"""


class Upstream:
    """A forwarder that has an address for every name, and lists every second address; it counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            packet, client = self._socket.recvfrom(4096)
            if not packet:
                return
            query = dns.message.from_wire(packet)
            name = query.question[0].name
            text = name.to_text().lower()
            self.asked[text.removesuffix(".")] += 1
            reply = dns.message.make_response(query, recursion_available=True)
            kind = query.question[0].rdtype
            listed = text.endswith(".rbl.example.org.") and int(text.split(".")[0]) % 2 == 0
            if kind == dns.rdatatype.A and (listed or text.endswith(".example.")):
                reply.answer.append(dns.rrset.from_text(name, TTL, "IN", "A", "127.0.0.2" if listed else "192.0.2.1"))
            elif text == "." and kind == dns.rdatatype.NS:
                reply.answer.append(dns.rrset.from_text(name, TTL, "IN", "NS", "ns.example."))
            else:
                reply.authority.append(dns.rrset.from_text("example.org.", TTL, "IN", "SOA", f"a. b. 1 2 3 4 {TTL}"))
                reply.set_rcode(3 if text.endswith(".rbl.example.org.") else 0)
            self._socket.sendto(reply.to_wire(), client)

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


CLIENT_NAMES = [f"{number % 256}.{number // 256}.0.193.bl.rbl.internal." for number in range(CLIENTS)]
HOST_NAMES = [f"host{number}.example." for number in range(50)]


def ask_all(running: Running, names: list[str]) -> dict[str, tuple[list[str], int]]:
    """What is answered to each name: addresses in order, and the TTL."""

    async def ask(name: str, room: asyncio.Semaphore) -> tuple[list[str], int]:
        async with room:
            query = dns.message.make_query(name, "A")
            reply = await dns.asyncquery.udp(query, "127.0.0.1", 5, running.ports["DNS"])
        records = reply.answer or reply.authority
        return sorted(data.to_text() for rrset in reply.answer for data in rrset), records[0].ttl

    async def run() -> dict[str, tuple[list[str], int]]:
        room = asyncio.Semaphore(20)
        return dict(zip(names, await asyncio.gather(*(ask(name, room) for name in names)), strict=True))

    return asyncio.run(run())


def _dumped_and_loaded(folder: Path, running: Running, upstream: Upstream) -> None:
    """What is dumped, flushed and loaded again is known as it was; a faulty line costs itself."""

    def cache(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(resolverd, ["cache", *arguments, "-c", str(folder / "config.toml")])
        assert result.exit_code == status, result.output
        return result

    file = folder / "dump"
    cache("dump", str(file))
    lines = file.read_text().splitlines()
    host = next(entry for entry in map(json.loads, lines) if entry["name"] == "host7.example.")
    assert (host["type"], host["kind"], host["records"], host["trust"]) == ("A", "data", ["192.0.2.1"], "answer")
    assert 0 < host["ttl"] <= TTL
    before = running.http("/v1/cache", running.token)[1]["records"]
    assert "entries forgotten" in cache("flush", "example", "--below").output
    assert running.http("/v1/cache", running.token)[1]["records"] <= before - len(HOST_NAMES)
    upstream.asked.clear()
    known = running.dns("host7.example.").answer[0]
    assert upstream.asked["host7.example"] == 1, "it was flushed"
    file.write_text("\n".join([*lines, "{", '{"name": "a..b"}', json.dumps({**host, "records": ["1.2.3"]})]))
    said = json.loads(cache("load", str(file), "--json", status=1).output)
    assert [fault["line"] - len(lines) for fault in said["faults"]] == [1, 2, 3]
    assert said["taken"] >= len(HOST_NAMES)
    upstream.asked.clear()
    for name in HOST_NAMES:
        assert running.dns(name).answer[0].to_rdataset() == known.to_rdataset()
    assert not upstream.asked.keys() & {name[:-1] for name in HOST_NAMES}


def test_after_a_restart_nobody_is_asked_for_what_was_known(tmp_path: Path, upstream: Upstream) -> None:
    config = CONFIG.format(port=upstream.port)
    first = Running(tmp_path, config)
    names = [*CLIENT_NAMES, *HOST_NAMES]
    known = ask_all(first, names)
    learnt = time.monotonic()
    assert sum("127.0.0.2" in addresses for addresses, _ in known.values()) > CLIENTS / 3
    assert sum(upstream.asked[f"{name.split('.bl.')[0]}.rbl.example.org"] for name in CLIENT_NAMES) == CLIENTS
    _dumped_and_loaded(tmp_path, first, upstream)
    begun = time.monotonic()
    assert first.end() == 0
    assert time.monotonic() - begun < 2
    time.sleep(max(0.0, learnt + 1.1 - time.monotonic()))
    for stop, asked in ((signal.SIGKILL, names), (signal.SIGTERM, names[::10])):
        upstream.asked.clear()
        again = Running(tmp_path, config)
        answers = ask_all(again, asked)
        assert {name: found for name, (found, _) in answers.items()} == {name: known[name][0] for name in asked}
        for name in set(HOST_NAMES).intersection(asked):
            assert answers[name][1] <= TTL - int(time.monotonic() - learnt)
        listed = {f"{name.split('.bl.')[0]}.rbl.example.org" for name in CLIENT_NAMES}
        assert not upstream.asked.keys() & (listed | {name[:-1] for name in HOST_NAMES})
        os.kill(again.process.pid, stop)
        again.process.wait(10)
        again.waits_for("names are known from before")
