"""Allow files as the daemon reads them: with their additions, again at SIGHUP, and whatever is in them."""

import re
import signal
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from resolverd.app.allow_files import AllowFiles, allow_files, shipped
from resolverd.config.files import parse
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.request import Attempt
from resolverd.values import replace
from tests.running import Running

SETTINGS = '[greylist]\nallow_clients = ["clients"]\nallow_recipients = ["recipients", "recipients.local"]\n'


def read(folder: Path, before: AllowFiles | None = None) -> AllowFiles:
    return allow_files(parse(SETTINGS, folder), before)


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
    found = read(folder).allowed
    assert [found.reason(client(name)) for name in ("a.example", "b.example", "c.example")] == [
        "client whitelist", "client whitelist", "recipient whitelist"
    ]  # fmt: skip


def test_the_shipped_list_is_on_and_own_files_add_to_it(folder: Path) -> None:
    (folder / "clients").write_text("a.example\n")
    assert read(folder).allowed.reason(client("a.example"))
    google = VerifiedDomains(hostname="mail-ed1-f41.google.com")
    off = "[greylist]\nshipped_allow_list = false\n"
    for text, held in (("", True), (SETTINGS, True), (off, False)):
        assert shipped(parse(text, folder)).holds(google) is held


def test_bad_lines_are_named_and_the_rest_counts(folder: Path) -> None:
    (folder / "clients").write_bytes(b"a.example\nbob@example.com\n\xff\xfe\n" + b"two words\n" * 50 + b"b.example\n")
    found = read(folder)
    assert found.allowed.reason(client("b.example")) == "client whitelist"
    told = [str(fault) for fault in found.faults]
    assert told[0].startswith(f"greylist.allow_clients: {folder / 'clients'}:2: 'bob@example.com' is a mail address")
    assert len(told) == 21
    assert "32 more lines" in told[-1]


def test_a_file_that_is_gone_costs_only_itself_and_keeps_what_was_read(folder: Path) -> None:
    (folder / "recipients").write_text("nobody@\n")
    (folder / "clients").write_text("a.example\n")
    first = read(folder)
    (folder / "clients").unlink()
    (folder / "clients").mkdir()
    for before, held in ((None, ""), (first, "client whitelist")):
        found = read(folder, before)
        assert found.allowed.reason(client("a.example")) == held
        assert found.allowed.reason(replace(client("x"), recipient="nobody@example.net")) == "recipient whitelist"
        (fault,) = found.faults
        assert ("counts on" if held else "nothing in it counts") in str(fault)


def test_only_so_much_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolverd.config.files.MAX_OCTETS", 30)
    (folder / "clients").write_text("a.example\nb.example\nc.example.with.a.long.name\n")
    found = read(folder)
    assert found.allowed.clients.names == {"a.example", "b.example"}
    assert "only its first" in str(found.faults[0])


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
        running.waits_for("reason=client whitelist")
        before = running.policy(request("mx.newcomer.example"))
        clients.write_text("friend.example\nbad line\n")
        clients.with_name("clients.local").write_text("newcomer.example\n")
        running.process.send_signal(signal.SIGHUP)
        running.waits_for("was read again")
        assert re.search(r"clients:2: 'bad line' is no host name", running.log.read_text())
        assert running.policy(request("mx.newcomer.example")) == b"action=DUNNO\n\n"
        assert b"Greylisted" in before
    finally:
        assert running.end() == 0
    assert running.log.read_text().count("reason=client whitelist") == 2


def test_access_maps_are_read_again_at_sighup(tmp_path: Path) -> None:
    """A faulty line is named and costs itself; a file that is gone leaves what was read of it."""
    override = tmp_path / "rbl_override"
    override.write_text("193.0 REJECT Not from there\n193.9\n")
    more = f'[dnsbl]\nenabled = false\n{CHECKS}[greylist]\nenabled = false\n'
    more += '[checks.overrides]\nclient_access = ["rbl_override"]\n'
    running = Running(tmp_path, more)

    def reloaded(told: str) -> bytes:
        running.process.send_signal(signal.SIGHUP)
        running.waits_for(told)
        running.waits_for("was read again")
        return running.policy(request("mx.newcomer.example"))

    refusal = rb"action=554 5\.7\.1 Client host rejected \(Not from there\); ref \w+\n"
    try:
        running.waits_for(f"checks.overrides.client_access[0]: {override}:2: '193.9' has no result")
        assert re.match(refusal, running.policy(request("mx.newcomer.example")))
        override.write_text("193.1 HOLD\n193.0 REJECT Not from there\n")
        assert re.match(refusal, reloaded(f"{override}:1: 'HOLD' is not acted on"))
        override.unlink()
        assert re.match(refusal, reloaded("No such file or directory; what was read of it before counts on"))
        override.write_text("# nobody\n193.0 permit\n")
        running.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while running.log.read_text().count("was read again") < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert running.policy(request("mx.newcomer.example")) == b"action=DUNNO\n\n"
    finally:
        assert running.end() == 0
