"""Host names and literals as smtpd takes them; held against Postfix's own library where it is installed."""

import ctypes
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.mail.hostnames import (
    hostname_of,
    is_address,
    is_hostname,
    is_ipv4,
    is_ipv6,
    is_literal,
    name_of,
    without_final_dot,
)
from resolverd.wire.names import MAX_NAME, from_labels

POSTFIX = Path("/usr/lib/postfix/libpostfix-util.so")


@pytest.mark.parametrize(
    ("text", "host", "address"),
    [
        *((text, True, False) for text in ("mail.example.com", "a", "a_b.c", "_", "1-2", "a--b", "x" * 63, "a." * 127 + "b")),
        *(
            (text, False, False)
            for text in ("", ".", ".a", "a.", "a..b", "-a", "a-", "a.-b", "a-.b", "a b", "\u00e4.de", "x" * 64)
        ),
        *((text, False, False) for text in ("1", "1.2", "1.2.3.4.5", "\u0661\u0662", "a." * 127 + "bc")),
        *((text, False, True) for text in ("192.0.2.1", "0.0.0.0", "01.2.3.4")),
        *((text, False, False) for text in ("0.1.2.3", "256.1.1.1", "1.2.3.")),
        *((text, False, True) for text in ("::1", "::", "2001:db8::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4")),
        *((text, False, False) for text in ("1::2::3", ":::", "::ffff:1.2.3.456", "fe80::1%eth0", "12345::")),
    ],
)
def test_hostnames_and_addresses(text, host, address):
    assert is_hostname(text) is host
    assert is_address(text) is address


@pytest.mark.parametrize(
    ("text", "literal"),
    [("[192.0.2.1]", True), ("[IPv6:::1]", True), ("[ipv6:::1]", True), ("[::1]", False), ("[IPv6:192.0.2.1]", False),
     ("192.0.2.1", False), ("[]", False), ("[", False), ("[192.0.2.1", False), ("[a]", False)],
)  # fmt: skip
def test_literals(text, literal):
    assert is_literal(text) is literal


@pytest.mark.parametrize(("text", "bare"), [("a.", "a"), ("a..", "a.."), (".", "."), ("a", "a"), ("", "")])
def test_one_final_dot_is_taken_off(text, bare):
    assert without_final_dot(text) == bare


@pytest.mark.parametrize("text", ["", ".", "a b", "192.0.2.1", "a\\046b.c", "x" * 64, "-a.b", "\u00fc" * 80])
def test_what_is_no_host_name_is_not_looked_up(text):
    assert name_of(text) is None


@given(st.text(max_size=300) | st.text(alphabet="ab1-_.\\", max_size=300))
def test_names_looked_up_are_host_names_in_lower_case(text):
    name = name_of(text)
    if name is not None:
        assert len(name) <= MAX_NAME
        assert is_hostname(hostname_of(name))
        assert hostname_of(name) == hostname_of(name).lower()


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_any_name_on_the_wire_has_a_text_or_none(labels):
    text = hostname_of(from_labels(labels))
    assert text == "" or (is_hostname(text) and name_of(text) is not None)


@pytest.mark.skipif(not POSTFIX.exists(), reason="no Postfix library to compare with")
def test_as_postfix_has_it():
    postfix = ctypes.CDLL(str(POSTFIX))
    dice = random.Random(1)
    alphabets = (
        ["a", "1", "-", ".", "_", "9", "..", "A", "x" * 63],
        ["0", "1", "25", "255", "256", "01", "001", ".", ".", ".", "."],
        ["0", ":", ":", "::", "1", "ffff", "12345", "a", "1.2.3.4", "1.2", "g", "."],
    )
    for _ in range(30_000):
        text = "".join(dice.choices(dice.choice(alphabets), k=dice.randint(1, 14)))
        octets = text.encode()
        assert is_hostname(text) == bool(postfix.valid_hostname(octets, 0)), text
        assert is_ipv4(text) == bool(postfix.valid_ipv4_hostaddr(octets, 0)), text
        assert is_ipv6(text) == bool(postfix.valid_ipv6_hostaddr(octets, 0)), text
