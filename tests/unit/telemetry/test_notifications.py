"""Notices delivered: by a real sendmail program, by SMTP, to a real HTTP server; and what becomes of those that are not."""

import asyncio
import json
from collections.abc import AsyncIterator
from email.message import EmailMessage
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from served import Served, bound
from virtualtime import virtual

from resolverd import bounds
from resolverd.app.alerts import Lookup
from resolverd.config import parse
from resolverd.metrics import Counters
from resolverd.policy.history import Wanted
from resolverd.telemetry import sendmail, webhook
from resolverd.telemetry.alerts import Notice
from resolverd.telemetry.feed import Filter
from resolverd.telemetry.notifier import RETRIES, Way
from resolverd.telemetry.sendmail import NotDelivered
from resolverd.telemetry.troubles import CLOCK, Condition, Trouble

NOTICE = Notice(CLOCK, (Trouble(CLOCK, "", "it is 1970"),), ended=False)


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "resolverd@mx.example.com", "root@example.com", "a test"
    mail.set_content("it is 1970\n.\n")
    return mail


def program(folder: Path, text: str) -> str:
    path = folder / "sendmail"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# -- mail ---------------------------------------------------------------------------------------------------------------


async def test_a_sendmail_has_the_mail_on_its_input(tmp_path: Path):
    path = program(tmp_path, f'echo "$@" >{tmp_path}/argv; cat >{tmp_path}/mail')
    await sendmail.send(message(), path)
    assert (tmp_path / "argv").read_text().split() == ["-i", "-t"]
    assert (tmp_path / "mail").read_bytes() == message().as_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo queue full >&2; exit 75", "status 75: queue full"), ("exec sleep 60", "within 0.2 s"), ("exit 0", None)],
)
async def test_a_sendmail_that_fails_hangs_or_does_not_read(
    tmp_path: Path, text: str, said: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sendmail, "PATIENCE", 0.2 if said and "within" in said else 10.0)
    if said is None:
        await sendmail.send(message(), program(tmp_path, text))
        return
    with pytest.raises(NotDelivered, match=said):
        await sendmail.send(message(), program(tmp_path, text))


async def test_no_such_program(tmp_path: Path):
    with pytest.raises(NotDelivered, match="No such file"):
        await sendmail.send(message(), str(tmp_path / "none"))


async def test_without_a_program_smtp_is_spoken():
    lines: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        in_data = False
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            lines.append(line)
            if in_data:
                in_data = line != b".\r\n"
                reply = b"" if in_data else b"250 queued\r\n"
            else:
                in_data = line.upper().startswith(b"DATA")
                reply = b"354 go on\r\n" if in_data else b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n"
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await sendmail.send(message(), None, port)
    server.close()
    assert any(line.upper().startswith(b"RCPT TO:<ROOT@EXAMPLE.COM>") for line in lines)
    assert b"..\r\n" in lines
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1 port"):
        await sendmail.send(message(), None, port)


def test_who_may_gain_no_privileges_has_no_sendmail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    status = tmp_path / "status"
    monkeypatch.setattr(sendmail, "_STATUS", status)
    monkeypatch.setattr(sendmail, "PATHS", (str(tmp_path / "none"), program(tmp_path, "")))
    status.write_text("Name:\tx\nNoNewPrivs:\t0\n")
    assert sendmail.program() == str(tmp_path / "sendmail")
    status.write_text("Name:\tx\nNoNewPrivs:\t1\n")
    assert sendmail.program() is None
    status.unlink()
    monkeypatch.setattr(sendmail, "PATHS", ())
    assert sendmail.program() is None


# -- webhook ------------------------------------------------------------------------------------------------------------


class Hook:
    """A real HTTP server."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, object]] = []
        self.answer = web.Response

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        sock = bound()
        self.port = sock.getsockname()[1]
        await web.SockSite(self._runner, sock).start()

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append((request.path, request.host, json.loads(await request.read() or b"null")))
        response = self.answer()
        if asyncio.iscoroutine(response):
            await response
        return response if isinstance(response, web.Response) else web.Response()

    async def end(self) -> None:
        await self._runner.cleanup()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    await hook.start()
    yield hook
    await hook.end()


async def nowhere(host: str, version: int) -> list:
    return []


async def here(host: str, version: int) -> list:
    assert host == "hooks.example.org"
    return [ip_address("127.0.0.1")] if version == 4 else []


async def test_a_document_is_posted_to_where_our_own_resolver_says(hook: Hook):
    await webhook.post(f"http://hooks.example.org:{hook.port}/secret", {"a": "ä"}, here)
    assert hook.got == [("/secret", f"hooks.example.org:{hook.port}", {"a": "ä"})]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: web.Response(status=500), "answered 500"),
        (lambda: web.Response(status=302, headers={"Location": "/elsewhere"}), "answered 302, and redirects are not followed"),
        (lambda: asyncio.sleep(0.6), "no answer in time"),
    ],
)
async def test_what_does_not_count_as_delivered(hook: Hook, answer, said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook, "PATIENCE", 0.3)
    hook.answer = answer
    with pytest.raises(NotDelivered) as told:
        await webhook.post(f"http://127.0.0.1:{hook.port}/key", {}, nowhere)
    assert said in str(told.value)
    assert "key" not in str(told.value), "the path may be one"
    assert [path for path, _, _ in hook.got] == ["/key"]


@pytest.mark.parametrize("url", ["http://nowhere.example.org/key", "http://127.0.0.1:1/key", "https://127.0.0.1:{port}/key"])
async def test_nobody_is_there(hook: Hook, url: str):
    with pytest.raises(NotDelivered) as told:
        await webhook.post(url.format(port=hook.port), {}, nowhere)
    assert "key" not in str(told.value)


# -- retries ------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_notice_is_tried_again_and_given_up_in_the_end(caplog: pytest.LogCaptureFixture):
    tries: list[float] = []
    loop, counters = asyncio.get_running_loop(), Counters()

    async def send(notice: Notice) -> bool:
        tries.append(loop.time())
        if len(tries) in (1, 2, 3, 5, 6, 7, 8, 9):
            raise NotDelivered("away")
        return True

    way = Way("webhook", send, counters)
    task = asyncio.create_task(way.run())
    way.put(NOTICE)
    await asyncio.sleep(200)
    assert [round(after - before) for before, after in pairwise(tries)] == [5, 30, 120]
    assert counters.get("notifications", way="webhook", outcome="sent") == 1
    way.put(NOTICE)
    await asyncio.sleep(sum(RETRIES) + 1)
    assert counters.get("notifications", way="webhook", outcome="failed") == 1
    assert "given up, webhook could not deliver it (away): it is 1970" in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@virtual
async def test_those_that_wait_are_bounded():
    counters = Counters()
    gate = asyncio.Event()

    async def send(notice: Notice) -> bool:
        await gate.wait()
        return True

    way = Way("mail", send, counters)
    for _ in range(bounds.NOTICES_WAITING + 2):
        way.put(NOTICE)
    task = asyncio.create_task(way.run())
    gate.set()
    await asyncio.sleep(1)
    assert counters.get("notifications", way="mail", outcome="failed") == 2
    assert counters.get("notifications", way="mail", outcome="sent") == bounds.NOTICES_WAITING
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# -- the whole ----------------------------------------------------------------------------------------------------------


async def test_a_daemon_tells_by_mail_by_webhook_and_to_listeners(tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch):
    url = f'[alerts]\nmail = ["root"]\nwebhook = "http://hooks.example.org:{hook.port}/x"\n'
    alerts = parse(url, tmp_path).alerts
    path = program(tmp_path, f"cat >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/mail")
    monkeypatch.setattr(sendmail, "program", lambda: path)
    served = Served(tmp_path, alerts=msgspec.structs.asdict(alerts))
    served.net.root.add("hooks.example.org. A 127.0.0.1")
    await served.start()
    daemon, notifier = served.service.capabilities(), served.service._notifier
    monkeypatch.setattr(Lookup, "__call__", lambda self, host, version: here(host, version))
    tasks = [asyncio.create_task(way.run()) for way in notifier.ways]
    with daemon.feed.listening(Filter(Wanted(0.0, float("inf")))) as listener:
        assert listener is not None
        await notifier.tell(Condition(daemon.lists.statuses(), "", "it is 1970", "", 0, 0))
        assert [event.kind for event in (await listener.take())[0]] == ["clock"]  # type: ignore[union-attr]
        zen = daemon.lists._states["spamhaus-zen"]
        zen.enabled = False
        await notifier.tell(Condition(daemon.lists.statuses(), "", "it is 1970", "", 0, 0))
        [event] = (await listener.take())[0]
        assert (event.list, event.before, event.state) == ("spamhaus-zen", "ok", "disabled")  # type: ignore[union-attr]
    assert daemon.alerts()["clock"]
    for _ in range(500):
        if (tmp_path / "mail").exists() and hook.got:
            break
        await asyncio.sleep(0.01)
    assert "it is 1970" in (tmp_path / "mail").read_text()
    assert "To: root\n" in (tmp_path / "mail").read_text()
    assert hook.got[0][2]["kind"] == "clock"  # type: ignore[index]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    condition = await notifier._condition()
    assert condition.store_fault == ""
    await served.end()


async def test_hosts_are_looked_up_by_our_own_resolver(tmp_path: Path):
    served = Served(tmp_path)
    await served.start()
    lookup = Lookup(served.service.runtime.resolution.resolve, served.clock)
    assert await lookup("good.example.org", 4) == [ip_address("81.2.69.2")]
    assert await lookup("good.example.org", 6) == []
    assert await lookup("x" * 70, 4) == []
    await served.end()
