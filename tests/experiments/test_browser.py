"""Pages in a real browser: they need nothing but themselves, and can be read in light, in darkness and on a phone."""

import os
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from blockspace.experiments.command_line import app
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Sweep, grid
from blockspace.experiments.sweeps.runner import run_sweep
from tests.experiments.chromium import CHROMIUM

WIDE, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}

# Where changes are checked there is a browser, or the check has failed.
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium")


@pytest.fixture(scope="module", params=["sweep", "run", "comparison"])
def page_file(request, tmp_path_factory):
    """A page of each kind, written by the commands."""
    folder = tmp_path_factory.mktemp("pages")
    brief = {"duration_s": 300, "warm_up_s": 60}
    if request.param == "run":
        run = ["run", "base", "--set", "warm_up_s=30", "--duration", "120", "--out", str(folder / "run")]
        commands, page = [run, ["show", str(folder / "run")]], folder / "run" / "report.html"
    else:
        for name, seeds in (("first", (1, 2)), ("second", (1, 2, 3))):
            points = grid({"chain.gas_limit": [5_000_000, 60_000_000]})
            sweep = Sweep(load_scenario("ethereum-30m", brief), points, seeds, points[0].name)
            run_sweep(sweep, folder / name, jobs=1, quiet=True)
        commands, page = [["show", str(folder / "first")]], folder / "first" / "report.html"
        if request.param == "comparison":
            page = folder / "page.html"
            commands = [["compare", str(folder / "first"), str(folder / "second"), "--out", str(page)]]
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    return page


def opened(browser, page_file, **options):
    """Open a page, and collect all that it asks for and complains of."""
    context = browser.new_context(**options)
    page = context.new_page()
    seen = SimpleNamespace(page=page, requests=[], complaints=[])
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("requestfailed", lambda request: seen.complaints.append(f"{request.url}: {request.failure}"))
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.goto(page_file.as_uri())
    return seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_page_stands_alone_and_fits(browser, page_file, scheme, size):
    seen = opened(browser, page_file, viewport=size, color_scheme=scheme)
    page = seen.page
    for details in page.locator("details").all():
        details.locator("summary").first.click()
    page.wait_for_load_state("networkidle")
    assert [url for url in seen.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert seen.complaints == []
    assert page.locator("img").count() >= 1
    for image in page.locator("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth") > 0
    # What is wider than the page scrolls by itself; the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate("document.body.scrollWidth") <= size["width"]
    page.context.close()


def colours(page, selector):
    """Text and background of an element, each as its brightness from 0 to 255."""
    script = """selector => {
        const style = getComputedStyle(document.querySelector(selector));
        return [style.color, style.backgroundColor].map(text => {
            const [red, green, blue] = text.match(/[\\d.]+/g).map(Number);
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        });
    }"""
    return page.evaluate(script, selector)


def test_figures_stay_on_white_when_it_is_dark(browser, page_file):
    for scheme in ("light", "dark"):
        seen = opened(browser, page_file, color_scheme=scheme)
        ink, paper = colours(seen.page, "body")
        assert (ink < 60 and paper > 240) if scheme == "light" else (ink > 200 and paper < 40)
        assert colours(seen.page, ".card")[1] == pytest.approx(255)
        seen.page.context.close()


def test_links_lead_to_sections_that_can_be_reached_by_keyboard(browser, page_file):
    seen = opened(browser, page_file, viewport=WIDE)
    page = seen.page
    links = page.locator("nav a")
    assert links.count() == page.locator("section").count()
    for number in range(links.count()):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == links.nth(number).text_content()
    page.keyboard.press("Enter")
    last = page.locator("section h2").last
    assert page.url.endswith(f"#{last.get_attribute('id')}")
    assert last.bounding_box()["y"] < WIDE["height"]
    assert seen.complaints == []
    page.context.close()


def test_page_can_be_printed(browser, page_file):
    seen = opened(browser, page_file, color_scheme="dark")
    seen.page.emulate_media(media="print")
    assert seen.page.locator("nav").is_hidden()
    assert seen.page.pdf(format="A4").startswith(b"%PDF")
    seen.page.context.close()
