"""The thread that writes the log: everything in order, nobody waits for whoever reads it, and nothing is lost unsaid."""

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from resolverd import bounds, logs
from resolverd.log_writer import LogWriter


class Gate(io.StringIO):
    """A stream whose writes wait for `open`, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.begun = threading.Event()
        self.error: Exception | None = None
        self.writes = 0

    def write(self, text: str) -> int:
        self.begun.set()
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.writes += 1
        return super().write(text)


class Log:
    """A logger of its own over a writer."""

    def __init__(self) -> None:
        self.stream = Gate()
        self.writer = LogWriter(self.stream)
        self.logger = logging.Logger("resolverd.test")  # noqa: LOG001 (its own, out of the tree)
        self.logger.addHandler(self.writer)

    def written(self) -> list[str]:
        self.stream.open.set()
        self.writer.flush()
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.stream.open.set()
    log.writer.close()


def test_lines_keep_their_order_whenever_they_are_made(log: Log) -> None:
    log.writer.setFormatter(logs.LineFormatter("logfmt", "resolverd", journal=True))
    for number in range(0, 1000, 2):
        log.logger.info("%d", number)
        logs.decision_later(log.logger, lambda nameless, number=number: {"action": number + 1})
    said = [int(line.rpartition("=")[2]) for line in log.written()]
    assert said == list(range(1000))
    assert log.stream.writes < 100


def test_what_changes_later_is_told_as_it_was(log: Log) -> None:
    state = ["before"]
    log.logger.info("%s", state)
    state[0] = "after"
    assert log.written() == ["['before']"]


def test_nobody_waits_for_a_reader_that_hangs_and_what_is_lost_is_said(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LOG_LINES", 10)
    log.logger.info("first")
    assert log.stream.begun.wait(10)
    for number in range(25):
        log.logger.info("%d", number)
    assert log.written() == ["first", *map(str, range(10)), "15 log lines were lost: nobody took them"]
    log.logger.info("on")
    assert log.written()[-1] == "on"


def test_a_broken_pipe_loses_lines_and_nothing_else(log: Log) -> None:
    log.stream.open.set()
    log.stream.error = BrokenPipeError()
    log.logger.info("one")
    log.logger.info("two")
    assert log.written() == []
    log.stream.error = None
    log.logger.info("three")
    assert log.written() == ["three", "2 log lines were lost: nobody took them"]


def test_a_line_that_cannot_be_made_costs_itself(log: Log) -> None:
    logs.decision_later(log.logger, lambda nameless: 1 / 0)  # type: ignore[arg-type, return-value]
    log.writer.setFormatter(logs.LineFormatter("logfmt", "resolverd", journal=True))
    logs.decision_later(log.logger, lambda nameless: 1 / 0)  # type: ignore[arg-type, return-value]
    log.logger.info("on")
    assert [line.split()[-1] for line in log.written()] == ["decision", "ZeroDivisionError\"", "message=on"]


def test_who_closes_it_while_the_reader_hangs_is_not_kept_for_ever(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolverd.log_writer.PATIENCE", 0.05)
    log.logger.info("first")
    assert log.stream.begun.wait(10)
    log.writer.close()


END = """
import logging, os, sys
from resolverd import logs
logs.configure("info", "logfmt", "resolverd", sys.stderr)
for number in range(500):
    logs.decision_later(logging.getLogger("resolverd.x"), lambda nameless, number=number: {"id": number})
"""


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("", "id=499"),
        ("raise SystemExit(3)", "id=499"),
        ("logging.shutdown(); os._exit(0)", "id=499"),
        ("1 / 0", "id=499"),
        ("logs.configure('info', 'json', 'resolverd', sys.stderr); logging.getLogger('resolverd.y').error('new')", '"new"}'),
    ],
)
def test_at_the_end_everything_is_written(end: str, last: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", END + end], stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        env={name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "id=" in line or "new" in line]
    assert len([line for line in said if "level=info" in line]) == 500
    assert said[-1].endswith(last)
    assert ("ZeroDivisionError" in done.stderr) is (end == "1 / 0")
