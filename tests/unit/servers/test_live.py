"""What happens now and has happened of late, over HTTP: time series, the live feed, and what lists are worth."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from served import GOOD, LISTED, TOKEN

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.mail.request import Attempt
from resolverd.servers.http.sessions import IDLE
from resolverd.telemetry.counted import totals
from resolverd.telemetry.feed import AlertEvent, ListEvent
from tests.unit.servers.test_http import Service, is_problem

ATTEMPT = b'{"client_address": "%s", "sender": "joe@example.org", "helo_name": "mail.example.org", "recipient": "b@example.com"}'


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.end()


class Stream:
    """Somebody who follows the feed."""

    def __init__(self, reader: asyncio.StreamReader):
        self._reader = reader

    async def part(self) -> list[str]:
        """The lines up to the next empty one."""
        async with asyncio.timeout(5):
            lines = []
            while True:
                line = (await self._reader.readline()).decode().strip()
                if len(line) <= 4 and all(each in "0123456789abcdef" for each in line) and line:
                    continue  # the length of a chunk
                if not line and lines:
                    return lines
                if line:
                    lines.append(line)

    async def event(self) -> tuple[str, dict[str, object]]:
        """The next event, heartbeats left out."""
        while True:
            fields = dict(line.partition(": ")[::2] for line in await self.part() if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], json.loads(fields["data"])


@asynccontextmanager
async def following(service: Service, query: str = "", over: int | None = None, header: str = "") -> AsyncIterator[Stream]:
    """Over the UNIX socket, or that port."""
    opened = asyncio.open_unix_connection(service.socket) if over is None else asyncio.open_connection("127.0.0.1", over)
    reader, writer = await opened
    writer.write(f"GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
    stream = Stream(reader)
    head = await stream.part()
    assert head[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: text/event-stream" in head
    assert (await stream.part())[0] == "retry: 3000"
    try:
        yield stream
    finally:
        writer.close()
        await writer.wait_closed()


async def test_verdicts_are_told_counted_and_credited_to_lists(service: Service):
    async with following(service) as everything, following(service, "?action=accept&list=dnswl") as other:
        await service.call("POST", "/v1/verdict", ATTEMPT.replace(b"%s", LISTED.encode()))
        kind, told = await everything.event()
        assert kind == "verdict"
        kept = (await service.call("GET", "/v1/verdicts", token=TOKEN)).document["items"][0]
        assert {**told, "at": ""} == {**kept, "at": ""}, "as the history tells it"
        assert str(told["at"])[:17] == kept["at"][:17]
        assert told["lists"] == ["spamhaus-zen"]
        assert told["codes"] == ["dnsbl_listed"]
        assert (told["client_address"], told["sender"], told["recipient"]) == (LISTED, "joe@example.org", "b@example.com")
        await service.call("POST", "/v1/verdict", ATTEMPT.replace(b"%s", LISTED.encode())[:-1] + b', "dry_run": true}')
        feed = service.service.capabilities().feed
        feed.tell(ListEvent(1.0, "spamhaus-zen", "suspended", "ok", "x"))
        feed.tell(AlertEvent(1.0, "clock", "", "wrong", False))
        assert [(await everything.event())[0] for _ in range(2)] == ["list", "alert"], "what was tried out is not told"
        assert (await other.event())[0] == "alert"
    assert sum(service.counters.histogram("list_reply_seconds", list="dnswl").counts) == 1
    service.service.capabilities().series.tick(totals(service.counters.snapshot()), service.clock.monotonic())
    lists = (await service.call("GET", "/v1/lists")).document
    zen, dnswl = (next(each for each in lists["lists"] if each["id"] == name) for name in ("spamhaus-zen", "dnswl"))
    assert (zen["hits"], zen["unique"], zen["decisive"]) == (1, 1, 1)
    assert (dnswl["hits"], dnswl["unique"], dnswl["decisive"], dnswl["queries"]) == (0, 0, 0, dnswl["asked"])
    assert dnswl["asked"] > 0
    assert lists["counted"] == 10
    for span, step, slots in (("1h", 10, 360), ("24h", 300, 288), ("7d", 3600, 168)):
        found = (await service.call("GET", f"/v1/series?span={span}")).document
        assert (found["span"], found["step"], found["covered"]) == (span, step, 10)
        assert {len(values) for values in found["series"].values()} == {slots}
        assert found["series"]["verdicts.reject"][-2:] == [None, 1]
        assert found["series"]["verdicts.by_code.dnsbl_listed"][-1] == 1
        assert found["series"]["lists.spamhaus-zen.hits"][-1] == 1
        assert found["series"]["greylist.new"][-1] == 0
        assert found["from"] + step * (slots - 1) == pytest.approx(service.clock.wall() - 10, abs=2)
    assert is_problem(await service.call("GET", "/v1/series?span=1y"), 400)


async def test_whom_no_list_lists_is_no_hit(service: Service):
    await service.call("POST", "/v1/verdict", ATTEMPT.replace(b"%s", GOOD.encode()))
    assert not [name for name, _, _ in service.counters.snapshot() if name.endswith("_hits") and name.startswith("list_")]


async def test_listeners_are_bounded_and_their_places_are_free_again(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "FEED_LISTENERS", 1)
    monkeypatch.setattr(bounds, "FEED_HEARTBEAT", 0.05)
    async with following(service) as stream:
        assert is_problem(await service.call("GET", "/v1/events", token=TOKEN), 503)
        assert (await stream.part())[0].startswith(":"), "a heartbeat"
    for _ in range(50):
        if (answer := await service.call("HEAD", "/v1/events", token=TOKEN)).status == 200:
            break
        await asyncio.sleep(0.05)
    assert answer.status == 200
    assert answer.body == b""


async def test_the_place_of_who_has_left_is_free_before_the_next_heartbeat(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "FEED_LISTENERS", 1)
    monkeypatch.setattr(bounds, "FEED_LOOK", 0.02)
    async with following(service):
        pass
    for _ in range(100):
        if (answer := await service.call("HEAD", "/v1/events", token=TOKEN)).status == 200:
            break
        await asyncio.sleep(0.02)
    assert answer.status == 200


async def test_a_stream_ends_so_that_rights_are_looked_at_again(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "FEED_LIFETIME", 0.0)
    assert b"what happens from now on" in (await service.call("GET", "/v1/events", token=TOKEN)).body


class Later:
    """The daemon's clock, moved on by a test."""

    def __init__(self, clock: Clock):
        self.clock, self.by = clock, 0.0

    def monotonic(self) -> float:
        return self.clock.monotonic() + self.by


@pytest.mark.parametrize("how", ["ended", "idle", "another token", "another token, and a bearer of the old one"])
async def test_a_stream_ends_with_what_it_was_opened_with(service: Service, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(bounds, "FEED_LOOK", 0.01)
    later, feed = Later(service.clock), service.service.capabilities().feed
    monkeypatch.setattr(service.server._auth, "_now", later.monotonic)
    login = await service.call("POST", "/v1/session", json.dumps({"token": TOKEN}).encode())
    cookie = login.headers["set-cookie"].partition(";")[0]
    header = f"Authorization: Bearer {TOKEN}\r\n" if "bearer" in how else f"Cookie: {cookie}\r\n"
    async with following(service, over=service.port, header=header) as stream, following(service) as over_socket:
        later.by = IDLE - 60
        feed.tell(AlertEvent(1.0, "clock", "", "still told", False))
        assert (await stream.event())[1]["text"] == "still told"
        if how == "ended":
            await service.call("DELETE", "/v1/session", Cookie=cookie, Origin=f"http://127.0.0.1:{service.port}")
        elif how == "idle":
            later.by = IDLE + 60  # what was told meanwhile was no use of it
        else:
            service.server.admit((), "another", ())
        feed.tell(AlertEvent(1.0, "clock", "", "told to others", False))
        async with asyncio.timeout(5):
            assert (await stream._reader.read()).strip() == b"0"
        assert (await over_socket.event())[1]["text"] == "still told"
        assert (await over_socket.event())[1]["text"] == "told to others"


async def test_what_no_encoding_has_ends_no_stream(service: Service):
    async with following(service) as stream:
        attempt = Attempt(ip_address(GOOD), sender="j\ud800@example.org", recipient="b@example.com")
        await service.service.runtime.policy.verdict_on(attempt, record=True)
        assert (await stream.event())[1]["sender"] == "j\ud800@example.org"
        await service.call("POST", "/v1/verdict", ATTEMPT.replace(b"%s", LISTED.encode()))
        assert (await stream.event())[0] == "verdict"


async def test_faulty_filters(service: Service):
    assert is_problem(await service.call("GET", "/v1/events?client=nobody", token=TOKEN), 400)
    assert is_problem(await service.call("GET", "/v1/events?action=perhaps", token=TOKEN), 400)


async def test_who_does_not_read_is_told_what_was_lost_and_then_disconnected(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "FEED_PATIENCE", 0.3)
    feed = service.service.capabilities().feed
    sock = socket.socket(socket.AF_UNIX)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, str(service.socket))
    await loop.sock_sendall(sock, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _ in range(400):
        for _ in range(300):
            feed.tell(AlertEvent(1.0, "clock", "", "x" * 500, False))
        await asyncio.sleep(0.01)
        if not feed._listeners and service.counters.get("feed_dropped"):
            break
    sock.close()
    assert not feed._listeners
    assert service.counters.get("feed_dropped") > 0


async def test_the_end_of_the_daemon_is_not_kept_up_by_listeners(service: Service):
    async with following(service) as stream:
        service.service.end_feed()
        async with asyncio.timeout(1):
            assert (await stream._reader.read()).strip() == b"0"
