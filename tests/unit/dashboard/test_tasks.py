"""What a mail administrator does with the dashboard, done in a browser."""

import re
from ipaddress import ip_address
from pathlib import Path

from playwright.sync_api import Page, expect
from served import DNSWL, GOOD, LISTED, TOKEN, Served, serving

from resolverd.greylist.decide import Triplet, encode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.telemetry.counted import of_list

from .conftest import Judge, Opener, end_feed

HOSTILE = "<img src=x onerror=hacked=1>"


def test_without_the_token_what_loopback_may_read_and_what_to_do(opened: Opener):
    page = opened(signed_in=False)
    expect(page.locator(".tile").first).to_be_visible()
    expect(page.get_by_text("The live feed shows people's mail")).to_be_visible()
    page.locator("#session").click()
    page.locator("#token").fill("nonsense")
    page.locator("#ask-yes").click()
    expect(page.locator("#said")).to_have_text("This is not the token.")
    page.locator("#main [data-sign-in]").click()
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#feed-state")).to_have_text("live")
    assert TOKEN not in page.content()
    page.locator("#session").click()
    expect(page.get_by_text("The live feed shows people's mail")).to_be_visible()


def test_why_a_mail_was_refused_and_its_sender_allowed_in_two_clicks(opened: Opener, judge: Judge, served: Served):
    refused = judge(LISTED, "friend@example.org")
    assert refused.action == "reject"
    page = opened()
    page.locator("#query").fill(f"ref {refused.id.lower()}")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"Verdict {refused.id}")
    expect(page.locator("p.outcome")).to_contain_text("blocked using zen.spamhaus.org")
    expect(page.get_by_text("as 127.0.0.2")).to_be_visible()
    expect(page.get_by_role("link", name="friend@example.org")).to_be_visible()
    page.get_by_role("button", name="Allow this sender for 30 days").click()
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.locator("#said")).to_have_text("friend@example.org: allowed for 30 days.")
    assert judge(LISTED, "friend@example.org").action == "accept"
    page.get_by_role("link", name="Overrides").click()
    override = page.get_by_role("row").filter(has_text="friend@example.org")
    expect(override).to_contain_text(f"from {refused.id}")
    override.get_by_role("button", name="Take back").click()
    page.locator("#ask-yes").click()
    expect(page.get_by_text("Nobody is allowed or denied by hand.")).to_be_visible()
    assert judge(LISTED, "friend@example.org").action == "reject"


def test_an_override_with_scope_and_end(opened: Opener, served: Served):
    page = opened("overrides")
    page.locator("#override-add").click()
    page.get_by_label("Client, network, domain or sender").fill("192.0.2.0/24")
    page.get_by_label("Scope").select_option("greylist")
    page.get_by_label("For").select_option("7d")
    page.get_by_label("Reason").fill(HOSTILE)
    page.locator("#ask-yes").click()
    line = page.get_by_role("row").filter(has_text="192.0.2.0/24")
    expect(line).to_contain_text("greylisting")
    expect(line).to_contain_text(HOSTILE)
    [view] = served.service.capabilities().overrides.views("192.0.2.0/24")
    assert view.override.until - view.override.since == 7 * 86400
    page.locator("#override-add").click()
    page.get_by_label("Client, network, domain or sender").fill("co.uk")
    page.locator("#ask-yes").click()
    expect(page.locator("dialog h2")).to_have_text("Very wide")
    page.locator("#ask-no").click()
    assert served.service.capabilities().overrides.views("co.uk") == []
    line.get_by_role("button", name="Take back").click()
    page.locator("#ask-yes").click()
    expect(line).to_have_count(0)


def test_which_list_is_in_trouble(opened: Opener, tmp_path: Path):
    with serving(tmp_path, watch={"addresses": (ip_address(GOOD),)}) as daemon:
        page = opened("lists", daemon=daemon)
        expect(page.get_by_role("row").filter(has_text="list.dnswl.org")).to_contain_text("in use")
        daemon.refuse(DNSWL)
        lists = daemon.service.capabilities().lists
        for _ in range(2):
            daemon.do(lists.probe("dnswl", deadline=daemon.clock.monotonic() + 5))
        which_list(page)
        page.context.close()
        daemon.do(end_feed(daemon))


def which_list(page: Page) -> None:
    page.locator("#probe-dnswl").click()
    expect(page.locator(".note.bad")).to_contain_text("list.dnswl.org is unreachable")
    expect(page.get_by_role("row").nth(1)).to_contain_text("list.dnswl.org")
    page.get_by_role("link", name="Now").click()
    expect(page.locator(".trouble")).to_contain_text("list dnswl is unreachable: SERVFAIL")
    page.get_by_role("link", name="Own addresses").click()
    expect(page.get_by_role("row").filter(has_text=GOOD)).to_contain_text("not listed")


def test_what_a_list_is_worth(opened: Opener, served: Served):
    counts = {"asked": 900, "hits": 120, "unique_hits": 30, "decisive_hits": 7}
    week = served.service.capabilities().series.rings["7d"]
    week.tick({of_list("spamhaus-zen", what): count for what, count in counts.items()})
    page = opened("lists")
    cells = page.get_by_role("row").filter(has_text="zen.spamhaus.org").get_by_role("cell")
    shown = [int(cells.nth(at).inner_text()) for at in (2, 3, 4)]
    assert shown[0] >= 120
    assert shown[1] >= 30
    assert shown[2] >= 7
    expect(cells.nth(7)).to_contain_text(re.compile(r"\d+ mails would have come through; \d+ queries saved"))


def test_a_list_is_switched_off_and_on(opened: Opener, served: Served):
    page = opened("lists")
    page.locator("#off-spamhaus-dbl").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#said")).to_contain_text("dbl.spamhaus.org is not used")
    expect(page.locator("#off-spamhaus-dbl")).to_have_count(0)
    page.locator("#lists-all").click()
    page.locator("#on-spamhaus-dbl").click()
    expect(page.locator("dialog")).to_contain_text("commercial use")
    page.locator("#ask-yes").click()
    expect(page.locator("#off-spamhaus-dbl")).to_be_visible()
    status = served.service.capabilities().lists.status("spamhaus-dbl")
    assert status is not None
    assert status.enabled


def test_a_greylisted_mail_is_released(opened: Opener, judge: Judge, served: Served):
    waits = judge(GOOD, "shop@good.example.org", "good.example.org", "good.example.org")
    assert waits.action == "greylist"
    page = opened("greylist")
    line = page.get_by_role("row").filter(has_text="shop@good.example.org")
    expect(line).to_contain_text("anna@example.net")
    line.get_by_role("button", name="Release").click()
    expect(page.locator("#said")).to_have_text("Released: it is let in at its next try.")
    expect(line).to_have_count(0)
    assert judge(GOOD, "shop@good.example.org", "good.example.org", "good.example.org").action == "accept"
    page.goto("/#/search/shop@good.example.org")
    expect(page.locator(".group").get_by_text("passed").first).to_be_visible()
    page.goto("/#/greylist")
    now = int(served.clock.wall())
    waiting = encode_triplet(Triplet(now, now, passed=False))
    served.store.put(TRIPLETS, b"192.0.2.0/ben@example.com/anna@example.net", waiting, now + 1000)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("row").filter(has_text="ben@example.com").get_by_role("button", name="Forget").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#said")).to_have_text("1 record forgotten.")


def test_the_feed_is_live_and_filtered(opened: Opener, judge: Judge):
    judge(LISTED, "before@example.org")
    page = opened()
    expect(page.locator("#feed").get_by_text("before@example.org")).to_be_visible()
    expect(page.locator("#feed-state")).to_have_text("live")
    judge(LISTED, "after@example.org")
    first = page.locator("#feed tbody tr").first
    expect(first).to_contain_text("after@example.org")
    page.locator("#feed-sender").fill("other@example.org")
    page.locator("#feed-filter").click()
    expect(page.locator("#feed").get_by_text("after@example.org")).to_have_count(0)
    expect(page.locator("#feed-state")).to_have_text("live")
    judge(LISTED, "after@example.org")
    judge(LISTED, "other@example.org")
    expect(first).to_contain_text("other@example.org")
    expect(page.locator("#feed tbody tr")).to_have_count(1)
    page.locator("#pause").click()
    judge(LISTED, "other@example.org")
    expect(page.locator("#feed-state")).to_have_text("paused, 1 verdict waiting")
    expect(page.locator("#feed tbody tr")).to_have_count(1)
    page.locator("#pause").click()
    expect(page.locator("#feed tbody tr")).to_have_count(2)


def test_all_that_is_known_of_a_client_and_a_domain(opened: Opener, judge: Judge):
    judge(LISTED, "someone@example.org")
    page = opened()
    page.locator("#query").fill(LISTED)
    page.locator("#search button").click()
    expect(page.get_by_role("row").filter(has_text="listed by zen.spamhaus.org").first).to_contain_text("127.0.0.2")
    expect(page.get_by_role("row").filter(has_text="someone@example.org").first).to_be_visible()
    page.locator("#query").fill("example.org")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Search: example.org")
    expect(page.get_by_role("row").filter(has_text="dbl.spamhaus.org").first).to_contain_text("not listed")
    page.get_by_role("button", name="Ask every list of the catalogue").click()
    expect(page.get_by_text(LISTED).first).to_be_visible()


def test_what_strangers_say_is_text(opened: Opener, judge: Judge):
    given = judge(LISTED, f'"{HOSTILE}"@example.org', HOSTILE, HOSTILE)
    page = opened()
    expect(page.locator("#feed tbody tr").first).to_contain_text(HOSTILE)
    for view in (f"verdict/{given.id}", f"search/{HOSTILE}", "search/javascript:hacked=1", "cache", "verdict/%"):
        page.goto(f"/#/{view}")
        expect(page.locator("h1")).to_be_visible()
    page.goto(f"/#/verdict/{given.id}")
    expect(page.locator("dd", has_text=HOSTILE).first).to_be_visible()
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.locator("a[href^='javascript']").count() == 0


def test_what_is_cached_is_shown_and_forgotten(opened: Opener, judge: Judge):
    judge(LISTED, "c@example.org")
    page = opened("cache")
    page.get_by_label("Name").fill("mail.example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text=LISTED)).to_be_visible()
    page.locator("#flush-name").click()
    expect(page.get_by_text("Nothing is cached of mail.example.org.")).to_be_visible()


def test_a_daemon_that_goes_away_and_comes_back(opened: Opener, judge: Judge):
    page = opened("lists")
    expect(page.get_by_role("row").first).to_be_visible()
    page.context.set_offline(True)
    page.locator("#lists-all").click()
    expect(page.locator("#banner")).to_contain_text("resolverd does not answer")
    expect(page.get_by_role("row").filter(has_text="zen.spamhaus.org").first).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_empty()
    expect(page.get_by_role("row").filter(has_text="spamcop").first).to_be_visible()


def test_a_session_that_has_ended(opened: Opener):
    page = opened("overrides")
    expect(page.locator("#override-add")).to_be_visible()
    page.context.clear_cookies()
    page.locator("#override-add").click()
    page.get_by_label("Client, network, domain or sender").fill("192.0.2.7")
    page.locator("#ask-yes").click()
    expect(page.get_by_text("Overrides shows people's mail")).to_be_visible()
