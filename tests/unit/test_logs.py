"""Log lines: Postgrey's form to the letter, and nothing that a stranger writes can forge one."""

import io
import json
import logging

import pytest

from resolverd.watch import logs

NEW = {
    "queue_id": "",
    "action": "greylist",
    "reason": "new",
    "client_name": "mail.example.org",
    "client_address": "192.0.2.1",
    "sender": "a@example.org",
    "recipient": "b@example.com",
    "helo_name": "mail.example.org",
    "score": "0",
    "id": "ABC",
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "action=greylist, reason=new, client_name=mail.example.org, client_address=192.0.2.1,"
            " sender=a@example.org, recipient=b@example.com",
        ),
        (
            {"reason": "early-retry (173s missing)"},
            "action=greylist, reason=early-retry (173s missing), client_name=mail.example.org, client_address=192.0.2.1,"
            " sender=a@example.org, recipient=b@example.com",
        ),
        (
            {"action": "pass", "reason": "triplet found", "delay": 421, "queue_id": "4F2A81"},
            "4F2A81: action=pass, reason=triplet found, delay=421, client_name=mail.example.org, client_address=192.0.2.1,"
            " sender=a@example.org, recipient=b@example.com",
        ),
        (
            {"action": "pass", "reason": "client AWL", "sender": ""},
            "action=pass, reason=client AWL, client_name=mail.example.org, client_address=192.0.2.1, recipient=b@example.com",
        ),
    ],
)
def test_postgreys_lines_with_ours_behind(changes: dict[str, object], line: str):
    assert logs.postgrey({**NEW, **changes}) == f"{line}, helo_name=mail.example.org, score=0, id=ABC"


def lines(form: str, *, journal: bool = False, key: bytes = b"", act) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.LineFormatter(form, "postgrey", journal=journal, privacy_key=key))
    logger = logging.Logger("resolverd.test")  # noqa: LOG001 (its own, out of the tree)
    logger.addHandler(handler)
    act(logger)
    return stream.getvalue().splitlines()


def test_a_classic_line_looks_like_one_of_a_syslog_file():
    [line] = lines("postgrey", act=lambda logger: logs.decision(logger, NEW))
    time, _host, tag, rest = line.split(" ", 3)
    assert time[10] == "T"
    assert tag.startswith("postgrey[")
    assert tag.endswith("]:")
    assert rest.startswith("action=greylist, reason=new, ")


def test_the_journal_gets_the_priority_only():
    assert lines("postgrey", journal=True, act=lambda logger: logs.decision(logger, NEW))[0].startswith("<6>action=greylist, ")
    assert lines("logfmt", journal=True, act=lambda logger: logger.error("lost"))[0] == "<3>level=error message=lost"


def test_logfmt_and_json_carry_the_same():
    [line] = lines("logfmt", act=lambda logger: logs.decision(logger, {**NEW, "reason": 'a "b" c'}))
    assert 'reason="a \\"b\\" c" client_name=mail.example.org' in line
    [line] = lines("json", act=lambda logger: logs.decision(logger, NEW))
    found = json.loads(line)
    assert {name: found[name] for name in NEW} == NEW
    assert found["level"] == "info"


HOSTILE = "x\naction=pass, reason=forged\r\x1b[31m\u2028y"


@pytest.mark.parametrize("form", logs.FORMATS)
def test_one_line_whatever_strangers_write(form: str):
    found = lines(
        form, act=lambda logger: logs.decision(logger, {**NEW, "sender": HOSTILE, "helo_name": HOSTILE, "queue_id": HOSTILE})
    )
    assert len(found) == 1
    assert "\x1b" not in found[0]
    if form == "postgrey":
        assert ", reason=forged" not in found[0].partition("action=greylist")[2]


@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_traceback_stays_within_its_line(form: str):
    def fail(logger: logging.Logger) -> None:
        try:
            raise RuntimeError("broken\nline")
        except RuntimeError:
            logger.exception("screening failed")

    [line] = lines(form, act=fail)
    assert "screening failed" in line
    assert "RuntimeError" in line


def test_privacy_hashes_what_is_personal():
    [line] = lines("logfmt", key=b"k", act=lambda logger: logs.decision(logger, NEW))
    assert "example" not in line
    assert "192.0.2.1" not in line
    assert "reason=new" in line
    [upper] = lines("logfmt", key=b"k", act=lambda logger: logs.decision(logger, {**NEW, "sender": NEW["sender"].upper()}))
    assert line.partition("sender=")[2].split()[0] == upper.partition("sender=")[2].split()[0]


def test_configured_loggers_write_to_the_stream_alone():
    loggers = {name: logging.getLogger(name) for name in ("resolverd", "asyncio", "aiohttp")}
    before = {name: (logger.handlers[:], logger.level, logger.propagate) for name, logger in loggers.items()}
    stream = io.StringIO()
    try:
        logs.configure("warning", "logfmt", "resolverd", stream)
        logging.getLogger("resolverd.edge").info("quiet")
        logging.getLogger("resolverd.edge").warning("loud")
    finally:
        for name, logger in loggers.items():
            logger.handlers[:], logger.level, logger.propagate = before[name]
            logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert "quiet" not in stream.getvalue()
    assert "message=loud" in stream.getvalue()
