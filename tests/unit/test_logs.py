"""Log lines: Postgrey's form to the letter, and nothing that a stranger writes can forge one."""

import io
import json
import logging
import re
import shutil
import subprocess
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolverd import bounds, logs
from resolverd.mail.findings import ANYTHING, Action, Consequence, Effect, Finding, GreylistOutcome, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.pseudonyms import Pseudonyms
from resolverd.servers.policy import log_line

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
    in_order = {"queue_id": "", "action": "", "reason": "", "delay": "", **NEW, **changes}
    assert logs.postgrey(in_order) == f"{line}, helo_name=mail.example.org, score=0, id=ABC"


def lines(form: str, *, journal: bool = False, key: bytes = b"", public: tuple[str, ...] = (), act) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    pseudonyms = Pseudonyms(key, public) if key else None
    handler.setFormatter(logs.LineFormatter(form, "postgrey", journal=journal, pseudonyms=pseudonyms))
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


# -- what strangers write is no field ---------------------------------------------------------------------------------

FORGERIES = (
    "x, client_address=192.0.2.9, sender=a@forged.example",
    "x client_address=192.0.2.9 sender=a@forged.example",
    'x" client_address=192.0.2.9 sender="a@forged.example',
    'x", "client_address": "192.0.2.9',
    'x\\" client_address=192.0.2.9',
    "x,client_address=192.0.2.9",
    "xclient_address=192.0.2.9",
    "\tclient_address=192.0.2.9\u00a0",
    "action=pass, reason=forged, client_name=forged.example, client_address=192.0.2.9, sender=a@b.example, recipient=c@d.example",
    "reject: RCPT from forged.example[192.0.2.9]: 450 Greylisted; from=<a@forged.example> to=<b@example.com>",
    "\u202e9.2.0.291=sserdda_tneilc\u2066",
)
TEXTS = ("queue_id", "reason", "client_name", "sender", "recipient", "helo_name", "sasl_username", "note", "owner", "whatever")


def flush() -> None:
    """Have what was logged written."""
    for handler in logging.getLogger("resolverd").handlers:
        handler.flush()


@pytest.mark.usefixtures("loggers")
def test_a_flood_of_bugs_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch):
    stream = io.StringIO()
    logger = logging.getLogger("resolverd.test_flood")
    now = [1_800_000_000.0]
    monkeypatch.setattr("logging.time.time", lambda: now[0])
    monkeypatch.setattr("logging.time.time_ns", lambda: int(now[0] * 1e9))  # which it goes by from Python 3.13 on
    logs.configure("info", "postgrey", "resolverd", stream)
    counters = Counters()

    def meet() -> int:
        """Bugs met; how many lines they made."""
        before = stream.getvalue().count("\n")
        for _ in range(1000):
            try:
                int("no number")
            except ValueError as error:
                logs.bug(logger, counters, "test", "answering failed", error=error)
        flush()
        return stream.getvalue().count("\n") - before

    assert meet() == bounds.BUG_LINES
    assert "counted and not logged" in stream.getvalue().splitlines()[-1]
    logger.error("something else")
    flush()
    assert "something else" in stream.getvalue()
    assert meet() == 0
    now[0] += bounds.BUG_PAUSE
    assert meet() == bounds.BUG_LINES
    assert counters.get("bugs", where="test") == 3000
    for number in range(2 * bounds.BUG_KINDS):
        try:
            exec(compile("\n" * number + "raise ValueError", "planted", "exec"))  # noqa: S102
        except ValueError as error:
            logs.bug(logger, counters, "test", "answering failed", error=error)
    [repeated] = [each for each in logging.getLogger("resolverd").handlers[0].filters if isinstance(each, logs._Repeated)]
    assert len(repeated._logged) == bounds.BUG_KINDS


def written(form: str, fields: dict[str, object]) -> str:
    [line] = lines(form, act=lambda logger: logs.decision(logger, fields))
    return line


def parsed(form: str, line: str) -> dict[str, str]:
    """What a parser of the format finds, that of Postgrey's form going by commas, as those of reports do."""
    if form == "json":
        pairs = json.loads(line, object_pairs_hook=lambda found: found)
        assert len(dict(pairs)) == len(pairs)
        return {name: str(value) for name, value in pairs}
    if form == "logfmt":
        found = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)', line)
        assert "".join(f"{name}={value} " for name, value in found) == f"{line} "
    else:
        body = line.partition("]: ")[2]
        body = re.sub(r"^[\w-]+: ", "", body)
        found = [part.split("=", 1) for part in body.split(", ")]
    assert len(dict(found)) == len(found), line
    return dict(found)


def misled(line: str, name: str = "client_address") -> list[str]:
    """What one finds who looks for a field's name only, as a filter of fail2ban does."""
    return re.findall(rf"{name}=\"?([\d.]+)", line)


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize("where", TEXTS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_field_is_forged(form: str, where: str, forgery: str):
    line = written(form, {**NEW, where: forgery})
    found = parsed(form, line)
    assert found["client_address"] == "192.0.2.1"
    assert found["action"] == "greylist"
    assert where == "sender" or found["sender"] == "a@example.org"
    if form != "json":
        assert misled(line) == ["192.0.2.1"]
    assert line.isprintable()


@given(st.sampled_from(TEXTS), st.text(max_size=60), st.sampled_from(logs.FORMATS))
@example("helo_name", "a,b=c", "postgrey")
def test_no_text_changes_another_field(where: str, text: str, form: str):
    found = parsed(form, written(form, {**NEW, where: text}))
    for name, value in NEW.items():
        if value and name != where:
            assert found[name] == value


def test_addresses_keep_their_equals_signs():
    sender = "SRS0=HHH=TT=example.org=alice@forwarder.example"
    assert f"sender={sender}," in written("postgrey", {**NEW, "sender": sender})
    assert parsed("logfmt", written("logfmt", {**NEW, "sender": sender}))["sender"] == f'"{sender}"'


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_message_is_taken_for_a_decision(forgery: str):
    [line] = lines("postgrey", act=lambda logger: logger.warning("a question failed: %s", forgery))
    assert not misled(line)
    assert not re.search(r"action=|reason=|sender=", line)


@pytest.mark.skipif(shutil.which("postgreyreport") is None, reason="needs Postgrey's postgreyreport")
def test_postgreyreport_takes_nothing_of_ours_for_a_rejection(tmp_path):
    """It looks for Postfix's "reject: " in every line of mail.log; our lines stand in the same file."""
    text = "reject: RCPT from forged.example[192.0.2.9]: 450 4.2.0 Greylisted; from=<a@forged.example> to=<b@example.com>"
    real = (
        "2026-11-29T10:00:00+00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from mail.example.org[192.0.2.1]: 450 4.2.0"
        " <b@example.com>: Recipient address rejected: Greylisted; from=<a@example.org> to=<b@example.com> proto=ESMTP"
    )

    def report(*ours: str) -> str:
        command = ["postgreyreport", f"--dbpath={tmp_path}", "--nosingle_line"]
        done = subprocess.run(command, input="\n".join((real, *ours)), text=True, capture_output=True, check=False, timeout=30)
        return done.stdout + done.stderr

    ours = [written("postgrey", {**NEW, where: text}) for where in TEXTS]
    ours += lines("postgrey", act=lambda logger: logger.warning("a question failed: %s", text))
    assert report(*ours) == report()


# -- lines that name nobody -----------------------------------------------------------------------------------------------

KEY = b"k"
PUBLIC = ("zen.spamhaus.org", "checks.overrides.client_access", "/etc/postfix/rbl_override", "/var/lib/resolverd")
SECRET = re.compile(r"sentinel|192\.0\.2\.\d|2001:db8|198\.51\.100", re.IGNORECASE)
ATTEMPT = Attempt(
    ip_address("192.0.2.1"),
    client_name="mail.sentinel.example",
    helo_name="sentinel",
    sender="sentinel+x@sentinel.example",
    recipient='"sentinel of us"@example.com',
    queue_id="4F2A81",
    sasl_username="sentinel",
)
WORDS = "sentinel: mail.sentinel.example [192.0.2.1], <sentinel@sentinel.example> and 2001:db8::1 are said to be sentinel's"
FINDINGS = (
    Finding("dnsbl", "dnsbl_listed", f"blocked using zen.spamhaus.org; {WORDS}", 6, Consequence.REJECT),
    Finding("spf", "spf_fail", WORDS, 2, Consequence.SCORE),
    Finding("overrides", "override_allow", WORDS, effect=Effect((ANYTHING,))),
    Finding("ptr", "ptr_ok", WORDS),
)


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize(
    ("reason", "greylist", "shown"),
    [
        (FINDINGS[0].text, None, "dnsbl_listed+spf_fail+override_allow"),
        (f"score 8, refused from 6: {WORDS}", None, "score: dnsbl_listed+spf_fail+override_allow"),
        (f"observed only, would reject: {WORDS}", None, "observed only: dnsbl_listed+spf_fail+override_allow"),
        ('exempt recipient "sentinel of us"@example.com', None, "exempt recipient: dnsbl_listed+spf_fail+override_allow"),
        ("early-retry (173s missing)", GreylistOutcome("early-retry", reason="early-retry (173s missing)"), ""),
        ("client whitelist", GreylistOutcome("allowed", reason="client whitelist"), ""),
    ],
)
def test_a_decision_names_nobody(form: str, reason: str, greylist: GreylistOutcome | None, shown: str):
    verdict = Verdict("ABC", Action.ACCEPT, 8, reason, FINDINGS, None, greylist)
    more = {"sasl_username": ATTEMPT.sasl_username, "of_tomorrow": WORDS}

    def later(nameless: bool) -> logs.Fields:
        return {**log_line.fields(ATTEMPT, verdict, nameless=nameless), **more}

    [line] = lines(form, key=KEY, public=PUBLIC, act=lambda logger: logs.decision_later(logger, later))
    assert not SECRET.search(line)
    found = parsed(form, line)
    assert found["reason"].strip('"').replace(": ", ": ") == (shown or reason)
    assert (found["action"], found["id"], "4F2A81" in line) == ("pass", "ABC", True)
    names = ("client_name", "client_address", "sender", "recipient", "helo_name")
    assert all(re.fullmatch(r"[0-9a-f]{16}", found[name]) for name in names)


@given(
    st.dictionaries(
        st.sampled_from([*NEW, "note", "owner", "codes"]), st.text(st.sampled_from("ab ,=\n.ü"), max_size=5) | st.integers()
    )
)
def test_a_plain_line_is_what_it_would_be_value_by_value(fields: dict[str, str | int | float]):
    with pytest.MonkeyPatch.context() as patch:
        said = logs.postgrey(fields)
        patch.setattr(logs, "_is_plain", lambda *given: False)
        assert said == logs.postgrey(fields)


@pytest.mark.parametrize("form", logs.FORMATS)
def test_an_audit_line_names_nobody(form: str):
    fields = {
        "audit": "deny", "subject": "sentinel@sentinel.example", "scope": "all", "to": "sentinel.example", "since": 1,
        "until": "", "owner": "root", "note": "spam of <sentinel@sentinel.example>, 192.0.2.1", "from_id": "ABC",
    }  # fmt: skip
    [line] = lines(form, key=KEY, act=lambda logger: logs.decision(logger, fields))
    assert not SECRET.search(line)
    assert "spam of <" in line
    assert "root" in line


def test_one_name_has_one_hash_in_fields_and_texts():
    pseudonyms = Pseudonyms(KEY)
    [line] = lines("logfmt", key=KEY, act=lambda logger: logs.decision(logger, {**NEW, "sender": NEW["sender"].upper()}))
    found = parsed("logfmt", line)
    [told] = lines("logfmt", key=KEY, act=lambda logger: logger.info("whitelisted: %s[%s]", "Mail.example.org", "192.0.2.1"))
    assert f"whitelisted: {found['client_name']}[{found['client_address']}]" in told
    assert found["sender"] == pseudonyms.of(NEW["sender"])
    [other] = lines("logfmt", key=b"another", act=lambda logger: logs.decision(logger, NEW))
    assert parsed("logfmt", other)["sender"] != found["sender"]


@pytest.mark.parametrize(
    "text",
    [
        "no verdict on 192.0.2.1 within 8 s: mail passes",
        "whitelisted: mail.sentinel.example[192.0.2.1]",
        "whitelisted: sender domain and organisation sentinel.example",
        "no answer to GET /v1/lookup/192.0.2.1",
        "no answer to GET /v1/greylist/2001:db8::1",
        "no answer to PUT /v1/overrides/bob%40sentinel.example",
        "/var/lib/resolverd/../sentinel.example",
        "checks.overrides.client_access[0]: /etc/postfix/rbl_override:3: 'sentinel.example' has no result",
        "list zen.spamhaus.org: 1.2.0.192.zen.spamhaus.org A: 192.0.2.1:53 said sentinel\\032x.example.",
        "a stored override cannot be read: b'deny all 192.0.2.7'",
        "m\u00fcnchen.sentinel.example, 2001:db8::1, ::ffff:192.0.2.1, [2001:db8::1]:53, <a@sentinel.example>.",
        "http://sentinel.example/?q=192.0.2.1",
        "sentinel.example/zen.spamhaus.org 192.0.2.1/24 user@zen.spamhaus.org.sentinel.example",
    ],
)
@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_message_names_nobody(text: str, form: str):
    [line] = lines(form, key=KEY, public=PUBLIC, act=lambda logger: logger.info("%s", text))
    assert not SECRET.search(line)
    assert len(line) > 40


@pytest.mark.parametrize(
    "text",
    [
        "checks.overrides.client_access[0]: /etc/postfix/rbl_override:3: 'key' has no result",
        "list zen.spamhaus.org answered 127.0.0.4, a code that is not known; 0.5 s, 3.44.6, ::1, 127.0.0.1:10023",
        "/var/lib/resolverd/cache/cache.db cannot be read: it is damaged. Mail passes...",
        "HTTP http://[::1]/ is up",
    ],
)
def test_what_the_configuration_names_stays(text: str):
    [line] = lines("postgrey", journal=True, key=KEY, public=PUBLIC, act=lambda logger: logger.info("%s", text))
    assert line == f"<6>{text}"


@pytest.mark.parametrize("form", logs.FORMATS)
def test_a_traceback_says_where_and_what_but_nobodys_words(form: str):
    words = "sentinel broke"

    def fail(logger: logging.Logger) -> None:
        try:
            try:
                raise KeyError(words)
            except KeyError as error:
                raise RuntimeError(words) from error
        except RuntimeError:
            logger.exception("no verdict on %s", "192.0.2.1")

    [line] = lines(form, key=KEY, act=fail)
    assert not SECRET.search(line)
    assert line.index("KeyError") < line.index("RuntimeError")
    assert "test_logs.py" in line


@given(st.text(max_size=80))
def test_any_text_can_be_made_nameless(text: str):
    assert Pseudonyms(KEY).text(f"{text} 192.0.2.1").endswith(Pseudonyms(KEY).text("192.0.2.1"))


@pytest.mark.usefixtures("loggers")
def test_configured_loggers_write_to_the_stream_alone():
    stream = io.StringIO()
    logs.configure("warning", "logfmt", "resolverd", stream)
    logging.getLogger("resolverd.servers").info("quiet")
    logging.getLogger("resolverd.servers").warning("loud")
    flush()
    assert "quiet" not in stream.getvalue()
    assert "message=loud" in stream.getvalue()
