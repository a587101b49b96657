"""A browser, the server that says what a test wants, and pages that are watched."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from fixture_files import STORY5M

if TYPE_CHECKING:
    from page_driver import Driver
    from playwright.sync_api import Browser, BrowserContext
    from stub_server import StubServer


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the dev extra has it)")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    from page_driver import ARGUMENTS

    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def one_stub() -> Iterator[StubServer]:
    from stub_server import StubServer

    server = StubServer()
    yield server
    server.close()


@pytest.fixture
def stub(one_stub: StubServer) -> StubServer:
    one_stub.reset()
    return one_stub


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> dict[str, BrowserContext]:
    """One for each size, so that the page's files are fetched once."""
    from page_driver import SIZES

    return {size: browser.new_context(**settings) for size, settings in SIZES.items()}


@pytest.fixture
def visit(contexts: dict[str, BrowserContext]) -> Iterator[Callable[..., Driver]]:
    """Opens a page of a server in a browser that has kept nothing; in the end nothing may have gone wrong."""
    from page_driver import Driver

    opened: list[Driver] = []

    def visit(url: str, size: str = "desktop", stub: StubServer | None = None) -> Driver:
        opened.append(Driver(contexts[size].new_page(), url, size=size, stub=stub))
        return opened[-1].open()

    yield visit
    for driver in opened:
        driver.forget()
        assert driver.wrongs == []


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """The address of `nanochat serve` with a trained model."""
    for library in ("uvicorn", "httptools", "prometheus_client"):
        pytest.importorskip(library, reason=f"{library} is not installed (the serve extra has it)")
    command = [sys.executable, "-m", "pynanochat", "serve", str(STORY5M), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"] + "/"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture(params=["desktop", "phone"])
def driver(visit: Callable[..., Driver], stub: StubServer, request: pytest.FixtureRequest) -> Driver:
    return visit(stub.url, request.param, stub)


@pytest.fixture
def desktop(visit: Callable[..., Driver], stub: StubServer) -> Driver:
    return visit(stub.url, "desktop", stub)
