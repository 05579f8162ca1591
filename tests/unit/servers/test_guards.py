"""The failure table's last line, at every socket: a bug of ours is SERVFAIL or DUNNO for whoever met it, one line of the log with
its traceback, and one count; what was sent along with it is answered as ever.
"""

import asyncio
import io
import itertools
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import pytest
from scriptednet import Net, ScriptedResolver, addresses, errors
from virtualtime import virtual

from resolverd.log_writer import LogWriter
from resolverd.logs import LineFormatter
from resolverd.mail.findings import Action, SmtpReply, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.pseudonyms import Pseudonyms
from resolverd.resolver.cache.packets import PacketCache
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import answering, tcp, udp
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.dns.udp import UdpEdge
from resolverd.servers.policy import log_line, protocol
from resolverd.servers.policy import server as policy
from resolverd.servers.policy.server import PolicyServer
from resolverd.wire import codes, render
from resolverd.wire.names import from_text
from resolverd.wire.redact import Redactor
from resolverd.zones.answer import Answerer


class Bug(OSError):
    """Planted. Of a class that sockets raise as well: a guard must not take it for theirs."""


def once(real: Callable[..., Any], *, waits: bool = False) -> Callable[..., Any]:
    """As `real`, but for a bug at the first call; with `waits`, after a while."""
    calls = itertools.count()

    def planted(*args: Any, **more: Any) -> Any:
        if next(calls) == 0:
            raise Bug("planted")
        return real(*args, **more)

    async def planted_later(*args: Any, **more: Any) -> Any:
        if next(calls) == 0:
            await asyncio.sleep(0.1)
            raise Bug("planted")
        return await real(*args, **more)

    return planted_later if waits else planted


def tells_once(caplog: pytest.LogCaptureFixture, counters: Counters, where: str) -> None:
    bugs = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(bugs) == 1
    assert bugs[0].exc_info is not None
    assert bugs[0].exc_info[0] is Bug
    assert counters.get("bugs", where=where) == 1
    assert [labels for name, labels, _ in counters.snapshot() if name == "bugs"] == [{"where": where}]


# -- DNS -------------------------------------------------------------------------------------------------------------------

PLACES: dict[str, tuple[Any, str]] = {
    "access": (AccessControl, "judge"),
    "the packet cache, looked into": (PacketCache, "get"),
    "the packet cache, filled": (PacketCache, "put"),
    "reading the question": (answering, "peek"),
    "the answer at once": (Answerer, "try_cached"),
    "asking for the answer": (Answerer, "ask"),
    "rendering": (render, "render"),
}


async def over_udp(host: str, resolver: ScriptedResolver, packets: list[bytes]) -> list[bytes]:
    """The replies to packets that one wake-up reads, in the order of their IDs."""
    edge = UdpEdge(udp.bind(host, 0), resolver.stack.responder)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.connect(("127.0.0.1", edge.address[1]))
    for packet in packets:
        client.send(packet)
    replies = []
    for _ in range(100):
        await asyncio.sleep(0.1)
        try:
            replies.append(client.recv(4096))
        except BlockingIOError:
            pass
    client.close()
    await edge.aclose()
    return sorted(replies)


async def over_tcp(resolver: ScriptedResolver, packets: list[bytes]) -> list[bytes]:
    """The replies to packets sent in one go, in the order of their IDs."""
    edge = TcpEdge(resolver.stack.responder)
    sock = tcp.bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await edge.serve(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(len(packet).to_bytes(2) + packet for packet in packets))
    writer.write_eof()
    replies = []
    while head := await reader.read(2):
        replies.append(await reader.readexactly(int.from_bytes(head)))
    writer.close()
    await edge.aclose()
    return sorted(replies)


async def replies(transport: str, resolver: ScriptedResolver, *packets: bytes) -> list[bytes]:
    if transport == "tcp":
        return await over_tcp(resolver, list(packets))
    return await over_udp("127.0.0.1" if transport == "udp" else "0.0.0.0", resolver, list(packets))


def shop(folder: Path) -> ScriptedResolver:
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1")
    return ScriptedResolver(net, folder)


TRANSPORTS = ["udp", "udp on all addresses", "tcp"]


@virtual
async def _dns(place: str, transport: str, folder: Path, caplog: pytest.LogCaptureFixture, patch: pytest.MonkeyPatch) -> None:
    resolver = shop(folder)
    owner, name = PLACES[place]
    patch.setattr(owner, name, once(getattr(owner, name)))
    packets = [dns.message.make_query(f"{ident}.shop", "A", id=ident, use_edns=0).to_wire() for ident in (1, 2, 3)]
    first, *others = map(dns.message.from_wire, await replies(transport, resolver, *packets))
    assert (first.id, first.rcode(), len(first.question), errors(first)) == (1, codes.SERVFAIL, 1, [codes.EDE_OTHER])
    assert [(each.id, addresses(each)) for each in others] == [(2, ["193.0.0.1"]), (3, ["193.0.0.1"])]
    tells_once(caplog, resolver.stack.responder.counters, "dns")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_bug_is_servfail_for_one_question_and_nothing_for_the_next(
    place: str, transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dns(place, transport, tmp_path, caplog, monkeypatch)


@virtual
async def _unreadable(transport: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    resolver = shop(folder)
    real = answering.peek

    def planted(packet: bytes) -> Any:
        if b"bug" in packet:
            raise Bug("planted")
        return real(packet)

    patch.setattr(answering, "peek", planted)
    asked = dns.message.make_query("bug.shop", "A", id=1, use_edns=0).to_wire()
    sound = dns.message.make_query("www.shop", "A", id=2).to_wire()
    reply = asked[:2] + b"\x81\x80" + asked[4:]
    first, second = await replies(transport, resolver, asked, reply, b"\0\1bug", sound)
    assert first == b"\0\1\x81\2" + bytes(8), "silence to a reply and to what is shorter than a header"
    assert addresses(dns.message.from_wire(second)) == ["193.0.0.1"]


@pytest.mark.parametrize("transport", TRANSPORTS[:2])
def test_a_packet_that_nobody_can_read_gets_a_bare_servfail_if_anything(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _unreadable(transport, tmp_path, monkeypatch)


@virtual
async def test_a_bug_never_tells_the_key_of_a_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    responder = shop(tmp_path).stack.responder
    responder.redactor = Redactor(frozenset([from_text("zen.dq.example")]))
    asked = dns.message.make_query("2.0.0.127.secret.zen.dq.example", "A").to_wire()
    assert responder.failed(asked, Bug("2.0.0.127.secret.zen.dq.example")) is not None
    [record] = caplog.records
    line = LineFormatter("logfmt", "resolverd").format(record)
    assert "secret" not in line
    assert "Bug" in line


# -- Postfix's policy protocol -----------------------------------------------------------------------------------------------


class Verdicts:
    """Refuses everybody."""

    at_once = False

    def try_verdict(self, attempt: Attempt, *, record: bool) -> Verdict | None:
        return REFUSED if self.at_once else None

    async def verdict_on(self, attempt: Attempt, *, record: bool) -> Verdict:
        return REFUSED


class AtOnce(Verdicts):
    """The same without being waited for."""

    at_once = True


REFUSED = Verdict("R", Action.REJECT, 9, "listed", reply=SmtpReply(554, "5.7.1", "Service unavailable"))

POLICY_PLACES: dict[str, tuple[Any, str]] = {
    "reading a line": (protocol, "_decoded"),
    "reading the request": (protocol, "attempt_of"),
    "the verdict": (Verdicts, "verdict_on"),
    "the verdict at once": (Verdicts, "try_verdict"),
    "rendering": (protocol, "render"),
}


def request(number: int) -> bytes:
    lines = ["request=smtpd_access_policy", "protocol_state=RCPT", f"client_address=193.0.0.{number}", "recipient=b@example.org"]
    return "\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("place", "source"),
    [(place, source) for place in POLICY_PLACES for source in (Verdicts, AtOnce) if place != "the verdict" or source is Verdicts],
)
async def test_a_bug_is_dunno_for_one_mail_and_nothing_for_the_next(
    place: str, source: type[Verdicts], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    owner, name = POLICY_PLACES[place]
    monkeypatch.setattr(owner, name, once(getattr(owner, name), waits=name == "verdict_on"))
    server = PolicyServer(source(), counters)
    sock = tcp.bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await server.serve(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(1) + request(2) + request(3))
    writer.write_eof()
    async with asyncio.timeout(10):
        said = (await reader.read()).decode().split("\n\n")
    writer.close()
    await server.close(0)
    assert said[0] == "action=DUNNO"
    assert [each[:12] for each in said[1:]] == ["action=554 5", "action=554 5", ""]
    tells_once(caplog, counters, "policy")


@pytest.mark.parametrize("name", ["fields", "nameless_reason"])
async def test_a_bug_in_the_log_line_is_no_mails_loss(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is made when it is written, by the thread that writes."""
    counters, stream = Counters(), io.StringIO()
    monkeypatch.setattr(log_line, name, once(getattr(log_line, name), waits=False))
    writer = LogWriter(stream)
    writer.setFormatter(LineFormatter("logfmt", "resolverd", pseudonyms=Pseudonyms(b"key")))
    logger = logging.getLogger(policy.__name__)
    caplog.set_level("INFO", policy.__name__)
    monkeypatch.setattr(logger, "propagate", False)  # whoever else makes the line has the bug in its place
    logger.addHandler(writer)
    logger.addHandler(caplog.handler)
    try:
        server = PolicyServer(AtOnce(), counters)
        for number in range(3):
            reader = protocol.PolicyReader()
            reader.add(memoryview(request(number)))
            attempt = reader.next()
            assert attempt is not None
            action = server.answer_at_once(attempt)
            assert action is not None
            assert action.startswith("554 5")
    finally:
        writer.flush()
        logger.removeHandler(writer)
        logger.removeHandler(caplog.handler)
        writer.close()
    told = [line for line in stream.getvalue().splitlines() if "action=reject" in line]
    assert len(told) == 2
    assert "id=R" in stream.getvalue().splitlines()[0]
    tells_once(caplog, counters, "policy")


async def test_a_request_that_nobody_can_read_to_its_end_is_dunno_and_the_connections_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    monkeypatch.setattr(protocol, "_decoded", once(protocol._decoded))
    server = PolicyServer(Verdicts(), counters)
    sock = tcp.bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await server.serve(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(1)[:60])
    async with asyncio.timeout(10):
        assert await reader.read() == b"action=DUNNO\n\n"
    writer.close()
    await server.close(0)
    tells_once(caplog, counters, "policy")
