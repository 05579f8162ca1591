"""Server cookies (RFC 7873, RFC 9018): the RFC's own examples, their time, and what a cookie is good for."""

from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest
from scriptednet import ScriptedResolver, addresses
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.dnsbl.quota import Allowance
from resolverd.servers.access import AccessControl
from resolverd.servers.dns import cookies
from resolverd.servers.dns import udp as dns_udp
from resolverd.servers.dns.cookies import ServerCookies
from resolverd.servers.dns.siphash import siphash24
from resolverd.wire import codes
from tests.unit.servers.test_conformance import CLIENT_COOKIE, COOKIE, Reply, opt, packet, shop
from tests.unit.servers.test_dns import received, udp_edge

HERE = ip_address("127.0.0.1").packed


def test_siphash() -> None:
    """Appendix A of the paper."""
    assert siphash24(bytes(range(16)), bytes(range(15))) == (0xA129CA6149BE45E5).to_bytes(8, "little")


class At(VirtualClock):
    def __init__(self, wall: float):
        self.time = wall

    def wall(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("client", "secret", "cookie", "made"),
    [
        ("198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985),
        ("203.0.113.203", "e5e973e5a6b2a43f48e7dc849e37bfcf", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559727985),
        ("2001:db8:220:1:59de:d0f4:8769:82b8", "dd3bdf9344b678b185a6f5cb60fca715",
         "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741817),
    ],
)  # fmt: skip
def test_the_examples_of_rfc_9018(client: str, secret: str, cookie: str, made: int) -> None:
    clock, address, given = At(made), ip_address(client).packed, bytes.fromhex(cookie)
    ours = ServerCookies(clock, bytes.fromhex(secret))
    assert ours.is_ours(given, address)
    assert ours.reply(given, address) == given
    if given[9:12] == bytes(3):
        assert ours.reply(given[:8], address) == given
    assert not ours.is_ours(given, HERE), "nobody else's address"
    for at in range(len(given)):
        other = given[:at] + bytes((given[at] ^ 1,)) + given[at + 1 :]
        assert not ours.is_ours(other, address), f"octet {at}"


def test_a_cookie_has_its_time() -> None:
    clock = At(1_800_000_000)
    ours = ServerCookies(clock)
    first = ours.reply(CLIENT_COOKIE, HERE)
    for later, valid, same in (
        (0, True, True),
        (bounds.COOKIE_LIFETIME / 2 - 1, True, True),
        (bounds.COOKIE_LIFETIME / 2, True, False),
        (bounds.COOKIE_LIFETIME, True, False),
        (bounds.COOKIE_LIFETIME + 1, False, False),
        (-bounds.COOKIE_AHEAD, True, True),
        (-bounds.COOKIE_AHEAD - 1, False, False),
    ):
        clock.time = 1_800_000_000 + later
        assert (ours.is_ours(first, HERE), ours.reply(first, HERE) == first) == (valid, same), later


def test_a_change_of_the_secret_costs_nobody_his_cookie() -> None:
    clock = At(1_800_000_000)
    ours = ServerCookies(clock)
    clock.time += bounds.COOKIE_SECRET - 60
    before = ours.reply(CLIENT_COOKIE, HERE)
    clock.time += 120
    assert ours.is_ours(before, HERE)
    after = ours.reply(CLIENT_COOKIE, HERE)
    clock.time += bounds.COOKIE_LIFETIME - 60
    assert ours.is_ours(after, HERE)
    other = ServerCookies(clock, ours._before)
    assert ours.is_ours(other.reply(CLIENT_COOKIE, HERE), HERE)
    clock.time += 120
    assert not ours.is_ours(other.reply(CLIENT_COOKIE, HERE), HERE), "a secret that is given up counts no more"


@pytest.mark.attack("R-29")
@virtual
async def test_who_shows_a_cookie_has_a_rate_of_his_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever spoofs addresses of a network spends the network's rate, and not that of who can be told from him."""
    monkeypatch.setattr(dns_udp, "is_loopback", lambda host: False)
    monkeypatch.setattr(IPv4Address, "is_loopback", False)  # this machine has no rate
    resolver = ScriptedResolver(shop(), tmp_path)
    responder = resolver.stack.responder
    responder.access = AccessControl([ip_network("127.0.0.0/8")], Allowance(5, 100_000.0))
    await resolver.ask("www.shop")
    async with udp_edge(resolver) as (edge, client):

        async def asked(sent: bytes, count: int = 1) -> list[Reply]:
            for _ in range(count):
                client.sendto(sent, edge.address)
            return [Reply(each) for each in await received(client)]

        with_client_cookie = packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE)))
        (first,) = await asked(with_client_cookie)
        proven = packet(edns=opt(1232, 0, 0, (COOKIE, first.options[COOKIE])))
        assert len(await asked(packet(), 50)) <= 5, "the network's rate is spent"
        assert await asked(packet()) == []
        (told,) = await asked(with_client_cookie)
        assert told.message.rcode() == codes.BADCOOKIE
        assert told.options[COOKIE][:8] == CLIENT_COOKIE
        assert not told.message.answer
        assert len(told.octets) <= len(with_client_cookie) + 16
        (answer,) = await asked(packet(edns=opt(1232, 0, 0, (COOKIE, told.options[COOKIE]))))
        assert addresses(answer.message) == ["193.0.0.1"]
        stolen = packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE + bytes(16))))
        assert {reply.message.rcode() for reply in await asked(stolen)} <= {codes.BADCOOKIE}
        assert len(await asked(proven, 50)) <= 5, "and that is a rate too"
        assert await asked(packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE + b"x")))) == []
        counted = {name: value for name, labels, value in responder.counters.snapshot() if not labels}
        assert counted["dns_limited"] > 80


@virtual
async def test_a_question_that_has_to_wait_costs_one_cookie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[bytes]()
    monkeypatch.setattr(cookies, "siphash24", lambda secret, data: made.append(data) or siphash24(secret, data))
    resolver = ScriptedResolver(shop(), tmp_path)
    reply = await resolver.stack.ask(packet(edns=opt(1232, 0, 0, (COOKIE, CLIENT_COOKIE))))
    assert reply is not None
    assert addresses(Reply(reply).message) == ["193.0.0.1"]
    assert Reply(reply).options[COOKIE][:8] == CLIENT_COOKIE
    assert len(made) == 1
