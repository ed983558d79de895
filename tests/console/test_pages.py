"""Every page in a real browser, over a live system: real content, no complaint, nobody else asked, open to everybody."""

import json

import pytest
from consoles import TOKEN, Live
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DESK, PHONE = (1360, 900), (390, 844)

#: Page → what it shows of this system.
PAGES = {
    "now": ("/", "Throughput"),
    "events": ("/events", "predicted"),
    "events-dead": ("/events?state=dead", "its content is gone from the store"),
    "event-scan": ("/events/{scan}", "scan-chest-pneumonia"),
    "event-lab": ("/events/{lab}", "in-hospital death"),
    "event-note": ("/events/{note}", "note-specialty"),
    "patients": ("/patients", "Heard of last"),
    "patient": ("/patients/{patient}", "Timeline"),
    "dead": ("/dead", "its content is gone from the store"),
    "models": ("/models", "Does this frontal chest radiograph of a child show pneumonia?"),
    "backlog": ("/backlog", "archive of 2016"),
}


@pytest.fixture(scope="module")
def signed_in(live: Live) -> Live:
    """The browser has signed in by the form, as a person does."""
    live.browser.size(*DESK)
    live.browser.open("/")
    assert live.browser.text("h1") == "Sign in"
    live.browser.find("input[name=name]").send_keys("Ada Lovelace")
    live.browser.find("input[name=token]").send_keys(TOKEN, Keys.ENTER)
    live.browser.wait("return document.querySelector('.tiles') !== null")
    return live


def address(live: Live, page: str) -> str:
    return PAGES[page][0].format(**live.ids, patient=live.patient)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_with_real_content_and_asks_nobody_else(signed_in: Live, page: str):
    window = signed_in.browser
    window.size(*DESK)
    window.asked_for(), window.complaints()
    window.open(address(signed_in, page))
    if page == "event-scan":
        window.wait("return document.querySelector('.viewer').dataset.ready === '1'")
    assert PAGES[page][1] in window.text("body")
    assert window.complaints() == []
    assert window.strangers() == []
    window.keep(page)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_serious_accessibility_fault_in_light_and_dark(signed_in: Live, page: str):
    window = signed_in.browser
    for dark in (False, True):
        window.size(*DESK, dark=dark)
        window.open(address(signed_in, page))
        assert window.violations() == []
    if page in ("now", "event-lab"):
        window.keep(f"{page}-dark")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_phone(signed_in: Live, page: str):
    window = signed_in.browser
    window.size(*PHONE)
    window.open(address(signed_in, page))
    assert window.sideways() == 0
    if page in ("now", "events", "event-scan"):
        window.keep(f"{page}-phone")


def test_the_tabulator_reaches_every_filter_then_the_rows(signed_in: Live):
    window = signed_in.browser
    window.size(*DESK)
    window.open("/events")
    reached = window.tabbed_through(40)
    names = [one["name"] for one in reached if one["tag"] in ("INPUT", "SELECT")]
    assert list(dict.fromkeys(names)) == ["modality", "lane", "state", "outcome", "feed", "reason", "patient", "since", "until"]
    rows = [place for place, one in enumerate(reached) if one["href"].startswith("/events/")]
    last_filter = max(place for place, one in enumerate(reached) if one["name"] == "until")
    assert rows
    assert min(rows) > last_filter


def test_the_first_tabulator_offers_to_skip_the_menu(signed_in: Live):
    signed_in.browser.open("/events")
    assert signed_in.browser.tabbed_through(1)[0]["href"] == "#main"


def test_a_filter_is_used_by_the_keyboard_alone(signed_in: Live):
    window = signed_in.browser
    window.open("/events")
    window.find("input[name=reason]").send_keys("content is gone", Keys.ENTER)
    window.wait("return location.search.includes('reason=content')")
    assert {badge.text for badge in window.all("tbody .badge")} == {"dead"}


def middle(live: Live) -> int:
    """The grey in the middle of the image as drawn now."""
    script = (
        "const c = document.querySelector('canvas');return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]"
    )
    return int(live.browser.run(script))


def test_the_window_controls_change_the_image_at_once(signed_in: Live):
    window = signed_in.browser
    window.size(*DESK)
    window.open(address(signed_in, "event-scan"))
    window.wait("return document.querySelector('.viewer').dataset.ready === '1'")
    before = middle(signed_in)
    window.find("input[data-of=inverted]").click()
    window.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    assert middle(signed_in) == 255 - before
    level = window.find("input[data-of=centre]")
    level.send_keys(Keys.HOME)
    window.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    assert middle(signed_in) != 255 - before


def test_the_heat_map_lies_over_the_image(signed_in: Live):
    window = signed_in.browser
    window.open(address(signed_in, "event-scan"))
    window.wait("const h = document.querySelector('img.heat'); return h && h.complete && h.naturalWidth > 0")
    shown = window.run(
        "const size = (css) => document.querySelector(css).getBoundingClientRect(), a = size('img.heat'), b = size('.stage');"
        "return [a.width - b.width, a.height - b.height]"
    )
    assert shown == [0, 0]


def test_a_note_has_marked_words_and_a_window_has_weights(signed_in: Live):
    window = signed_in.browser
    window.open(address(signed_in, "event-note"))
    assert len(window.all(".document mark")) > 3
    window.open(address(signed_in, "event-lab"))
    assert len(window.all(".multiples svg.multiple")) > 8
    assert len(window.all(".lean")) == 5


def test_the_part_that_is_live_asks_for_itself_again(signed_in: Live):
    window = signed_in.browser
    window.open("/")
    first = window.text("div[data-live] > .hint time")
    window.wait(f"return document.querySelector('div[data-live] > .hint time').textContent !== {json.dumps(first)}")
    assert any(url.endswith("/live/now") for url in window.asked_for())


def test_dead_events_are_retried_after_a_confirmation_and_it_is_written_who_did_it(signed_in: Live):
    window = signed_in.browser
    window.size(*DESK)
    window.open("/dead")
    window.find("input[name=group]").click()
    window.find("button[value=retry]").click()
    window.wait("return location.pathname === '/dead/confirm'")
    assert window.text("h1") == "Retry 4 events?"
    assert window.violations() == []
    window.keep("dead-confirm")
    window.find("input[name=reason]").send_keys("the store is back", Keys.ENTER)
    window.wait("return location.pathname === '/dead'")
    assert "4 retry" in window.text(".notice")
    deeds = signed_in.up.ledger.rows("SELECT who, act, reason FROM actions WHERE act = 'retry'")
    assert deeds == [{"who": "Ada Lovelace", "act": "retry", "reason": "the store is back"}] * 4
    assert "Ada Lovelace" in window.driver.find_element(By.TAG_NAME, "main").text


def test_a_backlog_is_paused_and_resumed(signed_in: Live):
    window = signed_in.browser
    window.open("/backlog")
    for act, state in (("pause", "paused"), ("resume", "running")):
        window.find(f"button[value={act}]").click()
        window.wait(f"return location.search === '?done={act}'")
        assert signed_in.up.ledger.rows("SELECT state FROM backlogs") == [{"state": state}]
    assert [row["who"] for row in signed_in.up.ledger.rows("SELECT who FROM actions WHERE act LIKE '%backlog%'")] == [
        "Ada Lovelace"
    ] * 2


def test_an_image_is_there_without_any_script(signed_in: Live):
    window = signed_in.browser
    window.open(address(signed_in, "event-scan"))
    assert window.run("const i = document.querySelector('img.picture'); return i.getAttribute('src')").startswith("/events/")
    window.open(f"/events/{signed_in.ids['scan']}/image.png")
    assert window.run("return document.images[0].naturalWidth") > 100
