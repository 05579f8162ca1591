"""Conformance on the wire: the cases of RFC 8906 §8 and the rows of our own table, over UDP, TCP and TLS, from raw sockets.

Each case is a packet and what its reply must be; a transport's cases are put to one server, and all that differ are told.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import dns.message
import dns.name
import dns.rdata
import pytest
from scriptednet import Net, ScriptedResolver, addresses, errors
from virtualtime import virtual

from resolverd import bounds
from resolverd.servers.access import AccessControl
from resolverd.wire import codes
from resolverd.wire.names import from_text
from tests.unit.servers.test_dns import received, tcp_edge, udp_edge
from tests.unit.servers.test_dot import tls_edge

ID = 0x1234
RD, AD, CD, Z, TC, AA = 0x0100, 0x0020, 0x0010, 0x0040, 0x0200, 0x0400
DO = 0x8000
NSID, SUBNET, EXPIRE, COOKIE, KEEPALIVE, PADDING = 3, 8, 9, 10, 11, 12
CLIENT_COOKIE = bytes.fromhex("2464c4abcf10c957")


def shop() -> Net:
    net = Net()
    text = "\n".join(f'big TXT "{number:05d}{"x" * 245}"' for number in range(230))
    net.zone("shop", {"ns.shop": "45.1.0.1"}, f"""
        www A 193.0.0.1
        alias CNAME www.shop.
        lost CNAME nobody.shop.
        old A 193.0.0.9
        {text}
    """)
    return net


def opt(size: int = 1232, version: int = 0, flags: int = 0, *options: tuple[int, bytes]) -> bytes:
    data = b"".join(struct.pack("!2H", code, len(each)) + each for code, each in options)
    return b"\0" + struct.pack("!2HBBHH", codes.OPT, size, 0, version, flags, len(data)) + data


def packet(name: str = "www.shop", rtype: int = codes.A, rclass: int = 1, flags: int = RD, *, opcode: int = 0, edns: bytes = b"",
           counts: tuple[int, int, int] = (1, 0, 0)) -> bytes:  # fmt: skip
    head = struct.pack("!6H", ID, flags | opcode << 11, *counts, bool(edns))
    return head + (from_text(name) + struct.pack("!2H", rtype, rclass)) * counts[0] + edns


class Reply(NamedTuple):
    """A reply, read by hand as far as its header goes, and by dnspython."""

    octets: bytes

    @property
    def flags(self) -> int:
        return int.from_bytes(self.octets[2:4])

    @property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.octets)

    @property
    def options(self) -> dict[int, bytes]:
        return {int(each.otype): each.to_wire() or b"" for each in self.message.options if int(each.otype) != 15}


Check = Callable[[Reply], bool]


class Case(NamedTuple):
    """What is sent; the RCODE that must come, None for silence; and what else must be true of the reply."""

    sent: bytes
    rcode: int | None = codes.NOERROR
    check: Check = lambda reply: True


def answered(reply: Reply) -> bool:
    return addresses(reply.message) == ["193.0.0.1"]


def plain(reply: Reply) -> bool:
    """An answer without OPT, and without anything that nobody has asked for."""
    message = reply.message
    return answered(reply) and message.edns == -1 and not message.authority and not message.additional


def with_opt(reply: Reply) -> bool:
    """An answer with OPT of version 0, no flags that nobody knows, and no options."""
    return answered(reply) and nothing_echoed(reply)


def nothing_echoed(reply: Reply) -> bool:
    message = reply.message
    return message.edns == 0 and message.ednsflags & 0x7FFF == 0 and not reply.options


def denied(reply: Reply) -> bool:
    """No answer, and the SOA that says for how long."""
    return not reply.message.answer and [each.rdtype for each in reply.message.authority] == [6]


def version_refused(reply: Reply) -> bool:
    """RFC 6891 §6.1.3: OPT of version 0, no answer."""
    return nothing_echoed(reply) and not reply.message.answer


V1 = 1
RFC8906 = {
    "8.1.1 a known name": Case(packet(), check=plain),
    "8.1.2 unknown type": Case(packet(rtype=1000), check=denied),
    "8.1.3.1 CD": Case(packet(flags=RD | CD), check=lambda reply: answered(reply) and reply.flags & (CD | AD) == CD),
    "8.1.3.2 AD": Case(packet(flags=RD | AD), check=lambda reply: answered(reply) and not reply.flags & AD),
    "8.1.3.3 reserved bit": Case(packet(flags=RD | Z), check=lambda reply: answered(reply) and not reply.flags & Z),
    "8.1.3.4 RD": Case(packet(flags=RD), check=lambda reply: answered(reply) and reply.flags & 0x8180 == 0x8180),
    **{
        f"8.1.4 opcode {number}": Case(
            packet(opcode=number, counts=(0, 0, 0)),
            codes.NOTIMP,
            lambda reply, number=number: reply.flags >> 11 & 15 == number and len(reply.octets) == 12,
        )
        for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    },
    "8.1.4 NOTIFY in full": Case(packet("shop", 6, opcode=4), codes.NOTIMP),
    "8.1.4 UPDATE in full": Case(packet("shop", 6, opcode=5), codes.NOTIMP),
    "8.2.1 plain EDNS": Case(packet(edns=opt()), check=with_opt),
    "8.2.2 EDNS version 1": Case(packet(edns=opt(1232, V1)), codes.BADVERS, version_refused),
    "8.2.3 unknown option": Case(packet(edns=opt(1232, 0, 0, (100, b""))), check=with_opt),
    "8.2.3 unknown option with data": Case(packet(edns=opt(1232, 0, 0, (65001, b"x" * 30))), check=with_opt),
    "8.2.4 unknown flag": Case(packet(edns=opt(1232, 0, 0x0040)), check=with_opt),
    "8.2.4 all unknown flags": Case(packet(edns=opt(1232, 0, 0x7FFF)), check=with_opt),
    "8.2.5 version 1, unknown flag": Case(packet(edns=opt(1232, V1, 0x0040)), codes.BADVERS, version_refused),
    "8.2.6 version 1, unknown option": Case(packet(edns=opt(1232, V1, 0, (100, b""))), codes.BADVERS, version_refused),
    "8.2.7 truncated": Case(
        packet("big.shop", 16, edns=opt(512, 0, DO)),
        check=lambda reply: reply.message.edns == 0 and (bool(reply.flags & TC) is not bool(reply.message.answer)),
    ),
    "8.2.8 DO": Case(packet(edns=opt(1232, 0, DO)), check=lambda reply: with_opt(reply) and reply.message.ednsflags == DO),
    "8.2.9 version 1, DO": Case(packet(edns=opt(1232, V1, DO)), codes.BADVERS, lambda reply: reply.message.edns == 0),
    "8.2.10 many options": Case(
        packet(edns=opt(1232, 0, 0, (NSID, b""), (EXPIRE, b""), (SUBNET, b"\0\1\0\0"), (COOKIE, CLIENT_COOKIE))),
        check=lambda reply: answered(reply) and set(reply.options) == {COOKIE},
    ),
}
OURS = {
    "no question": Case(packet(counts=(0, 0, 0)), codes.FORMERR),
    "two questions": Case(packet(counts=(2, 0, 0)), codes.FORMERR),
    "an answer announced": Case(packet(counts=(1, 1, 0)), codes.FORMERR),
    "version.bind": Case(packet("version.bind", 16, 3), codes.REFUSED, lambda reply: not reply.message.answer),
    "id.server": Case(packet("id.server", 16, 3), codes.REFUSED, lambda reply: not reply.message.answer),
    **{f"class {each}": Case(packet(rclass=each), codes.REFUSED) for each in (0, 2, 3, 4, 254, 255, 65280)},
    "two OPT records": Case(packet(edns=opt() + opt())[:11] + b"\2" + packet(edns=opt() + opt())[12:], codes.FORMERR),
    "a size of 0 is 512": Case(
        packet("big.shop", 16, edns=opt(0)), check=lambda reply: len(reply.octets) <= 512 or bool(reply.message.answer)
    ),
    "a reply": Case(packet(flags=0x8180), None),
    "a reply with an opcode": Case(packet(flags=0x8180, opcode=4), None),
    "a reply without question": Case(packet(flags=0x8180, counts=(0, 0, 0)), None),
    "without RD, known": Case(packet(flags=0), check=lambda reply: answered(reply) and reply.flags & 0x0180 == 0x0080),
    "without RD, unknown": Case(
        packet("new.shop", flags=0, edns=opt()), codes.REFUSED, lambda reply: errors(reply.message) == [20]
    ),
    "ANY": Case(
        packet("big.shop", 255),
        check=lambda reply: reply.message.answer[0].rdtype == 13 and len(reply.octets) <= 2 * len(packet("big.shop")),
    ),
    "AXFR": Case(packet("shop", 252), codes.REFUSED),
    "IXFR": Case(packet("shop", 251), codes.REFUSED),
    "a meta type": Case(packet(rtype=253), codes.NOTIMP),
    "type 0": Case(packet(rtype=0), codes.FORMERR),
    "an alias": Case(packet("alias.shop"), check=answered),
    "an alias to nothing": Case(packet("lost.shop"), codes.NXDOMAIN, lambda reply: bool(reply.message.answer)),
    "a TTL with its highest bit set": Case(
        packet("msb.shop"), check=lambda reply: [each.ttl for each in reply.message.answer] == [0]
    ),
    "a denial's TTL": Case(
        packet("nobody.shop"),
        codes.NXDOMAIN,
        lambda reply: 0 < reply.message.authority[0].ttl <= 3600 and reply.message.authority[0].rdtype == 6,
    ),
    "a cookie": Case(
        packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE))),
        check=lambda reply: len(reply.options[COOKIE]) == 24 and reply.options[COOKIE].startswith(CLIENT_COOKIE + b"\1"),
    ),
    "somebody else's server cookie": Case(
        packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE + bytes(16)))),
        check=lambda reply: answered(reply) and len(reply.options[COOKIE]) == 24 and any(reply.options[COOKIE][16:]),
    ),
    "a cookie of a wrong length": Case(packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE + b"x"))), codes.FORMERR),
    "the letters as asked": Case(packet("wWw.ShOp"), check=lambda reply: from_text("wWw.ShOp") in reply.octets),
    "octets behind the question": Case(packet() + bytes(40), check=plain),
}
DENIED = (
    "a.test", "b.a.invalid", "abc.onion", "host.home.arpa", "x.resolver.arpa", "x.service.arpa", "1.0.0.10.in-addr.arpa",
    "1.0.31.172.in-addr.arpa", "1.1.168.192.in-addr.arpa", "1.0.64.100.in-addr.arpa",
    "9.9.254.169.in-addr.arpa",
    "2.0.0.127.in-addr.arpa", "1.2.0.192.in-addr.arpa", "1.100.51.198.in-addr.arpa", "1.113.0.203.in-addr.arpa",
    "1.0.0.0.in-addr.arpa",
    "1." + "0." * 19 + "8.b.d.0.1.0.0.2.ip6.arpa", "1.d.f.ip6.arpa", "1.8.e.f.ip6.arpa", "1.b.e.f.ip6.arpa",
)  # fmt: skip
THERE = (
    "localhost", "www.localhost", "test", "home.arpa", "resolver.arpa", "255.255.255.255.in-addr.arpa", "1.0.0.127.in-addr.arpa",
)  # fmt: skip
"""RFC 6761, 7686, 8375, 9462, 9665, 6303: names that never leave the machine."""

Exchange = Callable[[bytes], Awaitable[bytes | None]]


@asynccontextmanager
async def over(transport: str, resolver: ScriptedResolver, folder: Path) -> AsyncIterator[Exchange]:
    """Puts packets to the server over a transport: a connection a packet, so that one that is ended ends no other case."""
    if transport == "udp":
        async with udp_edge(resolver) as (edge, client):

            async def exchange(sent: bytes) -> bytes | None:
                client.sendto(sent, edge.address)
                found = await received(client)
                assert len(found) <= 1
                return found[0] if found else None

            yield exchange
        return
    async with tcp_edge(resolver) if transport == "tcp" else tls_edge(resolver, folder) as clients:

        async def exchange_framed(sent: bytes) -> bytes | None:
            reader, writer = await clients.connect()
            writer.write(len(sent).to_bytes(2) + sent)
            try:
                return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            finally:
                writer.close()

        yield exchange_framed


def conformant(net: Net) -> Net:
    """With a server of shop that says what no zone file can say."""

    def served(query: dns.message.Message, ask: object) -> dns.message.Message | bytes:
        reply = ordinary(query, ask)
        if query.question[0].name == dns.name.from_text("msb.shop."):
            made = dns.message.make_response(query)
            made.flags |= AA
            made.find_rrset(made.answer, query.question[0].name, 1, 1, create=True).add(A193, 0x7FFFFFFF)
            return made.to_wire().replace(b"\x7f\xff\xff\xff", b"\x80\x00\x00\x01")
        return reply

    ordinary = net.servers["45.1.0.1"]
    net.serve("45.1.0.1", served)
    return net


A193 = dns.rdata.from_text("IN", "A", "193.0.0.7")


@pytest.mark.attack("R-27", "R-29")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@virtual
async def test_what_each_packet_gets(transport: str, tmp_path: Path) -> None:
    net = conformant(shop())
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    wrong: dict[str, object] = {}
    async with over(transport, resolver, tmp_path) as exchange:
        for name, case in (*RFC8906.items(), *OURS.items(), *RFC8906.items(), *OURS.items()):  # again, from memory
            octets = await exchange(case.sent)
            if octets is None or case.rcode is None:
                if octets is not case.rcode:
                    wrong[name] = octets
                continue
            reply = Reply(octets)
            header = octets[:2] == case.sent[:2] and reply.flags & 0x8000
            if not header or reply.message.rcode() != case.rcode or not case.check(reply):
                wrong[name] = reply.message.to_text()
    assert wrong == {}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@virtual
async def test_options_that_depend_on_the_way(transport: str, tmp_path: Path) -> None:
    """RFC 7828 §3.3.1: a time-out over streams only; RFC 8467 §4.1: blocks of 468 octets where nobody else can read."""
    resolver = ScriptedResolver(shop(), tmp_path)
    async with over(transport, resolver, tmp_path) as exchange:
        for name, rtype in (("www.shop", 1), ("www.shop", 1), ("nobody.shop", 1), ("big.shop", 16)):
            octets = await exchange(packet(name, rtype, edns=opt(1232, 0, 0, (KEEPALIVE, b""), (PADDING, bytes(50)))))
            assert octets is not None
            options = Reply(octets).options
            assert options.get(KEEPALIVE) == (None if transport == "udp" else int(bounds.TCP_IDLE * 10).to_bytes(2))
            assert (PADDING in options) is (transport == "tls")
            if transport == "tls":
                assert len(octets) % 468 == 0
                assert not any(options[PADDING])
        octets = await exchange(packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE))))
        assert octets is not None
        assert set(Reply(octets).options) == {COOKIE}


@virtual
async def test_refusals_and_failures_say_why(tmp_path: Path) -> None:
    net = shop()
    net.root.add("dead. NS ns.dead.\nns.dead. A 45.9.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    async with over("udp", resolver, tmp_path) as exchange:
        unreachable = codes.SERVFAIL, [codes.EDE_NO_REACHABLE_AUTHORITY]
        for name, wanted in (("www.dead", unreachable), ("www.shop", (codes.NOERROR, []))):
            octets = await exchange(packet(name, edns=opt()))
            assert octets is not None
            reply = Reply(octets).message
            assert (reply.rcode(), errors(reply)) == wanted
        resolver.stack.responder.access = AccessControl([ip_network("192.0.2.0/24")])
        octets = await exchange(packet(edns=opt()))
        assert octets is not None
        reply = Reply(octets).message
        assert (reply.rcode(), errors(reply), reply.answer) == (codes.REFUSED, [codes.EDE_PROHIBITED], [])


@virtual
async def test_special_names_cost_no_query(tmp_path: Path) -> None:
    net = shop()
    resolver = ScriptedResolver(net, tmp_path, builtin_zones=True)
    async with over("udp", resolver, tmp_path) as exchange:
        for name, rcode in [*((name, codes.NXDOMAIN) for name in DENIED), *((name, codes.NOERROR) for name in THERE)]:
            for rtype in (codes.A, codes.PTR, codes.TXT):
                octets = await exchange(packet(name, rtype))
                assert octets is not None
                reply = dns.message.from_wire(octets)
                assert (reply.rcode(), reply.flags & AD) == (rcode, 0), name
                assert reply.answer or reply.authority[0].rdtype == 6
    assert net.asked == []
