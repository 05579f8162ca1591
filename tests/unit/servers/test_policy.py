"""The policy service: its wire form however the octets arrive, its actions, and real sockets with patience and impatience."""

import asyncio
import logging
import resource
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import bound

from resolverd import bounds
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, GreylistOutcome, SmtpReply, Verdict
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers import unix_socket
from resolverd.servers.policy import log_line
from resolverd.servers.policy.protocol import PolicyReader, attempt_of, render, whole_request
from resolverd.servers.policy.server import PolicyServer
from resolverd.values import replace

REQUEST = {
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "helo_name": "mail.example.org",
    "queue_id": "8045F2AB23",
    "sender": "a@example.org",
    "recipient": "b@example.com",
    "recipient_count": "0",
    "client_address": "192.0.2.1",
    "client_name": "mail.example.org",
    "reverse_client_name": "mail.example.org",
    "instance": "123.456.7",
    "sasl_username": "",
    "size": "12345",
    "etrn_domain": "",
    "tls_sni": "x=y",
}

AS_SENT = {
    name: REQUEST.get(name, "")
    for name in [
        "request",
        "protocol_state",
        "protocol_name",
        "client_address",
        "client_name",
        "client_port",
        "reverse_client_name",
        "server_address",
        "server_port",
        "helo_name",
        "sender",
        "recipient",
        "recipient_count",
        "queue_id",
        "instance",
        "size",
        "etrn_domain",
        "stress",
        "sasl_method",
        "sasl_username",
        "sasl_sender",
        "ccert_subject",
        "ccert_issuer",
        "ccert_fingerprint",
        "ccert_pubkey_fingerprint",
        "encryption_protocol",
        "encryption_cipher",
        "encryption_keysize",
        "policy_context",
    ]
}
"""In the order of smtpd_check.c; the documentation has another."""

ACCEPTED = Verdict("ACCEPT0001", Action.ACCEPT, 0, "nothing against it")
REFUSED = Verdict(
    "REJECT0001",
    Action.REJECT,
    6,
    "listed by zen.spamhaus.org",
    findings=(
        Finding(
            "ptr", "ptr_ok", "reverse hostname mail.example.org", evidence=(Evidence("1.2.0.192 PTR", "mail.example.org", 12, 3),)
        ),
        Finding(
            "dnsbl",
            "dnsbl_listed",
            "listed by zen.spamhaus.org",
            score=6,
            consequence=Consequence.REJECT,
            reply=SmtpReply(554, "5.7.1", "Service unavailable"),
            link="https://example.org/",
            evidence=(Evidence("192.0.2.1 in zen.spamhaus.org", "SBL, as 127.0.0.2", 60, 20),),
        ),
    ),
    reply=SmtpReply(554, "5.7.1", "Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); ref REJECT0001"),
    ms=23,
)
GREYLISTED = Verdict("GREY000001", Action.GREYLIST, 0, "greylisted", greylist=GreylistOutcome("new", 300, 0, "new"))


class Verdicts:
    """What the server asks for verdicts: answers as the test laid out, and remembers what it was asked.

    `at_once`: where nothing keeps it waiting, it needs not be waited for.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.asked: list[tuple[Attempt, bool]] = []
        self.decide: Callable[[Attempt], Verdict] = lambda attempt: ACCEPTED
        self.gate: asyncio.Event | None = None

    def try_verdict(self, attempt: Attempt, *, record: bool) -> Verdict | None:
        if not self.at_once or self.gate is not None:
            return None
        self.asked.append((attempt, record))
        return self.decide(attempt)

    async def verdict_on(self, attempt: Attempt, *, record: bool) -> Verdict:
        self.asked.append((attempt, record))
        if self.gate is not None:
            await self.gate.wait()
        return self.decide(attempt)


def octets(attributes: dict[str, str]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n"


# -- octets to requests ---------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=30)
NAME = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).filter(lambda name: name != "request")
REQUESTS = st.lists(
    st.dictionaries(NAME, TEXT, max_size=8).map(lambda rest: {"request": "smtpd_access_policy", **rest}), max_size=5
)


@given(REQUESTS, st.data())
def test_requests_come_out_as_they_went_in_however_they_are_cut(requests: list[dict[str, str]], data: st.DataObject):
    stream = b"".join(map(octets, requests))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = PolicyReader()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == requests
    assert not reader.garbage
    assert not reader.started


@given(st.binary(max_size=400), st.data())
def test_no_octets_break_the_reader_and_cutting_them_changes_nothing(stream: bytes, data: st.DataObject):
    stream = octets(REQUEST) + stream
    cut = data.draw(st.integers(0, len(stream)))
    whole, parts = PolicyReader(), PolicyReader()
    assert whole.feed(stream) == parts.feed(stream[:cut]) + parts.feed(stream[cut:])
    assert whole.garbage == parts.garbage


ODD = st.sampled_from(
    [b"\n", b"\n\n", b"=", b"\0", b"\r\n", b"request=other\n", b"a\n", b"=v\n", b"\xff", b"a=b=c\n", b"a=1\na=2\n"]
)


@given(st.lists(REQUESTS.map(lambda requests: b"".join(map(octets, requests))) | ODD, max_size=4).map(b"".join))
def test_requests_one_by_one_are_those_that_come_together(stream: bytes):
    reader = PolicyReader()
    found = reader.feed(stream)
    one_by_one = PolicyReader()
    one_by_one.add(memoryview(stream))
    assert list(iter(one_by_one.next, None)) == [attempt_of(each) for each in found]
    assert (one_by_one.garbage, one_by_one.started) == (reader.garbage, reader.started)


WRITTEN = st.text("aZ0=<>@.:\xfc\r\0 ", max_size=6) | st.sampled_from(["192.0.2.1", "[2001:db8::1]", "DATA", "7", "<a@b>"])


@given(st.dictionaries(st.sampled_from(sorted(AS_SENT)), WRITTEN), st.sets(st.sampled_from(sorted(AS_SENT)), max_size=2))
def test_a_request_as_postfix_writes_it_is_read_as_line_by_line(changed: dict[str, str], left_out: set[str]):
    stream = octets({name: value for name, value in ({**AS_SENT, **changed}).items() if name not in left_out})
    reader = PolicyReader()
    attempt, found = whole_request(stream), reader.feed(stream)
    assert attempt is None or ([attempt], "") == ([attempt_of(each) for each in found], reader.garbage)


def test_what_postfix_writes_is_read_whole_and_nothing_else():
    for each in ({}, {"helo_name": "ü", "sender": "a=b@example.org"}, {"compatibility_level": "3.12", "mail_version": "3.12"}):
        assert whole_request(octets({**AS_SENT, **each})) == attempt_of({**AS_SENT, **each})
    for odd in (octets(AS_SENT) * 2, octets(AS_SENT)[:-1], b"\n" + octets(AS_SENT), octets({**AS_SENT, "helo_name": "x" * 4096})):
        assert whole_request(odd) is None


@pytest.mark.parametrize(
    "stream",
    [
        b"\n",
        b"\n\n",
        b"GET / HTTP/1.1\r\n",
        b"EHLO mail.example\r\n",
        b"=value\n",
        b"no equals sign\n",
        b"request=something_else\n\n",
        b"protocol_state=RCPT\n\n",
        b"sender=a\0b\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"a" * (bounds.POLICY_LINE + 1),
        b"a=" + b"b" * bounds.POLICY_LINE + b"\n",
        b"".join(b"a%d=\n" % number for number in range(bounds.POLICY_ATTRIBUTES + 1)),
        b"a=\n" * (bounds.POLICY_ATTRIBUTES + 1),
        b"".join(b"a%d=%s\n" % (number, b"x" * 4000) for number in range(17)),
    ],
)
def test_garbage_is_told_from_requests_and_what_came_before_stays(stream: bytes):
    reader = PolicyReader()
    assert reader.feed(octets(REQUEST)) == [REQUEST]
    assert reader.feed(stream) == []
    assert reader.garbage
    assert reader.feed(octets(REQUEST)) == []


def test_the_largest_request_within_bounds():
    attributes = {"request": "smtpd_access_policy"} | {
        f"a{number:03}": "x" * 500 for number in range(bounds.POLICY_ATTRIBUTES - 1)
    }
    assert PolicyReader().feed(octets(attributes)) == [attributes]


def test_crlf_duplicates_and_octets_that_are_no_utf8():
    reader = PolicyReader()
    [found] = reader.feed(b"request=smtpd_access_policy\r\nsender=a\r\nsender=b\xff\xc3\xa9\r\n\r\n")
    assert found["sender"] == "b\\xff\u00e9"


# -- requests to attempts -------------------------------------------------------------------------------------------------


def test_a_whole_request_becomes_an_attempt():
    assert attempt_of(REQUEST) == Attempt(
        client_address=ip_address("192.0.2.1"),
        client_name="mail.example.org",
        reverse_client_name="mail.example.org",
        helo_name="mail.example.org",
        sender="a@example.org",
        has_sender=True,
        recipient="b@example.com",
        protocol_state="RCPT",
        instance="123.456.7",
        queue_id="8045F2AB23",
        etrn_domain=True,
        size=12345,
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("IPv6:2001:db8::1", "2001:db8::1"),
        ("", None),
        ("unknown", None),
        ("192.0.2", None),
        ("192.0.2.256", None),
        ("fe80::1%eth0", None),
    ],
)
def test_addresses_in_all_their_forms(text: str, address: str | None):
    assert attempt_of({"client_address": text}).client_address == (ip_address(address) if address else None)


def test_null_sender_is_not_no_sender():
    assert attempt_of({"sender": ""}).has_sender
    assert not attempt_of({}).has_sender


@pytest.mark.parametrize("size", ["", "-1", "x", "9" * 40, "\u0663"])
def test_numbers_that_are_none(size: str):
    assert attempt_of({"size": size, "recipient_count": size}).size == 0


# -- verdicts to actions --------------------------------------------------------------------------------------------------

HEADER = "X-Greylist: delayed 421 seconds by resolverd-0.1 at mx; Sat, 08 Apr 2017 01:07:58 +0200"


@pytest.mark.parametrize(
    ("verdict", "action"),
    [
        (ACCEPTED, "DUNNO"),
        (replace(ACCEPTED, header=HEADER), f"PREPEND {HEADER}"),
        (replace(ACCEPTED, header=HEADER, greylist=GreylistOutcome("passed", delayed=421)), f"PREPEND {HEADER}"),
        (REFUSED, "554 5.7.1 Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); ref REJECT0001"),
        (
            Verdict(
                "R", Action.REJECT, 0, "", reply=SmtpReply(450, "4.7.25", "Client host rejected (cannot find your hostname)")
            ),
            "450 4.7.25 Client host rejected (cannot find your hostname)",
        ),
        (
            Verdict("R", Action.DEFER, 0, "", reply=SmtpReply(450, "4.7.1", "Try later; ref R")),
            "DEFER_IF_PERMIT 4.7.1 Try later; ref R",
        ),
        (Verdict("R", Action.DEFER, 0, ""), "DEFER_IF_PERMIT 4.7.1 Try again later; ref R"),
        (GREYLISTED, "DEFER_IF_PERMIT 4.2.0 Greylisted, please try again later; ref GREY000001"),
        (Verdict("R", Action.REJECT, 9, "without words"), "DUNNO"),
    ],
)
def test_actions(verdict: Verdict, action: str):
    assert render(verdict) == action
    assert render(verdict, reference=False) == action.partition("; ref ")[0]


VERDICTS = st.builds(
    Verdict,
    id=st.text(max_size=12),
    action=st.sampled_from(Action),
    score=st.just(0.0),
    reason=st.text(),
    reply=st.none() | st.builds(SmtpReply, st.integers(400, 599), st.just("5.7.1"), st.text(max_size=2000)),
    header=st.text(max_size=2000),
)


@given(VERDICTS)
def test_an_action_is_one_printable_line_and_never_ok(verdict: Verdict):
    action = render(verdict)
    assert action.isascii()
    assert action.isprintable()
    assert action.split(" ")[0].upper() in {"DUNNO", "PREPEND", "DEFER_IF_PERMIT"} or 400 <= int(action[:3]) <= 599
    assert len(action) < 1100


def test_a_lists_text_cannot_end_the_reply():
    reply = SmtpReply(554, "5.7.1", "blocked (\n\naction=OK\0)")
    assert render(Verdict("R", Action.REJECT, 6, "", reply=reply)) == "554 5.7.1 blocked ( action=OK?)"


# -- sockets --------------------------------------------------------------------------------------------------------------


class Service:
    """A policy server on a port of its own, and clients of it."""

    def __init__(self, server: PolicyServer, verdicts: Verdicts, counters: Counters, port: int):
        self.server, self.verdicts, self.counters, self.port = server, verdicts, counters, port
        self.writers: list[asyncio.StreamWriter] = []

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, *requests: dict[str, str]) -> list[str]:
        reader, writer = await self.client()
        writer.write(b"".join(map(octets, requests)))
        return [await reply_from(reader) for _ in requests]


async def reply_from(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        reply = (await reader.readuntil(b"\n\n")).decode()
    assert reply.startswith("action=")
    assert reply.count("\n") == 2
    return reply.removeprefix("action=").strip()


@pytest.fixture(params=[False, True], ids=["waited for", "at once"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    verdicts, counters = Verdicts(request.param), Counters()
    server = PolicyServer(verdicts, counters)
    sock = bound()
    port = sock.getsockname()[1]
    await server.serve(sock)
    found = Service(server, verdicts, counters, port)
    yield found
    await server.close(0.1)
    for writer in found.writers:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def test_the_reference_is_left_out_where_that_is_wanted(service: Service):
    """``[log] ref_in_reply = false``, from the next reload on."""
    service.verdicts.decide = lambda attempt: REFUSED
    with_reference = "554 5.7.1 Service unavailable (Client host [192.0.2.1] blocked using zen.spamhaus.org); ref REJECT0001"
    assert await service.ask(REQUEST) == [with_reference]
    service.server.decide_by(service.verdicts, references=False)
    assert await service.ask(REQUEST) == [with_reference.partition("; ref")[0]]


async def test_many_requests_on_one_connection_in_order(service: Service):
    service.verdicts.decide = lambda attempt: REFUSED if attempt.sender.startswith("bad") else ACCEPTED
    reader, writer = await service.client()
    for sender in ("good@example.org", "bad@example.org", "good@example.org"):
        for octet in octets({**REQUEST, "sender": sender}):
            writer.write(bytes([octet]))
        expected = "554 5.7.1" if sender.startswith("bad") else "DUNNO"
        assert (await reply_from(reader)).startswith(expected)
    assert [record for _, record in service.verdicts.asked] == [True] * 3


async def test_pipelined_requests_far_beyond_the_window(service: Service):
    count = 2000
    service.verdicts.decide = lambda attempt: replace(ACCEPTED, header=f"X: {attempt.instance}")
    replies = await service.ask(*({**REQUEST, "instance": str(number)} for number in range(count)))
    assert replies == [f"PREPEND X: {number}" for number in range(count)]


@pytest.mark.parametrize("state", ["CONNECT", "EHLO", "HELO", "MAIL", "END-OF-MESSAGE", "VRFY", "ETRN", "SOMETHING-NEW"])
async def test_other_states_decide_nothing(service: Service, state: str):
    service.verdicts.decide = lambda attempt: REFUSED
    assert await service.ask({**REQUEST, "protocol_state": state}) == ["DUNNO"]
    assert service.verdicts.asked == []


async def test_data_gives_out_what_header_is_due(service: Service, caplog: pytest.LogCaptureFixture):
    service.verdicts.decide = lambda attempt: replace(ACCEPTED, header=HEADER) if attempt.protocol_state == "DATA" else ACCEPTED
    with caplog.at_level(logging.INFO, "resolverd"):
        replies = await service.ask(REQUEST, {**REQUEST, "protocol_state": "DATA", "recipient": "", "recipient_count": "2"})
    assert replies == ["DUNNO", f"PREPEND {HEADER}"]
    assert len(caplog.records) == 1


async def test_one_line_a_decision(service: Service, caplog: pytest.LogCaptureFixture):
    service.verdicts.decide = lambda attempt: GREYLISTED
    with caplog.at_level(logging.INFO, "resolverd"):
        await service.ask({**REQUEST, "queue_id": ""})
    [record] = caplog.records
    fields = record.later(False)
    assert (fields["action"], fields["reason"], fields["id"]) == ("greylist", "new", GREYLISTED.id)
    assert service.counters.get("policy_decisions", action="greylist") == 1


@pytest.mark.parametrize(
    ("verdict", "action", "reason", "delay"),
    [
        (ACCEPTED, "pass", "nothing against it", None),
        (REFUSED, "reject", "listed by zen.spamhaus.org", None),
        (replace(ACCEPTED, greylist=GreylistOutcome("passed", 0, 421, "triplet found")), "pass", "triplet found", 421),
        (replace(ACCEPTED, greylist=GreylistOutcome("allowed", reason="client AWL")), "pass", "client AWL", None),
        (replace(ACCEPTED, greylist=GreylistOutcome("skipped", reason="no recipient")), "pass", "nothing against it", None),
        (replace(GREYLISTED, greylist=GreylistOutcome("early-retry", 173, 0, "early-retry (173s missing)")), "greylist",
         "early-retry (173s missing)", None),
    ],
)  # fmt: skip
def test_the_logs_words_are_postgreys(verdict: Verdict, action: str, reason: str, delay: int | None):
    fields = log_line.fields(attempt_of(REQUEST), verdict)
    assert (fields["action"], fields["reason"], fields.get("delay")) == (action, reason, delay)


async def test_a_fault_of_ours_lets_the_mail_pass(service: Service, caplog: pytest.LogCaptureFixture):
    def broken(attempt: Attempt) -> Verdict:
        raise RuntimeError("a bug")

    service.verdicts.decide = broken
    assert await service.ask(REQUEST, REQUEST) == ["DUNNO", "DUNNO"]
    assert service.counters.get("bugs", where="policy") == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert caplog.records[0].exc_info


async def test_the_hard_stop_lets_the_mail_pass():
    verdicts, counters = Verdicts(), Counters()
    verdicts.gate = asyncio.Event()
    server = PolicyServer(verdicts, counters, hard_stop=0.01)
    assert server.answer_at_once(attempt_of(REQUEST)) is None
    assert await server.answer(attempt_of(REQUEST)) == "DUNNO"
    assert counters.get("policy_failures", why="timeout") == 1


async def test_garbage_is_logged_and_closed_after_what_was_asked_before(service: Service, caplog: pytest.LogCaptureFixture):
    reader, writer = await service.client()
    writer.write(octets(REQUEST) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reply_from(reader) == "DUNNO"
    assert await reader.read() == b""
    assert service.counters.get("policy_garbage") == 1
    assert any("closed" in record.message for record in caplog.records)
    assert await service.ask(REQUEST) == ["DUNNO"]


async def test_a_client_that_says_no_more_still_gets_its_replies(service: Service):
    reader, writer = await service.client()
    writer.write(octets(REQUEST) * 3)
    writer.write_eof()
    assert (await reader.read()) == b"action=DUNNO\n\n" * 3


async def test_an_unfinished_request_is_closed_and_an_idle_connection_is_not(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "POLICY_STARTED", 0.02)
    idle_reader, idle_writer = await service.client()
    slow_reader, slow_writer = await service.client()
    slow_writer.write(b"request=smtpd_access_policy\nsender=")
    assert await slow_reader.read() == b""
    assert service.counters.get("policy_slow_requests") == 1
    idle_writer.write(octets(REQUEST))
    assert await reply_from(idle_reader) == "DUNNO"


async def test_idle_connections_end_at_last(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "POLICY_IDLE", 0.02)
    reader, _ = await service.client()
    assert await reader.read() == b""


@pytest.fixture
def plenty_of_descriptors() -> Iterator[None]:
    """Both ends of the connections are ours; many shells allow 1024 descriptors only until asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_five_hundred_idle_connections_and_a_bound_on_them(
    plenty_of_descriptors: None, service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bounds, "POLICY_CONNECTIONS", 500)
    clients = [await service.client() for _ in range(500)]
    reader, writer = clients[0]
    writer.write(octets(REQUEST))
    assert await reply_from(reader) == "DUNNO"
    extra, _ = await service.client()
    try:
        assert await extra.read() == b""
    except ConnectionResetError:
        pass
    writer.write(octets(REQUEST))
    assert await reply_from(reader) == "DUNNO"
    assert service.counters.get("policy_refused_connections") == 1


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_vanished_client_takes_its_question_with_it(service: Service):
    service.verdicts.gate = asyncio.Event()
    _, writer = await service.client()
    writer.write(octets(REQUEST))
    await until(lambda: service.verdicts.asked)
    reset_when_closed = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_when_closed)
    writer.transport.abort()
    await until(lambda: not service.server.connections)


async def test_closing_answers_what_is_under_way_with_dunno(service: Service):
    service.verdicts.gate = asyncio.Event()
    reader, writer = await service.client()
    writer.write(octets(REQUEST))
    await until(lambda: service.verdicts.asked)
    await service.server.close(0.01)
    assert await reader.read() == b"action=DUNNO\n\n"


async def test_unix_sockets(tmp_path: Path):
    path = tmp_path / "policy"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    server = PolicyServer(Verdicts(), Counters())
    await server.serve(unix_socket.bind(path, 0o666), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    with pytest.raises(OSError, match="somebody listens"):
        unix_socket.bind(path, 0o666)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(octets(REQUEST))
    assert await reply_from(reader) == "DUNNO"
    writer.close()
    await writer.wait_closed()
    await server.close()
    assert not path.exists()


async def test_a_file_in_place_of_the_socket_stays(tmp_path: Path):
    path = tmp_path / "policy"
    path.write_text("precious")
    with pytest.raises(OSError):
        unix_socket.bind(path, 0o666)
    assert path.read_text() == "precious"
