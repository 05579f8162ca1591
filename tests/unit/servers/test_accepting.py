"""Connections come in as fast as they are wanted, whatever else goes on in the loop; and where there is no room for them."""

import asyncio
import contextlib
import itertools
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from scriptednet import ScriptedResolver
from virtualtime import virtual

from resolverd import bounds
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers.accepting import ACCEPTED, Acceptor
from resolverd.servers.dns import tcp
from resolverd.servers.dns import udp as dns_udp
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.dns.udp import UdpEdge
from resolverd.servers.policy.server import PolicyServer
from resolverd.servers.turns import Turns
from tests.attacks import Figure
from tests.unit.servers.test_dns import HOST, PLAIN, framed, header, query, shop, ticking

CLIENTS = 100
"""Connections of each kind that stand in line; below `bounds.TCP_CLIENTS`."""
PIECES = 10
"""Pieces of work that fill a turn's share of the processor's time here."""
REQUEST = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\n\n"


class Accepting:
    """Accepts all mail, at once or later."""

    def __init__(self, at_once: bool):
        self.at_once = at_once

    def try_verdict(self, attempt: Attempt, *, record: bool) -> Verdict | None:
        return Verdict("A", Action.ACCEPT, 0, "") if self.at_once else None

    async def verdict_on(self, attempt: Attempt, *, record: bool) -> Verdict:
        return Verdict("A", Action.ACCEPT, 0, "")


class Flooded:
    """A daemon's edges, a client of each that stands in line, and a flood of datagrams that never ends."""

    def __init__(self, resolver: ScriptedResolver, at_once: bool):
        responder = resolver.stack.responder
        self.udp = UdpEdge(dns_udp.bind(HOST, 0), responder, ticking(bounds.UDP_TURN / PIECES))
        turns = Turns(ticking(bounds.TURN / PIECES))
        self.tcp = TcpEdge(responder, turns)
        self.policy = PolicyServer(Accepting(at_once), Counters(), turns=turns)
        self.turn = 0
        self.hot = 0
        self.answered: dict[str, list[int]] = {"tcp": [], "policy": []}
        """Turns of the loop after which their clients had their answers."""
        self._all_answered = asyncio.Event()
        self._ended = False
        self._numbers = itertools.count()
        self._flood = _datagrams()
        self._hot = _datagrams()

    async def __aenter__(self) -> "Flooded":
        ports = []
        for serve in (self.tcp.serve, self.policy.serve):
            sock = tcp.bind(HOST, 0)
            ports.append(sock.getsockname()[1])
            await serve(sock)
        self._hot.sendto(PLAIN, self.udp.address)
        await asyncio.get_running_loop().sock_recv(self._hot, 4096)
        self._streams = [
            (kind, _connected(port, octets))
            for _ in range(CLIENTS)
            for kind, port, octets in (("tcp", ports[0], framed(PLAIN)), ("policy", ports[1], REQUEST))
        ]
        self._next()
        return self

    async def __aexit__(self, *ignored: object) -> None:
        self._ended = True
        for _, sock in (*self._streams, ("", self._flood), ("", self._hot)):
            sock.close()
        await self.tcp.aclose()
        await self.policy.close(0)
        await self.udp.aclose()

    def _next(self) -> None:
        if self._ended:
            return
        self.turn += 1
        for _ in range(bounds.UDP_BATCH + 1):
            with contextlib.suppress(BlockingIOError):
                self._flood.sendto(query(f"x{next(self._numbers)}.w.shop").to_wire(), self.udp.address)
        with contextlib.suppress(BlockingIOError):
            while self._hot.recv(4096):
                self.hot += 1
        self._hot.sendto(header(PLAIN, 0, self.turn), self.udp.address)
        for kind, sock in self._streams:
            with contextlib.suppress(BlockingIOError):
                if sock.recv(4096):
                    self.answered[kind].append(self.turn)
        if min(map(len, self.answered.values())) == CLIENTS:
            self._all_answered.set()
        asyncio.get_running_loop().call_soon(self._next)

    async def until_all_are_answered(self) -> None:
        async with asyncio.timeout(60):
            await self._all_answered.wait()


def _datagrams() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((HOST, 0))
    return sock


def _connected(port: int, octets: bytes) -> socket.socket:
    sock = socket.create_connection((HOST, port), 5)
    sock.setblocking(False)
    sock.send(octets)
    return sock


@pytest.mark.attack("R-05", "R-22")
@pytest.mark.parametrize("at_once", [True, False])
async def test_who_connects_and_who_sends_datagrams_are_served_alike(tmp_path: Path, figure: Figure, at_once: bool) -> None:
    async with Flooded(ScriptedResolver(shop(), tmp_path), at_once) as flooded:
        await flooded.until_all_are_answered()
        last = max(max(turns) for turns in flooded.answered.values())
        share = PIECES if at_once else min(PIECES, bounds.TURN / bounds.TURN_BEGUN)
        most = CLIENTS / ACCEPTED + 2 * CLIENTS / share + 10
        figure("turns of the loop until two hundred connections in line were served", last, most=most, row="R-05")
        figure("cached answers a turn meanwhile", flooded.hot / flooded.turn, least=0.9, row="R-22")


class Said(asyncio.Protocol):
    """Says by which address it was made, and ends."""

    made = 0

    def __init__(self, host: str) -> None:
        self.host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Said.made += 1
        stream = cast(asyncio.WriteTransport, transport)
        stream.write(f"you are {self.host}".encode())
        stream.close()


async def said(sock: socket.socket) -> str:
    sock.setblocking(False)
    return (await asyncio.get_running_loop().sock_recv(sock, 100)).decode()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Nobody in this process has one that is free."""
    limits, lowest = resource.getrlimit(resource.RLIMIT_NOFILE), os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    os.close(lowest)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_each_client_has_its_protocol_by_its_address(tmp_path: Path) -> None:
    ipv4, unix = tcp.bind(HOST, 0), socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    with contextlib.ExitStack() as stack:
        for sock in (ipv4, unix):
            stack.callback(Acceptor(sock, lambda host: Said(host) if host != "127.0.0.9" else None, backlog=5).close)
        for source, told in (("127.0.0.1", "you are 127.0.0.1"), ("127.0.0.7", "you are 127.0.0.7"), ("127.0.0.9", "")):
            with socket.create_connection(ipv4.getsockname(), 5, (source, 0)) as client:
                assert await said(client) == told
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            assert await said(client) == "you are "


@virtual
async def test_without_descriptors_clients_wait_and_the_loop_rests(caplog: pytest.LogCaptureFixture) -> None:
    loop, sock = asyncio.get_running_loop(), tcp.bind(HOST, 0)
    acceptor = Acceptor(sock, Said, backlog=5)
    with socket.create_connection(sock.getsockname(), 5) as client:
        begun = loop.time()
        with no_descriptors():
            await asyncio.sleep(10.5)
        assert 10 <= len(caplog.records) <= 12, "a look each second"
        assert {record.getMessage() for record in caplog.records} == {"no connection can be accepted: Too many open files"}
        assert await said(client) == f"you are {HOST}"
        assert loop.time() - begun < 12
    acceptor.close()


async def test_what_is_not_open_yet_comes_to_nothing_at_the_end() -> None:
    sock, failed, admitted, made = tcp.bind(HOST, 0), list[object](), asyncio.Event(), Said.made

    def admit(host: str) -> Said:
        admitted.set()
        return Said(host)

    acceptor = Acceptor(sock, admit, backlog=5, failed=lambda protocol, error: failed.append((protocol.host, error)))
    with socket.create_connection(sock.getsockname(), 5) as client:
        await admitted.wait()
        acceptor.close()
        assert await said(client) == ""
    assert (Said.made, failed) == (made, [(HOST, None)])
