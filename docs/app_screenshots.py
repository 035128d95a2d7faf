"""The pictures of the browser application in the README and in docs/app.md, as a browser shows it.

Needs Chromium (Debian: ``apt-get install chromium``); takes a minute or two.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from blockspace.experiments.sweeps.conduct import run_study

IMAGES = Path(__file__).parent / "images"
WIDE, PHONE = (1440, 1010), (390, 844)
SERVE = "from blockspace.experiments.command_line import main; main()"


@contextmanager
def served(folder):
    """Serve the application from a folder, and give its address."""
    command = [sys.executable, "-c", SERVE, "app", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield re.search(r"http://\S+", process.stdout.readline()).group()
        process.terminate()


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1_500)


def choose(page, label, option):
    page.get_by_label(label, exact=True).click(force=True)
    page.get_by_role("option", name=option, exact=True).click()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def take(page, name):
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / f"app-{name}.png")


def opened(browser, address, size, scheme):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(address)
    page.locator(".block-number").wait_for()
    return page


def take_live(page, scheme):
    """A market with options and leverage, twenty minutes after its start, and then a crash."""
    choose(page, "Beside the book", "options and leveraged traders")
    page.get_by_text("press Reset.").wait_for()
    press(page, "Reset")
    choose(page, "Blocks per frame", "100 blocks")
    press(page, "Step")
    page.locator("section[aria-label='Order book'] canvas").wait_for()
    page.wait_for_timeout(1_000)
    take(page, f"live-{scheme}")
    for name in ("Block space", "Agents and rents", "Options"):
        tab(page, name)
        take(page, f"{name.lower().replace(' ', '-')}-{scheme}")
    page.get_by_label(re.compile("^Crash")).fill("8")
    page.get_by_label(re.compile("^Crash")).press("Enter")
    press(page, "Crash now")
    choose(page, "Blocks per frame", "25 blocks")
    press(page, "Step")
    page.wait_for_timeout(2_000)
    tab(page, "Leverage")
    take(page, f"leverage-{scheme}")


def main():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is needed for screenshots: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run_study("capacity", quick=True, seeds=2, out=Path(folder) / "results" / "capacity-quick")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        with served(folder) as address:
            for scheme in ("light", "dark"):
                page = opened(browser, address, WIDE, scheme)
                take_live(page, scheme)
                choose(page, "Beside the book", "nothing else")
                tab(page, "Emergence")
                press(page, "Run the sweep")
                page.get_by_text("30 of 30 runs").wait_for(timeout=120_000)
                press(page, "Pin this curve")
                tab(page, "Live")
                page.get_by_label(re.compile("^Volatility")).fill("7")
                page.get_by_label(re.compile("^Volatility")).press("Enter")
                tab(page, "Emergence")
                press(page, "Run the sweep")
                page.wait_for_timeout(500)
                page.get_by_text("30 of 30 runs").wait_for(timeout=120_000)
                take(page, f"emergence-{scheme}")
                tab(page, "Results")
                page.locator("figure.bs-print img").first.wait_for()
                take(page, f"results-{scheme}")
                page.close()
            page = opened(browser, address, PHONE, "light")
            choose(page, "Blocks per frame", "100 blocks")
            press(page, "Step")
            page.locator(".bs-headline").scroll_into_view_if_needed()
            page.locator("section[aria-label='Order book'] canvas").scroll_into_view_if_needed()
            take(page, "phone")
        browser.close()


if __name__ == "__main__":
    main()
