"""Postgrey's database: dumps read entry by entry, taken over as our records, and given back."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.greylist.decide import Client, GreylistRules, Triplet
from resolverd.greylist.postgrey import entries, from_postgrey, to_postgrey
from resolverd.greylist.triplet import network, triplet

T = 1_700_000_000
RULES = GreylistRules()
BOB, BOBS = "192.0.2.0/bob@example.com/a@x.org", ("192.0.2.7", "bob@example.com", "a@x.org")

PLAIN = rb"""VERSION=3
format=print
type=btree
db_pagesize=4096
HEADER=END
 192.0.2.0/bob@example.com/a@x.org
 1700000000,1700000400
 192.0.2.0/jos\c3\a9\\@example.com/a@x.org
 1700000000,1700000000
DATA=END
"""
HEXADECIMAL = b"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n %s\n %s\nDATA=END\n" % (
    b"192.0.2.1".hex().encode(),
    b"5,1700000400".hex().encode(),
)


def pairs(dump: bytes) -> list[tuple[bytes, bytes]]:
    return list(entries(dump.splitlines(keepends=True)))


def test_both_formats_and_several_dumps_in_a_row() -> None:
    assert pairs(PLAIN + HEXADECIMAL) == [
        (b"192.0.2.0/bob@example.com/a@x.org", b"1700000000,1700000400"),
        ("192.0.2.0/jos\u00e9\\@example.com/a@x.org".encode(), b"1700000000,1700000000"),
        (b"192.0.2.1", b"5,1700000400"),
    ]
    assert pairs(PLAIN.replace(b"\n", b"\r\n")) == pairs(PLAIN)


@pytest.mark.parametrize(
    ("dump", "fault"),
    [
        (b"", "nothing"),
        (b"SQLite format 3\0\n", "line 1: not the header"),
        (PLAIN[:-9], "not whole"),
        (PLAIN[:100], "not whole"),
        (b"VERSION=3\n", "not whole"),
        (PLAIN.replace(b"print", b"other"), "format"),
        (PLAIN.replace(b"format=print\n", b""), "no format"),
        (PLAIN.replace(b" 1700000000,1700000000\n", b""), "key without"),
        (PLAIN.replace(b" 1700000000,1700000400", b"1700000000"), "line 7"),
        (HEXADECIMAL.replace(b" 31", b" xx"), "hexadecimal"),
    ],
)
def test_what_is_no_dump_is_refused(dump: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pairs(dump)


@pytest.mark.parametrize(
    ("key", "value", "ours", "record"),
    [
        (BOB, f"{T},{T + 300}", BOBS, Triplet(T, T + 300, True)),
        (BOB, f"{T},{T + 299}", BOBS, Triplet(T, T + 299, False)),
        (BOB, f"{T},{T},7", BOBS, Triplet(T, T, False)),
        ("192.0.2.0//a@x.org", f"{T},{T}", ("192.0.2.7", "", "a@x.org"), Triplet(T, T, False)),
        # --lookup-by-host, and IPv6 as NetAddr::IP writes it
        ("192.0.2.7/bob@example.com/a@x.org", f"{T},{T}", BOBS, Triplet(T, T, False)),
        ("2001:db8:1:2:0:0:0:0/b@e.com/a@x.org", f"{T},{T}", ("2001:db8:1:2::9", "b@e.com", "a@x.org"), Triplet(T, T, False)),
        # what Postgrey did not level
        (
            "192.0.2.0/srs0=ab=cd=e.org=bob@f.com/a@x.org",
            f"{T},{T}",
            ("192.0.2.7", "SRS0=ZZ=YY=e.org=bob@f.com", "a@x.org"),
            Triplet(T, T, False),
        ),
    ],
)
def test_triplets_are_found_under_our_key(key: str, value: str, ours: tuple[str, str, str], record: Triplet) -> None:
    imported = from_postgrey([(key.encode(), value.encode())], 300, RULES)
    address, sender, recipient = ours
    assert imported.triplets == {triplet(network(ip_address(address)), sender, recipient): record}
    assert (imported.clients, imported.hashed, imported.odd) == ({}, 0, 0)


def test_clients_privacy_and_rubbish() -> None:
    imported = from_postgrey(
        [
            (b"192.0.2.1", b"5,%d" % T),
            (b"2001:DB8:1:2:3:0:0:5", b"1,%d" % T),
            (b"da39a3ee5e6b4b0d3255bfef95601890afd80709", b"%d,%d" % (T, T)),
            (b"192.0.2.0/a/b", b"%d" % T),
            (b"192.0.2.0/a", b"1,2"),
            (b"mail.example.com/a/b", b"1,2"),
            (b"rubbish", b"1,2"),
            (b"", b""),
        ],
        300,
        RULES,
    )
    assert imported.clients == {b"192.0.2.1": Client(5, T), b"2001:db8:1:2:3::5": Client(1, T)}
    assert (imported.triplets, imported.hashed, imported.odd) == ({}, 1, 5)


def test_entries_that_become_one() -> None:
    """Hosts of one network, kept apart by --lookup-by-host."""
    rows = [(b"192.0.2.1/a@b/c", b"%d,%d" % (T, T + 400)), (b"192.0.2.2/a@b/c", b"%d,%d" % (T + 500, T + 500))]
    for order in (rows, rows[::-1]):
        assert list(from_postgrey(order, 300, RULES).triplets.values()) == [Triplet(T, T + 400, True)]


SECONDS = st.integers(0, 2**32 - 1)


@given(st.binary(min_size=1, max_size=30), SECONDS, SECONDS, st.booleans(), st.sampled_from([1, 300]))
def test_what_is_given_can_be_taken_again(sender: bytes, first: int, last: int, passed: bool, delay: int) -> None:
    key = triplet("192.0.2.0", sender.decode("latin-1"), "c@x.org")
    known = Triplet(first, max(first, last), passed)
    dump = b"".join(to_postgrey([(key, known), (triplet("example.com", "a@b", "c"), known)], delay))
    imported = from_postgrey(pairs(dump), delay, RULES).triplets
    assert [(each.first, each.passed) for each in imported.values()] == [(first, passed or False)] or known.first + delay >= 2**32
    assert len(imported) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_a_dump_or_refused(octets: bytes) -> None:
    try:
        from_postgrey(entries(octets.splitlines(keepends=True)), 300, RULES)
        from_postgrey(entries((PLAIN + octets).splitlines(keepends=True)), 300, RULES)
    except ValueError:
        pass
