"""What is no server of ours, or one that somebody else has in hand: whatever it says, there is a StoreError or nothing, one
line in the log, and all goes on once a sane one is back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import certificates
import pytest
from shared_stores import fault, opened, out_of_reach, shared_store, until, within_reach
from stores import keys

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.state.redis import breaker, cluster, subscription
from resolverd.state.redis.store import RedisStore
from tests.redis_server import RedisServer
from tests.scripted_redis import (
    Answer,
    Greeting,
    ScriptedRedis,
    array,
    bulk,
    endlessly,
    info,
    message,
    slowly,
    time_reply,
)

NOW = float(round(time.time()))
LATER = NOW + 1000
SMALL = frozenset(("small",))


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a server that says nothing as long as a daemon does."""
    monkeypatch.setattr(bounds, "STORE_SHARED_PATIENCE", 0.5)
    monkeypatch.setattr(bounds, "STORE_SHARED_CONNECT", 1.0)
    monkeypatch.setattr(bounds, "STORE_SHARED_READ", 0.5)
    monkeypatch.setattr(bounds, "STORE_SHARED_REPLY", 0.5)
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(breaker, "LAST_PAUSE", 0.02)
    monkeypatch.setattr(subscription, "_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedRedis]:
    with ScriptedRedis() as running:
        yield running


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info or "bug" in record.getMessage()]


async def scan(store: RedisStore, table: str) -> None:
    await keys(store, table)


async def sweep(store: RedisStore) -> None:
    store.sweep(NOW)
    assert store._sweeping is not None
    await store._sweeping


async def put(store: RedisStore) -> None:
    store.put("t", b"put", b"1", LATER)
    store.put("small", b"put", b"1", LATER)
    store.delete("t", b"deleted")
    await store.flush()


OPERATIONS: list[Callable[[RedisStore], Awaitable[object]]] = [
    lambda store: store.get("t", b"k", NOW),
    lambda store: store.get("small", b"k", NOW),
    lambda store: store.prefetch([("t", b"a"), ("t", b"b"), ("small", b"c")]),
    lambda store: store.cas("t", b"swapped", None, b"v", NOW, LATER),
    lambda store: store.cas("small", b"swapped", None, b"v", NOW, LATER),
    lambda store: store.add("t", b"n", 1, NOW, LATER),
    lambda store: store.add("t", b"large", 10**16, NOW, LATER),
    lambda store: scan(store, "t"),
    lambda store: scan(store, "small"),
    lambda store: store.tables(),
    lambda store: store.recall(),
    put,
    sweep,
]


async def use(store: RedisStore) -> None:
    """Have all of it done, whatever comes of it: no error but StoreError, and nobody waits for ever."""
    for operation in OPERATIONS:
        with contextlib.suppress(StoreError):
            async with asyncio.timeout(20):
                await operation(store)


REPLIES: dict[str, Answer] = {
    "a number": b":7\r\n",
    "a negative number": b":-7\r\n",
    "octets": b"$3\r\nabc\r\n",
    "a word": b"+OK\r\n",
    "nothing": b"$-1\r\n",
    "no list": b"*-1\r\n",
    "an empty list": b"*0\r\n",
    "a list of numbers": b"*2\r\n:1\r\n:2\r\n",
    "a list of nothings": b"*3\r\n$-1\r\n$-1\r\n*-1\r\n",
    "lists in lists": b"*2\r\n*1\r\n*0\r\n*2\r\n$1\r\n0\r\n*0\r\n",
    "errors in a list": b"*2\r\n-ERR no\r\n-WRONGTYPE no\r\n",
    "an error": b"-ERR no\r\n",
    "an error without a word": b"-\r\n",
    "an error of any octets": b"-\x1b[31m \xff\n\0\r \xf0\x9f\x92\xa3\r\n",
    "a long error": b"-" + b"X" * 4000 + b"\r\n",
    "two replies for one": b"+OK\r\n+OK\r\n",
    "a push of RESP3": b">2\r\n$1\r\nx\r\n$1\r\ny\r\n",
    "a map of RESP3": b"%1\r\n+a\r\n:1\r\n",
    "a number without digits": b":\r\n",
    "a number of 5000 digits": b":" + b"9" * 5000 + b"\r\n",
    "a number of other digits": b":\xd9\xa1\r\n",
    "a negative length": b"$-5\r\n",
    "a length that is none": b"$abc\r\n",
    "a length with a sign": b"$+5\r\nabcde\r\n",
    "2 GB": endlessly(b"\0" * 65536, first=b"$2147483648\r\n"),
    "a length of 40 digits": b"$" + b"1" * 40 + b"\r\n",
    "a string longer than it says": b"$1\r\nabc\r\n",
    "a list of 10⁹": endlessly(b":1\r\n" * 10_000, first=b"*1000000000\r\n"),
    "a list of -9": b"*-9\r\n",
    "nested 10⁴ deep": b"*1\r\n" * 10_000,
    "many long strings": endlessly(bulk(b"x" * 500_000), first=b"*200000\r\n"),
    "a line without end": endlessly(b"x" * 65536, first=b"+"),
    "an error without end": endlessly(b"x" * 65536, first=b"-"),
    "a tenth of a reply, octet by octet": slowly(b"$9\r\nabc", 0.05),
    "silence": lambda command: [],
    "MOVED": b"-MOVED 1 127.0.0.1:1\r\n",
    "LOADING": b"-LOADING wait\r\n",
    "NOAUTH": b"-NOAUTH who are you\r\n",
}
COMMANDS = (b"TIME", b"INFO", b"SET", b"DEL", b"GETRANGE", b"EVAL", b"HLEN", b"HKEYS", b"SCAN", b"SUBSCRIBE", b"PING", b"CLIENT")


@pytest.mark.attack("R-34")
@pytest.mark.parametrize("kind", REPLIES)
async def test_a_reply_of_any_kind_to_any_command(server: ScriptedRedis, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server.become(dict.fromkeys(COMMANDS, REPLIES[kind]))
    async with shared_store(server.url, small=SMALL) as store:
        following = asyncio.ensure_future(anext(store.watch("small")))
        await use(store)
        for command in COMMANDS:
            server.become({command: REPLIES[kind]})
            await store.connected(0.3)
            await use(store)
        server.become()
        await recovers(store)
        await following
    assert not bugs(caplog)


async def recovers(store: RedisStore) -> None:
    async with asyncio.timeout(20):
        while True:
            await within_reach(store)
            with contextlib.suppress(StoreError):
                assert await store.get("t", b"k", NOW) is None
                assert await store.cas("t", b"swapped", None, b"v", NOW, LATER)
                await store.flush()
                assert await keys(store, "small") == []
                return
            await asyncio.sleep(0.01)


GREETINGS: dict[str, tuple[Greeting, str]] = {
    "HTTP": (lambda: [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"], "no reply of Valkey or Redis: b'HTTP/1.1 400"),
    "SSH": (lambda: [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"], "no reply of Valkey or Redis: b'SSH-2.0"),
    "SMTP": (lambda: [b"220 mx.example.org ESMTP Postfix\r\n"], "no reply of Valkey or Redis: b'220 mx"),
    "TLS that was spoken to plainly": (lambda: [b"\x15\x03\x03\x00\x02\x02\x46"], "no reply of Valkey or Redis"),
    "zeros without end": (endlessly(b"\0" * 65536), "no reply of Valkey or Redis"),
    "a word without end": (endlessly(b"x" * 65536, first=b"+"), "no reply of Valkey or Redis: b'+xxx"),
    "nothing": (list, "no reply within"),
    "an octet every tenth of a second": (slowly(b"+OK" * 100, 0.1), "no reply within"),
    "replies before anybody has asked": (endlessly(b"+OK\r\n" * 10_000), ""),
    "lists within lists": (endlessly(b"*1\r\n" * 10_000), "too large"),
    "a list without end": (endlessly(b"+x\r\n" * 10_000, first=b"*999999999\r\n"), "too large"),
    "an error, and no more": (lambda: [b"-ERR max number of clients reached\r\n"], "max number of clients reached"),
}


@pytest.mark.attack("R-34")
@pytest.mark.parametrize("program", GREETINGS)
async def test_another_program_on_that_port(server: ScriptedRedis, program: str, caplog: pytest.LogCaptureFixture) -> None:
    greeting, told = GREETINGS[program]
    server.become(greeting=greeting)
    async with shared_store(server.url, small=SMALL) as store:
        if told:
            await fault(store, told)
        with pytest.raises(StoreError):
            await store.get("t", b"k", NOW)
        server.become()
        await recovers(store)
    assert not bugs(caplog)


@pytest.mark.attack("R-34")
@pytest.mark.parametrize("program", ["HTTP", "SSH", "zeros without end"])
async def test_what_speaks_no_tls(server: ScriptedRedis, program: str, tmp_path: Path) -> None:
    certificates.write(tmp_path, name="localhost")
    server.become(greeting=GREETINGS[program][0])
    async with shared_store(server.url.replace("redis:", "rediss:"), ca=tmp_path / "cert.pem") as store:
        await fault(store, "TLS fails: ")


@pytest.mark.attack("R-34")
async def test_an_error_is_fit_for_a_log(server: ScriptedRedis, caplog: pytest.LogCaptureFixture) -> None:
    server.become({b"TIME": b"-ERR \x1b[2J\x07\n2026-11-30 root logged in " + b"x" * 4000 + b"\r\n"})
    async with shared_store(server.url) as store:
        await fault(store, "logged in")
        said = (await store.condition()).fault
    assert said.isprintable()
    assert len(said) < 400
    assert all(len(line) < 500 and "\n" not in line and "\x1b" not in line for line in caplog.messages)


@pytest.mark.attack("R-34")
async def test_what_a_server_says_of_itself_is_fit_for_a_log(server: ScriptedRedis) -> None:
    for text in (b"\x1b[2J", b"7.0\x1b", b"9" * 5000, b"\xc2\xb2.0", b"", b"7", b"7." + b"0" * 100):
        server.become({b"INFO": bulk(b"redis_version:" + text + b"\r\nrole:master\r\n")})
        async with shared_store(server.url) as store:
            await fault(store, "which version")
    long = b"redis_version:7.0.15\r\nrun_id:\x1b" + b"x" * 5000 + b"\r\nrole:master\r\n" + b"\n" * 400_000
    server.become({b"INFO": bulk(long)})
    async with shared_store(server.url) as store:
        await within_reach(store)
        assert (await store.condition()).server == "Redis 7.0.15"
        assert len(store._session._run) <= 64
    server.become({b"INFO": bulk(b"role:slave\r\n" * 10_000 + b"redis_version:7.0.15\r\nrole:master\r\n")})
    async with shared_store(server.url) as store:
        await fault(store, "replica")
    assert bounds.STORE_SHARED_INFO < 120_000


# -- clocks, runs, memories


@pytest.mark.attack("R-37")
async def test_a_server_whose_clock_is_far_off_is_not_used(server: ScriptedRedis, caplog: pytest.LogCaptureFixture) -> None:
    for ahead, told in ((3 * 365 * 86400.0, "ahead of"), (-3700.0, "behind")):
        server.become({b"TIME": lambda command, ahead=ahead: [time_reply(ahead)]})  # type: ignore[misc]
        async with shared_store(server.url) as store:
            await fault(store, f"more than an hour {told} this machine's")
            with pytest.raises(StoreError):
                await store.get("t", b"k", NOW)
            assert store.offset == 0
            await until(lambda accepted=server.accepted: server.accepted >= accepted + 3)  # type: ignore[misc]
            caplog.clear()
            server.become()
            await recovers(store)
            assert len(caplog.messages) <= 2, "it is said once that it is wrong, once that it is well"


@pytest.mark.attack("R-37")
async def test_a_clock_that_goes_back_and_forth(server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 3000.0

    def tell(command: list[bytes]) -> list[bytes]:
        nonlocal ahead
        ahead = -ahead
        return [time_reply(ahead)]

    server.become({b"TIME": tell})
    async with shared_store(server.url) as store:
        seen = set()
        for _ in range(6):
            await within_reach(store)
            seen.add(round(store.offset, -2))
            server.cut()
            await out_of_reach(store)
        assert seen <= {-3000, 3000}


@pytest.mark.attack("R-37")
async def test_another_run_and_another_memory_at_every_look(
    server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0

    def tell(command: list[bytes]) -> list[bytes]:
        nonlocal looks
        looks += 1
        return [info(f"{looks:040}")]

    def remember(command: list[bytes]) -> list[bytes]:
        return [bulk(b"%d" % looks if command[1].endswith(b":since") else b"")]

    server.become({b"INFO": tell, b"GETRANGE": remember})
    async with shared_store(server.url) as store:
        for number in range(20):
            await within_reach(store)
            with contextlib.suppress(StoreError):
                store.put("t", b"%d" % number, b"v", LATER)
                await store.flush()
            server.cut()
            await out_of_reach(store)
        assert len(store._unwritten) <= 20
    assert not bugs(caplog)


# -- cluster, sentinel


def node(host: bytes, port: int) -> bytes:
    return array(bulk(host), b":%d\r\n" % port, bulk(b"id"))


def pointing(code: bytes, port: int) -> Callable[[list[bytes]], Iterable[bytes]]:
    """How a server points to another one, that it does not point to for the key by which a server is told from another."""
    return lambda command: [bulk(b"1") if command[1].endswith(b"since") else b"-%b 77 127.0.0.1:%d\r\n" % (code, port)]


def slots(first: int, last: int, host: bytes = b"127.0.0.1", port: int = 1) -> bytes:
    return array(b":%d\r\n" % first, b":%d\r\n" % last, node(host, port))


SLOTS: dict[str, bytes] = {
    "nothing": b"*-1\r\n",
    "no slots": b"*0\r\n",
    "some slots": array(slots(0, 5)),
    "a negative slot": array(slots(-5, 16383)),
    "slots beyond all": array(slots(0, 10**12)),
    "slots the wrong way": array(slots(16383, 0)),
    "slots twice": array(slots(0, 16383), slots(5, 5)),
    "text for numbers": array(array(bulk(b"0"), bulk(b"16383"), node(b"127.0.0.1", 1))),
    "no master": array(array(b":0\r\n", b":16383\r\n")),
    "a master without a port": array(array(b":0\r\n", b":16383\r\n", array(bulk(b"127.0.0.1")))),
    "port 0": array(slots(0, 16383, port=0)),
    "port 10⁹": array(slots(0, 16383, port=10**9)),
    "a host of a megabyte": array(slots(0, 16383, b"x" * 500_000)),
    "a host that is none": array(slots(0, 16383, b"\xff\0\n")),
    "16384 masters": array(*(slots(number, number, port=1 + number) for number in range(16384))),
    "a million masters": array(*(slots(0, 0, port=1 + number % 60000) for number in range(40_000))),
    "a master that is not there": array(slots(0, 16383)),
}


@pytest.mark.attack("R-36")
@pytest.mark.parametrize("kind", SLOTS)
async def test_a_cluster_that_talks_nonsense(server: ScriptedRedis, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server.become({b"CLUSTER": SLOTS[kind]})
    async with shared_store(f"redis+cluster://127.0.0.1:{server.port}") as store:
        await until(lambda: store._session.fault not in ("", "not reached yet"))
        await use(store)
        server.become({b"CLUSTER": array(slots(0, 16383, port=server.port))})
        await recovers(store)
    assert not bugs(caplog)


@pytest.mark.attack("R-36")
async def test_a_cluster_has_no_more_masters_than_that(server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_SHARED_MASTERS", 2)
    with ScriptedRedis() as second, ScriptedRedis() as third:
        ports = [each.port for each in (server, second, third)]
        ends = ((0, 4999), (5000, 9999), (10000, 16383))
        three = array(*(slots(*each, port=port) for each, port in zip(ends, ports, strict=True)))
        server.become({b"CLUSTER": three})
        async with shared_store(f"redis+cluster://127.0.0.1:{server.port}") as store:
            await fault(store, "more masters than")
        two = array(slots(0, 9999, port=server.port), slots(10000, 16383, port=second.port))
        moved = {b"GETRANGE": pointing(b"MOVED", third.port)}
        server.become({b"CLUSTER": two, **moved})
        second.become(moved)
        async with shared_store(f"redis+cluster://127.0.0.1:{server.port}") as store:
            await within_reach(store)
            with pytest.raises(StoreError, match="cannot be reached"):
                await store.get("t", b"k", NOW)
        assert third.accepted == 0


@pytest.mark.attack("R-36")
async def test_servers_that_point_to_each_other(server: ScriptedRedis, caplog: pytest.LogCaptureFixture) -> None:
    """No command goes in circles."""
    with ScriptedRedis() as second:
        for code in (b"MOVED", b"ASK"):
            both = array(slots(0, 9999, port=server.port), slots(10000, 16383, port=second.port))
            server.become({b"CLUSTER": both, b"ASKING": b"+OK\r\n", b"GETRANGE": pointing(code, second.port)})
            second.become({b"CLUSTER": both, b"ASKING": b"+OK\r\n", b"GETRANGE": pointing(code, server.port)})
            async with shared_store(f"redis+cluster://127.0.0.1:{server.port}") as store:
                await within_reach(store)
                server.asked.clear()
                second.asked.clear()
                with pytest.raises(StoreError, match="point to each other"):
                    await store.get("t", b"k", NOW)
                assert (server.asked + second.asked)[b"GETRANGE"] <= 2 * cluster._REDIRECTIONS
    assert not bugs(caplog)


@pytest.mark.attack("R-36")
async def test_who_is_pointed_to_is_not_tried_by_every_command(server: ScriptedRedis) -> None:
    with ScriptedRedis() as victim:
        victim.become(greeting=lambda: [b"220 mx.example.org ESMTP Postfix\r\n"])
        own = array(slots(0, 16383, port=server.port))
        server.become({b"CLUSTER": own, b"GETRANGE": pointing(b"MOVED", victim.port)})
        async with shared_store(f"redis+cluster://127.0.0.1:{server.port}") as store:
            await within_reach(store)
            found = await asyncio.gather(*(store.get("t", b"%d" % number, NOW) for number in range(50)), return_exceptions=True)
            assert all(isinstance(each, StoreError) for each in found)
            assert victim.accepted == 1


SENTINELS: dict[str, bytes] = {
    "nothing": b"*-1\r\n",
    "an empty list": b"*0\r\n",
    "a number": b":5\r\n",
    "octets": bulk(b"127.0.0.1"),
    "three": array(bulk(b"127.0.0.1"), bulk(b"1"), bulk(b"2")),
    "numbers": array(b":1\r\n", b":2\r\n"),
    "nothings": array(b"$-1\r\n", b"$-1\r\n"),
    "port 0": array(bulk(b"127.0.0.1"), bulk(b"0")),
    "port 10⁹": array(bulk(b"127.0.0.1"), bulk(b"1000000000")),
    "no port": array(bulk(b"127.0.0.1"), bulk(b"x")),
    "a host of a megabyte": array(bulk(b"x" * 500_000), bulk(b"1")),
    "a host that is none": array(bulk(b"\xff\0\n"), bulk(b"1")),
    "a name that is none": array(bulk(b"a..b" + b"." * 50), bulk(b"1")),
    "nobody": array(bulk(b"127.0.0.1"), bulk(b"1")),
}


@pytest.mark.attack("R-36")
@pytest.mark.parametrize("kind", SENTINELS)
async def test_a_sentinel_that_talks_nonsense(server: ScriptedRedis, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server.become({b"SENTINEL": SENTINELS[kind]})
    async with shared_store(f"redis+sentinel://127.0.0.1:{server.port}/fleet") as store:
        await fault(store, ":")
        server.become({b"SENTINEL": array(bulk(b"127.0.0.1"), bulk(b"%d" % server.port))})
        await recovers(store)
    assert not bugs(caplog)


# -- searches, and what is watched


@pytest.mark.attack("R-34")
async def test_a_search_comes_to_an_end(server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "STORE_SHARED_PAGES", 50)
    number = 0

    def page(command: list[bytes]) -> list[bytes]:
        nonlocal number
        number += 1
        prefix = command[command.index(b"MATCH") + 1].removesuffix(b"*").replace(b"\\", b"")
        names = [prefix + b"t%d:%d" % (number, each) for each in range(100)]
        return [array(bulk(b"7"), array(*map(bulk, names), bulk(prefix + b"x" * 5000)))]

    server.become({b"SCAN": page})
    async with shared_store(server.url) as store:
        await within_reach(store)
        with pytest.raises(StoreError, match="come to their end"):
            await keys(store, "t")
        assert number == 50
        monkeypatch.setattr(bounds, "STORE_TABLES", 20)
        with pytest.raises(StoreError, match="too many tables"):
            await store.tables()
        assert number <= 80


@pytest.mark.attack("R-34")
async def test_keys_that_are_too_long_are_nobodys(tmp_path: Path) -> None:
    longest, too_long = b"k" * bounds.STORE_SHARED_KEY, b"k" * (bounds.STORE_SHARED_KEY + 1)
    with RedisServer(tmp_path) as real:
        async with shared_store(real, prefix="p", small=SMALL) as store:
            await within_reach(store)
            for table in ("t", "small"):
                store.put(table, longest, b"v", LATER)
                with pytest.raises(StoreError, match="too long"):
                    store.put(table, too_long, b"v", LATER)
                with pytest.raises(StoreError, match="too long"):
                    await store.cas(table, too_long, None, b"v", NOW, LATER)
                with pytest.raises(StoreError, match="too long"):
                    await store.add(table, too_long, 1, NOW, LATER)
            await store.flush()
            real.cli("SET", b"p:t:" + too_long, "v")
            real.cli("HSET", "p:small", too_long, "v")
            assert await keys(store, "t") == [longest]
            assert await keys(store, "small") == [longest]


@pytest.mark.attack("R-35")
async def test_messages_are_read_at_a_measured_pace(server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short ones, or few long ones."""
    monkeypatch.setattr(bounds, "STORE_MESSAGES", 500)
    monkeypatch.setattr(bounds, "STORE_MESSAGE_OCTETS", 1 << 20)
    for text, most in ((b"", 500), (b"x" * 100_000, 10)):
        flood = endlessly(message(b"p:changes:small", text))
        server.become({b"SUBSCRIBE": lambda command, flood=flood: chain(subscribed(command), flood())})  # type: ignore[misc]
        heard: list[int] = []
        async with shared_store(server.url, prefix="p", small=SMALL) as store:
            monkeypatch.setattr(store._subscription, "_heard", lambda table, octets, heard=heard: heard.append(len(octets)))
            await within_reach(store)
            following = asyncio.ensure_future(anext(store.watch("small")))
            loop = asyncio.get_running_loop()
            await until(heard.__len__)
            begun, before = loop.time(), len(heard)
            await asyncio.sleep(1.0)
            # What one read brings is taken at once: 64 KiB of them.
            assert len(heard) - before <= most * (loop.time() - begun) + 2 * (1 << 16) / (len(text) + 50)
            await following


def subscribed(command: list[bytes]) -> list[bytes]:
    return [array(bulk(b"subscribe"), bulk(channel), b":1\r\n") for channel in command[1:]]


@pytest.mark.attack("R-35")
async def test_connections_that_do_not_last_are_made_ever_more_rarely(
    server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription, "_PAUSE", 0.01)
    monkeypatch.setattr(subscription, "_REMARKABLE", 0.08)
    monkeypatch.setattr(subscription, "_LAST_PAUSE", 60.0)
    server.become({b"SUBSCRIBE": lambda command: [*subscribed(command), message(b"p:changes:small", b"x" * 600_000)]})
    async with shared_store(server.url, prefix="p", small=SMALL) as store:
        await within_reach(store)
        following = asyncio.ensure_future(anext(store.watch("small")))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(1.5)
        # 10 ms, 20 ms, … : no more than fit into the time.
        assert server.asked[b"SUBSCRIBE"] <= 2 + (100 * (loop.time() - begun)).__int__().bit_length()
        assert store.reachable, "what is asked for comes as ever"
        assert len([line for line in caplog.messages if "not heard of" in line]) == 1
        await following


@pytest.mark.attack("R-34")
async def test_a_server_that_is_lost_at_once_is_not_tried_all_the_time(
    server: ScriptedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    server.become({b"GETRANGE": lambda command: [bulk(b"memory"), b"+unasked\r\n"]})
    store = opened(server.url)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.sleep(2.0)
    # 0.25 s, 0.5 s, 1 s …, at the shortest.
    assert server.accepted <= 3 + (4 * (loop.time() - begun)).__int__().bit_length()
    await store.close()


