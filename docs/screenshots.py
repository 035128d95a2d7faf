"""The pictures of pages in the README: the report of the quick capacity study, as a browser shows it.

Needs Chromium (Debian: ``apt-get install chromium``); the study takes a minute or less.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from blockspace.experiments.sweeps.conduct import run_study

IMAGES = Path(__file__).parent / "images"
WIDTH = 1100


def main():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is needed for screenshots: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        results = run_study("capacity", quick=True, out=Path(folder) / "capacity-quick")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
        page.goto((results.folder / "report.html").as_uri())
        # From the question to the end of the table.
        end = page.locator("table").first.bounding_box()
        height = end["y"] + end["height"] + 30
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
        page.screenshot(path=IMAGES / "report.png", clip=clip, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
