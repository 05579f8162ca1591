"""Datagrams in batches: one contract for both kinds, on real loopback sockets."""

import ctypes
import errno
import socket
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from resolverd import bounds
from resolverd.servers.dns import udp
from resolverd.servers.dns.datagrams import DATAGRAM, Batch, SocketBatch, send
from resolverd.servers.dns.mmsg import MmsgBatch

LOOPBACK = {"127.0.0.1": "127.0.0.1", "::1": "::1", "0.0.0.0": "127.0.0.9", "::": "::1"}
"""Where a server listens, and where its clients ask it."""


class Server:
    """A socket and its batch; clients of it."""

    def __init__(self, kind: Callable[[socket.socket, bool], Batch], host: str):
        self.sock = udp.bind(host, 0)
        self.wildcard = host in ("0.0.0.0", "::")
        self.batch = kind(self.sock, self.wildcard)
        self.at = (LOOPBACK[host], self.sock.getsockname()[1])
        self.home = "127.0.0.1" if self.sock.family == socket.AF_INET else "::1"
        self.open = [self.sock]

    def client(self, *packets: bytes) -> socket.socket:
        """A client that has sent these."""
        client = socket.socket(self.sock.family, socket.SOCK_DGRAM)
        client.settimeout(5)
        client.bind((self.home, 0))
        client.connect(self.at)  # takes what comes from the address that it asked, and nothing else
        self.open.append(client)
        for packet in packets:
            client.send(packet)
        return client

    def receive(self) -> list[tuple[int, bytes, bytes]]:
        return list(self.batch.receive())


@pytest.fixture(params=list(LOOPBACK))
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[MmsgBatch, SocketBatch])
def server(request: pytest.FixtureRequest, host: str) -> Iterator[Server]:
    server = Server(request.param, host)
    yield server
    for sock in server.open:
        sock.close()


def test_what_has_come_and_from_whom(server: Server) -> None:
    packets = [b"I1question", b"I2" + bytes(range(256)) * 8]
    clients = [server.client(packet) for packet in packets]
    address = socket.inet_pton(server.sock.family, server.home)
    assert server.receive() == [(0, address, packets[0][2:]), (1, address, packets[1][2:])]
    for slot, client in enumerate(clients):
        assert server.batch.packet(slot) == packets[slot]
        assert server.batch.client(slot)[:2] == client.getsockname()[:2]
    assert server.receive() == [], "nothing more"


def test_replies_go_to_who_asked_behind_his_id_and_from_where_he_asked(server: Server) -> None:
    clients = [server.client(b"%02d" % number) for number in range(10)]
    for turn in range(3):
        server.receive()
        server.batch.send([None if number % 3 == turn else b"reply %d %d" % (turn, number) for number in range(10)])
        for number, client in enumerate(clients):
            if number % 3 != turn:
                assert client.recv(100) == b"%02dreply %d %d" % (number, turn, number)
            client.send(b"%02d" % number)
    for client in clients:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)


def test_a_late_reply_comes_from_where_it_was_asked(server: Server) -> None:
    first = server.client(b"I1a")
    server.receive()
    late = server.batch.client(0), server.batch.source(0)
    server.client(b"I2b")
    server.receive()
    send(server.sock, b"I1late", *late)
    assert first.recv(100) == b"I1late"


def test_a_batch_has_its_bound_and_the_rest_comes_in_the_next(server: Server) -> None:
    client = server.client(*(b"%02d%02d" % (number, number) for number in range(bounds.UDP_BATCH + 6)))
    assert [question for _, _, question in server.receive()] == [b"%02d" % number for number in range(bounds.UDP_BATCH)]
    server.batch.send([b"r"] * bounds.UDP_BATCH)
    assert [slot for slot, _, _ in server.receive()] == list(range(6))
    server.batch.send([b"r"] * 6)
    assert [client.recv(10) for _ in range(bounds.UDP_BATCH + 6)] == [b"%02dr" % number for number in range(bounds.UDP_BATCH + 6)]


def test_long_and_short_datagrams(server: Server) -> None:
    whole = bytes(number % 251 for number in range(DATAGRAM + 3000))
    packets = [whole, whole[:DATAGRAM], b"", b"x", b"I1", b"I1q", whole]
    client = server.client(*packets)
    for _ in range(2):
        assert [question for _, _, question in server.receive()] == [packet[2:DATAGRAM] for packet in packets]
        assert [server.batch.packet(slot) for slot in range(7)] == [packet[:DATAGRAM] for packet in packets]
        longest = bytes(DATAGRAM - 2)
        server.batch.send([longest, longest, None, None, longest, b"", b"r"])
        assert [len(client.recv(DATAGRAM + 1)) for _ in range(5)] == [DATAGRAM, DATAGRAM, DATAGRAM, 2, 3]
        for packet in packets:
            client.send(packet)


def test_who_has_gone_keeps_nobody_waiting(server: Server) -> None:
    gone, there = server.client(b"I1"), server.client(b"I2")
    gone.close()
    for _ in range(3):
        server.receive()
        server.batch.send([b"r", b"r"])
        assert there.recv(10) == b"I2r"
        with socket.socket(server.sock.family, socket.SOCK_DGRAM) as another:
            another.bind((server.home, 0))
            another.sendto(b"I1", server.at)
        there.send(b"I2")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"], indirect=True)
def test_a_reply_that_cannot_be_sent_keeps_none_behind_it(server: Server) -> None:
    """From port 0, as whoever forges packets may have it: nothing can be sent there."""
    try:
        forger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("only root may forge")
    server.open.append(forger)
    port = server.at[1].to_bytes(2)
    before = server.client(b"I1")
    for _ in range(2):
        forger.sendto(b"\0\0" + port + b"\0\x0a\0\0I2", (server.at[0], 0))
    after = server.client(b"I3")
    assert len(server.receive()) == 4
    server.batch.send([b"r"] * 4)
    assert before.recv(10) == b"I1r"
    assert after.recv(10) == b"I3r"


def interface(server: Server, slot: int) -> int:
    """The index of the interface that the replies in this slot are bound to."""
    [(_, _, info)] = server.batch.source(slot) or []
    return int.from_bytes(info[:4] if server.sock.family == socket.AF_INET else info[16:20], sys.byteorder)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"], indirect=True)
def test_routing_decides_by_which_interface_a_reply_goes(server: Server) -> None:
    for _ in range(2):
        client = server.client(b"I1", b"I2")
        assert len(server.receive()) == 2
        assert [interface(server, slot) for slot in range(2)] == [0, 0]
        server.batch.send([b"r", b"r"])
        assert [client.recv(10), client.recv(10)] == [b"I1r", b"I2r"]


def link_local() -> tuple[str, int]:
    """A link-local address of this machine, and its interface's index."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            for octets, index, _, scope, flags, _ in map(str.split, file):
                if scope == "20" and not int(flags, 16) & 0x48:  # neither tentative nor a duplicate
                    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(octets)), int(index, 16)
    except OSError:
        pass
    pytest.skip("no link-local address here")


@pytest.mark.parametrize("host", ["::"], indirect=True)
def test_who_asks_a_link_local_address_is_answered_from_it(server: Server) -> None:
    address, index = link_local()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.bind((address, 0, 0, index))
        client.connect((address, server.at[1], 0, index))
        client.send(b"I1")
        other = server.client(b"I2")
        assert len(server.receive()) == 2
        assert interface(server, 0) != 0
        assert interface(server, 1) == 0
        server.batch.send([b"r", b"r"])
        assert (client.recv(10), other.recv(10)) == (b"I1r", b"I2r")
        send(server.sock, b"I1late", server.batch.client(0), server.batch.source(0))
        assert client.recv(10) == b"I1late"


def library(monkeypatch: pytest.MonkeyPatch, **scripts: list[int]) -> None:
    """Have a call of the C library do in turn what its script says: take so many of a batch, or fail with an error (below 0)."""
    real = ctypes.CDLL(None, use_errno=True)

    def scripted(name: str) -> Callable[..., int]:
        function, steps = getattr(real, name), iter(scripts[name])

        def call(file: int, headers: int | None, count: int, *more: Any) -> int:
            step = next(steps)
            if step < 0:
                ctypes.set_errno(-step)
                return -1
            return int(function(file, ctypes.c_void_p(headers), min(count, step), *more))

        return call

    calls = {name: scripted(name) if name in scripts else getattr(real, name) for name in ("recvmmsg", "sendmmsg")}
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(**calls))


def test_what_one_call_leaves_the_next_sends_and_a_full_buffer_costs_one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, sendmmsg=[0, 2, -errno.EAGAIN, 1, -errno.EINTR, bounds.UDP_BATCH, bounds.UDP_BATCH])
    server = Server(MmsgBatch, "127.0.0.1")
    client = server.client(*(b"%02d" % number for number in range(9)))
    assert len(server.receive()) == 9
    server.batch.send([b"r"] * 7 + [None, b"r"])
    assert [client.recv(10) for _ in range(6)] == [b"00r", b"01r", b"03r", b"05r", b"06r", b"08r"]
    for sock in server.open:
        sock.close()


def test_a_full_send_buffer_costs_one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(SocketBatch, "127.0.0.1")
    client = server.client(*(b"%02d" % number for number in range(3)))
    server.receive()
    real, full = server.sock.sendto, iter([False, True, False])

    def sendto(_: socket.socket, reply: bytes, address: Any) -> int:
        if next(full):
            raise BlockingIOError(errno.EAGAIN, "full")
        return real(reply, address)

    monkeypatch.setattr(socket.socket, "sendto", sendto, raising=False)
    server.batch.send([b"r"] * 3)
    assert [client.recv(10), client.recv(10)] == [b"00r", b"02r"]
    for sock in server.open:
        sock.close()


@pytest.mark.parametrize("refused", ["recvmmsg", "sendmmsg"])
def test_where_a_batched_call_is_refused_sockets_do(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a kernel that has it not, or a sandbox that forbids it."""
    library(monkeypatch, **{refused: [-errno.ENOSYS]})
    assert_served_by_sockets()


def test_where_the_library_has_no_batched_calls_sockets_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    assert_served_by_sockets()


def test_where_there_is_no_ctypes_sockets_do(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(udp.open_batch, "127.0.0.1")
    assert isinstance(server.batch, MmsgBatch)
    server.sock.close()
    monkeypatch.setitem(sys.modules, "resolverd.servers.dns.mmsg", None)
    assert_served_by_sockets()


def assert_served_by_sockets() -> None:
    server = Server(udp.open_batch, "127.0.0.1")
    assert isinstance(server.batch, SocketBatch)
    client = server.client(b"I1")
    server.receive()
    server.batch.send([b"r"])
    assert client.recv(10) == b"I1r"
    client.close()
    server.sock.close()
