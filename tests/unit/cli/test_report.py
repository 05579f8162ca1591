"""``resolverd report``: where it reads from, and its forms."""

import bz2
import gzip
import json
import lzma
import os
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from commandline import run
from served import Served

from resolverd.cli import maillog_files
from resolverd.cli.root import resolverd

TODAY = date.today()
YESTERDAY = TODAY - timedelta(days=1)


def connected(day: date, count: int = 1) -> str:
    stamp = f"{day.isoformat()}T06:25:33.1+00:00"
    return "".join(f"{stamp} mx postfix/smtpd[7]: connect from a[192.0.2.{each}]\n" for each in range(count))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon, and no mail log of this machine's."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    (here / "config.toml").write_text(f'[store]\nurl = "disk:{here}/state"\n')
    monkeypatch.setattr(maillog_files, "USUAL", (here / "mail.log",))


def document(*arguments: str) -> dict[str, object]:
    result = run("report", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def connections(*arguments: str) -> int:
    totals = document(*arguments)["totals"]
    assert isinstance(totals, dict)
    return int(totals["connections"])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_packed_files(pack: Callable[[bytes], bytes]) -> None:
    Path("log").write_bytes(pack(connected(TODAY, 3).encode()))
    Path("other").write_bytes(pack(connected(TODAY, 2).encode()))
    assert connections("log", "other") == 5


def test_a_packed_file_cut_off_is_told() -> None:
    Path("log.gz").write_bytes(gzip.compress(connected(TODAY, 300).encode())[:-20])
    result = run("report", "log.gz")
    assert result.exit_code == 1
    assert result.stderr.startswith("resolverd: log.gz: ")


def test_zst_without_its_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    Path("log.zst").write_bytes(b"\x28\xb5\x2f\xfd....")
    result = run("report", "log.zst")
    assert result.exit_code == 1
    assert "zstandard" in result.stderr


def test_standard_input_and_the_usual_file() -> None:
    result = CliRunner().invoke(resolverd, ["report", "-", "--json"], input=connected(TODAY, 4))
    assert json.loads(result.stdout)["totals"]["connections"] == 4
    Path("mail.log").write_text(connected(TODAY, 2))
    assert connections() == 2


def test_a_day() -> None:
    Path("log").write_text(connected(YESTERDAY, 2) + connected(TODAY, 3))
    assert connections("log", "-d", "yesterday") == 2
    assert connections("log", "-d", "today") == connections("log", "--day", TODAY.isoformat()) == 3
    assert run("report", "log", "-d", "tomorrow").exit_code == 2
    assert run("report", "log", "-d", "yesterday").stdout.startswith(f"Postfix log summaries for {YESTERDAY}\n")


@pytest.mark.parametrize("status", [0, 1])
def test_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Where there is no mail log; journalctl itself is at the edge, and the real one's lines are read in tests/real."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    (tmp_path / "lines").write_text(connected(TODAY, 6))
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/lines\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    if status:
        result = run("report", "-d", "today")
        assert (result.exit_code, result.stderr) == (1, "resolverd: journalctl ended with status 1\n")
        return
    assert connections("-d", "today") == 6
    asked = (tmp_path / "asked").read_text()
    assert f"--since={YESTERDAY}" in asked
    assert "SYSLOG_FACILITY=2 + SYSLOG_IDENTIFIER=postgrey + SYSLOG_IDENTIFIER=resolverd" in asked


def test_without_a_daemon_the_cost_of_lists_is_unknown() -> None:
    Path("log").write_text(connected(TODAY))
    found = document("log")
    assert found["lists"] == []
    assert "no daemon answers" in str(found["lists_unknown"])
    assert run("report", "log", "--format", "html").stdout.startswith("<!DOCTYPE html>")
    assert max(map(len, run("report", "log").stdout.splitlines())) <= 80


def test_a_daemon_says_what_lists_cost(daemon: Served) -> None:
    Path("log").write_text(connected(TODAY))
    found = document("log", "-c", daemon.config)
    assert found["lists_unknown"] == ""
    lists = found["lists"]
    assert isinstance(lists, list)
    assert len(lists) > 1
    assert all({"refusals", "clients", "unique", "decisive", "queries", "quota", "quota_left"} <= row.keys() for row in lists)
