"""The dashboard for everybody: axe-core finds nothing, a phone shows all of it, a keyboard reaches all of it; it prints."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect
from served import LISTED, TOKEN, Served

from .conftest import Judge, Opener

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
FOUND = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
    (each) => `${each.id}: ${each.help}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390), ("dark", 1440), ("light", 390)])
def test_axe_finds_nothing_and_nothing_overflows(opened: Opener, judge: Judge, theme: str, width: int):
    refused = judge(LISTED, "a.long.sender.address.with.much.to.say+1234567890abcdef@example.org")
    page = opened(theme=theme, width=width)
    page.evaluate("localStorage.clear()")
    everywhere = ("now", "lists", "cache", "greylist", "overrides", "own", f"search/{LISTED}", f"verdict/{refused.id}")
    found: dict[str, list[str]] = {}
    for view in everywhere if (theme, width) in (("light", 1440), ("dark", 390)) else everywhere[:2]:
        page.goto(f"/#/{view}")
        expect(page.locator(".view .card, .view .tile").first).to_be_visible()
        page.wait_for_load_state("networkidle") if view != "now" else expect(page.locator("#feed tbody tr").first).to_be_visible()
        page.evaluate(AXE)
        if faults := page.evaluate(FOUND):
            found[view] = faults
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    assert found == {}


def test_dialogs_and_what_is_locked(opened: Opener):
    page = opened("overrides")
    page.locator("#override-add").click()
    page.evaluate(AXE)
    assert page.evaluate(FOUND) == []
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#override-add")).to_be_focused()
    page.locator("#session").click()
    expect(page.locator(".locked")).to_be_visible()
    assert page.evaluate(FOUND) == []


def test_by_keyboard_alone(opened: Opener):
    page = opened(signed_in=False)
    expect(page.locator("#plot-verdicts")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"span-24h", "plot-verdicts", "Figures"} <= set(seen)
    assert "skip" in seen, "a trap: the focus never leaves the page"
    page.locator("#plot-verdicts").focus()
    page.keyboard.press("Home")
    first = page.locator("#plot-verdicts").get_attribute("aria-valuetext")
    page.keyboard.press("End")
    last = page.locator("#plot-verdicts").get_attribute("aria-valuetext")
    assert first != last
    assert "did not run" in (first or "")
    width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
    assert width >= 2


def test_the_theme_is_chosen_and_stays(opened: Opener):
    page = opened(theme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    page.locator("#theme").click()
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    assert page.evaluate(ground) == dark
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator(".plot").first).to_be_visible()


def test_times_are_local_and_their_titles_utc(opened: Opener, judge: Judge):
    given = judge(LISTED, "t@example.org")
    page = opened(f"verdict/{given.id}")
    time = page.locator("dd time")
    hour = int((time.get_attribute("datetime") or "")[11:13])
    assert int(time.inner_text().rpartition(" ")[2][:2]) in ((hour + 1) % 24, (hour + 2) % 24)  # Vienna
    assert (time.get_attribute("title") or "").endswith(" UTC")


def test_files_are_ours_alone_and_known_by_their_tag(opened: Opener, served: Served):
    page = opened()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.locator(".tile").first).to_be_visible()
    assert len(asked) > 10
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{served.port}"}
    got = page.context.request.get("/dashboard/main.js")
    again = page.context.request.get("/dashboard/main.js", headers={"If-None-Match": got.headers["etag"]})
    assert (got.headers["cache-control"], again.status, again.body()) == ("no-cache", 304, b"")
    assert got.headers["content-type"].startswith("text/javascript")
    assert page.context.request.get("/dashboard/nothing.js").status == 404
    assert page.context.request.get("/dashboard/..%2fapp.py").status == 404
    assert TOKEN not in page.context.request.get("/").text()
