"""Allow files as the daemon reads them: with their additions, again at SIGHUP, and whatever is in them."""

import logging
import re
import signal
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from test_daemon import Running

from resolverd.app.allowing import allowed
from resolverd.config.files import parse
from resolverd.failures import ConfigError
from resolverd.mail.allowfiles import Allowed
from resolverd.mail.attempt import Attempt


def read(folder: Path) -> Allowed:
    text = '[greylist]\nallow_clients = ["clients"]\nallow_recipients = ["recipients", "recipients.local"]\n'
    return allowed(parse(text, folder))


def client(name: str) -> Attempt:
    return Attempt(ip_address("192.0.2.1"), client_name=name, recipient="somebody@example.net")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("clients", "recipients", "recipients.local"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_own_additions_count_too(folder: Path) -> None:
    (folder / "clients").write_text("a.example\n")
    (folder / "clients.local").write_text("b.example\n")
    (folder / "recipients.local").write_text("somebody@\n")
    found = read(folder)
    assert [found.reason(client(name)) for name in ("a.example", "b.example", "c.example")] == [
        "client whitelist", "client whitelist", "recipient whitelist"
    ]  # fmt: skip


def test_bad_lines_are_named_and_the_rest_counts(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "clients").write_bytes(b"a.example\nbob@example.com\n\xff\xfe\n" + b"two words\n" * 50 + b"b.example\n")
    found = read(folder)
    assert found.reason(client("b.example")) == "client whitelist"
    assert f"{folder / 'clients'} line 2: 'bob@example.com' is a mail address" in caplog.text
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 21
    assert "31 more lines" in caplog.text


def test_a_file_that_is_gone_costs_only_itself(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "recipients").write_text("somebody@\n")
    text = '[greylist]\nallow_clients = ["clients"]\nallow_recipients = ["recipients"]\n'
    settings = parse(text, folder)
    (folder / "clients").unlink()
    (folder / "clients").mkdir()
    assert allowed(settings).reason(client("x")) == "recipient whitelist"
    assert "nothing in it counts" in caplog.text


def test_only_so_much_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("resolverd.app.allowing.MAX_OCTETS", 30)
    (folder / "clients").write_text("a.example\nb.example\nc.example.with.a.long.name\n")
    found = read(folder)
    assert found.clients.names == {"a.example", "b.example"}
    assert "only its first" in caplog.text


CHECKS = "".join(
    f'[checks.{name}]\naction = "off"\n' for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl")
)


def request(client_name: str) -> bytes:
    return (
        "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=193.0.0.1\n"
        f"client_name={client_name}\nreverse_client_name={client_name}\nhelo_name=h.example.com\nsender=a@example.com\n"
        "recipient=b@example.org\n\n"
    ).encode()


def test_files_are_read_again_at_sighup(tmp_path: Path) -> None:
    """A daemon by itself, with checks that need no network: only greylisting has a say."""
    clients = tmp_path / "clients"
    clients.write_text("friend.example\n")
    running = Running(tmp_path, f'[dnsbl]\nenabled = false\n{CHECKS}[greylist]\nallow_clients = ["clients"]\n')
    try:
        assert running.policy(request("mx.friend.example")) == b"action=DUNNO\n\n"
        assert "reason=client whitelist" in running.log.read_text()
        before = running.policy(request("mx.newcomer.example"))
        clients.write_text("friend.example\nbad line\n")
        clients.with_name("clients.local").write_text("newcomer.example\n")
        running.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while "was read again" not in running.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert re.search(r"clients line 2: 'bad line' is no host name", running.log.read_text())
        assert running.policy(request("mx.newcomer.example")) == b"action=DUNNO\n\n"
        assert b"Greylisted" in before
        assert running.log.read_text().count("reason=client whitelist") == 2
    finally:
        assert running.end() == 0


def test_access_maps_are_read_again_at_sighup(tmp_path: Path) -> None:
    """A faulty file keeps what was read before, and is named with its line."""
    override = tmp_path / "rbl_override"
    override.write_text("193.0 REJECT Not from there\n")
    more = f'[dnsbl]\nenabled = false\n{CHECKS}[greylist]\nenabled = false\n'
    more += '[checks.overrides]\nclient_access = ["rbl_override"]\n'
    running = Running(tmp_path, more)

    def reloaded(text: str, told: str) -> bytes:
        override.write_text(text)
        running.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while told not in running.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert told in running.log.read_text()
        return running.policy(request("mx.newcomer.example"))

    try:
        refused = running.policy(request("mx.newcomer.example"))
        assert re.match(rb"action=554 5\.7\.1 Client host rejected \(Not from there\); ref \w+\n", refused)
        fault = f"checks.overrides.client_access[0]: {override}:2: 'HOLD' is no result"
        assert reloaded("193.0 OK\n193.1 HOLD\n", fault).startswith(b"action=554 5.7.1 Client host rejected (Not from there)")
        assert reloaded("193.0 OK\n", "was read again") == b"action=DUNNO\n\n"
    finally:
        assert running.end() == 0
    override.write_text("x\n193.0 DISCARD\n")
    with pytest.raises(ConfigError) as raised:
        parse(more, tmp_path)
    assert [fault.text.partition(" ")[0] for fault in raised.value.faults] == [f"{override}:1:", f"{override}:2:"]
