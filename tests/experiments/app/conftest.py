"""One server for all tests of the page."""

import os
import re
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from tests.experiments.small import small_sweep


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """Folder in which the application is started, with a results folder and something that is none."""
    from blockspace.experiments.reports.report import write_report
    from blockspace.experiments.sweeps.runner import run_sweep

    folder = tmp_path_factory.mktemp("app")
    run_sweep(small_sweep(), folder / "results" / "small", jobs=1, quiet=True)
    write_report(folder / "results" / "small")
    (folder / "results" / "other").mkdir()
    return folder


@pytest.fixture(scope="session")
def address(workplace):
    """Where the page is served: a process of its own, as a user starts it."""
    entry = "from blockspace.experiments.command_line import main; main()"
    command = [sys.executable, "-c", entry, "app", "--port", "0"]
    with subprocess.Popen(
        command, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ)
    ) as process:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        yield found.group()
        process.terminate()
        process.wait(timeout=20)


def _answers(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def address_of_solara(workplace):
    """The same page, served by Solara's own command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = "blockspace.experiments.app.page"
    command = [sys.executable, "-m", "solara", "run", page, "--port", str(port), "--no-open"]
    environment = {**os.environ, "SOLARA_HOME": str(workplace / "solara")}  # as where Solara has never been run
    with subprocess.Popen(
        command, cwd=workplace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert time.monotonic() < deadline, "Solara does not answer"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def opened(browser, address):
    """Opens the page in a context of its own; at the end, nothing may have been complained of or asked elsewhere."""
    contexts, complaints, urls, served = [], [], [], {address}

    def open_page(width=1440, height=1000, scheme="light", address=address):
        served.add(address)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # machines that check are busy
        page.on("request", lambda request: urls.append(request.url))
        page.on("websocket", lambda socket: urls.append(socket.url.replace("ws://", "http://")))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.locator(".block-number").wait_for()
        return SimpleNamespace(page=page, urls=urls, complaints=complaints)

    yield open_page
    assert complaints == []
    assert [url for url in urls if not url.startswith((*served, "data:", "blob:"))] == []
    for context in contexts:
        context.close()
