"""Canonical form and order (RFC 4034 §6), held against dnspython."""

import dns.name
import dns.rdata
import dns.rdataclass
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.wire import codes
from resolverd.wire.canonical import canonical_rdata, canonical_rdatas, name_key
from resolverd.wire.codes import type_from_text
from resolverd.wire.names import from_labels, from_text
from resolverd.wire.rdata import LAYOUTS

LABELS = st.lists(st.binary(min_size=1, max_size=8), max_size=6)


def test_the_order_of_rfc_4034() -> None:
    names = [
        "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", "\\001.z.example.",
        "*.z.example.", "\\200.z.example.",
    ]  # fmt: skip
    wired = [from_text(name) for name in names]
    assert sorted(wired, key=name_key) == wired


@given(st.lists(LABELS, max_size=8))
def test_the_order_is_that_of_dnspython(names: list[list[bytes]]) -> None:
    ours = sorted((from_labels(labels) for labels in names), key=name_key)
    theirs = sorted(dns.name.Name([*labels, b""]) for labels in names)
    assert [name.lower() for name in ours] == [name.to_wire().lower() for name in theirs]


@pytest.mark.parametrize(
    ("rtype", "text", "lowered"),
    [
        ("NS", "NS.Example.", True),
        ("CNAME", "WWW.Example.", True),
        ("DNAME", "Other.Example.", True),
        ("PTR", "Host.Example.", True),
        ("SOA", "NS.Example. Host.Example. 16777281 2 3 4 1094795585", True),
        ("MX", "16705 Mail.Example.", True),
        ("RP", "Me.Example. TXT.Example.", True),
        ("AFSDB", "1 Host.Example.", True),
        ("RT", "1 Host.Example.", True),
        ("KX", "1 Host.Example.", True),
        ("PX", "1 Map.Example. X400.Example.", True),
        ("SRV", "65 66 67 Host.Example.", True),
        ("NAPTR", '10 10 "U" "SIP+D2U" "!^.*$!sip:Me@Example!" SIP.Example.', True),
        ("HINFO", '"PDP-11" "UNIX"', False),
        ("TXT", '"Hello"', False),
        ("NSEC", "Next.Example. A", False),
        ("SVCB", "1 Host.Example. alpn=H2", False),
        ("TLSA", "3 1 0 41424344", False),
        ("CAA", '0 issue "CA.Example"', False),
        ("DNSKEY", "256 3 8 QUJDREVG", False),
    ],
)
def test_names_of_the_types_listed_are_in_lower_case(rtype: str, text: str, lowered: bool) -> None:
    rdata = dns.rdata.from_text(dns.rdataclass.IN, rtype, text)
    ours = canonical_rdata(type_from_text(rtype), rdata.to_wire())
    assert ours == rdata.to_digestable()
    assert (ours != rdata.to_wire()) is lowered


def test_numbers_that_look_like_letters_stay() -> None:
    mx = b"AA" + from_text("Mail.Example")
    assert canonical_rdata(codes.MX, mx) == b"AA" + from_text("mail.example")


@pytest.mark.parametrize("rtype", sorted(LAYOUTS))
@pytest.mark.parametrize("rdata", [b"", b"\x00", b"\x03ab", b"\xc0\x0c", b"\x00\x01" + b"\xff" * 5])
def test_impossible_rdata(rtype: int, rdata: bytes) -> None:
    try:
        assert len(canonical_rdata(rtype, rdata)) == len(rdata)
    except ValueError:
        pass


def test_each_once_in_order_of_octets() -> None:
    upper, lower, short = from_text("B.example"), from_text("b.example"), from_text("a.example")
    assert canonical_rdatas(codes.NS, (upper, lower, short)) == [short, lower]
    assert canonical_rdatas(codes.TXT, (b"\x02ab", b"\x01b", b"\x01B", b"\x01b")) == [b"\x01B", b"\x01b", b"\x02ab"]
    assert canonical_rdatas(codes.NULL, (b"a\x00", b"a", b"\xff", b"")) == [b"", b"a", b"a\x00", b"\xff"]
