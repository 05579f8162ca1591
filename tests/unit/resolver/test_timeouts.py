"""Timeouts on the wire: answers that are late, packets that are lost, servers that are dead, and what all of it costs.

What an attacker gains by an answer that counts for longer: nothing. It has to have the port, ID and letters of the packet, whose
repetition is the same packet, and the first wrong guess moves the question to TCP (`test_exchange`).
"""

import asyncio
from ipaddress import ip_address
from pathlib import Path
from random import Random

import pytest
from scriptednet import Handler, Late, Net, ScriptedResolver, Zone, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Forward
from resolverd.resolver.mesh import Timeouts
from resolverd.wire.ask import Failed, Server, Transport
from resolverd.wire.names import Name, from_text

FIRST, SECOND = "45.1.0.1", "45.1.0.2"
NAMES = "\n".join(f"{name} 300 A 193.0.0.1" for name in ("www", "slow", *(f"w{number}" for number in range(200))))


def silent(query: object, ask: object) -> Failed:
    return Failed.TIMEOUT


def shop(net: Net, *servers: str) -> Zone:
    return net.zone("shop", {f"ns{number}.shop": address for number, address in enumerate(servers, 1)}, NAMES)


def slow_at_times(zone: Zone, seconds: float, name: str = "slow.shop.") -> Handler:
    """Quick, but for one name."""
    return lambda query, ask: Late(seconds if query.question[0].name.to_text() == name else 0.01, zone(query, ask))


async def timed(resolver: ScriptedResolver, name: str) -> tuple[float, list[str]]:
    begun = resolver.clock.monotonic()
    found = addresses(await resolver.ask(name))
    return resolver.clock.monotonic() - begun, found


async def warm(resolver: ScriptedResolver, number: int = 8) -> None:
    for each in range(number):
        assert addresses(await resolver.ask(f"w{each}.shop")) == ["193.0.0.1"]


def sent(net: Net, name: str, address: str = "") -> int:
    return sum(each == f"{name}." for each, _ in net.names(address))


# -- slow now and then -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.15, 0.5, 0.9, 1.5, 2.5, 3.8])
@pytest.mark.parametrize("servers", [(FIRST,), (FIRST, SECOND)])
@virtual
async def test_an_answer_within_the_clients_time_is_an_answer(seconds: float, servers: tuple[str, ...], tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, *servers)
    for each in servers:
        net.serve(each, slow_at_times(zone, seconds))
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took == pytest.approx(seconds, abs=0.01)
    assert sent(net, "slow.shop") <= bounds.SENDS_PER_SERVER * len(servers)
    assert net.doubled == [], "one port and one ID for a question to a server, however often it leaves"


@virtual
async def test_what_comes_too_late_for_the_client_is_there_for_the_next(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST)
    net.serve(FIRST, slow_at_times(zone, 6.0))
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    took, found = await timed(resolver, "slow.shop")
    assert (took, found) == (pytest.approx(Timeouts().client), [])
    await asyncio.sleep(6.1 - took)
    asked = len(net.asked)
    assert addresses(await resolver.ask("slow.shop")) == ["193.0.0.1"]
    assert len(net.asked) == asked


@virtual
async def test_whoever_is_always_slow_is_asked_once(tmp_path: Path) -> None:
    # Its first answers come after the question has been repeated, so that nobody knows to which copy (RFC 6298 §3).
    net = Net()
    zone = shop(net, FIRST)
    net.serve(FIRST, lambda query, ask: Late(1.1, zone(query, ask)))
    resolver = ScriptedResolver(net, tmp_path)
    for each in range(6):
        took, found = await timed(resolver, f"w{each}.shop")
        assert found == ["193.0.0.1"]
        assert took < 1.2
    assert [sent(net, f"w{each}.shop") for each in range(2, 6)] == [1] * 4


@virtual
async def test_how_long_it_took_is_learnt_though_another_has_answered(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    net.serve(FIRST, lambda query, ask: Late(0.9, zone(query, ask)))
    resolver = ScriptedResolver(net, tmp_path)
    for each in range(40):
        assert addresses(await resolver.ask(f"w{each}.shop")) == ["193.0.0.1"]
        await asyncio.sleep(1)
    servers = resolver.parts.infra
    (slow,) = {ask.server for ask in net.asked if str(ask.server.address) == FIRST}
    assert not servers.last_timed_out(slow, resolver.clock.monotonic())
    assert servers.expected(slow, resolver.clock.monotonic()) == pytest.approx(0.9)


@virtual
async def test_replies_that_nobody_needs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LATE_REPLIES", 5)
    net = Net()
    zone = shop(net, FIRST, SECOND)
    # Whoever is asked first is silent, and the other answers.
    asked: set[Name] = set()

    def handler(query: object, ask):  # type: ignore[no-untyped-def]
        if ask.qname in asked:
            return zone(query, ask)  # type: ignore[arg-type]
        asked.add(ask.qname)
        return Failed.TIMEOUT

    net.serve(FIRST, handler)
    net.serve(SECOND, handler)
    resolver = ScriptedResolver(net, tmp_path)
    replies = await asyncio.gather(*(resolver.ask(f"w{each}.shop") for each in range(50)))
    assert all(addresses(reply) == ["193.0.0.1"] for reply in replies)
    assert sum(net.under_way.values()) <= 5
    await asyncio.sleep(bounds.RECURSION_TIME)
    assert sum(net.under_way.values()) == 0


# -- forwarders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "copies"), [(0.05, 1), (0.5, 1), (0.95, 1), (2.0, 2), (3.5, 3)])
@virtual
async def test_a_forwarder_is_given_time_for_its_recursion(seconds: float, copies: int, tmp_path: Path) -> None:
    net = Net()
    zone = Zone(".", "\n".join(f"{line.replace(' ', '.shop. ', 1)}" for line in NAMES.splitlines()))
    net.serve("9.9.9.9", slow_at_times(zone, seconds))
    resolver = ScriptedResolver(net, tmp_path, forward=(Forward(zone=".", servers=(Server(ip_address("9.9.9.9")),)),))
    await warm(resolver)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took == pytest.approx(seconds, abs=0.01)
    assert sent(net, "slow.shop") == copies


@virtual
async def test_whoever_always_loses_the_first_packet_costs_little_time(tmp_path: Path) -> None:
    # As firewalls do. What comes just behind the second packet is the answer to that.
    net = Net()
    zone = shop(net, FIRST)
    seen: set[Name] = set()

    def handler(query, ask):  # type: ignore[no-untyped-def]
        known = ask.qname in seen
        seen.add(ask.qname)
        return zone(query, ask) if known else Failed.TIMEOUT

    net.serve(FIRST, handler)
    resolver = ScriptedResolver(net, tmp_path)
    times = [(await timed(resolver, f"w{each}.shop"))[0] for each in range(20)]
    assert times[0] < bounds.FIRST_TIMEOUT + 0.05
    assert max(times[1:]) < 0.25


# -- lost packets, dead servers ----------------------------------------------------------------------------------------------


def losing(zone: Zone, pattern: list[bool]) -> Handler:
    """Loses packets for `slow.shop` by a pattern, and no other."""
    left = iter(pattern)

    def handler(query, ask):  # type: ignore[no-untyped-def]
        lost = query.question[0].name.to_text() == "slow.shop." and next(left, False)
        return Failed.TIMEOUT if lost else zone(query, ask)

    return handler


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("lost", "most"), [([True], 0.2), ([True, True], 0.5)])
@pytest.mark.parametrize("known", [True, False])
@virtual
async def test_one_of_two_is_dead_and_the_other_loses_a_packet(
    seed: int, lost: list[bool], most: float, known: bool, tmp_path: Path
) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    net.serve(FIRST, silent)
    net.serve(SECOND, losing(zone, lost))
    resolver = ScriptedResolver(net, tmp_path, seed=seed)
    await warm(resolver, 8 if known else 1)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took < (most if known else most + bounds.FIRST_TIMEOUT + 0.01)
    assert sent(net, "slow.shop", SECOND) == len(lost) + 1


@pytest.mark.parametrize("seconds", [0.2, 0.5])
@virtual
async def test_one_of_two_is_dead_and_the_other_is_slow_once(seconds: float, tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    net.serve(FIRST, silent)
    net.serve(SECOND, slow_at_times(zone, seconds))
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took == pytest.approx(seconds, abs=0.01)


@virtual
async def test_no_failure_after_a_moment(tmp_path: Path) -> None:
    # One server that has answered and falls silent: the client is not sent away before its time.
    net = Net()
    shop(net, FIRST, SECOND)
    net.serve(FIRST, silent)
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    net.serve(SECOND, silent)
    took, found = await timed(resolver, "w100.shop")
    assert (took, found) == (pytest.approx(Timeouts().client), [])
    assert sent(net, "w100.shop", SECOND) == bounds.SENDS_PER_SERVER


@virtual
async def test_how_quick_a_stranger_is_need_not_be_waited_for_twice(tmp_path: Path) -> None:
    # One of many first questions to a server gets lost: the answers to the others tell how long it is worth waiting.
    net = Net(rtt=0.02)
    zone = shop(net, FIRST)
    net.serve(FIRST, losing(zone, [True]))
    resolver = ScriptedResolver(net, tmp_path)
    results = await asyncio.gather(timed(resolver, "slow.shop"), *(timed(resolver, f"w{number}.shop") for number in range(10)))
    assert all(found == ["193.0.0.1"] for _, found in results)
    assert results[0][0] < 0.2


@pytest.mark.parametrize("servers", [(FIRST,), (FIRST, SECOND)])
@pytest.mark.parametrize("loss", [0.05, 0.2])
@virtual
async def test_loss(servers: tuple[str, ...], loss: float, tmp_path: Path) -> None:
    net = Net(rtt=0.05)
    zone = shop(net, *servers)
    rng = Random(7)
    for each in servers:
        net.serve(each, lambda query, ask: Failed.TIMEOUT if rng.random() < loss else zone(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    results = [await timed(resolver, f"w{number}.shop") for number in range(200)]
    failed = sum(not found for _, found in results)
    # Three sends to a server and no more (RFC 9520 §3.1): with one server that is all there is.
    assert failed <= 200 * 3 * loss**3 if len(servers) == 1 else failed == 0
    took = sorted(seconds for seconds, _ in results)
    assert took[100] < 0.06
    assert len(net.asked) < 202 * (1 + 2 * loss)


@virtual
async def test_dead_servers_cost_two_packets_a_question(tmp_path: Path) -> None:
    net = Net()
    shop(net, FIRST, SECOND)
    net.serve(FIRST, silent)
    net.serve(SECOND, silent)
    resolver = ScriptedResolver(net, tmp_path)
    now = resolver.clock.monotonic()
    for each in (FIRST, SECOND):
        for _ in range(bounds.DEAD_AFTER):
            resolver.parts.infra.timed_out(Server(ip_address(each)), now)
        assert resolver.parts.infra.is_down(Server(ip_address(each)), now)
    assert rcode(await resolver.ask("w9.shop")) == "SERVFAIL"
    await resolver.settle()
    assert sent(net, "w9.shop") == bounds.DEAD_TRIES
    zone = Zone("shop", NAMES)
    net.serve(FIRST, zone)
    net.serve(SECOND, zone)
    took, found = await timed(resolver, "w10.shop")
    assert found == ["193.0.0.1"], "the end of an outage is noticed by the next question"
    assert took < 0.1


# -- what is remembered of the zone may be outdated --------------------------------------------------------------------------


@virtual
async def test_the_parent_is_asked_while_the_silent_are_listened_to(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST)
    net.serve(FIRST, slow_at_times(zone, 1.5))
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    await asyncio.sleep(bounds.DELEGATION_FRESH + 1)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took == pytest.approx(1.5, abs=0.01)
    assert sent(net, "slow.shop", FIRST) <= bounds.SENDS_PER_SERVER, "the same servers are not asked all over again"


@pytest.mark.parametrize("parent", ["right", "silent", "refuses"])
@virtual
async def test_servers_that_have_moved(parent: str, tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST)
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    await asyncio.sleep(bounds.DELEGATION_FRESH + 1)
    if parent == "right":
        net.serve(FIRST, silent)
        net.serve(SECOND, zone)
        net.root.remove("ns1.shop")
        net.root.add(f"ns1.shop. A {SECOND}")
        resolver.parts.rrsets.clear(resolver.clock.monotonic())
        took, found = await timed(resolver, "slow.shop")
        assert took < 1.0
    else:
        net.serve(FIRST, slow_at_times(zone, 3.0))
        net.serve("198.41.0.4", silent if parent == "silent" else lambda query, ask: reply_to(query, rcode="REFUSED"))
        took, found = await timed(resolver, "slow.shop")
        assert took == pytest.approx(3.0, abs=0.01)
    assert found == ["193.0.0.1"]


# -- what it costs -----------------------------------------------------------------------------------------------------------


class Meter:
    """Counts what leaves, and refuses beyond a limit."""

    def __init__(self, limit: int = 10_000):
        self.left = 0
        self.limit = limit

    def charge(self, qname: Name, zone: Name) -> bool:
        if zone == from_text("shop") and self.left >= self.limit:
            return False
        self.left += zone == from_text("shop")
        return True

    def adjust(self, qname: Name, zone: Name, copies: int) -> None:
        self.left += copies if zone == from_text("shop") else 0

    def referred(self, qname: Name, zone: Name) -> None:
        pass


@virtual
async def test_every_packet_is_counted_and_paid_for(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    rng = Random(3)
    for each in (FIRST, SECOND):
        net.serve(each, lambda query, ask: Late(rng.choice((0.01, 0.3, 2.0)), zone(query, ask)))
    resolver = ScriptedResolver(net, tmp_path)
    resolver.parts.mesh.recursions.meter = meter = Meter()
    await asyncio.gather(*(resolver.ask(f"w{number}.shop") for number in range(100)))
    await resolver.settle()
    packets = sum(str(ask.server.address) != "198.41.0.4" for ask in net.asked)
    assert packets > 110
    assert meter.left == packets
    assert resolver.stack.counters.get("queries_sent", transport="udp") == len(net.asked)


@virtual
async def test_who_waits_for_the_packet_of_somebody_else_pays_for_none(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    rng = Random(1)
    for each in (FIRST, SECOND):
        net.serve(each, lambda query, ask: zone(query, ask) if rng.random() < 0.5 else Failed.TIMEOUT)
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    resolver.parts.mesh.recursions.meter = meter = Meter()
    before = len(net.asked)
    for _ in range(60):
        await resolver.parts.resolve.resolve(from_text("www.shop"), 1, deadline=resolver.clock.monotonic() + 4, bypass_cache=True)
        assert meter.left == len(net.asked) - before, "at any time, not only when the last packet is given up"
    await resolver.settle()
    await asyncio.sleep(10)
    assert meter.left == len(net.asked) - before


@virtual
async def test_where_no_more_may_leave_the_answer_is_waited_for(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST)
    net.serve(FIRST, slow_at_times(zone, 2.0))
    resolver = ScriptedResolver(net, tmp_path)
    await warm(resolver)
    resolver.parts.mesh.recursions.meter = Meter(limit=1)
    took, found = await timed(resolver, "slow.shop")
    assert found == ["193.0.0.1"]
    assert took == pytest.approx(2.0, abs=0.01)
    assert sent(net, "slow.shop") == 1


# -- TCP -----------------------------------------------------------------------------------------------------------------------


def truncating(zone: Zone, udp: float, tcp: float) -> Handler:
    def handler(query, ask):  # type: ignore[no-untyped-def]
        if ask.transport is not Transport.UDP:
            return Late(tcp, zone(query, ask))
        out = reply_to(query)
        out.flags |= 0x200
        return Late(udp, out)

    return handler


@pytest.mark.parametrize(("udp", "tcp"), [(0.002, 0.25), (0.002, 0.9), (0.15, 0.45), (0.2, 0.6), (0.35, 1.4), (0.002, 3.0)])
@virtual
async def test_tcp_has_patience_of_its_own(udp: float, tcp: float, tmp_path: Path) -> None:
    net = Net(rtt=0.002)
    zone = shop(net, FIRST)
    net.serve(FIRST, truncating(zone, udp, tcp))
    resolver = ScriptedResolver(net, tmp_path)
    for number in range(10):
        took, found = await timed(resolver, f"w{number}.shop")
        assert found == ["193.0.0.1"]
        assert took == pytest.approx(udp + tcp, abs=0.01)
        by_tcp = [ask for ask in net.asked if ask.transport is Transport.TCP and ask.qname == from_text(f"w{number}.shop")]
        assert len(by_tcp) == 1, "a connection repeats by itself what is lost"
    server = next(ask.server for ask in net.asked if str(ask.server.address) == FIRST)
    expected = resolver.parts.infra.expected(server, resolver.clock.monotonic())
    assert expected == pytest.approx(udp), "what TCP takes is not UDP's"


@virtual
async def test_another_server_is_asked_while_tcp_is_stuck(tmp_path: Path) -> None:
    net = Net()
    zone = shop(net, FIRST, SECOND)
    net.serve(FIRST, truncating(zone, 0.01, 30.0))
    net.serve(SECOND, truncating(zone, 0.01, 0.05))
    resolver = ScriptedResolver(net, tmp_path)
    for number in range(20):
        took, found = await timed(resolver, f"w{number}.shop")
        assert found == ["193.0.0.1"]
        assert took < bounds.TCP_TIMEOUT + 0.2


# -- look-ups of servers ---------------------------------------------------------------------------------------------------


@virtual
async def test_a_slow_look_up_of_a_server_gets_company(tmp_path: Path) -> None:
    net = Net()
    zone = Zone("shop", NAMES)
    for number in range(4):
        host = net.zone(f"host{number}", {f"ns.host{number}": f"45.3.0.{number}"}, f"ns1 A 45.1.0.{number}")
        net.root.add(f"shop. NS ns1.host{number}.")
        net.serve(f"45.1.0.{number}", zone)
        net.serve(f"45.3.0.{number}", host if number == 3 else silent)
    for seed in range(8):
        took, found = await timed(ScriptedResolver(net, tmp_path, seed=seed), "www.shop")
        assert found == ["193.0.0.1"]
        assert took < bounds.LOOKUP_TIMEOUT + 0.1, "two at a time, and no waiting for the end of what is silent"

