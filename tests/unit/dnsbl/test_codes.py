"""Postfix's filter grammar with its two additions, and what a set of A records amounts to."""

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptedlists import CATALOGUE

from resolverd.dnsbl.codes import BadPattern, Code, CodeTable, ErrorCode, Meaning, parse


def packed(text):
    return IPv4Address(text).packed


MATCHES = [
    ("127.0.0.4", "127.0.0.4", True),
    ("127.0.0.4", "127.0.0.5", False),
    ("127.0.[0..255].[1..3]", "127.0.5.1", True),
    ("127.0.[0..255].[1..3]", "127.0.10.3", True),
    ("127.0.[0..255].[1..3]", "127.0.5.0", False),
    ("127.0.[0..255].[1..3]", "127.1.5.1", False),
    ("127.0.[2..9;11..255].[1..3]", "127.0.10.3", False),
    ("127.0.0.[2;4;6..8]", "127.0.0.2", True),
    ("127.0.0.[2;4;6..8]", "127.0.0.3", False),
    ("127.0.0.[2;4;6..8]", "127.0.0.7", True),
    ("127.0.0.[255]", "127.0.0.255", True),
    ("127.0.0.[5..5]", "127.0.0.5", True),
    ("127.0.1.[2..99]", "127.0.1.100", False),
    ("[127].0.0.2", "127.0.0.2", True),
    ("127.0.0.&8", "127.0.0.8", True),
    ("127.0.0.&8", "127.0.0.12", True),
    ("127.0.0.&8", "127.0.0.7", False),
    ("127.0.0.&12", "127.0.0.8", False),
    ("127.0.0.&12", "127.0.0.13", True),
    ("127.0.0.0/24", "127.0.0.77", True),
    ("127.0.0.0/24", "127.0.1.77", False),
    ("127.0.0.10/31", "127.0.0.11", True),
    ("127.0.0.10/31", "127.0.0.12", False),
    ("127.0.0.0/8", "127.255.255.255", True),
]


@pytest.mark.parametrize(("pattern", "address", "fits"), MATCHES)
def test_matching(pattern, address, fits):
    assert parse(pattern).matches(packed(address)) is fits


FAULTS = [
    ("", "the end"),
    ("127.0.0", "3 fields, not 4"),
    ("127.0.0.1.2", "5 fields, not 4"),
    ("127.0.0.256", "256 is more than 255"),
    ("127.0.0.0002", "0002 is more than 255"),
    ("127.0.0.[3..1]", "'3..1' runs backwards"),
    ("127.0.0.[1,2]", "'1,2'"),
    ("127.0.0.[]", "''"),
    ("127.0.0.[1;]", "''"),
    ("127.0.0.[1..]", "''"),
    ("127.0.0.[1.2]", "'1.2'"),
    ("127.0.0.3[6..9]", "'[6..9]'"),
    ("127.0.0.[6..9]3", "'3'"),
    ("127.0.0.[1", "'[1'"),
    ("127.0.[0.0].1", "'0.0'"),
    ("127.0.0.x", "'x'"),
    ("127.0.0.-1", "'-1'"),
    ("127.0.0. 1", "' 1'"),
    ("127.0.0.1 ", "' '"),
    ("127.0.0.*", "'*'"),
    ("127.0.0.٣", "'٣'"),
    ("127.0.0.&0", "'&0'"),
    ("127.0.0.1/24", "host bits"),
    ("127.0.0.0/33", "33"),
    ("::1", "'::1'"),
]


@pytest.mark.parametrize(("text", "named"), FAULTS)
def test_faults_name_the_offending_text(text, named):
    with pytest.raises(BadPattern, match=re.escape(named)):
        parse(text)


octets = st.integers(0, 255)
members = octets.map(lambda n: (str(n), {n})) | st.tuples(octets, octets).map(sorted).map(
    lambda pair: (f"{pair[0]}..{pair[1]}", set(range(pair[0], pair[1] + 1)))
)
sequences = st.lists(members, min_size=1, max_size=4).map(
    lambda some: ("[" + ";".join(text for text, _ in some) + "]", set().union(*(values for _, values in some)))
)
masks = st.integers(1, 255).map(lambda bits: (f"&{bits}", {n for n in range(256) if n & bits == bits}))
fields = octets.map(lambda n: (str(n), {n})) | sequences | masks


@given(st.tuples(fields, fields, fields, fields), st.tuples(octets, octets, octets, octets))
def test_every_sentence_of_the_grammar_means_what_it_says(pattern, address):
    parsed = parse(".".join(text for text, _ in pattern))
    expected = all(octet in values for octet, (_, values) in zip(address, pattern, strict=True))
    assert parsed.matches(bytes(address)) is expected


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_networks(base, length, address):
    network = IPv4Network((base, length), strict=False)
    assert parse(str(network)).matches(address.packed) is (address in network)


@given(st.text(alphabet="0123456789.[];&/ x", max_size=30))
def test_parsing_never_fails_otherwise(text):
    with suppress(BadPattern):
        parse(text)


TABLE = CodeTable(
    codes=(
        (parse("127.0.0.2"), Code("black", weight=3)),
        (parse("127.0.0.[2..9]"), Code("any", weight=1)),
        (parse("127.0.1.&2"), Code("two")),
        (parse("127.0.1.&4"), Code("four", weight=5)),
    ),
    errors=(
        (parse("127.0.0.255"), ErrorCode("too many")),
        (parse("127.0.1.&1"), ErrorCode("refused")),
        (parse("192.0.2.9"), ErrorCode("out")),
    ),
    neutral=(parse("127.0.0.100"),),
)

READINGS = [
    (["127.0.0.2"], Meaning.LISTED, ["black"]),
    (["127.0.0.3"], Meaning.LISTED, ["any"]),
    (["127.0.0.3", "127.0.0.2"], Meaning.LISTED, ["black", "any"]),
    (["127.0.1.6"], Meaning.LISTED, ["four", "two"]),
    (["127.0.1.2"], Meaning.LISTED, ["two"]),
    (["127.0.1.7"], Meaning.ERROR, []),
    (["127.0.0.2", "127.0.0.255"], Meaning.ERROR, []),
    (["127.0.0.77"], Meaning.UNKNOWN, []),
    (["127.0.0.77", "127.0.0.2"], Meaning.LISTED, ["black"]),
    (["127.0.0.100"], Meaning.NEUTRAL, []),
    (["127.0.0.100", "127.0.0.77"], Meaning.UNKNOWN, []),
    ([], Meaning.NEUTRAL, []),
    (["192.0.2.1"], Meaning.OUTSIDE, []),
    (["127.0.0.2", "192.0.2.1"], Meaning.OUTSIDE, []),
    (["192.0.2.9"], Meaning.ERROR, []),
    (["128.0.0.2"], Meaning.OUTSIDE, []),
]


@pytest.mark.parametrize(("addresses", "meaning", "names"), READINGS)
def test_interpretation(addresses, meaning, names):
    reading = TABLE.interpret([packed(each) for each in addresses], weight=2)
    assert reading.meaning is meaning
    assert [code.name for code in reading.codes] == names


def test_malformed_rdata_is_outside():
    assert TABLE.interpret([b"\x7f\0\0"]).meaning is Meaning.OUTSIDE
    assert TABLE.interpret([b""]).meaning is Meaning.OUTSIDE


@given(st.sampled_from(sorted(CATALOGUE.entries)), st.lists(st.ip_addresses(v=4), min_size=1, max_size=4))
def test_no_list_is_ever_listed_by_an_address_outside_loopback(name, addresses):
    reading = CATALOGUE.entries[name].codes.interpret([each.packed for each in addresses])
    if any(not each.is_loopback for each in addresses):
        assert reading.meaning in (Meaning.OUTSIDE, Meaning.ERROR)


@given(st.sampled_from(sorted(CATALOGUE.entries)), octets, octets, octets)
def test_a_listing_always_names_a_known_code(name, b, c, d):
    table = CATALOGUE.entries[name].codes
    address = bytes([127, b, c, d])
    reading = table.interpret([address])
    assert (reading.meaning is Meaning.LISTED) == bool(reading.codes)
    if reading.meaning is Meaning.LISTED:
        assert not any(pattern.matches(address) for pattern, _ in table.errors)


DOCUMENTED = [
    ("spamhaus-zen", "127.0.0.2", "sbl"),
    ("spamhaus-zen", "127.0.0.3", "css"),
    ("spamhaus-zen", "127.0.0.4", "xbl"),
    ("spamhaus-zen", "127.0.0.9", "drop"),
    ("spamhaus-zen", "127.0.0.11", "pbl"),
    ("spamhaus-zen", "127.0.0.30", "bcl"),
    ("spamhaus-dbl", "127.0.1.4", "phish"),
    ("spamhaus-dbl", "127.0.1.102", "abused-spam"),
    ("dnswl", "127.0.5.0", "none"),
    ("dnswl", "127.0.9.2", "med"),
    ("dnswl", "127.0.20.3", "hi"),
    ("uribl", "127.0.0.2", "black"),
    ("uribl", "127.0.0.4", "grey"),
    ("surbl", "127.0.0.64", "abuse"),
    ("surbl", "127.9.9.64", "abuse"),
    ("mailspike", "127.0.0.10", "worst"),
    ("spamcop", "127.0.0.2", "reported"),
]


@pytest.mark.parametrize(("name", "address", "code"), DOCUMENTED)
def test_documented_codes(name, address, code):
    entry = CATALOGUE.entries[name]
    assert [each.name for each in entry.codes.interpret([packed(address)]).codes] == [code]


ERRORS = [
    ("spamhaus-zen", "127.255.255.252"),
    ("spamhaus-zen", "127.255.255.254"),
    ("spamhaus-zen", "127.255.255.255"),
    ("spamhaus-zen-dqs", "127.255.255.250"),
    ("spamhaus-dbl", "127.0.1.255"),
    ("spamhaus-zrd-dqs", "127.0.2.255"),
    ("dnswl", "127.0.0.255"),
    ("dnswl", "127.0.5.255"),
    ("dnswl", "127.0.10.3"),
    ("dnswl", "127.0.10.0"),
    ("uribl", "127.0.0.1"),
    ("uribl", "127.0.0.255"),
    ("surbl", "127.0.0.1"),
    ("surbl", "127.0.0.9"),
    ("senderscore", "127.255.255.255"),
]


@pytest.mark.parametrize(("name", "address"), ERRORS)
def test_documented_error_codes_are_errors(name, address):
    assert CATALOGUE.entries[name].codes.interpret([packed(address)]).meaning is Meaning.ERROR


def test_dnswl_tells_category_and_trust_apart():
    entry = CATALOGUE.entries["dnswl"]
    (code,) = entry.codes.of(packed("127.0.15.2"))
    assert (code.trust, code.weight, entry.codes.category(packed("127.0.15.2"))) == (2, -4, "email marketing")
