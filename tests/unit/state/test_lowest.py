"""A table is gone through in order of key, however many there are and however few are held at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_stores import YEARS, be_patient, shared_store
from stores import LATER, NOW

from resolverd import bounds
from resolverd.state.redis import store as redis_store
from resolverd.state.redis.lowest import LowestKeys
from tests.redis_server import RedisServer

KEYS = st.lists(st.binary(max_size=2), max_size=60)


@given(st.lists(KEYS, max_size=6), st.binary(max_size=1), st.integers(1, 20))
def test_the_lowest_are_found_whatever_the_order(pages: list[list[bytes]], start: bytes, count: int) -> None:
    found = LowestKeys(start, count)
    for page in pages:
        found.take(page)
        assert len(found._found) <= 2 * count
    wanted = sorted({key for page in pages for key in page if key >= start})
    assert found.lowest() == (wanted[:count], wanted[count] if len(wanted) > count else None)


@pytest.mark.parametrize("small", [False, True])
async def test_records_come_in_order_some_at_a_time(
    small: bool, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "FIRST_HELD", 3)
    monkeypatch.setattr(bounds, "STORE_SHARED_KEYS", 7)
    tables = frozenset({"t", "u"}) if small else frozenset[str]()
    be_patient(monkeypatch)
    async with shared_store(redis_server, small=tables, extra_time=YEARS) as store:
        assert await store.connected(10)
        for number in range(40):
            store.put("t", b"%d" % number, b"v%d" % number, LATER)
            store.put("u", b"%d" % number, b"v", LATER)
        await store.flush()
        store.put("t", b"last", b"v", LATER)
        wanted = sorted([b"%d" % number for number in range(40)] + [b"last"])
        assert [entry.key async for entry in store.scan("t", NOW)] == wanted
        assert [entry.key async for entry in store.scan("t", NOW, b"35")] == [key for key in wanted if key >= b"35"]
        assert await store.tables() == ["t", "u"]
