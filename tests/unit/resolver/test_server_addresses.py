"""Addresses of a zone's servers: either family, the parent's word and the child's, and for how long each counts."""

import asyncio
from pathlib import Path

import pytest
from scriptednet import Net, ScriptedResolver, Zone, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd.wire.ask import Failed

HOST, SIX, DEAD = "45.1.0.1", "2a00:45::1", "45.9.9.9"


def unreachable(query: object, ask: object) -> Failed:
    return Failed.UNREACHABLE


def silent(query: object, ask: object) -> Failed:
    return Failed.TIMEOUT


def hosted(net: Net, *names: str, text: str = "www A 193.0.0.1") -> None:
    """Zones on HOST and SIX, delegated without glue to `dns.host`."""
    zones = [Zone(name, text) for name in names]
    for name in names:
        net.root.add(f"{name}. NS dns.host.")

    def serve(query, ask):  # type: ignore[no-untyped-def]
        return next(zone for zone in zones if query.question[0].name.is_subdomain(zone.origin))(query, ask)

    net.serve(HOST, serve)
    net.serve(SIX, serve)


# -- either family -----------------------------------------------------------------------------------------------------------

FAMILIES = {
    "IPv6 known first, and there is no IPv6 here": (HOST, SIX, SIX, unreachable, "AAAA"),
    "IPv6 known first, and it is dead": (HOST, SIX, SIX, silent, "AAAA"),
    "IPv4 known first, and it is dead": (HOST, SIX, HOST, silent, "A"),
    "IPv4 known first, and there is no IPv4 here": (HOST, SIX, HOST, unreachable, "A"),
}


@pytest.mark.parametrize("case", FAMILIES)
@virtual
async def test_the_other_family_of_a_servers_name_is_looked_up(case: str, tmp_path: Path) -> None:
    four, six, broken, how, known = FAMILIES[case]
    net = Net()
    net.zone("host", {"ns.host": "45.1.0.9"}, f"dns A {four}\ndns AAAA {six}")
    hosted(net, "shop", "club")
    net.serve(broken, how)
    resolver = ScriptedResolver(net, tmp_path, ipv6=True)
    await resolver.ask("dns.host", known)
    for name in ("www.shop", "www.club", "www.shop"):
        assert addresses(await resolver.ask(name)) == ["193.0.0.1"], name


@virtual
async def test_a_family_that_is_not_there_is_not_looked_up_again_and_again(tmp_path: Path) -> None:
    # Dead zones cost what they did: that a name has no address of the other family is remembered.
    net = Net()
    net.zone("host", {"ns.host": "45.1.0.9"}, f"dns A {HOST}")
    hosted(net, *(f"dead{number}" for number in range(5)))
    net.serve(HOST, silent)
    resolver = ScriptedResolver(net, tmp_path, ipv6=True)
    for number in range(5):
        assert rcode(await resolver.ask(f"www.dead{number}")) == "SERVFAIL"
        await resolver.settle()
    assert net.names().count(("dns.host.", "AAAA")) == 1


# -- the parent's word -------------------------------------------------------------------------------------------------------


def under_com(net: Net, server: str) -> None:
    """`shop.com`, delegated to a name in `example` without glue, and served at HOST with `example` itself."""
    net.zone("com", {"ns.com": "45.2.0.1"}, f"shop NS {server}.")


@pytest.mark.parametrize("bogus", ["lame", "silent", "nowhere"])
@virtual
async def test_every_delegation_on_the_way_gives_its_glue(bogus: str, tmp_path: Path) -> None:
    # The server's name lies below a deeper delegation that leads nowhere; the one above it has the address.
    net = Net()
    under_com(net, "ns.dns.example")
    example = net.zone("example", {"ns.dns.example": HOST}, "www A 193.0.0.2")
    example.remove("ns.dns.example.")
    example.add(f"dns NS {'nowhere.example' if bogus == 'nowhere' else 'ns.bogus'}.")
    net.root.add(f"bogus. NS ns.bogus.\nns.bogus. A {DEAD}")
    if bogus == "lame":
        net.serve(DEAD, lambda query, ask: reply_to(query, rcode="REFUSED", aa=False))
    shop = Zone("shop.com", "www A 193.0.0.1\nwww2 A 193.0.0.1")
    net.serve(HOST, lambda query, ask: (shop if "shop" in str(query.question[0].name).lower() else example)(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("www.example")) == ["193.0.0.2"]
    assert addresses(await resolver.ask("www.shop.com")) == ["193.0.0.1"]
    await resolver.settle()
    assert addresses(await resolver.ask("www2.shop.com")) == ["193.0.0.1"]


@virtual
async def test_a_bad_address_of_the_childs_leaves_the_parents(tmp_path: Path) -> None:
    net = Net()
    under_com(net, "ns.example")
    example = net.zone("example", {"ns.example": HOST}, "www A 193.0.0.2")
    example.remove("ns.example.")
    example.add(f"ns A {DEAD}")
    shop = Zone("shop.com", "www A 193.0.0.1\nwww2 A 193.0.0.1\nwww3 A 193.0.0.1")
    net.serve(HOST, lambda query, ask: (shop if "shop" in str(query.question[0].name).lower() else example)(query, ask))
    resolver = ScriptedResolver(net, tmp_path)
    for name in ("www", "www2", "www3"):  # not only as long as the child has not been asked for its address
        assert addresses(await resolver.ask(f"{name}.shop.com")) == ["193.0.0.1"], name
        assert addresses(await resolver.ask("ns.example")) == [DEAD]


# -- for how long ------------------------------------------------------------------------------------------------------------

TTL = 3600
OLD, NEW = "45.0.0.1", "45.0.0.2"


@pytest.mark.parametrize("asked", ["ns.evil A", "www.evil A", "evil NS", "new.evil A"])
@pytest.mark.parametrize("prefetch", [True, False])
@virtual
async def test_a_moved_domain_is_asked_where_it_has_moved_to(asked: str, prefetch: bool, tmp_path: Path) -> None:
    # Class CVE-2026-42955: the old server gives its own name an address for a day, and renews it whenever it is asked.
    net = Net()
    net.root.add(f"evil. {TTL} NS ns.evil.\nns.evil. {TTL} A {OLD}")
    net.serve(OLD, Zone("evil", f"@ 86400 NS ns.evil.\nns 86400 A {OLD}\nwww 60 A 6.6.6.6\nnew 60 A 6.6.6.6"))
    net.serve(NEW, Zone("evil", f"@ 86400 NS ns.evil.\nns 86400 A {NEW}\nwww 60 A 193.0.0.1\nnew 60 A 193.0.0.1"))
    resolver = ScriptedResolver(net, tmp_path, serve_stale=0.0, prefetch=prefetch)
    assert addresses(await resolver.ask("ns.evil")) == [OLD]
    assert addresses(await resolver.ask("www.evil")) == ["6.6.6.6"]
    gone = asyncio.get_running_loop().time() + TTL
    net.root.remove("evil.")
    net.root.remove("ns.evil.")
    net.root.add(f"evil. {TTL} NS ns.evil.\nns.evil. {TTL} A {NEW}")
    while asyncio.get_running_loop().time() <= gone:
        await resolver.ask(*asked.split())
        await resolver.ask("www.evil")
        await asyncio.sleep(50)
    await resolver.settle()
    await asyncio.sleep(60)
    before = len(net.names(OLD))
    for _ in range(100):
        assert addresses(await resolver.ask("www.evil")) == ["193.0.0.1"]
        await resolver.ask(*asked.split())
        await asyncio.sleep(1000)
    assert len(net.names(OLD)) == before


@pytest.mark.parametrize("prefetch", [True, False])
@virtual
async def test_no_zone_is_asked_at_a_withdrawn_domains_address(prefetch: bool, tmp_path: Path) -> None:
    net = Net()
    net.root.add(f"evil. {TTL} NS ns.evil.\nns.evil. {TTL} A {OLD}")
    evil = Zone("evil", f"@ 86400 NS ns.evil.\nns 86400 A {OLD}\ndns 86400 A {OLD}")
    shop = Zone("shop.com", "* 60 A 6.6.6.6")
    net.serve(OLD, lambda query, ask: (shop if "shop" in str(query.question[0].name).lower() else evil)(query, ask))
    net.zone("com", {"ns.com": "45.2.0.1"}, "shop 86400 NS dns.evil.")
    resolver = ScriptedResolver(net, tmp_path, serve_stale=0.0, prefetch=prefetch)
    assert addresses(await resolver.ask("www.shop.com")) == ["6.6.6.6"]
    net.root.remove("evil.")
    net.root.remove("ns.evil.")
    gone = asyncio.get_running_loop().time() + TTL
    while asyncio.get_running_loop().time() <= gone:
        await resolver.ask("dns.evil")
        await resolver.ask("www.shop.com")
        await asyncio.sleep(50)
    await resolver.settle()
    await asyncio.sleep(60)
    before = len(net.names(OLD))
    for number in range(20):
        assert rcode(await resolver.ask(f"x{number}.shop.com")) == "SERVFAIL"
        await resolver.settle()
        await asyncio.sleep(3000)
    assert len(net.names(OLD)) == before
