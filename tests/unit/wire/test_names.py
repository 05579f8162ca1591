"""Domain names in wire form, held against dnspython's."""

from ipaddress import ip_address

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.wire import names

LABEL = st.binary(min_size=1, max_size=63)
LABELS = st.lists(LABEL, max_size=8).filter(lambda labels: sum(map(len, labels)) + len(labels) + 1 <= 255)


@given(LABELS)
def test_text_and_back_as_dnspython_does(labels: list[bytes]) -> None:
    name = names.from_labels(labels)
    foreign = dns.name.Name([*labels, b""])
    assert name == foreign.to_wire()
    assert dns.name.from_text(names.to_text(name)) == foreign
    assert names.from_text(foreign.to_text()) == name
    assert names.from_text(names.to_text(name)) == name
    assert names.labels(name) == labels
    assert names.label_count(name) == len(labels)


@given(LABELS, LABELS)
def test_subdomains_are_told_by_labels(first: list[bytes], second: list[bytes]) -> None:
    name, of = names.from_labels(first), names.from_labels(second)
    assert names.is_subdomain(name, of) == (len(second) == 0 or first[-len(second) :] == second)


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        ("www.example.com", "example.com", True),
        ("example.com", "example.com", True),
        ("notexample.com", "example.com", False),
        ("com", "example.com", False),
        ("anything", ".", True),
        # The octets of the suffix occur in the name, but not at a label's start.
        (r"\007example\003com.x", "com.x", False),
    ],
)
def test_subdomain(name: str, of: str, expected: bool) -> None:
    assert names.is_subdomain(names.from_text(name), names.from_text(of)) is expected
    assert names.is_within(names.from_text(name), {names.from_text(of), names.from_text("other.test")}) is expected
    assert not names.is_within(names.from_text(name), frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "a..b", ".a", "a" * 64, ".".join(["a" * 63] * 4) + ".b", "a\\", "a\\25", "a\\256", "ü\\032b", "\\.ü", "a\\ü",
        "a\\\u0663\u0663\u0663", "a\\\u00b2\u00b2\u00b2",
    ],
)  # fmt: skip
def test_bad_names_are_told(text: str) -> None:
    with pytest.raises(names.BadName):
        names.from_text(text)


def test_non_ascii_labels_become_a_labels() -> None:
    assert names.to_text(names.from_text("bücher.example")) == "xn--bcher-kva.example."


@given(st.ip_addresses())
def test_reversed_addresses_come_back(address: object) -> None:
    parsed = ip_address(str(address))
    assert names.address_of_reversed(names.reversed_address(parsed)) == parsed
    assert names.to_text(names.reverse_name(parsed)).rstrip(".") == parsed.reverse_pointer


@pytest.mark.parametrize("text", ["01.0.0.127", "256.0.0.127", "1.2.3", "1.2.3.4.5", "a.b.c.d", "0001.0.0.127", r"\178.1.1.1"])
def test_other_labels_are_no_address(text: str) -> None:
    assert names.address_of_reversed(names.from_text(text)) is None


def test_a_backslash_at_the_end_of_a_label_is_told_from_an_escaped_dot() -> None:
    assert names.from_text("a\\\\.") == names.from_labels([b"a\\"])
    assert names.from_text("a\\.") == names.from_labels([b"a."])
    assert names.from_text("a\\\\\\.") == names.from_labels([b"a\\."])


def test_ancestors_and_suffix() -> None:
    name = names.from_text("a.b.c")
    assert [names.to_text(each) for each in names.ancestors(name)] == ["a.b.c.", "b.c.", "c.", "."]
    assert names.suffix(name, 2) == names.from_text("b.c")
    assert names.suffix(name, 9) == name
    assert names.parent(names.ROOT) == names.ROOT
