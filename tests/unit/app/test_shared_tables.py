"""Two accounts of a record become one: the same for every host, in whatever order they come, and however often."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.app.shared_tables import OTHERS, SHARED_TABLES, SMALL, merge, shared_table
from resolverd.clients import history
from resolverd.clients.record import ClientRecord, encode_record
from resolverd.fleet import audit
from resolverd.greylist.decide import Client, Triplet, encode_client, encode_triplet
from resolverd.greylist.service import CLIENTS, SENDERS, TRIPLETS
from resolverd.overrides import store as overrides
from resolverd.overrides.records import encode as encode_override
from resolverd.overrides.records import encode_key
from resolverd.overrides.rules import DENY, Override, OverrideKey
from resolverd.policy import published_verdicts
from resolverd.resolver import negative_anchors
from resolverd.resolver.validator.nta import NegativeAnchor
from resolverd.resolver.validator.nta import encode as encode_anchor
from resolverd.state.base import StoredValue
from resolverd.state.merging import Copied
from resolverd.wire.names import from_text

ZONE = from_text("broken.example")
DENIED = OverrideKey(DENY, "192.0.2.7")
# Few values, so that ties come up.
moments = st.integers(0, 4)
ends = st.integers(10, 12).map(float)
words = st.sampled_from(["", "a", "b"])
triplets = st.builds(Triplet, moments, moments, st.booleans())
clients = st.builds(Client, moments, moments)
contacts = st.builds(ClientRecord, moments, moments, moments)
denials = st.builds(Override, st.just(DENIED), moments, st.sampled_from([0, 20, 30]), words, words, words, moments, moments)
anchors = st.builds(NegativeAnchor, st.just(ZONE), moments, st.integers(20, 22), words, words)


def kept(octets: st.SearchStrategy[bytes]) -> st.SearchStrategy[StoredValue]:
    return st.builds(StoredValue, octets, ends)


RECORDS: dict[str, tuple[bytes, st.SearchStrategy[StoredValue]]] = {
    TRIPLETS: (b"k", kept(triplets.map(encode_triplet))),
    CLIENTS: (b"k", kept(clients.map(encode_client))),
    SENDERS: (b"k", kept(clients.map(encode_client))),
    history.TABLE: (b"k", kept(contacts.map(encode_record))),
    overrides.TABLE: (
        encode_key(DENIED),
        denials.map(lambda each: StoredValue(encode_override(each), each.until or overrides.FOREVER)),
    ),
    negative_anchors.TABLE: (ZONE, anchors.map(lambda each: StoredValue(encode_anchor(each), float(each.until)))),
    published_verdicts.PAGES: (b"k", kept(words.map(str.encode))),
    audit.TABLE: (b"k", kept(words.map(str.encode))),
    "list-replies": (b"k", kept(words.map(str.encode))),
}
"""Of each table whose records several hosts write: a key, and what may stand there."""


def test_every_table_has_its_case() -> None:
    one_writer_or_let_go = {"list-health", "hosts", "duties", "list-quotas", published_verdicts.INDEX, published_verdicts.HEADS}
    assert RECORDS.keys() | one_writer_or_let_go == SHARED_TABLES.keys()


@pytest.mark.parametrize("table", RECORDS)
@given(data=st.data())
def test_accounts_add_up_in_any_order_however_often(table: str, data: st.DataObject) -> None:
    key, records = RECORDS[table]
    accounts = data.draw(st.lists(records, min_size=2, max_size=3))

    def all_of(order: tuple[StoredValue, ...]) -> StoredValue | None:
        whole: StoredValue | None = None
        for each in order:
            whole = merge(table, key, each, 99, whole)
        return whole

    whole = all_of(tuple(accounts))
    assert whole is not None
    for order in permutations(accounts):
        assert all_of(order) == whole
    for each in (*accounts, whole):
        assert merge(table, key, each, 99, whole) == whole


@pytest.mark.parametrize("table", RECORDS)
@given(data=st.data())
def test_what_nobody_else_has_is_ours(table: str, data: st.DataObject) -> None:
    key, records = RECORDS[table]
    ours = data.draw(records)
    assert merge(table, key, ours, 99, None) == ours
    assert merge(table, key, None, 99, None) is None


@pytest.mark.parametrize(
    ("table", "key", "older", "newer"),
    [
        (TRIPLETS, b"k", encode_triplet(Triplet(1, 5, True)), encode_triplet(Triplet(1, 6, False))),
        (CLIENTS, b"k", encode_client(Client(9, 5)), encode_client(Client(1, 6))),
        (history.TABLE, b"k", encode_record(ClientRecord(1, 5)), encode_record(ClientRecord(1, 6))),
        (overrides.TABLE, encode_key(DENIED), encode_override(Override(DENIED, 5)), encode_override(Override(DENIED, 6))),
        (negative_anchors.TABLE, ZONE, encode_anchor(NegativeAnchor(ZONE, 5, 90)), encode_anchor(NegativeAnchor(ZONE, 6, 90))),
    ],
)
def test_a_deletion_wins_over_what_is_older(table: str, key: bytes, older: bytes, newer: bytes) -> None:
    assert merge(table, key, None, 5.5, StoredValue(older, 90.0)) is None
    assert merge(table, key, None, 5.5, StoredValue(newer, 90.0)) == StoredValue(newer, 90.0)


@pytest.mark.parametrize("table", [TRIPLETS, CLIENTS, history.TABLE, overrides.TABLE, negative_anchors.TABLE])
@given(octets=st.binary(max_size=30), data=st.data())
def test_what_cannot_be_read_counts_for_nothing(table: str, octets: bytes, data: st.DataObject) -> None:
    key, records = RECORDS[table]
    sound, foreign = data.draw(records), StoredValue(b"\xff" + octets, 99.0)
    assert merge(table, key, sound, 9, foreign) == sound == merge(table, key, foreign, 9, sound)
    assert merge(table, key, None, 9, foreign) is None


def test_what_the_words_say() -> None:
    """The table of the module's text, by example."""
    waiting, passed = Triplet(100, 160, False), Triplet(130, 150, True)
    both = merge(TRIPLETS, b"k", StoredValue(encode_triplet(waiting), 300.0), 0, StoredValue(encode_triplet(passed), 900.0))
    assert both == StoredValue(encode_triplet(Triplet(100, 160, True)), 900.0)
    longer, later = Override(DENIED, 100, 0, "eve", "spam", "", 7, 150), Override(DENIED, 101, 500, "bob", "", "", 3, 160)
    both = merge(
        overrides.TABLE,
        encode_key(DENIED),
        StoredValue(encode_override(longer), overrides.FOREVER),
        0,
        StoredValue(encode_override(later), 500.0),
    )
    assert both == StoredValue(encode_override(later._replace(hits=7)), 500.0)


def test_counts_are_never_put_late() -> None:
    here, there = StoredValue(b"5", 9.0), StoredValue(b"9", 9.0)
    assert shared_table("list-quotas") == OTHERS._replace(small=True)
    assert merge("list-quotas", b"k", here, 0, there) == there
    assert merge("list-quotas", b"k", here, 0, None) is None


def test_what_is_watched_or_gone_through_is_small() -> None:
    watched = {overrides.TABLE, negative_anchors.TABLE, audit.TABLE, "list-health", "hosts", "list-quotas"}
    assert watched | {published_verdicts.HEADS, "duties"} == SMALL
    assert all(table.copied is not Copied.NOTHING for table in SHARED_TABLES.values() if table.goes_on)
