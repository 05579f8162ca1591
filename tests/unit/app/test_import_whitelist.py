"""``resolverd import whitelist``: entries come in whole or not at all, once, and the daemon reads them."""

import json
import os
from ipaddress import ip_address
from pathlib import Path

import pytest
from served import Served

from resolverd.app.allow_files import allow_files
from resolverd.config import load
from resolverd.mail.request import Attempt
from tests.unit.greylist.test_admin import daemon, nobody, run

__all__ = ["daemon", "nobody"]


def reason(config: str, client: str, name: str = "", recipient: str = "bob@example.org") -> str:
    attempt = Attempt(ip_address(client), client_name=name, recipient=recipient)
    return allow_files(load(Path(config))).allowed.reason(attempt)


def test_both_files_are_taken_and_count(nobody: str, tmp_path: Path) -> None:
    clients, recipients = tmp_path / "whitelist_clients", tmp_path / "whitelist_recipients"
    clients.write_text("# big ones\nexample.com # slow\n/^mx\\d+\\.pool\\./\n192.0.2.0/24\n2001:db8::/32\n198.51.100\n")
    clients.with_name("whitelist_clients.local").write_text("example.net\n")
    recipients.write_text("postmaster@\nabuse@example.org\n")
    state = Path(nobody).parent / "var"
    result = run("import", "whitelist", str(clients), "-c", nobody)
    assert result.output == f"6 clients taken into {state / 'allow_clients'}, 0 were there already\n"
    assert json.loads(run("import", "whitelist", str(recipients), "--json", "-c", nobody).output) == {
        "taken": 2, "kept": 0, "faulty": 0, "kind": "recipients", "file": str(state / "allow_recipients")
    }  # fmt: skip
    assert [
        reason(nobody, client, name)
        for client, name in (
            ("203.0.113.1", "a.example.com"), ("203.0.113.1", "mx7.pool.example"), ("192.0.2.9", ""), ("2001:db8::1", ""),
            ("198.51.100.1", ""), ("203.0.113.1", "example.net"), ("203.0.113.1", "example.org"),
        )
    ] == ["client whitelist"] * 6 + [""]  # fmt: skip
    assert reason(nobody, "203.0.113.1", recipient="postmaster@example.org") == "recipient whitelist"
    assert (state / "allow_clients").stat().st_mode & 0o777 == 0o600
    assert "example.com # slow\n" in (state / "allow_clients").read_text()


def test_again_changes_nothing_and_more_comes_behind(nobody: str, tmp_path: Path) -> None:
    file = tmp_path / "clients"
    file.write_text("example.com\n192.0.2.0/24\n")
    kept = Path(nobody).parent / "var" / "allow_clients"
    assert run("import", "whitelist", str(file), "-c", nobody).exit_code == 0
    kept.write_text(f"{kept.read_text()}# by hand\nnot a host\nown.example")
    before = kept.read_text()
    file.write_text("EXAMPLE.com\n192.0.2.77/24\n192.0.2\n")
    assert run("import", "whitelist", str(file), "-c", nobody).output.startswith("0 clients taken")
    assert kept.read_text() == before
    file.write_text("example.com\nexample.net\n")
    assert run("import", "whitelist", str(file), "-c", nobody).output.startswith("1 clients taken")
    assert kept.read_text() == f"{before}\n# from {file}\nexample.net\n"


def test_a_bad_line_is_named_and_the_others_are_taken(nobody: str, tmp_path: Path) -> None:
    file = tmp_path / "clients"
    file.write_text("example.com\n")
    assert run("import", "whitelist", str(file), "-c", nobody).exit_code == 0
    kept = Path(nobody).parent / "var" / "allow_clients"
    before = kept.read_text()
    file.write_text("example.net\nbob@example.com\n/(/\n192.0.2.1 OK\n" + "two words\n" * 30 + "/^mx[[:digit:]]\\./\n")
    result = run("import", "whitelist", str(file), "-c", nobody)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert f"{file} line 2: 'bob@example.com' is a mail address" in lines[0]
    assert f"{file} line 3: '/(/' is no expression that is understood here: it has ( without )" in lines[1]
    assert f"{file} line 4: '192.0.2.1 OK' is no host name" in lines[2]
    assert lines[-1] == "resolverd: 13 more lines that are not taken"
    assert len(lines) == 21
    assert result.stdout == f"2 clients taken into {kept}, 0 were there already\n"
    assert kept.read_text() == f"{before}# from {file}\nexample.net\n/^mx[[:digit:]]\\./\n"
    assert reason(nobody, "203.0.113.1", "mx7.pool.example") == "client whitelist"


def test_a_file_without_a_good_line_is_not_taken(nobody: str, tmp_path: Path) -> None:
    file = tmp_path / "clients"
    file.write_text("two words\n")
    result = run("import", "whitelist", str(file), "-c", nobody)
    assert result.exit_code == 1
    assert "has no line that names clients" in result.stderr
    assert not (Path(nobody).parent / "var" / "allow_clients").exists()


def test_what_a_file_names_can_be_told(nobody: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("bob@example.com\n")
    assert run("import", "whitelist", str(file), "-c", nobody).exit_code == 1
    assert run("import", "whitelist", str(file), "--recipients", "-c", nobody).exit_code == 0
    other = tmp_path / "recipients-of-mail.cidr"
    other.write_text("192.0.2.0/24\n")
    assert run("import", "whitelist", str(other), "-c", nobody).exit_code == 1
    assert run("import", "whitelist", str(other), "--clients", "-c", nobody).exit_code == 0


def test_a_full_disk_leaves_the_file_as_it_was(nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "clients"
    file.write_text("example.com\n")
    assert run("import", "whitelist", str(file), "-c", nobody).exit_code == 0
    state = Path(nobody).parent / "var"
    before = (state / "allow_clients").read_bytes()
    file.write_text("example.net\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = run("import", "whitelist", str(file), "-c", nobody)
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert (state / "allow_clients").read_bytes() == before
    assert [each.name for each in state.iterdir()] == ["allow_clients"]


def test_the_daemon_reads_it_at_once(daemon: Served, tmp_path: Path) -> None:
    config = daemon.config
    file = tmp_path / "clients"
    file.write_text("example.com\n")
    assert run("import", "whitelist", str(file), "-c", config).exit_code == 0
    assert daemon.loads == 1
    assert run("import", "whitelist", str(file), "-c", config).exit_code == 0
    assert daemon.loads == 1, "nothing new, nothing to read"


def test_where_nothing_is_kept_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[store]\nurl = "memory:"\n')
    (tmp_path / "clients").write_text("example.com\n")
    result = run("import", "whitelist", str(tmp_path / "clients"), "-c", str(tmp_path / "config.toml"))
    assert result.exit_code == 1
    assert "greylist.allow_clients" in result.stderr


def test_a_directory_of_somebody_else_is_left_alone(nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "clients"
    file.write_text("example.com\n")
    state = Path(nobody).parent / "var"
    state.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: os.stat(state).st_uid + 4242)
    result = run("import", "whitelist", str(file), "-c", nobody)
    assert result.exit_code == 1
    assert "run this as that user or as root" in result.stderr
    assert not list(state.iterdir())
