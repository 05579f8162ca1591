"""The mail log reader: each kind of line, both clocks, every name of a service, and what strangers write in between."""

import io
import json
from datetime import datetime
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.logs import logfmt, postgrey
from resolverd.ops.maillog import (
    AuthFailure,
    Connection,
    Decision,
    Delivery,
    LostConnection,
    Pregreet,
    Queued,
    Reader,
    Received,
    Record,
    Rejection,
    Trouble,
    cut,
)
from resolverd.ops.maillog.stamps import seconds_of

NOW = seconds_of(datetime(2026, 11, 30, 12))
AT = seconds_of(datetime(2026, 11, 30, 6, 25, 33))
HEAD = "Nov 30 06:25:33 mx "
REFUSED = (
    "NOQUEUE: reject: RCPT from a.example.net[192.0.2.1]: 554 5.7.1 <r@our.example>: Recipient address rejected: "
    "Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); https://check.spamhaus.org/; ref ABCDEFGH23; "
    "from=<s@example.net> to=<r@our.example> proto=ESMTP helo=<a.example.net>"
)


def read(*lines: str | bytes, now: int = NOW) -> list[Record]:
    octets = b"\n".join(each if isinstance(each, bytes) else each.encode() for each in lines)
    return list(Reader(now).read(cut(io.BytesIO(octets))))


def said(text: str, tag: str = "postfix/smtpd[7]") -> Record | None:
    found = read(f"{HEAD}{tag}: {text}")
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("Nov 30 06:25:33", AT),
        ("Nov  3 06:25:33", AT - 27 * 86400),
        ("Dec 31 06:25:33", seconds_of(datetime(2025, 12, 31, 6, 25, 33))),
        ("Feb 29 06:25:33", seconds_of(datetime(2024, 2, 29, 6, 25, 33))),
        ("2026-11-30T06:25:33.123456+01:00", AT),
        ("2026-11-30T06:25:33Z", AT),
        ("2026-11-30T06:25:33+0100", AT),
        ("Nov 31 06:25:33", None),
        ("Nov 30 24:25:33", None),
        ("Xyz 30 06:25:33", None),
        ("2026-13-30T06:25:33Z", None),
        ("2026-11-30T6:25:33Z", None),
    ],
)
def test_clocks(stamp: str, at: int | None) -> None:
    found = read(f"{stamp} mx postfix/smtpd[7]: connect from unknown[192.0.2.1]")
    assert [each.at for each in found] == ([] if at is None else [at])


def test_the_year_turns_within_a_file() -> None:
    turn = seconds_of(datetime(2027, 1, 2))
    lines = (f"{day} 00:00:01 mx postfix/smtpd[7]: connect from a[192.0.2.1]" for day in ("Dec 31", "Jan  1"))
    first, second = read(*lines, now=turn)
    assert second.at - first.at == 86400


@pytest.mark.parametrize(
    "tag",
    [
        "postfix/smtpd[7]", "postfix/submission/smtpd[7]", "postfix-in/smtpd[7]", "postfix/submissions-proxyprotocol/smtpd[7]",
        "mx-in/smtpd[7]", "postfix/smtpd",
    ],
)  # fmt: skip
def test_names_of_services(tag: str) -> None:
    assert isinstance(said("connect from unknown[192.0.2.1]", tag), Connection)


@pytest.mark.parametrize("tag", ["sshd[7]", "dovecot", "postfix[7]", "x postfix/smtpd[7]", "evil/program[7]"])
def test_other_programs_are_passed_over(tag: str) -> None:
    assert said("connect from unknown[192.0.2.1]", tag) is None


def test_a_refusal() -> None:
    assert said(REFUSED) == Rejection(
        AT, "reject", "RCPT", "smtpd", "NOQUEUE", "a.example.net", "192.0.2.1", 554, "5.7.1",
        "<r@our.example>: Recipient address rejected: Service unavailable (Client host [192.0.2.1] blocked using "
        "zen.spamhaus.org); https://check.spamhaus.org/; ref ABCDEFGH23",
        "blocked using zen.spamhaus.org", "zen.spamhaus.org", "ABCDEFGH23", "s@example.net", "r@our.example", "a.example.net",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("450 4.2.0 <r@o>: Recipient address rejected: Greylisted, please try again later; ref ABCDEFGH23", "Greylisted"),
        ("450 4.2.0 <r@o>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/o.html", "Greylisted"),
        ("550 5.7.23 <r@o>: Recipient address rejected: Message rejected (SPF fail - 192.0.2.1 is not allowed); ref A",
         "Message rejected (SPF fail)"),
        ("550 5.7.1 <r@o>: Recipient address rejected: Message rejected (score 7.5, refused from 6); ref A",
         "Message rejected (score)"),
        ("450 4.7.25 <r@o>: Recipient address rejected: Client host rejected (cannot find your hostname); ref A",
         "Client host rejected (cannot find your hostname)"),
        ("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]",
         "Client host rejected: cannot find your hostname"),
        ("550 5.1.1 <r@o>: Recipient address rejected: User unknown in virtual mailbox table",
         "Recipient address rejected: User unknown in virtual mailbox table"),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.example.org; Listed, see https://x/?ip=192.0.2.1",
         "blocked using bl.example.org"),
    ],
)  # fmt: skip
def test_reasons_are_without_what_differs(reply: str, reason: str) -> None:
    found = said(f"NOQUEUE: reject: RCPT from a[192.0.2.1]: {reply}; from=<s@e> to=<r@o> proto=ESMTP helo=<h>")
    assert isinstance(found, Rejection)
    assert (found.reason, found.code, found.recipient) == (reason, int(reply[:3]), "r@o")
    assert found.greylisted == (reason == "Greylisted")


def test_postscreen() -> None:
    refused = said(
        "NOQUEUE: reject: RCPT from [192.0.2.1]:4242: 550 5.7.1 Service unavailable; client [192.0.2.1] blocked using "
        "zen.spamhaus.org; from=<s@e>, to=<r@o>, proto=ESMTP, helo=<h>",
        "postfix/postscreen[7]",
    )
    assert isinstance(refused, Rejection)
    assert (refused.client_address, refused.list) == ("192.0.2.1", "zen.spamhaus.org")
    assert (refused.sender, refused.recipient, refused.helo_name) == ("s@e", "r@o", "h")
    pregreet = said("PREGREET 14 after 0.02 from [2001:db8::1]:4242: EHLO ylmf-pc\\r\\n", "postfix/postscreen[7]")
    assert pregreet == Pregreet(AT, "2001:db8::1", "EHLO ylmf-pc\\r\\n")
    connection = said("CONNECT from [192.0.2.1]:4242 to [198.51.100.1]:25", "postfix/postscreen[7]")
    assert connection == Connection(AT, "", "192.0.2.1", True)


def test_logins_lost_connections_and_troubles() -> None:
    assert said("warning: a.example[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6") == AuthFailure(
        AT, "a.example", "192.0.2.1", "LOGIN"
    )
    assert said("lost connection after AUTH from unknown[192.0.2.1]") == LostConnection(
        AT, "unknown", "192.0.2.1", "AUTH", "lost connection"
    )
    assert said("NOQUEUE: lost connection after AUTH from unknown[192.0.2.1]") == LostConnection(
        AT, "unknown", "192.0.2.1", "AUTH", "lost connection"
    )
    for queue_id in ("", "4XyZ12abCdz1: "):
        lost = said(f"{queue_id}lost connection after DATA (0 bytes) from unknown[192.0.2.1]")
        assert isinstance(lost, LostConnection)
        assert lost.after == "DATA"
    trouble = said("warning: problem talking to server 127.0.0.1:10023: Connection refused")
    assert isinstance(trouble, Trouble)
    assert trouble.policy
    assert trouble.level == "warning"
    fatal = said("fatal: no SASL authentication mechanisms", "postfix/submission/smtpd[7]")
    assert isinstance(fatal, Trouble)
    assert not fatal.policy
    assert fatal.level == "fatal"


def test_the_life_of_a_message() -> None:
    lines = [
        "smtpd[1]: 4abcDEF01z: client=a.example[192.0.2.1]",
        "cleanup[2]: 4abcDEF01z: message-id=<x@y>",
        "qmgr[3]: 4abcDEF01z: from=<s@e>, size=1234, nrcpt=2 (queue active)",
        "smtp[4]: 4abcDEF01z: to=<r@o>, relay=none, delay=0.5, delays=0/0/0/0.5, dsn=4.4.1, status=deferred (connect to x)",
        "qmgr[3]: 4abcDEF01z: from=<s@e>, size=1234, nrcpt=2 (queue active)",
        "virtual[4]: 4abcDEF01z: to=<r@o>, orig_to=<q@o>, relay=virtual, delay=9, dsn=2.0.0, status=sent (delivered)",
        "qmgr[3]: 4abcDEF01z: removed",
        "qmgr[3]: 4abcDEF01z: from=<other@e>, size=1, nrcpt=1 (queue active)",
    ]
    assert read(*(f"{HEAD}postfix/{line}" for line in lines)) == [
        Received(AT, "4abcDEF01z", "a.example", "192.0.2.1"),
        Queued(AT, "4abcDEF01z", "s@e", 1234, True, "a.example", "192.0.2.1"),
        Delivery(AT, "4abcDEF01z", "smtp", "r@o", "none", 0.5, "4.4.1", "deferred", "connect to x", "s@e", 1234,
                 "a.example", "192.0.2.1"),
        Delivery(AT, "4abcDEF01z", "virtual", "r@o", "virtual", 9.0, "2.0.0", "sent", "delivered", "s@e", 1234,
                 "a.example", "192.0.2.1", "q@o"),
        Queued(AT, "4abcDEF01z", "other@e", 1, False),
    ]  # fmt: skip


FIELDS = {
    "queue_id": "4abcDEF01z", "action": "pass", "reason": "triplet found", "delay": 312, "client_name": "a.example",
    "client_address": "192.0.2.1", "sender": "s+x=y@e", "recipient": "r@o", "helo_name": "h", "score": "2.5",
    "codes": "no_ptr+listed", "id": "ABCDEFGH23", "ms": 12,
}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        f"{HEAD}resolverd[7]: {postgrey(FIELDS)}",
        f"2026-11-30T06:25:33.000001+00:00 mx resolverd[7]: {logfmt({'level': 'info', **FIELDS})}",
        logfmt({"time": "2026-11-30T06:25:33.000001+00:00", "level": "info", **FIELDS}),
        json.dumps({"time": "2026-11-30T06:25:33.000001+00:00", "level": "info", "logger": "x", **FIELDS}),
        f"{HEAD}resolverd[7]: {json.dumps({'time': '2026-11-30T06:25:33', 'level': 'info', **FIELDS})}",
    ],
)
def test_our_own_line_in_each_form(line: str) -> None:
    assert read(line) == [
        Decision(AT, "pass", "triplet found", "a.example", "192.0.2.1", "s+x=y@e", "r@o", "h", "4abcDEF01z", 312, 2.5,
                 ("no_ptr", "listed"), "ABCDEFGH23")
    ]  # fmt: skip


def test_postgreys_own_line() -> None:
    text = "action=greylist, reason=new, client_name=a, client_address=192.0.2.1, sender=x, recipient=victim@o, recipient=r@o"
    found = said(text, "postgrey[7]")
    assert isinstance(found, Decision)
    assert (found.action, found.client_address, found.sender, found.helo_name) == ("greylist", "192.0.2.1", "x", "")


FORGED = "x> to=<victim@o> proto=SMTP helo=<y"


@pytest.mark.parametrize(
    ("sender", "helo"),
    [
        ("s@e", FORGED),
        ("s@e", "z; from=<v@o> to=<w@o> proto=SMTP helo=<h"),
        ('"; from=<v@o> to=<w@o> proto=SMTP helo=<h>"@e', "h"),
        ("s@e", "h>: reject: RCPT from b[198.51.100.1]: 554 5.7.1 blocked using zen.spamhaus.org"),
        ("a postfix/smtpd[1]: NOQUEUE: reject: RCPT from b[198.51.100.1]: 554@e", "h"),
    ],
)
def test_what_a_stranger_says_names_nobody_else(sender: str, helo: str) -> None:
    about = f"<{sender}>: Sender address rejected: Domain not found"
    found = said(
        f"NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 4.1.8 {about}; from=<{sender}> to=<r@o> proto=ESMTP helo=<{helo}>"
    )
    assert isinstance(found, Rejection)
    assert (found.client_address, found.code, found.list) == ("192.0.2.1", 450, "")
    assert found.recipient in ("", "r@o")
    assert found.sender in ("", sender)


def test_hostile_lines_are_passed_over_and_nothing_is_lost() -> None:
    lines = [
        b"\xff\xfe\x00" * 50, b"", b" ", b"\x1b[2J", b"Nov 30", HEAD.encode(), HEAD.encode() + b"postfix/smtpd",
        HEAD.encode() + b"postfix/smtpd[1]: NOQUEUE: reject: ", b"x" * 1_000_000,
        HEAD.encode() + b"postfix/smtpd[1]: connect from a[192.0.2.9]" + b"y" * 1_000_000,
        (HEAD + "postfix/smtpd[1]: " + REFUSED).encode(),
        HEAD.encode() + b"postfix/smtpd[1]: connect from b\xe9[192.0.2.1]",
        HEAD.encode() + b"postfix/smtpd[1]: connect from c\x85\x1c[192.0.2.1]",
        HEAD.encode() + b"postfix/smtpd[1]: connect fr",
    ]  # fmt: skip
    reader = Reader(NOW)
    found = list(reader.read(cut(io.BytesIO(b"\n".join(lines)))))
    assert [type(each) for each in found] == [Connection, Rejection, Connection]
    assert reader.lines == len(lines) == len(found) + reader.skipped


def test_memory_is_bounded() -> None:
    """A log of messages that never end, and a line without end."""
    reader = Reader(NOW)
    lines = (f"{HEAD}postfix/smtpd[1]: Q{at:08d}: client=a[192.0.2.1]".encode() for at in range(bounds.LOG_MESSAGES + 1000))
    assert sum(1 for _ in reader.read(lines)) == bounds.LOG_MESSAGES + 1000
    assert len(reader._messages) == bounds.LOG_MESSAGES
    assert [len(each) for each in cut(io.BytesIO(b"x" * 100_000 + b"\ny"))] == [bounds.LOG_LINE, 1]


@pytest.mark.parametrize(
    "text",
    [
        'postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 4.1.8 x; from=<"a>' + " sasl_a=b," * 1500 + " <",
        "postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 4.1.8 " + "; ref a" * 2000 + "; from=<",
        "postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 4.1.8 " + "[<(" * 5000,
        "postfix/cleanup[1]: ABCDEF: reject: header " + " from a[192.0.2.1]" * 800 + "; from=<",
        "postfix/smtp[1]: ABCDEF: to=<a>, relay=" + "conn_use=" * 1500,
        "postfix/smtpd[1]: lost connection after " + "a(" * 7000,
        "resolverd[1]: level=" + "a" * 16_000,
        "resolverd[1]: level=" + 'a="' * 5000,
        "resolverd[1]: {" + "[" * 16_000,
        "resolverd[1]: action=" + ", =" * 5000,
    ],
)
def test_no_line_takes_long(text: str) -> None:
    """Longer ones are cut; of each way in which a stranger's words may be read in many ways."""
    line = (HEAD + text).encode()[: bounds.LOG_LINE]
    begun = process_time()
    list(Reader(NOW).read([line] * 5))
    assert process_time() - begun < 0.5


def test_only_the_days_asked_for() -> None:
    lines = (f"Nov {day} 00:00:00 mx postfix/smtpd[1]: connect from a[192.0.2.1]".encode() for day in (28, 29, 30))
    day = NOW - NOW % 86400
    assert [each.at for each in Reader(NOW, days=(day - 86400, day)).read(lines)] == [day - 86400]


@given(st.lists(st.one_of(
    st.binary(max_size=200),
    st.text(max_size=120).map(lambda text: f"{HEAD}postfix/smtpd[1]: {text}".encode()),
    st.text(max_size=120).map(lambda text: f"{HEAD}resolverd[1]: action=pass, reason={text}".encode()),
    st.tuples(st.integers(0, len(REFUSED)), st.text(max_size=9)).map(
        lambda cut_in: f"{HEAD}postfix/smtpd[1]: {REFUSED[:cut_in[0]]}{cut_in[1]}{REFUSED[cut_in[0]:]}".encode()),
), max_size=8))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_line_raises(lines: list[bytes]) -> None:
    reader = Reader(NOW)
    found = list(reader.read(lines))
    assert len(found) + reader.skipped == reader.lines == len(lines)
    assert all(each.client_address in ("192.0.2.1", "") or "192.0.2.1" not in each.client_address for each in found
               if isinstance(each, Rejection))  # fmt: skip
