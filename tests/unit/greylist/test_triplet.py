"""The triplet's key, against Postgrey 1.37's rules."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.greylist.triplet import MAX_KEY, network, normalize_sender, triplet


@pytest.mark.parametrize(
    ("address", "prefixes", "expected"),
    [
        ("192.0.2.77", (24, 64), "192.0.2.0"),
        ("192.0.2.77", (32, 64), "192.0.2.77"),
        ("192.0.2.77", (19, 64), "192.0.0.0"),
        ("2001:db8:1:2:3:4:5:6", (24, 64), "2001:db8:1:2::"),
        ("2001:db8:1:2:3:4:5:6", (24, 48), "2001:db8:1::"),
        ("fe80::1%eth0", (24, 64), "fe80::"),
    ],
)
def test_network(address: str, prefixes: tuple[int, int], expected: str) -> None:
    assert network(ip_address(address), *prefixes) == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", ""),
        ("postmaster", "postmaster"),
        ("bob@example.com", "bob@example.com"),
        # VERP: extensions go, numbers that stand alone become #, others stay
        ("list+bob=example.org@example.com", "list@example.com"),
        ("+ext@example.com", "@example.com"),
        ("bounce-123-4567@example.com", "bounce-#-#@example.com"),
        ("bounce_123@example.com", "bounce_123@example.com"),
        ("b123@example.com", "b123@example.com"),
        ("123@example.com", "#@example.com"),
        ("a.1.b@123.example.com", "a.#.b@123.example.com"),
        # BATV, the standard form, the reversed one, and neither
        ("prvs=0123456789=bob@example.com", "bob@example.com"),
        ("prvs=bob=0123456789@example.com", "bob@example.com"),
        ("prvs=bob=carol@example.com", "carol@example.com"),
        ("prvs=0123456789=0123456789ab@example.com", "0123456789ab@example.com"),
        ("prvs=0123456789=bob+x@example.com", "bob@example.com"),
        ("prvs=tag@example.com", "prvs=tag@example.com"),
        ("prvs=a=b=c@example.com", "prvs=a=b=c@example.com"),
        ("prvs=0123456789=bob==@example.com", "bob@example.com"),
        ("prvs==bob@example.com", "bob@example.com"),
        ("PRVS=0123456789=bob@example.com", "PRVS=#=bob@example.com"),
        # SRS: hashes and day go, sender and forwarders stay; each separator
        ("SRS0=HHh/=TT=example.org=bob@fwd.example", "srs0=example.org=bob@fwd.example"),
        ("srs0=x+y9=9q=example.org=bob@fwd.example", "srs0=example.org=bob@fwd.example"),
        ("SRS0+HHHH=TT=example.org=bob@fwd.example", "srs0=example.org=bob@fwd.example"),
        ("SRS0-HHHH=TT=example.org=bob@fwd.example", "srs0=example.org=bob@fwd.example"),
        ("SRS0=HHHH=TT=example.org=bob+x=y@fwd.example", "srs0=example.org=bob@fwd.example"),
        ("SRS0=HHHH=TT=example.org=bounce-77-a@fwd.example", "srs0=example.org=bounce-#-a@fwd.example"),
        ("SRS1=GGGG=fwd.example==HHHH=TT=example.org=bob@two.example", "srs1=fwd.example=example.org=bob@two.example"),
        ("SRS1=GGGG=fwd.example=+HHHH=TT=example.org=bob@two.example", "srs1=fwd.example=example.org=bob@two.example"),
        ("SRS0=HHHH@fwd.example", "SRS0=HHHH@fwd.example"),
        ("SRS0=HHHH=TT=example.org@fwd.example", "SRS0=HHHH=TT=example.org@fwd.example"),
        ("srs@example.com", "srs@example.com"),
        # Postgrey cuts at the first @
        ("a+b@c+d@example.com", "a@c+d@example.com"),
        ("1@", "#@"),
    ],
)
def test_level_sender(sender: str, expected: str) -> None:
    assert normalize_sender(sender.encode()).decode() == expected


def test_key_is_lower_case_and_readable() -> None:
    assert triplet("192.0.2.0", "Bob-7@Example.COM", "Carol@Example.Org") == b"192.0.2.0/bob-#@example.com/carol@example.org"


def test_null_sender_has_a_key() -> None:
    assert triplet("192.0.2.0", "", "c@example.org") == b"192.0.2.0//c@example.org"


def test_long_keys_are_bounded_and_still_differ() -> None:
    keys = {triplet("192.0.2.0", "a" * 2000 + str(n) + "x@example.com", "c@example.org") for n in range(100)}
    assert len(keys) == 100
    assert all(len(key) <= MAX_KEY and key.startswith(b"192.0.2.0/#") for key in keys)


@given(st.text(), st.text())
def test_any_text_has_a_key(sender: str, recipient: str) -> None:
    key = triplet("192.0.2.0", sender, recipient)
    assert len(key) <= MAX_KEY
    assert key == key.lower()


@given(st.text(st.characters(exclude_characters="@", codec="utf-8")), st.sampled_from(["example.com", "a.example"]))
def test_levelling_twice_changes_nothing_without_a_tag(local: str, domain: str) -> None:
    once = normalize_sender(f"x{local}@{domain}".encode())
    assert normalize_sender(once) == once


def test_lone_surrogates_have_a_key() -> None:
    assert triplet("192.0.2.0", "\udcff@example.com", "c@example.org")
