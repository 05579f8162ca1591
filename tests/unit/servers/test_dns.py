"""The DNS edge: the table of wire behaviour (RFC 8906 and others), and UDP and TCP against clients of every kind.

Real loopback sockets throughout, mostly on virtual time.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptednet import Net, ScriptedResolver, addresses
from virtualtime import VirtualLoop, virtual

from resolverd import bounds
from resolverd.metrics import Counters
from resolverd.resolver.cache.packets import PacketCache
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import tcp
from resolverd.servers.dns import udp as dns_udp
from resolverd.servers.dns.answering import Responder, key
from resolverd.servers.dns.backlog import Backlog
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.dns.udp import UdpEdge
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import from_text
from resolverd.wire.peek import Query
from resolverd.wire.rrset import RRset
from resolverd.zones.answer import Answerer
from tests.attacks import Figure

HOST = "127.0.0.1"


def shop() -> Net:
    net = Net()
    text = "\n".join(f'big TXT "{number:05d}{"x" * 245}"' for number in range(230))
    net.zone("shop", {"ns.shop": "45.1.0.1"}, f"www A 193.0.0.1\n*.w A 193.0.0.2\n{text}")
    return net


def query(name: str = "www.shop", rtype: str = "A", **more: Any) -> dns.message.Message:
    return dns.message.make_query(name, rtype, **more)


def opcode(value: int) -> bytes:
    message = query()
    message.set_opcode(dns.opcode.Opcode(value))
    return message.to_wire()


def header(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + struct.pack("!H", value) + packet[at + 2 :]


PLAIN = query(id=7).to_wire()
EDNS = query(id=7, use_edns=0).to_wire()
OPT = EDNS[len(PLAIN) :]


def edns(*options: dns.edns.Option, **more: Any) -> bytes:
    return query(id=7, use_edns=0, options=list(options), **more).to_wire()


CASES: dict[str, tuple[bytes, int | None]] = {
    "no question": (header(PLAIN[:12], 4, 0), codes.FORMERR),
    "two questions": (header(PLAIN, 4, 2) + PLAIN[12:], codes.FORMERR),
    "a question announced, none there": (PLAIN[:12], codes.FORMERR),
    "octets behind the question": (PLAIN + b"\0", codes.NOERROR),
    "octets behind the last record": (EDNS + b"rubbish" * 100, codes.NOERROR),
    "a record behind the last one that is announced": (EDNS + OPT, codes.NOERROR),
    "a record that runs past the packet": (header(EDNS, 10, 1)[:-11] + b"\0\0\1\0\1\0\0\0\0\0\4\1", codes.FORMERR),
    "an answer within a question": (header(PLAIN, 6, 1) + PLAIN[12:], codes.FORMERR),
    "shorter than a header": (PLAIN[:11], None),
    "nothing": (b"", None),
    "a reply": (header(PLAIN, 2, 0x8180), None),
    "a reply without question": (header(PLAIN[:12], 2, 0x8180), None),
    "IQUERY": (opcode(1), codes.NOTIMP),
    "STATUS": (opcode(2), codes.NOTIMP),
    "NOTIFY": (opcode(4), codes.NOTIMP),
    "UPDATE": (opcode(5), codes.NOTIMP),
    "DSO": (opcode(6), codes.NOTIMP),
    "opcode 15": (opcode(15), codes.NOTIMP),
    "version.bind": (query("version.bind", "TXT", rdclass="CH").to_wire(), codes.REFUSED),
    "class CH": (query(rdclass="CH").to_wire(), codes.REFUSED),
    "class HS": (query(rdclass="HS").to_wire(), codes.REFUSED),
    "class NONE": (query(rdclass="NONE").to_wire(), codes.REFUSED),
    "class ANY": (query(rdclass="ANY").to_wire(), codes.REFUSED),
    "EDNS version 1": (query(use_edns=1).to_wire(), codes.BADVERS),
    "EDNS version 255": (query(use_edns=255).to_wire(), codes.BADVERS),
    "two OPT records": (header(EDNS + OPT, 10, 2), codes.FORMERR),
    "OPT that is not the root's": (EDNS[: len(PLAIN)] + b"\1a\0" + OPT[1:], codes.FORMERR),
    "OPT that runs past the packet": (EDNS[:-2] + b"\0\4", codes.FORMERR),
    "EDNS option that runs past OPT": (EDNS[:-2] + b"\0\4\0\x09\0\x20", codes.FORMERR),
    "AXFR": (query(rtype="AXFR").to_wire(), codes.REFUSED),
    "IXFR": (PLAIN[:-4] + b"\0\xfb\0\1", codes.REFUSED),
    "MAILB": (query(rtype="MAILB").to_wire(), codes.NOTIMP),
    "TSIG as a type": (query(rtype="TSIG").to_wire(), codes.NOTIMP),
    "type 0": (PLAIN[:-4] + b"\0\0\0\1", codes.FORMERR),
    "type OPT": (PLAIN[:-4] + b"\0\x29\0\1", codes.FORMERR),
    "a pointer to itself": (PLAIN[:12] + b"\xc0\x0c\0\1\0\1", codes.FORMERR),
    "a label that runs past the packet": (PLAIN[:12] + b"\x3fwww", codes.FORMERR),
    "a label of a reserved type": (PLAIN[:12] + b"\x80www\0\0\1\0\1", codes.FORMERR),
    "a name of 256 octets": (PLAIN[:12] + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1", codes.FORMERR),
    "an unknown type": (PLAIN[:-4] + b"\xff\x10\0\1", codes.NOERROR),
    "an unknown EDNS option": (edns(dns.edns.GenericOption(65001, b"x")), codes.NOERROR),
    "an unknown EDNS flag": (query(id=7, use_edns=0, ednsflags=0x4000).to_wire(), codes.NOERROR),
    "client subnet": (edns(dns.edns.ECSOption("203.0.113.0", 24)), codes.NOERROR),
    "a cookie": (edns(dns.edns.GenericOption(10, b"12345678")), codes.NOERROR),
    "a cookie without its client's part": (edns(dns.edns.GenericOption(10, b"1234567")), codes.FORMERR),
    "a cookie with half a server's part": (edns(dns.edns.GenericOption(10, b"123456789")), codes.FORMERR),
    "a cookie that is too long": (edns(dns.edns.GenericOption(10, bytes(41))), codes.FORMERR),
    "a payload of 0": (query(id=7, use_edns=0, payload=0).to_wire(), codes.NOERROR),
}


@pytest.mark.attack("R-27")
@pytest.mark.parametrize("udp", [True, False], ids=["udp", "tcp"])
@pytest.mark.parametrize("case", CASES)
def test_wire_behaviour(case: str, udp: bool, tmp_path: Path) -> None:
    packet, expected = CASES[case]

    async def run() -> None:
        net = shop()
        resolver = ScriptedResolver(net, tmp_path)
        data = await resolver.stack.ask(packet, udp)
        if expected is None:
            assert data is None
        else:
            assert data is not None
            reply = dns.message.from_wire(data)
            assert reply.rcode() == expected
            assert reply.id == int.from_bytes(packet[:2])
            assert reply.flags & dns.flags.QR
            assert reply.opcode() == packet[2] >> 3 & 15
            wanted = [10] if case == "a cookie" else []
            assert [option.otype for option in reply.options if option.otype != 15] == wanted, "nothing is echoed"
            assert reply.ednsflags & 0x4000 == 0
            readable = expected != codes.FORMERR or "cookie" in case
            assert (reply.edns == 0) == (b"\0\0\x29" in packet and readable)
        if expected != codes.NOERROR:
            parts = resolver.parts
            assert (net.asked, len(parts.rrsets), len(parts.packets), len(parts.delegations)) == ([], 0, 0, 0)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@pytest.mark.attack("R-29")
@virtual
async def test_any_gets_one_small_answer(tmp_path: Path) -> None:
    net = shop()
    resolver = ScriptedResolver(net, tmp_path)
    packet = query("big.shop", "ANY").to_wire()
    data = await resolver.stack.ask(packet)
    assert data is not None
    (rrset,) = dns.message.from_wire(data).answer
    assert rrset.rdtype == dns.rdatatype.HINFO
    assert len(data) <= 2 * len(packet)
    assert net.asked == []


@virtual
async def test_without_rd_there_is_memory_only(tmp_path: Path) -> None:
    net = shop()
    resolver = ScriptedResolver(net, tmp_path)
    assert (await resolver.ask("www.shop", rd=False)).rcode() == codes.REFUSED
    assert net.asked == []
    await resolver.ask("www.shop")
    asked = len(net.asked)
    assert addresses(await resolver.ask("www.shop", rd=False)) == ["193.0.0.1"]
    assert (await resolver.ask("other.shop", rd=False)).rcode() == codes.REFUSED
    assert len(net.asked) == asked


@pytest.mark.attack("R-08")
@virtual
async def test_what_a_client_adds_never_reaches_servers(tmp_path: Path) -> None:
    net = shop()
    resolver = ScriptedResolver(net, tmp_path)
    options = [
        dns.edns.ECSOption("203.0.113.0", 24),
        dns.edns.GenericOption(10, b"12345678"),
        dns.edns.GenericOption(65001, b"x"),
    ]
    await resolver.stack.ask(query(use_edns=0, options=options, want_dnssec=True).to_wire())
    await resolver.stack.ask(query("a.w.shop", use_edns=0, payload=4096).to_wire())
    assert {(ask.edns_size, ask.recursion) for ask in net.asked} == {(bounds.MAX_UDP_SIZE, False)}


@pytest.mark.parametrize(("size", "truncated"), [(None, True), (0, True), (512, True), (1232, True), (65535, True)])
@virtual
async def test_what_does_not_fit_is_told_to_come_by_tcp(size: int | None, truncated: bool, tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    packet = query("big.shop", "TXT", use_edns=-1 if size is None else 0, payload=size or 0).to_wire()
    data = await resolver.stack.ask(packet)
    assert data is not None
    assert len(data) <= min(max(size or 0, bounds.MIN_UDP_SIZE), bounds.MAX_UDP_SIZE)
    reply = dns.message.from_wire(data)
    assert bool(reply.flags & dns.flags.TC) is truncated
    whole = await resolver.stack.ask(packet, udp=False)
    assert whole is not None
    assert len(dns.message.from_wire(whole).answer[0]) == 230
    assert await resolver.stack.ask(packet) == data, "the long answer is not given over UDP from memory"


# -- the packet cache ------------------------------------------------------------------------------------------------------

ANSWERS = itertools.count()


class Telling(Answerer):
    """Answers each question it ever sees with another address."""

    def __init__(self) -> None:
        pass

    def reply(self, packet: bytes) -> bytes | None:
        return None

    def try_cached(self, query: Query) -> Answer | None:
        data = next(ANSWERS).to_bytes(4)
        return Answer(codes.NOERROR, (RRset(query.qname, query.qtype, 300, (data,)),))


class Still:
    @staticmethod
    def monotonic() -> float:
        return 1000.0

    @staticmethod
    def wall() -> float:
        return 1000.0


QUESTIONS = st.tuples(
    st.sampled_from(["www.shop", "WWW.shop", "www.shoP", "ww.shop", "www.shop.shop", "."]),
    st.sampled_from([1, 28, 16, 513]),
    st.sampled_from([0x0000, 0x0100, 0x0010, 0x0110, 0x0020, 0x0120, 0x0130, 0x0040]),
    st.sampled_from([None, (512, 0), (1232, 0), (1232, 0x8000), (4096, 0x8000)]),
    st.booleans(),
)
"""Name, type, flags, EDNS size and flags, UDP."""


def packet_of(ident: int, name: str, rtype: int, flags: int, opt: tuple[int, int] | None) -> bytes:
    head = struct.pack("!6H", ident, flags, 1, 0, 0, opt is not None) + from_text(name) + struct.pack("!2H", rtype, 1)
    return head if opt is None else head + b"\0" + struct.pack("!2HIH", 41, opt[0], opt[1], 0)


@pytest.mark.attack("R-33")
@given(st.lists(QUESTIONS, min_size=2, max_size=12))
def test_different_questions_never_share_a_packet(questions: list[tuple[str, int, int, tuple[int, int] | None, bool]]) -> None:
    packets = PacketCache(10**6)
    responder = Responder(Telling(), packets, AccessControl([ip_network("0.0.0.0/0")]), Still(), Counters(), 1.0)
    seen: dict[object, bytes] = {}
    for number, question in enumerate(questions):
        packet, udp = packet_of(number, *question[:4]), question[4]
        body = packets.get(key(packet, udp), 1000.0)
        assert body == seen.get(question), "an entry of another question, or none where there is one"
        if body is None:
            reply = responder.try_cached(packet, udp, b"\x7f\0\0\1")
            assert isinstance(reply, bytes)
            assert reply[:2] == packet[:2]
            assert from_text(question[0]) in reply, "the letters as asked"
            seen[question] = reply[2:]
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize("behind", [b"\0", b"\0tcp", b"tcp", b"x" * 500])
@virtual
async def test_what_stands_behind_a_question_changes_nothing(behind: bytes, tmp_path: Path) -> None:
    """What an attacker gains by it: no second entry in the cache, and no reply that is meant for TCP."""
    net = shop()
    net.zone("large", {"ns.large": "45.1.0.9"}, "www TXT " + " ".join([f'"{"t" * 200}"'] * 12))
    resolver = ScriptedResolver(net, tmp_path)
    packet = query("www.large", "TXT", id=1).to_wire()
    whole = await resolver.stack.ask(packet, udp=False)
    assert whole is not None
    assert len(whole) > 2000
    for _ in range(2):
        for before in (packet, packet[:2] + b"tcp" + packet[2:]):
            short = await resolver.stack.ask(before + behind)
            assert short is not None
            assert len(short) <= 512
        assert await resolver.stack.ask(packet + behind, udp=False) == whole
    assert len(resolver.parts.packets) == 1


@virtual
async def test_from_memory_the_reply_is_this_clients_own(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    for ident, name, waits in ((1, "www.shop", 0), (2, "www.shop", 100), (3, "wWw.ShOp", 100), (4, "www.shop", 1000)):
        await asyncio.sleep(waits)
        data = await resolver.stack.ask(query(name, id=ident).to_wire())
        assert data is not None
        reply = dns.message.from_wire(data)
        assert reply.id == ident
        assert reply.question[0].name.to_text() == f"{name}."
        assert reply.answer[0].ttl == 3600 - (resolver.clock.monotonic() - 1000) // 1


@virtual
async def test_questions_with_options_are_not_kept_as_packets(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    for _ in range(2):
        await resolver.stack.ask(edns(dns.edns.ECSOption("203.0.113.0", 24)))
    assert len(resolver.parts.packets) == 0


# -- UDP -------------------------------------------------------------------------------------------------------------------


def ticking(step: float) -> Callable[[], float]:
    """A processor's time that passes with each look at it, which is after each piece of work."""
    return itertools.count(0.0, step).__next__


BEGUN = 32
"""Questions begun in one turn of the loop where each takes its part of `bounds.UDP_TURN`."""


@asynccontextmanager
async def udp_edge(resolver: ScriptedResolver, host: str = HOST) -> AsyncIterator[tuple[UdpEdge, socket.socket]]:
    edge = UdpEdge(dns_udp.bind(host, 0), resolver.stack.responder, ticking(bounds.UDP_TURN / (BEGUN - 1.5)))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.bind((HOST, 0))
    try:
        yield edge, client
    finally:
        client.close()
        await edge.aclose()


async def received(client: socket.socket) -> list[bytes]:
    """All replies, once nothing moves any more."""
    out = []
    try:
        while True:
            async with asyncio.timeout(20):
                out.append(await asyncio.get_running_loop().sock_recv(client, 65535))
    except TimeoutError:
        return out


@virtual
async def test_udp_questions_and_their_answers(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    async with udp_edge(resolver) as (edge, client):
        for ident in range(5):
            client.sendto(query(id=ident).to_wire(), edge.address)
        client.sendto(b"x", edge.address)
        client.sendto(header(PLAIN, 2, 0x8180), edge.address)
        replies = [dns.message.from_wire(each) for each in await received(client)]
        assert sorted(reply.id for reply in replies) == list(range(5))
        assert all(addresses(reply) == ["193.0.0.1"] for reply in replies)
        client.sendto(query().to_wire(), edge.address)
        assert len(await received(client)) == 1
        assert resolver.stack.responder.counters.get("dns_cache_misses") == 5  # the last one came from memory
        waited = resolver.stack.responder.counters.histogram("dns_answer_seconds")
        assert (sum(waited.counts), 0 < waited.seconds < 30) == (5, True)


@virtual
async def test_the_reply_comes_from_the_address_that_was_asked(tmp_path: Path) -> None:
    async with udp_edge(ScriptedResolver(shop(), tmp_path), "0.0.0.0") as (edge, client):
        for host in ("127.0.0.9", "127.0.0.10", "127.0.0.9"):
            client.sendto(PLAIN, (host, edge.address[1]))
            async with asyncio.timeout(5):
                _, peer = await asyncio.get_running_loop().sock_recvfrom(client, 4096)
            assert peer == (host, edge.address[1])


def dead(net: Net) -> Net:
    net.root.add("dead. NS ns.dead.\nns.dead. A 45.9.0.1")
    return net


@virtual
async def test_waiting_datagrams_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_PENDING", 30)
    async with udp_edge(ScriptedResolver(dead(shop()), tmp_path)) as (edge, client):
        for number in range(50):
            client.sendto(query(f"w{number}.dead", id=number).to_wire(), edge.address)
        await asyncio.sleep(0.01)
        assert len(edge._pending) == 30
        assert len(await received(client)) == 30
        assert not edge._pending
        client.sendto(PLAIN, edge.address)
        assert len(await received(client)) == 1


@pytest.mark.attack("R-05", "R-22")
@virtual
async def test_what_is_cached_does_not_wait_behind_what_is_not(tmp_path: Path, figure: Figure) -> None:
    net = shop()
    async with udp_edge(ScriptedResolver(net, tmp_path)) as (edge, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.sendto(PLAIN, edge.address)
        assert len(await received(client)) == 1
        assert bounds.UDP_BATCH < 500 < bounds.UDP_BATCH * BEGUN
        for number in range(500):
            client.sendto(query(f"x{number}.w.shop", id=number).to_wire(), edge.address)
        client.sendto(header(PLAIN, 0, 999), edge.address)
        first = await asyncio.get_running_loop().sock_recv(client, 4096)
        assert int.from_bytes(first[:2]) == 999
        figure("questions begun before one cached behind 500 others", len(edge._pending), most=4 * BEGUN)
        assert len(await received(client)) == 500, "all come to their turn"


@virtual
async def test_the_oldest_go_where_more_come_than_can_be_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BACKLOG", 100)
    resolver = ScriptedResolver(shop(), tmp_path)
    async with udp_edge(resolver) as (edge, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(400):
            client.sendto(query(f"x{number}.w.shop", id=number).to_wire(), edge.address)
        answered = {int.from_bytes(each[:2]) for each in await received(client)}
        assert answered == set(range(BEGUN)) | set(range(300, 400))
        told = {name: value for name, _, value in resolver.stack.responder.counters.snapshot()}
        assert told["dns_dropped"] == 300 - BEGUN


def test_nobody_in_line_is_kept_for_long() -> None:
    backlog: Backlog[int] = Backlog()
    for number in range(bounds.BACKLOG + 5):
        backlog.put(number, number / 10_000)
    assert (len(backlog), backlog.dropped, backlog.take(0.2)) == (bounds.BACKLOG, 5, 5)
    assert backlog.take(bounds.BACKLOG_AGE + 0.05) == 500
    assert backlog.take(bounds.BACKLOG_AGE + 1) is None
    assert backlog.dropped == bounds.BACKLOG + 5 - 2


@pytest.mark.attack("R-21")
@pytest.mark.parametrize("local", [True, False])
@virtual
async def test_one_client_waits_for_so_many_replies(local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # DNSBomb: a server that is slow on purpose lets all that waits loose at one moment, on whoever is spoofed as client.
    monkeypatch.setattr(bounds, "MAX_PENDING_LOOPBACK", 300)
    monkeypatch.setattr(dns_udp, "is_loopback", lambda host: local or host == "127.0.0.2")
    net = shop()
    loop = asyncio.get_running_loop()
    net.rtt = 1.5
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.setblocking(False)
    other.bind(("127.0.0.2", 0))
    async with udp_edge(ScriptedResolver(net, tmp_path)) as (edge, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(400):
            client.sendto(query(f"x{number}.w.shop", id=number).to_wire(), edge.address)
        await asyncio.sleep(0.01)
        other.sendto(PLAIN, edge.address)
        burst = len(await received(client))
        assert burst == (300 if local else bounds.MAX_PENDING_PER_CLIENT)
        assert len(await loop.sock_recv(other, 4096)) > 12, "nobody else is worse off"
        assert not edge._clients
    other.close()


@pytest.mark.attack("R-29")
@virtual
async def test_strangers_are_refused_and_replies_of_theirs_ignored(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    resolver.stack.responder.access = AccessControl([ip_network("192.0.2.0/24")])
    async with udp_edge(resolver) as (edge, client):
        client.sendto(PLAIN, edge.address)
        client.sendto(header(PLAIN, 2, 0x8180), edge.address)
        client.sendto(b"x" * 11, edge.address)
        (reply,) = await received(client)
        assert dns.message.from_wire(reply).rcode() == codes.REFUSED
        assert len(reply) <= len(PLAIN)
        assert resolver.net.asked == []


# -- TCP -------------------------------------------------------------------------------------------------------------------


class Clients:
    """Connections to an edge."""

    def __init__(self, edge: TcpEdge, port: int):
        self.edge = edge
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.port, **more)
        self.writers.append(writer)
        # The other side's turn, so that connections are counted in their order.
        for _ in range(5):
            await asyncio.sleep(0)
        return reader, writer


@asynccontextmanager
async def tcp_edge(resolver: ScriptedResolver) -> AsyncIterator[Clients]:
    edge = TcpEdge(resolver.stack.responder)
    sock = tcp.bind(HOST, 0)
    clients = Clients(edge, sock.getsockname()[1])
    await edge.serve(sock)
    try:
        yield clients
    finally:
        for writer in clients.writers:
            writer.close()
        await edge.aclose()
        for _ in range(5):
            await asyncio.sleep(0)


SEGMENTS_RECEIVED = 152
"""Where tcpi_data_segs_in stands in struct tcp_info (linux/tcp.h)."""


def framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2) + packet


async def reply_of(reader: asyncio.StreamReader) -> dns.message.Message:
    return dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))


async def end_of(reader: asyncio.StreamReader) -> float:
    """When the connection ended (after which nothing was said any more)."""
    try:
        assert await reader.read() == b""
    except ConnectionError:
        pass
    return asyncio.get_running_loop().time()


@virtual
async def test_answers_come_as_they_are_ready(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(dead(shop()), tmp_path)) as clients:
        reader, writer = await clients.connect()
        for ident, name in ((1, "slow.dead"), (2, "www.shop"), (3, "a.w.shop")):
            writer.write(framed(query(name, id=ident).to_wire()))
        assert [(await reply_of(reader)).id for _ in range(3)] == [2, 3, 1]


@virtual
async def test_an_open_connection_is_judged_anew_after_a_reload(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    access = resolver.stack.responder.access = AccessControl([ip_network("127.0.0.0/8")])
    async with tcp_edge(resolver) as clients:
        reader, writer = await clients.connect()
        for networks, rcode in (["127.0.0.0/8"], codes.NOERROR), (["192.0.2.0/24"], codes.REFUSED):
            access.configure(map(ip_network, networks), None)
            for _ in range(2):
                writer.write(framed(query("www.shop").to_wire()) * 2)
                assert [(await reply_of(reader)).rcode() for _ in range(2)] == [rcode] * 2


@virtual
async def test_what_is_asked_in_one_piece_is_answered_in_one(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        reader, writer = await clients.connect()
        writer.write(framed(query("www.shop", id=1).to_wire()))
        await reply_of(reader)
        sock = writer.get_extra_info("socket")
        segments = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        before = struct.unpack_from("I", segments, SEGMENTS_RECEIVED)[0]
        writer.write(b"".join(framed(query("www.shop", id=ident).to_wire()) for ident in range(10)))
        assert [(await reply_of(reader)).id for _ in range(10)] == list(range(10))
        segments = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        assert struct.unpack_from("I", segments, SEGMENTS_RECEIVED)[0] - before == 1


@virtual
async def test_octet_by_octet_within_the_time_for_a_message(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        reader, writer = await clients.connect()
        octets = framed(PLAIN)
        for octet in octets:
            writer.write(bytes([octet]))
            await asyncio.sleep(bounds.TCP_MESSAGE / len(octets) / 2)
        assert addresses(await reply_of(reader)) == ["193.0.0.1"]


@pytest.mark.attack("R-28")
@pytest.mark.parametrize("begun", [b"\0", b"\0\x1a", framed(PLAIN)[:-1], framed(PLAIN) + framed(PLAIN)[:20]])
@virtual
async def test_half_a_message_ends_the_connection(begun: bytes, tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        reader, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        writer.write(begun)
        if len(begun) > 28:
            await reply_of(reader)
        assert await end_of(reader) - start == pytest.approx(bounds.TCP_MESSAGE, abs=0.1)


@pytest.mark.attack("R-28")
@pytest.mark.parametrize("before", [b"", framed(query("slow.dead").to_wire())], ids=["alone", "with a question under way"])
@virtual
async def test_dripping_octets_prolongs_nothing(before: bytes, tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(dead(shop()), tmp_path)) as clients:
        reader, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        writer.write(before)
        ended = asyncio.create_task(end_of(reader))
        for octet in framed(query("a" * 60 + ".shop").to_wire())[:-1]:
            if ended.done():
                break
            writer.write(bytes([octet]))
            await asyncio.sleep(0.5)
        assert await ended - start <= bounds.TCP_MESSAGE + 0.5


@pytest.mark.parametrize("length", [0, 1, 11])
@virtual
async def test_lengths_below_a_header_end_the_connection(length: int, tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        reader, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        writer.write(length.to_bytes(2))
        assert await end_of(reader) == start


@virtual
async def test_idle_connections_end(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        start = asyncio.get_running_loop().time()
        silent, _ = await clients.connect()
        busy, writer = await clients.connect()
        for _ in range(4):
            writer.write(framed(PLAIN))
            await reply_of(busy)
            await asyncio.sleep(bounds.TCP_IDLE - 1)
        assert await end_of(silent) >= start + bounds.TCP_IDLE
        assert await end_of(busy) - start >= 4 * (bounds.TCP_IDLE - 1)
        assert not clients.edge._connections


@virtual
async def test_idle_is_shorter_when_many_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TCP_CLIENTS", 10)
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        start = asyncio.get_running_loop().time()
        readers = [(await clients.connect())[0] for _ in range(8)]
        ends = [at - start for at in await asyncio.gather(*(end_of(reader) for reader in readers))]
        assert max(ends[:5]) <= bounds.TCP_IDLE + 0.1
        assert max(ends[6:]) <= 2.1


@virtual
async def test_a_client_may_close_its_half_and_still_be_answered(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(dead(shop()), tmp_path)) as clients:
        reader, writer = await clients.connect()
        writer.write(framed(query("www.shop", id=1).to_wire()) + framed(query("slow.dead", id=2).to_wire()))
        writer.write_eof()
        assert [(await reply_of(reader)).id for _ in range(2)] == [1, 2]
        await end_of(reader)


@virtual
async def test_questions_of_one_connection_under_way_are_bounded(tmp_path: Path) -> None:
    net = shop()
    net.rtt = 0.2
    resolver = ScriptedResolver(net, tmp_path)
    async with tcp_edge(resolver) as clients:
        reader, writer = await clients.connect()
        wires = [framed(query(f"{f'x{number}':x<63}.w.shop", id=number).to_wire()) for number in range(1000)]
        assert sum(map(len, wires)) > 65_536
        sending = asyncio.create_task(_send(writer, b"".join(wires)))
        most = 0
        idents = set()
        for _ in range(200):
            idents.add((await reply_of(reader)).id)
            most = max(most, resolver.parts.mesh.in_flight)
        (connection,) = clients.edge._connections
        assert most == bounds.TCP_IN_FLIGHT
        assert len(connection._buffer) <= 1 << 18
        for _ in range(800):
            idents.add((await reply_of(reader)).id)
        assert idents == set(range(1000))
        await sending


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.attack("R-28")
async def test_a_client_that_does_not_read_is_left(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    packet = framed(query("big.shop", "TXT").to_wire())
    async with tcp_edge(resolver) as clients:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (HOST, clients.port))
        await loop.sock_sendall(sock, packet)
        while not clients.edge._connections:  # noqa: ASYNC110
            await asyncio.sleep(0)
        (connection,) = clients.edge._connections
        most = 0
        async with asyncio.timeout(5):
            while clients.edge._connections:
                try:
                    sock.send(packet)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    break
                if connection.transport is not None:
                    most = max(most, connection.transport.get_write_buffer_size())
                await asyncio.sleep(0)
        assert 0 < most <= bounds.TCP_WRITE_BUFFER
        sock.close()


@virtual
async def test_connections_of_one_address_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "is_loopback", lambda host: host == "127.0.0.3")
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        readers = [(await clients.connect())[0] for _ in range(bounds.TCP_CLIENTS_PER_ADDRESS + 5)]
        start = asyncio.get_running_loop().time()
        for reader in readers[bounds.TCP_CLIENTS_PER_ADDRESS :]:
            assert await end_of(reader) == start
        assert len(clients.edge._connections) == bounds.TCP_CLIENTS_PER_ADDRESS
        neighbour, writer = await clients.connect(local_addr=("127.0.0.2", 0))
        writer.write(framed(PLAIN))
        assert addresses(await reply_of(neighbour)) == ["193.0.0.1"]
        for _ in range(bounds.TCP_CLIENTS_PER_ADDRESS + 5):
            await clients.connect(local_addr=("127.0.0.3", 0))
        assert clients.edge._hosts["127.0.0.3"] == bounds.TCP_CLIENTS_PER_ADDRESS + 5


@virtual
async def test_when_all_places_are_taken_the_longest_idle_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TCP_CLIENTS", 5)
    monkeypatch.setattr(TcpEdge, "idle", bounds.TCP_IDLE)
    async with tcp_edge(ScriptedResolver(dead(shop()), tmp_path)) as clients:
        waiting, writer = await clients.connect()
        writer.write(framed(query("slow.dead").to_wire()))
        first, first_writer = await clients.connect()
        idle = [(await clients.connect())[0] for _ in range(3)]
        first_writer.write(framed(PLAIN))
        await reply_of(first)
        start = asyncio.get_running_loop().time()
        await clients.connect()
        assert await end_of(idle[0]) == start
        for _ in range(20):
            await clients.connect()
            assert len(clients.edge._connections) == 5
        assert (await reply_of(waiting)).rcode() == codes.SERVFAIL, "who waits for an answer is not idle"


@virtual
async def test_strangers_over_tcp_are_sent_away_at_once_and_take_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TCP_CLIENTS", 3)
    resolver = ScriptedResolver(shop(), tmp_path)
    resolver.stack.responder.access = AccessControl([ip_network("127.0.0.1")])
    async with tcp_edge(resolver) as clients:
        friend, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        for _ in range(10):
            stranger, _ = await clients.connect(local_addr=("127.0.0.2", 0))
            assert await end_of(stranger) == start
        writer.write(framed(PLAIN))
        assert addresses(await reply_of(friend)) == ["193.0.0.1"]


@pytest.mark.attack("R-27")
@virtual
async def test_a_reply_over_tcp_ends_the_connection(tmp_path: Path) -> None:
    async with tcp_edge(ScriptedResolver(shop(), tmp_path)) as clients:
        reader, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        writer.write(framed(header(PLAIN, 2, 0x8180)))
        assert await end_of(reader) == start
