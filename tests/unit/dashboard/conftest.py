"""Debian's Chromium on the dashboard of a daemon behind a scripted internet."""

import asyncio
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from served import GOOD, LISTED, TOKEN, Served, serving

from resolverd.mail.findings import Verdict
from resolverd.mail.request import Attempt
from tests.browser import ARGUMENTS, CHROMIUM

LOADING = "Failed to load resource"
"""What the browser says of an answer that is an error."""
PATIENCE = 15_000.0
"""Milliseconds for what must come to be seen."""

Judge = Callable[..., Verdict]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The daemon; one of the own addresses is listed."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    watched = (ip_address(LISTED), ip_address(GOOD))
    with serving(tmp_path_factory.mktemp("daemon"), watch={"addresses": watched}) as daemon:
        yield daemon
        daemon.do(end_feed(daemon))


async def end_feed(daemon: Served) -> None:
    """Whoever followed it has gone, which is seen when it is told something."""
    daemon.service.capabilities().feed.end()
    await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def judge(served: Served) -> Judge:
    """Has the daemon judge and record an attempt."""

    def judged(
        client: str = LISTED, sender: str = "a@example.org", helo: str = "mail.example.org", name: str = "unknown"
    ) -> Verdict:
        attempt = Attempt(
            client_address=ip_address(client),
            helo_name=helo,
            sender=sender,
            has_sender=True,
            recipient="anna@example.net",
            client_name=name,
            protocol_state="RCPT",
        )
        return served.do(served.service.capabilities().policy.verdict_on(attempt, record=True))

    return judged


Opener = Callable[..., Page]


@pytest.fixture
def opened(served: Served, browser: Browser) -> Iterator[Opener]:
    """Opens the page in a browser of its own; what it says to the console, or an exception, fails the test.

    What a server answers with an error the browser says as well; that is no fault of the page.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opens(
        view: str = "now", *, signed_in: bool = True, theme: str = "light", width: int = 1440, daemon: Served = served
    ) -> Page:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{daemon.port}",
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": width, "height": 900},
            timezone_id="Europe/Vienna",
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if signed_in:
            origin = {"Origin": f"http://127.0.0.1:{daemon.port}"}
            assert context.request.post("/v1/session", data={"token": TOKEN}, headers=origin).ok
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" and LOADING not in said.text else None)
        page.goto(f"/#/{view}")
        return page

    yield opens
    for context in contexts:
        context.close()
    assert faults == []


def eventually(condition: Callable[[], bool]) -> None:
    """Until it is so."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it has not come to that")
