"""What people see: on a terminal of any width no line is wider and no word is cut, and without one the words are the same."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from commandline import commands, run
from served import DNSWL, LISTED, Served

from resolverd.cli import output

ROOT = Path(__file__).parents[3]
LONG = "a.rather-long-name.of-a-customer.example.net"
CHECK = ["check", LISTED, "--helo", "mail.example.org", "--sender", "a@example.org", "--recipient", f"c@{LONG}"]
PRINTING = [
    ["status"],
    CHECK,
    [*CHECK, "-v"],
    ["lookup", LISTED],
    ["lookup", "example.org"],
    ["lists"],
    ["overrides"],
    ["greylist", "show"],
    ["cache", "stats"],
    ["cache", "show", "example.org"],
    ["cache", "trace", "example.org", "MX"],
    ["cache", "nta", "list"],
    ["reload"],
    ["config", "check"],
    ["doctor", "--main-cf", "main.cf"],
    ["replay", "--stored", "--drop", "spamhaus-zen"],
]
CHANGING = {"serve", "allow", "deny", "overrides forget", "lists enable", "lists disable", "lists probe", "greylist allow"}
CHANGING |= {"greylist forget", "cache flush", "cache nta add", "cache nta remove", "store load", "store move", "import postgrey"}
AS_THEY_ARE = {"config init", "config show", "config postfix", "store dump", "import whitelist", "report"}
"""Commands that print what is to be pasted or read by programs, or a line."""


@pytest.fixture
def lived_in(daemon: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A daemon that has seen something."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.cf").write_text("smtpd_recipient_restrictions = permit_mynetworks\n")
    daemon.refuse(DNSWL)
    reason = "a partner of ours whose mail server has been on lists before, see ticket 4711"
    for words in (
        ["allow", "example.org", "--reason", reason, "--to", f"somebody@{LONG}", "--for", "30d"],
        ["deny", "2001:db8:1234:5678:9abc:def0:1234:5678", "--temporary", "--for", "1h", "--owner", "fail2ban"],
        ["greylist", "allow", "192.0.2.7", "--sender", f"newsletter-with-a-long-name@{LONG}", "--recipient", f"anna@{LONG}"],
        ["greylist", "allow", "2001:db8::7"],
        ["cache", "nta", "add", LONG, "--reason", "they have lost a key"],
        ["lists", "probe", "dnswl"],
        ["lookup", "example.org"],
    ):
        assert run(*words, "-c", daemon.config).exit_code == 0, words
    return daemon


def test_every_command_that_prints_a_table_is_among_them():
    leaves = {path.removeprefix("resolverd ") for path, _ in commands()} - {"cache nta", "cache", "config", "store", "import"}
    shown = {" ".join(word for word in words if word.isalpha() and word not in ("MX", "org")) for words in PRINTING}
    assert leaves - CHANGING - AS_THEY_ARE - {"greylist"} <= shown | {"cache dump", "cache load"}


def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(lived_in: Served, monkeypatch: pytest.MonkeyPatch):
    for words in PRINTING:
        monkeypatch.setattr(output, "on_terminal", lambda: False)
        plain = run(*words, "-c", lived_in.config).stdout
        monkeypatch.setattr(output, "on_terminal", lambda: True)
        for columns in (80, 40):
            monkeypatch.setenv("COLUMNS", str(columns))
            shown = run(*words, "-c", lived_in.config).stdout
            to_be_pasted = [line for line in shown.splitlines() if line.startswith("    ") and words[0] == "doctor"]
            assert [line for line in shown.splitlines() if len(line) > columns and line not in to_be_pasted] == [], words
            assert "…" not in shown
            missing = cells(plain, words) - set(shown.split())
            assert {word for word in missing if len(word) < columns - 8} == set(), words


HEADINGS = ("check\t", "list\t", "action\t", "origin\t", "name\t", "figure\t")


def cells(plain: str, words: list[str]) -> set[str]:
    """The words that stand in it, but those of headings, whose column may be left out, and those that differ each time."""
    below = [line for line in plain.splitlines() if not line.startswith((*HEADINGS, "smtp: ", "id: ", "took: "))]
    if words[0] == "lists":
        below = ["\t".join(line.split("\t")[:8]) for line in below if "\tdisabled\t" not in line]
    found = {word for line in below for word in line.split()}
    return {word for word in found if not re.fullmatch(r"\(?\d+\)?|\d+/\d+|[\d:]{8}", word)}


def test_a_table_without_room_has_its_rows_as_records(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    rows = [("zen", "ok", 12, "", "all is well with it, as far as can be seen"), ("dbl", "unreachable", 3, "", "SERVFAIL")]

    def printed(columns: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        output.print_table(("list", "state", "asked", "left", "why"), rows, right=("asked",), prose=("why",))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert printed(80)[:2] == [
        "list  state        asked  why",
        "zen   ok              12  all is well with it, as far as can be seen",
    ]
    assert [line.split() for line in printed(50)[1:3]] == [
        ["zen", "ok", "12", "all", "is", "well", "with", "it,", "as"], ["far", "as", "can", "be", "seen"],
    ]  # fmt: skip
    assert printed(40) == [
        "zen  ok",
        "    asked 12 · why all is well with it,",
        "    as far as can be seen",
        "dbl  unreachable",
        "    asked 3 · why SERVFAIL",
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["overrides"], "no overrides"),
        (["greylist", "show"], "nothing is remembered"),
        (["cache", "nta", "list"], "no negative trust anchors"),
        (["cache", "show", "example.net"], "the cache holds nothing of example.net"),
    ],
)
def test_what_is_empty_says_so(daemon: Served, words: list[str], text: str):
    assert run(*words, "-c", daemon.config).stdout == f"{text}\n"


def on_a_terminal(words: list[str], columns: int, **environment: str) -> str:
    """What the real command writes to a terminal of that width, stdout and stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    left = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "resolverd", *words]
    environment = {**left, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        found = b""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                found += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
    os.close(ours)
    return found.decode().replace("\r\n", "\n")


def test_on_a_real_terminal_there_is_life_while_it_waits_and_colour(daemon: Served):
    words = [*CHECK, "-c", daemon.config]
    shown = on_a_terminal(words, 80)
    assert f"asking about {LISTED}" in shown
    assert "\x1b[31mreject: " in shown
    behind = shown[shown.index("\x1b[31mreject: ") :]
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", behind).splitlines()) <= 80
    plain = on_a_terminal(words, 80, NO_COLOR="1").partition("reject: ")[2]
    assert "\x1b" not in plain
