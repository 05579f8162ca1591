"""What stands outside the configuration keeps nothing from working but itself, and is told."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import certificates
import pytest

from resolverd.app import named_files
from resolverd.config.files import parse
from resolverd.telemetry import sendmail
from tests.running import Running
from tests.unit.app.test_allow_files import CHECKS, request

BROKEN = """
[resolver]
root_hints = "missing-hints"
trust_anchors = "missing-anchors"
[zones]
dir = "missing-zones"
[http]
token = {file = "missing-token"}
[lists.spamhaus-zen]
key = {file = "missing-key"}
[lists.spamhaus-dbl]
key = {env = "RESOLVERD_TEST_NO_SUCH_KEY"}
[alerts]
webhook = {file = "missing-hook"}
[greylist]
allow_clients = ["missing-clients", "clients"]
allow_recipients = ["folder"]
[checks.overrides]
client_access = ["missing-map", "map", "cidr:networks"]
helo_access = ["hash:pipe"]
"""
TOLD = {
    "zones.dir": "missing-zones': No such file or directory; there are no local zones",
    "resolver.root_hints": "No such file or directory; those shipped are used",
    "resolver.trust_anchors": "No such file or directory; those shipped are used",
    "http.token": "No such file or directory; nothing can be changed over HTTP",
    "lists.spamhaus-zen.key": "No such file or directory; the list is not asked",
    "lists.spamhaus-dbl.key": "RESOLVERD_TEST_NO_SUCH_KEY'; the list is not asked",
    "alerts.webhook": "No such file or directory; nobody is told that way",
    "greylist.allow_clients": "No such file or directory; nothing in it counts",
    "greylist.allow_recipients": "s a directory; nothing in it counts",
    "checks.overrides.client_access[0]": "No such file or directory; nothing in it counts",
    "checks.overrides.client_access[1]": "map:1: 'a.example' has no result",
    "checks.overrides.client_access[2]": "networks:1: '192.0.2.1/24' has host bits set; the network is 192.0.2.0/24",
    "checks.overrides.helo_access[0]": "is no regular file; nothing in it counts",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clients").write_text("friend.example\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "map").write_text("a.example\nenemy.example REJECT Not you\n")
    (tmp_path / "networks").write_text("192.0.2.1/24 REJECT\n198.51.100.0/24 REJECT Nor you\n")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_each_fault_is_told_with_its_file_and_line(folder: Path) -> None:
    settings = parse(BROKEN, folder)
    faults = [*named_files.read(settings).faults, *named_files.of_zones(settings, folder / "config.toml", 0)]
    assert sorted(fault.path for fault in faults) == sorted(TOLD)
    for fault in faults:
        assert TOLD[fault.path] in fault.text
        assert fault.path.startswith("lists.spamhaus-dbl") or str(folder) in fault.text


def test_a_machine_without_sendmail_is_told_where_mail_goes_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse('[alerts]\nmail = ["root"]\n', tmp_path)
    (tmp_path / "sendmail").touch(0o755)
    monkeypatch.setattr(sendmail, "PATHS", (str(tmp_path / "sendmail"),))
    assert named_files.read(settings).faults == ()
    (tmp_path / "sendmail").unlink()
    [fault] = named_files.read(settings).faults
    assert (fault.path, "port 25 of 127.0.0.1" in fault.text) == ("alerts.mail", True)
    assert named_files.read(parse("", tmp_path)).faults == ()


def test_config_check_tells_them_and_finds_no_fault(folder: Path) -> None:
    """Status 0: who has it run before each start must not be kept from starting by what does not keep the daemon."""
    (folder / "config.toml").write_text(BROKEN)
    command = [sys.executable, "-m", "resolverd", "config", "check", "-c", str(folder / "config.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"no faults, {len(TOLD)} warnings" in lines[0]
    told = dict(line.removeprefix("warning: ").split(": ", 1) for line in lines if line.startswith("warning: "))
    assert sorted(told) == sorted(TOLD)
    assert all(TOLD[key] in text for key, text in told.items())


@pytest.mark.parametrize(
    ("ca", "told"),
    [
        ("missing.pem", "missing.pem': No such file or directory; the shared store is out of reach"),
        ("folder", "folder': Is a directory; the shared store"),
        ("map", "map' has no certificate in PEM; the shared store"),
    ],
)
def test_authorities_of_the_shared_store_that_are_none(ca: str, told: str, folder: Path) -> None:
    [fault] = named_files.read(parse(f'[store]\nurl = "rediss://h"\nca = "{ca}"\n', folder)).faults
    assert fault.path == "store.ca"
    assert told in fault.text
    assert named_files.read(parse(f'[store]\nurl = "redis://h"\nca = "{ca}"\n', folder)).faults == (), "it is not used"


def test_authorities_of_the_shared_store(folder: Path) -> None:
    certificates.write(folder, name="store.example")
    assert named_files.read(parse('[store]\nurl = "rediss://h"\nca = "cert.pem"\n', folder)).faults == ()


def test_a_shared_store_without_its_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio.connection", None)
    [fault] = named_files.read(parse('[store]\nurl = "redis://h"\n', folder)).faults
    assert fault.path == "store.url"
    assert "pip install 'resolverd[redis]'; the shared store is out of reach" in fault.text
    assert named_files.read(parse("", folder)).faults == ()


SECRETS = """
[store]
url = "redis://h"
password = {file = "secret"}
[http]
token = {file = "secret"}
[alerts]
webhook = {file = "secret"}
[lists.spamhaus-zen]
key = {file = "list.key"}
"""


@pytest.fixture
def secrets(folder: Path) -> list[Path]:
    """The files with the secrets of `SECRETS`."""
    (folder / "secret").write_text("https://chat.example.com/hook")
    (folder / "list.key").write_text("abcdefghijklmnopqrstuvwxyz")
    return [folder / "secret", folder / "list.key"]


def test_secrets_that_others_may_read_are_told(folder: Path, secrets: list[Path]) -> None:
    for file in secrets:
        file.chmod(0o644)
    faults = named_files.read(parse(SECRETS, folder)).faults
    assert sorted(fault.path for fault in faults) == ["alerts.webhook", "http.token", "lists.spamhaus-zen.key", "store.password"]
    assert all(f"chmod g-w,o= {folder}/" in fault.text for fault in faults)
    for file in secrets:
        file.chmod(0o640)
    assert named_files.read(parse(SECRETS, folder)).faults == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_secrets_may_be_the_daemons_users(folder: Path, secrets: list[Path]) -> None:
    for file in secrets:
        file.chmod(0o600)
        os.chown(file, 4711, 4711)
    state = folder / "state"
    faults = named_files.read(parse(SECRETS, folder, state)).faults
    assert len(faults) == 4
    assert all("belongs to user 4711" in fault.text for fault in faults)
    state.mkdir()
    os.chown(state, 4711, 4711)
    assert named_files.read(parse(SECRETS, folder, state)).faults == ()


def test_faults_of_zone_files_are_told_with_their_lines(folder: Path) -> None:
    zones = folder / "zones"
    settings, file = parse("", folder), folder / "config.toml"
    assert not [*named_files.of_zones(settings, file, 0)]  # the default folder need not be there
    zones.mkdir()
    soa = "@ 60 SOA ns.test. h.test. 1 2 3 4 5\n@ 60 NS ns.test.\n"
    (zones / "good.example.zone").write_text(soa)
    (zones / "bl.example.ip4set").write_text("192.0.2.1\n")
    (zones / "notes.txt").write_text("no zone")
    assert not [*named_files.of_zones(settings, file, 0)]
    (zones / "bad.example.zone").write_text(soa + "www 60 A 192.0.2.999\n")
    (zones / "empty.example.zone").write_text("")
    (zones / "bl.example.ip4set").write_text("192.0.2.1\nnonsense here\n")
    (zones / "a..b.zone").write_text(soa)
    (zones / "gone.example.zone").symlink_to("gone.example.zone")
    told = {re.split("[:,] | is ", fault.text)[0].rpartition("/")[2]: fault for fault in named_files.of_zones(settings, file, 0)}
    assert {fault.path for fault in told.values()} == {"zones.dir"}
    expected = {
        "bad.example.zone": "line 3:", "empty.example.zone": "no SOA record at empty.example.; ", "bl.example.ip4set": "line 2:",
        "a..b.zone": "no domain's", "gone.example.zone": "symbolic links",
    }  # fmt: skip
    assert sorted(told) == sorted(expected)
    assert [name for name, words in expected.items() if words not in told[name].text] == []


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("x.rbl.internal.ip4set", "", "zones.dir"),
        ("rbl.internal.zone", "", "zones.dir"),
        ("internal.zone", "", ""),
        ("corp.example.zone", '[[resolver.stub]]\nzone = "corp.example"\nservers = ["192.0.2.1"]\n', "resolver.stub[0].zone"),
        ("corp.example.zone", '[[resolver.forward]]\nzone = "a.corp.example"\nservers = ["192.0.2.1"]\n', ""),
    ],
)
def test_zones_that_nobody_asks_are_told(tmp_path: Path, file: str, text: str, told: str) -> None:
    (tmp_path / "zones").mkdir()
    content = "192.0.2.1\n" if file.endswith("ip4set") else "@ 60 SOA ns.test. h.test. 1 2 3 4 5\n@ 60 NS ns.test.\n"
    (tmp_path / "zones" / file).write_text(content)
    found = [*named_files.of_zones(parse(text, tmp_path), tmp_path / "config.toml", 0)]
    assert [fault.path for fault in found] == [told] * bool(told)
    assert all(file in fault.text for fault in found)


def test_the_daemon_starts_and_works_with_what_is_there(folder: Path) -> None:
    more = BROKEN.replace('[resolver]\nroot_hints = "missing-hints"\n', "").replace('trust_anchors = "missing-anchors"\n', "")
    # Of its lists only dnswl is left, in a world without DNS; it says nothing.
    running = Running(folder, more.replace("[http]\n", "").replace('token = {file = "missing-token"}\n', "") + CHECKS)
    try:
        for key in ("lists.spamhaus-zen.key", "greylist.allow_clients", "client_access[0]", "client_access[1]", "helo_access[0]"):
            running.waits_for(key)
        assert running.dns("2.0.0.127.bl.rbl.internal.").answer
        assert b"5.7.1 Client host rejected (Not you)" in running.policy(request("mx.enemy.example"))
        assert running.policy(request("mx.friend.example")) == b"action=DUNNO\n\n"
        (folder / "map").unlink()
        running.process.send_signal(signal.SIGHUP)
        running.waits_for("was read again")
        assert "what was read of it before counts on" in running.log.read_text()
        assert b"5.7.1 Client host rejected (Not you)" in running.policy(request("mx.enemy.example"))
    finally:
        assert running.end() == 0


def test_hints_are_read_again_and_bad_ones_leave_those_in_use(folder: Path) -> None:
    settings = parse('[resolver]\nroot_hints = "hints"', folder)
    (folder / "hints").write_text(". 60 NS ns.test.\nns.test. 60 A 192.0.2.53\n")
    first = named_files.read(settings)
    assert not first.faults
    assert [str(address) for address in first.hints.addresses] == ["192.0.2.53"]
    (folder / "hints").write_text("# nothing\n\xff")
    then = named_files.read(settings, first)
    assert then.hints == first.hints
    assert "those in use so far are used" in str(then.faults[0])
    assert len(named_files.read(settings).hints.addresses) > 20
