"""Postgrey's own programs and data: its database taken over from a daemon that was killed, and its report over our records."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from resolverd.clock import SystemClock
from resolverd.config import Settings, load
from resolverd.greylist.decide import HOUR, GreylistRules
from resolverd.greylist.service import Greylister
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers.policy.protocol import render
from resolverd.state.disk.opening import open_store
from tests.real.test_as_postgrey import Postgrey, Try

pytestmark = pytest.mark.skipif(
    shutil.which("postgrey") is None or shutil.which("db5.3_load") is None or os.geteuid() != 0,
    reason="needs postgrey, db5.3-util and root",
)


class Calendar(SystemClock):
    """The clock of an hour in the past, moved on by hand."""

    def __init__(self) -> None:
        self.now = time.time() - HOUR

    def wall(self) -> float:
        return self.now


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a resolverd that does not run."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        file = tmp_path / "config.toml"
        file.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n')
    return file


def resolverd(*arguments: str, config: Path) -> str:
    command = [sys.executable, "-m", "resolverd", *arguments, "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def attempts(settings: Settings, steps: list[tuple[int, Attempt]]) -> list[str]:
    """What greylisting says of these attempts, each so many seconds after the one before."""
    directory = settings.state_directory()
    assert directory is not None
    clock = Calendar()
    store = await open_store(directory, Counters())
    desk = Greylister(store, clock, GreylistRules(), Counters())
    states = []
    for later, attempt in steps:
        clock.now += later
        states.append((await desk.consider(attempt, record=True, suspicious=True)).state)
    await store.close()
    return states


def mail(sender: str, client: str = "198.51.100.7", recipient: str = "anna@example.org") -> Attempt:
    return Attempt(ip_address(client), sender=sender, recipient=recipient)


@pytest.mark.parametrize("ended", ["running", "killed"])
def test_what_postgrey_has_learnt_is_taken_over(tmp_path: Path, config: Path, ended: str) -> None:
    folder = tmp_path / "postgrey"
    folder.mkdir()
    server = Postgrey(folder)
    past = int(time.time()) - HOUR
    try:
        for client in ("198.51.100.7", "2001:db8:1:2:3::5"):
            for at in (past, past + 400):
                server.ask(Try(at, client, "list-17-a@example.com", "Anna@example.org"))
        server.ask(Try(past, "198.51.100.7", "SRS0=AB=CD=example.net=bob@fwd.example", "anna@example.org"))
        for number in range(3):
            for at in (0, 400):
                server.ask(Try(past - (9 - number) * 2 * HOUR + at, "203.0.113.9", f"s{number}@example.com", "anna@example.org"))
        if ended == "killed":
            server.close()
        taken = json.loads(resolverd("import", "postgrey", str(folder / "db"), "--json", config=config))
    finally:
        server.close()
    assert taken["tables"] == {"greylist": 6, "greylist-clients": 3}
    assert taken["taken"] == 9
    again = json.loads(resolverd("import", "postgrey", str(folder / "db"), "--json", config=config))
    assert again["taken"] + again["kept"] == 9
    steps = [
        (HOUR - 30, mail("list-99-a@example.com", "198.51.100.200")),
        (0, mail("list-99-a@example.com", "2001:db8:1:2::77")),
        (0, mail("SRS0=XY=ZZ=example.net=bob@fwd.example")),
        (0, mail("stranger@example.com")),
    ]
    assert asyncio.run(attempts(load(config), steps)) == ["known", "known", "passed", "new"]


def test_postgreyreport_reads_our_records(tmp_path: Path, config: Path) -> None:
    """Those who came back are not in it, those who did not are."""
    steps = [
        (0, mail("honest-1@example.com")),
        (0, mail("bot@example.net", "203.0.113.66")),
        (0, mail("bot+x@example.net", "203.0.113.66", "eve@example.org")),
        (400, mail("honest-2@example.com")),
    ]
    assert asyncio.run(attempts(load(config), steps)) == ["new", "new", "new", "passed"]
    folder = tmp_path / "report"
    folder.mkdir()
    dump = resolverd("store", "dump", "--postgrey", config=config)
    subprocess.run(["db5.3_load", str(folder / "postgrey.db")], input=dump, text=True, check=True)
    told = render(Verdict("ABCDEFGHJK", Action.GREYLIST, 0, "greylisted, new")).removeprefix("DEFER_IF_PERMIT ")
    lines = "".join(
        f"2026-01-01T10:00:00.000000+00:00 mx postfix/smtpd[77]: NOQUEUE: reject: RCPT from mx.example.com[{client}]: 450 "
        f"{told.partition(' ')[0]} <{recipient}>: Recipient address rejected: {told.partition(' ')[2]}; "
        f"from=<{sender}> to=<{recipient}> proto=ESMTP helo=<mx.example.com>\n"
        for client, sender, recipient in (
            ("198.51.100.7", "honest-1@example.com", "anna@example.org"),
            ("203.0.113.66", "bot@example.net", "anna@example.org"),
            ("203.0.113.66", "bot+x@example.net", "eve@example.org"),
        )
    )
    command = ["postgreyreport", "--user=root", f"--dbdir={folder}", "--show_tries", "--nosingle_line"]
    for more in ([], ["--single_line"]):
        done = subprocess.run([*command, *more], input=lines, capture_output=True, text=True, check=True)
        assert "honest" not in done.stdout
        assert "203.0.113.66" in done.stdout
        assert all(recipient in done.stdout for recipient in ("anna@example.org", "eve@example.org"))
