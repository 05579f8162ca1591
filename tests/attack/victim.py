"""A daemon's edges in a process of their own, which tells what an attack on them costs whom.

Costs are CPU seconds of the event loop's thread, so that neither the attacker beside it nor a busy machine counts: `stall` is the
longest that the loop was kept from everybody else, and what a probe `waited` is the work that was done before it had its answer.
"""

import asyncio
import contextlib
import multiprocessing
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import dns.message
import uvloop

from resolverd.app.process import tune
from resolverd.app.service import Service
from resolverd.clock import SystemClock
from resolverd.config.files import parse
from resolverd.metrics import Counters
from resolverd.net.outside import OutsideNetwork
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import tcp as dns_tcp
from resolverd.servers.dns import udp as dns_udp
from resolverd.servers.dns.answering import Responder
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.dns.udp import UdpEdge
from resolverd.servers.http.app import HttpServer
from resolverd.servers.policy.server import PolicyServer
from resolverd.servers.turns import Turns
from resolverd.state.memory import MemoryStore

HOST = "127.0.0.1"
STRANGER = "127.0.0.66"
"""An address outside ``[dns] allow``."""
CONFIG = """
[dns]
allow = ["127.0.0.1/32"]
[resolver]
trust_anchors = "/dev/null"
root_hints = "hints"
do_not_query = []
[store]
url = "memory:"
"""
QUESTION = dns.message.make_query("localhost.", "A", id=1).to_wire()
FRAMED = len(QUESTION).to_bytes(2) + QUESTION
REQUEST = b"".join(
    line + b"\n"
    for line in (
        b"request=smtpd_access_policy", b"protocol_state=RCPT", b"client_address=127.0.0.1", b"client_name=localhost",
        b"helo_name=h.example.com", b"sender=a@example.com", b"recipient=b@example.org", b"instance=1.2.3", b"",
    )
)  # fmt: skip
GET = b"GET /v1/lists HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Cost(NamedTuple):
    """CPU seconds: the longest stall of the loop, and by probe what was waited for at the median and for one in a hundred.

    `standard`: those that a piece of work took, at the median, that is always the same: how fast the processor was meanwhile.
    """

    stall: float
    waited: dict[str, tuple[float, float]]
    standard: float
    rss: int

    def ordinary(self, meanwhile: "Cost | None" = None) -> float:
        """Those of a question where nothing else goes on, at the speed that the processor had then or `meanwhile`.

        With an attacker beside it, and whoever else is at work, the same costs a processor more.
        """
        seconds = max(median for median, _ in self.waited.values())
        return seconds if meanwhile is None else seconds * meanwhile.standard / self.standard


class Victim:
    """The process, seen from outside."""

    def __init__(self, pipe: "Connection[object, object]"):
        self._pipe = pipe
        self.ports: dict[str, int] = pipe.recv()  # type: ignore[assignment]

    def begin(self) -> None:
        """Begin to measure."""
        self._pipe.send("begin")

    def cost(self) -> Cost:
        """What has been measured since."""
        self._pipe.send("cost")
        found = self._pipe.recv()
        assert isinstance(found, Cost)
        return found


@contextlib.contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """A running one."""
    (folder / "hints").write_text(". 60 NS ns.test.\nns.test. 60 A 127.255.255.254\n")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, folder))
    process.start()
    try:
        yield Victim(ours)
    finally:
        ours.send("end")
        process.join(10)


def _run(pipe: "Connection[object, object]", folder: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, folder))


async def _serve(pipe: "Connection[object, object]", folder: Path) -> None:
    loop = asyncio.get_running_loop()
    settings = parse(CONFIG, folder)
    clock, counters, exchange = SystemClock(), Counters(), OutsideNetwork(())
    service = Service(settings, exchange, MemoryStore(), clock, counters)
    runtime, turns = service.runtime, Turns()
    access = AccessControl(settings.dns.allow, settings.dns.client_rate)
    responder = Responder(runtime.answerer, runtime.resolution.packets, access, clock, counters, runtime.resolution.packet_share)
    udp = UdpEdge(dns_udp.bind(HOST, 0), responder)
    tcp, policy = TcpEdge(responder, turns), PolicyServer(service.runtime.policy, counters, turns=turns)
    http = HttpServer(service.capabilities, counters, token=None)
    ports = {"udp": udp.address[1]}
    for name, serve in (("tcp", tcp.serve), ("policy", policy.serve), ("http", http.serve)):
        sock = dns_tcp.bind(HOST, 0)
        ports[name] = sock.getsockname()[1]
        await serve(sock)
    tune()
    pipe.send(ports)
    meter: _Meter | None = None
    while (word := await loop.run_in_executor(None, pipe.recv)) != "end":
        if word == "begin":
            meter = _Meter(ports)
        elif meter is not None:
            pipe.send(await meter.end())
    await asyncio.gather(policy.close(0), http.close(0))
    await tcp.aclose()
    await udp.aclose()
    await service.aclose()
    await exchange.aclose()


class _Meter:
    def __init__(self, ports: dict[str, int]):
        self._loop = asyncio.get_running_loop()
        self._stall, self._last, self._ended = 0.0, time.thread_time(), False
        self._loop.call_soon(self._turn)
        self._waited: dict[str, list[float]] = {"udp": [], "tcp": [], "policy": []}
        self._tasks = [
            asyncio.create_task(self._ask("udp", *_udp(ports["udp"]))),
            asyncio.create_task(self._ask("tcp", *_stream(ports["tcp"], FRAMED, 2))),
            asyncio.create_task(self._ask("policy", *_stream(ports["policy"], REQUEST, 1))),
            asyncio.create_task(self._measure()),
        ]
        self._standard: list[float] = []

    def _turn(self) -> None:
        now = time.thread_time()
        self._stall, self._last = max(self._stall, now - self._last), now
        if not self._ended:
            self._loop.call_soon(self._turn)

    async def _ask(self, name: str, connect: Callable[[], Awaitable[None]], ask: Callable[[], Awaitable[None]]) -> None:
        await connect()
        while True:
            begun = time.thread_time()
            await ask()
            self._waited[name].append(time.thread_time() - begun)
            await asyncio.sleep(0.002)

    async def _measure(self) -> None:
        while True:
            begun = time.thread_time()
            dns.message.from_wire(QUESTION)
            self._standard.append(time.thread_time() - begun)
            await asyncio.sleep(0.005)

    async def end(self) -> Cost:
        self._ended = True
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result
        waited = {}
        for name, each in self._waited.items():
            each.sort()
            waited[name] = each[len(each) // 2], each[len(each) * 99 // 100]
        return Cost(self._stall, waited, statistics.median(self._standard), _rss())


def _udp(port: int) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    import socket

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()

    async def connect() -> None:
        await loop.sock_connect(sock, (HOST, port))

    async def ask() -> None:
        sock.send(QUESTION)
        await loop.sock_recv(sock, 512)

    return connect, ask


def _stream(port: int, question: bytes, head: int) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect() -> None:
        streams.append(await asyncio.open_connection(HOST, port))

    async def ask() -> None:
        reader, writer = streams[0]
        writer.write(question)
        if head == 2:
            await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        else:
            await reader.readuntil(b"\n\n")

    return connect, ask


def _rss() -> int:
    """Octets of memory in use."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
