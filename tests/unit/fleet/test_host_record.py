import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.fleet.host_record import Host, decode, encode, is_id
from resolverd.fleet.schema import Schemas, agreed, apart

ID = "0123456789abcdef"
times = st.floats(0, 2.0**40)
schemas = st.tuples(st.integers(1, 255), st.integers(1, 255)).map(lambda two: Schemas(min(two), max(two)))
hosts = st.builds(
    Host,
    id=st.just(ID),
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=bounds.HOST_NAME),
    version=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    run=st.just("00ff"),
    since=times,
    seen=times,
    schemas=schemas,
    writes=st.integers(1, 255),
    period=st.floats(1, 3600),
)
GOOD = Host(ID, "mx1.example", "1.0", "r", 5.0, 7.0, Schemas(1, 2), 1, 15.0)


@given(hosts)
def test_a_record_reads_back(host: Host) -> None:
    assert decode(ID.encode(), encode(host)) == host


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_octets_of_anybody_are_no_host_and_no_fault(key: bytes, octets: bytes) -> None:
    assert decode(key, octets) is None
    assert decode(ID.encode(), octets) is None


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"seen":7.0', '"seen":NaN'),
        ('"seen":7.0', '"seen":1e400'),
        ('"seen":7.0', '"seen":-1'),
        ('"seen":7.0', '"seen":true'),
        ('"reads":[1,2]', '"reads":[2,1]'),
        ('"reads":[1,2]', '"reads":[1]'),
        ('"reads":[1,2]', '"reads":[0,2]'),
        ('"reads":[1,2]', '"reads":[1,1e9]'),
        ('"writes":1', '"writes":"1"'),
        ('"name":"mx1.example"', '"name":["mx1"]'),
        ('"name":"mx1.example",', ""),
        ('"run":"r"', '"run":null'),
        ('"period":15.0', '"period":0'),
        ('"period":15.0', '"period":1e6'),
    ],
)
def test_fields_that_are_none_make_no_host(written: str, instead: str) -> None:
    octets = encode(GOOD)
    assert written.encode() in octets
    assert decode(ID.encode(), octets.replace(written.encode(), instead.encode())) is None


def test_what_a_release_to_come_adds_does_no_harm() -> None:
    octets = encode(GOOD)[:-1] + b',"region":"eu","deep":{"a":[1]}}'
    assert decode(ID.encode(), octets) == GOOD


def test_how_seldom_a_host_may_say_that_it_lives_is_bounded() -> None:
    for period, is_one in ((bounds.HOST_PERIOD, True), (bounds.HOST_PERIOD + 1, False)):
        assert (decode(ID.encode(), encode(GOOD._replace(period=period))) is not None) is is_one


def test_a_record_is_bounded_and_its_texts_are_printable() -> None:
    long = decode(ID.encode(), encode(GOOD._replace(name="\x1b[31m\n" + "é" * 1000)))
    assert long is not None
    assert (len(long.name), long.name[:6]) == (bounds.HOST_NAME, "?[31m?")
    padded = encode(GOOD)[:-1] + b" " * bounds.HOST_RECORD + b"}"
    assert decode(ID.encode(), padded) is None
    assert decode(ID.encode(), b"[" * bounds.HOST_RECORD) is None


@pytest.mark.parametrize(("id", "is_one"), [(ID, True), (ID[1:], False), (ID.upper(), False), ("", False), (ID + "\n", False)])
def test_ids(id: str, is_one: bool) -> None:
    assert is_id(id) is is_one


@pytest.mark.parametrize(
    ("own", "others", "written"),
    [
        ((1, 1), [], 1),
        ((1, 2), [], 2),
        ((1, 2), [(1, 1)], 1),
        ((1, 2), [(1, 3), (2, 2)], 2),
        ((1, 3), [(1, 3), (1, 2)], 2),
        ((2, 3), [(1, 1)], 2),
    ],
)
def test_the_newest_schema_that_all_read_is_written(own: tuple[int, int], others: list[tuple[int, int]], written: int) -> None:
    assert agreed(Schemas(*own), [Schemas(*each) for each in others]) == written


@given(st.lists(schemas, min_size=1))
def test_all_agree_on_one_schema_where_there_is_one(fleet: list[Schemas]) -> None:
    said = {agreed(each, fleet) for each in fleet}
    if not any(apart(one, other) for one in fleet for other in fleet):
        assert len(said) == 1
        assert all(each.oldest <= said.copy().pop() <= each.newest for each in fleet)
