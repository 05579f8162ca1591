"""Which subjects a list is asked about, under which name, and the way back."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scriptedlists import spec

from resolverd.dnsbl.names import is_public, list_name, subject_of
from resolverd.dnsbl.spec import DOMAIN
from resolverd.mail.domains import canonical, is_suffix, registrable
from resolverd.wire.names import BadName, from_text, labels, reversed_address, to_text

ZEN, DBL, URIBL = spec("spamhaus-zen"), spec("spamhaus-dbl"), spec("uribl")
SPAMCOP = spec("spamcop")
HASHES = spec("msbl-ebl")

NAMES = [
    (ZEN, "192.0.2.1", "1.2.0.192.zen.spamhaus.org."),
    (ZEN, "2001:db8::1", "1." + "0." * 23 + "8.b.d.0.1.0.0.2.zen.spamhaus.org."),
    (ZEN, "::ffff:192.0.2.1", "1.2.0.192.zen.spamhaus.org."),
    (SPAMCOP, "::ffff:192.0.2.1", "1.2.0.192.bl.spamcop.net."),
    (SPAMCOP, "2001:db8::1", None),
    (DBL, "192.0.2.1", None),
    (DBL, "www.example.com", "www.example.com.dbl.spamhaus.org."),
    (DBL, "WWW.Example.COM.", "www.example.com.dbl.spamhaus.org."),
    (DBL, "bücher.de", "xn--bcher-kva.de.dbl.spamhaus.org."),
    (DBL, "1.2.3.4", None),
    (DBL, "[192.0.2.1]", None),
    (DBL, "localhost", None),
    (DBL, "localhost.localdomain", None),
    (DBL, "com", None),
    (DBL, "co.uk", None),
    (DBL, "foo..com", None),
    (DBL, "", None),
    (DBL, "a" * 64 + ".com", None),
    (DBL, ".".join(["a" * 63] * 3 + ["a" * 57, "com"]), None),
    (URIBL, "www.example.co.uk", "example.co.uk.multi.uribl.com."),
    (URIBL, "x.user.github.io", "user.github.io.multi.uribl.com."),
    (URIBL, "github.io", "github.io.multi.uribl.com."),
    (ZEN, "example.com", None),
    (HASHES, "0123456789abcdef", "0123456789abcdef.ebl.msbl.org."),
    (HASHES, "192.0.2.1", "192.0.2.1.ebl.msbl.org."),
]


@pytest.mark.parametrize(("one", "subject", "name"), NAMES)
def test_names(one, subject, name):
    try:
        subject = subject if one is HASHES else ip_address(subject)
    except ValueError:
        pass
    found = list_name(one, subject)
    assert (to_text(found) if found else None) == name


def test_an_address_as_text_is_no_domain():
    assert list_name(DBL, "192.0.2.1") is None


PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.2",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.2",
]
PUBLIC = [
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "2a00::1",
    "::ffff:192.0.2.1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_never_asked(address):
    assert not is_public(ip_address(address))
    assert list_name(ZEN, ip_address(address)) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address):
    assert is_public(ip_address(address))
    assert list_name(ZEN, ip_address(address)) is not None


@given(st.ip_addresses())
def test_addresses_come_back(address):
    assert subject_of(reversed_address(address)) == address


@given(st.text(max_size=80))
def test_any_text_is_a_valid_question_or_none(text):
    for one in (DBL, URIBL, replace(ZEN, kinds=frozenset({DOMAIN})), HASHES):
        name = list_name(one, text)
        assert name is None or (name.endswith(one.zone) and len(name) <= 255 and labels(name))


@pytest.mark.parametrize(
    ("prefix", "subject"),
    [
        ("4.3.2.1", ip_address("1.2.3.4")),
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("test", "test"),
        ("invalid", "invalid"),
        ("ns1", None),
        ("5.4.3.2.1", None),
        ("256.3.2.1", None),
        ("a\\.b.com", None),
        ("a\\000b.com", None),
        ("-x.com", None),
    ],
)
def test_what_a_name_asks(prefix, subject):
    assert subject_of(from_text(prefix)) == subject


@given(st.text(max_size=60))
def test_canonical_is_stable(text):
    found = canonical(text)
    if found is not None:
        assert canonical(found) == found
        try:
            from_text(found)
        except BadName:
            pytest.fail("a canonical domain must be a name")
        held = registrable(found)
        assert held is None or found == held or found.endswith("." + held)


@pytest.mark.parametrize(
    ("domain", "suffix"), [("com", True), ("co.uk", True), ("github.io", False), ("example.com", False), ("nosuchtld", False)]
)
def test_suffixes(domain, suffix):
    assert is_suffix(domain) is suffix
