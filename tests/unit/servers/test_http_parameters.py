"""Parameters of HTTP calls: every fault at once, each parameter once, texts stay texts; and what a new call takes: one file."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta
from served import TOKEN

from resolverd.mail.findings import Verdict
from resolverd.mail.request import Attempt
from resolverd.servers.http import openapi, routes
from resolverd.servers.http.auth import Auth
from resolverd.servers.http.parameters import AddressParameter, Text, convert, of_object
from resolverd.servers.http.problems import Problem
from tests.unit.servers.test_http import Service, is_problem, parsed


class Given(msgspec.Struct, kw_only=True):
    ignored: ClassVar[frozenset[str]] = frozenset({"stress"})

    client: AddressParameter
    note: Text | None = None
    lasting: Annotated[int, Meta(ge=1, description="a whole number from 1")] = msgspec.field(name="for", default=1)
    flag: bool = False
    most: int | None = 5


def faults(*given: tuple[str, object]) -> dict[str, str]:
    try:
        convert(Given, given)
    except Problem as problem:
        found: Any = problem.members["errors"]
        assert problem.status == 400  # noqa: PT017
        assert len({each["name"] for each in found}) == len(found)
        return {each["name"]: each["detail"] for each in found}
    return {}


def test_every_fault_is_told_at_once_with_what_is_expected():
    assert faults(("clint", "192.0.2.1"), ("for", 0), ("flag", "maybe"), ("note", 5)) == {
        "clint": "no such parameter; did you mean client?",
        "client": "is missing",
        "for": "expected a whole number from 1",
        "flag": "expected true or false",
        "note": "expected at most 1024 characters",
    }
    assert faults(("client", "mail.example.org")) == {"client": "expected an IPv4 or IPv6 address"}
    assert faults(("client", "::1"), ("note", "a"), ("note", "a")) == {"note": "given twice"}
    assert faults(("client", "::1"), ("note", "a" * 1025)) == {"note": "expected at most 1024 characters"}
    assert list(faults(("client", "::1"), ("x" * 5000, ""))) == ["x" * 40]


def test_texts_are_numbers_and_flags_where_those_are_wanted_and_texts_elsewhere():
    made = convert(Given, [("client", "::1"), ("for", "7"), ("flag", "true"), ("note", "null")])
    assert (made.lasting, made.flag, made.note) == (7, True, "null")
    assert faults(("client", "::1"), ("for", "7.5")) == faults(("client", "::1"), ("for", True)) != {}


def test_null_is_not_given_and_some_names_are_not_looked_at():
    made = convert(Given, [("client", "::1"), ("note", None), ("for", None), ("stress", "yes")])
    assert (made.note, made.lasting) == (None, 1)
    assert faults(("client", None)) == {"client": "is missing"}


NAMES = st.sampled_from(["note", "for", "lasting", "flag", "most", "stress", "clint"])
VALUES = st.sampled_from(["::1", "192.0.2.1", "mail", "", "7", "true", "null", "a" * 1025, 0, 7, 7.0, True, False, None, [], {}])


def made_or_faults(make: Callable[[], Given]) -> Given | object:
    try:
        return make()
    except Problem as problem:
        return problem.document()


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.sampled_from(["::1", "192.0.2.1", "mail", "", 5, None]))
@example({}, "mail")
@example({"most": None}, "::1")
def test_an_object_read_in_one_go_is_what_its_members_are_one_by_one(others: dict[str, object], client: object):
    document = {"client": client, **others}
    assert made_or_faults(lambda: of_object(Given, document)) == made_or_faults(lambda: convert(Given, document.items()))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path)
    await made.start()
    yield made
    await made.end()


CALL = '''
import msgspec

from resolverd.servers.http.route import Call, Route


class Wanted(msgspec.Struct):
    """How often."""

    times: int


class Greeting(msgspec.Struct):
    """A greeting."""

    text: str


async def greet(call: Call, given: Wanted) -> Greeting:
    """Say hello to a list."""
    if given.times > 3:
        raise RuntimeError("secret words")
    return Greeting("hello " * given.times + call.daemon.lists.statuses()[0].id if given.times else {1: object()})


ROUTES = (Route("GET", "/v1/greeting", greet, "lists"),)
'''


@pytest.fixture
async def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A daemon with one more file among its routes."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "greeting.py").write_text(CALL)
    monkeypatch.setattr(routes, "__path__", [*routes.__path__, str(folder)])
    made = Service(tmp_path)
    await made.start()
    yield made
    await made.end()


async def test_a_new_call_is_one_file(extended: Service):
    assert (await extended.call("GET", "/v1/greeting?times=2")).document == {"text": "hello hello spamhaus-zen"}
    assert is_problem(await extended.call("GET", "/v1/greeting"), 400)
    assert (await extended.call("HEAD", "/v1/greeting?times=2")).status == 200
    assert is_problem(await extended.call("DELETE", "/v1/greeting?times=2", token=TOKEN), 405)
    document = (await extended.call("GET", "/openapi.json")).document
    operation = document["paths"]["/v1/greeting"]["get"]
    assert operation["summary"] == "Say hello to a list."
    assert operation["parameters"] == [{"name": "times", "in": "query", "required": True, "schema": {"type": "integer"}}]
    assert document["components"]["schemas"]["Greeting"]["properties"] == {"text": {"type": "string"}}


def _broken(*_: object, **__: object) -> Any:
    raise RuntimeError("secret words")


PLANTED: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "handler": ("/v1/greeting?times=4", lambda monkeypatch: None),
    "serialiser": ("/v1/greeting?times=0", lambda monkeypatch: None),
    "middleware": ("/v1/greeting?times=1", lambda monkeypatch: monkeypatch.setattr(Auth, "check_right", _broken)),
    "description": ("/openapi.json", lambda monkeypatch: monkeypatch.setattr(openapi, "document", _broken)),
}


@pytest.mark.parametrize("where", PLANTED)
async def test_a_bug_is_500_one_traceback_and_one_count_and_what_is_behind_it_is_answered(
    extended: Service, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    path, plant = PLANTED[where]
    with monkeypatch.context() as planted:
        plant(planted)
        head = "HTTP/1.1\r\nHost: localhost\r\n"
        # Both at once, on one connection.
        answers = await extended.raw(f"GET {path} {head}\r\nGET /nothing {head}Connection: close\r\n\r\n".encode())
    first, _, second = answers.partition(b"}HTTP/1.1")
    assert is_problem(parsed(first + b"}"), 500)
    assert b"secret words" not in first
    assert is_problem(parsed(b"HTTP/1.1" + second), 404)
    faulty = [record for record in caplog.records if record.exc_info]
    assert [(record.levelno, record.name) for record in faulty] == [(logging.ERROR, "resolverd.servers.http.app")]
    assert extended.counters.get("bugs", where="http") == 1


async def test_a_bug_on_a_line_of_a_stream_is_that_lines_500(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    good = {"client_address": "81.2.69.2", "helo_name": "good.example.org", "dry_run": True}
    policy = service.service.runtime.policy
    verdict_on = policy.verdict_on

    async def buggy(attempt: Attempt, *, record: bool) -> Verdict:
        if attempt.helo_name == "bug":
            raise RuntimeError("secret words")
        return await verdict_on(attempt, record=record)

    monkeypatch.setattr(policy, "verdict_on", buggy)
    lines = [json.dumps(each).encode() for each in (good, {**good, "helo_name": "bug"}, good)]
    response = await service.call("POST", "/v1/verdicts", b"\n".join(lines), Content_Type="application/x-ndjson")
    found = [json.loads(line) for line in response.body.splitlines()]
    assert [each.get("action", each.get("status")) for each in found] == ["accept", 500, "accept"]
    assert service.counters.get("bugs", where="http") == 1
    assert caplog.text.count("Traceback") == 1


async def test_an_expectation_that_nobody_knows_is_a_problem_too(service: Service):
    for path in ("/nothing", "/v1/lists"):
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\nConnection: close\r\n\r\n"
        answer = parsed(await service.raw(head.encode()))
        assert answer.headers["server"] == "resolverd"
        assert answer.status == (417 if path == "/nothing" else 200)
