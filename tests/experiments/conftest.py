"""What several tests share: a browser, and a sweep that nothing has disturbed."""

import pytest
from playwright.sync_api import sync_playwright

from .chromium import CHROMIUM, OPTIONS
from .small import content, make_many


@pytest.fixture(scope="session")
def browser():
    """One for all tests of a process: there cannot be two."""
    assert CHROMIUM is not None, "Chromium is missing"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Files of the sweep of :func:`make_many` that nothing has disturbed, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    make_many(folder, jobs=1)
    return content(folder)
