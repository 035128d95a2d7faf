"""The page as somebody uses it, in a real browser."""

import os
import re
import time

import pytest

from tests.experiments.chromium import CHROMIUM

# Where changes are checked there is a browser, or the check has failed.
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium")

PLAY, PAUSE = "▶", "❚❚"


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def block(page):
    return int(page.locator(".block-number").inner_text().replace(",", ""))


def wait_for_block(page, number, seconds=20):
    deadline = time.monotonic() + seconds
    while block(page) < number:
        assert time.monotonic() < deadline, f"block {block(page)} instead of {number}"
        page.wait_for_timeout(30)


def settled(page):
    """The block number once it stands still."""
    last = -1
    while (now := block(page)) != last:
        last = now
        page.wait_for_timeout(300)
    return now


def choose(page, label, option):
    # The input itself is covered; what surrounds it can be waited for until it is there and stands still.
    page.locator(".v-select__slot").filter(has=page.get_by_label(label, exact=True)).click()
    page.get_by_role("option", name=option, exact=True).click()


def field(page, label):
    return page.get_by_label(re.compile(f"^{re.escape(label)}( \\(|$)"))


def type_into(page, label, text):
    field(page, label).fill(text)
    field(page, label).press("Enter")


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def charts(page):
    return page.locator("[role=img]:visible")


def test_page_says_what_to_do(opened):
    page = opened().page
    assert page.title() == "Blockspace"
    assert page.get_by_text("Nothing yet: press ▶").first.is_visible()


def test_solara_serves_the_same_page(opened, address_of_solara):
    page = opened(address=address_of_solara).page
    button(page, "Step").click()
    wait_for_block(page, 1)


def test_step_play_pause_and_reset(opened):
    page = opened().page
    button(page, "Step").click()
    wait_for_block(page, 1)
    assert settled(page) == 1
    price = page.locator(".bs-value").nth(1).inner_text()
    button(page, PLAY).click()
    wait_for_block(page, 10)
    button(page, PAUSE).click()
    assert settled(page) >= 10
    for name in ("Order book", "Depth", "Spread and slippage", "Depth through time"):
        assert page.locator(f"section[aria-label='{name}'] canvas").is_visible()
    button(page, "Reset").click()
    page.get_by_text("Nothing yet: press ▶").first.wait_for()
    assert block(page) == 0
    # The same seed sees the same price; another one does not.
    button(page, "Step").click()
    wait_for_block(page, 1)
    assert page.locator(".bs-value").nth(1).inner_text() == price
    type_into(page, "Seed", "99")
    button(page, "Reset").click()
    page.get_by_text("Nothing yet: press ▶").first.wait_for()
    button(page, "Step").click()
    wait_for_block(page, 1)
    assert page.locator(".bs-value").nth(1).inner_text() != price


def test_settings_change_in_flight_or_at_a_reset_and_wrong_ones_are_answered(opened):
    page = opened().page
    choose(page, "Blocks per frame", "25 blocks")
    type_into(page, "Capacity", "nonsense")
    page.get_by_text("'nonsense' is not a number; capacity is in million gas a block", exact=True).wait_for()
    type_into(page, "Capacity", "6")
    button(page, "Step").click()
    wait_for_block(page, 25)
    tab(page, "Block space")
    label = page.locator("svg.bs-block")
    label.wait_for()
    assert re.search(r"of 6 million gas", label.get_attribute("aria-label"))
    type_into(page, "Block time", "3")
    page.get_by_text("Some of this is for a new market: press Reset.").wait_for()
    button(page, "Reset").click()
    page.get_by_text("Nothing yet: press ▶").first.wait_for()
    assert page.get_by_text("Some of this is for a new market").count() == 0
    button(page, "Step").click()
    wait_for_block(page, 25)
    assert page.locator(".bs-trend").first.inner_text() == "00:01:15"
    type_into(page, "Crash", "200")
    page.get_by_text("'200' cannot be the size of a crash").wait_for()
    assert button(page, "Crash now").is_disabled()


def test_leverage_options_and_every_panel(opened):
    page = opened().page
    choose(page, "Beside the book", "options and leveraged traders")
    page.get_by_text("Some of this is for a new market: press Reset.").wait_for()
    button(page, "Reset").click()
    page.get_by_text("Some of this is for a new market").wait_for(state="detached")
    choose(page, "Blocks per frame", "100 blocks")
    button(page, "Step").click()
    wait_for_block(page, 100)
    for name, panels in {"Market": 4, "Block space": 4, "Agents and rents": 2, "Options": 2, "Leverage": 2}.items():
        tab(page, name)
        page.wait_for_timeout(300)
        assert charts(page).count() == panels, name
        assert all(one.get_attribute("aria-label") for one in charts(page).all())


def test_each_of_several_chains_can_be_looked_at(opened):
    page = opened().page
    choose(page, "Preset", "base-on-ethereum")
    page.get_by_text("Some of this is for a new market: press Reset.").wait_for()
    button(page, "Reset").click()
    page.get_by_text("Some of this is for a new market").wait_for(state="detached")
    choose(page, "Blocks per frame", "100 blocks")
    button(page, "Step").click()
    wait_for_block(page, 80)
    rollup = settled(page)
    choose(page, "Chain shown", "ethereum-with-blobs")
    page.wait_for_timeout(500)
    assert 5 < block(page) < rollup / 4


def test_sessions_are_independent(opened):
    first, second = opened().page, opened().page
    button(first, "Step").click()
    wait_for_block(first, 1)
    button(first, "Step").click()
    wait_for_block(first, 2)
    button(second, "Step").click()
    wait_for_block(second, 1)
    assert (settled(first), settled(second)) == (2, 1)
    type_into(second, "Capacity", "9")
    assert field(first, "Capacity").input_value() == "30"


def test_sweep_builds_up_and_can_be_pinned(opened):
    page = opened().page
    tab(page, "Emergence")
    choose(page, "Seeds at each capacity", "3 seeds")
    choose(page, "Length of a run", "20 minutes")
    button(page, "Run the sweep").click()
    page.get_by_text("15 of 15 runs").wait_for()
    assert charts(page).count() == 3
    assert "ethereum-30m" in charts(page).first.get_attribute("aria-label")
    button(page, "Pin this curve").click()
    tab(page, "Live")
    type_into(page, "Market makers", "12")
    tab(page, "Emergence")
    button(page, "Run the sweep").click()
    page.wait_for_timeout(300)
    page.get_by_text("15 of 15 runs").wait_for()
    page.wait_for_timeout(300)
    label = charts(page).first.get_attribute("aria-label")
    assert "market makers 12" in label
    assert label.count("ethereum-30m") == 2


def test_results_folders_are_opened_and_downloaded(opened, workplace):
    page = opened().page
    tab(page, "Results")
    assert page.get_by_label("Results folder").input_value().endswith("small")
    page.get_by_text("base_fee_gwei").first.wait_for()
    page.locator("figure.bs-print img").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("scenario.toml")).click()
    original = workplace / "results" / "small" / "scenario.toml"
    assert download.value.path().read_bytes() == original.read_bytes()
    type_into(page, "Results folder", "results/other")
    page.get_by_text("holds neither a sweep").wait_for()
    type_into(page, "Results folder", "results/missing")
    page.get_by_text("there is no folder results/missing").wait_for()
    type_into(page, "Results folder", "results/small")
    page.get_by_text("base_fee_gwei").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_and_darkness(opened, scheme):
    page = opened(390, 844, scheme).page
    button(page, "Step").click()
    wait_for_block(page, 1)
    page.wait_for_timeout(300)
    overflow = (
        "[...document.querySelectorAll('.bs-panel, .bs-controls, .bs-headline')]"
        ".filter(element => element.getBoundingClientRect().right > 391).length"
    )
    assert page.evaluate(overflow) == 0
    brightness = page.evaluate(
        "getComputedStyle(document.querySelector('.bs-panel')).backgroundColor.match(/\\d+/g).map(Number)[0]"
    )
    assert brightness == 255 if scheme == "light" else brightness < 60


def test_keyboard_alone_plays(opened):
    page = opened().page
    step = button(page, "Step")
    for _ in range(12):
        page.keyboard.press("Tab")
        if step.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    wait_for_block(page, 1)
