"""The history of verdicts over HTTP: its form, its questions, its pages, and what it costs the daemon."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
from rawhttp import Service, is_problem
from served import GOOD, LISTED, TOKEN

from resolverd import bounds
from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt
from resolverd.policy.verdict_records import Summary, summary
from resolverd.policy.verdicts import PAGE
from resolverd.pseudonyms import Pseudonyms
from resolverd.servers.http.routes import history


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.end()


async def attempt(service: Service, client: str, sender: str, recipient: str = "bob@example.com", **more: object) -> str:
    given = {"client_address": client, "helo_name": "Mail.Example.org", "sender": sender, "recipient": recipient, **more}
    return str((await service.call("POST", "/v1/verdict", json.dumps(given).encode())).document["id"])


async def test_verdicts_are_found_by_what_they_are_on_and_what_came_of_them(service: Service) -> None:
    refused = await attempt(service, LISTED, "ann@news.example.org", client_name="mail.example.org")
    waits = await attempt(service, GOOD, "", "alice@example.net")
    await attempt(service, GOOD, "x@example.org", dry_run=True)
    await attempt(service, GOOD, "x@example.org", protocol_state="DATA")

    async def found(question: str) -> list[str]:
        response = await service.call("GET", f"/v1/verdicts?{question}", token=TOKEN)
        assert (response.status, response.document["next"]) == (200, None)
        return [each["id"] for each in response.document["items"]]

    [first, second] = (await service.call("GET", "/v1/verdicts", token=TOKEN)).document["items"]
    assert first["id"] == waits
    assert (first["action"], first["sender"], first["recipient"]) == ("greylist", "", "alice@example.net")
    at = datetime.fromisoformat(second.pop("at"))
    assert timedelta() <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert second == {
        "id": refused, "action": "reject", "reason": second["reason"], "client_address": LISTED,
        "client_name": "mail.example.org", "helo_name": "Mail.Example.org", "sender": "ann@news.example.org",
        "recipient": "bob@example.com", "codes": ["sender_domain_not_found", "dnsbl_listed"], "lists": ["spamhaus-zen"],
        "score": second["score"], "host": None,
    }  # fmt: skip
    later = quote((at + timedelta(minutes=5)).isoformat())
    for question, expected in {
        "": [waits, refused],
        "action=reject": [refused],
        f"client={LISTED}": [refused],
        "client=81.2.69.0%2F24": [waits, refused],
        "client=2001:db8::1": [],
        "sender=example.org": [refused],
        "sender=%3C%3E": [waits],
        "recipient=bob%40EXAMPLE.com": [refused],
        "code=dnsbl_listed": [refused],
        "list=spamhaus-zen": [refused],
        "list=zen.spamhaus.org": [refused],
        "list=psbl": [],
        "text=ALICE": [waits],
        "since=1h": [waits, refused],
        f"since={later}": [],
        f"until={later}": [waits, refused],
        "until=1h": [],
        f"after={waits}": [refused],
        f"action=greylist&client={GOOD}&sender=": [waits],
    }.items():
        assert await found(question) == expected, question
    service.service._shared.verdicts.write()
    assert await found("") == [waits, refused]


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ("since=yesterday", 400), ("since=2026-01-01T00:00:00", 400), ("until=99999d", 400), ("action=bounce", 400),
        ("client=192.0.2.300", 400), ("client=a%2Fb", 400), ("limit=0", 400), ("limit=501", 400), ("limit=x", 400),
        ("senders=x", 400), ("text=" + "x" * 1025, 400), ("after=NOSUCH", 410),
    ],
)  # fmt: skip
async def test_faulty_questions(service: Service, question: str, status: int) -> None:
    assert is_problem(await service.call("GET", f"/v1/verdicts?{question}", token=TOKEN), status)


async def test_a_log_that_names_nobody_is_a_history_that_names_nobody(service: Service) -> None:
    earlier = await attempt(service, LISTED, "earlier@example.org")
    pseudonyms = Pseudonyms(b"key")
    service.service.name_by(pseudonyms)
    later = await attempt(service, LISTED, "later@example.org")
    response = await service.call("GET", "/v1/verdicts", token=TOKEN)
    assert [each["id"] for each in response.document["items"]] == [later, earlier]
    assert b"example" not in response.body.lower()
    assert LISTED.encode() not in response.body
    for question, expected in {
        "sender=later%40example.org": [later], "sender=earlier%40example.org": [earlier], f"client={LISTED}": [later, earlier],
    }.items():  # fmt: skip
        items = (await service.call("GET", f"/v1/verdicts?{question}", token=TOKEN)).document["items"]
        assert [each["id"] for each in items] == expected
    service.service.name_by(None)
    assert b"later@" not in (await service.call("GET", "/v1/verdicts", token=TOKEN)).body  # it was not kept
    assert (await service.call("GET", f"/v1/verdict/{later}", token=TOKEN)).document["attempt"]["sender"] == pseudonyms.of(
        "later@example.org"
    )


async def test_many_verdicts_are_gone_through_a_little_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in verdicts that are read, as time tells little on a busy machine."""
    monkeypatch.setattr(bounds, "HISTORY_READ", 600)
    kept = service.service._shared.verdicts
    given = Attempt(client_name="mail.example.net", helo_name="mail.example.net", sender="a@example.net", recipient="b@x.example")
    for number in range(2000):
        kept.put(Verdict(f"R{number:04}", Action.ACCEPT, 0, "", client=ip_address(0xC0000200 + number % 500)), given)
        if number == 1500:
            kept.write()
    in_turn: list[int] = [0]
    per_call: list[int] = []

    def counted(octets: bytes) -> Summary | None:
        in_turn[-1] += 1
        per_call[-1] += 1
        return summary(octets)

    async def beat() -> None:
        while True:
            in_turn.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(history, "summary", counted)
    beating = asyncio.create_task(beat())
    found: list[str] = []
    for question in ("text=nowhere", f"limit={bounds.HISTORY_ITEMS}"):
        after: str | None = ""
        while after is not None:
            per_call.append(0)
            page = (await service.call("GET", f"/v1/verdicts?{question}&after={after}", token=TOKEN)).document
            found, after = found + [each["id"] for each in page["items"]], page["next"]
    assert found == [f"R{number:04}" for number in reversed(range(2000))]
    assert max(in_turn) <= bounds.HISTORY_TURN
    assert max(per_call) <= 600 + PAGE
    per_call.append(0)
    page = (await service.call("GET", "/v1/verdicts?client=192.0.2.9&limit=500", token=TOKEN)).document
    assert [each["id"] for each in page["items"]] == ["R1509", "R1009", "R0509", "R0009"]
    assert per_call[-1] == 4
    beating.cancel()
