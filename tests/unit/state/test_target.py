"""Where a shared store is: every form of URL, and what is wrong with those that are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.state.redis.target import RedisTarget, is_shared, parse

GOOD = [
    ("redis://h", RedisTarget("server", (("h", 6379),)), "redis://h"),
    ("redis://h:6379/0", RedisTarget("server", (("h", 6379),)), "redis://h"),
    ("redis://mail@10.0.0.5:7000/3", RedisTarget("server", (("10.0.0.5", 7000),), database=3, user="mail"), None),
    ("rediss://store.example.org", RedisTarget("server", (("store.example.org", 6379),), tls=True), None),
    ("redis://[2001:db8::1]:7", RedisTarget("server", (("2001:db8::1", 7),)), None),
    ("redis://[::1]", RedisTarget("server", (("::1", 6379),)), None),
    ("unix:/run/redis.sock", RedisTarget("unix", path="/run/redis.sock"), "redis+unix:///run/redis.sock"),
    ("unix:///run/redis.sock", RedisTarget("unix", path="/run/redis.sock"), "redis+unix:///run/redis.sock"),
    ("redis+unix:///run/a%20b?db=2", RedisTarget("unix", path="/run/a b", database=2), None),
    ("redis+unix://mail@/run/s", RedisTarget("unix", path="/run/s", user="mail"), None),
    ("redis+sentinel://a,b:1/mx", RedisTarget("sentinel", (("a", 26379), ("b", 1)), service="mx"), None),
    ("rediss+sentinel://u@a/mx/4", RedisTarget("sentinel", (("a", 26379),), service="mx", database=4, user="u", tls=True), None),
    ("redis+cluster://a,b:1,[::1]", RedisTarget("cluster", (("a", 6379), ("b", 1), ("::1", 6379))), None),
    ("rediss+cluster://a%40b@c", RedisTarget("cluster", (("c", 6379),), user="a@b", tls=True), None),
]


@pytest.mark.parametrize(("url", "target", "text"), GOOD, ids=[url for url, _, _ in GOOD])
def test_forms(url: str, target: RedisTarget, text: str | None) -> None:
    assert parse(url) == target
    assert str(target) == (text or url)
    assert parse(str(target)) == target
    assert is_shared(url)


BAD = [
    ("disk:/var", "begins with"),
    ("redis", "begins with"),
    ("", "begins with"),
    ("redis:/h", "followed by //"),
    ("redis://", "host is missing"),
    ("redis://a,,b", "host is missing"),
    ("redis://a,b", "sentinel"),
    ("redis://:geheim@h", "password = "),
    ("redis://user:geheim@h", "password = "),
    ("redis+unix://u:geheim@/run/s", "password = "),
    ("redis://u:geheim/x@h", "password = "),
    ("redis://u:1/geheim@h", "password = "),
    ("rediss+cluster://u:1/geheim@h", "password = "),
    ("redis://h?password=geheim", "password = "),
    ("redis+unix:///s?db=1&password=geheim", "password = "),
    ("redis://h:geheim", "a port, from"),
    ("redis://h/geheim", "database is a number"),
    ("redis://h?geheim", "options"),
    ("redis://h,geheim geheim", "a host is a name"),
    ("unix:geheim", "begins with /"),
    ("redis://h/x", "database is a number"),
    ("redis://h/-1", "database is a number"),
    ("redis://h/99999", "database is a number"),
    ("redis://h:0", "a port, from"),
    ("redis://h:65536", "a port, from"),
    ("redis://h:", "a port, from"),
    ("redis://2001:db8::1", "brackets"),
    ("redis://h h", "a host is a name"),
    ("redis://h?db=1", "options"),
    ("redis+sentinel://a", "service"),
    ("redis+sentinel://a/", "service"),
    ("redis+sentinel://a,a/mx", "twice"),
    ("redis+cluster://a/1", "one database"),
    ("unix:run/s", "begins with /"),
    ("unix:/s?tls=1", "\\?db=NUMBER"),
]


@pytest.mark.parametrize(("url", "said"), BAD, ids=[url for url, _ in BAD])
def test_faults(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        parse(url)
    assert "geheim" not in str(raised.value)


HOST = st.tuples(st.from_regex(r"[a-z0-9]{1,8}(\.[a-z]{1,3})?", fullmatch=True), st.integers(1, 65535))
HOSTS = st.lists(HOST, min_size=1, unique=True).map(tuple)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
SERVICE = st.from_regex(r"[\w.-]{1,9}", fullmatch=True).filter(str.isascii)


def targets(form: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[RedisTarget]:
    return st.fixed_dictionaries({"form": st.just(form), **fields}).map(lambda each: RedisTarget(**each))


TARGETS = st.one_of(
    targets("server", addresses=st.tuples(HOST), database=st.integers(0, 65535), user=TEXT, tls=st.booleans()),
    targets("cluster", addresses=HOSTS, user=TEXT, tls=st.booleans()),
    targets("sentinel", addresses=HOSTS, service=SERVICE, database=st.integers(0, 9)),
    targets("unix", path=TEXT.map("/{}".format), database=st.integers(0, 9)),
)


@given(TARGETS)
def test_a_url_gives_its_target_back(target: RedisTarget) -> None:
    assert parse(str(target)) == target


@given(st.text())
def test_any_text_is_a_target_or_said_to_be_none(text: str) -> None:
    for scheme in ("redis://", "redis+sentinel://", "unix:", "redis+cluster://"):
        try:
            parsed = parse(scheme + text)
        except ValueError:
            continue
        assert parse(str(parsed)) == parsed
