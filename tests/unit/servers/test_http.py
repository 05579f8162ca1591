"""The HTTP interface: what each call gives, and what abuse gets."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawhttp import Service, is_problem, parsed
from served import DNSWL, GOOD, LISTED, TOKEN, bound, configured

from resolverd import bounds
from resolverd.config import Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.servers.access import Opening
from resolverd.servers.http import openapi, parameters, routes
from resolverd.servers.http.auth import ANYBODY
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Route
from resolverd.servers.http.routes.verdict import RecordedAttributes

ROUTES = routes.find()
RELOADED = {"reloaded": True, "changed": [], "restart": [], "remarks": []}
DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody lingers: to be asked for before `service`."""
    monkeypatch.setattr(bounds, "HTTP_LINGER", 0.1)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.end()


async def greylisted(service: Service) -> int:
    """How many records greylisting has."""
    return len((await service.call("GET", "/v1/greylist", token=TOKEN)).document["records"])


# -- verdicts -------------------------------------------------------------------------------------------------------------


async def test_a_verdict_by_get_records_nothing(service: Service):
    for client, action in ((LISTED, "reject"), (GOOD, "greylist")):
        response = await service.call(
            "GET", f"/v1/verdict?client_address={client}&helo_name=mail.example.org&sender=&recipient=b%40example.com"
        )
        assert (response.status, response.document["action"]) == (200, action)
        document = response.document
        assert {"id", "action", "score", "reason", "findings", "greylist", "partial", "ms"} <= set(document)
        for finding in document["findings"]:
            assert {"check", "code", "text", "score", "evidence", "ms"} <= set(finding)
    assert [evidence["answered"] for each in document["findings"] if each["check"] == "ptr" for evidence in each["evidence"]] == [
        "good.example.org"
    ]
    assert (service.judged, await greylisted(service)) == (0, 0)


@pytest.mark.parametrize(("extra", "record"), [({}, True), ({"dry_run": False}, True), ({"dry_run": True}, False)])
async def test_a_verdict_by_post_is_recorded_unless_dry(service: Service, extra: dict[str, bool], record: bool):
    attempt = {"client_address": GOOD, "helo_name": "good.example.org", "sender": "<>", "recipient": "b@example.com", "size": 5}
    response = await service.call("POST", "/v1/verdict", json.dumps({**attempt, **extra}).encode())
    assert response.document["action"] == "greylist"
    assert (service.judged, await greylisted(service) > 0) == (record, record)


async def test_no_sender_is_not_the_null_sender(service: Service):
    for query, text in (("", "no sender given"), ("&sender=", "null sender")):
        document = (await service.call("GET", f"/v1/verdict?client_address={GOOD}{query}")).document
        assert [each["text"] for each in document["findings"] if each["check"] == "sender_domain"] == [text]


@pytest.mark.parametrize(
    ("attributes", "names_at_fault"),
    [
        ({}, ["client_address"]),
        ({"client_address": ""}, ["client_address"]),
        ({"client_address": "mail.example.org"}, ["client_address"]),
        ({"client_address": 3}, ["client_address"]),
        ({"client_adress": "192.0.2.1"}, ["client_adress", "client_address"]),
        ({"client_address": "192.0.2.1", "helo": "x"}, ["helo"]),
        ({"client_address": "192.0.2.1", "sender": ["a"]}, ["sender"]),
        ({"client_address": "192.0.2.1", "sender": "a\nb"}, ["sender"]),
        ({"client_address": "192.0.2.1", "sender": "a" * 2000}, ["sender"]),
        (
            {"client_address": "192.0.2.1", "size": -1, "recipient_count": "x", "dry_run": 1},
            ["size", "recipient_count", "dry_run"],
        ),
        ({"client_address": "192.0.2.1", "protocol_state": "NONE"}, ["protocol_state"]),
    ],
)
async def test_every_attribute_at_fault_is_named(service: Service, attributes: dict[str, Any], names_at_fault: list[str]):
    response = await service.call("POST", "/v1/verdict", json.dumps(attributes).encode())
    assert is_problem(response, 400)
    assert sorted(error["name"] for error in response.document["errors"]) == sorted(names_at_fault)
    assert (service.judged, service.net.asked) == (0, [])


async def test_a_heap_of_faults_is_not_told_to_its_end(service: Service):
    """Each name is compared with all that are known, which takes a while."""
    body = json.dumps({f"a{number}" * 100: 1 for number in range(100)}).encode()
    response = await service.call("POST", "/v1/verdict", body)
    assert is_problem(response, 400)
    assert len(response.document["errors"]) == bounds.HTTP_FAULTS + 1
    assert len(response.body) < 20_000


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"null", b'{"a":1}}', b"\xff\xfe", b"[" * 60000, b'{"client_address": NaN}'])
async def test_what_is_no_json_object(service: Service, body: bytes):
    assert is_problem(await service.call("POST", "/v1/verdict", body), 400)


ATTRIBUTES = [field.name for field in msgspec.structs.fields(RecordedAttributes)]


ANYTHING = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from([*ATTRIBUTES, "stress", "other"]), ANYTHING))
def test_attributes_give_an_attempt_or_a_problem(attributes: dict[str, Any]):
    try:
        attempt = parameters.convert(RecordedAttributes, attributes.items()).attempt
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017
    else:
        assert attempt.client_address is not None
        assert all(text.isprintable() for text in attempt if isinstance(text, str))


async def test_a_verdict_again(service: Service):
    given = (await service.call("GET", f"/v1/verdict?client_address={LISTED}&sender=&helo_name=h.example.org")).document
    again = (await service.call("GET", f"/v1/verdict/{given['id']}", token=TOKEN)).document
    assert again.pop("at").endswith("Z")
    assert again.pop("host") is None
    assert again.pop("attempt") == {
        "client_address": LISTED, "client_name": "", "reverse_client_name": "", "helo_name": "h.example.org", "sender": "",
        "recipient": "", "protocol_state": "RCPT",
    }  # fmt: skip
    assert again == given
    assert is_problem(await service.call("GET", "/v1/verdict/NOSUCH", token=TOKEN), 404)


async def test_a_stream_answers_line_by_line_in_order(service: Service):
    lines = [
        b'{"client_address": "%s", "helo_name": "mail.example.org"}' % LISTED.encode(),
        b"not json",
        b"",
        b'{"client_address": "%s", "helo_name": "good.example.org", "dry_run": true}' % GOOD.encode(),
    ] * 20
    response = await service.call("POST", "/v1/verdicts", b"\n".join(lines), Content_Type="application/x-ndjson")
    assert response.status == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    found = [json.loads(line) for line in response.body.splitlines()]
    assert [entry.get("action", entry.get("status")) for entry in found] == ["reject", 400, "accept"] * 20
    assert service.judged == 20


async def test_a_stream_gives_each_verdict_before_the_next_line_comes(service: Service):
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        f"POST /v1/verdicts HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nContent-Type: application/x-ndjson\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            line = b'{"client_address": "%s", "helo_name": "good.example.org"}\n' % GOOD.encode()
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            assert b'"action":"accept"' in await reader.readuntil(b"}\n")
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_what_nobody_reads_of_a_stream_is_not_made(service: Service):
    """The sender is kept waiting, in memory lies little, and once it reads it has every answer."""
    small = bound()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        small.setsockopt(socket.SOL_SOCKET, option, 32768)  # the sockets of its connections inherit that
    await service.server.serve(small)
    reader, writer = await asyncio.open_connection(*small.getsockname(), limit=4096)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    head = b"POST /v1/verdicts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n"
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
    line = b'{"client_address": "%s", "helo_name": "%s"}\n' % (LISTED.encode(), b"x" * 500)
    writer.write(b"%x\r\n%s\r\n" % (len(line) * 1000, line * 1000))
    judged = -1
    while judged != service.judged:
        judged = service.judged
        await asyncio.sleep(0.3)
    assert judged < 500
    writer.write(b"0\r\n\r\n")
    said = await reader.read()
    assert said.count(b'"action":"reject"') == service.judged == 1000
    writer.close()


async def test_a_line_without_end_ends_a_stream(service: Service):
    body = b'{"client_address": "%s", "helo_name": "good.example.org"}\n' % GOOD.encode() + b"x" * (3 * bounds.HTTP_BODY)
    response = await service.call("POST", "/v1/verdicts", body, Content_Type="application/x-ndjson")
    found = [json.loads(line) for line in response.body.splitlines()]
    assert [entry.get("action", entry.get("status")) for entry in found] == ["accept", 413]


# -- lists, cache, the rest -----------------------------------------------------------------------------------------------


async def test_lookup(service: Service):
    service.refuse(DNSWL)
    document = (await service.call("GET", f"/v1/lookup/{LISTED}")).document
    assert (document["subject"], document["listed"], document["allowed"], document["unknown"]) == (LISTED, 1, 0, 1)
    assert document["lists"][0]["codes"] == ["sbl"]
    assert document["lists"][1] == {
        "id": "dnswl", "list": "list.dnswl.org", "purpose": "allow", "result": "unknown", "why": "timeout", "detail": "SERVFAIL",
    }  # fmt: skip
    assert (await service.call("GET", "/v1/lookup/Example.ORG.")).document["subject"] == "example.org"
    assert (await service.call("GET", "/v1/lookup/2001:db8::1")).document["subject"] == "2001:db8::1"


@pytest.mark.parametrize("subject", ["192.0.2.256", "a..b", "a b", "%00", "x" * 300, "-a.example", "[::1", "a/b"])
async def test_lookup_of_what_is_neither(service: Service, subject: str):
    response = await service.call("GET", f"/v1/lookup/{subject.replace(' ', '%20').replace('/', '%2F')}")
    assert is_problem(response, 400)


async def test_lists(service: Service):
    document = (await service.call("GET", "/v1/lists")).document
    assert [entry["id"] for entry in document["lists"] if entry["enabled"]] == ["spamhaus-zen", "spamhaus-dbl", "dnswl"]
    assert (await service.call("GET", "/v1/lists/dnswl")).document["state"] == "ok"
    assert is_problem(await service.call("GET", "/v1/lists/nosuch"), 404)
    for action, enabled in (("disable", False), ("enable", True), ("probe", True)):
        response = await service.call("POST", f"/v1/lists/spamhaus-zen/{action}", token=TOKEN)
        assert (response.status, response.document["enabled"]) == (200, enabled)
        assert (await service.call("GET", "/v1/lists/spamhaus-zen")).document["enabled"] == enabled
        assert is_problem(await service.call("POST", f"/v1/lists/nosuch/{action}", token=TOKEN), 404)
    assert "2.0.0.127.zen.spamhaus.org." in [name for name, _ in service.net.names()], "its test point was asked"


async def test_cache(service: Service):
    async def held(path: str) -> list[tuple[str, list[str]]]:
        entries = (await service.call("GET", f"/v1/cache/{path}", token=TOKEN)).document["entries"]
        return [(entry["type"], entry["records"]) for entry in entries]

    attempt = f"/v1/verdict?client_address={LISTED}&sender=a%40example.org"
    await service.call("GET", attempt)
    figures = (await service.call("GET", "/v1/cache", token=TOKEN)).document
    assert figures["records"] > 2 < figures["record_bytes"]
    assert await held("Example.ORG/MX") == [("MX", ["10 mail.example.org."])]
    assert [rtype for rtype, _ in await held("example.org")] == ["A", "MX", "TXT"]
    assert is_problem(await service.call("GET", "/v1/cache/example.org/NOSUCH", token=TOKEN), 400)
    assert is_problem(await service.call("GET", "/v1/cache/a..b", token=TOKEN), 400)
    assert (await service.call("DELETE", "/v1/cache/Example.ORG/MX", token=TOKEN)).document == {"flushed": 1}
    assert [rtype for rtype, _ in await held("example.org")] == ["A", "TXT"]
    assert (await service.call("DELETE", "/v1/cache/Example.ORG", token=TOKEN)).document == {"flushed": 2}
    assert (await service.call("DELETE", "/v1/cache/@", token=TOKEN)).document["flushed"] <= 1
    assert is_problem(await service.call("DELETE", "/v1/cache/org?below=perhaps", token=TOKEN), 400)
    await service.call("GET", attempt)
    before = (await service.call("GET", "/v1/cache", token=TOKEN)).document["records"]
    flushed = (await service.call("DELETE", "/v1/cache/Example.ORG?below=true", token=TOKEN)).document["flushed"]
    left = (await service.call("GET", "/v1/cache", token=TOKEN)).document["records"]
    assert 0 < before - left <= flushed
    assert await held("mail.example.org") == []
    asked = len(service.net.names())
    await service.call("GET", attempt)
    assert len(service.net.names()) > asked
    assert await held("mail.example.org") != []
    assert (await service.call("DELETE", "/v1/cache", token=TOKEN)).document["flushed"] > 1
    assert (await service.call("GET", "/v1/cache", token=TOKEN)).document["records"] == 0


FAULTY_ENTRIES: list[tuple[object, str]] = [
    (7, "object"), ({"ttl": "x"}, "ttl"), ({"type": "NOSUCH"}, "NOSUCH"), ({"type": "TYPE0"}, "type"), ({"type": None}, "type"),
    ({"name": "a..b"}, "label"), ({"records": []}, "records"), ({"records": ["1.2.3"]}, "records"), ({"kind": "other"}, "kind"),
    ({"type": "ANY"}, "ANY"), ({"type": "OPT"}, "records"), ({"trust": "local"}, "trust"), ({"security": "bogus"}, "security"),
    ({"signatures": ["A 8"]}, "signatures"), ({"ttl": 8 * 86400}, "ttl"), ({"more": 1}, "more"), ({"name": "x" * 300}, "label"),
    ({"kind": "NODATA"}, "records"), ({"authority": [{"name": "org."}]}, "authority"),
]  # fmt: skip


async def test_the_cache_is_dumped_and_loaded(service: Service):
    await service.call("GET", f"/v1/verdict?client_address={LISTED}&sender=a%40example.org")
    dump = await service.call("GET", "/v1/cache-dump", token=TOKEN)
    assert dump.headers["content-type"] == "application/x-ndjson"
    entries = [json.loads(line) for line in dump.body.splitlines()]
    sound = next(each for each in entries if each["name"] == "mail.example.org.")
    assert await service.call("DELETE", "/v1/cache", token=TOKEN)
    faulty = [{**sound, **given} if isinstance(given, dict) else given for given, _ in FAULTY_ENTRIES]
    stale = {**sound, "name": "stale.example.org.", "ttl": -5}
    body = json.dumps({"entries": [*faulty, *entries, stale]}).encode()
    said = (await service.call("POST", "/v1/cache-dump", body, token=TOKEN)).document
    assert (said["taken"], said["expired"]) == (len(entries), 1)
    assert [fault["number"] for fault in said["faults"]] == list(range(len(faulty)))
    for fault, (_, word) in zip(said["faults"], FAULTY_ENTRIES, strict=True):
        assert word in fault["fault"]
    again = [json.loads(line) for line in (await service.call("GET", "/v1/cache-dump", token=TOKEN)).body.splitlines()]

    def timeless(entry: dict[str, Any]) -> tuple[object, ...]:
        return entry["name"], entry["type"], entry["kind"], entry.get("records"), entry["trust"], entry["security"]

    assert sorted(map(timeless, again), key=str) == sorted(map(timeless, entries), key=str)
    left = {(each["name"], each["type"]): each["ttl"] for each in entries}
    assert all(each["ttl"] <= left[each["name"], each["type"]] for each in again)


async def test_a_trace_tells_each_exchange_from_the_root_downwards(service: Service):
    document = (await service.call("GET", "/v1/trace/Example.ORG/MX", token=TOKEN)).document
    assert (document["rcode"], document["reasons"]) == ("NOERROR", [])
    assert document["records"] == ["example.org. 3600 MX 10 mail.example.org."]
    assert [(each["zone"], each["server"], each["name"]) for each in document["exchanges"]] == [
        (".", "198.41.0.4", "org."), ("org.", "193.0.9.1", "example.org."),
    ]  # fmt: skip
    assert is_problem(await service.call("GET", "/v1/trace/a..b/MX", token=TOKEN), 400)


async def test_reload(service: Service):
    service.service.start()
    assert (await service.call("POST", "/v1/reload", token=TOKEN)).document == RELOADED

    def faulty() -> Settings:
        raise ConfigError([ConfigFault("dns.listen", "is wrong")])

    service.load = faulty
    response = await service.call("POST", "/v1/reload", token=TOKEN)
    assert is_problem(response, 422)
    assert response.document["faults"] == [{"path": "dns.listen", "detail": "is wrong"}]


async def test_calls_meet_what_a_reload_has_made(service: Service):
    """A list that is switched on by the new configuration, and a greylist with other rules."""
    service.service.start()
    assert not (await service.call("GET", "/v1/lists/psbl")).document["enabled"]
    assert is_problem(await service.call("PUT", "/v1/greylist/192.0.2.1?sender=a", token=TOKEN), 400)
    assert (await service.call("PUT", "/v1/greylist/192.0.2.1", token=TOKEN)).status == 200
    service.settings = configured(service.folder, greylist={"auto_allow_after": 0}, checks={"preset": "scored"})
    reloaded = (await service.call("POST", "/v1/reload", token=TOKEN)).document
    assert reloaded == {**RELOADED, "changed": ["checks.preset", "greylist.auto_allow_after"]}
    assert (await service.call("GET", "/v1/lists/psbl")).document["enabled"]
    assert is_problem(await service.call("PUT", "/v1/greylist/192.0.2.1", token=TOKEN), 409)


async def test_readiness(tmp_path: Path):
    service = Service(tmp_path, resolver={"priming": True})
    await service.start()
    response = await service.call("GET", "/readyz")
    assert is_problem(response, 503)
    assert response.document["detail"] == "the root servers have not answered yet"
    assert response.headers["retry-after"] == "5"
    assert (await service.call("GET", "/healthz")).document["service"] == "resolverd"
    service.service.start()
    for _ in range(500):
        if (response := await service.call("GET", "/readyz")).status == 200:
            break
    assert response.document == {"ready": True}
    await service.end()


async def test_metrics(service: Service):
    service.counters.add("odd", kind='quote"d')
    service.counters.add("odd")
    await service.call("GET", f"/v1/lookup/{LISTED}")
    left = (await service.call("GET", "/v1/lists/spamhaus-zen")).document["quota_left"]
    text = (await service.call("GET", "/metrics")).body.decode()
    assert 'resolverd_odd_total{kind="quote\\"d"} 1.0' in text
    assert f'resolverd_list_quota_left{{list="spamhaus-zen"}} {left}.0' in text
    assert re.search(r"^resolverd_cache_record_bytes [1-9]\d+\.0$", text, re.M)
    assert "resolverd_ready 1.0" in text
    assert 'resolverd_odd_total{kind=""} 1.0' in text
    assert "# TYPE resolverd_odd_total counter" in text


async def test_page_and_description(service: Service):
    page = await service.call("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert b"/dashboard/main.js" in page.body
    document = (await service.call("GET", "/openapi.json")).document
    assert {(method.upper(), path) for path, operations in document["paths"].items() for method in operations} == {
        (route.method, route.path) for route in ROUTES
    }
    assert document["paths"]["/v1/reload"]["post"]["security"] == [{"token": []}, {"session": []}]


def test_the_description_refers_to_what_is_there_and_is_the_shipped_one():
    document = openapi.document(ROUTES)

    def references(value: Any) -> Iterable[str]:
        if isinstance(value, dict):
            yield from (value["$ref"],) if "$ref" in value else ()
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    there = {f"#/components/{kind}/{name}" for kind, held in document["components"].items() for name in held}
    assert set(references(document)) <= there
    assert json.loads(DOCUMENT.read_text()) == document, "write docs/openapi.json anew: what GET /openapi.json gives"


async def test_answers_are_as_described(service: Service):
    """Every answer is what its route says, to the last key."""
    service.service.start()
    attempt = b'{"client_address": "%s", "recipient": "b@example.com"}' % GOOD.encode()
    given = await service.call("POST", "/v1/verdict", attempt)
    mail = "sender=a%40example.com&recipient=c%40example.com"
    assert (await service.call("PUT", f"/v1/greylist/192.0.2.1?{mail}", token=TOKEN)).status == 200
    values = {"id": given.document["id"], "subject": LISTED, "name": "dnswl", "type": "MX", "client_address": "192.0.2.1"}
    for route in ROUTES:
        if route.answer and route.lines is None:
            path = route.path.format(**values)
            body = b""
            if route.path == "/v1/verdict":
                path += f"?client_address={LISTED}" if route.method == "GET" else ""
                body = attempt if route.method == "POST" else b""
            elif route.path == "/v1/greylist" and route.method == "DELETE":
                path += "?recipient=b%40example.com"
            elif route.path == "/v1/greylist" and route.method == "PUT":
                path += f"?origin=192.0.2.0&{mail}"
            elif route.path == "/v1/store" and route.method == "POST":
                body = b'{"records": []}'
            elif route.path == "/v1/session" and route.method == "POST":
                body = b'{"token": "%s"}' % TOKEN.encode()
            elif route.path == "/v1/cache-dump" and route.method == "POST":
                body = b'{"entries": []}'
            elif route.path.startswith("/v1/overrides") and route.method == "PUT":
                path += "?action=deny" if "{" in route.path else "?action=deny&subject=192.0.2.1"
            response = await service.call(route.method, path, body, token=TOKEN)
            assert response.status == 200, route
            answer = msgspec.json.decode(response.body, type=route.answer)
            assert msgspec.json.decode(msgspec.json.encode(answer)) == response.document


async def test_between_two_requests_everybody_else_has_a_turn(service: Service, monkeypatch: pytest.MonkeyPatch):
    loop, server = asyncio.get_running_loop(), service.server
    turn, ended, answered, daemon = 0, False, list[int](), server._daemon

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if not ended:
            loop.call_soon(next_turn)

    next_turn()
    monkeypatch.setattr(server, "_daemon", lambda: (answered.append(turn), daemon())[1])
    streams = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(20)]
    for _, writer in streams:  # all before the loop has its next turn
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nConnection: close\r\n\r\n".encode())
    for reader, writer in streams:
        assert b" 200 " in await reader.read()
        writer.close()
    ended = True
    assert len(answered) == len(set(answered)) == 20


# -- abuse ----------------------------------------------------------------------------------------------------------------

CHANGES = [
    ("POST", "/v1/lists/dnswl/disable"),
    ("POST", "/v1/lists/dnswl/probe"),
    ("DELETE", "/v1/cache/example.org/MX"),
    ("DELETE", "/v1/cache"),
    ("POST", "/v1/reload"),
    ("PUT", "/v1/negative-trust-anchors/example.org"),
    ("DELETE", "/v1/negative-trust-anchors/example.org"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00e9"]
)
async def test_changes_need_the_token(service: Service, method: str, path: str, authorization: str | None):
    await service.call("GET", f"/v1/lookup/{LISTED}")
    held = (await service.call("GET", "/v1/cache", token=TOKEN)).document
    response = await service.call(method, path, Authorization=authorization)
    assert is_problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert (await service.call("GET", "/v1/lists/dnswl")).document["enabled"]
    assert (await service.call("GET", "/v1/cache", token=TOKEN)).document == held
    assert service.loads == 0


async def test_without_a_token_nothing_can_be_changed_but_over_the_unix_socket(tmp_path: Path):
    service = Service(tmp_path, token=None)
    await service.start()
    service.service.start()
    assert is_problem(await service.call("POST", "/v1/reload", token="None"), 403)
    assert (await service.call("GET", "/v1/lists")).status == 200
    assert (await service.call("POST", "/v1/reload", over=service.socket)).document == RELOADED
    await service.end()


# What this machine's users may have without the token. Everything else shows people's mail, or changes something.
OPEN = {
    ("GET", "/v1/verdict"), ("POST", "/v1/verdict"), ("POST", "/v1/verdicts"), ("GET", "/v1/lookup/{subject}"),
    ("GET", "/v1/lists"), ("GET", "/v1/lists/{name}"), ("GET", "/v1/status"), ("GET", "/v1/series"),
    ("GET", "/v1/session"), ("POST", "/v1/session"), ("DELETE", "/v1/session"),
    ("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json"), ("GET", "/"),
    ("GET", "/dashboard/{file}"),
}  # fmt: skip
COST = {("GET", "/v1/verdict"), ("GET", "/v1/lookup/{subject}"), ("GET", "/v1/trace/{name}/{type}")}
"""Reading these asks others: lists, with their quotas, and authoritative servers."""


def asked(route: Route, reference: str = "NOSUCH") -> tuple[str, bytes]:
    """A path of the route, and a body for it."""
    of = {"subject": "192.0.2.1", "name": "dnswl", "type": "MX", "client_address": "192.0.2.1", "file": "main.js"}
    path = route.path.format(id=reference, **of)
    if path == "/v1/verdict" and route.method == "GET":
        path += "?client_address=192.0.2.1"
    if path == "/v1/session" and route.method == "POST":
        return path, b'{"token": "%s"}' % TOKEN.encode()
    return path, b'{"client_address": "192.0.2.1"}' if path.startswith("/v1/verdict") and route.method == "POST" else b""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_what_is_open_to_this_machine_and_what_needs_the_token_or_the_socket(
    service: Service, route: Route
):
    path, body = asked(route)
    kind = {"Content_Type": "application/x-ndjson"} if route.lines else {}
    without = await service.call(route.method, path, body, **kind)
    if (route.method, route.path) in OPEN:
        assert without.status == 200
    else:
        assert is_problem(without, 401)
        assert (service.judged, service.net.asked, service.loads) == (0, [], 0)
        assert (await service.call("HEAD" if route.method == "GET" else route.method, path, body)).status == 401
    method = "HEAD" if route.media == "text/event-stream" else route.method  # which has no end
    over = await service.call(method, path, body, over=service.socket, **kind)
    assert over.status not in (401, 403)


FORWARDED = {
    "Forwarded": "for=192.0.2.7;host=mail.example.org",
    "X_Forwarded_For": "192.0.2.7",
    "X_Real_IP": "192.0.2.7",
    "Via": "1.1 mail.example.org",
}


@pytest.mark.parametrize("header", FORWARDED)
async def test_what_a_proxy_passes_on_comes_from_elsewhere(service: Service, header: str):
    """It reaches loopback, and maybe the UNIX socket, for whoever reaches it."""
    service.server.admit(["mail.example.org"], TOKEN, get_args(Opening))
    passed_on = {header: FORWARDED[header], "Host": "mail.example.org"}
    for route in ROUTES:
        path, body = asked(route)
        kind = {"Content_Type": "application/x-ndjson"} if route.lines else {}
        for over in (None, service.socket):
            response = await service.call(route.method, path, body, over=over, **kind, **passed_on)
            if route.path != "/v1/session":
                assert (response.status == 401) == (route.opened_by != ANYBODY)
    assert (service.judged, service.net.asked, service.loads) == (0, [], 0)
    assert (await service.call("GET", "/v1/session", **passed_on)).document == {"by": None, "rights": [], "expires": None}
    assert (await service.call("GET", "/v1/lists", token=TOKEN, **passed_on)).status == 200
    ours = {"Origin": "http://mail.example.org", **passed_on}
    login = await service.call("POST", "/v1/session", b'{"token": "%s"}' % TOKEN.encode(), **ours)
    cookie = login.headers["set-cookie"].partition(";")[0]
    assert (await service.call("GET", "/v1/verdicts", Cookie=cookie, **passed_on)).status == 200


@pytest.mark.parametrize("opened", get_args(Opening))
async def test_http_open_names_what_is_open(service: Service, opened: str):
    service.server.admit((), TOKEN, (opened,))
    for route in ROUTES:
        if route.opened_by in get_args(Opening):
            path, body = asked(route)
            kind = {"Content_Type": "application/x-ndjson"} if route.lines else {}
            assert (await service.call(route.method, path, body, **kind)).status == (200 if route.opened_by == opened else 401)


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "GET"], ids=lambda route: str(route.path))
@pytest.mark.parametrize(
    ("site", "ours"), [("cross-site", False), ("same-site", False), ("", False), ("same-origin", True), ("none", True)]
)
async def test_pages_of_other_sites_read_nothing_that_costs_something(service: Service, route: Route, site: str, ours: bool):
    """A hundred images of another site's page would spend a hundred of a list's quota."""
    service.server.admit((), TOKEN, get_args(Opening))
    path, _ = asked(route, (await service.call("GET", f"/v1/verdict?client_address={GOOD}")).document["id"])
    before = len(service.net.asked)
    for method in ("GET", "HEAD"):
        response = await service.call(method, path, Sec_Fetch_Site=site)
        if ("GET", route.path) in COST:
            assert (response.status == 403) == (not ours)
        assert response.status == 401 or (response.status == 200) == (ours or ("GET", route.path) not in COST)
    if not ours:
        assert len(service.net.asked) == before
        method = "HEAD" if route.media == "text/event-stream" else "GET"  # which has no end
        assert (await service.call(method, path, Sec_Fetch_Site=site, token=TOKEN)).status == 200


async def test_two_words_on_where_a_request_comes_from_are_one_too_many(service: Service):
    response = await service.raw(
        b"GET /v1/lookup/192.0.2.1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n\r\n"
    )
    assert is_problem(parsed(response), 403)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8053", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.0.2.1", 421),
        ("", 400),
        (None, 400),
        ("localhost", 200),
        ("LOCALHOST.:99", 200),
        ("127.0.0.1", 200),
        ("[::1]:8053", 200),
        ("mail.example.org", 200),
    ],
)
async def test_host(service: Service, host: str | None, status: int):
    response = await service.call("GET", "/v1/lists", Host=host)
    assert response.status == status
    assert status == 200 or response.headers["content-type"] == "application/problem+json"


async def test_two_hosts(service: Service):
    answer = parsed(await service.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"))
    assert is_problem(answer, 400)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://[v1]:99999/"}, 403),
        ({"Origin": "]:[//"}, 403),
        ({"Origin": ""}, 403),
        ({"Host": "["}, 421),
        ({"Host": "]:99999"}, 421),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_pages_of_other_sites_change_nothing(service: Service, headers: dict[str, str], status: int):
    headers = {name.replace("-", "_"): value for name, value in headers.items()}
    assert (await service.call("POST", "/v1/verdict", b'{"client_address": "192.0.2.1"}', **headers)).status == status
    assert service.judged == (status == 200)


async def test_our_own_page_may_ask(service: Service):
    body = b'{"client_address": "192.0.2.1"}'
    origin = f"http://127.0.0.1:{service.port}"
    assert (await service.call("POST", "/v1/verdict", body, Origin=origin, Sec_Fetch_Site="same-origin")).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_media_types_that_any_page_can_send(service: Service, content_type: str | None):
    for path in ("/v1/verdict", "/v1/verdicts"):
        assert is_problem(await service.call("POST", path, b'{"client_address": "192.0.2.1"}', Content_Type=content_type), 415)
    assert (service.judged, service.net.asked) == (0, [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/verdict/", 404),
        ("GET", "/v1/lists/a/b/c", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/%2e%2e/etc/passwd", 404),
        ("PUT", "/v1/verdict", 405),
        ("DELETE", "/v1/lists", 405),
        ("GET", "/v1/reload", 405),
        ("TRACE", "/", 405),
        ("OPTIONS", "/v1/verdict", 405),
        ("GET", "/v1/verdict?client_address=192.0.2.1&client_address=192.0.2.2", 400),
    ],
)
async def test_wrong_paths_and_methods(service: Service, method: str, path: str, status: int):
    response = await service.call(method, path)
    assert is_problem(response, status)
    assert status != 405 or response.headers["allow"]


async def test_head_is_get_without_a_body(service: Service):
    response = await service.call("HEAD", "/v1/lists")
    assert (response.status, response.body) == (200, b"")


async def test_bodies_have_a_bound(service: Service):
    within = json.dumps({"client_address": "192.0.2.1", "helo_name": "x"}).encode()
    within += b" " * (bounds.HTTP_BODY - len(within))
    assert (await service.call("POST", "/v1/verdict", within)).status == 200
    assert is_problem(await service.call("POST", "/v1/verdict", within + b" "), 413)
    assert is_problem(await service.call("POST", "/v1/reload", b"x" * (bounds.HTTP_BODY * 2), token=TOKEN), 413)


async def test_a_chunked_bomb(brief: None, service: Service):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    head = b"POST /v1/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert is_problem(parsed(await service.raw(head, *[chunk] * 3)), 413)
    answer = await service.raw(head, *[chunk] * 400)
    assert not answer or is_problem(parsed(answer), 413)


async def test_compressed_bodies_are_not_taken(service: Service):
    assert is_problem(await service.call("POST", "/v1/verdict", b"\x1f\x8b", Content_Encoding="gzip"), 415)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 150 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
        b"POST /v1/verdict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_gets_a_problem_and_is_closed(service: Service, octets: bytes):
    answer = await service.raw(octets)
    if answer:  # a flood may be cut off before its answer is read
        response = parsed(answer)
        assert 400 <= response.status < 500
        assert response.headers["content-type"] == "application/problem+json"
    assert (await service.call("GET", "/healthz")).status == 200


async def test_a_head_in_many_pieces_and_bodies_that_look_like_heads(service: Service):
    head = b"POST /v1/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\nConnection: %s\r\n\r\n"
    body = b'{"client_address": "192.0.2.1"}' + b" " * 30_000
    first = head % (len(body), b"keep-alive") + body
    second = head % (len(body), b"close") + body
    octets = first + second
    answer = await service.raw(*(octets[at : at + 61] for at in range(0, 700, 61)), octets[((700 // 61) + 1) * 61 :])
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_slow_heads_and_slow_bodies_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HTTP_IDLE", 0.05)
    monkeypatch.setattr(bounds, "HTTP_BODY_TIME", 0.05)
    monkeypatch.setattr(bounds, "HTTP_LINGER", 0.05)
    service = Service(tmp_path)
    await service.start()
    assert await service.raw(b"GET / HT") == b""
    head = b"POST /v1/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    assert is_problem(parsed(await service.raw(head)), 408)
    await service.end()


async def test_connections_have_a_bound(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HTTP_CONNECTIONS", 3)
    held = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(3)]
    assert await service.raw() == b""
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    for _ in range(100):
        if await service.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
            break
    else:
        pytest.fail("no connection is let in any more")


async def test_a_fault_of_ours_is_500_without_its_words(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(service.store, "scan", broken)
    response = await service.call("GET", "/v1/greylist", token=TOKEN)
    assert is_problem(response, 500)
    assert b"secret words" not in response.body
    assert service.counters.get("bugs", where="http") == 1
    assert caplog.text.count("Traceback") == 1
    assert "secret words" in caplog.text
    assert (await service.call("GET", "/healthz")).status == 200


@pytest.mark.parametrize("path", ["/", "/v1/lists", "/metrics", "/nothing", "/openapi.json"])
async def test_security_headers_everywhere(service: Service, path: str):
    headers = (await service.call("GET", path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert headers["server"] == "resolverd"


async def test_expect_continue(service: Service):
    body = b'{"client_address": "192.0.2.1"}'
    head = b"POST /v1/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    answer = await service.raw(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_who_asks_for_nothing_that_is_here_is_not_told_to_go_on_with_a_body(service: Service):
    head = "HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 31\r\n\r\n"
    for asked, status in (("POST /nothing", 404), ("POST /v1/lists", 405)):
        # What follows on this connection would be the body: it ends with the answer.
        answer = parsed(await service.raw(f"{asked} {head}".encode()))
        assert is_problem(answer, status)
        assert answer.headers["connection"] == "close"


# -- the greylist and the store ---------------------------------------------------------------------------------------------

KEPT = [
    ("PUT", "/v1/greylist/192.0.2.1", b""),
    ("DELETE", "/v1/greylist/192.0.2.1", b""),
    ("DELETE", "/v1/greylist?sender=a%40example.com", b""),
    ("GET", "/v1/store", b""),
    ("POST", "/v1/store", b'{"records": []}'),
]


@pytest.mark.parametrize(("method", "path", "body"), KEPT)
async def test_what_is_kept_is_for_those_with_the_token(service: Service, method: str, path: str, body: bytes):
    assert is_problem(await service.call(method, path, body), 401)
    assert (await service.call(method, path, body, token=TOKEN)).status == 200


async def test_the_greylist_is_shown_edited_and_forgotten(service: Service):
    where = "/v1/greylist/2001:db8::7?sender=&recipient=b%40example.org"
    allowed = (await service.call("PUT", where, token=TOKEN)).document
    assert (allowed["kind"], allowed["origin"], allowed["sender"], allowed["state"]) == ("triplet", "2001:db8::", "", "passed")
    found = (await service.call("GET", "/v1/greylist?client_address=2001:db8::9", token=TOKEN)).document
    assert found == {"records": [allowed], "next": None, "partial": False}
    assert (await service.call("GET", "/v1/greylist?sender=x%40example.com", token=TOKEN)).document["records"] == []
    gone = (await service.call("DELETE", "/v1/greylist/2001:db8::7", token=TOKEN)).document
    assert gone == {"forgotten": 1, "next": None, "partial": False}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/greylist/nonsense", 400),
        ("GET", "/v1/greylist?client_address=", 400),
        ("GET", "/v1/greylist?client=192.0.2.1", 400),
        ("GET", "/v1/greylist?sender=a&sender=b", 400),
        ("GET", "/v1/greylist?limit=0", 400),
        ("GET", "/v1/greylist?limit=9999999", 400),
        ("GET", "/v1/greylist?start=elsewhere%3A00", 400),
        ("GET", "/v1/greylist?start=greylist%3Axyz", 400),
        ("GET", "/v1/greylist?sender=" + "a" * 1025, 400),
        ("DELETE", "/v1/greylist", 400),
        ("PUT", "/v1/greylist/192.0.2.1?sender=a%40example.com", 400),
        ("GET", "/v1/store?start=t%3Axyz", 400),
        ("GET", "/v1/store?more=1", 400),
    ],
)
async def test_faulty_questions_about_what_is_kept(service: Service, method: str, path: str, status: int):
    assert is_problem(await service.call(method, path, token=TOKEN), status)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b"{", b'{"records": {}}', b'{"records": [1]}', b'{"records": [{"table": "t"}]}', b'{"records": [[[[]]]]}'],
)
async def test_records_that_are_none_are_refused_whole(service: Service, body: bytes):
    assert is_problem(await service.call("POST", "/v1/store", body, token=TOKEN), 400)
    assert is_problem(await service.call("POST", "/v1/store", body, token=TOKEN, Content_Type="text/plain"), 415)


async def test_a_store_that_fails_is_a_problem(service: Service):
    await service.store.close()
    for method, path, body in (*KEPT, ("GET", "/v1/greylist", b"")):
        if body != b'{"records": []}':
            assert is_problem(await service.call(method, path, body, token=TOKEN), 503)
