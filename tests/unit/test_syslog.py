"""``[log] target = "syslog:mail"``: lines as syslog daemons read them, and where they go while none is there."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resolverd import logs
from resolverd.syslog import SyslogStream

HEAD = re.compile(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d resolverd\[" + str(os.getpid()) + r"\]: (.*)")


class Syslog:
    """A syslog daemon's socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def line(self) -> tuple[int, str]:
        found = HEAD.fullmatch(self.socket.recv(65536).decode())
        assert found is not None
        return int(found[1]), found[2]


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[Syslog]:
    found = Syslog(tmp_path / "log")
    yield found
    found.socket.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[SyslogStream]:
    found = SyslogStream("resolverd", path=tmp_path / "log")
    yield found
    found.close()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("<6>action=pass\n", [(22, "action=pass")]),
        ("<3>bad | Trace:\n  File x\nError\n<6>n\n", [(19, "bad | Trace:"), (19, "  File x"), (19, "Error"), (22, "n")]),
        ("<9>no priority\n", [(22, "<9>no priority")]),
        ("<4>\u00fcml\u00e4ut\n", [(20, "\u00fcml\u00e4ut")]),
    ],
)  # fmt: skip
def test_a_datagram_a_line_of_facility_mail(stream: SyslogStream, syslog: Syslog, text: str, lines: list[Any]) -> None:
    stream.write(text)
    assert [syslog.line() for _ in lines] == lines


def test_a_syslog_daemon_that_restarts_loses_nothing(
    tmp_path: Path, stream: SyslogStream, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.write("<6>before\n")
    first = Syslog(tmp_path / "log")
    stream.write("<6>first\n")
    assert first.line() == (22, "first")
    first.socket.close()
    stream.write("<6>between\n")
    (tmp_path / "log").unlink()
    second = Syslog(tmp_path / "log")
    stream.write("<6>second\n")
    assert second.line() == (22, "second")
    second.socket.close()
    assert capsys.readouterr().err == "before\nbetween\n"


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize(("form", "line"), [("postgrey", "warning: so it is"), ("logfmt", 'level=warning message="so it is"')])
def test_syslog_has_time_and_tag_once(stream: SyslogStream, syslog: Syslog, form: str, line: str) -> None:
    logs.configure("info", form, "resolverd", stream)
    logging.getLogger("resolverd.test").warning("so it is")
    logging.getLogger("resolverd").handlers[0].flush()
    assert syslog.line() == (20, line)
