"""The command line: what it prints where, its statuses, and one clear line when something is wrong."""

import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commandline import run
from served import DNSWL, GOOD, LISTED, TOKEN, Served, bound, configured, for_commands, internet

from resolverd import __version__
from resolverd import config as configuration
from resolverd.cli import machine, output
from resolverd.servers import unix_socket

ROOT = Path(__file__).parents[3]


REFUSED = ("check", LISTED, "--helo", "mail.example.org", "--sender", "a@example.org", "--recipient", "c@example.com")
GREYLISTED = ("check", GOOD, "--helo", "good.example.org", "--sender", "", "--recipient", "c@example.com")


@pytest.mark.parametrize(
    ("words", "status"), [(("check", GOOD, "--helo", "good.example.org"), 0), (GREYLISTED, 10), (REFUSED, 20)]
)
def test_check_ends_with_the_verdict_and_records_nothing(daemon: Served, words: tuple[str, ...], status: int):
    assert run(*words, "-c", daemon.config).exit_code == status
    assert daemon.judged == 0


def test_check_begins_with_the_verdict_and_has_a_line_a_check(daemon: Served):
    lines = run("-c", daemon.config, *REFUSED).stdout.splitlines()
    assert lines[0].startswith("reject: Client host [81.2.69.1] blocked using zen.spamhaus.org: ")
    assert lines[1:3] == ["", "check\tresult\tweighs\tage\tms"]
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[3 : lines.index("", 3)]}
    assert list(rows) == ["overrides", "ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl"]
    assert rows["ptr"][:3] == ["reverse hostname mail.example.org", "", "0 s"]
    assert rows["ptr"][3].isdigit()
    assert rows["dnsbl"][0].startswith("Client host [81.2.69.1] blocked using zen.spamhaus.org")
    assert rows["dnsbl"][1] == "reject"
    facts = dict(line.split(": ", 1) for line in lines[lines.index("", 3) + 1 :])
    assert list(facts) == ["smtp", "score", "otherwise", "took", "id", "to let it through"]
    assert (facts["score"], facts["to let it through"]) == ("6", "resolverd allow 81.2.69.1")
    assert facts["smtp"] == (
        "554 5.7.1 Service unavailable (Client host [81.2.69.1] blocked using zen.spamhaus.org);"
        f" https://www.spamhaus.org/query/ip/81.2.69.1; ref {facts['id']}"
    )


def test_check_tells_with_v_what_was_asked_and_what_it_weighs(daemon: Served):
    lines = run("-c", daemon.config, *REFUSED, "-v").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("ptr: ptr_ok, 0 points, "))
    asked = "    asked 1.69.2.81.in-addr.arpa PTR: mail.example.org (0 s old)"
    assert lines[at + 1 : at + 3] == ["    reverse hostname mail.example.org", asked]
    at = next(number for number, line in enumerate(lines) if line.startswith("dnsbl: dnsbl_listed, +6 points, reject, "))
    assert lines[at + 2].startswith("    asked 81.2.69.1 in zen.spamhaus.org: listed by zen.spamhaus.org")
    assert lines[at + 2].endswith(", as 127.0.0.2 (0 s old)")


def test_check_tells_no_time_where_nothing_was_answered(daemon: Served):
    daemon.refuse(DNSWL)
    rows = {line.split("\t")[0]: line.split("\t") for line in run(*REFUSED, "-c", daemon.config).stdout.splitlines()}
    assert rows["dnswl"][1:] == ["no answer from list.dnswl.org (timeout: SERVFAIL)", "", "", ""]
    assert rows["dnsbl"][-1].isdigit()
    lines = run("-c", daemon.config, *REFUSED, "-v").stdout.splitlines()
    [told] = [line for line in lines if line.startswith("dnswl: ")]
    assert told.endswith("0 points")


def test_check_shows_what_a_greylisted_client_is_told(daemon: Served):
    lines = run(*GREYLISTED, "-c", daemon.config).stdout.splitlines()
    [reference] = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert f"smtp: 450 4.2.0 Greylisted, please try again later; ref {reference}" in lines
    assert "greylist: new" in lines


def test_check_tells_no_sender_from_the_null_sender(daemon: Served):
    for words, text in (((), "no sender given"), (("--sender", ""), "null sender")):
        document = json.loads(run("check", GOOD, *words, "--json", "-c", daemon.config).stdout)
        assert [each["text"] for each in document["findings"] if each["check"] == "sender_domain"] == [text]


@pytest.mark.parametrize(
    "command",
    [
        ["check", GOOD, "--helo", "good.example.org"],
        ["lookup", "192.0.2.1"],
        ["lists"],
        ["cache", "stats"],
        ["cache", "show", "example.org"],
    ],
)
def test_json_is_one_object(daemon: Served, command: list[str]):
    result = run(*command, "--json", "-c", daemon.config)
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout), dict)


def test_lookup(daemon: Served):
    daemon.refuse(DNSWL)
    result = run("lookup", LISTED, "-c", daemon.config)
    text = "listed by zen.spamhaus.org (SBL: spam source or spam support service)"
    assert result.stdout.splitlines() == [
        "81.2.69.1: listed by 1, allowed by 0 of 2 lists, 1 unknown",
        "",
        "list\tsays\tcodes\tpoints\tage\twhy",
        f"zen.spamhaus.org\tlisted\tsbl\t+6\t0 s\t{text}",
        "list.dnswl.org\tunknown\t\t\t\ttimeout SERVFAIL",
        "",
        "zen.spamhaus.org: https://www.spamhaus.org/query/ip/81.2.69.1",
    ]
    assert run("lookup", "Example.ORG", "-c", daemon.config).stdout.splitlines()[3].split("\t")[1] == "clear"
    mail = run("lookup", "example.org", "-c", daemon.config).stdout
    assert "\nmail.example.org (81.2.69.1): listed by 1, allowed by 0 of 2 lists, 1 unknown\n" in mail
    whole = [line.split("\t") for line in run("lookup", "--all", LISTED, "-c", daemon.config).stdout.splitlines()]
    [barracuda] = [line for line in whole if line[0] == "barracuda"]
    assert barracuda[1] == "skipped"
    assert "registered" in barracuda[5]
    assert "mail servers of nowhere.org: there is no such domain" in run("lookup", "nowhere.org", "-c", daemon.config).stdout
    wrong = run("lookup", "a b", "-c", daemon.config)
    assert (wrong.exit_code, wrong.stderr) == (2, "resolverd: 'a b' is neither an IP address nor a domain name\n")


def test_lists(daemon: Served):
    run("lookup", LISTED, "-c", daemon.config)
    lines = [line.split("\t") for line in run("lists", "-c", daemon.config).stdout.splitlines()]
    [zen] = [line for line in lines if line[0] == "spamhaus-zen"]
    quota = json.loads(run("lists", "--json", "-c", daemon.config).stdout)["lists"][0]
    assert zen[:4] == ["spamhaus-zen", "ok", str(quota["asked"]), "1"]
    assert zen[6] == f"{quota['quota_left']}/{quota['quota']}"
    assert zen[8] == "ip4 ip6"
    assert [line[1] for line in lines if line[0] == "psbl"] == ["disabled"]


def test_lists_are_used_or_not(daemon: Served):
    assert run("lists", "enable", "psbl", "-c", daemon.config).stdout.startswith("psbl: ")
    assert run("lists", "disable", "psbl", "-c", daemon.config).stdout == "psbl: disabled\n"
    assert run("lists", "-c", daemon.config, "probe", "spamhaus-zen").stdout == "spamhaus-zen: ok\n"
    assert json.loads(run("lists", "probe", "spamhaus-zen", "--json", "-c", daemon.config).stdout)["id"] == "spamhaus-zen"
    wrong = run("lists", "disable", "spamhaus-zem", "-c", daemon.config)
    assert (wrong.exit_code, "no list 'spamhaus-zem' is known; did you mean 'spamhaus-zen'?" in wrong.stderr) == (2, True)


def test_reload_says_what_changed(daemon: Served):
    assert run("reload", "-c", daemon.config).stdout == "read again; nothing has changed\n"
    assert json.loads(run("reload", "--json", "-c", daemon.config).stdout)["reloaded"] is True


def test_cache(daemon: Served):
    run(*REFUSED, "-c", daemon.config)
    assert "packets\t0" in run("cache", "stats", "-c", daemon.config).stdout
    assert "10 mail.example.org." in run("cache", "show", "example.org", "MX", "-c", daemon.config).stdout
    assert run("cache", "flush", "example.org", "-c", daemon.config).stdout == "3 entries forgotten\n"
    assert run("cache", "flush", ".", "-c", daemon.config).exit_code == 0
    assert "mail.example.org" in run("cache", "show", "mail.example.org", "-c", daemon.config).stdout
    assert run("cache", "flush", "--all", "-c", daemon.config).exit_code == 0
    assert "records\t0" in run("cache", "stats", "-c", daemon.config).stdout


def test_trace(daemon: Served):
    lines = run("cache", "trace", "example.org", "MX", "-c", daemon.config).stdout.splitlines()
    assert lines[0] == "  1. 198.41.0.4, a server of ., was asked org. A"
    assert lines[2] == "  2. 193.0.9.1, a server of org., was asked example.org. MX"
    assert lines[-1] == "  example.org. 3600 MX 10 mail.example.org."


@pytest.mark.parametrize(
    "command", [["status"], ["lists"], ["cache", "stats"], ["cache", "show", "example.org"], ["cache", "flush", "--all"]]
)
def test_without_a_daemon_it_says_what_to_type(nobody: str, command: list[str]):
    result = run(*command, "-c", nobody)
    assert result.exit_code == 1
    folder = Path(nobody).parent
    assert result.stderr.startswith(f"resolverd: no daemon answers at {folder}/var/resolverd.sock; start it with: resolverd")
    assert f"resolverd serve (configuration: {nobody}; state: {folder}/var)" in result.stderr
    assert result.stdout == ""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What works in the process itself meets the scripted internet."""

    class Outside:
        def __new__(cls, _: object) -> Any:
            net = internet()
            net.aclose = nothing  # type: ignore[attr-defined]
            return net

    async def nothing() -> None:
        pass

    monkeypatch.setattr("resolverd.cli.in_process.OutsideNetwork", Outside)
    hints = configured(tmp_path).resolver
    monkeypatch.setattr(
        "resolverd.cli.commands.check.configuration.load",
        lambda path, load=configuration.load: msgspec.structs.replace(load(path), resolver=hints),
    )


def test_check_lookup_and_trace_work_in_the_process_itself(nobody: str, scripted: None):
    result = run(*REFUSED, "--json", "-c", nobody)
    assert (result.exit_code, json.loads(result.stdout)["action"]) == (20, "reject")
    assert json.loads(run("lookup", LISTED, "--json", "-c", nobody).stdout)["listed"] == 1
    assert json.loads(run("cache", "trace", "example.org", "MX", "--json", "-c", nobody).stdout)["rcode"] == "NOERROR"
    wrong = run("lookup", "a b", "-c", nobody)
    assert (wrong.exit_code, wrong.stderr) == (2, "resolverd: 'a b' is neither an IP address nor a domain name\n")


class Stranger:
    """Somebody else on the daemon's port, who answers as the daemon would and keeps what he hears."""

    def __init__(self, sock: socket.socket, server: bytes = b"resolverd", status: bytes = b"401 No") -> None:
        self.heard = b""
        self._sock, self._head = sock, b"HTTP/1.1 %s\r\nServer: %s\r\nContent-Length: 2\r\n\r\n" % (status, server)
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
                    connection.sendall(self._head + b"{}")

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
def test_no_command_gives_the_token_to_a_stranger(tmp_path: Path, scripted: None, kept: str):
    """With the daemon down, whoever listens on its port learns no secret; with a state directory he isn't even asked."""
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
        assert run(*words, "-c", str(config)).exit_code in (0, 1, 10, 20), command
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
    stranger = Stranger(sock := bound(), b"other", b"200 OK")
    config = tmp_path / "config.toml"
    config.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n[store]\nurl = "memory:"\n')
    results = [run(*words, "-c", str(config)) for words in (["lists"], ["cache", "dump"])]
    stranger.end()
    for result in results:
        assert (result.exit_code, result.stdout) == (1, "")
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
def test_who_may_not_open_the_socket_is_served_by_the_port_and_told_the_rest(daemon: Served, tmp_path: Path):
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
        assert "resolverd.sock is not open to you" in done.stderr
        # The group too, where another test has opened the directory that all tests have theirs in.
        assert re.search(r"is open to root, user root(?: and group root)?\); run this with sudo, or as one of them", done.stderr)
        assert f"(configuration: {tmp_path}/config.toml; state: {tmp_path}/var)" in done.stderr
    assert json.loads(run("overrides", "--json", "-c", daemon.config).stdout) == {"overrides": []}


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
    assert "nameserver 127.0.0.1\n" in run("config", "postfix", "--way", "nameserver").stdout
    assert run("config", "postfix", "--way", "milter").exit_code == 2


def test_the_doctor_finds_and_is_quiet_where_all_is_well(daemon: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "RESOLV_CONF", tmp_path / "resolv.conf")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    policy = "check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DUNNO }"
    sound = (
        "compatibility_level = 3.6\nsmtpd_helo_required = yes\n"
        f"smtpd_recipient_restrictions = permit_mynetworks reject_unauth_destination {policy}\n"
        f"smtpd_data_restrictions = {policy}\n"
    )
    (tmp_path / "main.cf").write_text(sound)
    asked = ("doctor", "--main-cf", str(tmp_path / "main.cf"), "-c", daemon.config)
    found = json.loads(run(*asked, "--json").stdout)
    ours = {"state-volatile"}  # the test's daemon keeps nothing, or in /tmp
    assert {each["code"] for each in found["findings"]} <= ours
    assert found["read"]["daemon"] is True
    (tmp_path / "main.cf").write_text(sound.replace("yes", "no"))
    result = run(*asked, "--quiet")
    assert result.exit_code == 1
    assert "    smtpd_helo_required = yes\n" in result.stdout
    count = len(json.loads(run(*asked, "--json").stdout)["findings"])
    assert result.stdout.splitlines()[-1] == ("1 finding" if count == 1 else f"{count} findings")
    result = run("doctor", "--main-cf", str(tmp_path / "nowhere"), "-c", daemon.config)
    assert (result.exit_code, result.stderr) == (1, f"resolverd: {tmp_path / 'nowhere'} cannot be read\n")


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


def test_the_real_command(daemon: Served, tmp_path: Path):
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
    checked = command(*REFUSED, "--json")  # config.toml of the working directory
    assert (checked.returncode, checked.stderr) == (20, "")
    assert json.loads(checked.stdout)["action"] == "reject"
    (tmp_path / "config.toml").write_text("[dns]\nlisen = []\n")
    faulty = command("config", "check")
    assert faulty.returncode == 78
    assert faulty.stderr.splitlines() == [
        "resolverd: config.toml: dns.lisen: unknown key; the nearest valid one is dns.listen",
    ]


def test_negative_trust_anchors(daemon: Served):
    assert run("cache", "nta", "list", "-c", daemon.config).stdout == "no negative trust anchors\n"
    done = run("cache", "nta", "add", "Broken.example", "--for", "2h", "--reason", "DS of an old key", "-c", daemon.config)
    assert done.stdout.startswith("broken.example. and all below it is not validated until 20")
    line = run("cache", "nta", "list", "-c", daemon.config).stdout.splitlines()[1].split("\t")
    assert (line[0], line[-1]) == ("broken.example.", "DS of an old key")
    [anchor] = json.loads(run("cache", "nta", "list", "--json", "-c", daemon.config).stdout)["negative_trust_anchors"]
    assert anchor["until"] - anchor["since"] == 7200
    too_long = run("cache", "nta", "add", "broken.example", "--for", "8d", "-c", daemon.config)
    assert (too_long.exit_code, "at most 7d" in too_long.stderr) == (2, True)
    assert run("cache", "nta", "remove", "broken.example", "-c", daemon.config).exit_code == 0
    again = run("cache", "nta", "remove", "broken.example", "-c", daemon.config)
    assert (again.exit_code, "no negative trust anchor" in again.stderr) == (1, True)
