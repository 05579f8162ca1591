"""Servers that say little: empty answers without AA or SOA, and silence about names that end before the one that is wanted."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import dns.flags
import pytest
from scriptednet import ROOT_SERVER, Message, Net, ScriptedResolver, Zone, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.failures import Unknown
from resolverd.policy.lookups import reply_of
from resolverd.wire import codes
from resolverd.wire.ask import Ask, Failed
from resolverd.wire.names import from_text

GOOD = "193.0.0.1"

# -- empty answers ---------------------------------------------------------------------------------------------------------


def with_ra(reply: Message) -> Message:
    reply.flags |= dns.flags.RA
    return reply


PARENT = ". 300 SOA a. b. 1 1 1 1 300"
EMPTY: dict[str, Callable[[Message], Message]] = {
    "alone": lambda query: reply_to(query, aa=False),
    "with the zone's NS": lambda query: reply_to(query, authority="shop. NS ns1.shop.\nshop. NS ns2.shop.", aa=False),
    "with RA": lambda query: with_ra(reply_to(query, aa=False)),
    "with RA and the zone's NS": lambda query: with_ra(reply_to(query, authority="shop. NS ns1.shop.", aa=False)),
    "with the parent's SOA": lambda query: reply_to(query, authority=PARENT, aa=False),
    "with the parent's SOA and RA": lambda query: with_ra(reply_to(query, authority=PARENT, aa=False)),
}
NO_ANSWER: dict[str, Callable[[Message], Message]] = {
    "a referral upwards": lambda query: reply_to(query, authority=". NS k.root-servers.net.", aa=False),
    "a referral aside": lambda query: reply_to(query, authority="other.shop. NS ns.other.shop.", aa=False),
    "REFUSED": lambda query: reply_to(query, rcode="REFUSED", aa=False),
}


def served(first: Callable[[Message, Ask], Message | Failed], second: Callable[[Message, Ask], Message | Failed] | None) -> Net:
    """A zone ``shop`` with ``www`` on one or two servers that say that of everything."""
    net = Net()
    net.zone("shop", {"ns1.shop": "45.1.0.1"} | ({} if second is None else {"ns2.shop": "45.1.0.2"}), f"www A {GOOD}")
    net.serve("45.1.0.1", first)
    if second is not None:
        net.serve("45.1.0.2", second)
    return net


@pytest.mark.parametrize("minimise", [True, False])
@pytest.mark.parametrize("empty", EMPTY)
@virtual
async def test_empty_from_all_of_the_zones_servers_is_nodata_for_a_moment_and_no_finding(
    empty: str, minimise: bool, tmp_path: Path
) -> None:
    net = served(lambda query, asked: EMPTY[empty](query), lambda query, asked: EMPTY[empty](query))
    resolver = ScriptedResolver(net, tmp_path, qname_minimisation=minimise)
    reply = await resolver.ask("a.www.shop", "MX")
    assert (rcode(reply), reply.answer, reply.authority) == ("NOERROR", [], [])
    told = await resolver.parts.resolve.resolve(from_text("a.www.shop"), codes.MX)
    assert isinstance(reply_of(told, codes.MX), Unknown), "no mail is refused for it"
    before = len(net.asked)
    await resolver.ask("a.www.shop", "MX")
    assert len(net.asked) == before, "a storm of repeats is worse"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("empty", EMPTY)
@virtual
async def test_another_server_may_have_more_to_say(empty: str, seed: int, tmp_path: Path) -> None:
    zone = Zone("shop", f"@ NS ns1.shop.\n@ NS ns2.shop.\nwww A {GOOD}")
    resolver = ScriptedResolver(served(lambda query, asked: EMPTY[empty](query), zone), tmp_path, seed=seed)
    assert addresses(await resolver.ask("www.shop")) == [GOOD]


@pytest.mark.parametrize("what", NO_ANSWER)
@virtual
async def test_who_knows_nothing_of_the_zone_says_nothing_about_it(what: str, tmp_path: Path) -> None:
    resolver = ScriptedResolver(served(lambda query, asked: NO_ANSWER[what](query), None), tmp_path)
    assert rcode(await resolver.ask("www.shop")) == "SERVFAIL"


@virtual
async def test_servers_that_a_zone_has_left_do_not_empty_it(tmp_path: Path) -> None:
    """What an attacker gains who has taken over the old servers of a zone that has moved: nothing."""
    net = served(lambda query, asked: zone(query, asked), None)
    zone = Zone("shop", f"@ NS ns1.shop.\nwww A {GOOD}\nmail A {GOOD}")
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("www.shop")) == [GOOD]
    net.root.remove("shop.")
    net.root.add("shop. NS ns2.shop.\nns2.shop. A 45.1.0.2")
    net.serve("45.1.0.1", lambda query, asked: EMPTY["alone"](query))
    net.serve("45.1.0.2", zone)
    await asyncio.sleep(bounds.DELEGATION_FRESH + 1)
    assert addresses(await resolver.ask("mail.shop")) == [GOOD]


# -- minimised names -------------------------------------------------------------------------------------------------------


def dropping(zone: Zone, *names: str) -> Callable[[Message, Ask], Message | Failed]:
    """Answers for these names and their zone only, and is silent about all others."""

    def handler(query: Message, asked: Ask) -> Message | Failed:
        name = query.question[0].name.to_text().lower()
        return zone(query, asked) if name in (*names, "shop.") else Failed.TIMEOUT

    return handler


NAMES = tuple(f"{n}.b.c.shop." for n in range(6))


@pytest.mark.parametrize("servers", [1, 2])
@virtual
async def test_silence_about_names_in_between_is_no_silence_about_the_whole(servers: int, tmp_path: Path) -> None:
    zone = Zone("shop", "\n".join(f"{name} A {GOOD}" for name in NAMES))
    drops = dropping(zone, *NAMES)
    net = served(drops, drops if servers == 2 else None)
    resolver = ScriptedResolver(net, tmp_path)
    took = []
    for name in NAMES:
        before = resolver.clock.monotonic()
        assert addresses(await resolver.ask(name)) == [GOOD]
        took.append(resolver.clock.monotonic() - before)
    assert took[0] <= servers * bounds.FIRST_TIMEOUT + 0.2
    assert took[-1] <= 0.1, "by then it is known"
    resolver.net.asked.clear()
    await asyncio.sleep(bounds.FORGET_SERVER)
    await resolver.ask("other.b.c.shop")
    assert ("c.shop.", "A") in net.names(), "and forgotten in time"


@virtual
async def test_one_lost_packet_shows_one_name_at_most(tmp_path: Path) -> None:
    net = Net()
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    for n in range(4):
        net.zone(f"d{n}.com", {f"ns.d{n}.com": f"45.1.0.{10 + n}"}, f"a.b A {GOOD}", parent=com)
    lost = 0

    def losing(query: Message, asked: Ask) -> Message | Failed:
        nonlocal lost
        if lost:
            lost -= 1
            return Failed.TIMEOUT
        return com(query, asked)

    net.serve("45.1.0.1", losing)
    resolver = ScriptedResolver(net, tmp_path)
    for n in range(4):
        lost = n % 2
        assert addresses(await resolver.ask(f"a.b.d{n}.com")) == [GOOD]
        if not n % 2:
            assert (f"a.b.d{n}.com.", "A") not in net.names("45.1.0.1")
    assert net.names(ROOT_SERVER) == [("com.", "A")]


@virtual
async def test_a_dead_zone_costs_no_more_than_its_bound(tmp_path: Path) -> None:
    resolver = ScriptedResolver(served(lambda query, asked: Failed.TIMEOUT, None), tmp_path)
    assert rcode(await resolver.ask("a.b.c.shop")) == "SERVFAIL"
    await resolver.settle()
    sends = [asked for asked in resolver.net.asked if str(asked.server.address) == "45.1.0.1"]
    assert len(sends) <= bounds.SENDS_PER_SERVER + 1
