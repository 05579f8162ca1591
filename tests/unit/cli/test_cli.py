"""The command line: what it prints where, its statuses, and one clear line when something is wrong."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result
from fake_backend import GREYLISTED, REFUSED, FakeBackend, bound, for_commands

from resolverd import __version__
from resolverd.cli import output
from resolverd.cli.root import resolverd
from resolverd.metrics import Counters
from resolverd.servers import unix_socket
from resolverd.servers.http.app import HttpServer
from resolverd.servers.ports import Backend

TOKEN = "token-of-the-test"
ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(resolverd, list(arguments), prog_name="resolverd")


class Running(NamedTuple):
    backend: FakeBackend
    config: str
    port: int


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Running]:
    """A real HTTP server over a fake backend, in a thread with a loop of its own, on the socket for commands."""
    backend = FakeBackend()
    sock, port = for_commands(tmp_path / "var"), bound()
    number = port.getsockname()[1]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> HttpServer:
        server = HttpServer(backend, Counters(), token=TOKEN)
        await server.serve(sock)
        await server.serve(port)
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
    config = tmp_path / "config.toml"
    config.touch()
    yield Running(backend, str(config), number)
    asyncio.run_coroutine_threadsafe(server.close(0.1), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def nobody(tmp_path: Path) -> str:
    """A configuration whose HTTP port nobody listens on."""
    with bound() as sock:
        config = tmp_path / "config.toml"
        config.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n')
    return str(config)


@pytest.mark.parametrize(("verdict", "status"), [(None, 0), (GREYLISTED, 10), (REFUSED, 20)])
def test_check_ends_with_the_verdict(daemon: Running, verdict: object, status: int):
    if verdict is not None:
        daemon.backend.decide = lambda attempt: verdict
    result = run("check", "192.0.2.1", "-c", daemon.config)
    assert result.exit_code == status
    assert [record for _, record in daemon.backend.asked] == [False]


def test_check_tells_what_was_asked_and_what_it_weighs(daemon: Running):
    daemon.backend.decide = lambda attempt: REFUSED
    arguments = ["192.0.2.1", "--helo", "mail.example.org", "--sender", "a+b@example.org", "--recipient", "c@example.com"]
    result = run("-c", daemon.config, "check", *arguments)
    assert result.stdout.splitlines() == [
        "check\tcode\tasked\tanswered\tage\tpoints\tfinding",
        "ptr\tptr_ok\t1.2.0.192 PTR\tmail.example.org\t12 s\t0\treverse hostname mail.example.org",
        "dnsbl\tdnsbl_listed\t192.0.2.1 in zen.spamhaus.org\tSBL, as 127.0.0.2\t60 s\t+6\tlisted by zen.spamhaus.org",
        "",
        "verdict: reject",
        "reason: listed by zen.spamhaus.org",
        "smtp: 554 5.7.1 Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); ref REJECT0001",
        "score: 6",
        "took: 23 ms",
        "id: REJECT0001",
    ]
    [(attempt, _)] = daemon.backend.asked
    assert (attempt.helo_name, attempt.sender, attempt.recipient) == ("mail.example.org", "a+b@example.org", "c@example.com")


def test_check_shows_what_a_greylisted_client_is_told(daemon: Running):
    daemon.backend.decide = lambda attempt: GREYLISTED
    lines = run("check", "192.0.2.1", "-c", daemon.config).stdout.splitlines()
    assert "smtp: 450 4.2.0 Greylisted, please try again later; ref GREY000001" in lines
    assert "greylist: new" in lines


def test_check_tells_no_sender_from_the_null_sender(daemon: Running):
    run("check", "192.0.2.1", "-c", daemon.config)
    run("check", "192.0.2.1", "--sender", "", "-c", daemon.config)
    assert [attempt.has_sender for attempt, _ in daemon.backend.asked] == [False, True]


@pytest.mark.parametrize(
    "command", [["check", "192.0.2.1"], ["lookup", "192.0.2.1"], ["lists"], ["cache", "stats"], ["cache", "show", "example.org"]]
)
def test_json_is_one_object(daemon: Running, command: list[str]):
    result = run(*command, "--json", "-c", daemon.config)
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout), dict)


def test_lookup(daemon: Running):
    result = run("lookup", "192.0.2.1", "-c", daemon.config)
    assert result.stdout.splitlines() == [
        "list\tsays\tcodes\tpoints\tage\twhy",
        "zen.spamhaus.org\tlisted\tsbl\t+6\t5 s\tspam source",
        "list.dnswl.org\tunknown\t\t\t\ttimeout no answer",
        "",
        "listed: 1",
        "allowed: 0",
        "unknown: 1",
    ]
    assert run("lookup", "Example.ORG", "-c", daemon.config).stdout.splitlines()[1].split("\t")[1] == "clear"
    wrong = run("lookup", "a b", "-c", daemon.config)
    assert (wrong.exit_code, wrong.stderr) == (1, "resolverd: 'a b' is neither an IP address nor a domain name\n")


def test_lists(daemon: Running):
    lines = run("lists", "-c", daemon.config).stdout.splitlines()
    assert lines[1].split("\t")[:6] == ["spamhaus-zen", "ok", "ip4 ip6", "299990 of 300000", "20 h", "10"]
    assert lines[2].split("\t")[:2] == ["dnswl", "unreachable"]


def test_cache(daemon: Running):
    assert "records\t2" in run("cache", "stats", "-c", daemon.config).stdout
    assert "10 mail.example.org." in run("cache", "show", "example.org", "MX", "-c", daemon.config).stdout
    assert run("cache", "flush", "example.org", "-c", daemon.config).stdout == "2 entries forgotten\n"
    assert run("cache", "flush", ".", "-c", daemon.config).exit_code == 0
    assert run("cache", "flush", "--all", "-c", daemon.config).exit_code == 0
    assert [name for name, _ in daemon.backend.flushed] == [b"\x07example\x03org\x00", b"\x00", None]


@pytest.mark.parametrize(
    "command", [["lists"], ["cache", "stats"], ["cache", "show", "example.org"], ["cache", "flush", "--all"]]
)
def test_without_a_daemon_it_says_what_to_type(nobody: str, command: list[str]):
    result = run(*command, "-c", nobody)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"resolverd: no daemon answers at {Path(nobody).parent}/var/resolverd.sock")
    assert "resolverd serve" in result.stderr
    assert result.stdout == ""


def test_check_and_lookup_work_in_the_process_itself(nobody: str, monkeypatch: pytest.MonkeyPatch):
    backend = FakeBackend()
    backend.decide = lambda attempt: REFUSED

    @asynccontextmanager
    async def opened(settings: object) -> AsyncIterator[Backend]:
        yield backend

    monkeypatch.setattr("resolverd.cli.local.opened", opened)
    result = run("check", "192.0.2.1", "--json", "-c", nobody)
    assert (result.exit_code, json.loads(result.stdout)["action"]) == (20, "reject")
    assert [record for _, record in backend.asked] == [False]
    assert json.loads(run("lookup", "192.0.2.1", "--json", "-c", nobody).stdout)["listed"] == 1
    wrong = run("lookup", "a b", "-c", nobody)
    assert (wrong.exit_code, wrong.stderr) == (1, "resolverd: 'a b' is neither an IP address nor a domain name\n")


class Stranger:
    """Somebody else on the daemon's port, who answers as the daemon would and keeps what he hears."""

    def __init__(self, sock: socket.socket, server: bytes = b"resolverd") -> None:
        self.heard = b""
        self._sock, self._server = sock, server
        sock.listen()
        sock.setblocking(True)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._sock.accept()
                with connection:
                    self.heard += connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 401 No\r\nServer: %s\r\nContent-Length: 2\r\n\r\n{}" % self._server)

    def end(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(5)


COMMANDS = [
    ["check", "192.0.2.1"],
    ["lookup", "192.0.2.1"],
    ["lists"],
    ["allow", "192.0.2.1"],
    ["deny", "192.0.2.1"],
    ["overrides"],
    ["overrides", "forget", "192.0.2.1"],
    ["greylist", "show"],
    ["greylist", "allow", "192.0.2.1"],
    ["greylist", "forget", "192.0.2.1"],
    ["cache", "stats"],
    ["cache", "show", "example.org"],
    ["cache", "trace", "example.org"],
    ["cache", "flush", "--all"],
    ["store", "dump"],
    ["import", "whitelist", "FILE"],
]


@pytest.mark.parametrize("kept", ["disk:var", "memory:"])
def test_no_command_gives_the_token_to_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str):
    """With the daemon down, whoever listens on its port learns no secret; with a state directory he isn't even asked."""

    @asynccontextmanager
    async def opened(settings: object) -> AsyncIterator[Backend]:
        yield FakeBackend()

    monkeypatch.setattr("resolverd.cli.local.opened", opened)
    sock = bound()
    config = tmp_path / "config.toml"
    config.write_text(f'''
        [http]
        listen = "127.0.0.1:{sock.getsockname()[1]}"
        {"token = {file = 'var/token'}" if kept == "memory:" else ""}
        [store]
        url = "{kept}"
    ''')
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "token").write_text(TOKEN + "\n")
    (tmp_path / "whitelist").write_text("192.0.2.1\n")
    stranger = Stranger(sock)
    for command in COMMANDS:
        words = [str(tmp_path / "whitelist") if word == "FILE" else word for word in command]
        assert run(*words, "-c", str(config)).exit_code in (0, 1), command
    stranger.end()
    assert TOKEN.encode() not in stranger.heard
    assert b"Authorization" not in stranger.heard
    assert bool(stranger.heard) == (kept == "memory:")


def test_a_command_that_is_shut_out_says_by_what(tmp_path: Path):
    stranger = Stranger(sock := bound())
    config = tmp_path / "config.toml"
    config.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n[store]\nurl = "memory:"\n')
    result = run("deny", "192.0.2.1", "-c", str(config))
    stranger.end()
    assert result.exit_code == 1
    assert "store] url" in result.stderr


def test_another_service_on_the_port_is_not_mistaken_for_ours(tmp_path: Path):
    stranger = Stranger(sock := bound(), b"other")
    config = tmp_path / "config.toml"
    config.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n[store]\nurl = "memory:"\n')
    result = run("lists", "-c", str(config))
    stranger.end()
    assert result.exit_code == 1
    assert "is not resolverd" in result.stderr


AS_NOBODY = """
import contextlib, encodings.idna, io, os, sys
from resolverd.cli.root import resolverd
for name in resolverd.list_commands(None):
    resolverd.get_command(None, name)
with contextlib.redirect_stdout(io.StringIO()):
    resolverd(["config", "check", *sys.argv[-2:]], standalone_mode=False)
os.setgid(65534); os.setuid(65534)
resolverd(sys.argv[1:])
"""
"""Everything is imported while it can be: the interpreter may lie where only root may look."""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_may_not_open_the_socket_is_served_by_the_port_and_told_the_rest(daemon: Running, tmp_path: Path):
    """A user of this machine who isn't of the daemon's group asks what `http.open` leaves open, and nothing else."""
    tmp_path.chmod(0o711)
    (tmp_path / "config.toml").write_text(f'[http]\nlisten = "127.0.0.1:{daemon.port}"\n')
    (tmp_path / "config.toml").chmod(0o644)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", AS_NOBODY, *arguments, "-c", "config.toml"]
        return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=20)

    lists = command("lists")
    assert (lists.returncode, lists.stderr) == (0, "")
    for words in (["deny", "192.0.2.1"], ["greylist", "show"]):
        done = command(*words)
        assert done.returncode == 1
        assert "resolverd.sock is open to root, the daemon's user and its group only" in done.stderr
    assert daemon.backend.overrides(None) == []


AS_STRANGER = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX); sock.bind(sys.argv[1]); sock.listen()
print("there", flush=True)
connection, _ = sock.accept()
sys.stdout.buffer.write(b"heard:" + connection.recv(4096))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_strangers_socket_in_the_state_directory_hears_nothing(tmp_path: Path):
    """Should the directory have been left open to all: a socket is the daemon's if root, its owner or oneself made it."""
    tmp_path.chmod(0o711)
    state = tmp_path / "var"
    state.mkdir()
    state.chmod(0o777)
    (tmp_path / "config.toml").touch()
    words = [sys.executable, "-c", AS_STRANGER, "var/resolverd.sock"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=tmp_path) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"there\n"
        result = run("deny", "192.0.2.1", "-c", str(tmp_path / "config.toml"))
        assert stranger.stdout.read() == b"heard:"
    assert result.exit_code == 1
    assert "is user 65534, and not the daemon" in result.stderr


def test_a_state_directory_of_any_length_has_its_socket(tmp_path: Path):
    """A UNIX socket's path has 107 octets at the most; a directory's may have more."""
    state = tmp_path / ("d" * 120) / "var"
    state.mkdir(parents=True)
    for _ in range(2):  # the second takes the place of one that nobody serves any more
        sock = for_commands(state)
        sock.listen()
        with unix_socket.connect(state / "resolverd.sock", 5) as client:
            assert unix_socket.peer_user(client) == os.geteuid()
        assert stat.S_IMODE((state / "resolverd.sock").stat().st_mode) == 0o660
        sock.close()


@pytest.mark.parametrize(
    "command",
    [
        ["nosuch"],
        ["check"],
        ["check", "mail.example.org"],
        ["check", "192.0.2.1", "--nosuch"],
        ["cache", "flush"],
        ["cache", "flush", "example.org", "--all"],
        ["config"],
        ["config", "nosuch"],
    ],
)
def test_usage(command: list[str]):
    result = run(*command)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_every_fault_of_a_configuration(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text("[dns]\nlisen = []\n[greylist]\ndelay = 5\n")
    for command in (["config", "check"], ["config", "show"], ["check", "192.0.2.1"], ["lists"]):
        result = run(*command, "-c", str(config))
        assert result.exit_code == 78
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert [line.split(": ")[2] for line in lines] == ["dns.lisen", "greylist.delay"]
        assert all(line.startswith(f"resolverd: {config}: ") for line in lines)


def test_a_configuration_that_is_not_there(tmp_path: Path):
    result = run("config", "check", "-c", str(tmp_path / "missing.toml"))
    assert (result.exit_code, result.stderr) == (
        78,
        f"resolverd: {tmp_path}/missing.toml cannot be read: No such file or directory\n",
    )


def test_config_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = run("config", "check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "the built-in defaults: no faults"
    shown = run("config", "show")
    (tmp_path / "shown.toml").write_text(shown.stdout)
    assert run("config", "show", "-c", "shown.toml").stdout == shown.stdout
    assert "warn_if_reject check_policy_service" in run("config", "postfix").stdout


def test_colour_and_tables_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def printed() -> str:
        output.print_table(("list", "state"), [("zen\x1b[2J", "ok")])
        output.print_facts([("verdict", "reject")])
        return capsys.readouterr().out

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert printed() == "list\tstate\nzen?[2J\tok\nverdict: reject\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text = printed()
    assert "\x1b[" in text
    assert "zen?[2J" in text
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed() == "list\tstate\nzen?[2J\tok\nverdict: reject\n"


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0, "0 s"), (90, "90 s"), (120, "2 m"), (7300, "2 h"), (200000, "2 d"), (-7300, "-2 h")]
)
def test_ages(value: int | None, text: str):
    assert output.seconds(value) == text


def test_the_real_command(daemon: Running, tmp_path: Path):
    daemon.backend.decide = lambda attempt: REFUSED
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "resolverd", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=20,
        )

    assert command("--version").stdout == f"resolverd {__version__}\n"
    checked = command("check", "192.0.2.1", "--json")  # config.toml of the working directory
    assert (checked.returncode, checked.stderr) == (20, "")
    assert json.loads(checked.stdout)["id"] == REFUSED.id
    (tmp_path / "config.toml").write_text("[dns]\nlisen = []\n")
    faulty = command("config", "check")
    assert faulty.returncode == 78
    assert faulty.stderr.splitlines() == [
        "resolverd: config.toml: dns.lisen: unknown key; the nearest valid one is dns.listen",
    ]
