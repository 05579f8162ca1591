"""Two releases side by side on a real server: this one, and one to come that reads and writes a second schema as well."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer
from tests.running import REQUEST, Running

NEWER = """
from resolverd.state.redis import frames
frames.SCHEMA = 2
import resolverd
resolverd.__version__ = "9.9"
"""
"""What makes a process the release to come, before anything else is imported."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Host:
    """One of the hosts, of one release after the other; its state directory stays."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        folder.mkdir()
        (folder / "newer").mkdir()
        (folder / "newer" / "sitecustomize.py").write_text(NEWER)
        self.folder, self.server = folder, server
        self.running: Running

    def start(self, *, newer: bool) -> None:
        environment = {"PYTHONPATH": str(self.folder / "newer")} if newer else {}
        more = f'[store]\nurl = "{self.server.url}"\ndirectory = "var"'
        self.running = Running(self.folder, more, environment=environment)
        self.running.waits_for("answers: ")

    def sees(self, *versions: str) -> None:
        """Wait until it knows of hosts with these versions that live, and only of those."""
        end = time.monotonic() + 20
        while (found := self.versions()) != sorted(versions) and time.monotonic() < end:
            time.sleep(0.05)
        assert found == sorted(versions)

    def versions(self) -> list[str]:
        hosts = self.running.http("/v1/status")[1]["fleet"]["hosts"]
        return sorted(host["version"] for host in hosts if host["alive"])

    def deny(self, subject: str) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.running.ports['HTTP']}/v1/overrides",
            json.dumps({"action": "deny", "subject": subject, "for": "1d"}).encode(),
            {"Authorization": f"Bearer {self.running.token}", "Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=10).close()

    def denies(self, subject: str) -> bool:
        """Whether it refuses that client within a second."""
        for _ in range(20):
            if self.running.policy(REQUEST.replace(b"193.0.0.1", subject.encode())).startswith(b"action=554"):
                return True
            time.sleep(0.05)
        return False

    def written_in(self, subject: str) -> int:
        """The schema in which the server has that denial."""
        octet = "return string.byte(redis.call('HGET', KEYS[1], ARGV[1]), 2)"
        return int(self.server.cli("EVAL", octet, "1", "resolverd:overrides", f"deny all {subject}"))


@pytest.fixture
def hosts(server: RedisServer, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    made = Host(tmp_path / "mx1", server), Host(tmp_path / "mx2", server)
    yield made
    for host in made:
        host.running.end()


def test_what_is_written_can_be_read_by_every_release_that_runs(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    one.start(newer=False)
    two.start(newer=True)
    one.sees("0.1.0", "9.9")
    two.sees("0.1.0", "9.9")
    for number, host in enumerate((one, two), 1):
        host.deny(f"192.0.2.{number}")
        assert host.written_in(f"192.0.2.{number}") == 1
        assert one.denies(f"192.0.2.{number}")
        assert two.denies(f"192.0.2.{number}")
    assert one.running.end() == 0
    one.start(newer=True)
    one.sees("9.9", "9.9")
    two.sees("9.9", "9.9")
    one.deny("192.0.2.3")
    assert one.written_in("192.0.2.3") == 2
    assert two.denies("192.0.2.3")
    assert one.denies("192.0.2.1"), "what was written before is read on"
    # Back again: the old release reads nothing of the new form, says so, and has all write the old one.
    assert two.running.end() == 0
    two.start(newer=False)
    two.sees("0.1.0", "9.9")
    one.sees("0.1.0", "9.9")
    assert not two.denies("192.0.2.3")
    assert "newer" in two.running.log.read_text()
    one.deny("192.0.2.4")
    assert one.written_in("192.0.2.4") == 1
    assert two.denies("192.0.2.4")
