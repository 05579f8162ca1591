"""QNAME minimisation: what each zone's servers are shown (RFC 9156), and where it is not done."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptednet import ROOT_SERVER, Net, ScriptedResolver, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.resolver.iterator.qmin import Minimiser, is_redirected
from resolverd.wire import codes
from resolverd.wire.names import ROOT, from_text, is_subdomain, label_count, to_text
from resolverd.wire.rrset import RRset

NAME = from_text("a.b.c.example")


def steps(name: bytes, zone: bytes = ROOT, *, enabled: bool = True) -> list[tuple[str, int]]:
    minimiser = Minimiser(name, codes.MX, codes.A, enabled)
    out = []
    while not minimiser.is_full:
        qname, qtype = minimiser.question(zone)
        out.append((to_text(qname), qtype))
    return out or [(to_text(minimiser.question(zone)[0]), minimiser.question(zone)[1])]


def test_label_by_label() -> None:
    assert steps(NAME) == [
        ("example.", codes.A),
        ("c.example.", codes.A),
        ("b.c.example.", codes.A),
        ("a.b.c.example.", codes.MX),
    ]


def test_from_the_cut_that_is_known() -> None:
    assert steps(NAME, from_text("c.example")) == [("b.c.example.", codes.A), ("a.b.c.example.", codes.MX)]
    assert steps(from_text("example")) == [("example.", codes.MX)]
    assert steps(ROOT) == [(".", codes.MX)]


def test_switched_off() -> None:
    assert steps(NAME, enabled=False) == [("a.b.c.example.", codes.MX)]


def test_a_deeper_cut_is_jumped_to() -> None:
    minimiser = Minimiser(NAME, codes.MX, codes.A, True)
    minimiser.question(ROOT)
    assert minimiser.question(from_text("b.c.example")) == (NAME, codes.MX)
    assert minimiser.is_full


def test_giving_up_asks_in_full() -> None:
    minimiser = Minimiser(NAME, codes.MX, codes.A, True)
    minimiser.question(ROOT)
    minimiser.disable()
    assert minimiser.question(ROOT) == (NAME, codes.MX)
    assert minimiser.is_full


@given(st.integers(0, 120))
def test_steps_are_bounded_rise_and_end_in_the_name(count: int) -> None:
    name = from_text(".".join("a" * count) or ".")
    seen = steps(name)
    assert seen[-1] == (to_text(name), codes.MX)
    assert len(seen) <= bounds.MAX_MINIMISE + 1
    lengths = [label_count(from_text(text)) for text, _ in seen]
    assert lengths == sorted(set(lengths))
    assert lengths[: bounds.MINIMISE_ONE_LABEL] == list(range(1, count + 1))[: bounds.MINIMISE_ONE_LABEL] or count == 0
    assert all(is_subdomain(name, from_text(text)) for text, _ in seen)


@virtual
async def test_servers_see_no_more_than_they_need(tmp_path: Path) -> None:
    net = Net()
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    net.zone("shop.com", {"ns.shop.com": "45.1.0.2"}, "mail.eu A 193.0.0.1", parent=com)
    resolver = ScriptedResolver(net, tmp_path)
    assert addresses(await resolver.ask("mail.eu.shop.com")) == ["193.0.0.1"]
    assert {name for name, _ in net.names(ROOT_SERVER)} == {"com."}
    assert {name for name, _ in net.names("45.1.0.1")} == {"shop.com."}


@virtual
async def test_broken_empty_non_terminals_do_not_hide_what_is_below(tmp_path: Path) -> None:
    net = Net()
    zone = net.zone("shop", {"ns.shop": "45.1.0.1"}, "mail.eu.west A 193.0.0.1\nmail.us.west A 193.0.0.2")
    for rcode_ in ("NXDOMAIN", "REFUSED", "SERVFAIL", "NOTIMP"):
        net.serve(
            "45.1.0.1",
            lambda query, ask, rcode_=rcode_: (
                zone(query, ask)
                if query.question[0].name.to_text().lower().startswith("mail.")
                else reply_to(query, authority="shop. 300 SOA a. b. 1 1 1 1 300" if rcode_ == "NXDOMAIN" else "", rcode=rcode_)
            ),
        )
        resolver = ScriptedResolver(net, tmp_path)
        assert addresses(await resolver.ask("mail.eu.west.shop")) == ["193.0.0.1"]
        assert addresses(await resolver.ask("mail.us.west.shop")) == ["193.0.0.2"], "nor was the denial remembered"


@virtual
async def test_a_denied_middle_name_is_told_to_those_who_ask_for_it(tmp_path: Path) -> None:
    net = Net()
    net.zone("shop", {"ns.shop": "45.1.0.1"}, "mail.eu.west A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path)
    assert rcode(await resolver.ask("west.shop")) == "NOERROR"
    assert rcode(await resolver.ask("east.shop")) == "NXDOMAIN"


@pytest.mark.parametrize("minimise", [True, False])
@virtual
async def test_lists_are_asked_in_full_and_a_stranger_about_its_first_denial_twice(minimise: bool, tmp_path: Path) -> None:
    net = Net()

    def rbldnsd(query: object, ask: object) -> object:
        # As rbldnsd: what is not listed does not exist, whatever is below it.
        return zone(query, ask) if query.question[0].name.to_text().startswith("2.0.0.127.") else denied(query)  # type: ignore

    def denied(query: object) -> object:
        return reply_to(query, authority="bl.example. 60 SOA a. b. 1 1 1 1 60", rcode="NXDOMAIN")  # type: ignore[arg-type]

    example = net.zone("example", {"ns.example": "45.1.0.1"})
    zone = net.zone("bl.example", {"ns.bl.example": "45.1.0.2"}, "2.0.0.127 A 127.0.0.2", parent=example)
    net.serve("45.1.0.2", rbldnsd)  # type: ignore[arg-type]
    resolver = ScriptedResolver(net, tmp_path, list_zones=("bl.example",), qname_minimisation=minimise)
    assert rcode(await resolver.ask("1.0.0.127.bl.example")) == "NXDOMAIN"
    assert rcode(await resolver.ask("0.0.127.bl.example")) == "NXDOMAIN"
    assert addresses(await resolver.ask("2.0.0.127.bl.example")) == ["127.0.0.2"], "the denial above hides nothing"
    assert [name for name, _ in net.names("45.1.0.2")] == [
        "1.0.0.127.bl.example.",
        "1.0.0.127.bl.example.",  # in plain letters: now it is known that it takes others
        "0.0.127.bl.example.",
        "2.0.0.127.bl.example.",
    ]


@virtual
async def test_a_name_below_a_list_zone_only(tmp_path: Path) -> None:
    net = Net()
    net.zone("example", {"ns.example": "45.1.0.1"}, "a.b.notbl A 193.0.0.1")
    resolver = ScriptedResolver(net, tmp_path, list_zones=("bl.example",))
    await resolver.ask("a.b.notbl.example")
    assert ("b.notbl.example.", "A") in net.names()


@pytest.mark.parametrize(("owner", "types", "redirected"), [
    ("x", b"\x00\x05\x00\x00\x00\x00\x01", True), ("y", b"\x00\x05\x00\x00\x00\x00\x01", False), ("x", b"\x00\x01\x40", False),
    ("x", b"\x00\x05\x00\x00", False),
])  # fmt: skip
def test_a_denial_shows_whether_names_are_redirected(owner: str, types: bytes, redirected: bool) -> None:
    proof = RRset(from_text(owner), codes.NSEC, 300, (from_text("z") + types,))
    assert is_redirected(from_text("x"), (proof,)) == redirected
