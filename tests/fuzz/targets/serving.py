"""What clients of our sockets send: octets to the DNS, policy and HTTP connections of a daemon in process, on virtual time.

The daemon is one for the whole run; what an input leaves behind, others find.
"""

import asyncio
import logging
import re
import struct
import sys
import tempfile
from collections.abc import Coroutine, Iterable
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.edns
import dns.message

from resolverd.app.service import Service
from resolverd.metrics import Counters
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import answering
from resolverd.servers.dns.answering import Responder
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.http.app import HttpServer
from resolverd.servers.http.connection import Connections
from resolverd.servers.policy import protocol
from resolverd.servers.policy.protocol import PolicyReader
from resolverd.servers.policy.server import PolicyServer
from resolverd.state.memory import MemoryStore
from resolverd.wire import render
from resolverd.wire.peek import Query, peek
from tests.fuzz.target import target
from tests.replay.stack import CLIENT, asked

_UNIT = str(Path(__file__).parents[2] / "unit")
if _UNIT not in sys.path:
    sys.path.append(_UNIT)

from served import TOKEN, configured, internet  # noqa: E402
from virtualtime import VirtualClock, VirtualLoop  # noqa: E402

_LOG = logging.getLogger("resolverd")


class Pipe(asyncio.Transport):
    """A client's connection: what is written to it is kept."""

    def __init__(self, connection: Any):
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 80)})
        self.connection = connection
        self.written = bytearray()
        self.closed = self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_reading(self) -> bool:
        return not self.paused

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    async def say(self, data: bytes, pieces: int) -> bytes:
        """What comes back for these octets, which come in so many pieces, until the connection's timers have run out."""
        self.connection.connection_made(self)
        size = max(1, -(-len(data) // pieces))
        for at in range(0, len(data), size):
            for _ in range(100):
                if not self.paused:
                    break
                await asyncio.sleep(0.1)
            if self.closed or self.paused:
                break
            self._give(data[at : at + size])
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        if not self.closed and not self.connection.eof_received():
            self.close()
        for _ in range(30):
            if self.closed:
                break
            await asyncio.sleep(5)
        assert self.closed, "a connection that nothing comes from is not closed"
        await asyncio.sleep(0)
        return bytes(self.written)

    def _give(self, data: bytes) -> None:
        if not isinstance(self.connection, asyncio.BufferedProtocol):
            self.connection.data_received(data)
            return
        while data and not self.closed:
            room = self.connection.get_buffer(-1)
            piece, data = data[: len(room)], data[len(room) :]
            room[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))


class Faults(logging.Handler):
    """Errors that are logged as bugs, or reach the event loop, while this is a context; the first is raised at its end."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def __enter__(self) -> "Faults":
        self.errors.clear()
        _LOG.addHandler(self)
        _LOG.propagate = False
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _LOG.removeHandler(self)
        _LOG.propagate = True
        if self.errors and error is None:
            raise self.errors[0]

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])

    def from_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or AssertionError(context["message"]))


class World:
    """The daemon, its servers without their sockets, and the loop that it lives on."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self.faults = Faults()
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self.faults.from_loop)
        self.loop.run_until_complete(self._build())

    async def _build(self) -> None:
        clock, counters = VirtualClock(), Counters()
        folder = Path(self.folder.name)
        settings = configured(folder)
        self.service = Service(settings, internet(), MemoryStore(), clock, counters, lambda: settings)
        await self.service.prepare()
        runtime = self.service.runtime
        http = HttpServer(self.service.capabilities, counters, token=TOKEN, hosts=["mail.example.org"])
        self.http = Connections(http._answer)
        self.policy = PolicyServer(runtime.policy, counters)
        access = AccessControl([ip_network("127.0.0.0/8")])
        self.responder = Responder(
            runtime.answerer, runtime.resolution.packets, access, clock, counters, runtime.resolution.packet_share
        )
        self.dns = TcpEdge(self.responder)

    def run(self, work: Coroutine[Any, Any, bytes]) -> bytes:
        """Do it; raises what was a bug on the way."""
        with self.faults:
            return self.loop.run_until_complete(work)

    def close(self) -> None:
        """End it, for good."""
        self.loop.run_until_complete(self.service.aclose())
        self.loop.close()
        self.folder.cleanup()

    async def to_dns(self, data: bytes, pieces: int) -> bytes:
        connection = self.dns.admit("127.0.0.1")
        assert connection is not None
        return await Pipe(connection).say(data, pieces)

    async def to_http(self, data: bytes, pieces: int) -> bytes:
        return await Pipe(self.http()).say(data, pieces)

    async def to_policy(self, data: bytes, pieces: int) -> bytes:
        return await Pipe(self.policy._connection("127.0.0.1")).say(data, pieces)


@cache
def world() -> World:
    return World()


def _streams() -> Iterable[bytes]:
    queries = [
        dns.message.make_query("example.org.", "MX", id=1).to_wire(),
        dns.message.make_query("1.69.2.81.zen.spamhaus.org.", "A", id=2, use_edns=0, want_dnssec=True).to_wire(),
        dns.message.make_query("localhost.", "ANY", id=3).to_wire(),
        dns.message.make_query("version.bind.", "TXT", rdclass="CH", id=4).to_wire(),
        dns.message.make_query("1.0.0.127.in-addr.arpa.", "PTR", id=5, use_edns=0).to_wire(),
    ]
    for options in ([(10, b"12345678")], [(10, bytes(24)), (11, b""), (12, bytes(20))], [(10, b"123")]):
        made = [dns.edns.GenericOption(dns.edns.OptionType(code), octets) for code, octets in options]
        queries.append(dns.message.make_query("example.org.", "MX", id=6, use_edns=0, options=made).to_wire())
    framed = [struct.pack("!H", len(each)) + each for each in queries]
    yield b"\1" + b"".join(framed)
    for each in framed:
        yield b"\3" + each * 2
    yield b"\1\0\5hello"


@target(_streams, 0.2, 1000)
def dns_stream(data: bytes) -> None:
    """Questions over TCP, and each over UDP: as many replies as there is something to say to, each of them sound."""
    if not data:
        return
    said = world().run(world().to_dns(data[1:], 1 + data[0] % 16))
    packets, at = dict[bytes, list[bytes]](), 1
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2])
        packet = data[at + 2 : at + 2 + length]
        packets.setdefault(packet[:2], []).append(packet)
        at += 2 + length
    at = 0
    while at < len(said):
        length = int.from_bytes(said[at : at + 2])
        reply = said[at + 2 : at + 2 + length]
        assert len(reply) == length
        assert reply[:2] in packets
        assert reply[2] & 0x80
        dns.message.from_wire(reply, ignore_trailing=False)
        at += 2 + length
    for packet in [each for same in packets.values() for each in same][:4]:
        for work in (_over_udp(packet), _over_its_rate(packet)):
            reply = world().run(work)
            if reply:
                query = peek(packet)
                assert len(reply) <= (render.limit(query, True) if isinstance(query, Query) else 512)
                assert reply[:2] == packet[:2]
                dns.message.from_wire(reply)


async def _over_udp(packet: bytes) -> bytes:
    responder = world().responder
    body = responder.packets.get(answering.key(packet, True), responder.now())
    if body is not None:
        return packet[:2] + body
    reply = responder.try_cached(packet, True, CLIENT)
    return (await asked(responder, reply) if isinstance(reply, answering.Unanswered) else reply) or b""


async def _over_its_rate(packet: bytes) -> bytes:
    reply = world().responder.limited(packet, CLIENT)
    return reply if isinstance(reply, bytes) else b""


_REQUEST = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=81.2.69.1\nclient_name=mail.example.org\n"
    b"client_port=1\nreverse_client_name=mail.example.org\nserver_address=\nserver_port=\nhelo_name=mail.example.org\n"
    b"sender=a@example.org\nrecipient=b@example.com\nrecipient_count=0\nqueue_id=8045F2AB23\ninstance=123.456.7\nsize=12345\n"
    b"etrn_domain=\nstress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\n"
    b"ccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n"
)


def _requests() -> Iterable[bytes]:
    yield b"\1" + _REQUEST
    yield b"\7" + _REQUEST.replace(b"\n", b"\r\n") + _REQUEST.replace(b"RCPT", b"DATA")
    yield b"\2" + _REQUEST.replace(b"81.2.69.1", b"[IPv6:2001:db8::1]").replace(b"a@example.org", b"<\xc3\xa9@\xff>")
    yield b"\2" + _REQUEST.replace(b"mail.example.org", b"[81.2.69.1]").replace(b"client_name=[", b"client_name=unknown [")
    yield b"\1GET / HTTP/1.1\r\n\r\n"


@target(_requests, 0.2, 1500)
def policy_stream(data: bytes) -> None:
    """Requests of Postfix: read alike in whatever pieces they come, and each answered with an action that Postfix takes."""
    if not data:
        return
    pieces, stream = 1 + data[0] % 16, data[1:]
    whole, bitwise = PolicyReader(), PolicyReader()
    found = whole.feed(stream)
    size = max(1, -(-len(stream) // pieces))
    parts = [each for at in range(0, len(stream), size) for each in bitwise.feed(stream[at : at + size])]
    assert found == parts
    assert whole.garbage == bitwise.garbage
    for at, end in enumerate(stream.split(b"\n\n")[:3]):
        octets = end + b"\n\n"
        quick = protocol.whole_request(octets)
        if quick is not None:
            (request,) = PolicyReader().feed(octets)
            assert quick == protocol.attempt_of(request), at
    said = world().run(world().to_policy(stream, pieces))
    *actions, rest = said.split(b"\n\n")
    assert not rest
    assert len(actions) == len(found)
    for action in actions:
        name, equals, value = action.partition(b"=")
        assert (name, equals) == (b"action", b"=")
        assert value.decode().isprintable()
        assert re.match(rb"DUNNO|PREPEND |DEFER_IF_PERMIT |[45]\d\d ", value)


_CALLS = """
GET /v1/cache
GET /v1/cache/example.org/MX
DELETE /v1/cache/example.org
GET /v1/trace/example.org/A
GET /v1/greylist
GET /v1/greylist/81.2.69.2
PUT /v1/greylist/81.2.69.2 {}
DELETE /v1/greylist/81.2.69.2
GET /v1/lists
GET /v1/lists/spamhaus-zen
POST /v1/lists/spamhaus-zen/disable
POST /v1/lists/spamhaus-zen/enable
POST /v1/lists/spamhaus-zen/probe
GET /v1/lookup/81.2.69.1
GET /metrics
PUT /v1/negative-trust-anchors/a.example {"reason":"x","for":"1h"}
DELETE /v1/negative-trust-anchors/a.example
GET /v1/negative-trust-anchors
GET /v1/overrides
PUT /v1/overrides {"subject":"192.0.2.7","action":"deny","reason":"x"}
PUT /v1/overrides/192.0.2.8 {"action":"allow","for":"1h"}
DELETE /v1/overrides/192.0.2.8
GET /openapi.json
GET /
GET /healthz
GET /readyz
GET /v1/store
POST /v1/store {"records":[{"table":"t","key":"k","value":"dg==","expires":1900000000}]}
GET /v1/verdict?client_address=81.2.69.1&helo_name=x&sender=a@example.org&recipient=b@example.com
POST /v1/verdict {"client_address":"81.2.69.1","sender":"a@example.org"}
POST /v1/verdicts [{"client_address":"81.2.69.1"}]
GET /v1/verdict/ABCDEFGH
""".strip().splitlines()


def _calls() -> Iterable[bytes]:
    for call in _CALLS:
        method, path, *body = call.split(" ", 2)
        octets = "".join(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        if octets:
            head += f"Content-Type: application/json\r\nContent-Length: {len(octets)}\r\n"
        yield b"\2" + head.encode() + b"\r\n" + octets
    yield b"\1GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield b"\1GET /v1/lookup/%C3%BC HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n"


@target(_calls, 0.5, 1200)
def http_stream(data: bytes) -> None:
    """Requests to the HTTP interface: what comes back is HTTP, and says nothing of a fault of ours."""
    if not data:
        return
    said = world().run(world().to_http(data[1:], 1 + data[0] % 16))
    assert not said or re.match(rb"HTTP/\d\.\d \d\d\d ", said)
    for status in re.findall(rb"(?:^|\n|\})HTTP/\d\.\d (\d\d\d) ", said):
        assert status != b"500"
