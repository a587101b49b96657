"""Makes docs/images from the page as it is: python tests/web/screenshots.py, with Chromium and the serve extra."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from page_driver import ARGUMENTS, SIZES, Driver
from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGE = {"viewport": {"width": 1280, "height": 820}, "device_scale_factor": 1.4}
PHONE = {**SIZES["phone"], "device_scale_factor": 2}


def chat(driver: Driver) -> None:
    driver.send("What is 123 times 45?")
    driver.send("How many r's are in strawberry?")
    driver.send("Tell me a story about a fox and a lost key.")
    driver.page.locator(".scroller").evaluate("box => { box.scrollTop = 0; }")
    driver.page.mouse.move(640, 700)


def tokens(driver: Driver) -> None:
    driver.send("Tell me a story about a fox and a lost key.")
    driver.colour()
    driver.page.locator(".scroller").evaluate("box => { box.scrollTop = 0; }")
    driver.last.locator(".token.band-4, .token.band-5").nth(3).hover()
    driver.page.locator(".token-card").wait_for()


def notebook(driver: Driver) -> None:
    driver.notebook()
    driver.field.fill("Once upon a time, there was a")
    driver.proceed()
    driver.button("Score the text").click()
    driver.page.locator(".marks .token").nth(20).wait_for()
    driver.field.blur()


def phone(driver: Driver) -> None:
    driver.send("What is 123 times 45?")
    driver.send("Tell me a story about a fox and a lost key.")
    driver.colour()
    driver.last.locator(".token.band-3, .token.band-4").nth(2).tap()
    driver.page.locator(".token-card").wait_for()


PICTURES: dict[str, tuple[dict[str, object], str, Callable[[Driver], None]]] = {
    "chat-light": (LARGE, "light", chat), "chat-dark": (LARGE, "dark", chat), "tokens": (LARGE, "light", tokens),
    "notebook": (LARGE, "light", notebook), "phone": (PHONE, "light", phone),
}


def take(browser: Browser, url: str, name: str) -> None:
    """Make one picture."""
    size, scheme, act = PICTURES[name]
    context = browser.new_context(**size, color_scheme=scheme)
    driver = Driver(context.new_page(), url, size="phone" if size is PHONE else "desktop").open()
    driver.page.evaluate("""localStorage.setItem('nanochat.preferences',
      JSON.stringify({ settings: { system: '', sampling: { seed: 11, max_tokens: 260 }, model: null } }))""")
    driver.open()
    act(driver)
    driver.page.wait_for_timeout(400)
    path = IMAGES / f"{name}.png"
    path.write_bytes(driver.page.screenshot())
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")
    context.close()


def main() -> None:
    """Make the pictures that are named on the command line, or all."""
    names = sys.argv[1:] or list(PICTURES)
    IMAGES.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pynanochat", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"] + "/"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name in names:
            take(browser, url, name)
        browser.close()
        server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
