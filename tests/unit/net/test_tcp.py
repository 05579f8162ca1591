"""TCP and TLS to servers over real loopback sockets: one connection for many questions, and what comes of it when it breaks."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from authority import HOST, Authority, Tcp, answer, framed, question_of, read_question, replying
from certificates import check_as_python_3_13_does
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resolverd import bounds
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.names import from_text
from tests.networks import Awaited


@pytest.fixture
async def exchange() -> AsyncIterator[Awaited]:
    out = Awaited()
    yield out
    await out.aclose()


def tcp(authority: Authority, name: str = "www.example", timeout: float = 2.0) -> Ask:
    return authority.ask(name, transport=Transport.TCP, timeout=timeout)


def good(reply: Reply) -> bool:
    return reply.message is not None and reply.message.answer[0].rdatas == (IPv4Address("193.0.0.1").packed,)


async def test_one_connection_serves_many_questions(exchange: Awaited) -> None:
    async with Authority() as authority:
        for number in range(20):
            assert good(await exchange.exchange(tcp(authority, f"w{number}.example")))
        assert authority.connections == 1


async def test_a_burst_waits_for_one_handshake(exchange: Awaited) -> None:
    async with Authority() as authority:
        count = bounds.UPSTREAM_PIPELINE
        replies = await asyncio.gather(*(exchange.exchange(tcp(authority, f"w{number}.example")) for number in range(count)))
        assert all(map(good, replies))
        assert authority.connections == 1


async def test_a_full_connection_gets_company(exchange: Awaited) -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = [await read_question(reader) for _ in range(bounds.UPSTREAM_PIPELINE)]
        await release.wait()
        writer.write(b"".join(framed(answer(packet)) for packet in packets))
        await reader.read()

    async with Authority(tcp=serve) as authority:
        count = 3 * bounds.UPSTREAM_PIPELINE
        replies = [asyncio.create_task(exchange.exchange(tcp(authority, f"w{number}.example"))) for number in range(count)]
        while authority.connections < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        release.set()
        assert all(map(good, await asyncio.gather(*replies)))
        assert authority.connections == 3


async def test_answers_in_any_order(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = [await read_question(reader) for _ in range(10)]
        for number, packet in reversed(list(enumerate(packets))):
            writer.write(framed(answer(packet, address=f"193.0.1.{number}")))
        await reader.read()

    async with Authority(tcp=serve) as authority:
        replies = await asyncio.gather(*(exchange.exchange(tcp(authority, f"w{number}.example")) for number in range(10)))
        for number, reply in enumerate(replies):
            assert reply.message is not None
            assert reply.message.qname == from_text(f"w{number}.example")
            assert reply.message.answer[0].rdatas == (IPv4Address(f"193.0.1.{number}").packed,)
        assert authority.connections == 1


async def test_an_answer_in_single_octets(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in framed(answer(await read_question(reader))):
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with Authority(tcp=serve) as authority:
        assert good(await exchange.exchange(tcp(authority)))


async def test_answers_that_are_not_ours_are_passed_over(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await read_question(reader)
        other = question_of(packet)[:-4] + b"\x00\x10\x00\x01"
        for octets in (
            answer(packet, ident=bytes([packet[0] ^ 1, packet[1]]), address="6.6.6.6"),
            answer(packet, question=other, address="6.6.6.6"),
            packet,
            answer(packet),
        ):
            writer.write(framed(octets))
        await reader.read()

    async with Authority(tcp=serve) as authority:
        assert good(await exchange.exchange(tcp(authority)))


async def test_closed_between_two_questions(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(answer(await read_question(reader))))

    async with Authority(tcp=serve) as authority:
        for _ in range(3):
            assert good(await exchange.exchange(tcp(authority)))
        assert authority.connections == 3


async def test_closed_at_the_second_question_is_asked_once_more(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(answer(await read_question(reader))))
        await read_question(reader)

    async with Authority(tcp=serve) as authority:
        replies = [await exchange.exchange(tcp(authority)) for _ in range(3)]
        assert all(map(good, replies))
        assert [reply.sent for reply in replies] == [1, 2, 2]
        assert authority.connections == 3


async def test_closed_at_every_question_is_given_up(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_question(reader)

    async with Authority(tcp=serve) as authority:
        reply = await exchange.exchange(tcp(authority))
        assert reply.failed is Failed.UNREACHABLE
        assert authority.connections == 1


async def test_closed_at_once_is_no_invitation_to_hammer(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async with Authority(tcp=serve) as authority:
        reply = await exchange.exchange(tcp(authority))
        assert reply.failed is Failed.UNREACHABLE
        assert authority.connections == 1


async def stuck_halfway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    packet = await read_question(reader)
    writer.write(framed(answer(packet))[:-5])
    await reader.read()


async def lying_about_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data = answer(await read_question(reader))
    writer.write((len(data) + 300).to_bytes(2) + data)
    await reader.read()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("broken", [stuck_halfway, lying_about_length, deaf])
async def test_a_stuck_connection_is_not_used_again(exchange: Awaited, broken: object) -> None:
    first = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        if first:
            first = False
            await broken(reader, writer)  # type: ignore[operator]
        else:
            await replying(answer)(reader, writer)

    async with Authority(tcp=serve) as authority:
        assert (await exchange.exchange(tcp(authority, timeout=0.05))).failed is Failed.TIMEOUT
        assert good(await exchange.exchange(tcp(authority)))
        assert authority.connections == 2


async def test_one_slow_answer_leaves_the_connection_in_use(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await read_question(reader):
            if b"slow" not in packet:
                writer.write(framed(answer(packet)))

    async with Authority(tcp=serve) as authority:
        slow = asyncio.create_task(exchange.exchange(tcp(authority, "slow.example", timeout=0.1)))
        await asyncio.sleep(0.02)
        assert good(await exchange.exchange(tcp(authority)))
        assert (await slow).failed is Failed.TIMEOUT
        assert good(await exchange.exchange(tcp(authority)))
        assert authority.connections == 1


async def test_what_stands_before_the_garbage_in_a_frame_is_read(exchange: Awaited) -> None:
    async with Authority(tcp=replying(lambda packet: answer(packet)[:-20])) as authority:
        reply = await exchange.exchange(tcp(authority))
        assert reply.message is not None
        assert (reply.message.whole, reply.message.answer) == (0, ())


async def test_idle_connections_are_closed(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_IDLE", 0.02)
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(answer(await read_question(reader))))
        await reader.read()
        ended.set()

    async with Authority(tcp=serve) as authority:
        assert good(await exchange.exchange(tcp(authority)))
        await asyncio.wait_for(ended.wait(), 2)


async def test_connections_are_bounded(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_STREAMS", 5)
    open_ = 0
    most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        try:
            await replying(answer)(reader, writer)
        finally:
            open_ -= 1

    async with Authority(tcp=serve) as authority:
        for number in range(20):
            ask = replace(tcp(authority), server=Server(IPv4Address(HOST), authority.port, f"n{number}"))
            assert good(await exchange.exchange(ask))
            await asyncio.sleep(0.001)
        assert authority.connections == 20
        assert most <= bounds.UPSTREAM_STREAMS + 1  # the one that goes is closed when the new one stands


async def test_a_server_that_accepts_nothing_costs_its_time_only(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_CONNECT", 0.05)

    # TLS to a server that speaks none: the handshake never ends.
    async with Authority(tcp=deaf) as authority:
        reply = await exchange.exchange(authority.ask(transport=Transport.TLS, tls_name="dns.example", timeout=5.0))
        assert reply.failed is Failed.TIMEOUT
        assert reply.rtt < 1


# -- servers that answer one question a connection -------------------------------------------------------------------------


async def closing_behind_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(framed(answer(await read_question(reader))))


async def reading_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(framed(answer(await read_question(reader))))
    await reader.read()


async def closing_behind_the_third(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(3):
        writer.write(framed(answer(await read_question(reader))))


async def disliking_company(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes a connection with more than one question on it, and answers none of them."""
    packet = await read_question(reader)
    await asyncio.sleep(0.02)
    if not reader._buffer:  # type: ignore[attr-defined]
        writer.write(framed(answer(packet)))


ONE_A_CONNECTION = [closing_behind_the_first, reading_one, closing_behind_the_third, disliking_company]


@pytest.mark.parametrize("serve", ONE_A_CONNECTION)
async def test_what_was_under_way_is_asked_over_a_connection_of_its_own(exchange: Awaited, serve: Tcp) -> None:
    async with Authority(tcp=serve) as authority:
        asks = [tcp(authority, f"w{number}.example") for number in range(30)]
        replies = await asyncio.gather(*(exchange.exchange(ask) for ask in asks))
        assert all(map(good, replies))
        assert max(reply.sent for reply in replies) <= 2
        assert max(reply.rtt for reply in replies) < bounds.UPSTREAM_STALL + 1
        # It is remembered: nothing is lost any more, and nothing is sent twice.
        before = authority.connections
        replies = await asyncio.gather(*(exchange.exchange(ask) for ask in asks))
        assert all(map(good, replies))
        assert {reply.sent for reply in replies} == {1}
        assert authority.connections == before + 30


async def test_a_second_question_that_is_never_read(exchange: Awaited) -> None:
    async with Authority(tcp=reading_one) as authority:
        assert good(await exchange.exchange(tcp(authority, "first.example")))
        second = await exchange.exchange(tcp(authority, "second.example"))
        assert good(second)
        assert (second.sent, second.rtt < bounds.UPSTREAM_STALL + 0.5) == (2, True)
        third = await exchange.exchange(tcp(authority, "third.example"))
        assert (good(third), third.sent) == (True, 1)


async def test_where_answers_are_quick_silence_is_short(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_STALL", 30.0)
    async with Authority(tcp=reading_one) as authority:
        replies = await asyncio.gather(*(exchange.exchange(tcp(authority, f"w{number}.example", 10.0)) for number in range(20)))
        assert all(map(good, replies))
        assert bounds.MIN_UPSTREAM_STALL < max(reply.rtt for reply in replies) < 8


async def test_nobody_is_taken_for_such_a_server_for_ever(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FORGET_SERVER", 0.0)
    async with Authority(tcp=closing_behind_the_first) as authority:
        asks = [tcp(authority, f"w{number}.example") for number in range(5)]
        assert all(map(good, await asyncio.gather(*(exchange.exchange(ask) for ask in asks))))
        monkeypatch.undo()
        replies = await asyncio.gather(*(exchange.exchange(ask) for ask in asks))
        assert all(map(good, replies))
        assert sorted(reply.sent for reply in replies) == [1, 2, 2, 2, 2]


async def test_who_is_slow_is_not_taken_for_such_a_server(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_STALL", 0.05)
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await read_question(reader):
            heard.append(packet)
            if b"slow" in packet and sum(b"slow" in each for each in heard) == 1:
                asyncio.get_running_loop().call_later(0.2, writer.write, framed(answer(packet)))
            elif b"slow" not in packet:
                writer.write(framed(answer(packet)))

    async with Authority(tcp=serve) as authority:
        assert good(await exchange.exchange(tcp(authority)))
        slow = await exchange.exchange(tcp(authority, "slow.example"))
        assert good(slow)
        assert slow.sent == 2, "over a connection of its own as well"
        connections = authority.connections
        for number in range(5):
            assert good(await exchange.exchange(tcp(authority, f"w{number}.example")))
        assert authority.connections == connections == 2, "the old one is in use"


async def test_connections_to_such_a_server_are_bounded(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UPSTREAM_SOLE", 3)
    open_ = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        try:
            await asyncio.sleep(0.005)
            await closing_behind_the_first(reader, writer)
        finally:
            open_ -= 1

    async with Authority(tcp=serve) as authority:
        asks = [tcp(authority, f"w{number}.example") for number in range(40)]
        assert all(map(good, await asyncio.gather(*(exchange.exchange(ask) for ask in asks))))
        assert most <= 3 + 1


async def test_such_servers_are_remembered_in_bounded_number(exchange: Awaited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_SOLE_SERVERS", 2)
    async with Authority(tcp=closing_behind_the_first) as authority:
        for number in range(5):
            server = Server(IPv4Address(HOST), authority.port, f"n{number}")
            asks = [replace(tcp(authority, f"w{each}.example"), server=server) for each in range(3)]
            assert all(map(good, await asyncio.gather(*(exchange.exchange(ask) for ask in asks))))
    assert len(exchange.tcp._unshared) == 2


# -- what is not read any further --------------------------------------------------------------------------------------------


def large(packet: bytes, ident: bytes) -> bytes:
    return answer(packet, ident=ident, size=60_000)


READ = 256 * 1024
"""Octets that the event loop takes from a socket at once: what came with the last bad one has been read."""

NONSENSE = {
    "empty": lambda packet: b"",
    "shorter than a header": lambda packet: packet[:11],
    "of a stranger's ID": lambda packet: answer(packet, ident=bytes([packet[0] ^ 1, packet[1]])),
    "large ones of a stranger's ID": lambda packet: large(packet, bytes([packet[0] ^ 1, packet[1]])),
    "to another question": lambda packet: answer(packet, question=question_of(packet)[:-4] + b"\x00\x10\x00\x01"),
    "the question itself": lambda packet: packet,
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_not_read_for_long(exchange: Awaited, what: str) -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        frame = framed(NONSENSE[what](await read_question(reader)))
        frames = frame * max(1, 65536 // len(frame))
        while written < 1 << 28:
            writer.write(frames)
            written += len(frames)
            await writer.drain()

    async with Authority(tcp=serve) as authority:
        reply = await exchange.exchange(tcp(authority, timeout=5.0))
        assert reply.failed is Failed.MALFORMED
        assert reply.rtt < 2
        assert authority.connections == 1, "nor asked for again"
        await asyncio.sleep(0.1)
        assert written < 1 << 25, "what fits into buffers on the way"
    assert reply.size <= bounds.MAX_BAD_REPLIES * 65537 + READ


async def test_a_duplicate_is_passed_over_and_a_flood_of_them_is_not(exchange: Awaited) -> None:
    copies = 2

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await read_question(reader):
            writer.write(framed(answer(packet)) * copies)

    async with Authority(tcp=serve) as authority:
        for number in range(4):
            assert good(await exchange.exchange(tcp(authority, f"w{number}.example")))
        assert authority.connections == 1
        copies = 1000
        assert good(await exchange.exchange(tcp(authority, "flood.example")))
        await asyncio.sleep(0.05)
        copies = 1
        assert good(await exchange.exchange(tcp(authority, "after.example")))
        assert authority.connections == 2


async def test_late_answers_are_no_nonsense(exchange: Awaited) -> None:
    # Others share the connection with questions that nobody waits for any more.
    held: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await read_question(reader):
            if b"late" in packet:
                held.append(packet)
            else:
                for each in held:
                    writer.write(framed(answer(each)))
                held.clear()
                writer.write(framed(answer(packet)))

    async with Authority(tcp=serve) as authority:
        for turn in range(3):
            late = [exchange.exchange(tcp(authority, f"late{turn}x{number}.example", timeout=0.05)) for number in range(20)]
            waiting = asyncio.gather(*late)
            await asyncio.sleep(0.01)
            keeps_it_alive = await exchange.exchange(tcp(authority, f"alive{turn}.example"))
            assert good(keeps_it_alive)
            await waiting
        assert good(await exchange.exchange(tcp(authority)))


async def test_octets_count_for_whoever_waits_for_them(exchange: Awaited) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await read_question(reader)
        for _ in range(5):
            writer.write(framed(large(packet, bytes([packet[0] ^ 1, packet[1]]))))
        writer.write(framed(answer(packet)))
        await reader.read()

    async with Authority(tcp=serve) as authority:
        reply = await exchange.exchange(tcp(authority))
        assert good(reply)
        assert reply.size > 5 * 60_000 > bounds.MAX_UPSTREAM_BYTES, "so that the budget of its question is spent"


# -- TLS -------------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, *, days: int = 30) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for that name, and the file of the authority that has signed it."""
    now = datetime.datetime.now(datetime.UTC)

    def build(subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=30 if ca else days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority, server = folder / f"{name}.ca", folder / f"{name}.pem"
    authority.write_bytes(build("test authority", root, root, True).public_bytes(serialization.Encoding.PEM))
    key = leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server.write_bytes(key + build(name, leaf, root, False).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return context, authority


@pytest.mark.parametrize(
    ("tls_name", "days", "trusted", "answered"),
    [
        ("dns.example", 30, True, True),
        ("other.example", 30, True, False),
        ("dns.example", -1, True, False),
        ("dns.example", 30, False, False),
    ],
)
async def test_dns_over_tls_needs_the_right_certificate(
    tls_name: str, days: int, trusted: bool, answered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority_file = certificate(tmp_path, "dns.example", days=days)
    check_as_python_3_13_does(monkeypatch)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    exchange = Awaited()
    try:
        async with Authority(tls=context) as authority:
            ask = authority.ask(transport=Transport.TLS, tls_name=tls_name, recursion=True)
            for _ in range(2):
                reply = await exchange.exchange(ask)
                assert good(reply) is answered
                assert reply.failed is (None if answered else Failed.MALFORMED)
            assert authority.connections == (1 if answered else 0)
            assert authority.seen == [], "never in the clear"
    finally:
        await exchange.aclose()


async def test_a_question_over_tcp_keeps_its_letters(exchange: Awaited) -> None:
    seen: list[bytes] = []

    def reply(packet: bytes) -> bytes:
        seen.append(packet)
        return answer(packet)

    async with Authority(tcp=replying(reply)) as authority:
        ask = authority.ask("mail.provider.example", transport=Transport.TCP, random_case=True)
        assert good(await exchange.exchange(ask))
    assert from_text("mail.provider.example") in seen[0]
    assert codes.RD & int.from_bytes(seen[0][2:4]) == 0
