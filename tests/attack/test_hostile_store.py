"""A daemon whose shared store is hostile, or somebody who floods it: what that costs the host, and what becomes of its mail.

Costs are those of the daemon's process: CPU of the thread that answers, until a name that it knows is answered; memory at its
highest. All that a reply may be is in tests/unit/state/test_redis_hostile.py.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import pytest

from resolverd.overrides import records
from resolverd.overrides.rules import Override, key_of
from resolverd.state.redis import frames
from tests.attacks import Figure
from tests.redis_server import RedisServer
from tests.running import Running
from tests.scripted_redis import Answer, Greeting, ScriptedRedis, array, bulk, endlessly, message

MEBIBYTE = 1 << 20
MEMORY = 64
"""MiB that an attack may add: of seven tables that are watched the keys (`bounds.STORE_REPLY_OCTETS`), and what reading takes."""
WAITING = 100
"""ms of CPU that may be spent before somebody else has his answer."""
PROCESSOR = 50
"""% of a processor that whoever floods may have."""
SECONDS, AT_LENGTH = 2.0, 20.0
CONFIG = """
[dnsbl]
enabled = false
[checks.ptr]
action = "off"
[checks.fcrdns]
action = "off"
[checks.helo]
action = "off"
[checks.sender_domain]
action = "off"
[checks.spf]
action = "off"
[checks.rhsbl]
action = "off"
[checks.dnswl]
action = "off"
[checks.overrides]
client_access = ["denied"]
[store]
url = "{url}"
"""
DENIED = "192.0.2.66"
_sender = count(1)


def attempt(client: str, sender: str = "ann") -> bytes:
    fields = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": client, "client_name": "mail.example.com",
        "helo_name": "mail.example.com", "sender": f"{sender}@example.com", "recipient": "bob@example.org", "instance": client,
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in fields.items()).encode() + b"\n"


class Cost(NamedTuple):
    """`waited`: the most ms of CPU before an answer; `processor`: % of one; `memory`: MiB added at the highest."""

    waited: float
    processor: float
    memory: float


class Meter:
    """What a daemon spends from now on."""

    def __init__(self, host: Running) -> None:
        self._proc = Path(f"/proc/{host.process.pid}")
        self._rss = self._status("VmRSS")
        (self._proc / "clear_refs").write_text("5")  # the highest is counted anew
        self._begun, self._before = time.monotonic(), self._all()
        self._waited = 0.0

    def answering(self) -> float:
        """ms that the thread that answers has run."""
        return int((self._proc / f"task/{self._proc.name}/schedstat").read_text().split()[0]) / 1e6

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """Somebody waits meanwhile."""
        before = self.answering()
        yield
        self._waited = max(self._waited, self.answering() - before)

    def cost(self) -> Cost:
        processor = 100 * (self._all() - self._before) / 1000 / (time.monotonic() - self._begun)
        return Cost(self._waited, processor, (self._status("VmHWM") - self._rss) / 1024)

    def _all(self) -> float:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in (self._proc / "task").iterdir()) / 1e6

    def _status(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+)", (self._proc / "status").read_text())
        assert found is not None
        return int(found[1])


@contextlib.contextmanager
def daemon(folder: Path, url: str) -> Iterator[Running]:
    (folder / "host").mkdir()
    (folder / "host" / "denied").write_text(f"{DENIED} REJECT\n")
    running = Running(folder / "host", CONFIG.format(url=url))
    try:
        yield running
        assert running.end() == 0
    finally:
        running.end()
    log = running.log.read_text()
    assert "Traceback" not in log, log
    assert sum("action=" not in line for line in log.splitlines()) < 200, log[-5000:]


def serves(host: Running, seconds: float, alone: bool) -> Cost:
    """Mail and names are answered all the while, by what the host knows; what it costs.

    `alone`: nobody tells it whether a sender is new, so none is held back.
    """
    meter = Meter(host)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert host.policy(attempt(DENIED)).startswith(b"action=554 5.7.1")
        answer = host.policy(attempt("198.51.100.7", f"a{next(_sender)}"))
        assert answer == b"action=DUNNO\n\n" or (b"Greylisted" in answer and not alone)
        with meter.question():
            assert host.dns("localhost.").answer
        time.sleep(0.02)
    return meter.cost()


def told(figure: Figure, cost: Cost, row: str) -> None:
    figure("memory that it adds", cost.memory, "MiB", most=MEMORY, row=row)
    figure("CPU before others have their answers", cost.waited, "ms", most=WAITING, row=row)
    if row == "R-35":
        figure("a processor taken", cost.processor, "%", most=PROCESSOR, row=row)


def back(host: Running, since: int) -> None:
    """Until the log says that the store answers again, behind so many characters."""
    end = time.monotonic() + 40
    while "answers: " not in host.log.read_text()[since:]:
        assert time.monotonic() < end, host.log.read_text()
        with contextlib.suppress(subprocess.TimeoutExpired):
            host.process.wait(0.05)


# -- a server


def override(number: int, since: int) -> tuple[bytes, bytes]:
    """An override of some client, as any host would write it."""
    made = Override(key_of("deny", f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"), since, 0, "x", "y", "")
    return records.encode_key(made.key), frames.head(2.0**32, 1) + records.encode(made)


def change(key: bytes, raw: bytes) -> bytes:
    """What is told of a change, by a host of which nobody has heard."""
    return struct.pack(">8sQI", b"stranger", 1, len(key)) + key + raw


def subscribed(command: list[bytes]) -> list[bytes]:
    return [array(bulk(b"subscribe"), bulk(channel), b":1\r\n") for channel in command[1:]]


def overrides_told(command: list[bytes]) -> Iterable[bytes]:
    """Valid changes without end, each of another client."""
    since = int(time.time())
    changes = (message(b"resolverd:changes:overrides", change(*override(number, since))) for number in range(1 << 24))
    return chain(subscribed(command), changes)


def told_of(messages: Callable[..., Iterable[bytes]]) -> Answer:
    """To who subscribes: that he has, and then these."""
    return lambda command: chain(subscribed(command), messages())


def unless_since(answer: Callable[..., Iterable[bytes]]) -> Answer:
    """To all but the question whether it remembers."""
    return lambda command: [bulk(b"memory")] if command[1].endswith(b"since") else answer(command)


ZEROS = b"\0" * 65536
KEYS = [b"deny all %d" % number for number in range(200_000)]
SERVERS: dict[str, tuple[dict[bytes, Answer] | None, Greeting | None]] = {
    "2 GB for a record": ({b"GETRANGE": unless_since(endlessly(ZEROS, first=b"$2147483648\r\n"))}, None),
    "records of 500 kB": ({b"GETRANGE": unless_since(lambda command: [bulk(b"x" * 500_000)])}, None),
    "a list of 10⁹ for a record": ({b"GETRANGE": unless_since(endlessly(b":1\r\n" * 10_000, first=b"*999999999\r\n"))}, None),
    "lists within lists": ({b"GETRANGE": unless_since(endlessly(b"*1\r\n" * 10_000))}, None),
    "replies that nobody has asked for": ({b"GETRANGE": unless_since(endlessly(b":1\r\n" * 10_000))}, None),
    "INFO of 100 MB": ({b"INFO": endlessly(ZEROS, first=b"$104857600\r\n")}, None),
    "INFO of 500 kB": ({b"INFO": bulk(b"redis_version:7.0.0\r\nrole:master\r\n" + b"a:b\r\n" * 95_000)}, None),
    "TIME without end": ({b"TIME": endlessly(b"x" * 65536, first=b"+")}, None),
    "two replies for one": ({b"TIME": b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n:1\r\n"}, None),
    "keys of a watched table without end": (
        {b"HLEN": b":1000\r\n", b"HKEYS": endlessly(bulk(b"x" * 1000) * 60, first=b"*200000\r\n")}, None,
    ),
    "200 000 keys of a watched table": ({b"HLEN": b":200000\r\n", b"HKEYS": array(*map(bulk, KEYS))}, None),
    "changes without end": ({b"SUBSCRIBE": overrides_told}, None),
    "changes that are none": ({b"SUBSCRIBE": told_of(endlessly(message(b"resolverd:changes:hosts", b"x") * 1000))}, None),
    "changes of 500 kB": ({b"SUBSCRIBE": told_of(endlessly(message(b"resolverd:changes:audit", b"x" * 500_000)))}, None),
    "changes of 100 MB": (
        {b"SUBSCRIBE": told_of(endlessly(ZEROS, first=b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$104857600\r\n"))}, None,
    ),
    "changes subscribed to without end": ({b"SUBSCRIBE": lambda command: endlessly(*subscribed(command))()}, None),
    "an octet a second": ({b"GETRANGE": unless_since(endlessly(b"+"))}, None),
    "an HTTP server": (None, lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"]),
    "zeros without end": (None, endlessly(ZEROS)),
}  # fmt: skip
SENSIBLE = {"records of 500 kB", "INFO of 500 kB", "keys of a watched table without end", "200 000 keys of a watched table"}
"""Such a server tells whether a client is known."""
FLOODS = {name for name in SERVERS if "changes" in name}


@pytest.mark.attack("R-34", "R-35")
@pytest.mark.parametrize("kind", SERVERS)
def test_a_hostile_server(kind: str, tmp_path: Path, at_length: bool, figure: Figure) -> None:
    with ScriptedRedis() as server, daemon(tmp_path, server.url) as host:
        host.waits_for("answers: ")
        answers, greeting = SERVERS[kind]
        server.become(answers, greeting)
        accepted = server.accepted
        cost = serves(host, AT_LENGTH if at_length else SECONDS, alone=kind not in FLOODS | SENSIBLE)
        assert server.accepted - accepted < 20 + 10 * (AT_LENGTH if at_length else SECONDS), "it is not tried all the time"
        since = len(host.log.read_text())
        server.become()
        back(host, since)
    told(figure, cost, "R-35" if kind in FLOODS else "R-34")


# -- a writer


def pump(path: Path, commands: bytes, stop: threading.Event) -> None:
    """Send commands to a server without end, whatever it answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        threading.Thread(target=drain, args=(sock,), daemon=True).start()
        while not stop.is_set():
            sock.sendall(commands)


def drain(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 20):
            pass


def packed(*words: bytes) -> bytes:
    return array(*map(bulk, words))


def publish_changes() -> bytes:
    since = int(time.time())
    changes = (change(*override(number, since)) for number in range(20_000))
    return b"".join(packed(b"PUBLISH", b"resolverd:changes:overrides", each) for each in changes)


FLOODERS: dict[str, Callable[[], bytes]] = {
    "changes of overrides": publish_changes,
    "changes that are none": lambda: packed(b"PUBLISH", b"resolverd:changes:audit", b"x") * 5000,
    "changes of 20 MB": lambda: packed(b"PUBLISH", b"resolverd:changes:hosts", b"x" * 20 * MEBIBYTE),
}


@pytest.mark.attack("R-35")
@pytest.mark.parametrize("kind", FLOODERS)
def test_somebody_publishes_without_end(kind: str, tmp_path: Path, at_length: bool, figure: Figure) -> None:
    with RedisServer(tmp_path) as server, daemon(tmp_path, server.url) as host:
        host.waits_for("answers: ")
        stop = threading.Event()
        flooding = threading.Thread(target=pump, args=(server.path, FLOODERS[kind](), stop), daemon=True)
        flooding.start()
        cost = serves(host, AT_LENGTH if at_length else SECONDS, alone=False)
        stop.set()
        flooding.join(30)
    told(figure, cost, "R-35")


SMALL = (b"overrides", b"negative_trust_anchors", b"hosts", b"audit", b"list-health", b"duties", b"list-quotas")


def fields(server: RedisServer, size: int, count: int) -> None:
    """So many fields in each table that is watched."""
    for table in SMALL:
        script = f"for i = 1, {count} do redis.call('HSET', KEYS[1], 'deny all ' .. i, string.rep('x', {size})) end"
        server.cli("EVAL", script, "1", f"resolverd:{table.decode()}")


def valid(server: RedisServer, count: int) -> None:
    """Overrides as ours are, of clients whom nobody knows."""
    since = int(time.time())
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(server.path))
        for first in range(0, count, 1000):
            pairs = [override(number, since) for number in range(first, first + 1000)]
            sock.sendall(packed(b"HSET", b"resolverd:overrides", *chain.from_iterable(pairs)))
            assert sock.recv(100) == b":1000\r\n"


def others(server: RedisServer, size: int) -> None:
    """What is no hash where one is due, and very long."""
    for table in SMALL:
        server.cli("SETRANGE", f"resolverd:{table.decode()}", str(size), "x")
    server.cli("EVAL", "for i = 1, 100000 do redis.call('SADD', KEYS[1], i) end", "1", "resolverd:greylist-clients:192.0.2.66")


PLANTS: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], None]]] = {
    "a million fields": (lambda server: fields(server, 1, 210_000), lambda server: fields(server, 1, 1_000_000)),
    "as many fields as are read": (lambda server: fields(server, 20, 20_000), lambda server: fields(server, 20, 190_000)),
    "fields of a megabyte": (lambda server: fields(server, MEBIBYTE, 10), lambda server: fields(server, 64 * MEBIBYTE, 2)),
    "many overrides": (lambda server: valid(server, 20_000), lambda server: valid(server, 190_000)),
    "other types": (lambda server: others(server, MEBIBYTE), lambda server: others(server, 64 * MEBIBYTE)),
}


@pytest.mark.attack("R-35")
@pytest.mark.parametrize("kind", PLANTS)
def test_somebody_has_planted_records(kind: str, tmp_path: Path, at_length: bool, figure: Figure) -> None:
    with RedisServer(tmp_path) as server:
        PLANTS[kind][at_length](server)
        with daemon(tmp_path, server.url) as host:
            host.waits_for("answers: ")
            begun = time.monotonic()
            while not host.policy(attempt(DENIED)).startswith(b"action=554 5.7.1"):
                assert time.monotonic() < begun + 60, "it does not come to the end of what was planted"
            cost = serves(host, AT_LENGTH if at_length else SECONDS, alone=False)
    told(figure, cost._replace(processor=0), "R-35")
