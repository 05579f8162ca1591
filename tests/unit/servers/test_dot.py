"""DNS over TLS for clients: a daemon against dnspython and openssl, its certificate, and slow or greedy clients."""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import certificates
import dns.message
import dns.query
import pytest
from scriptednet import ScriptedResolver, addresses
from virtualtime import virtual

from resolverd import bounds, config
from resolverd.app import certificate
from resolverd.cli import in_process
from resolverd.failures import ConfigError
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import tcp
from resolverd.servers.dns.tls import TlsEdge
from resolverd.wire import codes
from tests.running import Running
from tests.unit.servers.test_dns import HOST, PLAIN, Clients, dead, end_of, framed, query, reply_of, shop

# -- a daemon ----------------------------------------------------------------------------------------------------------------


def connected(port: int, folder: Path, **versions: ssl.TLSVersion) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    context.set_alpn_protocols(["dot"])
    for name, version in versions.items():
        setattr(context, name, version)
    sock = socket.create_connection(("127.0.0.1", port), 5)
    try:
        return context.wrap_socket(sock, server_hostname="dns.example")
    except BaseException:
        sock.close()
        raise


def serial(sock: ssl.SSLSocket) -> int:
    return int(str(dict(sock.getpeercert() or {})["serialNumber"]), 16)


def asked(sock: ssl.SSLSocket, *idents: int) -> set[int]:
    """Questions in one go; the IDs of the replies."""
    sock.sendall(b"".join(framed(dns.message.make_query("localhost.", "A", id=each).to_wire()) for each in idents))
    found = set()
    for _ in idents:
        length = int.from_bytes(received(sock, 2))
        reply = dns.message.from_wire(received(sock, length))
        assert reply.answer
        found.add(reply.id)
    return found


def received(sock: ssl.SSLSocket, count: int) -> bytes:
    out = b""
    while len(out) < count:
        part = sock.recv(count - len(out))
        assert part, "the connection has ended"
        out += part
    return out


def test_clients_ask_over_tls_and_the_certificate_is_renewed_under_them(tmp_path: Path) -> None:
    first = certificates.write(tmp_path, days=3)
    more = f'[dns.tls]\nlisten = ["127.0.0.1:0"]\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"'
    running = Running(tmp_path, more)
    try:
        running.waits_for("expires in 3 days")
        port = running.ports["DoT"]
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        question = dns.message.make_query("localhost.", "A")
        assert dns.query.tls(question, "127.0.0.1", 5, port, ssl_context=context, server_hostname="dns.example").answer
        with connected(port, tmp_path) as old, connected(port, tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2) as older:
            assert (old.version(), older.version()) == ("TLSv1.3", "TLSv1.2")
            assert old.selected_alpn_protocol() == "dot"
            assert (serial(old), asked(old, *range(40))) == (first, set(range(40)))
            assert asked(older, 7) == {7}
            (tmp_path / "key.pem").rename(tmp_path / "kept")
            second = certificates.write(tmp_path)
            (tmp_path / "key.pem").rename(tmp_path / "new")
            (tmp_path / "kept").rename(tmp_path / "key.pem")
            running.process.send_signal(signal.SIGHUP)
            running.waits_for("key.pem is not the key of")
            running.waits_for("the certificate in use so far is used")
            (tmp_path / "new").rename(tmp_path / "key.pem")
            running.process.send_signal(signal.SIGHUP)
            running.waits_for(f"the certificate of dns.tls, serial {second:X} now")
            with connected(port, tmp_path) as new:
                assert (serial(new), asked(new, 1)) == (second, {1})
            assert asked(old, 3) == {3}, "who was connected stays so"
        for octets in (framed(PLAIN), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(512), b""):
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                plain.sendall(octets)
                plain.shutdown(socket.SHUT_WR)
                assert len(plain.recv(4096)) < 100, "an alert, or nothing"
        if openssl := shutil.which("openssl"):
            peer = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(tmp_path / "cert.pem")]
            for options, works in ((["-tls1_2"], True), (["-tls1_3"], True), (["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], False)):
                done = subprocess.run([*peer, *options, "-verify_return_error"], input=b"", capture_output=True, timeout=20)
                assert (done.returncode == 0) is works, done.stderr
        assert running.dns("localhost.").answer
        text = running.log.read_text()
        assert "Traceback" not in text
        assert "PRIVATE KEY" not in text
    finally:
        assert running.end() == 0


# -- the certificate -----------------------------------------------------------------------------------------------------------


def tls_of(folder: Path) -> config.DnsTls:
    found = config.parse('[dns]\ntls = {listen = ["127.0.0.1:0"], certificate = "cert.pem", key = "key.pem"}', folder).dns.tls
    assert found is not None
    return found


FAULTS = {
    "no certificate": (lambda folder: (folder / "cert.pem").unlink(), "dns.tls.certificate", "No such file"),
    "no key": (lambda folder: (folder / "key.pem").unlink(), "dns.tls.key", "No such file"),
    "a directory": (lambda folder: ((folder / "key.pem").unlink(), (folder / "key.pem").mkdir()), "dns.tls.key", "directory"),
    "an empty certificate": (lambda folder: (folder / "cert.pem").write_text(""), "dns.tls.certificate", "no certificate in PEM"),
    "a key in its place": (
        lambda folder: (folder / "cert.pem").write_bytes((folder / "key.pem").read_bytes()),
        "dns.tls.certificate",
        "no certificate in PEM",
    ),
    "no key in its file": (lambda folder: (folder / "key.pem").write_text("rubbish"), "dns.tls.key", "no private key in PEM"),
    "a key with a passphrase": (lambda folder: certificates.write(folder, passphrase=b"x"), "dns.tls.key", "is encrypted"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_certificate_that_cannot_be_used_is_told_by_its_key(case: str, tmp_path: Path) -> None:
    certificates.write(tmp_path)
    spoil, key, text = FAULTS[case]
    spoil(tmp_path)
    with pytest.raises(ConfigError) as caught:
        certificate.read(tls_of(tmp_path))
    (fault,) = caught.value.faults
    assert fault.path == key
    assert text in fault.text


@pytest.mark.parametrize(
    ("days", "mode", "remarks"),
    [(90, 0o600, []), (-1, 0o600, ["has expired"]), (90, 0o644, ["may have the secret"]), (3, 0o640, ["expires in 3 days"])],
)
def test_what_is_said_of_a_certificate(days: float, mode: int, remarks: list[str], tmp_path: Path) -> None:
    certificates.write(tmp_path, days=days)
    (tmp_path / "key.pem").chmod(mode)
    found = certificate.remarks(certificate.read(tls_of(tmp_path)), tls_of(tmp_path), time.time())
    assert len(found) == len(remarks)
    assert all(each in one for each, one in zip(remarks, found, strict=True))


def test_without_its_certificate_the_daemon_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[dns]\nlisten = ["127.0.0.1:0"]\ntls = {listen = ["127.0.0.1:0"], certificate = "none", key = "none"}\n'
    )
    words = [sys.executable, "-m", "resolverd", "serve", "-c", str(tmp_path / "config.toml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 78
    assert [line.split(": ")[2] for line in done.stderr.splitlines()] == ["dns.tls.certificate", "dns.tls.key"]


async def test_commands_serve_nobody_and_need_no_certificate(tmp_path: Path) -> None:
    text = '[dns.tls]\nlisten = ["127.0.0.1:0"]\ncertificate = "none"\nkey = "none"\n[store]\nurl = "memory:"\n'
    async with in_process.opened(config.parse(text, tmp_path)) as service:
        assert not [fault for fault in service.runtime.plan.external.faults if fault.path.startswith("dns.tls")]


# -- slow and greedy clients -----------------------------------------------------------------------------------------------------


class TlsClients(Clients):
    """Connections to an edge of which each says for itself whether it speaks TLS."""

    context: ssl.SSLContext

    async def connect(self, **more: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await super().connect(ssl=self.context, server_hostname="dns.example", **more)

    async def connect_plain(self, **more: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found = await super().connect(**more)
        for _ in range(10):
            await asyncio.sleep(0)
        return found


@asynccontextmanager
async def tls_edge(resolver: ScriptedResolver, folder: Path) -> AsyncIterator[TlsClients]:
    certificates.write(folder)
    edge = TlsEdge(resolver.stack.responder, certificate.read(tls_of(folder)).context)
    sock = tcp.bind(HOST, 0)
    clients = TlsClients(edge, sock.getsockname()[1])
    clients.context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    await edge.serve(sock)
    try:
        yield clients
    finally:
        for writer in clients.writers:
            writer.close()
        await edge.aclose()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not edge._connections
        assert not edge._hosts


@pytest.mark.attack("R-28")
@virtual
async def test_a_handshake_takes_no_longer_than_it_may_and_its_client_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "is_loopback", lambda host: False)
    async with tls_edge(ScriptedResolver(shop(), tmp_path), tmp_path) as clients:
        start = asyncio.get_running_loop().time()
        silent = [(await clients.connect_plain())[0] for _ in range(bounds.TCP_CLIENTS_PER_ADDRESS)]
        late, _ = await clients.connect_plain()
        assert await end_of(late) == start, "one more of the same address is sent away before it has cost anything"
        neighbour, writer = await clients.connect(local_addr=("127.0.0.2", 0))
        writer.write(framed(PLAIN))
        assert addresses(await reply_of(neighbour)) == ["193.0.0.1"]
        ends = [await end_of(reader) - start for reader in silent]
        assert max(ends) == pytest.approx(bounds.TLS_HANDSHAKE, abs=0.2)
        counted = {name: value for name, _, value in clients.edge.responder.counters.snapshot()}
        assert (counted["dns_tls_failed"], counted["dns_tcp_refused"]) == (bounds.TCP_CLIENTS_PER_ADDRESS, 1)


@virtual
async def test_strangers_are_sent_away_before_any_cryptography(tmp_path: Path) -> None:
    resolver = ScriptedResolver(shop(), tmp_path)
    resolver.stack.responder.access = AccessControl([ip_network("127.0.0.1")])
    async with tls_edge(resolver, tmp_path) as clients:
        clients.edge.context = None  # type: ignore[attr-defined]
        start = asyncio.get_running_loop().time()
        stranger, _ = await clients.connect_plain(local_addr=("127.0.0.2", 0))
        assert await end_of(stranger) == start


@virtual
async def test_for_want_of_room_a_handshake_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TCP_CLIENTS", 3)
    async with tls_edge(ScriptedResolver(dead(shop()), tmp_path), tmp_path) as clients:
        start = asyncio.get_running_loop().time()
        waiting, writer = await clients.connect()
        writer.write(framed(query("slow.dead").to_wire()))
        await asyncio.sleep(0.1)
        silent, _ = await clients.connect_plain()
        for _ in range(2):
            await clients.connect_plain()
        assert await end_of(silent) - start < bounds.TLS_HANDSHAKE
        assert (await reply_of(waiting)).rcode() == codes.SERVFAIL, "who waits for an answer is not idle"


@virtual
async def test_a_client_that_closes_while_it_waits_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolver = ScriptedResolver(dead(shop()), tmp_path)
    async with tls_edge(resolver, tmp_path) as clients:
        _, writer = await clients.connect()
        writer.write(framed(query("slow.dead").to_wire()))
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(10)
        assert not clients.edge._connections
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


@virtual
async def test_a_client_that_takes_leave_and_stays_is_left(tmp_path: Path) -> None:
    async with tls_edge(ScriptedResolver(shop(), tmp_path), tmp_path) as clients:
        reader, writer = await clients.connect_plain()
        inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = clients.context.wrap_bio(inbound, outbound, server_hostname="dns.example")
        for step in (tls.do_handshake, lambda: tls.write(framed(PLAIN)), lambda: tls.read(100)):
            while True:
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outbound.read())
                    inbound.write(await reader.read(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        start = asyncio.get_running_loop().time()
        writer.write(outbound.read())
        assert await end_of(reader) - start < 0.2


@pytest.mark.attack("R-28")
def test_a_client_that_does_not_read_is_left_over_tls_too(tmp_path: Path) -> None:
    # Python's own loop shows what it keeps below TLS as well.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert bounds.TCP_WRITE_BUFFER / 4 < runner.run(unread(tmp_path)) <= bounds.TCP_WRITE_BUFFER


async def unread(tmp_path: Path) -> int:
    """The most octets that are kept for a client that asks and does not read, until it is disconnected."""
    async with tls_edge(ScriptedResolver(shop(), tmp_path), tmp_path) as clients:
        reader, writer = await clients.connect(limit=1)
        packet = framed(query("big.shop", "TXT").to_wire())
        writer.write(packet)
        await reader.read(1)
        (connection,) = clients.edge._connections
        transport, pause, most = connection.transport, connection.pause_writing, 0
        assert transport is not None
        below = transport._ssl_protocol._transport  # type: ignore[attr-defined]

        def noted() -> None:
            nonlocal most
            most = transport.get_write_buffer_size() + below.get_write_buffer_size()
            pause()

        connection.pause_writing = noted  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            while clients.edge._connections:
                writer.write(packet)
                await asyncio.sleep(0)
        return most


@pytest.mark.attack("R-28")
@virtual
async def test_half_a_message_over_tls_ends_as_over_tcp(tmp_path: Path) -> None:
    async with tls_edge(ScriptedResolver(shop(), tmp_path), tmp_path) as clients:
        reader, writer = await clients.connect()
        start = asyncio.get_running_loop().time()
        writer.write(framed(PLAIN)[:-1])
        assert await end_of(reader) - start == pytest.approx(bounds.TCP_MESSAGE, abs=0.2)
        idle, _ = await clients.connect()
        start = asyncio.get_running_loop().time()
        assert await end_of(idle) - start == pytest.approx(bounds.TCP_IDLE, abs=0.2)
