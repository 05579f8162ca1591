"""Servers that do not cope with what a question carries, over real sockets: answered all the same, and no attacker is helped.

Each oddity is played by a name server and by a forwarder, with TCP and without; each has its mirror, a sound server beside
an attacker who plays the oddity.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import dns.flags
import dns.message
import pytest
from authority import HOST, OPT, Authority, Tcp, answer, cookie_of, lower_case, qname_of, question_of, replying
from scriptednet import Message, Net, ScriptedResolver, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.clock import SystemClock
from resolverd.config.settings import Forward, Stub
from resolverd.net.outside import OutsideNetwork
from resolverd.resolver.iterator.capabilities import Feature
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.names import from_text, lower
from tests.replay.stack import Stack, root_hints, settings

Handler = Callable[[bytes], bytes | None]
GOOD = "193.0.0.1"
COOKIE = b"server-cookie-16"


async def _no_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def is_mixed(packet: bytes) -> bool:
    return qname_of(packet) != lower(qname_of(packet))


def denied(packet: bytes, rcode_: int = codes.NXDOMAIN) -> bytes:
    """A denial with the SOA of ``shop``."""
    out = dns.message.make_response(dns.message.from_wire(packet))
    out.flags |= dns.flags.AA | dns.flags.RA
    out.authority += reply_to(dns.message.from_wire(packet), authority="shop. 300 SOA a. b. 1 1 1 1 300").authority
    return bytes([*out.to_wire()[:3], 0x80 | rcode_, *out.to_wire()[4:]])


def empty(packet: bytes, flags: int) -> bytes:
    """NOERROR and nothing else."""
    return packet[:2] + (codes.QR | flags).to_bytes(2) + b"\0\1" + bytes(6) + question_of(packet)


def with_cookie(packet: bytes, server: bytes = COOKIE, rcode_: int = codes.NOERROR) -> bytes:
    return answer(packet, cookie=cookie_of(packet)[:8] + server, rcode=rcode_)


def without_opt(packet: bytes, rcode_: int) -> bytes:
    return answer(packet[:11] + b"\0" + packet[12:], rcode=rcode_)


LETTERS: dict[str, Handler] = {
    "lower-cases": lambda packet: lower_case(packet),
    "denies mixed letters": lambda packet: denied(packet) if is_mixed(packet) else answer(packet),
    "is empty for mixed letters": lambda packet: denied(packet, 0) if is_mixed(packet) else answer(packet),
    "is empty without SOA": lambda packet: empty(packet, codes.AA) if is_mixed(packet) else answer(packet),
    "is empty without SOA and AA": lambda packet: empty(packet, codes.RA) if is_mixed(packet) else answer(packet),
    "refuses mixed letters": lambda packet: answer(packet, rcode=codes.REFUSED) if is_mixed(packet) else answer(packet),
    "SERVFAIL for mixed letters": lambda packet: answer(packet, rcode=codes.SERVFAIL) if is_mixed(packet) else answer(packet),
    "FORMERR for mixed letters": lambda packet: answer(packet, rcode=codes.FORMERR) if is_mixed(packet) else answer(packet),
    "NOTIMP for mixed letters": lambda packet: answer(packet, rcode=codes.NOTIMP) if is_mixed(packet) else answer(packet),
}
COOKIES: dict[str, Handler] = {
    "drops cookies": lambda packet: None if cookie_of(packet) else answer(packet),
    "FORMERR with OPT for cookies": lambda packet: answer(packet, rcode=codes.FORMERR if cookie_of(packet) else 0),
    "FORMERR without OPT for cookies": lambda packet: without_opt(packet, codes.FORMERR) if cookie_of(packet) else answer(packet),
    "somebody else's cookie": lambda packet: answer(packet, cookie=b"somebody" + COOKIE if cookie_of(packet) else None),
    "BADCOOKIE always": lambda packet: with_cookie(packet, rcode_=codes.BADCOOKIE) if cookie_of(packet) else answer(packet),
    "BADCOOKIE without cookie": lambda packet: answer(packet, rcode=codes.BADCOOKIE if cookie_of(packet) else 0),
    "FORMERR without OPT for cookies, TC without EDNS": lambda packet: (
        without_opt(packet, codes.FORMERR)
        if cookie_of(packet)
        else answer(packet)
        if packet[11]
        else answer(packet, flags=codes.QR | codes.TC)
    ),
}


def counted(packet: bytes, *more: int) -> bytes:
    """The right answer, with so many records more announced than there are (answer, authority, additional)."""
    out = bytearray(answer(packet))
    for at, extra in zip((7, 9, 11), more, strict=True):
        out[at] += extra
    return bytes(out)


def behind(packet: bytes, records: bytes, count: int = 1) -> bytes:
    """The right answer with more in its additional section."""
    out = bytearray(answer(packet) + records)
    out[11] += count
    return bytes(out)


BAD_A = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3"
NS_NOWHERE = b"\0\0\2\0\1\0\0\0\x3c\0\2\xff\xff"
FRAMING: dict[str, Handler] = {
    "a second OPT": lambda packet: behind(packet, OPT + b"\x04\xd0" + bytes(6)),
    "an OPT with a name": lambda packet: answer(packet[:11] + b"\0" + packet[12:])[:11]
    + b"\1"
    + answer(packet[:11] + b"\0" + packet[12:])[12:]
    + b"\xc0\x0c"
    + OPT[1:]
    + b"\x04\xd0"
    + bytes(6),
    "an option that runs past OPT": lambda packet: answer(packet)[:-2] + b"\0\6\0\x0f\0\x63xx",
    "one answer too many": lambda packet: counted(packet, 1, 0, 0),
    "one answer too many, nothing behind": lambda packet: counted(packet[:11] + b"\0" + packet[12:], 1, 0, 0),
    "one authority too many": lambda packet: counted(packet, 0, 1, 0),
    "one additional too many": lambda packet: counted(packet, 0, 0, 1),
    "a bad address in additional": lambda packet: behind(packet, BAD_A),
    "a bad name in additional": lambda packet: behind(packet, NS_NOWHERE),
    "rubbish behind": lambda packet: answer(packet) + b"rubbish",
    "longer than announced": lambda packet: answer(packet, size=1400),
}
ODD = {**LETTERS, **COOKIES, **FRAMING}


@asynccontextmanager
async def resolving(
    folder: Path, handler: Handler, tcp: Tcp, forward: bool, zones: tuple[str, ...] = ("shop",)
) -> AsyncIterator[tuple[Authority, Stack]]:
    """A resolver whose `zones` are on such a server."""

    def udp(packet: bytes) -> list[bytes]:
        said = handler(packet)
        return [] if said is None else [said]

    exchange = OutsideNetwork()
    async with Authority(udp, tcp) as authority:
        servers = (Server(IPv4Address(HOST), authority.port),)
        kind, routed = ("forward", Forward) if forward else ("stub", Stub)
        route = {kind: tuple(routed(zone, servers) for zone in zones)}
        resolver = {"ipv6": False, "qname_minimisation": False, **route}
        hints = root_hints(folder, "k.root-servers.net", ["198.41.0.4"])
        stack = Stack(settings(hints, resolver=resolver), exchange, SystemClock(), 1)
        try:
            yield authority, stack
        finally:
            await stack.aclose()
            await exchange.aclose()


async def ask(stack: Stack, name: str) -> Message:
    data = await stack.ask(dns.message.make_query(name, "A", use_edns=0).to_wire(), udp=False)
    assert data is not None
    return dns.message.from_wire(data)


@pytest.mark.parametrize("forward", [False, True], ids=["server", "forwarder"])
@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
@pytest.mark.parametrize("oddity", ODD)
async def test_what_odd_servers_know_is_found_and_how_to_ask_them_remembered(
    oddity: str, tcp: bool, forward: bool, tmp_path: Path
) -> None:
    handler = ODD[oddity]
    # Over TCP there are no mixed letters; cookies are what they are over UDP.
    stream = replying(lambda packet: handler(packet) or answer(packet)) if tcp and "TC" not in oddity else _no_tcp
    async with resolving(tmp_path, handler, stream, forward) as (authority, stack):
        counts = []
        for name in ("one.provider.shop", "two.provider.shop", "three.provider.shop"):
            before = len(authority.seen)
            reply = await ask(stack, name)
            assert addresses(reply) == [GOOD], f"{name}: {rcode(reply)}"
            counts.append(len(authority.seen) - before)
        assert max(counts) <= bounds.SENDS_PER_SERVER
        assert counts[-1] == 1, "two questions have told what it copes with"
        if oddity in COOKIES:
            if oddity != "FORMERR without OPT for cookies":
                assert authority.seen[-1][11] == 1, "EDNS is not given up with the cookie"
            assert cookie_of(authority.seen[-1]) == b""
        elif oddity in LETTERS:
            assert not is_mixed(authority.seen[-1])
        else:
            assert is_mixed(authority.seen[-1])


@pytest.mark.parametrize("forward", [False, True], ids=["server", "forwarder"])
@pytest.mark.parametrize("oddity", LETTERS)
async def test_a_name_without_letters_proves_nothing_of_them(oddity: str, forward: bool, tmp_path: Path) -> None:
    """Nor does a short one of whose letters chance has turned none."""
    async with resolving(tmp_path, LETTERS[oddity], _no_tcp, forward, zones=("1", "shop")) as (authority, stack):
        assert addresses(await ask(stack, "7.1")) == [GOOD]
        assert len(authority.seen) == 1
        for name in ("one.provider.shop", "two.provider.shop", "three.provider.shop"):
            assert addresses(await ask(stack, name)) == [GOOD]


async def test_letters_that_chance_has_not_turned_prove_nothing() -> None:
    exchange, plain = OutsideNetwork(), set()
    async with Authority() as authority:
        for _ in range(100):
            done: asyncio.Future[Reply | Exception] = asyncio.get_running_loop().create_future()
            exchange.start(authority.ask("x.1", random_case=True), done.set_result)
            reply = await done
            assert isinstance(reply, Reply)
            assert reply.plain_letters is not is_mixed(authority.seen[-1])
            plain.add(reply.plain_letters)
        await exchange.aclose()
    assert plain == {False, True}


@pytest.mark.parametrize("soa", [True, False])
@pytest.mark.parametrize("forward", [False, True], ids=["server", "forwarder"])
async def test_a_sound_server_is_asked_about_its_first_denial_twice_and_never_again(
    forward: bool, soa: bool, tmp_path: Path
) -> None:
    """Every question counts where a list has a quota; forwarders like dnsmasq deny without SOA."""
    deny = denied if soa else lambda packet: answer(packet, rcode=codes.NXDOMAIN)
    async with resolving(tmp_path, deny, _no_tcp, forward) as (authority, stack):
        for name in ("one.of.many.domains.bl.shop", "two.of.many.domains.bl.shop", "another.domain.bl.shop"):
            assert rcode(await ask(stack, name)) == "NXDOMAIN"
        assert [is_mixed(packet) for packet in authority.seen] == [True, False, True, True]


@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
async def test_a_server_that_has_done_with_cookies(tcp: bool, tmp_path: Path) -> None:
    gone = False
    stream = replying(answer) if tcp else _no_tcp
    async with resolving(tmp_path, lambda packet: answer(packet) if gone else with_cookie(packet), stream, False) as (_, stack):
        assert addresses(await ask(stack, "one.shop")) == [GOOD]
        gone = True
        for name in ("two.shop", "three.shop", "four.shop"):
            assert addresses(await ask(stack, name)) == [GOOD]


# -- the mirror ------------------------------------------------------------------------------------------------------------

EVIL = "6.6.6.6"


def sound_server(folder: Path, attack: Callable[[Message, Ask], Message | Failed | None], tcp: bool) -> ScriptedResolver:
    """A resolver whose zone ``shop`` is on a sound server, beside somebody who is quicker where `attack` says something."""
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "\n".join(f"h{n} A {GOOD}" for n in range(9)))

    def handler(query: Message, asked: Ask) -> Message | Failed:
        if asked.transport is not Transport.UDP:
            return zone(query, asked) if tcp else Failed.UNREACHABLE
        return attack(query, asked) or zone(query, asked)

    net.serve("45.1.0.1", handler)
    return ScriptedResolver(net, folder, qname_minimisation=False)


def forged(query: Message) -> Message:
    return reply_to(query, answer=f"{query.question[0].name} A {EVIL}")


@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
@virtual
async def test_one_forged_answer_to_plain_letters_makes_nothing_of_a_denial(tcp: bool, tmp_path: Path) -> None:
    left = 1

    def attack(query: Message, asked: Ask) -> Message | None:
        nonlocal left
        if asked.random_case or not left:
            return None
        left -= 1
        return forged(query)

    resolver = sound_server(tmp_path, attack, tcp)
    assert rcode(await resolver.ask("nobody.shop")) == "NXDOMAIN"
    assert left == 0, "he has been quicker"
    able, now = resolver.parts.infra.capabilities, resolver.clock.monotonic()
    assert able.may_use(IPv4Address("45.1.0.1"), Feature.CASE, now)
    assert rcode(await resolver.ask("none.shop")) == "NXDOMAIN"
    assert resolver.net.asked[-1].random_case


@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
@pytest.mark.parametrize("oddity", [Failed.CASE_MISMATCH, Failed.COOKIE, "FORMERR", "BADVERS"])
@virtual
async def test_one_forged_oddity_gives_nothing_up(oddity: Failed | str, tcp: bool, tmp_path: Path) -> None:
    """What is tolerated for the one question that it was forged for is asked of the next in full again."""
    left = 0

    def attack(query: Message, asked: Ask) -> Message | Failed | None:
        nonlocal left
        if not left:
            return None
        left -= 1
        return oddity if isinstance(oddity, Failed) else reply_to(query, rcode=oddity)

    resolver = sound_server(tmp_path, attack, tcp)
    resolver.net.with_cookies.add("45.1.0.1")
    assert addresses(await resolver.ask("h0.shop")) == [GOOD]
    for number in range(1, 7, 2):
        left = 1
        assert addresses(await resolver.ask(f"h{number}.shop")) == [GOOD]
        assert left == 0
        assert addresses(await resolver.ask(f"h{number + 1}.shop")) == [GOOD]
        last = resolver.net.asked[-1]
        assert (last.transport, last.random_case, last.cookie, last.edns_size) == (Transport.UDP, True, True, 1232)


@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
@pytest.mark.parametrize("forgery", ["without cookie", "with a wrong cookie"])
async def test_whoever_lacks_the_cookie_is_not_believed_of_a_server_that_has_them(
    forgery: str, tcp: bool, tmp_path: Path
) -> None:
    evil = 0

    def handler(packet: bytes) -> bytes:
        nonlocal evil
        if not evil:
            return with_cookie(packet) if cookie_of(packet) else answer(packet)
        evil -= 1
        return answer(packet, cookie=None if forgery == "without cookie" else b"badbadba" + COOKIE, address=EVIL)

    async with resolving(tmp_path, handler, replying(with_cookie) if tcp else _no_tcp, False) as (authority, stack):
        assert addresses(await ask(stack, "one.shop")) == [GOOD]
        for name in ("two.shop", "four.shop"):
            evil = 1
            assert addresses(await ask(stack, name)) == [GOOD]
            assert evil == 0
            assert addresses(await ask(stack, f"a.{name}")) == [GOOD]
            assert len(cookie_of(authority.seen[-1])) == 24, "nor are cookies given up for it"


async def test_silence_is_no_way_around_cookies(tmp_path: Path) -> None:
    """Who floods a server so that it drops our questions does not get us to ask without the cookie."""
    silent = False

    def handler(packet: bytes) -> bytes | None:
        return None if silent else with_cookie(packet)

    async with resolving(tmp_path, handler, _no_tcp, False) as (authority, stack):
        assert addresses(await ask(stack, "one.shop")) == [GOOD]
        silent, before = True, len(authority.seen)
        assert rcode(await ask(stack, "two.shop")) == "SERVFAIL"
        assert len(authority.seen) - before == bounds.SENDS_PER_SERVER
        assert all(cookie_of(packet) for packet in authority.seen)


# -- damaged answers -------------------------------------------------------------------------------------------------------


def half_of(reply: Message) -> bytes:
    """Cut in the middle of the last record of the answer, without TC."""
    reply.use_edns(-1)
    reply.authority.clear()
    return reply.to_wire()[:-3]


@pytest.mark.parametrize("tcp", [False, True], ids=["without TCP", "with TCP"])
@virtual
async def test_half_an_answer_is_asked_for_over_tcp_and_else_told_but_no_finding(tcp: bool, tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, f"www A {GOOD}\nwww A 193.0.0.2")

    def handler(query: Message, asked: Ask) -> Message | bytes | Failed:
        if asked.transport is Transport.UDP:
            return half_of(zone(query, asked)) if asked.qname == from_text("www.shop") else zone(query, asked)
        return zone(query, asked) if tcp else Failed.UNREACHABLE

    net.serve("45.1.0.1", handler)
    resolver = ScriptedResolver(net, tmp_path)
    reply = await resolver.ask("www.shop")
    answer_ = await resolver.parts.resolve.resolve(from_text("www.shop"), codes.A)
    if tcp:
        assert addresses(reply) == [GOOD, "193.0.0.2"]
        assert answer_.definite
    else:
        assert addresses(reply) in ([GOOD], ["193.0.0.2"])
        assert reply.answer[0].ttl <= bounds.DAMAGED_TTL
        assert not answer_.definite, "there may be more than could be read"


DENIALS: dict[str, Callable[[Message], Message]] = {
    "NXDOMAIN": lambda query: reply_to(query, "x.shop A 1.1.1.1", rcode="NXDOMAIN"),
    "NODATA": lambda query: reply_to(query, "x.shop A 1.1.1.1"),
}


@pytest.mark.parametrize("denial", DENIALS)
@pytest.mark.parametrize("tcp", [None, "cut", "damaged"])
@virtual
async def test_what_could_not_be_read_denies_nothing(denial: str, tcp: str | None, tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"})

    def handler(query: Message, asked: Ask) -> Message | bytes | Failed:
        if query.question[0].name.to_text().lower() != "www.shop.":
            return zone(query, asked)
        if asked.transport is Transport.TCP and tcp is None:
            return Failed.UNREACHABLE
        if asked.transport is Transport.TCP and tcp == "cut":
            out = reply_to(query)
            out.flags |= dns.flags.TC
            return out
        return half_of(DENIALS[denial](query))

    net.serve("45.1.0.1", handler)
    resolver = ScriptedResolver(net, tmp_path)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"


# -- bounds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("R-10")
@virtual
async def test_bad_cookie_costs_no_more_packets_than_anything_else(tmp_path: Path) -> None:
    """Each question that BADCOOKIE brings about is an exchange of its own (`test_cookies`), and counts."""
    net, packets = Net(), 0

    def bad(query: Message, asked: Ask) -> Message:
        nonlocal packets
        packets += 1
        return reply_to(query, rcode="BADCOOKIE")

    net.zone("shop", {f"ns{n}.shop": f"45.1.0.{n}" for n in range(30)})
    for n in range(30):
        net.serve(f"45.1.0.{n}", bad)
    resolver = ScriptedResolver(net, tmp_path)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"
    await resolver.settle()
    assert packets <= bounds.MAX_QUERIES
    assert len(net.asked) <= bounds.MAX_QUERIES
