"""One question to one server over real loopback sockets: what is taken for its answer, and what would have to be guessed."""

import asyncio
import collections
import itertools
import socket
import time
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import IPv4Address

import pytest
import uvloop
from authority import HOST, Authority, answer, cookie_of, framed, lower_case, pair, qname_of, question_of, read_question

from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.metrics import Counters
from resolverd.net import udp
from resolverd.resolver.driver import Driver
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, Race, Raced, Reply, Server, Transport
from resolverd.wire.names import from_text, lower
from tests.attacks import Figure
from tests.networks import Awaited


@pytest.fixture
async def exchange() -> AsyncIterator[Awaited]:
    out = Awaited()
    yield out
    await out.aclose()


def flipped(packet: bytes) -> bytes:
    """An ID that is not the question's."""
    return bytes([packet[0] ^ 0xFF, packet[1]])


def another(packet: bytes) -> bytes:
    return question_of(packet)[:-4] + b"\x00\x1c\x00\x01"


GARBAGE = b"\x00" * 5


def mangled(packet: bytes) -> bytes:
    """Everything that tells replies apart is right; the record behind it runs out of the packet."""
    return answer(packet)[:-20]


CASES = {
    "right": (lambda packet: [answer(packet)], None),
    "wrong ID": (lambda packet: [answer(packet, ident=flipped(packet))], Failed.SPOOFED),
    "wrong ID, then right": (lambda packet: [answer(packet, ident=flipped(packet)), answer(packet)], Failed.SPOOFED),
    "wrong letters": (lambda packet: [lower_case(packet)], Failed.CASE_MISMATCH),
    "shorter than a header, then right": (lambda packet: [GARBAGE, answer(packet)], None),
    "mangled, then right": (lambda packet: [mangled(packet), answer(packet)], None),
    "a question, then right": (lambda packet: [packet, answer(packet)], None),
    "another type, then right": (lambda packet: [answer(packet, question=another(packet)), answer(packet)], None),
    "another opcode, then right": (lambda packet: [answer(packet, flags=codes.QR | 4 << 11), answer(packet)], None),
    "no question, then right": (lambda packet: [answer(packet, question=b""), answer(packet)], None),
    "NXDOMAIN without question, then right": (
        lambda packet: [answer(packet, question=b"", rcode=codes.NXDOMAIN), answer(packet)],
        None,
    ),
    "nine mangled, then right": (lambda packet: [mangled(packet)] * (bounds.MAX_BAD_REPLIES - 1) + [answer(packet)], None),
    "ten mangled, then right": (lambda packet: [mangled(packet)] * bounds.MAX_BAD_REPLIES + [answer(packet)], Failed.SPOOFED),
    "bad record in additional": (lambda packet: [answer(packet)[:-2]], None),
    "ten shreds": (lambda packet: [GARBAGE] * bounds.MAX_BAD_REPLIES, Failed.SPOOFED),
    "longer than announced, in one piece": (lambda packet: [answer(packet, size=1233)], None),
    "much longer than announced, in one piece": (lambda packet: [answer(packet, size=60_000)], None),
    "as long as announced": (lambda packet: [answer(packet, size=1232)], None),
    "silent": (lambda packet: [], Failed.TIMEOUT),
}


@pytest.mark.attack("R-24", "R-25")
@pytest.mark.parametrize("case", CASES)
async def test_what_is_taken_for_an_answer(exchange: Awaited, case: str) -> None:
    udp, failed = CASES[case]
    async with Authority(udp) as authority:
        reply = await exchange.exchange(authority.ask(random_case=True, timeout=0.15 if failed is Failed.TIMEOUT else 2.0))
    assert reply.failed is failed
    if failed is None:
        assert reply.message is not None
        assert reply.message.answer[0].rdatas == (IPv4Address("193.0.0.1").packed,)
        assert reply.message.qname == from_text("www.example"), "the random letters stay between us and the server"
    else:
        assert reply.message is None
    assert reply.rtt < 1


async def test_a_repetition_is_the_same_packet_from_the_same_port(exchange: Awaited) -> None:
    # Another port or ID would halve the work of guessing (RFC 5452 §5). Nobody knows which copy is answered (RFC 6298 §3).
    arrived = asyncio.Event()

    def udp(packet: bytes) -> list[bytes]:
        arrived.set()
        return [answer(packet)] if len(authority.seen) == 3 else []

    async with Authority(udp) as authority:
        ask = authority.ask(random_case=True)
        assert not exchange.again(ask), "nothing is under way"
        waiting = asyncio.create_task(exchange.exchange(ask))
        for _ in range(2):
            await asyncio.wait_for(arrived.wait(), 2)
            arrived.clear()
            assert not exchange.again(replace(ask, qtype=28)), "another question is not under way"
            assert exchange.again(replace(ask, timeout=1.0))
        reply = await waiting
        assert not exchange.again(ask), "it is over"
    assert reply.message is not None
    assert reply.sent == 1
    assert reply.repeated is not None
    assert reply.repeated <= reply.rtt
    assert len(set(authority.seen)) == len(set(authority.sources)) == 1
    assert len(authority.seen) == 3


async def test_a_repetition_without_its_cookie_is_no_easier_to_guess(exchange: Awaited) -> None:
    def udp(packet: bytes) -> list[bytes]:
        return [] if cookie_of(packet) else [answer(packet)]

    async with Authority(udp) as authority:
        ask = authority.ask(random_case=True)
        waiting = asyncio.create_task(exchange.exchange(ask))
        while not authority.seen:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert exchange.again(ask, cookie=False)
        reply = await waiting
    assert (reply.message is not None, reply.cookie, reply.repeated is not None) == (True, False, True)
    with_cookie, without = authority.seen
    assert with_cookie[:2] == without[:2], "the same ID"
    assert qname_of(with_cookie) == qname_of(without), "the same letters"
    assert len(set(authority.sources)) == 1, "the same port"


@pytest.mark.attack("R-06")
async def test_one_wrong_guess_ends_the_waiting_however_long_it_might_be(exchange: Awaited) -> None:
    # What an attacker gains by patience: nothing. The first packet that is wrong moves the question to TCP.
    def udp(packet: bytes) -> list[bytes]:
        return [answer(packet, ident=flipped(packet)), answer(packet)] if len(authority.seen) == 2 else []

    async with Authority(udp) as authority:
        ask = authority.ask(timeout=8.0)
        waiting = asyncio.create_task(exchange.exchange(ask))
        while not authority.seen:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert exchange.again(ask)
        reply = await waiting
    assert reply.failed is Failed.SPOOFED
    assert reply.rtt < 2


async def test_a_connection_is_not_repeated(exchange: Awaited) -> None:
    release = asyncio.Event()

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await read_question(reader)
        assert not exchange.again(ask)
        writer.write(framed(answer(packet)))
        await release.wait()

    async with Authority(tcp=tcp) as authority:
        ask = authority.ask(transport=Transport.TCP)
        assert (await exchange.exchange(ask)).message is not None
        release.set()


@pytest.mark.attack("R-25")
async def test_a_mangled_answer_is_told_as_one_if_nothing_better_comes_soon(exchange: Awaited) -> None:
    async with Authority(lambda packet: [mangled(packet)]) as authority:
        reply = await exchange.exchange(authority.ask(random_case=True))
    assert reply.message is not None
    assert reply.message.whole == 0
    assert bounds.BETTER_REPLY / 2 < reply.rtt < 1


CUT = {
    "behind the question": lambda packet: answer(packet, flags=codes.QR | codes.AA | codes.TC),
    "counts as if it were not cut": lambda packet: header(packet, answers=3) + question_of(packet),
    "within a record": lambda packet: header(packet, answers=1) + question_of(packet) + b"\xc0\x0c\0\1\0",
    "within the question": lambda packet: header(packet, answers=1) + question_of(packet)[:-2],
    "behind the header": lambda packet: header(packet, answers=1),
    "without question": lambda packet: header(packet, questions=0),
}


def header(packet: bytes, questions: int = 1, answers: int = 0) -> bytes:
    return packet[:2] + (codes.QR | codes.AA | codes.TC).to_bytes(2) + bytes([0, questions, 0, answers, 0, 0, 0, 0])


@pytest.mark.parametrize("cut", CUT)
async def test_tc_counts_wherever_the_packet_ends(exchange: Awaited, cut: str) -> None:
    async with Authority(lambda packet: [CUT[cut](packet)]) as authority:
        reply = await exchange.exchange(authority.ask(random_case=True))
        assert reply.message is not None
        assert reply.message.tc
        assert not reply.message.answer


async def test_errors_may_leave_the_question_out(exchange: Awaited) -> None:
    async with Authority(lambda packet: [answer(packet, question=b"", rcode=codes.FORMERR)]) as authority:
        reply = await exchange.exchange(authority.ask())
    assert reply.message is not None
    assert reply.message.rcode == codes.FORMERR


async def test_truncation_is_told(exchange: Awaited) -> None:
    async with Authority(lambda packet: [answer(packet, flags=codes.QR | codes.AA | codes.TC)]) as authority:
        reply = await exchange.exchange(authority.ask())
        assert reply.message is not None
        assert reply.message.tc
        assert (await exchange.exchange(authority.ask(transport=Transport.TCP))).message is not None


def test_a_reply_that_came_while_we_were_busy_is_no_silence() -> None:
    async def run() -> Reply:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((HOST, 0))
            server.setblocking(False)

            def reply_and_be_busy() -> None:
                packet, client = server.recvfrom(4096)
                server.sendto(answer(packet), client)
                time.sleep(0.1)

            asyncio.get_running_loop().add_reader(server.fileno(), reply_and_be_busy)
            to = Server(IPv4Address(HOST), server.getsockname()[1])
            try:
                return await Awaited().exchange(Ask(to, from_text("www.example"), codes.A, Transport.UDP, 0.05))
            finally:
                asyncio.get_running_loop().remove_reader(server.fileno())

    # Its timers may come before what can be read.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()).message is not None


def test_nothing_is_repeated_for_a_busy_moment_of_ours() -> None:
    seen: list[bytes] = []

    def core(ask: Ask):  # type: ignore[no-untyped-def]
        return (yield ask)

    def racing(ask: Ask):  # type: ignore[no-untyped-def]
        return (yield Race((core(ask),), 0.05))

    async def run() -> Raced:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((HOST, 0))
            server.setblocking(False)

            def reply_and_be_busy() -> None:
                packet, client = server.recvfrom(4096)
                seen.append(packet)
                server.sendto(answer(packet), client)
                time.sleep(0.1)

            asyncio.get_running_loop().add_reader(server.fileno(), reply_and_be_busy)
            to = Server(IPv4Address(HOST), server.getsockname()[1])
            try:
                driver = Driver(Awaited(), Counters(), SystemClock())
                return await driver.run(racing(Ask(to, from_text("www.example"), codes.A, Transport.UDP, 5.0)))
            finally:
                asyncio.get_running_loop().remove_reader(server.fileno())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raced = runner.run(run())
    assert raced.branch is not None, "its answer was there before the time was over"
    assert raced.result.message is not None
    assert len(seen) == 1


async def test_a_closed_port_is_noticed_at_once(exchange: Awaited) -> None:
    udp, tcp = pair()
    port = udp.getsockname()[1]
    udp.close()
    tcp.close()
    for transport in (Transport.UDP, Transport.TCP):
        reply = await exchange.exchange(Ask(Server(IPv4Address(HOST), port), from_text("www.example"), 1, transport, 5.0))
        assert reply.failed is Failed.UNREACHABLE
        assert reply.sent == (1 if transport is Transport.UDP else 0)
        assert reply.rtt < 1


async def test_our_own_trouble_is_called_ours(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> socket.socket:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(udp, "UdpSocket", full)
    reply = await exchange.exchange(Ask(Server(IPv4Address(HOST)), from_text("www.example"), 1, Transport.UDP, 1.0))
    assert (reply.failed, reply.sent) == (Failed.LOCAL, 0)


async def test_octets_are_counted_even_where_nothing_is_taken(exchange: Awaited) -> None:
    async with Authority(lambda packet: [GARBAGE, answer(packet, ident=flipped(packet), size=4000)]) as authority:
        reply = await exchange.exchange(authority.ask())
    assert (reply.failed, reply.size) == (Failed.SPOOFED, len(GARBAGE) + 4000)


@pytest.mark.attack("R-24")
@pytest.mark.parametrize("edns", [0, 1232])
async def test_the_question_as_sent(exchange: Awaited, edns: int) -> None:
    async with Authority() as authority:
        await exchange.exchange(authority.ask("WWW.example", edns_size=edns, dnssec=edns > 0, recursion=edns > 0))
        (packet,) = authority.seen
    assert qname_of(packet) == from_text("WWW.example")
    assert packet[2:4] == (b"\x01\x00" if edns else b"\x00\x00")
    assert packet[11] == (1 if edns else 0)
    if edns:
        assert edns.to_bytes(2) in packet[12:]
    else:
        assert len(packet) == 12 + len(question_of(packet))


@pytest.mark.attack("R-07")
async def test_every_question_has_its_own_connected_socket(
    exchange: Awaited, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    made: list[udp.UdpSocket] = []
    make = udp.UdpSocket

    def noted(*arguments: object) -> udp.UdpSocket:
        made.append(make(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(udp, "UdpSocket", noted)
    peers: list[tuple[str, int]] = []

    def noting(packet: bytes) -> list[bytes]:
        peers.append(made[-1]._sock.getpeername())
        return [answer(packet)]

    async with Authority(noting) as authority:
        for _ in range(20):
            await exchange.exchange(authority.ask())
    assert peers == [(HOST, authority.port)] * 20
    assert len(made) == 20
    figure("connected sockets", 5 * len(peers), "%", least=100)
    assert all(sock._sock.fileno() < 0 for sock in made), "closed after its question"


@pytest.mark.attack("R-06")
async def test_a_stranger_is_not_heard(exchange: Awaited) -> None:
    # Off the path, to the right port with the right ID: the socket is connected, so nobody else's packets arrive.
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind((HOST, 0))
    authority: Authority

    def udp(packet: bytes) -> list[bytes]:
        stranger.sendto(answer(packet, address="6.6.6.6"), (HOST, authority.sources[-1][1]))
        return [answer(packet)]

    async with Authority(udp) as authority:
        reply = await exchange.exchange(authority.ask())
    stranger.close()
    assert reply.message is not None
    assert reply.message.answer[0].rdatas == (IPv4Address("193.0.0.1").packed,)


@pytest.mark.attack("R-06")
async def test_ports_and_ids_cannot_be_guessed(exchange: Awaited, figure: Figure) -> None:
    count, at_once = 20_000, 200
    async with Authority() as authority:
        ask = authority.ask()

        async def some() -> list[Reply]:
            return [await exchange.exchange(ask) for _ in range(count // at_once)]

        replies = [reply for each in await asyncio.gather(*(some() for _ in range(at_once))) for reply in each]
        assert all(reply.message for reply in replies)
        ports = [port for _, port in authority.sources]
        idents = [int.from_bytes(packet[:2]) for packet in authority.seen]
    assert len(ports) == count
    usable = 65536 - 1024
    figure("usable ports", usable, least=60_000)
    assert len(set(zip(ports, idents, strict=True))) >= count - 5
    for values, low, size in ((ports, 1024, usable), (idents, 0, 65536)):
        expected = size * (1 - (1 - 1 / size) ** count)
        figure("distinct ports and IDs, of what is expected", 100 * len(set(values)) / expected, "%", least=95)
        # Chi-square over 64 buckets: 63 degrees of freedom, 130 is exceeded once in a million runs.
        buckets = collections.Counter((value - low) * 64 // size for value in values)
        assert sum((buckets[each] - count / 64) ** 2 / (count / 64) for each in range(64)) < 130
        # Successive values know nothing of each other.
        steps = collections.Counter((b - a) % size * 16 // size for a, b in itertools.pairwise(values))
        assert sum((steps[each] - count / 16) ** 2 / (count / 16) for each in range(16)) < 60


@pytest.mark.attack("R-09")
async def test_letters_are_random_and_over_udp_only(exchange: Awaited, figure: Figure) -> None:
    async with Authority() as authority:
        for _ in range(64):
            await exchange.exchange(authority.ask("mail.provider.example", random_case=True))
        names = [qname_of(packet) for packet in authority.seen]
    assert {lower(name) for name in names} == {from_text("mail.provider.example")}
    figure("different letters in 64 questions", len(set(names)), least=63)
    for at in range(1, 5):
        upper = sum(name[at] < 97 for name in names)
        assert 10 < upper < 54


async def test_questions_leave_from_the_configured_addresses() -> None:
    exchange = Awaited((IPv4Address("127.0.0.5"), IPv4Address("127.0.0.6")))
    peers: set[str] = set()

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername")[0])

    async with Authority(tcp=tcp) as authority:
        for _ in range(40):
            assert (await exchange.exchange(authority.ask())).message is not None
            await exchange.exchange(authority.ask(transport=Transport.TCP))
    assert {host for host, _ in authority.sources} == peers == {"127.0.0.5", "127.0.0.6"}
    await exchange.aclose()


@pytest.mark.attack("R-05")
async def test_replies_that_come_all_at_once_leave_others_their_turns(figure: Figure) -> None:
    """A processor's time passes with each look at it, which is after some replies: two such looks are a turn."""
    loop, turn, read = asyncio.get_running_loop(), 0, collections.Counter[int]()
    receiver = udp.Receiver(itertools.count(0.0, bounds.UPSTREAM_TURN / 1.5).__next__)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(200)]
    done = asyncio.Event()

    def reader(sock: socket.socket, now: float) -> None:
        assert sock.recv(10) == b"reply"
        read[turn] += 1
        if read.total() == len(pairs):
            done.set()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if not done.is_set():
            loop.call_soon(next_turn)

    for ours, theirs in pairs:
        receiver.add(ours.fileno(), partial(reader, ours))
        theirs.send(b"reply")
    next_turn()
    async with asyncio.timeout(20):
        await done.wait()
    receiver.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()
    figure("replies of servers in a turn of the loop, of 200 at once", max(read.values()), most=40, row="R-05")
    assert len(read) <= len(pairs) / 16, "and still they come fast"
