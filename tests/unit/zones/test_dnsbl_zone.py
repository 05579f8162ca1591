"""The combined zone, pure: places, what is said there, bounds of the texts."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptedlists import specs

from resolverd.dnsbl.aggregate import fold
from resolverd.mail.lookups import Clear, Listed
from resolverd.wire import codes, rdata
from resolverd.wire.names import from_text
from resolverd.zones import dnsbl_zone
from resolverd.zones.dnsbl_zone import NodeKind

ORIGIN = from_text("rbl.internal")
SPECS = {each.id: each for each in specs("scored", mine={"zone": "wl.example.net", "purpose": "allow", "number": 111})}

PLACES = [
    ("rbl.internal", NodeKind.APEX, ""),
    ("bl.rbl.internal", NodeKind.NODE, ""),
    ("dbl.rbl.internal", NodeKind.NODE, ""),
    ("noptr.rbl.internal", NodeKind.NODE, ""),
    ("nosuch.rbl.internal", NodeKind.NOWHERE, ""),
    ("4.3.2.1.bl.rbl.internal", NodeKind.LEAF, ip_address("1.2.3.4")),
    ("3.2.1.bl.rbl.internal", NodeKind.NODE, ""),
    ("1.bl.rbl.internal", NodeKind.NODE, ""),
    ("255.wl.rbl.internal", NodeKind.NODE, ""),
    ("256.wl.rbl.internal", NodeKind.NOWHERE, ""),
    ("01.wl.rbl.internal", NodeKind.NOWHERE, ""),
    ("f.wl.rbl.internal", NodeKind.NODE, ""),
    ("8.b.d.0.1.0.0.2.score.rbl.internal", NodeKind.NODE, ""),
    ("1." + "0." * 23 + "8.b.d.0.1.0.0.2.score.rbl.internal", NodeKind.LEAF, ip_address("2001:db8::1")),
    ("x.1." + "0." * 23 + "8.b.d.0.1.0.0.2.score.rbl.internal", NodeKind.NOWHERE, ""),
    ("x.4.3.2.1.bl.rbl.internal", NodeKind.NOWHERE, ""),
    ("256.3.2.1.bl.rbl.internal", NodeKind.NOWHERE, ""),
    ("example.com.bl.rbl.internal", NodeKind.NOWHERE, ""),
    ("example.com.dbl.rbl.internal", NodeKind.LEAF, "example.com"),
    ("www.example.com.dbl.rbl.internal", NodeKind.LEAF, "www.example.com"),
    ("com.dbl.rbl.internal", NodeKind.NODE, ""),
    ("co.uk.dbl.rbl.internal", NodeKind.NODE, ""),
    ("nosuchtld.dbl.rbl.internal", NodeKind.NOWHERE, ""),
    ("a.nosuchtld.dbl.rbl.internal", NodeKind.NOWHERE, ""),
    ("4.3.2.1.dbl.rbl.internal", NodeKind.NOWHERE, ""),
    ("a\\.b.com.dbl.rbl.internal", NodeKind.NOWHERE, ""),
    ("test.dbl.rbl.internal", NodeKind.LEAF, "test"),
    ("invalid.dbl.rbl.internal", NodeKind.LEAF, "invalid"),
    ("_status.rbl.internal", NodeKind.LEAF, ""),
    ("x._status.rbl.internal", NodeKind.NOWHERE, ""),
]


@pytest.mark.parametrize(("name", "place", "subject"), PLACES)
def test_places(name, place, subject):
    spot = dnsbl_zone.parse_name(ORIGIN, from_text(name))
    assert spot.kind is place
    if place is NodeKind.LEAF:
        assert spot.subject == subject


@pytest.mark.parametrize(
    ("name", "node"), [("4.3.2.1", False), ("1.0.0.2", True), ("9.8.7.3", True), ("10.0.0.2", False), ("1.0.0.4", False)]
)
def test_an_address_that_is_a_prefix_of_nibbles_too(name, node):
    assert dnsbl_zone.parse_name(ORIGIN, from_text(f"{name}.bl.rbl.internal")).node is node


@given(
    st.lists(st.binary(min_size=1, max_size=12), max_size=8), st.sampled_from(["bl", "dbl", "wl", "score", "_status", "why", "x"])
)
def test_every_name_has_a_place(labels, tree):
    prefix = b"".join(bytes([len(label)]) + label for label in labels)
    dnsbl_zone.parse_name(ORIGIN, prefix + from_text(f"{tree}.rbl.internal"))


def listed(name, weight, *addresses, trust=0, reason="", link=""):
    return Listed(name, ("code",), addresses or ("127.0.0.2",), weight, reason or f"listed by {name}", link, 300, trust=trust)


def reputation(*replies):
    return fold(SPECS, {reply.list_id: reply for reply in replies})


ZEN, SPAMCOP, DBL0 = listed("spamhaus-zen", 6), listed("spamcop", 3), listed("spamhaus-dbl", 0)
LOW = listed("dnswl", -2, "127.0.5.1", trust=1)
NONE = listed("dnswl", -1, "127.0.5.0", trust=0)

SAYINGS = [
    ("bl", [ZEN], None, None, ["127.0.0.2", "127.0.1.1"]),
    ("bl", [SPAMCOP], None, None, ["127.0.0.2", "127.0.1.4"]),
    ("bl", [SPAMCOP], 6, None, []),
    ("bl", [ZEN, SPAMCOP], 6, None, ["127.0.0.2", "127.0.1.1", "127.0.1.4"]),
    ("bl", [ZEN, LOW], None, None, []),
    ("bl", [ZEN, NONE], None, None, ["127.0.0.2", "127.0.1.1"]),
    ("bl", [ZEN], None, "allow", []),
    ("bl", [], None, "deny", ["127.0.0.2"]),
    ("bl", [ZEN, LOW], 6, "deny", ["127.0.0.2", "127.0.1.1"]),
    ("bl", [Clear("spamhaus-zen", 60)], None, None, []),
    ("dbl", [DBL0], None, None, []),
    ("dbl", [DBL0], 6, None, []),
    ("wl", [LOW], None, None, ["127.0.5.1"]),
    ("wl", [NONE], None, None, ["127.0.5.0"]),
    ("wl", [listed("dnswl", -2, "127.0.5.1", "127.0.77.9", trust=1)], None, None, ["127.0.5.1"]),
    ("wl", [listed("mine", -1, trust=1)], None, None, ["127.0.20.1"]),
    ("wl", [], None, "allow", ["127.0.20.3"]),
    ("wl", [LOW], None, "allow", ["127.0.20.3", "127.0.5.1"]),
    ("wl", [LOW], None, "deny", []),
    ("wl", [], None, None, []),
    ("score", [ZEN], None, None, ["127.0.2.6", "127.0.1.1"]),
    ("score", [ZEN, SPAMCOP, LOW], 6, None, ["127.0.2.9", "127.0.1.1", "127.0.1.4"]),
    ("score", [listed("spamcop", 0.2)], None, None, ["127.0.2.1", "127.0.1.4"]),
    ("score", [listed("spamcop", 2.5)], None, None, ["127.0.2.3", "127.0.1.4"]),
    ("score", [listed("spamcop", 900)], None, None, ["127.0.2.254", "127.0.1.4"]),
    ("score", [DBL0], None, None, []),
    ("score", [ZEN], None, "allow", ["127.0.2.6", "127.0.1.1"]),
    ("score", [], None, "deny", ["127.0.2.254"]),
    ("score", [], None, None, []),
]


@pytest.mark.parametrize(("tree", "replies", "listed_at", "override", "addresses"), SAYINGS)
def test_what_is_said(tree, replies, listed_at, override, addresses):
    saying = dnsbl_zone.answer(tree, reputation(*replies), SPECS, listed_at, override)
    assert [".".join(map(str, each)) for each in saying.addresses] == addresses
    assert bool(saying.texts) == bool(addresses)


def test_wl_never_says_category_ten():
    hostile = listed("dnswl", -8, "127.0.10.3", trust=3)
    assert dnsbl_zone.answer("wl", reputation(hostile), SPECS, None).addresses == ()


TEST_POINTS = [
    ("bl", "127.0.0.2", "127.0.0.2"),
    ("score", "127.0.0.2", "127.0.2.100"),
    ("wl", "127.0.0.2", "127.0.20.3"),
    ("dbl", "test", "127.0.0.2"),
    ("bl", "::ffff:127.0.0.2", "127.0.0.2"),
    ("bl", "127.0.0.1", None),
    ("wl", "127.0.0.1", None),
    ("score", "::ffff:127.0.0.1", None),
    ("dbl", "invalid", None),
    ("noptr", "127.0.0.2", None),
    ("firstseen", "127.0.0.2", None),
]


@pytest.mark.parametrize(("tree", "subject", "address"), TEST_POINTS)
def test_test_points(tree, subject, address):
    saying = dnsbl_zone.test_point(tree, subject if tree == "dbl" else ip_address(subject))
    assert saying is not None
    assert [".".join(map(str, each)) for each in saying.addresses] == ([address] if address else [])


def test_everything_else_is_asked():
    assert dnsbl_zone.test_point("bl", ip_address("192.0.2.1")) is None
    assert dnsbl_zone.test_point("dbl", "example.com") is None


@given(st.lists(st.text(max_size=400), max_size=12))
def test_texts_fit_what_postfix_keeps(texts):
    octets = dnsbl_zone.strings(texts)
    parts = rdata.strings(octets)
    assert len(octets) <= 500
    assert all(len(part) <= 255 for part in parts)
    assert len(parts) <= len(texts)


def test_texts_come_strongest_first_and_whole():
    texts = [f"listed by list{n}, see https://example.net/{n}" for n in range(20)]
    parts = rdata.strings(dnsbl_zone.strings(texts))
    assert 5 <= len(parts) < 20
    assert parts[0] == texts[0].encode()
    assert parts[1] == b" / " + texts[1].encode()


def test_a_long_reason_leaves_its_link_whole():
    long = listed("spamhaus-zen", 6, reason="r" * 400, link="https://example.net/why")
    (text,) = dnsbl_zone.answer("bl", reputation(long), SPECS, None).texts
    assert len(text) <= 252
    assert text.endswith(", see https://example.net/why")


@pytest.mark.parametrize(
    ("replies", "override", "ttl"),
    [
        ([], None, 300),
        ([Clear("spamhaus-zen", 120), Clear("spamcop", 500)], None, 120),
        ([Clear("spamhaus-zen", 80000)], None, 900),
        ([Clear("spamhaus-zen", 0)], None, 1),
        ([Clear("spamhaus-zen", 500)], "allow", 60),
    ],
)
def test_ttl(replies, override, ttl):
    assert dnsbl_zone.ttl_of(reputation(*replies), override) == ttl


def test_a_denial_carries_an_soa():
    answer = dnsbl_zone.negative(ORIGIN, 120, nxdomain=True)
    (soa,) = answer.authority
    fields = rdata.soa(soa.rdatas[0])
    assert (answer.rcode, answer.aa, answer.keep, soa.owner, soa.ttl) == (codes.NXDOMAIN, True, False, ORIGIN, 120)
    assert 300 <= fields.minimum <= 900
