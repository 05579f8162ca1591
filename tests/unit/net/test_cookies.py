"""DNS cookies towards servers, over real sockets: what a forger would have to know, and servers that forget or insist."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from authority import Authority, answer, cookie_of, replying

from resolverd import bounds
from resolverd.net.cookies import OPTION, Cookies, CookieStatus
from resolverd.wire import codes
from resolverd.wire.ask import Failed, Transport
from resolverd.wire.message import Edns, Message
from tests.networks import Awaited

SERVER_COOKIE = b"server-cookie-16"
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")


@pytest.fixture
async def exchange() -> AsyncIterator[Awaited]:
    out = Awaited()
    yield out
    await out.aclose()


def with_cookie(packet: bytes, server: bytes = SERVER_COOKIE, rcode: int = codes.NOERROR) -> bytes:
    return answer(packet, cookie=cookie_of(packet)[:8] + server, rcode=rcode)


def forged(packet: bytes) -> bytes:
    return answer(packet, cookie=b"badbadba" + SERVER_COOKIE, address="6.6.6.6")


async def test_the_servers_cookie_is_given_back(exchange: Awaited) -> None:
    async with Authority(lambda packet: [with_cookie(packet)]) as authority:
        for _ in range(3):
            assert (await exchange.exchange(authority.ask())).message is not None
        first, *later = map(cookie_of, authority.seen)
    assert len(first) == 8
    assert later == [first + SERVER_COOKIE] * 2


@pytest.mark.attack("R-10")
async def test_a_wrong_client_cookie_is_forged(exchange: Awaited) -> None:
    async with Authority(lambda packet: [forged(packet)]) as authority:
        assert (await exchange.exchange(authority.ask())).failed is Failed.COOKIE


@pytest.mark.attack("R-10")
@pytest.mark.parametrize("strip", [lambda packet: answer(packet), lambda packet: answer(packet[:11] + b"\0" + packet[12:])])
async def test_no_cookie_from_a_server_that_has_one_is_forged_until_tcp_says_otherwise(exchange: Awaited, strip: object) -> None:
    forgets = False

    def udp(packet: bytes) -> list[bytes]:
        return [strip(packet) if forgets else with_cookie(packet)]  # type: ignore[operator]

    async with Authority(udp, tcp=replying(answer)) as authority:
        assert (await exchange.exchange(authority.ask())).message is not None
        forgets = True
        assert (await exchange.exchange(authority.ask())).failed is Failed.COOKIE
        assert (await exchange.exchange(authority.ask())).failed is Failed.COOKIE
        assert (await exchange.exchange(authority.ask(transport=Transport.TCP))).message is not None
        assert (await exchange.exchange(authority.ask())).message is not None
        assert len(cookie_of(authority.seen[-1])) == 8


@pytest.mark.attack("R-10")
async def test_the_cookie_of_bad_cookie_goes_with_the_next_question(exchange: Awaited) -> None:
    def udp(packet: bytes) -> list[bytes]:
        return [with_cookie(packet, rcode=codes.NOERROR if SERVER_COOKIE in cookie_of(packet) else codes.BADCOOKIE)]

    async with Authority(udp) as authority:
        for expected in (codes.BADCOOKIE, codes.NOERROR):
            reply = await exchange.exchange(authority.ask())
            assert reply.message is not None
            assert (reply.message.rcode, reply.cookie, reply.sent) == (expected, True, 1), "whoever counts, counts it"


async def test_a_question_may_go_without_a_cookie(exchange: Awaited) -> None:
    async with Authority(lambda packet: [with_cookie(packet) if cookie_of(packet) else answer(packet)]) as authority:
        assert (await exchange.exchange(authority.ask())).cookie
        reply = await exchange.exchange(authority.ask(cookie=False))
        assert reply.message is not None
        assert not reply.cookie
        assert authority.seen[-1][11] == 1, "EDNS is another matter"


async def test_without_edns_there_are_no_cookies(exchange: Awaited) -> None:
    async with Authority(lambda packet: [with_cookie(packet) if packet[11] else answer(packet)]) as authority:
        assert (await exchange.exchange(authority.ask())).message is not None
        assert (await exchange.exchange(authority.ask(edns_size=0))).message is not None
        assert cookie_of(authority.seen[-1]) == b""


def message(data: bytes | None, rcode: int = 0) -> Message:
    edns = None if data is None else Edns(1232, options=((OPTION, data),) if data else ())
    return Message(1, 0x8400, rcode, b"\0", 1, 1, (), (), (), edns)


def test_client_cookies_tell_servers_and_sources_apart() -> None:
    cookies = Cookies()
    asked = {cookies.option(server, source) for server in (A, B) for source in (None, A, B)}
    assert len(asked) == 6
    assert cookies.option(A, None) == cookies.option(A, None)
    assert cookies.option(A, None) != Cookies().option(A, None)


def test_a_server_cookie_goes_back_from_the_address_that_got_it() -> None:
    cookies = Cookies()
    ours = cookies.option(A, B)
    assert cookies.check(A, B, message(ours + SERVER_COOKIE)) is CookieStatus.OURS
    assert cookies.option(A, B) == ours + SERVER_COOKIE
    assert len(cookies.option(A, None)) == 8


@pytest.mark.parametrize("length", [1, 7, 33, 40])
def test_server_cookies_of_impossible_length_are_not_kept(length: int) -> None:
    cookies = Cookies()
    ours = cookies.option(A, None)
    assert cookies.check(A, None, message(ours + b"x" * length)) is CookieStatus.OURS
    assert cookies.option(A, None) == ours


def test_cookies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_SERVERS", 100)
    cookies = Cookies()
    for number in range(300):
        server = IPv4Address(0x01000000 + number)
        cookies.check(server, None, message(cookies.option(server, None) + SERVER_COOKIE))
    assert len(cookies._server) == 100
    assert len(cookies.option(server, None)) == 24
