"""The ways to a shared store: TLS, users, databases, sentinels, clusters; on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import certificates
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from shared_stores import PATIENCE, be_patient, fault, out_of_reach, shared_store, within_reach
from stores import keys

import resolverd
from resolverd.failures import StoreError
from resolverd.state.base import Change
from resolverd.state.redis import wires
from resolverd.state.redis.cluster import slot_of
from resolverd.state.redis.store import RedisStore
from tests.engines import Engine
from tests.redis_server import Cluster, RedisServer, Sentinels, free_ports, needed

NOW = float(round(time.time()))
LATER = NOW + 1000


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


async def works(store: RedisStore) -> None:
    """All of the contract's operations, on a table of each kind."""
    await within_reach(store)
    for table in ("t", "small"):
        for number in range(30):
            store.put(table, b"%02d" % number, b"v", LATER)
        for key in (b"00", b"n", b"heard"):
            store.delete(table, key)
        await store.flush()
        await store.prefetch([(table, b"%02d" % number) for number in range(30)])
        assert await store.get(table, b"00", NOW) is None
        assert await store.get(table, b"29", NOW) == b"v"
        assert await store.cas(table, b"29", b"v", b"w", NOW, LATER)
        assert not await store.cas(table, b"29", b"v", b"x", NOW, LATER)
        assert await store.add(table, b"n", 1 << 60, NOW, LATER) == 1 << 60
        assert await store.add(table, b"n", -5, NOW, LATER) == (1 << 60) - 5
        assert await keys(store, table, NOW) == [*(b"%02d" % number for number in range(1, 30)), b"n"]
    assert await store.tables() == ["small", "t"]
    changes = store.watch("small")
    assert await anext(changes) is None
    assert await store.cas("small", b"heard", None, b"1", NOW, LATER)
    async with asyncio.timeout(PATIENCE):
        while await anext(changes) != Change(b"heard", b"1", LATER):
            pass  # of what was written before
    store.sweep(NOW)
    assert store._sweeping is not None
    await store._sweeping


@contextlib.asynccontextmanager
async def shared(url: str, **options: object) -> AsyncIterator[RedisStore]:
    async with shared_store(url, **{"prefix": "p", "small": frozenset(("small",)), **options}) as store:
        yield store


# -- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, store_engine: Engine) -> Iterator[tuple[RedisServer, Path]]:
    """A server that speaks TLS only, and the certificate that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    certificates.write(folder, name="localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    port = free_ports(1)[0]
    options = {
        "tls-port": port, "tls-cert-file": str(cert), "tls-key-file": str(key), "tls-auth-clients": "no",
    }  # fmt: skip
    with RedisServer(folder, engine=store_engine, options=options) as server:
        server.port = port
        yield server, cert


async def test_tls_with_a_ca_of_its_own(tls: tuple[RedisServer, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    server, ca = tls
    certificates.check_as_python_3_13_does(monkeypatch)
    async with shared(f"rediss://localhost:{server.port}", ca=ca) as store:
        await works(store)


async def test_a_certificate_of_somebody_else_is_not_trusted(tls: tuple[RedisServer, Path], tmp_path: Path) -> None:
    server, _ = tls
    certificates.write(tmp_path, name="localhost")
    async with shared(f"rediss://localhost:{server.port}") as store:
        await fault(store, "its certificate is not trusted: see [store] ca (")
    async with shared(f"rediss://localhost:{server.port}", ca=tmp_path / "cert.pem") as store:
        await fault(store, "ertificate")
    async with shared(f"rediss://localhost:{server.port}", ca=tmp_path / "nothing") as store:
        await fault(store, "CA's file")


async def test_the_ca_that_is_named_is_the_only_one_trusted(
    tls: tuple[RedisServer, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, ca = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))  # the system's authorities
    async with shared(f"rediss://localhost:{server.port}") as store:
        await works(store)
    certificates.write(tmp_path, name="localhost")
    async with shared(f"rediss://localhost:{server.port}", ca=tmp_path / "cert.pem") as store:
        await fault(store, "ertificate")


async def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path) -> None:
    certificates.write(tmp_path, name="other.example")
    port = free_ports(1)[0]
    files = {"tls-cert-file": f"{tmp_path}/cert.pem", "tls-key-file": f"{tmp_path}/key.pem", "tls-auth-clients": "no"}
    with RedisServer(tmp_path, options={"tls-port": port, **files}):
        async with shared(f"rediss://localhost:{port}", ca=tmp_path / "cert.pem") as store:
            await fault(store, "ertificate")


async def test_plain_where_tls_is_spoken(tls: tuple[RedisServer, Path]) -> None:
    server, _ = tls
    async with shared(f"redis://localhost:{server.port}") as store:
        await fault(store, "the connection was lost: ")


# -- what a server is, and why there is none


async def test_it_is_called_as_it_calls_itself(
    store_engine: Engine, servers_of_engines: Callable[[Engine], RedisServer]
) -> None:
    async with shared(servers_of_engines(store_engine).url) as store:
        await within_reach(store)
        assert (await store.condition()).server == store_engine.version()


@pytest.mark.parametrize(
    ("info", "told"),
    [
        (b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", ("Valkey", "8.0.1")),
        (b"redis_version:7.0.15\r\nredis_git_sha1:0\r\n", ("Redis", "7.0.15")),
        (b"redis_version:6.2.1\r\nserver_name:\x1b[2J\r\n\x1b[2J_version:9.1\r\n", ("Redis", "6.2.1")),
        (b"redis_version:7.2.4\r\nserver_name:other\r\n", ("Redis", "7.2.4")),
    ],
)
def test_what_a_server_says_of_itself(info: bytes, told: tuple[str, str]) -> None:
    name, version = wires._product(wires._told(info))
    assert version is not None
    assert (name, version[0]) == told


@pytest.mark.parametrize("form", ["redis://127.0.0.1:{}", "redis://localhost:{}"])
async def test_why_there_is_no_connection_is_told_without_the_address(form: str) -> None:
    async with shared(form.format(free_ports(1)[0])) as store:
        await fault(store, "refused")
        assert (await store.condition()).fault == "Connection refused"


async def test_a_host_that_has_no_address() -> None:
    async with shared("redis://nobody.invalid") as store:
        await fault(store, "ame")
        assert "nobody" not in (await store.condition()).fault


async def test_an_outage_is_told_of_when_it_begins_and_when_it_ends(
    tmp_path: Path, store_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path, engine=store_engine, options={"appendonly": "yes", "appendfsync": "always"}) as server:
        async with shared(server.url) as store:
            await within_reach(store)
            caplog.clear()
            server.kill()
            await fault(store, "Connection refused")
            server.start()
            await within_reach(store)
            url = f"redis+unix://{server.path}"
            assert caplog.messages == [
                f"the shared store {url} is out of reach: the server has closed the connection; mail goes on without it",
                f"the shared store {url} answers: {store_engine.version()}",
            ]
            # What will not end by itself is told of nevertheless.
            caplog.clear()
            server.cli("CONFIG", "SET", "requirepass", "geheim")
            server.password = "geheim"
            server.cli("CLIENT", "KILL", "TYPE", "normal")
            await fault(store, "NOAUTH")
            assert len(caplog.messages) == 2
            assert "it does not take the password of [store] (NOAUTH Authentication required)" in caplog.messages[1]


# -- users


def documented_user(prefix: str = "resolverd") -> str:
    """What docs/fleet.md has an admin write of the hosts' user, with a password."""
    page = Path(resolverd.__file__).parents[1] / "docs/fleet.md"
    (line,) = re.findall(r"^user resolverd on .*", page.read_text(), re.MULTILINE)
    return line.replace("#HASH", ">geheim").replace("resolverd:", f"{prefix}:")


async def test_a_user_who_may_do_what_is_needed(tmp_path: Path, store_engine: Engine) -> None:
    users = documented_user(), "user default on nopass resetkeys resetchannels -@all +acl +ping"
    with RedisServer(tmp_path, engine=store_engine, lines=users) as server:
        async with shared(f"redis+unix://resolverd@{server.path}", password=lambda: "geheim", prefix="resolverd") as store:
            await works(store)
        assert server.cli("ACL", "LOG") == "", "and nothing else was tried"
        async with shared(f"redis+unix://other@{server.path}", password=lambda: "geheim") as store:
            await fault(store, "it does not take the password of [store] (WRONGPASS")


async def test_a_user_who_may_not_see_these_keys(tmp_path: Path, store_engine: Engine) -> None:
    with RedisServer(tmp_path, engine=store_engine, lines=(documented_user("other"),)) as server:
        async with shared(f"redis+unix://resolverd@{server.path}", password=lambda: "geheim") as store:
            await fault(store, "user of [store] url")


async def test_a_database_of_its_own(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with shared(f"redis+unix://{server.path}?db=3") as store:
            await works(store)
        assert server.cli("-n", "3", "EXISTS", "p:t:29") == "1"
        assert server.cli("DBSIZE") == "0"
        async with shared(f"redis+unix://{server.path}?db=99") as store:
            await fault(store, "DB")


# -- sentinels


async def test_a_failover_by_sentinels(tmp_path: Path, store_engine: Engine) -> None:
    needed(store_engine, "sentinel")
    with Sentinels(tmp_path, replicas=1, options={"requirepass": "geheim"}, engine=store_engine) as fleet:
        async with shared(fleet.url, password=lambda: "geheim") as store:
            await works(store)
            first = fleet.master()
            first.kill()
            await out_of_reach(store)
            store.put("t", b"meanwhile", b"2", LATER)
            await within_reach(store)
            await store.flush()
            second = fleet.master()
            assert second is not first
            assert second.cli("EXISTS", "p:t:meanwhile", "p:t:29") == "2"
            # The old master comes back as a replica; nothing is asked of it.
            first.start()
            first.wait_for("role:slave", "INFO", "replication")
            store.delete("t", b"meanwhile")
            await works(store)


async def test_sentinels_that_know_nothing(tmp_path: Path, store_engine: Engine) -> None:
    with Sentinels(tmp_path, replicas=0, sentinels=1, engine=store_engine) as fleet:
        async with shared(fleet.url.replace("/fleet", "/other")) as store:
            await fault(store, "knows no service other")
        (port,) = fleet.ports
        fleet.servers[0].kill()
        async with shared(fleet.url) as store:
            await fault(store, "refused")
            assert (await store.condition()).fault == f"127.0.0.1:{fleet.servers[0].port}: Connection refused"
        fleet.sentinels[0].kill()
        async with shared(fleet.url) as store:
            await fault(store, "sentinel")
            assert (await store.condition()).fault == f"sentinel 127.0.0.1:{port}: Connection refused"


async def test_sentinels_that_want_a_password(tmp_path: Path, store_engine: Engine) -> None:
    with Sentinels(tmp_path, replicas=0, sentinels=1, options={"requirepass": "geheim"}, engine=store_engine) as fleet:
        fleet.sentinels[0].cli("SENTINEL", "CONFIG", "SET", "sentinel-pass", "geheim")
        fleet.sentinels[0].cli("ACL", "SETUSER", "default", "resetpass", ">geheim")
        async with shared(fleet.url, password=lambda: "geheim") as store:
            await works(store)
        async with shared(fleet.url, password=lambda: "wrong") as store:
            await fault(store, "WRONGPASS")


# -- clusters


@given(st.binary(max_size=20) | st.lists(st.sampled_from([b"{", b"}", b"a", b"b"]), max_size=9).map(b"".join))
def test_slots_are_those_of_the_library(key: bytes) -> None:
    assert slot_of(key) == key_slot(key)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store_engine: Engine) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), engine=store_engine) as servers:
        yield servers


async def test_a_cluster(cluster: Cluster) -> None:
    async with shared(cluster.url) as store:
        await works(store)
        assert (await store.condition()).server == f"{cluster.servers[0].engine.version()}, 3 masters"
        assert all(int(server.cli("DBSIZE")) > 3 for server in cluster.servers)


async def test_one_server_of_a_cluster_alone(cluster: Cluster) -> None:
    """Two of three do not have what is looked at first."""
    told = []
    for server in cluster.servers:
        async with shared(server.tcp) as store:
            if not await store.connected(1):
                told.append((await store.condition()).fault)
    assert len(told) == 2
    assert all(each.startswith("it is one server of a cluster") for each in told), told


async def test_a_user_who_may_not_do_all_of_it_is_told(tmp_path: Path, store_engine: Engine) -> None:
    user = documented_user().replace(" +strlen", "").replace(" +hstrlen", "")
    with RedisServer(tmp_path, engine=store_engine, lines=(user,)) as server:
        async with shared(f"redis+unix://resolverd@{server.path}", password=lambda: "geheim", prefix="resolverd") as store:
            await within_reach(store)
            for table in ("t", "small"):
                with pytest.raises(StoreError, match=r"the user of \[store\] url may not do what is needed \(NOPERM"):
                    await store.cas(table, b"k", None, b"v", NOW, LATER)
            server.cli("ACL", "SETUSER", "resolverd", "-hset")
            store.put("small", b"k", b"v", LATER)
            with pytest.raises(StoreError, match="takes no writes"):
                await store.flush()
            assert "may not do what is needed" in (await store.condition()).fault
            server.cli("ACL", "SETUSER", "resolverd", "+hset", "+strlen", "+hstrlen")
            await fault(store, "")
            await store.flush()
            assert await store.get("small", b"k", NOW) == b"v", "it was not given up"


async def test_a_user_of_a_cluster(cluster: Cluster) -> None:
    allowed = documented_user("acl").split()[2:]
    for server in cluster.servers:
        server.cli("ACL", "SETUSER", "mail", *allowed, "+cluster", "+asking")
    url = cluster.url.replace("://", "://mail@")
    async with shared(url, password=lambda: "geheim", prefix="acl") as store:
        await works(store)


async def test_slots_that_move_meanwhile(cluster: Cluster) -> None:
    async with shared(cluster.url) as store:
        await works(store)
        key = "p:t:07"
        slot = slot_of(key.encode())
        ids = [server.cli("CLUSTER", "MYID") for server in cluster.servers]
        source = slot // (16384 // 3)
        target = (source + 1) % 3
        cluster.servers[target].cli("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[source])
        cluster.servers[source].cli("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[target])
        # It has left already, while its slot is still on the way: ASK.
        cluster.servers[source].cli("MIGRATE", "127.0.0.1", str(cluster.servers[target].port), key, "0", "5000")
        assert await store.get("t", b"07", NOW) == b"v"
        assert await store.cas("t", b"07", b"v", b"w", NOW, LATER)
        store.put("t", b"07", b"x", LATER)
        await store.flush()
        for server in cluster.servers:
            server.cli("CLUSTER", "SETSLOT", str(slot), "NODE", ids[target])
        # The slot is elsewhere now: MOVED.
        assert await store.get("t", b"07", NOW) == b"x"
        assert await store.add("t", b"07", 1, NOW, LATER) == 1
        assert cluster.servers[target].cli("EXISTS", key) == "1"
        assert store.reachable


async def test_a_cluster_that_lacks_a_server(cluster: Cluster) -> None:
    async with shared(cluster.url) as store:
        await within_reach(store)
        cluster.servers[2].kill()
        try:
            await out_of_reach(store)
            store.put("t", b"meanwhile", b"v", LATER)
            with pytest.raises(StoreError):
                await store.get("t", b"1", NOW)
        finally:
            cluster.servers[2].start()
            for server in cluster.servers:
                server.wait_for("cluster_state:ok", "CLUSTER", "INFO")
        await within_reach(store)
        await store.flush()
        assert await store.get("t", b"meanwhile", NOW) == b"v"
        store.delete("t", b"meanwhile")
        await store.flush()


# -- reading ahead


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_what_is_read_ahead_is_good_until_it_is_written(redis_server: RedisServer, small: bool, when: str) -> None:
    tables = frozenset(("t",) if small else ())
    async with shared_store(redis_server, small=tables) as store:
        await within_reach(store)

        async def put(key: bytes) -> bytes | None:
            store.put("t", key, b"new", LATER)
            await store.flush()
            return b"new"

        async def delete(key: bytes) -> bytes | None:
            store.delete("t", key)
            await store.flush()
            return None

        async def swap(key: bytes) -> bytes | None:
            assert await store.cas("t", key, b"7", b"new", NOW, LATER)
            return b"new"

        async def add(key: bytes) -> bytes | None:
            assert await store.add("t", key, 5, NOW, LATER) == 12
            return b"12"

        for number, change in enumerate((put, delete, swap, add)):
            key = b"%d" % number
            store.put("t", key, b"7", LATER)
            await store.flush()
            if when == "before":
                wanted = await change(key)
                await store.prefetch([("t", key)])
            elif when == "during":
                reading = asyncio.ensure_future(store.prefetch([("t", key)]))
                await asyncio.sleep(0)
                wanted = await change(key)
                await reading
            else:
                await store.prefetch([("t", key)])
                assert store._prefetched
                wanted = await change(key)
            assert await store.get("t", key, NOW) == wanted


async def test_what_is_read_ahead_costs_no_further_round_trip(redis_server: RedisServer) -> None:
    async with shared_store(redis_server, prefix="ahead") as store:
        await within_reach(store)
        store.put("t", b"k", b"v", LATER)
        await store.flush()
        calls = int(re.findall(r"cmdstat_getrange:calls=(\d+)", redis_server.cli("INFO", "commandstats"))[0])
        await store.prefetch([("t", b"k"), ("t", b"absent")])
        assert (await store.get("t", b"k", NOW), await store.get("t", b"absent", NOW)) == (b"v", None)
        assert f"cmdstat_getrange:calls={calls + 2}," in redis_server.cli("INFO", "commandstats")


# -- two hosts


async def test_hosts_hear_of_each_other_in_the_servers_order(redis_server: RedisServer) -> None:
    small = frozenset(("t",))
    async with contextlib.AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(shared_store(redis_server, prefix="order", small=small)) for _ in range(2)]
        await within_reach(one)
        await within_reach(two)
        watching = [store.watch("t") for store in (one, two)]
        assert [await anext(each) for each in watching] == [None, None]
        for number in range(50):
            one.put("t", b"k", b"one %d" % number, LATER)
            two.put("t", b"k", b"two %d" % number, LATER)
            await asyncio.gather(one.flush(), two.flush())
        one.put("t", b"end", b"1", LATER)
        two.put("t", b"end", b"2", LATER)
        await asyncio.gather(one.flush(), two.flush())
        assert await two.cas("t", b"last", None, b"v", NOW, LATER)
        seen: list[dict[bytes, bytes | None]] = [{}, {}]
        for changes, values in zip(watching, seen, strict=True):
            async with asyncio.timeout(PATIENCE):
                while b"last" not in values:
                    change = await anext(changes)
                    assert change is not None
                    values[change.key] = change.value
        there = {entry.key: entry.value async for entry in one.scan("t", NOW)}
        assert seen == [there, there], "whoever follows the changes knows what is there"


async def test_a_lost_connection_is_a_gap_in_what_is_heard(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with shared(f"unix:{server.path}") as store:
            await within_reach(store)
            changes = store.watch("small")
            assert await anext(changes) is None
            server.cli("CLIENT", "KILL", "TYPE", "pubsub")
            async with asyncio.timeout(PATIENCE):
                assert await anext(changes) is None
            assert await store.cas("small", b"k", None, b"v", NOW, LATER)
            assert await anext(changes) == Change(b"k", b"v", LATER)


async def test_who_watches_during_an_outage_is_told_to_scan_when_it_ends(tmp_path: Path) -> None:
    with RedisServer(tmp_path, begin=False) as server:
        async with shared(f"unix:{server.path}") as store:
            changes = store.watch("small")
            assert await anext(changes) is None
            with pytest.raises(StoreError):
                await keys(store, "small")
            store.put("small", b"mine", b"1", LATER)
            assert await anext(changes) == Change(b"mine", b"1", LATER)
            server.start()
            async with asyncio.timeout(PATIENCE):
                assert await anext(changes) is None
            await store.flush()
            assert await keys(store, "small", NOW) == [b"mine"]


async def test_one_host_sweeps_for_all(redis_server: RedisServer) -> None:
    small = frozenset(("t",))
    async with contextlib.AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(shared_store(redis_server, prefix="sweep", small=small)) for _ in range(2)]
        for store in (one, two):
            await within_reach(store)
        for number in range(20):
            one.put("t", b"%d" % number, b"v", NOW)
        await one.flush()
        for store in (one, two, one):
            store.sweep(NOW)
            assert store._sweeping is not None
            await store._sweeping
        assert len(await keys(one, "t", NOW - 1)) == 20 - 3 - 2
