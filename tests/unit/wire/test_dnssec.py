"""Records of DNSSEC, held against dnspython and the RFCs' examples."""

from base64 import b64decode

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.wire import codes
from resolverd.wire.dnssec import (
    Dnskey,
    Ds,
    Nsec,
    Nsec3,
    Rrsig,
    dnskey,
    ds,
    expanded_from,
    has_type,
    hash_label,
    key_tag,
    label_hash,
    nsec,
    nsec3,
    nsec3_hash,
    rrsig,
)
from resolverd.wire.names import from_labels, from_text

SALT = bytes.fromhex("aabbccdd")


def wire(rtype: str, text: str) -> bytes:
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, text).to_wire()


def test_fields() -> None:
    public = b64decode("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=")
    key = dnskey(b"\x01\x01\x03\x0f" + public)
    assert key == Dnskey(257, 3, 15, public)
    assert (key.is_zone_key, key.is_sep, key.is_revoked) == (True, True, False)
    assert not dnskey(b"\x01\x01\x02\x0fx").is_zone_key
    assert not dnskey(b"\x00\x01\x03\x0fx").is_zone_key
    assert dnskey(b"\x01\x81\x03\x0fx").is_revoked
    assert ds(b"\x12\x34\x08\x02" + bytes(32)) == Ds(0x1234, 8, 2, bytes(32))
    data = wire("RRSIG", "A 13 3 3600 20100909100439 20100812100439 55648 Example.NET. AAEC")
    assert rrsig(data) == Rrsig(codes.A, 13, 3, 3600, 1284026679, 1281607479, 55648, from_text("example.net"), b"\0\1\2")
    assert nsec(wire("NSEC", "Host.example. A MX")) == Nsec(from_text("host.example"), b"\0\2\x40\1")
    data = wire("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG")
    read = nsec3(data)
    assert (read.algorithm, read.flags, read.iterations, read.salt) == (1, 1, 12, SALT)
    assert hash_label(read.next_hash) == b"2t7b4g4vsa5smi47k61mv5bv1a22bojr"
    assert read.is_opt_out
    assert nsec3(wire("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr")) == Nsec3(1, 0, 0, b"", read.next_hash, b"")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (dnskey, "01010308"),
        (dnskey, ""),
        (ds, "12340802"),
        (rrsig, "0001080200000e10000000000000000012"),
        (rrsig, "0001080200000e100000000000000000123400"[:36]),
        (rrsig, "0001080200000e1000000000000000001234c00c"),
        (rrsig, "0001080200000e1000000000000000001234" + "3f" + "61" * 63 + ("3f" + "61" * 63) * 3 + "00"),
        (nsec, ""),
        (nsec, "0361"),
        (nsec, "00" + "0000"),
        (nsec, "00" + "000180" + "00"),
        (nsec, "00" + "000280"),
        (nsec, "00" + "0021" + "01" * 33),
        (nsec, "00" + "010180" + "000180"),
        (nsec, "00" + "000180" + "000180"),
        (nsec3, ""),
        (nsec3, "01000001"),
        (nsec3, "0100000104aabb"),
        (nsec3, "0100000100"),
        (nsec3, "010000010000"),
        (nsec3, "010000010014" + "00" * 19),
        (nsec3, "010000010001" + "ff" + "0000"),
    ],
)
def test_impossible_rdata(parse: object, text: str) -> None:
    with pytest.raises(ValueError):
        parse(bytes.fromhex(text))  # type: ignore[operator]


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for parse in (dnskey, ds, rrsig, nsec, nsec3):
        try:
            parse(data)
        except ValueError:
            pass


@given(st.integers(0, 65535), st.integers(0, 255), st.binary(min_size=3, max_size=300))
def test_key_tags_are_those_of_dnspython(flags: int, algorithm: int, public: bytes) -> None:
    data = flags.to_bytes(2) + b"\x03" + bytes([algorithm]) + public
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, data, 0, len(data))
    assert key_tag(data) == dns.dnssec.key_id(rdata)


def test_the_key_tag_of_rfc_4034() -> None:
    public = b64decode(
        "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCV"
        "dFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=="
    )
    assert key_tag(b"\x01\x00\x03\x05" + public) == 60485


@given(st.sets(st.integers(1, 65535), max_size=40), st.integers(1, 65535))
def test_bitmaps_are_those_of_dnspython(present: set[int], other: int) -> None:
    text = " ".join(f"TYPE{number}" for number in sorted(present))
    types = nsec(wire("NSEC", f"example. {text}")).types
    assert {number for number in present | {other} if has_type(types, number)} == present | ({other} & present)


def test_a_malformed_bitmap_says_nothing() -> None:
    with pytest.raises(ValueError):
        has_type(b"\x00\x05\x40", codes.A)
    with pytest.raises(ValueError):
        has_type(b"\x01\x01\x40\x00\x01\x40", codes.A)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("example", b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("a.example", b"35mthgpgcu1qg68fab165klnsnk3dpvl"),
        ("ai.example", b"gjeqe526plbf1g8mklp59enfd789njgi"),
        ("ns1.example", b"2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
        ("NS2.Example", b"q04jkcevqvmu85r014c7dkba38o0ji5r"),
        ("w.example", b"k8udemvp1j2f7eg6jebps17vp3n8i58h"),
        ("*.w.example", b"r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ("x.w.example", b"b4um86eghhds6nea196smvmlo4ors995"),
        ("y.w.example", b"ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
        ("x.y.w.example", b"2vptu5timamqttgl4luu9kg21e0aor3s"),
        ("xx.example", b"t644ebqk9bibcna874givr6joj62mlhv"),
    ],
)
def test_the_hashes_of_rfc_5155_appendix_a(name: str, label: bytes) -> None:
    digest = nsec3_hash(from_text(name), SALT, 12)
    assert hash_label(digest) == label
    assert label_hash(label.upper()) == digest


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.binary(max_size=8), st.integers(0, 20))
def test_hashes_are_those_of_dnspython(labels: list[bytes], salt: bytes, iterations: int) -> None:
    text = dns.name.Name([*labels, b""])
    expected = dns.dnssec.nsec3_hash(text, salt.hex(), iterations, 1)
    assert hash_label(nsec3_hash(from_labels(labels), salt, iterations)) == expected.lower().encode()


@pytest.mark.parametrize("label", [b"", b"0p9mhaveqvm6t7vbl5lop2u3t2rp3to", b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tow", b"z" * 32])
def test_labels_that_are_no_hash(label: bytes) -> None:
    with pytest.raises(ValueError):
        label_hash(label)


@pytest.mark.parametrize(
    ("owner", "labels", "encloser"),
    [
        ("www.example.org", 3, None),
        ("www.example.org", 2, "example.org"),
        ("a.b.c.example.org", 3, "c.example.org"),
        ("www.example.org", 4, None),
        ("*.example.org", 2, None),
        ("*.example.org", 3, None),
        ("*.a.example.org", 2, "example.org"),
        ("*.*.example.org", 3, None),
        ("*.*.example.org", 2, "example.org"),
        ("org", 0, "."),
        ("*", 0, None),
        (".", 0, None),
    ],
)
def test_what_a_wildcard_was_expanded_from(owner: str, labels: int, encloser: str | None) -> None:
    assert expanded_from(from_text(owner), labels) == (None if encloser is None else from_text(encloser))
