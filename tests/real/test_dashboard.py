"""The dashboard of a daemon behind a real Postfix: a refusal explained, its sender allowed, a greylisted mail released."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import ARGUMENTS, CHROMIUM
from tests.lab.daemon import LAB
from tests.lab.lab import Lab
from tests.lab.resolverd import CONFIG, HTTP

SPAMMER = ("192.0.2.66", "mail.spam-factory.net", "offer@spam-factory.net")
CLUB = ("192.0.2.20", "mx.gardening-club.org", "tulips@gardening-club.org")
BANK = ("198.51.100.50", "mx.trusted-bank.com", "statements@trusted-bank.com")


def test_what_a_person_does_when_mail_is_refused_or_waits(lab: Lab) -> None:
    patient = CONFIG.replace('delay = "1s"', 'delay = "1h"')
    with lab.stack("resolverd", config=patient), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(base_url=HTTP)
        page.goto("/")
        page.locator("#session").click()
        page.locator("#token").fill((LAB / "resolverd" / "state" / "token").read_text())
        page.keyboard.press("Enter")
        expect(page.locator("#feed-state")).to_have_text("live")
        _refused_and_allowed(lab, page)
        _waiting_and_released(lab, page)
        browser.close()


def _refused_and_allowed(lab: Lab, page: Page) -> None:
    refused = lab.deliver(*SPAMMER)
    assert refused.refused
    found = re.search(r"ref (\w+)", refused.reply.text)
    assert found is not None
    expect(page.locator("#feed tbody tr").first).to_contain_text("blocked using zen.spamhaus.org")
    page.locator("#query").fill(found[0])
    page.keyboard.press("Enter")
    reply = page.locator("dd code").filter(has_text=found[1]).last
    expect(reply).to_contain_text("blocked using zen.spamhaus.org")
    assert reply.inner_text().removeprefix("554 5.7.1 ") in refused.reply.text  # Postfix says before it whose recipient it is
    page.locator("#allow-sender").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#said")).to_contain_text("allowed for 30 days")
    assert lab.deliver(*SPAMMER).accepted


def _waiting_and_released(lab: Lab, page: Page) -> None:
    assert lab.deliver(*BANK).accepted
    assert lab.deliver(*CLUB).deferred
    page.get_by_role("link", name="Greylist").first.click()
    page.get_by_role("row").filter(has_text=CLUB[2]).get_by_role("button", name="Release").click()
    expect(page.locator("#said")).to_contain_text("Released")
    assert lab.deliver(*CLUB).accepted
    page.goto("/#/now")
    expect(page.locator("#feed tbody tr").first).to_contain_text("accepted")
    expect(page.locator("#feed tbody tr").first).to_contain_text(CLUB[2])
