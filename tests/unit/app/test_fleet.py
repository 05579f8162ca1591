"""Daemons that share a real server: they start whatever becomes of it, say what is wrong once, and know what the others know."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import run

from tests.redis_server import RedisServer
from tests.running import Running

MORE = """
[checks.spf]
header = "none"
[greylist]
delay = "1s"
[store]
url = "{url}"
{store}
"""


def attempt(client: str = "192.0.2.7", recipient: str = "bob@example.org") -> bytes:
    fields = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP", "client_address": client,
        "client_name": "mail.example.com", "reverse_client_name": "mail.example.com", "helo_name": "mail.example.com",
        "sender": "ann@example.com", "recipient": recipient, "instance": f"{client}.{recipient}",
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in fields.items()).encode() + b"\n"


def command(host: Running, *words: str) -> Any:
    """What a command prints of that host's daemon."""
    return json.loads(run(*words, "--json", "-c", str(host.folder / "config.toml")).stdout)


def soon(host: Running, is_so: Callable[[], bool]) -> None:
    """It becomes so."""
    for _ in range(200):
        if is_so():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            host.process.wait(0.05)
    raise AssertionError(host.log.read_text())


class Fleet:
    """Daemons, each with a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Running] = []

    def start(self, name: str, url: str, store: str = "", **options: Any) -> Running:
        """A daemon that shares the server at this URL; `store`: more of its ``[store]``."""
        (made := self._folder / name).mkdir(exist_ok=True)
        host = Running(made, MORE.format(url=url, store=store), **options)
        self._running.append(host)
        return host

    def end(self) -> None:
        """Whatever they are at."""
        for host in self._running:
            if host.process.poll() is None:
                host.process.kill()
                host.process.wait(10)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as found:
        yield found


def test_what_one_host_learns_the_other_knows(fleet: Fleet, server: RedisServer) -> None:
    first, second = hosts = [fleet.start(name, server.url) for name in ("mx1", "mx2")]
    for host in hosts:
        host.waits_for("answers: ")
    answer = first.policy(attempt()).decode()
    assert answer.startswith("action=DEFER_IF_PERMIT 4.2.0 Greylisted")
    assert command(first, "allow", "198.51.100.0/24")
    soon(second, lambda: [each["subject"] for each in command(second, "overrides")["overrides"]] == ["198.51.100.0/24"])
    assert second.policy(attempt("198.51.100.9")) == b"action=DUNNO\n\n"
    assert {each["recipient"] for each in command(second, "greylist", "show")["records"]} == {"bob@example.org"}
    soon(second, lambda: second.http(f"/v1/verdict/{answer.split()[-1]}", second.token)[0] == 200)
    # What was said before is judged anew on the host that has said it.
    soon(first, lambda: command(first, "replay", "--stored")["attempts"] == 1)
    assert [host.end() for host in hosts] == [0, 0]


@pytest.mark.parametrize("by", ["its daemon", "store move"])
def test_what_a_host_has_learnt_alone_it_brings_in_when_it_shares_again(by: str, fleet: Fleet, server: RedisServer) -> None:
    host, other = (fleet.start(name, server.url) for name in ("mx1", "mx2"))
    for each in (host, other):
        each.waits_for("answers: ")
    assert command(host, "allow", "198.51.100.1")
    soon(other, lambda: len(command(other, "overrides")["overrides"]) == 1)
    assert host.end() == 0
    if by == "its daemon":
        alone = fleet.start("mx1", "disk:var")
        assert command(alone, "deny", "198.51.100.2")
        assert alone.end() == 0
    else:
        third = fleet.start("mx3", "disk:var")
        assert command(third, "deny", "198.51.100.2")
        assert third.end() == 0
        assert run("store", "move", f"disk:{third.folder}/var", f"disk:{host.folder}/var").exit_code == 0
    again = fleet.start("mx1", server.url)
    again.waits_for("answers: ")
    wanted = ["198.51.100.1", "198.51.100.2"]
    for each in (again, other):
        soon(each, lambda each=each: sorted(has["subject"] for has in command(each, "overrides")["overrides"]) == wanted)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("down", "No such file"),
        ("file", "password of [store] cannot be read"),
        ("password", "username-password pair"),
        ("library", "pip install 'resolverd[redis]'"),
    ],
)
def test_a_start_neither_waits_for_the_server_nor_fails_by_it(how: str, told: str, fleet: Fleet, tmp_path: Path) -> None:
    with RedisServer(tmp_path, options={"requirepass": "right"}, begin=how != "down") as server:
        if how != "file":
            (tmp_path / "wrong").write_text("wrong\n")
        (tmp_path / "hidden").mkdir()
        (tmp_path / "hidden" / "redis.py").write_text('raise ModuleNotFoundError("No module named redis", name="redis")\n')
        environment = {"PYTHONPATH": str(tmp_path / "hidden")} if how == "library" else {}
        host = fleet.start("mx", server.url, 'password = {file = "../wrong"}', environment=environment)
        host.waits_for(told)
        assert host.policy(attempt()) == b"action=DUNNO\n\n"
        status = command(host, "status")
        assert told in status["fleet"]["store"]["fault"]
        assert status["fleet"]["store"]["url"] == f"redis+unix://{server.path}"
        assert any(each["code"] == "shared-store-trouble" for each in command(host, "doctor")["findings"])
        assert host.end() == 0
        lines = [line for line in host.log.read_text().splitlines() if "mail goes on without it" in line]
        assert len(lines) == 1, lines
        assert told in lines[0]
        assert how == "file" or "wrong" not in lines[0]
