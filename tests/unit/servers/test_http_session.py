"""Sessions of the dashboard: how one is had, what its cookie is good for, and when it ends."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from rawhttp import Response, Service, is_problem
from served import TOKEN

from resolverd import bounds
from resolverd.servers.http.auth import Auth
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.sessions import FAILURES, FAILURES_WITHIN, IDLE, LONGEST, FailedLogins, Sessions


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.end()


async def log_in(service: Service, token: str = TOKEN, **headers: str) -> Response:
    return await service.call("POST", "/v1/session", b'{"token": "%s"}' % token.encode(), **headers)


def cookie_of(response: Response) -> str:
    cookie, *attributes = response.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    return cookie


async def test_a_cookie_stands_in_for_the_token(service: Service) -> None:
    response = await log_in(service, f"{TOKEN}\\n")
    assert response.document == {
        "by": "session", "rights": ["verdict", "lookup", "lists", "cache", "trace"], "expires": 1800,
    }  # fmt: skip
    cookie, ours = cookie_of(response), f"http://127.0.0.1:{service.port}"
    assert TOKEN not in cookie
    assert (await service.call("GET", "/v1/verdicts", Cookie=cookie)).status == 200
    assert (await service.call("GET", "/v1/verdicts", Cookie=f"other=1; {cookie}", Sec_Fetch_Site="same-origin")).status == 200
    assert (await service.call("DELETE", "/v1/cache", Cookie=cookie, Origin=ours)).status == 200
    who = (await service.call("GET", "/v1/session", Cookie=cookie)).document
    assert (who["by"], who["expires"] > 1700) == ("session", True)
    ended = await service.call("DELETE", "/v1/session", Cookie=cookie, Origin=ours)
    assert (ended.status, ended.document["by"]) == (200, None)
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert is_problem(await service.call("GET", "/v1/verdicts", Cookie=cookie), 401)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Sec_Fetch_Site": "cross-site"}, 401),
        ("GET", {"Sec_Fetch_Site": "same-site"}, 401),
        ("GET", {"Origin": "http://evil.example"}, 403),
        ("GET", {"Origin": "null"}, 403),
        ("GET", {"Cookie": "resolverd_session="}, 401),
        ("GET", {"Cookie": "resolverd_session=x"}, 401),
        ("DELETE", {}, 401),
        ("DELETE", {"Origin": "http://127.0.0.1:1"}, 403),
        ("DELETE", {"Origin": "{ours}", "Sec_Fetch_Site": "same-site"}, 403),
        ("DELETE", {"Origin": "{ours}", "Sec_Fetch_Site": "same-origin"}, 200),
    ],
)
async def test_a_cookie_counts_for_our_own_page_only(
    service: Service, method: str, headers: dict[str, str], status: int
) -> None:
    cookie = cookie_of(await log_in(service))
    given = {name: value.format(ours=f"http://127.0.0.1:{service.port}") for name, value in headers.items()}
    path = "/v1/verdicts" if method == "GET" else "/v1/cache"
    assert (await service.call(method, path, **{"Cookie": cookie, **given})).status == status


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
async def test_pages_of_other_sites_log_nobody_in_or_out(service: Service, headers: dict[str, str]) -> None:
    assert is_problem(await log_in(service, **headers), 403)
    cookie = cookie_of(await log_in(service))
    assert is_problem(await service.call("DELETE", "/v1/session", Cookie=cookie, **headers), 403)
    assert (await service.call("DELETE", "/v1/session", Cookie=cookie)).status == 200  # no Origin: nothing is ended
    assert (await service.call("GET", "/v1/verdicts", Cookie=cookie)).status == 200


async def test_another_token_ends_all_sessions(service: Service) -> None:
    cookie = cookie_of(await log_in(service))
    service.server.admit((), TOKEN, ())
    assert (await service.call("GET", "/v1/verdicts", Cookie=cookie)).status == 200
    service.server.admit((), "another-token", ())
    assert is_problem(await service.call("GET", "/v1/verdicts", Cookie=cookie), 401)


async def test_wrong_tokens_are_logged_without_them_and_not_for_ever(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answers = [await log_in(service, "wrong-one") for _ in range(FAILURES + 3)]
    assert [each.status for each in answers] == [401] * FAILURES + [429] * 3
    assert all(is_problem(each, each.status) for each in answers)
    assert 0 < int(answers[-1].headers["retry-after"]) <= FAILURES_WITHIN + 1
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["a wrong token for a session, from 127.0.0.1 over HTTP"] * FAILURES
    assert (await log_in(service)).status == 200  # whoever fails keeps nobody else out


async def test_who_fails_through_a_proxy_keeps_nobody_else_out(service: Service) -> None:
    last = [(await log_in(service, "wrong", X_Forwarded_For="10.0.0.1, 192.0.2.7")).status for _ in range(FAILURES + 1)][-1]
    assert last == 429
    for headers in ({"X_Forwarded_For": "192.0.2.7, 192.0.2.8"}, {}):
        assert (await log_in(service, "wrong", **headers)).status == 401


def test_who_is_elsewhere_is_one_whatever_proxy_he_says_he_comes_through() -> None:
    auth = Auth(lambda: 0.0)
    auth.admit((), TOKEN, ())
    answers = []
    for number in range(FAILURES + 1):
        request = make_mocked_request("POST", "/v1/session", {"X-Forwarded-For": f"192.0.2.{number}", "Host": "mx"})
        with pytest.raises(Problem) as refused:
            auth.log_in(request.clone(remote="198.51.100.7"), "wrong")
        answers.append(refused.value.status)
    assert answers == [401] * FAILURES + [429]


async def test_who_one_is(service: Service, tmp_path: Path) -> None:
    nobody = (await service.call("GET", "/v1/session")).document
    assert nobody == {"by": None, "rights": ["verdict", "lookup", "lists"], "expires": None}
    assert (await service.call("GET", "/v1/session", token=TOKEN)).document["by"] == "token"
    assert (await service.call("GET", "/v1/session", over=service.socket)).document["by"] == "socket"
    assert is_problem(await log_in(service, ""), 401)
    for body in (b"{}", b'{"token": 1}', b'{"token": "%s"}' % (b"x" * 1025)):
        assert is_problem(await service.call("POST", "/v1/session", body), 400)


async def test_without_a_token_nobody_logs_in(tmp_path: Path) -> None:
    service = Service(tmp_path, token=None)
    await service.start()
    assert is_problem(await log_in(service, "None"), 401)
    assert is_problem(await log_in(service, ""), 401)
    await service.end()


# -- their table


def test_a_session_ends_when_it_is_idle_and_after_half_a_day() -> None:
    sessions = Sessions()
    cookie = sessions.open(0)
    now = 0.0
    while now + IDLE / 2 < LONGEST:
        now += IDLE / 2
        left = sessions.use(cookie, now)
        assert left is not None
        assert left == min(IDLE, LONGEST - now)
    assert sessions.use(cookie, LONGEST) is None
    assert sessions.use(cookie, now) is None
    fresh = sessions.open(0)
    assert sessions.use(fresh, IDLE - 0.1) is not None
    assert sessions.use(fresh, 2 * IDLE) is None


def test_sessions_have_a_bound_and_those_in_use_stay() -> None:
    sessions = Sessions()
    first, second, *_ = [sessions.open(0) for _ in range(bounds.HTTP_SESSIONS)]
    sessions.use(first, 1)
    sessions.open(2)
    assert sessions.use(first, 3) is not None
    assert sessions.use(second, 3) is None


def test_failures_are_forgotten_and_have_a_bound() -> None:
    failed = FailedLogins()
    assert [failed.add("a", 0) for _ in range(FAILURES + 1)] == [0] * FAILURES + [FAILURES_WITHIN]
    assert failed.add("a", 10) == FAILURES_WITHIN - 10
    assert failed.add("b", 10) == 0
    assert failed.add("a", FAILURES_WITHIN) == 0
    for number in range(bounds.HTTP_FAILED_LOGINS + 10):
        failed.add(number, 100)
    assert len(failed._failed) == bounds.HTTP_FAILED_LOGINS
