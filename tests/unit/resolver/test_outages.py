"""Zones whose servers are silent: who asks again need not wait, nor who asks for another name; and they are found again."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from scriptednet import ROOT_SERVER, Net, ScriptedResolver, Zone, addresses, errors, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.resolver.mesh import Timeouts
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed

TWO = {"ns1.shop": "45.1.0.1", "ns2.shop": "45.1.0.2"}
Message = object


class Switch:
    """A zone's server that is on or off, or lets only some questions through."""

    def __init__(self, zone: Zone):
        self.zone = zone
        self.on = True
        self.answers: Callable[[Ask], bool] = lambda ask: True

    def __call__(self, query: Message, ask: Ask) -> object:
        return self.zone(query, ask) if self.on and self.answers(ask) else Failed.TIMEOUT  # type: ignore[arg-type]


def shop(net: Net, servers: dict[str, str] = TWO, text: str = "* 5 A 193.0.0.1") -> list[Switch]:
    zone = net.zone("shop", servers, text)
    switches = [Switch(zone) for _ in servers]
    for address, switch in zip(servers.values(), switches, strict=True):
        net.serve(address, switch)  # type: ignore[arg-type]
    return switches


def turn(switches: list[Switch], *, on: bool) -> None:
    for switch in switches:
        switch.on = on


async def timed(resolver: ScriptedResolver, name: str, rtype: str = "A") -> tuple[str, float]:
    begun = resolver.clock.monotonic()
    reply = await resolver.ask(name, rtype)
    return rcode(reply), round(resolver.clock.monotonic() - begun, 3)


async def every(seconds: float, resolver: ScriptedResolver, name: str, until: float) -> float:
    """Ask again and again, a name of its own each time where there are braces in it; when it was first answered."""
    number = 0
    while resolver.clock.monotonic() < until:
        number += 1
        if addresses(await resolver.ask(name.format(number))):
            return resolver.clock.monotonic()
        await asyncio.sleep(seconds)
    return float("inf")


@virtual
async def test_who_asks_again_is_told_at_once_and_has_the_answer_when_it_is_there(tmp_path: Path) -> None:
    net = Net()
    switches = shop(net)
    net.serve(ROOT_SERVER, lambda query, ask: net.root(query, ask))  # type: ignore[arg-type]
    resolver = ScriptedResolver(net, tmp_path)
    turn(switches, on=False)
    assert await timed(resolver, "www.shop") == ("SERVFAIL", Timeouts().client)
    for _ in range(3):  # libc asks twice, and smtpd twice more
        assert await timed(resolver, "www.shop") == ("SERVFAIL", 0.0)
    turn(switches, on=True)
    await resolver.settle()
    assert await every(0.5, resolver, "www.shop", resolver.clock.monotonic() + 60) <= resolver.clock.monotonic()


@virtual
async def test_an_answer_later_than_the_clients_patience_is_there_for_the_next(tmp_path: Path) -> None:
    net = Net(rtt=0.3)
    net.zone("shop", {"ns.shop": "45.1.0.1"}, "www A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path, timeouts=Timeouts(client=0.4))
    assert await timed(resolver, "www.shop") == ("SERVFAIL", 0.4)
    again = await resolver.ask("www.shop")
    assert (rcode(again), codes.EDE_CACHED_ERROR in errors(again)) == ("SERVFAIL", True)
    await asyncio.sleep(0.3)
    assert await timed(resolver, "www.shop") == ("NOERROR", 0.0)


@virtual
async def test_other_names_of_a_silent_zone_fail_fast(tmp_path: Path) -> None:
    net = Net()
    switches = shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    turn(switches, on=False)
    await resolver.ask("a.shop")
    code, waited = await timed(resolver, "b.shop")
    assert (code, waited <= sum(bounds.OUTAGE_PATIENCE)) == ("SERVFAIL", True), "one question finds out"
    asked = len(net.asked)
    for number in range(20):
        reply = await resolver.ask(f"c{number}.shop", "PTR")
        assert (rcode(reply), errors(reply)) == ("SERVFAIL", [codes.EDE_NO_REACHABLE_AUTHORITY, codes.EDE_CACHED_ERROR])
    assert len([ask for ask in net.asked[asked:] if not ask.qname.startswith(b"\x01a")]) == 0


@pytest.mark.parametrize(
    ("lasts", "back"),
    [(20, "all"), (60, "all"), (400, "one of two"), (60, "one of thirteen"), (4000, "one of two")],
)
@virtual
async def test_a_zone_is_found_again_within_seconds_and_not_by_a_storm(lasts: int, back: str, tmp_path: Path) -> None:
    net = Net()
    servers = TWO if "thirteen" not in back else {f"ns{number}.shop": f"45.1.0.{number}" for number in range(13)}
    switches = shop(net, servers)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("warm.shop")
    turn(switches, on=False)
    begun, asked = resolver.clock.monotonic(), len(net.asked)
    end = begun + lasts

    async def client(number: int) -> float:
        # Some ask for one and the same name all the time.
        name = "same.shop" if number % 2 else f"c{number}x{{}}.shop"
        await asyncio.sleep(number * 0.07)
        return await every(max(1.0, lasts / 200), resolver, name, end + 120)

    async def come_back() -> None:
        await asyncio.sleep(lasts)
        turn(switches if back == "all" else switches[-1:], on=True)

    waiting = asyncio.create_task(come_back())
    found = await asyncio.gather(*(client(number) for number in range(6)))
    await waiting
    during = [ask for ask in net.asked[asked:] if str(ask.server.address).startswith("45.1.")]
    assert max(found) - end <= 15 + max(1.0, lasts / 200), "each asks again after so many seconds"
    assert len(during) <= 100 + lasts * (1 if "thirteen" not in back else 4), "a small question or so a second, whoever asks"


@virtual
async def test_all_who_ask_at_once_cost_one_question(tmp_path: Path) -> None:
    net = Net()
    switches = shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    turn(switches, on=False)
    await resolver.ask("a.shop")
    await resolver.settle()
    await resolver.ask("b.shop")
    await asyncio.sleep(bounds.OUTAGE_HOLD + 0.1)
    asked = len(net.asked)
    times = await asyncio.gather(*(timed(resolver, f"c{number}.shop") for number in range(100)))
    assert all(code == "SERVFAIL" and waited <= sum(bounds.OUTAGE_PATIENCE) for code, waited in times)
    assert len(net.asked) - asked <= 4
    assert net.doubled == []
    await asyncio.sleep(bounds.OUTAGE_HOLD + 0.1)
    turn(switches, on=True)
    replies = await asyncio.gather(*(resolver.ask(f"d{number}.shop") for number in range(100)))
    assert all(addresses(reply) for reply in replies)


@pytest.mark.parametrize("dropped", ["AAAA", "names", "all but addresses"])
@virtual
async def test_servers_that_drop_some_questions_are_not_out(dropped: str, tmp_path: Path) -> None:
    # RFC 4074 §4.1. A stranger who knows what they drop gains nothing by asking for it.
    net = Net()
    switches = shop(net)
    through: dict[str, Callable[[Ask], bool]] = {
        "AAAA": lambda ask: ask.qtype != codes.AAAA,
        "names": lambda ask: not ask.qname.startswith(b"\x03bad"),
        "all but addresses": lambda ask: ask.qtype == codes.A,
    }
    for switch in switches:
        switch.answers = through[dropped]
    resolver = ScriptedResolver(net, tmp_path)
    loop = asyncio.get_running_loop()
    end = loop.time() + 60

    async def stranger() -> None:
        number = 0
        while loop.time() < end:
            number += 1
            name, rtype = ("bad.x{}.shop", "A") if dropped == "names" else ("x{}.shop", "AAAA")
            await resolver.ask(name.format(number), rtype)

    strangers = [asyncio.create_task(stranger()) for _ in range(5)]
    number = 0
    while loop.time() < end:
        number += 1
        code, waited = await timed(resolver, f"www{number}.shop")
        assert (code, waited <= 1.0) == ("NOERROR", True), loop.time()
        await asyncio.sleep(0.7)
    await asyncio.gather(*strangers)


@virtual
async def test_a_zone_that_has_moved_while_it_was_out_is_found_at_its_new_place(tmp_path: Path) -> None:
    net = Net()
    switches = shop(net)
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("warm.shop")
    turn(switches, on=False)
    await resolver.ask("a.shop")
    await resolver.settle()
    assert (await timed(resolver, "b.shop"))[0] == "SERVFAIL"
    net.root.remove("shop.")
    net.zone("shop", {"ns.new": "45.2.0.1"}, "* A 193.0.0.2")
    net.root.add("new. NS ns.new.\nns.new. A 45.2.0.1")
    net.serve("45.2.0.1", Zone(".", "new NS ns.new.\nns.new A 45.2.0.1\n*.shop A 193.0.0.2"))
    moved = resolver.clock.monotonic()
    found = await every(1.0, resolver, "c{}.shop", moved + 300)
    assert found - moved <= bounds.DELEGATION_FRESH + 15


@virtual
async def test_a_server_whose_address_has_to_be_found_out_is_looked_for_all_the_same(tmp_path: Path) -> None:
    # One server is dead; the other's name is in a zone that is out as well, and comes back.
    net = Net()
    net.root.add("shop. NS ns.shop.\nshop. NS ns.host.\nns.shop. A 45.1.0.1")
    host = Switch(net.zone("host", {"ns1.host": "45.3.0.1"}, "ns A 45.3.0.2"))
    net.serve("45.3.0.1", host)  # type: ignore[arg-type]
    net.serve("45.3.0.2", Zone("shop", "* A 193.0.0.1"))
    resolver = ScriptedResolver(net, tmp_path)
    host.on = False
    begun = resolver.clock.monotonic()
    await asyncio.gather(*(every(1.0, resolver, f"c{number}x{{}}.shop", begun + 60) for number in range(5)))
    host.on = True
    assert await every(1.0, resolver, "d{}.shop", begun + 120) - (begun + 60) <= 15


@virtual
async def test_a_failed_name_of_a_zone_that_answers_comes_back_soon(tmp_path: Path) -> None:
    # Servers that answer SERVFAIL for a long time, as those of a zone that has expired do.
    net = Net()
    zone = net.zone("shop", TWO, "www A 193.0.0.1")
    for address in TWO.values():
        net.serve(address, lambda query, ask: reply_to(query, rcode="SERVFAIL", aa=False))
    resolver = ScriptedResolver(net, tmp_path)
    begun = resolver.clock.monotonic()
    assert await every(2.0, resolver, "www.shop", begun + 1200) == float("inf")
    assert len(net.asked) <= 1200 / bounds.MAX_FAILURE_TTL * 8
    for address in TWO.values():
        net.serve(address, zone)
    assert await every(1.0, resolver, "www.shop", begun + 1300) - (begun + 1200) <= 15


@virtual
async def test_what_an_alias_leads_to_is_found_past_the_zone_of_the_alias(tmp_path: Path) -> None:
    net = Net()
    switches = shop(net, text="www 3600 CNAME www.other.\n* A 193.0.0.1")
    net.zone("other", {"ns.other": "45.2.0.1"}, "www 5 A 193.0.0.9")
    resolver = ScriptedResolver(net, tmp_path)
    await resolver.ask("www.shop")
    turn(switches, on=False)
    await resolver.ask("a.shop")
    await resolver.ask("b.shop")
    assert rcode(await resolver.ask("c.shop")) == "SERVFAIL"
    await asyncio.sleep(10)
    assert addresses(await resolver.ask("www.shop")) == ["193.0.0.9"]


@pytest.mark.parametrize(("name", "most"), [("www.shop", 4), ("a.b.c.d.shop", 7), ("alias.shop", 7), ("x.sub.shop", 6)])
@virtual
async def test_what_does_not_last_serves_one_question_to_its_end(name: str, most: int, tmp_path: Path) -> None:
    # Delegations and addresses of servers with a TTL of 0: as many questions as with any other, and none twice.
    net = Net()
    net.zone("host", {"ns.host": "45.3.0.1"}, "ns2 0 A 45.3.0.2\nns3 0 A 45.3.0.3", ttl=0)
    net.root.add("shop. 0 NS ns2.host.\nshop. 0 NS ns3.host.")
    text = "www 0 A 193.0.0.1\na.b.c.d 0 A 193.0.0.1\nalias 0 CNAME b.shop.\nb 0 CNAME c.shop.\nc 0 CNAME www.shop."
    zone, sub = Zone("shop", f"{text}\nsub 0 NS ns2.host."), Zone("sub.shop", "x 0 A 193.0.0.1")
    for address in ("45.3.0.2", "45.3.0.3"):
        net.serve(address, lambda query, ask: (sub if ask.qname.startswith(b"\x01x") else zone)(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask(name)) == ["193.0.0.1"]
    await resolver.settle()
    assert len(net.asked) <= most, net.names()
    assert len(set(net.names())) == len(net.asked)


@pytest.mark.parametrize("lasts", [60, 400])
@virtual
async def test_an_outage_of_one_family_is_over_when_it_is_over(lasts: int, tmp_path: Path) -> None:
    net = Net()
    both = net.zone("both", {"ns.both": "45.1.0.1"}, "* 5 A 193.0.0.1")
    net.root.add("ns.both. AAAA 2600::1\nsix. NS ns.six.\nns.six. AAAA 2600::2")
    six = [Switch(both), Switch(Zone("six", "* 5 A 193.0.0.6"))]
    for number, switch in enumerate(six, 1):
        net.serve(f"2600::{number}", switch)  # type: ignore[arg-type]
    resolver = ScriptedResolver(net, tmp_path, ipv6=True)
    assert addresses(await resolver.ask("warm.six"))
    turn(six, on=False)
    end = resolver.clock.monotonic() + lasts
    asking = asyncio.create_task(every(1.0, resolver, "same.six", end + 60))
    for number in range(lasts // 4):
        code, waited = await timed(resolver, f"w{number}.both")
        assert (code, waited <= 1.5) == ("NOERROR", True)
        await asyncio.sleep(max(0.0, min(4.0 - waited, end - resolver.clock.monotonic())))
    turn(six, on=True)
    assert await asking - end <= 15
