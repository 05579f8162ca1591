"""Replies from a question's octets are those that reading the question, asking the zone and rendering its answer make."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptednet import Net
from virtualtime import VirtualClock

from resolverd.app.resolver import Resolution
from resolverd.metrics import Counters
from resolverd.resolver.local import master_file
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.rbldnsd import FORMATS, BadDataset, Dataset
from resolverd.resolver.local.rbldnsd.dataset import UNDECIDED
from resolverd.resolver.local.rbldnsd.key import lookup_key
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED
from resolverd.resolver.local.replies import LocalReplies
from resolverd.resolver.local.table import LocalZones
from resolverd.wire import codes, render
from resolverd.wire.names import Name, from_labels, from_text, labels, reversed_address
from resolverd.wire.peek import Query, peek
from resolverd.zones.answer import Answerer
from tests.replay.stack import root_hints, settings

NOW = 1_800_000_000.0
SOA = "$SOA 3600 ns.example.net admin.example.net 1 600 300 86400 900"


class Own:
    table = LocalZones()


@pytest.fixture(scope="module")
def own() -> Own:
    return Own()


@pytest.fixture(scope="module")
def answerer(own: Own, tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    """One that knows local zones and has nobody to ask."""
    made = settings(root_hints(tmp_path_factory.mktemp("hints"), "k.root-servers.net", ["198.41.0.4"]))
    return Answerer(None, Resolution(made, Net(), VirtualClock(), Counters(), local_zones=own).resolve)


def as_read(answerer: Answerer, packet: bytes) -> bytes | None:
    """The reply of those who read the question; None where they have to wait, or have no answer."""
    query = peek(packet)
    if not isinstance(query, Query):
        return None
    answer = answerer.try_cached(query)
    return None if answer is None else render.render(query, answer, render.limit(query, True)).data


def read(form: str, *lines: str) -> Dataset:
    return FORMATS[form]([line.encode() + b"\n" for line in lines], 0, NOW)


def packet(name: Name, rtype: int = codes.A, flags: int = codes.RD, opt: bytes = b"", rclass: int = codes.IN) -> bytes:
    head = b"id" + flags.to_bytes(2) + bytes((0, 1, 0, 0, 0, 0, 0, bool(opt)))
    return head + name + rtype.to_bytes(2) + rclass.to_bytes(2) + opt


def opt(size: int = 1232, ttl: int = 0, options: bytes = b"") -> bytes:
    return b"\0" + codes.OPT.to_bytes(2) + size.to_bytes(2) + ttl.to_bytes(4) + len(options).to_bytes(2) + options


# -- any zones, any packets --------------------------------------------------------------------------------------------------

OCTET = st.sampled_from([1, 2, 3, 10, 255])
IP4 = st.builds(lambda octets: IPv4Address(bytes(octets)), st.lists(OCTET, min_size=4, max_size=4))
GROUP = st.sampled_from([0, 1, 0x2001, 0xFFFF, 0x102])
IP6 = st.one_of(
    st.builds(lambda groups: IPv6Address(b"".join(each.to_bytes(2) for each in groups)), st.lists(GROUP, min_size=8, max_size=8)),
    st.builds(lambda address: IPv6Address(f"::ffff:{address}"), IP4),
)
LABEL = st.sampled_from(["a", "1", "2", "ns", "www", "com", "f", "list"])
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
VALUE = st.sampled_from(["", " :3:", " :4:text of $", " only text", " :127.0.1.9:" + "long " * 60, " :bad", " # comment"])
EXCLUSION = st.sampled_from(["", "", "", "!"])


def network(address: IPv4Address | IPv6Address, left: int) -> str:
    length = address.max_prefixlen - left
    kind = type(address)
    return f"{kind(int(address) >> left << left)}/{length}"


ENTRIES = {
    "ip4set": st.builds(network, IP4, st.sampled_from([0, 0, 0, 5, 8, 16])),
    "ip4trie": st.builds(network, IP4, st.sampled_from([0, 0, 7, 8, 24])),
    "ip6trie": st.builds(network, IP6, st.sampled_from([0, 0, 16, 64, 100])),
    "dnset": st.builds(str.__add__, st.sampled_from(["", "", ".", "*."]), DOMAIN),
}
SERVERS = st.sampled_from(["ns.example.net", "ns.list.example", "list.example", "a.list.example", "1.deep.list.example", "."])
HEADS = st.one_of(
    st.just([]),
    st.builds(lambda mname, rname: [f"$SOA 60 {mname} {rname} 1 2 3 4 30", "$TTL 99", "$NS 50 ns.x"], SERVERS, SERVERS),
)


@st.composite
def lists(draw: st.DrawFn) -> Dataset | None:
    form = draw(st.sampled_from(sorted(ENTRIES)))
    made = draw(st.lists(st.builds(lambda *parts: "".join(parts), EXCLUSION, ENTRIES[form], VALUE), max_size=12))
    try:
        return read(form, *draw(HEADS), *made)
    except BadDataset:
        return None


MASTERS = st.sampled_from([
    None, None, "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns.x.", "@ 60 SOA ns.x. h.x. 1 2 3 4 5\nns 60 A 192.0.2.1\n*.1 60 TXT x",
    "@ 60 SOA ns.x. h.x. 1 2 3 4 5\n@ 60 DNAME other.example.",
])  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> LocalZones:
    zones = []
    for origin in draw(st.sets(st.sampled_from(["list.example", "deep.list.example", "example", "."]), min_size=1)):
        name = from_text(origin)
        master = draw(MASTERS)
        records = None if master is None else master_file.zone(master, name)
        datasets = [each for each in draw(st.lists(lists(), min_size=1, max_size=3)) if each is not None]
        zones.append(LocalZone(name, records, datasets, draw(st.sampled_from(["", "", "", "being read"]))))
    return LocalZones(zones, map(from_text, draw(st.sets(st.sampled_from(["1.list.example", "deep.list.example", "com"])))))


def cased(name: Name, upper: list[bool]) -> Name:
    return from_labels([each.upper() if yes else each for each, yes in zip(labels(name), upper * 255, strict=False)])


PREFIXES = st.one_of(
    IP4.map(lambda address: labels(reversed_address(address))),
    IP6.map(lambda address: labels(reversed_address(address))),
    DOMAIN.map(lambda text: text.encode().split(b".")),
    st.lists(st.sampled_from([b"1", b"2", b"01", b"255", b"256", b"f", b"\x00", b"x\x04list\x07example"]), max_size=6),
)
ORIGINS = st.sampled_from([b"list.example", b"deep.list.example", b"example", b"other"]).map(lambda text: text.split(b"."))
NAMES = st.one_of(
    st.builds(
        cased,
        st.builds(lambda prefix, origin: from_labels([*prefix, *origin]), PREFIXES, ORIGINS),
        st.lists(st.booleans(), min_size=1),
    ),
    st.builds(bytes.__add__, st.binary(max_size=12), st.sampled_from([*map(from_text, ("list.example", "example", ".")), b""])),
)
TYPES = st.one_of(
    st.just(codes.A),
    st.sampled_from([codes.TXT, codes.AAAA, codes.SOA, codes.NS, codes.DS, codes.ANY, codes.AXFR, codes.OPT, 0, 250, 65280]),
)
FLAGS = st.one_of(st.sampled_from([codes.RD, 0, codes.RD | codes.AD, codes.RD | codes.CD]), st.integers(0, 65535))
OPTS = st.one_of(
    st.just(b""),
    st.builds(opt, st.sampled_from([0, 511, 512, 1232, 65535]), st.sampled_from([0, 0x8000, 0x4000, 0x10000, 1 << 24]),
              st.sampled_from([b"", b"", b"\0\x0a\0\x08cookieco", b"\0\x0a"])),
    st.binary(min_size=11, max_size=11),
)  # fmt: skip
PACKETS = st.builds(packet, NAMES, TYPES, FLAGS, OPTS, st.sampled_from([codes.IN, codes.IN, codes.IN, 3]))


@given(tables(), st.lists(PACKETS, min_size=1, max_size=20), st.booleans())
def test_both_ways_give_the_same_octets(
    own: Own, answerer: Answerer, table: LocalZones, packets: list[bytes], cut: bool
) -> None:
    own.table = table
    replies = LocalReplies(own, lambda origin: False)
    for each in packets:
        question = each[:-1] if cut else each
        reply = replies.reply(question)
        if reply is not None:
            assert reply == as_read(answerer, question)
            assert answerer.reply(question) == reply


# -- what is answered so -----------------------------------------------------------------------------------------------------

LISTS = {
    "ip4set": read("ip4set", SOA, ":2:listed", "1.2.3.4", "1.2.4.0/24", "!1.2.4.9"),
    "ip4trie": read("ip4trie", SOA, ":2:listed", "1.2.3.4", "1.2.4.0/24", "!1.2.4.9"),
    "ip6trie": read("ip6trie", SOA, ":2:listed", "2001:db8:1::/64", "!2001:db8:1::9"),
    "dnset": read("dnset", SOA, ":2:listed", "spam.org", ".worse.org", "!good.worse.org"),
}
LISTED, CLEAR = ["4.3.2.1", "8.4.2.1"], ["5.3.2.1", "9.4.2.1"]
SIX = ["1::1", "1::9", "2::1"]
SPELT = [reversed_address(IPv6Address("2001:db8:" + each)) for each in SIX]
CASES = [
    *((form, name, True) for form in ("ip4set", "ip4trie") for name in LISTED),
    *((form, name, False) for form in ("ip4set", "ip4trie") for name in CLEAR),
    *(("ip6trie", ".".join(each.decode() for each in labels(name)), at == 0) for at, name in enumerate(SPELT)),
    *(("dnset", name, True) for name in ("spam.org", "worse.org", "www.worse.org")),
    *(("dnset", name, False) for name in ("www.spam.org", "good.worse.org", "other.org", "other.net")),
]


@pytest.mark.parametrize(("form", "name", "listed"), CASES)
@pytest.mark.parametrize("edns", [b"", opt(), opt(512, 0x8000)])
@pytest.mark.parametrize("flags", [0, codes.RD, codes.RD | codes.AD, codes.RD | codes.CD])
def test_what_is_asked_all_day_is_answered_from_its_octets(
    own: Own, answerer: Answerer, form: str, name: str, listed: bool, edns: bytes, flags: int
) -> None:
    own.table = LocalZones([LocalZone(from_text("list.example"), None, [LISTS[form]])])
    for rtype in (codes.A, codes.AAAA):
        question = packet(from_text(f"{name}.list.example"), rtype, flags, edns)
        reply = answerer.reply(question)
        assert reply is not None
        assert reply == as_read(answerer, question)
        assert reply[3] & 15 == (codes.NOERROR if listed else codes.NXDOMAIN)
        assert reply[7] == (listed and rtype == codes.A)


def test_lists_side_by_side_and_an_apex_from_a_master_file(own: Own, answerer: Answerer) -> None:
    origin = from_text("list.example")
    master = master_file.zone("@ 60 SOA ns.example.net. a.example.net. 1 2 3 4 5\n@ 60 NS ns.example.net.", origin)
    own.table = LocalZones([LocalZone(origin, master, list(LISTS.values()))])
    # Where two lists have an address, or four digits may be nibbles, the question is read.
    for form, name, listed in [*CASES[8:], ("ip4", "40.30.20.1", False)]:
        question = packet(from_text(f"{name}.list.example"))
        reply = answerer.reply(question)
        assert reply is not None
        assert reply == as_read(answerer, question)
        assert (reply[3] & 15 == codes.NOERROR) == listed, form
    assert answerer.reply(packet(from_text("4.3.2.1.list.example"))) is None


@pytest.mark.parametrize("change", ["other data", "a fault", "gone", "a zone below", "asked of others below"])
def test_other_zones_count_from_the_next_packet_on(own: Own, answerer: Answerer, change: str) -> None:
    origin, question = from_text("list.example"), packet(from_text("4.3.2.1.list.example"))
    before = LocalZone(origin, None, [LISTS["ip4set"]])
    own.table = LocalZones([before])
    assert answerer.reply(question) is not None
    other = read("ip4set", SOA, "9.9.9.9")
    own.table = {
        "other data": LocalZones([LocalZone(origin, None, [other])]),
        "a fault": LocalZones([LocalZone(origin, None, [LISTS["ip4set"]], "it has expired")]),
        "gone": LocalZones([]),
        "a zone below": LocalZones([before, LocalZone(from_text("1.list.example"), None, [LISTS["dnset"]], "being read")]),
        "asked of others below": LocalZones([before], [from_text("2.1.list.example")]),
    }[change]
    reply = answerer.reply(question)
    assert (reply is not None and reply[3] & 15 == codes.NXDOMAIN) if change == "other data" else reply is None


LONG = ".".join(["x" * 60] * 3)


@pytest.mark.parametrize(("lines", "origin", "name"), [
    (["$SOA 60 ns.list.example a.b.ns.list.example 1 2 3 4 5", "x.com"], "list.example", from_text("www.ns.list.example")),
    ([SOA, "x.com"], "list.example", from_text(f"{LONG}.{'y' * 57}.list.example")),
    ([SOA, "x.com"], "list.example", b"\x3f" + b"y" * 63 + from_text(f"{LONG}.list.example")),
    ([f"$SOA 60 {LONG}.a {LONG}.b 1 2 3 4 5", "x.com"], "list.example", from_text(f"{LONG}.list.example")),
    ([SOA, ".x.com"], "x.com", from_text("x.com.x.com")),
    ([SOA, ".x.com"], "list.example", b"\x05www\x01x" + from_text("x.com.list.example")),
    ([SOA, "x.com", "*.x.com :3"], "list.example", from_text("www.x.com.list.example")),
    ([SOA, "x.com"], "list.example", b"\xc0\x0c" + from_text("list.example")),
    ([SOA, "x.com"], "list.example", b"\x01x\x00" + from_text("list.example")),
], ids=["server", "longest", "too long", "long SOA", "its own name", "no labels", "below", "pointer", "two names"])  # fmt: skip
def test_names_that_are_not_as_they_look(own: Own, answerer: Answerer, lines: list[str], origin: str, name: Name) -> None:
    own.table = LocalZones([LocalZone(from_text(origin), None, [read("dnset", *lines)])])
    length = len(name) - len(from_text(origin)) - 1
    for each in (bytes((length & 63,)) + b"q" * length + from_text(origin), name):
        reply = answerer.reply(packet(each))
        assert reply is None or reply == as_read(answerer, packet(each))


@pytest.mark.parametrize("form", ["ip4set", "ip4trie", "ip6trie"])
def test_mapped_addresses_are_left_to_those_who_read(own: Own, answerer: Answerer, form: str) -> None:
    own.table = LocalZones([LocalZone(from_text("list.example"), None, [LISTS["ip4set"], LISTS[form]])])
    name = reversed_address(IPv6Address("::ffff:1.2.3.4"))[:-1] + from_text("list.example")
    assert as_read(answerer, packet(name))[3] & 15 == codes.NOERROR
    assert answerer.reply(packet(name)) is None


FEW = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map(".".join)


@given(
    st.lists(st.tuples(EXCLUSION, st.sampled_from(["", ".", "*."]), FEW, st.sampled_from(["", " :3"])), min_size=1, max_size=8),
    st.lists(FEW, min_size=1, max_size=15),
)
def test_the_number_of_a_name_is_what_find_finds(entries: list[tuple[str, ...]], names: list[str]) -> None:
    dataset, origin = read("dnset", *map("".join, entries)), from_text("list.example")
    for each in names:
        name = from_text(f"{each}.list.example")
        key = lookup_key(name, origin, has_ip4=False)
        number, listing = dataset.number_of(key.name), dataset.find(key)
        if number == EXCLUDED:
            assert listing is None
            assert not dataset.is_above(key)
        elif number != UNDECIDED:
            assert listing is not None
            assert listing.numbers == (number,)
