"""contrib/fail2ban with the real fail2ban, on lines that a real Postfix has logged: whom each jail finds, and whom it leaves."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from resolverd.ops.maillog import Reader, cut
from resolverd.ops.maillog.stamps import seconds_of
from resolverd.ops.report import Report
from tests.lab.daemon import fresh, until
from tests.lab.lab import Lab
from tests.lab.namespace import ROOT
from tests.lab.smtp import Session

OURS = ROOT / "contrib" / "fail2ban"
LINE = re.compile(r"\w+ +\d+ [\d:]+ mx (\S+?)\[(\d+)\]: (.*)")

FLOODERS = ("192.0.2.120", "2001:db8:120::120")
REFUSED = {
    "192.0.2.66": ("mail.spam-factory.net", "offer@spam-factory.net"),
    "2001:db8:66::66": ("mail.spam-factory.net", "offer@spam-factory.net"),
    "192.0.2.20": ("localhost", "a@gardening-club.org"),
    "192.0.2.99": ("mail.honest-mail.com", "a@gardening-club.org"),
    "198.51.100.10": ("out.friendly-news.com", "win@casino-deals.net"),
    "198.51.100.50": ("mx.trusted-bank.com", "forged@honest-mail.com"),
    "192.0.2.41": ("mail.anybody-may.com", "a@no-such-domain.com"),
}
# (says it is somebody else, in words that a careless filter would read)
HONEST = {
    "192.0.2.10": ("mail.honest-mail.com", "carol@honest-mail.com"),
    "198.51.100.11": ("out2.friendly-news.com", '"554 5.7.1 <>: Service unavailable; ref AAAAAAAAAA"@friendly-news.com'),
}
# (nobody answers for the zone of its name; another is banned)
TROUBLED = "198.51.100.200"
BANNED = "192.0.2.43"

BOTS = ("192.0.2.130", "2001:db8:130::130")
HASTY = "192.0.2.131"

JAILS = {
    "postfix-flood-attack": Counter(dict.fromkeys(FLOODERS, 2)),
    "postfix-resolverd": Counter(dict.fromkeys(REFUSED, 1)),
    "postfix-pregreet": Counter(dict.fromkeys(BOTS, 1)),
}


def command(lab: Lab, *words: str) -> None:
    """What an admin types while the lab's resolverd runs."""
    daemon = next(each for each in lab.daemons if each.name == "resolverd")
    config = next(word for word in daemon.argv if word.endswith("config.toml"))
    argv = [sys.executable, "-m", "resolverd", *words, "-c", config]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, env=daemon.environment)


@pytest.fixture(scope="module")
def mail_log(lab: Lab) -> Path:
    """A mail log with everything that the jails look for, and with honest mail."""
    with lab.stack("resolverd") as postfix:
        for address in (*FLOODERS, *FLOODERS):
            with Session(address, lab.internet) as session:
                session.say("EHLO ylmf-pc")
                session.say("AUTH LOGIN")
        for address, (helo, sender) in REFUSED.items():
            assert not lab.deliver(address, helo, sender).accepted
        for sender in ("bob@gardening-club.org", "carol@gardening-club.org", "dave@gardening-club.org"):
            assert lab.deliver(TROUBLED, "mail.honest-mail.com", sender).deferred
        command(lab, "deny", BANNED, "--temporary", "--for", "-1s", "--owner", "fail2ban")
        for _ in range(3):
            assert lab.deliver(BANNED, "mail.through-others.com", "trent@gardening-club.org").deferred
        command(lab, "overrides", "forget", BANNED, "--of", "fail2ban")
        for address, (helo, sender) in HONEST.items():
            assert lab.deliver_patiently(address, helo, sender)[-1].accepted
        for address, helo in (*((bot, "ylmf-pc") for bot in BOTS), (HASTY, "mail.example.com")):
            with Session(address, lab.internet, port=2525, hasty=helo):
                pass
        for _ in until(10):
            if postfix.log().count("PREGREET") == 3:
                break
        text = postfix.log()
    file = fresh("fail2ban-log") / "mail.log"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def folder() -> Path:
    """/etc/fail2ban as Debian has it, with ours over it, as the README says."""
    folder = fresh("fail2ban")
    for source in (Path("/etc/fail2ban"), OURS):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def journal(mail_log: Path) -> Path:
    """The same lines as a journal of systemd's."""
    entries = []
    began = int(time.time() - 60) * 1_000_000
    for at, line in enumerate(mail_log.read_text().splitlines()):
        if (match := LINE.fullmatch(line)) is not None:
            entries.append(
                f"__REALTIME_TIMESTAMP={began + at}\n__MONOTONIC_TIMESTAMP={at + 1}\n_BOOT_ID={'0' * 31}1\n_HOSTNAME=mx\n"
                f"SYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER={match[1]}\nSYSLOG_PID={match[2]}\nMESSAGE={match[3]}\n\n"
            )
    (mail_log.parent / "export").write_text("".join(entries))
    made = mail_log.parent / "mail.journal"
    command = ["/lib/systemd/systemd-journal-remote", "-o", str(made), str(mail_log.parent / "export")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize("source", ["mail.log", "journal"])
@pytest.mark.parametrize("name", JAILS)
def test_whom_a_filter_finds(request: pytest.FixtureRequest, folder: Path, mail_log: Path, source: str, name: str) -> None:
    where = str(mail_log) if source == "mail.log" else f"systemd-journal[journalfiles={request.getfixturevalue('journal')}]"
    done = subprocess.run(["fail2ban-regex", "-c", str(folder), "-o", "<ip>", where, name], text=True, capture_output=True)
    assert Counter(done.stdout.split()) == JAILS[name], f"{done.stdout}{done.stderr}\n{mail_log.read_text()}"


@pytest.mark.parametrize("source", ["mail.log", "journal"])
def test_the_report_counts_what_the_filters_find(request: pytest.FixtureRequest, mail_log: Path, source: str) -> None:
    octets = mail_log.read_bytes()
    if source == "journal":
        argv = ["journalctl", f"--file={request.getfixturevalue('journal')}", "--output=short-iso", "SYSLOG_FACILITY=2"]
        octets = subprocess.run(argv, check=True, capture_output=True).stdout
    report = Report()
    for record in Reader(seconds_of(datetime.now())).read(cut(io.BytesIO(octets))):
        report.take(record)
    counted = {row["jail"]: row["found"] + row["kept_off"] for row in report.document(rows=9)["fail2ban"]}
    assert counted == {name.removesuffix("-resolverd"): counts.total() for name, counts in JAILS.items()}


def test_the_stock_filter_finds_our_lists_and_names(folder: Path, mail_log: Path) -> None:
    command = ["fail2ban-regex", "-c", str(folder), "-o", "<ip>", str(mail_log), "postfix"]
    found = set(subprocess.run(command, text=True, capture_output=True).stdout.split())
    assert {"192.0.2.66", "2001:db8:66::66", "192.0.2.99", "198.51.100.10"} <= found <= set(REFUSED)


@pytest.mark.parametrize("mode", ["more", "normal", "rbl", "extra", "aggressive"])
def test_no_stock_filter_counts_a_trouble_that_passes(folder: Path, mail_log: Path, mode: str) -> None:
    assert all(mail_log.read_text().count(f"[{each}]: 450 ") >= 3 for each in (TROUBLED, BANNED)), mail_log.read_text()
    command = ["fail2ban-regex", "-c", str(folder), "-o", "<ip>", str(mail_log), f"postfix[mode={mode}]"]
    found = set(subprocess.run(command, text=True, capture_output=True).stdout.split())
    assert not found & {TROUBLED, BANNED}


def test_the_server_starts_without_a_mail_log(folder: Path) -> None:
    """A jail without its log keeps the whole server down, and the doors of sshd open."""
    own = fresh("fail2ban-without")
    shutil.copytree(folder, own, dirs_exist_ok=True)
    jails = own / "jail.d" / "resolverd.conf"
    jails.write_text(jails.read_text().replace("/var/log/mail.log", "/nonexistent/mail.log").replace("%(action_)s", ""))
    done = subprocess.run(["fail2ban-client", "-c", str(own), "-d"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    missing = re.findall(r"Have not found any log file for (\S+) jail", done.stdout + done.stderr)
    assert not [jail for jail in missing if jail.startswith("postfix")]
    assert all(f"['start', '{jail}']" in done.stdout for jail in ("postfix", "postfix-flood-attack", "postfix-pregreet"))


def test_a_ban_is_a_deny(folder: Path, mail_log: Path) -> None:
    """The real server, our jails and our action; the command is written down instead of carried out."""
    told = fresh("fail2ban-told") / "told"
    command = told.with_name("resolverd")
    command.write_text(f'#!/bin/sh\nfor word; do printf "%s|" "$word"; done >>{told}; echo >>{told}\n')
    command.chmod(0o755)
    log = told.with_name("mail.log")
    log.touch()
    text = (OURS / "jail.d" / "resolverd.conf").read_text()
    text = text.replace("action   = resolverd", f"action   = resolverd[resolverd={command}]").replace("%(action_)s", "")
    own = fresh("fail2ban-server")
    shutil.copytree(folder, own, dirs_exist_ok=True)
    shutil.rmtree(own / "jail.d")
    (own / "jail.d").mkdir()
    (own / "jail.d" / "resolverd.conf").write_text(
        f"[DEFAULT]\nbackend = polling\n{text.replace('/var/log/mail.log', str(log))}"
    )
    said = told.with_name("said")
    said.touch()
    (own / "fail2ban.local").write_text(
        f"[Definition]\ndbfile = None\nlogtarget = {said}\nsocket = {own}/socket\npidfile = {own}/pid\n"
    )
    server = subprocess.Popen(["fail2ban-server", "-f", "-x", "-c", str(own)])
    try:
        for _ in until(20):
            if "'postfix-pregreet' started" in said.read_text():
                break
        log.write_text(mail_log.read_text() * 3)
        wanted = {*REFUSED, *BOTS}
        denied: dict[str, list[str]] = {}
        for _ in until(20):
            rows = [line.split("|") for line in told.read_text().splitlines()] if told.exists() else []
            denied = {row[1]: row for row in rows if row[0] == "deny"}
            if wanted <= set(denied):
                break
    finally:
        server.terminate()
        server.wait(20)
    assert set(denied) == wanted, said.read_text()
    assert denied["192.0.2.66"][2:-1] == [
        "--temporary", "--for", "3600s", "--reason", "fail2ban postfix, 3 failures", "--owner", "fail2ban",
    ]  # fmt: skip
    assert denied[BOTS[0]][2:5] == ["--temporary", "--for", "86400s"]
    forgotten = [line for line in told.read_text().splitlines() if not line.startswith("deny|")]
    assert all(re.fullmatch(r"overrides\|forget\|[0-9a-f.:]+\|--action\|deny\|--of\|fail2ban\|", line) for line in forgotten)
