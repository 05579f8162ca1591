"""Lists in rbldnsd's formats. What real rbldnsd says to the same entries is compared in tests/real/test_local_zones.py."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.resolver.local.rbldnsd import FORMATS, BadDataset, Dataset
from resolverd.resolver.local.rbldnsd.addresses import cidr4, cidr6, range4
from resolverd.resolver.local.rbldnsd.intervals import in_order
from resolverd.resolver.local.rbldnsd.key import lookup_key
from resolverd.resolver.local.rbldnsd.nametable import NameTable
from resolverd.wire import rdata
from resolverd.wire.names import from_text, lower, reversed_address

ORIGIN = from_text("list.example")
NOW = 1_800_000_000.0


def read(form: str, text: str, modified: int = 0) -> Dataset:
    return FORMATS[form]([line.encode() + b"\n" for line in text.splitlines()], modified, NOW)


def find(dataset: Dataset, subject: str) -> list[str] | None:
    """Listings as ``A text``, sorted; None for none."""
    try:
        address = IPv6Address(subject) if ":" in subject else IPv4Address(subject)
        name = reversed_address(address)
    except ValueError:
        name = lower(from_text(subject))
    listing = dataset.find(lookup_key(name[:-1] + ORIGIN, ORIGIN, has_ip4=dataset.is_ip4))
    if listing is None:
        return None
    addresses = [rdata.summary(1, each) for each in dataset.addresses(listing)]
    texts = [text.decode() for text in dataset.texts(listing)]
    return sorted(addresses) + sorted(texts)


def is_above(dataset: Dataset, prefix: str) -> bool:
    return dataset.is_above(lookup_key(from_text(f"{prefix}.list.example"), ORIGIN, has_ip4=dataset.is_ip4))


# -- ways to write an address -------------------------------------------------------------------------------------------

CLASS_C = (0x7F000000, 0x7F0000FF)
TWELVE = (0x7F100000, 0x7F1FFFFF)


@pytest.mark.parametrize(("token", "wanted"), [
    ("127.0.0.0/24", CLASS_C), ("127.0.0", CLASS_C), ("127/24", CLASS_C), ("127-127.0.0", CLASS_C),
    ("127.0.0.0-127.0.0.255", CLASS_C), ("127.0.0.1-255", (0x7F000001, 0x7F0000FF)),
    ("127.16.0.0-127.31.255.255", TWELVE), ("127.16.0-127.31.255", TWELVE), ("127.16-127.31", TWELVE), ("127.16-31", TWELVE),
    ("127.16.0.0/12", TWELVE), ("127.16.0/12", TWELVE), ("127.16/12", TWELVE),
    ("127.16.0-31", (0x7F100000, 0x7F101FFF)),
    ("1.2.3.4", (0x01020304, 0x01020304)), ("01.002.3.0004", (0x01020304, 0x01020304)), ("1-2", (0x01000000, 0x02FFFFFF)),
    ("255.255.255.255", (0xFFFFFFFF, 0xFFFFFFFF)), ("1.2.3.4/32", (0x01020304, 0x01020304)),
])  # fmt: skip
def test_ip4_ranges(token: str, wanted: tuple[int, int]) -> None:
    assert range4(token.encode()) == wanted


@pytest.mark.parametrize("token", [
    "", ".", "1.2.3.4.5", "256", "1.2.3.", "1..2", "1.2.3.4/33", "1.2.3.4/0", "0/0", "1.2.3.4/", "1.2.3.4/24", "1.2.3.4-",
    "1.2.3.9-1.2.3.4", "1.2.3.9-4", "-1", "1/x", "1.2.3.4-1.2.3.5/32",
])  # fmt: skip
def test_what_is_no_ip4_range(token: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        range4(token.encode())


@pytest.mark.parametrize(("token", "address", "length"), [
    ("2001:db8::", "2001:db8::", 128), ("2001:db8::/32", "2001:db8::", 32), ("2001:db8:1:2", "2001:db8:1:2::", 64),
    ("2001:db8:8", "2001:db8:8::", 48), ("2001:db8:c000/36", "2001:db8:c000::", 36), ("::", "::", 128), ("::/0", "::", 0),
    ("::1", "::1", 128), ("2001:DB8::ABCD", "2001:db8::abcd", 128), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 128),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 128), ("0001::/016", "1::", 16),
])  # fmt: skip
def test_ip6_networks(token: str, address: str, length: int) -> None:
    assert cidr6(token.encode()) == (int(IPv6Address(address)), length)


@pytest.mark.parametrize("token", [
    "", ":", "2001", "2001:", "2001:db8:", ":2001", "1::2::3", "1:2:3:4:5:6:7::8", "1:2:3:4:5:6:7:8::", "12345::", "::/129",
    "2001:db8::1/64", "2001:db8:3::/33",
])  # fmt: skip
def test_what_is_no_ip6_network(token: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        cidr6(token.encode())


def test_ip4_tries_take_networks_only() -> None:
    assert cidr4(b"0/0") == (0, 0)
    assert cidr4(b"5.2") == (0x05020000, 16)
    with pytest.raises(ValueError, match="invalid"):
        cidr4(b"5.0.0.0-5.0.0.9")


# -- values -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("head", "value", "wanted"), [
    ("", "", ["127.0.0.2"]),
    ("", "text about $", ["127.0.0.2", "text about 1.2.3.4"]),
    (":3:default $", "", ["127.0.0.3", "default 1.2.3.4"]),
    (":3:default $", "# comment", ["127.0.0.3", "default 1.2.3.4"]),
    (":3:default $", "own", ["127.0.0.3", "own"]),
    (":3:default $", ":4", ["127.0.0.4", "default 1.2.3.4"]),
    (":3:default $", ":4:", ["127.0.0.4"]),
    (":3:default $", ":4:own", ["127.0.0.4", "own"]),
    (":3:default $\n:4", "", ["127.0.0.4"]),
    (":3:default $\n:bad:x", "", ["127.0.0.3", "default 1.2.3.4"]),
    ("", ":127.0.0.9:own $$ $", ["127.0.0.9", "own $ 1.2.3.4"]),
    ("", ":1.2:two", ["1.0.0.2", "two"]),
    ("", ":1.2.3:three", ["1.2.0.3", "three"]),
    ("", ":127.0:none", ["127.0.0.0", "none"]),
    ("", ":5:with:colon", ["127.0.0.5", "with:colon"]),
    ("", ":5:#hash", ["127.0.0.5", "#hash"]),
    ("", "text # no comment", ["127.0.0.2", "text # no comment"]),
    ("$1 one $\n$2 two $1\n$1 again", "$1 $2 $3", ["127.0.0.2", "one $ two $1 $3"]),
    ("", "x $= $", ["127.0.0.2", "x x $= $ 1.2.3.4"]),
    ("$= base $= for $ $1\n$1 one", "r1 $1", ["127.0.0.2", "base r1 $1 for 1.2.3.4 one"]),
    ("$= base $=", "", ["127.0.0.2", "base 1.2.3.4"]),
    ("$= base $=", ":4:", ["127.0.0.4", "base 1.2.3.4"]),
    ("$= base $=", "=own $", ["127.0.0.2", "own 1.2.3.4"]),
    ("", "=own", ["127.0.0.2", "own"]),
    ("", "==own", ["127.0.0.2", "=own"]),
    ("", "x" * 300, ["127.0.0.2", "x" * 255]),
    ("", "$" * 300, ["127.0.0.2", "$" * 127 + "1.2.3.4"]),
    ("$3 said before", "$3", ["127.0.0.2", "said before"]),
])  # fmt: skip
def test_values(head: str, value: str, wanted: list[str]) -> None:
    assert find(read("ip4set", f"{head}\n1.2.3.4 {value}\n"), "1.2.3.4") == wanted


@pytest.mark.parametrize("value", [":", "::x", ":0:x", ":256:x", ": 3 :x", ":3 x", ":3 # x", ":abc:x", ":.5:x", ":5.:x",
                                   ":1.2.3.4.5:x", ":127.0.0.300:x", ":0.0.0.0:x"])  # fmt: skip
def test_an_entry_with_an_unreadable_value_is_passed_over(value: str) -> None:
    dataset = read("ip4set", f"1.2.3.5\n1.2.3.4 {value}\n")
    assert find(dataset, "1.2.3.4") is None
    assert dataset.faults == (1, ("line 2: invalid A value",))


# -- directives -------------------------------------------------------------------------------------------------------------

def test_head() -> None:
    text = "$SOA 0 ns.ex.com. admin.ex.com 0 10m 5m 1w 1h\n$ns 2h a.ex.com -b.ex.com C.ex.com\n$TTL 1h\n;$TTL 60\n1.2.3.4\n"
    head = read("ip4set", text, modified=1234).head
    assert head.ttl == 60
    soa = rdata.Soa(from_text("ns.ex.com"), from_text("admin.ex.com"), 1234, 600, 300, 604800, 3600)
    assert head.soa == (60, soa)
    assert head.ns == (7200, (from_text("a.ex.com"), from_text("c.ex.com")))


def test_the_first_soa_and_ns_count_and_the_last_ttl() -> None:
    head = read("ip4set", "$SOA 5 a b 1 1 1 1 1\n$SOA 6 c d 1 1 1 1 1\n$NS 5 a\n$NS 6 b\n$TTL 5\n$TTL 6\n$TTL 1h30m\n").head
    assert head.soa is not None
    assert head.ns is not None
    assert (head.soa[0], head.ns[0], head.ttl) == (5, 5, 6)


@pytest.mark.parametrize("line", [
    "$TTL", "$TTL x", "$TTL 5 6", "$TTL -1", "$SOA 0 a b 1 1 1 1", "$SOA 0 a b 1 1 1 1 1 1", "$SOA 0 a b x 1 1 1 1", "$NS 0",
    "$NS a b", "$MAXRANGE4 0", "$MAXRANGE4 /0", "$MAXRANGE4 /33", "$MAXRANGE4 x", "$3", "$12 text", "$=text", "$DATASET ip4set x",
    "$TIMESTAMP", "$TIMESTAMP x", "$TIMESTAMP 2005:13:01", "$TIMESTAMP 2005:02:30", "$TIMESTAMP - +1d", "$TIMESTAMP 20050101",
    "$TIMESTAMP 2005:01:01 2006:01:01 x", "$", "#$Id$",
])  # fmt: skip
def test_unreadable_directives_are_passed_over(line: str) -> None:
    dataset = read("ip4set", f"{line}\n1.2.3.4\n")
    assert find(dataset, "1.2.3.4") == ["127.0.0.2"]
    assert dataset.faults.number == 1
    assert "line 1: invalid or unknown directive $" in dataset.faults.shown[0]


@pytest.mark.parametrize(("line", "expires"), [
    ("2005:01:01", None), ("2005:01:01 0", None), ("2005:01:01 -", None), ("2005-01-01 2006:01:01", 1136073600),
    ("2005:01:01:10:20:30 +1d", 1104661230), ("0 2006:1:1:1", 1136077200),
])  # fmt: skip
def test_timestamps(line: str, expires: float | None) -> None:
    assert read("ip4set", f"$TIMESTAMP {line}\n1.2.3.4\n").head.expires == expires


def test_data_from_the_future_is_refused() -> None:
    with pytest.raises(BadDataset, match="in the future"):
        read("ip4set", "$TIMESTAMP 2099:01:01\n1.2.3.4\n")


def test_the_largest_range() -> None:
    text = "$MAXRANGE4 /24\n1/16\n2.2.2/24\n$MAXRANGE4 /16\n3/16\n$MAXRANGE4 4\n4.4.4.0-5\n4.4.5/30\n!2.2/16\n"
    dataset = read("ip4set", text)
    listed = [subject for subject in ("1.0.0.1", "2.2.2.2", "3.0.0.1", "4.4.4.1", "4.4.5.1") if find(dataset, subject)]
    assert listed == ["2.2.2.2", "4.4.5.1"]
    assert dataset.faults.number == 5
    assert dataset.faults.shown[0] == "line 2: range of 65536 addresses, 256 at most"


def test_a_file_of_which_nothing_can_be_read_is_no_list() -> None:
    with pytest.raises(BadDataset, match=r"no entry in it can be read; line 1: invalid address"):
        read("ip4set", "<html>\n<p>404</p>\n")
    for form in FORMATS:
        assert read(form, "").size == 0
        assert read(form, "# nobody is listed today\n$NONSENSE\n").size == 0


def test_only_the_first_faults_are_told_in_words() -> None:
    dataset = read("ip4set", "1.2.3.4\n" + "nonsense\n" * 20)
    assert dataset.faults.number == 20
    assert dataset.faults.shown == tuple(f"line {number}: invalid address" for number in range(2, 7))


def test_line_ends_of_other_systems() -> None:
    dataset = read("ip4set", "1.2.3.4\r\n\r\n1.2.3.5 text\r\n")
    assert find(dataset, "1.2.3.4") == ["127.0.0.2"]
    assert find(dataset, "1.2.3.5") == ["127.0.0.2", "text"]


# -- formats ----------------------------------------------------------------------------------------------------------------

def test_ip4set_answers_from_the_smallest_of_its_four_sizes() -> None:
    dataset = read("ip4set", """
10/8 :8
10.1/16 :16
10.1.2/24 :24
10.1.2.3 :32
10.1.2.3 :33
!10.1.2.4
10.1.2.4 :34
! 10.1.5/24
10.1.6.0/25 :25
10.1.6.1 :35
10.1.7.0/31
""")
    wanted = {
        "10.0.0.1": ["127.0.0.8"], "10.1.1.1": ["127.0.0.16"], "10.1.2.1": ["127.0.0.24"],
        "10.1.2.3": ["127.0.0.32", "127.0.0.33"], "10.1.2.4": None, "10.1.5.1": None, "10.1.6.0": ["127.0.0.25"],
        "10.1.6.1": ["127.0.0.25", "127.0.0.35"], "10.1.6.128": ["127.0.0.16"], "11.0.0.1": None,
        "::ffff:10.0.0.1": ["127.0.0.8"], "2001:db8::1": None, "x": None, "1.2.1.10.x": None,
    }  # fmt: skip
    assert {subject: find(dataset, subject) for subject in wanted} == wanted


def test_ip4trie_answers_from_the_longest_prefix() -> None:
    dataset = read("ip4trie", "0/0 :1\n10/8 :2\n!10.1/16\n10.1.1/24 :4\n10.1.1.0/25 :5\n10.1.1/24 :6\n255.255.255.255 :7\n1-2\n")
    wanted = {
        "9.255.255.255": ["127.0.0.1"], "10.0.0.0": ["127.0.0.2"], "10.0.255.255": ["127.0.0.2"], "10.1.0.0": None,
        "10.1.1.0": ["127.0.0.5"], "10.1.1.128": ["127.0.0.4"], "10.1.2.0": None, "10.2.0.0": ["127.0.0.2"],
        "11.0.0.0": ["127.0.0.1"], "255.255.255.254": ["127.0.0.1"], "255.255.255.255": ["127.0.0.7"],
    }  # fmt: skip
    assert {subject: find(dataset, subject) for subject in wanted} == wanted
    assert dataset.size == 6
    assert dataset.faults.number == 2


def test_ip6trie() -> None:
    dataset = read("ip6trie", """
:2:listed $
::/0 :1
2001:db8::/32
2001:db8:1:2 :3:text
!2001:db8:1:2::bad
::1 :4:loop
1:2:3:4:5:6:7:8:9
ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff :5:
""")
    wanted = {
        "2a00::1": ["127.0.0.1", "listed 2a00::1"], "2001:db8::1": ["127.0.0.2", "listed 2001:db8::1"],
        "2001:db8:1:2:3::": ["127.0.0.3", "text"], "2001:db8:1:2::bad": None, "::1": ["127.0.0.4", "loop"],
        "1:2:3:4:5:6:7:8": ["127.0.0.9", "listed 1:2:3:4:5:6:7:8"], "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": ["127.0.0.5"],
        "1.2.3.4": None,
    }  # fmt: skip
    assert {subject: find(dataset, subject) for subject in wanted} == wanted


def test_dnset() -> None:
    dataset = read("dnset", r"""
:2:listed $
example.com
*.example.com :3:wild $
.both.com :4
!ok.both.com
!.no.both.com
!*.none.both.com
UPPER.Com.
dup.com :7:a
dup.com :8:b
!dup.com.au
dup.com.au
esc\.aped.com
bad..dots.com
user@host.com text
*
.
""")
    wanted = {
        "example.com": ["127.0.0.2", "listed example.com"], "x.y.example.com": ["127.0.0.3", "wild example.com"],
        "both.com": ["127.0.0.4", "listed both.com"], "q.both.com": ["127.0.0.4", "listed both.com"], "ok.both.com": None,
        "z.ok.both.com": ["127.0.0.4", "listed both.com"], "no.both.com": None, "z.no.both.com": None,
        "none.both.com": ["127.0.0.4", "listed both.com"], "z.none.both.com": None,
        "upper.com": ["127.0.0.2", "listed upper.com"], "dup.com": ["127.0.0.7", "127.0.0.8", "a", "b"], "dup.com.au": None,
        "esc\\.aped.com": ["127.0.0.2", "listed esc\\.aped.com"], "esc.aped.com": None,
        "bad.dots.com": ["127.0.0.2", "listed bad.dots.com"], "user\\@host.com": ["127.0.0.2", "text"], "com": None,
        "x.org": None,
    }  # fmt: skip
    assert {subject: find(dataset, subject) for subject in wanted} == wanted
    assert dataset.faults == (1, ("line 18: invalid domain name",))


@pytest.mark.parametrize(("form", "text", "above", "not_above"), [
    ("ip4set", "1.2.3.4\n5.6/16\n", ["3.2.1", "2.1", "1", "6.5", "5", "9.6.5"], ["3.2.2", "2", "7.5", "300.5", "x"]),
    ("ip4trie", "1.2.3.4\n5.6/16\n!7/8\n", ["3.2.1", "2.1", "1", "6.5", "5"], ["3.2.2", "2", "7.5", "7", "x"]),
    ("ip6trie", "2001:db8::/48\n!2001:db9::/32\n", ["2", "8.b.d.0.1.0.0.2"], ["3", "9.b.d.0.1.0.0.2", "g", "1.8.b.d.0.1.0.0.2"]),
    ("dnset", "a.b.example.com\n*.wild.org\n!no.net\n.x.both.de\n!y.x.both.de\n",
     ["b.example.com", "example.com", "com", "wild.org", "x.both.de", "both.de"], ["a.b.example.com", "net", "y.x.both.de", "z"]),
])  # fmt: skip
def test_empty_non_terminals(form: str, text: str, above: list[str], not_above: list[str]) -> None:
    dataset = read(form, text)
    assert [prefix for prefix in above if not is_above(dataset, prefix)] == []
    assert [prefix for prefix in not_above if is_above(dataset, prefix)] == []


# -- against plain models -------------------------------------------------------------------------------------------------------

def _network(bits: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, 255), st.integers(0, 3), st.integers(bits, 32)).map(
        lambda each: ((10 << 24 | each[1] << 8 | each[0]) >> 32 - each[2] << 32 - each[2], each[2])
    )


@given(st.lists(st.tuples(_network(8), st.integers(0, 5)), max_size=30), st.lists(st.integers(0, 1023), max_size=20))
def test_tries_find_the_longest_prefix(entries: list[tuple[tuple[int, int], int]], asked: list[int]) -> None:
    lines = [f"{'!' * (value == 0)}{IPv4Address(network)}/{length} :{value or 1}" for (network, length), value in entries]
    dataset = read("ip4trie", "\n".join(lines))
    for host in asked:
        address = 10 << 24 | host
        best = max(
            ((length, -at, value) for at, ((network, length), value) in enumerate(entries)
             if address >> 32 - length == network >> 32 - length),
            default=(0, 0, 0),
        )  # fmt: skip
        assert find(dataset, str(IPv4Address(address))) == ([f"127.0.0.{best[2]}"] if best[2] else None)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 5)), max_size=20),
       st.lists(st.integers(0, 600), max_size=20))  # fmt: skip
def test_sets_of_ranges(entries: list[tuple[int, int, int]], asked: list[int]) -> None:
    """Within one /16 there are two sizes: whole /24s, and the addresses of ranges that are no whole /24."""
    base = 10 << 24
    lines, sizes = [], []
    for first, more, value in entries:
        low, high = base + first, base + first + more
        lines.append(f"{'!' * (value == 0)}{IPv4Address(low)}-{IPv4Address(high)} :{value or 1}")
        whole = {net for net in range(low >> 8, (high >> 8) + 1) if low <= net << 8 and net << 8 | 255 <= high}
        sizes.append((low, high, whole, value))
    dataset = read("ip4set", "\n".join(lines))
    for host in asked:
        address = base + host
        held = [(address >> 8 not in whole, value) for low, high, whole, value in sizes if low <= address <= high]
        single = [value for is_single, value in held if is_single]
        values = set(single or [value for _, value in held])
        wanted = None if 0 in values or not values else sorted(f"127.0.0.{value}" for value in values)
        found = find(dataset, str(IPv4Address(address)))
        assert (found and sorted(set(found))) == wanted


@given(st.lists(st.binary(min_size=3, max_size=3)))
def test_rows_in_order(rows: list[bytes]) -> None:
    assert list(in_order(b"".join(rows), 3)) == sorted(rows)


def test_many_rows_in_order() -> None:
    rows = [(number * 7919 % 30_011).to_bytes(4) for number in range(30_000)]
    assert list(in_order(b"".join(rows), 4)) == sorted(rows)
    assert list(in_order(b"".join(sorted(rows)), 4)) == sorted(rows)


@given(st.lists(st.binary(min_size=1, max_size=4)))
def test_a_name_table_is_a_numbering(names: list[bytes]) -> None:
    table, wanted = NameTable(), dict[bytes, int]()
    for name in names:
        assert table.find(name) == wanted.get(name, -1)
        assert table.add(name) == wanted.setdefault(name, len(wanted))
    assert len(table) == len(wanted)
    assert all(table.find(name) == number for name, number in wanted.items())


def test_a_name_table_grows() -> None:
    table = NameTable()
    names = [f"name{number}".encode() for number in range(10_000)]
    assert [table.add(name) for name in names] == list(range(10_000))
    assert [table.find(name) for name in names] == list(range(10_000))
    assert table.find(b"other") == -1
