"""docs/fleet.md: its server is started as shown, and lets in who is configured as shown, to do all that is needed and no more."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from resolverd import config
from resolverd.app.shared_tables import SMALL
from resolverd.app.store import open_shared
from resolverd.clock import SystemClock
from resolverd.config import Settings
from resolverd.metrics import Counters
from tests.redis_server import RedisServer, free_ports

from .pages import DOCS, blocks

PAGE = DOCS / "fleet.md"
ADDRESS = "192.0.2.20"


def shown(info: str, number: int = 0) -> str:
    """The page's block of this kind."""
    return [block.text for block in blocks(PAGE) if block.info == info][number]


class Example(NamedTuple):
    server: RedisServer
    settings: Settings

    def denied(self) -> str:
        """What the server would not let its user do."""
        cli = self.server.engine.required("cli")
        words = [cli, "-s", str(self.server.path), "--user", "admin", "--pass", "any", "--no-auth-warning", "ACL", "LOG"]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The page's server on loopback, with an administrator beside the one user."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder, port = tmp_path_factory.mktemp("shown"), free_ports(1)[0]
    script = shown("sh").replace(ADDRESS, "127.0.0.1")
    subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, timeout=60, check=True)
    hashed = hashlib.sha256((folder / "store.password").read_text().strip().encode()).hexdigest()
    users = shown("acl").replace("#HASH", f"#{hashed}") + "user admin on nopass ~* &* +@all\n"
    (folder / "users.acl").write_text(users)
    text = re.sub("/(etc|var/lib)/valkey", str(folder), shown("conf valkey"))
    text = text.replace(ADDRESS, "127.0.0.1").replace("6379", str(port))
    options = dict(line.split(maxsplit=1) for line in text.splitlines())
    toml = shown("toml").replace(ADDRESS, f"127.0.0.1:{port}")
    assert options["dir"], "a server begun by systemd is in /, where it may not write"
    with RedisServer(folder, options=options) as server:
        yield Example(server, config.parse(toml, folder))


async def test_the_user_may_do_all_that_is_needed(example: Example) -> None:
    found, now = example.settings.store, 1e9
    store = open_shared(found, SystemClock(), Counters(), lambda: found.password)
    assert await store.connected(10), await store.condition()
    for table in ("greylist", sorted(SMALL)[0]):
        store.put(table, b"k", b"v", now + 1e9)
        await store.flush()
        await store.prefetch([(table, b"k"), (table, b"other")])
        assert await store.get(table, b"k", now) == b"v"
        assert await store.cas(table, b"k", b"v", b"w", now, now + 1e9)
        assert await store.add(table, b"n", 2, now, now + 1e9) == 2
        assert [entry.key async for entry in store.scan(table, now)] == [b"k", b"n"]
        store.delete(table, b"k")
        await store.flush()
    changes = store.watch(sorted(SMALL)[0])
    async with asyncio.timeout(10):
        assert await anext(changes) is None
    assert set(await store.tables()) == {"greylist", sorted(SMALL)[0]}
    store.sweep(now)
    condition = await store.condition()
    assert condition.fault == ""
    await store.close()
    assert example.denied() == ""


def test_and_nothing_else(example: Example, tmp_path: Path) -> None:
    cli, password = example.server.engine.required("cli"), example.settings.store.password
    assert password is not None
    for line in ("FLUSHALL", "KEYS *", "GET other:key", "CONFIG GET *", "PUBLISH other x", "ACL LIST"):
        command = [cli, "-s", str(example.server.path), "--user", "resolverd", "--pass", password.reveal(), "--no-auth-warning"]
        said = subprocess.run([*command, *line.split()], capture_output=True, text=True, timeout=20, check=False)
        assert "NOPERM" in said.stdout + said.stderr, line


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft")
def test_the_firewalls_rules_are_read(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(shown("nft"))
    subprocess.run(["nft", "--check", "--file", tmp_path / "rules"], capture_output=True, timeout=20, check=True)
